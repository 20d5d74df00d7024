//! The token endpoint: every grant type, single use decided by the database, tokens signed before the transaction opens.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

use doorward_crypto::seal;
use doorward_crypto::token;
use doorward_domain::access::Person;
use doorward_domain::application::Application;
use doorward_domain::client::{Client, ConsentMode, GrantType};
use doorward_domain::event::EventKind;
use doorward_domain::token::{CodeRecord, Family, RefreshRecord};
use doorward_domain::user::User;
use doorward_domain::{ApplicationId, Code, GroupId, Reason, Timestamp};
use doorward_oidc::error::{ErrorCode, TokenError};
use doorward_oidc::params::Params;
use doorward_oidc::refresh::{self, Rotation};
use doorward_oidc::token::{self as oidc_token, TokenRequest};
use doorward_store::{Refreshing, Taken, Tx};

use crate::dpop::{self, Proven};
use crate::error::{Error, Fault, Refused, Result};
use crate::events::About;
use crate::issue::Issuance;
use crate::{Doorward, Origin};

/// The JSON answer of the token endpoint.
pub type Answer = Map<String, Value>;

/// A call whose client is proved.
pub(crate) struct Caller<'a> {
    pub application: &'a Application,
    pub client: &'a Client,
    pub origin: &'a Origin,
    pub now: Timestamp,
    /// The key that the client holds, when it sent a proof (RFC 9449).
    pub proof: Option<Proven>,
}

pub(crate) fn invalid_grant(description: &str) -> Error {
    TokenError::new(ErrorCode::InvalidGrant, description).into()
}

impl Doorward {
    /// Answers one token request.
    ///
    /// # Errors
    /// `Protocol` as RFC 6749 section 5.2 has it; `Fault` when the database is away.
    pub async fn token(
        &self,
        authorization: Option<&str>,
        params: &Params,
        origin: &Origin,
    ) -> Result<Answer> {
        self.token_with_proof(authorization, None, params, origin).await
    }

    /// Answers one token request that perhaps came with a proof of possession (RFC 9449).
    ///
    /// # Errors
    /// As [`Doorward::token`], and `invalid_dpop_proof`.
    pub async fn token_with_proof(
        &self,
        authorization: Option<&str>,
        proof: Option<&str>,
        params: &Params,
        origin: &Origin,
    ) -> Result<Answer> {
        let mut known = None;
        let answer = self
            .answer_token((authorization, proof), params, origin, &mut known)
            .await;
        self.noted("token", answer, known, origin).await
    }

    async fn answer_token(
        &self,
        (authorization, proof): (Option<&str>, Option<&str>),
        params: &Params,
        origin: &Origin,
        known: &mut Option<ApplicationId>,
    ) -> Result<Answer> {
        params.refuse_repeated()?;
        let application = self.authenticate_client(authorization, params, origin).await?;
        *known = Some(application.id);
        let proof = self.prove_key(proof, dpop::TOKEN)?;
        let request = TokenRequest::read(params)?;
        let Some(client) = application.client.as_ref() else {
            return Err(Fault::internal("an authenticated application has no client").into());
        };
        oidc_token::check_grant_type(request.grant_type(), client)?;
        let caller = Caller {
            application: &application,
            client,
            origin,
            now: self.now(),
            proof,
        };
        match request {
            TokenRequest::Code {
                code,
                redirect_uri,
                verifier,
                resources,
            } => {
                let call = CodeCall {
                    code,
                    redirect_uri,
                    verifier,
                    resources,
                };
                self.redeem_code(&caller, call).await
            }
            TokenRequest::Refresh {
                refresh_token,
                scopes,
                resources,
            } => {
                self.refresh(&caller, &refresh_token, scopes.as_ref(), &resources)
                    .await
            }
            TokenRequest::ClientCredentials { scopes, resources } => {
                let directory = self.directory();
                let known = |scope: &str| directory.scopes.contains_key(scope);
                let scopes = oidc_token::client_credentials_scopes(client, scopes.as_ref(), &known)?;
                let resources = crate::device::allowed_resources(client, &resources)?;
                let issuance = Issuance {
                    application: &application,
                    client,
                    family: None,
                    person: None,
                    scopes: &scopes,
                    resources: &resources,
                    grant_type: GrantType::ClientCredentials,
                    proof: caller.proof.as_ref(),
                    exchange: None,
                };
                let minted = self.issue(&issuance, origin, caller.now).await?;
                let tx = self.store()?.begin().await?;
                minted.save(&tx).await?;
                tx.commit().await?;
                Ok(minted.answer)
            }
            TokenRequest::Device {
                device_code,
                resources,
            } => self.redeem_device(&caller, &device_code, &resources).await,
            TokenRequest::Exchange(request) => self.exchange(&caller, &request).await,
        }
    }

