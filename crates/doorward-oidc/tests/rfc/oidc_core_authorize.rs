//! OpenID Connect Core sections 3.1.2, 5.5 and 11: what is asked and what happens next.

use doorward_domain::Lifetime;
use doorward_domain::client::{Client, ConsentMode, GrantType};
use doorward_oidc::Scopes;
use doorward_oidc::authorize::{Authorize, AuthorizeRequest, Display, Prompt, Visitor, authorize};

use crate::support::*;

/// A visitor who signed in a minute ago.
#[derive(Clone, Default)]
struct Who {
    granted: Option<Scopes>,
    reauthenticated: bool,
    selected: bool,
    consented: bool,
}

fn next(request: &AuthorizeRequest, client: &Client, who: &Who, hint: Option<&str>) -> Authorize {
    let visitor = Visitor::SignedIn {
        subject: "alice",
        auth_time: ago(60),
        granted: who.granted.as_ref(),
        reauthenticated: who.reauthenticated,
        account_selected: who.selected,
        consented: who.consented,
    };
    authorize(request, client, visitor, hint, now())
}

fn error_of(outcome: &Authorize) -> &'static str {
    match outcome {
        Authorize::Return(error) => error.error,
        other => panic!("expected an error, got {other:?}"),
    }
}

fn explicit() -> Client {
    Client {
        consent: ConsentMode::Explicit,
        ..client()
    }
}

#[test]
fn section_3_1_2_1_parameters_are_read() {
    let params = good()
        .with("prompt", "login consent")
        .with("max_age", "3600")
        .with("display", "popup")
        .with("ui_locales", "de-CH en")
        .with("acr_values", "a b")
        .with("login_hint", "alice@example.org")
        .with("id_token_hint", "x.y.z");
    let request = accepted(&params, &client());
    assert_eq!(request.prompts, [Prompt::Login, Prompt::Consent].into());
    assert_eq!(request.max_age, Some(3600));
    assert_eq!(request.display, Some(Display::Popup));
    assert_eq!(request.ui_locales, ["de-CH", "en"]);
    assert_eq!(request.acr_values, ["a", "b"]);
    assert_eq!(request.login_hint.as_deref(), Some("alice@example.org"));
    assert_eq!(request.id_token_hint.as_deref(), Some("x.y.z"));
    assert_eq!(
        accepted(&good().with("max_age", "99999999999999999999"), &client()).max_age,
        Some(u32::MAX)
    );
}

#[test]
fn section_3_1_2_1_mistakes_are_named() {
    let words: Vec<String> = (0..21).map(|n| n.to_string()).collect();
    let deep = format!("{}1{}", "{\"a\":".repeat(9), "}".repeat(9));
    for (name, value, error) in [
        ("prompt", "none login", "invalid_request"),
        ("prompt", "none consent", "invalid_request"),
        ("prompt", "create", "invalid_request"),
        ("max_age", "-1", "invalid_request"),
        ("max_age", "1.5", "invalid_request"),
        ("max_age", "soon", "invalid_request"),
        ("max_age", "999999999999999999999", "invalid_request"),
        ("display", "hologram", "invalid_request"),
        ("ui_locales", &words.join(" "), "invalid_request"),
        ("acr_values", &words.join(" "), "invalid_request"),
        ("login_hint", &"x".repeat(2049), "invalid_request"),
        ("request", "x.y.z", "request_not_supported"),
        (
            "request_uri",
            "https://shop.example/object",
            "request_uri_not_supported",
        ),
        ("registration", "{}", "registration_not_supported"),
        ("claims", "[]", "invalid_request"),
        ("claims", "{", "invalid_request"),
        ("claims", "{\"userinfo\":[]}", "invalid_request"),
        ("claims", "{\"id_token\":{\"name\":1}}", "invalid_request"),
        (
            "claims",
            "{\"id_token\":{\"name\":{\"essential\":\"yes\"}}}",
            "invalid_request",
        ),
        (
            "claims",
            "{\"id_token\":{\"name\":{\"value\":\"\\u0000\"}}}",
            "invalid_request",
        ),
        ("claims", &deep, "invalid_request"),
        (
            "claims",
            &format!("{{\"x\":\"{}\"}}", "y".repeat(8192)),
            "invalid_request",
        ),
        (
            "claims",
            "{\"id_token\":{\"acr\":{\"essential\":true,\"values\":[\"gold\"]}}}",
            "unmet_authentication_requirements",
        ),
    ] {
        let given = returned(&good().with(name, value), &client());
        assert_eq!(given.error, error, "{name}={value}: {}", given.description);
        assert!(given.description.contains(name), "{}", given.description);
        assert!(is_description(&given.description), "{}", given.description);
    }
}

