//! Objects as they go over the wire (contract section 1.2): camelCase, ISO 8601 with milliseconds and `Z`.

use bytes::Bytes;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use doorward_core::app_auth::Door;
use doorward_core::app_auth::accounts::Way;
use doorward_domain::session::Session;
use doorward_domain::user::User;
use doorward_domain::{SessionId, Timestamp, UserId};

/// A time with milliseconds.
pub(super) fn time(at: Timestamp) -> String {
    at.to_string()
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

/// A user as they go over the wire. Members stand in the order of their names, as everything does.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserOut<'a> {
    ban_expires: Option<Time>,
    ban_reason: Option<&'a str>,
    banned: bool,
    created_at: Time,
    display_username: Option<&'a str>,
    email: &'a str,
    email_verified: bool,
    id: Text<UserId>,
    image: Option<&'a str>,
    name: &'a str,
    role: &'a str,
    two_factor_enabled: bool,
    updated_at: Time,
    username: Option<&'a str>,
}

/// A session likewise.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionOut<'a> {
    active_organization_id: Option<&'a str>,
    active_team_id: Option<&'a str>,
    created_at: Time,
    expires_at: Time,
    id: Text<SessionId>,
    impersonated_by: Option<Text<UserId>>,
    ip_address: &'a str,
    token: &'a str,
    updated_at: Time,
    user_agent: &'a str,
    user_id: Text<UserId>,
}

/// A session with its user.
#[derive(Serialize)]
pub(super) struct PairOut<'a> {
    pub(super) session: SessionOut<'a>,
    pub(super) user: UserOut<'a>,
}

/// Goes over the wire as it is shown.
struct Text<T>(T);

impl<T: std::fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A time with milliseconds.
type Time = Text<Timestamp>;

/// A user.
pub(super) fn user_out<'a>(user: &'a User, door: &Door, now: Timestamp) -> UserOut<'a> {
    let ban = user.app.ban(door.application.id, now);
    let username = username(user);
    UserOut {
        ban_expires: ban.and_then(|ban| ban.until).map(Text),
        ban_reason: ban.and_then(|ban| ban.reason.as_deref()),
        banned: ban.is_some(),
        created_at: Text(user.created_at),
        display_username: username.map(|name| user.app.display_username.as_deref().unwrap_or(name)),
        email: user.email.as_deref().unwrap_or_default(),
        email_verified: user.email_verified_at.is_some(),
        id: Text(user.id),
        image: user.app.image.as_deref(),
        name: &user.name,
        role: role(user, door),
        two_factor_enabled: user.app.two_factor,
        updated_at: Text(user.updated_at),
        username,
    }
}

/// A session; `token` is its own token for who has it, its handle for others.
pub(super) fn session_out<'a>(session: &'a Session, token: &'a str) -> SessionOut<'a> {
    let app = session.app.as_ref();
    SessionOut {
        active_organization_id: app.and_then(|app| app.organization.as_deref()),
        active_team_id: app.and_then(|app| app.team.as_deref()),
        created_at: Text(session.created_at),
        expires_at: Text(session.expires_at),
        id: Text(session.id),
        impersonated_by: app.and_then(|app| app.impersonated_by).map(Text),
        ip_address: session.ip.as_deref().unwrap_or_default(),
        token,
        updated_at: Text(app.map_or(session.created_at, |app| app.updated_at)),
        user_agent: session.user_agent.as_deref().unwrap_or_default(),
        user_id: Text(session.user_id),
    }
}

/// A user, as part of another answer.
pub(super) fn user(user: &User, door: &Door, now: Timestamp) -> Value {
    value(&user_out(user, door, now))
}

/// A session, as part of another answer.
pub(super) fn session(session: &Session, token: &str) -> Value {
    value(&session_out(session, token))
}

/// Texts, booleans and null in an object: nothing of that can fail.
pub(super) fn value(out: &impl Serialize) -> Value {
    serde_json::to_value(out).unwrap_or_default()
}

/// The same as the bytes of a body.
pub(super) fn bytes(out: &impl Serialize) -> Bytes {
    serde_json::to_vec(out).unwrap_or_default().into()
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