    async fn redeem_code(&self, caller: &Caller<'_>, call: CodeCall) -> Result<Answer> {
        let digest = *token::digest(&call.code).bytes();
        let found = self.store()?.read().find_code(&digest).await?;
        let Some((record, family)) =
            found.filter(|(record, _)| record.application_id == caller.application.id)
        else {
            return Err(self.refuse_grant(caller, None, "the code is unknown").await);
        };
        if record.used_at.is_some() {
            return Err(self.reused(caller, &family, "code").await?);
        }
        let verifier_s256 = call.verifier.as_deref().map(token::pkce_s256);
        let checked = oidc_token::redeem_code(
            &record,
            call.redirect_uri.as_deref(),
            verifier_s256.as_deref(),
            caller.client,
            caller.application.id,
            caller.now,
        )
        .and_then(|()| dpop::check_binding(record.jkt.as_deref(), caller.proof.as_ref(), "code"));
        if let Err(error) = checked {
            let refused = self.burn_code(caller, &digest, &family, &error).await?;
            return Err(refused.naming(error));
        }
        if family.ended_at.is_some() {
            return Err(self
                .refuse_grant(caller, Some(&family), "the authorization has ended")
                .await);
        }
        let person = self.person_of(&family).await?;
        let scopes = family.scopes.clone();
        let resources = oidc_token::narrow_resources(&family.resources, &call.resources)?;
        let issuance = Issuance {
            application: caller.application,
            client: caller.client,
            family: Some(&family),
            person: person.as_ref(),
            scopes: &scopes,
            resources: &resources,
            grant_type: GrantType::AuthorizationCode,
            proof: caller.proof.as_ref(),
            exchange: None,
        };
        let minted = self.issue(&issuance, caller.origin, caller.now).await?;
        let tx = self.store()?.begin().await?;
        match tx.take_code(&digest, caller.application.id, caller.now).await? {
            Taken::Fresh(CodeRecord { .. }) => {}
            Taken::Used(_) => {
                drop(tx);
                return Err(self.reused(caller, &family, "code").await?);
            }
            Taken::Unknown => return Err(invalid_grant("the code is unknown")),
        }
        if tx
            .family(family.id)
            .await?
            .is_none_or(|family| family.ended_at.is_some())
        {
            return Err(invalid_grant("the authorization has ended"));
        }
        minted.save(&tx).await?;
        tx.commit().await?;
        Ok(minted.answer)
    }

    /// A code that failed its checks is used up all the same, so that nobody can try verifiers.
    async fn burn_code(
        &self,
        caller: &Caller<'_>,
        digest: &[u8; 32],
        family: &Family,
        error: &TokenError,
    ) -> Result<Refused> {
        let tx = self.store()?.begin().await?;
        let taken = tx.take_code(digest, caller.application.id, caller.now).await?;
        let reason = if matches!(taken, Taken::Used(_)) {
            Reason::TokenReuse
        } else {
            Reason::InvalidGrant
        };
        tx.end_family(family.id, "code refused", caller.now).await?;
        let about = self.about_family(
            caller,
            Some(family),
            json!({ "problem": error.description, "what": "code" }),
        );
        let refused = self
            .refuse_in(&tx, reason, about, caller.origin, caller.now)
            .await?;
        tx.commit().await?;
        self.inner.metrics.decided("token", reason.as_str());
        Ok(refused)
    }

