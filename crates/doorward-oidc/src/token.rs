//! The token endpoint: reading requests, redeeming codes, narrowing scopes, the answer (RFC 6749 sections 4.1.3, 4.4, 5, 6).
//!
//! Rotation of refresh tokens is in [`crate::refresh`], polling in [`crate::device`]. Must not live here: signing and storage.

use doorward_domain::client::{Client, ClientKind, GrantType, Pkce};
use doorward_domain::token::CodeRecord;
use doorward_domain::{ApplicationId, Lifetime, Timestamp};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt;

pub use crate::error::{ErrorCode, TokenError};
use crate::error::{invalid_grant, invalid_request};
use crate::params::Params;
use crate::scope::{self, Scopes};
use crate::token_exchange::ExchangeRequest;
use crate::{resource, resource::invalid_target};

/// Longest code, refresh token or device code that is looked up, in bytes.
pub const LONGEST_TOKEN: usize = 4096;

/// A request for tokens. `Debug` leaves codes and tokens out.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenRequest {
    /// RFC 6749 section 4.1.3.
    Code {
        /// The authorization code.
        code: String,
        /// As given.
        redirect_uri: Option<String>,
        /// PKCE verifier in the right form (RFC 7636 section 4.1).
        verifier: Option<String>,
        /// Resources (RFC 8707 section 2.2).
        resources: BTreeSet<String>,
    },
    /// RFC 6749 section 6.
    Refresh {
        /// The refresh token.
        refresh_token: String,
        /// Narrower scopes, when asked for.
        scopes: Option<Scopes>,
        /// Resources.
        resources: BTreeSet<String>,
    },
    /// RFC 6749 section 4.4.
    ClientCredentials {
        /// Scopes, when asked for.
        scopes: Option<Scopes>,
        /// Resources.
        resources: BTreeSet<String>,
    },
    /// RFC 8628 section 3.4.
    Device {
        /// The device code.
        device_code: String,
        /// Resources.
        resources: BTreeSet<String>,
    },
    /// RFC 8693 section 2.1.
    Exchange(Box<ExchangeRequest>),
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("grant_type", &self.grant_type())
            .finish_non_exhaustive()
    }
}

impl TokenRequest {
    /// Reads the form of a token request.
    ///
    /// # Errors
    /// `unsupported_grant_type`, `invalid_request`, `invalid_scope`, `invalid_target`, `invalid_grant` for a verifier of the wrong form.
    pub fn read(params: &Params) -> Result<Self, TokenError> {
        params.refuse_repeated()?;
        let grant_type = params.get("grant_type").ok_or_else(|| {
            invalid_request("grant_type is missing; expected authorization_code, refresh_token or another that discovery lists")
        })?;
        let grant_type: GrantType = grant_type.parse().map_err(|_| {
            let expected: Vec<&str> = GrantType::ALL.iter().map(|known| known.as_str()).collect();
            TokenError::new(
                ErrorCode::UnsupportedGrantType,
                format!(
                    "grant_type is not supported; expected one of {}",
                    expected.join(", ")
                ),
            )
        })?;
        let resources = resource::read(params)?;
        match grant_type {
            GrantType::AuthorizationCode => Ok(Self::Code {
                code: required(params, "code")?,
                redirect_uri: params.get("redirect_uri").map(str::to_owned),
                verifier: verifier(params)?,
                resources,
            }),
            GrantType::RefreshToken => Ok(Self::Refresh {
                refresh_token: required(params, "refresh_token")?,
                scopes: asked_scopes(params)?,
                resources,
            }),
            GrantType::ClientCredentials => Ok(Self::ClientCredentials {
                scopes: asked_scopes(params)?,
                resources,
            }),
            GrantType::DeviceCode => Ok(Self::Device {
                device_code: required(params, "device_code")?,
                resources,
            }),
            GrantType::TokenExchange => Ok(Self::Exchange(Box::new(ExchangeRequest::read(params)?))),
        }
    }

