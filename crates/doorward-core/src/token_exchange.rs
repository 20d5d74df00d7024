//! Token exchange (RFC 8693): a confidential client turns a token that reached it into one for another application.
//!
//! Who may: the target application lists the exchanging client (`exchange_from`); nothing is allowed by default. What comes out
//! hangs off the family of the subject token, so that ending that ends everything exchanged from it, and passes [`Doorward::issue`]: the
//! person must be admitted to the target. It is always a JWT, whatever form the target's own tokens have, because `act` has to be
//! readable; `act` names the exchanging client also when no `actor_token` says who acts. No refresh token, no ID token, and
//! the person is not asked again: the list is the operator's word that the target may know what the subject token allows.

use std::sync::Arc;

use serde_json::{Value, json};

use doorward_domain::application::Application;
use doorward_domain::client::{Client, GrantType};
use doorward_domain::{Lifetime, Timestamp, UserId};
use doorward_oidc::error::{ErrorCode, TokenError};
use doorward_oidc::token_exchange::{self, ExchangeRequest};
use doorward_oidc::{claims, resource};

use crate::Doorward;
use crate::dpop;
use crate::error::{Error, Fault, Result};
use crate::events::About;
use crate::issue::Issuance;
use crate::token::{Answer, Caller, reason_of};
use crate::token_use::Live;

/// What sets an exchanged token apart from others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange<'a> {
    /// Who exchanges; the token's `client_id`.
    pub client: &'a Client,
    /// The token's `act`.
    pub act: &'a Value,
    /// End of the subject token, which the new one does not outlive.
    pub until: Timestamp,
    /// `jti` of the subject token, for the record.
    pub subject_jti: &'a str,
}

impl Exchange<'_> {
    /// The lifetime of the new token.
    pub(crate) fn lifetime(&self, usual: Lifetime, now: Timestamp) -> Lifetime {
        let left = u32::try_from(self.until.millis_since(now).max(0)).map(Lifetime::from_millis);
        left.map_or(usual, |left| left.min(usual))
    }
}

/// What is known about an exchange that may still be refused.
#[derive(Default)]
struct Trace {
    user: Option<UserId>,
    jti: Option<String>,
}

fn invalid_request(description: &str) -> Error {
    TokenError::new(ErrorCode::InvalidRequest, description).into()
}

impl Doorward {
    /// Answers a token exchange.
    ///
    /// # Errors
    /// `Protocol` as RFC 8693 section 2.2.2 has it: `invalid_request` for tokens that cannot be exchanged, `invalid_target`,
    /// `invalid_scope`; `invalid_grant` when the person may not enter the target.
    pub(crate) async fn exchange(&self, caller: &Caller<'_>, request: &ExchangeRequest) -> Result<Answer> {
        let mut trace = Trace::default();
        let error = match self.answer_exchange(caller, request, &mut trace).await {
            Err(Error::Protocol(error)) if error.reference.is_none() => *error,
            other => return other,
        };
        let Some(reason) = reason_of(error.code) else {
            return Err(error.into());
        };
        let details = json!({ "what": "token_exchange", "error": error.code.as_str(), "problem": error.description,
            "subject_jti": trace.jti, "audience": request.audience, "resources": request.resources });
        let about = About {
            user: trace.user,
            application: Some(caller.application.id),
            details,
            ..About::default()
        };
        Err(self
            .refuse("token", reason, about, caller.origin)
            .await
            .naming(error))
    }

    async fn answer_exchange(
        &self,
        caller: &Caller<'_>,
        request: &ExchangeRequest,
        trace: &mut Trace,
    ) -> Result<Answer> {
        let subject = self
            .presented(caller, &request.subject_token, "subject_token")
            .await?;
        trace.jti = Some(subject.found.jti.clone());
        trace.user = subject.person.as_ref().map(|person| person.user.id);
        if !crate::token_use::may_know(caller.application, caller.client, &subject.found) {
            return Err(invalid_request("subject_token is not meant for this client"));
        }
        let (Some(family), Some(person)) = (&subject.family, &subject.person) else {
            return Err(invalid_request("subject_token is not about a person"));
        };
        let actor = self.actor(caller, request.actor_token.as_deref()).await?;
        let act = token_exchange::act(&actor, &caller.client.client_id, subject.found.act.as_ref())?;
        let target = self.exchange_target(caller, request.audience.as_deref()).await?;
        let application = target.as_deref().unwrap_or(caller.application);
        let Some(client) = application.client.as_ref() else {
            return Err(Fault::internal("an application without a client was found by client id").into());
        };
        resource::allow(&request.resources, client)?;
        let scopes = token_exchange::narrow(&subject.found.scopes, &client.scopes, request.scopes.as_ref())?;
        let exchange = Exchange {
            client: caller.client,
            act: &act,
            until: subject.found.expires_at,
            subject_jti: &subject.found.jti,
        };
        let issuance = Issuance {
            application,
            client,
            family: Some(family),
            person: Some(person),
            scopes: &scopes,
            resources: &request.resources,
            grant_type: GrantType::TokenExchange,
            proof: caller.proof.as_ref(),
            exchange: Some(&exchange),
        };
        let minted = self.issue(&issuance, caller.origin, caller.now).await?;
        let tx = self.store()?.begin().await?;
        let current = tx.family(family.id).await?;
        if current.is_none_or(|family| family.ended_at.is_some()) {
            return Err(invalid_request(
                "the authorization behind subject_token has ended",
            ));
        }
        minted.save(&tx).await?;
        tx.commit().await?;
        Ok(minted.answer)
    }

    /// A live access token that the caller sent. Whoever holds a bound one itself has to prove that it holds the key.
    async fn presented(&self, caller: &Caller<'_>, text: &str, name: &str) -> Result<Live> {
        let Some(live) = self.live_access(text, caller.now).await? else {
            return Err(invalid_request(&format!(
                "{name} is unknown, expired or revoked; expected a live access token of this server"
            )));
        };
        if live.found.holder() == Some(caller.client.client_id.as_str()) {
            dpop::check_binding(live.found.jkt.as_deref(), caller.proof.as_ref(), name)?;
        }
        Ok(live)
    }

    /// Who acts: the caller, or whom the caller's own actor token is about.
    async fn actor(&self, caller: &Caller<'_>, token: Option<&str>) -> Result<String> {
        let own = &caller.client.client_id;
        let Some(token) = token else {
            return Ok(own.clone());
        };
        let live = self.presented(caller, token, "actor_token").await?;
        if live.found.holder() != Some(own.as_str()) {
            return Err(invalid_request("actor_token was not issued to this client"));
        }
        match &live.person {
            None => Ok(own.clone()),
            Some(person) => Ok(claims::subject_of(caller.client.subject_mode, &person.user)
                .map_err(|problem| TokenError::new(ErrorCode::InvalidRequest, problem.to_string()))?),
        }
    }

    /// The application that the token is for; `None` is the caller's own.
    async fn exchange_target(
        &self,
        caller: &Caller<'_>,
        audience: Option<&str>,
    ) -> Result<Option<Arc<Application>>> {
        let own = &caller.client.client_id;
        let Some(audience) = audience.filter(|audience| audience != own) else {
            return Ok(None);
        };
        let found = self.client_application(audience).await?;
        let open = |application: &Arc<Application>| {
            let client = application.client.as_ref();
            client.is_some_and(|client| client.exchange_from.contains(own))
        };
        match found.filter(open) {
            Some(application) => Ok(Some(application)),
            None => Err(token_exchange::unknown_target().into()),
        }
    }
}
