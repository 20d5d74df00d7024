//! An OpenID client: makes requests with PKCE, reads what comes back, redeems codes.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use doorward_core::Origin;
use doorward_core::admin::applications::Created;
use doorward_core::authorize::Outcome;
use doorward_core::error::{Error, Refused, Result};
use doorward_core::token::Answer;
use doorward_crypto::token::pkce_s256;
use doorward_domain::application::Application;
use doorward_oidc::authorize::Response;
use doorward_oidc::error::TokenError;
use doorward_oidc::params::Params;
use serde_json::{Map, Value};

use crate::app::App;
use crate::browser::Browser;

/// A registered client as its own program sees itself.
#[derive(Clone)]
pub struct Client {
    app: App,
    /// The application as it was when the client was made.
    pub application: Application,
    /// `client_id`.
    pub id: String,
    /// `client_secret`; `None` for public clients and those with keys.
    pub secret: Option<String>,
    /// Where answers go.
    pub redirect_uri: String,
    /// Where the client's own server is.
    pub origin: Origin,
}

/// One request with what the client has to remember.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Parameters for the authorization endpoint.
    pub params: Params,
    /// PKCE verifier.
    pub verifier: String,
    /// `state`.
    pub state: String,
}

/// What came of a whole sign-in.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The answer of the token endpoint.
    pub answer: Answer,
}

impl Tokens {
    fn text(&self, name: &str) -> String {
        let value = self.answer.get(name).and_then(Value::as_str);
        value
            .unwrap_or_else(|| panic!("the answer has no {name}"))
            .to_owned()
    }

    /// The access token.
    #[must_use]
    pub fn access(&self) -> String {
        self.text("access_token")
    }

    /// The refresh token.
    #[must_use]
    pub fn refresh(&self) -> String {
        self.text("refresh_token")
    }

    /// The ID token.
    #[must_use]
    pub fn id(&self) -> String {
        self.text("id_token")
    }
}

/// Parameters of the way back to the client.
///
/// # Panics
/// When the browser is not sent back to a client.
#[must_use]
pub fn back(outcome: &Outcome) -> Params {
    match outcome {
        Outcome::Return(Response::Location(location)) => {
            let cut = location.find(['?', '#']).map_or(location.len(), |at| at + 1);
            let query = location.get(cut..).unwrap_or_default();
            Params::parse(query).expect("a query that can be read")
        }
        Outcome::Return(Response::FormPost { fields, .. }) => Params::from_pairs(fields.clone()),
        other => panic!("expected a way back to the client, got {other:?}"),
    }
}

/// Where the sign-in page is.
///
/// # Panics
/// When the browser is not sent to the sign-in page.
#[must_use]
pub fn location(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::SignIn { location } => location,
        other => panic!("expected the sign-in page, got {other:?}"),
    }
}

