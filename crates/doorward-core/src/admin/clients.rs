//! The OAuth 2 side of an application: what may be set, field by field, and the rules that hold for the whole.
//!
//! Must not live here: storage.

use std::collections::BTreeSet;

use doorward_domain::client::{AuthMethod, Client, ClientKind, GrantType, Pkce};
use doorward_domain::{Lifetime, text};
use doorward_oidc::redirect::RedirectPattern;
use doorward_oidc::scope;

use crate::admin::applications::ClientChange;
use crate::error::{Error, Result};

/// Sets, changes or (when empty) removes a URL.
pub(super) fn set_url(field: &mut Option<String>, name: &str, given: Option<&str>) -> Result<()> {
    let Some(given) = given else { return Ok(()) };
    if given.is_empty() {
        *field = None;
        return Ok(());
    }
    *field = Some(check_web_url(name, given)?);
    Ok(())
}

/// Where a client is told that a session ended. We add to its query, so it has no fragment (Back-Channel Logout section 2.2,
/// Front-Channel Logout section 2).
fn set_logout_url(field: &mut Option<String>, name: &str, given: Option<&str>) -> Result<()> {
    if given.is_some_and(|given| given.contains('#')) {
        return Err(Error::Invalid(format!(
            "the {name} has a fragment (`#`); expected none"
        )));
    }
    set_url(field, name, given)
}

/// An absolute http or https URL without credentials.
fn check_web_url(name: &str, given: &str) -> Result<String> {
    let parsed = url::Url::parse(given).ok().filter(|url| {
        matches!(url.scheme(), "https" | "http")
            && url.host().is_some()
            && url.username().is_empty()
            && url.password().is_none()
            && given.len() <= 2048
            && !given.chars().any(|c| c.is_control() || c.is_whitespace())
    });
    match parsed {
        Some(_) => Ok(given.to_owned()),
        None => Err(Error::Invalid(format!(
            "{name} `{given}` is not usable; expected an http or https URL"
        ))),
    }
}

/// Applies a change; `custom` names the custom scopes that exist.
pub(super) fn apply_client(client: &mut Client, change: &ClientChange, custom: &[String]) -> Result<()> {
    if let Some(kind) = change.kind
        && kind != client.kind
    {
        let defaults = Client::new(String::new(), kind);
        client.kind = kind;
        client.auth_methods = defaults.auth_methods;
    }
    if let Some(id) = &change.client_id {
        if id.is_empty() || id.len() > 255 || !id.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::Invalid(format!(
                "client_id `{id}` is not usable; expected 1 to 255 visible ASCII characters"
            )));
        }
        client.client_id.clone_from(id);
    }
    if let Some(uris) = &change.redirect_uris {
        client.redirect_uris = check_redirects("redirect URI", uris)?;
    }
    if let Some(uris) = &change.post_logout_redirect_uris {
        client.post_logout_redirect_uris = check_redirects("post-logout redirect URI", uris)?;
    }
    apply_keys(client, change)?;
    copy(&mut client.grant_types, change.grant_types.as_ref());
    copy(&mut client.pkce, change.pkce.as_ref());
    copy(&mut client.signing_algorithm, change.signing_algorithm.as_ref());
    copy(
        &mut client.access_token_format,
        change.access_token_format.as_ref(),
    );
    copy(&mut client.subject_mode, change.subject_mode.as_ref());
    copy(&mut client.issuer_mode, change.issuer_mode.as_ref());
    copy(&mut client.id_token_claims, change.id_token_claims.as_ref());
    copy(&mut client.consent, change.consent.as_ref());
    apply_scopes(client, change, custom)?;
    apply_lifetimes(client, change)?;
    set_logout_url(
        &mut client.backchannel_logout_uri,
        "back-channel logout URI",
        change.backchannel_logout_uri.as_deref(),
    )?;
    set_logout_url(
        &mut client.frontchannel_logout_uri,
        "front-channel logout URI",
        change.frontchannel_logout_uri.as_deref(),
    )?;
    check_client(client)
}

fn copy<T: Clone>(field: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        field.clone_from(given);
    }
}

fn check_redirects(name: &str, uris: &[String]) -> Result<Vec<String>> {
    if uris.len() > 100 {
        return Err(Error::Invalid(format!(
            "there are {} {name}s; expected at most 100",
            uris.len()
        )));
    }
    for uri in uris {
        RedirectPattern::parse(uri)
            .map_err(|problem| Error::Invalid(format!("{name} `{uri}`: {problem}")))?;
    }
    Ok(uris.to_vec())
}

