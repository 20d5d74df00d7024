//! RP-Initiated, Back-Channel and Front-Channel Logout 1.0.

use doorward_domain::client::Client;
use doorward_oidc::Params;
use doorward_oidc::logout::{self, CurrentSession, Logout, LogoutPage, LogoutRequest, VerifiedHint, decide};
use serde_json::{Value, json};

use crate::support::*;

const AFTER: &str = "https://shop.example/bye";

fn shop() -> Client {
    Client {
        post_logout_redirect_uris: vec![AFTER.into()],
        ..client()
    }
}

fn request(query: &str) -> LogoutRequest {
    LogoutRequest::read(&Params::parse(query).unwrap()).unwrap()
}

fn hint(sid: Option<&str>) -> VerifiedHint {
    VerifiedHint {
        client_id: "shop".into(),
        sid: sid.map(str::to_owned),
        sub: "alice".into(),
    }
}

const SESSION: CurrentSession<'static> = CurrentSession {
    sid: "sid-1",
    subject: Some("alice"),
};

#[test]
fn rp_initiated_section_2_a_hint_of_this_session_signs_out_at_once() {
    let given =
        request("id_token_hint=x&post_logout_redirect_uri=https%3A%2F%2Fshop.example%2Fbye&state=a%20b");
    let redirect = Some(format!("{AFTER}?state=a%20b"));
    for hint in [hint(Some("sid-1")), hint(None)] {
        assert_eq!(
            decide(&given, Some(&hint), Some(&shop()), Some(SESSION)),
            Logout::Proceed {
                redirect: redirect.clone()
            }
        );
    }
    assert_eq!(
        decide(&given, Some(&hint(Some("old"))), Some(&shop()), None),
        Logout::Proceed { redirect }
    );
}

#[test]
fn rp_initiated_section_6_without_such_a_hint_the_person_is_asked() {
    let ask = Logout::Confirm { redirect: None };
    assert_eq!(decide(&request(""), None, None, Some(SESSION)), ask);
    assert_eq!(
        decide(&request("client_id=shop"), None, Some(&shop()), Some(SESSION)),
        ask
    );
    assert_eq!(
        decide(
            &request(""),
            Some(&hint(Some("other"))),
            Some(&shop()),
            Some(SESSION)
        ),
        ask
    );
    let bob = VerifiedHint {
        sub: "bob".into(),
        ..hint(None)
    };
    assert_eq!(
        decide(&request(""), Some(&bob), Some(&shop()), Some(SESSION)),
        ask
    );
    let unknown = CurrentSession {
        sid: "sid-1",
        subject: None,
    };
    assert_eq!(
        decide(&request(""), Some(&hint(None)), Some(&shop()), Some(unknown)),
        ask
    );
    assert_eq!(
        decide(&request(""), None, None, None),
        Logout::Proceed { redirect: None }
    );
}

#[test]
fn rp_initiated_section_3_only_registered_places_are_returned_to() {
    for given in [
        "https://evil.example/",
        "https://shop.example/bye/",
        "https://shop.example/bye?x",
        CALLBACK,
    ] {
        let query = Params::from_pairs([("client_id", "shop"), ("post_logout_redirect_uri", given)]);
        let expected = LogoutPage::RedirectMismatch {
            given: given.into(),
            nearest: Some(AFTER.into()),
        };
        let request = LogoutRequest::read(&query).unwrap();
        assert_eq!(
            decide(&request, None, Some(&shop()), None),
            Logout::Page(expected)
        );
    }
    let nobody = request("post_logout_redirect_uri=https%3A%2F%2Fshop.example%2Fbye");
    assert_eq!(
        decide(&nobody, None, None, Some(SESSION)),
        Logout::Page(LogoutPage::ClientMissing)
    );
}

#[test]
fn rp_initiated_section_2_client_id_and_hint_have_to_agree() {
    let wrong = Logout::Page(LogoutPage::WrongClient);
    assert_eq!(
        decide(
            &request("client_id=other"),
            Some(&hint(None)),
            Some(&shop()),
            Some(SESSION)
        ),
        wrong
    );
    assert_eq!(
        decide(&request("client_id=gone"), None, None, Some(SESSION)),
        wrong
    );
}

#[test]
fn rp_initiated_section_2_repetition_and_size() {
    let read = |query: &str| LogoutRequest::read(&Params::parse(query).unwrap());
    assert!(read("state=a&state=b").unwrap_err().to_string().contains("state"));
    assert!(read(&format!("state={}", "x".repeat(9000))).is_err());
    let full = request("ui_locales=de+en&logout_hint=alice&client_id=shop");
    assert_eq!(
        (full.ui_locales.len(), full.logout_hint.as_deref()),
        (2, Some("alice"))
    );
    assert!(!format!("{:?}", request("id_token_hint=x.secret.z&state=s3cret")).contains("secret"));
}

#[test]
fn back_channel_section_2_4_the_logout_token() {
    let claims = logout::logout_token(ISSUER, "shop", Some("alice"), Some("sid-1"), "j-1", now());
    let expected = json!({ "iss": ISSUER, "aud": "shop", "iat": 1_800_000_000, "exp": 1_800_000_120, "jti": "j-1",
        "sub": "alice", "sid": "sid-1", "events": { "http://schemas.openid.net/event/backchannel-logout": {} } });
    assert_eq!(Value::Object(claims), expected, "and no nonce");
}

#[test]
fn front_channel_section_2_issuer_and_session_are_added() {
    let url = logout::frontchannel_url("https://shop.example/out?x=1", "https://id.example/", "sid-1");
    assert_eq!(
        url,
        "https://shop.example/out?x=1&iss=https%3A%2F%2Fid.example%2F&sid=sid-1"
    );
}
