//! The one choke point for tokens. Every grant type of every door passes here: person active, audience, scopes within what
//! was granted, records and event in the caller's transaction.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

use doorward_crypto::token::{self, Opaque, TokenKind};
use doorward_domain::access::{self, Person};
use doorward_domain::application::Application;
use doorward_domain::client::{AccessTokenFormat, Client, ClientKind, GrantType};
use doorward_domain::event::{Event, EventKind};
use doorward_domain::token::{AccessRecord, Family, RefreshRecord};
use doorward_domain::{FamilyId, Lifetime, Reason, Timestamp};
use doorward_oidc::claims::{self, Issue, Requested};
use doorward_oidc::claims_request::ClaimsRequest;
use doorward_oidc::error::{ErrorCode, TokenError};
use doorward_oidc::{scope, token_exchange};
use doorward_store::Tx;

use crate::dpop::Proven;
use crate::error::Result;
use crate::events::About;
use crate::token_exchange::Exchange;
use crate::{Doorward, Origin};

/// Media type of JWT access tokens (RFC 9068 section 2.1).
pub(crate) const ACCESS_TYP: &str = "at+jwt";

/// What is to be issued.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Issuance<'a> {
    pub application: &'a Application,
    pub client: &'a Client,
    /// `None` for `client_credentials`.
    pub family: Option<&'a Family>,
    /// Who it is about; `None` for `client_credentials` only.
    pub person: Option<&'a Person>,
    pub scopes: &'a BTreeSet<String>,
    pub resources: &'a BTreeSet<String>,
    pub grant_type: GrantType,
    /// The key that the tokens are bound to (RFC 9449).
    pub proof: Option<&'a Proven>,
    /// For exchanged tokens (RFC 8693): `application` and `client` are the target's then.
    pub exchange: Option<&'a Exchange<'a>>,
}

impl Issuance<'_> {
    /// Who asked for the tokens.
    fn asking(&self) -> &Client {
        self.exchange.map_or(self.client, |exchange| exchange.client)
    }

    /// How long the access token lives.
    fn lifetime(&self, now: Timestamp) -> Lifetime {
        let usual = self.client.lifetimes.access_token;
        self.exchange
            .map_or(usual, |exchange| exchange.lifetime(usual, now))
    }
}

/// An opaque access token's digest and record.
type Opaquely = ([u8; 32], AccessRecord);

/// Tokens that were made but not stored yet. They do not exist for anybody before [`Minted::save`] is committed.
#[must_use]
pub(crate) struct Minted {
    /// The answer of the token endpoint.
    pub answer: Map<String, Value>,
    access: Option<Opaquely>,
    refresh: Option<([u8; 32], RefreshRecord)>,
    proof: Option<Proven>,
    event: Event,
}

impl Minted {
    /// Stores the records and the event in the caller's transaction.
    pub(crate) async fn save(&self, tx: &Tx) -> Result<()> {
        if let Some(proof) = &self.proof {
            proof.spend(tx).await?;
        }
        if let Some((digest, record)) = &self.access {
            tx.add_access(digest, record).await?;
        }
        if let Some((digest, record)) = &self.refresh {
            tx.add_refresh(digest, record).await?;
        }
        tx.add_event(&self.event).await?;
        Ok(())
    }
}

impl Doorward {
    /// Makes tokens. Pure of storage: reads nothing, writes nothing.
    ///
    /// # Errors
    /// `Protocol` with `invalid_grant` when the person may not have them any more.
    pub(crate) async fn issue(
        &self,
        issuance: &Issuance<'_>,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Minted> {
        self.check_issue(issuance, origin).await?;
        // What an administrator took from the client is gone from everything that is issued from now on.
        let (scopes, resources) = still_allowed(issuance)?;
        let issuance = &Issuance {
            scopes: &scopes,
            resources: &resources,
            ..*issuance
        };
        let Issuance {
            application,
            client,
            family,
            person,
            ..
        } = issuance;
        let issuer = self.issuer(&application.slug, client);
        let subject = match person {
            Some(person) => claims::subject_of(client.subject_mode, &person.user)
                .map_err(|problem| TokenError::new(ErrorCode::InvalidGrant, problem.to_string()))?,
            None => client.client_id.clone(),
        };
        let jti = self.random_hex::<16>();
        let nobody;
        let of_family = match family {
            Some(family) => *family,
            None => {
                nobody = no_family(application, now);
                &nobody
            }
        };
        let issue = Issue {
            issuer: &issuer,
            subject: &subject,
            client_id: &issuance.asking().client_id,
            family: of_family,
            session_id: family.and_then(|family| family.session_id),
            now,
            lifetime: issuance.lifetime(now),
            jti: &jti,
        };
        let (access_token, access) = self.access_token(issuance, &issue, now)?;
        let mut answer = Map::new();
        answer.insert("access_token".into(), access_token.as_str().into());
        let scheme = if issuance.proof.is_some() {
            "DPoP"
        } else {
            "Bearer"
        };
        answer.insert("token_type".into(), scheme.into());
        answer.insert("expires_in".into(), issuance.lifetime(now).seconds().into());
        if issuance.exchange.is_some() {
            answer.insert("issued_token_type".into(), token_exchange::ACCESS_TOKEN.into());
        }
        answer.insert("scope".into(), scope::join(issuance.scopes).into());
        if let (Some(family), Some(person)) = (family, person)
            && issuance.scopes.contains("openid")
            && issuance.exchange.is_none()
        {
            let id_token = self.id_token(issuance, &issue, (family, person), &access_token, now)?;
            answer.insert("id_token".into(), id_token.into());
        }
        let refresh = match family {
            Some(family) if issuance.exchange.is_none() && wants_refresh(client, family) => {
                let (text, digest, record) = self.refresh_token(issuance, family.id, now);
                answer.insert("refresh_token".into(), text.into());
                Some((digest, record))
            }
            _ => None,
        };
        let details = json!({ "grant_type": issuance.grant_type.as_str(), "scopes": issuance.scopes, "jti": jti,
            "family": family.map(|family| family.id.to_string()), "refresh_token": refresh.is_some(),
            "key": issuance.proof.map(|proof| &proof.jkt),
            "exchange": issuance.exchange.map(|exchange| json!({ "act": exchange.act, "subject_jti": exchange.subject_jti })) });
        let about = About {
            user: person.map(|person| person.user.id),
            application: Some(application.id),
            session: family.and_then(|family| family.session_id),
            details,
        };
        let event = self.event(EventKind::TokensIssued, about, origin, now);
        Ok(Minted {
            answer,
            access,
            refresh,
            proof: issuance.proof.cloned(),
            event,
        })
    }

