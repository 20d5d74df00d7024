//! Jobs: work that outlives a request. Enqueued in the caller's transaction, claimed with a lease, tried again with
//! back-off, buried when all attempts failed.
//!
//! A worker that dies loses its lease, and another one takes the job: a job's work must be idempotent. The number of
//! the attempt is the fence: a worker whose lease was lost cannot finish, retry or bury the job any more.
//!
//! Not here: what the kinds mean, and when to try again (core).

use doorward_domain::{JobId, Lifetime, Timestamp};
use serde_json::Value as Json;
use tokio::sync::watch;

use crate::Store;
use crate::conn::{Conn, Tx};
use crate::error::{Error, Result};
use crate::sql::{Row, sql, sql_built};

/// Longest text kept of a failure, in characters.
const ERROR_LENGTH: usize = 2000;
/// How often a claim is tried when another worker was faster.
const CLAIMS: u32 = 64;
/// Most rows of one listing.
const LONGEST_LIST: u32 = 1000;

/// A job to enqueue.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// What to do.
    pub kind: String,
    /// Enqueued at most once for each key, for as long as the job's row is kept. Schedules use it: the key holds the
    /// time that is due, so that any number of replicas run it once.
    pub unique_key: Option<String>,
    /// What to do it with.
    pub payload: Json,
    /// When to run it.
    pub run_at: Timestamp,
    /// After how many attempts it is buried; at least 1.
    pub max_attempts: u32,
    /// Now.
    pub created_at: Timestamp,
}

/// A job that this worker has taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What to do.
    pub kind: String,
    /// What to do it with.
    pub payload: Json,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many attempts it has.
    pub max_attempts: u32,
    /// Who took it.
    pub worker: String,
}

impl Job {
    /// Whether there is no attempt after this one.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.attempt >= self.max_attempts
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// To be run, or being run.
    Open,
    /// Finished.
    Done,
    /// Given up; the operator decides.
    Dead,
}

/// A job as the operator sees it.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "the columns of the table, see migrations/0001_engine.sql"
)]
pub struct JobRecord {
    pub id: JobId,
    pub kind: String,
    pub unique_key: Option<String>,
    pub payload: Json,
    pub run_at: Timestamp,
    pub attempts: u32,
    pub max_attempts: u32,
    pub leased_until: Option<Timestamp>,
    pub leased_by: Option<String>,
    pub last_error: Option<String>,
    pub done_at: Option<Timestamp>,
    pub dead_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

impl JobRecord {
    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> JobState {
        match (self.done_at, self.dead_at) {
            (Some(_), _) => JobState::Done,
            (None, Some(_)) => JobState::Dead,
            (None, None) => JobState::Open,
        }
    }
}

/// Which jobs to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only those that stand here.
    pub state: Option<JobState>,
    /// Only this kind.
    pub kind: Option<String>,
    /// Only those that are older than this one: for the next page.
    pub before: Option<JobId>,
    /// How many; 0 and more than 1000 mean 1000.
    pub limit: u32,
}

const COLUMNS: &str = "id, kind, unique_key, payload, run_at, attempts, max_attempts, leased_until, leased_by, \
                       last_error, done_at, dead_at, created_at";

impl Conn {
    /// When the next job is due: its time to run, or the end of the lease that somebody holds. `None` without jobs.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn next_job_at(&self) -> Result<Option<Timestamp>> {
        let query = sql(
            "SELECT min(CASE WHEN leased_until > run_at THEN leased_until ELSE run_at END) AS due
            FROM jobs WHERE done_at IS NULL AND dead_at IS NULL",
        );
        self.one(query).await?.get("due")
    }

    /// Jobs for the operator, newest first by id.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn list_jobs(&self, filter: &JobFilter) -> Result<Vec<JobRecord>> {
        let mut query = sql_built(format!("SELECT {COLUMNS} FROM jobs WHERE 1 = 1"));
        query = match filter.state {
            None => query,
            Some(JobState::Open) => query.push(" AND done_at IS NULL AND dead_at IS NULL"),
            Some(JobState::Done) => query.push(" AND done_at IS NOT NULL"),
            Some(JobState::Dead) => query.push(" AND done_at IS NULL AND dead_at IS NOT NULL"),
        };
        if let Some(kind) = &filter.kind {
            let position = query.next_position();
            query = query.push(&format!(" AND kind = ${position}")).bind(kind);
        }
        if let Some(before) = filter.before {
            let position = query.next_position();
            query = query.push(&format!(" AND id < ${position}")).bind(before);
        }
        let limit = if filter.limit == 0 {
            LONGEST_LIST
        } else {
            filter.limit.min(LONGEST_LIST)
        };
        let position = query.next_position();
        query = query
            .push(&format!(" ORDER BY id DESC LIMIT ${position}"))
            .bind(limit);
        self.scan(query).await?.iter().map(record).collect()
    }

    /// One job.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn find_job(&self, id: JobId) -> Result<Option<JobRecord>> {
        let query = sql(
            "SELECT id, kind, unique_key, payload, run_at, attempts, max_attempts, leased_until, leased_by,
            last_error, done_at, dead_at, created_at FROM jobs WHERE id = $1",
        );
        self.first(query.bind(id)).await?.as_ref().map(record).transpose()
    }
}

