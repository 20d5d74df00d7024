//! Numbers for operators, in the OpenMetrics text form.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Labels of a finished HTTP request.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RequestLabels {
    /// Route pattern, never the raw path.
    pub route: String,
    /// Status class, for example `2xx`.
    pub status: String,
}

/// Labels of a decision.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct DecisionLabels {
    /// What was decided on: `sign_in`, `authorize`, `token` …
    pub what: &'static str,
    /// `allowed`, or the reason of the refusal.
    pub outcome: &'static str,
}

/// Hashing pool.
#[derive(Clone, Debug, Default)]
pub struct Hashing {
    /// Sign-ins waiting for a thread.
    pub waiting: Gauge,
    /// Hashes being computed.
    pub running: Gauge,
    /// Sign-ins turned away because the queue was full.
    pub turned_away: Counter,
}

/// All numbers.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Finished requests.
    pub requests: Family<RequestLabels, Counter>,
    /// Time per request by route, in seconds.
    pub latency: Family<RouteLabel, Histogram>,
    /// Decisions with their outcome.
    pub decisions: Family<DecisionLabels, Counter>,
    /// Hashing pool.
    pub hashing: Hashing,
    /// Session lookups answered from memory.
    pub session_hits: Counter,
    /// Session lookups that asked the database.
    pub session_misses: Counter,
    /// Sessions that are in memory.
    pub sessions_in_memory: Gauge,
    /// 1 while the database answers.
    pub database_up: Gauge,
    /// Time that the database was away, in seconds.
    pub database_away: Counter<f64, AtomicU64>,
    /// Checks of forward auth by site and outcome.
    pub forward_auth: Family<SiteLabels, Counter>,
    /// Statements sent to the database.
    pub queries: Counter<u64, AtomicU64>,
    /// Jobs done and failed.
    pub jobs: Family<JobLabels, Counter>,
}

/// Label of the latency histogram.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RouteLabel {
    /// Route pattern.
    pub route: String,
}

/// Labels of a check of forward auth.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct SiteLabels {
    /// Address of the site; `none` for hosts without one.
    pub site: Arc<str>,
    /// `allowed`, `public`, `break_glass`, `sign_in`, `unavailable`, or the reason of the refusal.
    pub outcome: &'static str,
}

/// Labels of a finished job.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct JobLabels {
    /// Kind of job.
    pub kind: String,
    /// `done`, `retry` or `dead`.
    pub outcome: &'static str,
}

impl Metrics {
    /// Registers everything.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("doorward");
        let requests = Family::default();
        registry.register(
            "http_requests",
            "HTTP requests by route and status class",
            requests.clone(),
        );
        let latency = Family::<RouteLabel, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.000_05, 2.5, 14))
        });
        registry.register_with_unit(
            "http_request_duration",
            "Time to answer",
            Unit::Seconds,
            latency.clone(),
        );
        let decisions = Family::default();
        registry.register("decisions", "Decisions by subject and outcome", decisions.clone());
        let hashing = Hashing::default();
        registry.register(
            "hashing_waiting",
            "Sign-ins waiting for a hashing thread",
            hashing.waiting.clone(),
        );
        registry.register(
            "hashing_running",
            "Password hashes being computed",
            hashing.running.clone(),
        );
        registry.register(
            "hashing_turned_away",
            "Sign-ins refused by a full queue",
            hashing.turned_away.clone(),
        );
        let session_hits = Counter::default();
        registry.register(
            "session_cache_hits",
            "Session lookups answered from memory",
            session_hits.clone(),
        );
        let session_misses = Counter::default();
        registry.register(
            "session_cache_misses",
            "Session lookups that asked the database",
            session_misses.clone(),
        );
        let sessions_in_memory = Gauge::default();
        registry.register(
            "sessions_in_memory",
            "Sessions that are answered for from memory",
            sessions_in_memory.clone(),
        );
        let database_up = Gauge::default();
        registry.register("database_up", "1 while the database answers", database_up.clone());
        let database_away = Counter::default();
        registry.register_with_unit(
            "database_away",
            "Time without an answer from the database",
            Unit::Seconds,
            database_away.clone(),
        );
        let forward_auth = Family::default();
        registry.register(
            "forward_auth_decisions",
            "Checks of guarded sites by site and outcome",
            forward_auth.clone(),
        );
        let queries = Counter::default();
        registry.register(
            "database_queries",
            "Statements sent to the database",
            queries.clone(),
        );
        let jobs = Family::default();
        registry.register("jobs", "Jobs by kind and outcome", jobs.clone());
        Self {
            registry,
            requests,
            latency,
            decisions,
            hashing,
            session_hits,
            session_misses,
            sessions_in_memory,
            database_up,
            database_away,
            forward_auth,
            queries,
            jobs,
        }
    }

    /// Counts one decision.
    pub fn decided(&self, what: &'static str, outcome: &'static str) {
        self.decisions
            .get_or_create(&DecisionLabels { what, outcome })
            .inc();
    }

    /// The OpenMetrics text.
    #[must_use]
    pub fn render(&self, queries: u64) -> String {
        let known = self.queries.get();
        self.queries.inc_by(queries.saturating_sub(known));
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(_) => String::new(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
