//! The engine of the reverse proxy: takes a request that was let through to a service, and brings the answer back. Bodies
//! stream both ways, upgrades become tunnels, connections are kept and used again. Who may pass, and with which identity,
//! was decided before (docs/decisions/0008-reverse-proxy-engine.md).

mod answer;
mod body;
mod connect;
mod cookies;
mod fields;
mod plan;
mod pool;
mod tls;
mod tunnel;

#[cfg(test)]
mod tests;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, Request};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use url::Url;

use crate::pulse::Tether;
use body::{Progress, Sent};
use connect::Want;
use plan::{Plan, Wish};
use pool::{Entry, Key, Lease, Pool};

/// What the program gives for calls to services.
#[derive(Clone)]
pub struct Outbound {
    /// TLS towards services whose certificate comes from an authority. Asked at the first call, so that a server that calls
    /// nobody holds no certificate store.
    pub tls: Arc<dyn Fn() -> Result<Arc<ClientConfig>, String> + Send + Sync>,
    /// May this address be called?
    pub may_call: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>,
}

/// Connections to all services. One per server; clones share them.
#[derive(Clone)]
pub(crate) struct Upstreams {
    shared: Arc<Shared>,
}

struct Shared {
    outbound: Outbound,
    pool: Arc<Pool>,
    /// Requests under way to all services together.
    places: Arc<Semaphore>,
    /// Requests under way to one service: one that hangs must not take everything.
    each: usize,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// `http`, `https`, or `h2c` (HTTP/2 with prior knowledge over plain TCP); host, port, and a path that goes before the
    /// visitor's.
    pub(crate) url: &'a Url,
    /// Which `Host` the service sees.
    pub(crate) host_header: HostHeader,
    /// What proves that it is the service (https only).
    pub(crate) trust: Trust<'a>,
    /// How long names, TCP and TLS may take together.
    pub(crate) connect_timeout: Duration,
    /// How long the service may take until the head of its answer. Time in which the visitor's body flows does not count.
    pub(crate) head_timeout: Duration,
    /// How long a tunnel or the body of an answer may be silent.
    pub(crate) idle: Duration,
}

/// Which `Host` a service sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostHeader {
    /// What the visitor typed.
    Visitor,
    /// The host of the upstream's URL. Redirects to it are turned back to what the visitor typed.
    Upstream,
}

/// What proves that an https upstream is the service.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trust<'a> {
    /// A certificate for its host from an authority that this machine trusts.
    Authorities,
    /// This very certificate, whatever it says.
    Pinned(&'a CertificateDer<'static>),
    /// Anything: protects against listening only. Said in the log.
    Anything,
}

/// What is done to a request before it leaves.
#[derive(Clone, Debug)]
pub(crate) struct Before<'a> {
    /// Scheme that the visitor used.
    pub(crate) scheme: &'a str,
    /// Host that the visitor typed, with the port when it is not the usual one.
    pub(crate) host: &'a str,
    /// The other end of the connection.
    pub(crate) peer: IpAddr,
    /// Who really called.
    pub(crate) client: IpAddr,
    /// Is the peer a proxy of ours? Then its account of the visitor is kept and continued.
    pub(crate) trusted: bool,
    /// Names that never come from outside: all identity headers, also those that are not set.
    pub(crate) strip: &'a [HeaderName],
    /// Identity headers.
    pub(crate) set: HeaderMap,
    /// Our own cookies: they neither reach the service, nor may it set them.
    pub(crate) own_cookies: &'a [&'a str],
    /// What happens to the visitor's `Authorization`.
    pub(crate) authorization: Authorization,
}

/// What happens to the visitor's `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authorization {
    /// It reaches the service.
    Pass,
    /// It was meant for us.
    Strip,
}

/// Marks an answer that came from a service: our own headers are not put on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed;

/// The method that the service will see, which is the one that rules are about: a WebSocket that comes by extended CONNECT
/// over HTTP/2 arrives there as GET, as it does over HTTP/1.1.
pub(crate) fn method(parts: &http::request::Parts) -> http::Method {
    plan::method(parts)
}

/// Why a service gave no answer. What it displays is for the operator only: it names the upstream.
#[derive(Debug)]
pub(crate) struct Unreachable {
    kind: Kind,
    detail: String,
}

/// Sort of failure; all that a visitor may learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No connection: the name, the address, or nobody listens. 502
    Connect,
    /// The handshake failed, or the certificate is not the expected one. 502
    Tls,
    /// No connection or no answer in time. 504
    Timeout,
    /// The answer ended before its head, or is none. 502
    Broken,
    /// Too many requests to this service, or to all, are under way. 503
    Busy,
    /// The request went round in a circle. 508
    Loop,
    /// The visitor's body stopped coming. 408
    Stalled,
    /// A request that cannot be forwarded: a method or a transfer coding. 501
    Refused,
}

impl Kind {
    /// Short code for pages and logs.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Connect => "upstream_connect",
            Self::Tls => "upstream_tls",
            Self::Timeout => "upstream_timeout",
            Self::Broken => "upstream_broken",
            Self::Busy => "upstream_busy",
            Self::Loop => "upstream_loop",
            Self::Stalled => "request_stalled",
            Self::Refused => "request_refused",
        }
    }
}

impl Unreachable {
    fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// All that a visitor may learn.
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code(), self.detail)
    }
}

