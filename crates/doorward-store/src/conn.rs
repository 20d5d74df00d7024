//! [`Conn`] for reads, [`Tx`] for writes.
//!
//! `Tx` derefs to `Conn`, so reads work in both places; `run` and `returning` exist on `Tx` only, so a write outside
//! a transaction does not compile. Resource files add `impl Conn { … }` and `impl Tx { … }` with their statements.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use doorward_domain::Timestamp;

use crate::changes::{Signals, Wish};
use crate::engine::{Pace, Session, Want};
use crate::error::{Error, Result};
use crate::sql::{Query, Row};

tokio::task_local! {
    static COUNT: AtomicU64;
}

/// Runs `work` and tells how many statements it ran on any store, on this task.
pub async fn count_queries<F: Future>(work: F) -> (F::Output, u64) {
    COUNT
        .scope(AtomicU64::new(0), async {
            let output = work.await;
            (output, COUNT.with(|count| count.load(Ordering::Relaxed)))
        })
        .await
}

/// Reads. Cheap to make; holds no connection between statements unless it is part of a [`Tx`].
///
/// On SQLite every statement sees the newest commit; several statements do not see one moment in time. Reads that
/// must agree with each other belong in one statement or in a transaction.
pub struct Conn {
    pub(crate) session: Session,
    pub(crate) queries: Arc<AtomicU64>,
}

impl Conn {
    /// All rows. The result is held in memory: bound it with `LIMIT`.
    ///
    /// # Errors
    /// Any [`Error`] of the engine; the same for all methods here.
    pub async fn all(&self, query: Query) -> Result<Vec<Row>> {
        self.fetch(query, Want::All, Pace::Short).await
    }

    /// The first row, when there is one.
    ///
    /// # Errors
    /// See [`Conn::all`].
    pub async fn first(&self, query: Query) -> Result<Option<Row>> {
        Ok(self
            .fetch(query, Want::First, Pace::Short)
            .await?
            .into_iter()
            .next())
    }

    /// The first row of a statement that always has one (`count(*)`, …).
    ///
    /// # Errors
    /// [`Error::Engine`] when there is none; see [`Conn::all`].
    pub async fn one(&self, query: Query) -> Result<Row> {
        let text = query.text.clone();
        self.first(query)
            .await?
            .ok_or_else(|| Error::Engine(format!("expected a row, found none: {text}")))
    }

    /// All rows of a read that can scan a table (search, export, aggregates). On SQLite it runs on a blocking thread
    /// instead of the caller's, on PostgreSQL it has more time.
    ///
    /// # Errors
    /// See [`Conn::all`].
    pub async fn scan(&self, query: Query) -> Result<Vec<Row>> {
        self.fetch(query, Want::All, Pace::Long).await
    }

    async fn fetch(&self, query: Query, want: Want, pace: Pace) -> Result<Vec<Row>> {
        self.count();
        self.session.fetch(query, want, pace).await
    }

    fn count(&self) {
        self.queries.fetch_add(1, Ordering::Relaxed);
        let _ = COUNT.try_with(|count| count.fetch_add(1, Ordering::Relaxed));
    }
}

/// A transaction. Dropping it without [`Tx::commit`] rolls everything back.
///
/// A failed statement fails the whole transaction on both engines: everything after it, and the commit, is refused.
/// No network call and no password hash while one is open: on SQLite all other writers wait.
#[must_use = "dropping a transaction rolls it back"]
pub struct Tx {
    conn: Conn,
    wishes: Mutex<Wishes>,
}

/// What is done just before the commit.
#[derive(Default)]
struct Wishes {
    changes: Vec<Wish>,
    jobs: bool,
}

impl Deref for Tx {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl Tx {
    pub(crate) fn new(conn: Conn) -> Self {
        Self {
            conn,
            wishes: Mutex::default(),
        }
    }

    /// Runs a statement and tells how many rows it touched.
    ///
    /// # Errors
    /// [`Error::Conflict`] for a key that exists, [`Error::Reference`] for a foreign key, any other of the engine.
    pub async fn run(&self, query: Query) -> Result<u64> {
        self.conn.count();
        self.conn.session.run(query).await
    }

    /// Runs a statement with `RETURNING` and gives its first row, when it touched one.
    ///
    /// # Errors
    /// See [`Tx::run`].
    pub async fn returning(&self, query: Query) -> Result<Option<Row>> {
        self.conn.count();
        Ok(self
            .conn
            .session
            .fetch(query, Want::All, Pace::Short)
            .await?
            .into_iter()
            .next())
    }

    /// Makes everything durable. When this returns `Ok`, it is on disk.
    ///
    /// # Errors
    /// Any [`Error`]; nothing of the transaction is kept then, other than in the rare case of a connection lost
    /// between the request to commit and its answer, which the message says.
    pub async fn commit(self) -> Result<()> {
        let signals = self.flush().await?;
        self.seal(signals).await
    }

    /// First half of the commit: writes what was wished for. Last in the transaction, so that the row that all
    /// writers of the change feed share is locked as late and as briefly as can be.
    pub(crate) async fn flush(&self) -> Result<Signals> {
        let Wishes { changes, jobs } =
            std::mem::take(&mut *self.wishes.lock().unwrap_or_else(PoisonError::into_inner));
        let signals = Signals {
            changes: !changes.is_empty(),
            jobs,
        };
        self.write_changes(changes).await?;
        self.conn.session.notify(signals).await?;
        Ok(signals)
    }

    /// Second half of the commit: makes it durable.
    pub(crate) async fn seal(self, signals: Signals) -> Result<()> {
        self.conn.session.commit(signals).await
    }

    /// Whether the engine asked to run the whole transaction again.
    pub(crate) fn wants_retry(&self) -> bool {
        self.conn.session.wants_retry()
    }

    /// Says that something changed which other parts of the program, or other processes, keep a copy of: `topic` is
    /// what kind of thing, `subject` which one. Written to the change feed in this transaction, just before its
    /// commit; the same pair twice is written once.
    pub fn changed(&self, topic: &str, subject: &str, now: Timestamp) {
        let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        let wish = Wish {
            topic: topic.to_owned(),
            subject: subject.to_owned(),
            at: now,
        };
        if !wishes
            .changes
            .iter()
            .any(|other| other.topic == wish.topic && other.subject == wish.subject)
        {
            wishes.changes.push(wish);
        }
    }

    /// Wakes whoever waits for jobs, once this transaction is committed.
    pub(crate) fn job_added(&self) {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner).jobs = true;
    }
}
