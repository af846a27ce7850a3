-- SPDX-License-Identifier: GPL-3.0-or-later
-- All that the role manages in the database, as text: who may log in and how, all rights, tables, triggers and functions, and the
-- token that everybody knows. Rows that jobs and machines write are not in it.
SELECT row(rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit, rolpassword,
           rolvaliduntil) FROM pg_authid ORDER BY rolname;
SELECT row(roleid::regrole, member::regrole, admin_option) FROM pg_auth_members ORDER BY 1;
SELECT row(datname, datacl, datallowconn) FROM pg_database WHERE datname = current_database();
SELECT row(setdatabase, setrole::regrole, setconfig) FROM pg_db_role_setting ORDER BY 1;
SELECT row(nspname, nspacl) FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY nspname;
SELECT row(c.oid::regclass, c.relkind, c.relacl, c.relowner::regrole, a.attname, a.atttypid::regtype, a.attnotnull, a.attacl)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped AND a.attnum > 0
WHERE n.nspname IN ('public', 'greenlab') AND c.relkind <> 'i' ORDER BY c.oid::regclass::text, a.attnum;
SELECT row(p.oid::regprocedure, p.proowner::regrole, p.proacl, p.prosecdef, p.prosrc)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('public', 'greenlab') ORDER BY p.oid::regprocedure::text;
SELECT row(tgrelid::regclass, tgname, tgenabled, pg_get_triggerdef(oid), obj_description(oid, 'pg_trigger'))
FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgrelid::regclass::text, tgname;
SELECT row(release, commit) FROM greenlab.schema ORDER BY id DESC LIMIT 1;
SELECT row(name, token) FROM users WHERE name = 'DEFAULT';
