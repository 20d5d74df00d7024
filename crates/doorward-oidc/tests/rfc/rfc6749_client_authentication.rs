//! RFC 6749 section 2.3 and OpenID Connect Core section 9: how clients prove who they are.

use base64::Engine as _;
use doorward_domain::client::AuthMethod;
use doorward_oidc::client_auth::{ASSERTION_TYPE, Presented, check_method};
use doorward_oidc::{ErrorCode, Params};

use crate::support::*;

fn basic(text: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

#[test]
fn section_2_3_1_basic_is_form_decoded() {
    let presented = Presented::read(Some(&basic("my%20shop:a%3Ab%2B+c")), &Params::default()).unwrap();
    assert_eq!(
        presented,
        Presented::Basic {
            client_id: "my shop".into(),
            secret: "a:b+ c".into(),
            raw: Some("a%3Ab%2B+c".into())
        }
    );
    let lower = basic("shop:s").replacen("Basic", "bAsIc", 1);
    assert!(Presented::read(Some(&lower), &Params::default()).is_ok());
}

#[test]
fn section_2_3_1_a_colon_in_the_secret_belongs_to_the_secret() {
    let presented = Presented::read(Some(&basic("shop:a:b")), &Params::default()).unwrap();
    assert_eq!(
        presented,
        Presented::Basic {
            client_id: "shop".into(),
            secret: "a:b".into(),
            raw: None
        }
    );
}

#[test]
fn broken_headers_are_invalid_client() {
    let latin = base64::engine::general_purpose::STANDARD.encode([b'a', b':', 0xff]);
    for header in [
        "".to_owned(),
        "Basic".to_owned(),
        "Basic !!!".to_owned(),
        "Bearer abc".to_owned(),
        basic("no-colon"),
        basic(":secret"),
        basic("%zz:secret"),
        format!("Basic {latin}"),
        format!("Basic {}", "A".repeat(20_000)),
    ] {
        let error = Presented::read(Some(&header), &Params::default()).unwrap_err();
        assert_eq!((error.code, error.status()), (ErrorCode::InvalidClient, 401));
        assert!(is_description(&error.description));
    }
}

#[test]
fn section_2_3_one_way_only() {
    let both = Params::from_pairs([("client_id", "shop"), ("client_secret", "s")]);
    let error = Presented::read(Some(&basic("shop:s")), &both).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidRequest);
    let secret_and_assertion = both
        .with("client_assertion", "x.y.z")
        .with("client_assertion_type", ASSERTION_TYPE);
    assert_eq!(
        Presented::read(None, &secret_and_assertion).unwrap_err().code,
        ErrorCode::InvalidRequest
    );
    let twice = and(&both, "client_secret", "t");
    assert_eq!(
        Presented::read(None, &twice).unwrap_err().code,
        ErrorCode::InvalidRequest
    );
}

#[test]
fn a_client_id_beside_basic_has_to_agree() {
    let header = basic("shop:s");
    assert!(Presented::read(Some(&header), &Params::from_pairs([("client_id", "shop")])).is_ok());
    let error = Presented::read(Some(&header), &Params::from_pairs([("client_id", "other")])).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidRequest);
}

#[test]
fn the_other_ways() {
    let form = |pairs: &[(&str, &str)]| Presented::read(None, &Params::from_pairs(pairs.iter().copied()));
    assert_eq!(
        form(&[("client_id", "shop"), ("client_secret", "s")]).unwrap(),
        Presented::Post {
            client_id: "shop".into(),
            secret: "s".into()
        }
    );
    assert_eq!(
        form(&[("client_id", "shop")]).unwrap(),
        Presented::Public {
            client_id: "shop".into()
        }
    );
    assert_eq!(
        form(&[("client_id", "shop"), ("client_secret", "")])
            .unwrap()
            .method(),
        AuthMethod::None
    );
    let assertion = form(&[
        ("client_assertion", "x.y.z"),
        ("client_assertion_type", ASSERTION_TYPE),
    ])
    .unwrap();
    assert_eq!(
        (assertion.method(), assertion.client_id()),
        (AuthMethod::PrivateKeyJwt, None)
    );
    assert_eq!(
        form(&[("client_assertion", "x.y.z"), ("client_assertion_type", "saml")])
            .unwrap_err()
            .code,
        ErrorCode::InvalidRequest
    );
    assert_eq!(
        form(&[("client_secret", "s")]).unwrap_err().code,
        ErrorCode::InvalidClient
    );
    assert_eq!(form(&[]).unwrap_err().code, ErrorCode::InvalidClient);
}

#[test]
fn a_secret_never_counts_as_none_and_none_never_as_a_secret() {
    let public = Presented::Public {
        client_id: "shop".into(),
    };
    let secret = Presented::Post {
        client_id: "shop".into(),
        secret: "s".into(),
    };
    assert!(check_method(&public, &client()).is_ok());
    assert!(check_method(&secret, &confidential()).is_ok());
    for (presented, client) in [(&public, confidential()), (&secret, client())] {
        let error = check_method(presented, &client).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidClient);
        assert!(
            error
                .description
                .contains(client.auth_methods.first().unwrap().as_str())
        );
    }
    let empty = Presented::read(Some(&basic("shop:")), &Params::default()).unwrap();
    assert!(
        check_method(&empty, &confidential()).is_err(),
        "an empty secret is no secret"
    );
}

#[test]
fn secrets_never_show() {
    let shown = format!(
        "{:?}",
        Presented::Post {
            client_id: "shop".into(),
            secret: "hunter2".into()
        }
    );
    assert!(shown.contains("shop") && !shown.contains("hunter2"));
    // What cannot be decoded is taken as it is, and shows just as little.
    let presented = Presented::read(Some(&basic("shop:hunter2%zz")), &Params::default()).unwrap();
    assert!(!format!("{presented:?}").contains("hunter2"));
    let error = Presented::read(Some(&basic("%zz:hunter2")), &Params::default()).unwrap_err();
    assert!(!error.to_string().contains("hunter2"));
}
