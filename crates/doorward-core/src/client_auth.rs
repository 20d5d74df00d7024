//! Proving which client calls: secrets by digest, assertions by key, public clients by name only.

use quick_cache::sync::Cache;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_crypto::jose::{self, Algorithm, JwkSet};
use doorward_crypto::token;
use doorward_domain::application::Application;
use doorward_domain::client::{Client, ClientKind};
use doorward_domain::network::Network;
use doorward_domain::{ApplicationId, Lifetime, Reason, Timestamp};
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
/// While nobody answers, a set that was good serves this long.
const KEEP_STALE: Lifetime = Lifetime::from_hours(24);
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
pub struct JwksCache(Cache<String, Arc<Source>>);

/// One `jwks_uri`.
#[derive(Default)]
struct Source {
    /// Held while it is fetched, so that a crowd of requests makes one.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<SourceState>,
}

#[derive(Default)]
struct SourceState {
    set: Option<Arc<FetchedSet>>,
    failed_at: Option<Timestamp>,
}

struct FetchedSet {
    set: JwkSet,
    at: Timestamp,
}

impl Default for JwksCache {
    fn default() -> Self {
        Self(Cache::new(256))
    }
}

impl JwksCache {
    fn source(&self, url: &str) -> Arc<Source> {
        let made = || Ok::<_, std::convert::Infallible>(Arc::default());
        self.0.get_or_insert_with(url, made).unwrap_or_default()
    }
}

impl Source {
    fn state(&self) -> MutexGuard<'_, SourceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known without asking; `None` when it is time to ask. `outdated`: a set was found not to hold the key.
    fn known(&self, outdated: bool, now: Timestamp) -> Option<Result<Arc<FetchedSet>>> {
        let state = self.state();
        let young = |at: Timestamp, limit: Lifetime| now.millis_since(at).abs() < limit.millis();
        let limit = if outdated { REFETCH_AFTER } else { KEEP_FETCHED };
        if let Some(set) = state.set.as_ref().filter(|set| young(set.at, limit)) {
            return Some(Ok(Arc::clone(set)));
        }
        state.failed_at.filter(|at| young(*at, REFETCH_AFTER))?;
        let stale = state.set.as_ref().filter(|set| young(set.at, KEEP_STALE));
        Some(stale.map_or_else(|| Err(unreachable_keys().into()), |set| Ok(Arc::clone(set))))
    }
}

fn unreachable_keys() -> TokenError {
    TokenError::new(
        ErrorCode::TemporarilyUnavailable,
        "jwks_uri of the client could not be fetched",
    )
}

/// How often strangers may make us keep something in the name of a public client: a burst, then one a second, per application and
/// network.
pub struct Allowances(Cache<(ApplicationId, String), Arc<Mutex<Allowance>>>);

struct Allowance {
    left: u32,
    filled: Timestamp,
}

const BURST: u32 = 30;

impl Default for Allowances {
    fn default() -> Self {
        Self(Cache::new(10_000))
    }
}

