//! People at an app's door: making an account, signing in, passwords, profile, deletion.

use serde_json::json;

use doorward_domain::access::Person;
use doorward_domain::event::EventKind;
use doorward_domain::group::GroupTree;
use doorward_domain::session::Authentication;
use doorward_domain::user::{User, UserKind};
use doorward_domain::{Reason, Timestamp, UserId, text};
use doorward_store::{Tx, conflict_field};

use crate::admin::users::NewUser;
use crate::app_auth::{AppError, AppResult, Door};
use crate::error::{Error, Refused};
use crate::events::About;
use crate::picture::topic;
use crate::sessions::{Entry, Issued, Target, Visit};
use crate::{Doorward, Origin};

/// Somebody who makes an account.
#[derive(Clone, Default)]
pub struct Newcomer {
    /// Name.
    pub name: String,
    /// Address, lower case.
    pub email: String,
    /// Is the address one that was made here and stands for none?
    pub placeholder: bool,
    /// Was the address proved on the way?
    pub verified: bool,
    /// Picture.
    pub image: Option<String>,
    /// User name, folded, and as written.
    pub username: Option<(String, String)>,
}

/// How long a session is to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remember {
    /// As long as the app says.
    Yes,
    /// A day, and gone when the browser is closed.
    No,
}

/// What a person changes of the own profile; `None` leaves a field.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Name.
    pub name: Option<String>,
    /// Picture; `Some(None)` removes it.
    pub image: Option<Option<String>>,
    /// User name, folded, and as written.
    pub username: Option<(String, String)>,
    /// User name as written alone.
    pub display_username: Option<String>,
}

const SHORT: doorward_domain::Lifetime = doorward_domain::Lifetime::from_days(1);

impl Door {
    pub(crate) fn entry(&self, remember: Remember) -> Target<'_> {
        self.entry_through(None, remember)
    }

    /// The same for somebody who comes through a provider.
    pub(crate) fn entry_through<'d>(&'d self, provider: Option<&'d str>, remember: Remember) -> Target<'d> {
        let short = remember == Remember::No;
        Target::App(Entry {
            application: &self.application,
            lifetime: if short { SHORT } else { self.settings().lifetime },
            short,
            impersonated_by: None,
            provider,
        })
    }

    /// Is the password as long as the app wants it? Counted in UTF-16 units, as browsers count.
    ///
    /// # Errors
    /// The code of the wire contract.
    pub fn check_password(&self, password: &str) -> AppResult<()> {
        let units = password.encode_utf16().count();
        let settings = self.settings();
        if units < settings.shortest_password as usize {
            return Err(AppError::Code("PASSWORD_TOO_SHORT"));
        }
        if units > settings.longest_password as usize || password.len() > crate::passwords::LONGEST {
            return Err(AppError::Code("PASSWORD_TOO_LONG"));
        }
        Ok(())
    }
}

fn taken(error: &doorward_store::Error) -> Option<&'static str> {
    match conflict_field(error)? {
        "email" => Some("USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"),
        "username" => Some("USERNAME_IS_ALREADY_TAKEN"),
        _ => None,
    }
}