/// Places of a request among those that are under way; given back when its answer has ended.
type Places = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Upstreams {
    /// Nothing is opened here. `connections` bounds the requests under way.
    pub(crate) fn new(outbound: Outbound, connections: usize) -> Self {
        let most = connections.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            shared: Arc::new(Shared {
                outbound,
                pool: Arc::default(),
                places: Arc::new(Semaphore::new(most)),
                each: most.div_ceil(2),
            }),
        }
    }

    /// Sends the request to the target and gives its answer, whose body streams.
    ///
    /// # Errors
    /// [`Unreachable`] when there is no answer.
    pub(crate) async fn forward(
        &self,
        request: Request<Body>,
        target: Target<'_>,
        before: Before<'_>,
    ) -> Result<Response, Unreachable> {
        let (mut parts, body) = request.into_parts();
        let tether = parts.extensions.get::<Tether>().cloned();
        let (mut plan, upgrade) = Plan::read(&mut parts, &body, &target, &before)?;
        let entry = self.shared.pool.entry(Key::of(&target)?, self.shared.each);
        let places = self.places(&entry, target.connect_timeout).await?;
        let progress = Arc::new(Progress::default());
        let body = Sent::new(body, Arc::clone(&progress), before.strip);
        let (response, lease) = self.ask(&entry, &mut plan, body, &target, &progress).await?;
        let answer = answer::Answer {
            target: &target,
            before: &before,
            plan: &plan,
        };
        if let Some((wish, visitor)) = plan.wish.as_ref().zip(upgrade) {
            if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
                let switched = answer.switched(response, wish)?;
                let held = tether.map(|tether| tether.hold());
                tunnel::open(visitor, switched.upstream, held, places, target.idle);
                return Ok(switched.response);
            }
            if *wish == Wish::Connect && response.status().is_success() {
                // The browser would take this for the beginning of the tunnel.
                return Err(Unreachable::new(Kind::Broken, "the WebSocket was not accepted"));
            }
        }
        answer.finished(response, lease, places)
    }

    /// A place among all requests and among those of this service.
    async fn places(&self, entry: &Entry, patience: Duration) -> Result<Places, Unreachable> {
        let both = async {
            let own = Arc::clone(entry.places()).acquire_owned().await.ok()?;
            let all = Arc::clone(&self.shared.places).acquire_owned().await.ok()?;
            Some((own, all))
        };
        tokio::time::timeout(patience, both)
            .await
            .ok()
            .flatten()
            .ok_or_else(|| Unreachable::new(Kind::Busy, "too many requests are under way"))
    }

    /// Asks over a connection that was used before, or over a new one. A request that found its old connection closed is
    /// sent once more over a new one, when nothing of it was sent, or when it may be repeated and has no body.
    async fn ask(
        &self,
        entry: &Arc<Entry>,
        plan: &mut Plan,
        body: Sent,
        target: &Target<'_>,
        progress: &Progress,
    ) -> Result<(http::Response<hyper::body::Incoming>, Lease), Unreachable> {
        let want = plan.want();
        let old = entry.take(want);
        let mut lease = match old {
            Some(lease) => lease,
            None => self.open(entry, want, target).await?,
        };
        let request = plan.request(&lease.channel, body)?;
        let failed = match send(&mut lease, request, target.head_timeout, progress).await {
            Ok(response) => return Ok((response, lease)),
            Err(failed) => failed,
        };
        let again = match failed.unsent {
            _ if !lease.used || failed.unreachable.kind != Kind::Broken => None,
            Some(body) => Some(body),
            None if plan.repeatable => Some(Sent::empty()),
            None => None,
        };
        let Some(body) = again else {
            return Err(failed.unreachable);
        };
        tracing::debug!(reason = %failed.unreachable, "a kept connection was closed; asking once more");
        drop(lease);
        let mut lease = self.open(entry, want, target).await?;
        let request = plan.request(&lease.channel, body)?;
        match send(&mut lease, request, target.head_timeout, progress).await {
            Ok(response) => Ok((response, lease)),
            Err(failed) => Err(failed.unreachable),
        }
    }

    /// A new connection, or one with room that somebody else has opened meanwhile.
    async fn open(&self, entry: &Arc<Entry>, want: Want, target: &Target<'_>) -> Result<Lease, Unreachable> {
        let opening = async {
            // One connection carries many requests over HTTP/2: those that come at once wait for the first.
            let turn = entry.turn(want).await;
            if turn.is_some()
                && let Some(lease) = entry.take_shared(want)
            {
                return Ok(lease);
            }
            let channel = connect::open(&self.shared.outbound, entry, want).await?;
            Ok(entry.opened(channel, want))
        };
        tokio::time::timeout(target.connect_timeout, opening)
            .await
            .unwrap_or_else(|_| Err(entry.unreachable(Kind::Timeout, "no connection in time")))
    }
}

/// A request that got no answer.
struct Failed {
    unreachable: Unreachable,
    /// Its body, when nothing of the request was sent.
    unsent: Option<Sent>,
}

async fn send(
    lease: &mut Lease,
    request: Request<Sent>,
    patience: Duration,
    progress: &Progress,
) -> Result<http::Response<hyper::body::Incoming>, Failed> {
    progress.touch(Instant::now());
    let sending = lease.channel.send(request);
    let outcome = tokio::select! {
        biased;
        outcome = sending => outcome,
        () = progress.overdue(patience) => {
            let (kind, detail) = if progress.waits_for_visitor() {
                (Kind::Stalled, "the body of the request stopped coming")
            } else {
                (Kind::Timeout, "no answer in time")
            };
            return Err(Failed { unreachable: lease.unreachable(kind, detail), unsent: None });
        }
    };
    outcome.map_err(|mut error| {
        let unsent = error.take_message().map(Request::into_body);
        let kind = if progress.failed() {
            Kind::Stalled
        } else {
            Kind::Broken
        };
        Failed {
            unreachable: lease.unreachable(kind, chain(error.error())),
            unsent,
        }
    })
}

/// The error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
