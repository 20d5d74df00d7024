//! OpenID Connect Core sections 2, 5.1, 5.4, 5.5: claims.

use doorward_domain::access::Person;
use doorward_domain::claim::CustomScope;
use doorward_domain::client::SubjectMode;
use doorward_domain::group::{Group, GroupTree};
use doorward_domain::user::{User, UserKind};
use doorward_domain::{Attributes, GroupId, Lifetime, ScopeId, SessionId, UserId};
use doorward_oidc::Scopes;
use doorward_oidc::claims::{self, Issue, Requested};
use doorward_oidc::claims_request::ClaimsRequest;
use serde_json::{Map, Value, json};

use crate::support::*;

fn alice() -> User {
    User {
        id: UserId::mint(now(), [7; 10]),
        number: 42,
        uid: "uid-of-alice".into(),
        realm: doorward_domain::user::Realm::Shared,
        username: "alice".into(),
        name: "Alice Liddell".into(),
        email: Some("alice@example.org".into()),
        email_verified_at: Some(now()),
        kind: UserKind::Internal,
        attributes: Attributes::new(),
        app: doorward_domain::app_auth::AppUser::default(),
        active: true,
        locale: Some("en-GB".into()),
        created_at: ago(1000),
        updated_at: ago(500),
        last_sign_in_at: None,
        deleted_at: None,
    }
}

fn staff() -> Group {
    Group {
        id: GroupId::mint(now(), [3; 10]),
        name: "staff".into(),
        superuser: false,
        attributes: Attributes::new(),
        parents: Vec::new(),
        created_at: now(),
        updated_at: now(),
        deleted_at: None,
    }
}

fn world() -> (Person, GroupTree) {
    let group = staff();
    let tree = GroupTree::new([group.clone()]);
    (Person::new(alice(), [group.id], &tree), tree)
}

fn custom(name: &str, claims: &[(&str, &str)]) -> CustomScope {
    CustomScope {
        id: ScopeId::mint(now(), [5; 10]),
        name: name.into(),
        description: String::new(),
        claims: claims
            .iter()
            .map(|(claim, source)| ((*claim).to_owned(), source.parse().unwrap()))
            .collect(),
        created_at: now(),
        updated_at: now(),
    }
}

fn released(scope: &str) -> Value {
    let (person, tree) = world();
    Value::Object(claims::user_claims(&person, &tree, &scopes(scope), &[], None))
}

#[test]
fn section_5_4_scopes_release_their_claims() {
    assert_eq!(released("openid offline_access"), json!({}));
    assert_eq!(
        released("openid email"),
        json!({ "email": "alice@example.org", "email_verified": true })
    );
    assert_eq!(released("groups"), json!({ "groups": ["staff"] }));
    let profile = json!({ "name": "Alice Liddell", "given_name": "Alice Liddell", "preferred_username": "alice",
        "nickname": "alice", "groups": ["staff"], "locale": "en-GB", "updated_at": 1_799_999_500 });
    assert_eq!(released("openid profile"), profile);
}

#[test]
fn section_5_1_email_verified_is_true_only_when_it_is_true() {
    let (mut person, tree) = world();
    person.user.email_verified_at = None;
    let claims = claims::user_claims(&person, &tree, &scopes("email"), &[], None);
    assert_eq!(claims["email_verified"], false);
    person.user.email = None;
    let claims = claims::user_claims(&person, &tree, &scopes("email profile"), &[], None);
    assert!(!claims.contains_key("email") && !claims.contains_key("email_verified"));
}

#[test]
fn section_2_subjects_by_mode() {
    let user = alice();
    for (mode, expected) in [
        (SubjectMode::HashedId, "uid-of-alice".to_owned()),
        (SubjectMode::Id, "42".to_owned()),
        (SubjectMode::Uuid, user.id.to_string()),
        (SubjectMode::Username, "alice".to_owned()),
        (SubjectMode::Email, "alice@example.org".to_owned()),
    ] {
        assert_eq!(claims::subject_of(mode, &user).unwrap(), expected);
    }
    for email in [None, Some(String::new())] {
        let user = User { email, ..alice() };
        assert!(
            claims::subject_of(SubjectMode::Email, &user).is_err(),
            "no person is the empty subject"
        );
    }
}