    async fn check_issue(&self, issuance: &Issuance<'_>, origin: &Origin) -> Result<()> {
        let Issuance {
            application,
            family,
            person,
            ..
        } = issuance;
        let refused = match (person, family) {
            (Some(person), _) => access::admit(person, application).err(),
            (None, None) => application.deleted_at.map(|_| Reason::ApplicationDeleted),
            (None, Some(_)) => Some(Reason::UserInactive),
        };
        let refused = refused.or_else(|| {
            let grant_allowed = issuance.asking().grant_types.contains(&issuance.grant_type);
            (!grant_allowed).then_some(Reason::UnauthorizedClient)
        });
        let Some(reason) = refused else {
            self.inner.metrics.decided("token", "allowed");
            return Ok(());
        };
        let details = person.map_or(Value::Null, |person| self.inputs(person, application, reason));
        let about = About {
            user: person.map(|person| person.user.id),
            application: Some(application.id),
            session: family.and_then(|family| family.session_id),
            details,
        };
        let refused = self.refuse("token", reason, about, origin).await;
        let description = "the person may not enter this application";
        Err(refused.naming(TokenError::new(ErrorCode::InvalidGrant, description)))
    }

    fn access_token(
        &self,
        issuance: &Issuance<'_>,
        issue: &Issue<'_>,
        now: Timestamp,
    ) -> Result<(String, Option<Opaquely>)> {
        let client = issuance.client;
        let lifetime = issuance.lifetime(now);
        let audience = self.audience(issuance);
        if client.access_token_format == AccessTokenFormat::Opaque && issuance.exchange.is_none() {
            let minted = Opaque::mint(TokenKind::Access, &self.random());
            let record = AccessRecord {
                jti: issue.jti.to_owned(),
                family_id: issuance.family.map(|family| family.id),
                application_id: issuance.application.id,
                scopes: issuance.scopes.clone(),
                audience,
                created_at: now,
                expires_at: now.plus(lifetime),
                revoked_at: None,
                jkt: issuance.proof.map(|proof| proof.jkt.clone()),
            };
            let digest = *token::digest(minted.text()).bytes();
            return Ok((minted.text().to_owned(), Some((digest, record))));
        }
        let mut extra = Map::new();
        if let Some(family) = issuance.family {
            extra.insert(FAMILY.into(), family.id.to_string().into());
        }
        if let Some(proof) = issuance.proof {
            extra.insert("cnf".into(), json!({ "jkt": proof.jkt }));
        }
        if let (Some(person), true) = (issuance.person, issuance.scopes.contains("profile")) {
            let names = self.directory().groups.names(&person.groups);
            extra.insert("groups".into(), names.into());
            extra.insert("preferred_username".into(), person.user.username.as_str().into());
        }
        let mut claims = claims::access_token(issue, issuance.scopes, &audience, extra);
        if let Some(exchange) = issuance.exchange {
            claims.insert("act".into(), exchange.act.clone());
            claims.insert(TARGET.into(), issuance.application.id.to_string().into());
        }
        let key = self.signing_key(client.signing_algorithm, now)?;
        Ok((key.sign(ACCESS_TYP, &claims)?, None))
    }

