//! One run of the sign-in flow by one browser tab. The attempt is sealed into the page, so that an anonymous visit writes
//! nothing and two tabs never disturb each other.

use serde::{Deserialize, Serialize};

use crate::refusal::Reason;
use crate::{Lifetime, SessionId, Timestamp};

/// How long an opened page stays good.
pub const ATTEMPT_LIFETIME: Lifetime = Lifetime::from_hours(2);

/// What the page was opened for. A sealed attempt only works for the purpose it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Signing in.
    SignIn,
    /// Choosing between the present user and another one.
    SelectAccount,
    /// Saying yes or no to a client.
    Consent,
    /// Saying yes or no to a device.
    Device,
    /// Making the first administrator.
    Setup,
    /// A new password for an administrator who lost it.
    Recover,
    /// Signing out on a client's request.
    SignOut,
}

/// The state of one tab, sealed into its form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What the page is for.
    pub purpose: Purpose,
    /// When the page was opened.
    pub opened_at: Timestamp,
    /// SHA-256 of the browser's own cookie, hex; ties the form to the browser that opened it.
    pub browser: String,
    /// The session the page was shown in; `None` before sign-in.
    pub session: Option<SessionId>,
    /// Where to go afterwards: a path on this server with its query.
    pub next: String,
    /// Purpose-specific data (device code digest, scopes shown …).
    #[serde(default)]
    pub data: serde_json::Value,
}

/// Checks an opened attempt against the request it came back in.
///
/// # Errors
/// `AttemptExpired` when too old or for another purpose or session, `CookiesMissing` when the browser sent no cookie,
/// `ForeignOrigin` when it is another browser's.
pub fn check(
    attempt: &Attempt,
    purpose: Purpose,
    browser: Option<&str>,
    session: Option<SessionId>,
    now: Timestamp,
) -> Result<(), Reason> {
    if attempt.purpose != purpose || now.millis_since(attempt.opened_at).abs() > ATTEMPT_LIFETIME.millis() {
        return Err(Reason::AttemptExpired);
    }
    match browser {
        None => return Err(Reason::CookiesMissing),
        Some(browser) if browser != attempt.browser => return Err(Reason::ForeignOrigin),
        Some(_) => {}
    }
    if attempt.session.is_some() && attempt.session != session {
        return Err(Reason::AttemptExpired);
    }
    Ok(())
}

/// Is `next` a place on this very server? Only a path that begins with one slash is; everything a browser might read as
/// another host (`//host`, `/\host`, control characters) is not, nor is what no header can carry (anything beyond ASCII).
#[must_use]
pub fn is_local(next: &str) -> bool {
    let mut bytes = next.bytes();
    bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && next.len() <= 16_384
        && next.is_ascii()
        && !next.chars().any(|c| c.is_control() || c == '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt() -> Attempt {
        Attempt {
            purpose: Purpose::SignIn,
            opened_at: Timestamp::from_seconds(100),
            browser: "b1".into(),
            session: None,
            next: "/if/user/".into(),
            data: serde_json::Value::Null,
        }
    }

    #[test]
    fn an_attempt_is_bound_to_purpose_browser_and_time() {
        let now = Timestamp::from_seconds(200);
        let a = attempt();
        assert_eq!(check(&a, Purpose::SignIn, Some("b1"), None, now), Ok(()));
        assert_eq!(
            check(&a, Purpose::Consent, Some("b1"), None, now),
            Err(Reason::AttemptExpired)
        );
        assert_eq!(
            check(&a, Purpose::SignIn, Some("b2"), None, now),
            Err(Reason::ForeignOrigin)
        );
        assert_eq!(
            check(&a, Purpose::SignIn, None, None, now),
            Err(Reason::CookiesMissing)
        );
        let later = Timestamp::from_seconds(100 + 7201);
        assert_eq!(
            check(&a, Purpose::SignIn, Some("b1"), None, later),
            Err(Reason::AttemptExpired)
        );
    }

    #[test]
    fn only_paths_on_this_server_are_local() {
        for good in ["/", "/if/user/", "/application/o/authorize/?a=b&c=https://x"] {
            assert!(is_local(good), "{good}");
        }
        for bad in [
            "",
            "//evil",
            "/\\evil",
            "https://evil",
            "javascript:alert(1)",
            "/a\nb",
            "/a\\b",
            " /a",
            "/\u{e4}",
        ] {
            assert!(!is_local(bad), "{bad:?}");
        }
    }
}
