CREATE DATABASE "green-coding";
\c green-coding;

-- SPDX-License-Identifier: GPL-3.0-or-later
-- Stand-in for the schema of GMT v0.16. Only what the client, jobs.py and a registration touch.
-- Upstream inserts no rows at this release: not even machine 1.

CREATE EXTENSION "uuid-ossp";

CREATE TABLE machines (
    id           serial PRIMARY KEY,
    description  text,
    available    boolean DEFAULT false,
    created_at   timestamptz DEFAULT now(),
    updated_at   timestamptz
);

CREATE TABLE categories (
    id           serial PRIMARY KEY,
    name         text,
    parent_id    integer REFERENCES categories (id) ON UPDATE CASCADE ON DELETE CASCADE,
    created_at   timestamptz DEFAULT now()
);

-- A project is one submission: its result ends up in the same row.
CREATE TABLE projects (
    id                  uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    name                text,
    uri                 text,
    branch              text,
    commit_hash         text,
    email               text,
    categories          integer[],
    usage_scenario      json,
    filename            text,
    machine_specs       jsonb,
    machine_id          integer DEFAULT 1,
    measurement_config  jsonb,
    start_measurement   bigint,
    end_measurement     bigint,
    phases              json,
    logs                text,
    invalid_project     text,
    last_run            timestamptz,
    created_at          timestamptz DEFAULT now()
);

CREATE TABLE jobs (
    id          serial PRIMARY KEY,
    project_id  uuid REFERENCES projects (id) ON UPDATE CASCADE ON DELETE CASCADE,
    type        text,
    machine_id  integer REFERENCES machines (id) ON UPDATE CASCADE ON DELETE SET NULL,
    failed      boolean DEFAULT false,
    running     boolean DEFAULT false,
    last_run    timestamptz,
    created_at  timestamptz DEFAULT now()
);

CREATE TABLE client_status (
    id           serial PRIMARY KEY,
    status_code  text NOT NULL,
    machine_id   integer REFERENCES machines (id) ON UPDATE CASCADE ON DELETE SET NULL,
    data         text,
    project_id   uuid REFERENCES projects (id) ON UPDATE CASCADE ON DELETE CASCADE,
    created_at   timestamptz DEFAULT now()
);

CREATE TABLE measurements (
    id           serial PRIMARY KEY,
    project_id   uuid NOT NULL REFERENCES projects (id) ON UPDATE CASCADE ON DELETE CASCADE,
    detail_name  text NOT NULL,
    metric       text NOT NULL,
    value        bigint NOT NULL,
    unit         text NOT NULL,
    time         bigint NOT NULL,
    phase        text,
    created_at   timestamptz DEFAULT now()
);

CREATE TABLE phase_stats (
    id           serial PRIMARY KEY,
    project_id   uuid NOT NULL REFERENCES projects (id) ON UPDATE CASCADE ON DELETE CASCADE,
    metric       text NOT NULL,
    detail_name  text NOT NULL,
    phase        text NOT NULL,
    value        bigint NOT NULL,
    type         text NOT NULL,
    max_value    bigint,
    unit         text NOT NULL,
    created_at   timestamptz DEFAULT now()
);

CREATE TABLE notes (
    id           serial PRIMARY KEY,
    project_id   uuid REFERENCES projects (id) ON UPDATE CASCADE ON DELETE CASCADE,
    detail_name  text,
    note         text,
    time         bigint,
    created_at   timestamptz DEFAULT now()
);
