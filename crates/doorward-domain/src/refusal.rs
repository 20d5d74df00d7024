//! Why something was refused. Each refusal that a person meets gets a short code that leads to the event with the inputs.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::client::words;

/// Short code of one refusal, for example `DW-7K2M-41XQ`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(String);

impl Code {
    /// Wraps a minted or normalised code.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

words! {
    /// The rule that refused.
    Reason {
        /// The audience of the application is empty.
        AudienceEmpty = "audience_empty",
        /// The person is in none of the audience's groups and not named.
        NotInAudience = "not_in_audience",
        /// The application is in the bin.
        ApplicationDeleted = "application_deleted",
        /// The user is switched off or in the bin.
        UserInactive = "user_inactive",
        /// An administrator of the app shut the person out of it.
        Banned = "banned",
        /// Service users do not sign in on pages.
        ServiceUser = "service_user",
        /// No such user, or the password is wrong; which of the two is in the inputs.
        WrongCredentials = "wrong_credentials",
        /// Too many failures for this account from this place.
        AccountThrottled = "account_throttled",
        /// Too many failures from this network.
        NetworkThrottled = "network_throttled",
        /// The hashing queue is full.
        Busy = "busy",
        /// The sealed state of the page is too old, foreign, or damaged.
        AttemptExpired = "attempt_expired",
        /// The browser sent no cookie back.
        CookiesMissing = "cookies_missing",
        /// The form came from another site.
        ForeignOrigin = "foreign_origin",
        /// Unknown `client_id`.
        UnknownClient = "unknown_client",
        /// The redirect URI is not registered.
        RedirectUriMismatch = "redirect_uri_mismatch",
        /// A parameter is missing, repeated or malformed.
        InvalidRequest = "invalid_request",
        /// The client could not prove who it is.
        InvalidClient = "invalid_client",
        /// Code, refresh token or device code is unknown, used, expired or somebody else's.
        InvalidGrant = "invalid_grant",
        /// The client may not use this grant type.
        UnauthorizedClient = "unauthorized_client",
        /// Scope not allowed.
        InvalidScope = "invalid_scope",
        /// Resource not allowed (RFC 8707).
        InvalidTarget = "invalid_target",
        /// A used code or refresh token came again; the token family was ended.
        TokenReuse = "token_reuse",
        /// The person said no.
        ConsentDenied = "consent_denied",
        /// The user code is unknown or expired.
        UserCodeUnknown = "user_code_unknown",
        /// A set-up or recovery link is unknown, used or expired.
        LinkSpent = "link_spent",
        /// The session has ended or expired.
        SessionEnded = "session_ended",
        /// An administrator is needed.
        NotAdministrator = "not_administrator",
        /// The change would remove the last working administrator.
        LastAdministrator = "last_administrator",
        /// The token carries no subject that exists, or lacks the scope.
        InsufficientScope = "insufficient_scope",
        /// No site is for the host of the request.
        HostUnlisted = "host_unlisted",
        /// The host has sites, but none for this path.
        PathUnlisted = "path_unlisted",
        /// A path rule of the site says: nobody.
        RuleDenies = "rule_denies",
        /// The check did not come from a proxy that the operator trusts.
        UntrustedProxy = "untrusted_proxy",
        /// What the proxy says about the request is missing or cannot be read.
        OriginalUnreadable = "original_unreadable",
        /// The place to return to is none of ours.
        ReturnElsewhere = "return_elsewhere",
        /// The browser does not keep the cookie of a site.
        CookieNotKept = "cookie_not_kept",
        /// The program's token or app password is unknown, expired, revoked, or not accepted at this site.
        CredentialRefused = "credential_refused",
    }
}