    /// A used code or refresh token came again: the whole family ends (RFC 9700 sections 2.1.1 and 4.14).
    async fn reused(&self, caller: &Caller<'_>, family: &Family, what: &str) -> Result<Error> {
        let tx = self.store()?.begin().await?;
        let ended = tx.end_family(family.id, "reuse", caller.now).await?;
        let problem = format!("the {what} was used before; all tokens that came from it were revoked");
        let about = self.about_family(caller, Some(family), json!({ "what": what, "problem": problem }));
        if !ended {
            drop(tx);
            let refused = self
                .refuse("token", Reason::TokenReuse, about, caller.origin)
                .await;
            return Ok(refused.naming(TokenError::new(ErrorCode::InvalidGrant, problem)));
        }
        let code = Code::new(token::short_code(&self.random()));
        let mut event = self.event(EventKind::TokenReused, about, caller.origin, caller.now);
        event.reason = Some(Reason::TokenReuse);
        event.code = Some(code.clone());
        tx.add_event(&event).await?;
        tx.commit().await?;
        self.inner.metrics.decided("token", Reason::TokenReuse.as_str());
        let refused = Refused {
            code: Some(code),
            ..Refused::bare(Reason::TokenReuse)
        };
        Ok(refused.naming(TokenError::new(ErrorCode::InvalidGrant, problem)))
    }

    async fn refuse_grant(&self, caller: &Caller<'_>, family: Option<&Family>, problem: &str) -> Error {
        let about = self.about_family(caller, family, json!({ "problem": problem }));
        let refused = self
            .refuse("token", Reason::InvalidGrant, about, caller.origin)
            .await;
        refused.naming(TokenError::new(ErrorCode::InvalidGrant, problem))
    }

    fn about_family(&self, caller: &Caller<'_>, family: Option<&Family>, details: Value) -> About {
        About {
            user: family.and_then(|family| family.user_id),
            application: Some(caller.application.id),
            session: family.and_then(|family| family.session_id),
            details,
        }
    }

    pub(crate) async fn person_of(&self, family: &Family) -> Result<Option<Person>> {
        let Some(id) = family.user_id else { return Ok(None) };
        let found = self.store()?.read().user_with_groups(id).await?;
        Ok(found.map(|(user, direct)| Person::new(user, direct, &self.directory().groups)))
    }