    /// Who may use the access token: the resources asked for, or the client itself; and our own userinfo endpoint.
    fn audience(&self, issuance: &Issuance<'_>) -> Vec<String> {
        if issuance.resources.is_empty() {
            return vec![issuance.client.client_id.clone()];
        }
        let mut audience: Vec<String> = issuance.resources.iter().cloned().collect();
        if issuance.scopes.contains("openid") {
            audience.push(format!("{}/application/o/userinfo/", self.public_url()));
        }
        audience
    }

    fn id_token(
        &self,
        issuance: &Issuance<'_>,
        issue: &Issue<'_>,
        (family, person): (&Family, &Person),
        access_token: &str,
        now: Timestamp,
    ) -> Result<String> {
        let client = issuance.client;
        let key = self.signing_key(client.signing_algorithm, now)?;
        let directory = self.directory();
        let asked = family.claims.as_ref().map(ClaimsRequest::from_value);
        let custom = self.custom_scopes(&directory, issuance.scopes);
        let scopes = if client.id_token_claims {
            issuance.scopes.clone()
        } else {
            BTreeSet::new()
        };
        let wanted = asked.as_ref().map(|asked| Requested {
            claims: &asked.id_token,
            allowed: &client.scopes,
            granted: issuance.scopes,
        });
        let extra = claims::user_claims(person, &directory.groups, &scopes, &custom, wanted);
        let at_hash = token::half_hash(key.algorithm(), access_token);
        let issue = Issue {
            lifetime: client.lifetimes.id_token,
            ..*issue
        };
        let mut payload = claims::id_token(&issue, Some(&at_hash), None, extra);
        if issuance.grant_type == GrantType::RefreshToken {
            // OpenID Connect Core section 12.2.
            payload.remove("nonce");
        }
        key.sign(crate::authorize::ID_TYP, &payload)
    }

    pub(crate) fn custom_scopes<'a>(
        &self,
        directory: &'a doorward_domain::directory::Directory,
        scopes: &BTreeSet<String>,
    ) -> Vec<&'a doorward_domain::claim::CustomScope> {
        scopes
            .iter()
            .filter_map(|scope| directory.scopes.get(scope))
            .collect()
    }

    fn refresh_token(
        &self,
        issuance: &Issuance<'_>,
        family: FamilyId,
        now: Timestamp,
    ) -> (String, [u8; 32], RefreshRecord) {
        let client = issuance.client;
        // Those of confidential clients are bound to the client, which proves itself otherwise (RFC 9449 section 5).
        let bound = issuance.proof.filter(|_| client.kind == ClientKind::Public);
        let minted = Opaque::mint(TokenKind::Refresh, &self.random());
        let record = RefreshRecord {
            family_id: family,
            application_id: issuance.application.id,
            created_at: now,
            expires_at: now.plus(client.lifetimes.refresh_token),
            used_at: None,
            answer_sealed: None,
            jkt: bound.map(|proof| proof.jkt.clone()),
        };
        let digest = *token::digest(minted.text()).bytes();
        (minted.text().to_owned(), digest, record)
    }
}

/// Claim of our own in access tokens: the family they hang off.
pub(crate) const FAMILY: &str = "dw_family";
/// Claim of our own in exchanged tokens: the application that they are for, as `client_id` names who exchanged.
pub(crate) const TARGET: &str = "dw_target";

/// Stands in for a family where there is none: `client_credentials`. Never stored.
fn no_family(application: &Application, now: Timestamp) -> Family {
    Family {
        id: FamilyId::mint(now, [0; 10]),
        application_id: application.id,
        user_id: None,
        session_id: None,
        scopes: BTreeSet::new(),
        resources: BTreeSet::new(),
        claims: None,
        nonce: None,
        auth_time: None,
        amr: Vec::new(),
        acr: None,
        created_at: now,
        ended_at: None,
    }
}

/// Refresh tokens are given for `offline_access` (OpenID Connect Core section 11), to clients that may use them.
fn wants_refresh(client: &Client, family: &Family) -> bool {
    client.grant_types.contains(&GrantType::RefreshToken)
        && client.scopes.contains(scope::OFFLINE_ACCESS)
        && family.scopes.contains(scope::OFFLINE_ACCESS)
}

/// What of the scopes and resources the client may still have.
fn still_allowed(issuance: &Issuance<'_>) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let client = issuance.client;
    let scopes: BTreeSet<String> = issuance.scopes.intersection(&client.scopes).cloned().collect();
    if scopes.is_empty() && !issuance.scopes.is_empty() {
        let description = "the client may not have any of these scopes any more";
        return Err(TokenError::new(ErrorCode::InvalidScope, description).into());
    }
    let known = |resource: &&String| **resource == client.client_id || client.resources.contains(*resource);
    let resources: BTreeSet<String> = issuance.resources.iter().filter(known).cloned().collect();
    if resources.is_empty() && !issuance.resources.is_empty() {
        let description = "the client may not have tokens for any of these resources any more";
        return Err(TokenError::new(ErrorCode::InvalidTarget, description).into());
    }
    Ok((scopes, resources))
}
