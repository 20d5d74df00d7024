//! How long the heads of requests may take, without a timer of the runtime for each: setting one costs more than many a
//! request. A connection has one that is looked at rarely.

use hyper::rt::{Sleep, Timer};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// The heads of requests on one connection.
pub(crate) struct Heads {
    since: Instant,
    /// Longest time that one may take.
    limit: Duration,
    /// When the one that is being read is late, in microseconds; 0 while none is read.
    until: AtomicU64,
    late: AtomicBool,
}

impl Heads {
    pub(crate) fn new(limit: Duration) -> Arc<Self> {
        Arc::new(Self {
            since: Instant::now(),
            limit,
            until: AtomicU64::new(0),
            late: AtomicBool::new(false),
        })
    }

    fn until(&self) -> Option<Instant> {
        let micros = self.until.load(Ordering::Relaxed);
        (micros > 0).then(|| self.since + Duration::from_micros(micros))
    }

    /// Makes heads late. Runs in the task of the connection and never ends.
    pub(crate) async fn watch(&self) -> std::convert::Infallible {
        loop {
            // One that begins to be read from now on is not late before this.
            let next = self.until().unwrap_or_else(|| Instant::now() + self.limit);
            tokio::time::sleep_until(next.into()).await;
            if self.until().is_some_and(|until| until <= Instant::now()) {
                self.late.store(true, Ordering::Relaxed);
                // Wakes the connection, which sees it and ends.
                tokio::task::yield_now().await;
                tokio::time::sleep(self.limit).await;
            }
        }
    }
}

/// The timer that hyper is given.
#[derive(Clone)]
pub(crate) struct HeadTimer(pub(crate) Arc<Heads>);

/// The head of one request is being read.
struct Head(Arc<Heads>);

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let micros = deadline.saturating_duration_since(self.0.since).as_micros();
        let micros = u64::try_from(micros).unwrap_or(u64::MAX).max(1);
        self.0.until.store(micros, Ordering::Relaxed);
        Box::pin(Head(Arc::clone(&self.0)))
    }
}

impl Sleep for Head {}

impl Future for Head {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // What makes it late also wakes whoever polls this.
        if self.0.late.load(Ordering::Relaxed) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        self.0.until.store(0, Ordering::Relaxed);
    }
}

/// A future that is polled when it was woken itself, and not whenever its task runs for other reasons.
pub(crate) struct Aside<F> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
    /// What the bell rings through; made once.
    through: Waker,
    /// The task's own waker as the bell knows it.
    task: Option<Waker>,
}

#[derive(Default)]
struct Bell {
    quiet: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.quiet.store(false, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<F: Future> Aside<F> {
    pub(crate) fn new(future: F) -> Self {
        let bell = Arc::<Bell>::default();
        Self {
            future: Box::pin(future),
            through: Waker::from(Arc::clone(&bell)),
            bell,
            task: None,
        }
    }
}

impl<F: Future> Future for Aside<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let known = this
            .task
            .as_ref()
            .is_some_and(|task| task.will_wake(context.waker()));
        if !known {
            let waker = context.waker().clone();
            *this.bell.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
            this.task = Some(waker);
        }
        // Rung after this look: the task was woken and comes back.
        if this.bell.quiet.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        this.bell.quiet.store(true, Ordering::Relaxed);
        this.future.as_mut().poll(&mut Context::from_waker(&this.through))
    }
}

#[cfg(test)]
#[path = "heads_tests.rs"]
mod tests;
