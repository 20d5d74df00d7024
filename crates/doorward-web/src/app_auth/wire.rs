//! Objects as they go over the wire (contract section 1.2): camelCase, ISO 8601 with milliseconds and `Z`.

use serde_json::{Value, json};

use doorward_core::app_auth::Door;
use doorward_core::app_auth::accounts::Way;
use doorward_domain::Timestamp;
use doorward_domain::session::Session;
use doorward_domain::user::User;

/// A time with milliseconds.
pub(super) fn time(at: Timestamp) -> String {
    let text = at.to_string();
    let whole = text.strip_suffix('Z').unwrap_or(&text);
    let (seconds, fraction) = whole.split_once('.').unwrap_or((whole, ""));
    let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
    format!("{seconds}.{millis}Z")
}

/// The user name, when it is one that the person chose.
pub(super) fn username(user: &User) -> Option<&str> {
    (!user.username.contains('@')).then_some(user.username.as_str())
}

/// The role of a user in an app.
pub(super) fn role<'a>(user: &'a User, door: &Door) -> &'a str {
    user.app
        .roles
        .get(&door.application.id)
        .map_or("user", String::as_str)
}

/// A user.
pub(super) fn user(user: &User, door: &Door, now: Timestamp) -> Value {
    let ban = user.app.ban(door.application.id, now);
    json!({
        "name": user.name,
        "email": user.email.as_deref().unwrap_or_default(),
        "emailVerified": user.email_verified_at.is_some(),
        "image": user.app.image,
        "createdAt": time(user.created_at),
        "updatedAt": time(user.updated_at),
        "username": username(user),
        "displayUsername": username(user).map(|name| user.app.display_username.as_deref().unwrap_or(name)),
        "role": role(user, door),
        "banned": ban.is_some(),
        "banReason": ban.and_then(|ban| ban.reason.as_deref()),
        "banExpires": ban.and_then(|ban| ban.until).map(time),
        "twoFactorEnabled": user.app.two_factor,
        "id": user.id.to_string(),
    })
}

/// A session; `token` is its own token for who has it, its handle for others.
pub(super) fn session(session: &Session, token: &str) -> Value {
    let app = session.app.as_ref();
    json!({
        "expiresAt": time(session.expires_at),
        "token": token,
        "createdAt": time(session.created_at),
        "updatedAt": time(app.map_or(session.created_at, |app| app.updated_at)),
        "ipAddress": session.ip.as_deref().unwrap_or_default(),
        "userAgent": session.user_agent.as_deref().unwrap_or_default(),
        "userId": session.user_id.to_string(),
        "impersonatedBy": app.and_then(|app| app.impersonated_by).map(|id| id.to_string()),
        "activeOrganizationId": app.and_then(|app| app.organization.as_deref()),
        "activeTeamId": app.and_then(|app| app.team.as_deref()),
        "id": session.id.to_string(),
    })
}

/// A way in.
pub(super) fn account(way: &Way, user: &User) -> Value {
    json!({
        "scopes": way.scopes,
        "providerId": way.provider,
        "accountId": way.account,
        "userId": user.id.to_string(),
        "createdAt": time(way.created_at),
        "updatedAt": time(way.updated_at),
        "id": way.id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_z() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_120, "2023-11-14T22:13:20.120Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
        ] {
            assert_eq!(time(Timestamp::from_millis(millis)), text);
        }
    }
}
