//! The door for reverse proxies: may this request pass, and who is it?
//!
//! Lives here: reading what a proxy says, the cookies of sites, and rendering the verdict in the form that each proxy hands on. Must not
//! live here: who may enter what.

mod visits;
mod warm;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Uri};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Request;
use doorward_core::error::{Error, Refused};
use doorward_core::forward_auth::{Pass, Shown, Verdict, Visitor};
use doorward_core::hand_over::{OWN_PREFIXES, Start};
use doorward_core::place::Place;
use doorward_core::site_cookie::Kept;
use doorward_core::{Fault, Origin};
use doorward_domain::site::{HeaderSets, SiteEntry};
use doorward_domain::{Reason, Timestamp};

use crate::App;
use crate::cookies;
use crate::forwarded;
use crate::locale::Language;
use crate::original::{self, Original, Proxy};
use crate::pages::{SiteRefusal, Trouble};
use crate::reply::{Noted, Reply, site_page};
use crate::service::{Door, Work};

use visits::with_start_cookie;
pub(crate) use visits::{callback, denied, ping, sign_out, start};
pub(crate) use warm::Prepared;
use warm::{Ready, at_hand};

/// Cookies of sites with what their names promise, the one that no neighbour can set first.
const SITE_COOKIES: [(&str, Kept); 3] = [
    ("__Host-doorward_site", Kept::Host),
    ("__Secure-doorward_site", Kept::Secure),
    ("doorward_site", Kept::Anyhow),
];
/// All cookies of ours: none of them is for a service.
pub(crate) const OWN_COOKIES: [&str; 13] = [
    "__Host-doorward_site",
    "__Secure-doorward_site",
    "doorward_site",
    "__Host-doorward_start",
    "doorward_start",
    cookies::Name::Session.text(true),
    cookies::Name::Session.text(false),
    cookies::Name::Browser.text(true),
    cookies::Name::Browser.text(false),
    cookies::Name::Known.text(true),
    cookies::Name::Known.text(false),
    cookies::Name::Language.text(true),
    cookies::Name::Language.text(false),
];
/// How long signing in may take.
const START_SECONDS: i64 = 3600;

const X_LOCATION: HeaderName = HeaderName::from_static("x-doorward-location");
const X_CODE: HeaderName = HeaderName::from_static("x-doorward-code");
const X_REASON: HeaderName = HeaderName::from_static("x-doorward-reason");
const X_STRIP: HeaderName = HeaderName::from_static("x-doorward-strip-authorization");

/// One request at this door, as far as it was read.
pub(crate) struct Call<'a> {
    app: &'a App,
    headers: &'a HeaderMap,
    peer: IpAddr,
    /// Came through the door that existing set-ups for authentik use.
    twin: bool,
}

/// The door for a kind of proxy; what stands before the original path, when the proxy puts it behind that.
macro_rules! door {
    ($proxy:ident, $prefix:literal) => {
        Door {
            at_hand: |glance| at_hand(glance, Proxy::$proxy, $prefix),
            handler: |app, parts, peer| check(app, Proxy::$proxy, parts, peer, $prefix),
        }
    };
}

/// The endpoints `/.doorward/auth/<proxy>`, through the router; and straight from the socket.
pub(crate) async fn nginx(State(app): State<App>, request: Request) -> Response {
    routed(NGINX, app, request).await
}
pub(crate) const NGINX: Door = door!(Nginx, "");
/// Traefik.
pub(crate) async fn traefik(State(app): State<App>, request: Request) -> Response {
    routed(TRAEFIK, app, request).await
}
pub(crate) const TRAEFIK: Door = door!(Traefik, "");
/// Caddy.
pub(crate) async fn caddy(State(app): State<App>, request: Request) -> Response {
    routed(CADDY, app, request).await
}
pub(crate) const CADDY: Door = door!(Caddy, "");
/// Envoy.
pub(crate) async fn envoy(State(app): State<App>, request: Request) -> Response {
    routed(ENVOY, app, request).await
}
pub(crate) const ENVOY: Door = door!(Envoy, "/.doorward/auth/envoy");
/// Envoy, where it was set up for authentik.
pub(crate) async fn envoy_twin(State(app): State<App>, request: Request) -> Response {
    routed(ENVOY_TWIN, app, request).await
}
pub(crate) const ENVOY_TWIN: Door = door!(Envoy, "/outpost.goauthentik.io/auth/envoy");
/// `HAProxy`.
pub(crate) async fn haproxy(State(app): State<App>, request: Request) -> Response {
    routed(HAPROXY, app, request).await
}
pub(crate) const HAPROXY: Door = door!(Haproxy, "");