#[test]
fn section_5_5_1_1_an_essential_acr_that_is_known_or_a_voluntary_one_is_no_problem() {
    for claims in [
        r#"{"id_token":{"acr":{"essential":true,"values":["gold","urn:doorward:acr:password"]}}}"#,
        r#"{"id_token":{"acr":{"essential":true}}}"#,
        r#"{"id_token":{"acr":{"values":["gold"]}}}"#,
        r#"{"id_token":{"acr":null},"unknown":7}"#,
    ] {
        assert!(
            read(&good().with("claims", claims), &client()).is_ok(),
            "{claims}"
        );
    }
}

#[test]
fn section_3_1_2_3_nobody_signed_in() {
    let request = accepted(&good(), &client());
    assert_eq!(
        authorize(&request, &client(), Visitor::Anonymous, None, now()),
        Authorize::SignIn
    );
    let silent = accepted(&good().with("prompt", "none"), &client());
    let outcome = authorize(&silent, &client(), Visitor::Anonymous, None, now());
    assert_eq!(error_of(&outcome), "login_required");
    let trusted = Client {
        consent: ConsentMode::Skip,
        ..client()
    };
    assert_eq!(
        authorize(&request, &trusted, Visitor::Anonymous, None, now()),
        Authorize::SignIn
    );
}

#[test]
fn section_3_1_2_3_each_prompt_is_asked_once_and_in_order() {
    let request = accepted(&good().with("prompt", "consent login select_account"), &client());
    let mut who = Who::default();
    assert_eq!(next(&request, &client(), &who, None), Authorize::SelectAccount);
    who.selected = true;
    assert_eq!(next(&request, &client(), &who, None), Authorize::Reauthenticate);
    who.reauthenticated = true;
    assert!(matches!(
        next(&request, &client(), &who, None),
        Authorize::Consent { .. }
    ));
    who.consented = true;
    assert_eq!(next(&request, &client(), &who, None), Authorize::Grant);
}

#[test]
fn section_3_1_2_1_max_age_is_counted_in_seconds_since_the_authentication() {
    for (max_age, expected) in [
        ("60", Authorize::Grant),
        ("59", Authorize::Reauthenticate),
        ("0", Authorize::Reauthenticate),
        ("86400", Authorize::Grant),
    ] {
        let request = accepted(&good().with("max_age", max_age), &client());
        assert_eq!(
            next(&request, &client(), &Who::default(), None),
            expected,
            "{max_age}"
        );
        let again = Who {
            reauthenticated: true,
            ..Who::default()
        };
        assert_eq!(
            next(&request, &client(), &again, None),
            Authorize::Grant,
            "no loop at {max_age}"
        );
    }
    let silent = accepted(&good().with("max_age", "59").with("prompt", "none"), &client());
    assert_eq!(
        error_of(&next(&silent, &client(), &Who::default(), None)),
        "login_required"
    );
}