fn apply_keys(client: &mut Client, change: &ClientChange) -> Result<()> {
    if let Some(methods) = &change.auth_methods {
        client.auth_methods.clone_from(methods);
    }
    if let Some(jwks) = &change.jwks {
        let set: doorward_crypto::jose::JwkSet = serde_json::from_value(jwks.clone()).map_err(|problem| {
            Error::Invalid(format!("jwks is not a JWK set with public keys: {problem}"))
        })?;
        if set.keys().is_empty() {
            return Err(Error::Invalid("jwks holds no usable key".into()));
        }
        // Stored as read: members that do not belong into a public key are gone.
        client.jwks = serde_json::to_value(&set).ok();
        client.jwks_uri = None;
    }
    if let Some(uri) = &change.jwks_uri {
        client.jwks_uri = if uri.is_empty() {
            None
        } else {
            Some(check_web_url("jwks_uri", uri)?)
        };
        if client.jwks_uri.is_some() {
            client.jwks = None;
        }
    }
    Ok(())
}

fn apply_scopes(client: &mut Client, change: &ClientChange, custom: &[String]) -> Result<()> {
    if let Some(scopes) = &change.scopes {
        for name in scopes {
            let known = scope::is_standard(name) || custom.contains(name);
            if !known {
                let all = scope::STANDARD
                    .iter()
                    .map(|standard| standard.name)
                    .chain(custom.iter().map(String::as_str));
                let hint = text::nearest(name, all)
                    .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                return Err(Error::Invalid(format!(
                    "scope `{name}` does not exist{hint}; `doorward scope create` makes one"
                )));
            }
        }
        client.scopes.clone_from(scopes);
    }
    if let Some(resources) = &change.resources {
        for resource in resources {
            let fits = url::Url::parse(resource).is_ok_and(|url| url.fragment().is_none())
                && resource.len() <= 2048
                && resource.bytes().all(|b| b.is_ascii_graphic());
            if !fits {
                return Err(Error::Invalid(format!(
                    "resource `{resource}` is not an absolute URI without a fragment"
                )));
            }
        }
        client.resources.clone_from(resources);
    }
    Ok(())
}

fn apply_lifetimes(client: &mut Client, change: &ClientChange) -> Result<()> {
    let lifetimes = &mut client.lifetimes;
    let fields = [
        (
            "code lifetime",
            &mut lifetimes.code,
            change.code_lifetime,
            Lifetime::from_minutes(10),
        ),
        (
            "access token lifetime",
            &mut lifetimes.access_token,
            change.access_token_lifetime,
            Lifetime::from_days(1),
        ),
        (
            "refresh token lifetime",
            &mut lifetimes.refresh_token,
            change.refresh_token_lifetime,
            Lifetime::from_days(366),
        ),
        (
            "ID token lifetime",
            &mut lifetimes.id_token,
            change.id_token_lifetime,
            Lifetime::from_days(1),
        ),
    ];
    for (name, field, given, longest) in fields {
        let Some(given) = given else { continue };
        if given < Lifetime::from_seconds(1) || given > longest {
            return Err(Error::Invalid(format!(
                "{name} is {given}; expected 1s to {longest}"
            )));
        }
        *field = given;
    }
    Ok(())
}

/// Rules that hold for the client as a whole.
fn check_client(client: &Client) -> Result<()> {
    let problem = match client.kind {
        ClientKind::Public if client.auth_methods != BTreeSet::from([AuthMethod::None]) => Some(
            "a public client authenticates with `none` only; make it confidential to use a secret or a key",
        ),
        ClientKind::Public if client.grant_types.contains(&GrantType::ClientCredentials) => {
            Some("a public client cannot use client_credentials; make it confidential")
        }
        ClientKind::Public if client.grant_types.contains(&GrantType::TokenExchange) => {
            Some("a public client cannot exchange tokens; make it confidential")
        }
        ClientKind::Public if client.pkce == Pkce::Optional => {
            Some("PKCE is required for public clients and cannot be switched off")
        }
        ClientKind::Confidential
            if client.auth_methods.is_empty() || client.auth_methods.contains(&AuthMethod::None) =>
        {
            Some("a confidential client needs client_secret_basic, client_secret_post or private_key_jwt")
        }
        ClientKind::Confidential
            if client.auth_methods.contains(&AuthMethod::PrivateKeyJwt)
                && client.jwks.is_none()
                && client.jwks_uri.is_none() =>
        {
            Some("private_key_jwt needs --jwks-file or --jwks-uri")
        }
        _ => None,
    };
    problem.map_or(Ok(()), |problem| Err(Error::Invalid(problem.to_owned())))
}
