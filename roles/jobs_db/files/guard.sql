-- GMT's client counts a user's measurement quota down by writing the whole of users.capabilities back. The guard takes
-- from what the client writes the lower quotas alone. All else stays as it is, and quietly: the client writes what it read
-- before the measurement, and what an operator has changed meanwhile must not be lost.
-- psql variables: client, version.
CREATE SCHEMA IF NOT EXISTS greenlab;

CREATE OR REPLACE FUNCTION greenlab.guard_capabilities() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    old_value jsonb := OLD.capabilities::jsonb;
    new_value jsonb := NEW.capabilities::jsonb;
    quotas jsonb;
BEGIN
    IF jsonb_typeof(old_value #> '{measurement,quotas}') = 'object' THEN
        SELECT jsonb_object_agg(key, CASE
                   WHEN jsonb_typeof(value) = 'number'
                    AND jsonb_typeof(new_value #> ARRAY['measurement', 'quotas', key]) = 'number'
                   THEN to_jsonb(least(value::numeric, (new_value #> ARRAY['measurement', 'quotas', key])::numeric))
                   ELSE value END)
        INTO quotas FROM jsonb_each(old_value #> '{measurement,quotas}');
    END IF;
    IF quotas IS NOT NULL THEN
        old_value := jsonb_set(old_value, '{measurement,quotas}', quotas);
    END IF;
    NEW.capabilities := old_value;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER greenlab_guard_capabilities BEFORE UPDATE ON public.users
    FOR EACH ROW WHEN (current_user = :'client') EXECUTE FUNCTION greenlab.guard_capabilities();

COMMENT ON TRIGGER greenlab_guard_capabilities ON public.users IS :'version';
