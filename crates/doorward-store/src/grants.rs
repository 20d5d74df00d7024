//! What users allowed clients.

use doorward_domain::token::Grant;
use doorward_domain::{ApplicationId, Timestamp, UserId};

use crate::conn::{Conn, Tx};
use crate::error::Result;
use crate::fields::{Fields, texts};
use crate::sql::{Row, sql};

macro_rules! grant_columns {
    () => {
        "SELECT gr.id AS gr_id, gr.user_id AS gr_user_id, gr.application_id AS gr_application_id, \
         gr.scopes AS gr_scopes, gr.created_at AS gr_created_at, gr.updated_at AS gr_updated_at, \
         gr.expires_at AS gr_expires_at FROM grants AS gr "
    };
}

pub(crate) const ONE: &str = concat!(
    grant_columns!(),
    "WHERE gr.user_id = $1 AND gr.application_id = $2 LIMIT 1"
);
pub(crate) const OF_USER: &str = concat!(
    grant_columns!(),
    "WHERE gr.user_id = $1 ORDER BY gr.application_id LIMIT 10000"
);

fn grant_of(row: &Row) -> Result<Grant> {
    let fields = Fields::new(row, "grants", "gr", "gr_id");
    Ok(Grant {
        id: fields.get("gr_id")?,
        user_id: fields.get("gr_user_id")?,
        application_id: fields.get("gr_application_id")?,
        scopes: fields.set("gr_scopes")?,
        created_at: fields.get("gr_created_at")?,
        updated_at: fields.get("gr_updated_at")?,
        expires_at: fields.get("gr_expires_at")?,
    })
}

impl Conn {
    /// What a user allowed an application, also when the answer has expired. 1 query.
    ///
    /// # Errors
    /// Any [`crate::Error`] of the engine, [`crate::Error::Corrupt`] for a row that cannot be read; the same for all
    /// methods here.
    pub async fn grant(&self, user: UserId, application: ApplicationId) -> Result<Option<Grant>> {
        self.first(sql(ONE).bind(user).bind(application))
            .await?
            .as_ref()
            .map(grant_of)
            .transpose()
    }

    /// Everything that a user allowed, at most 10,000. 1 query.
    ///
    /// # Errors
    /// See [`Conn::grant`].
    pub async fn grants_of(&self, user: UserId) -> Result<Vec<Grant>> {
        self.all(sql(OF_USER).bind(user))
            .await?
            .iter()
            .map(grant_of)
            .collect()
    }
}

impl Tx {
    /// Adds a grant, or replaces scopes and times of the one there is for this user and application; that one keeps its
    /// id and `created_at`. 1 query.
    ///
    /// # Errors
    /// [`crate::Error::Reference`] when there is no such user or application.
    pub async fn save_grant(&self, grant: &Grant) -> Result<()> {
        let query = sql(
            "INSERT INTO grants(id, user_id, application_id, scopes, created_at, updated_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (user_id, application_id) DO UPDATE SET scopes = excluded.scopes, \
             updated_at = excluded.updated_at, expires_at = excluded.expires_at",
        )
        .bind(grant.id)
        .bind(grant.user_id)
        .bind(grant.application_id)
        .bind(texts(&grant.scopes))
        .bind(grant.created_at)
        .bind(grant.updated_at)
        .bind(grant.expires_at);
        self.run(query).await?;
        Ok(())
    }

    /// Takes a grant back; false when there was none that still counted at `now`. The families that hang off it are ended
    /// by [`Tx::end_families_of_grant`] in the same transaction. 1 query.
    ///
    /// # Errors
    /// See [`Conn::grant`].
    pub async fn revoke_grant(
        &self,
        user: UserId,
        application: ApplicationId,
        now: Timestamp,
    ) -> Result<bool> {
        let query = sql("DELETE FROM grants WHERE user_id = $1 AND application_id = $2 RETURNING expires_at");
        let Some(row) = self.returning(query.bind(user).bind(application)).await? else {
            return Ok(false);
        };
        let expires_at: Option<Timestamp> = row.get("expires_at")?;
        Ok(expires_at.is_none_or(|at| now < at))
    }
}
