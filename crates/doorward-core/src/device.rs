//! Device authorization (RFC 8628): a device asks, a person answers on another screen.

use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

use doorward_crypto::token::{self, Opaque, TokenKind};
use doorward_domain::access;
use doorward_domain::application::Application;
use doorward_domain::attempt::{Attempt, Purpose};
use doorward_domain::client::{Client, GrantType};
use doorward_domain::event::EventKind;
use doorward_domain::token::{DeviceRecord, DeviceState, Family};
use doorward_domain::{ApplicationId, Reason};
use doorward_oidc::claims;
use doorward_oidc::device;
use doorward_oidc::error::{ErrorCode, TokenError};
use doorward_oidc::params::Params;
use doorward_oidc::resource;
use doorward_oidc::scope::{self, Scopes};
use doorward_store::conflict_field;

use crate::authorize::{Answer, Question};
use crate::error::{Fault, Refused, Result};
use crate::events::About;
use crate::sessions::Visit;
use crate::token::{Caller, invalid_grant};
use crate::{Doorward, Origin};

impl Doorward {
    /// The device authorization endpoint.
    ///
    /// # Errors
    /// `Protocol`; `Fault` when the database is away.
    pub async fn start_device(
        &self,
        authorization: Option<&str>,
        params: &Params,
        origin: &Origin,
    ) -> Result<serde_json::Value> {
        let mut known = None;
        let answer = self
            .answer_device_start(authorization, params, origin, &mut known)
            .await;
        self.noted("device", answer, known, origin).await
    }

    async fn answer_device_start(
        &self,
        authorization: Option<&str>,
        params: &Params,
        origin: &Origin,
        known: &mut Option<ApplicationId>,
    ) -> Result<serde_json::Value> {
        let application = self.authenticate_client(authorization, params, origin).await?;
        *known = Some(application.id);
        let Some(client) = application.client.as_ref() else {
            return Err(Fault::internal("an authenticated application has no client").into());
        };
        if !client.grant_types.contains(&GrantType::DeviceCode) {
            let description = "this client may not use the device authorization grant";
            return Err(TokenError::new(ErrorCode::UnauthorizedClient, description).into());
        }
        self.allow_public(&application, origin)?;
        let request = device::DeviceRequest::read(params)?;
        let directory = self.directory();
        let known = |scope: &str| directory.scopes.contains_key(scope);
        let scopes = allowed_scopes(client, request.scopes.as_ref(), &known);
        let resources = allowed_resources(client, &request.resources)?;
        let minted = Opaque::mint(TokenKind::Device, &self.random());
        let now = self.now();
        let mut record = DeviceRecord {
            user_code: String::new(),
            application_id: application.id,
            scopes,
            resources,
            created_at: now,
            expires_at: now.plus(device::LIFETIME),
            interval: device::INTERVAL,
            last_polled_at: None,
            state: DeviceState::Pending,
            family_id: None,
        };
        self.add_device(minted.text(), &mut record).await?;
        Ok(device::device_response(
            minted.text(),
            &record.user_code,
            &format!("{}/device", self.public_url()),
        ))
    }

