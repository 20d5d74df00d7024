//! Signing keys. The private halves are sealed; this crate cannot open them.

use doorward_domain::key::KeyRecord;
use doorward_domain::{KeyId, Timestamp};

use crate::conn::{Conn, Tx};
use crate::error::Result;
use crate::fields::{Fields, whole};
use crate::sql::{Row, sql};

/// Most keys that are loaded.
const MAX_KEYS: usize = 1000;

fn key_of(row: &Row) -> Result<KeyRecord> {
    let fields = Fields::new(row, "signing_keys", "k", "k_id");
    Ok(KeyRecord {
        id: fields.get("k_id")?,
        kid: fields.get("k_kid")?,
        algorithm: fields.word("k_algorithm")?,
        public_jwk: fields.get("k_public_jwk")?,
        private_sealed: fields.get("k_private_sealed")?,
        created_at: fields.get("k_created_at")?,
        signs_from: fields.get("k_signs_from")?,
        withdrawn_at: fields.get("k_withdrawn_at")?,
    })
}

impl Conn {
    /// All keys, the oldest first, also those withdrawn. 1 query.
    ///
    /// # Errors
    /// Any [`crate::Error`] of the engine, [`crate::Error::Corrupt`] for a row that cannot be read; the same for all
    /// methods here.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>> {
        let query = sql(
            "SELECT id AS k_id, kid AS k_kid, algorithm AS k_algorithm, public_jwk AS k_public_jwk, \
             private_sealed AS k_private_sealed, created_at AS k_created_at, signs_from AS k_signs_from, \
             withdrawn_at AS k_withdrawn_at FROM signing_keys ORDER BY created_at, id LIMIT $1",
        );
        whole(
            self.all(query.bind(MAX_KEYS + 1)).await?,
            MAX_KEYS,
            "signing_keys",
        )?
        .iter()
        .map(key_of)
        .collect()
    }
}

impl Tx {
    /// Adds a key. 1 query.
    ///
    /// # Errors
    /// [`crate::Error::Conflict`] when there is a key with this `kid`.
    pub async fn add_key(&self, key: &KeyRecord) -> Result<()> {
        let query = sql(
            "INSERT INTO signing_keys(id, kid, algorithm, public_jwk, private_sealed, created_at, \
             signs_from, withdrawn_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(key.id)
        .bind(&key.kid)
        .bind(key.algorithm.as_str())
        .bind(&key.public_jwk)
        .bind(&key.private_sealed)
        .bind(key.created_at)
        .bind(key.signs_from)
        .bind(key.withdrawn_at);
        self.run(query).await?;
        Ok(())
    }

    /// Makes a key leave the published set at `at`, never later than it would have anyway. False when there is no such
    /// key or it leaves earlier. 1 query.
    ///
    /// # Errors
    /// See [`Conn::keys`].
    pub async fn withdraw_key(&self, id: KeyId, at: Timestamp) -> Result<bool> {
        let query = sql("UPDATE signing_keys SET withdrawn_at = $2 \
             WHERE id = $1 AND (withdrawn_at IS NULL OR withdrawn_at > $2)");
        Ok(self.run(query.bind(id).bind(at)).await? > 0)
    }

    /// Removes keys that left the published set before `before`; at most [`crate::FORGET_BATCH`] per call. 1 query.
    ///
    /// # Errors
    /// See [`Conn::keys`].
    pub async fn forget_keys(&self, before: Timestamp) -> Result<u64> {
        let query = sql("DELETE FROM signing_keys WHERE id IN \
             (SELECT id FROM signing_keys WHERE withdrawn_at < $1 ORDER BY withdrawn_at LIMIT 1000)");
        self.run(query.bind(before)).await
    }
}
