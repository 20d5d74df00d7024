//! Users and their passwords.
//!
//! A deleted user keeps its row (the bin) until [`Tx::purge_users`]; names are unique among the living only. Methods that
//! look somebody up by name see the living only, [`Conn::user`] sees everybody.

use doorward_domain::app_auth::AppUser;
use doorward_domain::text::fold;
use doorward_domain::user::{Realm, User};
use doorward_domain::{GroupId, Timestamp, UserId};

use serde_json::Value as Json;

use crate::conn::{Conn, Tx};
use crate::error::{Error, Result};
use crate::fields::{Fields, group_ids_column, page, user_columns};
use crate::sql::{Query, Row, sql, sql_built};

/// The counter that numbers users.
const NUMBERS: &str = "user";

pub(crate) const BY_ID: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM users AS u WHERE u.id = $1 LIMIT 1"
);
pub(crate) const BY_USERNAME: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM users AS u WHERE u.realm = $1 AND u.username_key = $2 AND u.deleted_at IS NULL LIMIT 1"
);
pub(crate) const BY_EMAIL: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM users AS u WHERE u.realm = $1 AND u.email_key = $2 AND u.deleted_at IS NULL LIMIT 1"
);
pub(crate) const FOR_SIGN_IN: &str = concat!(
    "SELECT ",
    user_columns!(),
    ", p.hash AS p_hash FROM (
        SELECT id, 0 AS place FROM users WHERE realm = $1 AND username_key = $2 AND deleted_at IS NULL
        UNION ALL
        SELECT id, 1 AS place FROM users WHERE realm = $1 AND email_key = $2 AND deleted_at IS NULL
     ) AS found JOIN users AS u ON u.id = found.id LEFT JOIN passwords AS p ON p.user_id = u.id
     ORDER BY found.place LIMIT 1"
);
pub(crate) const WITH_GROUPS: &str = concat!(
    "SELECT ",
    user_columns!(),
    ", ",
    group_ids_column!(),
    " FROM users AS u WHERE u.id = $1 LIMIT 1"
);
pub(crate) const PASSWORD: &str = "SELECT hash AS p_hash FROM passwords WHERE user_id = $1 LIMIT 1";
pub(crate) const MEMBERS_OF: &str = "SELECT DISTINCT m.user_id AS u_id FROM memberships AS m \
    JOIN users AS u ON u.id = m.user_id WHERE m.group_id IN $1 AND u.deleted_at IS NULL ORDER BY m.user_id LIMIT $2";
pub(crate) const USABLE_MEMBERS: &str = "SELECT count(DISTINCT m.user_id) AS n FROM memberships AS m \
    JOIN users AS u ON u.id = m.user_id JOIN passwords AS p ON p.user_id = u.id \
    WHERE m.group_id IN $1 AND u.active AND u.deleted_at IS NULL AND u.kind <> 'service' AND u.realm = ''";

/// Which users to list.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Only users in whose user name, name or e-mail address this text occurs, without regard to case. At most 256
    /// characters count.
    pub search: Option<String>,
    /// Also those in the bin.
    pub include_deleted: bool,
    /// Only users after this one: the last id of the page before.
    pub after: Option<UserId>,
    /// Size of the page, 1 to [`crate::MAX_PAGE`].
    pub limit: u32,
}

/// The statement that lists what the filter lets through.
pub(crate) fn filtered(filter: &UserFilter) -> Query {
    let mut query =
        sql_built(concat!("SELECT ", user_columns!(), " FROM users AS u WHERE u.id > $1").to_owned())
            .bind(filter.after.unwrap_or(UserId::from_uuid(uuid::Uuid::nil())));
    if !filter.include_deleted {
        query = query.push(" AND u.deleted_at IS NULL");
    }
    if let Some(search) = &filter.search {
        let clause = format!(" AND u.search LIKE ${} ESCAPE '\\'", query.next_position());
        query = query.push(&clause).bind(like(search));
    }
    let order = format!(" ORDER BY u.id LIMIT ${}", query.next_position());
    query.push(&order).bind(page(filter.limit))
}

