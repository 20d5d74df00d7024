//! People with their passwords, and who is who.

use doorward_domain::access::Person;
use doorward_domain::app_auth::{AppUser, Ban, roles};
use doorward_domain::group::GroupTree;
use doorward_domain::user::{User, UserKind};
use doorward_domain::{Attributes, UserId, text};

use super::row::Row;
use super::{Import, Known, Outcome, USER, core, skipped};
use crate::Origin;
use crate::app_auth::accounts::CREDENTIAL;
use crate::app_auth::administration::put_role;
use crate::app_auth::people::clean_name;
use crate::error::{Error, Result};
use crate::picture::topic;

/// Longest address of a picture, as the door takes it.
const LONGEST_IMAGE: usize = 2048;
/// Longest reason of a ban.
const LONGEST_REASON: usize = 500;

/// Who somebody of the old database is here.
pub(super) enum Who {
    /// Nobody: not imported.
    Nobody,
    /// Switched off or deleted here.
    Gone,
    /// Somebody, and whether the person was here before.
    Here(UserId, Option<Box<User>>, bool),
}

impl Import<'_> {
    /// Keeps a password's hash until its person is read.
    pub(super) fn remember_hash(&mut self, row: &Row) {
        if row.text("providerid") == Some(CREDENTIAL)
            && let (Some(user), Some(hash)) = (row.id("userid"), row.text("password"))
        {
            self.hashes.entry(user).or_insert_with(|| hash.to_owned());
        }
    }

    /// Who is behind an id of the old database?
    pub(super) async fn who(&self, old: Option<&str>) -> Result<Who> {
        let Some(old) = old else { return Ok(Who::Nobody) };
        let Some(known) = self.known(USER, old).await? else {
            return Ok(Who::Nobody);
        };
        let id = UserId::from_uuid(known.id);
        match self.doorward.store()?.read().user(id).await? {
            Some(user) if user.is_usable() => Ok(Who::Here(id, Some(Box::new(user)), known.linked)),
            None if self.wishes.dry_run => Ok(Who::Here(id, None, known.linked)),
            _ => Ok(Who::Gone),
        }
    }

    pub(super) async fn user(&mut self, row: &Row) -> Result<Outcome> {
        let Some(old) = row.id("id") else {
            return skipped("there is no id");
        };
        let email = row.text("email").unwrap_or_default().trim().to_lowercase();
        let first = self.addresses.insert(email.clone());
        if let Some(known) = self.known(USER, &old).await? {
            self.remember_id(USER, &old, known.id);
            return Ok(Outcome::Present);
        }
        if row.flag("isanonymous") == Some(true) {
            return skipped("an anonymous visitor");
        }
        if text::check_email(&email).is_err() {
            return skipped("email is not an address");
        }
        if !first {
            return skipped("another row has the same address but for capitals");
        }
        let conn = self.doorward.store()?.read();
        if let Some(other) = conn.user_by_email(self.door.realm(), &email).await? {
            return self.link(row, &old, other).await;
        }
        if conn.user_by_username(self.door.realm(), &email).await?.is_some() {
            return skipped("the address is the user name of somebody here");
        }
        let hash = self.hashes.get(&old).cloned();
        let readable = hash
            .as_deref()
            .filter(|hash| doorward_crypto::password::is_readable(hash));
        if hash.is_some() && readable.is_none() {
            self.note(
                USER,
                row,
                "without a password: the hash is of no kind that is known here",
            );
        }
        let user = self.drafted(row, &old, email).await?;
        let known = Known {
            id: user.id.uuid(),
            linked: false,
        };
        if !user.app.bans.is_empty() {
            self.banned.insert(old.clone());
        }
        let groups = self.groups_of_newcomers();
        if !self.wishes.dry_run {
            let now = self.doorward.now();
            let tx = self.doorward.store()?.begin().await?;
            match self
                .doorward
                .store_new_user(&tx, user, readable, &Origin::default())
                .await
            {
                Ok(user) => {
                    let application = self.door.application.id;
                    self.doorward.note_person(&tx, application, user.id, now).await?;
                    for group in groups {
                        tx.add_member(user.id, group, now).await?;
                    }
                    self.mark(&tx, USER, &old, known).await?;
                    tx.changed(topic::USER, &user.id.to_string(), now);
                    tx.commit().await?;
                }
                Err(Error::Invalid(why)) => return Ok(Outcome::Skipped(why)),
                Err(error) => return Err(error),
            }
        }
        if readable.is_some() {
            self.hashed.insert(old.clone());
        }
        self.remember_id(USER, &old, known.id);
        self.plan(USER, &old, known);
        Ok(Outcome::Imported)
    }

    fn groups_of_newcomers(&self) -> Vec<doorward_domain::GroupId> {
        let directory = self.doorward.directory();
        let there = |group: &&doorward_domain::GroupId| directory.groups.find(**group).is_some();
        self.settings().groups.iter().filter(there).copied().collect()
    }

    async fn drafted(&mut self, row: &Row, old: &str, email: String) -> Result<User> {
        let now = self.doorward.now();
        let created_at = row.created(now);
        let updated_at = row.updated(now);
        let local = email.split('@').next().unwrap_or_default().to_owned();
        let image = row.text("image").map(str::to_owned);
        let fits = |image: &String| image.len() <= LONGEST_IMAGE && !image.chars().any(char::is_control);
        if image.as_ref().is_some_and(|image| !fits(image)) {
            self.note(USER, row, "without the picture: its address is too long");
        }
        let mut user = User {
            id: self.fresh_id(USER, old).await?,
            number: 0,
            uid: String::new(),
            realm: self.door.realm(),
            username: email.clone(),
            name: row.text("name").and_then(clean_name).unwrap_or(local),
            email: Some(email),
            email_verified_at: (row.flag("emailverified") == Some(true)).then_some(updated_at),
            kind: UserKind::External,
            attributes: Attributes::new(),
            active: true,
            locale: None,
            created_at,
            updated_at,
            last_sign_in_at: None,
            deleted_at: None,
            app: AppUser {
                home: Some(self.door.application.id),
                image: image.filter(fits),
                // Whether the factor itself can be taken over is another matter: nobody gets in with less than before.
                two_factor: row.flag("twofactorenabled") == Some(true),
                ..AppUser::default()
            },
        };
        if let Some(username) = row.text("username").map(text::fold) {
            let conn = self.doorward.store()?.read();
            let taken = conn
                .user_by_username(self.door.realm(), &username)
                .await?
                .is_some()
                || conn.user_by_email(self.door.realm(), &username).await?.is_some();
            if taken || text::check_username(&username).is_err() {
                self.note(
                    USER,
                    row,
                    "without the user name: it is taken here, or not possible",
                );
            } else {
                user.username = username;
                let shown = row.text("displayusername").unwrap_or(&user.username);
                user.app.display_username = clean_name(shown);
            }
        }
        self.put_standing(row, &mut user);
        Ok(user)
    }

    /// Role and ban, which count in the app alone.
    fn put_standing(&mut self, row: &Row, user: &mut User) {
        let application = self.door.application.id;
        let given = row.text("role").unwrap_or(roles::USER);
        let known = |role: &&str| *role == roles::USER || self.settings().admin_roles.contains(*role);
        let kept: Vec<String> = roles::each(given).filter(known).map(str::to_owned).collect();
        if roles::each(given).count() > kept.len() {
            self.note(USER, row, "a role is not known to the door and was left out");
        }
        if let Ok(role) = self.door.roles(&kept) {
            if role != roles::USER {
                self.note(USER, row, format!("has in the app the role {role}"));
            }
            put_role(user, application, role);
        }
        let until = row.time("banexpires");
        let over = until.is_some_and(|until| until <= self.doorward.now());
        if row.flag("banned") == Some(true) && !over {
            let reason = row.text("banreason");
            let visible = |reason: &str| -> String {
                let visible = reason.chars().filter(|c| !c.is_control());
                visible.take(LONGEST_REASON).collect()
            };
            let reason = reason.map(visible);
            user.app.bans.insert(application, Ban { reason, until });
        }
    }

    /// Somebody here has the address: the same person only when that was asked for and both sides proved it.
    async fn link(&mut self, row: &Row, old: &str, other: User) -> Result<Outcome> {
        if !self.wishes.link_verified {
            return skipped(
                "somebody here has the address (--link-verified links people whose address is proved on both sides)",
            );
        }
        if row.flag("emailverified") != Some(true) {
            return skipped("somebody here has the address, and it was not proved in the app");
        }
        if other.email_verified_at.is_none() {
            return skipped("somebody here has the address, and it was not proved here");
        }
        if !other.is_usable() || other.kind == UserKind::Service {
            return skipped("somebody here has the address, and is switched off or a service");
        }
        let conn = self.doorward.store()?.read();
        let direct = conn.group_ids_of(other.id).await?;
        let tree = GroupTree::new(conn.groups(false).await?);
        if Person::new(other.clone(), direct, &tree).superuser {
            return skipped("somebody here has the address and administers Doorward: no app speaks for them");
        }
        let known = Known {
            id: other.id.uuid(),
            linked: true,
        };
        self.note(
            USER,
            row,
            "is the person who was here; name, picture, user name, password and second factor stay as they are here",
        );
        let mut standing = other.clone();
        self.put_standing(row, &mut standing);
        if !self.wishes.dry_run {
            let now = self.doorward.now();
            let application = self.door.application.id;
            let tx = self.doorward.store()?.begin().await?;
            self.doorward.note_person(&tx, application, other.id, now).await?;
            self.mark(&tx, USER, old, known).await?;
            let email = other.email.clone();
            let changed = self
                .doorward
                .change_user_in(&tx, other.id, "linked by an import", &Origin::default(), |user| {
                    // Read again, now that nobody else changes it.
                    if user.email != email || user.email_verified_at.is_none() {
                        return Err(crate::app_auth::AppError::Code("INVALID_USER"));
                    }
                    if let Some(role) = standing.app.roles.remove(&application) {
                        user.app.roles.insert(application, role);
                    }
                    if let Some(ban) = standing.app.bans.remove(&application) {
                        user.app.bans.insert(application, ban);
                    }
                    Ok(())
                })
                .await;
            match changed.map_err(core) {
                Ok(_) => tx.commit().await?,
                Err(Error::Invalid(_)) => {
                    return skipped("somebody here has the address, and changed meanwhile");
                }
                Err(error) => return Err(error),
            }
            self.doorward.inner.sessions.forget(&other.id.to_string());
        }
        self.remember_id(USER, old, known.id);
        self.plan(USER, old, known);
        Ok(Outcome::Imported)
    }
}
