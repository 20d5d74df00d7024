//! Browsers at the doors of guarded sites: signing in, the way back, signing out, and the page behind a refusal.
//!
//! Must not live here: what a proxy asks, who may enter what.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue, LOCATION, SET_COOKIE};
use http::request::Parts;
use std::sync::Arc;

use doorward_core::error::{Error, Refused};
use doorward_core::forward_auth::Verdict;
use doorward_core::hand_over::{SiteCookie, Start};
use doorward_core::place::Place;
use doorward_domain::{Reason, Timestamp};

use super::{Call, START_SECONDS, X_CODE};
use crate::App;
use crate::cookies;
use crate::forwarded;
use crate::original::{self, Proxy};
use crate::reply::{Noted, Reply};

impl Call<'_> {
    /// The browser's own cookie on a site's host, while it signs in. By https only the one that no neighbour can set counts: who could
    /// choose it could sign somebody in as somebody else.
    pub(super) fn start_cookie(&self, here: &Place) -> Option<String> {
        let https = self.app.doorward.is_reached_by_https(here);
        cookies::read(self.headers, start_name(https))
    }

    /// Begins signing in, on the host of a site or on our own.
    pub(super) async fn start(&self, here: &Place) -> Response {
        let doorward = &self.app.doorward;
        let started = if doorward.is_home(here) {
            let visit = match doorward.visit(self.session_cookie()).await {
                Ok(visit) => visit,
                Err(error) => return self.failed(Proxy::Caddy, &error),
            };
            let query = here.target.split_once('?').map_or("", |(_, query)| query);
            doorward
                .start_at_home(visit.as_deref(), query, &self.origin())
                .await
        } else {
            doorward.start_at_site(here, self.start_cookie(here).as_deref())
        };
        self.started(started)
    }

    pub(super) async fn callback(&self, here: &Place) -> Response {
        let visit = match self.site_visit(here).await {
            Ok(visit) => visit,
            Err(error) => return self.failed(Proxy::Caddy, &error),
        };
        let browser = self.start_cookie(here);
        match self
            .app
            .doorward
            .callback(here, browser.as_deref(), visit.as_deref())
            .await
        {
            Ok(started) => {
                // A browser that opens many pages at once has one of these cookies for all of them: it stays until one has arrived,
                // else each page would take the others' away, for ever.
                let arrived = matches!(&started, Start::Onward { cookie: Some(_), .. });
                let mut response = self.started(started);
                if browser.is_some() && arrived {
                    for (name, attributes) in [(start_name(true), "; Secure"), (start_name(false), "")] {
                        append_cookie(
                            &mut response,
                            &format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{attributes}"),
                        );
                    }
                }
                response
            }
            Err(error) => self.failed(Proxy::Caddy, &error),
        }
    }

    async fn site_visit(&self, here: &Place) -> Result<Option<Arc<doorward_core::sessions::Visit>>, Error> {
        let https = self.app.doorward.is_reached_by_https(here);
        self.app
            .doorward
            .site_visit(&self.site_cookies(), &here.host, https)
            .await
    }

    fn started(&self, started: Start) -> Response {
        match started {
            Start::SignIn(next) => Reply::see(&format!(
                "{}{}?next={}",
                self.app.doorward.public_url(),
                doorward_core::authorize::SIGN_IN,
                doorward_core::place::escape(&next)
            ))
            .into_response(),
            Start::Onward { location, cookie } => {
                let mut response = found_at(&location).into_response();
                if let Some(cookie) = cookie {
                    append_cookie(&mut response, &site_cookie(&cookie, self.app.doorward.now()));
                }
                response
            }
            Start::Marked {
                location,
                browser,
                secure,
            } => with_start_cookie(found_at(&location), &browser, secure, START_SECONDS).into_response(),
            Start::Refused(refused) => {
                let mut response = self.page(StatusCode::BAD_REQUEST, &refused, None, None);
                if let Some(code) = &refused.code {
                    response.extensions_mut().insert(Noted(code.to_string()));
                }
                response
            }
        }
    }

    /// Signs out everywhere. A page of another site cannot do that to somebody: then the person is asked.
    pub(super) async fn sign_out(&self, here: &Place) -> Response {
        let doorward = &self.app.doorward;
        let done = format!("{}/if/flow/sign-out/", doorward.public_url());
        let foreign = self
            .headers
            .get("sec-fetch-site")
            .is_some_and(|site| site.as_bytes() == b"cross-site");
        let mut response = found_at(&done).into_response();
        // On our own host there is a page that asks, and a form that cannot be followed like a link.
        if foreign || doorward.is_home(here) {
            return response;
        }
        let mut visit = match self.site_visit(here).await {
            Ok(visit) => visit,
            Err(error) => return self.failed(Proxy::Caddy, &error),
        };
        if visit.is_none() && doorward.home_host() == Some(here.host.as_str()) {
            visit = match doorward.visit(self.session_cookie()).await {
                Ok(visit) => visit,
                Err(error) => return self.failed(Proxy::Caddy, &error),
            };
        }
        if let Some(visit) = visit
            && let Err(error) = doorward.sign_out(&visit, &self.origin()).await
        {
            return self.failed(Proxy::Caddy, &error);
        }
        let domain = doorward.cookie_domain(&here.host);
        let domain = domain.map_or_else(String::new, |domain| format!("; Domain={domain}"));
        for (name, attributes) in [
            ("__Host-doorward_site", "; Secure".to_owned()),
            ("__Secure-doorward_site", format!("; Secure{domain}")),
            ("doorward_site", domain),
        ] {
            append_cookie(
                &mut response,
                &format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{attributes}"),
            );
        }
        response
    }
}

