//! The bounded hashing pool: a fixed number of threads, a fair queue of fixed length, and an honest "busy" beyond it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use doorward_domain::Reason;

use crate::error::{Error, Fault, Refused, Result};
use crate::metrics::Hashing;

/// After so long without a hash the memory of hashes goes back to the system. Until then it serves the next one: fresh memory
/// costs a good part of a hash.
const IDLE: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 5000 });

/// Hashing pool. First come, first served.
pub struct Pool {
    threads: Arc<Semaphore>,
    count: usize,
    places: Arc<Semaphore>,
    most: usize,
    metrics: Hashing,
    memory: Arc<Memory>,
}

/// Who gives the memory of hashes back.
#[derive(Default)]
struct Memory {
    /// Hashes begun so far.
    begun: AtomicU64,
    /// Is somebody waiting for a pause?
    watched: AtomicBool,
}

impl Memory {
    /// Gives the memory back once no hash began and none runs for [`IDLE`]; one task at a time waits for that.
    fn watch(self: &Arc<Self>, threads: &Arc<Semaphore>, all: usize) {
        if self.watched.swap(true, Ordering::AcqRel) {
            return;
        }
        let (memory, threads) = (Arc::clone(self), Arc::clone(threads));
        tokio::spawn(async move {
            let mut seen = memory.begun.load(Ordering::Acquire);
            loop {
                tokio::time::sleep(IDLE).await;
                let begun = memory.begun.load(Ordering::Acquire);
                if begun == seen && threads.available_permits() >= all {
                    break;
                }
                seen = begun;
            }
            // Before the memory goes: whoever begins now watches anew.
            memory.watched.store(false, Ordering::Release);
            doorward_crypto::password::release_memory();
        });
    }
}

impl Pool {
    /// A pool of `threads` with room for `queue` waiting calls.
    #[must_use]
    pub fn new(threads: usize, queue: usize, metrics: Hashing) -> Self {
        let threads = threads.max(1);
        Self {
            threads: Arc::new(Semaphore::new(threads)),
            count: threads,
            places: Arc::new(Semaphore::new(threads.saturating_add(queue))),
            most: threads.saturating_add(queue),
            metrics,
            memory: Arc::default(),
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
        self.memory.begun.fetch_add(1, Ordering::AcqRel);
        // The permit travels into the thread: when the caller goes away, the thread still counts until it is done.
        let result = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        })
        .await;
        drop(running);
        self.memory.watch(&self.threads, self.count);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn after_a_pause_nobody_waits_for_one_and_the_next_hash_is_watched_anew() {
        let pool = Pool::new(2, 4, Hashing::default());
        for round in 1..=2 {
            assert_eq!(pool.run(|| 7).await.unwrap(), 7);
            assert!(pool.memory.watched.load(Ordering::Acquire), "round {round}");
            // A hash that runs longer than a pause keeps the memory.
            #[expect(
                clippy::disallowed_methods,
                reason = "stands for a hash, on a thread of the pool"
            )]
            let long = || std::thread::sleep(IDLE * 4);
            pool.run(long).await.unwrap();
            assert!(pool.memory.watched.load(Ordering::Acquire), "round {round}");
            let mut looks = 0;
            while pool.memory.watched.load(Ordering::Acquire) {
                looks += 1;
                assert!(looks < 500, "given back after a pause");
                tokio::time::sleep(IDLE).await;
            }
            assert_eq!(pool.memory.begun.load(Ordering::Acquire), round * 2);
        }
    }
}
