-- Signed-in browsers, what users allowed clients, and everything that hangs off it. Secrets are here as digests only.

CREATE TABLE sessions (
    id @id NOT NULL PRIMARY KEY,
    digest @bytes NOT NULL,
    user_id @id NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    auth_at @time NOT NULL,
    amr @json NOT NULL,
    created_at @time NOT NULL,
    expires_at @time NOT NULL,
    last_seen_at @time NOT NULL,
    ended_at @time,
    ended_reason @text,
    ip @text,
    user_agent @text
);
CREATE UNIQUE INDEX sessions_digest_key ON sessions(digest);
CREATE INDEX sessions_user_id_idx ON sessions(user_id, expires_at);
CREATE INDEX sessions_expires_at_idx ON sessions(expires_at);
CREATE INDEX sessions_ended_at_idx ON sessions(ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE grants (
    id @id NOT NULL PRIMARY KEY,
    user_id @id NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    application_id @id NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
    scopes @json NOT NULL,
    created_at @time NOT NULL,
    updated_at @time NOT NULL,
    expires_at @time
);
CREATE UNIQUE INDEX grants_user_id_application_id_key ON grants(user_id, application_id);
CREATE INDEX grants_application_id_idx ON grants(application_id);

-- session_id refers to nothing on purpose: the sid of an offline family outlives the session's row.
-- check_at: when the clean-up looks at the family again.
CREATE TABLE families (
    id @id NOT NULL PRIMARY KEY,
    application_id @id NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
    user_id @id REFERENCES users(id) ON DELETE CASCADE,
    session_id @id,
    scopes @json NOT NULL,
    offline @bool NOT NULL,
    resources @json NOT NULL,
    claims @json,
    nonce @text,
    auth_time @time,
    amr @json NOT NULL,
    acr @text,
    created_at @time NOT NULL,
    ended_at @time,
    ended_reason @text,
    check_at @time NOT NULL
);
CREATE INDEX families_session_id_idx ON families(session_id, application_id) WHERE session_id IS NOT NULL;
CREATE INDEX families_user_id_idx ON families(user_id, application_id) WHERE user_id IS NOT NULL;
CREATE INDEX families_application_id_idx ON families(application_id);
CREATE INDEX families_check_at_idx ON families(check_at, id);

CREATE TABLE codes (
    digest @bytes NOT NULL PRIMARY KEY,
    family_id @id NOT NULL REFERENCES families(id) ON DELETE CASCADE,
    application_id @id NOT NULL,
    redirect_uri @text NOT NULL,
    redirect_uri_given @bool NOT NULL,
    code_challenge @text,
    created_at @time NOT NULL,
    expires_at @time NOT NULL,
    used_at @time
);
CREATE INDEX codes_family_id_idx ON codes(family_id, expires_at);
CREATE INDEX codes_expires_at_idx ON codes(expires_at);

CREATE TABLE refresh_tokens (
    digest @bytes NOT NULL PRIMARY KEY,
    family_id @id NOT NULL REFERENCES families(id) ON DELETE CASCADE,
    application_id @id NOT NULL,
    created_at @time NOT NULL,
    expires_at @time NOT NULL,
    used_at @time,
    answer_sealed @bytes
);
CREATE INDEX refresh_tokens_family_id_idx ON refresh_tokens(family_id, expires_at);
CREATE INDEX refresh_tokens_expires_at_idx ON refresh_tokens(expires_at);

CREATE TABLE access_tokens (
    digest @bytes NOT NULL PRIMARY KEY,
    jti @text NOT NULL,
    family_id @id REFERENCES families(id) ON DELETE CASCADE,
    application_id @id NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
    scopes @json NOT NULL,
    audience @json NOT NULL,
    created_at @time NOT NULL,
    expires_at @time NOT NULL,
    revoked_at @time
);
CREATE INDEX access_tokens_family_id_idx ON access_tokens(family_id, expires_at) WHERE family_id IS NOT NULL;
CREATE INDEX access_tokens_application_id_idx ON access_tokens(application_id);
CREATE INDEX access_tokens_expires_at_idx ON access_tokens(expires_at);

CREATE TABLE revoked_jtis (
    jti @text NOT NULL PRIMARY KEY CHECK (length(jti) <= 600),
    expires_at @time NOT NULL
);
CREATE INDEX revoked_jtis_expires_at_idx ON revoked_jtis(expires_at);

CREATE TABLE device_codes (
    digest @bytes NOT NULL PRIMARY KEY,
    user_code @text NOT NULL CHECK (length(user_code) <= 100),
    application_id @id NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
    scopes @json NOT NULL,
    resources @json NOT NULL,
    created_at @time NOT NULL,
    expires_at @time NOT NULL,
    poll_interval @int NOT NULL,
    last_polled_at @time,
    state @text NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'used')),
    family_id @id REFERENCES families(id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX device_codes_user_code_key ON device_codes(user_code) WHERE state = 'pending';
CREATE INDEX device_codes_application_id_idx ON device_codes(application_id);
CREATE INDEX device_codes_family_id_idx ON device_codes(family_id) WHERE family_id IS NOT NULL;
CREATE INDEX device_codes_expires_at_idx ON device_codes(expires_at);

CREATE TABLE pushed_requests (
    digest @bytes NOT NULL PRIMARY KEY,
    application_id @id NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
    query @text NOT NULL,
    expires_at @time NOT NULL,
    used_at @time
);
CREATE INDEX pushed_requests_application_id_idx ON pushed_requests(application_id);
CREATE INDEX pushed_requests_expires_at_idx ON pushed_requests(expires_at);

CREATE TABLE assertions (
    digest @bytes NOT NULL PRIMARY KEY,
    expires_at @time NOT NULL
);
CREATE INDEX assertions_expires_at_idx ON assertions(expires_at);
