//! Signing out: RP-Initiated, Back-Channel and Front-Channel Logout 1.0.
//!
//! Must not live here: ending sessions, delivering logout tokens, the pages.

use doorward_domain::client::Client;
use doorward_domain::{Lifetime, Timestamp};
use serde_json::{Map, Value, json};
use std::fmt;

use crate::encode;
use crate::params::{ParamError, Params};
use crate::redirect;

/// How long a logout token is good (Back-Channel Logout section 2.4).
pub const TOKEN_LIFETIME: Lifetime = Lifetime::from_minutes(2);
/// `typ` header of a logout token (section 2.4).
pub const TOKEN_TYPE: &str = "logout+jwt";
/// The member of `events` (section 2.4).
pub const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Longest `state` in bytes.
const LONGEST_STATE: usize = 8 * 1024;

/// A request to the end-session endpoint (RP-Initiated Logout section 2). `Debug` leaves hint and state out.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LogoutRequest {
    /// An ID token of the session; not verified here.
    pub id_token_hint: Option<String>,
    /// The client.
    pub client_id: Option<String>,
    /// Where to go afterwards.
    pub post_logout_redirect_uri: Option<String>,
    /// Given back to the client.
    pub state: Option<String>,
    /// Wished languages.
    pub ui_locales: Vec<String>,
    /// Who should be signed out.
    pub logout_hint: Option<String>,
}

impl fmt::Debug for LogoutRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutRequest")
            .field("client_id", &self.client_id)
            .field("post_logout_redirect_uri", &self.post_logout_redirect_uri)
            .finish_non_exhaustive()
    }
}

impl LogoutRequest {
    /// Reads query or form.
    ///
    /// # Errors
    /// A repeated parameter or a `state` that is too long.
    pub fn read(params: &Params) -> Result<Self, ParamError> {
        if let Some(name) = params.repeated() {
            return Err(ParamError::Rule(format!("{name} is given more than once")));
        }
        if params
            .get("state")
            .is_some_and(|state| state.len() > LONGEST_STATE)
        {
            return Err(ParamError::Rule(format!(
                "state is longer than {LONGEST_STATE} bytes"
            )));
        }
        let text = |name: &str| params.get(name).map(str::to_owned);
        Ok(Self {
            id_token_hint: text("id_token_hint"),
            client_id: text("client_id"),
            post_logout_redirect_uri: text("post_logout_redirect_uri"),
            state: text("state"),
            ui_locales: params
                .get("ui_locales")
                .unwrap_or_default()
                .split_ascii_whitespace()
                .take(20)
                .map(str::to_owned)
                .collect(),
            logout_hint: text("logout_hint"),
        })
    }
}

/// An `id_token_hint` whose signature and issuer were verified; it may have expired (RP-Initiated Logout section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedHint {
    /// `aud`.
    pub client_id: String,
    /// `sid`.
    pub sid: Option<String>,
    /// `sub`.
    pub sub: String,
}

/// The browser's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentSession<'a> {
    /// Session id as in the `sid` claim.
    pub sid: &'a str,
    /// `sub` as the client of the hint would see it, when known.
    pub subject: Option<&'a str>,
}

/// Why no sign-out is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogoutPage {
    /// `client_id` is unknown, or is not the client of the hint.
    WrongClient,
    /// `post_logout_redirect_uri` came without a way to know the client.
    ClientMissing,
    /// `post_logout_redirect_uri` is not registered.
    RedirectMismatch {
        /// As given.
        given: String,
        /// The registered one that looks most like it; for administrators only.
        nearest: Option<String>,
    },
}

/// What is to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logout {
    /// Ask the person first; then end the session and go to `redirect`.
    Confirm {
        /// Where to go afterwards, with `state`.
        redirect: Option<String>,
    },
    /// End the session, when there is one, and go to `redirect`.
    Proceed {
        /// Where to go afterwards, with `state`; `None` shows the signed-out page.
        redirect: Option<String>,
    },
    /// Show an error; end nothing.
    Page(LogoutPage),
}

/// Decides over a sign-out.
///
/// `client` is the one that the hint names, or else `client_id`. Without a hint that names the browser's session the person is asked, so that
/// no link on another site signs anybody out (RP-Initiated Logout section 6).
#[must_use]
pub fn decide(
    request: &LogoutRequest,
    hint: Option<&VerifiedHint>,
    client: Option<&Client>,
    session: Option<CurrentSession<'_>>,
) -> Logout {
    let named = request.client_id.as_deref();
    let hinted = hint.map(|hint| hint.client_id.as_str());
    let known = client.map(|client| client.client_id.as_str());
    if [named, hinted].into_iter().flatten().any(|id| known != Some(id)) {
        return Logout::Page(LogoutPage::WrongClient);
    }
    let redirect = match (request.post_logout_redirect_uri.as_deref(), client) {
        (None, _) => None,
        (Some(_), None) => return Logout::Page(LogoutPage::ClientMissing),
        (Some(given), Some(client)) => {
            if !redirect::find_match(&client.post_logout_redirect_uris, given) {
                let nearest = redirect::nearest(&client.post_logout_redirect_uris, given).map(str::to_owned);
                return Logout::Page(LogoutPage::RedirectMismatch {
                    given: given.to_owned(),
                    nearest,
                });
            }
            let state = request.state.as_deref().map(|state| ("state", state));
            Some(encode::with_query(given, state))
        }
    };
    match session {
        None => Logout::Proceed { redirect },
        Some(session) if hint.is_some_and(|hint| names(hint, session)) => Logout::Proceed { redirect },
        Some(_) => Logout::Confirm { redirect },
    }
}

fn names(hint: &VerifiedHint, session: CurrentSession<'_>) -> bool {
    match hint.sid.as_deref() {
        Some(sid) => sid == session.sid,
        None => session.subject == Some(hint.sub.as_str()),
    }
}

/// The claims of a logout token (Back-Channel Logout section 2.4). At least one of `subject` and `sid` has to be given. There is never a `nonce`.
#[must_use]
pub fn logout_token(
    issuer: &str,
    client_id: &str,
    subject: Option<&str>,
    sid: Option<&str>,
    jti: &str,
    now: Timestamp,
) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("iss".into(), issuer.into());
    claims.insert("aud".into(), client_id.into());
    claims.insert("iat".into(), now.seconds().into());
    claims.insert("exp".into(), now.plus(TOKEN_LIFETIME).seconds().into());
    claims.insert("jti".into(), jti.into());
    let mut events = Map::new();
    events.insert(EVENT.into(), json!({}));
    claims.insert("events".into(), Value::Object(events));
    if let Some(subject) = subject {
        claims.insert("sub".into(), subject.into());
    }
    if let Some(sid) = sid {
        claims.insert("sid".into(), sid.into());
    }
    claims
}

/// The page of a client that is loaded in a frame at sign-out (Front-Channel Logout section 2).
#[must_use]
pub fn frontchannel_url(uri: &str, issuer: &str, sid: &str) -> String {
    encode::with_query(uri, [("iss", issuer), ("sid", sid)])
}
