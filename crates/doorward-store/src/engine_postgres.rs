//! PostgreSQL: a small pool, READ COMMITTED, time limits on everything, and one connection that listens.
//!
//! Every statement carries the types of its arguments, so the server never has to guess them and a NULL needs no
//! cast. Statements with a fixed text are prepared once per connection, unless a transaction pooler is in between
//! ([`Pooler::Transaction`]): then each is sent unnamed, in one round trip.
//!
//! A database that is away makes every call fail with [`Error::Unavailable`] after about a second; connections come
//! back by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use deadpool_postgres::{ClientWrapper, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::changes::{Signals, Wakes};
use crate::engine::Pace;
use crate::error::{Error, Result};
use crate::migrate;
use crate::options::{OpenOptions, Pooler, PostgresTarget};
use crate::postgres_error::{Failure, asks_to_retry, is_lost};
use crate::postgres_tls;
use crate::sql::{Arg, Dialect, Kind, Query, Row, Shape, Value};

/// Oldest server that the SQL of this program is written for.
const OLDEST_VERSION: i64 = 130_000;
/// Longest time to connect, with TLS and password.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Longest wait for a free connection.
const POOL_WAIT: Duration = Duration::from_secs(2);
/// Channel of NOTIFY; `postgres_listen.rs` listens on it.
const CHANNEL: &str = "doorward";

/// A server and database that is open.
pub(crate) struct Postgres {
    pool: Pool,
    pub(crate) target: PostgresTarget,
    pub(crate) tls: MakeRustlsConnect,
    pub(crate) pooler: Pooler,
    pub(crate) statement_limit: Duration,
    pub(crate) wakes: Arc<Wakes>,
}

impl Postgres {
    pub(crate) async fn open(
        target: &PostgresTarget,
        options: &OpenOptions,
        wakes: Arc<Wakes>,
    ) -> Result<(Arc<Self>, i64)> {
        let tls = postgres_tls::connector(target.tls, target.root_certificate.as_deref())?;
        let config = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_config(target.config.clone(), tls.clone(), config);
        let pool = Pool::builder(manager)
            .max_size(options.pool_size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(POOL_WAIT))
            .create_timeout(Some(CONNECT_LIMIT))
            .recycle_timeout(Some(Duration::from_secs(1)))
            .build()
            .map_err(|error| Error::Engine(error.to_string()))?;
        let postgres = Self {
            pool,
            target: target.clone(),
            tls,
            pooler: options.pooler,
            statement_limit: options.statement_limit,
            wakes,
        };
        let client = postgres.client().await?;
        let checked = postgres.check_server(&client).await;
        let version = match checked {
            Ok(()) => migrate::postgres(&postgres, &client).await,
            Err(error) => Err(error),
        }?;
        drop(client);
        Ok((Arc::new(postgres), version))
    }

    async fn check_server(&self, client: &ClientWrapper) -> Result<()> {
        let ask = "SELECT current_setting('server_encoding'), current_setting('server_version_num')";
        let row = self.in_time(client.query_typed(ask, &[])).await?;
        let read = |index: usize| {
            row.first()
                .and_then(|row| row.try_get::<_, String>(index).ok())
                .unwrap_or_default()
        };
        let (encoding, version) = (read(0), read(1));
        if encoding != "UTF8" {
            return Err(Error::unusable(format!(
                "{}: its encoding is {encoding}: create it with ENCODING 'UTF8' TEMPLATE template0",
                self.target.place()
            )));
        }
        if version
            .parse::<i64>()
            .is_ok_and(|version| version < OLDEST_VERSION)
        {
            return Err(Error::unusable(format!(
                "{}: the server is older than PostgreSQL {}: upgrade it",
                self.target.place(),
                OLDEST_VERSION / 10_000
            )));
        }
        Ok(())
    }

    async fn client(&self) -> Result<Object> {
        self.pool.get().await.map_err(|error| self.pool_fault(&error))
    }

    /// How many dead connections one call may meet: all that lay in the pool when the server went away.
    fn most_lost(&self) -> usize {
        self.pool.status().max_size
    }

    fn limit(&self, pace: Pace) -> Duration {
        match pace {
            Pace::Short => self.statement_limit,
            Pace::Long => self.statement_limit * 6,
        }
    }

