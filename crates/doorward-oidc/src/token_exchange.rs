//! Token exchange (RFC 8693): a service that got somebody's access token asks for one that another service takes.
//!
//! The rules, as far as the RFC leaves them open: the subject token is a live access token of ours that the calling client is the audience
//! of, or that was issued to it; what comes out is an access token, narrower or equal, never longer-lived; `act` always says
//! who exchanged (section 4.1), so a chain of services stays readable, and is at most [`DEEPEST`] long.
//!
//! Must not live here: finding tokens, who may exchange for whom, issuing.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use crate::error::{ErrorCode, TokenError, invalid_request};
use crate::params::Params;
use crate::scope::{self, Scopes};
use crate::{resource, resource::invalid_target};

/// Type of access tokens (section 3).
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// Type of JWTs (section 3); a JWT access token may be called that.
pub const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// Most actors in `act`, nested ones counted.
pub const DEEPEST: usize = 3;

/// Longest token that is looked up, in bytes.
const LONGEST_TOKEN: usize = 16 * 1024;
/// Longest `audience` in bytes.
const LONGEST_AUDIENCE: usize = 255;

/// A request for an exchange. `Debug` leaves the tokens out.
#[derive(Clone, PartialEq, Eq)]
pub struct ExchangeRequest {
    /// Whose access is passed on.
    pub subject_token: String,
    /// Who acts, when it is not simply the calling client.
    pub actor_token: Option<String>,
    /// Client id of the application that the token is for.
    pub audience: Option<String>,
    /// Resources of it (RFC 8707).
    pub resources: BTreeSet<String>,
    /// Scopes, when asked for.
    pub scopes: Option<Scopes>,
}

impl fmt::Debug for ExchangeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeRequest")
            .field("audience", &self.audience)
            .field("resources", &self.resources)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl ExchangeRequest {
    /// Reads the form (section 2.1).
    ///
    /// # Errors
    /// `invalid_request`, `invalid_scope`, `invalid_target`.
    pub fn read(params: &Params) -> Result<Self, TokenError> {
        let subject_token =
            token(params, "subject_token")?.ok_or_else(|| invalid_request("subject_token is missing"))?;
        check_type(params, "subject_token_type")?;
        let actor_token = token(params, "actor_token")?;
        match (&actor_token, params.get("actor_token_type")) {
            (Some(_), _) => check_type(params, "actor_token_type")?,
            (None, Some(_)) => {
                return Err(invalid_request("actor_token_type is given without actor_token"));
            }
            (None, None) => {}
        }
        if params
            .get("requested_token_type")
            .is_some_and(|wanted| wanted != ACCESS_TOKEN)
        {
            return Err(invalid_request(format!(
                "requested_token_type is not supported; expected {ACCESS_TOKEN}"
            )));
        }
        let resources = resource::read(params)?;
        let audience = audience(params)?;
        if audience.is_none() && resources.is_empty() {
            return Err(invalid_request(
                "audience and resource are missing; expected the client_id of an application or a resource",
            ));
        }
        let scopes = params
            .get("scope")
            .map(scope::parse_scope)
            .transpose()
            .map_err(|error| TokenError::new(ErrorCode::InvalidScope, error.to_string()))?;
        Ok(Self {
            subject_token,
            actor_token,
            audience,
            resources,
            scopes,
        })
    }
}

fn token(params: &Params, name: &str) -> Result<Option<String>, TokenError> {
    match params.get(name) {
        Some(token) if token.len() > LONGEST_TOKEN => {
            Err(invalid_request(format!("{name} is not one that was issued here")))
        }
        token => Ok(token.map(str::to_owned)),
    }
}

fn check_type(params: &Params, name: &str) -> Result<(), TokenError> {
    match params.get(name) {
        Some(ACCESS_TOKEN | JWT) => Ok(()),
        Some(_) => Err(invalid_request(format!(
            "{name} is not supported; expected {ACCESS_TOKEN} or {JWT}"
        ))),
        None => Err(invalid_request(format!("{name} is missing"))),
    }
}

fn audience(params: &Params) -> Result<Option<String>, TokenError> {
    let given: BTreeSet<&str> = params.all("audience").collect();
    let mut given = given.into_iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(one), None) if one.len() <= LONGEST_AUDIENCE => Ok(Some(one.to_owned())),
        (Some(_), None) => Err(unknown_target()),
        (Some(_), Some(_)) => Err(invalid_target(
            "audience names more than one application; expected one per exchange",
        )),
    }
}

/// The answer for an application that does not exist and for one that takes no tokens from the caller: the same, so that nobody can ask
/// which ones there are.
#[must_use]
pub fn unknown_target() -> TokenError {
    invalid_target("audience is not an application that takes tokens exchanged by this client")
}

/// The scopes of an exchanged token: what was asked for, or everything that both the subject token and the target have.
/// `offline_access` never passes, as no refresh token is given.
///
/// # Errors
/// `invalid_scope` when more is asked for.
pub fn narrow(subject: &Scopes, target: &Scopes, asked: Option<&Scopes>) -> Result<Scopes, TokenError> {
    let online = |name: &&String| *name != scope::OFFLINE_ACCESS;
    let possible: Scopes = subject.intersection(target).filter(online).cloned().collect();
    let Some(asked) = asked else {
        return Ok(possible);
    };
    let asked: Scopes = asked.iter().filter(online).cloned().collect();
    if asked.is_subset(&possible) {
        return Ok(asked);
    }
    Err(TokenError::new(
        ErrorCode::InvalidScope,
        format!(
            "scope asks for more than the subject token and the target allow; expected some of: {}",
            scope::join(&possible)
        ),
    ))
}

/// `act` of the new token (section 4.1): the actor, the client that exchanged, and inside it who acted before.
///
/// # Errors
/// `invalid_request` when that would be more than [`DEEPEST`] actors.
pub fn act(actor: &str, client_id: &str, before: Option<&Value>) -> Result<Value, TokenError> {
    if depth(before) >= DEEPEST {
        return Err(invalid_request(
            "the subject token was exchanged three times already; expected one with a shorter chain (act)",
        ));
    }
    let mut act = Map::new();
    act.insert("sub".into(), actor.into());
    if actor != client_id {
        act.insert("client_id".into(), client_id.into());
    }
    if let Some(before) = before {
        act.insert("act".into(), before.clone());
    }
    Ok(Value::Object(act))
}

fn depth(act: Option<&Value>) -> usize {
    let mut depth = 0;
    let mut next = act;
    while let Some(act) = next {
        depth += 1;
        if depth > DEEPEST {
            break;
        }
        next = act.get("act");
    }
    depth
}
