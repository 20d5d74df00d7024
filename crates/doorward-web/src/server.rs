//! Sockets: accept, TLS, limits on time and number, graceful stop.

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use socket2::{SockRef, TcpKeepalive};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::Service;

use doorward_core::Doorward;

use crate::pulse::{Beating, Pulse, Tether};
use crate::{Options, router};

/// What a socket serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All routes.
    Everything,
    /// Metrics, health and version only.
    Metrics,
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
    let metrics = router::operation_router(doorward, options.clone());
    let limits = Limits {
        header_read_timeout: options.header_read_timeout,
        connections: options.connections,
        grace: options.shutdown_grace,
        idle: IDLE,
    };
    let served = listeners.into_iter().map(|listener| {
        let router = if listener.role == Role::Metrics {
            metrics.clone()
        } else {
            everything.clone()
        };
        (listener, router)
    });
    serve_each(served, limits, shutdown).await;
    Ok(())
}

/// Serves each listener's router until `shutdown` resolves.
pub(crate) async fn serve_each(
    served: impl Iterator<Item = (Listener, Router)>,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let (stop, stopped) = watch::channel(false);
    let mut loops = Vec::new();
    for (listener, router) in served {
        let accept = Accept {
            socket: listener.socket,
            tls: listener.tls.map(TlsAcceptor::from),
            router,
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
    router: Router,
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
                    tokio::spawn(accept.connection(stream, peer, &graceful, pulse, tether));
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
        graceful: &GracefulShutdown,
        pulse: Arc<Pulse>,
        tether: Tether,
    ) -> impl Future<Output = ()> + Send + 'static {
        let watcher = graceful.watcher();
        let router = self.router.clone();
        let tls = self.tls.clone();
        let limits = self.limits;
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_read_timeout);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20))
            .max_concurrent_streams(128)
            // WebSockets over HTTP/2 (RFC 8441).
            .enable_connect_protocol();
        async move {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY was not set");
            }
            let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
            if let Err(error) = SockRef::from(&stream).set_tcp_keepalive(&keepalive) {
                tracing::debug!(%error, "keepalive was not set");
            }
            let beat = Arc::clone(&pulse);
            let service =
                hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
                    request.extensions_mut().insert(ConnectInfo(peer));
                    request.extensions_mut().insert(tether.clone());
                    let running = beat.begin();
                    let pulse = Arc::clone(&beat);
                    let answer = router.clone().call(request.map(Body::new));
                    async move {
                        let answer = answer.await?;
                        Ok::<_, Infallible>(answer.map(|body| Beating::new(body, pulse, running)))
                    }
                });
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
            let served = builder
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .into_owned();
            let result = tokio::select! {
                result = watcher.watch(served) => result,
                () = pulse.stopped(limits.header_read_timeout, limits.idle) => return,
            };
            if let Err(error) = result {
                tracing::debug!(%peer, error, "a connection ended early");
            }
        }
    }
}