impl Doorward {
    /// Writes a new account and, when `enter` says so, its first session, in the caller's transaction.
    pub(crate) async fn add_newcomer(
        &self,
        tx: &Tx,
        door: &Door,
        new: &Newcomer,
        hash: Option<&str>,
        origin: &Origin,
    ) -> AppResult<Person> {
        let now = self.now();
        let exists = AppError::Code("USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL");
        let realm = door.realm();
        let by_name = tx.user_by_username(realm, &new.email).await?;
        if by_name.is_some() || tx.user_by_email(realm, &new.email).await?.is_some() {
            return Err(exists);
        }
        let username = new.username.as_ref().map_or(&new.email, |(folded, _)| folded);
        if let Some((folded, _)) = &new.username {
            let by_address = tx.user_by_email(realm, folded).await?;
            if by_address.is_some() || tx.user_by_username(realm, folded).await?.is_some() {
                return Err(AppError::Code("USERNAME_IS_ALREADY_TAKEN"));
            }
        }
        let name = clean_name(&new.name).unwrap_or_else(|| username.clone());
        let draft = NewUser {
            username: username.clone(),
            name,
            email: (!new.placeholder).then(|| new.email.clone()),
            email_verified: new.verified,
            kind: UserKind::External,
            realm,
            ..NewUser::default()
        };
        let (mut user, _) = self.draft_user(&draft, None).await.map_err(|error| match error {
            Error::Invalid(_) => AppError::Code("INVALID_EMAIL"),
            other => AppError::Core(other),
        })?;
        user.name.clone_from(&draft.name);
        if new.placeholder {
            user.email = Some(new.email.clone());
            user.email_verified_at = None;
        }
        user.app.image.clone_from(&new.image);
        user.app.display_username = new.username.as_ref().map(|(_, shown)| shown.clone());
        user.app.home = Some(door.application.id);
        let user = self
            .store_new_user(tx, user, hash, origin)
            .await
            .map_err(|error| match &error {
                // Somebody else was faster.
                Error::Invalid(_) => AppError::Code("USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"),
                _ => AppError::Core(error),
            })?;
        self.note_person(tx, door.application.id, user.id, now).await?;
        let tree = GroupTree::new(tx.groups(false).await?);
        let groups: Vec<_> = door
            .settings()
            .groups
            .iter()
            .filter(|group| tree.find(**group).is_some())
            .copied()
            .collect();
        for group in &groups {
            tx.add_member(user.id, *group, now).await?;
        }
        tx.changed(topic::USER, &user.id.to_string(), now);
        Ok(Person::new(user, groups, &tree))
    }

    /// Makes an account with a password. Gives the user, and a session when the app signs newcomers in.
    ///
    /// # Errors
    /// Codes of the wire contract; `Refused` when busy.
    pub async fn app_sign_up(
        &self,
        door: &Door,
        new: &Newcomer,
        password: &str,
        remember: Option<Remember>,
        origin: &Origin,
    ) -> AppResult<(User, Option<Issued>)> {
        door.check_password(password)?;
        let hash = self.hash_password(password.to_owned()).await?;
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let person = self.add_newcomer(&tx, door, new, Some(&hash), origin).await?;
        let issued = match remember {
            None => None,
            Some(remember) => {
                let authentication = Authentication {
                    at: now,
                    methods: vec!["pwd".to_owned()],
                };
                let target = door.entry(remember);
                Some(
                    self.issue_session(&tx, &person, authentication, None, &target, origin)
                        .await?,
                )
            }
        };
        tx.commit().await?;
        Ok((person.user, issued))
    }

