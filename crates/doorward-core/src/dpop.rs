//! Proofs of possession (RFC 9449): whose key a request was signed with, once per proof.
//!
//! A proof is remembered in the transaction that makes use of it. A request without one writes nothing more than it did before.

use doorward_crypto::jose::{self, Algorithm, Jwk, Verifier};
use doorward_crypto::token;
use doorward_domain::Timestamp;
use doorward_oidc::dpop::{self, Expected, Proof};
use doorward_oidc::error::{ErrorCode, TokenError};
use doorward_store::Tx;

use crate::Doorward;
use crate::error::Result;

/// Path of the token endpoint.
pub(crate) const TOKEN: &str = "/application/o/token/";
/// Path of the endpoint for pushed requests.
pub(crate) const PUSH: &str = "/application/o/par/";
/// Path of the userinfo endpoint.
pub(crate) const USERINFO: &str = "/application/o/userinfo/";

/// How an access token came along.
#[derive(Clone, Copy)]
pub enum Carried<'a> {
    /// As a bearer token (RFC 6750).
    Bearer(&'a str),
    /// With the scheme `DPoP`.
    Bound {
        /// The token.
        token: &'a str,
        /// The `DPoP` header, when there was exactly one.
        proof: Option<&'a str>,
        /// Method of the request.
        method: &'a str,
    },
}

/// A key that the caller holds: its proof was verified. Good for something only after [`Proven::spend`].
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    /// Thumbprint of the key (RFC 7638).
    pub jkt: String,
    digest: [u8; 32],
    remember_until: Timestamp,
}

impl Proven {
    /// Remembers the proof in the caller's transaction, which must not be committed when it is known already (section 11.1).
    ///
    /// # Errors
    /// `Protocol` with `invalid_dpop_proof`.
    pub(crate) async fn spend(&self, tx: &Tx) -> Result<()> {
        if tx.add_assertion(&self.digest, self.remember_until).await? {
            return Ok(());
        }
        Err(invalid("the DPoP proof was used before (jti)").into())
    }
}

pub(crate) fn invalid(description: &str) -> TokenError {
    TokenError::new(ErrorCode::InvalidDpopProof, description)
}

/// Checks that what is bound to a key comes with a proof of that key.
///
/// # Errors
/// `invalid_dpop_proof` without a proof, `invalid_grant` with that of another key.
pub(crate) fn check_binding(
    bound: Option<&str>,
    proof: Option<&Proven>,
    what: &str,
) -> std::result::Result<(), TokenError> {
    match (bound, proof) {
        (None, _) => Ok(()),
        (Some(jkt), Some(proof)) if proof.jkt == jkt => Ok(()),
        (Some(_), Some(_)) => Err(TokenError::new(
            ErrorCode::InvalidGrant,
            format!("the {what} is bound to another key than the one of the DPoP proof"),
        )),
        (Some(_), None) => Err(invalid(&format!(
            "the {what} is bound to a key; expected a DPoP proof"
        ))),
    }
}

/// Verifies a proof with the key in its own header and checks what it says.
fn open(proof: &str, expected: &Expected<'_>) -> std::result::Result<Proven, TokenError> {
    let unverified = jose::parse_compact(proof, dpop::LONGEST)
        .map_err(|problem| invalid(&format!("the DPoP proof cannot be used: {problem}")))?;
    let members = dpop::key_of(&unverified.header.members)?;
    let key = Jwk::from_members(members)
        .map_err(|problem| invalid(&format!("the key of the DPoP proof cannot be used: {problem}")))?;
    let verifier =
        Verifier::from_jwk(&key).map_err(|_| invalid("the key of the DPoP proof cannot be used"))?;
    let payload = unverified
        .verify(&verifier, &Algorithm::SIGNING)
        .map_err(|_| invalid("the DPoP proof is not signed with the key in its header"))?;
    let claims =
        jose::parse_object(&payload).map_err(|_| invalid("the DPoP proof does not hold a JSON object"))?;
    let read = Proof::read(&claims, expected)?;
    let jkt = key.thumbprint();
    let digest = *token::digest(&format!("dpop\n{jkt}\n{}", read.jti)).bytes();
    Ok(Proven {
        jkt,
        digest,
        remember_until: read.issued_at.plus(dpop::REMEMBERED),
    })
}

impl Doorward {
    /// The key behind the `DPoP` header of a POST; `None` when there is no such header.
    ///
    /// # Errors
    /// `Protocol` with `invalid_dpop_proof`.
    pub(crate) fn prove_key(&self, proof: Option<&str>, path: &str) -> Result<Option<Proven>> {
        let Some(proof) = proof else { return Ok(None) };
        let expected = Expected {
            method: "POST",
            url: &format!("{}{path}", self.public_url()),
            token_hash: None,
            now: self.now(),
        };
        Ok(Some(open(proof, &expected)?))
    }

    /// Checks that an access token came the way its binding asks for (section 7.1). Gives the proof to spend.
    ///
    /// # Errors
    /// `Protocol` with `invalid_token` or `invalid_dpop_proof`.
    pub(crate) fn check_carried(&self, carried: Carried<'_>, jkt: Option<&str>) -> Result<Option<Proven>> {
        let refused = |problem: &str| Err(TokenError::new(ErrorCode::InvalidToken, problem).into());
        match (carried, jkt) {
            (Carried::Bearer(_), None) => Ok(None),
            (Carried::Bearer(_), Some(_)) => {
                refused("the access token is bound to a key; expected the scheme DPoP and a DPoP proof")
            }
            (Carried::Bound { .. }, None) => {
                refused("the access token is not bound to a key; expected the scheme Bearer")
            }
            (Carried::Bound { token, proof, method }, Some(jkt)) => {
                let Some(proof) = proof else {
                    return Err(
                        invalid("the DPoP proof is missing; expected exactly one DPoP header").into(),
                    );
                };
                let hash = token::pkce_s256(token);
                let expected = Expected {
                    method,
                    url: &format!("{}{USERINFO}", self.public_url()),
                    token_hash: Some(&hash),
                    now: self.now(),
                };
                let proven = open(proof, &expected)?;
                if proven.jkt != jkt {
                    return refused(
                        "the access token is bound to another key than the one of the DPoP proof",
                    );
                }
                Ok(Some(proven))
            }
        }
    }
}
