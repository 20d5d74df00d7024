//! The authorization endpoint: request in, one outcome out. Anonymous visits write nothing.

mod answers;
mod grant;
mod request;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

use doorward_crypto::token::{self, Opaque, TokenKind};
use doorward_domain::access::{self, Person};
use doorward_domain::application::Application;
use doorward_domain::attempt::{Attempt, Purpose};
use doorward_domain::client::{Client, ConsentMode, IssuerMode};
use doorward_domain::event::EventKind;
use doorward_domain::token::{CodeRecord, Family, Grant};
use doorward_domain::{ApplicationId, Reason, SessionId, Timestamp, UserId};
use doorward_oidc::authorize::{
    self, Authorize, AuthorizeErrorCode, AuthorizeRequest, ErrorRedirect, Page, Prompt, ReadError, Response,
    Rules, Visitor,
};
use doorward_oidc::claims;
use doorward_oidc::error::ErrorCode;
use doorward_oidc::params::Params;
use doorward_oidc::scope;
use doorward_store::Tx;

use crate::attempts::Progress;
use crate::error::{Fault, Refused, Result};
use crate::events::About;
use crate::sessions::Visit;
use crate::{Doorward, Origin};

/// Path of the authorization endpoint.
pub const PATH: &str = "/application/o/authorize/";
/// Path of the sign-in page.
pub const SIGN_IN: &str = "/if/flow/sign-in/";
/// Parameter that carries sealed progress; never part of what a client sends.
pub const PROGRESS: &str = "dw_progress";
/// `typ` of ID tokens.
pub(crate) const ID_TYP: &str = "JWT";

/// A call of the endpoint.
#[derive(Debug)]
pub struct Call<'a> {
    /// Query or form.
    pub params: Params,
    /// Session of the browser, if any.
    pub visit: Option<&'a Visit>,
    /// The browser's own cookie.
    pub browser: &'a str,
    /// Where it came from.
    pub origin: &'a Origin,
}

/// What the browser gets.
#[derive(Debug)]
pub enum Outcome {
    /// A page of ours; nothing goes to the client.
    Refused(Box<Refused>),
    /// Back to the client with a code or an error.
    Return(Response),
    /// To the sign-in page, then back here.
    SignIn {
        /// Path with query on this server.
        location: String,
    },
    /// Ask which account.
    SelectAccount(Box<Question>),
    /// Ask for consent.
    Consent(Box<Question>),
}

/// A page that asks the signed-in person something about an application.
#[derive(Debug)]
pub struct Question {
    /// To seal into the form.
    pub attempt: Attempt,
    /// Who asks.
    pub application: Arc<Application>,
    /// Who answers.
    pub person: Arc<Person>,
    /// Everything the client would get, with the descriptions of custom scopes.
    pub scopes: Vec<(String, Option<String>)>,
    /// Where the browser goes afterwards, as far as people need to know it.
    pub return_host: String,
}

/// What a sign-in page says about where one is going.
#[derive(Clone, Debug, Default)]
pub struct Destination {
    /// The application behind the request.
    pub application: Option<Arc<Application>>,
    /// `login_hint`.
    pub login_hint: Option<String>,
    /// `ui_locales`, best first.
    pub ui_locales: Vec<String>,
}

/// A checked request: who asks for what.
#[derive(Clone, Copy)]
struct Asked<'a> {
    application: &'a Application,
    client: &'a Client,
    request: &'a AuthorizeRequest,
}

/// Why the parameters could not be read, and whose they are as far as known.
struct Unread {
    application: Option<Arc<Application>>,
    why: ReadError,
}

impl Unread {
    fn unknown(page: Page) -> Self {
        Self {
            application: None,
            why: ReadError::Page(page),
        }
    }
}

/// A request object that cannot be used.
pub(crate) struct BadObject {
    pub code: AuthorizeErrorCode,
    pub problem: String,
}

impl BadObject {
    fn new(problem: impl Into<String>) -> Self {
        Self {
            code: AuthorizeErrorCode::InvalidRequestObject,
            problem: problem.into(),
        }
    }
}

struct Ready {
    application: Arc<Application>,
    params: Params,
    pushed: Option<[u8; 32]>,
    own: Params,
}

