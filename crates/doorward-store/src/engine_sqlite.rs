//! SQLite: thread-local readers, one writer, group commit.
//!
//! **Reads** run directly on the caller's thread, on a read-only connection that belongs to the thread (a few µs by
//! primary key); reads that can scan go to a blocking thread.
//!
//! **Writes** share one connection behind a fair lock. A transaction of ours is a SAVEPOINT inside a physical
//! transaction. A member that commits leaves the physical COMMIT to the *closer*, a task that first lets run what is
//! ready to run anyway, and then queues for the writer behind everybody who waits already; each member's `commit()`
//! returns only after that COMMIT is on disk (`synchronous=FULL`), and with its error when it fails. Nothing else to
//! do: the closer commits at once. A busy server fills batches instead of asking the disk for each member. The queue
//! is fair, and a batch is bounded by [`BATCH_MEMBERS`] and [`BATCH_TIME`]. A member that rolls back undoes its savepoint only. COMMIT, and with it
//! fsync, runs on a blocking thread.
//!
//! Measured with `examples/commit_rate.rs` (2 cores, virtual disk, release build; two rows a transaction): 4,100
//! committed transactions a second from 1 writer, 20,000 from 8, 57,000 to 62,000 from 64, the slowest of them 10 ms;
//! a read by primary key through this layer 1.4 µs.
//!
//! Constraints must not be deferred: they would be checked at the physical COMMIT and fail the whole batch
//! (`migrate.rs` refuses them).

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, Semaphore, oneshot};

use crate::changes::{Signals, Wakes};
use crate::engine::{Pace, Want};
use crate::error::{Error, Result};
use crate::sql::{Arg, Dialect, Query, Row, Shape, Value, list_as_json};
use crate::sqlite_file::{copy_database, data_version, fault, is_busy, open_file, open_reader};

/// Most transactions that share one physical commit.
const BATCH_MEMBERS: usize = 128;
/// Longest time that a physical transaction stays open for more members.
const BATCH_TIME: Duration = Duration::from_millis(20);
/// Longest wait for the writer of this process.
const WRITER_WAIT: Duration = Duration::from_secs(10);
/// Longest wait for another process that writes.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// Scans that run at the same time.
const SCANS: usize = 4;

/// A database file that is open.
pub(crate) struct Sqlite {
    /// Tells the thread-local readers of several stores apart.
    number: u64,
    path: PathBuf,
    writer: Arc<AsyncMutex<Writer>>,
    waiting: AtomicUsize,
    scans: Arc<Semaphore>,
    alive: Arc<()>,
    wakes: Arc<Wakes>,
}

/// The one connection that writes.
pub(crate) struct Writer {
    conn: Connection,
    batch: Option<Batch>,
}

/// A physical transaction that is open, and who waits for its commit.
struct Batch {
    opened: Instant,
    members: Vec<oneshot::Sender<Result<()>>>,
    signals: Signals,
    closer_queued: bool,
}

