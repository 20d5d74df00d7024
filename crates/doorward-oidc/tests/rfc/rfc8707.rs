//! RFC 8707: resource indicators.

use doorward_oidc::token::narrow_resources;
use doorward_oidc::{ErrorCode, Params, resource};
use std::collections::BTreeSet;

use crate::support::*;

fn set(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|one| (*one).to_owned()).collect()
}

#[test]
fn section_2_resources_are_absolute_uris_without_fragment() {
    let read = |value: &str| resource::read(&Params::from_pairs([("resource", value)]));
    for good in [
        "https://api.example/",
        "https://api.example/v1?x=1",
        "urn:example:api",
        "shop",
    ] {
        assert_eq!(read(good).unwrap(), set(&[good]));
    }
    let long = format!("https://api.example/{}", "a".repeat(2048));
    for bad in [
        "https://api.example/#f",
        "https://",
        "https://a b/",
        "//api.example/:x\"",
        "http://[::1",
        &long,
    ] {
        assert_eq!(read(bad).unwrap_err().code, ErrorCode::InvalidTarget, "{bad}");
    }
    let many = Params::from_pairs((0..21).map(|n| ("resource", format!("https://api.example/{n}"))));
    assert_eq!(resource::read(&many).unwrap_err().code, ErrorCode::InvalidTarget);
}

#[test]
fn section_2_1_several_may_be_asked_for_and_each_has_to_be_registered() {
    let mut client = client();
    client.resources = set(&["https://api.example/", "https://files.example/"]);
    let one = and(&good(), "resource", "https://api.example/");
    let two = and(&one, "resource", "https://files.example/");
    assert_eq!(accepted(&two, &client).resources, client.resources);
    assert_eq!(accepted(&good(), &client).resources, set(&[]));
    assert_eq!(
        accepted(&and(&good(), "resource", "shop"), &client).resources,
        set(&["shop"])
    );
    for foreign in ["https://evil.example/", "other", "https://api.example"] {
        let error = returned(&and(&one, "resource", foreign), &client);
        assert_eq!(error.error, "invalid_target", "{foreign}");
        assert!(error.description.contains("resource"));
    }
}

#[test]
fn section_2_2_a_token_request_narrows_and_never_widens() {
    let granted = set(&["https://api.example/", "https://files.example/"]);
    assert_eq!(narrow_resources(&granted, &set(&[])).unwrap(), granted);
    assert_eq!(
        narrow_resources(&granted, &set(&["https://api.example/"])).unwrap(),
        set(&["https://api.example/"])
    );
    for more in ["https://evil.example/", "shop"] {
        assert_eq!(
            narrow_resources(&granted, &set(&[more])).unwrap_err().code,
            ErrorCode::InvalidTarget
        );
    }
    assert!(narrow_resources(&set(&[]), &set(&["https://api.example/"])).is_err());
}
