//! Checking an authorization request.
//!
//! The order matters: first the redirect URI, so that nothing is ever sent to a place that is not registered; then how to answer; then the
//! rest, each rule with the error code that its specification names.

use doorward_domain::client::{Client, GrantType, Pkce};
use std::collections::BTreeSet;

use super::{
    AuthorizeErrorCode as Code, AuthorizeRequest, ClaimsRequest, Display, ErrorRedirect, Page, Prompt,
    ReadError, ResponseMode,
};
use crate::params::Params;
use crate::redirect::{self, RedirectPattern};
use crate::scope::{self, Scopes};
use crate::{resource, token};

/// Longest `state` in bytes; it has to fit into a header of the answer.
const LONGEST_STATE: usize = 8 * 1024;
/// Longest `nonce` and `login_hint` in bytes.
const LONGEST_HINT: usize = 2048;
/// Most `acr_values` and `ui_locales`.
const MOST_WORDS: usize = 20;

/// What the server knows and the client record does not.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Issuer for this client.
    pub issuer: &'a str,
    /// Is there a custom scope of this name?
    pub custom_scopes: &'a dyn Fn(&str) -> bool,
    /// `acr` values that this server can attain.
    pub known_acr: &'a [&'a str],
}

/// Finds where the answer goes: the URI and whether the request named it.
///
/// It may be left out only when the client has exactly one registered, without anything left open, and the request is not OpenID (RFC 6749
/// section 3.1.2.3, OpenID Connect Core section 3.1.2.1).
///
/// # Errors
/// A page; nothing is redirected.
pub fn check_redirect(params: &Params, client: &Client) -> Result<(String, bool), Page> {
    for name in ["client_id", "redirect_uri"] {
        if params.count(name) > 1 {
            return Err(Page::BadParameters(format!("{name} is given more than once")));
        }
    }
    if client.redirect_uris.is_empty() && !client.grant_types.contains(&GrantType::AuthorizationCode) {
        return Err(Page::NoCodeGrant);
    }
    let Some(given) = params.get("redirect_uri") else {
        let openid = params
            .get("scope")
            .is_some_and(|scope| scope.split(' ').any(|name| name == scope::OPENID));
        let sole = match client.redirect_uris.as_slice() {
            [sole] => RedirectPattern::parse(sole)
                .ok()
                .and_then(|sole| sole.exact().map(str::to_owned)),
            _ => None,
        };
        return sole
            .filter(|_| !openid)
            .map(|sole| (sole, false))
            .ok_or(Page::RedirectMissing);
    };
    if redirect::find_match(&client.redirect_uris, given) {
        return Ok((given.to_owned(), true));
    }
    let given = given.to_owned();
    if !redirect::is_well_formed(&given) {
        return Err(Page::RedirectMalformed { given });
    }
    let nearest = redirect::nearest(&client.redirect_uris, &given).map(str::to_owned);
    Err(Page::RedirectMismatch { given, nearest })
}

/// Checks a request. Request objects and pushed requests have been unpacked before.
///
/// # Errors
/// A page as long as the redirect URI is not known to be good; an error for the client after that.
pub fn read(params: &Params, client: &Client, rules: &Rules<'_>) -> Result<AuthorizeRequest, ReadError> {
    let request = way_back(params, client, rules.issuer).map_err(ReadError::Page)?;
    match complete(request.clone(), params, client, rules) {
        Ok(request) => Ok(request),
        Err((code, description)) => Err(ReadError::Return(request.error(code, &description))),
    }
}

/// The way back to the client, as far as these parameters tell it, for an error that comes before the rest can be read: a request object
/// that cannot be used (RFC 9101 section 6.3).
///
/// # Errors
/// A page; nothing is redirected.
pub fn way_back(params: &Params, client: &Client, issuer: &str) -> Result<AuthorizeRequest, Page> {
    let (redirect_uri, redirect_uri_given) = check_redirect(params, client)?;
    let once = |name: &str| {
        if params.count(name) > 1 {
            None
        } else {
            params.get(name)
        }
    };
    let mode = match once("response_mode") {
        Some("fragment") => ResponseMode::Fragment,
        Some("form_post") => ResponseMode::FormPost,
        _ => ResponseMode::Query,
    };
    let state = once("state")
        .filter(|state| state.len() <= LONGEST_STATE)
        .map(str::to_owned);
    Ok(AuthorizeRequest {
        client_id: client.client_id.clone(),
        issuer: issuer.to_owned(),
        redirect_uri,
        redirect_uri_given,
        mode,
        state,
        scopes: Scopes::new(),
        consent_scopes: Scopes::new(),
        resources: BTreeSet::new(),
        nonce: params.get("nonce").map(str::to_owned),
        code_challenge: params.get("code_challenge").map(str::to_owned),
        dpop_jkt: params.get("dpop_jkt").map(str::to_owned),
        prompts: BTreeSet::new(),
        max_age: None,
        acr_values: words(params, "acr_values"),
        login_hint: params.get("login_hint").map(str::to_owned),
        id_token_hint: params.get("id_token_hint").map(str::to_owned),
        ui_locales: words(params, "ui_locales"),
        claims: None,
        display: None,
    })
}

