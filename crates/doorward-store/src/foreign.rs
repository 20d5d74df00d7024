//! Another program's PostgreSQL database, read once for an import: never written to, never migrated.
//!
//! Rows come as JSON objects with whatever columns they have, so that an import can make do with an older schema.

use serde_json::{Map, Value as Json};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::engine_postgres::CONNECT_LIMIT;
use crate::error::{Error, Result};
use crate::options::{OpenOptions, Target};
use crate::postgres_listen::AbortOnDrop;
use crate::postgres_tls;

/// Rows that are read at a time.
const BATCH: usize = 500;

/// A database that is open for reading, at one moment in time.
pub struct Foreign {
    client: Client,
    _connection: AbortOnDrop,
}

impl Foreign {
    /// Connects and begins one read-only look at the whole database.
    ///
    /// # Errors
    /// [`Error::Unusable`] for anything but PostgreSQL, [`Error::Unavailable`] when it cannot be reached.
    pub async fn open(options: &OpenOptions) -> Result<Self> {
        let Target::Postgres(target) = &options.target else {
            return Err(Error::unusable(
                "an import reads from PostgreSQL: expected postgres://…",
            ));
        };
        let tls = postgres_tls::connector(target.tls, target.root_certificate.as_deref())?;
        let away = |reason: String| Error::unavailable(format!("{}: {reason}", options.place()));
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
        let foreign = Self {
            client,
            _connection: AbortOnDrop(task),
        };
        foreign
            .client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await
            .map_err(|error| away(chain(&error)))?;
        Ok(foreign)
    }

    /// Is there such a table?
    ///
    /// # Errors
    /// [`Error::Engine`] when it cannot be asked.
    pub async fn has_table(&self, name: &str) -> Result<bool> {
        let found = self
            .texts(&format!("SELECT to_regclass({}) IS NOT NULL", quoted(name)))
            .await?;
        Ok(found.first().is_some_and(|answer| answer == "t"))
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
        let declare = format!(
            "DECLARE doorward_import NO SCROLL CURSOR FOR SELECT CAST(to_jsonb(t) AS text) FROM {} AS t",
            identifier(table)
        );
        self.texts(&declare).await?;
        let mut count = 0;
        loop {
            let rows = self.texts(&format!("FETCH {BATCH} FROM doorward_import")).await?;
            let last = rows.is_empty();
            for row in rows {
                count += 1;
                let columns = serde_json::from_str(&row)
                    .map_err(|_| Error::Engine(format!("a row of {table} cannot be read as JSON")))?;
                each(columns).await?;
            }
            if last {
                break;
            }
        }
        self.texts("CLOSE doorward_import").await?;
        Ok(count)
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

/// A literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name.
fn identifier(text: &str) -> String {
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
