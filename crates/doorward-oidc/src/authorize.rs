//! The authorization endpoint: what a request asks for and what is to happen next (RFC 6749 section 4.1, OpenID Connect Core
//! section 3.1.2).
//!
//! `read` checks the request, [`authorize`] decides over the visitor, `answer` builds the way back. Must not live here: pages,
//! sessions, the audience of an application.

mod answer;
mod read;

use doorward_domain::client::{Client, ClientKind, ConsentMode};
use doorward_domain::{Lifetime, Timestamp};
use std::collections::BTreeSet;
use std::fmt;

pub use crate::claims_request::{ClaimRequest, ClaimRequests, ClaimsRequest};
use crate::scope::Scopes;
pub use answer::{Response, success_redirect};
pub use read::{Rules, check_redirect, read, way_back};

/// Why the browser is shown a page instead of being sent back: the client or its redirect URI cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// No such client.
    UnknownClient {
        /// As given.
        client_id: String,
    },
    /// `client_id` is missing.
    NoClientId,
    /// `redirect_uri` is missing and cannot be taken from the registration.
    RedirectMissing,
    /// `redirect_uri` is not registered.
    RedirectMismatch {
        /// As given.
        given: String,
        /// The registered one that looks most like it; for administrators only.
        nearest: Option<String>,
    },
    /// `redirect_uri` is not an absolute URI without fragment.
    RedirectMalformed {
        /// As given.
        given: String,
    },
    /// The client does not sign people in: no redirect URI and no authorization code grant.
    NoCodeGrant,
    /// Parameters that cannot be read, or a broken one that decides where to answer.
    BadParameters(String),
    /// `request` or `request_uri` that cannot be used.
    RequestUri(String),
}

impl fmt::Display for Page {
    /// One sentence without the values of the request.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownClient { .. } => f.write_str("client_id is not the id of a registered client"),
            Self::NoClientId => f.write_str("client_id is missing"),
            Self::RedirectMissing => f.write_str("redirect_uri is missing"),
            Self::RedirectMismatch { .. } => f.write_str("redirect_uri is not registered for this client"),
            Self::RedirectMalformed { .. } => {
                f.write_str("redirect_uri is not an absolute URI without fragment")
            }
            Self::NoCodeGrant => f.write_str("the client is not set up to sign people in"),
            Self::BadParameters(text) | Self::RequestUri(text) => f.write_str(text),
        }
    }
}

/// Error codes that travel in a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthorizeErrorCode {
    /// RFC 6749 section 4.1.2.1.
    InvalidRequest,
    /// RFC 6749 section 4.1.2.1.
    UnauthorizedClient,
    /// RFC 6749 section 4.1.2.1.
    AccessDenied,
    /// RFC 6749 section 4.1.2.1.
    UnsupportedResponseType,
    /// RFC 6749 section 4.1.2.1.
    InvalidScope,
    /// RFC 6749 section 4.1.2.1.
    ServerError,
    /// RFC 6749 section 4.1.2.1.
    TemporarilyUnavailable,
    /// RFC 8707 section 2.
    InvalidTarget,
    /// OpenID Connect Core section 3.1.2.6.
    InteractionRequired,
    /// OpenID Connect Core section 3.1.2.6.
    LoginRequired,
    /// OpenID Connect Core section 3.1.2.6.
    AccountSelectionRequired,
    /// OpenID Connect Core section 3.1.2.6.
    ConsentRequired,
    /// OpenID Connect Core section 3.1.2.6, RFC 9101 section 6.
    InvalidRequestUri,
    /// OpenID Connect Core section 3.1.2.6, RFC 9101 section 6.
    InvalidRequestObject,
    /// OpenID Connect Core section 3.1.2.6.
    RequestNotSupported,
    /// OpenID Connect Core section 3.1.2.6.
    RequestUriNotSupported,
    /// OpenID Connect Core section 3.1.2.6.
    RegistrationNotSupported,
    /// OpenID Connect Core Error Code unmet_authentication_requirements 1.0.
    UnmetAuthenticationRequirements,
}

impl AuthorizeErrorCode {
    /// The word of the protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::AccessDenied => "access_denied",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::InvalidTarget => "invalid_target",
            Self::InteractionRequired => "interaction_required",
            Self::LoginRequired => "login_required",
            Self::AccountSelectionRequired => "account_selection_required",
            Self::ConsentRequired => "consent_required",
            Self::InvalidRequestUri => "invalid_request_uri",
            Self::InvalidRequestObject => "invalid_request_object",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::RegistrationNotSupported => "registration_not_supported",
            Self::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
        }
    }
}

