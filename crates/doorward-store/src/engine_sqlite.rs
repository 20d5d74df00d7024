//! SQLite: thread-local readers, one writer, group commit.
//!
//! **Reads** run directly on the caller's thread, on a read-only connection that belongs to the thread (a few µs by
//! primary key); reads that can scan go to a blocking thread.
//!
//! **Writes** share one connection behind a fair lock. A transaction of ours is a SAVEPOINT inside a physical
//! transaction. A member that commits while others wait for the writer leaves the physical COMMIT to the *closer*, a
//! task that queues for the writer behind everybody who waits already; each member's `commit()` returns only after
//! that COMMIT is on disk (`synchronous=FULL`), and with its error when it fails. Nobody waiting: the member commits
//! at once. The queue is fair, so a batch is bounded by who waited when it started, and besides by
//! [`BATCH_MEMBERS`] and [`BATCH_TIME`]. A member that rolls back undoes its savepoint only. COMMIT, and with it
//! fsync, runs on a blocking thread.
//!
//! Measured with `examples/commit_rate.rs` (2 cores, virtual disk, release build; two rows a transaction): 4,100
//! committed transactions a second from 1 writer, 20,000 from 8, 57,000 to 62,000 from 64, the slowest of them 10 ms;
//! a read by primary key through this layer 1.4 µs.
//!
//! Constraints must not be deferred: they would be checked at the physical COMMIT and fail the whole batch
//! (`migrate.rs` refuses them).

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, ffi};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, Semaphore, oneshot};

use crate::changes::{Signals, Wakes};
use crate::engine::{Pace, Want};
use crate::error::{Error, Result};
use crate::migrate;
use crate::sql::{Arg, Dialect, Query, Row, Shape, Value, list_as_json};

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
/// Statements that each connection keeps prepared.
const STATEMENTS: usize = 256;

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

    /// Looks once a second whether another process committed. A look is no query: it compares one number in the
    /// shared memory of the database.
    pub(crate) async fn pulse(&self) {
        let mut watcher: Option<(Connection, i64)> = None;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
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
        let leave_open =
            others_wait && batch.members.len() < BATCH_MEMBERS && batch.opened.elapsed() < BATCH_TIME;
        let wakes = Arc::clone(&self.wakes);
        if leave_open && !batch.closer_queued {
            batch.closer_queued = true;
            let lock = Arc::clone(&self.writer);
            tokio::spawn(async move {
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
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
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

// --------------------------------------------------------------------------------------------------------- errors

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// An error of SQLite in the store's words.
pub(crate) fn fault(error: &rusqlite::Error) -> Error {
    let (code, message) = match error {
        rusqlite::Error::SqliteFailure(code, message) => (*code, message.clone().unwrap_or_default()),
        rusqlite::Error::SqlInputError { error, msg, .. } => (*error, msg.clone()),
        other => return Error::Engine(other.to_string()),
    };
    let text = if message.is_empty() {
        error.to_string()
    } else {
        message
    };
    match code.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE => {
            return Error::Conflict {
                constraint: key_name(&text, "_key"),
            };
        }
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            return Error::Conflict {
                constraint: format!("{}_pkey", table_in(&text)),
            };
        }
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => {
            return Error::Reference {
                constraint: "foreign key".to_owned(),
            };
        }
        _ => {}
    }
    match code.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            Error::unavailable("the database is busy: another process holds it")
        }
        ErrorCode::DiskFull => Error::unavailable("the disk is full: make room for the database"),
        ErrorCode::ReadOnly => Error::unavailable(
            "the database cannot be written: check the owner and permissions of its file and folder",
        ),
        ErrorCode::SystemIoFailure => Error::unavailable(format!("the disk failed: {text}")),
        ErrorCode::CannotOpen => Error::unavailable(
            "the database file cannot be opened: check its path, and the owner and permissions of file and folder",
        ),
        ErrorCode::DatabaseCorrupt => {
            Error::unusable(format!("the database file is damaged: {text}: restore a backup"))
        }
        ErrorCode::NotADatabase => Error::unusable("the file is not an SQLite database"),
        _ => Error::Engine(text),
    }
}

