//! One-time links (set-up, recovery), under their digests.

use doorward_domain::{Timestamp, UserId};

use crate::conn::{Conn, Tx};
use crate::error::Result;
use crate::sql::sql;

pub(crate) const FIND: &str = "SELECT 1 AS found FROM links \
    WHERE digest = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3 LIMIT 1";
pub(crate) const TAKE: &str = "UPDATE links SET used_at = $3 \
    WHERE digest = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3 RETURNING user_id";
pub(crate) const LIVE: &str =
    "SELECT count(*) AS n FROM links WHERE purpose = $1 AND used_at IS NULL AND expires_at > $2";

impl Conn {
    /// Would [`Tx::take_link`] take this link? 1 query.
    ///
    /// # Errors
    /// Any [`crate::Error`] of the engine, [`crate::Error::Corrupt`] for a row that cannot be read; the same for all
    /// methods here.
    pub async fn find_link(&self, digest: &[u8; 32], purpose: &str, now: Timestamp) -> Result<bool> {
        Ok(self
            .first(sql(FIND).bind(digest).bind(purpose).bind(now))
            .await?
            .is_some())
    }

    /// How many links for this purpose could still be taken. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_link`].
    pub async fn live_links(&self, purpose: &str, now: Timestamp) -> Result<i64> {
        self.one(sql(LIVE).bind(purpose).bind(now)).await?.get("n")
    }
}

impl Tx {
    /// Adds a link, for one user or for nobody in particular. 1 query.
    ///
    /// # Errors
    /// [`crate::Error::Reference`] when there is no such user.
    pub async fn add_link(
        &self,
        digest: &[u8; 32],
        purpose: &str,
        user: Option<UserId>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        let query = sql(
            "INSERT INTO links(digest, purpose, user_id, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5)",
        );
        self.run(
            query
                .bind(digest)
                .bind(purpose)
                .bind(user)
                .bind(now)
                .bind(expires_at),
        )
        .await?;
        Ok(())
    }

    /// Takes a link that was made for this purpose and has not expired, once. The outer `None`: not to be had; the inner
    /// one: it was made for nobody in particular. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_link`].
    pub async fn take_link(
        &self,
        digest: &[u8; 32],
        purpose: &str,
        now: Timestamp,
    ) -> Result<Option<Option<UserId>>> {
        let row = self
            .returning(sql(TAKE).bind(digest).bind(purpose).bind(now))
            .await?;
        row.map(|row| row.get("user_id")).transpose()
    }

    /// Removes all links for a purpose; gives how many. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_link`].
    pub async fn withdraw_links(&self, purpose: &str) -> Result<u64> {
        self.run(sql("DELETE FROM links WHERE purpose = $1").bind(purpose))
            .await
    }

    /// Removes links that expired before `before`; at most [`crate::FORGET_BATCH`] per call. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_link`].
    pub async fn forget_links(&self, before: Timestamp) -> Result<u64> {
        let query = sql("DELETE FROM links WHERE digest IN \
             (SELECT digest FROM links WHERE expires_at < $1 ORDER BY expires_at LIMIT 1000)");
        self.run(query.bind(before)).await
    }
}