    pub(crate) async fn read(&self, query: &Query, pace: Pace) -> Result<Vec<Row>> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let client = self.client().await?;
            let failure = match self.rows(&client, query, pace).await {
                Ok(rows) => return Ok(rows),
                Err(failure) => failure,
            };
            // A connection that the server closed while it lay in the pool, and a statement prepared before
            // another replica changed the schema, are worth one more try; a read has no effect.
            let stale = match &failure {
                Failure::Driver(error) if is_lost(error) || client.is_closed() => true,
                Failure::Driver(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
                    client.statement_cache.clear();
                    true
                }
                _ => false,
            };
            if matches!(failure, Failure::Late) {
                drop(Object::take(client));
            }
            if !stale || attempt > self.most_lost() {
                return Err(self.failed(failure));
            }
        }
    }

    pub(crate) async fn begin(self: &Arc<Self>) -> Result<PostgresTx> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            // A `PostgresTx` from the start: should the caller give up meanwhile, it rolls back.
            let tx = PostgresTx::new(Arc::clone(self), self.client().await?);
            let begin = tx.usable()?.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED");
            let failure = match tokio::time::timeout(self.statement_limit, begin).await {
                Ok(Ok(())) => return Ok(tx),
                Ok(Err(error)) => Failure::Driver(error),
                Err(_) => Failure::Late,
            };
            tx.broken.store(true, Ordering::SeqCst);
            match failure {
                Failure::Driver(error) if attempt <= self.most_lost() && is_lost(&error) => {}
                failure => return Err(self.failed(failure)),
            }
        }
    }

    async fn rows(&self, client: &ClientWrapper, query: &Query, pace: Pace) -> Result<Vec<Row>, Failure> {
        let text = query.text_for(Dialect::Postgres).map_err(Failure::Text)?;
        let args: Vec<Bound<'_>> = query.args.iter().map(Bound).collect();
        let work = async {
            if self.prepares(query) {
                let types: Vec<Type> = args.iter().map(Bound::postgres_type).collect();
                let statement = client.prepare_typed_cached(&text, &types).await?;
                client.query(&statement, &refs(&args)).await
            } else {
                client.query_typed(&text, &typed_refs(&args)).await
            }
        };
        let found = match tokio::time::timeout(self.limit(pace), work).await {
            Ok(found) => found.map_err(Failure::Driver)?,
            Err(_) => return Err(Failure::Late),
        };
        rows_from(query, &found).map_err(Failure::Text)
    }

    async fn execute(&self, client: &ClientWrapper, query: &Query) -> Result<u64, Failure> {
        let text = query.text_for(Dialect::Postgres).map_err(Failure::Text)?;
        let args: Vec<Bound<'_>> = query.args.iter().map(Bound).collect();
        let work = async {
            if self.prepares(query) {
                let types: Vec<Type> = args.iter().map(Bound::postgres_type).collect();
                let statement = client.prepare_typed_cached(&text, &types).await?;
                client.execute(&statement, &refs(&args)).await
            } else {
                client.execute_typed(&text, &typed_refs(&args)).await
            }
        };
        match tokio::time::timeout(self.limit(Pace::Short), work).await {
            Ok(count) => count.map_err(Failure::Driver),
            Err(_) => Err(Failure::Late),
        }
    }

    fn prepares(&self, query: &Query) -> bool {
        self.pooler == Pooler::Direct && matches!(query.text, std::borrow::Cow::Borrowed(_))
    }

    /// Readiness: a round trip, and that the server takes writes.
    pub(crate) async fn ping(&self) -> Result<()> {
        let rows = self
            .read(
                &crate::sql::sql("SELECT pg_is_in_recovery() AS standby"),
                Pace::Short,
            )
            .await?;
        match rows.first().map(|row| row.get::<bool>("standby")).transpose()? {
            Some(false) => Ok(()),
            _ => Err(Error::unavailable(format!(
                "{} is a standby and takes no writes: point database_url to the primary",
                self.target.place()
            ))),
        }
    }

    pub(crate) fn close(&self) {
        self.pool.close();
    }
}

fn refs<'a>(args: &'a [Bound<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    args.iter().map(|arg| arg as &(dyn ToSql + Sync)).collect()
}

