//! Opening a connection to a service: names, TCP, TLS, and the first words of HTTP.

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::body::Sent;
use super::pool::{Entry, MOST_SHARED, Protocol};
use super::{Kind, Outbound, Unreachable, tls};

/// How long one of several addresses may take before the next is tried.
const ONE_OF_SEVERAL: Duration = Duration::from_secs(1);
/// A service that says nothing is asked after this long whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(20);
/// Bytes that one answer may have under way over HTTP/2.
const WINDOW: u32 = 256 * 1024;

/// Which connections will do for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// What the service prefers.
    Any,
    /// HTTP/1.1, for its upgrades or because nothing else was agreed.
    One,
    /// HTTP/2.
    Two,
}

/// An open connection.
pub(super) enum Channel {
    One(http1::SendRequest<Sent>),
    Two(http2::SendRequest<Sent>),
}

impl Channel {
    /// Sends. Dropping the future calls the request off.
    pub(super) async fn send(
        &mut self,
        request: Request<Sent>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Sent>>> {
        match self {
            Self::One(sender) => sender.try_send_request(request).await,
            Self::Two(sender) => sender.try_send_request(request).await,
        }
    }
}

/// Opens a connection.
pub(super) async fn open(outbound: &Outbound, entry: &Entry, want: Want) -> Result<Channel, Unreachable> {
    let stream = dial(outbound, entry).await?;
    match entry.key.protocol {
        Protocol::Plain => one(stream, entry).await,
        Protocol::PriorKnowledge => two(stream, entry).await,
        Protocol::Tls => {
            let failed = |error: String| entry.unreachable(Kind::Tls, error);
            let name =
                ServerName::try_from(entry.key.host.clone()).map_err(|error| failed(error.to_string()))?;
            let connector = tls::connector(outbound, entry, want).map_err(failed)?;
            let stream = connector
                .connect(name, stream)
                .await
                .map_err(|error| failed(super::chain(&error)))?;
            let agreed = stream.get_ref().1.alpn_protocol();
            if want != Want::One && agreed == Some(tls::H2) {
                two(stream, entry).await
            } else {
                one(stream, entry).await
            }
        }
    }
}

/// The first address that answers.
async fn dial(outbound: &Outbound, entry: &Entry) -> Result<TcpStream, Unreachable> {
    let failed = |error: String| entry.unreachable(Kind::Connect, error);
    let host = entry.key.host.as_str();
    let found = tokio::net::lookup_host((host, entry.key.port))
        .await
        .map_err(|error| failed(error.to_string()))?;
    // Asked about what the name leads to now, and that is what is called.
    let (allowed, refused): (Vec<SocketAddr>, Vec<SocketAddr>) =
        found.partition(|address| (outbound.may_call)(address.ip()));
    let mut trouble = match refused.first() {
        Some(address) => format!("{} is never called", address.ip()),
        None => "the name leads nowhere".to_owned(),
    };
    let mut left = allowed.len();
    for address in allowed {
        left -= 1;
        let connecting = TcpStream::connect(address);
        let connected = if left == 0 {
            connecting.await
        } else {
            match tokio::time::timeout(ONE_OF_SEVERAL, connecting).await {
                Ok(connected) => connected,
                Err(late) => Err(late.into()),
            }
        };
        match connected {
            Ok(stream) => {
                let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
                let set = stream
                    .set_nodelay(true)
                    .and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&keepalive));
                if let Err(error) = set {
                    tracing::debug!(%error, "options of a socket were not set");
                }
                return Ok(stream);
            }
            Err(error) => trouble = format!("{}: {error}", address.ip()),
        }
    }
    Err(failed(trouble))
}

async fn one(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    entry: &Entry,
) -> Result<Channel, Unreachable> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| entry.unreachable(Kind::Broken, super::chain(&error)))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(error = %super::chain(&error), "a connection to a service ended early");
        }
    });
    Ok(Channel::One(sender))
}

async fn two(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    entry: &Entry,
) -> Result<Channel, Unreachable> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_ANSWER)
        // There is room on the connection for all answers that share it: visitors who do not read stop nobody else.
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * MOST_SHARED);
    let (sender, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| entry.unreachable(Kind::Broken, super::chain(&error)))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = %super::chain(&error), "a connection to a service ended early");
        }
    });
    Ok(Channel::Two(sender))
}
