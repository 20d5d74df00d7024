//! The token endpoint: every grant type, single use decided by the database, tokens signed before the transaction opens.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

use doorward_crypto::seal;
use doorward_crypto::token;
use doorward_domain::access::Person;
use doorward_domain::application::Application;
use doorward_domain::client::{Client, GrantType};
use doorward_domain::event::EventKind;
use doorward_domain::token::{CodeRecord, Family, RefreshRecord};
use doorward_domain::user::User;
use doorward_domain::{GroupId, Reason, Timestamp};
use doorward_oidc::error::{ErrorCode, TokenError};
use doorward_oidc::params::Params;
use doorward_oidc::refresh::{self, Rotation};
use doorward_oidc::token::{self as oidc_token, TokenRequest};
use doorward_store::{Taken, Tx};

use crate::error::{Error, Fault, Result};
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
        params.refuse_repeated()?;
        let application = self.authenticate_client(authorization, params, origin).await?;
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
        );
        if let Err(error) = checked {
            self.burn_code(caller, &digest, &family, &error).await?;
            return Err(error.into());
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
    ) -> Result<()> {
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
        self.refuse_in(&tx, reason, about, caller.origin, caller.now)
            .await?;
        tx.commit().await?;
        self.inner.metrics.decided("token", reason.as_str());
        Ok(())
    }

    /// A used code or refresh token came again: the whole family ends (RFC 9700 sections 2.1.1 and 4.14).
    async fn reused(&self, caller: &Caller<'_>, family: &Family, what: &str) -> Result<Error> {
        let tx = self.store()?.begin().await?;
        let ended = tx.end_family(family.id, "reuse", caller.now).await?;
        if ended {
            let about = self.about_family(caller, Some(family), json!({ "what": what }));
            let mut event = self.event(EventKind::TokenReused, about, caller.origin, caller.now);
            event.reason = Some(Reason::TokenReuse);
            tx.add_event(&event).await?;
        }
        tx.commit().await?;
        self.inner.metrics.decided("token", Reason::TokenReuse.as_str());
        Ok(invalid_grant(&format!(
            "the {what} was used before; all tokens that came from it were revoked"
        )))
    }

    async fn refuse_grant(&self, caller: &Caller<'_>, family: Option<&Family>, problem: &str) -> Error {
        let about = self.about_family(caller, family, json!({ "problem": problem }));
        self.refuse("token", Reason::InvalidGrant, about, caller.origin)
            .await;
        invalid_grant(problem)
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
        let found = self.store()?.read().refresh_with_person(&digest).await?;
        let Some((record, family, user)) = found else {
            return Err(self
                .refuse_grant(caller, None, "the refresh token is unknown")
                .await);
        };
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
        };
        let minted = self.issue(&issuance, caller.origin, caller.now).await?;
        let answer = serde_json::to_vec(&minted.answer)
            .map_err(|e| Fault::caused("an answer could not be encoded", e))?;
        let sealed = seal::seal_with_token(given, &self.random(), &answer);
        let tx = self.store()?.begin().await?;
        if !tx.take_refresh(&digest, &sealed, caller.now).await? {
            drop(tx);
            return self.lost_race(caller, given, &digest).await;
        }
        minted.save(&tx).await?;
        tx.commit().await?;
        Ok(minted.answer)
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
