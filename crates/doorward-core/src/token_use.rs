//! What tokens are good for: userinfo, introspection (RFC 7662), revocation (RFC 7009).

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

use doorward_crypto::token;
use doorward_domain::access::{self, Person};
use doorward_domain::application::Application;
use doorward_domain::client::{Client, ClientKind};
use doorward_domain::event::EventKind;
use doorward_domain::token::Family;
use doorward_domain::{ApplicationId, FamilyId, Timestamp};
use doorward_oidc::claims::{self, Requested};
use doorward_oidc::claims_request::ClaimsRequest;
use doorward_oidc::error::{ErrorCode, TokenError};
use doorward_oidc::introspect::{self, TokenHint};
use doorward_oidc::params::Params;
use doorward_oidc::refresh::{self, Rotation};
use doorward_oidc::scope;

use crate::dpop::Carried;
use crate::error::Result;
use crate::events::About;
use crate::issue::ACCESS_TYP;
use crate::{Doorward, Origin};

/// Which of our tokens a text is, with everything that is known from it. Nothing here says that it is still good.
#[derive(Debug)]
pub(crate) struct Found {
    kind: Kind,
    /// Which application's it is; for an exchanged token the one that it is for.
    application: Arc<Application>,
    family_id: Option<FamilyId>,
    pub(crate) jti: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) audience: Vec<String>,
    created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    revoked: bool,
    /// Thumbprint of the key that it is bound to.
    pub(crate) jkt: Option<String>,
    /// Client id of who exchanged another token for it (RFC 8693).
    exchanged_by: Option<String>,
    /// Who acts.
    pub(crate) act: Option<Value>,
}

impl Found {
    /// Which application's it is.
    pub(crate) fn application_id(&self) -> ApplicationId {
        self.application.id
    }

    /// Is the client that it was made for among those that it is for?
    pub(crate) fn is_for_own_client(&self) -> bool {
        let client = self.application.client.as_ref();
        client.is_some_and(|client| self.audience.contains(&client.client_id))
    }

