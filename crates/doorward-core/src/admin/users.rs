//! Users: made, changed, switched off, deleted and restored; never so that the last administrator is lost.

use serde_json::{Value, json};
use std::collections::BTreeSet;

use doorward_domain::event::EventKind;
use doorward_domain::group::GroupTree;
use doorward_domain::user::{Realm, User, UserKind};
use doorward_domain::{Attributes, GroupId, Reason, UserId, text};
use doorward_store::{Tx, UserFilter, conflict_field};

use crate::error::{Error, Refused, Result};
use crate::events::About;
use crate::picture::{setting, topic};
use crate::{Doorward, Origin};

/// A user to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// User name.
    pub username: String,
    /// Full name.
    pub name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Was the address proved elsewhere?
    pub email_verified: bool,
    /// Internal, external or service.
    pub kind: UserKind,
    /// Attributes.
    pub attributes: Attributes,
    /// Names of groups.
    pub groups: Vec<String>,
    /// Language.
    pub locale: Option<String>,
    /// Whose person it is.
    pub realm: Realm,
}

impl Default for NewUser {
    fn default() -> Self {
        Self {
            username: String::new(),
            name: String::new(),
            email: None,
            email_verified: false,
            kind: UserKind::Internal,
            attributes: Attributes::new(),
            groups: Vec::new(),
            locale: None,
            realm: Realm::Shared,
        }
    }
}

/// What is to change; `None` leaves a field as it is.
#[derive(Clone, Default)]
pub struct UserChange {
    /// User name.
    pub username: Option<String>,
    /// Full name.
    pub name: Option<String>,
    /// E-mail address; `Some(None)` removes it.
    pub email: Option<Option<String>>,
    /// Verified or not.
    pub email_verified: Option<bool>,
    /// Kind.
    pub kind: Option<UserKind>,
    /// Active or not.
    pub active: Option<bool>,
    /// Attributes to set; a JSON null removes one.
    pub attributes: Attributes,
    /// Language.
    pub locale: Option<String>,
    /// New password.
    pub password: Option<String>,
}

impl std::fmt::Debug for UserChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserChange")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// A user with the names of the groups.
#[derive(Clone, Debug)]
pub struct UserView {
    /// The record.
    pub user: User,
    /// Direct groups.
    pub groups: Vec<String>,
    /// Direct and inherited groups.
    pub effective_groups: Vec<String>,
    /// Member of a superuser group.
    pub superuser: bool,
    /// A password is set.
    pub has_password: bool,
}

/// Counter that changes of administrators queue up at.
const GUARD: &str = "administrators";
const LARGEST_ATTRIBUTES: usize = 64 * 1024;

