//! What signed-in people see of themselves: applications, sessions, connected applications, activity, password.

use serde_json::json;
use std::sync::Arc;

use doorward_crypto::password::Verified;
use doorward_domain::access;
use doorward_domain::application::Application;
use doorward_domain::event::{Event, EventKind};
use doorward_domain::token::Grant;
use doorward_domain::user::User;
use doorward_domain::{ApplicationId, EventId, Reason, UserId, text};
use doorward_store::EventFilter;

use crate::error::{Error, Refused, Result};
use crate::events::About;
use crate::picture::topic;
use crate::sessions::Visit;
use crate::{Doorward, Origin};

/// What failures to show the own password once more are counted under.
pub(crate) fn password_key(user: UserId) -> String {
    format!("password {user}")
}

impl Doorward {
    /// Applications the person may enter, by heading and name.
    #[must_use]
    pub fn tiles(&self, visit: &Visit) -> Vec<Arc<Application>> {
        let directory = self.directory();
        let mut tiles: Vec<_> = directory
            .applications()
            .filter(|application| !application.hidden && access::admit(&visit.person, application).is_ok())
            .cloned()
            .collect();
        tiles.sort_by(|a, b| (&a.heading, text::fold(&a.name)).cmp(&(&b.heading, text::fold(&b.name))));
        tiles
    }

