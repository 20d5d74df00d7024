//! The one `match` on the engine: everything above speaks to [`Engine`] and [`Session`], everything below is
//! one engine only (`engine_sqlite.rs`, `engine_postgres.rs`).

use std::sync::Arc;

use crate::changes::{Signals, Wakes};
use crate::engine_postgres::{Postgres, PostgresTx};
use crate::engine_sqlite::{Sqlite, SqliteTx};
use crate::error::Result;
use crate::options::{OpenOptions, Target};
use crate::sql::{Query, Row};

/// How many rows of a result are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// All of them.
    All,
    /// The first one.
    First,
}

/// Where a read runs on SQLite, and how long it may take on PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Found through an index: on the caller's thread.
    Short,
    /// Can scan a table: on a blocking thread.
    Long,
}

/// A database that is open.
pub(crate) enum Engine {
    Sqlite(Arc<Sqlite>),
    Postgres(Arc<Postgres>),
}

/// What a `Conn` or `Tx` runs its statements on.
pub(crate) enum Session {
    SqliteRead(Arc<Sqlite>),
    SqliteWrite(SqliteTx),
    PostgresRead(Arc<Postgres>),
    PostgresWrite(Box<PostgresTx>),
}

impl Engine {
    /// Opens the database and brings its schema up to date. Also tells the schema version.
    pub(crate) async fn open(options: &OpenOptions, wakes: Arc<Wakes>) -> Result<(Self, i64)> {
        match &options.target {
            Target::Sqlite(path) => {
                let (sqlite, version) = Sqlite::open(path.clone(), wakes).await?;
                Ok((Self::Sqlite(sqlite), version))
            }
            Target::Postgres(target) => {
                let (postgres, version) = Postgres::open(target, options, wakes).await?;
                Ok((Self::Postgres(postgres), version))
            }
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }

    /// The views with names of another service: each engine has its own way to write ids and times.
    pub(crate) fn views(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => include_str!("../views/auth.sqlite.sql"),
            Self::Postgres(_) => include_str!("../views/auth.postgres.sql"),
        }
    }

    pub(crate) fn read(&self) -> Session {
        match self {
            Self::Sqlite(sqlite) => Session::SqliteRead(Arc::clone(sqlite)),
            Self::Postgres(postgres) => Session::PostgresRead(Arc::clone(postgres)),
        }
    }

    pub(crate) async fn begin(&self) -> Result<Session> {
        Ok(match self {
            Self::Sqlite(sqlite) => Session::SqliteWrite(sqlite.begin().await?),
            Self::Postgres(postgres) => Session::PostgresWrite(Box::new(postgres.begin().await?)),
        })
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.ping().await,
            Self::Postgres(postgres) => postgres.ping().await,
        }
    }

    /// Watches for commits of other processes and signals them, for ever.
    pub(crate) async fn pulse(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.pulse().await,
            Self::Postgres(postgres) => postgres.pulse().await,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close().await,
            Self::Postgres(postgres) => postgres.close(),
        }
    }

    pub(crate) async fn snapshot(&self, to: std::path::PathBuf) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.snapshot(to).await,
            Self::Postgres(_) => Err(crate::Error::unusable(
                "a PostgreSQL database is not copied to a file by this program: use pg_dump",
            )),
        }
    }
}

impl Session {
    pub(crate) async fn fetch(&self, query: Query, want: Want, pace: Pace) -> Result<Vec<Row>> {
        query.check()?;
        match self {
            Self::SqliteRead(sqlite) => sqlite.read(query, want, pace).await,
            Self::SqliteWrite(tx) => tx.fetch(&query, want),
            Self::PostgresRead(postgres) => postgres.read(&query, pace).await,
            Self::PostgresWrite(tx) => tx.fetch(&query, pace).await,
        }
    }

    pub(crate) async fn run(&self, query: Query) -> Result<u64> {
        query.check()?;
        match self {
            Self::SqliteWrite(tx) => tx.run(&query),
            Self::PostgresWrite(tx) => tx.run(&query).await,
            Self::SqliteRead(_) | Self::PostgresRead(_) => Err(not_writing()),
        }
    }

    /// Tells other processes at commit, where the engine can.
    pub(crate) async fn notify(&self, signals: Signals) -> Result<()> {
        match self {
            Self::PostgresWrite(tx) => tx.notify(signals).await,
            _ => Ok(()),
        }
    }

    /// Commits. In-process listeners hear `signals` once the commit is durable.
    pub(crate) async fn commit(self, signals: Signals) -> Result<()> {
        match self {
            Self::SqliteWrite(tx) => tx.commit(signals).await,
            Self::PostgresWrite(tx) => tx.commit(signals).await,
            Self::SqliteRead(_) | Self::PostgresRead(_) => Err(not_writing()),
        }
    }

    /// Whether the engine asked to run the whole transaction again (40001, 40P01).
    pub(crate) fn wants_retry(&self) -> bool {
        match self {
            Self::PostgresWrite(tx) => tx.wants_retry(),
            _ => false,
        }
    }
}

/// Cannot happen: only `Store::begin` makes a `Tx`.
fn not_writing() -> crate::Error {
    crate::Error::Engine("a write outside a transaction".to_owned())
}