fn typed_refs<'a>(args: &'a [Bound<'a>]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    args.iter()
        .map(|arg| (arg as &(dyn ToSql + Sync), arg.postgres_type()))
        .collect()
}

// --------------------------------------------------------------------------------------------------- transactions

/// An open transaction and its connection.
pub(crate) struct PostgresTx {
    postgres: Arc<Postgres>,
    /// `None` once the transaction has ended.
    client: Option<Object>,
    failed: AtomicBool,
    /// The connection must not go back to the pool.
    broken: AtomicBool,
    retry: AtomicBool,
}

impl PostgresTx {
    fn new(postgres: Arc<Postgres>, client: Object) -> Self {
        let no = || AtomicBool::new(false);
        Self {
            postgres,
            client: Some(client),
            failed: no(),
            broken: no(),
            retry: no(),
        }
    }

    fn usable(&self) -> Result<&Object> {
        match &self.client {
            Some(client) if !self.failed.load(Ordering::SeqCst) => Ok(client),
            _ => Err(Error::Engine(
                "the transaction failed at an earlier statement".to_owned(),
            )),
        }
    }

    pub(crate) async fn fetch(&self, query: &Query, pace: Pace) -> Result<Vec<Row>> {
        let client = self.usable()?;
        self.postgres
            .rows(client, query, pace)
            .await
            .map_err(|failure| self.fail(client, failure))
    }

    pub(crate) async fn run(&self, query: &Query) -> Result<u64> {
        let client = self.usable()?;
        self.postgres
            .execute(client, query)
            .await
            .map_err(|failure| self.fail(client, failure))
    }

    fn fail(&self, client: &ClientWrapper, failure: Failure) -> Error {
        self.failed.store(true, Ordering::SeqCst);
        match &failure {
            Failure::Late => self.broken.store(true, Ordering::SeqCst),
            Failure::Driver(error) => {
                let stale_plan = error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED);
                if stale_plan {
                    client.statement_cache.clear();
                }
                if stale_plan || asks_to_retry(error) {
                    self.retry.store(true, Ordering::SeqCst);
                }
            }
            Failure::Text(_) => {}
        }
        self.postgres.failed(failure)
    }

    pub(crate) fn wants_retry(&self) -> bool {
        self.retry.load(Ordering::SeqCst)
    }

    /// Queues a NOTIFY, which the server sends when the transaction commits.
    pub(crate) async fn notify(&self, signals: Signals) -> Result<()> {
        for (wanted, payload) in [(signals.changes, "changes"), (signals.jobs, "jobs")] {
            if wanted {
                let notify = crate::sql::sql("SELECT CAST(pg_notify($1, $2) AS text) AS sent");
                self.fetch(&notify.bind(CHANNEL).bind(payload), Pace::Short)
                    .await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn commit(mut self, signals: Signals) -> Result<()> {
        let client = self.usable()?;
        match tokio::time::timeout(self.postgres.statement_limit, client.batch_execute("COMMIT")).await {
            Ok(Ok(())) => {
                self.client = None;
                self.postgres.wakes.signal(signals);
                Ok(())
            }
            Ok(Err(error)) if is_lost(&error) => {
                self.broken.store(true, Ordering::SeqCst);
                Err(Error::unavailable(
                    "the connection to the database broke while committing: it is not known whether it took effect",
                ))
            }
            Ok(Err(error)) => Err(self.fail(client, Failure::Driver(error))),
            Err(_) => {
                self.broken.store(true, Ordering::SeqCst);
                Err(Error::unavailable(
                    "the database did not answer while committing: it is not known whether it took effect",
                ))
            }
        }
    }
}

impl Drop for PostgresTx {
    /// Rolls back in the background; a connection that cannot is closed, which rolls back too.
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        let runtime = tokio::runtime::Handle::try_current();
        match runtime {
            Ok(runtime) if !self.broken.load(Ordering::SeqCst) && !client.is_closed() => {
                let limit = self.postgres.statement_limit;
                runtime.spawn(async move {
                    let rolled_back = tokio::time::timeout(limit, client.batch_execute("ROLLBACK")).await;
                    if !matches!(rolled_back, Ok(Ok(()))) {
                        drop(Object::take(client));
                    }
                });
            }
            _ => drop(Object::take(client)),
        }
    }
}

// ------------------------------------------------------------------------------------------------ values and rows

/// An argument as PostgreSQL takes it.
#[derive(Debug)]
struct Bound<'a>(&'a Arg);

