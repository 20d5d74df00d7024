//! Token families: one authorization each. Everything issued under a family dies with it.

use doorward_domain::token::Family;
use doorward_domain::user::User;
use doorward_domain::{ApplicationId, FamilyId, GroupId, SessionId, Timestamp, UserId};
use serde_json::Value as Json;

use crate::conn::{Conn, Tx};
use crate::error::Result;
use crate::fields::{Fields, group_ids_column, texts, user_columns};
use crate::sql::{Row, sql};
use crate::users::person_of;

/// The scope that lets a family outlive the session it came from (OpenID Connect Core section 11).
const OFFLINE_ACCESS: &str = "offline_access";

/// The columns of a family, from `families AS f`.
macro_rules! family_columns {
    () => {
        "f.id AS f_id, f.application_id AS f_application_id, f.user_id AS f_user_id, \
         f.session_id AS f_session_id, f.scopes AS f_scopes, f.resources AS f_resources, f.claims AS f_claims, \
         f.nonce AS f_nonce, f.auth_time AS f_auth_time, f.amr AS f_amr, f.acr AS f_acr, \
         f.created_at AS f_created_at, f.ended_at AS f_ended_at"
    };
}
pub(crate) use family_columns;

pub(crate) const BY_ID: &str = concat!(
    "SELECT ",
    family_columns!(),
    " FROM families AS f WHERE f.id = $1 LIMIT 1"
);
pub(crate) const WITH_PERSON: &str = concat!(
    "SELECT ",
    family_columns!(),
    ", ",
    user_columns!(),
    ", ",
    group_ids_column!(),
    " FROM families AS f LEFT JOIN users AS u ON u.id = f.user_id WHERE f.id = $1 LIMIT 1"
);
pub(crate) const WITH_PERSON_OF_JTI: &str = concat!(
    "SELECT ",
    family_columns!(),
    ", ",
    user_columns!(),
    ", ",
    group_ids_column!(),
    " FROM families AS f LEFT JOIN users AS u ON u.id = f.user_id WHERE f.id = $1 \
      AND NOT EXISTS (SELECT 1 FROM revoked_jtis AS j WHERE j.jti = $2) LIMIT 1"
);
pub(crate) const OFFLINE_OF_USER: &str = concat!(
    "SELECT ",
    family_columns!(),
    " FROM families AS f WHERE f.user_id = $1 AND f.offline AND f.ended_at IS NULL AND EXISTS (\
        SELECT 1 FROM refresh_tokens AS t WHERE t.family_id = f.id AND t.used_at IS NULL AND t.expires_at > $2) \
      ORDER BY f.application_id, f.created_at LIMIT 10000"
);
pub(crate) const CLIENTS_OF_SESSION: &str =
    "SELECT DISTINCT application_id FROM families WHERE session_id = $1 ORDER BY application_id LIMIT 10000";

/// Gives the families at the head of the queue that have something living the time when the last of it ends.
pub(crate) const PUT_OFF: &str = "UPDATE families SET check_at = (SELECT max(living.until) FROM (\
        SELECT max(expires_at) AS until FROM refresh_tokens WHERE family_id = families.id \
        UNION ALL SELECT max(expires_at) FROM codes WHERE family_id = families.id \
        UNION ALL SELECT max(expires_at) FROM access_tokens WHERE family_id = families.id \
        UNION ALL SELECT max(expires_at) FROM sessions WHERE id = families.session_id AND ended_at IS NULL) AS living) \
    WHERE id IN (SELECT id FROM families WHERE check_at < $1 ORDER BY check_at, id LIMIT 1000) AND (\
        EXISTS (SELECT 1 FROM refresh_tokens AS t WHERE t.family_id = families.id AND t.expires_at >= $1) \
        OR EXISTS (SELECT 1 FROM codes AS t WHERE t.family_id = families.id AND t.expires_at >= $1) \
        OR EXISTS (SELECT 1 FROM access_tokens AS t WHERE t.family_id = families.id AND t.expires_at >= $1) \
        OR EXISTS (SELECT 1 FROM sessions AS t WHERE t.id = families.session_id AND t.ended_at IS NULL AND t.expires_at >= $1))";