    /// Checks address (or user name) and password. The answer goes to [`Doorward::app_enter`] once the door has nothing against it.
    ///
    /// # Errors
    /// `Refused` with `wrong_credentials` or a throttle.
    pub async fn app_prove(
        &self,
        door: &Door,
        identifier: &str,
        password: &str,
        origin: &Origin,
    ) -> AppResult<AppProved<'_>> {
        let proved = self
            .prove_identity(door.realm(), identifier, password, None, origin)
            .await?;
        let now = self.now();
        if let Some(ban) = proved.user.app.ban(door.application.id, now) {
            return Err(banned(ban.reason.as_deref()));
        }
        Ok(AppProved(proved))
    }

    /// Signs somebody in whose password was right.
    ///
    /// # Errors
    /// `Refused` when the person may not enter the app.
    pub async fn app_enter(
        &self,
        door: &Door,
        proved: &AppProved<'_>,
        remember: Remember,
        origin: &Origin,
    ) -> AppResult<Issued> {
        Ok(self
            .complete(&proved.0, None, &door.entry(remember), origin)
            .await?)
    }

    /// Signs in a person who proved who they are by `method` (RFC 8176).
    ///
    /// # Errors
    /// `Refused` when the person may not enter the app; a code when banned.
    #[expect(clippy::too_many_arguments, reason = "each is one thing that decides")]
    pub(crate) async fn enter_by(
        &self,
        tx: &Tx,
        door: &Door,
        user: UserId,
        methods: &[&str],
        remember: Remember,
        origin: &Origin,
    ) -> AppResult<(User, Issued)> {
        let target = door.entry(remember);
        self.enter_at(tx, door, user, methods, &target, origin).await
    }

    /// The same with what the session is to be.
    ///
    /// # Errors
    /// As [`Doorward::enter_by`].
    #[expect(clippy::too_many_arguments, reason = "each is one thing that decides")]
    pub(crate) async fn enter_at(
        &self,
        tx: &Tx,
        door: &Door,
        user: UserId,
        methods: &[&str],
        target: &Target<'_>,
        origin: &Origin,
    ) -> AppResult<(User, Issued)> {
        let now = self.now();
        tx.lock_user(user).await?;
        let Some((record, direct)) = tx.user_with_groups(user).await? else {
            return Err(AppError::Code("USER_NOT_FOUND"));
        };
        if let Some(ban) = record.app.ban(door.application.id, now) {
            return Err(banned(ban.reason.as_deref()));
        }
        let person = Person::new(record, direct, &self.directory().groups);
        let authentication = Authentication {
            at: now,
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        };
        let issued = self
            .issue_session(tx, &person, authentication, None, target, origin)
            .await?;
        Ok((person.user, issued))
    }

    /// The same in a transaction of its own.
    ///
    /// # Errors
    /// As [`Doorward::app_enter`].
    pub async fn app_enter_by(
        &self,
        door: &Door,
        user: UserId,
        methods: &[&str],
        remember: Remember,
        origin: &Origin,
    ) -> AppResult<(User, Issued)> {
        let tx = self.store()?.begin().await?;
        let entered = self.enter_by(&tx, door, user, methods, remember, origin).await?;
        tx.commit().await?;
        Ok(entered)
    }

    /// Costs as much as comparing a password, for calls about somebody unknown.
    ///
    /// # Errors
    /// `Refused` when busy.
    pub async fn app_waste(&self, password: &str) -> AppResult<()> {
        self.verify_password(None, password.to_owned()).await?;
        Ok(())
    }

    /// The user with this address.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_user_by_email(&self, door: &Door, email: &str) -> AppResult<Option<User>> {
        Ok(self.store()?.read().user_by_email(door.realm(), email).await?)
    }

    /// The user with this user name.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_user_by_username(&self, door: &Door, username: &str) -> AppResult<Option<User>> {
        Ok(self
            .store()?
            .read()
            .user_by_username(door.realm(), username)
            .await?)
    }

    /// The user with this id.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_user(&self, id: UserId) -> AppResult<Option<User>> {
        let user = self.store()?.read().user(id).await?;
        Ok(user.filter(User::is_usable))
    }

    /// Changes the own profile.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_change_profile(
        &self,
        visit: &Visit,
        change: &Profile,
        origin: &Origin,
    ) -> AppResult<User> {
        let id = visit.person.user.id;
        let change = change.clone();
        self.app_change_user(id, "profile", origin, move |user| {
            if let Some(name) = &change.name {
                user.name = clean_name(name).ok_or(AppError::Code("FIELD_NOT_ALLOWED"))?;
            }
            if let Some(image) = &change.image {
                user.app.image.clone_from(image);
            }
            if let Some((folded, shown)) = &change.username {
                user.username.clone_from(folded);
                user.app.display_username = Some(shown.clone());
            }
            if let Some(shown) = &change.display_username {
                user.app.display_username = Some(shown.clone());
            }
            Ok(())
        })
        .await
    }

    /// Changes a user in a transaction with its event. What `change` says must not depend on anything but the user.
    ///
    /// # Errors
    /// Those of `change`; a code when a name is taken.
    pub(crate) async fn app_change_user(
        &self,
        id: UserId,
        what: &str,
        origin: &Origin,
        change: impl FnOnce(&mut User) -> AppResult<()> + Send,
    ) -> AppResult<User> {
        let tx = self.store()?.begin().await?;
        let user = self.change_user_in(&tx, id, what, origin, change).await?;
        tx.commit().await?;
        self.inner.sessions.forget(&id.to_string());
        Ok(user)
    }

    pub(crate) async fn change_user_in(
        &self,
        tx: &Tx,
        id: UserId,
        what: &str,
        origin: &Origin,
        change: impl FnOnce(&mut User) -> AppResult<()> + Send,
    ) -> AppResult<User> {
        let now = self.now();
        tx.lock_user(id).await?;
        let Some(mut user) = tx.user(id).await?.filter(User::is_usable) else {
            return Err(AppError::Code("USER_NOT_FOUND"));
        };
        let before = (user.username.clone(), user.email.clone());
        change(&mut user)?;
        let another = |other: &User| other.id != user.id;
        if user.username != before.0 {
            text::check_username(&user.username).map_err(|_| AppError::Code("INVALID_USERNAME"))?;
            if tx
                .user_by_email(user.realm, &user.username)
                .await?
                .filter(another)
                .is_some()
            {
                return Err(AppError::Code("USERNAME_IS_ALREADY_TAKEN"));
            }
        }
        if let Some(email) = user
            .email
            .clone()
            .filter(|email| Some(email) != before.1.as_ref())
        {
            text::check_email(&email).map_err(|_| AppError::Code("INVALID_EMAIL"))?;
            if tx
                .user_by_username(user.realm, &email)
                .await?
                .filter(another)
                .is_some()
            {
                return Err(AppError::Code("USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"));
            }
            // The user name that an account got from its address follows it.
            if before.1.as_ref() == Some(&user.username) {
                user.username = email;
            }
        }
        user.updated_at = now;
        tx.save_user(&user).await.map_err(|error| match taken(&error) {
            Some(code) => AppError::Code(code),
            None => error.into(),
        })?;
        let about = About {
            user: Some(id),
            details: json!({ "what": what, "by": "app" }),
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::UserChanged, about, origin, now))
            .await?;
        tx.changed(topic::USER, &id.to_string(), now);
        Ok(user)
    }

    /// Compares the own password once more.
    ///
    /// # Errors
    /// `INVALID_PASSWORD`, `CREDENTIAL_ACCOUNT_NOT_FOUND`, or `Refused` when throttled.
    pub async fn app_verify_password(
        &self,
        user: &User,
        password: &str,
        what: &str,
        origin: &Origin,
    ) -> AppResult<()> {
        if self.store()?.read().password_hash(user.id).await?.is_none() {
            return Err(AppError::Code("CREDENTIAL_ACCOUNT_NOT_FOUND"));
        }
        match self.prove_password(user, password, what, origin).await {
            Ok(_) => Ok(()),
            Err(Error::Refused(refused)) if refused.reason == Reason::WrongCredentials => {
                Err(AppError::Code("INVALID_PASSWORD"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Has this user a password?
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_has_password(&self, user: UserId) -> AppResult<bool> {
        Ok(self.store()?.read().password_hash(user).await?.is_some())
    }

    /// Sets a password, with its event; `also` goes into the same transaction. Sessions stay: the caller says which end.
    ///
    /// # Errors
    /// Codes for its length.
    pub async fn app_set_password(
        &self,
        door: &Door,
        user: UserId,
        password: &str,
        by: &str,
        origin: &Origin,
    ) -> AppResult<()> {
        door.check_password(password)?;
        let hash = self.hash_password(password.to_owned()).await?;
        let now = self.now();
        let tx = self.store()?.begin().await?;
        self.set_password_in(&tx, user, &hash, by, origin, now).await?;
        tx.commit().await?;
        self.inner.sessions.forget(&user.to_string());
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "each is one thing that decides")]
    pub(crate) async fn set_password_in(
        &self,
        tx: &Tx,
        user: UserId,
        hash: &str,
        by: &str,
        origin: &Origin,
        now: Timestamp,
    ) -> AppResult<()> {
        tx.lock_user(user).await?;
        tx.set_password(user, hash, now).await?;
        // Whoever knew the old password may have let a client in that needs no session.
        tx.end_families_of_user(user, "password changed", now).await?;
        self.revoke_app_passwords(tx, user, "password changed", origin, now)
            .await?;
        let about = About {
            user: Some(user),
            details: json!({ "by": by }),
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::PasswordChanged, about, origin, now))
            .await?;
        tx.changed(topic::USER, &user.to_string(), now);
        Ok(())
    }

    /// Deletes an account that the app's own person gave up: into the bin, every session and token ended. An account that administers
    /// Doorward, or that was not made here, stays.
    ///
    /// # Errors
    /// `Refused` for an account that is not this app's to delete.
    pub async fn app_delete_user(&self, door: &Door, user: UserId) -> AppResult<()> {
        let Some(record) = self.app_user(user).await? else {
            return Err(AppError::Code("USER_NOT_FOUND"));
        };
        if record.app.home != Some(door.application.id) {
            return Err(Refused::bare(Reason::NotAdministrator).into());
        }
        Ok(self.delete_user(user).await?)
    }
}

/// Somebody whose password was right.
pub struct AppProved<'a>(pub(crate) crate::sign_in::Proved<'a>);

impl AppProved<'_> {
    /// Who.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.0.user
    }
}

