//! App passwords: made and revoked, and checked for programs on every request without a query.

use quick_cache::sync::Cache as QuickCache;
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use doorward_crypto::token::{self, Opaque, SecretText, TokenKind};
use doorward_domain::access::{self, Person};
use doorward_domain::app_password::{AppPassword, LONGEST_NAME, MOST, MOST_APPLICATIONS, Reach};
use doorward_domain::application::Application;
use doorward_domain::event::EventKind;
use doorward_domain::{
    AppPasswordId, ApplicationId, GroupId, Lifetime, Reason, SessionId, Timestamp, UserId, text,
};
use doorward_store::{Tx, conflict_field};

use crate::error::{Error, Fault, Refused, Result};
use crate::events::About;
use crate::picture::topic;
use crate::sessions::{Standing, Visit};
use crate::{Doorward, Origin};

/// Warm app passwords; programs are fewer than browsers.
const WARM: usize = 4_096;
/// One app password is written down as used at most this often.
const USED_EVERY: i64 = 60_000;
/// Most app passwords that wait to be written down as used.
const MOST_USED: usize = 100_000;

/// An app password that was shown and found good, with its person.
#[derive(Debug)]
pub struct AppPasswordUse {
    /// The record; `last_used_at` is as of loading it.
    pub password: AppPassword,
    /// For whom it acts, with the effective groups.
    pub person: Arc<Person>,
    /// What the person is called at sign-in, in comparable form.
    names: [Option<String>; 2],
    /// Groups that the user is directly in.
    direct: Vec<GroupId>,
    loaded: u64,
    /// When it was last written down as used, in milliseconds.
    used: AtomicI64,
}

impl AppPasswordUse {
    /// What makes this stale: a mark on the app password or on its user.
    fn subjects(&self) -> [uuid::Uuid; 2] {
        [self.password.id.uuid(), self.password.user_id.uuid()]
    }

    /// Identifier of the app password.
    #[must_use]
    pub fn id(&self) -> AppPasswordId {
        self.password.id
    }

    /// Was it made for the sites of this application? Whether the application admits the person is another question.
    #[must_use]
    pub fn covers(&self, application: ApplicationId) -> bool {
        self.password.reach.covers(application)
    }

    fn is_good(&self, now: Timestamp) -> bool {
        self.password.is_live(now) && self.person.user.is_usable()
    }

    fn is_of(&self, name: &str) -> bool {
        let name = text::fold(name);
        self.names.iter().flatten().any(|own| *own == name)
    }
}

/// Warm app passwords by digest. The marks that make them stale are those of the sessions.
pub struct Cache {
    entries: QuickCache<[u8; 32], Arc<AppPasswordUse>>,
    used: Mutex<HashMap<AppPasswordId, Timestamp>>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            entries: QuickCache::new(WARM),
            used: Mutex::default(),
        }
    }
}

impl Cache {
    /// Notes that an app password is in use.
    fn saw(&self, used: &AppPasswordUse, now: Timestamp) {
        let before = Timestamp::from_millis(used.used.load(Ordering::Relaxed));
        if now.millis_since(before) < USED_EVERY {
            return;
        }
        used.used.store(now.millis(), Ordering::Relaxed);
        if let Ok(mut waiting) = self.used.lock()
            && waiting.len() < MOST_USED
        {
            waiting.insert(used.id(), now);
        }
    }

    /// Takes what is to be written down.
    fn take_used(&self) -> Vec<(AppPasswordId, Timestamp)> {
        self.used
            .lock()
            .map(|mut used| used.drain().collect())
            .unwrap_or_default()
    }
}

/// An app password to be made.
#[derive(Clone, Debug)]
pub struct NewAppPassword {
    /// What its owner calls it.
    pub name: String,
    /// Where it is to work.
    pub reach: Reach,
    /// How long; `None`: until it is revoked.
    pub lifetime: Option<Lifetime>,
}

