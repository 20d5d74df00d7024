//! Another program's database, read once for an import: never written to, never migrated.
//!
//! Rows come as JSON objects with whatever columns they have, so that an import can make do with another schema. A server makes the
//! JSON itself; of a file it is made here ([`crate::foreign_file`]).

use serde_json::{Map, Value as Json};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::engine_postgres::CONNECT_LIMIT;
use crate::error::{Error, Result};
use crate::foreign_file::ForeignFile;
use crate::options::{OpenOptions, PostgresTarget, Target};
use crate::postgres_listen::AbortOnDrop;
use crate::postgres_tls;

/// Rows that are read at a time.
pub(crate) const BATCH: usize = 500;

/// A database that is open for reading, at one moment in time.
pub struct Foreign(Source);

enum Source {
    Sqlite(ForeignFile),
    Postgres(Server),
}

struct Server {
    client: Client,
    _connection: AbortOnDrop,
}

impl Foreign {
    /// Opens it and begins one read-only look at the whole database.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be reached, [`Error::Unusable`] for a file that is no database.
    pub async fn open(options: &OpenOptions) -> Result<Self> {
        Ok(Self(match &options.target {
            Target::Sqlite(path) => Source::Sqlite(ForeignFile::open(path.clone()).await?),
            Target::Postgres(target) => Source::Postgres(Server::open(target, &options.place()).await?),
        }))
    }

    /// The names of its tables.
    ///
    /// # Errors
    /// [`Error::Engine`] when it cannot be asked; the same for all methods here.
    pub async fn tables(&self) -> Result<Vec<String>> {
        match &self.0 {
            Source::Sqlite(file) => file.tables().await,
            Source::Postgres(server) => {
                let names = "SELECT c.relname FROM pg_catalog.pg_class AS c WHERE c.relkind IN ('r', 'p', 'v') \
                             AND pg_catalog.pg_table_is_visible(c.oid) AND c.relnamespace <> 'pg_catalog'::regnamespace ORDER BY 1";
                server.texts(names).await
            }
        }
    }

    /// Is there such a table?
    ///
    /// # Errors
    /// See [`Foreign::tables`].
    pub async fn has_table(&self, name: &str) -> Result<bool> {
        Ok(self.tables().await?.iter().any(|table| table == name))
    }

    /// How many rows a table has.
    ///
    /// # Errors
    /// See [`Foreign::tables`].
    pub async fn count(&self, table: &str) -> Result<u64> {
        let statement = format!("SELECT count(*) FROM {}", identifier(table));
        match &self.0 {
            Source::Sqlite(file) => file.count(statement).await,
            Source::Postgres(server) => {
                let count = server.texts(&statement).await?;
                Ok(count.first().and_then(|text| text.parse().ok()).unwrap_or(0))
            }
        }
    }

    /// Hands every row of a table to `each`, in batches, in no particular order; gives how many there were.
    ///
    /// # Errors
    /// [`Error::Engine`] when it cannot be read, or what `each` returns.
    pub async fn each_row<E: From<Error>>(
        &self,
        table: &str,
        mut each: impl AsyncFnMut(Map<String, Json>) -> Result<(), E>,
    ) -> Result<u64, E> {
        let mut count = 0;
        match &self.0 {
            Source::Sqlite(file) => {
                let mut after = i64::MIN;
                while let Some((last, rows)) = file.batch(table, after).await? {
                    after = last;
                    for row in rows {
                        count += 1;
                        each(row).await?;
                    }
                }
            }
            Source::Postgres(server) => {
                server.declare(table).await?;
                loop {
                    let rows = server.fetch(table).await?;
                    if rows.is_empty() {
                        break;
                    }
                    for row in rows {
                        count += 1;
                        each(row).await?;
                    }
                }
                server.texts("CLOSE doorward_import").await?;
            }
        }
        Ok(count)
    }
}

impl Server {
    async fn open(target: &PostgresTarget, place: &str) -> Result<Self> {
        let tls = postgres_tls::connector(target.tls, target.root_certificate.as_deref())?;
        let away = |reason: String| Error::unavailable(format!("{place}: {reason}"));
        let connecting = tokio::time::timeout(CONNECT_LIMIT, target.config.connect(tls));
        let (client, connection) = match connecting.await {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return Err(away(chain(&error))),
            Err(_) => return Err(away("it does not answer".to_owned())),
        };
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection of an import ended");
            }
        });
        let server = Self {
            client,
            _connection: AbortOnDrop(task),
        };
        server
            .client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await
            .map_err(|error| away(chain(&error)))?;
        Ok(server)
    }

    async fn declare(&self, table: &str) -> Result<()> {
        let declare = format!(
            "DECLARE doorward_import NO SCROLL CURSOR FOR SELECT CAST(to_jsonb(t) AS text) FROM {} AS t",
            identifier(table)
        );
        self.texts(&declare).await?;
        Ok(())
    }

    async fn fetch(&self, table: &str) -> Result<Vec<Map<String, Json>>> {
        let rows = self.texts(&format!("FETCH {BATCH} FROM doorward_import")).await?;
        let read = |row: &String| {
            serde_json::from_str(row)
                .map_err(|_| Error::Engine(format!("a row of {table} cannot be read as JSON")))
        };
        rows.iter().map(read).collect()
    }

    /// The first column of every row, as text.
    async fn texts(&self, statement: &str) -> Result<Vec<String>> {
        let messages = self
            .client
            .simple_query(statement)
            .await
            .map_err(|error| Error::Engine(chain(&error)))?;
        let text = |message: SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(ToOwned::to_owned),
            _ => None,
        };
        Ok(messages.into_iter().filter_map(text).collect())
    }
}

/// A name.
pub(crate) fn identifier(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// The error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
