//! Answers: the only file that knows status codes. Pages, JSON, redirects, and every failure in the form that its door speaks.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    HeaderValue, LOCATION, PRAGMA, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use doorward_core::error::{Error, Refused};
use doorward_domain::Reason;
use doorward_oidc::error::{ErrorCode, TokenError};

use crate::App;
use crate::ask::Ask;
use crate::cookies::{self, Name};
use crate::pages::{Link, Refusal, RefusalDetails, SiteRefusal, Trouble};
use crate::service::Payload;

/// An answer under construction.
pub(crate) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    noted: Option<Noted>,
}

/// Code of the refusal or incident that an answer shows; goes into the request's line in the log.
#[derive(Clone, Debug)]
pub(crate) struct Noted(pub(crate) String);

/// Where the forms of a page may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forms {
    /// Nowhere but here.
    Here,
    /// Into a redirect chain towards a client: browsers apply `form-action` to the whole chain, so nothing is said.
    Onwards,
}

impl Reply {
    fn new(status: StatusCode, body: Bytes) -> Self {
        Self {
            status,
            // What every answer gets besides fits too, so that the map never grows.
            headers: HeaderMap::with_capacity(12),
            body,
            noted: None,
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
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' https: http:; base-uri 'none'; \
             frame-ancestors 'none'{forms}"
        );
        Self::policed(status, html, &policy)
    }

    /// A page with a policy of its own.
    pub(crate) fn policed(status: StatusCode, html: String, policy: &str) -> Self {
        let mut reply = Self::new(status, Bytes::from(html));
        reply.set(CONTENT_TYPE, "text/html; charset=utf-8");
        reply.set(CACHE_CONTROL, "no-store");
        if let Ok(policy) = HeaderValue::from_str(policy) {
            reply.headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        reply
    }

    /// JSON that is never cached.
    pub(crate) fn json(status: StatusCode, value: &Value) -> Self {
        let mut reply = Self::new(status, Bytes::from(value.to_string()));
        reply.set(CONTENT_TYPE, "application/json");
        reply.set(CACHE_CONTROL, "no-store");
        reply.set(PRAGMA, "no-cache");
        reply
    }

    /// Bytes as they are.
    pub(crate) fn bytes(status: StatusCode, kind: &'static str, bytes: impl Into<Bytes>) -> Self {
        let mut reply = Self::new(status, bytes.into());
        reply.set(CONTENT_TYPE, kind);
        reply
    }

    /// An answer whose headers lie ready.
    pub(crate) fn ready(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            status,
            headers,
            body,
            noted: None,
        }
    }

