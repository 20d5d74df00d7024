//! Answers: the only file that knows status codes. Pages, JSON, redirects, and every failure in the form that its door speaks.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, PRAGMA,
    RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use doorward_core::error::{Error, Refused};
use doorward_domain::Reason;
use doorward_oidc::error::{ErrorCode, TokenError};

use crate::App;
use crate::ask::Ask;
use crate::cookies::{self, Name};
use crate::pages::{Link, Refusal, RefusalDetails, Trouble};

/// An answer under construction.
pub(crate) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

/// Where the forms of a page may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forms {
    /// Nowhere but here.
    Here,
    /// Into a redirect chain towards a client: browsers apply `form-action` to the whole chain, so nothing is said.
    Onwards,
}

impl Reply {
    fn new(status: StatusCode, body: Body) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body,
        }
    }

    /// A page that is never cached, under a strict policy.
    pub(crate) fn page(status: StatusCode, html: String, forms: Forms) -> Self {
        let forms = if forms == Forms::Here {
            "; form-action 'self'"
        } else {
            ""
        };
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: http:; base-uri 'none'; \
             frame-ancestors 'none'{forms}"
        );
        Self::policed(status, html, &policy)
    }

    /// A page with a policy of its own.
    pub(crate) fn policed(status: StatusCode, html: String, policy: &str) -> Self {
        let mut reply = Self::new(status, Body::from(html));
        reply.set(CONTENT_TYPE, "text/html; charset=utf-8");
        reply.set(CACHE_CONTROL, "no-store");
        if let Ok(policy) = HeaderValue::from_str(policy) {
            reply.headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        reply
    }

    /// JSON that is never cached.
    pub(crate) fn json(status: StatusCode, value: &Value) -> Self {
        let mut reply = Self::new(status, Body::from(value.to_string()));
        reply.set(CONTENT_TYPE, "application/json");
        reply.set(CACHE_CONTROL, "no-store");
        reply.set(PRAGMA, "no-cache");
        reply
    }

    /// JSON that anybody may cache for `seconds`.
    pub(crate) fn public_json(value: &Value, seconds: u32) -> Self {
        let mut reply = Self::new(StatusCode::OK, Body::from(value.to_string()));
        reply.set(CONTENT_TYPE, "application/json");
        let cache = HeaderValue::from_str(&format!("public, max-age={seconds}"));
        if let Ok(cache) = cache {
            reply.headers.insert(CACHE_CONTROL, cache);
        }
        reply
    }

    /// Bytes as they are.
    pub(crate) fn bytes(status: StatusCode, kind: &'static str, bytes: impl Into<Body>) -> Self {
        let mut reply = Self::new(status, bytes.into());
        reply.set(CONTENT_TYPE, kind);
        reply
    }

    /// Nothing but a status.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self::new(status, Body::empty())
    }

    /// A redirect after which the browser asks with GET (RFC 9110 section 15.4.4).
    pub(crate) fn see(location: &str) -> Self {
        let mut reply = Self::empty(StatusCode::SEE_OTHER);
        reply.set(CACHE_CONTROL, "no-store");
        if let Ok(location) = HeaderValue::from_str(location) {
            reply.headers.insert(LOCATION, location);
        }
        reply
    }

    pub(crate) fn set(&mut self, name: HeaderName, value: &'static str) {
        self.headers.insert(name, HeaderValue::from_static(value));
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Adds a cookie; 0 seconds deletes it.
    pub(crate) fn cookie(mut self, app: &App, name: Name, value: &str, seconds: i64) -> Self {
        if let Some(value) = cookies::write(app, name, value, seconds) {
            self.headers.append(SET_COOKIE, value);
        }
        self
    }

    /// May be read by scripts of any site, without credentials.
    pub(crate) fn cors(mut self) -> Self {
        self.set(http::header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Anything that went wrong on the way to an answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// From core.
    Core(Error),
    /// The query or form cannot be read.
    Parameters(String),
    /// The body is larger than the limit.
    TooLarge,
    /// The page was asked for under another address than `public_url`.
    Misconfigured { requested: String },
    /// Nothing lives here.
    NotFound,
    /// The set-up was done before.
    SetupClosed,
    /// A template could not be written.
    Render(askama::Error),
}

impl Failure {
    pub(crate) fn reason(reason: Reason) -> Self {
        Self::Core(Error::Refused(Box::new(Refused::bare(reason))))
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Core(error.into())
    }
}

/// Status of a refusal on a page.
fn status_of(refused: &Refused) -> StatusCode {
    match refused.reason {
        Reason::AccountThrottled | Reason::NetworkThrottled => StatusCode::TOO_MANY_REQUESTS,
        Reason::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Reason::AudienceEmpty
        | Reason::NotInAudience
        | Reason::ApplicationDeleted
        | Reason::UserInactive
        | Reason::ServiceUser
        | Reason::ForeignOrigin
        | Reason::NotAdministrator
        | Reason::LastAdministrator => StatusCode::FORBIDDEN,
        Reason::WrongCredentials | Reason::SessionEnded => StatusCode::UNAUTHORIZED,
        Reason::LinkSpent => StatusCode::GONE,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// What a page needs to know to say no.
struct Said<'a> {
    status: StatusCode,
    trouble: Trouble<'a>,
    code: Option<String>,
    retry_after: Option<u32>,
    details: Vec<(&'static str, String)>,
}

fn said<'a>(ask: &'a Ask, failure: &'a Failure) -> Said<'a> {
    let plain = |status, trouble| Said {
        status,
        trouble,
        code: None,
        retry_after: None,
        details: Vec::new(),
    };
    match failure {
        Failure::Core(Error::Refused(refused)) => Said {
            status: status_of(refused),
            trouble: Trouble::Refused(refused.reason),
            code: refused.code.as_ref().map(ToString::to_string),
            retry_after: refused.retry_after,
            details: refused.details.clone(),
        },
        Failure::Core(Error::Protocol(error)) => Said {
            details: vec![("problem", error.description.clone())],
            ..plain(StatusCode::BAD_REQUEST, Trouble::Refused(Reason::InvalidRequest))
        },
        Failure::Core(Error::Invalid(problem) | Error::NotFound(problem)) => Said {
            details: vec![("problem", problem.clone())],
            ..plain(StatusCode::BAD_REQUEST, Trouble::Refused(Reason::InvalidRequest))
        },
        Failure::Core(Error::Fault(fault)) => {
            let incident = ask.app.doorward.incident();
            tracing::error!(incident, cause = fault.chain(), "a request failed");
            let (status, trouble, retry) = if fault.unavailable {
                (StatusCode::SERVICE_UNAVAILABLE, Trouble::Unavailable, Some(5))
            } else {
                (StatusCode::INTERNAL_SERVER_ERROR, Trouble::Fault, None)
            };
            Said {
                code: Some(incident),
                retry_after: retry,
                ..plain(status, trouble)
            }
        }
        Failure::Render(error) => {
            let incident = ask.app.doorward.incident();
            tracing::error!(incident, %error, "a page could not be written");
            Said {
                code: Some(incident),
                ..plain(StatusCode::INTERNAL_SERVER_ERROR, Trouble::Fault)
            }
        }
        Failure::Parameters(problem) => Said {
            details: vec![("problem", problem.clone())],
            ..plain(StatusCode::BAD_REQUEST, Trouble::Refused(Reason::InvalidRequest))
        },
        Failure::TooLarge => plain(StatusCode::PAYLOAD_TOO_LARGE, Trouble::TooLarge),
        Failure::Misconfigured { requested } => {
            let public_url = ask.app.doorward.public_url();
            plain(
                StatusCode::FORBIDDEN,
                Trouble::Misconfigured {
                    public_url,
                    requested,
                },
            )
        }
        Failure::NotFound => plain(StatusCode::NOT_FOUND, Trouble::NotFound),
        Failure::SetupClosed => plain(StatusCode::GONE, Trouble::SetupClosed),
    }
}

/// The failure as a page. Administrators see the inputs.
pub(crate) async fn failure_page(ask: &Ask, failure: &Failure, application: Option<&str>) -> Reply {
    let said = said(ask, failure);
    let language = ask.language(None);
    let visit = ask.visit().await.ok().flatten();
    let administrator = visit.as_ref().is_some_and(|visit| visit.person.superuser);
    let rule = match said.trouble {
        Trouble::Refused(reason) => doorward_core::explain::sentence(reason),
        _ => "",
    };
    let find = |name: &str| {
        said.details
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.as_str())
    };
    let known = ["redirect_uri", "nearest_registered", "post_logout_redirect_uri"];
    let inputs: Vec<(&str, &str)> = said
        .details
        .iter()
        .filter(|(key, _)| !known.contains(key))
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    let details = administrator.then(|| RefusalDetails {
        rule,
        given: find("redirect_uri").or_else(|| find("post_logout_redirect_uri")),
        nearest: find("nearest_registered"),
        inputs: &inputs,
    });
    let retriable = matches!(
        said.trouble,
        Trouble::Refused(Reason::AttemptExpired | Reason::CookiesMissing | Reason::Busy)
            | Trouble::Unavailable
    );
    let view = Refusal {
        trouble: said.trouble,
        application,
        code: said.code.as_deref(),
        wait_seconds: said.retry_after.map(u64::from),
        retry: if retriable { Link::local(ask.here()) } else { None },
        details,
    };
    let name = visit.as_ref().map(|visit| visit.person.user.name.clone());
    let csrf = visit
        .as_ref()
        .map(|visit| ask.app.doorward.csrf(&visit.session))
        .unwrap_or_default();
    let page = ask.page(language, &csrf, name.as_deref());
    let html = view
        .render(&page)
        .unwrap_or_else(|_| "<!doctype html><title>Error</title><p>Error".to_owned());
    let reply = Reply::page(said.status, html, Forms::Here);
    match said.retry_after {
        Some(seconds) => reply.header(RETRY_AFTER, &seconds.to_string()),
        None => reply,
    }
}

/// The failure as the JSON of an OAuth endpoint (RFC 6749 section 5.2).
pub(crate) fn failure_json(ask: &Ask, failure: &Failure) -> Reply {
    let tell = |status: StatusCode, error: &str, description: &str| {
        Reply::json(
            status,
            &json!({ "error": error, "error_description": description }),
        )
        .cors()
    };
    match failure {
        Failure::Core(Error::Protocol(error)) => protocol(ask, error),
        Failure::Core(Error::Refused(refused)) if refused.reason == Reason::Busy => tell(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "the server is busy",
        )
        .header(RETRY_AFTER, "2"),
        Failure::Core(Error::Refused(refused)) => {
            tell(StatusCode::BAD_REQUEST, "access_denied", refused.reason.as_str())
        }
        Failure::Core(Error::Invalid(problem) | Error::NotFound(problem)) => {
            tell(StatusCode::BAD_REQUEST, "invalid_request", problem)
        }
        Failure::Parameters(problem) => tell(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            &doorward_oidc::error::describe(problem),
        ),
        Failure::TooLarge => tell(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_request",
            "the body is too large",
        ),
        Failure::NotFound | Failure::SetupClosed => {
            tell(StatusCode::NOT_FOUND, "invalid_request", "nothing lives here")
        }
        other => {
            let said = said(ask, other);
            let incident = said.code.unwrap_or_default();
            let description = format!("the server failed; incident {incident}");
            let error = if said.status == StatusCode::SERVICE_UNAVAILABLE {
                "temporarily_unavailable"
            } else {
                "server_error"
            };
            let reply = tell(said.status, error, &description);
            if said.retry_after.is_some() {
                reply.header(RETRY_AFTER, "5")
            } else {
                reply
            }
        }
    }
}

fn protocol(ask: &Ask, error: &TokenError) -> Reply {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let reply = Reply::json(status, &error.body()).cors();
    match error.code {
        ErrorCode::InvalidClient if ask.authorization().is_some() => {
            reply.header(WWW_AUTHENTICATE, "Basic realm=\"doorward\", charset=\"UTF-8\"")
        }
        ErrorCode::TemporarilyUnavailable => reply.header(RETRY_AFTER, "5"),
        _ => reply,
    }
}
