-- The tables of the token service that was there before, read only. Ids are uuid, times are timestamptz.

CREATE VIEW auth_users(
    id, email, password_hash, display_name, avatar_url, is_active, is_admin, locale, timezone, meta, created_at, updated_at
) AS
SELECT u.id, u.email_key, p.hash, u.name, u.attributes->>'avatar_url', u.active,
    EXISTS (
        WITH RECURSIVE above(id) AS (
            SELECT m.group_id FROM memberships AS m WHERE m.user_id = u.id
            UNION SELECT gp.parent_id FROM group_parents AS gp JOIN above AS a ON gp.group_id = a.id
        )
        SELECT 1 FROM above AS a JOIN groups AS g ON g.id = a.id
        WHERE g.deleted_at IS NULL AND (g.superuser OR g.name_key = 'admin')
    ),
    u.locale, u.attributes->>'timezone', u.attributes,
    to_timestamp(u.created_at / 1000.0), to_timestamp(u.updated_at / 1000.0)
FROM users AS u LEFT JOIN passwords AS p ON p.user_id = u.id
WHERE u.deleted_at IS NULL AND u.realm = '';

CREATE VIEW auth_roles(id, description) AS
VALUES ('user', 'Everybody'), ('admin', 'Administrators'), ('agent-system', 'Agents of the system');

CREATE VIEW auth_user_roles(user_id, role_id) AS
SELECT u.id, 'user' FROM users AS u WHERE u.deleted_at IS NULL AND u.realm = ''
UNION ALL SELECT u.id, 'admin' FROM auth_users AS u WHERE u.is_admin
UNION ALL SELECT u.id, 'agent-system' FROM users AS u WHERE u.deleted_at IS NULL AND u.realm = '' AND EXISTS (
    WITH RECURSIVE above(id) AS (
        SELECT m.group_id FROM memberships AS m WHERE m.user_id = u.id
        UNION SELECT gp.parent_id FROM group_parents AS gp JOIN above AS a ON gp.group_id = a.id
    )
    SELECT 1 FROM above AS a JOIN groups AS g ON g.id = a.id
    WHERE g.deleted_at IS NULL AND g.name_key = 'agent-system'
);

CREATE VIEW auth_sessions(
    id, user_id, user_agent, ip_address, created_at, expires_at, revoked_at, meta, generation, rotated_at, revoke_reason
) AS
SELECT s.id, s.user_id, s.user_agent, s.ip, to_timestamp(s.created_at / 1000.0), to_timestamp(s.expires_at / 1000.0),
    to_timestamp(s.ended_at / 1000.0), CAST('{}' AS jsonb), t.generation, to_timestamp(t.rotated_at / 1000.0),
    s.ended_reason
FROM sessions AS s JOIN token_families AS t ON t.session_id = s.id;

CREATE VIEW auth_matrix_accounts(
    user_id, localpart, matrix_user_id, status, attempts, next_attempt_at, last_error
) AS
SELECT m.user_id, m.localpart, m.matrix_user_id, m.status, m.attempts, to_timestamp(m.next_attempt_at / 1000.0),
    m.last_error
FROM matrix_accounts AS m;
