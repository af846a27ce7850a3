-- Holds: a machine whose queue is kept back while somebody works on it (module gmt_hold). The table outlives the operator's
-- computer. While a machine is held, a job that would wait for it is PAUSED and noted instead: one that the watchlist adds,
-- or that its client gives back. And whoever changes machines.available changes what the release will put back.
-- Up to v0.18 jobs have no state: a type that no client asks for stands for PAUSED, and a job for any machine is kept
-- back as long as one of them is held.
-- psql variable: version.
CREATE SCHEMA IF NOT EXISTS greenlab;

CREATE TABLE IF NOT EXISTS greenlab.holds (
    id             integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_id     integer NOT NULL,
    owner          text NOT NULL,
    reason         text NOT NULL,
    held_at        timestamptz NOT NULL DEFAULT now(),
    released_at    timestamptz,
    was_available  boolean NOT NULL,
    job_ids        integer[] NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX IF NOT EXISTS holds_one_a_machine ON greenlab.holds (machine_id) WHERE released_at IS NULL;

-- What a machine was last built from (module gmt_build): a hash for each thing that it depends on.
CREATE TABLE IF NOT EXISTS greenlab.builds (
    machine_id  integer PRIMARY KEY,
    parts       jsonb NOT NULL,
    built_at    timestamptz NOT NULL DEFAULT now()
);

SELECT EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = 'public.jobs'::regclass AND attname = 'state' AND NOT attisdropped
) AS has_state, EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = 'public.jobs'::regclass AND attname = 'type' AND NOT attisdropped
) AS has_type \gset

-- The machine's row is locked so that a job and a hold that come at one moment come one after the other.
CREATE OR REPLACE FUNCTION greenlab.note_held_job(job integer, machine integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM FROM public.machines WHERE id = machine FOR SHARE;
    UPDATE greenlab.holds SET job_ids = array_append(array_remove(job_ids, job), job)
    WHERE released_at IS NULL AND id = (
        SELECT min(id) FROM greenlab.holds WHERE released_at IS NULL AND (machine_id = machine OR machine IS NULL));
    RETURN FOUND;
END $$;
REVOKE EXECUTE ON FUNCTION greenlab.note_held_job FROM PUBLIC;

\if :has_state
CREATE OR REPLACE FUNCTION greenlab.pause_job() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF NEW.machine_id IS NOT NULL AND greenlab.note_held_job(NEW.id, NEW.machine_id) THEN
        NEW.state := 'PAUSED';
    END IF;
    RETURN NEW;
END $$;
\if :has_type
CREATE OR REPLACE TRIGGER greenlab_pause_job BEFORE INSERT OR UPDATE OF state, machine_id ON public.jobs
    FOR EACH ROW WHEN (NEW.state = 'WAITING' AND NEW.type = 'run') EXECUTE FUNCTION greenlab.pause_job();
\else
CREATE OR REPLACE TRIGGER greenlab_pause_job BEFORE INSERT OR UPDATE OF state, machine_id ON public.jobs
    FOR EACH ROW WHEN (NEW.state = 'WAITING') EXECUTE FUNCTION greenlab.pause_job();
\endif
\else
CREATE OR REPLACE FUNCTION greenlab.pause_job() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF greenlab.note_held_job(NEW.id, NEW.machine_id) THEN
        NEW.type := 'project-paused';
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER greenlab_pause_job BEFORE INSERT OR UPDATE OF running, failed, type, machine_id ON public.jobs
    FOR EACH ROW WHEN (NEW.type = 'project' AND NEW.running IS NOT TRUE AND NEW.failed IS NOT TRUE)
    EXECUTE FUNCTION greenlab.pause_job();
\endif

CREATE OR REPLACE FUNCTION greenlab.keep_unavailable() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    UPDATE greenlab.holds SET was_available = NEW.available IS TRUE WHERE machine_id = NEW.id AND released_at IS NULL;
    IF FOUND THEN
        NEW.available := false;
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER greenlab_keep_unavailable BEFORE UPDATE OF available ON public.machines
    FOR EACH ROW EXECUTE FUNCTION greenlab.keep_unavailable();

COMMENT ON TABLE greenlab.holds IS :'version';
