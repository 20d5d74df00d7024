//! Pushed authorization requests (RFC 9126).
//!
//! Must not live here: storing the request.

use doorward_domain::Lifetime;
use doorward_domain::client::Client;
use serde_json::{Value, json};

use crate::authorize::ReadError;
use crate::error::{TokenError, invalid_request};
use crate::params::Params;

/// How long a pushed request can be used.
pub const LIFETIME: Lifetime = Lifetime::from_seconds(90);
/// What every `request_uri` made here begins with (section 2.2).
pub const URN: &str = "urn:ietf:params:oauth:request_uri:";
/// Parameters of client authentication that do not belong to the stored request.
const AUTHENTICATION: [&str; 3] = ["client_secret", "client_assertion", "client_assertion_type"];

/// The authorization request inside a push by an authenticated client (section 2.1).
///
/// # Errors
/// `invalid_request` when it has a `request_uri` or names another client.
pub fn read(params: &Params, client: &Client) -> Result<Params, TokenError> {
    params.refuse_repeated()?;
    if params.get("request_uri").is_some() {
        return Err(invalid_request(
            "request_uri may not be pushed (RFC 9126 section 2.1)",
        ));
    }
    if params
        .get("client_id")
        .is_some_and(|given| given != client.client_id)
    {
        return Err(invalid_request("client_id is not the client that authenticated"));
    }
    Ok(params
        .without(&AUTHENTICATION)
        .with("client_id", &client.client_id))
}

/// JSON body of the answer, sent with status 201 (section 2.2). `reference` is random and URL-safe.
#[must_use]
pub fn response(reference: &str) -> Value {
    json!({ "request_uri": format!("{URN}{reference}"), "expires_in": LIFETIME.seconds() })
}

/// The reference inside a `request_uri` made here; `None` for any other URI.
#[must_use]
pub fn reference(request_uri: &str) -> Option<&str> {
    request_uri.strip_prefix(URN).filter(|reference| {
        (1..=256).contains(&reference.len())
            && reference
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

/// Status and body for a pushed request that [`crate::authorize::read`] refused (section 2.3).
#[must_use]
pub fn refusal(error: &ReadError) -> (u16, Value) {
    let (code, description) = match error {
        ReadError::Page(page) => ("invalid_request", crate::error::describe(&page.to_string())),
        ReadError::Return(error) => (error.error, error.description.clone()),
    };
    (400, json!({ "error": code, "error_description": description }))
}
