//! Sessions of an app: extended when used, listed, ended.

use serde_json::json;
use std::sync::Arc;

use doorward_domain::event::EventKind;
use doorward_domain::session::Session;
use doorward_domain::{Lifetime, SessionId, UserId};

use crate::app_auth::{AppResult, Door};
use crate::error::Error;
use crate::events::About;
use crate::picture::topic;
use crate::sessions::Visit;
use crate::{Doorward, Origin};

/// Which sessions of a person in an app.
#[derive(Clone, Copy, Debug)]
pub enum Ending<'a> {
    /// The one whose token or handle this is.
    Named(&'a str),
    /// This one.
    One(SessionId),
    /// All.
    All,
    /// All but this one.
    Others(SessionId),
}

impl Door {
    /// Is it time to extend a session?
    #[must_use]
    pub fn is_due(&self, session: &Session, now: doorward_domain::Timestamp) -> bool {
        let Some(app) = &session.app else { return false };
        if app.short || app.impersonated_by.is_some() {
            return false;
        }
        let settings = self.settings();
        now >= session
            .expires_at
            .minus(settings.lifetime)
            .plus(settings.update_age)
    }

    /// Was the session opened lately?
    #[must_use]
    pub fn is_fresh(&self, session: &Session, now: doorward_domain::Timestamp) -> bool {
        let age = self.settings().fresh_age;
        age == Lifetime::from_seconds(0) || now < session.created_at.plus(age)
    }
}

impl Doorward {
    /// Extends a session by the app's lifetime; gives it as it is then, `None` when it has ended meanwhile.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_extend(&self, door: &Door, session: &Session) -> AppResult<Option<Session>> {
        let lifetime = door.settings().lifetime;
        let now = self.now();
        self.app_change_session(session.id, |session| {
            session.expires_at = now.plus(lifetime);
        })
        .await
    }

    /// Changes what a session knows of its app.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_change_session(
        &self,
        id: SessionId,
        change: impl FnOnce(&mut Session) + Send,
    ) -> AppResult<Option<Session>> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        if !tx.lock_session(id, now).await? {
            return Ok(None);
        }
        let Some(mut session) = tx.session(id).await? else {
            return Ok(None);
        };
        change(&mut session);
        if let Some(app) = &mut session.app {
            app.updated_at = now;
        }
        if !tx.save_app_session(&session).await? {
            return Ok(None);
        }
        tx.changed(topic::SESSION, &id.to_string(), now);
        tx.commit().await?;
        self.inner.sessions.forget(&id.to_string());
        Ok(Some(session))
    }

    /// Live sessions of a person in an app, the one used last first.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_sessions(&self, door: &Door, user: UserId) -> AppResult<Vec<Session>> {
        let mut sessions = self.sessions_of(user).await?;
        let here = |session: &Session| {
            session
                .app
                .as_ref()
                .is_some_and(|app| app.application == door.application.id)
        };
        sessions.retain(here);
        Ok(sessions)
    }

    /// Ends sessions of a person in an app; gives which.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_end(
        &self,
        door: &Door,
        user: UserId,
        which: Ending<'_>,
        origin: &Origin,
    ) -> AppResult<Vec<SessionId>> {
        let now = self.now();
        let application = door.application.id;
        let named = match which {
            Ending::Named(text) if text.len() <= 256 => {
                let digest = crate::sessions::app_digest(application, text);
                let found = self.store()?.read().session_by_digest(&digest).await?;
                found.map(|(session, _, _)| session.id)
            }
            _ => None,
        };
        let wanted = |session: &Session| match which {
            Ending::Named(text) => {
                named == Some(session.id) || session.app.as_ref().is_some_and(|app| app.handle == text)
            }
            Ending::One(id) => session.id == id,
            Ending::All => true,
            Ending::Others(kept) => session.id != kept,
        };
        let tx = self.store()?.begin().await?;
        let mut ended = Vec::new();
        loop {
            let page = tx.sessions_of(user, now).await?;
            let here = |session: &&Session| {
                session
                    .app
                    .as_ref()
                    .is_some_and(|app| app.application == application)
                    && wanted(session)
            };
            let mut closed = 0;
            for session in page.iter().filter(here) {
                if self
                    .close_session(&tx, session.id, Some(user), "ended", now)
                    .await?
                {
                    ended.push(session.id);
                    closed += 1;
                }
            }
            if closed == 0 {
                break;
            }
        }
        if !ended.is_empty() {
            let ids: Vec<String> = ended.iter().map(ToString::to_string).collect();
            let about = About {
                user: Some(user),
                application: Some(application),
                details: json!({ "sessions": ids }),
                ..About::default()
            };
            tx.add_event(&self.event(EventKind::SessionsEnded, about, origin, now))
                .await?;
        }
        tx.commit().await?;
        for id in &ended {
            self.inner.sessions.forget(&id.to_string());
        }
        Ok(ended)
    }

    /// Signs one browser out of an app.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_sign_out(&self, visit: &Arc<Visit>, origin: &Origin) -> AppResult<()> {
        self.sign_out(visit, origin)
            .await
            .map_err(|error: Error| error.into())
    }
}
