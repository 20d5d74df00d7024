//! A person's browser: three cookies and an address.

use std::net::IpAddr;
use std::sync::Arc;

use doorward_core::Origin;
use doorward_core::authorize::{Call, Outcome};
use doorward_core::error::Result;
use doorward_core::sessions::Visit;
use doorward_core::sign_in::{SignIn, SignedIn};
use doorward_domain::SessionId;
use doorward_oidc::params::Params;

use crate::app::App;

/// What one browser keeps.
#[derive(Clone)]
pub struct Browser {
    app: App,
    /// The browser's own cookie.
    pub id: String,
    /// The session cookie.
    pub session: Option<String>,
    /// The sealed memory of accounts.
    pub known: Option<String>,
    /// Where it is.
    pub origin: Origin,
}

impl Browser {
    pub(crate) fn new(app: App) -> Self {
        let id = app.doorward.new_browser();
        let origin = Origin {
            ip: Some(IpAddr::from([192, 0, 2, 1])),
            user_agent: Some("Story/1.0".to_owned()),
        };
        Self {
            app,
            id,
            session: None,
            known: None,
            origin,
        }
    }

    /// The same browser elsewhere.
    #[must_use]
    pub fn at(mut self, ip: impl Into<IpAddr>) -> Self {
        self.origin.ip = Some(ip.into());
        self
    }

    /// The same browser talking to another replica.
    #[must_use]
    pub fn talking_to(&self, app: &App) -> Self {
        Self {
            app: app.clone(),
            ..self.clone()
        }
    }

    /// Who is signed in.
    pub async fn visit(&self) -> Option<Arc<Visit>> {
        self.app
            .doorward
            .visit(self.session.as_deref())
            .await
            .expect("an answer")
    }

    /// Id of the session.
    pub async fn session_id(&self) -> SessionId {
        self.visit().await.expect("somebody signed in").session.id
    }

    /// Types name and password.
    ///
    /// # Errors
    /// As core's `sign_in`.
    pub async fn sign_in(&mut self, identifier: &str, password: &str) -> Result<SignedIn> {
        let visit = self.visit().await;
        let signed_in = self
            .app
            .doorward
            .sign_in(SignIn {
                identifier,
                password,
                known: self.known.as_deref(),
                previous: visit.as_deref().map(|visit| &visit.session),
                origin: &self.origin,
            })
            .await?;
        self.session = Some(signed_in.token.clone());
        self.known = Some(signed_in.known.clone());
        Ok(signed_in)
    }

    /// Opens the authorization endpoint.
    pub async fn authorize(&self, params: Params) -> Outcome {
        let visit = self.visit().await;
        let call = Call {
            params,
            visit: visit.as_deref(),
            browser: &self.id,
            origin: &self.origin,
        };
        self.app.doorward.authorize(call).await.expect("an outcome")
    }
}