    /// Which grant type.
    #[must_use]
    pub const fn grant_type(&self) -> GrantType {
        match self {
            Self::Code { .. } => GrantType::AuthorizationCode,
            Self::Refresh { .. } => GrantType::RefreshToken,
            Self::ClientCredentials { .. } => GrantType::ClientCredentials,
            Self::Device { .. } => GrantType::DeviceCode,
            Self::Exchange(_) => GrantType::TokenExchange,
        }
    }
}

/// Checks that the client may use a grant type. `client_credentials` is for confidential clients only (RFC 6749 section 4.4), and so is
/// token exchange.
///
/// # Errors
/// `unauthorized_client`.
pub fn check_grant_type(grant_type: GrantType, client: &Client) -> Result<(), TokenError> {
    let needs_secret = matches!(
        grant_type,
        GrantType::ClientCredentials | GrantType::TokenExchange
    );
    let secretless = needs_secret && client.kind == ClientKind::Public;
    if client.grant_types.contains(&grant_type) && !secretless {
        return Ok(());
    }
    Err(TokenError::new(
        ErrorCode::UnauthorizedClient,
        format!("the client may not use the grant type {grant_type}"),
    ))
}

fn required(params: &Params, name: &str) -> Result<String, TokenError> {
    let value = params
        .get(name)
        .ok_or_else(|| invalid_request(format!("{name} is missing")))?;
    if value.len() > LONGEST_TOKEN {
        return Err(invalid_grant(format!("{name} is not one that was issued here")));
    }
    Ok(value.to_owned())
}

fn verifier(params: &Params) -> Result<Option<String>, TokenError> {
    match params.get("code_verifier") {
        Some(text) if !is_pkce_text(text) => Err(invalid_grant(
            "code_verifier has the wrong form; expected 43 to 128 letters, digits and - . _ ~",
        )),
        other => Ok(other.map(str::to_owned)),
    }
}

pub(crate) fn asked_scopes(params: &Params) -> Result<Option<Scopes>, TokenError> {
    params
        .get("scope")
        .map(scope::parse_scope)
        .transpose()
        .map_err(|error| TokenError::new(ErrorCode::InvalidScope, error.to_string()))
}

