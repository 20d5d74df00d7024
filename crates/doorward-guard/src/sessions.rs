//! Sessions of the better-auth door, resolved by asking it: the cookie or token is passed on as it came.

use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use crate::answers::{Answers, Outcome};
use crate::ask::{Asker, Credential, place};
use crate::caller::{Caller, Known, Source, Who, id, words};
use crate::clock;
use crate::refusal::Refusal;
use crate::tokens::person;

/// Where sessions are resolved.
pub(crate) struct SessionDoor {
    /// `…/get-session`, with the wish to hear the database and to leave the session's end alone: only the door itself may
    /// prolong it, because only the door can send the new cookie.
    url: Url,
    /// The door's public host, when it is asked at another address: the server tells its doors apart by it.
    host: Option<HeaderValue>,
    answers: Answers,
}

#[derive(Deserialize)]
struct Found {
    session: Session,
    user: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    id: Option<String>,
    user_id: String,
    expires_at: String,
    active_organization_id: Option<String>,
    impersonated_by: Option<String>,
}

impl SessionDoor {
    pub(crate) fn new(mut url: Url, host: Option<HeaderValue>, answers: Answers) -> Self {
        url.set_query(Some("disableCookieCache=true&disableRefresh=true"));
        Self { url, host, answers }
    }

    /// Whose session a cookie (`name=value`) is.
    pub(crate) async fn cookie(&self, asker: &Asker, pair: &str) -> Outcome {
        let ask = self.ask(asker, Credential::Cookie(pair), Source::SessionCookie);
        self.answers.get(pair, ask).await
    }

    /// Whose session a token is.
    pub(crate) async fn bearer(&self, asker: &Asker, token: &str) -> Outcome {
        // No cookie begins like this, so the two cannot be mistaken for each other.
        let key = format!("Bearer {token}");
        let ask = self.ask(asker, Credential::Bearer(token), Source::SessionToken);
        self.answers.get(&key, ask).await
    }

    /// Whether the door answers to somebody without a session as it should: 200 and `null`.
    pub(crate) async fn check(&self, asker: &Asker) -> Result<(), String> {
        let answer = asker
            .get(&self.url)
            .await
            .map_err(|silence| silence.to_string())?;
        if answer.status == StatusCode::OK && answer.body == b"null" {
            return Ok(());
        }
        Err(format!(
            "{}: answered {} with {} bytes, expected 200 and null",
            place(&self.url),
            answer.status,
            answer.body.len()
        ))
    }

    async fn ask(&self, asker: &Asker, credential: Credential<'_>, source: Source) -> Outcome {
        let answer = asker
            .get_as(&self.url, self.host.as_ref(), &credential)
            .await
            .map_err(Refusal::unavailable)?;
        match answer.status {
            StatusCode::OK => read(&answer.body, source)
                .map_err(|why| Refusal::unavailable(format_args!("{}: {why}", place(&self.url)))),
            // The session went away while it was being looked at.
            StatusCode::UNAUTHORIZED => Ok(None),
            status => Err(Refusal::unavailable(format_args!(
                "{}: answered {status}, expected 200",
                place(&self.url)
            ))),
        }
    }
}

/// Reads `null`, or a session that has not ended with a user who is the session's.
fn read(body: &[u8], source: Source) -> Result<Option<Caller>, &'static str> {
    let found: Option<Found> =
        serde_json::from_slice(body).map_err(|_| "the answer is neither null nor a session with its user")?;
    let Some(Found { session, user }) = found else {
        return Ok(None);
    };
    let of_user = user.get("id").and_then(Value::as_str);
    if of_user != Some(&session.user_id) {
        return Err("the session is another user's");
    }
    let subject = id(of_user).ok_or("the user's id is empty, too long, or no name")?;
    let expires_at = clock::read(&session.expires_at).ok_or("expiresAt is no UTC time stamp")?;
    let banned = user.get("banned").and_then(Value::as_bool).unwrap_or(false);
    if expires_at <= clock::now() || banned {
        return Ok(None);
    }
    // Of the user's fields an app may let people set some themselves; `role` never is.
    let mut person = person(subject, words(user.get("role"), &[',']), &user);
    person.workspace = id(session.active_organization_id.as_deref());
    person.session_id = id(session.id.as_deref());
    person.impersonated_by = id(session.impersonated_by.as_deref());
    Ok(Some(Caller::new(Known {
        who: Who::Person(person),
        source,
        scopes: words(None, &[]),
        client_id: None,
        expires_at,
        claims: user,
    })))
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::caller::Source;

    fn answer(session: &str, user: &str) -> Vec<u8> {
        format!("{{\"session\":{session},\"user\":{user}}}").into_bytes()
    }

    #[test]
    fn only_a_living_session_of_its_user_is_somebody() {
        let read = |body: &[u8]| read(body, Source::SessionCookie);
        assert!(matches!(read(b"null"), Ok(None)));
        let good = "{\"id\":\"s\",\"userId\":\"u\",\"expiresAt\":\"2999-01-01T00:00:00.000Z\",\"activeOrganizationId\":\"w\"}";
        let user = "{\"id\":\"u\",\"role\":\"admin, user\",\"roles\":[\"owner\"],\"activeOrganizationId\":\"other\",\"sid\":\"x\"}";
        let caller = read(&answer(good, user)).expect("an answer");
        let caller = caller.expect("somebody");
        assert!(caller.has_role("admin") && caller.has_role("user") && !caller.has_role("admin, user"));
        assert!(
            !caller.has_role("owner"),
            "a field that people may be able to set"
        );
        let person = caller.person().expect("a person");
        assert_eq!(
            (person.workspace.as_deref(), person.session_id.as_deref()),
            (Some("w"), Some("s"))
        );
        let over = "{\"userId\":\"u\",\"expiresAt\":\"2001-01-01T00:00:00.000Z\"}";
        assert!(matches!(read(&answer(over, "{\"id\":\"u\"}")), Ok(None)));
        assert!(matches!(
            read(&answer(good, "{\"id\":\"u\",\"banned\":true}")),
            Ok(None)
        ));
        for (session, user) in [
            (good, "{\"id\":\"other\"}"),
            (good, "{}"),
            ("{}", "{\"id\":\"u\"}"),
            ("{\"userId\":\"u\",\"expiresAt\":1}", "{\"id\":\"u\"}"),
            ("{\"userId\":\"u\",\"expiresAt\":\"never\"}", "{\"id\":\"u\"}"),
            (
                "{\"userId\":\"\",\"expiresAt\":\"2999-01-01T00:00:00Z\"}",
                "{\"id\":\"\"}",
            ),
        ] {
            assert!(read(&answer(session, user)).is_err(), "{session} {user}");
        }
        for body in ["", "{}", "[]", "true", "\"null\""] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