/// Removes what then stands at the head of the queue and has nothing living.
pub(crate) const FORGET: &str = "DELETE FROM families WHERE id IN (\
        SELECT id FROM families WHERE check_at < $1 ORDER BY check_at, id LIMIT 1000) \
    AND NOT EXISTS (SELECT 1 FROM refresh_tokens AS t WHERE t.family_id = families.id AND t.expires_at >= $1) \
    AND NOT EXISTS (SELECT 1 FROM codes AS t WHERE t.family_id = families.id AND t.expires_at >= $1) \
    AND NOT EXISTS (SELECT 1 FROM access_tokens AS t WHERE t.family_id = families.id AND t.expires_at >= $1) \
    AND NOT EXISTS (SELECT 1 FROM sessions AS t WHERE t.id = families.session_id AND t.ended_at IS NULL AND t.expires_at >= $1)";

/// The family in a row that has the columns of `family_columns!`.
pub(crate) fn family_of(row: &Row) -> Result<Family> {
    let fields = Fields::new(row, "families", "f", "f_id");
    Ok(Family {
        id: fields.get("f_id")?,
        application_id: fields.get("f_application_id")?,
        user_id: fields.get("f_user_id")?,
        session_id: fields.get("f_session_id")?,
        scopes: fields.set("f_scopes")?,
        resources: fields.set("f_resources")?,
        claims: fields.get::<Option<Json>>("f_claims")?,
        nonce: fields.get("f_nonce")?,
        auth_time: fields.get("f_auth_time")?,
        amr: fields.list("f_amr")?,
        acr: fields.get("f_acr")?,
        created_at: fields.get("f_created_at")?,
        ended_at: fields.get("f_ended_at")?,
    })
}

/// The user of a family with the direct groups, in a row where they may be missing.
pub(crate) fn person_or_none(row: &Row) -> Result<Option<(User, Vec<GroupId>)>> {
    match row.get::<Option<UserId>>("u_id")? {
        None => Ok(None),
        Some(_) => person_of(row).map(Some),
    }
}

impl Conn {
    /// One family. 1 query.
    ///
    /// # Errors
    /// Any [`crate::Error`] of the engine, [`crate::Error::Corrupt`] for a row that cannot be read; the same for all
    /// methods here.
    pub async fn family(&self, id: FamilyId) -> Result<Option<Family>> {
        self.first(sql(BY_ID).bind(id))
            .await?
            .as_ref()
            .map(family_of)
            .transpose()
    }

    /// One family with its user, as far as it has one, and the live groups the user is directly in. 1 query.
    ///
    /// # Errors
    /// See [`Conn::family`].
    pub async fn family_with_person(
        &self,
        id: FamilyId,
    ) -> Result<Option<(Family, Option<(User, Vec<GroupId>)>)>> {
        match self.first(sql(WITH_PERSON).bind(id)).await? {
            None => Ok(None),
            Some(row) => Ok(Some((family_of(&row)?, person_or_none(&row)?))),
        }
    }

    /// [`Conn::family_with_person`] for a JWT of the family: `None` also when that was revoked. 1 query.
    ///
    /// # Errors
    /// See [`Conn::family`].
    pub async fn family_with_person_of_jti(
        &self,
        id: FamilyId,
        jti: &str,
    ) -> Result<Option<(Family, Option<(User, Vec<GroupId>)>)>> {
        match self.first(sql(WITH_PERSON_OF_JTI).bind(id).bind(jti)).await? {
            None => Ok(None),
            Some(row) => Ok(Some((family_of(&row)?, person_or_none(&row)?))),
        }
    }

    /// Families of a user that can still be refreshed, by application, oldest first, at most 10,000. 1 query.
    ///
    /// # Errors
    /// See [`Conn::family`].
    pub async fn offline_families_of(&self, user: UserId, now: Timestamp) -> Result<Vec<Family>> {
        let rows = self.all(sql(OFFLINE_OF_USER).bind(user).bind(now)).await?;
        rows.iter().map(family_of).collect()
    }

    /// The applications that got tokens in this session, each once. 1 query.
    ///
    /// # Errors
    /// See [`Conn::family`].
    pub async fn clients_of_session(&self, session: SessionId) -> Result<Vec<ApplicationId>> {
        let rows = self.all(sql(CLIENTS_OF_SESSION).bind(session)).await?;
        rows.iter().map(|row| row.get("application_id")).collect()
    }
}