/// The user in a row that has the columns of `user_columns!`.
pub(crate) fn user_of(row: &Row) -> Result<User> {
    let fields = Fields::new(row, "users", "u", "u_id");
    Ok(User {
        id: fields.get("u_id")?,
        number: fields.get("u_number")?,
        uid: fields.get("u_uid")?,
        realm: fields.word("u_realm")?,
        username: fields.get("u_username")?,
        name: fields.get("u_name")?,
        email: fields.get("u_email")?,
        email_verified_at: fields.get("u_email_verified_at")?,
        kind: fields.word("u_kind")?,
        attributes: fields.get("u_attributes")?,
        app: match fields.get::<Option<Json>>("u_app")? {
            None => AppUser::default(),
            Some(_) => fields.json("u_app", serde_json::from_value)?,
        },
        active: fields.get("u_active")?,
        locale: fields.get("u_locale")?,
        created_at: fields.get("u_created_at")?,
        updated_at: fields.get("u_updated_at")?,
        last_sign_in_at: fields.get("u_last_sign_in_at")?,
        deleted_at: fields.get("u_deleted_at")?,
    })
}

/// The user with the direct groups, in a row that has both.
pub(crate) fn person_of(row: &Row) -> Result<(User, Vec<GroupId>)> {
    let groups = Fields::new(row, "memberships", "u", "u_id").ids("u_group_ids")?;
    Ok((user_of(row)?, groups))
}

fn app_json(app: &AppUser) -> Result<Option<Json>> {
    if app.is_empty() {
        return Ok(None);
    }
    serde_json::to_value(app).map(Some).map_err(|error| {
        Error::Engine(format!(
            "what apps know of a user cannot be written as JSON: {error}"
        ))
    })
}

fn search_text(user: &User) -> String {
    fold(&format!(
        "{}\n{}\n{}",
        user.username,
        user.name,
        user.email.as_deref().unwrap_or_default()
    ))
}

