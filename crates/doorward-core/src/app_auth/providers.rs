//! Speaking with other providers: their documents, codes for tokens, ID tokens, claims.

use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use doorward_crypto::jose::{self, Algorithm};
use doorward_domain::app_auth::{Provider, ProviderTokens};
use doorward_domain::{Lifetime, Timestamp, text};
use doorward_oidc::params::Params;

use crate::Doorward;
use crate::app_auth::social::Flow;
use crate::app_auth::{AppError, AppResult};
use crate::ports::Call;

/// A provider's document is kept this long.
const KEEP_DOCUMENT: Lifetime = Lifetime::from_minutes(10);
/// Clocks may differ by this much.
const LEEWAY: i64 = 60;
const LARGEST_DOCUMENT: usize = 256 * 1024;
/// Longest ID token that is looked at.
const LONGEST_TOKEN: usize = 32 * 1024;
const ACCEPTED: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// A provider's document.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) issuer: Option<String>,
    pub(crate) authorization: String,
    pub(crate) token: String,
    pub(crate) userinfo: Option<String>,
    pub(crate) jwks: Option<String>,
    pub(crate) end_session: Option<String>,
    pub(crate) says_issuer: bool,
}

/// Documents by URL.
#[derive(Default)]
pub(crate) struct Documents(Mutex<HashMap<String, (Timestamp, Arc<Document>)>>);

const MOST_DOCUMENTS: usize = 500;

/// Who somebody is at a provider.
pub(crate) struct Profile {
    pub(crate) account: String,
    pub(crate) email: Option<String>,
    pub(crate) verified: bool,
    pub(crate) name: String,
    pub(crate) image: Option<String>,
    pub(crate) claims: Map<String, Value>,
}

pub(crate) fn text_of<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

