-- The doors of apps: what is configured, sessions that are for one app, accounts at other providers, one-time proofs, organizations,
-- keys, second factors.

-- NULL: no door.
ALTER TABLE applications ADD COLUMN app_auth @json;
-- NULL: nothing known beside.
ALTER TABLE users ADD COLUMN app @json;
-- NULL: for Doorward itself. The application's id stands in it; sessions are looked up by digest, in which it stands too.
ALTER TABLE sessions ADD COLUMN app @json;

-- tokens: sealed. provider_id and account_id come from elsewhere, so they are bounded.
CREATE TABLE accounts (
    id @id NOT NULL PRIMARY KEY,
    application_id @id NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
    user_id @id NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    provider_id @text NOT NULL CHECK (length(provider_id) <= 200),
    account_id @text NOT NULL CHECK (length(account_id) <= 600),
    scope @text NOT NULL,
    tokens @bytes NOT NULL,
    created_at @time NOT NULL,
    updated_at @time NOT NULL
);
CREATE UNIQUE INDEX accounts_application_id_provider_id_account_id_key ON accounts(application_id, provider_id, account_id);
CREATE INDEX accounts_user_id_idx ON accounts(user_id, application_id);

-- What proves something once: links in mails, codes, states of flows. digest is of app, purpose and secret; content is sealed.
CREATE TABLE proofs (
    digest @bytes NOT NULL PRIMARY KEY,
    application_id @id NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
    user_id @id REFERENCES users(id) ON DELETE CASCADE,
    content @bytes NOT NULL,
    tries @int NOT NULL,
    created_at @time NOT NULL,
    expires_at @time NOT NULL
);
CREATE INDEX proofs_expires_at_idx ON proofs(expires_at);
CREATE INDEX proofs_application_id_idx ON proofs(application_id);
CREATE INDEX proofs_user_id_idx ON proofs(user_id) WHERE user_id IS NOT NULL;

-- Things that an app keeps: organizations, members, invitations, teams, api keys, second factors, passkeys.
-- owner, name and digest are what a kind is looked up by, next to its id; content is the rest of it.
CREATE TABLE app_records (
    id @id NOT NULL PRIMARY KEY,
    application_id @id NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
    kind @text NOT NULL CHECK (length(kind) <= 40),
    parent_id @id REFERENCES app_records(id) ON DELETE CASCADE,
    user_id @id REFERENCES users(id) ON DELETE CASCADE,
    name_key @text CHECK (length(name_key) <= 600),
    content @json NOT NULL,
    created_at @time NOT NULL,
    updated_at @time NOT NULL,
    version @int NOT NULL
);
CREATE UNIQUE INDEX app_records_application_id_kind_name_key_key ON app_records(application_id, kind, name_key) WHERE name_key IS NOT NULL;
CREATE INDEX app_records_application_id_idx ON app_records(application_id, kind);
CREATE INDEX app_records_parent_id_idx ON app_records(parent_id, kind) WHERE parent_id IS NOT NULL;
CREATE INDEX app_records_user_id_idx ON app_records(user_id, kind) WHERE user_id IS NOT NULL;
