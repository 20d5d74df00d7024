//! Counts of failures for the brute-force rules in `doorward_domain::throttle`.
//!
//! Keys are the caller's words for a bucket, at most [`MAX_KEY`] bytes: a text that a stranger typed goes in as a digest.

use std::collections::HashMap;

use doorward_domain::Timestamp;
use doorward_domain::throttle::{FORGIVE_AFTER, Failures};

use crate::conn::{Conn, Tx};
use crate::error::{Error, Result};
use crate::sql::sql;

/// Longest key, in bytes.
pub const MAX_KEY: usize = 512;

pub(crate) const FAILURES: &str = "SELECT key, count, last_at FROM failures WHERE key IN $1 LIMIT 10000";

impl Conn {
    /// The failures counted under these keys, in the order asked; none is zero. Whether they still count is for
    /// `Failures::fresh`. 1 query.
    ///
    /// # Errors
    /// Any [`Error`] of the engine, [`Error::Corrupt`] for a row that cannot be read; the same for all methods here.
    pub async fn failures(&self, keys: &[String]) -> Result<Vec<Failures>> {
        let mut found: HashMap<String, Failures> = HashMap::new();
        for row in self.all(sql(FAILURES).bind_list(keys)).await? {
            let failures = Failures {
                count: row.get("count")?,
                last_millis: row.get("last_at")?,
            };
            found.insert(row.get("key")?, failures);
        }
        Ok(keys
            .iter()
            .map(|key| found.get(key).copied().unwrap_or_default())
            .collect())
    }
}

impl Tx {
    /// Counts one more failure; an hour without any forgives those before, as `Failures::and_one` does. 1 query.
    ///
    /// # Errors
    /// [`Error::Unstorable`] for a key of more than [`MAX_KEY`] bytes.
    pub async fn add_failure(&self, key: &str, now: Timestamp) -> Result<()> {
        if key.len() > MAX_KEY {
            return Err(Error::Unstorable {
                position: 1,
                problem: "the key is longer than 512 bytes",
            });
        }
        let query = sql("INSERT INTO failures(key, count, last_at) VALUES ($1, 1, $2) \
             ON CONFLICT (key) DO UPDATE SET count = CASE \
             WHEN excluded.last_at - failures.last_at > $3 THEN 1 \
             WHEN failures.count >= 4294967295 THEN failures.count \
             ELSE failures.count + 1 END, last_at = excluded.last_at");
        self.run(query.bind(key).bind(now).bind(FORGIVE_AFTER.millis()))
            .await?;
        Ok(())
    }

    /// Forgives all failures under these keys. 1 query.
    ///
    /// # Errors
    /// See [`Conn::failures`].
    pub async fn clear_failures(&self, keys: &[String]) -> Result<()> {
        self.run(sql("DELETE FROM failures WHERE key IN $1").bind_list(keys))
            .await?;
        Ok(())
    }

    /// Removes counts without a failure since `before`; at most [`crate::FORGET_BATCH`] per call. 1 query.
    ///
    /// # Errors
    /// See [`Conn::failures`].
    pub async fn forget_failures(&self, before: Timestamp) -> Result<u64> {
        let query = sql("DELETE FROM failures WHERE key IN \
             (SELECT key FROM failures WHERE last_at < $1 ORDER BY last_at LIMIT 1000)");
        self.run(query.bind(before)).await
    }
}