/// 43 to 128 unreserved characters: the form of a PKCE verifier and, generously, of a challenge (RFC 7636 sections 4.1, 4.2).
#[must_use]
pub fn is_pkce_text(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

/// Checks an authorization code that the store has just claimed (RFC 6749 section 4.1.3, RFC 7636 section 4.6).
///
/// `verifier_s256` is BASE64URL(SHA256(code_verifier)) of the verifier that came, `None` when none came. Whether the code was used
/// before is the store's answer, not this function's.
///
/// # Errors
/// `invalid_grant`.
pub fn redeem_code(
    record: &CodeRecord,
    redirect_uri: Option<&str>,
    verifier_s256: Option<&str>,
    client: &Client,
    application_id: ApplicationId,
    now: Timestamp,
) -> Result<(), TokenError> {
    if record.application_id != application_id {
        return Err(invalid_grant("code was issued to another client"));
    }
    if now >= record.expires_at {
        return Err(invalid_grant(
            "code has expired; start again at the authorization endpoint",
        ));
    }
    match redirect_uri {
        None if record.redirect_uri_given => {
            return Err(invalid_grant(
                "redirect_uri is missing; expected the one of the authorization request",
            ));
        }
        Some(given) if given != record.redirect_uri => {
            return Err(invalid_grant(
                "redirect_uri differs from the one of the authorization request",
            ));
        }
        _ => {}
    }
    match (&record.code_challenge, verifier_s256) {
        (None, None) if client.pkce == Pkce::Optional => Ok(()),
        (None, None) => Err(invalid_grant(
            "code was issued without code_challenge, which this client must send",
        )),
        // RFC 9700 section 4.8.2: somebody took the challenge out of the request.
        (None, Some(_)) => Err(invalid_grant(
            "code_verifier was sent, but the authorization request had no code_challenge",
        )),
        (Some(_), None) => Err(invalid_grant(
            "code_verifier is missing; the authorization request had a code_challenge",
        )),
        (Some(challenge), Some(digest)) if challenge == digest => Ok(()),
        (Some(_), Some(_)) => Err(invalid_grant(
            "code_verifier does not belong to the code_challenge",
        )),
    }
}

/// The scopes of a refreshed token: what was granted, or the part of it that was asked for (RFC 6749 section 6).
///
/// # Errors
/// `invalid_scope` when more is asked for than was granted.
pub fn narrow(granted: &Scopes, asked: Option<&Scopes>) -> Result<Scopes, TokenError> {
    match asked {
        None => Ok(granted.clone()),
        Some(asked) if asked.is_subset(granted) => Ok(asked.clone()),
        Some(_) => Err(TokenError::new(
            ErrorCode::InvalidScope,
            format!(
                "scope asks for more than was granted; expected some of: {}",
                scope::join(granted)
            ),
        )),
    }
}

/// The resources of a token: those granted, or the part of them that was asked for (RFC 8707 section 2.2).
///
/// # Errors
/// `invalid_target` when one is asked for that was not granted.
pub fn narrow_resources(
    granted: &BTreeSet<String>,
    asked: &BTreeSet<String>,
) -> Result<BTreeSet<String>, TokenError> {
    if asked.is_empty() {
        return Ok(granted.clone());
    }
    if asked.is_subset(granted) {
        return Ok(asked.clone());
    }
    Err(invalid_target(
        "resource names one that the authorization request did not",
    ))
}

/// The scopes of a token without a person (RFC 6749 section 4.4): what was asked for, or everything the client has. `openid` and
/// `offline_access` mean nothing here and are dropped.
///
/// # Errors
/// `invalid_scope` when one is asked for that the client may not have.
pub fn client_credentials_scopes(
    client: &Client,
    asked: Option<&Scopes>,
    custom: &dyn Fn(&str) -> bool,
) -> Result<Scopes, TokenError> {
    let personal = |name: &str| name == scope::OPENID || name == scope::OFFLINE_ACCESS;
    let usable = |name: &str| !personal(name) && (scope::is_standard(name) || custom(name));
    let allowed: Scopes = client
        .scopes
        .iter()
        .filter(|name| usable(name))
        .cloned()
        .collect();
    let Some(asked) = asked else {
        return Ok(allowed);
    };
    let asked: Scopes = asked.iter().filter(|name| !personal(name)).cloned().collect();
    if asked.is_subset(&allowed) {
        return Ok(asked);
    }
    Err(TokenError::new(
        ErrorCode::InvalidScope,
        format!(
            "scope names one that this client may not have; expected some of: {}",
            scope::join(&allowed)
        ),
    ))
}

/// A token answer (RFC 6749 section 5.1). `Debug` leaves the tokens out.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: String,
    /// How long it lives.
    pub expires_in: Lifetime,
    /// What it is good for.
    pub scopes: Scopes,
    /// For more.
    pub refresh_token: Option<String>,
    /// For OpenID requests.
    pub id_token: Option<String>,
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse")
            .field("expires_in", &self.expires_in)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl TokenResponse {
    /// JSON body of the answer.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("access_token".into(), self.access_token.as_str().into());
        body.insert("token_type".into(), "Bearer".into());
        body.insert("expires_in".into(), self.expires_in.seconds().into());
        body.insert("scope".into(), scope::join(&self.scopes).into());
        if let Some(refresh_token) = &self.refresh_token {
            body.insert("refresh_token".into(), refresh_token.as_str().into());
        }
        if let Some(id_token) = &self.id_token {
            body.insert("id_token".into(), id_token.as_str().into());
        }
        Value::Object(body)
    }
}
