-- What people enter: applications with their audience and clients, custom scopes, signing keys.

CREATE TABLE applications (
    id @id NOT NULL PRIMARY KEY,
    slug @text NOT NULL CHECK (length(slug) <= 200),
    name @text NOT NULL,
    description @text NOT NULL,
    icon_url @text,
    launch_url @text,
    heading @text,
    hidden @bool NOT NULL,
    everyone @bool NOT NULL,
    client_id @text CHECK (length(client_id) <= 600),
    client @json,
    created_at @time NOT NULL,
    updated_at @time NOT NULL,
    deleted_at @time
);
CREATE UNIQUE INDEX applications_slug_key ON applications(slug) WHERE deleted_at IS NULL;
-- Also among the deleted: tokens and other people's configuration still name it.
CREATE UNIQUE INDEX applications_client_id_key ON applications(client_id);
CREATE INDEX applications_deleted_at_idx ON applications(deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX applications_slug_deleted_idx ON applications(slug, deleted_at);

CREATE TABLE audience_groups (
    application_id @id NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
    group_id @id NOT NULL REFERENCES groups(id) ON DELETE CASCADE,
    PRIMARY KEY (application_id, group_id)
);
CREATE INDEX audience_groups_group_id_idx ON audience_groups(group_id);

CREATE TABLE audience_users (
    application_id @id NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
    user_id @id NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    PRIMARY KEY (application_id, user_id)
);
CREATE INDEX audience_users_user_id_idx ON audience_users(user_id);

CREATE TABLE client_secrets (
    id @id NOT NULL PRIMARY KEY,
    application_id @id NOT NULL REFERENCES applications(id) ON DELETE CASCADE,
    digest @bytes NOT NULL,
    hint @text NOT NULL,
    created_at @time NOT NULL,
    expires_at @time
);
CREATE INDEX client_secrets_application_id_idx ON client_secrets(application_id);
CREATE INDEX client_secrets_expires_at_idx ON client_secrets(expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE custom_scopes (
    id @id NOT NULL PRIMARY KEY,
    name @text NOT NULL CHECK (length(name) <= 600),
    description @text NOT NULL,
    claims @json NOT NULL,
    created_at @time NOT NULL,
    updated_at @time NOT NULL
);
CREATE UNIQUE INDEX custom_scopes_name_key ON custom_scopes(name);

CREATE TABLE signing_keys (
    id @id NOT NULL PRIMARY KEY,
    kid @text NOT NULL CHECK (length(kid) <= 255),
    algorithm @text NOT NULL,
    public_jwk @json NOT NULL,
    private_sealed @bytes NOT NULL,
    created_at @time NOT NULL,
    signs_from @time NOT NULL,
    withdrawn_at @time
);
CREATE UNIQUE INDEX signing_keys_kid_key ON signing_keys(kid);
CREATE INDEX signing_keys_withdrawn_at_idx ON signing_keys(withdrawn_at) WHERE withdrawn_at IS NOT NULL;
