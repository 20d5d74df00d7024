//! Signed tokens of each kind, checked here without asking anybody: whose they may be, and what their claims mean.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::caller::{Caller, Known, LONGEST_ID, Person, Service, Source, Who, id, words};
use crate::clock;
use crate::jose::{Algorithm, Compact, Flaw, KeySet};
use crate::key_cache::{Away, KeyCache};

/// The kinds of signed tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Access tokens of an OpenID provider (RFC 9068).
    OpenId,
    /// Access tokens of the token API: they say so in `type`.
    TokenApi,
    /// What the session door's `/token` gives.
    Session,
}

/// One issuer whose tokens of one kind are let in.
pub(crate) struct Acceptor {
    pub(crate) profile: Profile,
    pub(crate) issuer: String,
    /// Who this service is. Empty: tokens that name an audience are not for it.
    pub(crate) audiences: Vec<String>,
    pub(crate) keys: Keys,
    pub(crate) algorithms: Vec<Algorithm>,
    /// Seconds by which clocks may differ.
    pub(crate) leeway: i64,
}

pub(crate) enum Keys {
    Remote(Arc<KeyCache>),
    Secret(KeySet),
}

/// Why a token does not count. For the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Reject {
    #[error("{0}")]
    Flaw(#[from] Flaw),
    #[error("its claims cannot be read")]
    Claims,
    #[error("nobody issues such tokens for this service (iss {0:?})")]
    Issuer(String),
    #[error("it is for {0:?}, expected {1:?}")]
    Audience(BTreeSet<String>, Vec<String>),
    #[error("it is over")]
    Expired,
    #[error("it is not valid yet")]
    NotYet,
    #[error("its subject is missing, too long, or no name")]
    Subject,
    #[error("it is bound to a key, and proofs of that are not read here")]
    Bound,
    #[error("the keys of its issuer are not at hand: {0}")]
    Away(String),
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Value>,
    exp: Option<f64>,
    nbf: Option<f64>,
    #[serde(rename = "type")]
    kind: Option<Value>,
    client_id: Option<String>,
    scope: Option<Value>,
    cnf: Option<Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Claims {
    fn read(payload: &[u8]) -> Result<Self, Reject> {
        serde_json::from_slice(payload).map_err(|_| Reject::Claims)
    }
}

/// Checks a token with the acceptors that it may belong to. Several may name the same issuer: two audiences, or a secret
/// that is being replaced by keys.
pub(crate) async fn check(acceptors: &[Acceptor], text: &str) -> Result<(Caller, Profile), Reject> {
    let compact = Compact::parse(text)?;
    // Only to find out which keys to try: not believed before the signature fits.
    let claims = Claims::read(&compact.payload)?;
    let issuer = claims.iss.as_deref().unwrap_or_default();
    let mut outcome = Reject::Issuer(issuer.chars().take(LONGEST_ID).collect());
    for acceptor in acceptors {
        if acceptor.issuer != issuer || !acceptor.profile.fits(&compact, &claims) {
            continue;
        }
        let verified = acceptor.verify(&compact).await;
        match verified.and_then(|()| acceptor.believe(&claims)) {
            Ok(caller) => return Ok((caller, acceptor.profile)),
            // That somebody's keys are not at hand must not turn into a refusal.
            Err(_) if matches!(outcome, Reject::Away(_)) => {}
            Err(reject) => outcome = reject,
        }
    }
    Err(outcome)
}

impl Profile {
    /// Tokens of one kind must never pass for another: an ID token or a refresh token is no access token.
    fn fits(self, compact: &Compact<'_>, claims: &Claims) -> bool {
        match self {
            Self::OpenId => compact.is_type("at+jwt"),
            Self::TokenApi => {
                compact.is_untyped() && claims.kind.as_ref().is_some_and(|kind| kind == "access")
            }
            Self::Session => compact.is_untyped() && claims.kind.is_none(),
        }
    }

    fn source(self) -> Source {
        match self {
            Self::OpenId => Source::AccessToken,
            Self::TokenApi => Source::ApiToken,
            Self::Session => Source::SessionJwt,
        }
    }
}

impl Acceptor {
    async fn verify(&self, compact: &Compact<'_>) -> Result<(), Reject> {
        // Before any key is fetched.
        if !self.algorithms.contains(&compact.algorithm) {
            return Err(Flaw::Algorithm.into());
        }
        match &self.keys {
            Keys::Secret(keys) => Ok(compact.verify(keys, &self.algorithms)?),
            Keys::Remote(cache) => {
                let fits = |keys: &KeySet| {
                    keys.candidates(compact.algorithm, compact.kid.as_deref())
                        .next()
                        .is_some()
                };
                let loaded = cache.keys(fits).await.map_err(|Away(why)| Reject::Away(why))?;
                Ok(compact.verify(&loaded.keys, &self.algorithms)?)
            }
        }
    }

    fn believe(&self, claims: &Claims) -> Result<Caller, Reject> {
        let now = clock::now();
        let expires_at = seconds(claims.exp.ok_or(Reject::Claims)?);
        if now >= expires_at.saturating_add(self.leeway) {
            return Err(Reject::Expired);
        }
        if claims
            .nbf
            .is_some_and(|nbf| seconds(nbf) > now.saturating_add(self.leeway))
        {
            return Err(Reject::NotYet);
        }
        let audience = words(claims.aud.as_ref(), &[]);
        let for_us = match &claims.aud {
            // RFC 7519, section 4.1.3: an audience that is not us means that the token is not for us.
            Some(_) => self.audiences.iter().any(|own| audience.contains(own)),
            None => self.audiences.is_empty(),
        };
        if !for_us {
            return Err(Reject::Audience(audience, self.audiences.clone()));
        }
        if claims.cnf.is_some() {
            return Err(Reject::Bound);
        }
        let subject = id(claims.sub.as_deref()).ok_or(Reject::Subject)?;
        // Only an OpenID provider grants scopes to clients; elsewhere these names mean something else, or nothing.
        let grant = self.profile == Profile::OpenId;
        Ok(Caller::new(Known {
            who: self.who(subject, claims),
            source: self.profile.source(),
            scopes: words(claims.scope.as_ref().filter(|_| grant), &[' ']),
            client_id: claims.client_id.clone().filter(|_| grant),
            expires_at,
            claims: claims.rest.clone(),
        }))
    }

    fn who(&self, subject: String, claims: &Claims) -> Who {
        let rest = &claims.rest;
        if self.profile == Profile::Session {
            // The claims are the user's fields, some of which an app may let people set themselves; `role` never is.
            return Who::Person(person(subject, words(rest.get("role"), &[',']), rest));
        }
        let mut roles = words(rest.get("roles"), &[]);
        if self.profile == Profile::OpenId {
            // RFC 9068, section 5: the subject of client credentials is the client. A token that hangs off somebody's
            // sign-in is that person's, whatever the person is called.
            let signed_in = ["dw_family", "sid", "auth_time"]
                .iter()
                .any(|claim| rest.contains_key(*claim));
            if claims.client_id.as_ref() == Some(&subject) && !signed_in {
                return Who::Service(Service { id: subject, roles });
            }
            roles.extend(words(rest.get("groups"), &[]));
        }
        Who::Person(person(subject, roles, rest))
    }
}

/// A person from claims with the usual names.
pub(crate) fn person(id: String, roles: BTreeSet<String>, claims: &Map<String, Value>) -> Person {
    let text = |name: &str| crate::caller::id(claims.get(name).and_then(Value::as_str));
    let is = |name: &str| claims.get(name).and_then(Value::as_bool).unwrap_or(false);
    Person {
        id,
        email: text("email"),
        email_verified: is("email_verified") || is("emailVerified"),
        name: text("name")
            .or_else(|| text("preferred_username"))
            .or_else(|| text("username")),
        roles,
        workspace: None,
        session_id: text("sid"),
        impersonated_by: None,
    }
}

/// A NumericDate (RFC 7519, section 2), which may have a fraction. What is no number of seconds is long ago.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, and both ends are refused as expired or not yet valid"
)]
fn seconds(date: f64) -> i64 {
    if date.is_finite() { date.floor() as i64 } else { 0 }
}
