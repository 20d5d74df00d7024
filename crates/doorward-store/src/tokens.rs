//! Refresh tokens, opaque access tokens and revoked JWTs, under their digests.

use doorward_domain::token::{AccessRecord, Family, RefreshRecord};
use doorward_domain::user::User;
use doorward_domain::{FamilyId, GroupId, Timestamp};

use crate::conn::{Conn, Tx};
use crate::error::Result;
use crate::families::{family_columns, family_of, person_or_none};
use crate::fields::{Fields, group_ids_column, texts, user_columns};
use crate::sql::{Row, sql};

macro_rules! refresh_columns {
    () => {
        "r.family_id AS r_family_id, r.application_id AS r_application_id, r.created_at AS r_created_at, \
         r.expires_at AS r_expires_at, r.used_at AS r_used_at, r.answer_sealed AS r_answer_sealed, \
         r.jkt AS r_jkt"
    };
}

pub(crate) const REFRESH: &str = concat!(
    "SELECT ",
    refresh_columns!(),
    ", ",
    family_columns!(),
    " FROM refresh_tokens AS r JOIN families AS f ON f.id = r.family_id WHERE r.digest = $1 LIMIT 1"
);
pub(crate) const REFRESH_WITH_PERSON: &str = concat!(
    "SELECT ",
    refresh_columns!(),
    ", ",
    family_columns!(),
    ", ",
    user_columns!(),
    ", ",
    group_ids_column!(),
    ", EXISTS (SELECT 1 FROM grants AS gr WHERE gr.user_id = f.user_id AND gr.application_id = f.application_id \
        AND (gr.expires_at IS NULL OR gr.expires_at > $2)) AS consented \
      FROM refresh_tokens AS r JOIN families AS f ON f.id = r.family_id \
      LEFT JOIN users AS u ON u.id = f.user_id WHERE r.digest = $1 LIMIT 1"
);
pub(crate) const TAKE_REFRESH: &str = "UPDATE refresh_tokens SET used_at = $2, answer_sealed = $3 \
    WHERE digest = $1 AND used_at IS NULL RETURNING family_id";
pub(crate) const ACCESS: &str = "SELECT jti AS t_jti, family_id AS t_family_id, application_id AS t_application_id, \
    scopes AS t_scopes, audience AS t_audience, created_at AS t_created_at, expires_at AS t_expires_at, \
    revoked_at AS t_revoked_at, jkt AS t_jkt FROM access_tokens WHERE digest = $1 LIMIT 1";
pub(crate) const JTI_STATE: &str = "SELECT EXISTS (SELECT 1 FROM revoked_jtis WHERE jti = $1) AS revoked, \
    EXISTS (SELECT 1 FROM families WHERE id = $2) AS known, \
    EXISTS (SELECT 1 FROM families WHERE id = $2 AND ended_at IS NOT NULL) AS ended";

/// What is known about a JWT access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JtiState {
    /// The token itself was revoked.
    pub revoked: bool,
    /// Its family has ended.
    pub family_ended: bool,
    /// Its family exists; false when the token has none.
    pub family_known: bool,
}

/// A refresh token with everything that decides over it.
#[derive(Clone, Debug, PartialEq)]
pub struct Refreshing {
    /// The token.
    pub record: RefreshRecord,
    /// Its family.
    pub family: Family,
    /// The person with the groups they are directly in; `None` for families without a user.
    pub person: Option<(User, Vec<GroupId>)>,
    /// Is there a grant of this person for this application that has not expired?
    pub consented: bool,
}

fn refresh_of(row: &Row) -> Result<RefreshRecord> {
    let fields = Fields::new(row, "refresh_tokens", "r", "r_family_id");
    Ok(RefreshRecord {
        family_id: fields.get("r_family_id")?,
        application_id: fields.get("r_application_id")?,
        created_at: fields.get("r_created_at")?,
        expires_at: fields.get("r_expires_at")?,
        used_at: fields.get("r_used_at")?,
        answer_sealed: fields.get("r_answer_sealed")?,
        jkt: fields.get("r_jkt")?,
    })
}

fn access_of(row: &Row) -> Result<AccessRecord> {
    let fields = Fields::new(row, "access_tokens", "t", "t_jti");
    Ok(AccessRecord {
        jti: fields.get("t_jti")?,
        family_id: fields.get("t_family_id")?,
        application_id: fields.get("t_application_id")?,
        scopes: fields.set("t_scopes")?,
        audience: fields.list("t_audience")?,
        created_at: fields.get("t_created_at")?,
        expires_at: fields.get("t_expires_at")?,
        revoked_at: fields.get("t_revoked_at")?,
        jkt: fields.get("t_jkt")?,
    })
}

impl Conn {
    /// A refresh token with its family, used or not. 1 query.
    ///
    /// # Errors
    /// Any [`crate::Error`] of the engine, [`crate::Error::Corrupt`] for a row that cannot be read; the same for all
    /// methods here.
    pub async fn find_refresh(&self, digest: &[u8; 32]) -> Result<Option<(RefreshRecord, Family)>> {
        match self.first(sql(REFRESH).bind(digest)).await? {
            None => Ok(None),
            Some(row) => Ok(Some((refresh_of(&row)?, family_of(&row)?))),
        }
    }

