//! What tokens are good for: userinfo, introspection, revocation.

use doorward_core::admin::applications::ApplicationChange;
use doorward_core::admin::users::UserChange;
use doorward_domain::client::{AccessTokenFormat, ClientKind, SubjectMode};
use doorward_domain::event::EventKind;
use doorward_oidc::error::ErrorCode;
use doorward_oidc::params::Params;
use doorward_testkit::{App, Browser, Client, PUBLIC_URL, Tokens, each_app};
use serde_json::{Value, json};

const OFFLINE: &str = "openid profile email offline_access";

fn format(format: AccessTokenFormat) -> impl FnOnce(&mut ApplicationChange) {
    move |change| change.client.access_token_format = Some(format)
}

async fn each_format(app: &App) -> Vec<(&'static str, Client)> {
    vec![
        (
            "jwt",
            app.oidc_client("jwt", format(AccessTokenFormat::Jwt)).await,
        ),
        (
            "opaque",
            app.oidc_client("opaque", format(AccessTokenFormat::Opaque)).await,
        ),
    ]
}

async fn alice(app: &App) -> Browser {
    let staff = app.group("staff").await;
    let user = app.person("alice").await;
    app.doorward.add_member(user.id, staff.id).await.unwrap();
    app.sign_in("alice").await
}