/// `UNIQUE constraint failed: users.a, users.b` as PostgreSQL would name the key: `users_a_b_key`. For an index on
/// expressions SQLite gives the index's own name.
fn key_name(message: &str, suffix: &str) -> String {
    let detail = message.split_once(": ").map_or(message, |(_, detail)| detail);
    if let Some(index) = detail.strip_prefix("index '") {
        return index.trim_end_matches('\'').to_owned();
    }
    let mut name = table_in(message).to_owned();
    for column in detail.split(", ") {
        name.push('_');
        name.push_str(column.split_once('.').map_or(column, |(_, column)| column));
    }
    name.push_str(suffix);
    name
}

fn table_in(message: &str) -> &str {
    let detail = message.split_once(": ").map_or(message, |(_, detail)| detail);
    detail.split_once('.').map_or(detail, |(table, _)| table)
}

// -------------------------------------------------------------------------------------------------------- opening

/// Opens or creates the file, brings its schema up to date and sets the writer up. Blocks.
fn open_file(path: &Path) -> Result<(Connection, i64)> {
    create_file(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let about = |error: Error| about_file(path, error);
    let mut conn = Connection::open_with_flags(path, flags).map_err(|e| about(fault(&e)))?;
    conn.busy_timeout(Duration::from_secs(30))
        .map_err(|e| fault(&e))?;
    let version = migrate::sqlite(&mut conn, path).map_err(about)?;
    conn.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864",
    )
    .map_err(|e| about(fault(&e)))?;
    conn.busy_timeout(Duration::ZERO).map_err(|e| fault(&e))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok((conn, version))
}

/// Creates folder and file so that nobody else on the machine can read them. Never opens an existing file: closing
/// it again would drop the locks that SQLite holds on it in this process.
fn create_file(path: &Path) -> Result<()> {
    let failed = |what: &str, at: &Path, error: &std::io::Error| {
        Error::unavailable(format!(
            "cannot create the {what} {}: {error}: check the path and its permissions",
            at.display()
        ))
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(folder)
            .map_err(|error| failed("folder", folder, &error))?;
    }
    if path.is_dir() {
        return Err(Error::unusable(format!(
            "database_url: {} is a folder: expected a file",
            path.display()
        )));
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed("database file", path, &error)),
    }
}

/// Puts the file's name in front of an error.
fn about_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Unavailable { reason } => Error::unavailable(format!("{}: {reason}", path.display())),
        Error::Unusable { reason } => Error::unusable(format!("{}: {reason}", path.display())),
        other => other,
    }
}

fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(|e| about_file(path, fault(&e)))?;
    conn.busy_timeout(Duration::from_secs(2)).map_err(|e| fault(&e))?;
    conn.execute_batch("PRAGMA query_only = ON")
        .map_err(|e| fault(&e))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

fn data_version(conn: &Connection) -> Result<i64> {
    conn.query_row("PRAGMA data_version", [], |row| row.get(0))
        .map_err(|e| fault(&e))
}

/// Copies a database into a file that appears under its name only when it is complete. Blocks.
pub(crate) fn copy_database(from: &Connection, to: &Path) -> Result<()> {
    static COPY: AtomicU64 = AtomicU64::new(0);
    let mut name = to.as_os_str().to_owned();
    name.push(format!(
        ".{}-{}.partial",
        std::process::id(),
        COPY.fetch_add(1, Ordering::Relaxed)
    ));
    let partial = PathBuf::from(name);
    let failed =
        |error: &std::io::Error| Error::unavailable(format!("cannot write {}: {error}", to.display()));
    if let Err(error) = std::fs::remove_file(&partial)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(failed(&error));
    }
    create_file(&partial)?;
    let mut copy = Connection::open(&partial).map_err(|e| about_file(&partial, fault(&e)))?;
    rusqlite::backup::Backup::new(from, &mut copy)
        .and_then(|backup| backup.run_to_completion(1024, Duration::ZERO, None))
        .map_err(|e| about_file(to, fault(&e)))?;
    // A copy of a database in WAL mode is in WAL mode: make it one file.
    copy.execute_batch("PRAGMA journal_mode = DELETE")
        .map_err(|e| about_file(to, fault(&e)))?;
    copy.close().map_err(|(_, e)| about_file(to, fault(&e)))?;
    std::fs::File::open(&partial)
        .and_then(|file| file.sync_all())
        .map_err(|e| failed(&e))?;
    std::fs::rename(&partial, to).map_err(|e| failed(&e))
}