impl Sqlite {
    pub(crate) async fn open(path: PathBuf, wakes: Arc<Wakes>) -> Result<(Arc<Self>, i64)> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let file = path.clone();
        let (conn, version) = blocking(move || open_file(&file)).await?;
        let sqlite = Self {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            path,
            writer: Arc::new(AsyncMutex::new(Writer { conn, batch: None })),
            waiting: AtomicUsize::new(0),
            scans: Arc::new(Semaphore::new(SCANS)),
            alive: Arc::new(()),
            wakes,
        };
        Ok((Arc::new(sqlite), version))
    }

    pub(crate) async fn read(self: &Arc<Self>, query: Query, want: Want, pace: Pace) -> Result<Vec<Row>> {
        match pace {
            Pace::Short => self.with_reader(|conn| rows(conn, &query, want)),
            Pace::Long => {
                let permit = Arc::clone(&self.scans).acquire_owned().await;
                let sqlite = Arc::clone(self);
                blocking(move || {
                    let _permit = permit;
                    sqlite.with_reader(|conn| rows(conn, &query, want))
                })
                .await
            }
        }
    }

    /// Runs `work` on this thread's reader, which is opened at its first use.
    fn with_reader<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        thread_local! {
            static READERS: RefCell<Vec<Reader>> = const { RefCell::new(Vec::new()) };
        }
        struct Reader {
            store: u64,
            alive: Weak<()>,
            conn: Connection,
        }
        READERS.with_borrow_mut(|readers| {
            if !readers.iter().any(|reader| reader.store == self.number) {
                readers.retain(|reader| reader.alive.strong_count() > 0);
                let conn = open_reader(&self.path)?;
                readers.push(Reader {
                    store: self.number,
                    alive: Arc::downgrade(&self.alive),
                    conn,
                });
            }
            match readers.iter().find(|reader| reader.store == self.number) {
                Some(reader) => work(&reader.conn),
                None => Err(Error::Engine("no reader on this thread".to_owned())),
            }
        })
    }

    /// Takes the writer and opens a member of the physical transaction.
    pub(crate) async fn begin(self: &Arc<Self>) -> Result<SqliteTx> {
        let waiting = Waiting::new(&self.waiting);
        let Ok(mut writer) = tokio::time::timeout(WRITER_WAIT, Arc::clone(&self.writer).lock_owned()).await
        else {
            return Err(Error::unavailable(
                "the database is busy: other transactions did not end in time",
            ));
        };
        drop(waiting);
        if writer.batch.is_none() {
            writer = begin_physical(writer).await?;
        }
        writer
            .conn
            .prepare_cached("SAVEPOINT member")
            .and_then(|mut s| s.raw_execute())
            .map_err(|e| fault(&e))?;
        let member = Member {
            writer: Some(writer),
            failed: false,
        };
        Ok(SqliteTx {
            sqlite: Arc::clone(self),
            member: Mutex::new(member),
        })
    }

    /// Readiness: the file is there, can be read, and takes a write. Nothing stays written.
    pub(crate) async fn ping(self: &Arc<Self>) -> Result<()> {
        if !self.path.exists() {
            return Err(Error::unavailable(format!(
                "the database file {} is gone: restore it and restart",
                self.path.display()
            )));
        }
        self.with_reader(|conn| {
            conn.execute_batch("SELECT count(*) FROM schema_migrations")
                .map_err(|e| fault(&e))
        })?;
        let tx = self.begin().await?;
        tx.with(|conn| {
            conn.execute_batch("INSERT INTO counters(name, value) VALUES ('ping', 0) ON CONFLICT (name) DO UPDATE SET value = 0")
                .map_err(|e| fault(&e))
        })
    }

    /// Looks five times a second whether another process committed. A look is no query: it compares one number in the
    /// shared memory of the database.
    pub(crate) async fn pulse(&self) {
        let mut watcher: Option<(Connection, i64)> = None;
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let seen = match &watcher {
                Some((conn, before)) => data_version(conn).map(|now| (now, now != *before)),
                None => open_reader(&self.path).and_then(|conn| {
                    let now = data_version(&conn)?;
                    watcher = Some((conn, now));
                    Ok((now, true))
                }),
            };
            match (seen, &mut watcher) {
                (Ok((now, changed)), Some((_, before))) => {
                    *before = now;
                    if changed {
                        self.wakes.signal(Signals {
                            changes: true,
                            jobs: true,
                        });
                    }
                }
                _ => watcher = None,
            }
        }
    }

    /// Leaves the file tidy: statistics and an empty write-ahead log.
    pub(crate) async fn close(&self) {
        let Ok(writer) = tokio::time::timeout(WRITER_WAIT, Arc::clone(&self.writer).lock_owned()).await
        else {
            return;
        };
        let wakes = Arc::clone(&self.wakes);
        let _ = tokio::task::spawn_blocking(move || {
            let conn = &close_batch(writer, &wakes);
            if let Err(error) = conn
                .conn
                .execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)")
            {
                tracing::debug!(%error, "the write-ahead log was not emptied");
            }
        })
        .await;
    }

    /// Copies the whole database to a new file while it is in use.
    pub(crate) async fn snapshot(self: &Arc<Self>, to: PathBuf) -> Result<()> {
        let from = self.path.clone();
        blocking(move || copy_database(&open_reader(&from)?, &to)).await
    }
}

/// Counts who waits for the writer, also when the waiting is given up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// BEGIN IMMEDIATE, tried again while another process writes.
async fn begin_physical(mut writer: OwnedMutexGuard<Writer>) -> Result<OwnedMutexGuard<Writer>> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if !writer.conn.is_autocommit() {
            writer.conn.execute_batch("ROLLBACK").map_err(|e| fault(&e))?;
        }
        let begun = writer
            .conn
            .prepare_cached("BEGIN IMMEDIATE")
            .and_then(|mut s| s.raw_execute());
        match begun {
            Ok(_) => break,
            Err(error) if is_busy(&error) && started.elapsed() < BUSY_WAIT => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(25));
            }
            Err(error) => return Err(fault(&error)),
        }
    }
    writer.batch = Some(Batch {
        opened: Instant::now(),
        members: Vec::new(),
        signals: Signals::default(),
        closer_queued: false,
    });
    Ok(writer)
}

