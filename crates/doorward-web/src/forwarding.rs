//! Reverse-proxy mode: requests for sites that have an upstream are decided on as any proxy's question is, and then sent on.
//!
//! Must not live here: who may enter what, how a request travels.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderMap, StatusCode, Uri};
use rustls::pki_types::CertificateDer;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use url::Url;

use doorward_core::forward_auth::{self as core, Pass};
use doorward_core::hand_over::OWN_PREFIXES;
use doorward_core::identity::{AUTHENTIK, DOORWARD, REMOTE};
use doorward_core::place::Place;
use doorward_domain::site::{Found, Readings, SiteEntry};

use crate::App;
use crate::forward_auth::{self, Call, OWN_COOKIES};
use crate::forwarded;
use crate::original::{self, Original, Proxy};
use crate::reply::{Noted, Reply};
use crate::upstream::{self, Authorization, Before, HostHeader, Kind, Target, Trust, Unreachable};

/// How long names, TCP and TLS may take together.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a tunnel or the body of an answer may be silent.
const IDLE: Duration = Duration::from_secs(3600);

/// Every name that says who came: none comes from outside.
static NAMES: LazyLock<Vec<HeaderName>> = LazyLock::new(|| {
    DOORWARD
        .iter()
        .chain(&AUTHENTIK)
        .chain(&REMOTE)
        .map(|name| HeaderName::from_static(name))
        .collect()
});

/// Where a request was made, when a site of ours that is forwarded to is there.
fn wanted(app: &App, headers: &HeaderMap, uri: &Uri, peer: IpAddr) -> Option<Place> {
    let directory = app.doorward.directory_now();
    if !directory.sites.forwards() {
        return None;
    }
    let trusted = (app.options.trusts)(peer);
    let mut here = original::here(headers, uri, trusted, false)?;
    if app.doorward.is_home(&here) || OWN_PREFIXES.iter().any(|own| here.target.starts_with(own)) {
        return None;
    }
    let readings = Readings::of(&here.target);
    let found = match &readings {
        Some(readings) => directory.sites.find(here.as_authority(), here.https, readings),
        None => Found::PathUnlisted,
    };
    let declared = match found {
        Found::Site(entry) if entry.site.upstream.is_some() => entry.site.address.https,
        Found::Site(_) | Found::HostUnlisted => return None,
        // The host is ours to answer for, whatever the path.
        Found::PathUnlisted => directory.sites.forwards_host(&here.host).then_some(here.https)?,
    };
    here.https |= declared;
    Some(here)
}

/// Is a request for a site that we forward to?
pub(crate) fn is_ours(app: &App, headers: &HeaderMap, uri: &Uri, peer: IpAddr) -> bool {
    wanted(app, headers, uri, peer).is_some()
}

/// Decides, and forwards.
pub(crate) async fn forward(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let peer = forwarded::peer(&parts.extensions);
    let Some(place) = wanted(&app, &parts.headers, &parts.uri, peer) else {
        // The picture changed since the request was looked at.
        return Reply::empty(StatusCode::MISDIRECTED_REQUEST).into_response();
    };
    let original = Original {
        place,
        method: Some(upstream::method(&parts)),
    };
    let pass = {
        let call = Call::new(&app, &parts.headers, peer);
        match call.pass_or_answer(Proxy::Caddy, &original).await {
            Ok(pass) => pass,
            Err(answer) => return answer,
        }
    };
    send(&app, pass, &original.place, parts, body, peer).await
}

async fn send(
    app: &App,
    pass: Pass,
    place: &Place,
    parts: Parts,
    body: axum::body::Body,
    peer: IpAddr,
) -> Response {
    let Some(upstream) = &pass.entry.site.upstream else {
        return Reply::empty(StatusCode::MISDIRECTED_REQUEST).into_response();
    };
    let failed = |entry: &SiteEntry, error: Unreachable, parts_headers: &HeaderMap| {
        let incident = app.doorward.incident();
        tracing::warn!(incident, site = &*entry.name, %error, "a service gave no answer");
        let status = match error.kind() {
            Kind::Connect | Kind::Tls | Kind::Broken => StatusCode::BAD_GATEWAY,
            Kind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Kind::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Loop => StatusCode::LOOP_DETECTED,
            Kind::Stalled => StatusCode::REQUEST_TIMEOUT,
            Kind::Refused => StatusCode::NOT_IMPLEMENTED,
        };
        let call = Call::new(app, parts_headers, peer);
        let mut response = call.service_page(status, &entry.application.name, &incident);
        response.extensions_mut().insert(Noted(incident));
        response
    };
    let Ok(url) = Url::parse(&upstream.url) else {
        return Reply::empty(StatusCode::BAD_GATEWAY).into_response();
    };
    let (set, _) = forward_auth::identity_headers(app, &pass, false);
    let trusts = &*app.options.trusts;
    let client = forwarded::client_ip(peer, &parts.headers, trusts);
    let authority = place.authority();
    let before = Before {
        scheme: if place.https { "https" } else { "http" },
        host: &authority,
        peer,
        client,
        trusted: trusts(peer),
        strip: &NAMES,
        set: without_ours(set),
        own_cookies: &OWN_COOKIES,
        authorization: match pass.authorization {
            core::Authorization::Passes => Authorization::Pass,
            core::Authorization::Stripped => Authorization::Strip,
        },
    };
    // One that cannot be read fits no service.
    let pinned = upstream
        .certificate
        .as_ref()
        .map(|text| CertificateDer::from(STANDARD.decode(text).unwrap_or_default()));
    let target = Target {
        url: &url,
        host_header: if upstream.pass_host {
            HostHeader::Visitor
        } else {
            HostHeader::Upstream
        },
        trust: match &pinned {
            Some(certificate) => Trust::Pinned(certificate),
            None if upstream.insecure => Trust::Anything,
            None => Trust::Authorities,
        },
        connect_timeout: CONNECT,
        head_timeout: Duration::from_millis(u64::try_from(upstream.timeout.millis()).unwrap_or(60_000)),
        idle: IDLE,
    };
    let shown = parts.headers.clone();
    let entry = Arc::clone(&pass.entry);
    let request = Request::from_parts(parts, body);
    match app.upstreams.forward(request, target, before).await {
        Ok(response) => response,
        Err(error) => failed(&entry, error, &shown),
    }
}

/// The identity headers alone: what else an answer to a proxy has is not for the service.
fn without_ours(mut headers: HeaderMap) -> HeaderMap {
    headers.remove(http::header::CACHE_CONTROL);
    headers
}