/// An error that goes back to the client's registered redirect URI. `Debug` leaves `state` out.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorRedirect {
    /// Where to.
    pub redirect_uri: String,
    /// How.
    pub mode: ResponseMode,
    /// One of [`AuthorizeErrorCode`].
    pub error: &'static str,
    /// One sentence in the characters of RFC 6749 section 4.1.2.1.
    pub description: String,
    /// As given.
    pub state: Option<String>,
    /// Issuer (RFC 9207).
    pub iss: String,
}

impl fmt::Debug for ErrorRedirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorRedirect")
            .field("redirect_uri", &self.redirect_uri)
            .field("mode", &self.mode)
            .field("error", &self.error)
            .field("description", &self.description)
            .finish_non_exhaustive()
    }
}

/// How the answer travels to the redirect URI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseMode {
    /// In the query.
    #[default]
    Query,
    /// In the fragment.
    Fragment,
    /// As a self-submitting form (OAuth 2.0 Form Post Response Mode).
    FormPost,
}

impl ResponseMode {
    /// The word of the protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Fragment => "fragment",
            Self::FormPost => "form_post",
        }
    }
}

/// What the client wants the person to be asked (OpenID Connect Core section 3.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prompt {
    /// Nothing at all.
    None,
    /// For the password again.
    Login,
    /// For consent again.
    Consent,
    /// Which account to use.
    SelectAccount,
}

impl Prompt {
    /// The word of the protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Login => "login",
            Self::Consent => "consent",
            Self::SelectAccount => "select_account",
        }
    }
}

/// How the pages should look (OpenID Connect Core section 3.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Display {
    /// A whole page.
    Page,
    /// A small window.
    Popup,
    /// For fingers.
    Touch,
    /// For feature phones.
    Wap,
}

/// A checked authorization request. `Debug` leaves `state`, `nonce` and hints out.
#[derive(Clone, PartialEq)]
pub struct AuthorizeRequest {
    /// The client.
    pub client_id: String,
    /// Issuer for this client, for answers (RFC 9207).
    pub issuer: String,
    /// Where to answer; registered.
    pub redirect_uri: String,
    /// Was `redirect_uri` in the request (RFC 6749 section 4.1.3)?
    pub redirect_uri_given: bool,
    /// How to answer.
    pub mode: ResponseMode,
    /// As given.
    pub state: Option<String>,
    /// Scopes asked for and allowed; unknown ones are dropped.
    pub scopes: Scopes,
    /// `scopes`, and the scopes that cover claims asked for singly: what a person has to agree to, and what a remembered grant
    /// has to contain.
    pub consent_scopes: Scopes,
    /// Resources asked for (RFC 8707); empty: the client itself.
    pub resources: BTreeSet<String>,
    /// As given.
    pub nonce: Option<String>,
    /// PKCE challenge, S256.
    pub code_challenge: Option<String>,
    /// Thumbprint of the key that the code has to be redeemed with (`dpop_jkt`, RFC 9449 section 10).
    pub dpop_jkt: Option<String>,
    /// What to ask the person.
    pub prompts: BTreeSet<Prompt>,
    /// Greatest age of the authentication in seconds.
    pub max_age: Option<u32>,
    /// Wished strength, in order of preference.
    pub acr_values: Vec<String>,
    /// What to put into the user name field.
    pub login_hint: Option<String>,
    /// An ID token of the person expected; not verified here.
    pub id_token_hint: Option<String>,
    /// Wished languages (BCP 47), in order of preference.
    pub ui_locales: Vec<String>,
    /// Claims asked for singly.
    pub claims: Option<ClaimsRequest>,
    /// How the pages should look.
    pub display: Option<Display>,
}

impl fmt::Debug for AuthorizeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeRequest")
            .field("client_id", &self.client_id)
            .field("redirect_uri", &self.redirect_uri)
            .field("mode", &self.mode)
            .field("scopes", &self.scopes)
            .field("resources", &self.resources)
            .field("prompts", &self.prompts)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

impl AuthorizeRequest {
    /// Is this an OpenID Connect request?
    #[must_use]
    pub fn is_openid(&self) -> bool {
        self.scopes.contains(crate::scope::OPENID)
    }

    /// An error answer to this request.
    #[must_use]
    pub fn error(&self, code: AuthorizeErrorCode, description: &str) -> ErrorRedirect {
        ErrorRedirect {
            redirect_uri: self.redirect_uri.clone(),
            mode: self.mode,
            error: code.as_str(),
            description: crate::error::describe(description),
            state: self.state.clone(),
            iss: self.issuer.clone(),
        }
    }
}