type Refusal = (Code, String);

fn complete(
    mut request: AuthorizeRequest,
    params: &Params,
    client: &Client,
    rules: &Rules<'_>,
) -> Result<AuthorizeRequest, Refusal> {
    check_shape(params)?;
    check_response(params, client)?;
    check_pkce(params, client)?;
    check_dpop_jkt(params)?;
    request.scopes = scopes(params, client, rules)?;
    request.resources = resource::read(params)
        .and_then(|asked| resource::allow(&asked, client).map(|()| asked))
        .map_err(|error| (Code::InvalidTarget, error.description))?;
    request.prompts = prompts(params)?;
    request.max_age = max_age(params)?;
    request.display = display(params)?;
    request.claims = claims(params, rules)?;
    request.consent_scopes.clone_from(&request.scopes);
    if let Some(claims) = &request.claims {
        request.consent_scopes.extend(claims.covering(&client.scopes));
    }
    Ok(request)
}

fn invalid(description: impl Into<String>) -> Refusal {
    (Code::InvalidRequest, description.into())
}

/// Rules over the parameters as such: once each, none that is not supported, limits.
fn check_shape(params: &Params) -> Result<(), Refusal> {
    if let Some(name) = params.repeated() {
        return Err(invalid(format!("{name} is given more than once")));
    }
    let unsupported = [
        (
            "request",
            Code::RequestNotSupported,
            "request is not supported here",
        ),
        (
            "request_uri",
            Code::RequestUriNotSupported,
            "request_uri is supported for pushed requests only (RFC 9126)",
        ),
        (
            "registration",
            Code::RegistrationNotSupported,
            "registration is not supported",
        ),
    ];
    for (name, code, description) in unsupported {
        if params.get(name).is_some() {
            return Err((code, description.to_owned()));
        }
    }
    for (name, longest) in [
        ("state", LONGEST_STATE),
        ("nonce", LONGEST_HINT),
        ("login_hint", LONGEST_HINT),
    ] {
        if params.get(name).is_some_and(|value| value.len() > longest) {
            return Err(invalid(format!("{name} is longer than {longest} bytes")));
        }
    }
    for name in ["acr_values", "ui_locales"] {
        if params
            .get(name)
            .is_some_and(|value| value.split_ascii_whitespace().count() > MOST_WORDS)
        {
            return Err(invalid(format!("{name} has more than {MOST_WORDS} values")));
        }
    }
    Ok(())
}

fn check_response(params: &Params, client: &Client) -> Result<(), Refusal> {
    match params.get("response_type") {
        None => return Err(invalid("response_type is missing; expected code")),
        Some("code") => {}
        Some(_) => {
            return Err((
                Code::UnsupportedResponseType,
                "response_type is not supported; expected code".to_owned(),
            ));
        }
    }
    if !client.grant_types.contains(&GrantType::AuthorizationCode) {
        return Err((
            Code::UnauthorizedClient,
            "the client may not use the grant type authorization_code".to_owned(),
        ));
    }
    match params.get("response_mode") {
        None | Some("query" | "fragment" | "form_post") => Ok(()),
        Some(_) => Err(invalid(
            "response_mode is not supported; expected query, fragment or form_post",
        )),
    }
}

/// RFC 7636 section 4.3, with S256 only (RFC 9700 section 2.1.1).
fn check_dpop_jkt(params: &Params) -> Result<(), Refusal> {
    match params.get("dpop_jkt") {
        Some(jkt) if !crate::dpop::is_thumbprint(jkt) => Err((
            Code::InvalidRequest,
            "dpop_jkt has the wrong form; expected a SHA-256 thumbprint in base64url".to_owned(),
        )),
        _ => Ok(()),
    }
}

