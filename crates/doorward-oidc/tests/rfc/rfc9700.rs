//! RFC 9700: attacks and their answers.

use doorward_domain::token::RefreshRecord;
use doorward_domain::{FamilyId, Lifetime};
use doorward_oidc::ErrorCode;
use doorward_oidc::redirect::{self, RedirectPattern};
use doorward_oidc::refresh::{Rotation, decide};
use doorward_oidc::token::redeem_code;

use crate::support::*;

#[test]
fn section_2_1_redirect_uris_are_compared_as_strings() {
    let registered = "https://client.example/cb";
    let pattern = RedirectPattern::parse(registered).unwrap();
    assert!(pattern.matches(registered));
    for attack in [
        "https://client.example@evil.example/cb",
        "https://client.example:pw@evil.example/cb",
        "https://evil.example@client.example/cb",
        "https://client.example.evil.example/cb",
        "https://evilclient.example/cb",
        "https://client.example\\@evil.example/cb",
        "https://evil.example\\.client.example/cb",
        "https:\\\\client.example\\cb",
        "https://client.example/cb/../admin",
        "https://client.example/cb/%2e%2e/admin",
        "https://client.example/x/../cb",
        "https://client.example/x/%2e%2e/cb",
        "https://client.example/./cb",
        "https://client.example//cb",
        "https://client.example/cb/",
        "https://client.example/CB",
        "https://client.example/%63b",
        "https://client.example/cb%00",
        "https://client.example/cb?x=1",
        "https://client.example/cb?",
        "https://client.example/cb;x",
        "https://client.example/cb#x",
        "https://client.example/cb#",
        "https://client.example/cb\t",
        "https://client.example/c\nb",
        "\thttps://client.example/cb",
        " https://client.example/cb",
        "https://client.example/cb ",
        "https://client.example/cb\r\nSet-Cookie: a=b",
        "https://client.example./cb",
        "https://CLIENT.example/cb",
        "HTTPS://client.example/cb",
        "https://client.example:443/cb",
        "https://client.example:8443/cb",
        "https://client.example:/cb",
        "http://client.example/cb",
        "https://client\u{3002}example/cb",
        "https://client\u{ff0e}example/cb",
        "https://client.ex\u{430}mple/cb",
        "https://client.example\u{2044}cb",
        "https://xn--client-example-fake/cb",
        "https://[client.example]/cb",
        "https:/client.example/cb",
        "https:client.example/cb",
        "https:///client.example/cb",
        "//client.example/cb",
        "/cb",
        "client.example/cb",
        "javascript://client.example/cb",
        "data:text/html,https://client.example/cb",
        "",
    ] {
        assert!(!pattern.matches(attack), "{attack:?}");
        assert!(
            !redirect::find_match(&[registered.to_owned()], attack),
            "{attack:?}"
        );
    }
}

#[test]
fn section_2_1_1_and_4_8_2_a_challenge_that_was_taken_out_is_noticed() {
    let mut record = code_record();
    record.code_challenge = None;
    let mut old = confidential();
    old.pkce = doorward_domain::client::Pkce::Optional;
    let error = redeem_code(
        &record,
        Some(CALLBACK),
        Some(CHALLENGE),
        &old,
        application(1),
        now(),
    )
    .unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidGrant);
    assert!(
        error.description.contains("no code_challenge"),
        "{}",
        error.description
    );
}

fn refresh() -> RefreshRecord {
    RefreshRecord {
        family_id: FamilyId::mint(now(), [1; 10]),
        application_id: application(1),
        created_at: ago(100),
        expires_at: later(1000),
        used_at: None,
        answer_sealed: None,
        jkt: None,
    }
}

fn used(seconds_ago: u32) -> RefreshRecord {
    RefreshRecord {
        used_at: Some(ago(seconds_ago)),
        answer_sealed: Some(vec![1]),
        ..refresh()
    }
}

#[test]
fn section_4_14_2_rotation_table() {
    let expired = RefreshRecord {
        expires_at: now(),
        ..refresh()
    };
    let lost = RefreshRecord {
        answer_sealed: None,
        ..used(1)
    };
    let future = RefreshRecord {
        used_at: Some(later(5)),
        answer_sealed: Some(vec![1]),
        ..refresh()
    };
    let used_and_expired = RefreshRecord {
        expires_at: ago(5),
        ..used(20)
    };
    for (name, record, app, ended, expected) in [
        ("fresh", refresh(), 1, false, Rotation::Rotate),
        ("expired", expired, 1, false, Rotation::Expired),
        ("family ended", refresh(), 1, true, Rotation::Expired),
        ("used, family ended", used(1), 1, true, Rotation::Expired),
        ("of another client", refresh(), 2, false, Rotation::Foreign),
        ("used, of another client", used(20), 2, false, Rotation::Foreign),
        ("used just now", used(0), 1, false, Rotation::SameAnswer),
        (
            "used at the edge of the grace",
            used(10),
            1,
            false,
            Rotation::SameAnswer,
        ),
        ("used before the grace", used(11), 1, false, Rotation::Reuse),
        ("used, answer not kept", lost, 1, false, Rotation::Reuse),
        ("used by a clock ahead", future, 1, false, Rotation::SameAnswer),
        (
            "used long ago and expired",
            used_and_expired,
            1,
            false,
            Rotation::Reuse,
        ),
    ] {
        assert_eq!(
            decide(&record, application(app), ended, now()),
            expected,
            "{name}"
        );
    }
}

#[test]
fn the_grace_ends_a_millisecond_after_ten_seconds() {
    let record = used(10);
    let at = now().plus(Lifetime::from_millis(1));
    assert_eq!(decide(&record, application(1), false, at), Rotation::Reuse);
}

#[test]
fn section_2_4_the_password_grant_does_not_exist() {
    let params =
        doorward_oidc::Params::from_pairs([("grant_type", "password"), ("username", "a"), ("password", "b")]);
    let error = doorward_oidc::token::TokenRequest::read(&params).unwrap_err();
    assert_eq!(error.code, ErrorCode::UnsupportedGrantType);
}

#[test]
fn section_2_1_2_the_implicit_grant_does_not_exist() {
    for response_type in [
        "token",
        "id_token",
        "id_token token",
        "code token",
        "code id_token",
        "none",
    ] {
        let error = returned(&good().with("response_type", response_type), &client());
        assert_eq!(error.error, "unsupported_response_type", "{response_type}");
    }
}