/// Why a request was refused before anybody looked at the visitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// Show a page; never redirect.
    Page(Page),
    /// Send the error to the client.
    Return(ErrorRedirect),
}

/// Who stands at the door.
#[derive(Clone, Copy, Debug)]
pub enum Visitor<'a> {
    /// Nobody is signed in.
    Anonymous,
    /// A live session.
    SignedIn {
        /// `sub` as this client would see it.
        subject: &'a str,
        /// When the person proved who they are.
        auth_time: Timestamp,
        /// Remembered, unexpired consent for this client.
        granted: Option<&'a Scopes>,
        /// The person proved it again since this request came in.
        reauthenticated: bool,
        /// The person chose this account since this request came in.
        account_selected: bool,
        /// The person said yes to exactly this request.
        consented: bool,
    },
}

/// What is to happen next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorize {
    /// Send the error to the client.
    Return(ErrorRedirect),
    /// Show the sign-in page.
    SignIn,
    /// Ask the same person again.
    Reauthenticate,
    /// Let the person choose the account.
    SelectAccount,
    /// Ask for consent.
    Consent {
        /// Everything the client would get.
        scopes: Scopes,
        /// What of it was not allowed before.
        new: Scopes,
    },
    /// Issue the code.
    Grant,
}

/// Decides what happens next with a checked request.
///
/// `hint_subject` is the `sub` of a verified `id_token_hint`. The caller repeats the call after each step, with the flags of the visitor
/// set; no step is asked for twice. With `prompt=none` the outcome is `Grant` or `Return`.
#[must_use]
pub fn authorize(
    request: &AuthorizeRequest,
    client: &Client,
    visitor: Visitor<'_>,
    hint_subject: Option<&str>,
    now: Timestamp,
) -> Authorize {
    use AuthorizeErrorCode as Code;
    let asks = |prompt| request.prompts.contains(&prompt);
    let silent = asks(Prompt::None);
    let step = |page: Authorize, code: Code, description: &str| {
        if silent {
            Authorize::Return(request.error(code, description))
        } else {
            page
        }
    };
    let Visitor::SignedIn {
        subject,
        auth_time,
        granted,
        reauthenticated,
        account_selected,
        consented,
    } = visitor
    else {
        return step(Authorize::SignIn, Code::LoginRequired, "nobody is signed in");
    };

    let wanted = [
        hint_subject,
        request.claims.as_ref().and_then(ClaimsRequest::subject),
    ];
    if wanted.into_iter().flatten().any(|wanted| wanted != subject) {
        let text = "the person signed in is not the one that id_token_hint or claims names";
        if account_selected {
            return Authorize::Return(request.error(Code::LoginRequired, text));
        }
        return step(Authorize::SelectAccount, Code::LoginRequired, text);
    }
    if asks(Prompt::SelectAccount) && !account_selected {
        return Authorize::SelectAccount;
    }
    if asks(Prompt::Login) && !reauthenticated {
        return Authorize::Reauthenticate;
    }
    let too_old = request
        .max_age
        .is_some_and(|seconds| now.millis_since(auth_time) > Lifetime::from_seconds(seconds).millis());
    if (too_old || request.max_age == Some(0)) && !reauthenticated {
        return step(
            Authorize::Reauthenticate,
            Code::LoginRequired,
            "the authentication is older than max_age allows",
        );
    }
    if !consented && must_ask(client, request, granted) {
        let new = match granted {
            Some(granted) => request.consent_scopes.difference(granted).cloned().collect(),
            None => request.consent_scopes.clone(),
        };
        let page = Authorize::Consent {
            scopes: request.consent_scopes.clone(),
            new,
        };
        return step(
            page,
            Code::ConsentRequired,
            "the person has not agreed to these scopes yet",
        );
    }
    Authorize::Grant
}

fn must_ask(client: &Client, request: &AuthorizeRequest, granted: Option<&Scopes>) -> bool {
    let asked = request.prompts.contains(&Prompt::Consent);
    match client.consent {
        ConsentMode::Skip => false,
        ConsentMode::Implicit if is_assured(client, request) => asked,
        ConsentMode::Implicit | ConsentMode::Explicit | ConsentMode::Expiring(_) => {
            asked || !granted.is_some_and(|granted| request.consent_scopes.is_subset(granted))
        }
    }
}

/// Is it sure that the answer reaches this client and no other program? Any program on a device can send a request with the id of a
/// public client and receive what comes back to a loopback address or a private-use scheme (RFC 8252 section 8.6).
fn is_assured(client: &Client, request: &AuthorizeRequest) -> bool {
    client.kind == ClientKind::Confidential || request.redirect_uri.starts_with("https://")
}
