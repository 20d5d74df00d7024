//! API tokens of users, under their digests.

use std::collections::BTreeSet;

use doorward_domain::{SecretId, Timestamp, UserId};

use crate::conn::{Conn, Tx};
use crate::error::Result;
use crate::fields::{Fields, page, texts};
use crate::sql::{Row, sql};

macro_rules! api_token_columns {
    () => {
        "SELECT id AS at_id, user_id AS at_user_id, name AS at_name, scopes AS at_scopes, \
         created_at AS at_created_at, expires_at AS at_expires_at, revoked_at AS at_revoked_at FROM api_tokens "
    };
}

pub(crate) const FIND: &str = concat!(
    api_token_columns!(),
    "WHERE digest = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2) LIMIT 1"
);
pub(crate) const OF_USER: &str = concat!(
    api_token_columns!(),
    "WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3"
);

/// An API token as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Identifier.
    pub id: SecretId,
    /// For whom it acts.
    pub user_id: UserId,
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working; `None`: not by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

fn api_token_of(row: &Row) -> Result<ApiToken> {
    let fields = Fields::new(row, "api_tokens", "at", "at_id");
    Ok(ApiToken {
        id: fields.get("at_id")?,
        user_id: fields.get("at_user_id")?,
        name: fields.get("at_name")?,
        scopes: fields.set("at_scopes")?,
        created_at: fields.get("at_created_at")?,
        expires_at: fields.get("at_expires_at")?,
        revoked_at: fields.get("at_revoked_at")?,
    })
}

impl Conn {
    /// The token with this digest, when it works at `now`. Whether its user may still act is the caller's to check.
    /// 1 query.
    ///
    /// # Errors
    /// Any [`crate::Error`] of the engine, [`crate::Error::Corrupt`] for a row that cannot be read; the same for all
    /// methods here.
    pub async fn find_api_token(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<ApiToken>> {
        self.first(sql(FIND).bind(digest).bind(now))
            .await?
            .as_ref()
            .map(api_token_of)
            .transpose()
    }

    /// One page of a user's tokens in the order in which they were made, also those that no longer work; `after` is the
    /// last id of the page before. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_api_token`].
    pub async fn api_tokens_of(
        &self,
        user: UserId,
        after: Option<SecretId>,
        limit: u32,
    ) -> Result<Vec<ApiToken>> {
        let after = after.unwrap_or(SecretId::from_uuid(uuid::Uuid::nil()));
        let rows = self
            .all(sql(OF_USER).bind(user).bind(after).bind(page(limit)))
            .await?;
        rows.iter().map(api_token_of).collect()
    }
}

impl Tx {
    /// Adds a token under its digest. 1 query.
    ///
    /// # Errors
    /// [`crate::Error::Reference`] when there is no such user.
    pub async fn add_api_token(&self, token: &ApiToken, digest: &[u8; 32]) -> Result<()> {
        let query = sql(
            "INSERT INTO api_tokens(id, user_id, name, digest, scopes, created_at, expires_at, \
             revoked_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(token.id)
        .bind(token.user_id)
        .bind(&token.name)
        .bind(digest)
        .bind(texts(&token.scopes))
        .bind(token.created_at)
        .bind(token.expires_at)
        .bind(token.revoked_at);
        self.run(query).await?;
        Ok(())
    }

    /// Revokes a token; false when it was revoked or is unknown. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_api_token`].
    pub async fn revoke_api_token(&self, id: SecretId, now: Timestamp) -> Result<bool> {
        let query = sql("UPDATE api_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL");
        Ok(self.run(query.bind(id).bind(now)).await? > 0)
    }
}
