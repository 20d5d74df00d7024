//! Groups, their parents, and who is in them.
//!
//! Memberships stay when a user or a group goes into the bin, so that restoring brings them back; reads leave out what is
//! in the bin.

use std::collections::HashMap;

use doorward_domain::group::Group;
use doorward_domain::text::fold;
use doorward_domain::user::User;
use doorward_domain::{GroupId, Timestamp, UserId};

use crate::conn::{Conn, Tx};
use crate::error::{Error, Result};
use crate::fields::{Fields, page, user_columns, whole};
use crate::sql::{Row, sql};
use crate::users::user_of;

/// Most groups that are loaded.
const MAX_GROUPS: usize = 100_000;
/// Most links between groups that are loaded.
const MAX_PARENTS: usize = 1_000_000;

pub(crate) const GROUP_IDS_OF: &str = "SELECT g.id AS g_id FROM memberships AS m JOIN groups AS g ON g.id = m.group_id \
    WHERE m.user_id = $1 AND g.deleted_at IS NULL ORDER BY g.id LIMIT 10000";
pub(crate) const MEMBERS: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM memberships AS m JOIN users AS u ON u.id = m.user_id \
      WHERE m.group_id = $1 AND m.user_id > $2 AND u.deleted_at IS NULL ORDER BY m.user_id LIMIT $3"
);

fn group_of(row: &Row, parents: Vec<GroupId>) -> Result<Group> {
    let fields = Fields::new(row, "groups", "g", "g_id");
    Ok(Group {
        id: fields.get("g_id")?,
        name: fields.get("g_name")?,
        superuser: fields.get("g_superuser")?,
        attributes: fields.get("g_attributes")?,
        parents,
        created_at: fields.get("g_created_at")?,
        updated_at: fields.get("g_updated_at")?,
        deleted_at: fields.get("g_deleted_at")?,
    })
}

impl Conn {
    /// All groups in order of id, with their parents; those in the bin when `include_deleted`. 2 queries.
    ///
    /// # Errors
    /// Any [`Error`] of the engine, [`Error::Corrupt`] for a row that cannot be read; the same for all methods here.
    pub async fn groups(&self, include_deleted: bool) -> Result<Vec<Group>> {
        let query = sql(
            "SELECT g.id AS g_id, g.name AS g_name, g.superuser AS g_superuser, \
             g.attributes AS g_attributes, g.created_at AS g_created_at, g.updated_at AS g_updated_at, \
             g.deleted_at AS g_deleted_at FROM groups AS g WHERE $1 OR g.deleted_at IS NULL ORDER BY g.id LIMIT $2",
        );
        let rows = whole(
            self.scan(query.bind(include_deleted).bind(MAX_GROUPS + 1))
                .await?,
            MAX_GROUPS,
            "groups",
        )?;
        let query =
            sql("SELECT group_id, parent_id FROM group_parents ORDER BY group_id, parent_id LIMIT $1");
        let links = whole(
            self.scan(query.bind(MAX_PARENTS + 1)).await?,
            MAX_PARENTS,
            "group_parents",
        )?;
        let mut parents: HashMap<GroupId, Vec<GroupId>> = HashMap::new();
        for link in &links {
            parents
                .entry(link.get("group_id")?)
                .or_default()
                .push(link.get("parent_id")?);
        }
        rows.iter()
            .map(|row| {
                let id: GroupId = row.get("g_id")?;
                group_of(row, parents.remove(&id).unwrap_or_default())
            })
            .collect()
    }

    /// The live groups that a user is directly in, in order of id. 1 query.
    ///
    /// # Errors
    /// See [`Conn::groups`].
    pub async fn group_ids_of(&self, user: UserId) -> Result<Vec<GroupId>> {
        self.all(sql(GROUP_IDS_OF).bind(user))
            .await?
            .iter()
            .map(|row| row.get("g_id"))
            .collect()
    }

    /// One page of the live users that are directly in a group, in order of id; `after` is the last id of the page
    /// before. 1 query.
    ///
    /// # Errors
    /// See [`Conn::groups`].
    pub async fn members(&self, group: GroupId, after: Option<UserId>, limit: u32) -> Result<Vec<User>> {
        let after = after.unwrap_or(UserId::from_uuid(uuid::Uuid::nil()));
        let rows = self
            .all(sql(MEMBERS).bind(group).bind(after).bind(page(limit)))
            .await?;
        rows.iter().map(user_of).collect()
    }
}

