//! What can go wrong in the store, in words that do not depend on the engine.
//!
//! Lives here: the one `Error` of this crate and the questions callers ask of it. Does not live here: how an
//! engine's own error becomes one of these (`engine_sqlite.rs`, `engine_postgres.rs`), nor what a caller makes of
//! it (core decides between a refusal and a fault).

use std::fmt;

/// Result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the store could not do what it was asked.
///
/// Never holds a password, a bound value or a statement's arguments; safe to log and to show to an operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A row with this natural key exists already (SQLSTATE 23505, `SQLITE_CONSTRAINT_UNIQUE`/`_PRIMARYKEY`).
    ///
    /// Use [`Error::is_conflict_on`] to ask which key.
    #[error("a row with the same key exists already ({constraint})")]
    Conflict {
        /// `<table>_<columns joined by _>_key`, or `<table>_pkey`: the name PostgreSQL gives by itself. The same
        /// on both engines as long as unique indexes follow that naming.
        constraint: String,
    },
    /// The row points at one that does not exist, or is still pointed at (a foreign key).
    #[error("the row refers to one that does not exist, or is still referred to ({constraint})")]
    Reference {
        /// Name of the constraint; SQLite does not tell it (`foreign key`).
        constraint: String,
    },
    /// The row changed since it was read, or is gone. Raised by resource code when its `UPDATE` met no row.
    #[error("the row was changed by somebody else in the meantime")]
    Stale,
    /// A stored value cannot be what the program expects.
    #[error("{table}.{column} holds an unexpected value: {problem}")]
    Corrupt {
        /// Table, as far as the statement tells.
        table: String,
        /// Column as named in the statement.
        column: String,
        /// What was expected and what kind of value was found; never the value.
        problem: String,
    },
    /// A value that no engine can store alike, so it is refused on both (text with a NUL character, a number
    /// beyond 63 bits, a list that is too long).
    #[error("argument ${position} cannot be stored: {problem}")]
    Unstorable {
        /// Number of the placeholder.
        position: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The database cannot be reached, is busy beyond the bound, full, read-only, or asks to try again.
    #[error("{reason}")]
    Unavailable {
        /// One line for the operator: what happened and what to do.
        reason: String,
    },
    /// The schema is newer than this program. Nothing was touched.
    #[error(
        "the database has schema version {database}, this program knows {program}: start the newer program, or \
         restore a backup made before the upgrade"
    )]
    TooNew {
        /// Version in the database.
        database: i64,
        /// Newest version this program knows.
        program: i64,
    },
    /// The database cannot be used as it is and retrying will not help: a wrong file, an edited migration, a bad
    /// `database_url`.
    #[error("{reason}")]
    Unusable {
        /// One line for the operator: what happened and what to do.
        reason: String,
    },
    /// A table or column is not there: the database does not have the shape that this program works with (SQLSTATE 42P01, 42703).
    #[error(
        "the database has another shape than this program works with ({0}): was it changed by hand, or restored half?"
    )]
    Drift(String),
    /// Anything else; a fault of the program (bad SQL, a broken CHECK).
    #[error("database: {0}")]
    Engine(String),
}

const BUSY: &str = "all database connections are in use";

impl Error {
    /// Whether this is a conflict on the given key: `is_conflict_on("users", "username_key")` asks for the
    /// constraint or index `users_username_key`; `is_conflict_on("users", "pkey")` for the primary key.
    #[must_use]
    pub fn is_conflict_on(&self, table: &str, key: &str) -> bool {
        match self {
            Self::Conflict { constraint } => constraint
                .strip_prefix(table)
                .and_then(|rest| rest.strip_prefix('_'))
                .is_some_and(|rest| rest == key),
            _ => false,
        }
    }

    /// Whether trying again later may help without anybody changing anything.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// A value of `column` (of the table that `table` names) cannot be what resource code expects of it.
    pub fn corrupt(table: &str, column: &str, problem: impl fmt::Display) -> Self {
        Self::Corrupt {
            table: table.to_owned(),
            column: column.to_owned(),
            problem: problem.to_string(),
        }
    }

    /// All connections are in use: the database itself may be well.
    pub(crate) fn busy() -> Self {
        Self::unavailable(BUSY)
    }

    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Unavailable { reason } if reason == BUSY)
    }

    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable {
            reason: reason.into(),
        }
    }

    pub(crate) fn unusable(reason: impl Into<String>) -> Self {
        Self::Unusable {
            reason: reason.into(),
        }
    }
}