pub(crate) fn profile_of(claims: Map<String, Value>) -> Option<Profile> {
    let account = match claims.get("sub").or_else(|| claims.get("id"))? {
        Value::String(text) if !text.is_empty() && text.len() <= 600 => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let verified = matches!(claims.get("email_verified"), Some(Value::Bool(true)));
    let verified = verified || text_of(&claims, "email_verified") == Some("true");
    Some(Profile {
        account,
        // No provider speaks of the placeholders that are made here.
        email: text_of(&claims, "email")
            .map(str::to_lowercase)
            .filter(|email| !text::is_placeholder(email)),
        verified,
        name: text_of(&claims, "name")
            .or_else(|| text_of(&claims, "preferred_username"))
            .unwrap_or_default()
            .to_owned(),
        image: text_of(&claims, "picture")
            .filter(|url| url.len() <= 2048)
            .map(str::to_owned),
        claims,
    })
}

/// An endpoint of a provider with these parameters behind those that it has.
pub(crate) fn with_query(endpoint: &str, query: &str) -> String {
    let mark = if endpoint.contains('?') { '&' } else { '?' };
    format!("{endpoint}{mark}{query}")
}

impl Doorward {
    pub(crate) async fn document(&self, provider: &Provider) -> AppResult<Arc<Document>> {
        let broken = || AppError::Code("INVALID_OAUTH_CONFIGURATION");
        if let (Some(authorization), Some(token)) = (&provider.authorization_url, &provider.token_url) {
            return Ok(Arc::new(Document {
                issuer: provider.issuer.clone(),
                authorization: authorization.clone(),
                token: token.clone(),
                userinfo: provider.userinfo_url.clone(),
                jwks: None,
                end_session: None,
                says_issuer: false,
            }));
        }
        let url = match (&provider.discovery_url, &provider.issuer) {
            (Some(url), _) => url.clone(),
            (None, Some(issuer)) => {
                let base = issuer.strip_suffix('/').unwrap_or(issuer);
                format!("{base}/.well-known/openid-configuration")
            }
            (None, None) => return Err(broken()),
        };
        let now = self.now();
        let known = self
            .inner
            .providers
            .0
            .lock()
            .ok()
            .and_then(|known| known.get(&url).cloned());
        if let Some((at, document)) = &known
            && now < at.plus(KEEP_DOCUMENT)
        {
            return Ok(Arc::clone(document));
        }
        let fetched = self.inner.ports.fetch.get(&url, LARGEST_DOCUMENT).await;
        let read = fetched.ok().filter(|fetched| fetched.status == 200);
        let read = read.and_then(|fetched| serde_json::from_slice::<Map<String, Value>>(&fetched.body).ok());
        let Some(read) = read else {
            // What was good a while ago is better than nobody signing in.
            tracing::warn!(
                url,
                provider = provider.id,
                "the provider's document cannot be read"
            );
            return known.map(|(_, document)| document).ok_or_else(broken);
        };
        let field = |name: &str| text_of(&read, name).map(str::to_owned);
        if let Some(wanted) = &provider.issuer
            && field("issuer").as_ref() != Some(wanted)
        {
            let found = field("issuer").unwrap_or_default();
            tracing::warn!(
                wanted,
                found,
                provider = provider.id,
                "the provider's document names another issuer; mind a slash at the end"
            );
            return Err(broken());
        }
        let document = Arc::new(Document {
            issuer: field("issuer"),
            authorization: field("authorization_endpoint").ok_or_else(broken)?,
            token: field("token_endpoint").ok_or_else(broken)?,
            userinfo: field("userinfo_endpoint"),
            jwks: field("jwks_uri"),
            end_session: field("end_session_endpoint"),
            says_issuer: read.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
        });
        if let Ok(mut known) = self.inner.providers.0.lock() {
            if known.len() >= MOST_DOCUMENTS {
                known.clear();
            }
            known.insert(url, (now, Arc::clone(&document)));
        }
        Ok(document)
    }

    /// A call with the client's authentication.
    pub(crate) async fn ask_token(
        &self,
        provider: &Provider,
        url: &str,
        mut form: Vec<(&str, &str)>,
    ) -> Option<Map<String, Value>> {
        let secret = self.provider_secret(provider);
        let mut authorization = None;
        match &secret {
            Some(secret) if !provider.secret_in_form => {
                // RFC 6749 section 2.3.1: both parts are form-encoded first.
                let encode = |text: &str| {
                    let query = Params::from_pairs([("", text)]).to_query();
                    query.strip_prefix('=').unwrap_or(&query).to_owned()
                };
                let pair = format!("{}:{}", encode(&provider.client_id), encode(secret.expose()));
                authorization = Some(format!(
                    "Basic {}",
                    doorward_crypto::signed::base64(pair.as_bytes())
                ));
            }
            Some(secret) => {
                form.push(("client_id", &provider.client_id));
                form.push(("client_secret", secret.expose()));
            }
            None => form.push(("client_id", &provider.client_id)),
        }
        let call = Call {
            form: Some(&form),
            url,
            authorization: authorization.as_deref(),
        };
        match self.inner.ports.fetch.call(call).await {
            Ok(answer) if answer.status == 200 => serde_json::from_slice(&answer.body).ok(),
            Ok(answer) => {
                let told = serde_json::from_slice::<Map<String, Value>>(&answer.body).ok();
                let error = told
                    .as_ref()
                    .and_then(|told| text_of(told, "error"))
                    .unwrap_or("no error code")
                    .to_owned();
                tracing::warn!(
                    provider = provider.id,
                    status = answer.status,
                    error,
                    "the provider's token endpoint refused"
                );
                None
            }
            Err(error) => {
                tracing::warn!(provider = provider.id, %error, "the provider's token endpoint does not answer");
                None
            }
        }
    }

    pub(crate) async fn exchange_code(
        &self,
        provider: &Provider,
        document: &Document,
        flow: &Flow,
        code: &str,
    ) -> Option<Map<String, Value>> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", flow.redirect_uri.as_str()),
        ];
        if !flow.verifier.is_empty() {
            form.push(("code_verifier", &flow.verifier));
        }
        self.ask_token(provider, &document.token, form).await
    }

    /// Claims of a verified ID token (OpenID Connect Core section 3.1.3.7).
    pub(crate) async fn id_claims(
        &self,
        provider: &Provider,
        document: &Document,
        nonce: Option<&str>,
        text: &str,
    ) -> Option<Map<String, Value>> {
        let jwks = document.jwks.as_deref()?;
        let unverified = jose::parse_compact(text, LONGEST_TOKEN).ok()?;
        let mut claims = None;
        for outdated in [false, true] {
            let Ok(keys) = self.provider_keys(jwks, outdated).await else {
                continue;
            };
            if let Ok(bytes) = unverified.verify_with_set(&keys, &ACCEPTED) {
                claims = serde_json::from_slice::<Map<String, Value>>(&bytes).ok();
                break;
            }
        }
        let claims = claims?;
        let now = self.now().seconds();
        let issuer_fits = document
            .issuer
            .as_deref()
            .is_none_or(|issuer| text_of(&claims, "iss") == Some(issuer));
        let for_us = match claims.get("aud") {
            Some(Value::String(one)) => *one == provider.client_id,
            Some(Value::Array(list)) => {
                let named = list
                    .iter()
                    .any(|one| one.as_str() == Some(provider.client_id.as_str()));
                named && (list.len() == 1 || text_of(&claims, "azp") == Some(provider.client_id.as_str()))
            }
            _ => false,
        };
        let lives = claims
            .get("exp")
            .and_then(Value::as_i64)
            .is_some_and(|exp| now < exp + LEEWAY);
        let nonce_fits = nonce.is_none_or(|nonce| text_of(&claims, "nonce") == Some(nonce));
        if issuer_fits && for_us && lives && nonce_fits {
            return Some(claims);
        }
        tracing::warn!(
            provider = provider.id,
            issuer_fits,
            for_us,
            lives,
            nonce_fits,
            "an ID token does not hold"
        );
        None
    }

    pub(crate) async fn claims_at(&self, document: &Document, access: &str) -> Option<Map<String, Value>> {
        let authorization = format!("Bearer {access}");
        let call = Call {
            form: None,
            url: document.userinfo.as_deref()?,
            authorization: Some(&authorization),
        };
        let answer = self.inner.ports.fetch.call(call).await.ok()?;
        if answer.status != 200 {
            return None;
        }
        serde_json::from_slice(&answer.body).ok()
    }

    pub(crate) async fn profile_at(
        &self,
        provider: &Provider,
        document: &Document,
        flow: &Flow,
        answer: &Map<String, Value>,
    ) -> Option<Profile> {
        let access = text_of(answer, "access_token");
        let mut claims = Map::new();
        if let (Some(id_token), true) = (text_of(answer, "id_token"), document.jwks.is_some()) {
            claims = self
                .id_claims(provider, document, flow.nonce.as_deref(), id_token)
                .await?;
        }
        if !claims.contains_key("email")
            && let Some(access) = access
        {
            match self.claims_at(document, access).await {
                // Section 5.3.2 of OpenID Connect Core: another subject is another person.
                Some(more) if !claims.contains_key("sub") || more.get("sub") == claims.get("sub") => {
                    for (name, value) in more {
                        claims.entry(name).or_insert(value);
                    }
                }
                Some(_) => return None,
                None if claims.is_empty() => return None,
                None => {}
            }
        }
        profile_of(claims)
    }
}

pub(crate) fn tokens_of(answer: &Map<String, Value>, now: Timestamp) -> ProviderTokens {
    let until = |name: &str| {
        let seconds = answer.get(name).and_then(Value::as_u64)?;
        let seconds = u32::try_from(seconds.min(10 * 365 * 86_400)).ok()?;
        Some(now.plus(Lifetime::from_seconds(seconds)))
    };
    ProviderTokens {
        access: text_of(answer, "access_token").map(str::to_owned),
        refresh: text_of(answer, "refresh_token").map(str::to_owned),
        id: text_of(answer, "id_token").map(str::to_owned),
        access_until: until("expires_in"),
        refresh_until: until("refresh_token_expires_in"),
    }
}