    /// What the person allowed which applications, and applications that hold refresh tokens of the person without having had to ask.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn grants_of(&self, user: UserId) -> Result<Vec<(Grant, Arc<Application>)>> {
        let directory = self.directory();
        let now = self.now();
        let conn = self.store()?.read();
        let mut grants = conn.grants_of(user).await?;
        grants.retain(|grant| grant.expires_at.is_none_or(|at| now < at));
        for family in conn.offline_families_of(user, now).await? {
            let of_same = |grant: &&mut Grant| grant.application_id == family.application_id;
            let Some(grant) = grants.iter_mut().find(of_same) else {
                grants.push(Grant {
                    id: self.mint(now),
                    user_id: user,
                    application_id: family.application_id,
                    scopes: family.scopes,
                    created_at: family.created_at,
                    updated_at: family.created_at,
                    expires_at: None,
                });
                continue;
            };
            grant.scopes.extend(family.scopes);
        }
        let known = |grant: Grant| {
            directory
                .application(grant.application_id)
                .map(|a| (grant, Arc::clone(a)))
        };
        Ok(grants.into_iter().filter_map(known).collect())
    }

    /// Takes a grant back; its tokens stop working.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn revoke_grant(
        &self,
        user: UserId,
        application: ApplicationId,
        origin: &Origin,
    ) -> Result<bool> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let revoked = tx.revoke_grant(user, application, now).await?;
        let ended = tx
            .end_families_of_grant(user, application, "grant revoked", now)
            .await?;
        if revoked || ended > 0 {
            let about = About {
                user: Some(user),
                application: Some(application),
                details: json!({ "families": ended }),
                ..About::default()
            };
            tx.add_event(&self.event(EventKind::GrantRevoked, about, origin, now))
                .await?;
        }
        tx.commit().await?;
        Ok(revoked || ended > 0)
    }

    /// The person's own events, newest first.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn activity(&self, user: UserId, after: Option<EventId>, limit: u32) -> Result<Vec<Event>> {
        let filter = EventFilter {
            user: Some(user),
            after,
            limit,
            ..EventFilter::default()
        };
        Ok(self.store()?.read().events(&filter).await?)
    }

    /// Changes the own password; every other session ends.
    ///
    /// # Errors
    /// `Refused` with `wrong_credentials` when the current one is wrong; `Invalid` naming the field.
    pub async fn change_password(
        &self,
        visit: &Visit,
        current: &str,
        new: &str,
        origin: &Origin,
    ) -> Result<()> {
        let user = &visit.person.user;
        let stored = self
            .prove_password(user, current, "password change", origin)
            .await?;
        let hash = self.prepare_password(user, new).await?;
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
        tx.set_password(user.id, &hash, now).await?;
        tx.clear_failures(&[password_key(user.id)]).await?;
        let others = self
            .close_all(&tx, user.id, Some(visit.session.id), "password changed", now)
            .await?;
        // Whoever knew the old password may have let a client in that needs no session.
        tx.end_families_of_user(user.id, "password changed", now).await?;
        let app_passwords = self
            .revoke_app_passwords(&tx, user.id, "password changed", origin, now)
            .await?;
        let about = About {
            user: Some(user.id),
            session: Some(visit.session.id),
            details: json!({ "by": "self" }),
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::PasswordChanged, about, origin, now))
            .await?;
        tx.commit().await?;
        for id in others {
            self.inner.sessions.forget(&id.to_string());
        }
        for id in app_passwords {
            self.inner.sessions.forget(&id.to_string());
        }
        Ok(())
    }

    /// Compares the own password once more, for `what`; failures count together, whatever they were for. Gives the hash that
    /// it was compared with.
    pub(crate) async fn prove_password(
        &self,
        user: &User,
        given: &str,
        what: &str,
        origin: &Origin,
    ) -> Result<Option<String>> {
        let key = password_key(user.id);
        // One guess at a time, so that each is counted before the next is compared.
        let _turn = self.password_turn(&key).await?;
        self.limit_password_guesses(&key, user.id, what, origin).await?;
        let stored = self.store()?.read().password_hash(user.id).await?;
        let verified = self
            .verify_password(
                stored.clone(),
                given.chars().take(crate::passwords::LONGEST).collect(),
            )
            .await?;
        if matches!(verified, Verified::Match { .. }) {
            return Ok(stored);
        }
        let tx = self.store()?.begin().await?;
        tx.add_failure(&key, self.now()).await?;
        tx.commit().await?;
        let about = About {
            user: Some(user.id),
            details: json!({ "what": what }),
            ..About::default()
        };
        Err(self
            .refuse("password", Reason::WrongCredentials, about, origin)
            .await
            .into())
    }

    async fn limit_password_guesses(
        &self,
        key: &str,
        user: UserId,
        what: &str,
        origin: &Origin,
    ) -> Result<()> {
        use doorward_domain::throttle::{Counts, Verdict, judge};
        let now = self.now();
        let failures = self.store()?.read().failures(&[key.to_owned()]).await?;
        let counts = Counts {
            at_place: failures.first().copied().unwrap_or_default(),
            ..Counts::default()
        };
        let Verdict::Wait { reason, until } = judge(&counts, now) else {
            return Ok(());
        };
        let seconds = u32::try_from((until.millis_since(now) + 999) / 1000).unwrap_or(1);
        let about = About {
            user: Some(user),
            details: json!({ "what": what }),
            ..About::default()
        };
        let refused = self.refuse("password", reason, about, origin).await;
        Err(Refused {
            retry_after: Some(seconds),
            ..refused
        }
        .into())
    }

    /// Changes the own name and language.
    ///
    /// # Errors
    /// `Invalid` naming the field.
    pub async fn change_profile(
        &self,
        visit: &Visit,
        name: &str,
        locale: Option<&str>,
        origin: &Origin,
    ) -> Result<()> {
        let now = self.now();
        let name = name.trim();
        text::check_visible("name", name, 200).map_err(Error::Invalid)?;
        if let Some(locale) = locale {
            crate::admin::check_locale(locale)?;
        }
        let tx = self.store()?.begin().await?;
        tx.serialise("administration").await?;
        let Some(mut user) = tx.user(visit.person.user.id).await? else {
            return Err(Error::NotFound("the user is gone".into()));
        };
        name.clone_into(&mut user.name);
        user.locale = locale.filter(|locale| !locale.is_empty()).map(str::to_owned);
        user.updated_at = now;
        tx.save_user(&user).await?;
        let about = About {
            user: Some(user.id),
            session: Some(visit.session.id),
            details: json!({ "what": "profile", "by": "self" }),
            ..About::default()
        };
        tx.add_event(&self.event(EventKind::UserChanged, about, origin, now))
            .await?;
        tx.changed(topic::USER, &user.id.to_string(), now);
        tx.commit().await?;
        self.inner.sessions.forget(&user.id.to_string());
        Ok(())
    }
}