fn record(row: &Row) -> Result<JobRecord> {
    Ok(JobRecord {
        id: row.get("id")?,
        kind: row.get("kind")?,
        unique_key: row.get("unique_key")?,
        payload: row.get("payload")?,
        run_at: row.get("run_at")?,
        attempts: row.get("attempts")?,
        max_attempts: row.get("max_attempts")?,
        leased_until: row.get("leased_until")?,
        leased_by: row.get("leased_by")?,
        last_error: row.get("last_error")?,
        done_at: row.get("done_at")?,
        dead_at: row.get("dead_at")?,
        created_at: row.get("created_at")?,
    })
}

impl Tx {
    /// Adds a job. `false` when a job with its unique key is there already.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn enqueue(&self, job: NewJob) -> Result<bool> {
        let insert = sql(
            "INSERT INTO jobs(id, kind, unique_key, payload, run_at, attempts, max_attempts, created_at)
            VALUES ($1, $2, $3, $4, $5, 0, $6, $7) ON CONFLICT (unique_key) DO NOTHING",
        )
        .bind(job.id)
        .bind(job.kind)
        .bind(job.unique_key)
        .bind(job.payload)
        .bind(job.run_at)
        .bind(job.max_attempts.max(1))
        .bind(job.created_at);
        let added = self.run(insert).await? == 1;
        if added {
            self.job_added();
        }
        Ok(added)
    }

    /// Takes the job that is due the longest, of one of `kinds`, until `lease` has passed. Commit before working on
    /// it. A job whose lease ran out at its last attempt is buried here.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn take_job(
        &self,
        worker: &str,
        kinds: &[&str],
        lease: Lifetime,
        now: Timestamp,
    ) -> Result<Option<Job>> {
        let bury = sql("UPDATE jobs SET dead_at = $1, leased_until = NULL, leased_by = NULL,
                last_error = coalesce(last_error, 'the worker disappeared at the last attempt')
            WHERE done_at IS NULL AND dead_at IS NULL AND attempts >= max_attempts AND leased_until <= $1 AND kind IN $2");
        self.run(bury.bind(now).bind_list(kinds.iter().copied())).await?;
        for _ in 0..CLAIMS {
            // The outer conditions are checked again on the newest row after waiting for another worker's commit.
            let claim = sql("UPDATE jobs SET leased_until = $1, leased_by = $2, attempts = attempts + 1
                WHERE id = (SELECT id FROM jobs WHERE done_at IS NULL AND dead_at IS NULL AND run_at <= $3
                    AND (leased_until IS NULL OR leased_until <= $3) AND kind IN $4 ORDER BY run_at, id LIMIT 1)
                AND done_at IS NULL AND dead_at IS NULL AND run_at <= $3 AND (leased_until IS NULL OR leased_until <= $3)
                RETURNING id, kind, payload, attempts, max_attempts")
            .bind(now.plus(lease))
            .bind(worker)
            .bind(now)
            .bind_list(kinds.iter().copied());
            if let Some(row) = self.returning(claim).await? {
                return Ok(Some(Job {
                    id: row.get("id")?,
                    kind: row.get("kind")?,
                    payload: row.get("payload")?,
                    attempt: row.get("attempts")?,
                    max_attempts: row.get("max_attempts")?,
                    worker: worker.to_owned(),
                }));
            }
            let due = sql(
                "SELECT 1 AS due FROM jobs WHERE done_at IS NULL AND dead_at IS NULL AND run_at <= $1
                AND (leased_until IS NULL OR leased_until <= $1) AND kind IN $2 LIMIT 1",
            );
            if self
                .first(due.bind(now).bind_list(kinds.iter().copied()))
                .await?
                .is_none()
            {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Marks a taken job as done.
    ///
    /// # Errors
    /// [`Error::Stale`] when its lease was lost to another worker.
    pub async fn finish_job(&self, job: &Job, now: Timestamp) -> Result<()> {
        let update = sql(
            "UPDATE jobs SET done_at = $1, leased_until = NULL, leased_by = NULL
            WHERE id = $2 AND leased_by = $3 AND attempts = $4 AND done_at IS NULL AND dead_at IS NULL",
        );
        self.held(update.bind(now).bind(job.id).bind(&job.worker).bind(job.attempt))
            .await
    }

    /// Puts a taken job back, to be run again at `run_at`.
    ///
    /// # Errors
    /// [`Error::Stale`] when its lease was lost to another worker.
    pub async fn retry_job(&self, job: &Job, error: &str, run_at: Timestamp) -> Result<()> {
        let update = sql(
            "UPDATE jobs SET run_at = $1, last_error = $5, leased_until = NULL, leased_by = NULL
            WHERE id = $2 AND leased_by = $3 AND attempts = $4 AND done_at IS NULL AND dead_at IS NULL",
        );
        self.held(
            update
                .bind(run_at)
                .bind(job.id)
                .bind(&job.worker)
                .bind(job.attempt)
                .bind(shorten(error)),
        )
        .await?;
        self.job_added();
        Ok(())
    }

    /// Gives a taken job up: the operator sees it among the dead.
    ///
    /// # Errors
    /// [`Error::Stale`] when its lease was lost to another worker.
    pub async fn bury_job(&self, job: &Job, error: &str, now: Timestamp) -> Result<()> {
        let update = sql(
            "UPDATE jobs SET dead_at = $1, last_error = $5, leased_until = NULL, leased_by = NULL
            WHERE id = $2 AND leased_by = $3 AND attempts = $4 AND done_at IS NULL AND dead_at IS NULL",
        );
        self.held(
            update
                .bind(now)
                .bind(job.id)
                .bind(&job.worker)
                .bind(job.attempt)
                .bind(shorten(error)),
        )
        .await
    }

    /// Makes a dead job due again, with all its attempts. `false` when it is not dead.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn revive_job(&self, id: JobId, now: Timestamp) -> Result<bool> {
        let update = sql("UPDATE jobs SET dead_at = NULL, attempts = 0, run_at = $1
            WHERE id = $2 AND dead_at IS NOT NULL AND done_at IS NULL");
        let revived = self.run(update.bind(now).bind(id)).await? == 1;
        if revived {
            self.job_added();
        }
        Ok(revived)
    }

    /// Forgets jobs that were done before `before` and tells how many. Dead ones stay.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn forget_jobs(&self, before: Timestamp) -> Result<u64> {
        self.run(sql("DELETE FROM jobs WHERE done_at < $1").bind(before))
            .await
    }

    async fn held(&self, update: crate::Query) -> Result<()> {
        if self.run(update).await? == 1 {
            Ok(())
        } else {
            Err(Error::Stale)
        }
    }
}

/// The start of an error's text, without what a database cannot hold.
fn shorten(error: &str) -> String {
    error.chars().filter(|c| *c != '\0').take(ERROR_LENGTH).collect()
}

/// Wakes a worker when a job may be due earlier than it thought.
pub struct JobWake {
    receiver: watch::Receiver<()>,
    /// Keeps the sender alive.
    _store: Store,
}

impl Store {
    /// Hears of jobs that this process or another one enqueues. Take it before asking for [`Conn::next_job_at`].
    #[must_use]
    pub fn job_wake(&self) -> JobWake {
        self.start_pulse();
        JobWake {
            receiver: self.wakes().jobs(),
            _store: self.clone(),
        }
    }
}

impl JobWake {
    /// Waits until jobs were added since the last call. May be dropped at any time.
    pub async fn woken(&mut self) {
        let _ = self.receiver.changed().await;
    }
}
