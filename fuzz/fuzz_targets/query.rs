//! Query strings as the authorization endpoint gets them.
//!
//! Holds: what was read and written again reads the same; the limits hold; a request that is accepted, and every error that
//! travels by redirect, goes to a registered redirect URI.
#![no_main]

use std::sync::LazyLock;

use doorward_domain::client::{Client, ClientKind};
use doorward_oidc::authorize::{self, AuthorizeRequest, ErrorRedirect, ReadError, Rules};
use doorward_oidc::claims_request::ClaimsRequest;
use doorward_oidc::params::{LONGEST_NAME, LONGEST_VALUE, MOST_PAIRS, Params};
use doorward_oidc::{redirect, scope};
use libfuzzer_sys::fuzz_target;

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let mut client = Client::new("shop".to_owned(), ClientKind::Public);
    client.redirect_uris =
        ["https://shop.example/callback", "http://127.0.0.1/callback", "https://*.preview.example/cb"]
            .map(str::to_owned)
            .into();
    client
});

fuzz_target!(|text: &str| {
    let Ok(params) = Params::parse(text) else { return };
    assert!(params.iter().count() <= MOST_PAIRS);
    assert!(params.iter().all(|(name, value)| name.len() <= LONGEST_NAME && value.len() <= LONGEST_VALUE));
    let again = Params::parse(&params.to_query());
    if params.iter().all(|(name, _)| !name.is_empty()) && params.to_query().len() <= 64 * 1024 {
        assert_eq!(again.as_ref(), Ok(&params), "written and read again, it is another one");
    }
    if let Some(scopes) = params.get("scope").and_then(|scope| scope::parse_scope(scope).ok()) {
        assert_eq!(scope::parse_scope(&scope::join(&scopes)), Ok(scopes));
    }
    if let Some(claims) = params.get("claims").and_then(|claims| ClaimsRequest::parse(claims).ok()) {
        assert_eq!(ClaimsRequest::from_value(&claims.to_value()), claims);
    }
    let rules = Rules {
        issuer: "https://id.example/application/o/shop/",
        custom_scopes: &|name| name == "orders",
        known_acr: &["urn:example:password"],
    };
    match authorize::read(&params, &CLIENT, &rules) {
        Ok(request) => accepted(&request),
        Err(ReadError::Return(error)) => returned(&error),
        Err(ReadError::Page(_)) => {}
    }
});

fn accepted(request: &AuthorizeRequest) {
    assert!(redirect::find_match(&CLIENT.redirect_uris, &request.redirect_uri));
    assert!(request.code_challenge.is_some(), "a public client was let through without PKCE");
    assert!(request.scopes.iter().all(|scope| CLIENT.scopes.contains(scope) || scope == "orders"));
}

fn returned(error: &ErrorRedirect) {
    assert!(redirect::find_match(&CLIENT.redirect_uris, &error.redirect_uri), "redirected to {}", error.redirect_uri);
    assert!(!error.description.contains(['"', '\\', '\r', '\n']), "RFC 6749 section 4.1.2.1 forbids these");
}
