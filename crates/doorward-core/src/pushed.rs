//! Pushed authorization requests (RFC 9126).

use serde_json::json;

use doorward_crypto::token::{self, Opaque, TokenKind};
use doorward_domain::application::Application;
use doorward_domain::{ApplicationId, Lifetime, Reason};
use doorward_oidc::error::{ErrorCode, TokenError, describe};
use doorward_oidc::par;
use doorward_oidc::params::Params;

use crate::dpop;
use crate::error::Result;
use crate::events::About;
use crate::{Doorward, Origin};

/// A pushed request can be used this long; long enough to type a password in between.
pub const LIFETIME: Lifetime = Lifetime::from_minutes(10);

/// Longest request that is kept, in bytes of its query.
const LONGEST: usize = 16 * 1024;

/// Digest under which the request of a `request_uri` is stored; `None` when it is not one of ours.
pub(crate) fn digest_of(uri: &str) -> Option<[u8; 32]> {
    Some(*token::digest(par::reference(uri)?).bytes())
}

/// Answer to a push. `Debug` leaves the reference out: it is as good as the request.
pub enum Pushed {
    /// Status 201 with this body.
    Accepted(serde_json::Value),
    /// This status with this error body.
    Refused(u16, serde_json::Value),
}

impl std::fmt::Debug for Pushed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Accepted(_) => f.debug_struct("Accepted").finish_non_exhaustive(),
            Self::Refused(status, body) => f.debug_tuple("Refused").field(status).field(body).finish(),
        }
    }
}

impl Doorward {
    /// Takes a request from an authenticated client and hands out a reference.
    ///
    /// # Errors
    /// `Protocol` as the token endpoint would answer; `Fault` when the database is away.
    pub async fn push(&self, authorization: Option<&str>, params: Params, origin: &Origin) -> Result<Pushed> {
        self.push_with_proof(authorization, None, params, origin).await
    }

    /// Takes a request that perhaps came with a proof of possession, whose key the code is then bound to (RFC 9449 section 10.1).
    ///
    /// # Errors
    /// As [`Doorward::push`], and `invalid_dpop_proof`.
    pub async fn push_with_proof(
        &self,
        authorization: Option<&str>,
        proof: Option<&str>,
        params: Params,
        origin: &Origin,
    ) -> Result<Pushed> {
        let mut known = None;
        let answer = self
            .answer_push((authorization, proof), &params, origin, &mut known)
            .await;
        self.noted("par", answer, known, origin).await
    }

    async fn answer_push(
        &self,
        (authorization, proof): (Option<&str>, Option<&str>),
        params: &Params,
        origin: &Origin,
        known: &mut Option<ApplicationId>,
    ) -> Result<Pushed> {
        let application = self.authenticate_client(authorization, params, origin).await?;
        *known = Some(application.id);
        let proof = self.prove_key(proof, dpop::PUSH)?;
        let Some(client) = application.client.as_ref() else {
            return Err(TokenError::new(ErrorCode::InvalidClient, "the client is unknown").into());
        };
        self.allow_public(&application, origin)?;
        let mut request = par::read(params, client)?;
        if let Some(object) = request.get("request").map(str::to_owned) {
            match self.open_request_object(&object, &request, &application).await {
                Ok(opened) => request = opened,
                Err(bad) => {
                    let body =
                        json!({ "error": bad.code.as_str(), "error_description": describe(&bad.problem) });
                    return Ok(self.refuse_push(&application, body, origin).await);
                }
            }
        }
        if let Some(proof) = &proof {
            if request.get("dpop_jkt").is_some_and(|jkt| jkt != proof.jkt) {
                let problem = "dpop_jkt is not the thumbprint of the key of the DPoP proof";
                return Err(dpop::invalid(problem).into());
            }
            request = request.with("dpop_jkt", &proof.jkt);
        }
        if let Err(error) = self.read_request(&request, &application, client) {
            let (_, body) = par::refusal(&error);
            return Ok(self.refuse_push(&application, body, origin).await);
        }
        let query = request.to_query();
        if query.len() > LONGEST {
            let description = format!("the request is longer than {LONGEST} bytes");
            return Err(TokenError::new(ErrorCode::InvalidRequest, description).into());
        }
        let minted = Opaque::mint(TokenKind::Pushed, &self.random());
        let now = self.now();
        let tx = self.store()?.begin().await?;
        if let Some(proof) = &proof {
            proof.spend(&tx).await?;
        }
        let digest = token::digest(minted.text());
        tx.add_pushed(digest.bytes(), application.id, &query, now.plus(LIFETIME))
            .await?;
        tx.commit().await?;
        let mut answer = par::response(minted.text());
        if let Some(object) = answer.as_object_mut() {
            object.insert("expires_in".into(), LIFETIME.seconds().into());
        }
        Ok(Pushed::Accepted(answer))
    }

    /// A refusal in the words of the authorization endpoint, with an event and its code.
    async fn refuse_push(
        &self,
        application: &Application,
        mut body: serde_json::Value,
        origin: &Origin,
    ) -> Pushed {
        let about = About {
            application: Some(application.id),
            details: json!({ "endpoint": "par", "error": body.get("error"), "problem": body.get("error_description") }),
            ..About::default()
        };
        let refused = self.refuse("par", Reason::InvalidRequest, about, origin).await;
        if let (Some(code), Some(object)) = (refused.code, body.as_object_mut()) {
            let problem = object
                .get("error_description")
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default();
            let told = format!("{problem} ({code})");
            object.insert("error_description".into(), told.into());
        }
        Pushed::Refused(400, body)
    }
}
