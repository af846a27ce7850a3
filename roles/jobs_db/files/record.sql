-- Which release the schema has, and which migrations are in it: those with applied_at by us, the others from the start.
-- psql variables: greenlab_release, greenlab_commit, greenlab_files (a list of names and checksums).
CREATE SCHEMA IF NOT EXISTS greenlab;
CREATE TABLE IF NOT EXISTS greenlab.schema (
    id        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    release   text NOT NULL,
    commit    text NOT NULL,
    laid_at   timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS greenlab.migrations (
    name        text PRIMARY KEY,
    sha256      text NOT NULL,
    applied_at  timestamptz,
    release     text NOT NULL
);
INSERT INTO greenlab.migrations (name, sha256, release)
SELECT file ->> 'name', file ->> 'sha256', :'greenlab_release' FROM jsonb_array_elements(:'greenlab_files') AS file
ON CONFLICT (name) DO NOTHING;
INSERT INTO greenlab.schema (release, commit) VALUES (:'greenlab_release', :'greenlab_commit');
