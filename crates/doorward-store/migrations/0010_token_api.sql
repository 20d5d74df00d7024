-- The token API: refresh tokens of a sign-in by their generation, and accounts at the Matrix server that belong to people.

-- One row per sign-in through the token API. No token is stored: a generation can be written again from this row.
CREATE TABLE token_families (
    session_id @id NOT NULL PRIMARY KEY REFERENCES sessions(id) ON DELETE CASCADE,
    generation @int NOT NULL,
    created_at @time NOT NULL,
    rotated_at @time
);

-- in_flight_at: an attempt to make the account was sent and its answer was not seen.
CREATE TABLE matrix_accounts (
    user_id @id NOT NULL PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
    localpart @text NOT NULL CHECK (length(localpart) <= 255),
    matrix_user_id @text,
    status @text NOT NULL CHECK (status IN ('pending', 'active', 'failed', 'deactivated')),
    attempts @int NOT NULL,
    next_attempt_at @time,
    in_flight_at @time,
    last_error @text,
    created_at @time NOT NULL,
    updated_at @time NOT NULL
);
CREATE UNIQUE INDEX matrix_accounts_localpart_key ON matrix_accounts(localpart);
CREATE INDEX matrix_accounts_status_user_id_idx ON matrix_accounts(status, user_id);