/// The physical COMMIT, and the answer to everybody who waits for it. Blocks on the disk.
fn close_batch(mut writer: OwnedMutexGuard<Writer>, wakes: &Wakes) -> OwnedMutexGuard<Writer> {
    let Some(batch) = writer.batch.take() else {
        return writer;
    };
    let outcome = writer.conn.execute_batch("COMMIT").map_err(|error| fault(&error));
    if outcome.is_err()
        && !writer.conn.is_autocommit()
        && let Err(error) = writer.conn.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a failed commit could not be rolled back");
    }
    if outcome.is_ok() {
        wakes.signal(batch.signals);
    }
    for member in batch.members {
        let _ = member.send(outcome.clone());
    }
    writer
}

/// A transaction of ours: a savepoint, and the writer while it is open.
pub(crate) struct SqliteTx {
    sqlite: Arc<Sqlite>,
    member: Mutex<Member>,
}

struct Member {
    /// `None` once committed.
    writer: Option<OwnedMutexGuard<Writer>>,
    failed: bool,
}

impl SqliteTx {
    fn member(&self) -> MutexGuard<'_, Member> {
        self.member.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on the writer, on this thread. An error fails the transaction, as on PostgreSQL.
    fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let mut member = self.member();
        if member.failed {
            return Err(failed_before());
        }
        let Some(writer) = member.writer.as_mut() else {
            return Err(failed_before());
        };
        let outcome = work(&writer.conn);
        if let Err(error) = &outcome {
            writer.lose_if_gone(error);
            member.failed = true;
        }
        outcome
    }

    pub(crate) fn fetch(&self, query: &Query, want: Want) -> Result<Vec<Row>> {
        self.with(|conn| rows(conn, query, want))
    }

    pub(crate) fn run(&self, query: &Query) -> Result<u64> {
        self.with(|conn| {
            let text = query.text_for(Dialect::Sqlite)?;
            let mut statement = conn.prepare_cached(&text).map_err(|e| fault(&e))?;
            bind(&mut statement, query)?;
            // Steps through to the end, so that a RETURNING nobody reads does no harm.
            let mut rows = statement.raw_query();
            while rows.next().map_err(|e| fault(&e))?.is_some() {}
            drop(rows);
            Ok(if statement.readonly() { 0 } else { conn.changes() })
        })
    }

    pub(crate) async fn commit(self, signals: Signals) -> Result<()> {
        let receiver = {
            let mut member = self.member();
            if member.failed {
                return Err(failed_before());
            }
            let Some(mut writer) = member.writer.take() else {
                return Err(failed_before());
            };
            if let Err(error) = writer
                .conn
                .prepare_cached("RELEASE member")
                .and_then(|mut s| s.raw_execute())
            {
                let error = fault(&error);
                writer.lose_if_gone(&error);
                writer.undo_member();
                return Err(error);
            }
            self.sqlite.join(writer, signals)?
        };
        receiver.await.unwrap_or_else(|_| {
            Err(Error::unavailable(
                "the program is stopping: it is not known whether the transaction was committed",
            ))
        })
    }
}

impl Sqlite {
    /// Adds a member to the batch, and sees to it that somebody closes the batch.
    fn join(
        self: &Arc<Self>,
        mut writer: OwnedMutexGuard<Writer>,
        signals: Signals,
    ) -> Result<oneshot::Receiver<Result<()>>> {
        let (reply, receiver) = oneshot::channel();
        let others_wait = self.waiting.load(Ordering::SeqCst) > 0;
        let Some(batch) = writer.batch.as_mut() else {
            return Err(Error::Engine("no physical transaction is open".to_owned()));
        };
        batch.members.push(reply);
        batch.signals = batch.signals.and(signals);
        let leave_open = batch.members.len() < BATCH_MEMBERS && batch.opened.elapsed() < BATCH_TIME;
        let wakes = Arc::clone(&self.wakes);
        if leave_open && !batch.closer_queued {
            batch.closer_queued = true;
            let lock = Arc::clone(&self.writer);
            tokio::spawn(async move {
                if !others_wait {
                    // Who is ready to run may be about to commit too.
                    tokio::task::yield_now().await;
                }
                let writer = lock.lock_owned().await;
                let _ = tokio::task::spawn_blocking(move || drop(close_batch(writer, &wakes))).await;
            });
        } else if !leave_open {
            tokio::task::spawn_blocking(move || drop(close_batch(writer, &wakes)));
        }
        Ok(receiver)
    }
}

