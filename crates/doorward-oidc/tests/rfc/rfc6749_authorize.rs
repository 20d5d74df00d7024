//! RFC 6749 sections 3.1 and 4.1: the authorization request and its errors.

use doorward_domain::client::GrantType;
use doorward_oidc::authorize::{Page, ReadError, Response, ResponseMode, success_redirect};

use crate::support::*;

#[test]
fn section_4_1_1_a_good_request_is_read_whole() {
    let request = accepted(&good(), &client());
    assert_eq!(request.client_id, "shop");
    assert_eq!(
        (request.redirect_uri.as_str(), request.redirect_uri_given),
        (CALLBACK, true)
    );
    assert_eq!(request.mode, ResponseMode::Query);
    assert_eq!(request.state.as_deref(), Some("s-1"));
    assert_eq!(request.nonce.as_deref(), Some("n-1"));
    assert_eq!(request.scopes, scopes("openid profile"));
    assert_eq!(request.code_challenge.as_deref(), Some(CHALLENGE));
    assert!(request.is_openid());
}

#[test]
fn section_3_1_2_3_without_redirect_uri_the_only_exact_one_counts_except_for_openid() {
    let plain = good().without(&["redirect_uri"]).with("scope", "profile");
    let request = accepted(&plain, &client());
    assert_eq!(
        (request.redirect_uri.as_str(), request.redirect_uri_given),
        (CALLBACK, false)
    );

    assert_eq!(
        page(&good().without(&["redirect_uri"]), &client()),
        Page::RedirectMissing
    );
    let mut two = client();
    two.redirect_uris.push("https://shop.example/other".into());
    assert_eq!(page(&plain, &two), Page::RedirectMissing);
    for open in ["http://127.0.0.1/cb", "https://*.shop.example/cb"] {
        let mut client = client();
        client.redirect_uris = vec![open.into()];
        assert_eq!(page(&plain, &client), Page::RedirectMissing, "{open}");
    }
}

#[test]
fn section_3_1_2_4_an_unregistered_redirect_uri_is_shown_and_never_followed() {
    let given = "https://shop.example/callbak";
    let expected = Page::RedirectMismatch {
        given: given.into(),
        nearest: Some(CALLBACK.into()),
    };
    assert_eq!(page(&good().with("redirect_uri", given), &client()), expected);
    for given in [
        "callback",
        "/callback",
        "javascript:alert(1)#",
        "https://shop.example/callback#x",
        "https://a@b/",
    ] {
        let expected = Page::RedirectMalformed { given: given.into() };
        assert_eq!(page(&good().with("redirect_uri", given), &client()), expected);
    }
    let mut none = client();
    none.redirect_uris.clear();
    let expected = Page::RedirectMismatch {
        given: CALLBACK.into(),
        nearest: None,
    };
    assert_eq!(
        page(&good(), &none),
        expected,
        "an empty registration trusts nobody"
    );
}

#[test]
fn a_client_that_signs_nobody_in_gets_a_page() {
    let mut machine = confidential();
    machine.redirect_uris.clear();
    machine.grant_types = [GrantType::ClientCredentials].into();
    assert_eq!(page(&good(), &machine), Page::NoCodeGrant);
}

#[test]
fn what_decides_where_to_answer_may_not_be_repeated() {
    for name in ["redirect_uri", "client_id"] {
        let twice = and(&good(), name, good().get(name).unwrap());
        assert_eq!(
            page(&twice, &client()),
            Page::BadParameters(format!("{name} is given more than once"))
        );
    }
}

#[test]
fn section_4_1_2_1_each_mistake_has_its_code_and_names_the_field() {
    let mut device_only = client();
    device_only.grant_types = [GrantType::DeviceCode].into();
    let base = good();
    for (params, client, error, word) in [
        (and(&base, "nonce", "again"), client(), "invalid_request", "nonce"),
        (
            base.without(&["response_type"]),
            client(),
            "invalid_request",
            "response_type",
        ),
        (
            base.with("response_type", "token"),
            client(),
            "unsupported_response_type",
            "response_type",
        ),
        (
            base.with("response_type", "code id_token"),
            client(),
            "unsupported_response_type",
            "response_type",
        ),
        (
            base.with("response_type", "CODE"),
            client(),
            "unsupported_response_type",
            "response_type",
        ),
        (
            base.clone(),
            device_only,
            "unauthorized_client",
            "authorization_code",
        ),
        (
            base.with("response_mode", "query.jwt"),
            client(),
            "invalid_request",
            "response_mode",
        ),
        (base.with("scope", "a\"b"), client(), "invalid_scope", "scope"),
        (
            base.with("scope", "unheard of"),
            client(),
            "invalid_scope",
            "openid",
        ),
        (
            base.with("state", &"s".repeat(9000)),
            client(),
            "invalid_request",
            "state",
        ),
        (
            base.with("nonce", &"s".repeat(3000)),
            client(),
            "invalid_request",
            "nonce",
        ),
    ] {
        let given = returned(&params, &client);
        assert_eq!(given.error, error, "{}", given.description);
        assert!(given.description.contains(word), "{}", given.description);
        assert!(is_description(&given.description), "{}", given.description);
        assert_eq!(
            (given.redirect_uri.as_str(), given.iss.as_str()),
            (CALLBACK, ISSUER)
        );
    }
}

