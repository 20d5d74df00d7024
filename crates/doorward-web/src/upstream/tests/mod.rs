//! The engine between real sockets: a door with the server's own accept loop, services that speak each protocol or follow a
//! script, and visitors who send what they like.

mod failures;
mod headers;
mod protocols;
mod smuggling;
mod streams;
mod tunnels;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

use super::*;
use crate::server::{Limits, Listener, Role, serve_each};

const CERTIFICATE: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../doorward/tests/data/first.cert.pem"
));
const KEY: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../doorward/tests/data/first.key.pem"
));
const OTHER_KEY: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../doorward/tests/data/second.key.pem"
));
const OTHER_CERTIFICATE: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../doorward/tests/data/second.cert.pem"
));

fn certificate(pem: &[u8]) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem).unwrap()
}

/// What a door does with every request.
#[derive(Clone)]
struct Site {
    url: String,
    host_header: HostHeader,
    trust: Proof,
    connect: Duration,
    head: Duration,
    idle: Duration,
    trusted: bool,
    set: HeaderMap,
    strip: Vec<HeaderName>,
    authorization: Authorization,
    may_call: bool,
    connections: usize,
    /// Of the door's own connections.
    door_idle: Duration,
    grace: Duration,
}

#[derive(Clone)]
enum Proof {
    Authorities,
    Pinned(CertificateDer<'static>),
    Anything,
}

impl Site {
    fn at(url: impl Into<String>) -> Self {
        let mut set = HeaderMap::new();
        set.insert("x-doorward-user", HeaderValue::from_static("alice"));
        Self {
            url: url.into(),
            host_header: HostHeader::Visitor,
            trust: Proof::Authorities,
            connect: Duration::from_secs(5),
            head: Duration::from_secs(20),
            idle: Duration::from_secs(60),
            trusted: false,
            set,
            strip: ["x-doorward-user", "x-doorward-groups", "remote-user"]
                .map(HeaderName::from_static)
                .to_vec(),
            authorization: Authorization::Pass,
            may_call: true,
            connections: 64,
            door_idle: Duration::from_secs(120),
            grace: Duration::from_secs(5),
        }
    }

    async fn open(self) -> Door {
        self.listen(None).await
    }

    /// Listens as the server does.
    async fn listen(self, tls: Option<Arc<rustls::ServerConfig>>) -> Door {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let roots = || {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(certificate(CERTIFICATE)).unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            Ok(Arc::new(config))
        };
        let may_call = self.may_call;
        let outbound = Outbound {
            tls: Arc::new(roots),
            may_call: Arc::new(move |_| may_call),
        };
        let limits = Limits {
            header_read_timeout: self.door_idle.min(Duration::from_secs(5)),
            connections: self.connections,
            grace: self.grace,
            idle: self.door_idle,
        };
        let upstreams = Upstreams::new(outbound, self.connections);
        let router = Router::new()
            .fallback(pass)
            .with_state((upstreams, Arc::new(self)));
        let listener = Listener {
            socket,
            tls,
            role: Role::Everything,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _gone = stopped.await;
        };
        let served = tokio::spawn(serve_each([(listener, router)].into_iter(), limits, shutdown));
        Door {
            address,
            stop: Some(stop),
            served,
        }
    }
}

async fn pass(State((upstreams, site)): State<(Upstreams, Arc<Site>)>, request: Request) -> Response {
    let url = Url::parse(&site.url).unwrap();
    let host = request
        .uri()
        .authority()
        .map(|authority| authority.as_str().to_owned())
        .or_else(|| Some(request.headers().get("host")?.to_str().ok()?.to_owned()))
        .unwrap_or_default();
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .unwrap()
        .0
        .ip();
    let target = Target {
        url: &url,
        host_header: site.host_header,
        trust: match &site.trust {
            Proof::Authorities => Trust::Authorities,
            Proof::Pinned(certificate) => Trust::Pinned(certificate),
            Proof::Anything => Trust::Anything,
        },
        connect_timeout: site.connect,
        head_timeout: site.head,
        idle: site.idle,
    };
    let before = Before {
        scheme: "https",
        host: &host,
        peer,
        client: if site.trusted {
            IpAddr::from([203, 0, 113, 9])
        } else {
            peer
        },
        trusted: site.trusted,
        strip: &site.strip,
        set: site.set.clone(),
        own_cookies: &["__Host-doorward_session", "doorward_site"],
        authorization: site.authorization,
    };
    match upstreams.forward(request, target, before).await {
        Ok(answer) => {
            assert!(answer.extensions().get::<Passed>().is_some());
            answer
        }
        Err(unreachable) => (StatusCode::BAD_GATEWAY, unreachable.kind().code()).into_response(),
    }
}

/// A server with our accept loop.
struct Door {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Door {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and reads until the door hangs up.
    async fn raw(&self, bytes: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A door that hangs up on unread bytes resets the connection; what was said before counts.
        let _reset = soon(stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Asks with these header lines and reads the whole answer.
    async fn get(&self, path: &str, lines: &str) -> String {
        self.raw(&format!(
            "GET {path} HTTP/1.1\r\nHost: app.example.org\r\nConnection: close\r\n{lines}\r\n"
        ))
        .await
    }

    async fn one(&self) -> hyper::client::conn::http1::SendRequest<Body> {
        let io = TokioIo::new(self.connect().await);
        let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender
    }

    async fn two(&self) -> hyper::client::conn::http2::SendRequest<Body> {
        let io = TokioIo::new(self.connect().await);
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
            .await
            .unwrap();
        tokio::spawn(connection);
        sender
    }

    fn stop(&mut self) {
        drop(self.stop.take());
    }
}

/// Nothing in a test takes longer; only a hang does.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("in time")
}

/// Waits until something holds.
async fn until(what: impl Fn() -> bool) {
    soon(async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A service that follows a script on each connection. Gives its address and how many connections there were.
async fn scripted<F, R>(script: F) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Fn(TcpStream, usize) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let number = counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(script(stream, number));
        }
    });
    (address, count)
}

/// Reads a head, byte by byte, so that nothing behind it is taken.
async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// How a service is spoken to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    One,
    Two,
    TlsOne,
    TlsTwo,
    /// With a certificate that no authority vouches for.
    TlsOther,
}

