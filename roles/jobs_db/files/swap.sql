-- psql variables: name, new, kept. A database can only be renamed while nobody is in it.
-- Who comes back before the roles have their rights again is told to try later.
REVOKE ALL ON DATABASE :"new" FROM PUBLIC;
ALTER DATABASE :"name" ALLOW_CONNECTIONS false;
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname IN (:'name', :'new') AND pid <> pg_backend_pid() \g /dev/null
BEGIN;
ALTER DATABASE :"name" RENAME TO :"kept";
ALTER DATABASE :"new" RENAME TO :"name";
COMMIT;