/// A `LIKE` pattern that finds `text` anywhere; its wildcards lose their meaning.
fn like(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in fold(text).chars().take(256) {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

impl Conn {
    /// One user by id, also from the bin. 1 query.
    ///
    /// # Errors
    /// Any [`Error`] of the engine, [`Error::Corrupt`] for a row that cannot be read; the same for all methods here.
    pub async fn user(&self, id: UserId) -> Result<Option<User>> {
        self.first(sql(BY_ID).bind(id))
            .await?
            .as_ref()
            .map(user_of)
            .transpose()
    }

    /// One live user of a realm by user name, without regard to case. 1 query.
    ///
    /// # Errors
    /// See [`Conn::user`].
    pub async fn user_by_username(&self, realm: Realm, name: &str) -> Result<Option<User>> {
        self.first(sql(BY_USERNAME).bind(String::from(realm)).bind(fold(name)))
            .await?
            .as_ref()
            .map(user_of)
            .transpose()
    }

    /// One live user of a realm by e-mail address, without regard to case. 1 query.
    ///
    /// # Errors
    /// See [`Conn::user`].
    pub async fn user_by_email(&self, realm: Realm, email: &str) -> Result<Option<User>> {
        self.first(sql(BY_EMAIL).bind(String::from(realm)).bind(fold(email)))
            .await?
            .as_ref()
            .map(user_of)
            .transpose()
    }

    /// The live user of a realm that signs in with this user name or e-mail address, with the password hash. A user name wins over
    /// somebody else's equal e-mail address. 1 query, whether or not there is such a user.
    ///
    /// # Errors
    /// See [`Conn::user`].
    pub async fn user_for_sign_in(
        &self,
        realm: Realm,
        identifier: &str,
    ) -> Result<Option<(User, Option<String>)>> {
        let query = sql(FOR_SIGN_IN).bind(String::from(realm)).bind(fold(identifier));
        let Some(row) = self.first(query).await? else {
            return Ok(None);
        };
        let hash = Fields::new(&row, "passwords", "p", "u_id").get("p_hash")?;
        Ok(Some((user_of(&row)?, hash)))
    }

    /// The password hash of a user. 1 query.
    ///
    /// # Errors
    /// See [`Conn::user`].
    pub async fn password_hash(&self, user: UserId) -> Result<Option<String>> {
        self.first(sql(PASSWORD).bind(user))
            .await?
            .map(|row| row.get("p_hash"))
            .transpose()
    }

    /// One page of users in the order in which they were made. 1 query; reads through the table when searching.
    ///
    /// # Errors
    /// See [`Conn::user`].
    pub async fn list_users(&self, filter: &UserFilter) -> Result<Vec<User>> {
        let query = filtered(filter);
        let rows = if filter.search.is_some() {
            self.scan(query).await?
        } else {
            self.all(query).await?
        };
        rows.iter().map(user_of).collect()
    }

    /// How many live users there are. 1 query, which counts through an index.
    ///
    /// # Errors
    /// See [`Conn::user`].
    pub async fn count_users(&self) -> Result<i64> {
        let rows = self
            .scan(sql("SELECT count(*) AS n FROM users WHERE deleted_at IS NULL"))
            .await?;
        rows.first().map_or(Ok(0), |row| row.get("n"))
    }

    /// One user by id, also from the bin, with the live groups that the user is directly in. 1 query.
    ///
    /// # Errors
    /// See [`Conn::user`].
    pub async fn user_with_groups(&self, id: UserId) -> Result<Option<(User, Vec<GroupId>)>> {
        self.first(sql(WITH_GROUPS).bind(id))
            .await?
            .as_ref()
            .map(person_of)
            .transpose()
    }

    /// Live users that are directly in one of these groups, each once, in order of id; at most `limit` (and
    /// [`crate::MAX_PAGE`]). 1 query.
    ///
    /// # Errors
    /// See [`Conn::user`].
    pub async fn members_of(&self, groups: &[GroupId], limit: u32) -> Result<Vec<UserId>> {
        let query = sql(MEMBERS_OF).bind_list(groups).bind(page(limit));
        self.all(query).await?.iter().map(|row| row.get("u_id")).collect()
    }

    /// How many people are directly in one of these groups and could sign in: active, not deleted, not a service, with
    /// a password; people of a single app do not count. 1 query.
    ///
    /// # Errors
    /// See [`Conn::user`].
    pub async fn usable_members(&self, groups: &[GroupId]) -> Result<i64> {
        self.one(sql(USABLE_MEMBERS).bind_list(groups)).await?.get("n")
    }
}

impl Tx {
    /// Adds a user and gives its number: `user.number` when that is above 0 (an import), else the next free one.
    /// 2 queries. Two transactions that add users run one after the other.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the user name, e-mail address, number or uid is taken
    /// ([`crate::conflict_field`] tells which); any other of the engine.
    pub async fn add_user(&self, user: &User) -> Result<i64> {
        let number = if user.number > 0 {
            let raise = sql("INSERT INTO counters(name, value) VALUES ($1, $2) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE counters.value < excluded.value");
            self.run(raise.bind(NUMBERS).bind(user.number)).await?;
            user.number
        } else {
            self.next_number(NUMBERS).await?
        };
        let query = sql("INSERT INTO users(id, number, uid, username, username_key, name, email, email_key, \
             email_verified_at, kind, attributes, active, locale, search, created_at, updated_at, last_sign_in_at, \
             deleted_at, app, realm) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)")
        .bind(user.id)
        .bind(number)
        .bind(&user.uid)
        .bind(&user.username)
        .bind(fold(&user.username))
        .bind(&user.name)
        .bind(user.email.as_deref())
        .bind(user.email.as_deref().map(fold))
        .bind(user.email_verified_at)
        .bind(user.kind.as_str())
        .bind(&user.attributes)
        .bind(user.active)
        .bind(user.locale.as_deref())
        .bind(search_text(user))
        .bind(user.created_at)
        .bind(user.updated_at)
        .bind(user.last_sign_in_at)
        .bind(user.deleted_at)
        .bind(app_json(&user.app)?)
        .bind(String::from(user.realm));
        self.run(query).await?;
        Ok(number)
    }

    /// Saves everything of a user but number, uid, realm, latest sign-in, and whether it is in the bin. 1 query.
    ///
    /// # Errors
    /// [`Error::Conflict`] when user name or e-mail address is taken, [`Error::Stale`] when there is no such user.
    pub async fn save_user(&self, user: &User) -> Result<()> {
        let query = sql(
            "UPDATE users SET username = $2, username_key = $3, name = $4, email = $5, email_key = $6, \
             email_verified_at = $7, kind = $8, attributes = $9, active = $10, locale = $11, search = $12, \
             updated_at = $13, app = $14 WHERE id = $1",
        )
        .bind(user.id)
        .bind(&user.username)
        .bind(fold(&user.username))
        .bind(&user.name)
        .bind(user.email.as_deref())
        .bind(user.email.as_deref().map(fold))
        .bind(user.email_verified_at)
        .bind(user.kind.as_str())
        .bind(&user.attributes)
        .bind(user.active)
        .bind(user.locale.as_deref())
        .bind(search_text(user))
        .bind(user.updated_at)
        .bind(app_json(&user.app)?);
        if self.run(query).await? == 0 {
            Err(Error::Stale)
        } else {
            Ok(())
        }
    }

    /// Puts a user into the bin; false when it is there already or unknown. Memberships, grants and password stay.
    /// 1 query.
    ///
    /// # Errors
    /// See [`Conn::user`].
    pub async fn delete_user(&self, id: UserId, now: Timestamp) -> Result<bool> {
        let query =
            sql("UPDATE users SET deleted_at = $2, updated_at = $2 WHERE id = $1 AND deleted_at IS NULL");
        Ok(self.run(query.bind(id).bind(now)).await? > 0)
    }

    /// Takes a user out of the bin; false when it is not in there. 1 query.
    ///
    /// # Errors
    /// [`Error::Conflict`] when somebody else has the user name or e-mail address by now.
    pub async fn restore_user(&self, id: UserId, now: Timestamp) -> Result<bool> {
        let query = sql(
            "UPDATE users SET deleted_at = NULL, updated_at = $2 WHERE id = $1 AND deleted_at IS NOT NULL",
        );
        Ok(self.run(query.bind(id).bind(now)).await? > 0)
    }

    /// Removes users that went into the bin before `before` for good, with everything of theirs but events; at most 100
    /// per call. Gives how many; call again until it gives 0. 1 query.
    ///
    /// # Errors
    /// See [`Conn::user`].
    pub async fn purge_users(&self, before: Timestamp) -> Result<u64> {
        let query = sql("DELETE FROM users WHERE id IN \
             (SELECT id FROM users WHERE deleted_at < $1 ORDER BY deleted_at LIMIT 100)");
        self.run(query.bind(before)).await
    }

    /// Sets or replaces the password hash of a user. 1 query.
    ///
    /// # Errors
    /// [`Error::Reference`] when there is no such user.
    pub async fn set_password(&self, user: UserId, hash: &str, now: Timestamp) -> Result<()> {
        let query = sql(
            "INSERT INTO passwords(user_id, hash, changed_at) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at",
        );
        self.run(query.bind(user).bind(hash).bind(now)).await?;
        Ok(())
    }

    /// Keeps others from changing the user until this transaction ends; false when there is no such user. 1 query.
    ///
    /// # Errors
    /// See [`Conn::user`].
    pub async fn lock_user(&self, user: UserId) -> Result<bool> {
        let query = sql("UPDATE users SET updated_at = updated_at WHERE id = $1");
        Ok(self.run(query.bind(user)).await? > 0)
    }

    /// Records that the user signed in. 1 query.
    ///
    /// # Errors
    /// See [`Conn::user`].
    pub async fn touch_sign_in(&self, user: UserId, now: Timestamp) -> Result<()> {
        self.run(
            sql("UPDATE users SET last_sign_in_at = $2 WHERE id = $1")
                .bind(user)
                .bind(now),
        )
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_in_a_search_mean_themselves() {
        assert_eq!(like("A%b_c\\"), "%a\\%b\\_c\\\\%");
        assert!(like(&"x".repeat(5000)).len() <= 258);
    }
}
