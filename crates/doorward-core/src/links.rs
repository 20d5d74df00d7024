//! One-time links printed on the server itself: the first administrator, and a lost one.

use serde_json::json;

use doorward_crypto::token::{self, Opaque, TokenKind};
use doorward_domain::access::Person;
use doorward_domain::event::EventKind;
use doorward_domain::group::Group;
use doorward_domain::session::Authentication;
use doorward_domain::user::{User, UserKind};
use doorward_domain::{Lifetime, Reason, UserId};
use doorward_store::Tx;

use crate::error::{Error, Refused, Result};
use crate::events::About;
use crate::picture::{setting, topic};
use crate::sessions::{Issued, Target};
use crate::{Doorward, Origin};

const SETUP: &str = "setup";
const RECOVER: &str = "recover";
/// Name of the superuser group that exists from the first start.
pub const ADMINISTRATORS: &str = "administrators";
const SETUP_LIFETIME: Lifetime = Lifetime::from_days(30);
const RECOVER_LIFETIME: Lifetime = Lifetime::from_minutes(60);

/// Answers of the set-up page.
pub struct Setup<'a> {
    /// Token of the printed link.
    pub token: &'a str,
    /// User name.
    pub username: &'a str,
    /// Full name; the user name when empty.
    pub name: &'a str,
    /// E-mail address, may be empty.
    pub email: &'a str,
    /// Password.
    pub password: &'a str,
}

