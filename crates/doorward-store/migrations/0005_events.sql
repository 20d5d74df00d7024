-- What happened, how often something failed, and one-time links and API tokens.

-- Ids sort by time, so that the primary key is also the order of time. No foreign keys: an event outlives what it is about.
CREATE TABLE events (
    id @id NOT NULL PRIMARY KEY,
    at @time NOT NULL,
    kind @text NOT NULL,
    reason @text,
    code @text CHECK (length(code) <= 100),
    user_id @id,
    application_id @id,
    session_id @id,
    ip @text,
    details @json NOT NULL
);
CREATE INDEX events_code_idx ON events(code) WHERE code IS NOT NULL;
CREATE INDEX events_kind_id_idx ON events(kind, id);
CREATE INDEX events_user_id_id_idx ON events(user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX events_application_id_id_idx ON events(application_id, id) WHERE application_id IS NOT NULL;

CREATE TABLE failures (
    key @text NOT NULL PRIMARY KEY CHECK (length(key) <= 600),
    count @int NOT NULL,
    last_at @time NOT NULL
);
CREATE INDEX failures_last_at_idx ON failures(last_at);

CREATE TABLE links (
    digest @bytes NOT NULL PRIMARY KEY,
    purpose @text NOT NULL CHECK (length(purpose) <= 100),
    user_id @id REFERENCES users(id) ON DELETE CASCADE,
    created_at @time NOT NULL,
    expires_at @time NOT NULL,
    used_at @time
);
CREATE INDEX links_purpose_idx ON links(purpose, expires_at);
CREATE INDEX links_user_id_idx ON links(user_id) WHERE user_id IS NOT NULL;
CREATE INDEX links_expires_at_idx ON links(expires_at);

CREATE TABLE api_tokens (
    id @id NOT NULL PRIMARY KEY,
    user_id @id NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    name @text NOT NULL,
    digest @bytes NOT NULL,
    scopes @json NOT NULL,
    created_at @time NOT NULL,
    expires_at @time,
    revoked_at @time
);
CREATE UNIQUE INDEX api_tokens_digest_key ON api_tokens(digest);
CREATE INDEX api_tokens_user_id_idx ON api_tokens(user_id, id);