#[test]
fn the_state_goes_back_unless_it_is_the_problem() {
    assert_eq!(
        returned(&good().without(&["response_type"]), &client())
            .state
            .as_deref(),
        Some("s-1")
    );
    assert_eq!(returned(&and(&good(), "state", "other"), &client()).state, None);
    assert_eq!(
        returned(&good().with("state", &"s".repeat(9000)), &client()).state,
        None
    );
}

#[test]
fn section_3_3_unknown_scopes_are_dropped_and_a_missing_scope_means_the_registered_ones() {
    let mut client = client();
    client.scopes.insert("orders".into());
    client.scopes.insert("gone".into());
    let with = |text: &str| accepted(&good().with("scope", text), &client).scopes;
    assert_eq!(with("openid orders admin gone"), scopes("openid orders"));
    let without = accepted(&good().without(&["scope"]), &client).scopes;
    assert_eq!(
        without,
        scopes("openid profile email orders"),
        "no offline_access unless it is asked for"
    );
}

#[test]
fn errors_travel_as_the_response_mode_says() {
    let bad = good().without(&["response_type"]);
    for (mode, expected) in [
        ("query", ResponseMode::Query),
        ("fragment", ResponseMode::Fragment),
        ("form_post", ResponseMode::FormPost),
    ] {
        assert_eq!(
            returned(&bad.with("response_mode", mode), &client()).mode,
            expected
        );
    }
    assert_eq!(
        returned(&bad.with("response_mode", "web_message"), &client()).mode,
        ResponseMode::Query
    );
}

#[test]
fn section_4_1_2_the_answer_keeps_the_query_of_the_redirect_uri_and_encodes_everything() {
    let location = |uri: &str, mode: &str, state: &str| {
        let mut client = client();
        client.redirect_uris = vec![uri.into()];
        let params = good()
            .with("redirect_uri", uri)
            .with("response_mode", mode)
            .with("state", state);
        success_redirect(&accepted(&params, &client), "c/+=", "https://id.example/", None)
    };
    let iss = "iss=https%3A%2F%2Fid.example%2F";
    for (uri, mode, expected) in [
        (
            CALLBACK,
            "query",
            format!("{CALLBACK}?code=c%2F%2B%3D&state=a%20%26b%0D%0A&{iss}"),
        ),
        (
            "https://shop.example/cb?x=1",
            "query",
            format!("https://shop.example/cb?x=1&code=c%2F%2B%3D&state=a%20%26b%0D%0A&{iss}"),
        ),
        (
            "https://shop.example/cb?",
            "query",
            format!("https://shop.example/cb?code=c%2F%2B%3D&state=a%20%26b%0D%0A&{iss}"),
        ),
        (
            "org.example.shop:/cb",
            "query",
            format!("org.example.shop:/cb?code=c%2F%2B%3D&state=a%20%26b%0D%0A&{iss}"),
        ),
        (
            CALLBACK,
            "fragment",
            format!("{CALLBACK}#code=c%2F%2B%3D&state=a%20%26b%0D%0A&{iss}"),
        ),
        (
            "https://shop.example/cb?x=1",
            "fragment",
            format!("https://shop.example/cb?x=1#code=c%2F%2B%3D&state=a%20%26b%0D%0A&{iss}"),
        ),
    ] {
        assert_eq!(location(uri, mode, "a &b\r\n"), Response::Location(expected));
    }
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let fields = vec![
        field("code", "c/+="),
        field("state", "<\">"),
        field("iss", "https://id.example/"),
    ];
    assert_eq!(
        location(CALLBACK, "form_post", "<\">"),
        Response::FormPost {
            action: CALLBACK.into(),
            fields
        }
    );
}

#[test]
fn neither_codes_nor_states_show_in_debug() {
    let request = accepted(&good().with("state", "very-secret"), &client());
    let answer = success_redirect(&request, "the-code", ISSUER, None);
    let form = success_redirect(
        &accepted(&good().with("response_mode", "form_post"), &client()),
        "the-code",
        ISSUER,
        None,
    );
    let error = returned(
        &good().with("state", "very-secret").without(&["response_type"]),
        &client(),
    );
    for shown in [
        format!("{request:?}"),
        format!("{answer:?}"),
        format!("{form:?}"),
        format!("{error:?}"),
    ] {
        assert!(
            !shown.contains("very-secret") && !shown.contains("the-code"),
            "{shown}"
        );
    }
}

#[test]
fn read_errors_carry_the_page_or_the_redirect() {
    let error = returned(&good().without(&["response_type"]), &client());
    assert_eq!(ReadError::from(error.clone()), ReadError::Return(error));
}