pub(super) fn found_at(location: &str) -> Reply {
    let mut reply = Reply::empty(StatusCode::FOUND).header(LOCATION, location);
    reply.set(CACHE_CONTROL, "no-store");
    reply
}

pub(super) fn append_cookie(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

pub(super) const fn start_name(secure: bool) -> &'static str {
    if secure {
        "__Host-doorward_start"
    } else {
        "doorward_start"
    }
}

pub(super) fn with_start_cookie(reply: Reply, browser: &str, secure: bool, seconds: i64) -> Reply {
    let name = start_name(secure);
    let attribute = if secure { "; Secure" } else { "" };
    reply.header(
        SET_COOKIE,
        &format!("{name}={browser}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{attribute}"),
    )
}

fn site_cookie(cookie: &SiteCookie, now: Timestamp) -> String {
    let seconds = (cookie.expires_at.millis_since(now) / 1000).max(1);
    let (name, attributes) = match (&cookie.domain, cookie.secure) {
        (None, true) => ("__Host-doorward_site", "; Secure".to_owned()),
        (None, false) => ("doorward_site", String::new()),
        (Some(domain), true) => ("__Secure-doorward_site", format!("; Secure; Domain={domain}")),
        (Some(domain), false) => ("doorward_site", format!("; Domain={domain}")),
    };
    format!(
        "{name}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{attributes}",
        cookie.value
    )
}

/// The call of a browser that reached us under a site's host, or our own.
fn call_of<'a>(app: &'a App, parts: &'a Parts) -> (Call<'a>, Option<Place>) {
    let call = Call {
        app,
        headers: &parts.headers,
        peer: forwarded::peer(&parts.extensions),
        twin: false,
    };
    let here = original::here(&parts.headers, &parts.uri, call.is_trusted(), app.secure);
    (call, here)
}

/// `/.doorward/start`
pub(crate) async fn start(State(app): State<App>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    match call_of(&app, &parts) {
        (call, Some(here)) => call.start(&here).await,
        (call, None) => call.unreadable(),
    }
}

/// `/.doorward/callback`
pub(crate) async fn callback(State(app): State<App>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    match call_of(&app, &parts) {
        (call, Some(here)) => call.callback(&here).await,
        (call, None) => call.unreadable(),
    }
}

/// `/.doorward/sign_out`
pub(crate) async fn sign_out(State(app): State<App>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    match call_of(&app, &parts) {
        (call, Some(here)) => call.sign_out(&here).await,
        (call, None) => call.unreadable(),
    }
}

/// `/.doorward/ping`, as authentik's outposts have it.
pub(crate) async fn ping() -> Reply {
    Reply::empty(StatusCode::NO_CONTENT)
}

/// `/.doorward/denied`: the page behind a refusal, for proxies that do not hand ours on.
pub(crate) async fn denied(State(app): State<App>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let (call, _) = call_of(&app, &parts);
    if !call.is_trusted() {
        return call.untrusted();
    }
    let Some(original) = original::read(Proxy::Nginx, &parts.headers, &parts.uri, &parts.method, "") else {
        return call.unreadable();
    };
    match call.verdict(&original).await {
        Ok(Verdict::Refused {
            entry,
            mut refused,
            visit,
        }) => {
            // The code that the check gave, when the proxy hands it on: one refusal has one code.
            let given = original::one(&parts.headers, X_CODE).and_then(doorward_core::explain::as_code);
            refused.code = given.or(refused.code);
            let name = visit.as_ref().map(|visit| visit.person.user.username.as_str());
            call.refused(
                Proxy::Caddy,
                entry.as_deref(),
                Some(&original.place),
                &refused,
                name,
            )
        }
        // Meanwhile it became possible.
        Ok(Verdict::Pass(_) | Verdict::SignIn(_)) => found_at(&original.place.url()).into_response(),
        Err(error) => call.failed(Proxy::Caddy, &error),
    }
}

impl Call<'_> {
    fn unreadable(&self) -> Response {
        self.refused(
            Proxy::Caddy,
            None,
            None,
            &Refused::bare(Reason::OriginalUnreadable),
            None,
        )
    }
}