/// A fresh app password with its secret, which is shown once.
#[derive(Debug)]
pub struct MadeAppPassword {
    /// The record.
    pub password: AppPassword,
    /// The secret.
    pub secret: SecretText,
}

/// Who makes or revokes an app password, for the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Its owner, in the portal.
    Owner,
    /// An administrator at the command line.
    Administrator,
}

impl By {
    fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "self",
            Self::Administrator => "command line",
        }
    }
}

/// Who makes one.
enum Maker {
    /// Its owner, in this session.
    Owner(SessionId),
    /// An administrator.
    Administrator,
}

impl Doorward {
    /// Whose app password is this? `None` for anything that is none, for unknown, revoked and expired ones, for users that
    /// were switched off or deleted, and when `username` (as HTTP Basic brings it) is neither the person's user name nor
    /// e-mail address. Costs no query when warm, nor for what does not look like an app password.
    ///
    /// # Errors
    /// `Fault` when it is not warm and the database is away.
    pub async fn app_password(
        &self,
        text: &str,
        username: Option<&str>,
    ) -> Result<Option<Arc<AppPasswordUse>>> {
        if TokenKind::of(text) != Some(TokenKind::AppPassword) {
            return Ok(None);
        }
        let now = self.now();
        let found = self.known_app_password(*token::digest(text).bytes(), now).await?;
        let good = |found: &Arc<AppPasswordUse>| {
            found.is_good(now) && username.is_none_or(|username| found.is_of(username))
        };
        let Some(found) = found.filter(good) else {
            return Ok(None);
        };
        self.inner.app_passwords.saw(&found, now);
        Ok(Some(found))
    }

