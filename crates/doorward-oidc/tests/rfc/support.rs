//! Clients, requests and records that the tests begin with.

use doorward_domain::client::{Client, ClientKind};
use doorward_domain::token::{CodeRecord, Family};
use doorward_domain::{ApplicationId, FamilyId, Lifetime, Timestamp};
use doorward_oidc::authorize::{self, AuthorizeRequest, ErrorRedirect, Page, ReadError, Rules};
use doorward_oidc::{Params, Scopes};
use std::collections::BTreeSet;

pub(crate) const ISSUER: &str = "https://id.example/application/o/shop/";
pub(crate) const CALLBACK: &str = "https://shop.example/callback";
/// Challenge and verifier of RFC 7636 appendix B.
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const ACR: &[&str] = &["urn:doorward:acr:password"];

pub(crate) fn now() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

pub(crate) fn later(seconds: u32) -> Timestamp {
    now().plus(Lifetime::from_seconds(seconds))
}

pub(crate) fn ago(seconds: u32) -> Timestamp {
    now().minus(Lifetime::from_seconds(seconds))
}

pub(crate) fn application(n: u8) -> ApplicationId {
    ApplicationId::mint(Timestamp::from_millis(i64::from(n)), [n; 10])
}

pub(crate) fn client() -> Client {
    let mut client = Client::new("shop".into(), ClientKind::Public);
    client.redirect_uris = vec![CALLBACK.into()];
    client
}

pub(crate) fn confidential() -> Client {
    let mut client = Client::new("shop".into(), ClientKind::Confidential);
    client.redirect_uris = vec![CALLBACK.into()];
    client
}

pub(crate) fn scopes(text: &str) -> Scopes {
    text.split_whitespace().map(str::to_owned).collect()
}

pub(crate) fn rules() -> Rules<'static> {
    Rules {
        issuer: ISSUER,
        custom_scopes: &|name| name == "orders",
        known_acr: ACR,
    }
}

/// A request that is right in every respect.
pub(crate) fn good() -> Params {
    Params::from_pairs([
        ("client_id", "shop"),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", "openid profile"),
        ("state", "s-1"),
        ("nonce", "n-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ])
}

/// `params` with one more pair, also when the name is there already.
pub(crate) fn and(params: &Params, name: &str, value: &str) -> Params {
    Params::from_pairs(params.iter().chain([(name, value)]))
}

pub(crate) fn read(params: &Params, client: &Client) -> Result<AuthorizeRequest, ReadError> {
    authorize::read(params, client, &rules())
}

pub(crate) fn accepted(params: &Params, client: &Client) -> AuthorizeRequest {
    read(params, client).expect("the request is good")
}

pub(crate) fn returned(params: &Params, client: &Client) -> ErrorRedirect {
    match read(params, client) {
        Err(ReadError::Return(error)) => error,
        other => panic!("expected an error redirect, got {other:?}"),
    }
}

pub(crate) fn page(params: &Params, client: &Client) -> Page {
    match read(params, client) {
        Err(ReadError::Page(page)) => page,
        other => panic!("expected a page, got {other:?}"),
    }
}

pub(crate) fn code_record() -> CodeRecord {
    CodeRecord {
        family_id: FamilyId::mint(now(), [1; 10]),
        application_id: application(1),
        redirect_uri: CALLBACK.into(),
        redirect_uri_given: true,
        code_challenge: Some(CHALLENGE.into()),
        created_at: now(),
        expires_at: later(60),
        used_at: None,
        jkt: None,
    }
}

pub(crate) fn family() -> Family {
    Family {
        id: FamilyId::mint(now(), [1; 10]),
        application_id: application(1),
        user_id: None,
        session_id: None,
        scopes: scopes("openid profile"),
        resources: BTreeSet::new(),
        claims: None,
        nonce: Some("n-1".into()),
        auth_time: Some(ago(60)),
        amr: vec!["pwd".into()],
        acr: None,
        created_at: now(),
        ended_at: None,
    }
}

/// Only the characters of RFC 6749 section 5.2.
pub(crate) fn is_description(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}