fn keys(map: &serde_json::Map<String, Value>) -> Vec<&str> {
    map.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn userinfo_tells_what_the_scopes_say_and_no_more() {
    each_app(async |app| {
        let browser = alice(&app).await;
        for (what, client) in each_format(&app).await {
            let told = async |scope: &str| {
                let tokens = client.tokens(&browser, scope).await;
                client.userinfo(&tokens.access()).await.unwrap()
            };
            assert_eq!(keys(&told("openid").await), ["sub"], "{what}");
            assert_eq!(
                keys(&told("openid email").await),
                ["email", "email_verified", "sub"]
            );
            let profile = told("openid profile").await;
            assert_eq!(
                keys(&profile),
                [
                    "given_name",
                    "groups",
                    "name",
                    "nickname",
                    "preferred_username",
                    "sub",
                    "updated_at"
                ]
            );
            assert_eq!(profile["groups"], json!(["staff"]));
            let tokens = client.tokens(&browser, "profile email").await;
            assert!(tokens.answer.get("id_token").is_none());
            let error = Client::error(client.userinfo(&tokens.access()).await);
            assert_eq!(error.code, ErrorCode::InsufficientScope);
        }
    })
    .await;
}

#[tokio::test]
async fn email_verified_is_true_only_when_the_present_address_was_proved() {
    each_app(async |app| {
        let browser = alice(&app).await;
        let client = app.oidc_client("grafana", |_| {}).await;
        let tokens = client.tokens(&browser, OFFLINE).await;
        let verified = async || client.userinfo(&tokens.access()).await.unwrap()["email_verified"].clone();
        assert_eq!(verified().await, true);
        let id = browser.visit().await.unwrap().person.user.id;
        let moved = UserChange {
            email: Some(Some("elsewhere@example.org".into())),
            ..UserChange::default()
        };
        app.doorward.update_user(id, &moved).await.unwrap();
        assert_eq!(verified().await, false);
        let proved = UserChange {
            email_verified: Some(true),
            ..UserChange::default()
        };
        app.doorward.update_user(id, &proved).await.unwrap();
        assert_eq!(verified().await, true);
        let none = UserChange {
            email: Some(None),
            ..UserChange::default()
        };
        app.doorward.update_user(id, &none).await.unwrap();
        let told = client.userinfo(&tokens.access()).await.unwrap();
        assert!(told.get("email").is_none() && told.get("email_verified").is_none());
    })
    .await;
}

#[tokio::test]
async fn subjects_are_what_the_application_wants_and_stay_the_same_everywhere() {
    each_app(async |app| {
        let browser = alice(&app).await;
        let user = browser.visit().await.unwrap().person.user.clone();
        for (mode, subject) in [
            (SubjectMode::HashedId, user.uid.clone()),
            (SubjectMode::Id, user.number.to_string()),
            (SubjectMode::Uuid, user.id.to_string()),
            (SubjectMode::Username, "alice".to_owned()),
            (SubjectMode::Email, "alice@example.org".to_owned()),
        ] {
            let slug = mode.as_str().replace('_', "-");
            let client = app
                .oidc_client(&slug, |change| change.client.subject_mode = Some(mode))
                .await;
            let tokens = client.tokens(&browser, OFFLINE).await;
            let jwt = |text: &str| app.doorward.open_own_jwt(text).unwrap().claims["sub"].clone();
            assert_eq!(jwt(&tokens.id()), subject, "{mode}");
            assert_eq!(jwt(&tokens.access()), subject, "{mode}");
            assert_eq!(client.userinfo(&tokens.access()).await.unwrap()["sub"], subject);
            assert_eq!(client.introspect(&tokens.access()).await["sub"], subject);
            assert_eq!(client.introspect(&tokens.refresh()).await["sub"], subject);
        }
        assert_eq!(user.uid.len(), 64);
        assert!(!user.uid.contains("alice"));
    })
    .await;
}

#[tokio::test]
async fn custom_scopes_give_their_claims_and_can_not_forge_the_protocols_own() {
    each_app(async |app| {
        let user = app
            .person_with("alice", |new| {
                new.attributes.insert("badge".into(), json!(7));
                new.attributes.insert("sub".into(), json!("root"));
            })
            .await;
        let team = app.group("team").await;
        let colour = doorward_core::admin::groups::GroupChange {
            attributes: serde_json::from_value(json!({ "colour": "green" })).unwrap(),
            ..Default::default()
        };
        app.doorward.update_group(team.id, &colour).await.unwrap();
        app.doorward.add_member(user.id, team.id).await.unwrap();
        let pair = |name: &str, source: &str| (name.to_owned(), source.to_owned());
        let claims = [
            pair("badge", "user.attributes.badge"),
            pair("colour", "group.attributes.colour"),
            pair("dw_family", "\"forged\""),
        ];
        app.doorward
            .put_scope("badge", Some("Your badge"), &claims)
            .await
            .unwrap();
        for protected in ["sub", "iss", "aud", "exp", "scope", "client_id", "act", "sid"] {
            let bad = app
                .doorward
                .put_scope("bad", None, &[pair(protected, "user.attributes.sub")])
                .await;
            assert!(crate::invalid(bad).contains(protected));
        }
        let client = app
            .oidc_client("grafana", |change| {
                change.client.scopes = Some(["openid".into(), "badge".into()].into());
            })
            .await;
        let browser = app.sign_in("alice").await;
        let tokens = client.tokens(&browser, "openid badge").await;
        let told = client.userinfo(&tokens.access()).await.unwrap();
        assert_eq!((&told["badge"], &told["colour"]), (&json!(7), &json!(["green"])));
        let id = app.doorward.open_own_jwt(&tokens.id()).unwrap().claims;
        assert_eq!(id["badge"], 7);
        // The claim that ties an access token to its family is ours, whatever a scope says.
        assert!(client.is_active(&tokens.access()).await);
        let without = client.tokens(&browser, "openid").await;
        let told = client.userinfo(&without.access()).await.unwrap();
        assert_eq!(keys(&told), ["sub"]);
        let in_use = crate::invalid(app.doorward.delete_scope("badge").await);
        assert!(in_use.contains("grafana"), "{in_use}");
    })
    .await;
}

#[tokio::test]
async fn claims_can_be_kept_out_of_the_id_token() {
    each_app(async |app| {
        let browser = alice(&app).await;
        let client = app
            .oidc_client("lean", |change| change.client.id_token_claims = Some(false))
            .await;
        let tokens = client.tokens(&browser, OFFLINE).await;
        let id = app.doorward.open_own_jwt(&tokens.id()).unwrap().claims;
        for claim in ["email", "name", "groups", "preferred_username"] {
            assert!(id.get(claim).is_none(), "{claim}");
        }
        let told = client.userinfo(&tokens.access()).await.unwrap();
        assert_eq!(told["email"], "alice@example.org");
    })
    .await;
}

#[tokio::test]
async fn only_an_access_token_opens_userinfo() {
    each_app(async |app| {
        let browser = alice(&app).await;
        for (what, client) in each_format(&app).await {
            let asked = client.ask();
            let code = client.code(&browser, &asked).await;
            let tokens = client.tokens(&browser, OFFLINE).await;
            let access = tokens.access();
            let cut = access.get(..access.len() - 2).unwrap().to_owned();
            let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.".to_owned();
            for bearer in [
                tokens.id(),
                tokens.refresh(),
                code,
                browser.session.clone().unwrap(),
                cut,
                format!("{access}x"),
                format!("{access}."),
                none,
                String::new(),
                "\0".into(),
                "x".repeat(1_000_000),
            ] {
                let error = Client::error(client.userinfo(&bearer).await);
                assert_eq!(error.code, ErrorCode::InvalidToken, "{what} {bearer:.30}");
            }
            client.userinfo(&access).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn introspection_tells_the_client_about_its_own_and_strangers_nothing() {
    each_app(async |app| {
        let browser = alice(&app).await;
        let stranger = app.oidc_client("stranger", |_| {}).await;
        let api = app.oidc_client("api", |_| {}).await;
        let public = app
            .oidc_client("spa", |change| change.client.kind = Some(ClientKind::Public))
            .await;
        let client = app
            .oidc_client("grafana", |change| {
                change.client.access_token_format = Some(AccessTokenFormat::Opaque);
                change.client.resources = Some([format!("urn:{}", api.id)].into());
            })
            .await;
        let tokens = client.tokens(&browser, OFFLINE).await;
        let told = client.introspect(&tokens.access()).await;
        assert_eq!(told["active"], true);
        assert_eq!(told["username"], "alice");
        assert_eq!(told["client_id"], client.id);
        assert_eq!(told["iss"], format!("{PUBLIC_URL}/application/o/grafana/"));
        assert_eq!(told["scope"], "email offline_access openid profile");
        assert_eq!(told["exp"], app.now().seconds() + 1800);
        let inactive = json!({ "active": false });
        for token in [
            tokens.access(),
            tokens.refresh(),
            "nothing".into(),
            "\0".into(),
            "x".repeat(1_000_000),
        ] {
            assert_eq!(stranger.introspect(&token).await, inactive, "{token:.20}");
        }
        for token in [tokens.id(), browser.session.clone().unwrap()] {
            assert_eq!(client.introspect(&token).await, inactive);
        }
        let form = Params::from_pairs([("token", tokens.access().as_str()), ("client_id", &public.id)]);
        let refused = app.doorward.introspect(None, &form, &public.origin).await;
        assert_eq!(Client::error(refused).code, ErrorCode::InvalidClient);
        let form = Params::from_pairs([("token", tokens.access().as_str())]);
        let refused = app.doorward.introspect(None, &form, &public.origin).await;
        assert_eq!(Client::error(refused).code, ErrorCode::InvalidClient);
    })
    .await;
}

#[tokio::test]
async fn revocation_ends_what_it_names_and_never_anothers() {
    each_app(async |app| {
        let browser = alice(&app).await;
        let stranger = app.oidc_client("stranger", |_| {}).await;
        for (what, client) in each_format(&app).await {
            let tokens = client.tokens(&browser, OFFLINE).await;
            for token in [tokens.access(), tokens.refresh()] {
                let form = Params::from_pairs([("token", token.as_str())]);
                let basic = stranger.basic();
                let refused = app
                    .doorward
                    .revoke(basic.as_deref(), &form, &stranger.origin)
                    .await;
                // RFC 7009 section 2.1: the client is told that the token is not its own.
                assert_eq!(Client::error(refused).code, ErrorCode::InvalidGrant);
            }
            client.revoke("unknown").await;
            client.revoke(&tokens.id()).await;
            assert!(client.is_active(&tokens.access()).await, "{what}");
            assert!(client.is_active(&tokens.refresh()).await, "{what}");

            client.revoke(&tokens.access()).await;
            assert!(!client.is_active(&tokens.access()).await, "{what}");
            assert!(client.userinfo(&tokens.access()).await.is_err());
            let next = Tokens {
                answer: client.refresh(&tokens.refresh()).await.unwrap(),
            };
            assert!(client.is_active(&next.access()).await, "{what}");
            client.revoke(&next.refresh()).await;
            assert!(!client.is_active(&next.access()).await, "{what}: the family ends");
            assert!(client.refresh(&next.refresh()).await.is_err());
            client.revoke(&next.refresh()).await;
        }
        let events = app.events().await;
        let revoked = events
            .iter()
            .filter(|event| event.kind == EventKind::TokensRevoked);
        assert_eq!(revoked.count(), 4, "twice revoked is once an event");
    })
    .await;
}

#[tokio::test]
async fn a_public_client_can_revoke_its_own_tokens() {
    each_app(async |app| {
        let browser = alice(&app).await;
        let public = app
            .oidc_client("spa", |change| change.client.kind = Some(ClientKind::Public))
            .await;
        let tokens = public.tokens(&browser, OFFLINE).await;
        public.userinfo(&tokens.access()).await.unwrap();
        public.revoke(&tokens.refresh()).await;
        assert!(public.userinfo(&tokens.access()).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn tokens_of_a_deleted_application_are_worth_nothing_also_after_it_came_back() {
    each_app(async |app| {
        let browser = alice(&app).await;
        for (what, client) in each_format(&app).await {
            let tokens = client.tokens(&browser, OFFLINE).await;
            let id = client.application.id;
            app.doorward.delete_application(id).await.unwrap();
            assert!(client.userinfo(&tokens.access()).await.is_err(), "{what}");
            app.doorward.restore_application(id).await.unwrap();
            assert!(client.userinfo(&tokens.access()).await.is_err(), "{what}");
            assert!(client.refresh(&tokens.refresh()).await.is_err(), "{what}");
            client.tokens(&browser, OFFLINE).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_resource_server_learns_about_tokens_for_its_resource() {
    each_app(async |app| {
        let browser = alice(&app).await;
        let api = "https://api.example.org/";
        for (format, opaque) in [("jwt", false), ("opaque", true)] {
            let client = app
                .oidc_client(&format!("client-{format}"), |change| {
                    change.client.resources = Some([api.to_owned()].into());
                    if opaque {
                        change.client.access_token_format = Some(AccessTokenFormat::Opaque);
                    }
                })
                .await;
            let server = app
                .oidc_client(&format!("api-{format}"), |change| {
                    change.client.resources = Some([api.to_owned()].into());
                    change.client.redirect_uris = Some(Vec::new());
                })
                .await;
            let asker = app
                .oidc_client(&format!("asker-{format}"), |change| {
                    change.client.resources = Some([api.to_owned()].into());
                })
                .await;
            let mut asked = client.ask();
            asked.params = asked.params.with("resource", api);
            let code = client.code(&browser, &asked).await;
            let token = client.redeem(&code, &asked).await.unwrap()["access_token"]
                .as_str()
                .unwrap()
                .to_owned();
            assert_eq!(server.introspect(&token).await["username"], "alice", "{format}");
            assert!(
                !asker.is_active(&token).await,
                "{format}: may ask for tokens, serves nothing"
            );
            let elsewhere = client.tokens(&browser, "openid").await;
            assert!(!server.is_active(&elsewhere.access()).await, "{format}");
        }
    })
    .await;
}