impl std::fmt::Debug for AppProved<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppProved")
            .field("user", &self.0.user.id)
            .finish_non_exhaustive()
    }
}

pub(crate) fn banned(_reason: Option<&str>) -> AppError {
    AppError::Code("BANNED_USER")
}

/// A name as it may stand: without control characters, trimmed, of at most 200 characters.
pub(crate) fn clean_name(name: &str) -> Option<String> {
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    let name = name.trim().to_owned();
    (!name.is_empty()).then_some(name)
}

impl Doorward {
    /// An id that belongs to nobody, for an answer that must not tell whether somebody exists.
    #[must_use]
    pub fn app_made_up_id(&self) -> String {
        let id: UserId = self.mint(self.now());
        id.to_string()
    }

    /// Sets a new password against a proof that was sent by mail, uses the proof up, and ends sessions when the app says so: in one
    /// transaction, after the hash was made.
    ///
    /// # Errors
    /// `INVALID_TOKEN`, and codes for the password's length.
    pub async fn app_reset_password<T: serde::de::DeserializeOwned>(
        &self,
        door: &Door,
        (purpose, token): (&str, &str),
        password: &str,
        revoke: bool,
        origin: &Origin,
    ) -> AppResult<UserId> {
        door.check_password(password)?;
        let invalid = || AppError::Code("INVALID_TOKEN");
        // Nobody makes the server hash without a token.
        let seen = self.see_proof::<T>(door, purpose, token).await?;
        if seen.is_none_or(|proof| proof.late) {
            return Err(invalid());
        }
        let hash = self.hash_password(password.to_owned()).await?;
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let proof = self.take_proof::<T>(&tx, door, purpose, token).await?;
        let user = proof
            .filter(|proof| !proof.late)
            .and_then(|proof| proof.user)
            .ok_or_else(invalid)?;
        if tx.user(user).await?.is_none_or(|record| !record.is_usable()) {
            return Err(AppError::Code("USER_NOT_FOUND"));
        }
        self.set_password_in(&tx, user, &hash, "mail", origin, now)
            .await?;
        if revoke {
            self.close_all(&tx, user, None, "password reset", now).await?;
        }
        tx.commit().await?;
        self.inner.sessions.forget(&user.to_string());
        Ok(user)
    }

    /// Marks an address as proved, or puts a proved one in its place. Somebody whose address was not proved until now and whom nobody
    /// is known to own loses nothing by it.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`, `INVALID_USER` when the address changed since the mail was sent, a code when the new one is taken.
    pub async fn app_prove_email(
        &self,
        user: UserId,
        was: &str,
        update_to: Option<&str>,
        now: Timestamp,
        origin: &Origin,
    ) -> AppResult<User> {
        let (was, update_to) = (was.to_owned(), update_to.map(str::to_owned));
        self.app_change_user(user, "email proved", origin, move |user| {
            if user.email.as_deref().unwrap_or_default() != was {
                return Err(AppError::Code("INVALID_USER"));
            }
            if let Some(new) = update_to {
                user.email = Some(new);
            }
            user.email_verified_at = Some(now);
            Ok(())
        })
        .await
    }
}
