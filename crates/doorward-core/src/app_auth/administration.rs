//! What an app's administrators do with the app's people (contract section 5.7).
//!
//! An app's administrator is nobody at Doorward. So calls reach only people of the app; bans, roles and sessions count in the app
//! alone; and what would let an administrator become somebody else, or end an account, is only done to accounts that were made in
//! the app and give no power outside of it.

use serde_json::json;

use doorward_domain::access::Person;
use doorward_domain::app_auth::{Ban, roles};
use doorward_domain::event::EventKind;
use doorward_domain::group::GroupTree;
use doorward_domain::session::{Authentication, Session};
use doorward_domain::user::User;
use doorward_domain::{ApplicationId, GroupId, Lifetime, SessionId, Timestamp, UserId};
use doorward_store::{AppRecord, Tx};
use std::sync::Arc;

use super::people::{Newcomer, clean_name};
use crate::app_auth::{AppError, AppResult, Door};
use crate::error::{Error, Result};
use crate::events::About;
use crate::picture::topic;
use crate::sessions::{Entry, Issued, Target, Visit};
use crate::{Doorward, Origin};

/// Kind of the records of who belongs to an app: whoever signed up or in there.
pub(crate) const PERSON: &str = "person";
/// Kind of the records of who acts as whom.
const IMPERSONATION: &str = "impersonation";
/// How long somebody acts as somebody else.
const IMPERSONATED: Lifetime = Lifetime::from_hours(1);
/// Most people that a list goes through.
const MOST_PEOPLE: usize = 20_000;

const NO_USER: AppError = AppError::Code("USER_NOT_FOUND");

/// How far a call reaches into somebody's account.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// What counts in the app alone.
    App,
    /// The account's own data and sessions as that person: only of accounts that were made here and administer nothing else.
    Account,
    /// The keys to it: only when it opens nothing but what the app gives its newcomers.
    Keys,
}

/// What an administrator changes of somebody; `None` leaves a field.
#[derive(Clone, Debug, Default)]
pub struct PersonChange {
    /// Name.
    pub name: Option<String>,
    /// Picture; `Some(None)` removes it.
    pub image: Option<Option<String>>,
    /// Address, lower case; it has to be proved anew.
    pub email: Option<String>,
    /// User name, folded, and as written.
    pub username: Option<(String, String)>,
    /// Roles, checked by [`Door::roles`].
    pub role: Option<String>,
}

impl Door {
    /// Is somebody an administrator of the app?
    #[must_use]
    pub fn is_admin(&self, user: &User) -> bool {
        let given = user.app.roles.get(&self.application.id);
        given.is_some_and(|given| roles::each(given).any(|role| self.settings().admin_roles.contains(role)))
    }

    /// May the caller administer the app? Nobody does while being somebody else.
    #[must_use]
    pub fn administers(&self, visit: &Visit) -> bool {
        let acts = visit.session.app.as_ref().and_then(|app| app.impersonated_by);
        acts.is_none() && self.is_admin(&visit.person.user)
    }

    /// Roles of the app as one text.
    ///
    /// # Errors
    /// `YOU_ARE_NOT_ALLOWED_TO_SET_NON_EXISTENT_VALUE` for a role that the app does not have.
    pub fn roles(&self, wanted: &[String]) -> AppResult<String> {
        let known = |role: &str| role == roles::USER || self.settings().admin_roles.contains(role);
        roles::joined(wanted.iter().map(String::as_str), known)
            .map_err(|_| AppError::Code("YOU_ARE_NOT_ALLOWED_TO_SET_NON_EXISTENT_VALUE"))
    }
}

impl Doorward {
    /// Notes that somebody belongs to an app. 1 query.
    pub(crate) async fn note_person(
        &self,
        tx: &Tx,
        application: ApplicationId,
        user: UserId,
        now: Timestamp,
    ) -> Result<()> {
        let record = AppRecord {
            id: self.mint(now),
            application,
            kind: PERSON.to_owned(),
            parent: None,
            user: Some(user),
            name: Some(user.to_string()),
            content: json!({}),
            created_at: now,
            updated_at: now,
            version: 1,
        };
        tx.add_app_record_once(&record).await?;
        Ok(())
    }