    /// Stores a device's request under a user code that no other request waits under.
    async fn add_device(&self, device_code: &str, record: &mut DeviceRecord) -> Result<()> {
        let digest = *token::digest(device_code).bytes();
        let mut tries = 3;
        loop {
            tries -= 1;
            record.user_code =
                token::normalise_user_code(&token::user_code(&self.random())).unwrap_or_default();
            let tx = self.store()?.begin().await?;
            match tx.add_device(&digest, record).await {
                Ok(()) => return Ok(tx.commit().await?),
                Err(error) if tries > 0 && conflict_field(&error) == Some("user_code") => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Finds what a person typed. Guessing is limited per person.
    ///
    /// # Errors
    /// `Refused` with `user_code_unknown`.
    pub async fn device_question(
        &self,
        typed: &str,
        visit: &Visit,
        browser: &str,
        origin: &Origin,
    ) -> Result<Question> {
        let unknown = About {
            user: Some(visit.person.user.id),
            details: json!({ "typed_characters": typed.chars().count() }),
            ..About::default()
        };
        let Some(code) = token::normalise_user_code(typed) else {
            return Err(Refused::bare(Reason::UserCodeUnknown).into());
        };
        self.limit_guesses(visit, origin).await?;
        let now = self.now();
        let found = self.store()?.read().device_by_user_code(&code, now).await?;
        let pending = found.filter(|record| record.state == DeviceState::Pending);
        let directory = self.directory();
        let application = pending
            .as_ref()
            .and_then(|record| directory.application(record.application_id))
            .cloned();
        let (Some(record), Some(application)) = (pending, application) else {
            let tx = self.store()?.begin().await?;
            tx.add_failure(&guess_key(visit), now).await?;
            tx.commit().await?;
            return Err(self
                .refuse("device", Reason::UserCodeUnknown, unknown, origin)
                .await
                .into());
        };
        let mut attempt =
            self.new_attempt(Purpose::Device, browser, Some(visit.session.id), "/device".into());
        attempt.data = json!({ "user_code": code });
        let describe = |scope: &String| {
            (
                scope.clone(),
                directory
                    .scopes
                    .get(scope)
                    .map(|custom| custom.description.clone()),
            )
        };
        Ok(Question {
            attempt,
            scopes: record.scopes.iter().map(describe).collect(),
            application,
            person: Arc::clone(&visit.person),
            return_host: String::new(),
        })
    }

    /// A signed-in person may mistype a user code a few times, not try them all (RFC 8628 section 5.1).
    async fn limit_guesses(&self, visit: &Visit, origin: &Origin) -> Result<()> {
        let now = self.now();
        let failures = self.store()?.read().failures(&[guess_key(visit)]).await?;
        let counts = doorward_domain::throttle::Counts {
            at_place: failures.first().copied().unwrap_or_default(),
            ..doorward_domain::throttle::Counts::default()
        };
        let doorward_domain::throttle::Verdict::Wait { reason, until } =
            doorward_domain::throttle::judge(&counts, now)
        else {
            return Ok(());
        };
        let seconds = u32::try_from((until.millis_since(now) + 999) / 1000).unwrap_or(1);
        let about = About {
            user: Some(visit.person.user.id),
            details: json!({ "what": "user codes" }),
            ..About::default()
        };
        let refused = self.refuse("device", reason, about, origin).await;
        Err(Refused {
            retry_after: Some(seconds),
            ..refused
        }
        .into())
    }

    /// The person's answer.
    ///
    /// # Errors
    /// `Refused` when the person may not enter the application or the code has expired meanwhile.
    pub async fn answer_device(
        &self,
        attempt: &Attempt,
        answer: Answer,
        visit: &Visit,
        origin: &Origin,
    ) -> Result<Arc<Application>> {
        let code = attempt
            .data
            .get("user_code")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default();
        let now = self.now();
        let found = self.store()?.read().device_by_user_code(code, now).await?;
        let Some(record) = found.filter(|record| record.state == DeviceState::Pending) else {
            return Err(Refused::bare(Reason::UserCodeUnknown).into());
        };
        let directory = self.directory();
        let Some(application) = directory.application(record.application_id) else {
            return Err(Refused::bare(Reason::ApplicationDeleted).into());
        };
        if answer == Answer::Deny {
            let tx = self.store()?.begin().await?;
            tx.decide_device(code, None, now).await?;
            let about = self.about_device(visit, application, &record);
            self.refuse_in(&tx, Reason::ConsentDenied, about, origin, now)
                .await?;
            tx.commit().await?;
            return Ok(Arc::clone(application));
        }
        if let Err(reason) = access::admit(&visit.person, application) {
            let about = About {
                details: self.inputs(&visit.person, application, reason),
                ..self.about_device(visit, application, &record)
            };
            return Err(self.refuse("device", reason, about, origin).await.into());
        }
        let Some(client) = application.client.as_ref() else {
            return Err(Fault::internal("a device code belongs to an application without a client").into());
        };
        let family = Family {
            id: self.mint(now),
            application_id: application.id,
            user_id: Some(visit.person.user.id),
            session_id: Some(visit.session.id),
            scopes: record.scopes.clone(),
            resources: record.resources.clone(),
            claims: None,
            nonce: None,
            auth_time: Some(visit.session.authentication.at),
            amr: visit.session.authentication.methods.clone(),
            acr: Some(claims::ACR_PASSWORD.to_owned()),
            created_at: now,
            ended_at: None,
        };
        let tx = self.store()?.begin().await?;
        if !tx.lock_session(visit.session.id, now).await? {
            return Err(Refused::bare(Reason::SessionEnded).into());
        }
        self.remember_grant(&tx, client, &family, &family.scopes, origin)
            .await?;
        tx.add_family(&family).await?;
        if !tx.decide_device(code, Some(family.id), now).await? {
            return Err(Refused::bare(Reason::UserCodeUnknown).into());
        }
        let about = self.about_device(visit, application, &record);
        tx.add_event(&self.event(EventKind::Authorized, about, origin, now))
            .await?;
        tx.commit().await?;
        Ok(Arc::clone(application))
    }

    fn about_device(&self, visit: &Visit, application: &Application, record: &DeviceRecord) -> About {
        About {
            user: Some(visit.person.user.id),
            application: Some(application.id),
            session: Some(visit.session.id),
            details: json!({ "what": "device", "scopes": record.scopes }),
        }
    }

    /// One poll of the token endpoint. Gives the family when the person said yes.
    pub(crate) async fn poll_device(&self, caller: &Caller<'_>, given: &str) -> Result<([u8; 32], Family)> {
        let digest = *token::digest(given).bytes();
        let store = self.store()?;
        let Some(record) = store.read().find_device(&digest).await? else {
            return Err(invalid_grant("the device code is unknown"));
        };
        let polled = device::poll(&record, caller.application.id, caller.now);
        if let Err(error) = polled {
            if matches!(error.code, ErrorCode::AuthorizationPending | ErrorCode::SlowDown) {
                let tx = store.begin().await?;
                tx.poll_device(&digest, caller.now, device::interval_after(&record, caller.now))
                    .await?;
                tx.commit().await?;
            }
            return Err(error.into());
        }
        let Some(family) = record.family_id else {
            return Err(Fault::internal("an approved device code has no family").into());
        };
        match store.read().family(family).await? {
            Some(family) if family.ended_at.is_none() => Ok((digest, family)),
            _ => Err(invalid_grant("the authorization has ended")),
        }
    }
}

/// Scopes of a device: what was asked for as far as the client may have it, or everything it may have without `offline_access`.
fn allowed_scopes(client: &Client, asked: Option<&Scopes>, custom: &dyn Fn(&str) -> bool) -> Scopes {
    let usable = |name: &&String| scope::is_standard(name) || custom(name);
    let refreshable = client.grant_types.contains(&GrantType::RefreshToken);
    match asked {
        Some(asked) => asked
            .intersection(&client.scopes)
            .filter(usable)
            .filter(|name| refreshable || *name != scope::OFFLINE_ACCESS)
            .cloned()
            .collect(),
        None => client
            .scopes
            .iter()
            .filter(usable)
            .filter(|name| *name != scope::OFFLINE_ACCESS)
            .cloned()
            .collect(),
    }
}

/// Resources that were asked for, all of which the client must be allowed.
pub(crate) fn allowed_resources(client: &Client, asked: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    resource::allow(asked, client)?;
    Ok(asked.clone())
}

fn guess_key(visit: &Visit) -> String {
    format!("user-code {}", visit.person.user.id)
}
