//! Is the program alive, is it ready, and if not, why.

use serde::Serialize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use doorward_domain::Timestamp;
use doorward_store::Store;

use crate::Doorward;

/// How long the answer of the database to a readiness probe stays good, in microseconds.
const PING_EVERY: u64 = 1_000_000;
/// Longest wait for that answer.
const LONGEST_PING: Duration = Duration::from_secs(2);

/// The latest word on the database.
#[derive(Default)]
pub struct Status {
    trouble: Mutex<Option<String>>,
    /// Keys, parameters and configuration are loaded: use cases may run.
    prepared: AtomicBool,
    /// The first start's work is done too: others may rely on the program.
    started: AtomicBool,
    /// When the database was last asked, in monotonic microseconds, and what was wrong. Held while it is asked, so that any
    /// number of probes cost one question.
    pinged: tokio::sync::Mutex<Option<(u64, Option<String>)>>,
    /// Since when the database is away, in milliseconds; 0 while it is there.
    away_since: AtomicI64,
    /// Up to when that was counted.
    away_counted: AtomicI64,
}

/// Answer of the readiness probe.
#[derive(Clone, Debug, Serialize)]
pub struct Readiness {
    /// Can sign-ins happen?
    pub ready: bool,
    /// What is wrong, in one line without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Schema of the database, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<i64>,
}

impl Doorward {
    /// Asks the database, at most once a second.
    pub async fn readiness(&self) -> Readiness {
        let started = self.inner.status.started.load(Ordering::Acquire);
        let Some(store) = self.inner.store.get().filter(|_| started) else {
            let reason = self
                .inner
                .status
                .trouble
                .lock()
                .ok()
                .and_then(|trouble| trouble.clone());
            let reason = reason.or_else(|| Some("starting".to_owned()));
            return Readiness {
                ready: false,
                reason,
                schema: None,
            };
        };
        let reason = self.ping(store).await;
        Readiness {
            ready: reason.is_none(),
            reason,
            schema: Some(store.schema_version()),
        }
    }

    /// What is wrong with the database, as of at most [`PING_EVERY`] ago.
    async fn ping(&self, store: &Store) -> Option<String> {
        let mut pinged = self.inner.status.pinged.lock().await;
        if let Some((at, reason)) = pinged.as_ref()
            && self.monotonic_micros().saturating_sub(*at) < PING_EVERY
        {
            return reason.clone();
        }
        let reason = match tokio::time::timeout(LONGEST_PING, store.ping()).await {
            Ok(answered) => answered.err().map(|error| error.to_string()),
            Err(_) => Some("the database does not answer".to_owned()),
        };
        self.inner.metrics.database_up.set(i64::from(reason.is_none()));
        *pinged = Some((self.monotonic_micros(), reason.clone()));
        reason
    }

    pub(crate) fn report_trouble(&self, trouble: Option<String>) {
        self.inner.metrics.database_up.set(i64::from(trouble.is_none()));
        if let Ok(mut current) = self.inner.status.trouble.lock() {
            *current = trouble;
        }
    }
}

impl Doorward {
    pub(crate) fn inner_trouble(&self) -> Option<String> {
        self.inner
            .status
            .trouble
            .lock()
            .ok()
            .and_then(|trouble| trouble.clone())
    }
}

impl Doorward {
    /// All numbers in the OpenMetrics text form.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        let queries = self.inner.store.get().map_or(0, doorward_store::Store::queries);
        if self.away_since(self.now()).is_some() {
            self.inner.metrics.database_up.set(0);
        }
        self.count_away(self.now());
        let sessions = i64::try_from(self.inner.sessions.len()).unwrap_or(i64::MAX);
        self.inner.metrics.sessions_in_memory.set(sessions);
        self.inner.metrics.render(queries)
    }
}

impl Doorward {
    /// Since when the database is away, as far as the reader of the change feed knows. No query.
    pub(crate) fn away_since(&self, now: Timestamp) -> Option<Timestamp> {
        let status = &self.inner.status;
        let since = status.away_since.load(Ordering::Relaxed);
        if !self.inner.store.get().is_some_and(Store::is_away) {
            if since != 0 {
                self.count_away(now);
                status.away_since.store(0, Ordering::Relaxed);
                self.inner.metrics.database_up.set(1);
            }
            return None;
        }
        if since != 0 {
            return Some(Timestamp::from_millis(since));
        }
        status.away_counted.store(now.millis(), Ordering::Relaxed);
        status.away_since.store(now.millis(), Ordering::Relaxed);
        Some(now)
    }

    /// Adds what has passed since the last time to the seconds that the database was away.
    fn count_away(&self, now: Timestamp) {
        let status = &self.inner.status;
        if status.away_since.load(Ordering::Relaxed) == 0 {
            return;
        }
        let before = status.away_counted.swap(now.millis(), Ordering::Relaxed);
        let passed = u32::try_from(now.millis().saturating_sub(before).max(0)).unwrap_or(0);
        self.inner
            .metrics
            .database_away
            .inc_by(f64::from(passed) / 1000.0);
    }

    pub(crate) fn is_prepared(&self) -> bool {
        self.inner.status.prepared.load(Ordering::Acquire)
    }

    pub(crate) fn mark_prepared(&self) {
        self.inner.status.prepared.store(true, Ordering::Release);
    }

    pub(crate) fn mark_started(&self) {
        self.inner.status.started.store(true, Ordering::Release);
    }
}
