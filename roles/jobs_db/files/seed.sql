-- The release's seed data has a demo job, a demo message and a demo machine. Run in the transaction that lays the schema,
-- so whatever is in these tables came with it. A machine that some other row needs stays.
DELETE FROM jobs;
DO $$
BEGIN
    IF to_regclass('cluster_status_messages') IS NOT NULL THEN
        DELETE FROM cluster_status_messages;
    END IF;
    DELETE FROM machines;
EXCEPTION WHEN foreign_key_violation THEN
    NULL;
END $$;