pub(crate) fn check_attributes(attributes: &Attributes) -> Result<()> {
    let size = serde_json::to_string(attributes).map_or(usize::MAX, |text| text.len());
    if size > LARGEST_ATTRIBUTES {
        return Err(Error::Invalid(format!(
            "attributes take {size} bytes; expected at most {LARGEST_ATTRIBUTES}"
        )));
    }
    if depth(&Value::Object(attributes.clone())) > 16 {
        return Err(Error::Invalid(
            "attributes are nested deeper than 16 levels".into(),
        ));
    }
    if has_nul(&Value::Object(attributes.clone())) {
        return Err(Error::Invalid("attributes have a NUL character".into()));
    }
    Ok(())
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Object(map) => map
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Array(list) => list.iter().any(has_nul),
        _ => false,
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn conflict(error: doorward_store::Error, user: &User) -> Error {
    match conflict_field(&error) {
        Some("username") => Error::Invalid(format!("username `{}` is taken", user.username)),
        Some("email") => {
            let email = user.email.as_deref().unwrap_or_default();
            Error::Invalid(format!("email `{email}` belongs to another user"))
        }
        _ => error.into(),
    }
}

impl Doorward {
    /// Checks a new user and hashes the password; nothing is stored yet.
    pub(crate) async fn draft_user(
        &self,
        new: &NewUser,
        password: Option<&str>,
    ) -> Result<(User, Option<String>)> {
        text::check_username(&new.username).map_err(Error::Invalid)?;
        let name = if new.name.trim().is_empty() {
            &new.username
        } else {
            &new.name
        };
        text::check_visible("name", name, 200).map_err(Error::Invalid)?;
        if let Some(email) = &new.email {
            text::check_email(email).map_err(Error::Invalid)?;
        }
        check_attributes(&new.attributes)?;
        if let Some(locale) = &new.locale {
            super::check_locale(locale)?;
        }
        let now = self.now();
        let user = User {
            id: self.mint(now),
            number: 0,
            uid: String::new(),
            realm: new.realm,
            username: new.username.clone(),
            name: name.clone(),
            email: new.email.clone(),
            email_verified_at: new.email.as_ref().filter(|_| new.email_verified).map(|_| now),
            kind: new.kind,
            attributes: new.attributes.clone(),
            app: doorward_domain::app_auth::AppUser::default(),
            active: true,
            locale: new.locale.clone(),
            created_at: now,
            updated_at: now,
            last_sign_in_at: None,
            deleted_at: None,
        };
        let hash = match password {
            Some(password) => Some(self.prepare_password(&user, password).await?),
            None => None,
        };
        Ok((user, hash))
    }

    /// Stores a drafted user: gives it its number and its stable hashed id.
    pub(crate) async fn store_new_user(
        &self,
        tx: &Tx,
        mut user: User,
        hash: Option<&str>,
        origin: &Origin,
    ) -> Result<User> {
        let now = self.now();
        user.number = tx.next_number("user").await?;
        let salt = tx.find_instance(setting::SUBJECT_SALT).await?.unwrap_or_default();
        user.uid = doorward_crypto::token::sha256_hex(format!("{salt}\n{}", user.id).as_bytes());
        self.refuse_shared_names(tx, &user).await?;
        tx.add_user(&user).await.map_err(|error| conflict(error, &user))?;
        if let Some(hash) = hash {
            tx.set_password(user.id, hash, now).await?;
        }
        let details = json!({ "what": "created", "username": user.username, "kind": user.kind.as_str() });
        let about = About {
            user: Some(user.id),
            details,
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::UserChanged, about, origin, now))
            .await?;
        Ok(user)
    }

    /// One person's user name is never another's address: both are typed into the same field.
    async fn refuse_shared_names(&self, tx: &Tx, user: &User) -> Result<()> {
        let another = |other: &User| other.id != user.id;
        if let Some(other) = tx
            .user_by_email(user.realm, &user.username)
            .await?
            .filter(another)
        {
            return Err(Error::Invalid(format!(
                "username `{}` is the e-mail address of `{}`",
                user.username, other.username
            )));
        }
        if let Some(email) = &user.email
            && let Some(other) = tx.user_by_username(user.realm, email).await?.filter(another)
        {
            return Err(Error::Invalid(format!(
                "email `{email}` is the user name of `{}`",
                other.username
            )));
        }
        Ok(())
    }

    /// Makes a user.
    ///
    /// # Errors
    /// `Invalid` naming the field; `NotFound` for an unknown group.
    pub async fn create_user(&self, new: &NewUser, password: Option<&str>) -> Result<User> {
        let (user, hash) = self.draft_user(new, password).await?;
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let user = self
            .store_new_user(&tx, user, hash.as_deref(), &Origin::default())
            .await?;
        let tree = GroupTree::new(tx.groups(false).await?);
        for name in &new.groups {
            let group = find_group(&tree, name)?;
            tx.add_member(user.id, group, now).await?;
        }
        tx.changed(topic::USER, &user.id.to_string(), now);
        tx.commit().await?;
        Ok(user)
    }

    /// A user by user name, e-mail address or id; also one in the bin or of a single app, by id.
    ///
    /// # Errors
    /// `NotFound` with the nearest user name when one is near.
    pub async fn find_user(&self, wanted: &str) -> Result<User> {
        self.find_user_in(Realm::Shared, wanted).await
    }

    /// The same among the people of a realm; by id among all.
    ///
    /// # Errors
    /// As [`Doorward::find_user`].
    pub async fn find_user_in(&self, realm: Realm, wanted: &str) -> Result<User> {
        let conn = self.store()?.read();
        if let Ok(id) = wanted.parse::<UserId>()
            && let Some(user) = conn.user(id).await?
        {
            return Ok(user);
        }
        if let Some(user) = conn.user_by_username(realm, wanted).await? {
            return Ok(user);
        }
        if let Some(user) = conn.user_by_email(realm, wanted).await? {
            return Ok(user);
        }
        Err(Error::NotFound(format!(
            "there is no user `{wanted}`; `doorward user list` shows them"
        )))
    }

    /// A user with groups.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn user_view(&self, user: User) -> Result<UserView> {
        let conn = self.store()?.read();
        let direct: BTreeSet<GroupId> = conn.group_ids_of(user.id).await?.into_iter().collect();
        let tree = GroupTree::new(conn.groups(false).await?);
        let effective = tree.effective(direct.iter().copied());
        Ok(UserView {
            groups: tree.names(&direct),
            effective_groups: tree.names(&effective),
            superuser: tree.is_superuser(&effective),
            has_password: conn.password_hash(user.id).await?.is_some(),
            user,
        })
    }

    /// A page of users.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn list_users(&self, filter: &UserFilter) -> Result<Vec<User>> {
        Ok(self.store()?.read().list_users(filter).await?)
    }

    /// Changes a user.
    ///
    /// # Errors
    /// `Invalid` naming the field; `Refused` with `last_administrator`.
    pub async fn update_user(&self, id: UserId, change: &UserChange) -> Result<User> {
        let hash = match &change.password {
            None => None,
            Some(password) => {
                let user = self.find_user(&id.to_string()).await?;
                Some(self.prepare_password(&user, password).await?)
            }
        };
        let now = self.now();
        let tx = self.store()?.begin().await?;
        tx.serialise("administration").await?;
        tx.lock_user(id).await?;
        let Some(mut user) = tx.user(id).await? else {
            return Err(Error::NotFound("there is no such user".into()));
        };
        let had_admin = self.has_administrator(&tx).await?;
        let changed = self.apply(&mut user, change)?;
        self.refuse_shared_names(&tx, &user).await?;
        user.updated_at = now;
        tx.save_user(&user)
            .await
            .map_err(|error| conflict(error, &user))?;
        if let Some(hash) = &hash {
            tx.set_password(id, hash, now).await?;
        }
        if hash.is_some() || !user.active || user.kind == UserKind::Service {
            self.close_all(&tx, id, None, "user changed", now).await?;
            tx.end_families_of_user(id, "user changed", now).await?;
        }
        if !user.active {
            self.mirror_deactivation(&tx, id, now).await?;
        }
        if hash.is_some() {
            self.revoke_app_passwords(&tx, id, "password set", &Origin::default(), now)
                .await?;
        }
        self.keep_administrator(&tx, had_admin).await?;
        let details = json!({ "what": "changed", "fields": changed, "password": hash.is_some() });
        let about = About {
            user: Some(id),
            details,
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::UserChanged, about, &Origin::default(), now))
            .await?;
        tx.changed(topic::USER, &id.to_string(), now);
        tx.commit().await?;
        self.inner.sessions.forget(&id.to_string());
        Ok(user)
    }

    fn apply(&self, user: &mut User, change: &UserChange) -> Result<Vec<&'static str>> {
        let mut changed = Vec::new();
        if let Some(username) = &change.username {
            text::check_username(username).map_err(Error::Invalid)?;
            user.username.clone_from(username);
            changed.push("username");
        }
        if let Some(name) = &change.name {
            text::check_visible("name", name, 200).map_err(Error::Invalid)?;
            user.name.clone_from(name);
            changed.push("name");
        }
        if let Some(email) = &change.email {
            if let Some(email) = email {
                text::check_email(email).map_err(Error::Invalid)?;
            }
            if user.email != *email {
                // A new address is not proved by the old one.
                user.email_verified_at = None;
            }
            user.email.clone_from(email);
            changed.push("email");
        }
        if let Some(verified) = change.email_verified {
            if verified && user.email.as_deref().is_some_and(text::is_placeholder) {
                return Err(Error::Invalid(
                    "this address stands for none and cannot be proved; give another one".into(),
                ));
            }
            user.email_verified_at = user.email.as_ref().filter(|_| verified).map(|_| self.now());
            changed.push("email_verified");
        }
        if let Some(kind) = change.kind {
            user.kind = kind;
            changed.push("kind");
        }
        if let Some(active) = change.active {
            user.active = active;
            changed.push("active");
        }
        if let Some(locale) = &change.locale {
            super::check_locale(locale)?;
            user.locale = Some(locale.clone()).filter(|locale| !locale.is_empty());
            changed.push("locale");
        }
        for (name, value) in &change.attributes {
            if value.is_null() {
                user.attributes.remove(name);
            } else {
                user.attributes.insert(name.clone(), value.clone());
            }
            changed.push("attributes");
        }
        check_attributes(&user.attributes)?;
        changed.dedup();
        Ok(changed)
    }

    /// Puts a user into the bin: cannot sign in, all tokens end; can be restored with all memberships for 30 days.
    ///
    /// # Errors
    /// `Refused` with `last_administrator`.
    pub async fn delete_user(&self, id: UserId) -> Result<()> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let had_admin = self.has_administrator(&tx).await?;
        self.close_all(&tx, id, None, "user deleted", now).await?;
        tx.end_families_of_user(id, "user deleted", now).await?;
        tx.delete_user(id, now).await?;
        self.mirror_deactivation(&tx, id, now).await?;
        self.keep_administrator(&tx, had_admin).await?;
        self.note_user(&tx, id, "deleted").await?;
        tx.commit().await?;
        self.inner.sessions.forget(&id.to_string());
        Ok(())
    }

    /// Takes a user out of the bin.
    ///
    /// # Errors
    /// `Invalid` when the name or address was taken meanwhile.
    pub async fn restore_user(&self, id: UserId) -> Result<User> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let Some(user) = tx.user(id).await? else {
            return Err(Error::NotFound("there is no such user".into()));
        };
        tx.restore_user(id, now)
            .await
            .map_err(|error| conflict(error, &user))?;
        self.refuse_shared_names(&tx, &user).await?;
        self.note_user(&tx, id, "restored").await?;
        tx.commit().await?;
        self.inner.sessions.forget(&id.to_string());
        self.find_user(&id.to_string()).await
    }

    async fn note_user(&self, tx: &Tx, id: UserId, what: &str) -> Result<()> {
        let now = self.now();
        let about = About {
            user: Some(id),
            details: json!({ "what": what }),
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::UserChanged, about, &Origin::default(), now))
            .await?;
        tx.changed(topic::USER, &id.to_string(), now);
        Ok(())
    }

    /// Is there somebody who administers and can sign in?
    pub(crate) async fn has_administrator(&self, tx: &Tx) -> Result<bool> {
        // Two changes at once could each think that the other administrator stays.
        tx.serialise("administration").await?;
        let tree = GroupTree::new(tx.groups(false).await?);
        let powerful: Vec<GroupId> = tree
            .iter()
            .filter(|group| tree.is_superuser(&tree.effective([group.id])))
            .map(|group| group.id)
            .collect();
        if powerful.is_empty() {
            return Ok(false);
        }
        Ok(tx.usable_members(&powerful).await? > 0)
    }

    /// Refuses a change that would leave nobody to administer. Called before the commit, with the answer from before.
    pub(crate) async fn keep_administrator(&self, tx: &Tx, had: bool) -> Result<()> {
        // A counter is locked until the commit: of two changes that each leave the other's administrator, the second
        // looks after the first is done.
        tx.next_number(GUARD).await?;
        if had && !self.has_administrator(tx).await? {
            return Err(Refused::bare(Reason::LastAdministrator).into());
        }
        Ok(())
    }
}

/// A group of a tree by name or id.
pub(crate) fn find_group(tree: &GroupTree, wanted: &str) -> Result<GroupId> {
    let by_id = wanted.parse::<GroupId>().ok().and_then(|id| tree.find(id));
    let found = by_id.or_else(|| tree.find_by_name(wanted));
    found.map(|group| group.id).ok_or_else(|| {
        let hint = text::nearest(wanted, tree.iter().map(|group| group.name.as_str()))
            .map_or(String::new(), |name| format!("; did you mean `{name}`?"));
        Error::NotFound(format!("there is no group `{wanted}`{hint}"))
    })
}
