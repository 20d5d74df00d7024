//! Is a connection used? What its requests hold: that it counts as used, its place among the open connections, and the news
//! that the server stops.

use axum::body::{Body, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use hyper_util::server::graceful::Watcher;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Is a connection used? One that never asks, or no longer does, gives its place back.
#[derive(Default)]
pub(crate) struct Pulse {
    /// Grows with every request and every piece of an answer that the client takes.
    beats: AtomicUsize,
    /// What waits for us and not for the client.
    running: AtomicUsize,
}

/// Something under way that is not the client's turn.
pub(crate) struct Running(Arc<Pulse>);

impl Pulse {
    /// A request that is answered without waiting.
    pub(crate) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// A request, or a wait for something that is not the client.
    pub(crate) fn begin(self: &Arc<Self>) -> Running {
        self.beat();
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// Ends when nothing was asked within `first`, or nothing more happened within `idle`.
    pub(crate) async fn stopped(&self, first: Duration, idle: Duration) {
        tokio::time::sleep(first).await;
        let mut before = 0;
        loop {
            let beats = self.beats.load(Ordering::Relaxed);
            if beats == before && self.running.load(Ordering::Relaxed) == 0 {
                return;
            }
            before = beats;
            tokio::time::sleep(idle).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer. While it waits for its source, the connection is in use, however long that takes; while it waits
/// for the client to read, it is in use only as long as the client does.
pub(crate) struct Beating {
    body: Body,
    pulse: Arc<Pulse>,
    running: Option<Running>,
}

impl Beating {
    /// Takes over from the request, which was under way until now.
    pub(crate) fn new(body: Body, pulse: Arc<Pulse>, request: Running) -> Self {
        let running = (!body.is_end_stream()).then_some(request);
        Self { body, pulse, running }
    }
}

impl http_body::Body for Beating {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_pending() {
            if self.running.is_none() {
                self.running = Some(self.pulse.begin());
            }
        } else {
            self.pulse.beats.fetch_add(1, Ordering::Relaxed);
            self.running = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The connection that a request came in on, for those who go on using it after the answer's head: tunnels.
#[derive(Clone)]
pub(crate) struct Tether(Arc<Connection>);

struct Connection {
    pulse: Arc<Pulse>,
    stopping: watch::Receiver<bool>,
    /// Given back when the connection and everything that holds it are gone.
    _place: OwnedSemaphorePermit,
    /// The server waits for the connection within its grace.
    _watcher: Watcher,
}

impl Tether {
    pub(crate) fn new(
        pulse: Arc<Pulse>,
        stopping: watch::Receiver<bool>,
        place: OwnedSemaphorePermit,
        watcher: Watcher,
    ) -> Self {
        Self(Arc::new(Connection {
            pulse,
            stopping,
            _place: place,
            _watcher: watcher,
        }))
    }

    /// The connection stays in use, and keeps its place, until this is dropped.
    pub(crate) fn hold(&self) -> Held {
        Held {
            stopping: self.0.stopping.clone(),
            _running: self.0.pulse.begin(),
            _connection: Arc::clone(&self.0),
        }
    }
}

/// A connection that is held.
pub(crate) struct Held {
    stopping: watch::Receiver<bool>,
    _running: Running,
    _connection: Arc<Connection>,
}

impl Held {
    /// Resolves when the server is about to stop.
    pub(crate) async fn stopping(&mut self) {
        // A sender that is gone has stopped as well.
        let _stopping = self.stopping.wait_for(|stopping| *stopping).await;
    }
}
