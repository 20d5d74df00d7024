//! What the sockets serve. Rows of the map that are asked for all the time name a lane past the router; everything else goes
//! through it. Either way the same row of the table counts, logs and sets the headers.
//!
//! Must not live here: which rows those are, what they answer.

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, Uri};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::any::Any;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service as _;

use crate::pulse::Beating;
use crate::router::{Begun, Stats, panicked};
use crate::{App, forwarded, forwarding};

/// A request as far as an answer from memory needs it.
pub(crate) struct Glance<'a> {
    pub(crate) app: &'a App,
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) peer: IpAddr,
    /// What stands in the place of the path's parameter, when it has one; never empty.
    pub(crate) name: Option<&'a str>,
}

/// Answers from memory, or leaves it to the handler of the row. Never waits. The answer has all of its headers already, those that
/// every answer has too.
pub(crate) type AtHand = fn(&Glance<'_>) -> Option<Response<Payload>>;

/// An answer under way.
pub(crate) type Work = Pin<Box<dyn Future<Output = axum::response::Response> + Send>>;

/// The row's handler for requests without a body that counts: every method but HEAD.
pub(crate) type Direct = fn(App, Parts, IpAddr) -> Work;

/// What is answered at hand, or without the router when it takes longer.
#[derive(Clone, Copy)]
pub(crate) struct Door {
    pub(crate) at_hand: AtHand,
    pub(crate) handler: Direct,
}

/// A way past the router.
#[derive(Clone, Copy)]
pub(crate) enum Lane {
    AtHand(AtHand),
    Direct(Door),
}

struct Row {
    stats: Arc<Stats>,
    lane: Lane,
}

/// The whole service of a socket. Cloning is cheap.
#[derive(Clone)]
pub struct Service {
    routed: Router,
    /// For requests to sites that this program forwards to.
    forwards: Router,
    lanes: Option<Arc<Lanes>>,
}

/// All rows with a lane.
pub(crate) struct Lanes {
    app: App,
    rows: matchit::Router<Row>,
}

/// What became of a request in the lanes.
pub(crate) enum Passed<B> {
    Answered(Response<Payload>),
    Working(Working),
    /// Nothing: it is the router's.
    On(Request<B>),
}

/// A direct answer under way.
pub(crate) struct Working {
    stats: Arc<Stats>,
    begun: Begun,
    work: Work,
}

impl Working {
    /// Waits for the answer.
    pub(crate) async fn done(mut self) -> Response<Body> {
        let answered = poll_fn(|context| {
            let poll = || self.work.as_mut().poll(context);
            match catch_unwind(AssertUnwindSafe(poll)) {
                Ok(polled) => polled.map(Ok),
                Err(cause) => Poll::Ready(Err(cause)),
            }
        });
        match answered.await {
            Ok(mut response) => {
                self.stats.end(&self.begun, &mut response);
                response
            }
            Err(cause) => panicked(cause),
        }
    }
}

impl Lanes {
    pub(crate) fn new(app: App) -> Self {
        Self {
            app,
            rows: matchit::Router::new(),
        }
    }

    /// Adds a row under one of its paths, when it has a lane.
    pub(crate) fn add(&mut self, path: &str, (stats, lane): &(Arc<Stats>, Option<Lane>)) {
        let Some(lane) = *lane else { return };
        let stats = Arc::clone(stats);
        // A path that cannot stand here cannot stand in the router either, which says so.
        if let Err(error) = self.rows.insert(path, Row { stats, lane }) {
            tracing::error!(%error, path, "a path has no lane");
        }
    }

    fn pass<B>(&self, request: Request<B>, peer: IpAddr) -> Passed<B> {
        let method = request.method();
        let Ok(found) = self.rows.at(request.uri().path()) else {
            return Passed::On(request);
        };
        // The host of a site that we forward to is the service's, whatever the path.
        if forwarding::is_ours(&self.app, request.headers(), request.uri(), peer) {
            return Passed::On(request);
        }
        let Row { stats, lane } = found.value;
        let mut glance = Glance {
            app: &self.app,
            method,
            uri: request.uri(),
            headers: request.headers(),
            peer,
            name: None,
        };
        let (at_hand, handler) = match *lane {
            Lane::AtHand(at_hand) if *method == Method::GET => {
                glance.name = found.params.iter().next().map(|(_, value)| value);
                // The router decodes, and nobody's name is empty.
                if glance
                    .name
                    .is_some_and(|name| name.is_empty() || name.contains('%'))
                {
                    return Passed::On(request);
                }
                (at_hand, None)
            }
            Lane::Direct(Door { at_hand, handler }) if *method != Method::HEAD => (at_hand, Some(handler)),
            Lane::AtHand(_) | Lane::Direct(_) => return Passed::On(request),
        };
        let begun = stats.begin(method, request.headers(), || peer);
        match (catch_unwind(AssertUnwindSafe(|| at_hand(&glance))), handler) {
            (Ok(Some(response)), _) => {
                stats.count(&begun, &response);
                Passed::Answered(response)
            }
            (Err(cause), _) => Passed::Answered(whole_panicked(cause)),
            (Ok(None), None) => Passed::On(request),
            (Ok(None), Some(handler)) => {
                let (parts, _) = request.into_parts();
                Passed::Working(Working {
                    stats: Arc::clone(stats),
                    begun,
                    work: handler(self.app.clone(), parts, peer),
                })
            }
        }
    }
}

fn whole_panicked(cause: Box<dyn Any + Send>) -> Response<Payload> {
    panicked(cause).map(Payload::from)
}

impl From<Router> for Service {
    fn from(routed: Router) -> Self {
        Self {
            routed,
            forwards: Router::new(),
            lanes: None,
        }
    }
}

impl Service {
    pub(crate) fn new(routed: Router, forwards: Router, lanes: Lanes) -> Self {
        let lanes = Some(Arc::new(lanes));
        Self {
            routed,
            forwards,
            lanes,
        }
    }

    /// The router for a request: ours, or the one that sends it on to a service.
    fn router_for<B>(&self, request: &Request<B>, peer: IpAddr) -> Router {
        let ours = self
            .lanes
            .as_ref()
            .is_some_and(|lanes| forwarding::is_ours(&lanes.app, request.headers(), request.uri(), peer));
        if ours {
            self.forwards.clone()
        } else {
            self.routed.clone()
        }
    }

    /// Tries the lanes.
    pub(crate) fn pass<B>(&self, request: Request<B>, peer: IpAddr) -> Passed<B> {
        match &self.lanes {
            Some(lanes) => lanes.pass(request, peer),
            None => Passed::On(request),
        }
    }

    /// Sends a request through the router.
    pub(crate) fn route<B>(
        &self,
        mut request: Request<B>,
        peer: SocketAddr,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<B>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let mut router = self.router_for(&request, peer.ip().to_canonical());
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request.map(Body::new))
    }
}