impl Drop for SqliteTx {
    fn drop(&mut self) {
        if let Some(mut writer) = self.member().writer.take() {
            writer.undo_member();
        }
    }
}

impl Writer {
    /// Undoes one member. The batch goes on when it has other members: their closer is queued already.
    fn undo_member(&mut self) {
        if self.conn.is_autocommit() {
            self.batch = None;
            return;
        }
        let alone = self.batch.as_ref().is_none_or(|batch| batch.members.is_empty());
        let undone = if alone {
            self.batch = None;
            self.conn.execute_batch("ROLLBACK")
        } else {
            self.conn.execute_batch("ROLLBACK TO member; RELEASE member")
        };
        if let Err(error) = undone {
            self.fail_batch(&fault(&error));
            if let Err(error) = self.conn.execute_batch("ROLLBACK") {
                tracing::error!(%error, "a transaction could not be rolled back");
            }
        }
    }

    /// After errors such as a full disk SQLite rolls the whole physical transaction back: then the members who
    /// wait for its commit must hear it.
    fn lose_if_gone(&mut self, error: &Error) {
        if self.conn.is_autocommit() {
            self.fail_batch(error);
        }
    }

    fn fail_batch(&mut self, error: &Error) {
        for member in self.batch.take().into_iter().flat_map(|batch| batch.members) {
            let _ = member.send(Err(error.clone()));
        }
    }
}

fn failed_before() -> Error {
    Error::Engine("the transaction failed at an earlier statement".to_owned())
}

/// Runs `work` on a blocking thread.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::unavailable("the program is stopping")),
    }
}

// ---------------------------------------------------------------------------------------------------- statements

fn rows(conn: &Connection, query: &Query, want: Want) -> Result<Vec<Row>> {
    let text = query.text_for(Dialect::Sqlite)?;
    let mut statement = conn.prepare_cached(&text).map_err(|e| fault(&e))?;
    bind(&mut statement, query)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let shape = Arc::new(Shape {
        sql: query.text.clone(),
        columns,
    });
    let mut found = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(|e| fault(&e))? {
        let values = (0..shape.columns.len())
            .map(|index| row.get_ref(index).map_err(|e| fault(&e)).and_then(value))
            .collect::<Result<_>>()?;
        found.push(Row {
            shape: Arc::clone(&shape),
            values,
        });
        if want == Want::First {
            break;
        }
    }
    Ok(found)
}

fn value(value: ValueRef<'_>) -> Result<Value> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => return Err(Error::Engine("a stored text is not UTF-8".to_owned())),
        },
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
    })
}

/// Gives each `$n` its argument; SQLite numbers placeholders by first appearance, so by name.
fn bind(statement: &mut rusqlite::CachedStatement<'_>, query: &Query) -> Result<()> {
    let mut used = 0;
    for index in 1..=statement.parameter_count() {
        let position = statement
            .parameter_name(index)
            .and_then(|name| name.strip_prefix('$'))
            .and_then(|digits| digits.parse::<usize>().ok())
            .ok_or_else(|| Error::Engine(format!("a placeholder is not $1, $2, …: {}", query.text)))?;
        let arg = position.checked_sub(1).and_then(|index| query.args.get(index));
        let Some(arg) = arg else {
            return Err(Error::Engine(format!("${position} has no value: {}", query.text)));
        };
        used += 1;
        statement
            .raw_bind_parameter(index, Bound(arg))
            .map_err(|e| fault(&e))?;
    }
    if used == query.args.len() {
        Ok(())
    } else {
        Err(Error::Engine(format!(
            "{} values for {used} placeholders: {}",
            query.args.len(),
            query.text
        )))
    }
}

/// An argument as SQLite stores it.
struct Bound<'a>(&'a Arg);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Arg::Null(_) | Arg::Unstorable(_) => ToSqlOutput::Borrowed(ValueRef::Null),
            Arg::Bool(value) => ToSqlOutput::Borrowed(ValueRef::Integer(i64::from(*value))),
            Arg::Int(value) => ToSqlOutput::Borrowed(ValueRef::Integer(*value)),
            Arg::Text(text) | Arg::Json(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Arg::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Arg::Uuid(id) => ToSqlOutput::Borrowed(ValueRef::Blob(id.as_bytes())),
            Arg::List(_, items) => ToSqlOutput::Owned(rusqlite::types::Value::Text(list_as_json(items))),
        })
    }
}