impl Tx {
    /// Adds a family. 1 query.
    ///
    /// # Errors
    /// [`crate::Error::Reference`] when there is no such application or user.
    pub async fn add_family(&self, family: &Family) -> Result<()> {
        let query = sql(
            "INSERT INTO families(id, application_id, user_id, session_id, scopes, offline, resources, \
             claims, nonce, auth_time, amr, acr, created_at, ended_at, check_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $13)",
        )
        .bind(family.id)
        .bind(family.application_id)
        .bind(family.user_id)
        .bind(family.session_id)
        .bind(texts(&family.scopes))
        .bind(family.scopes.contains(OFFLINE_ACCESS))
        .bind(texts(&family.resources))
        .bind(family.claims.as_ref())
        .bind(family.nonce.as_deref())
        .bind(family.auth_time)
        .bind(texts(&family.amr))
        .bind(family.acr.as_deref())
        .bind(family.created_at)
        .bind(family.ended_at);
        self.run(query).await?;
        Ok(())
    }

    /// Ends a family; false when it had ended or is unknown. 1 query.
    ///
    /// # Errors
    /// See [`Conn::family`].
    pub async fn end_family(&self, id: FamilyId, reason: &str, now: Timestamp) -> Result<bool> {
        let query =
            sql("UPDATE families SET ended_at = $2, ended_reason = $3 WHERE id = $1 AND ended_at IS NULL");
        Ok(self.run(query.bind(id).bind(now).bind(reason)).await? > 0)
    }

    /// Ends the families of a session that were not granted `offline_access`; gives which, and whose. 1 query.
    ///
    /// # Errors
    /// See [`Conn::family`].
    pub async fn end_families_of_session(
        &self,
        session: SessionId,
        now: Timestamp,
    ) -> Result<Vec<(FamilyId, ApplicationId)>> {
        let query = sql(
            "UPDATE families SET ended_at = $2, ended_reason = 'session_ended' \
             WHERE session_id = $1 AND ended_at IS NULL AND NOT offline RETURNING id, application_id",
        );
        let rows = self.all(query.bind(session).bind(now)).await?;
        rows.iter()
            .map(|row| Ok((row.get("id")?, row.get("application_id")?)))
            .collect()
    }

    /// Ends all families of a user; gives how many. 1 query.
    ///
    /// # Errors
    /// See [`Conn::family`].
    pub async fn end_families_of_user(&self, user: UserId, reason: &str, now: Timestamp) -> Result<u64> {
        let query = sql(
            "UPDATE families SET ended_at = $2, ended_reason = $3 WHERE user_id = $1 AND ended_at IS NULL",
        );
        self.run(query.bind(user).bind(now).bind(reason)).await
    }

    /// Ends all families of a user with one application; gives how many. 1 query.
    ///
    /// # Errors
    /// See [`Conn::family`].
    pub async fn end_families_of_grant(
        &self,
        user: UserId,
        application: ApplicationId,
        reason: &str,
        now: Timestamp,
    ) -> Result<u64> {
        let query = sql("UPDATE families SET ended_at = $3, ended_reason = $4 \
             WHERE user_id = $1 AND application_id = $2 AND ended_at IS NULL");
        self.run(query.bind(user).bind(application).bind(now).bind(reason))
            .await
    }

    /// Ends all families of an application; gives how many. 1 query.
    ///
    /// # Errors
    /// See [`Conn::family`].
    pub async fn end_families_of_application(
        &self,
        application: ApplicationId,
        reason: &str,
        now: Timestamp,
    ) -> Result<u64> {
        let query = sql(
            "UPDATE families SET ended_at = $2, ended_reason = $3 WHERE application_id = $1 AND ended_at IS NULL",
        );
        self.run(query.bind(application).bind(now).bind(reason)).await
    }

    /// Looks at up to [`crate::FORGET_BATCH`] families begun before `before` and removes those of which nothing is left:
    /// no code, refresh token or opaque access token of theirs and not their session lives until `before` (a live session
    /// still has to tell its clients when it ends). The others are not looked at again
    /// before their last token's end. Gives how many it dealt with, removed or put off; call again, in a new
    /// transaction, until it gives 0.
    ///
    /// `before` lies at least the longest access-token lifetime in the past, as JWT access tokens are not stored.
    /// 2 queries.
    ///
    /// # Errors
    /// See [`Conn::family`].
    pub async fn forget_families(&self, before: Timestamp) -> Result<u64> {
        let put_off = self.run(sql(PUT_OFF).bind(before)).await?;
        Ok(put_off + self.run(sql(FORGET).bind(before)).await?)
    }
}