    /// Finds a refresh token with its family, its person and whether that person's consent still counts at `now`. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_refresh`].
    pub async fn refresh_with_person(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<Refreshing>> {
        let Some(row) = self
            .first(sql(REFRESH_WITH_PERSON).bind(digest).bind(now))
            .await?
        else {
            return Ok(None);
        };
        Ok(Some(Refreshing {
            record: refresh_of(&row)?,
            family: family_of(&row)?,
            person: person_or_none(&row)?,
            consented: row.get("consented")?,
        }))
    }

    /// An opaque access token, also when revoked or expired. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_refresh`].
    pub async fn find_access(&self, digest: &[u8; 32]) -> Result<Option<AccessRecord>> {
        self.first(sql(ACCESS).bind(digest))
            .await?
            .as_ref()
            .map(access_of)
            .transpose()
    }

    /// What is known about a JWT access token by its `jti` and family. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_refresh`].
    pub async fn jti_state(&self, jti: &str, family: Option<FamilyId>) -> Result<JtiState> {
        let row = self.one(sql(JTI_STATE).bind(jti).bind(family)).await?;
        Ok(JtiState {
            revoked: row.get("revoked")?,
            family_ended: row.get("ended")?,
            family_known: row.get("known")?,
        })
    }
}

impl Tx {
    /// Adds a refresh token. 1 query.
    ///
    /// # Errors
    /// [`crate::Error::Reference`] when there is no such family.
    pub async fn add_refresh(&self, digest: &[u8; 32], token: &RefreshRecord) -> Result<()> {
        let query = sql(
            "INSERT INTO refresh_tokens(digest, family_id, application_id, created_at, expires_at, \
             used_at, answer_sealed, jkt) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(digest)
        .bind(token.family_id)
        .bind(token.application_id)
        .bind(token.created_at)
        .bind(token.expires_at)
        .bind(token.used_at)
        .bind(token.answer_sealed.as_ref())
        .bind(token.jkt.as_deref());
        self.run(query).await?;
        Ok(())
    }

    /// Takes a refresh token, once, and keeps the sealed answer for the grace of a lost reply; false when somebody took
    /// it before or it is unknown. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_refresh`].
    pub async fn take_refresh(
        &self,
        digest: &[u8; 32],
        answer_sealed: &[u8],
        now: Timestamp,
    ) -> Result<bool> {
        let query = sql(TAKE_REFRESH).bind(digest).bind(now).bind(answer_sealed);
        Ok(self.returning(query).await?.is_some())
    }

    /// Adds an opaque access token. 1 query.
    ///
    /// # Errors
    /// [`crate::Error::Reference`] when there is no such family or application.
    pub async fn add_access(&self, digest: &[u8; 32], token: &AccessRecord) -> Result<()> {
        let query = sql(
            "INSERT INTO access_tokens(digest, jti, family_id, application_id, scopes, audience, \
             created_at, expires_at, revoked_at, jkt) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(digest)
        .bind(&token.jti)
        .bind(token.family_id)
        .bind(token.application_id)
        .bind(texts(&token.scopes))
        .bind(texts(&token.audience))
        .bind(token.created_at)
        .bind(token.expires_at)
        .bind(token.revoked_at)
        .bind(token.jkt.as_deref());
        self.run(query).await?;
        Ok(())
    }

    /// Revokes an opaque access token; false when it was revoked or is unknown. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_refresh`].
    pub async fn revoke_access(&self, digest: &[u8; 32], now: Timestamp) -> Result<bool> {
        let query = sql("UPDATE access_tokens SET revoked_at = $2 WHERE digest = $1 AND revoked_at IS NULL");
        Ok(self.run(query.bind(digest).bind(now)).await? > 0)
    }

    /// Revokes a JWT access token until it would have expired; false when it was revoked. 1 query.
    ///
    /// # Errors
    /// See [`Conn::find_refresh`].
    pub async fn revoke_jti(&self, jti: &str, expires_at: Timestamp) -> Result<bool> {
        let query = sql("INSERT INTO revoked_jtis(jti, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING");
        Ok(self.run(query.bind(jti).bind(expires_at)).await? > 0)
    }

    /// Removes refresh tokens, access tokens and revocations that expired before `before`; at most
    /// [`crate::FORGET_BATCH`] of each per call. 3 queries.
    ///
    /// # Errors
    /// See [`Conn::find_refresh`].
    pub async fn forget_tokens(&self, before: Timestamp) -> Result<u64> {
        let refresh = sql("DELETE FROM refresh_tokens WHERE digest IN \
             (SELECT digest FROM refresh_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT 1000)");
        let access = sql("DELETE FROM access_tokens WHERE digest IN \
             (SELECT digest FROM access_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT 1000)");
        let revoked = sql("DELETE FROM revoked_jtis WHERE jti IN \
             (SELECT jti FROM revoked_jtis WHERE expires_at < $1 ORDER BY expires_at LIMIT 1000)");
        let mut gone = 0;
        for query in [refresh, access, revoked] {
            gone += self.run(query.bind(before)).await?;
        }
        Ok(gone)
    }
}
