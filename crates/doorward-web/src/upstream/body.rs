//! Bodies on their way: what counts as progress, and which trailers may pass.

use axum::body::{Body, Bytes};
use http::{HeaderMap, HeaderName};
use http_body::{Body as _, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

use super::Places;
use super::fields;
use super::pool::Load;

/// How the request's body gets on; read while the answer is waited for.
#[derive(Default)]
pub(super) struct Progress {
    last: Mutex<Option<Instant>>,
    waiting: AtomicBool,
    failed: AtomicBool,
}

impl Progress {
    pub(super) fn touch(&self, now: Instant) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// Resolves when nothing has moved for as long as `patience`.
    pub(super) async fn overdue(&self, patience: Duration) {
        loop {
            let now = Instant::now();
            let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let due = last.unwrap_or(now) + patience;
            if due <= now {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }

    /// Is it the visitor who sends nothing?
    pub(super) fn waits_for_visitor(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Did the visitor's body end badly?
    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// The body of a request on its way to the service.
pub(super) struct Sent {
    body: Body,
    progress: Arc<Progress>,
    /// Names that may not come in trailers either.
    strip: Arc<[HeaderName]>,
}

impl Sent {
    pub(super) fn new(body: Body, progress: Arc<Progress>, strip: &[HeaderName]) -> Self {
        let strip = if body.is_end_stream() {
            Arc::default()
        } else {
            strip.into()
        };
        Self {
            body,
            progress,
            strip,
        }
    }

    pub(super) fn empty() -> Self {
        Self::new(Body::empty(), Arc::default(), &[])
    }
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.progress
            .waiting
            .store(polled.is_pending(), Ordering::Relaxed);
        let frame = ready!(polled);
        self.progress.touch(Instant::now());
        if matches!(frame, Some(Err(_))) {
            self.progress.failed.store(true, Ordering::Relaxed);
        }
        let strip = Arc::clone(&self.strip);
        let trailers = move |trailers: HeaderMap| fields::request_trailers(&trailers, &strip);
        Poll::Ready(frame.map(|frame| frame.map(|frame| map_trailers(frame, trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn map_trailers(frame: Frame<Bytes>, keep: impl FnOnce(HeaderMap) -> HeaderMap) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(trailers) => Frame::trailers(keep(trailers)),
        Err(frame) => frame,
    }
}

/// The body of an answer on its way to the visitor. Holds the request's places until it ends.
pub(super) struct Received {
    body: hyper::body::Incoming,
    idle: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    _places: Places,
    _load: Option<Load>,
}

impl Received {
    pub(super) fn new(
        body: hyper::body::Incoming,
        idle: Duration,
        places: Places,
        load: Option<Load>,
    ) -> Self {
        Self {
            body,
            idle,
            silence: None,
            _places: places,
            _load: load,
        }
    }
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            let idle = self.idle;
            let silence = self
                .silence
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
            ready!(silence.as_mut().poll(context));
            let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "the service fell silent");
            return Poll::Ready(Some(Err(axum::Error::new(error))));
        };
        self.silence = None;
        if let Some(Err(error)) = &frame {
            tracing::debug!(%error, "the body of an answer ended early");
        }
        let mapped = frame.map(|frame| {
            frame
                .map(|frame| map_trailers(frame, |trailers| fields::response_trailers(&trailers)))
                .map_err(axum::Error::new)
        });
        Poll::Ready(mapped)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
