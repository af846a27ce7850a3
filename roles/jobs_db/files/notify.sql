-- Tells who listens that a job waits, and for which machine, once it is committed: the wake host's service, or a rulebook of
-- Event-Driven Ansible. Nobody needs to listen. One function for the schemas of all releases, which names no column, so that
-- migrations may change them; up to v0.18 jobs have no state.
-- psql variable: version.
CREATE SCHEMA IF NOT EXISTS greenlab;

CREATE OR REPLACE FUNCTION greenlab.notify_job() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    job jsonb := to_jsonb(NEW);
    waits boolean := CASE WHEN job ? 'state'
        THEN job ->> 'state' = 'WAITING' AND coalesce(job ->> 'type', 'run') = 'run'
        ELSE job ->> 'type' = 'project' AND 'true' NOT IN (coalesce(job ->> 'running', ''), coalesce(job ->> 'failed', ''))
    END;
BEGIN
    -- Commits fail when the server's queue of notifications is full, which a listener that hangs in a transaction brings about.
    IF waits AND pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify('greenlab_jobs', jsonb_build_object('machine_id', job -> 'machine_id')::text);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER greenlab_notify_job AFTER INSERT OR UPDATE ON public.jobs
    FOR EACH ROW EXECUTE FUNCTION greenlab.notify_job();

COMMENT ON TRIGGER greenlab_notify_job ON public.jobs IS :'version';