    async fn refresh(
        &self,
        caller: &Caller<'_>,
        given: &str,
        scopes: Option<&BTreeSet<String>>,
        resources: &BTreeSet<String>,
    ) -> Result<Answer> {
        let digest = *token::digest(given).bytes();
        let found = self
            .store()?
            .read()
            .refresh_with_person(&digest, caller.now)
            .await?;
        let Some(Refreshing {
            record,
            family,
            person: user,
            consented,
        }) = found
        else {
            return Err(self
                .refuse_grant(caller, None, "the refresh token is unknown")
                .await);
        };
        // Without its key a refresh token is nothing: it neither refreshes nor ends its family.
        if record.application_id == caller.application.id
            && let Err(error) =
                dpop::check_binding(record.jkt.as_deref(), caller.proof.as_ref(), "refresh token")
        {
            let reference = match self.refuse_grant(caller, Some(&family), &error.description).await {
                Error::Protocol(noted) => noted.reference,
                _ => None,
            };
            return Err(TokenError { reference, ..error }.into());
        }
        match refresh::decide(
            &record,
            caller.application.id,
            family.ended_at.is_some(),
            caller.now,
        ) {
            Rotation::Rotate => {}
            Rotation::SameAnswer => return self.same_answer(caller, given, &record, &family).await,
            Rotation::Reuse => {
                return Err(self.reused(caller, &family, "refresh token").await?);
            }
            Rotation::Expired => {
                return Err(self
                    .refuse_grant(
                        caller,
                        Some(&family),
                        "the refresh token has expired or was revoked",
                    )
                    .await);
            }
            Rotation::Foreign => {
                return Err(self
                    .refuse_grant(caller, None, "the refresh token is unknown")
                    .await);
            }
        }
        let lives_on_consent = matches!(
            caller.client.consent,
            ConsentMode::Explicit | ConsentMode::Expiring(_)
        );
        if lives_on_consent && !consented {
            return Err(self.consent_over(caller, &family).await?);
        }
        let person = user.map(|(user, direct)| self.person(user, direct));
        let narrowed = oidc_token::narrow(&family.scopes, scopes)?;
        let resources = oidc_token::narrow_resources(&family.resources, resources)?;
        let issuance = Issuance {
            application: caller.application,
            client: caller.client,
            family: Some(&family),
            person: person.as_ref(),
            scopes: &narrowed,
            resources: &resources,
            grant_type: GrantType::RefreshToken,
            proof: caller.proof.as_ref(),
            exchange: None,
        };
        let minted = self.issue(&issuance, caller.origin, caller.now).await?;
        let answer = serde_json::to_vec(&minted.answer)
            .map_err(|e| Fault::caused("an answer could not be encoded", e))?;
        let sealed = seal::seal_with_token(given, &self.random(), &answer);
        let tx = self.store()?.begin().await?;
        if !tx.take_refresh(&digest, &sealed, caller.now).await? {
            // On SQLite the winner's write may share our physical commit: readers see it only after that.
            tx.commit().await?;
            return self.lost_race(caller, given, &digest).await;
        }
        minted.save(&tx).await?;
        tx.commit().await?;
        Ok(minted.answer)
    }

    /// The person's consent has expired or was never given: what lives on it ends.
    async fn consent_over(&self, caller: &Caller<'_>, family: &Family) -> Result<Error> {
        let problem = "the person's consent has expired; the person has to be asked again";
        let tx = self.store()?.begin().await?;
        tx.end_family(family.id, "consent expired", caller.now).await?;
        let about = self.about_family(caller, Some(family), json!({ "problem": problem }));
        let refused = self
            .refuse_in(&tx, Reason::InvalidGrant, about, caller.origin, caller.now)
            .await?;
        tx.commit().await?;
        self.inner.metrics.decided("token", Reason::InvalidGrant.as_str());
        Ok(refused.naming(TokenError::new(ErrorCode::InvalidGrant, problem)))
    }

    fn person(&self, user: User, direct: Vec<GroupId>) -> Person {
        Person::new(user, direct, &self.directory().groups)
    }

    /// Another request exchanged the same token a moment ago: it gets the same answer.
    async fn lost_race(&self, caller: &Caller<'_>, given: &str, digest: &[u8; 32]) -> Result<Answer> {
        let Some((record, family)) = self.store()?.read().find_refresh(digest).await? else {
            return Err(invalid_grant("the refresh token is unknown"));
        };
        match refresh::decide(
            &record,
            caller.application.id,
            family.ended_at.is_some(),
            caller.now,
        ) {
            Rotation::SameAnswer => self.same_answer(caller, given, &record, &family).await,
            _ => Err(invalid_grant("the refresh token has expired or was revoked")),
        }
    }

