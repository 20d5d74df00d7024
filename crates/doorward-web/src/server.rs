//! Sockets: accept, TLS, limits on time and number, graceful stop.

use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use socket2::{SockRef, TcpKeepalive};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use doorward_core::Doorward;

use crate::heads::{Aside, HeadTimer, Heads};
use crate::pulse::{Beating, Pulse, Tether};
use crate::service::{Passed, Payload, Service};
use crate::{Options, router};

/// What a socket serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All routes.
    Everything,
    /// Metrics, health and version only.
    Metrics,
    /// The token API only.
    TokenApi {
        /// Is the address one that only services of our own reach?
        private: bool,
    },
}

/// A bound socket.
pub struct Listener {
    /// The socket.
    pub socket: TcpListener,
    /// TLS, when it speaks https.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// What it serves.
    pub role: Role,
}

/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves until `shutdown` resolves; then stops accepting and lets running requests end within the grace.
///
/// # Errors
/// None at present; accepting goes on after errors of single connections.
pub async fn serve(
    doorward: Doorward,
    options: Options,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let everything = router::router(doorward.clone(), options.clone());
    let metrics = router::operation_router(doorward.clone(), options.clone());
    let limits = Limits {
        header_read_timeout: options.header_read_timeout,
        connections: options.connections,
        grace: options.shutdown_grace,
        idle: IDLE,
    };
    let served = listeners.into_iter().map(|listener| {
        let router = match listener.role {
            Role::Everything => everything.clone(),
            Role::Metrics => metrics.clone(),
            Role::TokenApi { private } => router::token_router(doorward.clone(), options.clone(), private),
        };
        (listener, router)
    });
    serve_each(served, limits, shutdown).await;
    Ok(())
}

/// Serves each listener's service until `shutdown` resolves.
pub(crate) async fn serve_each(
    served: impl Iterator<Item = (Listener, impl Into<Service>)>,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let (stop, stopped) = watch::channel(false);
    let mut loops = Vec::new();
    for (listener, service) in served {
        let accept = Accept {
            socket: listener.socket,
            tls: listener.tls.map(TlsAcceptor::from),
            service: service.into(),
            // Each listener has its own, so that probes are answered when the doors are crowded.
            places: Arc::new(Semaphore::new(limits.connections.max(1))),
            limits,
        };
        loops.push(tokio::spawn(accept.run(stopped.clone())));
    }
    shutdown.await;
    if stop.send(true).is_err() {
        tracing::debug!("all listeners had ended before the signal to stop");
    }
    for running in loops {
        if let Err(error) = running.await {
            tracing::error!(%error, "a listener ended badly");
        }
    }
}

/// A stream of either sort.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection on which nothing happens for this long is closed.
const IDLE: Duration = Duration::from_secs(120);
/// A client that says nothing is asked after this long whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Limits of a server, apart from what it serves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) header_read_timeout: Duration,
    pub(crate) connections: usize,
    pub(crate) grace: Duration,
    pub(crate) idle: Duration,
}

struct Accept {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    service: Service,
    places: Arc<Semaphore>,
    limits: Limits,
}

impl Accept {
    async fn run(self, mut stopped: watch::Receiver<bool>) {
        let graceful = Arc::new(GracefulShutdown::new());
        let accept = Arc::new(self);
        loop {
            let Ok(place) = Arc::clone(&accept.places).acquire_owned().await else {
                break;
            };
            let accepted = tokio::select! {
                accepted = accept.socket.accept() => accepted,
                _ = stopped.changed() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let pulse = Arc::new(Pulse::default());
                    let tether = Tether::new(Arc::clone(&pulse), stopped.clone(), place, graceful.watcher());
                    tokio::spawn(accept.connection(stream, peer, stopped.clone(), pulse, tether));
                }
                Err(error) => {
                    // For example too many open files: wait a little instead of spinning.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        let Some(graceful) = Arc::into_inner(graceful) else {
            return;
        };
        if tokio::time::timeout(accept.limits.grace, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("some requests did not end within the grace and were cut off");
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        mut stopping: watch::Receiver<bool>,
        pulse: Arc<Pulse>,
        tether: Tether,
    ) -> impl Future<Output = ()> + Send + 'static {
        let service = self.service.clone();
        let tls = self.tls.clone();
        let limits = self.limits;
        async move {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY was not set");
            }
            let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
            if let Err(error) = SockRef::from(&stream).set_tcp_keepalive(&keepalive) {
                tracing::debug!(%error, "keepalive was not set");
            }
            let stream: Box<dyn Stream> = match tls {
                None => Box::new(stream),
                Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => Box::new(stream),
                    Ok(Err(error)) => {
                        tracing::debug!(%peer, %error, "a TLS handshake failed");
                        return;
                    }
                    Err(_) => return,
                },
            };
            let heads = Heads::new(limits.header_read_timeout);
            let builder = builder(&heads, limits);
            let beat = Arc::clone(&pulse);
            let service = hyper::service::service_fn(move |request: hyper::Request<_>| {
                answer(&service, request, peer, (&beat, &tether))
            });
            let mut served = pin!(
                builder
                    .serve_connection_with_upgrades(TokioIo::new(stream), service)
                    .into_owned()
            );
            let mut late = pin!(Aside::new(heads.watch()));
            let mut unused = pin!(Aside::new(pulse.stopped(limits.header_read_timeout, limits.idle)));
            let mut stopping = pin!(Aside::new(stopping.wait_for(|stopping| *stopping)));
            let mut told = false;
            let result = loop {
                tokio::select! {
                    biased;
                    result = &mut served => break result,
                    never = &mut late => match never {},
                    () = &mut unused => return,
                    _ = &mut stopping, if !told => {
                        told = true;
                        served.as_mut().graceful_shutdown();
                    }
                }
            };
            if let Err(error) = result {
                tracing::debug!(%peer, error, "a connection ended early");
            }
        }
    }
}

/// What speaks HTTP on one connection.
fn builder(heads: &Arc<Heads>, limits: Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(HeadTimer(Arc::clone(heads)))
        .header_read_timeout(limits.header_read_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(128)
        // WebSockets over HTTP/2 (RFC 8441).
        .enable_connect_protocol();
    builder
}

/// An answer that is there, or under way. One that is there is not made to carry the room for all that others need on their way.
enum Answer {
    There(Option<hyper::Response<Payload>>),
    Coming(Pin<Box<dyn Future<Output = Result<hyper::Response<Payload>, Infallible>> + Send>>),
}

impl Future for Answer {
    type Output = Result<hyper::Response<Payload>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::There(answer) => answer
                .take()
                .map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
            Self::Coming(answer) => answer.as_mut().poll(context),
        }
    }
}

/// Brings a request to its end.
fn answer(
    service: &Service,
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    (pulse, tether): (&Arc<Pulse>, &Tether),
) -> Answer {
    let beating = || {
        let (running, pulse) = (pulse.begin(), Arc::clone(pulse));
        |answer: hyper::Response<Body>| {
            Ok(answer.map(|body| Payload::from(Beating::new(body, pulse, running))))
        }
    };
    match service.pass(request, peer.ip().to_canonical()) {
        Passed::Answered(answer) => {
            pulse.beat();
            Answer::There(Some(answer))
        }
        Passed::Working(working) => {
            let beating = beating();
            Answer::Coming(Box::pin(async move { beating(working.done().await) }))
        }
        Passed::On(mut request) => {
            request.extensions_mut().insert(tether.clone());
            let (routed, beating) = (service.route(request, peer), beating());
            Answer::Coming(Box::pin(async move { beating(routed.await?) }))
        }
    }
}