impl Doorward {
    /// Issuer of an application's tokens.
    #[must_use]
    pub fn issuer(&self, slug: &str, client: &Client) -> String {
        match client.issuer_mode {
            IssuerMode::Application => format!("{}/application/o/{slug}/", self.public_url()),
            IssuerMode::Global => format!("{}/", self.public_url()),
        }
    }

    /// Reads and checks the parameters of a request.
    pub(crate) fn read_request(
        &self,
        params: &Params,
        application: &Application,
        client: &Client,
    ) -> std::result::Result<AuthorizeRequest, ReadError> {
        let issuer = self.issuer(&application.slug, client);
        let directory = self.directory();
        let known = |scope: &str| directory.scopes.contains_key(scope);
        let rules = Rules {
            issuer: &issuer,
            custom_scopes: &known,
            known_acr: claims::ACR_KNOWN,
        };
        authorize::read(params, client, &rules)
    }

    /// Handles one authorization request.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn authorize(&self, call: Call<'_>) -> Result<Outcome> {
        let ready = match self.load_request(&call).await? {
            Ok(ready) => ready,
            Err(unread) => return Ok(self.refuse_unread(unread, call.origin).await),
        };
        let application = Arc::clone(&ready.application);
        let Some(client) = application.client.as_ref() else {
            return Err(Fault::internal("an application without a client was found by client id").into());
        };
        let request = match self.read_request(&ready.params, &application, client) {
            Ok(request) => request,
            Err(ReadError::Page(page)) => {
                return Ok(self.refuse_page(page, Some(&application), call.origin).await);
            }
            Err(ReadError::Return(error)) => {
                self.use_up(&ready).await?;
                return Ok(self.return_error(error, &application, call.origin).await);
            }
        };
        let progress = self.progress_of(&ready.own);
        let asked = Asked {
            application: &application,
            client,
            request: &request,
        };
        self.decide(&call, &ready, asked, progress).await
    }

    async fn decide(
        &self,
        call: &Call<'_>,
        ready: &Ready,
        asked: Asked<'_>,
        progress: Progress,
    ) -> Result<Outcome> {
        let Asked {
            application,
            client,
            request,
        } = asked;
        let now = self.now();
        let hint = self.hint_subject(request.id_token_hint.as_deref(), client);
        let Some(visit) = call.visit else {
            let decision = authorize::authorize(request, client, Visitor::Anonymous, hint.as_deref(), now);
            return Ok(match decision {
                Authorize::Return(error) => {
                    self.use_up(ready).await?;
                    self.return_error(error, application, call.origin).await
                }
                _ => Outcome::SignIn {
                    location: self.sign_in_location(&ready.own, Again::No),
                },
            });
        };
        let person = &visit.person;
        let subject = claims::subject_of(client.subject_mode, &person.user).unwrap_or_default();
        let granted = self
            .remembered(client, person.user.id, application.id, now)
            .await?;
        let session = visit.session.id;
        let reauthenticated = progress
            .asked_at
            .is_some_and(|since| visit.session.authentication.at >= since);
        let visitor = Visitor::SignedIn {
            subject: &subject,
            auth_time: visit.session.authentication.at,
            granted: granted.as_ref(),
            reauthenticated,
            // Whoever just typed a user name has chosen by that.
            account_selected: reauthenticated || progress.selected_in == Some(session),
            // The yes covers what the page showed: whatever has widened since then is asked for again.
            consented: progress.consented_in == Some(session)
                && progress.consented_to.as_deref() == Some(&scopes_digest(&request.consent_scopes)),
        };
        let decision = authorize::authorize(request, client, visitor, hint.as_deref(), now);
        match decision {
            Authorize::Return(error) => {
                self.use_up(ready).await?;
                return Ok(self.return_error(error, application, call.origin).await);
            }
            Authorize::SignIn | Authorize::Reauthenticate => {
                return Ok(Outcome::SignIn {
                    location: self.sign_in_location(&ready.own, Again::Yes),
                });
            }
            _ => {}
        }
        if let Some(outcome) = self.not_admitted(person, asked, call.origin).await {
            return Ok(outcome);
        }
        match decision {
            Authorize::SelectAccount => {
                let question = self.question(Purpose::SelectAccount, call, ready, visit, request);
                Ok(Outcome::SelectAccount(Box::new(question)))
            }
            Authorize::Consent { .. } => {
                let question = self.question(Purpose::Consent, call, ready, visit, request);
                Ok(Outcome::Consent(Box::new(question)))
            }
            _ => match self.grant_code(ready, asked, visit, call.origin).await? {
                Granted::Answer(outcome) => Ok(outcome),
                Granted::SessionEnded => Ok(Outcome::SignIn {
                    location: self.sign_in_location(&ready.own, Again::No),
                }),
            },
        }
    }

    fn hint_subject(&self, hint: Option<&str>, client: &Client) -> Option<String> {
        let own = self.open_own_jwt(hint?)?;
        // An access token is signed with the same keys and is no ID token all the same.
        if own.typ.as_deref() != Some(ID_TYP) {
            return None;
        }
        let for_us = own.claims.get("aud").is_some_and(|aud| match aud {
            Value::String(aud) => *aud == client.client_id,
            Value::Array(list) => list.iter().any(|aud| aud.as_str() == Some(&client.client_id)),
            _ => false,
        });
        if !for_us {
            return None;
        }
        own.claims.get("sub")?.as_str().map(str::to_owned)
    }

    async fn remembered(
        &self,
        client: &Client,
        user: UserId,
        application: ApplicationId,
        now: Timestamp,
    ) -> Result<Option<BTreeSet<String>>> {
        if client.consent == ConsentMode::Skip {
            return Ok(None);
        }
        let grant = self.store()?.read().grant(user, application).await?;
        let live = grant.filter(|grant| grant.expires_at.is_none_or(|at| now < at));
        Ok(live.map(|grant| grant.scopes))
    }

    async fn not_admitted(&self, person: &Person, asked: Asked<'_>, origin: &Origin) -> Option<Outcome> {
        let Asked {
            application,
            client,
            request,
        } = asked;
        let reason = match access::admit(person, application) {
            Ok(_) if claims::subject_of(client.subject_mode, &person.user).is_ok() => return None,
            Ok(_) => Reason::InvalidRequest,
            Err(reason) => reason,
        };
        let about = About {
            details: self.inputs(person, application, reason),
            ..about(person, application)
        };
        let refused = self.refuse("authorize", reason, about, origin).await;
        if request.prompts.contains(&Prompt::None) {
            let mut error = request.error(
                AuthorizeErrorCode::AccessDenied,
                "the person may not enter this application",
            );
            name_code(&mut error, &refused);
            return Some(Outcome::Return(error.response()));
        }
        Some(Outcome::Refused(Box::new(refused)))
    }

    /// The inputs of an access decision, for `explain`.
    pub(crate) fn inputs(&self, person: &Person, application: &Application, reason: Reason) -> Value {
        let directory = self.directory();
        let wanted = directory.groups.names(&application.audience.groups);
        json!({
            "rule": reason.as_str(),
            "user": person.user.username,
            "user_active": person.user.active,
            "user_groups": directory.groups.names(&person.groups),
            "application": application.slug,
            "audience_everyone": application.audience.everyone,
            "audience_groups": wanted,
            "audience_people": application.audience.users.len(),
        })
    }

    fn sign_in_location(&self, own: &Params, again: Again) -> String {
        let progress = Progress {
            asked_at: Some(self.now()),
            ..Progress::default()
        };
        let next = match again {
            Again::Yes => self.with_progress(own, &progress),
            // After a first sign-in nobody is asked for the password a second time because of prompt=login or max_age.
            Again::No
                if own.get("prompt").is_some()
                    || own.get("max_age").is_some()
                    || own.get("request_uri").is_some()
                    || own.get("request").is_some() =>
            {
                self.with_progress(own, &progress)
            }
            Again::No => own.without(&[PROGRESS]),
        };
        let next = format!("{PATH}?{}", next.to_query());
        let mut query = Params::from_pairs([("next", next.as_str())]);
        if again == Again::Yes {
            query = query.with("again", "1");
        }
        format!("{SIGN_IN}?{}", query.to_query())
    }

    fn question(
        &self,
        purpose: Purpose,
        call: &Call<'_>,
        ready: &Ready,
        visit: &Visit,
        request: &AuthorizeRequest,
    ) -> Question {
        let next = format!("{PATH}?{}", ready.own.to_query());
        let directory = self.directory();
        let describe = |scope: &String| {
            let custom = directory
                .scopes
                .get(scope)
                .map(|custom| custom.description.clone());
            (scope.clone(), custom)
        };
        let mut attempt = self.new_attempt(purpose, call.browser, Some(visit.session.id), next);
        attempt.data = json!({ "scopes": scopes_digest(&request.consent_scopes) });
        Question {
            attempt,
            application: Arc::clone(&ready.application),
            person: Arc::clone(&visit.person),
            scopes: request.consent_scopes.iter().map(describe).collect(),
            return_host: host_of(&request.redirect_uri),
        }
    }

    async fn refuse_page(&self, page: Page, application: Option<&Application>, origin: &Origin) -> Outcome {
        let reason = match &page {
            Page::UnknownClient { .. } | Page::NoClientId => Reason::UnknownClient,
            Page::RedirectMismatch { .. } | Page::RedirectMissing | Page::RedirectMalformed { .. } => {
                Reason::RedirectUriMismatch
            }
            Page::NoCodeGrant => Reason::UnauthorizedClient,
            Page::BadParameters(_) | Page::RequestUri(_) => Reason::InvalidRequest,
        };
        let details = page_details(&page);
        let shown: serde_json::Map<String, Value> = details
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
            .collect();
        let about = About {
            application: application.map(|a| a.id),
            details: Value::Object(shown),
            ..About::default()
        };
        let mut refused = self.refuse("authorize", reason, about, origin).await;
        refused.details = details;
        Outcome::Refused(Box::new(refused))
    }

    async fn return_error(
        &self,
        mut error: ErrorRedirect,
        application: &Application,
        origin: &Origin,
    ) -> Outcome {
        self.inner.metrics.decided("authorize", error.error);
        let expected = [
            "login_required",
            "consent_required",
            "interaction_required",
            "account_selection_required",
        ];
        if !expected.contains(&error.error) {
            let details = json!({ "error": error.error, "description": error.description });
            let about = About {
                application: Some(application.id),
                details,
                ..About::default()
            };
            let refused = self
                .refuse("authorize", Reason::InvalidRequest, about, origin)
                .await;
            name_code(&mut error, &refused);
        }
        Outcome::Return(error.response())
    }
}