impl Bound<'_> {
    fn postgres_type(&self) -> Type {
        let list = matches!(self.0, Arg::List(..));
        match (self.0.kind(), list) {
            (Kind::Bool, false) => Type::BOOL,
            (Kind::Bool, true) => Type::BOOL_ARRAY,
            (Kind::Int, false) => Type::INT8,
            (Kind::Int, true) => Type::INT8_ARRAY,
            (Kind::Text, false) => Type::TEXT,
            (Kind::Text, true) => Type::TEXT_ARRAY,
            (Kind::Bytes, false) => Type::BYTEA,
            (Kind::Bytes, true) => Type::BYTEA_ARRAY,
            (Kind::Uuid, false) => Type::UUID,
            (Kind::Uuid, true) => Type::UUID_ARRAY,
            (Kind::Json, false) => Type::JSONB,
            (Kind::Json, true) => Type::JSONB_ARRAY,
        }
    }
}

type Encoded = std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>>;

impl ToSql for Bound<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Encoded {
        match self.0 {
            Arg::Null(_) | Arg::Unstorable(_) => Ok(IsNull::Yes),
            Arg::Bool(value) => value.to_sql(kind, out),
            Arg::Int(value) => value.to_sql(kind, out),
            Arg::Text(text) => text.to_sql(kind, out),
            Arg::Bytes(bytes) => bytes.to_sql(kind, out),
            Arg::Uuid(id) => id.to_sql(kind, out),
            Arg::Json(text) => {
                // Version byte of the binary form of jsonb.
                out.put_u8(1);
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            Arg::List(_, items) => items.iter().map(Bound).collect::<Vec<_>>().to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A column of any type that the store reads.
struct Column(Value);

impl<'a> FromSql<'a> for Column {
    fn from_sql(
        kind: &Type,
        raw: &'a [u8],
    ) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let value = match *kind {
            Type::BOOL => Value::Bool(bool::from_sql(kind, raw)?),
            Type::INT2 => Value::Int(i64::from(i16::from_sql(kind, raw)?)),
            Type::INT4 => Value::Int(i64::from(i32::from_sql(kind, raw)?)),
            Type::INT8 => Value::Int(i64::from_sql(kind, raw)?),
            Type::FLOAT4 => Value::Real(f64::from(f32::from_sql(kind, raw)?)),
            Type::FLOAT8 => Value::Real(f64::from_sql(kind, raw)?),
            Type::BYTEA => Value::Bytes(<&[u8]>::from_sql(kind, raw)?.to_vec()),
            Type::UUID => Value::Uuid(uuid::Uuid::from_sql(kind, raw)?),
            Type::JSON | Type::JSONB => Value::Json(serde_json::Value::from_sql(kind, raw)?),
            _ => Value::Text(String::from_sql(kind, raw)?),
        };
        Ok(Self(value))
    }

    fn from_sql_null(_: &Type) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Value::Null))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(
            *kind,
            Type::BOOL
                | Type::INT2
                | Type::INT4
                | Type::INT8
                | Type::FLOAT4
                | Type::FLOAT8
                | Type::BYTEA
                | Type::UUID
                | Type::JSON
                | Type::JSONB
        ) || <String as FromSql>::accepts(kind)
    }
}

fn rows_from(query: &Query, found: &[tokio_postgres::Row]) -> Result<Vec<Row>> {
    let Some(first) = found.first() else {
        return Ok(Vec::new());
    };
    let columns: Vec<String> = first
        .columns()
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    let shape = Arc::new(Shape {
        sql: query.text.clone(),
        columns,
    });
    let read = |row: &tokio_postgres::Row| {
        let values = (0..shape.columns.len())
            .map(|index| {
                row.try_get::<_, Column>(index)
                    .map(|column| column.0)
                    .map_err(|error| {
                        Error::Engine(format!(
                            "a column of the result cannot be read: {error}: {}",
                            query.text
                        ))
                    })
            })
            .collect::<Result<_>>()?;
        Ok(Row {
            shape: Arc::clone(&shape),
            values,
        })
    };
    found.iter().map(read).collect()
}
