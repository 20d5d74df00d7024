-- Secrets that people make for programs that cannot sign in on pages. Here as digests only, apart from the tokens of the
-- admin API, so that neither is ever taken for the other.

-- applications: ids that it is good for; does not count where every_site is true. No foreign keys: one that is gone admits nobody.
CREATE TABLE app_passwords (
    id @id NOT NULL PRIMARY KEY,
    user_id @id NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    name @text NOT NULL,
    name_key @text NOT NULL CHECK (length(name_key) <= 600),
    digest @bytes NOT NULL,
    every_site @bool NOT NULL,
    applications @json NOT NULL,
    created_at @time NOT NULL,
    expires_at @time,
    last_used_at @time,
    revoked_at @time
);
CREATE UNIQUE INDEX app_passwords_digest_key ON app_passwords(digest);
CREATE UNIQUE INDEX app_passwords_user_id_name_key_key ON app_passwords(user_id, name_key) WHERE revoked_at IS NULL;
CREATE INDEX app_passwords_user_id_idx ON app_passwords(user_id, id);
CREATE INDEX app_passwords_expires_at_idx ON app_passwords(expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX app_passwords_revoked_at_idx ON app_passwords(revoked_at) WHERE revoked_at IS NOT NULL;
