//! Proving which client calls: secrets by digest, assertions by key, public clients by name only.

use quick_cache::sync::Cache;
use std::sync::Arc;

use doorward_crypto::jose::{self, Algorithm, JwkSet};
use doorward_crypto::token;
use doorward_domain::application::Application;
use doorward_domain::client::Client;
use doorward_domain::{Lifetime, Reason, Timestamp};
use doorward_oidc::client_auth::{self, Presented};
use doorward_oidc::error::{ErrorCode, TokenError};
use doorward_oidc::params::Params;
use serde_json::json;

use crate::error::Result;
use crate::events::About;
use crate::{Doorward, Origin};

const LONGEST_ASSERTION: usize = 16 * 1024;
const LARGEST_JWKS: usize = 64 * 1024;
const KEEP_FETCHED: Lifetime = Lifetime::from_minutes(10);
const REFETCH_AFTER: Lifetime = Lifetime::from_seconds(30);
/// Signature algorithms accepted from clients.
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

/// Fetched JWK sets by URL.
pub struct JwksCache(Cache<String, Arc<FetchedSet>>);

struct FetchedSet {
    set: JwkSet,
    at: Timestamp,
}

impl Default for JwksCache {
    fn default() -> Self {
        Self(Cache::new(256))
    }
}

fn bad_client(description: &str) -> TokenError {
    TokenError::new(ErrorCode::InvalidClient, description)
}

impl Doorward {
    /// Authenticates the client of a token, revocation, introspection, device or pushed request.
    ///
    /// # Errors
    /// `Protocol` with `invalid_client` or `invalid_request`; `Fault` when the database is away.
    pub(crate) async fn authenticate_client(
        &self,
        authorization: Option<&str>,
        params: &Params,
        origin: &Origin,
    ) -> Result<Arc<Application>> {
        let presented = Presented::read(authorization, params)?;
        let client_id = match &presented {
            Presented::Assertion {
                client_id: None,
                assertion,
            } => assertion_issuer(assertion)
                .ok_or_else(|| bad_client("client_assertion is not a JWT with iss"))?,
            other => other.client_id().unwrap_or_default().to_owned(),
        };
        let Some(application) = self.client_application(&client_id).await? else {
            self.inner
                .metrics
                .decided("client", Reason::UnknownClient.as_str());
            return Err(
                bad_client("client authentication failed: unknown client_id or wrong credentials").into(),
            );
        };
        match self.prove(&application, &presented).await {
            Ok(()) => Ok(application),
            Err(error) => {
                if let crate::Error::Protocol(error) = &error {
                    let details =
                        json!({ "method": presented.method().as_str(), "problem": error.description });
                    let about = About {
                        application: Some(application.id),
                        details,
                        ..About::default()
                    };
                    self.refuse("client", Reason::InvalidClient, about, origin).await;
                }
                Err(error)
            }
        }
    }

    async fn prove(&self, application: &Application, presented: &Presented) -> Result<()> {
        let Some(client) = application.client.as_ref() else {
            return Err(bad_client("the application has no client").into());
        };
        client_auth::check_method(presented, client)?;
        match presented {
            Presented::Basic { secret, .. } | Presented::Post { secret, .. } => {
                let now = self.now();
                let given = token::digest(secret);
                // Every live secret is compared, in constant time each.
                let fits = application
                    .secrets
                    .iter()
                    .filter(|stored| stored.is_live(now))
                    .fold(false, |found, stored| {
                        token::constant_eq(&stored.digest, given.bytes()) | found
                    });
                if fits {
                    return Ok(());
                }
                Err(bad_client("client authentication failed: unknown client_id or wrong credentials").into())
            }
            Presented::Assertion { assertion, .. } => {
                self.check_assertion(application, client, assertion).await
            }
            Presented::Public { .. } => Ok(()),
        }
    }

