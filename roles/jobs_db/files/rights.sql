-- One row for each statement that brings the rights of a role to what is wanted; no row when they are right already.
-- wanted: [{"privilege": "SELECT", "tables": ["jobs"], "columns": ["id"]}]; tables and columns that do not exist are
-- left out. Rights on a table are on the whole of it unless columns are given. Whoever may insert may use the sequence,
-- and has what "sequences" names. on_database: rights on the database itself. Everybody may read which release it has;
-- may_hold: and hold machines.
WITH wanted_table AS (
    SELECT w.privilege, c.oid AS relation, w.columns, w.sequences
    FROM jsonb_to_recordset(%(wanted)s::jsonb) AS w(privilege text, tables jsonb, columns jsonb, sequences jsonb)
    CROSS JOIN jsonb_array_elements_text(w.tables) AS t(name)
    JOIN pg_class c ON c.relname = t.name AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
), wanted AS (
    SELECT privilege, relation, NULL::name AS col FROM wanted_table WHERE columns IS NULL
    UNION
    SELECT w.privilege, w.relation, a.attname
    FROM wanted_table w
    CROSS JOIN jsonb_array_elements_text(w.columns) AS wc(name)
    JOIN pg_attribute a ON a.attrelid = w.relation AND a.attname = wc.name AND NOT a.attisdropped
    WHERE w.columns IS NOT NULL
    UNION
    SELECT s.privilege, d.objid, NULL
    FROM wanted_table w
    CROSS JOIN jsonb_array_elements_text(coalesce(w.sequences, '["USAGE"]')) AS s(privilege)
    JOIN pg_depend d ON d.refobjid = w.relation AND d.deptype IN ('a', 'i') AND d.classid = 'pg_class'::regclass
    JOIN pg_class q ON q.oid = d.objid AND q.relkind = 'S'
    WHERE w.privilege = 'INSERT'
), held AS (
    SELECT acl.privilege_type AS privilege, c.oid AS relation, NULL::name AS col
    FROM pg_class c CROSS JOIN aclexplode(c.relacl) AS acl
    JOIN pg_roles r ON r.oid = acl.grantee AND r.rolname = %(grantee)s
    WHERE c.relnamespace = 'public'::regnamespace
    UNION
    SELECT acl.privilege_type, a.attrelid, a.attname
    FROM pg_attribute a CROSS JOIN aclexplode(a.attacl) AS acl
    JOIN pg_roles r ON r.oid = acl.grantee AND r.rolname = %(grantee)s
    JOIN pg_class c ON c.oid = a.attrelid AND c.relnamespace = 'public'::regnamespace
), change AS (
    SELECT 1 AS step, 'REVOKE' AS verb, 'FROM' AS preposition, h.* FROM (TABLE held EXCEPT TABLE wanted) AS h
    UNION ALL
    SELECT 2, 'GRANT', 'TO', w.* FROM (TABLE wanted EXCEPT TABLE held) AS w
)
SELECT statement FROM (
    SELECT step, format(
        '%%s %%s%%s ON %%s %%s %%s %%I', verb, privilege, CASE WHEN col IS NULL THEN '' ELSE format(' (%%I)', col) END,
        CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, relation::regclass, preposition, %(grantee)s::text
    ) AS statement
    FROM change JOIN pg_class c ON c.oid = relation
    UNION ALL
    -- Nobody but the roles we name may enter the database.
    SELECT 0, format('REVOKE ALL ON DATABASE %%I FROM PUBLIC', d.datname)
    FROM pg_database d
    WHERE d.datname = current_database()
      AND EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS acl WHERE acl.grantee = 0)
    UNION ALL
    SELECT CASE held.verb WHEN 'REVOKE' THEN 1 ELSE 3 END,
           format('%%s %%s ON DATABASE %%I %%s %%I', held.verb, held.privilege, current_database(), held.preposition, %(grantee)s::text)
    FROM pg_database d
    JOIN pg_roles r ON r.rolname = %(grantee)s
    CROSS JOIN LATERAL (
        SELECT 'REVOKE' AS verb, 'FROM' AS preposition, acl.privilege_type AS privilege FROM aclexplode(d.datacl) AS acl
        WHERE acl.grantee = r.oid AND NOT %(on_database)s::jsonb ? acl.privilege_type
        UNION ALL
        SELECT 'GRANT', 'TO', w.privilege FROM jsonb_array_elements_text(%(on_database)s::jsonb) AS w(privilege)
        WHERE NOT EXISTS (SELECT FROM aclexplode(d.datacl) AS acl WHERE acl.grantee = r.oid AND acl.privilege_type = w.privilege)
    ) AS held
    WHERE d.datname = current_database()
    UNION ALL
    SELECT 4, format('GRANT USAGE ON SCHEMA greenlab TO %%I', %(grantee)s::text)
    WHERE NOT has_schema_privilege(%(grantee)s, to_regnamespace('greenlab')::oid, 'USAGE')
    UNION ALL
    SELECT 4, format('GRANT SELECT ON greenlab.schema TO %%I', %(grantee)s::text)
    WHERE NOT has_table_privilege(%(grantee)s, to_regclass('greenlab.schema')::oid, 'SELECT')
    UNION ALL
    SELECT 4, format('GRANT SELECT, INSERT, UPDATE ON greenlab.holds, greenlab.builds TO %%I', %(grantee)s::text)
    WHERE %(may_hold)s AND NOT has_table_privilege(%(grantee)s, to_regclass('greenlab.holds')::oid, 'INSERT')
) AS statements
ORDER BY step, statement
