//! What a service answered, made ready for the visitor.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONNECTION, HeaderName, HeaderValue, LOCATION, UPGRADE};
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::upgrade::OnUpgrade;

use super::body::Received;
use super::plan::{Plan, Wish, authority};
use super::pool::Lease;
use super::{Before, HostHeader, Kind, Passed, Places, Target, Unreachable, fields};

const SEC_WEBSOCKET_ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");

/// What has to be known about the request.
pub(super) struct Answer<'a> {
    pub(super) target: &'a Target<'a>,
    pub(super) before: &'a Before<'a>,
    pub(super) plan: &'a Plan,
}

/// An agreed change of protocol.
pub(super) struct Switched {
    pub(super) response: Response,
    pub(super) upstream: OnUpgrade,
}

impl Answer<'_> {
    /// An ordinary answer.
    pub(super) fn finished(
        &self,
        response: http::Response<Incoming>,
        lease: Lease,
        places: Places,
    ) -> Result<Response, Unreachable> {
        let (mut parts, body) = response.into_parts();
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(lease.unreachable(Kind::Broken, "101 to a request that did not ask for it"));
        }
        if !fields::is_plain_coding(&parts.headers) {
            return Err(lease.unreachable(Kind::Broken, "a transfer coding besides `chunked`"));
        }
        let exact = body.size_hint().exact();
        let reason = parts.extensions.remove::<ReasonPhrase>();
        let load = lease.give_back();
        let body = Body::new(Received::new(body, self.target.idle, places, load));
        let mut answer = Response::new(body);
        *answer.status_mut() = parts.status;
        *answer.headers_mut() = fields::response(
            &parts.headers,
            self.before.own_cookies,
            parts.status,
            &self.plan.method,
            exact,
        );
        self.turn_back(answer.headers_mut());
        if let Some(reason) = reason {
            answer.extensions_mut().insert(reason);
        }
        answer.extensions_mut().insert(Passed);
        Ok(answer)
    }

    /// The service agreed to change the protocol.
    pub(super) fn switched(
        &self,
        mut response: http::Response<Incoming>,
        wish: &Wish,
    ) -> Result<Switched, Unreachable> {
        let wanted = wish.protocol();
        let agreed = fields::upgrade(response.headers())
            .is_some_and(|got| got.as_bytes().eq_ignore_ascii_case(wanted.as_bytes()));
        if !agreed {
            return Err(Unreachable::new(
                Kind::Broken,
                "101 to another protocol than was asked for",
            ));
        }
        let upstream = hyper::upgrade::on(&mut response);
        let mut headers = fields::response(
            response.headers(),
            self.before.own_cookies,
            StatusCode::SWITCHING_PROTOCOLS,
            &self.plan.method,
            None,
        );
        let mut answer = Response::new(Body::empty());
        match wish {
            Wish::Upgrade(_) => {
                *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(UPGRADE, wanted);
            }
            // RFC 8441 section 5: the answer is 200, and it has neither of the two, nor this.
            Wish::Connect => {
                headers.remove(SEC_WEBSOCKET_ACCEPT);
            }
        }
        *answer.headers_mut() = headers;
        answer.extensions_mut().insert(Passed);
        Ok(Switched {
            response: answer,
            upstream,
        })
    }

    /// A service that sees its own host redirects to it; the visitor only knows the one that was typed.
    fn turn_back(&self, headers: &mut HeaderMap) {
        if self.target.host_header != HostHeader::Upstream {
            return;
        }
        let url = self.target.url;
        let scheme = if url.scheme() == "h2c" {
            "http"
        } else {
            url.scheme()
        };
        let own = format!("{scheme}://{}", authority(url));
        let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else {
            return;
        };
        let Some(rest) = location.strip_prefix(&own) else {
            return;
        };
        if !(rest.is_empty() || rest.starts_with(['/', '?', '#'])) {
            return;
        }
        let base = url.path().trim_end_matches('/');
        let rest = match rest.strip_prefix(base) {
            Some(inside) if inside.is_empty() || inside.starts_with(['/', '?', '#']) => inside,
            _ => rest,
        };
        let text = format!("{}://{}{rest}", self.before.scheme, self.before.host);
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(LOCATION, value);
        }
    }
}
