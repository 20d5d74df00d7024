//! Provider metadata (OpenID Connect Discovery, RFC 8414). The same document serves both well-known forms.
//!
//! Must not live here: the keys themselves.

use doorward_domain::claim::PROTECTED;
use doorward_domain::client::{AuthMethod, GrantType, SigningAlgorithm};
use serde_json::{Value, json};
use std::collections::BTreeSet;

use crate::claims::{ACR_KNOWN, EMAIL_CLAIMS, PROFILE_CLAIMS};
use crate::scope;

/// Languages of the pages.
pub const UI_LOCALES: &[&str] = &["en", "de"];

/// The metadata of one issuer.
///
/// `base` is `public_url`; a slash at its end does not matter. `slug` is the application's, `None` for the global issuer. `scopes` and `claims` are
/// names of custom scopes and claims; the standard ones are added.
#[must_use]
pub fn document<S: AsRef<str>, C: AsRef<str>>(
    issuer: &str,
    base: &str,
    slug: Option<&str>,
    scopes: impl IntoIterator<Item = S>,
    claims: impl IntoIterator<Item = C>,
) -> Value {
    let base = base.trim_end_matches('/');
    let at = |path: &str| format!("{base}/application/o/{path}/");
    let own = |path: &str| slug.map_or_else(|| at(path), |slug| at(&format!("{slug}/{path}")));
    let algorithms: Vec<&str> = SigningAlgorithm::ALL
        .iter()
        .map(|algorithm| algorithm.as_str())
        .collect();
    let methods: Vec<&str> = AuthMethod::ALL.iter().map(|method| method.as_str()).collect();
    let proving: Vec<&str> = AuthMethod::ALL
        .iter()
        .filter(|method| **method != AuthMethod::None)
        .map(|method| method.as_str())
        .collect();
    let grants: Vec<&str> = GrantType::ALL.iter().map(|grant| grant.as_str()).collect();
    let mut scope_names: Vec<String> = scope::STANDARD
        .iter()
        .map(|scope| scope.name.to_owned())
        .collect();
    let custom: BTreeSet<String> = scopes.into_iter().map(|name| name.as_ref().to_owned()).collect();
    scope_names.extend(custom.into_iter().filter(|name| !scope::is_standard(name)));
    json!({
        "issuer": issuer,
        "authorization_endpoint": at("authorize"),
        "token_endpoint": at("token"),
        "userinfo_endpoint": at("userinfo"),
        "introspection_endpoint": at("introspect"),
        "revocation_endpoint": at("revoke"),
        "device_authorization_endpoint": at("device"),
        "pushed_authorization_request_endpoint": at("par"),
        "end_session_endpoint": own("end-session"),
        "jwks_uri": own("jwks"),
        "scopes_supported": scope_names,
        "claims_supported": claim_names(claims),
        "claim_types_supported": ["normal"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "grant_types_supported": grants,
        "acr_values_supported": ACR_KNOWN,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        // All are taken; the pages fit every display, so that the value changes nothing.
        "display_values_supported": ["page", "popup", "touch", "wap"],
        "ui_locales_supported": UI_LOCALES,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "request_object_signing_alg_values_supported": algorithms,
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": proving,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": crate::dpop::ALGORITHMS,
        "claims_parameter_supported": true,
        "request_parameter_supported": true,
        "request_uri_parameter_supported": false,
        "require_pushed_authorization_requests": false,
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "frontchannel_logout_supported": true,
        "frontchannel_logout_session_supported": true,
    })
}

fn claim_names<C: AsRef<str>>(custom: impl IntoIterator<Item = C>) -> Vec<String> {
    let protocol = [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "auth_time",
        "nonce",
        "acr",
        "amr",
        "azp",
        "at_hash",
        "sid",
        "jti",
    ];
    let mut names: Vec<String> = protocol
        .iter()
        .chain(PROFILE_CLAIMS)
        .chain(EMAIL_CLAIMS)
        .map(|name| (*name).to_owned())
        .collect();
    let custom: BTreeSet<String> = custom.into_iter().map(|name| name.as_ref().to_owned()).collect();
    let new = |name: &String| !names.contains(name) && !PROTECTED.contains(&name.as_str());
    let added: Vec<String> = custom.into_iter().filter(new).collect();
    names.extend(added);
    names
}