fn routed(door: Door, app: App, request: Request) -> Work {
    let (parts, _) = request.into_parts();
    let peer = forwarded::peer(&parts.extensions);
    (door.handler)(app, parts, peer)
}

/// Answers a proxy's question.
fn check(app: App, proxy: Proxy, parts: Parts, peer: IpAddr, prefix: &'static str) -> Work {
    Box::pin(async move { checked(&app, proxy, &parts, peer, prefix).await })
}

async fn checked(app: &App, proxy: Proxy, parts: &Parts, peer: IpAddr, prefix: &str) -> Response {
    let (headers, uri) = (&parts.headers, &parts.uri);
    let call = Call {
        app,
        headers,
        peer,
        twin: is_twin(uri),
    };
    if !call.is_trusted() {
        return call.untrusted();
    }
    let Some(original) = original::read(proxy, headers, uri, &parts.method, prefix) else {
        app.doorward
            .count_check(None, Reason::OriginalUnreadable.as_str());
        return call.refused(
            proxy,
            None,
            None,
            &Refused::bare(Reason::OriginalUnreadable),
            None,
        );
    };
    if let Some(answer) = call.own_path(proxy, &original).await {
        return answer;
    }
    call.decide(proxy, &original).await
}

/// Is this the door that existing set-ups for authentik use?
fn is_twin(uri: &Uri) -> bool {
    uri.path().starts_with("/outpost.")
}

/// A path that belongs to us on every site.
#[derive(Clone, Copy)]
enum Own {
    Start,
    Callback,
    SignOut,
    Ping,
    Nothing,
}

impl Own {
    /// Proxies that hand answers on need no route for them; for the others they are routed past the check, and asked for through it,
    /// they are nobody's.
    fn of(proxy: Proxy, target: &str) -> Option<Self> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if proxy.hands_on()
            && !query.is_empty()
            && query.split('&').any(|pair| pair == "X-authentik-logout=true")
        {
            return Some(Self::SignOut);
        }
        let rest = OWN_PREFIXES.iter().find_map(|own| path.strip_prefix(own))?;
        Some(match rest.trim_end_matches('/') {
            "start" if proxy.hands_on() => Self::Start,
            "callback" if proxy.hands_on() => Self::Callback,
            "sign_out" if proxy.hands_on() => Self::SignOut,
            "ping" if proxy.hands_on() => Self::Ping,
            _ => Self::Nothing,
        })
    }
}

impl<'a> Call<'a> {
    pub(crate) fn new(app: &'a App, headers: &'a HeaderMap, peer: IpAddr) -> Self {
        Self {
            app,
            headers,
            peer,
            twin: false,
        }
    }
}

impl<'a> Call<'a> {
    fn is_trusted(&self) -> bool {
        (self.app.options.trusts)(self.peer)
    }