    /// The people of an app, oldest first.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_people(&self, door: &Door) -> AppResult<Vec<User>> {
        let conn = self.store()?.read();
        let mut people: Vec<User> = Vec::new();
        let mut after = String::new();
        while people.len() < MOST_PEOPLE {
            let page = conn.app_people_named(door.application.id, PERSON, &after).await?;
            let Some((last, _)) = page.last() else { break };
            after = last.name.clone().unwrap_or_default();
            people.extend(page.into_iter().map(|(_, user)| user));
        }
        Ok(people)
    }

    /// Somebody of the app.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`.
    pub async fn app_person(&self, door: &Door, id: &str) -> AppResult<User> {
        let conn = self.store()?.read();
        let id: UserId = id.parse().map_err(|_| NO_USER)?;
        let known = conn
            .app_record_named(door.application.id, PERSON, &id.to_string())
            .await?;
        known.ok_or(NO_USER)?;
        let user = conn.user(id).await?;
        user.filter(|user| user.deleted_at.is_none()).ok_or(NO_USER)
    }

    /// Somebody of the app whom a call may reach that far, locked; `refused` otherwise.
    async fn reach(
        &self,
        tx: &Tx,
        door: &Door,
        id: &str,
        reach: Reach,
        refused: &'static str,
    ) -> AppResult<(User, Vec<GroupId>)> {
        let application = door.application.id;
        let id: UserId = id.parse().map_err(|_| NO_USER)?;
        tx.lock_user(id).await?;
        let known = tx.app_record_named(application, PERSON, &id.to_string()).await?;
        known.ok_or(NO_USER)?;
        let found = tx.user_with_groups(id).await?;
        let (user, direct) = found.filter(|(user, _)| user.is_usable()).ok_or(NO_USER)?;
        if reach == Reach::App {
            return Ok((user, direct));
        }
        let tree = GroupTree::new(tx.groups(false).await?);
        let superuser = Person::new(user.clone(), direct.iter().copied(), &tree).superuser;
        let elsewhere =
            user.app.roles.iter().any(|(other, role)| {
                *other != application && roles::each(role).any(|role| role != roles::USER)
            });
        let keeps =
            reach == Reach::Keys && direct.iter().any(|group| !door.settings().groups.contains(group));
        if user.app.home != Some(application) || superuser || elsewhere || keeps {
            tracing::info!(user = %id, application = %application, refused, "an app's administrator reached too far");
            return Err(AppError::Code(refused));
        }
        Ok((user, direct))
    }

    /// Makes an account for somebody.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_make_person(
        &self,
        door: &Door,
        visit: &Visit,
        new: &Newcomer,
        (password, role): (Option<&str>, &str),
        origin: &Origin,
    ) -> AppResult<User> {
        let hash = match password {
            Some(password) => {
                door.check_password(password)?;
                Some(self.hash_password(password.to_owned()).await?)
            }
            None => None,
        };
        let tx = self.store()?.begin().await?;
        let person = self.add_newcomer(&tx, door, new, hash.as_deref(), origin).await?;
        let id = person.user.id;
        let application = door.application.id;
        let role = role.to_owned();
        let user = self
            .change_user_in(&tx, id, "made by an app's administrator", origin, move |user| {
                put_role(user, application, role);
                Ok(())
            })
            .await?;
        let details = json!({ "what": "user made", "user": id.to_string() });
        self.note_in_app(&tx, door, visit.person.user.id, details, origin)
            .await?;
        tx.commit().await?;
        Ok(user)
    }

    /// Changes somebody.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_change_person(
        &self,
        door: &Door,
        visit: &Visit,
        id: &str,
        change: PersonChange,
        origin: &Origin,
    ) -> AppResult<User> {
        let only_role = change.name.is_none()
            && change.image.is_none()
            && change.email.is_none()
            && change.username.is_none();
        // Whoever holds address or user name of an account signs in with it.
        let (reach, refused) = if change.email.is_some() || change.username.is_some() {
            (Reach::Keys, "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_EMAIL")
        } else if only_role {
            (Reach::App, "YOU_ARE_NOT_ALLOWED_TO_CHANGE_USERS_ROLE")
        } else {
            (Reach::Account, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_USERS")
        };
        let tx = self.store()?.begin().await?;
        let (target, _) = self.reach(&tx, door, id, reach, refused).await?;
        let application = door.application.id;
        let was_admin = door.is_admin(&target);
        let user = self
            .change_user_in(&tx, target.id, "by an app's administrator", origin, move |user| {
                if let Some(name) = &change.name {
                    user.name = clean_name(name).ok_or(AppError::Code("FIELD_NOT_ALLOWED"))?;
                }
                if let Some(image) = change.image {
                    user.app.image = image;
                }
                if let Some((folded, shown)) = change.username {
                    user.username = folded;
                    user.app.display_username = Some(shown);
                }
                if let Some(email) = change.email
                    && user.email.as_ref() != Some(&email)
                {
                    user.email = Some(email);
                    user.email_verified_at = None;
                }
                if let Some(role) = change.role {
                    put_role(user, application, role);
                }
                Ok(())
            })
            .await?;
        let ended = if was_admin && !door.is_admin(&user) {
            self.end_impersonations(&tx, application, user.id).await?
        } else {
            Vec::new()
        };
        let details = json!({
            "what": "user changed", "user": user.id.to_string(), "role": user.app.roles.get(&application),
        });
        self.note_in_app(&tx, door, visit.person.user.id, details, origin)
            .await?;
        tx.commit().await?;
        self.forget_sessions_of(user.id, &ended);
        Ok(user)
    }

    /// An operator gives somebody roles in an app.
    ///
    /// # Errors
    /// `Invalid` for a role that the app does not have, `NotFound`.
    pub async fn set_app_role(&self, door: &Door, user: UserId, wanted: &[String]) -> Result<User> {
        let core = |error: AppError| match error {
            AppError::Core(error) => error,
            AppError::Code(_) | AppError::Said(..) => {
                let known: Vec<&str> = door.settings().admin_roles.iter().map(String::as_str).collect();
                Error::Invalid(format!(
                    "the app has the roles {} and {}",
                    roles::USER,
                    known.join(", ")
                ))
            }
        };
        let role = door.roles(wanted).map_err(core)?;
        let realm = door.realm();
        let now = self.now();
        let application = door.application.id;
        let tx = self.store()?.begin().await?;
        let user = self
            .change_user_in(&tx, user, "role in an app", &Origin::default(), move |user| {
                if user.realm != realm {
                    return Err(NO_USER);
                }
                put_role(user, application, role);
                Ok(())
            })
            .await
            .map_err(|error| match error {
                AppError::Core(error) => error,
                _ => Error::NotFound("there is no such user in the app, or it is switched off".into()),
            })?;
        self.note_person(&tx, application, user.id, now).await?;
        let ended = if door.is_admin(&user) {
            Vec::new()
        } else {
            self.end_impersonations(&tx, application, user.id).await?
        };
        tx.commit().await?;
        self.forget_sessions_of(user.id, &ended);
        Ok(user)
    }

    fn forget_sessions_of(&self, user: UserId, ended: &[SessionId]) {
        self.inner.sessions.forget(&user.to_string());
        for id in ended {
            self.inner.sessions.forget(&id.to_string());
        }
    }

    /// Ends somebody's sessions in an app, in the caller's transaction.
    async fn close_app_sessions(
        &self,
        tx: &Tx,
        application: ApplicationId,
        user: UserId,
        reason: &str,
    ) -> Result<Vec<SessionId>> {
        let now = self.now();
        let mut ended = Vec::new();
        loop {
            let mut closed = 0;
            for session in tx.sessions_of(user, now).await? {
                let here = session
                    .app
                    .as_ref()
                    .is_some_and(|app| app.application == application);
                if here
                    && self
                        .close_session(tx, session.id, Some(user), reason, now)
                        .await?
                {
                    ended.push(session.id);
                    closed += 1;
                }
            }
            if closed == 0 {
                return Ok(ended);
            }
        }
    }

    /// Ends the sessions in which somebody is somebody else: they do not outlive the power to begin them.
    async fn end_impersonations(
        &self,
        tx: &Tx,
        application: ApplicationId,
        admin: UserId,
    ) -> Result<Vec<SessionId>> {
        let now = self.now();
        let mut ended = Vec::new();
        for record in tx.app_records_of(application, admin, IMPERSONATION).await? {
            let read = |name: &str| record.content.get(name).and_then(serde_json::Value::as_str);
            let session = read("session").and_then(|id| id.parse::<SessionId>().ok());
            let user = read("user").and_then(|id| id.parse::<UserId>().ok());
            if let Some(session) = session {
                self.close_session(tx, session, user, "impersonation over", now)
                    .await?;
                ended.push(session);
            }
            tx.remove_app_record(record.id).await?;
        }
        Ok(ended)
    }

    /// Bans somebody from the app, whose sessions there end at once; `None` lets them in again.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_ban(
        &self,
        door: &Door,
        visit: &Visit,
        id: &str,
        ban: Option<Ban>,
        origin: &Origin,
    ) -> AppResult<User> {
        let admin = visit.person.user.id;
        if ban.is_some() && id == admin.to_string() {
            return Err(AppError::Code("YOU_CANNOT_BAN_YOURSELF"));
        }
        let application = door.application.id;
        let tx = self.store()?.begin().await?;
        let refused = "YOU_ARE_NOT_ALLOWED_TO_BAN_USERS";
        let (target, _) = self.reach(&tx, door, id, Reach::Account, refused).await?;
        let banned = ban.is_some();
        let what = if banned { "banned from an app" } else { "unbanned" };
        let user = self
            .change_user_in(&tx, target.id, what, origin, move |user| {
                match ban {
                    Some(ban) => user.app.bans.insert(application, ban),
                    None => user.app.bans.remove(&application),
                };
                Ok(())
            })
            .await?;
        let mut ended = Vec::new();
        if banned {
            ended = self
                .close_app_sessions(&tx, application, user.id, "banned")
                .await?;
            ended.extend(self.end_impersonations(&tx, application, user.id).await?);
        }
        let details = json!({ "what": format!("user {what}"), "user": user.id.to_string() });
        self.note_in_app(&tx, door, admin, details, origin).await?;
        tx.commit().await?;
        self.forget_sessions_of(user.id, &ended);
        Ok(user)
    }

    /// Somebody's sessions in the app; none for somebody who is not of the app.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_sessions_of_person(&self, door: &Door, id: &str) -> AppResult<Vec<Session>> {
        match self.app_person(door, id).await {
            Ok(user) => self.app_sessions(door, user.id).await,
            Err(AppError::Code(_)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Sets somebody's password and ends all their sessions but the caller's.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_set_persons_password(
        &self,
        door: &Door,
        visit: &Visit,
        id: &str,
        password: &str,
        origin: &Origin,
    ) -> AppResult<()> {
        door.check_password(password)?;
        // Nobody makes the server hash for somebody who is not there.
        self.app_person(door, id).await?;
        let hash = self.hash_password(password.to_owned()).await?;
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let refused = "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_PASSWORD";
        let (user, _) = self.reach(&tx, door, id, Reach::Keys, refused).await?;
        self.set_password_in(&tx, user.id, &hash, "app administrator", origin, now)
            .await?;
        // differs: whoever knew the old password is out.
        let own = (user.id == visit.person.user.id).then_some(visit.session.id);
        let ended = self.close_all(&tx, user.id, own, "password changed", now).await?;
        let details = json!({ "what": "password set", "user": user.id.to_string() });
        self.note_in_app(&tx, door, visit.person.user.id, details, origin)
            .await?;
        tx.commit().await?;
        self.forget_sessions_of(user.id, &ended);
        Ok(())
    }

    /// Puts somebody's account into the bin.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_remove_person(
        &self,
        door: &Door,
        visit: &Visit,
        id: &str,
        origin: &Origin,
    ) -> AppResult<()> {
        let admin = visit.person.user.id;
        if id == admin.to_string() {
            return Err(AppError::Code("YOU_CANNOT_REMOVE_YOURSELF"));
        }
        let now = self.now();
        let application = door.application.id;
        let tx = self.store()?.begin().await?;
        let refused = "YOU_ARE_NOT_ALLOWED_TO_DELETE_USERS";
        let (user, _) = self.reach(&tx, door, id, Reach::Keys, refused).await?;
        let mut ended = self.close_all(&tx, user.id, None, "user deleted", now).await?;
        ended.extend(self.end_impersonations(&tx, application, user.id).await?);
        tx.end_families_of_user(user.id, "user deleted", now).await?;
        tx.delete_user(user.id, now).await?;
        let about = About {
            user: Some(user.id),
            application: Some(application),
            details: json!({ "what": "deleted", "by": "app", "administrator": admin.to_string() }),
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::UserChanged, about, origin, now))
            .await?;
        tx.changed(topic::USER, &user.id.to_string(), now);
        tx.commit().await?;
        self.forget_sessions_of(user.id, &ended);
        Ok(())
    }

    /// Lets an administrator be somebody else for an hour, in a session that says so.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_impersonate(
        &self,
        door: &Door,
        visit: &Visit,
        id: &str,
        origin: &Origin,
    ) -> AppResult<(User, Issued)> {
        let admin = visit.person.user.id;
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let refused = "YOU_ARE_NOT_ALLOWED_TO_IMPERSONATE_USERS";
        let (known, _) = self.reach(&tx, door, id, Reach::App, refused).await?;
        if door.is_admin(&known) {
            return Err(AppError::Code("YOU_CANNOT_IMPERSONATE_ADMINS"));
        }
        let (user, direct) = self.reach(&tx, door, id, Reach::Account, refused).await?;
        let person = Person::new(user, direct, &self.directory().groups);
        let authentication = Authentication {
            at: now,
            methods: vec!["impersonation".to_owned()],
        };
        let target = Target::App(Entry {
            application: &door.application,
            lifetime: IMPERSONATED,
            short: true,
            impersonated_by: Some(admin),
            provider: None,
        });
        let issued = self
            .issue_session(&tx, &person, authentication, None, &target, origin)
            .await?;
        for old in tx
            .app_records_of(door.application.id, admin, IMPERSONATION)
            .await?
        {
            if old.created_at.plus(IMPERSONATED) <= now {
                tx.remove_app_record(old.id).await?;
            }
        }
        let mut record = self.app_record(door, IMPERSONATION, now);
        record.user = Some(admin);
        record.content =
            json!({ "session": issued.session.id.to_string(), "user": person.user.id.to_string() });
        tx.add_app_record(&record).await?;
        let details = json!({
            "what": "impersonation begun", "user": person.user.id.to_string(), "session": issued.session.id.to_string(),
        });
        self.note_in_app(&tx, door, admin, details, origin).await?;
        tx.commit().await?;
        Ok((person.user, issued))
    }

    /// Ends being somebody else; gives the administrator's own session, when the token is of one that still is.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_stop_impersonating(
        &self,
        door: &Door,
        visit: &Arc<Visit>,
        admin: UserId,
        token: Option<&str>,
        origin: &Origin,
    ) -> AppResult<Option<Arc<Visit>>> {
        self.app_sign_out(visit, origin).await?;
        let Some(token) = token else { return Ok(None) };
        let own = self.app_visit_again(&door.application, token).await?;
        Ok(own.filter(|own| own.person.user.id == admin))
    }
}

pub(crate) fn put_role(user: &mut User, application: ApplicationId, role: String) {
    if role == roles::USER {
        user.app.roles.remove(&application);
    } else {
        user.app.roles.insert(application, role);
    }
}