#[test]
fn section_3_1_2_1_id_token_hint_and_claims_sub_name_the_person() {
    let request = accepted(&good(), &client());
    assert_eq!(
        next(&request, &client(), &Who::default(), Some("alice")),
        Authorize::Grant
    );
    assert_eq!(
        next(&request, &client(), &Who::default(), Some("bob")),
        Authorize::SelectAccount
    );
    let selected = Who {
        selected: true,
        ..Who::default()
    };
    assert_eq!(
        error_of(&next(&request, &client(), &selected, Some("bob"))),
        "login_required"
    );
    let silent = accepted(&good().with("prompt", "none"), &client());
    assert_eq!(
        error_of(&next(&silent, &client(), &Who::default(), Some("bob"))),
        "login_required"
    );
    for part in ["id_token", "userinfo"] {
        let claims = format!("{{\"{part}\":{{\"sub\":{{\"value\":\"bob\"}}}}}}");
        let named = accepted(&good().with("claims", &claims).with("prompt", "none"), &client());
        assert_eq!(
            error_of(&next(&named, &client(), &Who::default(), None)),
            "login_required"
        );
    }
}

#[test]
fn section_3_1_2_4_consent_by_mode() {
    let plain = accepted(&good(), &client());
    let asking = accepted(&good().with("prompt", "consent"), &client());
    let all = Who {
        granted: Some(scopes("openid profile email")),
        ..Who::default()
    };
    let some = Who {
        granted: Some(scopes("openid")),
        ..Who::default()
    };
    let none = Who::default();
    let ask = |new: &str| Authorize::Consent {
        scopes: scopes("openid profile"),
        new: scopes(new),
    };
    let expiring = ConsentMode::Expiring(Lifetime::from_days(30));
    for (mode, request, who, expected) in [
        (ConsentMode::Implicit, &plain, &none, Authorize::Grant),
        (ConsentMode::Implicit, &asking, &none, ask("openid profile")),
        (ConsentMode::Skip, &plain, &none, Authorize::Grant),
        (ConsentMode::Skip, &asking, &none, Authorize::Grant),
        (ConsentMode::Explicit, &plain, &none, ask("openid profile")),
        (ConsentMode::Explicit, &plain, &some, ask("profile")),
        (ConsentMode::Explicit, &plain, &all, Authorize::Grant),
        (ConsentMode::Explicit, &asking, &all, ask("")),
        (expiring, &plain, &none, ask("openid profile")),
        (expiring, &plain, &all, Authorize::Grant),
    ] {
        let client = Client {
            consent: mode,
            ..client()
        };
        assert_eq!(next(request, &client, who, None), expected, "{mode}");
    }
}

#[test]
fn section_3_1_2_1_prompt_none_without_consent_is_consent_required() {
    let silent = accepted(&good().with("prompt", "none"), &explicit());
    assert_eq!(
        error_of(&next(&silent, &explicit(), &Who::default(), None)),
        "consent_required"
    );
    let granted = Who {
        granted: Some(scopes("openid profile")),
        ..Who::default()
    };
    assert_eq!(next(&silent, &explicit(), &granted, None), Authorize::Grant);
}

#[test]
fn section_5_5_claims_asked_for_singly_need_the_same_consent_as_their_scope() {
    let params = good()
        .with("scope", "openid")
        .with("claims", r#"{"userinfo":{"email":null,"unheard":null}}"#);
    let request = accepted(&params, &explicit());
    assert_eq!(request.scopes, scopes("openid"));
    assert_eq!(request.consent_scopes, scopes("openid email"));
    let granted = Who {
        granted: Some(scopes("openid")),
        ..Who::default()
    };
    let expected = Authorize::Consent {
        scopes: scopes("openid email"),
        new: scopes("email"),
    };
    assert_eq!(next(&request, &explicit(), &granted, None), expected);
    let mut poor = explicit();
    poor.scopes = scopes("openid profile");
    assert_eq!(
        accepted(&params, &poor).consent_scopes,
        scopes("openid"),
        "a scope it may not have is not covered"
    );
}

#[test]
fn section_11_offline_access_goes_with_the_refresh_grant() {
    let params = good().with("scope", "openid offline_access");
    assert_eq!(
        accepted(&params, &client()).scopes,
        scopes("openid offline_access")
    );
    let mut client = client();
    client.grant_types = [GrantType::AuthorizationCode].into();
    assert_eq!(accepted(&params, &client).scopes, scopes("openid"));
}
