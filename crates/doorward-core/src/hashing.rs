//! The bounded hashing pool: a fixed number of threads, a fair queue of fixed length, and an honest "busy" beyond it.

use std::sync::Arc;
use tokio::sync::Semaphore;

use doorward_domain::Reason;

use crate::error::{Error, Fault, Refused, Result};
use crate::metrics::Hashing;

/// Hashing pool. First come, first served.
pub struct Pool {
    threads: Arc<Semaphore>,
    places: Arc<Semaphore>,
    most: usize,
    metrics: Hashing,
}

impl Pool {
    /// A pool of `threads` with room for `queue` waiting calls.
    #[must_use]
    pub fn new(threads: usize, queue: usize, metrics: Hashing) -> Self {
        let threads = threads.max(1);
        Self {
            threads: Arc::new(Semaphore::new(threads)),
            places: Arc::new(Semaphore::new(threads.saturating_add(queue))),
            most: threads.saturating_add(queue),
            metrics,
        }
    }

    /// How many calls may run or wait at once.
    #[must_use]
    pub const fn places(&self) -> usize {
        self.most
    }

    /// Runs `work` on a hashing thread.
    ///
    /// # Errors
    /// `Refused` with reason `busy` and a retry time when the queue is full.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let Ok(_place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.metrics.turned_away.inc();
            let refused = Refused {
                retry_after: Some(2),
                ..Refused::bare(Reason::Busy)
            };
            return Err(refused.into());
        };
        let waiting = Counted::new(&self.metrics.waiting);
        let turn = Arc::clone(&self.threads).acquire_owned().await;
        drop(waiting);
        let turn = turn.map_err(|closed| Fault::caused("the hashing pool is closed", closed))?;
        let running = Counted::new(&self.metrics.running);
        // The permit travels into the thread: when the caller goes away, the thread still counts until it is done.
        let result = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        })
        .await;
        drop(running);
        result.map_err(|failed| Error::Fault(Fault::caused("a hashing thread ended early", failed)))
    }
}

struct Counted<'a>(&'a prometheus_client::metrics::gauge::Gauge);

impl<'a> Counted<'a> {
    fn new(gauge: &'a prometheus_client::metrics::gauge::Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
