//! Tunnels: what is left of HTTP after a change of protocol. Bytes pass both ways until one side ends, nothing moves for too
//! long, or the server stops.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::Places;
use crate::pulse::Held;

/// How long the change of protocol may take on both sides.
const HANDOVER: Duration = Duration::from_secs(10);
/// When the server stops, a tunnel that is silent for this long is closed: a WebSocket never ends by itself.
const LAST_SILENCE: Duration = Duration::from_millis(300);

/// Opens the tunnel as soon as both sides have changed the protocol. The connection of the visitor keeps its place.
pub(super) fn open(
    visitor: OnUpgrade,
    upstream: OnUpgrade,
    held: Option<Held>,
    places: Places,
    idle: Duration,
) {
    tokio::spawn(async move {
        let both = async { tokio::try_join!(visitor, upstream) };
        match tokio::time::timeout(HANDOVER, both).await {
            Ok(Ok((visitor, upstream))) => {
                pass(TokioIo::new(visitor), TokioIo::new(upstream), held, idle).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a change of protocol came to nothing"),
            Err(_) => tracing::debug!("a change of protocol took too long"),
        }
        drop(places);
    });
}

async fn pass(
    visitor: impl AsyncRead + AsyncWrite + Unpin,
    mut upstream: impl AsyncRead + AsyncWrite + Unpin,
    held: Option<Held>,
    idle: Duration,
) {
    let last = Arc::new(Mutex::new(Instant::now()));
    let mut visitor = Watched {
        stream: visitor,
        last: Arc::clone(&last),
    };
    let stopping = async {
        let Some(mut held) = held else {
            return std::future::pending().await;
        };
        held.stopping().await;
        silence(&last, LAST_SILENCE).await;
    };
    tokio::select! {
        result = tokio::io::copy_bidirectional(&mut visitor, &mut upstream) => {
            if let Err(error) = result {
                tracing::debug!(%error, "a tunnel ended early");
            }
        }
        () = silence(&last, idle) => tracing::debug!("a tunnel was silent for too long"),
        () = stopping => tracing::debug!("a tunnel was closed because the server stops"),
    }
}

/// Resolves when nothing has moved for that long.
async fn silence(last: &Mutex<Instant>, length: Duration) {
    loop {
        let due = *last.lock().unwrap_or_else(PoisonError::into_inner) + length;
        if due <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(due).await;
    }
}

/// A stream that remembers when something moved.
struct Watched<S> {
    stream: S,
    last: Arc<Mutex<Instant>>,
}

impl<S> Watched<S> {
    fn moved(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_ready() {
            self.moved();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if polled.is_ready() {
            self.moved();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