impl Tx {
    /// Adds a group with its parents. 1 query, and 1 per parent. Circles are the caller's to refuse.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the name is taken, [`Error::Reference`] for a parent that does not exist.
    pub async fn add_group(&self, group: &Group) -> Result<()> {
        let query = sql(
            "INSERT INTO groups(id, id_text, name, name_key, superuser, attributes, created_at, \
             updated_at, deleted_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(group.id)
        .bind(group.id.to_string())
        .bind(&group.name)
        .bind(fold(&group.name))
        .bind(group.superuser)
        .bind(&group.attributes)
        .bind(group.created_at)
        .bind(group.updated_at)
        .bind(group.deleted_at);
        self.run(query).await?;
        self.add_parents(group).await
    }

    /// Saves everything of a group but whether it is in the bin; the parents are replaced. 2 queries, and 1 per parent.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the name is taken, [`Error::Reference`] for a parent that does not exist,
    /// [`Error::Stale`] when there is no such group.
    pub async fn save_group(&self, group: &Group) -> Result<()> {
        let query = sql(
            "UPDATE groups SET name = $2, name_key = $3, superuser = $4, attributes = $5, updated_at = $6 \
             WHERE id = $1",
        )
        .bind(group.id)
        .bind(&group.name)
        .bind(fold(&group.name))
        .bind(group.superuser)
        .bind(&group.attributes)
        .bind(group.updated_at);
        if self.run(query).await? == 0 {
            return Err(Error::Stale);
        }
        self.run(sql("DELETE FROM group_parents WHERE group_id = $1").bind(group.id))
            .await?;
        self.add_parents(group).await
    }

    async fn add_parents(&self, group: &Group) -> Result<()> {
        for parent in &group.parents {
            let query =
                sql("INSERT INTO group_parents(group_id, parent_id) VALUES ($1, $2) ON CONFLICT DO NOTHING");
            self.run(query.bind(group.id).bind(parent)).await?;
        }
        Ok(())
    }

    /// Puts a group into the bin; false when it is there already or unknown. 1 query.
    ///
    /// # Errors
    /// See [`Conn::groups`].
    pub async fn delete_group(&self, id: GroupId, now: Timestamp) -> Result<bool> {
        let query =
            sql("UPDATE groups SET deleted_at = $2, updated_at = $2 WHERE id = $1 AND deleted_at IS NULL");
        Ok(self.run(query.bind(id).bind(now)).await? > 0)
    }

    /// Takes a group out of the bin; false when it is not in there. 1 query.
    ///
    /// # Errors
    /// [`Error::Conflict`] when another group has the name by now.
    pub async fn restore_group(&self, id: GroupId, now: Timestamp) -> Result<bool> {
        let query = sql(
            "UPDATE groups SET deleted_at = NULL, updated_at = $2 WHERE id = $1 AND deleted_at IS NOT NULL",
        );
        Ok(self.run(query.bind(id).bind(now)).await? > 0)
    }

    /// Removes groups that went into the bin before `before` for good, with their memberships and places in audiences;
    /// at most 100 per call. Gives how many; call again until it gives 0. 1 query.
    ///
    /// # Errors
    /// See [`Conn::groups`].
    pub async fn purge_groups(&self, before: Timestamp) -> Result<u64> {
        let query = sql("DELETE FROM groups WHERE id IN \
             (SELECT id FROM groups WHERE deleted_at < $1 ORDER BY deleted_at LIMIT 100)");
        self.run(query.bind(before)).await
    }

    /// Makes a user a member of a group; false when it is one already. 1 query.
    ///
    /// # Errors
    /// [`Error::Reference`] when there is no such user or group.
    pub async fn add_member(&self, user: UserId, group: GroupId, now: Timestamp) -> Result<bool> {
        let query = sql(
            "INSERT INTO memberships(user_id, group_id, created_at) VALUES ($1, $2, $3) \
             ON CONFLICT DO NOTHING",
        );
        Ok(self.run(query.bind(user).bind(group).bind(now)).await? > 0)
    }

    /// Ends a membership; false when there was none. 1 query.
    ///
    /// # Errors
    /// See [`Conn::groups`].
    pub async fn remove_member(&self, user: UserId, group: GroupId) -> Result<bool> {
        let query = sql("DELETE FROM memberships WHERE user_id = $1 AND group_id = $2");
        Ok(self.run(query.bind(user).bind(group)).await? > 0)
    }
}
