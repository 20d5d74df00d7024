//! Token introspection (RFC 7662).
//!
//! Must not live here: whether the caller may know about the token, and finding it.

use doorward_domain::Timestamp;
use serde_json::{Map, Value, json};

use crate::error::{TokenError, invalid_request};
use crate::params::Params;
use crate::scope::{self, Scopes};
use crate::token::LONGEST_TOKEN;

/// What sort of token the caller thinks it has (RFC 7009 section 2.1); only a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenHint {
    /// `access_token`.
    Access,
    /// `refresh_token`.
    Refresh,
}

/// A request that carries one token. `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenQuestion {
    /// The token; never longer than 16 KiB.
    pub token: String,
    /// Which sort, when a known one was named.
    pub hint: Option<TokenHint>,
}

impl std::fmt::Debug for TokenQuestion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenQuestion")
            .field("hint", &self.hint)
            .finish_non_exhaustive()
    }
}

/// Reads the form of an introspection request.
///
/// # Errors
/// `invalid_request`.
pub fn read(params: &Params) -> Result<TokenQuestion, TokenError> {
    params.refuse_repeated()?;
    let token = params
        .get("token")
        .ok_or_else(|| invalid_request("token is missing"))?
        .to_owned();
    let hint = match params.get("token_type_hint") {
        Some("access_token") => Some(TokenHint::Access),
        Some("refresh_token") => Some(TokenHint::Refresh),
        _ => None,
    };
    Ok(TokenQuestion { token, hint })
}

impl TokenQuestion {
    /// Could an opaque token be this long? Longer ones need no look-up.
    #[must_use]
    pub const fn fits_opaque(&self) -> bool {
        self.token.len() <= LONGEST_TOKEN
    }
}

/// A live token.
#[derive(Clone, Debug)]
pub struct Active<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `client_id`.
    pub client_id: &'a str,
    /// `sub`.
    pub subject: &'a str,
    /// `username`; `None` for a token without a person.
    pub username: Option<&'a str>,
    /// `scope`.
    pub scopes: &'a Scopes,
    /// `aud`.
    pub audience: &'a [String],
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `jti`.
    pub jti: Option<&'a str>,
    /// Access or refresh token.
    pub kind: TokenHint,
    /// Thumbprint of the key that it is bound to (RFC 9449 section 6.2).
    pub jkt: Option<&'a str>,
    /// Who acts for the subject (RFC 8693 section 4.1).
    pub act: Option<&'a Value>,
}

/// JSON body for a live token (section 2.2).
#[must_use]
pub fn response(active: &Active<'_>) -> Value {
    let mut body = Map::new();
    body.insert("active".into(), true.into());
    body.insert("iss".into(), active.issuer.into());
    body.insert("client_id".into(), active.client_id.into());
    body.insert("sub".into(), active.subject.into());
    body.insert("scope".into(), scope::join(active.scopes).into());
    body.insert("iat".into(), active.issued_at.seconds().into());
    body.insert("exp".into(), active.expires_at.seconds().into());
    let aud: Value = match active.audience {
        [] => active.client_id.into(),
        [one] => one.as_str().into(),
        many => many.to_vec().into(),
    };
    body.insert("aud".into(), aud);
    if active.kind == TokenHint::Access {
        let scheme = if active.jkt.is_some() { "DPoP" } else { "Bearer" };
        body.insert("token_type".into(), scheme.into());
    }
    if let Some(username) = active.username {
        body.insert("username".into(), username.into());
    }
    if let Some(jti) = active.jti {
        body.insert("jti".into(), jti.into());
    }
    if let Some(jkt) = active.jkt {
        body.insert("cnf".into(), json!({ "jkt": jkt }));
    }
    if let Some(act) = active.act {
        body.insert("act".into(), act.clone());
    }
    Value::Object(body)
}

/// JSON body for everything else: unknown, expired, revoked, somebody else's (section 2.2).
#[must_use]
pub fn inactive() -> Value {
    json!({ "active": false })
}
