-- The tables of the token service that was there before, read only. Ids are texts, times are texts of RFC 3339.

CREATE VIEW auth_users(
    id, email, password_hash, display_name, avatar_url, is_active, is_admin, locale, timezone, meta, created_at, updated_at
) AS
SELECT lower(substr(hex(u.id), 1, 8) || '-' || substr(hex(u.id), 9, 4) || '-' || substr(hex(u.id), 13, 4) || '-' ||
        substr(hex(u.id), 17, 4) || '-' || substr(hex(u.id), 21)),
    u.email_key, p.hash, u.name, u.attributes->>'avatar_url', u.active,
    EXISTS (
        WITH RECURSIVE above(id) AS (
            SELECT m.group_id FROM memberships AS m WHERE m.user_id = u.id
            UNION SELECT gp.parent_id FROM group_parents AS gp JOIN above AS a ON gp.group_id = a.id
        )
        SELECT 1 FROM above AS a JOIN groups AS g ON g.id = a.id
        WHERE g.deleted_at IS NULL AND (g.superuser OR g.name_key = 'admin')
    ),
    u.locale, u.attributes->>'timezone', u.attributes,
    strftime('%Y-%m-%dT%H:%M:%fZ', u.created_at / 1000.0, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%fZ', u.updated_at / 1000.0, 'unixepoch')
FROM users AS u LEFT JOIN passwords AS p ON p.user_id = u.id
WHERE u.deleted_at IS NULL AND u.realm = '';

CREATE VIEW auth_roles(id, description) AS
VALUES ('user', 'Everybody'), ('admin', 'Administrators'), ('agent-system', 'Agents of the system');

CREATE VIEW auth_user_roles(user_id, role_id) AS
SELECT u.id, 'user' FROM auth_users AS u
UNION ALL SELECT u.id, 'admin' FROM auth_users AS u WHERE u.is_admin
UNION ALL SELECT lower(substr(hex(u.id), 1, 8) || '-' || substr(hex(u.id), 9, 4) || '-' || substr(hex(u.id), 13, 4)
        || '-' || substr(hex(u.id), 17, 4) || '-' || substr(hex(u.id), 21)), 'agent-system'
    FROM users AS u WHERE u.deleted_at IS NULL AND u.realm = '' AND EXISTS (
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
SELECT lower(substr(hex(s.id), 1, 8) || '-' || substr(hex(s.id), 9, 4) || '-' || substr(hex(s.id), 13, 4) || '-' ||
        substr(hex(s.id), 17, 4) || '-' || substr(hex(s.id), 21)),
    lower(substr(hex(s.user_id), 1, 8) || '-' || substr(hex(s.user_id), 9, 4) || '-' || substr(hex(s.user_id), 13, 4)
        || '-' || substr(hex(s.user_id), 17, 4) || '-' || substr(hex(s.user_id), 21)),
    s.user_agent, s.ip, strftime('%Y-%m-%dT%H:%M:%fZ', s.created_at / 1000.0, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%fZ', s.expires_at / 1000.0, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%fZ', s.ended_at / 1000.0, 'unixepoch'), '{}', t.generation,
    strftime('%Y-%m-%dT%H:%M:%fZ', t.rotated_at / 1000.0, 'unixepoch'), s.ended_reason
FROM sessions AS s JOIN token_families AS t ON t.session_id = s.id;

CREATE VIEW auth_matrix_accounts(
    user_id, localpart, matrix_user_id, status, attempts, next_attempt_at, last_error
) AS
SELECT lower(substr(hex(m.user_id), 1, 8) || '-' || substr(hex(m.user_id), 9, 4) || '-' || substr(hex(m.user_id), 13, 4)
        || '-' || substr(hex(m.user_id), 17, 4) || '-' || substr(hex(m.user_id), 21)),
    m.localpart, m.matrix_user_id, m.status, m.attempts,
    strftime('%Y-%m-%dT%H:%M:%fZ', m.next_attempt_at / 1000.0, 'unixepoch'), m.last_error
FROM matrix_accounts AS m;
