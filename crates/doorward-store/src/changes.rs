//! The change feed: what this program and its replicas hear when somebody else changed something.
//!
//! [`Tx::changed`] appends to `changes` in the caller's transaction, with a number that has no gaps and follows the
//! order of commits: it comes from a row of `counters` that is locked until the commit. [`Store::watch`] reads from
//! there on. What wakes the reader differs, what it reads does not:
//!
//! - the same process: a signal after the commit is durable;
//! - SQLite, another process: once a second a look at `PRAGMA data_version`, which is no query;
//! - PostgreSQL, another replica: NOTIFY on a connection of its own, with a look at the counter once a second;
//!   without that connection a look once a second through the pool.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use doorward_domain::Timestamp;
use tokio::sync::watch;

use crate::Store;
use crate::conn::{Conn, Tx};
use crate::error::{Error, Result};
use crate::sql::{Row, sql};

/// Most changes that one [`Changes::next`] gives.
const CHUNK: u32 = 1000;
/// A database that takes longer than this to tell the number of the newest change counts as away until it does. Longer than the
/// wait for a free connection: one that is merely busy is not away.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two attempts to read the feed while it cannot be read.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// One step of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Something changed.
    Changed {
        /// Number in the feed.
        seq: i64,
        /// When.
        at: Timestamp,
        /// What kind of thing.
        topic: String,
        /// Which one.
        subject: String,
    },
    /// Changes may have been missed (the feed was trimmed or restored, or the database was away at the start): load
    /// everything afresh.
    Resync,
}

/// A change that a transaction will write at its commit.
pub(crate) struct Wish {
    pub(crate) topic: String,
    pub(crate) subject: String,
    pub(crate) at: Timestamp,
}

/// Which listeners a commit wakes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Signals {
    pub(crate) changes: bool,
    pub(crate) jobs: bool,
}

impl Signals {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            changes: self.changes || other.changes,
            jobs: self.jobs || other.jobs,
        }
    }
}

/// Wakes the listeners of this process.
pub(crate) struct Wakes {
    changes: watch::Sender<()>,
    jobs: watch::Sender<()>,
    /// Could the feed not be read the last time?
    away: AtomicBool,
}

impl Wakes {
    pub(crate) fn new() -> Self {
        Self {
            changes: watch::Sender::new(()),
            jobs: watch::Sender::new(()),
            away: AtomicBool::new(false),
        }
    }

    pub(crate) fn signal(&self, signals: Signals) {
        if signals.changes {
            self.changes.send_replace(());
        }
        if signals.jobs {
            self.jobs.send_replace(());
        }
    }

    /// Notes whether the database answers.
    pub(crate) fn mark_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    pub(crate) fn jobs(&self) -> watch::Receiver<()> {
        self.jobs.subscribe()
    }
}

/// A reader of the change feed. Keeps its place while the database is away.
pub struct Changes {
    store: Store,
    wake: watch::Receiver<()>,
    /// Number of the last change seen; `None` when it could not be read at the start.
    position: Option<i64>,
}

impl Store {
    /// Could the change feed not be read the last time? Known within seconds where somebody watches it, without a query. A
    /// database whose connections are merely all in use is not away.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.wakes().away.load(Ordering::Relaxed)
    }

    /// Says that what the feed told could not be loaded: until it is read again, the database counts as away.
    pub fn note_away(&self) {
        self.wakes().away.store(true, Ordering::Relaxed);
    }

    /// Starts to read the change feed from here on. Call it before loading what the changes are about.
    ///
    /// When the database is away right now, the first thing that comes is [`Change::Resync`].
    pub async fn watch(&self) -> Changes {
        self.start_pulse();
        let wake = self.wakes().changes.subscribe();
        let position = self.read().feed_top().await.ok();
        Changes {
            store: self.clone(),
            wake,
            position,
        }
    }
}

impl Changes {
    /// The next changes; waits until there are any. Never empty. May be dropped at any time without losing one.
    pub async fn next(&mut self) -> Vec<Change> {
        loop {
            self.wake.mark_unchanged();
            let read = self.read_patiently().await;
            match read {
                Ok(found) if !found.is_empty() => return found,
                Ok(_) => {
                    // The sender lives in the store that this reader holds.
                    let _ = self.wake.changed().await;
                }
                Err(error) => {
                    tracing::debug!(%error, "the change feed cannot be read, trying again");
                    tokio::time::sleep(TRY_AGAIN).await;
                }
            }
        }
    }