impl std::fmt::Debug for Setup<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Doorward {
    /// Is the set-up still open? A one-way latch: once closed it stays closed whatever is deleted later.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn setup_is_open(&self) -> Result<bool> {
        Ok(self
            .store()?
            .read()
            .find_instance(setting::SETUP_DONE)
            .await?
            .is_none())
    }

    /// Mints the set-up link. Those of other replicas and earlier starts work too, until the first of them is used.
    pub(crate) async fn new_setup_link(&self) -> Result<String> {
        let now = self.now();
        let minted = Opaque::mint(TokenKind::Setup, &self.random());
        let tx = self.store()?.begin().await?;
        tx.add_link(
            token::digest(minted.text()).bytes(),
            SETUP,
            None,
            now.plus(SETUP_LIFETIME),
            now,
        )
        .await?;
        tx.commit().await?;
        Ok(format!("{}/setup/{}", self.public_url(), minted.text()))
    }

    /// Is this a working set-up token?
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn setup_token_works(&self, given: &str) -> Result<bool> {
        let digest = token::digest(given);
        Ok(self.setup_is_open().await?
            && self
                .store()?
                .read()
                .find_link(digest.bytes(), SETUP, self.now())
                .await?)
    }

    /// Makes the first administrator and signs them in.
    ///
    /// # Errors
    /// `Refused` with `link_spent`; `Invalid` naming the field.
    pub async fn set_up(&self, setup: Setup<'_>, origin: &Origin) -> Result<Issued> {
        if !self.setup_token_works(setup.token).await? {
            return Err(Refused::bare(Reason::LinkSpent).into());
        }
        let email = Some(setup.email.trim()).filter(|email| !email.is_empty());
        let name = if setup.name.trim().is_empty() {
            setup.username
        } else {
            setup.name
        };
        let draft = crate::admin::users::NewUser {
            username: setup.username.trim().to_owned(),
            name: name.trim().to_owned(),
            email: email.map(str::to_owned),
            ..crate::admin::users::NewUser::default()
        };
        let now = self.now();
        let (user, hash) = self.draft_user(&draft, Some(setup.password)).await?;
        let tx = self.store()?.begin().await?;
        if tx
            .take_link(token::digest(setup.token).bytes(), SETUP, now)
            .await?
            .is_none()
        {
            return Err(Refused::bare(Reason::LinkSpent).into());
        }
        let user = self.add_administrator(&tx, user, hash.as_deref()).await?;
        if !tx.put_instance_once(setting::SETUP_DONE, "true").await? {
            return Err(Refused::bare(Reason::LinkSpent).into());
        }
        let about = About {
            user: Some(user.id),
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::SetupDone, about, origin, now))
            .await?;
        let groups = tx.group_ids_of(user.id).await?;
        let tree = doorward_domain::group::GroupTree::new(tx.groups(false).await?);
        let person = Person::new(user, groups, &tree);
        let authentication = Authentication {
            at: now,
            methods: vec!["pwd".to_owned()],
        };
        let issued = self
            .issue_session(&tx, &person, authentication, None, &Target::Doorward, origin)
            .await?;
        tx.commit().await?;
        self.refresh_directory_now(now).await?;
        Ok(issued)
    }

    /// Adds a user to the administrators, whose group is made when missing.
    pub(crate) async fn add_administrator(&self, tx: &Tx, user: User, hash: Option<&str>) -> Result<User> {
        let now = self.now();
        let user = self.store_new_user(tx, user, hash, &Origin::default()).await?;
        let group = self.administrators(tx).await?;
        tx.add_member(user.id, group.id, now).await?;
        tx.changed(topic::USER, &user.id.to_string(), now);
        Ok(user)
    }

    pub(crate) async fn administrators(&self, tx: &Tx) -> Result<Group> {
        let now = self.now();
        let groups = tx.groups(false).await?;
        let named = groups
            .into_iter()
            .find(|group| group.name == ADMINISTRATORS && group.superuser);
        if let Some(group) = named {
            return Ok(group);
        }
        let group = Group {
            id: self.mint(now),
            name: ADMINISTRATORS.to_owned(),
            superuser: true,
            attributes: doorward_domain::Attributes::new(),
            parents: Vec::new(),
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        tx.add_group(&group).await?;
        tx.changed(topic::DIRECTORY, &group.id.to_string(), now);
        Ok(group)
    }

    /// Prints a one-time link with which an administrator sets a new password; works for an hour.
    ///
    /// # Errors
    /// `NotFound` for an unknown user; `Invalid` when the user is no administrator and `promote` is not asked for.
    pub async fn recover_link(&self, user: UserId, promote: Promote) -> Result<String> {
        let now = self.now();
        let store = self.store()?;
        let Some((record, direct)) = store.read().user_with_groups(user).await? else {
            return Err(Error::NotFound("there is no such user".into()));
        };
        let tree = doorward_domain::group::GroupTree::new(store.read().groups(false).await?);
        let person = Person::new(record, direct, &tree);
        let tx = store.begin().await?;
        if !person.superuser {
            if promote == Promote::No {
                return Err(Error::Invalid(format!(
                    "`{}` is not an administrator; add --make-administrator to change that",
                    person.user.username
                )));
            }
            let group = self.administrators(&tx).await?;
            tx.add_member(user, group.id, now).await?;
        }
        if !person.user.is_usable() || person.user.kind == UserKind::Service {
            let mut revived = person.user.clone();
            revived.active = true;
            revived.deleted_at = None;
            revived.kind = UserKind::Internal;
            revived.updated_at = now;
            tx.restore_user(user, now).await?;
            tx.save_user(&revived).await?;
        }
        let minted = Opaque::mint(TokenKind::Setup, &self.random());
        tx.add_link(
            token::digest(minted.text()).bytes(),
            RECOVER,
            Some(user),
            now.plus(RECOVER_LIFETIME),
            now,
        )
        .await?;
        let details = json!({ "purpose": RECOVER, "by": "command line" });
        let about = About {
            user: Some(user),
            details,
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::LinkIssued, about, &Origin::default(), now))
            .await?;
        tx.changed(topic::USER, &user.to_string(), now);
        tx.commit().await?;
        Ok(format!("{}/recover/{}", self.public_url(), minted.text()))
    }

    /// Does this recovery link work?
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn recover_token_works(&self, given: &str) -> Result<bool> {
        Ok(self
            .store()?
            .read()
            .find_link(token::digest(given).bytes(), RECOVER, self.now())
            .await?)
    }

    /// Sets the new password, ends all other sessions, signs in.
    ///
    /// # Errors
    /// `Refused` with `link_spent`; `Invalid` naming the field.
    pub async fn recover(&self, given: &str, password: &str, origin: &Origin) -> Result<Issued> {
        if !self.recover_token_works(given).await? {
            return Err(Refused::bare(Reason::LinkSpent).into());
        }
        crate::passwords::check_new(password, "", None).map_err(Error::Invalid)?;
        let hash = self.hash_password(password.to_owned()).await?;
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let taken = tx.take_link(token::digest(given).bytes(), RECOVER, now).await?;
        let Some(Some(user)) = taken else {
            return Err(Refused::bare(Reason::LinkSpent).into());
        };
        let Some((record, direct)) = tx.user_with_groups(user).await? else {
            return Err(Refused::bare(Reason::LinkSpent).into());
        };
        // Only now is it known whose link it is; a password that is refused here leaves the link unspent.
        crate::passwords::check_new(password, &record.username, record.email.as_deref())
            .map_err(Error::Invalid)?;
        tx.lock_user(user).await?;
        tx.set_password(user, &hash, now).await?;
        self.close_all(&tx, user, None, "recovered", now).await?;
        tx.end_families_of_user(user, "recovered", now).await?;
        self.revoke_app_passwords(&tx, user, "recovered", origin, now)
            .await?;
        let about = About {
            user: Some(user),
            details: json!({ "by": "recovery link" }),
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::PasswordChanged, about, origin, now))
            .await?;
        let tree = doorward_domain::group::GroupTree::new(tx.groups(false).await?);
        let person = Person::new(record, direct, &tree);
        let authentication = Authentication {
            at: now,
            methods: vec!["pwd".to_owned()],
        };
        let issued = self
            .issue_session(&tx, &person, authentication, None, &Target::Doorward, origin)
            .await?;
        tx.put_instance_once(setting::SETUP_DONE, "true").await?;
        tx.changed(topic::USER, &user.to_string(), now);
        tx.commit().await?;
        self.inner.sessions.forget(&user.to_string());
        self.refresh_directory_now(now).await?;
        Ok(issued)
    }
}

/// May `recover` make an administrator out of somebody who is none?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promote {
    /// Yes, it was asked for.
    Yes,
    /// No.
    No,
}
