//! Pushed authorization requests (RFC 9126) and the replay memory for client assertions (RFC 7523).

use doorward_domain::{ApplicationId, Timestamp};

use crate::conn::{Conn, Tx};
use crate::error::Result;
use crate::sql::sql;

pub(crate) const FIND: &str = "SELECT application_id, query FROM pushed_requests \
    WHERE digest = $1 AND used_at IS NULL AND expires_at > $2 LIMIT 1";
pub(crate) const USE: &str = "UPDATE pushed_requests SET used_at = $2 \
    WHERE digest = $1 AND used_at IS NULL AND expires_at > $2 RETURNING expires_at";

impl Conn {
    /// A pushed request that has neither been used nor expired: whose, and its query. 1 query.
    ///
    /// # Errors
    /// Any [`crate::Error`] of the engine, [`crate::Error::Corrupt`] for a row that cannot be read; the same for all
    /// methods here.
    pub async fn find_pushed(
        &self,
        digest: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<(ApplicationId, String)>> {
        match self.first(sql(FIND).bind(digest).bind(now)).await? {
            None => Ok(None),
            Some(row) => Ok(Some((row.get("application_id")?, row.get("query")?))),
        }
    }
}

impl Tx {
    /// Adds a pushed request. 1 query.
    ///
    /// # Errors
    /// [`crate::Error::Reference`] when there is no such application.
    pub async fn add_pushed(
        &self,
        digest: &[u8; 32],
        application: ApplicationId,
        query: &str,
        expires_at: Timestamp,
    ) -> Result<()> {
        let insert = sql(
            "INSERT INTO pushed_requests(digest, application_id, query, expires_at) \
             VALUES ($1, $2, $3, $4)",
        );
        self.run(insert.bind(digest).bind(application).bind(query).bind(expires_at))
            .await?;
        Ok(())
    }

    /// Uses a pushed request up, once; false when it was used, has expired or is unknown. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_pushed`].
    pub async fn use_pushed(&self, digest: &[u8; 32], now: Timestamp) -> Result<bool> {
        Ok(self.returning(sql(USE).bind(digest).bind(now)).await?.is_some())
    }

    /// Remembers a client assertion by the digest of client and `jti` until it has expired; false when it is known, that
    /// is, replayed. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_pushed`].
    pub async fn add_assertion(&self, key_digest: &[u8; 32], expires_at: Timestamp) -> Result<bool> {
        let query = sql("INSERT INTO assertions(digest, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING");
        Ok(self.run(query.bind(key_digest).bind(expires_at)).await? > 0)
    }

    /// Removes pushed requests that expired before `before`; at most [`crate::FORGET_BATCH`] per call. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_pushed`].
    pub async fn forget_pushed(&self, before: Timestamp) -> Result<u64> {
        let query = sql("DELETE FROM pushed_requests WHERE digest IN \
             (SELECT digest FROM pushed_requests WHERE expires_at < $1 ORDER BY expires_at LIMIT 1000)");
        self.run(query.bind(before)).await
    }

    /// Removes assertions that expired before `before`; at most [`crate::FORGET_BATCH`] per call. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_pushed`].
    pub async fn forget_assertions(&self, before: Timestamp) -> Result<u64> {
        let query = sql("DELETE FROM assertions WHERE digest IN \
             (SELECT digest FROM assertions WHERE expires_at < $1 ORDER BY expires_at LIMIT 1000)");
        self.run(query.bind(before)).await
    }
}
