//! Pushed authorization requests (RFC 9126).

use serde_json::json;

use doorward_crypto::token::{self, Opaque, TokenKind};
use doorward_domain::Lifetime;
use doorward_oidc::error::{ErrorCode, TokenError};
use doorward_oidc::par;
use doorward_oidc::params::Params;

use crate::error::Result;
use crate::{Doorward, Origin};

/// A pushed request can be used this long; long enough to type a password in between.
pub const LIFETIME: Lifetime = Lifetime::from_minutes(10);

/// Digest under which the request of a `request_uri` is stored; `None` when it is not one of ours.
pub(crate) fn digest_of(uri: &str) -> Option<[u8; 32]> {
    Some(*token::digest(par::reference(uri)?).bytes())
}

/// Answer to a push.
#[derive(Debug)]
pub enum Pushed {
    /// Status 201 with this body.
    Accepted(serde_json::Value),
    /// This status with this error body.
    Refused(u16, serde_json::Value),
}

impl Doorward {
    /// Takes a request from an authenticated client and hands out a reference.
    ///
    /// # Errors
    /// `Protocol` as the token endpoint would answer; `Fault` when the database is away.
    pub async fn push(&self, authorization: Option<&str>, params: Params, origin: &Origin) -> Result<Pushed> {
        let application = self.authenticate_client(authorization, &params, origin).await?;
        let Some(client) = application.client.as_ref() else {
            return Err(TokenError::new(ErrorCode::InvalidClient, "the client is unknown").into());
        };
        let mut request = par::read(&params, client)?;
        if let Some(object) = request.get("request").map(str::to_owned) {
            match self.open_request_object(&object, &request, &application).await {
                Ok(opened) => request = opened,
                Err(problem) => {
                    let body = json!({ "error": "invalid_request_object", "error_description": problem });
                    return Ok(Pushed::Refused(400, body));
                }
            }
        }
        if let Err(error) = self.read_request(&request, &application, client) {
            let (status, body) = par::refusal(&error);
            return Ok(Pushed::Refused(status, body));
        }
        let minted = Opaque::mint(TokenKind::Pushed, &self.random());
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let digest = token::digest(minted.text());
        tx.add_pushed(
            digest.bytes(),
            application.id,
            &request.to_query(),
            now.plus(LIFETIME),
        )
        .await?;
        tx.commit().await?;
        let mut answer = par::response(minted.text());
        if let Some(object) = answer.as_object_mut() {
            object.insert("expires_in".into(), LIFETIME.seconds().into());
        }
        Ok(Pushed::Accepted(answer))
    }
}