fn check_pkce(params: &Params, client: &Client) -> Result<(), Refusal> {
    let method = params.get("code_challenge_method");
    match (params.get("code_challenge"), method) {
        (None, None) if client.pkce == Pkce::Optional => Ok(()),
        (None, _) => Err(invalid(
            "code_challenge is required for this client; expected the S256 challenge of RFC 7636",
        )),
        (Some(_), None | Some("plain")) => Err(invalid(
            "code_challenge_method is not supported; expected S256 (plain is not accepted)",
        )),
        (Some(challenge), Some("S256")) if token::is_pkce_text(challenge) => Ok(()),
        (Some(_), Some("S256")) => Err(invalid(
            "code_challenge has the wrong form; expected 43 to 128 letters, digits and - . _ ~",
        )),
        (Some(_), Some(_)) => Err(invalid("code_challenge_method is not supported; expected S256")),
    }
}

fn scopes(params: &Params, client: &Client, rules: &Rules<'_>) -> Result<Scopes, Refusal> {
    let known = |name: &str| scope::is_standard(name) || (rules.custom_scopes)(name);
    let mut allowed: Scopes = client.scopes.iter().filter(|name| known(name)).cloned().collect();
    if !client.grant_types.contains(&GrantType::RefreshToken) {
        allowed.remove(scope::OFFLINE_ACCESS);
    }
    let Some(text) = params.get("scope") else {
        allowed.remove(scope::OFFLINE_ACCESS);
        return Ok(allowed);
    };
    let asked = scope::parse_scope(text).map_err(|error| (Code::InvalidScope, error.to_string()))?;
    let kept: Scopes = asked.intersection(&allowed).cloned().collect();
    if kept.is_empty() {
        let expected = scope::join(&allowed);
        return Err((
            Code::InvalidScope,
            format!("scope names nothing that this client may ask for; expected some of: {expected}"),
        ));
    }
    Ok(kept)
}

fn prompts(params: &Params) -> Result<BTreeSet<Prompt>, Refusal> {
    let mut prompts = BTreeSet::new();
    for word in params.get("prompt").unwrap_or_default().split_ascii_whitespace() {
        prompts.insert(match word {
            "none" => Prompt::None,
            "login" => Prompt::Login,
            "consent" => Prompt::Consent,
            "select_account" => Prompt::SelectAccount,
            _ => {
                return Err(invalid(
                    "prompt has an unknown value; expected none, login, consent or select_account",
                ));
            }
        });
    }
    if prompts.contains(&Prompt::None) && prompts.len() > 1 {
        return Err(invalid("prompt has none together with another value"));
    }
    Ok(prompts)
}

fn max_age(params: &Params) -> Result<Option<u32>, Refusal> {
    let Some(text) = params.get("max_age") else {
        return Ok(None);
    };
    if text.len() > 20 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid(
            "max_age is not a number of seconds; expected for example 3600",
        ));
    }
    Ok(Some(text.parse().unwrap_or(u32::MAX)))
}

fn display(params: &Params) -> Result<Option<Display>, Refusal> {
    match params.get("display") {
        None => Ok(None),
        Some("page") => Ok(Some(Display::Page)),
        Some("popup") => Ok(Some(Display::Popup)),
        Some("touch") => Ok(Some(Display::Touch)),
        Some("wap") => Ok(Some(Display::Wap)),
        Some(_) => Err(invalid(
            "display has an unknown value; expected page, popup, touch or wap",
        )),
    }
}

fn claims(params: &Params, rules: &Rules<'_>) -> Result<Option<ClaimsRequest>, Refusal> {
    let Some(text) = params.get("claims") else {
        return Ok(None);
    };
    let claims = ClaimsRequest::parse(text).map_err(invalid)?;
    if let Some(acr) = claims.essential_acr()
        && !acr.iter().any(|acr| rules.known_acr.contains(acr))
    {
        return Err((
            Code::UnmetAuthenticationRequirements,
            format!(
                "claims asks for an acr that is not supported; expected {}",
                rules.known_acr.join(" ")
            ),
        ));
    }
    Ok(Some(claims))
}

fn words(params: &Params, name: &str) -> Vec<String> {
    params
        .get(name)
        .unwrap_or_default()
        .split_ascii_whitespace()
        .take(MOST_WORDS)
        .map(str::to_owned)
        .collect()
}

impl From<ErrorRedirect> for ReadError {
    fn from(error: ErrorRedirect) -> Self {
        Self::Return(error)
    }
}
