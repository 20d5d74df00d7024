//! Making tokens, and reading them again. Nothing of a token is stored: the same generation gives the same two texts.

use serde_json::{Map, Value, json};

use doorward_crypto::jose::Algorithm;
use doorward_crypto::shared::SharedKey;
use doorward_domain::Timestamp;
use doorward_domain::access::Person;
use doorward_domain::client::SigningAlgorithm;
use doorward_domain::session::Session;
use doorward_domain::token_api::{self as rules, About, Access, Refresh, TokenFamily};

use super::{TokenAlgorithm, TokenApi, email_of};
use crate::Doorward;
use crate::error::{Fault, Result};
use crate::keys::LONGEST_JWT;

/// What the ids of tokens are made with.
const NAMES: &str = "token-api-jti";
/// What signs refresh tokens when there is no shared secret: nobody else reads them.
const REFRESH: &str = "token-api-refresh";

impl TokenAlgorithm {
    const fn own_key(self) -> Option<(SigningAlgorithm, Algorithm)> {
        match self {
            Self::Hs256 => None,
            Self::EdDsa => Some((SigningAlgorithm::EdDsa, Algorithm::EdDSA)),
            Self::Rs256 => Some((SigningAlgorithm::Rs256, Algorithm::RS256)),
        }
    }
}

impl Doorward {
    /// Access and refresh token of the current generation, as the answer of `login` and `refresh`.
    pub(super) fn pair(
        &self,
        api: &TokenApi,
        family: &TokenFamily,
        session: &Session,
        person: &Person,
    ) -> Result<Map<String, Value>> {
        let made_at = family.made_at();
        let end = made_at.plus(api.access_lifetime);
        let expires_at = end.min(session.expires_at);
        let access = Access {
            user: session.user_id,
            session: Some(family.session),
            issued_at: made_at,
            expires_at,
            jti: Some(self.name_of("access", family)),
        };
        let refresh = Refresh {
            user: session.user_id,
            session: family.session,
            generation: family.generation,
            jti: Some(self.name_of("refresh", family)),
            issued_at: made_at,
            expires_at: session.expires_at,
        };
        let roles = rules::roles(person, &self.directory_now().groups);
        let about = About {
            email: email_of(&person.user),
            name: &person.user.name,
            roles: &roles,
        };
        let left = expires_at.seconds().saturating_sub(self.now().seconds()).max(0);
        let mut answer = Map::new();
        let access = self.sign_access(api, &access.claims(&api.issuer, &about), made_at)?;
        answer.insert("access_token".into(), json!(access));
        let refresh = self.refresh_key(api).sign(&bytes(&refresh.claims(&api.issuer))?);
        answer.insert("refresh_token".into(), json!(refresh));
        answer.insert("token_type".into(), json!("Bearer"));
        answer.insert("expires_in".into(), json!(left));
        Ok(answer)
    }

    /// The id of a token of one generation; it cannot be made up without our key.
    fn name_of(&self, kind: &str, family: &TokenFamily) -> String {
        let key = SharedKey::new(self.inner.keyring.derive(NAMES));
        key.name_of(&[kind, &family.session.to_string(), &family.generation.to_string()])
    }

    fn sign_access(&self, api: &TokenApi, claims: &Map<String, Value>, at: Timestamp) -> Result<String> {
        match (api.algorithm.own_key(), &api.secret) {
            // The key that signed when the generation was made, so that it is written again in the same way.
            (Some((algorithm, _)), _) => self.signing_key(algorithm, at)?.sign("JWT", claims),
            (None, Some(secret)) => Ok(secret.sign(&bytes(claims)?)),
            (None, None) => Err(Fault::internal("the token API has no secret").into()),
        }
    }

    fn refresh_key(&self, api: &TokenApi) -> SharedKey {
        match (&api.secret, api.algorithm) {
            (Some(secret), TokenAlgorithm::Hs256) => secret.clone(),
            _ => SharedKey::new(self.inner.keyring.derive(REFRESH)),
        }
    }

    /// Reads an access token: signature with the one algorithm that is set, type, issuer and time.
    pub(super) fn open_access(&self, api: &TokenApi, token: &str) -> Option<Access> {
        let claims = match (api.algorithm.own_key(), &api.secret) {
            (Some((_, algorithm)), _) => self.open_jwt_of(token, algorithm)?.claims,
            (None, Some(secret)) => secret.open(token, LONGEST_JWT)?,
            (None, None) => return None,
        };
        let access = Access::read(&claims, &api.issuer, self.now())?;
        // Our own key signs for others too; only tokens of the token API name a session that is one of its own.
        let complete = api.algorithm == TokenAlgorithm::Hs256 || access.session.is_some();
        complete.then_some(access)
    }

    /// Reads a refresh token: signature, type, issuer, time and id. Those that were signed with a shared secret before are
    /// read for as long as the secret is set.
    pub(super) fn open_refresh(&self, api: &TokenApi, token: &str) -> Option<Refresh> {
        let derived = self.inner.keyring.derive_each(REFRESH).map(SharedKey::new);
        let mut keys = api.secret.iter().cloned().chain(derived);
        let claims = keys.find_map(|key| key.open(token, LONGEST_JWT))?;
        let refresh = Refresh::read(&claims, &api.issuer, self.now())?;
        let Some(jti) = &refresh.jti else {
            return Some(refresh);
        };
        let parts = [
            "refresh",
            &refresh.session.to_string(),
            &refresh.generation.to_string(),
        ];
        let known = self.inner.keyring.derive_each(NAMES).any(|key| {
            let name = SharedKey::new(key).name_of(&parts);
            doorward_crypto::token::constant_eq(name.as_bytes(), jti.as_bytes())
        });
        known.then_some(refresh)
    }
}

fn bytes(claims: &Map<String, Value>) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(claims).map_err(|error| Fault::caused("claims could not be encoded", error))?)
}
