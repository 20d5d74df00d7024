//! App passwords of users, under their digests.

use std::collections::{BTreeMap, BTreeSet};

use doorward_domain::app_password::{AppPassword, Reach};
use doorward_domain::text::fold;
use doorward_domain::user::User;
use doorward_domain::{AppPasswordId, ApplicationId, GroupId, Timestamp, UserId};

use crate::conn::{Conn, Tx};
use crate::error::Result;
use crate::fields::{Fields, group_ids_column, texts, user_columns};
use crate::sql::{MAX_LIST, Row, sql};
use crate::users::person_of;

macro_rules! app_password_columns {
    () => {
        "a.id AS a_id, a.user_id AS a_user_id, a.name AS a_name, a.every_site AS a_every_site, \
         a.applications AS a_applications, a.created_at AS a_created_at, a.expires_at AS a_expires_at, \
         a.last_used_at AS a_last_used_at, a.revoked_at AS a_revoked_at"
    };
}

pub(crate) const BY_DIGEST: &str = concat!(
    "SELECT ",
    app_password_columns!(),
    ", ",
    user_columns!(),
    ", ",
    group_ids_column!(),
    " FROM app_passwords AS a JOIN users AS u ON u.id = a.user_id WHERE a.digest = $1 LIMIT 1"
);
pub(crate) const OF_USER: &str = concat!(
    "SELECT ",
    app_password_columns!(),
    " FROM app_passwords AS a WHERE a.user_id = $1 AND a.revoked_at IS NULL ORDER BY a.id LIMIT 1000"
);

fn app_password_of(row: &Row) -> Result<AppPassword> {
    let fields = Fields::new(row, "app_passwords", "a", "a_id");
    let named: BTreeSet<ApplicationId> = fields.json("a_applications", serde_json::from_value)?;
    let reach = if fields.get("a_every_site")? {
        Reach::EverySite
    } else {
        Reach::Applications(named)
    };
    Ok(AppPassword {
        id: fields.get("a_id")?,
        user_id: fields.get("a_user_id")?,
        name: fields.get("a_name")?,
        reach,
        created_at: fields.get("a_created_at")?,
        expires_at: fields.get("a_expires_at")?,
        last_used_at: fields.get("a_last_used_at")?,
        revoked_at: fields.get("a_revoked_at")?,
    })
}

impl Conn {
    /// The app password with this digest, with its user and the live groups the user is directly in. Revoked and expired
    /// ones and those of users that may not act are returned too: the caller compares at use. 1 query.
    ///
    /// # Errors
    /// Any [`crate::Error`] of the engine, [`crate::Error::Corrupt`] for a row that cannot be read; the same for all
    /// methods here.
    pub async fn app_password_by_digest(
        &self,
        digest: &[u8; 32],
    ) -> Result<Option<(AppPassword, User, Vec<GroupId>)>> {
        let Some(row) = self.first(sql(BY_DIGEST).bind(digest)).await? else {
            return Ok(None);
        };
        let (user, groups) = person_of(&row)?;
        Ok(Some((app_password_of(&row)?, user, groups)))
    }

    /// The app passwords of a user in the order in which they were made, also expired ones, but none that was revoked; at
    /// most 1,000. 1 query.
    ///
    /// # Errors
    /// See [`Conn::app_password_by_digest`].
    pub async fn app_passwords_of(&self, user: UserId) -> Result<Vec<AppPassword>> {
        let rows = self.all(sql(OF_USER).bind(user)).await?;
        rows.iter().map(app_password_of).collect()
    }
}

impl Tx {
    /// Adds an app password under its digest. 1 query.
    ///
    /// # Errors
    /// [`crate::Error::Conflict`] when the user has one of this name ([`crate::conflict_field`] gives
    /// `app_password_name`), [`crate::Error::Reference`] when there is no such user.
    pub async fn add_app_password(&self, password: &AppPassword, digest: &[u8; 32]) -> Result<()> {
        let named: Vec<String> = password
            .reach
            .named()
            .into_iter()
            .flatten()
            .map(ToString::to_string)
            .collect();
        let query = sql(
            "INSERT INTO app_passwords(id, user_id, name, name_key, digest, every_site, applications, \
             created_at, expires_at, last_used_at, revoked_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(password.id)
        .bind(password.user_id)
        .bind(&password.name)
        .bind(fold(&password.name))
        .bind(digest)
        .bind(password.reach == Reach::EverySite)
        .bind(texts(&named))
        .bind(password.created_at)
        .bind(password.expires_at)
        .bind(password.last_used_at)
        .bind(password.revoked_at);
        self.run(query).await?;
        Ok(())
    }

    /// Revokes an app password of this user; false when it was revoked, is somebody else's or unknown. 1 query.
    ///
    /// # Errors
    /// See [`Conn::app_password_by_digest`].
    pub async fn revoke_app_password(&self, user: UserId, id: AppPasswordId, now: Timestamp) -> Result<bool> {
        let query = sql(
            "UPDATE app_passwords SET revoked_at = $3 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL",
        );
        Ok(self.run(query.bind(id).bind(user).bind(now)).await? > 0)
    }

    /// Revokes all app passwords of a user and gives which. 1 query.
    ///
    /// # Errors
    /// See [`Conn::app_password_by_digest`].
    pub async fn revoke_app_passwords_of(&self, user: UserId, now: Timestamp) -> Result<Vec<AppPasswordId>> {
        let query = sql(
            "UPDATE app_passwords SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL RETURNING id",
        );
        let rows = self.all(query.bind(user).bind(now)).await?;
        rows.iter().map(|row| row.get("id")).collect()
    }

    /// Records when app passwords were last used, to the minute below; never moves backwards. Those used in the same
    /// minute share 1 query.
    ///
    /// # Errors
    /// See [`Conn::app_password_by_digest`].
    pub async fn touch_app_passwords(&self, used: &[(AppPasswordId, Timestamp)]) -> Result<()> {
        let mut minutes: BTreeMap<i64, Vec<AppPasswordId>> = BTreeMap::new();
        for (password, at) in used {
            minutes
                .entry(at.seconds().div_euclid(60))
                .or_default()
                .push(*password);
        }
        for (minute, mut passwords) in minutes {
            passwords.sort_unstable();
            for passwords in passwords.chunks(MAX_LIST) {
                let query = sql("UPDATE app_passwords SET last_used_at = $1 \
                     WHERE id IN $2 AND (last_used_at IS NULL OR last_used_at < $1)");
                self.run(
                    query
                        .bind(Timestamp::from_seconds(minute * 60))
                        .bind_list(passwords),
                )
                .await?;
            }
        }
        Ok(())
    }

    /// Removes app passwords that were revoked or expired before `before`; at most [`crate::FORGET_BATCH`] per call.
    /// 1 query.
    ///
    /// # Errors
    /// See [`Conn::app_password_by_digest`].
    pub async fn forget_app_passwords(&self, before: Timestamp) -> Result<u64> {
        let query = sql("DELETE FROM app_passwords WHERE id IN (SELECT id FROM ( \
                SELECT id FROM app_passwords WHERE expires_at < $1 \
                UNION ALL SELECT id FROM app_passwords WHERE revoked_at < $1 \
             ) AS gone LIMIT 1000)");
        self.run(query.bind(before)).await
    }
}