    /// Reads, and notes whether the database answers.
    async fn read_patiently(&mut self) -> Result<Vec<Change>> {
        let store = self.store.clone();
        let mut reading = pin!(self.read());
        let read = match tokio::time::timeout(PATIENCE, &mut reading).await {
            Ok(read) => read,
            Err(_) => {
                store.wakes().mark_away(true);
                reading.await
            }
        };
        if !read.as_ref().is_err_and(Error::is_busy) {
            store.wakes().mark_away(read.is_err());
        }
        read
    }

    async fn read(&mut self) -> Result<Vec<Change>> {
        let conn = self.store.read();
        let top = conn.feed_top().await?;
        let Some(position) = self.position else {
            self.position = Some(top);
            return Ok(vec![Change::Resync]);
        };
        if top == position {
            return Ok(Vec::new());
        }
        let found = conn.changes_after(position).await?;
        let next = found.first().map(|(seq, _)| *seq);
        if top < position || next != Some(position + 1) {
            self.position = Some(top);
            return Ok(vec![Change::Resync]);
        }
        self.position = found.last().map(|(seq, _)| *seq);
        Ok(found.into_iter().map(|(_, change)| change).collect())
    }
}

impl Conn {
    /// Number of the newest change. 1 query.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn feed_top(&self) -> Result<i64> {
        let row = self
            .first(sql("SELECT value FROM counters WHERE name = 'changes'"))
            .await?;
        row.map_or(Ok(0), |row| row.get("value"))
    }

    /// Is there a change to one of these topics after a position of the feed? Also `true` when the feed was trimmed beyond it,
    /// so that nobody can tell. 2 queries.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn changed_since(&self, position: i64, topics: &[&str]) -> Result<bool> {
        let oldest = self
            .first(sql("SELECT seq FROM changes ORDER BY seq LIMIT 1"))
            .await?;
        let oldest: Option<i64> = oldest.map(|row| row.get("seq")).transpose()?;
        if oldest.is_none_or(|oldest| oldest > position.saturating_add(1)) {
            return Ok(true);
        }
        let query = sql("SELECT seq FROM changes WHERE seq > $1 AND topic IN $2 ORDER BY seq LIMIT 1");
        let found = self
            .first(query.bind(position).bind_list(topics.iter().copied()))
            .await?;
        Ok(found.is_some())
    }

    async fn changes_after(&self, position: i64) -> Result<Vec<(i64, Change)>> {
        let query = sql("SELECT seq, at, topic, subject FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2");
        self.all(query.bind(position).bind(CHUNK))
            .await?
            .iter()
            .map(change)
            .collect()
    }
}

fn change(row: &Row) -> Result<(i64, Change)> {
    let seq = row.get("seq")?;
    let change = Change::Changed {
        seq,
        at: row.get("at")?,
        topic: row.get("topic")?,
        subject: row.get("subject")?,
    };
    Ok((seq, change))
}

impl Tx {
    pub(crate) async fn write_changes(&self, wishes: Vec<Wish>) -> Result<()> {
        if wishes.is_empty() {
            return Ok(());
        }
        let count = i64::try_from(wishes.len()).unwrap_or(i64::MAX);
        let mut seq = self.advance("changes", count).await? - count;
        for wish in wishes {
            seq += 1;
            let insert = sql("INSERT INTO changes(seq, at, topic, subject) VALUES ($1, $2, $3, $4)");
            self.run(insert.bind(seq).bind(wish.at).bind(wish.topic).bind(wish.subject))
                .await?;
        }
        Ok(())
    }

    /// Trims the feed: forgets changes before `before` and tells how many. Readers that are further behind get a
    /// [`Change::Resync`].
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn forget_changes(&self, before: Timestamp) -> Result<u64> {
        self.run(sql("DELETE FROM changes WHERE at < $1").bind(before))
            .await
    }
}
