//! SQLite and PostgreSQL behind one concrete [`Store`].
//!
//! Reads are on [`Conn`], writes on [`Tx`]; SQL stands here once, as text that both engines accept; exactly one file
//! (`engine.rs`) matches on the engine. One file per resource adds `impl Conn` and `impl Tx`. Not here: HTTP, hashing,
//! rules, clocks and randomness.
//!
//! ```no_run
//! # async fn example() -> doorward_store::Result<()> {
//! use doorward_store::{OpenOptions, Store, sql};
//! let store = Store::open(OpenOptions::parse("sqlite:doorward-data/doorward.db")?).await?;
//! let tx = store.begin().await?;
//! tx.put_instance("name", "Example").await?;
//! tx.commit().await?;
//! let name = store.read().first(sql("SELECT value FROM instance WHERE key = $1").bind("name")).await?;
//! # Ok(()) }
//! ```

pub mod api_tokens;
mod app_auth;
mod app_passwords;
mod applications;
mod changes;
pub mod codes;
mod conn;
mod create;
mod devices;
mod engine;
mod engine_postgres;
mod engine_sqlite;
mod error;
pub mod events;
mod families;
mod fields;
mod foreign;
mod foreign_file;
mod grants;
mod groups;
mod instance;
mod jobs;
mod keys;
mod links;
mod matrix;
mod migrate;
mod options;
#[cfg(all(test, feature = "testing"))]
mod plans;
mod postgres_error;
mod postgres_listen;
mod postgres_tls;
mod pushed;
mod scopes;
mod sessions;
mod sql;
mod sqlite_file;
#[cfg(feature = "testing")]
pub mod testing;
pub mod throttle;
mod token_families;
pub mod tokens;
pub mod users;
mod views;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use api_tokens::ApiToken;
pub use app_auth::{AppRecord, Proof};
pub use changes::{Change, Changes};
pub use codes::Taken;
pub use conn::{Conn, Tx, count_queries};
pub use create::create_database;
pub use error::{Error, Result};
pub use events::EventFilter;
pub use fields::{FORGET_BATCH, MAX_PAGE, conflict_field};
pub use foreign::Foreign;
/// What the closure of [`Store::retry`] returns.
pub use futures_util::future::BoxFuture;
pub use jobs::{Job, JobFilter, JobRecord, JobState, JobWake, NewJob};
pub use migrate::newest_version;
pub use options::{OpenOptions, Pooler};
pub use sql::{Arg, FromValue, IntoArg, Kind, ListItem, MAX_LIST, Query, Row, Value, sql, sql_built};
pub use token_families::FamilyRow;
pub use tokens::{JtiState, Refreshing};
pub use users::UserFilter;
pub use views::OLD_NAMES;

use changes::Wakes;
use engine::Engine;
use postgres_listen::AbortOnDrop;

/// How often [`Store::retry`] runs a transaction that the engine asks to run again.
const ATTEMPTS: u32 = 8;

/// The database. Cheap to clone; all clones share connections.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    queries: Arc<AtomicU64>,
    wakes: Arc<Wakes>,
    schema_version: i64,
    place: String,
    pulse: OnceLock<AbortOnDrop>,
}

impl Store {
    /// Opens the database, creates the SQLite file when there is none (folder 0700, file 0600), and takes the
    /// migrations that are missing. Needs a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when trying again may help (no such server or database, wrong password, disk full),
    /// [`Error::TooNew`] and [`Error::Unusable`] when it will not. Each is one line that says what to do.
    pub async fn open(options: OpenOptions) -> Result<Self> {
        let wakes = Arc::new(Wakes::new());
        let (engine, schema_version) = Engine::open(&options, Arc::clone(&wakes)).await?;
        Ok(Self(Arc::new(Inner {
            engine: Arc::new(engine),
            queries: Arc::default(),
            wakes,
            schema_version,
            place: options.place(),
            pulse: OnceLock::new(),
        })))
    }

    /// A handle for reads. Costs nothing and holds nothing.
    #[must_use]
    pub fn read(&self) -> Conn {
        Conn {
            session: self.0.engine.read(),
            queries: Arc::clone(&self.0.queries),
        }
    }

    /// Begins a transaction. On SQLite this waits for the writer.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database is away, or stays busy beyond the bound.
    pub async fn begin(&self) -> Result<Tx> {
        let session = self.0.engine.begin().await?;
        Ok(Tx::new(Conn {
            session,
            queries: Arc::clone(&self.0.queries),
        }))
    }

    /// Runs `work` in a transaction and commits it; runs all of it again when the engine asks for that (deadlock,
    /// serialization failure). `work` must have no effect outside the transaction.
    ///
    /// ```no_run
    /// # async fn example(store: doorward_store::Store) -> doorward_store::Result<()> {
    /// let number: i64 = store.retry(|tx| Box::pin(async move { tx.next_number("user").await })).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What `work` returns, or any error of the store.
    pub async fn retry<T, E, F>(&self, work: F) -> Result<T, E>
    where
        E: From<Error>,
        F: for<'t> Fn(&'t Tx) -> BoxFuture<'t, Result<T, E>>,
    {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let tx = self.begin().await?;
            let outcome = match work(&tx).await {
                Ok(value) => tx.flush().await.map(|signals| (value, signals)).map_err(E::from),
                Err(error) => Err(error),
            };
            match outcome {
                Ok((value, signals)) => {
                    tx.seal(signals).await?;
                    return Ok(value);
                }
                Err(_) if attempt < ATTEMPTS && tx.wants_retry() => {
                    drop(tx);
                    tokio::time::sleep(Duration::from_millis(5) * attempt).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the database answers and takes writes; the error's text is the reason for the operator.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with the reason.
    pub async fn ping(&self) -> Result<()> {
        self.0.engine.ping().await
    }

    /// Version of the schema: the number of the newest migration.
    #[must_use]
    pub fn schema_version(&self) -> i64 {
        self.0.schema_version
    }

    /// `sqlite` or `postgres`.
    #[must_use]
    pub fn engine_name(&self) -> &'static str {
        self.0.engine.name()
    }

    /// Where the database is, for people; without user and password.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.0.place
    }

    /// How many statements ran so far. Looks for changes of other processes do not count.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.0.queries.load(Ordering::Relaxed)
    }

    /// Copies an SQLite database to a new file while it is in use. The file appears when it is complete.
    ///
    /// # Errors
    /// [`Error::Unusable`] on PostgreSQL, [`Error::Unavailable`] when the file cannot be written.
    pub async fn snapshot(&self, to: impl Into<PathBuf>) -> Result<()> {
        self.0.engine.snapshot(to.into()).await
    }

    /// Ends what can be ended at a graceful stop. Transactions that are open finish first (SQLite).
    pub async fn close(&self) {
        self.0.engine.close().await;
    }

    fn old_views(&self) -> &'static str {
        self.0.engine.views()
    }

    fn wakes(&self) -> &Wakes {
        &self.0.wakes
    }

    /// Starts the task that looks for commits of other processes, once.
    fn start_pulse(&self) {
        self.0.pulse.get_or_init(|| {
            let engine = Arc::clone(&self.0.engine);
            AbortOnDrop(tokio::spawn(async move { engine.pulse().await }))
        });
    }
}
