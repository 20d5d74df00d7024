//! Values of this installation and its counters.

use crate::conn::{Conn, Tx};
use crate::error::{Error, Result};
use crate::sql::sql;

impl Conn {
    /// The value of an instance key.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn find_instance(&self, key: &str) -> Result<Option<String>> {
        let row = self
            .first(sql("SELECT value FROM instance WHERE key = $1").bind(key))
            .await?;
        row.map(|row| row.get("value")).transpose()
    }
}

impl Tx {
    /// Sets an instance key unless it has a value. `true` for the one caller who set it: a one-way latch.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn put_instance_once(&self, key: &str, value: &str) -> Result<bool> {
        let insert = sql("INSERT INTO instance(key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING");
        Ok(self.run(insert.bind(key).bind(value)).await? == 1)
    }

    /// Sets an instance key, whatever it was.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn put_instance(&self, key: &str, value: &str) -> Result<()> {
        let upsert = sql("INSERT INTO instance(key, value) VALUES ($1, $2)
            ON CONFLICT (key) DO UPDATE SET value = excluded.value");
        self.run(upsert.bind(key).bind(value)).await?;
        Ok(())
    }

    /// The next number of a counter, from 1 without gaps; other transactions that want one wait for this one to end.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn next_number(&self, counter: &str) -> Result<i64> {
        self.advance(counter, 1).await
    }

    /// Makes transactions that name the same thing wait for each other until they commit: what is read afterwards is what the
    /// one before left behind. On SQLite all transactions do so anyway. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_instance`].
    pub async fn serialise(&self, what: &str) -> Result<()> {
        self.advance(what, 0).await.map(|_| ())
    }

    /// Moves a counter by `steps` and tells its new value.
    pub(crate) async fn advance(&self, counter: &str, steps: i64) -> Result<i64> {
        let upsert = sql("INSERT INTO counters(name, value) VALUES ($1, $2)
            ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value RETURNING value");
        let row = self.returning(upsert.bind(counter).bind(steps)).await?;
        row.ok_or_else(|| Error::Engine("a counter returned no value".to_owned()))?
            .get("value")
    }
}
