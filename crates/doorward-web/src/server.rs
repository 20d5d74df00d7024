//! Sockets: accept, TLS, limits on time and number, graceful stop.

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::Service;

use doorward_core::Doorward;

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
    let (stop, stopped) = watch::channel(false);
    let mut loops = Vec::new();
    for listener in listeners {
        let router = if listener.role == Role::Metrics {
            metrics.clone()
        } else {
            everything.clone()
        };
        let accept = Accept {
            socket: listener.socket,
            tls: listener.tls.map(TlsAcceptor::from),
            router,
            // Each listener has its own, so that probes are answered when the doors are crowded.
            places: Arc::new(Semaphore::new(options.connections.max(1))),
            header_read_timeout: options.header_read_timeout,
            grace: options.shutdown_grace,
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
    Ok(())
}

/// A stream of either sort.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection without a request for this long is closed.
const IDLE: Duration = Duration::from_secs(120);

/// Is a connection used? One that never asks, or no longer does, gives its place back.
#[derive(Default)]
struct Pulse {
    begun: AtomicUsize,
    running: AtomicUsize,
}

/// A request under way.
struct Running(Arc<Pulse>);

impl Pulse {
    fn begin(self: &Arc<Self>) -> Running {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// Ends when nothing was asked within `first`, or nothing more within [`IDLE`].
    async fn stopped(&self, first: Duration) {
        tokio::time::sleep(first).await;
        let mut before = 0;
        loop {
            let begun = self.begun.load(Ordering::Relaxed);
            if begun == before && self.running.load(Ordering::Relaxed) == 0 {
                return;
            }
            before = begun;
            tokio::time::sleep(IDLE).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Accept {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    places: Arc<Semaphore>,
    header_read_timeout: Duration,
    grace: Duration,
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
                    let connection = accept.connection(stream, peer, &graceful);
                    tokio::spawn(async move {
                        connection.await;
                        drop(place);
                    });
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
        if tokio::time::timeout(accept.grace, graceful.shutdown())
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
    ) -> impl Future<Output = ()> + Send + 'static {
        let watcher = graceful.watcher();
        let router = self.router.clone();
        let tls = self.tls.clone();
        let first = self.header_read_timeout;
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_read_timeout);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20))
            .max_concurrent_streams(128);
        async move {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY was not set");
            }
            let pulse = Arc::new(Pulse::default());
            let beat = Arc::clone(&pulse);
            let service =
                hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
                    request.extensions_mut().insert(ConnectInfo(peer));
                    let running = beat.begin();
                    let answer = router.clone().call(request.map(Body::new));
                    async move {
                        let answer = answer.await;
                        drop(running);
                        answer
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
                .serve_connection(TokioIo::new(stream), service)
                .into_owned();
            let result = tokio::select! {
                result = watcher.watch(served) => result,
                () = pulse.stopped(first) => return,
            };
            if let Err(error) = result {
                tracing::debug!(%peer, error, "a connection ended early");
            }
        }
    }
}