    /// Nothing but a status.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self::new(status, Bytes::new())
    }

    /// A redirect after which the browser asks with GET (RFC 9110 section 15.4.4).
    pub(crate) fn see(location: &str) -> Self {
        let mut reply = Self::empty(StatusCode::SEE_OTHER);
        reply.set(CACHE_CONTROL, "no-store");
        // A place that no header can hold is no place; nobody is left on an empty page.
        let location =
            HeaderValue::from_str(location).unwrap_or_else(|_| HeaderValue::from_static("/if/user/"));
        reply.value(LOCATION, location)
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

    /// Sets a header whose value is at hand.
    pub(crate) fn value(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Says how to prove who one is; scripts of other sites may read it too.
    pub(crate) fn challenge(mut self, challenge: &str) -> Self {
        self.set(ACCESS_CONTROL_EXPOSE_HEADERS, "WWW-Authenticate");
        self.header(WWW_AUTHENTICATE, challenge)
    }

    /// The code that the answer shows, for the log.
    fn noted(mut self, code: Option<&str>) -> Self {
        self.noted = code.map(|code| Noted(code.to_owned()));
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

impl Reply {
    /// The answer as the sockets take it.
    pub(crate) fn into_whole(self) -> http::Response<Payload> {
        let mut response = http::Response::new(Payload::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        if let Some(noted) = self.noted {
            response.extensions_mut().insert(noted);
        }
        response
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        self.into_whole().map(Body::new)
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
        | Reason::Banned
        | Reason::ForeignOrigin
        | Reason::NotAdministrator
        | Reason::LastAdministrator
        | Reason::HostUnlisted
        | Reason::PathUnlisted
        | Reason::RuleDenies
        | Reason::UntrustedProxy
        | Reason::OriginalUnreadable => StatusCode::FORBIDDEN,
        Reason::WrongCredentials | Reason::SessionEnded | Reason::CredentialRefused => {
            StatusCode::UNAUTHORIZED
        }
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

impl Said<'_> {
    /// The rule that refused; none for what is no refusal, or not the caller's.
    fn reason(&self) -> Option<Reason> {
        match self.trouble {
            Trouble::Refused(reason) => Some(reason),
            Trouble::Misconfigured { .. } => Some(Reason::ForeignOrigin),
            _ => None,
        }
    }

    fn detail(&self, name: &str) -> Option<&str> {
        let found = self.details.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Every refusal leads to its reason: one that nobody recorded is recorded now.
    async fn record(&mut self, ask: &Ask) {
        let (None, Some(reason)) = (&self.code, self.reason()) else {
            return;
        };
        let refused = ask
            .app
            .doorward
            .refuse_shown(reason, self.detail("problem"), ask.origin())
            .await;
        self.code = refused.code.as_ref().map(ToString::to_string);
    }
}

/// The failure as a page. Administrators see the inputs. `again` is where trying again leads, when not to this very address.
pub(crate) async fn failure_page(ask: &Ask, failure: &Failure, again: Option<&str>) -> Reply {
    let mut said = said(ask, failure);
    said.record(ask).await;
    let language = ask.language(None);
    // While the database is away nobody waits for it twice.
    let visit = match failure {
        Failure::Core(Error::Fault(fault)) if fault.unavailable => None,
        _ => ask.visit().await.ok().flatten(),
    };
    let administrator = visit.as_ref().is_some_and(|visit| visit.person.superuser);
    let rule = match said.trouble {
        Trouble::Refused(reason) => doorward_core::explain::sentence(reason),
        _ => "",
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
        given: said
            .detail("redirect_uri")
            .or_else(|| said.detail("post_logout_redirect_uri")),
        nearest: said.detail("nearest_registered"),
        inputs: &inputs,
    });
    let retriable = matches!(
        said.trouble,
        Trouble::Refused(Reason::AttemptExpired | Reason::CookiesMissing | Reason::Busy)
            | Trouble::Unavailable
    );
    let application = match failure {
        Failure::Core(Error::Refused(refused)) => refused.application.as_deref(),
        _ => None,
    };
    let view = Refusal {
        trouble: said.trouble,
        application,
        code: said.code.as_deref(),
        wait_seconds: said.retry_after.map(u64::from),
        retry: if retriable {
            Link::local(again.unwrap_or(ask.here()))
        } else {
            None
        },
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
    let reply = Reply::page(said.status, html, Forms::Here).noted(said.code.as_deref());
    match said.retry_after {
        Some(seconds) => reply.header(RETRY_AFTER, &seconds.to_string()),
        None => reply,
    }
}

/// A page of ours on the host of a guarded site: no script, no form, the style sheet from where we live.
pub(crate) fn site_page(
    app: &App,
    status: StatusCode,
    view: &SiteRefusal<'_>,
    language: crate::locale::Language,
) -> Response {
    let home = app.doorward.public_url();
    let page = crate::pages::Page {
        language,
        brand: "Doorward",
        here: "/",
        csrf: "",
        signed_in: None,
        now: app.doorward.now(),
        home,
        build: "",
    };
    let html = view
        .render(&page)
        .unwrap_or_else(|_| "<!doctype html><title>Error</title><p>Error".to_owned());
    let origin = crate::flow::sign_out::origin_of(home).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src {origin}; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Reply::policed(status, html, &policy).into_response()
}

/// The failure as the JSON of an OAuth endpoint (RFC 6749 section 5.2).
pub(crate) async fn failure_json(ask: &Ask, failure: &Failure) -> Reply {
    if let Failure::Core(Error::Protocol(error)) = failure {
        return protocol(ask, error);
    }
    let mut said = said(ask, failure);
    said.record(ask).await;
    let problem = said.detail("problem").map(doorward_oidc::error::describe);
    let incident = said.code.as_deref().unwrap_or_default();
    let (error, text) = match failure {
        Failure::Core(Error::Refused(refused)) if refused.reason == Reason::Busy => {
            ("temporarily_unavailable", "the server is busy".to_owned())
        }
        Failure::Core(Error::Refused(refused)) => ("access_denied", refused.reason.as_str().to_owned()),
        Failure::Core(Error::Invalid(_) | Error::NotFound(_)) | Failure::Parameters(_) => {
            ("invalid_request", problem.unwrap_or_default())
        }
        Failure::TooLarge => ("invalid_request", "the body is too large".to_owned()),
        Failure::NotFound | Failure::SetupClosed => ("invalid_request", "nothing lives here".to_owned()),
        _ if said.status == StatusCode::SERVICE_UNAVAILABLE => {
            ("temporarily_unavailable", "the server failed".to_owned())
        }
        _ => ("server_error", "the server failed".to_owned()),
    };
    let description = match (incident, said.reason()) {
        ("", _) => text,
        (code, Some(_)) => format!("{text} ({code})"),
        (incident, None) => format!("{text}; incident {incident}"),
    };
    let body = json!({ "error": error, "error_description": description });
    let reply = Reply::json(said.status, &body).cors().noted(said.code.as_deref());
    match (said.retry_after, error) {
        (Some(seconds), _) => reply.header(RETRY_AFTER, &seconds.to_string()),
        (None, "temporarily_unavailable") => reply.header(RETRY_AFTER, "2"),
        (None, _) => reply,
    }
}

fn protocol(ask: &Ask, error: &TokenError) -> Reply {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let reply = Reply::json(status, &error.body())
        .cors()
        .noted(error.reference.as_deref());
    match error.code {
        ErrorCode::InvalidClient if ask.authorization().is_some() => {
            reply.challenge("Basic realm=\"doorward\", charset=\"UTF-8\"")
        }
        ErrorCode::TemporarilyUnavailable => reply.header(RETRY_AFTER, "5"),
        _ => reply,
    }
}
