//! The SQLite file: creating, opening and copying it, and SQLite's errors in the store's words.
//!
//! Not here: statements and transactions (`engine_sqlite.rs`).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use crate::error::{Error, Result};
use crate::migrate;

/// Statements that each connection keeps prepared.
const STATEMENTS: usize = 256;

/// Opens or creates the file, brings its schema up to date and sets the writer up. Blocks.
pub(crate) fn open_file(path: &Path) -> Result<(Connection, i64)> {
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

pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(|e| about_file(path, fault(&e)))?;
    conn.busy_timeout(Duration::from_secs(2)).map_err(|e| fault(&e))?;
    conn.execute_batch("PRAGMA query_only = ON")
        .map_err(|e| fault(&e))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

pub(crate) fn data_version(conn: &Connection) -> Result<i64> {
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

pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
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
        // SQLite has no code of its own for it; the words are its own since its first version.
        ErrorCode::Unknown if is_drift(&text) => Error::Drift(text),
        ErrorCode::NotADatabase => Error::unusable("the file is not an SQLite database"),
        _ => Error::Engine(text),
    }
}

fn is_drift(text: &str) -> bool {
    ["no such table: ", "no such column: ", "has no column named "]
        .iter()
        .any(|words| text.contains(words))
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
