//! Programs with access tokens: only what was made for this site's application opens it, and only while it lives.

use std::time::Duration;

use doorward_core::admin::applications::ApplicationChange;
use doorward_core::admin::users::UserChange;
use doorward_core::forward_auth::{Authorization, Verdict};
use doorward_crypto::jose::{Algorithm, SigningKey};
use doorward_domain::Lifetime;
use doorward_domain::client::{AccessTokenFormat, GrantType};
use doorward_oidc::params::Params;
use doorward_testkit::{App, Client, PUBLIC_URL, each_app};
use serde_json::json;

use super::{Jar, asks, put, put_with, word};

const API: &str = "https://api.example.org";

/// The API's own client, and another application's; both for everyone.
async fn furnish(app: &App, format: AccessTokenFormat) -> (Client, Client) {
    for name in ["alice", "bob"] {
        app.person(name).await;
    }
    let setup = |change: &mut ApplicationChange| {
        change.client.access_token_format = Some(format);
        change.client.grant_types = Some(
            [
                GrantType::AuthorizationCode,
                GrantType::ClientCredentials,
                GrantType::RefreshToken,
            ]
            .into(),
        );
    };
    let api = app
        .oidc_client("api", |change| {
            setup(change);
            change.everyone = Some(false);
            change.allow_users = vec!["alice".into()];
            change.sites = vec![put(
                API,
                &[
                    "public /open",
                    "deny /shut",
                    "user:bob /bob",
                    "everyone /lobby",
                    "application /",
                ],
            )];
        })
        .await;
    let other = app
        .oidc_client("other", |change| {
            setup(change);
            change.client.resources = Some(
                [
                    "https://api.example.org/".to_owned(),
                    "https://elsewhere.example.org".to_owned(),
                ]
                .into(),
            );
            change.sites = vec![put("https://other.example.org", &[])];
        })
        .await;
    (api, other)
}

async fn bearer(app: &App, url: &str, token: &str) -> &'static str {
    let header = format!("Bearer {token}");
    word(&asks(app, url, "GET", &Jar::new(), Some(&header)).await.unwrap())
}