    async fn same_answer(
        &self,
        caller: &Caller<'_>,
        given: &str,
        record: &RefreshRecord,
        family: &Family,
    ) -> Result<Answer> {
        // The person may have been switched off in between: the choke point's rule holds for repeated answers too.
        let person = self.person_of(family).await?;
        let admitted =
            person.is_some_and(|person| doorward_domain::access::admit(&person, caller.application).is_ok());
        if !admitted {
            return Err(self
                .refuse_grant(caller, Some(family), "the person may not enter this application")
                .await);
        }
        let sealed = record
            .answer_sealed
            .as_deref()
            .ok_or_else(|| Fault::internal("a used refresh token has no answer"))?;
        if let Some(proof) = &caller.proof {
            let tx = self.store()?.begin().await?;
            proof.spend(&tx).await?;
            tx.commit().await?;
        }
        let bytes = seal::open_with_token(given, sealed)
            .map_err(|_| Fault::internal("a sealed answer cannot be opened"))?;
        Ok(serde_json::from_slice(&bytes)
            .map_err(|error| Fault::caused("a sealed answer cannot be read", error))?)
    }

    async fn redeem_device(
        &self,
        caller: &Caller<'_>,
        given: &str,
        resources: &BTreeSet<String>,
    ) -> Result<Answer> {
        let (digest, family) = self.poll_device(caller, given).await?;
        let person = self.person_of(&family).await?;
        let resources = oidc_token::narrow_resources(&family.resources, resources)?;
        let issuance = Issuance {
            application: caller.application,
            client: caller.client,
            family: Some(&family),
            person: person.as_ref(),
            scopes: &family.scopes,
            resources: &resources,
            grant_type: GrantType::DeviceCode,
            proof: caller.proof.as_ref(),
            exchange: None,
        };
        let minted = self.issue(&issuance, caller.origin, caller.now).await?;
        let tx: Tx = self.store()?.begin().await?;
        if !tx.take_device(&digest, caller.now).await? {
            drop(tx);
            return Err(invalid_grant("the device code was used before"));
        }
        minted.save(&tx).await?;
        tx.commit().await?;
        Ok(minted.answer)
    }
}

struct CodeCall {
    code: String,
    redirect_uri: Option<String>,
    verifier: Option<String>,
    resources: BTreeSet<String>,
}

impl Refused {
    /// The protocol's error with the code under which `explain` finds the inputs.
    pub(crate) fn naming(self, error: TokenError) -> Error {
        TokenError {
            reference: self.code.map(|code| code.to_string()),
            ..error
        }
        .into()
    }
}

impl Doorward {
    /// Writes an event about a protocol error that nobody has written about yet, and names its code. Polling is no failure
    /// (RFC 8628 section 3.5).
    pub(crate) async fn noted<T>(
        &self,
        endpoint: &'static str,
        result: Result<T>,
        application: Option<ApplicationId>,
        origin: &Origin,
    ) -> Result<T> {
        let error = match result {
            Err(Error::Protocol(error)) if error.reference.is_none() => *error,
            other => return other,
        };
        let Some(reason) = reason_of(error.code) else {
            return Err(error.into());
        };
        let details =
            json!({ "endpoint": endpoint, "error": error.code.as_str(), "problem": error.description });
        let about = About {
            application,
            details,
            ..About::default()
        };
        Err(self.refuse(endpoint, reason, about, origin).await.naming(error))
    }
}

/// The rule behind a code of the protocol; `None` where nothing was refused.
pub(crate) fn reason_of(code: ErrorCode) -> Option<Reason> {
    match code {
        ErrorCode::AuthorizationPending
        | ErrorCode::SlowDown
        | ErrorCode::ServerError
        | ErrorCode::TemporarilyUnavailable => None,
        ErrorCode::InvalidClient => Some(Reason::InvalidClient),
        ErrorCode::InvalidGrant | ErrorCode::ExpiredToken | ErrorCode::InvalidToken => {
            Some(Reason::InvalidGrant)
        }
        ErrorCode::UnauthorizedClient => Some(Reason::UnauthorizedClient),
        ErrorCode::InvalidScope => Some(Reason::InvalidScope),
        ErrorCode::InvalidTarget => Some(Reason::InvalidTarget),
        ErrorCode::AccessDenied => Some(Reason::ConsentDenied),
        ErrorCode::InsufficientScope => Some(Reason::InsufficientScope),
        _ => Some(Reason::InvalidRequest),
    }
}
