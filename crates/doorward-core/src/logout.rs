//! Signing out on a client's request, and telling the other clients (back-channel by job, front-channel by page).

use serde_json::{Value, json};
use std::sync::Arc;

use doorward_domain::application::Application;
use doorward_domain::attempt::{Attempt, Purpose};
use doorward_domain::event::EventKind;
use doorward_domain::{ApplicationId, SessionId, Timestamp, UserId};
use doorward_oidc::claims;
use doorward_oidc::logout::{self, CurrentSession, Logout, LogoutPage, LogoutRequest, VerifiedHint};
use doorward_oidc::params::Params;
use doorward_store::{NewJob, Tx};

use crate::error::{Refused, Result};
use crate::events::About;
use crate::sessions::{Visit, parse_id};
use crate::{Doorward, Origin};

/// Job that delivers one logout token.
pub(crate) const JOB: &str = "backchannel_logout";

/// What the browser gets.
#[derive(Debug)]
pub enum Outcome {
    /// Ask first: the request does not prove that the signed-in person meant it.
    Confirm {
        /// To seal into the form.
        attempt: Box<Attempt>,
        /// Who asks, when known.
        application: Option<Arc<Application>>,
    },
    /// Done.
    Done {
        /// Frames to load (OpenID Connect Front-Channel Logout).
        frames: Vec<String>,
        /// Where to go then.
        redirect: Option<String>,
        /// Who asked, when known.
        application: Option<Arc<Application>>,
    },
    /// Not acceptable; a page says why.
    Refused(Box<Refused>),
}