    /// From memory, or loaded and kept there; also when it is of no use any more, so that a program that goes on asking with it
    /// costs nothing either. While the database is away, what nothing speaks against is still good, as long as for sessions.
    async fn known_app_password(
        &self,
        digest: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Arc<AppPasswordUse>>> {
        let entries = &self.inner.app_passwords.entries;
        let mut doubtful = None;
        if let Some(warm) = entries.get(&digest) {
            match self.inner.sessions.standing(warm.loaded, warm.subjects()) {
                Standing::Fresh => {
                    self.may_stand_in(now)?;
                    return Ok(Some(warm));
                }
                Standing::Doubtful => doubtful = Some(warm),
                Standing::Stale => {
                    entries.remove(&digest);
                }
            }
        }
        let loaded = self.inner.sessions.sequence();
        let found = match self.store() {
            Ok(store) if doubtful.is_some() && store.is_away() => {
                Err(Fault::unavailable("the database is away").into())
            }
            Ok(store) => {
                let found = store.read().app_password_by_digest(&digest).await;
                found.map_err(Error::from)
            }
            Err(error) => Err(error),
        };
        let (password, user, direct, loaded) = match (found, doubtful) {
            (Ok(None), _) => {
                entries.remove(&digest);
                return Ok(None);
            }
            (Ok(Some((password, user, direct))), _) => (password, user, direct, loaded),
            (Err(Error::Fault(fault)), Some(old)) if fault.unavailable => {
                self.may_stand_in(now)?;
                let user = old.person.user.clone();
                (old.password.clone(), user, old.direct.clone(), old.loaded)
            }
            (Err(error), _) => return Err(error),
        };
        let found = Arc::new(AppPasswordUse {
            names: [
                Some(text::fold(&user.username)),
                user.email.as_deref().map(text::fold),
            ],
            used: AtomicI64::new(password.last_used_at.map_or(0, Timestamp::millis)),
            person: Arc::new(Person::new(
                user,
                direct.iter().copied(),
                &self.directory().groups,
            )),
            password,
            direct,
            loaded,
        });
        entries.insert(digest, Arc::clone(&found));
        Ok(Some(found))
    }

    /// Writes down which app passwords were used since the last time. Writes nothing when none was.
    ///
    /// # Errors
    /// `Fault` when the database is away; what was to be written is dropped then.
    pub async fn write_used(&self) -> Result<()> {
        let used = self.inner.app_passwords.take_used();
        for batch in used.chunks(500) {
            let tx = self.store()?.begin().await?;
            tx.touch_app_passwords(batch).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// The app passwords of a user, oldest first, also expired ones, but none that was revoked.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_passwords_of(&self, user: UserId) -> Result<Vec<AppPassword>> {
        Ok(self.store()?.read().app_passwords_of(user).await?)
    }

    /// The applications with sites that a person may make app passwords for, by name.
    #[must_use]
    pub fn app_password_choices(&self, visit: &Visit) -> Vec<Arc<Application>> {
        let directory = self.directory();
        let mut choices: Vec<_> = directory
            .applications()
            .filter(|application| {
                !application.sites.is_empty() && access::admit(&visit.person, application).is_ok()
            })
            .cloned()
            .collect();
        choices.sort_by_key(|application| (text::fold(&application.name), application.id));
        choices
    }

    /// Makes an app password for the visitor, who has to show the present password: a stolen cookie alone makes none that
    /// outlives it.
    ///
    /// # Errors
    /// `Refused` with `wrong_credentials` when the password is wrong, or with what limits guessing; `Invalid` naming the
    /// field.
    pub async fn create_own_app_password(
        &self,
        visit: &Visit,
        current: &str,
        new: &NewAppPassword,
        origin: &Origin,
    ) -> Result<MadeAppPassword> {
        let user = &visit.person.user;
        let choices = self.app_password_choices(visit);
        let may = |id: &ApplicationId| choices.iter().any(|application| application.id == *id);
        if !new.reach.named().into_iter().flatten().all(may) {
            return Err(Error::Invalid("application is not one that you may enter".into()));
        }
        check_new(new)?;
        let stored = self.prove_password(user, current, "app password", origin).await?;
        let now = self.now();
        let tx = self.store()?.begin().await?;
        tx.lock_user(user.id).await?;
        // Hashing took a while: the password that was compared and the session must still be there.
        if tx.password_hash(user.id).await? != stored {
            return Err(Refused::bare(Reason::WrongCredentials).into());
        }
        if !tx.lock_session(visit.session.id, now).await? {
            return Err(Refused::bare(Reason::SessionEnded).into());
        }
        tx.clear_failures(&[crate::portal::password_key(user.id)]).await?;
        let maker = Maker::Owner(visit.session.id);
        let made = self.add_app_password(&tx, user.id, new, maker, origin).await?;
        tx.commit().await?;
        Ok(made)
    }

    /// Makes an app password for a user; for administrators.
    ///
    /// # Errors
    /// `Invalid` naming the field; `NotFound` for a user or application that is not there.
    pub async fn create_app_password(
        &self,
        user: UserId,
        new: &NewAppPassword,
        origin: &Origin,
    ) -> Result<MadeAppPassword> {
        let directory = self.directory();
        let known = |id: &ApplicationId| directory.application(*id).is_some();
        if !new.reach.named().into_iter().flatten().all(known) {
            return Err(Error::NotFound("there is no such application".into()));
        }
        check_new(new)?;
        let tx = self.store()?.begin().await?;
        tx.lock_user(user).await?;
        let maker = Maker::Administrator;
        let made = self.add_app_password(&tx, user, new, maker, origin).await?;
        tx.commit().await?;
        Ok(made)
    }

    /// Adds a checked app password with its event. The user is locked, so that no two requests pass the limit together.
    async fn add_app_password(
        &self,
        tx: &Tx,
        user: UserId,
        new: &NewAppPassword,
        maker: Maker,
        origin: &Origin,
    ) -> Result<MadeAppPassword> {
        let (by, session) = match maker {
            Maker::Owner(session) => (By::Owner, Some(session)),
            Maker::Administrator => (By::Administrator, None),
        };
        let now = self.now();
        let Some(owner) = tx.user(user).await?.filter(|owner| owner.deleted_at.is_none()) else {
            return Err(Error::NotFound("there is no such user".into()));
        };
        if tx.app_passwords_of(user).await?.len() >= MOST {
            return Err(Error::Invalid(format!(
                "`{}` has {MOST} app passwords already, expired ones included; revoke one first",
                owner.username
            )));
        }
        let minted = Opaque::mint(TokenKind::AppPassword, &self.random());
        let password = AppPassword {
            id: self.mint(now),
            user_id: user,
            name: new.name.clone(),
            reach: new.reach.clone(),
            created_at: now,
            expires_at: new.lifetime.map(|lifetime| now.plus(lifetime)),
            last_used_at: None,
            revoked_at: None,
        };
        let added = tx.add_app_password(&password, minted.digest().bytes()).await;
        added.map_err(|error| match conflict_field(&error) {
            Some("app_password_name") => Error::Invalid(format!(
                "name `{}` is taken by another app password of `{}`",
                new.name, owner.username
            )),
            _ => error.into(),
        })?;
        let details = json!({
            "app_password": password.id,
            "name": password.name,
            "by": by.as_str(),
            "applications": password.reach.named().map(named_ids),
            "expires_at": password.expires_at.map(|at| at.to_string()),
        });
        let about = About {
            user: Some(user),
            session,
            details,
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::AppPasswordMade, about, origin, now))
            .await?;
        Ok(MadeAppPassword {
            password,
            secret: minted.into_secret(),
        })
    }

    /// Revokes one app password of a user; it is refused at once, on every replica within a second.
    ///
    /// # Errors
    /// `NotFound` when it was revoked before, or is not this user's.
    pub async fn revoke_app_password(
        &self,
        user: UserId,
        id: AppPasswordId,
        by: By,
        origin: &Origin,
    ) -> Result<()> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let name = tx
            .app_passwords_of(user)
            .await?
            .into_iter()
            .find(|password| password.id == id)
            .map(|password| password.name);
        if !tx.revoke_app_password(user, id, now).await? {
            return Err(Error::NotFound(
                "there is no such app password; it may have been revoked before".into(),
            ));
        }
        let about = About {
            user: Some(user),
            details: json!({ "app_password": id, "name": name, "by": by.as_str() }),
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::AppPasswordRevoked, about, origin, now))
            .await?;
        tx.changed(topic::APP_PASSWORD, &id.to_string(), now);
        tx.commit().await?;
        self.inner.sessions.forget(&id.to_string());
        Ok(())
    }

    /// Revokes all app passwords of a user because the password changed: whoever knew the old one may have made some. Gives
    /// which; the caller forgets them after the commit.
    pub(crate) async fn revoke_app_passwords(
        &self,
        tx: &Tx,
        user: UserId,
        why: &str,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Vec<AppPasswordId>> {
        let revoked = tx.revoke_app_passwords_of(user, now).await?;
        if revoked.is_empty() {
            return Ok(revoked);
        }
        for id in &revoked {
            tx.changed(topic::APP_PASSWORD, &id.to_string(), now);
        }
        let about = About {
            user: Some(user),
            details: json!({ "by": why, "app_passwords": revoked }),
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::AppPasswordRevoked, about, origin, now))
            .await?;
        Ok(revoked)
    }
}

fn named_ids(named: &BTreeSet<ApplicationId>) -> Vec<String> {
    named.iter().map(ToString::to_string).collect()
}

fn check_new(new: &NewAppPassword) -> Result<()> {
    text::check_visible("name", &new.name, LONGEST_NAME).map_err(Error::Invalid)?;
    if let Some(named) = new.reach.named() {
        if named.is_empty() {
            return Err(Error::Invalid(
                "application is missing; an app password for no application opens nothing".into(),
            ));
        }
        if named.len() > MOST_APPLICATIONS {
            return Err(Error::Invalid(format!(
                "{} applications are named; expected at most {MOST_APPLICATIONS}",
                named.len()
            )));
        }
    }
    if new.lifetime.is_some_and(|lifetime| lifetime.millis() <= 0) {
        return Err(Error::Invalid(
            "expires is over at once; expected a length of time such as 90d".into(),
        ));
    }
    Ok(())
}
