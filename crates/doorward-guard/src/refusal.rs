//! Why a request is not let in, and what its sender is told.
//!
//! Whose fault it is decides the status: 401 and 403 are the caller's, 503 says that it could not be found out, 500 is a
//! mistake of the program. A fault is never a 401: people must not be signed out because something of ours is broken.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::json;

/// A request that is not let in. Turns into an HTTP answer; its text is made for the caller and holds no secret.
#[derive(Clone, Debug)]
pub struct Refusal {
    kind: Kind,
    /// Names the line in the log, for faults.
    error_id: Option<Arc<str>>,
}

/// The kinds of refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// 401: there were no credentials.
    NoCredentials,
    /// 401: there was a session cookie, and its session is over.
    SessionEnded,
    /// 401: there was a token, and it is unknown, expired, or not for this service.
    InvalidToken,
    /// 403: a cookie came with a request from another site.
    CrossSite,
    /// 403: the token lacks this scope.
    InsufficientScope(String),
    /// 403: the caller lacks this role.
    MissingRole(String),
    /// 403: for people only.
    PersonsOnly,
    /// 403: for services only.
    ServicesOnly,
    /// 403: a policy of the database does not allow the caller to write this row.
    RowDenied,
    /// 503: who calls, or what they asked for, could not be found out just now.
    Unavailable,
    /// 500: a mistake of the program.
    Internal,
}

impl Refusal {
    /// A refusal that is the caller's doing.
    pub(crate) fn of(kind: Kind) -> Self {
        Self { kind, error_id: None }
    }

    /// 503, for whatever could not be reached. The cause goes to the log under the id that the caller is told.
    pub fn unavailable(cause: impl fmt::Display) -> Self {
        Self::fault(Kind::Unavailable, &cause)
    }

    /// 500, for mistakes of the program. The cause goes to the log under the id that the caller is told.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::fault(Kind::Internal, &cause)
    }

    fn fault(kind: Kind, cause: &dyn fmt::Display) -> Self {
        let error_id = error_id();
        tracing::error!(error_id, status = kind.status().as_u16(), "{cause}");
        Self {
            kind,
            error_id: Some(error_id.into()),
        }
    }

    /// What kind of refusal it is.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// The id under which the cause of a fault stands in the log.
    #[must_use]
    pub fn error_id(&self) -> Option<&str> {
        self.error_id.as_deref()
    }

    /// Whether nobody tried to say who they are, or only with a session that is over.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        matches!(self.kind, Kind::NoCredentials | Kind::SessionEnded)
    }

    /// The body of the answer: `error`, `error_description`, and `error_id` for faults.
    #[must_use]
    pub fn body(&self) -> String {
        let mut body = json!({ "error": self.kind.code(), "error_description": self.kind.to_string() });
        if let (Some(id), Some(members)) = (&self.error_id, body.as_object_mut()) {
            members.insert("error_id".to_owned(), id.as_ref().into());
        }
        body.to_string()
    }

    /// The headers of the answer: the challenge of RFC 6750, section 3, among them.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge().and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if self.kind == Kind::Unavailable {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        headers
    }

    fn challenge(&self) -> Option<String> {
        match &self.kind {
            // RFC 6750, section 3.1: no error code when the request brought no token.
            Kind::NoCredentials | Kind::SessionEnded => Some("Bearer".to_owned()),
            Kind::InvalidToken => Some(format!(
                "Bearer error=\"invalid_token\", error_description=\"{}\"",
                self.kind
            )),
            Kind::InsufficientScope(scope) => {
                // Only what RFC 6749, section 3.3 allows in a scope fits between the quotes.
                let fits = |letter: &char| letter.is_ascii_graphic() && !matches!(letter, '"' | '\\');
                let scope: String = scope.chars().filter(fits).collect();
                Some(format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""))
            }
            _ => None,
        }
    }
}

impl Kind {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoCredentials | Self::SessionEnded | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::CrossSite
            | Self::InsufficientScope(_)
            | Self::MissingRole(_)
            | Self::PersonsOnly
            | Self::ServicesOnly
            | Self::RowDenied => StatusCode::FORBIDDEN,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoCredentials => "unauthorized",
            Self::SessionEnded => "session_ended",
            Self::InvalidToken => "invalid_token",
            Self::CrossSite => "cross_site_request",
            Self::InsufficientScope(_) => "insufficient_scope",
            Self::MissingRole(_) => "missing_role",
            Self::PersonsOnly => "persons_only",
            Self::ServicesOnly => "services_only",
            Self::RowDenied => "row_denied",
            Self::Unavailable => "temporarily_unavailable",
            Self::Internal => "server_error",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCredentials => f.write_str("sign in, or send an access token"),
            Self::SessionEnded => f.write_str("the session is over: sign in again"),
            Self::InvalidToken => {
                f.write_str("the token is unknown, expired, revoked, or not for this service")
            }
            Self::CrossSite => f.write_str(
                "this request changes something, came with a session cookie, and not from a page that is trusted here",
            ),
            Self::InsufficientScope(scope) => write!(f, "the token lacks the scope {scope}"),
            Self::MissingRole(role) => write!(f, "this needs the role {role}"),
            Self::PersonsOnly => f.write_str("this is for people, not for services"),
            Self::ServicesOnly => f.write_str("this is for services, not for people"),
            Self::RowDenied => f.write_str("this may not be written by you"),
            Self::Unavailable => f.write_str("this cannot be answered just now: try again soon"),
            Self::Internal => f.write_str("something went wrong here; the error id names the line in the log"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)
    }
}

impl std::error::Error for Refusal {}

/// Eight random bytes. Without randomness the id is still there, only not unique.
fn error_id() -> String {
    let mut bytes = [0; 8];
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
