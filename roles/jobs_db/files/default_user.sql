-- wanted: SHA-256 of the new token in hex, or nothing; then the well-known token is replaced by words that are no token's
-- hash, the same as module gmt_user writes for a user who is switched off.
UPDATE users
SET token = coalesce(nullif(%(wanted)s::text, ''), 'disabled ' || id)
WHERE name = 'DEFAULT'
  AND CASE WHEN %(wanted)s::text <> '' THEN token <> %(wanted)s::text
           ELSE NOT %(open)s::boolean AND token = encode(sha256('DEFAULT'), 'hex') END