/// What came of issuing a code.
enum Granted {
    /// This.
    Answer(Outcome),
    /// Nothing: the session is over.
    SessionEnded,
}

/// Is the person asked for the password although a session exists?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    Yes,
    No,
}

/// Answer of the account page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Go on as shown.
    Continue,
    /// Sign in as somebody else.
    Other,
}

/// Answer of the consent page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Allow,
    /// No.
    Deny,
}

fn about(person: &Person, application: &Application) -> About {
    About {
        user: Some(person.user.id),
        application: Some(application.id),
        ..About::default()
    }
}

fn page_details(page: &Page) -> Vec<(&'static str, String)> {
    match page {
        Page::UnknownClient { client_id } => vec![("client_id", client_id.clone())],
        Page::NoClientId => vec![("client_id", "missing".into())],
        Page::RedirectMissing => vec![("redirect_uri", "missing".into())],
        Page::RedirectMismatch { given, nearest } => {
            let mut details = vec![("redirect_uri", shorten(given))];
            details.push((
                "nearest_registered",
                nearest.clone().unwrap_or_else(|| "none".into()),
            ));
            details
        }
        Page::RedirectMalformed { given } => vec![("redirect_uri", shorten(given))],
        Page::NoCodeGrant => vec![(
            "grant_type",
            "authorization_code is not allowed for this client".into(),
        )],
        Page::BadParameters(problem) => vec![("problem", problem.clone())],
        Page::RequestUri(problem) => vec![("request_uri", problem.clone())],
    }
}

/// Tells the client the code under which `explain` finds the inputs.
fn name_code(error: &mut ErrorRedirect, refused: &Refused) {
    if let Some(code) = &refused.code {
        error.description.push_str(&format!(" ({code})"));
    }
}

/// What a consent page showed, in the size of a digest.
fn scopes_digest(scopes: &BTreeSet<String>) -> String {
    token::digest(&scope::join(scopes)).hex()
}

fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// Host of a redirect URI, or its scheme for native apps.
pub(crate) fn host_of(uri: &str) -> String {
    match url::Url::parse(uri) {
        Ok(url) => url
            .host_str()
            .map_or_else(|| url.scheme().to_owned(), str::to_owned),
        Err(_) => String::new(),
    }
}