/// A service on hyper. Gives its address and how many connections there were.
async fn service<F, R>(speaks: Speaks, answer: F) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Fn(http::Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = http::Response<Body>> + Send + 'static,
{
    let mut tls = if speaks == Speaks::TlsOther {
        server_tls_with(OTHER_CERTIFICATE, OTHER_KEY)
    } else {
        server_tls()
    };
    if speaks == Speaks::TlsOne {
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    }
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    scripted(move |stream, _| {
        let answer = answer.clone();
        let acceptor = acceptor.clone();
        async move {
            let service = hyper::service::service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ended = match speaks {
                Speaks::One => {
                    let builder = builder.http1_only();
                    builder
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await
                }
                Speaks::Two => {
                    let builder = builder.http2_only();
                    builder.serve_connection(TokioIo::new(stream), service).await
                }
                Speaks::TlsOne | Speaks::TlsTwo | Speaks::TlsOther => {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    builder
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await
                }
            };
        }
    })
    .await
}

fn server_tls() -> rustls::ServerConfig {
    server_tls_with(CERTIFICATE, KEY)
}

fn server_tls_with(shown: &[u8], key: &[u8]) -> rustls::ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate(shown)],
            PrivateKeyDer::from_pem_slice(key).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// Shows the request as the service saw it: version, method, target, fields, body.
async fn mirror(request: http::Request<Incoming>) -> http::Response<Body> {
    let (parts, body) = request.into_parts();
    let collected = body.collect().await;
    let mut text = format!("{:?} {} {}\n", parts.version, parts.method, parts.uri);
    let mut push = |headers: &HeaderMap| {
        for (name, value) in headers {
            text.push_str(&format!(
                "{name}: {}\n",
                String::from_utf8_lossy(value.as_bytes())
            ));
        }
    };
    push(&parts.headers);
    match collected {
        Ok(collected) => {
            if let Some(trailers) = collected.trailers() {
                push(trailers);
            }
            let bytes = collected.to_bytes();
            text.push_str(&format!("\n{}", String::from_utf8_lossy(&bytes)));
        }
        Err(error) => text.push_str(&format!("\nbroken: {error}")),
    }
    http::Response::new(Body::from(text))
}

/// Sends every byte back as it comes, trailers too.
async fn echo(request: http::Request<Incoming>) -> http::Response<Body> {
    http::Response::new(Body::new(request.into_body()))
}

/// A body that is written piece by piece.
struct Pieces(tokio::sync::mpsc::Receiver<http_body::Frame<bytes::Bytes>>);

impl http_body::Body for Pieces {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

type Writer = tokio::sync::mpsc::Sender<http_body::Frame<bytes::Bytes>>;

fn pieces() -> (Writer, Body) {
    let (writer, reader) = tokio::sync::mpsc::channel(1);
    (writer, Body::new(Pieces(reader)))
}

fn piece(bytes: impl Into<bytes::Bytes>) -> http_body::Frame<bytes::Bytes> {
    http_body::Frame::data(bytes.into())
}

/// The next piece of data of a body.
async fn next(body: &mut Incoming) -> String {
    let frame = soon(body.frame()).await.expect("a piece").expect("no error");
    String::from_utf8_lossy(&frame.into_data().expect("data")).into_owned()
}