/// For tests, without a socket: the peer stands in the extensions.
impl tower::Service<Request<Body>> for Service {
    type Response = Response<Payload>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let peer = forwarded::peer(request.extensions());
        match self.pass(request, peer) {
            Passed::Answered(response) => Box::pin(std::future::ready(Ok(response))),
            Passed::Working(working) => Box::pin(async move { Ok(working.done().await.map(Payload::from)) }),
            Passed::On(request) => {
                let answer = self.router_for(&request, peer).call(request);
                Box::pin(async move { Ok(answer.await?.map(Payload::from)) })
            }
        }
    }
}

/// A body: bytes that are all there, or one of the router's.
pub struct Payload(Content);

enum Content {
    Whole(Bytes),
    Routed(Body),
    Beating(Beating),
}

impl Payload {
    /// No bytes at all.
    pub(crate) const fn empty() -> Self {
        Self(Content::Whole(Bytes::new()))
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(Content::Whole(bytes))
    }
}

impl From<Body> for Payload {
    fn from(body: Body) -> Self {
        Self(Content::Routed(body))
    }
}

impl From<Beating> for Payload {
    fn from(body: Beating) -> Self {
        Self(Content::Beating(body))
    }
}

impl HttpBody for Payload {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.get_mut().0 {
            Content::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Routed(body) => Pin::new(body).poll_frame(context),
            Content::Beating(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Routed(body) => body.is_end_stream(),
            Content::Beating(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Content::Routed(body) => body.size_hint(),
            Content::Beating(body) => body.size_hint(),
        }
    }
}