impl Allowances {
    fn take(&self, application: ApplicationId, network: String, now: Timestamp) -> bool {
        let full = || {
            Ok::<_, std::convert::Infallible>(Arc::new(Mutex::new(Allowance {
                left: BURST,
                filled: now,
            })))
        };
        let Ok(allowance) = self.0.get_or_insert_with(&(application, network), full);
        let mut allowance = allowance.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = u32::try_from(now.millis_since(allowance.filled).abs() / 1000).unwrap_or(BURST);
        if seconds > 0 {
            allowance.left = allowance.left.saturating_add(seconds).min(BURST);
            allowance.filled = now;
        }
        let allowed = allowance.left > 0;
        allowance.left = allowance.left.saturating_sub(1);
        allowed
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
            let shown: String = client_id.chars().filter(|c| !c.is_control()).take(300).collect();
            let about = About {
                details: json!({ "client_id": shown, "method": presented.method().as_str() }),
                ..About::default()
            };
            let refused = self.refuse("client", Reason::UnknownClient, about, origin).await;
            return Err(refused.naming(bad_client(
                "client authentication failed: unknown client_id or wrong credentials",
            )));
        };
        match self.prove(&application, &presented).await {
            Ok(()) => Ok(application),
            Err(crate::Error::Protocol(error)) => {
                let details = json!({ "method": presented.method().as_str(), "problem": error.description });
                let about = About {
                    application: Some(application.id),
                    details,
                    ..About::default()
                };
                let refused = self.refuse("client", Reason::InvalidClient, about, origin).await;
                Err(refused.naming(*error))
            }
            Err(fault) => Err(fault),
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
                let raw = match presented {
                    Presented::Basic { raw: Some(raw), .. } => raw,
                    _ => secret,
                };
                let (given, raw) = (token::digest(secret), token::digest(raw));
                // Every live secret is compared, in constant time each.
                let fits = application
                    .secrets
                    .iter()
                    .filter(|stored| stored.is_live(now))
                    .fold(false, |found, stored| {
                        let encoded = token::constant_eq(&stored.digest, given.bytes());
                        let plain = token::constant_eq(&stored.digest, raw.bytes());
                        encoded | plain | found
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
        let payload = match self.verify_client_jwt(client, assertion).await {
            // Whoever cannot be checked has not proved anything.
            Err(crate::Error::Protocol(error)) if error.code == ErrorCode::TemporarilyUnavailable => {
                return Err(bad_client(&error.description).into());
            }
            other => other?,
        };
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
        let fetched = self.client_keys(url, false).await?;
        if let Ok(payload) = unverified.verify_with_set(&fetched.set, &ACCEPTED) {
            return Ok(payload);
        }
        // Perhaps the client rotated its keys.
        let fetched = self.client_keys(url, true).await?;
        let again = parse().map_err(|_| bad_client("the JWT is malformed"))?;
        again
            .verify_with_set(&fetched.set, &ACCEPTED)
            .map_err(|_| bad_client("the JWT is not signed with a key of jwks_uri").into())
    }

    /// Keys of a provider that people sign in with.
    pub(crate) async fn provider_keys(&self, url: &str, outdated: bool) -> Result<JwkSet> {
        Ok(self.client_keys(url, outdated).await?.set.clone())
    }

    async fn client_keys(&self, url: &str, outdated: bool) -> Result<Arc<FetchedSet>> {
        let source = self.inner.fetched_keys.source(url);
        if let Some(known) = source.known(outdated, self.now()) {
            return known;
        }
        let _turn = source.turn.lock().await;
        if let Some(known) = source.known(outdated, self.now()) {
            return known;
        }
        let fetched = self.fetch_keys(url).await;
        let now = self.now();
        let mut state = source.state();
        match fetched {
            Ok(set) => {
                let set = Arc::new(FetchedSet { set, at: now });
                *state = SourceState {
                    set: Some(Arc::clone(&set)),
                    failed_at: None,
                };
                return Ok(set);
            }
            Err(problem) => {
                tracing::warn!(%problem, url, "jwks_uri could not be fetched");
                state.failed_at = Some(now);
            }
        }
        drop(state);
        let known = source.known(outdated, now);
        known.unwrap_or_else(|| Err(unreachable_keys().into()))
    }

    async fn fetch_keys(&self, url: &str) -> std::result::Result<JwkSet, String> {
        let fetched = self.inner.ports.fetch.get(url, LARGEST_JWKS).await;
        let fetched = fetched.map_err(|error| error.to_string())?;
        if fetched.status != 200 {
            return Err(format!("it answered {}", fetched.status));
        }
        serde_json::from_slice(&fetched.body).map_err(|_| "it is not a JWK set".to_owned())
    }

    /// A public client proves nothing: anybody can call in its name, so what its calls leave behind is bounded.
    ///
    /// # Errors
    /// `temporarily_unavailable`.
    pub(crate) fn allow_public(&self, application: &Application, origin: &Origin) -> Result<()> {
        let public = application
            .client
            .as_ref()
            .is_some_and(|client| client.kind == ClientKind::Public);
        let network = origin
            .ip
            .map(|ip| Network::of(ip).to_string())
            .unwrap_or_default();
        if !public || self.inner.allowances.take(application.id, network, self.now()) {
            return Ok(());
        }
        let description = "too many requests for this client from this network; try again in a few seconds";
        Err(TokenError::new(ErrorCode::TemporarilyUnavailable, description).into())
    }
}

/// `iss` of an assertion, to find the client whose keys then check it.
fn assertion_issuer(assertion: &str) -> Option<String> {
    let unverified = jose::parse_compact(assertion, LONGEST_ASSERTION).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&unverified.payload).ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}