    /// Client id of whom it was handed to.
    pub(crate) fn holder(&self) -> Option<&str> {
        let owner = self.application.client.as_ref();
        self.exchanged_by
            .as_deref()
            .or(owner.map(|client| client.client_id.as_str()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Jwt,
    Opaque,
    Refresh,
}

/// A token that is good right now.
pub(crate) struct Live {
    pub(crate) found: Found,
    pub(crate) family: Option<Family>,
    pub(crate) person: Option<Person>,
}

fn invalid_token(description: &str) -> TokenError {
    TokenError::new(ErrorCode::InvalidToken, description)
}

impl Doorward {
    async fn find_token(&self, text: &str) -> Result<Option<Found>> {
        if text.len() > crate::keys::LONGEST_JWT {
            return Ok(None);
        }
        if text.contains('.') {
            return Ok(self.find_jwt(text));
        }
        let digest = *token::digest(text).bytes();
        if text.starts_with("dwr_") {
            return self.find_refresh(&digest).await;
        }
        let Some(record) = self.store()?.read().find_access(&digest).await? else {
            return Ok(None);
        };
        let Some(application) = self.directory().application(record.application_id).cloned() else {
            return Ok(None);
        };
        Ok(Some(Found {
            kind: Kind::Opaque,
            application,
            family_id: record.family_id,
            jti: record.jti,
            scopes: record.scopes,
            audience: record.audience,
            created_at: record.created_at,
            expires_at: record.expires_at,
            revoked: record.revoked_at.is_some(),
            jkt: record.jkt,
            exchanged_by: None,
            act: None,
        }))
    }

    fn find_jwt(&self, text: &str) -> Option<Found> {
        let own = self.open_own_jwt(text)?;
        if own.typ.as_deref() != Some(ACCESS_TYP) {
            return None;
        }
        let text_of = |name: &str| own.claims.get(name).and_then(Value::as_str);
        let directory = self.directory();
        let by = directory.by_client_id(text_of("client_id")?)?;
        let target = match text_of(crate::issue::TARGET) {
            Some(id) => Some(directory.application(id.parse().ok()?)?),
            None => None,
        };
        let audience = match own.claims.get("aud")? {
            Value::String(one) => vec![one.clone()],
            Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => return None,
        };
        Some(Found {
            kind: Kind::Jwt,
            family_id: text_of(crate::issue::FAMILY).and_then(|id| id.parse().ok()),
            jti: text_of("jti")?.to_owned(),
            scopes: scope::parse_scope(text_of("scope").unwrap_or_default()).unwrap_or_default(),
            audience,
            created_at: Timestamp::from_seconds(own.claims.get("iat")?.as_i64()?),
            expires_at: Timestamp::from_seconds(own.claims.get("exp")?.as_i64()?),
            revoked: false,
            jkt: bound_to(&own.claims)?,
            exchanged_by: target.and(text_of("client_id")).map(str::to_owned),
            act: own.claims.get("act").cloned(),
            application: Arc::clone(target.unwrap_or(by)),
        })
    }

    async fn find_refresh(&self, digest: &[u8; 32]) -> Result<Option<Found>> {
        let Some((record, family)) = self.store()?.read().find_refresh(digest).await? else {
            return Ok(None);
        };
        let Some(application) = self.directory().application(record.application_id).cloned() else {
            return Ok(None);
        };
        let rotation = refresh::decide(&record, application.id, family.ended_at.is_some(), self.now());
        Ok(Some(Found {
            kind: Kind::Refresh,
            family_id: Some(family.id),
            jti: String::new(),
            audience: application
                .client
                .iter()
                .map(|client| client.client_id.clone())
                .collect(),
            application,
            scopes: family.scopes,
            created_at: record.created_at,
            expires_at: record.expires_at,
            revoked: rotation != Rotation::Rotate,
            jkt: record.jkt,
            exchanged_by: None,
            act: None,
        }))
    }

    /// Is the token good at this moment? Checks time, revocation, family, person and audience.
    async fn live(&self, found: Found, now: Timestamp) -> Result<Option<Live>> {
        if found.revoked || now >= found.expires_at {
            return Ok(None);
        }
        let conn = self.store()?.read();
        let Some(family_id) = found.family_id else {
            if found.kind == Kind::Jwt && conn.jti_state(&found.jti, None).await?.revoked {
                return Ok(None);
            }
            return Ok(Some(Live {
                found,
                family: None,
                person: None,
            }));
        };
        let family = if found.kind == Kind::Jwt {
            conn.family_with_person_of_jti(family_id, &found.jti).await?
        } else {
            conn.family_with_person(family_id).await?
        };
        let Some((family, user)) = family else {
            return Ok(None);
        };
        let Some((user, direct)) = user.filter(|_| family.ended_at.is_none()) else {
            return Ok(None);
        };
        let person = Person::new(user, direct, &self.directory().groups);
        if access::admit(&person, &found.application).is_err() {
            return Ok(None);
        }
        if family.application_id != found.application.id {
            // An exchanged token lives on the person's access to where it came from as well.
            let directory = self.directory();
            let source = directory.application(family.application_id);
            if source.is_none_or(|source| access::admit(&person, source).is_err()) {
                return Ok(None);
            }
        }
        Ok(Some(Live {
            found,
            family: Some(family),
            person: Some(person),
        }))
    }

    /// An access token that is good right now.
    pub(crate) async fn live_access(&self, text: &str, now: Timestamp) -> Result<Option<Live>> {
        match self.find_token(text).await? {
            Some(found) if found.kind != Kind::Refresh => self.live(found, now).await,
            _ => Ok(None),
        }
    }

    /// The userinfo endpoint (OpenID Connect Core section 5.3).
    ///
    /// # Errors
    /// `Protocol` with `invalid_token` or `insufficient_scope`.
    pub async fn userinfo(&self, bearer: &str) -> Result<Map<String, Value>> {
        self.userinfo_carried(Carried::Bearer(bearer)).await
    }

    /// The userinfo endpoint, for tokens that are perhaps bound to a key (RFC 9449 section 7).
    ///
    /// # Errors
    /// As [`Doorward::userinfo`], and `invalid_dpop_proof`.
    pub async fn userinfo_carried(&self, carried: Carried<'_>) -> Result<Map<String, Value>> {
        let (Carried::Bearer(text) | Carried::Bound { token: text, .. }) = carried;
        let now = self.now();
        let refused = || invalid_token("the access token is unknown, expired or revoked");
        let found = self
            .find_token(text)
            .await?
            .filter(|found| found.kind != Kind::Refresh)
            .ok_or_else(refused)?;
        let application = Arc::clone(&found.application);
        let Some(client) = application.client.as_ref() else {
            return Err(refused().into());
        };
        let own = format!("{}/application/o/userinfo/", self.public_url());
        if !found
            .audience
            .iter()
            .any(|aud| *aud == client.client_id || *aud == own)
        {
            return Err(invalid_token("the access token is meant for another resource").into());
        }
        let proof = self.check_carried(carried, found.jkt.as_deref())?;
        let live = self.live(found, now).await?.ok_or_else(refused)?;
        if let Some(proof) = proof {
            let tx = self.store()?.begin().await?;
            proof.spend(&tx).await?;
            tx.commit().await?;
        }
        let (Some(family), Some(person)) = (&live.family, &live.person) else {
            return Err(TokenError::new(
                ErrorCode::InsufficientScope,
                "the access token is not about a person",
            )
            .into());
        };
        if !live.found.scopes.contains("openid") {
            return Err(TokenError::new(
                ErrorCode::InsufficientScope,
                "the access token lacks the scope openid",
            )
            .into());
        }
        let directory = self.directory();
        let custom = self.custom_scopes(&directory, &live.found.scopes);
        // What one client asked for singly is not another's, which got its token by exchange.
        let own_family = family.application_id == live.found.application.id;
        let asked = family.claims.as_ref().filter(|_| own_family);
        let asked = asked.map(ClaimsRequest::from_value);
        let wanted = asked.as_ref().map(|asked| Requested {
            claims: &asked.userinfo,
            allowed: &client.scopes,
            granted: &live.found.scopes,
        });
        let answer = claims::user_claims(person, &directory.groups, &live.found.scopes, &custom, wanted);
        let sub = claims::subject_of(client.subject_mode, &person.user)
            .map_err(|problem| invalid_token(&problem.to_string()))?;
        Ok(claims::userinfo(&sub, answer))
    }

    /// The introspection endpoint. A caller learns about its own tokens and access tokens whose audience it is, or whose audience is a
    /// resource that it serves.
    ///
    /// # Errors
    /// `Protocol` when the client cannot prove itself or is public.
    pub async fn introspect(
        &self,
        authorization: Option<&str>,
        params: &Params,
        origin: &Origin,
    ) -> Result<Value> {
        let mut known = None;
        let answer = self
            .answer_introspection(authorization, params, origin, &mut known)
            .await;
        self.noted("introspect", answer, known, origin).await
    }

    async fn answer_introspection(
        &self,
        authorization: Option<&str>,
        params: &Params,
        origin: &Origin,
        known: &mut Option<ApplicationId>,
    ) -> Result<Value> {
        let application = self.authenticate_client(authorization, params, origin).await?;
        *known = Some(application.id);
        let Some(caller) = confidential(&application) else {
            let description = "public clients may not introspect; authenticate with a secret or a key";
            return Err(TokenError::new(ErrorCode::InvalidClient, description).into());
        };
        let question = introspect::read(params)?;
        let Some(found) = self.find_token(&question.token).await? else {
            return Ok(introspect::inactive());
        };
        if !may_know(&application, caller, &found) {
            return Ok(introspect::inactive());
        }
        let Some(live) = self.live(found, self.now()).await? else {
            return Ok(introspect::inactive());
        };
        Ok(self.describe(&live))
    }

    fn describe(&self, live: &Live) -> Value {
        let Some(client) = live.found.application.client.as_ref() else {
            return introspect::inactive();
        };
        let issuer = self.issuer(&live.found.application.slug, client);
        let subject = match &live.person {
            Some(person) => claims::subject_of(client.subject_mode, &person.user).unwrap_or_default(),
            None => client.client_id.clone(),
        };
        let active = introspect::Active {
            issuer: &issuer,
            subject: &subject,
            username: live.person.as_ref().map(|person| person.user.username.as_str()),
            client_id: live.found.holder().unwrap_or_default(),
            scopes: &live.found.scopes,
            audience: &live.found.audience,
            issued_at: live.found.created_at,
            expires_at: live.found.expires_at,
            jti: Some(live.found.jti.as_str()).filter(|jti| !jti.is_empty()),
            kind: if live.found.kind == Kind::Refresh {
                TokenHint::Refresh
            } else {
                TokenHint::Access
            },
            jkt: live.found.jkt.as_deref(),
            act: live.found.act.as_ref(),
        };
        introspect::response(&active)
    }

    /// The revocation endpoint. Answers success for unknown tokens (RFC 7009 section 2.2).
    ///
    /// # Errors
    /// `Protocol` when the client cannot prove itself, `token` is missing or is another client's.
    pub async fn revoke(&self, authorization: Option<&str>, params: &Params, origin: &Origin) -> Result<()> {
        let mut known = None;
        let answer = self
            .answer_revocation(authorization, params, origin, &mut known)
            .await;
        self.noted("revoke", answer, known, origin).await
    }

    async fn answer_revocation(
        &self,
        authorization: Option<&str>,
        params: &Params,
        origin: &Origin,
        known: &mut Option<ApplicationId>,
    ) -> Result<()> {
        let application = self.authenticate_client(authorization, params, origin).await?;
        *known = Some(application.id);
        let question = doorward_oidc::revoke::read(params)?;
        let Some(found) = self.find_token(&question.token).await? else {
            return Ok(());
        };
        let own = application
            .client
            .as_ref()
            .map(|client| client.client_id.as_str());
        if found.application.id != application.id && found.holder() != own {
            // RFC 7009 section 2.1: refused, and the client is told.
            let description = "the token was issued to another client";
            return Err(TokenError::new(ErrorCode::InvalidGrant, description).into());
        }
        self.revoke_found(&found, &question.token, application.id, origin)
            .await
    }

    async fn revoke_found(
        &self,
        found: &Found,
        text: &str,
        application: ApplicationId,
        origin: &Origin,
    ) -> Result<()> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let changed = match (found.kind, found.family_id) {
            // A refresh token takes its family along (RFC 7009 section 2.1).
            (Kind::Refresh, Some(family)) => tx.end_family(family, "revoked", now).await?,
            (Kind::Jwt, _) => tx.revoke_jti(&found.jti, found.expires_at).await?,
            _ => tx.revoke_access(token::digest(text).bytes(), now).await?,
        };
        if changed {
            let details = json!({ "kind": format!("{:?}", found.kind).to_lowercase(), "jti": found.jti });
            let about = About {
                application: Some(application),
                details,
                ..About::default()
            };
            tx.add_event(&self.event(EventKind::TokensRevoked, about, origin, now))
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// The key in `cnf`. A `cnf` that cannot be read makes the token unusable rather than free.
#[expect(
    clippy::option_option,
    reason = "no token, a token bound to nothing, a token bound to a key"
)]
fn bound_to(claims: &Map<String, Value>) -> Option<Option<String>> {
    match claims.get("cnf") {
        None => Some(None),
        Some(cnf) => Some(Some(cnf.get("jkt")?.as_str()?.to_owned())),
    }
}

fn confidential(application: &Application) -> Option<&Client> {
    application
        .client
        .as_ref()
        .filter(|client| client.kind == ClientKind::Confidential)
}

/// Is the token the caller's own, or meant for it?
pub(crate) fn may_know(application: &Application, caller: &Client, found: &Found) -> bool {
    // A client without redirect URIs is no app that people use but a resource server; the registered resources are what it serves.
    let serves = |audience: &String| caller.redirect_uris.is_empty() && caller.resources.contains(audience);
    found.application.id == application.id
        || found.exchanged_by.as_ref() == Some(&caller.client_id)
        || found.audience.contains(&caller.client_id)
        || (found.kind != Kind::Refresh && found.audience.iter().any(serves))
}
