//! Groups, parents and members.

use serde_json::json;

use doorward_domain::event::EventKind;
use doorward_domain::group::{Group, GroupTree};
use doorward_domain::user::User;
use doorward_domain::{Attributes, GroupId, UserId, text};
use doorward_store::{Tx, conflict_field};

use crate::admin::users::find_group;
use crate::error::{Error, Result};
use crate::events::About;
use crate::picture::topic;
use crate::{Doorward, Origin};

/// What is to change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct GroupChange {
    /// Name.
    pub name: Option<String>,
    /// Superuser flag.
    pub superuser: Option<bool>,
    /// Parents by name; replaces all.
    pub parents: Option<Vec<String>>,
    /// Attributes to set; a JSON null removes one.
    pub attributes: Attributes,
}

impl Doorward {
    /// All groups, sorted by name; with `deleted` also those in the bin.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn list_groups(&self, deleted: bool) -> Result<Vec<Group>> {
        let mut groups = self.store()?.read().groups(deleted).await?;
        groups.sort_by_key(|group| text::fold(&group.name));
        Ok(groups)
    }

    /// A group by name or id.
    ///
    /// # Errors
    /// `NotFound` with the nearest name.
    pub async fn find_group(&self, wanted: &str) -> Result<Group> {
        let groups = self.store()?.read().groups(true).await?;
        if let Ok(id) = wanted.parse::<GroupId>()
            && let Some(group) = groups.iter().find(|group| group.id == id)
        {
            return Ok(group.clone());
        }
        let tree = GroupTree::new(groups);
        let id = find_group(&tree, wanted)?;
        tree.find(id)
            .cloned()
            .ok_or_else(|| Error::NotFound(format!("there is no group `{wanted}`")))
    }

    /// Makes a group.
    ///
    /// # Errors
    /// `Invalid` naming the field.
    pub async fn create_group(&self, name: &str, change: &GroupChange) -> Result<Group> {
        let tx = self.store()?.begin().await?;
        let group = self.add_group_in(&tx, name, change).await?;
        tx.commit().await?;
        self.refresh_directory_now(self.now()).await?;
        Ok(group)
    }

    /// Makes a group in a transaction of the caller's.
    pub(crate) async fn add_group_in(&self, tx: &Tx, name: &str, change: &GroupChange) -> Result<Group> {
        let now = self.now();
        let group = Group {
            id: self.mint(now),
            name: name.to_owned(),
            superuser: false,
            attributes: Attributes::new(),
            parents: Vec::new(),
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        let group = self.changed_group(tx, group, change).await?;
        tx.add_group(&group)
            .await
            .map_err(|error| conflict(error, &group))?;
        self.note_group(tx, group.id, "created").await?;
        Ok(group)
    }

    /// Changes a group.
    ///
    /// # Errors
    /// `Invalid` naming the field, also when parents would close a circle; `Refused` with `last_administrator`.
    pub async fn update_group(&self, id: GroupId, change: &GroupChange) -> Result<Group> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let had_admin = self.has_administrator(&tx).await?;
        let groups = tx.groups(false).await?;
        let Some(group) = groups.into_iter().find(|group| group.id == id) else {
            return Err(Error::NotFound("there is no such group".into()));
        };
        let mut group = self.changed_group(&tx, group, change).await?;
        group.updated_at = now;
        tx.save_group(&group)
            .await
            .map_err(|error| conflict(error, &group))?;
        self.keep_administrator(&tx, had_admin).await?;
        self.note_group(&tx, id, "changed").await?;
        tx.commit().await?;
        self.refresh_directory_now(now).await?;
        Ok(group)
    }

    async fn changed_group(&self, tx: &Tx, mut group: Group, change: &GroupChange) -> Result<Group> {
        if let Some(name) = &change.name {
            group.name.clone_from(name);
        }
        text::check_visible("group name", &group.name, 150).map_err(Error::Invalid)?;
        if let Some(superuser) = change.superuser {
            group.superuser = superuser;
        }
        if let Some(parents) = &change.parents {
            let tree = GroupTree::new(tx.groups(false).await?);
            group.parents.clear();
            for name in parents {
                let parent = find_group(&tree, name)?;
                if tree.closes_circle(group.id, parent) {
                    return Err(Error::Invalid(format!(
                        "parent `{name}` is the group itself or stands below it"
                    )));
                }
                group.parents.push(parent);
            }
        }
        for (name, value) in &change.attributes {
            if value.is_null() {
                group.attributes.remove(name);
            } else {
                group.attributes.insert(name.clone(), value.clone());
            }
        }
        super::users::check_attributes(&group.attributes)?;
        Ok(group)
    }

    /// Puts a group into the bin; its memberships come back when it is restored.
    ///
    /// # Errors
    /// `Refused` with `last_administrator`.
    pub async fn delete_group(&self, id: GroupId) -> Result<()> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let had_admin = self.has_administrator(&tx).await?;
        tx.delete_group(id, now).await?;
        self.keep_administrator(&tx, had_admin).await?;
        self.note_group(&tx, id, "deleted").await?;
        tx.commit().await?;
        self.refresh_directory_now(now).await
    }

    /// Takes a group out of the bin.
    ///
    /// # Errors
    /// `Invalid` when the name was taken meanwhile.
    pub async fn restore_group(&self, id: GroupId) -> Result<()> {
        let now = self.now();
        let group = self.find_group(&id.to_string()).await?;
        let tx = self.store()?.begin().await?;
        tx.restore_group(id, now)
            .await
            .map_err(|error| conflict(error, &group))?;
        self.note_group(&tx, id, "restored").await?;
        tx.commit().await?;
        self.refresh_directory_now(now).await
    }

    /// Adds a user to a group; false when already a member.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn add_member(&self, user: UserId, group: GroupId) -> Result<bool> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let added = tx.add_member(user, group, now).await?;
        self.note_member(&tx, user, group, "member added").await?;
        tx.commit().await?;
        self.inner.sessions.forget(&user.to_string());
        Ok(added)
    }

    /// Takes a user out of a group; false when not a member.
    ///
    /// # Errors
    /// `Refused` with `last_administrator`.
    pub async fn remove_member(&self, user: UserId, group: GroupId) -> Result<bool> {
        let tx = self.store()?.begin().await?;
        let had_admin = self.has_administrator(&tx).await?;
        let removed = tx.remove_member(user, group).await?;
        self.keep_administrator(&tx, had_admin).await?;
        self.note_member(&tx, user, group, "member removed").await?;
        tx.commit().await?;
        self.inner.sessions.forget(&user.to_string());
        Ok(removed)
    }

    /// Direct members of a group.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn members(&self, group: GroupId, after: Option<UserId>, limit: u32) -> Result<Vec<User>> {
        Ok(self.store()?.read().members(group, after, limit).await?)
    }

    async fn note_group(&self, tx: &Tx, id: GroupId, what: &str) -> Result<()> {
        let now = self.now();
        let about = About {
            details: json!({ "what": what, "group": id.to_string() }),
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::GroupChanged, about, &Origin::default(), now))
            .await?;
        tx.changed(topic::DIRECTORY, &id.to_string(), now);
        Ok(())
    }

    async fn note_member(&self, tx: &Tx, user: UserId, group: GroupId, what: &str) -> Result<()> {
        let now = self.now();
        let details = json!({ "what": what, "group": group.to_string() });
        let about = About {
            user: Some(user),
            details,
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::GroupChanged, about, &Origin::default(), now))
            .await?;
        tx.changed(topic::USER, &user.to_string(), now);
        Ok(())
    }
}

fn conflict(error: doorward_store::Error, group: &Group) -> Error {
    match conflict_field(&error) {
        Some("name") => Error::Invalid(format!("a group named `{}` exists already", group.name)),
        _ => error.into(),
    }
}