/// The refusal that a page shows.
///
/// # Panics
/// When something else came out.
pub fn refusal(outcome: &Outcome) -> &Refused {
    match outcome {
        Outcome::Refused(refused) => refused,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

impl Client {
    pub(crate) fn new(app: App, created: &Created) -> Self {
        let client = created.application.client.as_ref().expect("an OAuth side");
        Self {
            app,
            id: client.client_id.clone(),
            secret: created.client_secret.clone(),
            redirect_uri: client.redirect_uris.first().cloned().unwrap_or_default(),
            application: created.application.clone(),
            origin: Origin::default(),
        }
    }

    /// The same client talking to another replica.
    #[must_use]
    pub fn talking_to(&self, app: &App) -> Self {
        Self {
            app: app.clone(),
            ..self.clone()
        }
    }

    /// `Authorization` header with id and secret.
    #[must_use]
    pub fn basic(&self) -> Option<String> {
        let secret = self.secret.as_deref()?;
        let pair = format!("{}:{secret}", self.id);
        Some(format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(pair)
        ))
    }

    /// A request for `openid profile email` with fresh state, nonce and verifier.
    #[must_use]
    pub fn ask(&self) -> Asked {
        self.ask_for("openid profile email")
    }

    /// A request for these scopes.
    #[must_use]
    pub fn ask_for(&self, scope: &str) -> Asked {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let verifier = format!("verifier-{number:0>40}");
        let state = format!("state-{number}");
        let params = Params::from_pairs([
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", &self.redirect_uri),
            ("scope", scope),
            ("state", &state),
            ("nonce", &format!("nonce-{number}")),
            ("code_challenge", &pkce_s256(&verifier)),
            ("code_challenge_method", "S256"),
        ]);
        Asked {
            params,
            verifier,
            state,
        }
    }

    /// Lets a signed-in browser come back with a code.
    pub async fn code(&self, browser: &Browser, asked: &Asked) -> String {
        let outcome = browser.authorize(asked.params.clone()).await;
        let back = back(&outcome);
        assert_eq!(back.get("state"), Some(asked.state.as_str()), "{outcome:?}");
        let code = back.get("code");
        code.unwrap_or_else(|| {
            panic!(
                "no code: {:?} {:?}",
                back.get("error"),
                back.get("error_description")
            )
        })
        .to_owned()
    }

    /// The form that redeems a code.
    #[must_use]
    pub fn code_form(&self, code: &str, asked: &Asked) -> Params {
        Params::from_pairs([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", &asked.verifier),
        ])
    }

    /// Asks the token endpoint, as this client.
    ///
    /// # Errors
    /// As the token endpoint.
    pub async fn token(&self, form: Params) -> Result<Answer> {
        let form = self.identified(form);
        self.app
            .doorward
            .token(self.basic().as_deref(), &form, &self.origin)
            .await
    }

    fn identified(&self, form: Params) -> Params {
        let named = self.secret.is_some() || form.get("client_assertion").is_some();
        if named {
            form
        } else {
            form.with("client_id", &self.id)
        }
    }

    /// Redeems a code.
    ///
    /// # Errors
    /// As the token endpoint.
    pub async fn redeem(&self, code: &str, asked: &Asked) -> Result<Answer> {
        self.token(self.code_form(code, asked)).await
    }

    /// Refreshes.
    ///
    /// # Errors
    /// As the token endpoint.
    pub async fn refresh(&self, token: &str) -> Result<Answer> {
        let form = Params::from_pairs([("grant_type", "refresh_token"), ("refresh_token", token)]);
        self.token(form).await
    }

    /// A whole sign-in for these scopes.
    pub async fn tokens(&self, browser: &Browser, scope: &str) -> Tokens {
        let asked = self.ask_for(scope);
        let code = self.code(browser, &asked).await;
        let answer = self.redeem(&code, &asked).await.expect("tokens");
        Tokens { answer }
    }

    /// Introspects as this client.
    pub async fn introspect(&self, token: &str) -> Value {
        let form = Params::from_pairs([("token", token)]);
        self.app
            .doorward
            .introspect(self.basic().as_deref(), &self.identified(form), &self.origin)
            .await
            .expect("an introspection")
    }

    /// Does introspection call the token active?
    pub async fn is_active(&self, token: &str) -> bool {
        self.introspect(token).await.get("active") == Some(&Value::Bool(true))
    }

    /// Revokes as this client.
    pub async fn revoke(&self, token: &str) {
        let form = Params::from_pairs([("token", token)]);
        self.app
            .doorward
            .revoke(self.basic().as_deref(), &self.identified(form), &self.origin)
            .await
            .expect("a revocation");
    }

    /// The userinfo endpoint.
    ///
    /// # Errors
    /// As the endpoint.
    pub async fn userinfo(&self, access_token: &str) -> Result<Map<String, Value>> {
        self.app.doorward.userinfo(access_token).await
    }
}

impl Client {
    /// The protocol error in a result.
    ///
    /// # Panics
    /// When it worked or failed otherwise.
    pub fn error<T: std::fmt::Debug>(result: Result<T>) -> TokenError {
        match result {
            Err(Error::Protocol(error)) => *error,
            other => panic!("expected a protocol error, got {other:?}"),
        }
    }
}
