//! Grants, token families, codes and tokens as records.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use crate::{ApplicationId, FamilyId, GrantId, SessionId, Timestamp, UserId};

/// What a user allowed a client; shown and revocable in the portal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Identifier.
    pub id: GrantId,
    /// Who allowed.
    pub user_id: UserId,
    /// Whom.
    pub application_id: ApplicationId,
    /// What.
    pub scopes: BTreeSet<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// Last widened or renewed.
    pub updated_at: Timestamp,
    /// Until when the answer is remembered.
    pub expires_at: Option<Timestamp>,
}

/// One authorization: the code, refresh and access tokens that descend from it live and die together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// Identifier.
    pub id: FamilyId,
    /// For which application.
    pub application_id: ApplicationId,
    /// For which user; `None` for `client_credentials`.
    pub user_id: Option<UserId>,
    /// From which session; the family of a request without `offline_access` ends with it.
    pub session_id: Option<SessionId>,
    /// Granted scopes.
    pub scopes: BTreeSet<String>,
    /// Granted resources (RFC 8707); empty: the client itself.
    pub resources: BTreeSet<String>,
    /// Requested individual claims (`claims` parameter), as validated JSON.
    pub claims: Option<serde_json::Value>,
    /// `nonce` of the authorization request.
    pub nonce: Option<String>,
    /// When the user proved who they are.
    pub auth_time: Option<Timestamp>,
    /// How (RFC 8176).
    pub amr: Vec<String>,
    /// Granted `acr`, when asked for.
    pub acr: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was ended.
    pub ended_at: Option<Timestamp>,
}

/// An authorization code as stored (under its digest).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeRecord {
    /// The family it begins.
    pub family_id: FamilyId,
    /// Client it was issued to.
    pub application_id: ApplicationId,
    /// Redirect URI of the request, exactly as given.
    pub redirect_uri: String,
    /// Was `redirect_uri` present in the request (RFC 6749 section 4.1.3)?
    pub redirect_uri_given: bool,
    /// PKCE challenge, S256.
    pub code_challenge: Option<String>,
    /// Thumbprint of the key that it is bound to (RFC 9449 section 10).
    pub jkt: Option<String>,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// When it was redeemed.
    pub used_at: Option<Timestamp>,
}

/// A refresh token as stored (under its digest).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshRecord {
    /// Its family.
    pub family_id: FamilyId,
    /// Client it was issued to.
    pub application_id: ApplicationId,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// When it was exchanged.
    pub used_at: Option<Timestamp>,
    /// The answer it was exchanged for, sealed under the token itself, for the grace of a lost reply.
    pub answer_sealed: Option<Vec<u8>>,
    /// Thumbprint of the key that it is bound to (RFC 9449 section 5); `None` for those of confidential clients.
    pub jkt: Option<String>,
}

/// An opaque access token as stored (under its digest).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRecord {
    /// `jti`.
    pub jti: String,
    /// Its family; `None` for `client_credentials`.
    pub family_id: Option<FamilyId>,
    /// Client it was issued to.
    pub application_id: ApplicationId,
    /// Scopes.
    pub scopes: BTreeSet<String>,
    /// Audience.
    pub audience: Vec<String>,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Thumbprint of the key that it is bound to (RFC 9449 section 6).
    pub jkt: Option<String>,
}

/// State of a device authorization (RFC 8628).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// Nobody has answered.
    Pending,
    /// Allowed; the next poll gets tokens.
    Approved,
    /// Refused.
    Denied,
    /// Tokens were handed out.
    Used,
}

impl DeviceState {
    /// Word in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Used => "used",
        }
    }
}

impl std::str::FromStr for DeviceState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "pending" => Ok(Self::Pending),
            "approved" => Ok(Self::Approved),
            "denied" => Ok(Self::Denied),
            "used" => Ok(Self::Used),
            _ => Err(format!("`{text}` is not a device state")),
        }
    }
}

/// A device authorization as stored (under the digest of the device code).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// What the person types, normalised.
    pub user_code: String,
    /// Client that asked.
    pub application_id: ApplicationId,
    /// Scopes asked for.
    pub scopes: BTreeSet<String>,
    /// Resources asked for.
    pub resources: BTreeSet<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// Seconds the device must wait between polls.
    pub interval: u32,
    /// Latest poll.
    pub last_polled_at: Option<Timestamp>,
    /// Where it stands.
    pub state: DeviceState,
    /// Family made at approval.
    pub family_id: Option<FamilyId>,
}