#[test]
fn custom_scopes_add_claims_and_never_touch_the_protocols_own() {
    let (person, tree) = world();
    let orders = custom(
        "orders",
        &[
            ("role", "\"buyer\""),
            ("sub", "\"root\""),
            ("scope", "\"admin\""),
            ("nickname", "\"al\""),
        ],
    );
    let claims = claims::user_claims(&person, &tree, &scopes("openid orders profile"), &[&orders], None);
    assert_eq!(claims["role"], "buyer");
    assert_eq!(
        claims["nickname"], "al",
        "an operator may replace a standard claim"
    );
    assert!(!claims.contains_key("sub") && !claims.contains_key("scope"));
    let claims = claims::user_claims(&person, &tree, &scopes("openid"), &[&orders], None);
    assert!(claims.is_empty(), "a scope that was not granted gives nothing");
}

fn single(json: &str, allowed: &Scopes, granted: &Scopes) -> Map<String, Value> {
    let (person, tree) = world();
    let asked = ClaimsRequest::parse(json).unwrap();
    let orders = custom("orders", &[("role", "\"buyer\"")]);
    let requested = Requested {
        claims: &asked.id_token,
        allowed,
        granted,
    };
    claims::user_claims(&person, &tree, &Scopes::new(), &[&orders], Some(requested))
}

#[test]
fn section_5_5_single_claims_are_given_within_the_clients_scopes() {
    let asked =
        r#"{"id_token":{"email":{"essential":true},"name":null,"role":null,"sub":null,"password":null}}"#;
    let given = single(asked, &scopes("openid email"), &scopes("openid"));
    assert_eq!(Value::Object(given), json!({ "email": "alice@example.org" }));
    let given = single(asked, &scopes("openid profile"), &scopes("openid orders"));
    assert_eq!(
        Value::Object(given),
        json!({ "name": "Alice Liddell", "role": "buyer" })
    );
    assert!(single(asked, &scopes("openid"), &scopes("openid")).is_empty());
}

#[test]
fn section_5_5_the_stored_form_reads_the_same() {
    let claims = ClaimsRequest::parse(
        r#"{"userinfo":{"name":null,"email":{"essential":true}},"id_token":{"acr":{"values":["a","b"]},"sub":{"value":"x"}}}"#,
    )
    .unwrap();
    assert_eq!(ClaimsRequest::from_value(&claims.to_value()), claims);
    assert_eq!(claims.subject(), Some("x"));
    assert_eq!(
        ClaimsRequest::from_value(&json!("rubbish")),
        ClaimsRequest::default()
    );
}

#[test]
fn section_2_the_id_token() {
    let mut family = family();
    family.acr = Some("urn:example:strong".into());
    let session = SessionId::mint(now(), [9; 10]);
    let issue = Issue {
        issuer: ISSUER,
        subject: "sub-1",
        client_id: "shop",
        family: &family,
        session_id: Some(session),
        now: now(),
        lifetime: Lifetime::from_minutes(5),
        jti: "j-1",
    };
    let mut extra = Map::new();
    extra.insert("name".into(), json!("Alice"));
    for protected in doorward_domain::claim::PROTECTED {
        extra.insert(protected.into(), json!("forged"));
    }
    let claims = claims::id_token(&issue, Some("half"), None, extra);
    let expected = json!({ "iss": ISSUER, "sub": "sub-1", "aud": "shop", "azp": "shop", "iat": 1_800_000_000,
        "exp": 1_800_000_300, "auth_time": 1_799_999_940, "acr": "urn:example:strong", "amr": ["pwd"],
        "sid": session.to_string(), "jti": "j-1", "nonce": "n-1", "at_hash": "half", "name": "Alice" });
    assert_eq!(Value::Object(claims), expected);
    assert_eq!(
        claims::id_token(&issue, None, Some("c"), Map::new())["c_hash"],
        "c"
    );
}

#[test]
fn section_5_3_2_userinfo_has_the_subject_and_nothing_replaces_it() {
    let mut claims = Map::new();
    claims.insert("sub".into(), json!("forged"));
    assert_eq!(claims::userinfo("sub-1", claims)["sub"], "sub-1");
}