    async fn check_assertion(
        &self,
        application: &Application,
        client: &Client,
        assertion: &str,
    ) -> Result<()> {
        let payload = self.verify_client_jwt(client, assertion).await?;
        let claims = serde_json::from_slice(&payload)
            .map_err(|_| bad_client("client_assertion is not a JSON object"))?;
        let base = self.public_url();
        let audiences = [
            self.issuer(&application.slug, client),
            base.to_owned(),
            format!("{base}/"),
            format!("{base}/application/o/token/"),
            format!("{base}/application/o/introspect/"),
            format!("{base}/application/o/revoke/"),
            format!("{base}/application/o/device/"),
            format!("{base}/application/o/par/"),
        ];
        let now = self.now();
        let checked = client_auth::check_assertion(&claims, &client.client_id, &audiences, now)?;
        let key = token::digest(&format!("{}\n{}", client.client_id, checked.jti));
        let tx = self.store()?.begin().await?;
        if !tx.add_assertion(key.bytes(), checked.expires_at).await? {
            return Err(bad_client("client_assertion was used before (jti)").into());
        }
        tx.commit().await?;
        Ok(())
    }

    /// Checks a JWT that must be signed with a key of the client; gives the payload.
    pub(crate) async fn verify_client_jwt(&self, client: &Client, text: &str) -> Result<Vec<u8>> {
        let parse = || jose::parse_compact(text, LONGEST_ASSERTION);
        let unverified = parse().map_err(|_| bad_client("the JWT is malformed"))?;
        if let Some(inline) = &client.jwks {
            let set: JwkSet = serde_json::from_value(inline.clone())
                .map_err(|_| bad_client("the registered jwks cannot be read"))?;
            return unverified
                .verify_with_set(&set, &ACCEPTED)
                .map_err(|_| bad_client("the JWT is not signed with a registered key").into());
        }
        let Some(url) = client.jwks_uri.as_deref() else {
            return Err(bad_client("the client has no keys registered").into());
        };
        let fetched = self.client_keys(url, None).await?;
        if let Ok(payload) = unverified.verify_with_set(&fetched.set, &ACCEPTED) {
            return Ok(payload);
        }
        // Perhaps the client rotated its keys.
        let fetched = self.client_keys(url, Some(&fetched)).await?;
        let again = parse().map_err(|_| bad_client("the JWT is malformed"))?;
        again
            .verify_with_set(&fetched.set, &ACCEPTED)
            .map_err(|_| bad_client("the JWT is not signed with a key of jwks_uri").into())
    }

    async fn client_keys(&self, url: &str, outdated: Option<&FetchedSet>) -> Result<Arc<FetchedSet>> {
        let now = self.now();
        if let Some(cached) = self.inner.fetched_keys.0.get(url) {
            let age = now.millis_since(cached.at);
            let limit = if outdated.is_some() {
                REFETCH_AFTER
            } else {
                KEEP_FETCHED
            };
            if age < limit.millis() {
                return Ok(cached);
            }
        }
        let fetched = self
            .inner
            .ports
            .fetch
            .get(url, LARGEST_JWKS)
            .await
            .map_err(|error| {
                tracing::warn!(%error, url, "jwks_uri could not be fetched");
                bad_client("jwks_uri of the client could not be fetched")
            })?;
        if fetched.status != 200 {
            return Err(bad_client(&format!("jwks_uri of the client answered {}", fetched.status)).into());
        }
        let set: JwkSet = serde_json::from_slice(&fetched.body)
            .map_err(|_| bad_client("jwks_uri of the client is not a JWK set"))?;
        let fetched = Arc::new(FetchedSet { set, at: now });
        self.inner
            .fetched_keys
            .0
            .insert(url.to_owned(), Arc::clone(&fetched));
        Ok(fetched)
    }
}

/// `iss` of an assertion, to find the client whose keys then check it.
fn assertion_issuer(assertion: &str) -> Option<String> {
    let unverified = jose::parse_compact(assertion, LONGEST_ASSERTION).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&unverified.payload).ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}
