-- People and groups: who there is and what they belong to.
-- Unique indexes are named <table>_<columns>_key, so that a conflict names its field alike on both engines. Names are
-- unique among the living only: a deleted user does not hold on to a name. The checks bound what an index has to carry.

-- number comes from the counter 'user'.
CREATE TABLE users (
    id @id NOT NULL PRIMARY KEY,
    number @int NOT NULL,
    uid @text NOT NULL CHECK (length(uid) <= 255),
    username @text NOT NULL,
    username_key @text NOT NULL CHECK (length(username_key) <= 600),
    name @text NOT NULL,
    email @text,
    email_key @text CHECK (length(email_key) <= 600),
    email_verified_at @time,
    kind @text NOT NULL CHECK (kind IN ('internal', 'external', 'service')),
    attributes @json NOT NULL,
    active @bool NOT NULL,
    locale @text,
    search @text NOT NULL,
    created_at @time NOT NULL,
    updated_at @time NOT NULL,
    last_sign_in_at @time,
    deleted_at @time
);
CREATE UNIQUE INDEX users_number_key ON users(number);
CREATE UNIQUE INDEX users_uid_key ON users(uid);
CREATE UNIQUE INDEX users_username_key_key ON users(username_key) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_email_key_key ON users(email_key) WHERE deleted_at IS NULL;
CREATE INDEX users_deleted_at_idx ON users(deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE passwords (
    user_id @id NOT NULL PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
    hash @text NOT NULL,
    changed_at @time NOT NULL
);

-- id_text is the id in its written form: string_agg over it gives all groups of a user in one row on both engines.
CREATE TABLE groups (
    id @id NOT NULL PRIMARY KEY,
    id_text @text NOT NULL,
    name @text NOT NULL,
    name_key @text NOT NULL CHECK (length(name_key) <= 600),
    superuser @bool NOT NULL,
    attributes @json NOT NULL,
    created_at @time NOT NULL,
    updated_at @time NOT NULL,
    deleted_at @time
);
CREATE UNIQUE INDEX groups_name_key_key ON groups(name_key) WHERE deleted_at IS NULL;
CREATE INDEX groups_deleted_at_idx ON groups(deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE group_parents (
    group_id @id NOT NULL REFERENCES groups(id) ON DELETE CASCADE,
    parent_id @id NOT NULL REFERENCES groups(id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, parent_id)
);
CREATE INDEX group_parents_parent_id_idx ON group_parents(parent_id);

-- Rows stay when a user or group is deleted softly, so that restoring brings the memberships back.
CREATE TABLE memberships (
    user_id @id NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    group_id @id NOT NULL REFERENCES groups(id) ON DELETE CASCADE,
    created_at @time NOT NULL,
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX memberships_group_id_user_id_idx ON memberships(group_id, user_id);