    fn origin(&self) -> Origin {
        let user_agent = self.headers.get(http::header::USER_AGENT).map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            text.chars().filter(|c| !c.is_control()).take(256).collect()
        });
        Origin {
            ip: Some(forwarded::client_ip(
                self.peer,
                self.headers,
                &*self.app.options.trusts,
            )),
            user_agent,
        }
    }

    /// Somebody who is no proxy of ours asks: they would choose host, path and address as they like.
    fn untrusted(&self) -> Response {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let now = self.app.doorward.monotonic_micros();
        let last = LAST.load(Ordering::Relaxed);
        if last == 0 || now.saturating_sub(last) > 60_000_000 {
            LAST.store(now.max(1), Ordering::Relaxed);
            tracing::warn!(
                peer = %self.peer,
                "a forward-auth check came from an address that is not in trusted_proxies and was refused; \
                 if it is your proxy, set trusted_proxies"
            );
        }
        self.app
            .doorward
            .count_check(None, Reason::UntrustedProxy.as_str());
        let text = format!(
            "refused: the check came from {}, which is not in trusted_proxies (DOORWARD_TRUSTED_PROXIES)\n",
            self.peer
        );
        let mut reply = Reply::bytes(StatusCode::FORBIDDEN, "text/plain; charset=utf-8", text);
        reply.set(CACHE_CONTROL, "no-store");
        reply
            .header(X_REASON, Reason::UntrustedProxy.as_str())
            .into_response()
    }

    async fn own_path(&self, proxy: Proxy, original: &Original) -> Option<Response> {
        let place = &original.place;
        Some(match Own::of(proxy, &place.target)? {
            Own::Start => self.start(place).await,
            Own::Callback => self.callback(place).await,
            Own::SignOut => self.sign_out(place).await,
            Own::Ping => Reply::empty(StatusCode::NO_CONTENT).into_response(),
            Own::Nothing => self.refused(proxy, None, None, &Refused::bare(Reason::PathUnlisted), None),
        })
    }

    fn session_cookie(&self) -> Option<&'a str> {
        cookies::find(self.headers, cookies::Name::Session.text(self.app.secure))
    }

    fn site_cookies(&self) -> Vec<(Kept, &'a str)> {
        cookies::read_ranked(self.headers, &SITE_COOKIES)
    }

    async fn verdict(&self, original: &Original) -> Result<Verdict, Error> {
        let found = self.site_cookies();
        let shown = Shown {
            cookies: &found,
            session: self.session_cookie(),
            authorization: original::one(self.headers, AUTHORIZATION),
        };
        let method = original.method.as_ref().map(Method::as_str);
        self.app
            .doorward
            .check(&original.place, method, shown, || self.origin())
            .await
    }

    async fn decide(&self, proxy: Proxy, original: &Original) -> Response {
        match self.pass_or_answer(proxy, original).await {
            Ok(pass) => self.pass(&pass),
            Err(answer) => answer,
        }
    }

    /// Who may pass, or the answer to who may not.
    pub(crate) async fn pass_or_answer(&self, proxy: Proxy, original: &Original) -> Result<Pass, Response> {
        Err(match self.verdict(original).await {
            Ok(Verdict::Pass(pass)) => return Ok(pass),
            Ok(Verdict::SignIn(entry)) => self.sign_in(proxy, original, &entry),
            Ok(Verdict::Refused {
                entry,
                refused,
                visit,
            }) => {
                let name = visit.as_ref().map(|visit| visit.person.user.username.as_str());
                self.refused(proxy, entry.as_deref(), Some(&original.place), &refused, name)
            }
            Err(error) => self.failed(proxy, &error),
        })
    }

    /// The page when a service gives no answer.
    pub(crate) fn service_page(&self, status: StatusCode, application: &str, incident: &str) -> Response {
        if !original::wants_html(self.headers) {
            let body = serde_json::json!({ "error": "service_unavailable", "code": incident });
            return Reply::json(status, &body).into_response();
        }
        let view = SiteRefusal {
            trouble: Trouble::Service,
            application: Some(application),
            code: Some(incident),
            sign_in: None,
            signed_in: None,
        };
        site_page(self.app, status, &view, self.language())
    }

    /// May pass: who it is, for the service.
    fn pass(&self, pass: &Pass) -> Response {
        let doorward = &self.app.doorward;
        let headers = match &pass.visitor {
            Visitor::Session(visit) => {
                let ready = Ready::of(self.app, pass, visit, self.twin, doorward.now());
                if pass.outcome != "allowed" {
                    doorward.count_check(Some(&pass.entry), pass.outcome);
                }
                ready.headers.clone()
            }
            Visitor::Nobody | Visitor::Machine(_) => {
                doorward.count_check(Some(&pass.entry), pass.outcome);
                Ready::new(self.app, pass, self.twin).headers
            }
        };
        let mut response = Response::new(axum::body::Body::empty());
        *response.headers_mut() = headers;
        response
    }

    /// Somebody has to sign in first.
    fn sign_in(&self, proxy: Proxy, original: &Original, entry: &SiteEntry) -> Response {
        let method = original.method.clone().unwrap_or(Method::GET);
        let navigation = original::is_navigation(self.headers, &method);
        let start = self.start_cookie(&original.place);
        let begun = self
            .app
            .doorward
            .sign_in_at(&original.place, entry, start.as_deref());
        let (location, mark) = match begun {
            Start::Marked {
                location,
                browser,
                secure,
            } => (location, Some((browser, secure))),
            Start::Onward { location, .. } => (location, None),
            Start::SignIn(_) | Start::Refused(_) => (String::new(), None),
        };
        if !proxy.hands_on() {
            let mut reply = Reply::empty(StatusCode::UNAUTHORIZED);
            reply.set(CACHE_CONTROL, "no-store");
            if navigation {
                // The browser's cookie can only be set by an answer that reaches it: signing in begins on the site's own host then.
                let location = match mark {
                    Some(_) => self.app.doorward.start_url(&original.place, entry),
                    None => location,
                };
                reply = reply.header(X_LOCATION, &location);
            }
            return self.challenged(reply, entry).into_response();
        }
        if navigation {
            let mut reply = Reply::empty(StatusCode::FOUND).header(LOCATION, &location);
            reply.set(CACHE_CONTROL, "no-store");
            if let Some((browser, secure)) = mark {
                reply = with_start_cookie(reply, &browser, secure, START_SECONDS);
            }
            return reply.into_response();
        }
        let shows = original::wants_html(self.headers) && !self.headers.contains_key("sec-fetch-mode");
        let program = self.headers.contains_key(AUTHORIZATION);
        if (shows && !program) || self.is_form() {
            let refused = Refused {
                application: Some(entry.application.name.clone()),
                ..Refused::bare(Reason::SessionEnded)
            };
            let place = Place {
                target: original.place.target.clone(),
                ..original.place.clone()
            };
            return self.page(StatusCode::UNAUTHORIZED, &refused, Some(&place), None);
        }
        let body = serde_json::json!({ "error": "sign_in_required", "location": location });
        let reply = Reply::json(StatusCode::UNAUTHORIZED, &body);
        self.challenged(reply, entry).into_response()
    }

    /// A form that a page posted: a person looks at the answer.
    fn is_form(&self) -> bool {
        self.headers
            .get("sec-fetch-mode")
            .is_some_and(|mode| mode.as_bytes() == b"navigate")
    }

    /// Programs are told how they may come in.
    fn challenged(&self, reply: Reply, entry: &SiteEntry) -> Reply {
        if !self.headers.contains_key(AUTHORIZATION) {
            return reply;
        }
        let machines = entry.site.machines;
        match (machines.bearer, machines.basic) {
            (_, true) => reply.header(WWW_AUTHENTICATE, "Basic realm=\"Doorward\", charset=\"UTF-8\""),
            (true, false) => reply.header(WWW_AUTHENTICATE, "Bearer realm=\"Doorward\""),
            (false, false) => reply,
        }
    }

    fn refused(
        &self,
        proxy: Proxy,
        entry: Option<&SiteEntry>,
        place: Option<&Place>,
        refused: &Refused,
        name: Option<&str>,
    ) -> Response {
        let status = if refused.reason == Reason::CredentialRefused {
            StatusCode::UNAUTHORIZED
        } else {
            StatusCode::FORBIDDEN
        };
        let code = refused.code.as_ref().map(ToString::to_string);
        let mut response = if proxy.hands_on() && original::wants_html(self.headers) {
            self.page(status, refused, place, name)
        } else if proxy.hands_on() {
            let body = serde_json::json!({ "error": "access_denied", "reason": refused.reason.as_str(), "code": code });
            Reply::json(status, &body).into_response()
        } else {
            let mut reply = Reply::empty(status);
            reply.set(CACHE_CONTROL, "no-store");
            reply.into_response()
        };
        if let (StatusCode::UNAUTHORIZED, Some(entry)) = (status, entry) {
            let challenge = self.challenged(Reply::empty(status), entry).into_response();
            if let Some(value) = challenge.headers().get(WWW_AUTHENTICATE) {
                response.headers_mut().insert(WWW_AUTHENTICATE, value.clone());
            }
        }
        response
            .headers_mut()
            .insert(X_REASON, HeaderValue::from_static(refused.reason.as_str()));
        if let Some(code) = code {
            if let Ok(value) = HeaderValue::from_str(&code) {
                response.headers_mut().insert(X_CODE, value);
            }
            response.extensions_mut().insert(Noted(code));
        }
        response
    }

    /// The page that says no, on the host of a site.
    fn page(
        &self,
        status: StatusCode,
        refused: &Refused,
        place: Option<&Place>,
        name: Option<&str>,
    ) -> Response {
        let code = refused.code.as_ref().map(ToString::to_string);
        let begin = place
            .filter(|_| refused.reason == Reason::SessionEnded)
            .map(|place| {
                format!(
                    "{}{}?rd={}",
                    self.app.doorward.public_url(),
                    doorward_core::hand_over::START,
                    doorward_core::place::escape(&place.url())
                )
            });
        let view = SiteRefusal {
            trouble: Trouble::Refused(refused.reason),
            application: refused.application.as_deref(),
            code: code.as_deref(),
            sign_in: begin.as_deref(),
            signed_in: name,
        };
        site_page(self.app, status, &view, self.language())
    }

    fn language(&self) -> Language {
        let accept = self
            .headers
            .get(http::header::ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok());
        Language::choose(None, None, accept)
    }

    /// The database is away and nobody in memory fits, or something of ours is broken.
    fn failed(&self, proxy: Proxy, error: &Error) -> Response {
        let incident = self.app.doorward.incident();
        let (status, trouble, reason) = match error {
            Error::Fault(fault) if fault.unavailable => {
                tracing::warn!(incident, cause = fault.chain(), "a check could not be answered");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    Trouble::Unavailable,
                    "unavailable",
                )
            }
            other => {
                tracing::error!(incident, error = %chain(other), "a check failed");
                (StatusCode::INTERNAL_SERVER_ERROR, Trouble::Fault, "fault")
            }
        };
        let mut response = if proxy.hands_on() && original::wants_html(self.headers) {
            let view = SiteRefusal {
                trouble,
                application: None,
                code: Some(&incident),
                sign_in: None,
                signed_in: None,
            };
            site_page(self.app, status, &view, self.language())
        } else {
            let mut reply = Reply::empty(status);
            reply.set(CACHE_CONTROL, "no-store");
            reply.into_response()
        };
        let headers = response.headers_mut();
        headers.insert(X_REASON, HeaderValue::from_static(reason));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        if let Ok(value) = HeaderValue::from_str(&incident) {
            headers.insert(X_CODE, value);
        }
        response.extensions_mut().insert(Noted(incident));
        response
    }
}

/// The identity headers of a passing request.
pub(crate) fn identity_headers(app: &App, pass: &Pass, twin: bool) -> (HeaderMap, Timestamp) {
    let sets = HeaderSets {
        authentik: pass.entry.site.headers.authentik || twin,
        ..pass.entry.site.headers
    };
    let identity = app.doorward.identity(&pass.entry, &pass.visitor, sets);
    let mut headers = HeaderMap::with_capacity(identity.headers.len() + 8);
    for (name, value) in identity.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (headers, identity.fresh_until)
}

fn chain(error: &Error) -> String {
    match error {
        Error::Fault(fault) => Fault::chain(fault),
        other => other.to_string(),
    }
}