/// Asks until the answer is this one: a token's end is known here within a second.
async fn becomes(app: &App, token: &str, expected: &str, what: &str) {
    let mut got = "";
    for _ in 0..60 {
        got = bearer(app, API, token).await;
        if got == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: still {got} after 1.2 seconds");
}

async fn for_resource(client: &Client, browser: &doorward_testkit::Browser, resource: &str) -> String {
    let mut asked = client.ask_for("openid");
    asked.params = asked.params.with("resource", resource);
    let code = client.code(browser, &asked).await;
    let form = client.code_form(&code, &asked).with("resource", resource);
    let answer = client.token(form).await.unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table, read from top to bottom")]
async fn a_token_opens_the_site_that_it_is_for_and_no_other() {
    each_app(async |app| {
        for (format, number) in [(AccessTokenFormat::Jwt, 1), (AccessTokenFormat::Opaque, 2)] {
            if number == 2 {
                for slug in ["api", "other"] {
                    let old = app.doorward.find_application(slug).await.unwrap();
                    app.doorward.delete_application(old.id).await.unwrap();
                }
                for name in ["alice", "bob"] {
                    let old = app.doorward.find_user(name).await.unwrap();
                    app.doorward.delete_user(old.id).await.unwrap();
                }
            }
            let (api, other) = furnish(&app, format).await;
            let alice = app.sign_in("alice").await;
            let token = api.tokens(&alice, "openid").await.access();
            for (path, expected) in [
                ("/", "allowed"),
                ("/open", "public"),
                ("/shut", "rule_denies"),
                ("/bob", "not_in_audience"),
                ("/lobby", "allowed"),
            ] {
                assert_eq!(
                    bearer(&app, &format!("{API}{path}"), &token).await,
                    expected,
                    "{path}"
                );
            }
            assert_eq!(
                bearer(&app, "https://other.example.org/", &token).await,
                "credential_refused",
                "another application's site"
            );
            let foreign = other.tokens(&alice, "openid").await.access();
            assert_eq!(
                bearer(&app, API, &foreign).await,
                "credential_refused",
                "another client's token"
            );
            assert_eq!(
                bearer(&app, "https://other.example.org/", &foreign).await,
                "allowed"
            );
            // Named as a resource (RFC 8707), the site takes it; the audience of the site counts, not that of the client.
            let named = for_resource(&other, &alice, "https://api.example.org/").await;
            assert_eq!(bearer(&app, API, &named).await, "allowed");
            assert_eq!(
                bearer(&app, "https://other.example.org/", &named).await,
                "credential_refused"
            );
            let elsewhere = for_resource(&other, &alice, "https://elsewhere.example.org").await;
            assert_eq!(bearer(&app, API, &elsewhere).await, "credential_refused");
            let bob = for_resource(&other, &app.sign_in("bob").await, "https://api.example.org/").await;
            assert_eq!(bearer(&app, API, &bob).await, "not_in_audience");
            assert_eq!(bearer(&app, &format!("{API}/bob"), &bob).await, "allowed");

            // The client by itself: where its own application's audience may go, and nowhere else.
            let own = api
                .token(Params::from_pairs([("grant_type", "client_credentials")]))
                .await
                .unwrap();
            let own = own["access_token"].as_str().unwrap().to_owned();
            for (path, expected) in [
                ("/", "allowed"),
                ("/bob", "credential_refused"),
                ("/lobby", "credential_refused"),
                ("/shut", "rule_denies"),
            ] {
                assert_eq!(
                    bearer(&app, &format!("{API}{path}"), &own).await,
                    expected,
                    "{path}"
                );
            }
            let theirs = other
                .token(Params::from_pairs([
                    ("grant_type", "client_credentials"),
                    ("resource", "https://api.example.org/"),
                ]))
                .await
                .unwrap();
            assert_eq!(
                bearer(&app, API, theirs["access_token"].as_str().unwrap()).await,
                "credential_refused"
            );

            // Refresh and ID tokens are no access tokens.
            let all = api.tokens(&alice, "openid offline_access").await;
            for wrong in [
                all.refresh(),
                all.id(),
                alice.session.clone().unwrap(),
                format!("{token}x"),
                token[1..].to_owned(),
            ] {
                assert_eq!(bearer(&app, API, &wrong).await, "credential_refused");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_that_ended_opens_nothing_within_a_second() {
    each_app(async |app| {
        let (api, _) = furnish(&app, AccessTokenFormat::Opaque).await;
        let replica = app.replica().await;
        let door = app.doorward.clone();
        let user = door.find_user("alice").await.unwrap();
        let alice = app.sign_in("alice").await;

        let token = api.tokens(&alice, "openid").await.access();
        for app in [&app, &replica] {
            assert_eq!(bearer(app, API, &token).await, "allowed");
        }
        api.revoke(&token).await;
        for app in [&app, &replica] {
            becomes(app, &token, "credential_refused", "revoked").await;
        }

        let token = api.tokens(&alice, "openid").await.access();
        assert_eq!(bearer(&app, API, &token).await, "allowed");
        door.sign_out(&alice.visit().await.unwrap(), &alice.origin)
            .await
            .unwrap();
        becomes(&app, &token, "credential_refused", "signed out").await;

        let alice = app.sign_in("alice").await;
        let token = api.tokens(&alice, "openid offline_access").await.access();
        assert_eq!(bearer(&app, API, &token).await, "allowed");
        let off = UserChange {
            active: Some(false),
            ..UserChange::default()
        };
        door.update_user(user.id, &off).await.unwrap();
        becomes(&app, &token, "credential_refused", "switched off").await;
        let on = UserChange {
            active: Some(true),
            ..UserChange::default()
        };
        door.update_user(user.id, &on).await.unwrap();

        let alice = app.sign_in("alice").await;
        let token = api.tokens(&alice, "openid").await.access();
        assert_eq!(bearer(&app, API, &token).await, "allowed");
        let application = door.find_application("api").await.unwrap();
        let shut = ApplicationChange {
            deny_users: vec!["alice".into()],
            ..ApplicationChange::default()
        };
        door.update_application(application.id, &shut).await.unwrap();
        let got = bearer(&app, API, &token).await;
        assert!(
            ["audience_empty", "credential_refused"].contains(&got),
            "out of the audience: {got}"
        );
        let open = ApplicationChange {
            allow_users: vec!["alice".into()],
            ..ApplicationChange::default()
        };
        door.update_application(application.id, &open).await.unwrap();

        // By the clock to the millisecond, however warm it is.
        let token = api.tokens(&alice, "openid").await;
        let seconds = token.answer["expires_in"].as_i64().unwrap();
        let token = token.access();
        app.wait(Lifetime::from_seconds(u32::try_from(seconds).unwrap() - 1));
        assert_eq!(bearer(&app, API, &token).await, "allowed");
        app.wait_seconds(1);
        assert_eq!(bearer(&app, API, &token).await, "credential_refused");
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_opens_nothing() {
    each_app(async |app| {
        let (api, _) = furnish(&app, AccessTokenFormat::Jwt).await;
        let alice = app.sign_in("alice").await;
        let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        let header = json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": key.public_jwk() });
        let claims = json!({ "jti": "one", "htm": "POST", "htu": format!("{PUBLIC_URL}/application/o/token/"), "iat": app.now().seconds() });
        let proof = key.sign_header_json(&header.to_string(), claims.to_string().as_bytes()).unwrap();
        let asked = api.ask_for("openid");
        let code = api.code(&alice, &asked).await;
        let answer = app
            .doorward
            .token_with_proof(api.basic().as_deref(), Some(&proof), &api.code_form(&code, &asked), &api.origin)
            .await
            .unwrap();
        assert_eq!(answer["token_type"], "DPoP");
        let token = answer["access_token"].as_str().unwrap();
        assert_eq!(bearer(&app, API, token).await, "credential_refused");
        let dpop = format!("DPoP {token}");
        let verdict = asks(&app, API, "GET", &Jar::new(), Some(&dpop)).await.unwrap();
        assert_eq!(word(&verdict), "sign_in");
    })
    .await;
}

#[tokio::test]
async fn a_site_can_be_deaf_to_programs_and_says_what_becomes_of_their_header() {
    each_app(async |app| {
        let (api, _) = furnish(&app, AccessTokenFormat::Jwt).await;
        let alice = app.sign_in("alice").await;
        let token = api.tokens(&alice, "openid").await.access();
        let header = format!("bearer {token}");
        let application = app.doorward.find_application("api").await.unwrap();
        let jar = super::enter(&app, &alice, API).await;
        for (rule, by_token, by_session) in [
            ("auto", Authorization::Stripped, Authorization::Passes),
            ("pass", Authorization::Passes, Authorization::Passes),
            ("strip", Authorization::Stripped, Authorization::Stripped),
        ] {
            let change = ApplicationChange {
                sites: vec![put_with(API, &[], |draft| {
                    draft.authorization = Some(rule.parse().unwrap());
                })],
                ..ApplicationChange::default()
            };
            app.doorward
                .update_application(application.id, &change)
                .await
                .unwrap();
            for (jar, expected) in [(&Jar::new(), by_token), (&jar, by_session)] {
                let verdict = asks(&app, API, "GET", jar, Some(&header)).await.unwrap();
                let Verdict::Pass(pass) = verdict else {
                    panic!("{verdict:?}")
                };
                assert_eq!(pass.authorization, expected, "{rule}");
            }
        }
        let deaf = ApplicationChange {
            sites: vec![put_with(API, &[], |draft| draft.bearer = Some(false))],
            ..ApplicationChange::default()
        };
        app.doorward
            .update_application(application.id, &deaf)
            .await
            .unwrap();
        assert_eq!(bearer(&app, API, &token).await, "sign_in");
    })
    .await;
}
