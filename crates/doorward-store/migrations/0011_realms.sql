-- Whose person somebody is: '' for everybody's, else the id of the one app that keeps its people to itself. Names are unique within.
ALTER TABLE users ADD COLUMN realm @text NOT NULL DEFAULT '' CHECK (length(realm) <= 40);
DROP INDEX users_username_key_key;
DROP INDEX users_email_key_key;
CREATE UNIQUE INDEX users_realm_username_key_key ON users(realm, username_key) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_realm_email_key_key ON users(realm, email_key) WHERE deleted_at IS NULL;