impl Doorward {
    /// The end-session endpoint.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn end_session(
        &self,
        slug: Option<&str>,
        params: &Params,
        visit: Option<&Visit>,
        browser: &str,
        origin: &Origin,
    ) -> Result<Outcome> {
        let request = match LogoutRequest::read(params) {
            Ok(request) => request,
            Err(problem) => {
                return Ok(self
                    .refuse_logout(None, problem.to_string(), Vec::new(), origin)
                    .await);
            }
        };
        // Before the keys are there, every hint would count as forged.
        self.store()?;
        let hint = request
            .id_token_hint
            .as_deref()
            .and_then(|hint| self.verify_hint(hint));
        if request.id_token_hint.is_some() && hint.is_none() {
            let problem = "id_token_hint is not an ID token of this issuer".to_owned();
            return Ok(self.refuse_logout(None, problem, Vec::new(), origin).await);
        }
        let named = request
            .client_id
            .as_deref()
            .or_else(|| hint.as_ref().map(|hint| hint.client_id.as_str()));
        let of_slug = match slug {
            Some(slug) => self.slug_application(slug).await?,
            None => None,
        };
        let application = match named {
            Some(id) => self.client_application(id).await?,
            None => None,
        };
        if let (Some(of_slug), Some(named)) = (&of_slug, &application)
            && self.issuer_of(of_slug) != self.issuer_of(named)
        {
            let problem = "the sign-out of one application was asked for at another's address".to_owned();
            return Ok(self
                .refuse_logout(Some(of_slug.id), problem, Vec::new(), origin)
                .await);
        }
        let application = application.or(of_slug);
        let application = application.as_ref();
        let client = application.and_then(|application| application.client.as_ref());
        let sid = visit.map(|visit| visit.session.id.to_string());
        let subject = visit
            .zip(client)
            .and_then(|(visit, client)| claims::subject_of(client.subject_mode, &visit.person.user).ok());
        let session = sid.as_deref().map(|sid| CurrentSession {
            sid,
            subject: subject.as_deref(),
        });
        match logout::decide(&request, hint.as_ref(), client, session) {
            Logout::Page(page) => {
                let (problem, details) = describe(page);
                Ok(self
                    .refuse_logout(application.map(|a| a.id), problem, details, origin)
                    .await)
            }
            Logout::Confirm { redirect } => {
                let session = visit.map(|visit| visit.session.id);
                let mut attempt = self.new_attempt(Purpose::SignOut, browser, session, "/if/user/".into());
                attempt.data =
                    json!({ "redirect": redirect, "application": application.map(|a| a.slug.clone()) });
                Ok(Outcome::Confirm {
                    attempt: Box::new(attempt),
                    application: application.cloned(),
                })
            }
            Logout::Proceed { redirect } => {
                let frames = self.finish(visit, origin).await?;
                Ok(Outcome::Done {
                    frames,
                    redirect,
                    application: application.cloned(),
                })
            }
        }
    }

    async fn refuse_logout(
        &self,
        application: Option<ApplicationId>,
        problem: String,
        details: Vec<(&'static str, String)>,
        origin: &Origin,
    ) -> Outcome {
        let about = About {
            application,
            details: json!({ "problem": problem }),
            ..About::default()
        };
        let reason = doorward_domain::Reason::RedirectUriMismatch;
        let mut refused = self.refuse("logout", reason, about, origin).await;
        refused.details = details;
        refused.details.push(("problem", problem));
        Outcome::Refused(Box::new(refused))
    }

    /// The person confirmed on our page.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn end_session_confirmed(
        &self,
        attempt: &Attempt,
        visit: Option<&Visit>,
        origin: &Origin,
    ) -> Result<Outcome> {
        let frames = self.finish(visit, origin).await?;
        let redirect = attempt
            .data
            .get("redirect")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let slug = attempt.data.get("application").and_then(Value::as_str);
        let application = slug.and_then(|slug| self.directory().by_slug(slug).cloned());
        Ok(Outcome::Done {
            frames,
            redirect,
            application,
        })
    }

    async fn finish(&self, visit: Option<&Visit>, origin: &Origin) -> Result<Vec<String>> {
        let Some(visit) = visit else { return Ok(Vec::new()) };
        let frames = self.frames(visit.session.id).await?;
        self.sign_out(visit, origin).await?;
        Ok(frames)
    }

    /// Front-channel logout URLs of the clients that got tokens in a session.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn frames(&self, session: SessionId) -> Result<Vec<String>> {
        let directory = self.directory();
        let clients = self.store()?.read().clients_of_session(session).await?;
        let frame = |id: &ApplicationId| {
            let application = directory.application(*id)?;
            let client = application.client.as_ref()?;
            let uri = client.frontchannel_logout_uri.as_deref()?;
            Some(logout::frontchannel_url(
                uri,
                &self.issuer(&application.slug, client),
                &session.to_string(),
            ))
        };
        Ok(clients.iter().filter_map(frame).collect())
    }

    fn verify_hint(&self, hint: &str) -> Option<VerifiedHint> {
        // The hint may have expired (RP-Initiated Logout section 2); its signature must be ours.
        let own = self.open_own_jwt(hint)?;
        let text_of = |name: &str| own.claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let client_id = match own.claims.get("aud")? {
            Value::String(one) => one.clone(),
            Value::Array(list) => list.first()?.as_str()?.to_owned(),
            _ => return None,
        };
        if own.typ.as_deref() != Some(crate::authorize::ID_TYP) {
            return None;
        }
        Some(VerifiedHint {
            client_id,
            sid: text_of("sid"),
            sub: text_of("sub")?,
        })
    }

    /// Queues a logout token for each client of the session that wants one.
    pub(crate) async fn queue_logout_tokens(
        &self,
        tx: &Tx,
        session: SessionId,
        user: Option<UserId>,
        now: Timestamp,
    ) -> Result<()> {
        let directory = self.directory();
        for id in tx.clients_of_session(session).await? {
            let wants = directory
                .application(id)
                .and_then(|application| application.client.as_ref())
                .is_some_and(|client| client.backchannel_logout_uri.is_some());
            if !wants {
                continue;
            }
            let payload = json!({
                "application": id.to_string(),
                "session": session.to_string(),
                "user": user.map(|user| user.to_string()),
            });
            let job = NewJob {
                id: self.mint(now),
                kind: JOB.to_owned(),
                unique_key: Some(format!("{JOB} {id} {session}")),
                payload,
                run_at: now,
                max_attempts: 8,
                created_at: now,
            };
            tx.enqueue(job).await?;
        }
        Ok(())
    }

    /// Delivers one logout token.
    pub(crate) async fn deliver_logout(&self, payload: &Value) -> std::result::Result<(), Delivery> {
        let field = |name: &str| payload.get(name).and_then(Value::as_str);
        let gone = || Delivery::Pointless("the application no longer wants logout tokens".into());
        let application: ApplicationId = field("application").and_then(parse_id).ok_or_else(gone)?;
        let session: SessionId = field("session").and_then(parse_id).ok_or_else(gone)?;
        let user: Option<UserId> = field("user").and_then(parse_id);
        let directory = self.directory();
        let application = directory.application(application).ok_or_else(gone)?;
        let client = application.client.as_ref().ok_or_else(gone)?;
        let uri = client.backchannel_logout_uri.as_deref().ok_or_else(gone)?;
        let subject = self
            .subject_for_logout(client, user)
            .await
            .map_err(|error| Delivery::Failed(error.to_string()))?;
        let now = self.now();
        let issuer = self.issuer(&application.slug, client);
        let jti = self.random_hex::<16>();
        let claims = logout::logout_token(
            &issuer,
            &client.client_id,
            subject.as_deref(),
            Some(&session.to_string()),
            &jti,
            now,
        );
        let key = self
            .signing_key(client.signing_algorithm, now)
            .map_err(|error| Delivery::Failed(error.to_string()))?;
        let token = key
            .sign(logout::TOKEN_TYPE, &claims)
            .map_err(|error| Delivery::Failed(error.to_string()))?;
        let answer = self
            .inner
            .ports
            .fetch
            .post_form(uri, &[("logout_token", &token)])
            .await;
        match answer {
            Ok(answer) if matches!(answer.status, 200 | 204) => Ok(()),
            Ok(answer) if answer.status == 400 => Err(Delivery::Pointless(
                "the client refused the logout token (400)".into(),
            )),
            Ok(answer) => Err(Delivery::Failed(format!("the client answered {}", answer.status))),
            Err(error) => Err(Delivery::Failed(error.to_string())),
        }
    }

    async fn subject_for_logout(
        &self,
        client: &doorward_domain::client::Client,
        user: Option<UserId>,
    ) -> Result<Option<String>> {
        let Some(user) = user else { return Ok(None) };
        let user = self.store()?.read().user(user).await?;
        Ok(user.and_then(|user| claims::subject_of(client.subject_mode, &user).ok()))
    }

    /// Writes down how a delivery ended.
    pub(crate) async fn note_delivery(&self, payload: &Value, outcome: &str) -> Result<()> {
        let now = self.now();
        let field = |name: &str| payload.get(name).and_then(Value::as_str);
        let about = About {
            application: field("application").and_then(parse_id),
            session: field("session").and_then(parse_id),
            user: field("user").and_then(parse_id),
            details: json!({ "outcome": outcome }),
        };
        let tx = self.store()?.begin().await?;
        tx.add_event(&self.event(EventKind::LogoutDelivered, about, &Origin::default(), now))
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

fn describe(page: LogoutPage) -> (String, Vec<(&'static str, String)>) {
    match page {
        LogoutPage::WrongClient => (
            "client_id is unknown or is not the client of id_token_hint".into(),
            Vec::new(),
        ),
        LogoutPage::ClientMissing => (
            "post_logout_redirect_uri needs id_token_hint or client_id".into(),
            Vec::new(),
        ),
        LogoutPage::RedirectMismatch { given, nearest } => (
            "post_logout_redirect_uri is not registered".into(),
            vec![
                (
                    "post_logout_redirect_uri",
                    given.chars().filter(|c| !c.is_control()).take(300).collect(),
                ),
                ("nearest_registered", nearest.unwrap_or_else(|| "none".into())),
            ],
        ),
    }
}

/// Why a logout token was not delivered.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// Worth trying again.
    Failed(String),
    /// Not worth trying again.
    Pointless(String),
}
