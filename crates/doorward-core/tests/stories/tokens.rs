//! The token endpoint: codes once, refresh tokens in rotation, clients that prove themselves.

use std::collections::BTreeSet;

use doorward_core::admin::applications::ApplicationChange;
use doorward_core::admin::users::UserChange;
use doorward_core::error::Result;
use doorward_core::token::Answer;
use doorward_crypto::jose::{Algorithm, SigningKey};
use doorward_domain::client::{AccessTokenFormat, AuthMethod, ClientKind, ConsentMode, GrantType, Pkce};
use doorward_domain::event::EventKind;
use doorward_domain::{Lifetime, Timestamp};
use doorward_oidc::client_auth::ASSERTION_TYPE;
use doorward_oidc::error::ErrorCode;
use doorward_oidc::params::Params;
use doorward_testkit::{App, Browser, Client, PUBLIC_URL, Script, Tokens, back, each_app};
use serde_json::{Value, json};

const OFFLINE: &str = "openid profile email offline_access";

fn code_of<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
    Client::error(result).code
}

fn opaque(change: &mut ApplicationChange) {
    change.client.access_token_format = Some(AccessTokenFormat::Opaque);
}

fn public(change: &mut ApplicationChange) {
    change.client.kind = Some(ClientKind::Public);
}

async fn two(app: &App) -> (Browser, Client) {
    app.person("alice").await;
    let client = app.oidc_client("grafana", |_| {}).await;
    (app.sign_in("alice").await, client)
}

fn claims(app: &App, jwt: &str) -> serde_json::Map<String, Value> {
    app.doorward.open_own_jwt(jwt).expect("a JWT of ours").claims
}

#[tokio::test]
async fn a_code_gives_tokens_that_say_who_for_whom_and_how_long() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let asked = client.ask_for(OFFLINE);
        let code = client.code(&browser, &asked).await;
        app.wait_seconds(3);
        let answer = client.redeem(&code, &asked).await.unwrap();
        assert_eq!(answer["token_type"], "Bearer");
        assert_eq!(answer["expires_in"], 1800);
        assert_eq!(answer["scope"], "email offline_access openid profile");
        let tokens = Tokens { answer };

        let id = claims(&app, &tokens.id());
        let access = claims(&app, &tokens.access());
        let alice = browser.visit().await.unwrap();
        for claims in [&id, &access] {
            assert_eq!(claims["iss"], format!("{PUBLIC_URL}/application/o/grafana/"));
            assert_eq!(claims["sub"], alice.person.user.uid);
            assert_eq!(claims["aud"], client.id);
            assert_eq!(claims["iat"], app.now().seconds());
            assert_eq!(claims["exp"], app.now().seconds() + 1800);
            assert_eq!(claims["auth_time"], app.now().seconds() - 3);
            assert_eq!(claims["amr"], json!(["pwd"]));
        }
        assert_eq!(id["nonce"], asked.params.get("nonce").unwrap());
        assert_eq!(id["sid"], alice.session.id.to_string());
        assert_eq!(id["email"], "alice@example.org");
        assert_eq!(id["email_verified"], true);
        let hash = doorward_crypto::token::half_hash(Algorithm::RS256, &tokens.access());
        assert_eq!(id["at_hash"], hash);
        assert_eq!(access["client_id"], client.id);
        assert!(access.get("sid").is_none() && access.get("nonce").is_none());
        assert!(client.is_active(&tokens.access()).await);
        assert!(client.is_active(&tokens.refresh()).await);
    })
    .await;
}

#[tokio::test]
async fn a_code_works_once_and_using_it_again_ends_everything_that_came_from_it() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        for change in [
            (|_: &mut ApplicationChange| {}) as fn(&mut ApplicationChange),
            opaque,
        ] {
            let mut format = ApplicationChange::default();
            change(&mut format);
            app.doorward
                .update_application(client.application.id, &format)
                .await
                .unwrap();
            let asked = client.ask_for(OFFLINE);
            let code = client.code(&browser, &asked).await;
            let tokens = Tokens {
                answer: client.redeem(&code, &asked).await.unwrap(),
            };
            client.userinfo(&tokens.access()).await.unwrap();
            assert_eq!(
                code_of(client.redeem(&code, &asked).await),
                ErrorCode::InvalidGrant
            );
            assert_eq!(
                code_of(client.userinfo(&tokens.access()).await),
                ErrorCode::InvalidToken
            );
            assert!(!client.is_active(&tokens.access()).await);
            assert!(!client.is_active(&tokens.refresh()).await);
            assert_eq!(
                code_of(client.refresh(&tokens.refresh()).await),
                ErrorCode::InvalidGrant
            );
        }
        let reuse = app.events().await;
        let reuse = reuse.iter().filter(|event| event.kind == EventKind::TokenReused);
        assert_eq!(reuse.count(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_wrong_verifier_or_redirect_burns_the_code() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        for (name, value) in [
            ("code_verifier", "x".repeat(43)),
            ("code_verifier", String::new()),
            ("redirect_uri", "https://grafana.example.org/callback/".into()),
            ("redirect_uri", "https://evil.example.org/callback".into()),
            ("redirect_uri", String::new()),
        ] {
            let asked = client.ask();
            let code = client.code(&browser, &asked).await;
            let form = client.code_form(&code, &asked).with(name, &value);
            assert_eq!(
                code_of(client.token(form).await),
                ErrorCode::InvalidGrant,
                "{name}"
            );
            let late = client.redeem(&code, &asked).await;
            assert_eq!(
                code_of(late),
                ErrorCode::InvalidGrant,
                "{name} did not burn the code"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn another_client_can_neither_use_nor_burn_a_code() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let thief = app.oidc_client("thief", |_| {}).await;
        let asked = client.ask();
        let code = client.code(&browser, &asked).await;
        let form = client.code_form(&code, &asked);
        assert_eq!(code_of(thief.token(form).await), ErrorCode::InvalidGrant);
        client.redeem(&code, &asked).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_code_lives_one_minute() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let (early, late) = (client.ask(), client.ask());
        let early_code = client.code(&browser, &early).await;
        let late_code = client.code(&browser, &late).await;
        app.wait(Lifetime::from_millis(59_999));
        client.redeem(&early_code, &early).await.unwrap();
        app.wait(Lifetime::from_millis(1));
        let told = Client::error(client.redeem(&late_code, &late).await);
        assert_eq!(told.code, ErrorCode::InvalidGrant);
        assert!(told.description.contains("expired"), "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_challenge_cannot_be_taken_out_of_the_way() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let old = app
            .oidc_client("old", |change| change.client.pkce = Some(Pkce::Optional))
            .await;
        // RFC 9700 section 4.8.2: the request lost its challenge on the way, the client still sends the verifier.
        let mut asked = old.ask();
        asked.params = asked.params.without(&["code_challenge", "code_challenge_method"]);
        let code = old.code(&browser, &asked).await;
        assert_eq!(code_of(old.redeem(&code, &asked).await), ErrorCode::InvalidGrant);
        // Without both it works for this client only.
        let code = old.code(&browser, &asked).await;
        let form = old.code_form(&code, &asked).without(&["code_verifier"]);
        old.token(form).await.unwrap();
        // A request with a challenge needs the verifier.
        let asked = old.ask();
        let code = old.code(&browser, &asked).await;
        let form = old.code_form(&code, &asked).without(&["code_verifier"]);
        assert_eq!(code_of(old.token(form).await), ErrorCode::InvalidGrant);
        // The challenge itself as verifier, as `plain` would have it.
        let asked = old.ask();
        let code = old.code(&browser, &asked).await;
        let challenge = asked.params.get("code_challenge").unwrap();
        let form = old.code_form(&code, &asked).with("code_verifier", challenge);
        assert_eq!(code_of(old.token(form).await), ErrorCode::InvalidGrant);
        for params in [
            asked.params.with("code_challenge_method", "plain"),
            asked.params.without(&["code_challenge_method"]),
        ] {
            let outcome = browser.authorize(params).await;
            assert_eq!(back(&outcome).get("error"), Some("invalid_request"));
        }
        let strict = app.oidc_client("strict", public).await;
        let bare = strict
            .ask()
            .params
            .without(&["code_challenge", "code_challenge_method"]);
        let outcome = browser.authorize(bare).await;
        assert_eq!(back(&outcome).get("error"), Some("invalid_request"));
    })
    .await;
}

async fn at_once(client: &Client, form: &Params, times: usize) -> Vec<Result<Answer>> {
    let tasks: Vec<_> = (0..times)
        .map(|_| {
            let (client, form) = (client.clone(), form.clone());
            tokio::spawn(async move { client.token(form).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_redemptions_of_one_code_at_once_have_one_winner() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let asked = client.ask_for(OFFLINE);
        let code = client.code(&browser, &asked).await;
        let answers = at_once(&client, &client.code_form(&code, &asked), 50).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        for loser in lost {
            assert_eq!(code_of(loser), ErrorCode::InvalidGrant);
        }
        let tokens = Tokens {
            answer: won.into_iter().next().unwrap().unwrap(),
        };
        assert!(
            !client.is_active(&tokens.access()).await,
            "replay ends the family"
        );
        let issued = app.events().await;
        let issued = issued
            .iter()
            .filter(|event| event.kind == EventKind::TokensIssued);
        assert_eq!(issued.count(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_refreshes_with_one_token_at_once_give_one_answer() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let tokens = client.tokens(&browser, OFFLINE).await;
        let refresh = tokens.refresh();
        let form = Params::from_pairs([("grant_type", "refresh_token"), ("refresh_token", &refresh)]);
        let answers = at_once(&client, &form, 50).await;
        let distinct: BTreeSet<String> = answers
            .into_iter()
            .map(|answer| serde_json::to_string(&answer.unwrap()).unwrap())
            .collect();
        assert_eq!(distinct.len(), 1);
        let answer = serde_json::from_str(distinct.first().unwrap()).unwrap();
        let next = Tokens { answer };
        assert!(client.is_active(&next.access()).await);
        client.refresh(&next.refresh()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_rotates_and_a_lost_answer_can_be_had_again_for_ten_seconds() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let first = client.tokens(&browser, OFFLINE).await;
        app.wait_seconds(60);
        let answer = client.refresh(&first.refresh()).await.unwrap();
        let second = Tokens {
            answer: answer.clone(),
        };
        assert_ne!(second.refresh(), first.refresh());
        assert_ne!(second.access(), first.access());
        app.wait_seconds(10);
        let again = client.refresh(&first.refresh()).await.unwrap();
        assert_eq!(
            serde_json::to_string(&again).unwrap(),
            serde_json::to_string(&answer).unwrap()
        );
        // The answer is sealed under the token: the database alone does not give it away.
        let digest = doorward_crypto::token::digest(&first.refresh());
        let (record, _) = app
            .store()
            .read()
            .find_refresh(digest.bytes())
            .await
            .unwrap()
            .unwrap();
        let sealed = record.answer_sealed.unwrap();
        let text = String::from_utf8_lossy(&sealed).into_owned();
        assert!(!text.contains("access_token") && !text.contains("dwr_"));
        // The eleventh second is reuse: everything ends, the newest token too.
        app.wait(Lifetime::from_millis(1));
        let told = Client::error(client.refresh(&first.refresh()).await);
        assert_eq!(told.code, ErrorCode::InvalidGrant);
        for token in [first.access(), second.access(), second.refresh()] {
            assert!(!client.is_active(&token).await);
        }
        assert_eq!(
            code_of(client.refresh(&second.refresh()).await),
            ErrorCode::InvalidGrant
        );
    })
    .await;
}

#[tokio::test]
async fn no_refresh_token_without_offline_access() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let tokens = client.tokens(&browser, "openid profile").await;
        assert!(tokens.answer.get("refresh_token").is_none());
        let never = app
            .oidc_client("never", |change| {
                change.client.grant_types = Some([GrantType::AuthorizationCode].into());
            })
            .await;
        let tokens = never.tokens(&browser, OFFLINE).await;
        assert!(tokens.answer.get("refresh_token").is_none());
        assert_eq!(tokens.answer["scope"], "email openid profile");
    })
    .await;
}

#[tokio::test]
async fn another_client_can_neither_use_nor_end_a_refresh_token() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let thief = app.oidc_client("thief", |_| {}).await;
        let tokens = client.tokens(&browser, OFFLINE).await;
        assert_eq!(
            code_of(thief.refresh(&tokens.refresh()).await),
            ErrorCode::InvalidGrant
        );
        let next = Tokens {
            answer: client.refresh(&tokens.refresh()).await.unwrap(),
        };
        // Not even in the grace, where the answer could be had again, and not by making it look like reuse.
        assert!(thief.refresh(&tokens.refresh()).await.is_err());
        app.wait_seconds(11);
        assert!(thief.refresh(&tokens.refresh()).await.is_err());
        assert!(client.is_active(&next.refresh()).await);
    })
    .await;
}

#[tokio::test]
async fn nothing_else_passes_for_a_refresh_token_or_a_code() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let asked = client.ask_for(OFFLINE);
        let code = client.code(&browser, &asked).await;
        let tokens = client.tokens(&browser, OFFLINE).await;
        let long = "x".repeat(1_000_000);
        for text in [
            &code,
            &tokens.access(),
            &tokens.id(),
            browser.session.as_ref().unwrap(),
            &"\0".to_owned(),
            &long,
        ] {
            assert!(client.refresh(text).await.is_err(), "{text:.20}");
        }
        for text in [&tokens.refresh(), &tokens.access(), &long] {
            assert!(client.redeem(text, &asked).await.is_err(), "{text:.20}");
        }
        client.redeem(&code, &asked).await.unwrap();
        client.refresh(&tokens.refresh()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn refreshing_can_narrow_the_scopes_and_never_widen_them() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let tokens = client.tokens(&browser, "openid email offline_access").await;
        let form = |token: &str, scope: &str| {
            Params::from_pairs([
                ("grant_type", "refresh_token"),
                ("refresh_token", token),
                ("scope", scope),
            ])
        };
        let wide = form(&tokens.refresh(), "openid profile");
        assert_eq!(code_of(client.token(wide).await), ErrorCode::InvalidScope);
        let narrow = form(&tokens.refresh(), "openid");
        let narrow = Tokens {
            answer: client.token(narrow).await.unwrap(),
        };
        assert_eq!(narrow.answer["scope"], "openid");
        let told = client.userinfo(&narrow.access()).await.unwrap();
        assert!(told.get("email").is_none());
        // What was granted stays granted (RFC 6749 section 6).
        let again = form(&narrow.refresh(), "openid email");
        assert_eq!(client.token(again).await.unwrap()["scope"], "email openid");
    })
    .await;
}

#[tokio::test]
async fn whoever_was_switched_off_or_put_out_gets_nothing_not_even_in_the_grace() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let alice = browser.visit().await.unwrap().person.user.clone();
        let asked = client.ask();
        let code = client.code(&browser, &asked).await;
        let tokens = client.tokens(&browser, OFFLINE).await;
        let used = client.tokens(&browser, OFFLINE).await;
        client.refresh(&used.refresh()).await.unwrap();

        // First only the audience: tokens that hang off it say no at once, and work again when it is restored.
        let out = ApplicationChange {
            everyone: Some(false),
            ..ApplicationChange::default()
        };
        let id = client.application.id;
        app.doorward.update_application(id, &out).await.unwrap();
        assert_eq!(
            code_of(client.redeem(&code, &asked).await),
            ErrorCode::InvalidGrant
        );
        assert_eq!(
            code_of(client.refresh(&tokens.refresh()).await),
            ErrorCode::InvalidGrant
        );
        assert_eq!(
            code_of(client.refresh(&used.refresh()).await),
            ErrorCode::InvalidGrant
        );
        assert!(client.userinfo(&tokens.access()).await.is_err());
        assert!(!client.is_active(&tokens.access()).await);
        assert!(!client.is_active(&tokens.refresh()).await);
        let back = ApplicationChange {
            everyone: Some(true),
            ..ApplicationChange::default()
        };
        app.doorward.update_application(id, &back).await.unwrap();
        client.refresh(&used.refresh()).await.unwrap();
        assert!(client.is_active(&tokens.access()).await);

        // Then the user, whose tokens end for good.
        for (active, what) in [(false, "off"), (true, "on again")] {
            let change = UserChange {
                active: Some(active),
                ..UserChange::default()
            };
            app.doorward.update_user(alice.id, &change).await.unwrap();
            assert_eq!(
                code_of(client.refresh(&tokens.refresh()).await),
                ErrorCode::InvalidGrant,
                "{what}"
            );
            assert_eq!(
                code_of(client.refresh(&used.refresh()).await),
                ErrorCode::InvalidGrant,
                "{what}"
            );
            assert!(client.userinfo(&tokens.access()).await.is_err(), "{what}");
            assert!(!client.is_active(&tokens.access()).await, "{what}");
        }
    })
    .await;
}

#[tokio::test]
async fn tokens_end_by_the_clock() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        for (slug, format) in [
            ("jwt", AccessTokenFormat::Jwt),
            ("opaque", AccessTokenFormat::Opaque),
        ] {
            let client = app
                .oidc_client(slug, |change| {
                    change.client.access_token_format = Some(format);
                    change.client.access_token_lifetime = Some(Lifetime::from_minutes(5));
                    change.client.refresh_token_lifetime = Some(Lifetime::from_hours(1));
                })
                .await;
            let tokens = client.tokens(&browser, OFFLINE).await;
            assert_eq!(tokens.access().starts_with("dwa_"), slug == "opaque");
            app.wait(Lifetime::from_seconds(299));
            assert!(client.is_active(&tokens.access()).await, "{slug}");
            client.userinfo(&tokens.access()).await.unwrap();
            app.wait_seconds(1);
            assert!(!client.is_active(&tokens.access()).await, "{slug}");
            assert_eq!(
                code_of(client.userinfo(&tokens.access()).await),
                ErrorCode::InvalidToken
            );
            let next = Tokens {
                answer: client.refresh(&tokens.refresh()).await.unwrap(),
            };
            app.wait(Lifetime::from_hours(1));
            assert_eq!(
                code_of(client.refresh(&next.refresh()).await),
                ErrorCode::InvalidGrant
            );
        }
    })
    .await;
}

#[tokio::test]
async fn client_credentials_are_about_the_client_and_nobody_else() {
    each_app(async |app| {
        app.doorward.put_scope("api", None, &[]).await.unwrap();
        for (slug, format) in [
            ("jwt", AccessTokenFormat::Jwt),
            ("opaque", AccessTokenFormat::Opaque),
        ] {
            let client = app
                .oidc_client(slug, |change| {
                    change.everyone = Some(false);
                    change.client.access_token_format = Some(format);
                    change.client.grant_types = Some([GrantType::ClientCredentials].into());
                    change.client.scopes = Some(["openid".into(), "api".into()].into());
                })
                .await;
            let form = Params::from_pairs([("grant_type", "client_credentials")]);
            let tokens = Tokens {
                answer: client.token(form.clone()).await.unwrap(),
            };
            assert!(tokens.answer.get("id_token").is_none());
            assert!(tokens.answer.get("refresh_token").is_none());
            assert_eq!(tokens.answer["scope"], "api");
            let told = client.introspect(&tokens.access()).await;
            assert_eq!((&told["active"], &told["sub"]), (&json!(true), &json!(client.id)));
            assert!(told.get("username").is_none());
            assert_eq!(
                code_of(client.userinfo(&tokens.access()).await),
                ErrorCode::InsufficientScope
            );
            let wide = form.with("scope", "api profile");
            assert_eq!(code_of(client.token(wide).await), ErrorCode::InvalidScope);
            app.doorward
                .delete_application(client.application.id)
                .await
                .unwrap();
            assert_eq!(code_of(client.token(form).await), ErrorCode::InvalidClient);
        }
        let (browser_only, form) = (
            app.oidc_client("browser-only", |_| {}).await,
            Params::from_pairs([("grant_type", "client_credentials")]),
        );
        assert_eq!(
            code_of(browser_only.token(form).await),
            ErrorCode::UnauthorizedClient
        );
    })
    .await;
}

#[tokio::test]
async fn resources_become_the_audience_and_stay_within_what_was_asked() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let (one, two) = ("https://api.example.org/one", "https://api.example.org/two");
        let client = app
            .oidc_client("grafana", |change| {
                change.client.resources = Some([one.into(), two.into()].into());
            })
            .await;
        let mut asked = client.ask_for(OFFLINE);
        let strange = asked.params.with("resource", "https://other.example.org/");
        let outcome = browser.authorize(strange).await;
        assert_eq!(back(&outcome).get("error"), Some("invalid_target"));

        asked.params = asked.params.with("resource", one);
        let code = client.code(&browser, &asked).await;
        let wide = client.code_form(&code, &asked).with("resource", two);
        assert_eq!(code_of(client.token(wide).await), ErrorCode::InvalidTarget);
        let tokens = Tokens {
            answer: client.redeem(&code, &asked).await.unwrap(),
        };
        let aud = claims(&app, &tokens.access())["aud"].clone();
        assert_eq!(aud, json!([one, format!("{PUBLIC_URL}/application/o/userinfo/")]));
        client.userinfo(&tokens.access()).await.unwrap();
        let wide = Params::from_pairs([
            ("grant_type", "refresh_token"),
            ("refresh_token", &tokens.refresh()),
            ("resource", two),
        ]);
        assert_eq!(code_of(client.token(wide).await), ErrorCode::InvalidTarget);
        // The resource's own client may introspect it, a stranger not.
        let stranger = app.oidc_client("stranger", |_| {}).await;
        assert!(!stranger.is_active(&tokens.access()).await);
    })
    .await;
}

#[tokio::test]
async fn two_secrets_work_during_the_overlap_and_the_older_ends_then() {
    each_app(async |app| {
        let client = app
            .oidc_client("robot", |change| {
                change.client.grant_types = Some([GrantType::ClientCredentials].into());
            })
            .await;
        let form = Params::from_pairs([("grant_type", "client_credentials")]);
        let rotated = app
            .doorward
            .rotate_secret(client.application.id, Lifetime::from_hours(1))
            .await
            .unwrap();
        let mut new = client.clone();
        new.secret = rotated.client_secret;
        assert_ne!(new.secret, client.secret);
        client.token(form.clone()).await.unwrap();
        new.token(form.clone()).await.unwrap();
        app.wait(Lifetime::from_hours(1));
        assert_eq!(
            code_of(client.token(form.clone()).await),
            ErrorCode::InvalidClient
        );
        new.token(form.clone()).await.unwrap();
        // At once, when it leaked.
        app.doorward
            .rotate_secret(client.application.id, Lifetime::ZERO)
            .await
            .unwrap();
        assert_eq!(code_of(new.token(form).await), ErrorCode::InvalidClient);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_prove_itself_learns_nothing_about_the_code() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let asked = client.ask();
        let code = client.code(&browser, &asked).await;
        let form = client.code_form(&code, &asked);
        let secret = client.secret.clone().unwrap();
        let attempts = [
            Some("wrong".to_owned()),
            Some(secret.to_lowercase()),
            Some(format!("{secret}x")),
            Some(doorward_crypto::token::digest(&secret).hex()),
            Some("\0".to_owned()),
            None,
        ];
        for secret in attempts {
            let mut impostor = client.clone();
            impostor.secret = secret;
            assert_eq!(
                code_of(impostor.token(form.clone()).await),
                ErrorCode::InvalidClient
            );
        }
        let mut nobody = client.clone();
        nobody.id = "nobody".into();
        assert_eq!(
            code_of(nobody.token(form.clone()).await),
            ErrorCode::InvalidClient
        );
        // Two ways at once are refused before either is looked at.
        let both = form.with("client_secret", client.secret.as_deref().unwrap());
        assert_eq!(code_of(client.token(both).await), ErrorCode::InvalidRequest);
        client.token(form).await.unwrap();
    })
    .await;
}

struct Signer {
    key: SigningKey,
    id: String,
}

impl Signer {
    fn new(client: &Client) -> Self {
        Self {
            key: SigningKey::generate(Algorithm::ES256).unwrap(),
            id: client.id.clone(),
        }
    }

    fn jwks(&self) -> Value {
        json!({ "keys": [self.key.public_jwk()] })
    }

    fn form(&self, jti: &str, aud: &str, now: Timestamp) -> Params {
        let claims = json!({ "iss": self.id, "sub": self.id, "aud": aud, "jti": jti,
            "iat": now.seconds(), "exp": now.seconds() + 60 });
        let assertion = self.key.sign("JWT", claims.to_string().as_bytes()).unwrap();
        Params::from_pairs([
            ("grant_type", "client_credentials"),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &assertion),
        ])
    }
}

fn keyed(change: &mut ApplicationChange) {
    change.client.auth_methods = Some([AuthMethod::PrivateKeyJwt].into());
    change.client.grant_types = Some([GrantType::ClientCredentials].into());
    change.client.jwks_uri = Some("https://robot.example.org/jwks".into());
}

#[tokio::test]
async fn private_key_jwt_is_bound_to_issuer_time_and_one_use() {
    each_app(async |app| {
        let client = app.oidc_client("robot", keyed).await;
        assert_eq!(client.secret, None);
        let signer = Signer::new(&client);
        let inline = ApplicationChange {
            client: doorward_core::admin::applications::ClientChange {
                jwks: Some(signer.jwks()),
                ..Default::default()
            },
            ..ApplicationChange::default()
        };
        app.doorward
            .update_application(client.application.id, &inline)
            .await
            .unwrap();
        let issuer = format!("{PUBLIC_URL}/application/o/robot/");
        let token_endpoint = format!("{PUBLIC_URL}/application/o/token/");
        client.token(signer.form("1", &issuer, app.now())).await.unwrap();
        client
            .token(signer.form("2", &token_endpoint, app.now()))
            .await
            .unwrap();

        let refused = |form: Params| {
            let client = client.clone();
            async move { code_of(client.token(form).await) }
        };
        let replay = refused(signer.form("1", &issuer, app.now())).await;
        assert_eq!(replay, ErrorCode::InvalidClient, "replayed jti");
        let wrong = refused(signer.form("3", "https://other.example.org/", app.now())).await;
        assert_eq!(wrong, ErrorCode::InvalidClient, "wrong aud");
        // Another application's issuer is not this one's.
        let wrong = format!("{PUBLIC_URL}/application/o/other/");
        let wrong = refused(signer.form("3", &wrong, app.now())).await;
        assert_eq!(wrong, ErrorCode::InvalidClient, "issuer of another");
        let past = Timestamp::from_seconds(app.now().seconds() - 91);
        assert_eq!(
            refused(signer.form("4", &issuer, past)).await,
            ErrorCode::InvalidClient,
            "expired"
        );
        let impostor = Signer::new(&client);
        assert_eq!(
            refused(impostor.form("5", &issuer, app.now())).await,
            ErrorCode::InvalidClient,
            "another key"
        );
        let mut other = Signer::new(&client);
        other.id = "nobody".into();
        assert_eq!(
            refused(other.form("5", &issuer, app.now())).await,
            ErrorCode::InvalidClient
        );
        for junk in [
            "",
            "a.b.c",
            "eyJhbGciOiJub25lIn0.e30.",
            "\0",
            &"x".repeat(100_000),
        ] {
            let form = signer
                .form("6", &issuer, app.now())
                .with("client_assertion", junk);
            assert!(client.token(form).await.is_err(), "{junk:.10}");
        }
        // A failed attempt does not use the jti up for the client itself.
        client.token(signer.form("5", &issuer, app.now())).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_assertion_at_once_fifty_times_counts_once() {
    each_app(async |app| {
        let client = app.oidc_client("robot", keyed).await;
        let signer = Signer::new(&client);
        app.fetch.serve("https://robot.example.org/jwks", &signer.jwks());
        let issuer = format!("{PUBLIC_URL}/application/o/robot/");
        let answers = at_once(&client, &signer.form("1", &issuer, app.now()), 50).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        for answer in answers.into_iter().filter(Result::is_err) {
            assert_eq!(code_of(answer), ErrorCode::InvalidClient);
        }
    })
    .await;
}

#[tokio::test]
async fn keys_by_url_are_cached_fetched_again_after_a_rotation_and_not_on_demand_of_strangers() {
    each_app(async |app| {
        let url = "https://robot.example.org/jwks";
        let client = app.oidc_client("robot", keyed).await;
        let issuer = format!("{PUBLIC_URL}/application/o/robot/");
        let (old, new) = (Signer::new(&client), Signer::new(&client));
        app.fetch.script(url, Script::Fail("no route".into()));
        let told = Client::error(client.token(old.form("0", &issuer, app.now())).await);
        assert_eq!(told.code, ErrorCode::InvalidClient);
        assert!(told.description.contains("jwks_uri"), "{told}");
        for script in [
            Script::Answer(500, Vec::new()),
            Script::Answer(200, b"<html>".to_vec()),
        ] {
            app.wait_seconds(30);
            app.fetch.script(url, script);
            assert!(client.token(old.form("0", &issuer, app.now())).await.is_err());
        }
        app.wait_seconds(30);
        app.fetch.serve(url, &old.jwks());
        let before = app.fetch.gets().len();
        for jti in ["1", "2", "3"] {
            client.token(old.form(jti, &issuer, app.now())).await.unwrap();
        }
        assert_eq!(app.fetch.gets().len(), before + 1);
        // Guesses do not make us fetch each time.
        for jti in ["a", "b", "c"] {
            assert!(client.token(new.form(jti, &issuer, app.now())).await.is_err());
        }
        assert_eq!(app.fetch.gets().len(), before + 1);
        app.fetch.serve(url, &new.jwks());
        app.wait_seconds(30);
        client.token(new.form("4", &issuer, app.now())).await.unwrap();
        assert_eq!(app.fetch.gets().len(), before + 2);
        app.wait_seconds(30);
        assert!(
            client.token(old.form("5", &issuer, app.now())).await.is_err(),
            "the old key is gone"
        );
    })
    .await;
}

async fn changed(app: &App, client: &Client, change: impl FnOnce(&mut ApplicationChange)) {
    let mut wanted = ApplicationChange::default();
    change(&mut wanted);
    app.doorward
        .update_application(client.application.id, &wanted)
        .await
        .unwrap();
}

#[tokio::test]
async fn scopes_and_resources_taken_from_the_client_are_gone_from_refreshed_tokens() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let api = "https://api.example.org/";
        let client = app
            .oidc_client("grafana", |change| {
                change.client.resources = Some([api.to_owned()].into());
            })
            .await;
        let mut asked = client.ask_for(OFFLINE);
        asked.params = asked.params.with("resource", api);
        let code = client.code(&browser, &asked).await;
        let first = Tokens {
            answer: client.redeem(&code, &asked).await.unwrap(),
        };
        // A code that is on its way obeys as well.
        let second = client.ask_for(OFFLINE);
        let code = client.code(&browser, &second).await;
        changed(&app, &client, |change| {
            change.client.scopes = Some(["openid".to_owned(), "offline_access".to_owned()].into());
        })
        .await;
        let answer = client.redeem(&code, &second).await.unwrap();
        assert_eq!(answer["scope"], "offline_access openid");
        let answer = client.refresh(&first.refresh()).await.unwrap();
        assert_eq!(answer["scope"], "offline_access openid");
        let told = claims(&app, answer["access_token"].as_str().unwrap());
        assert!(told.get("preferred_username").is_none());
        let told = claims(&app, answer["id_token"].as_str().unwrap());
        assert!(
            told.get("email").is_none() && told.get("nonce").is_none(),
            "OIDC Core 12.2: {told:?}"
        );

        let refresh = answer["refresh_token"].as_str().unwrap().to_owned();
        changed(&app, &client, |change| {
            change.client.resources = Some(BTreeSet::new());
        })
        .await;
        assert_eq!(code_of(client.refresh(&refresh).await), ErrorCode::InvalidTarget);
        changed(&app, &client, |change| {
            change.client.resources = Some([api.to_owned()].into());
            change.client.scopes = Some(["openid".to_owned()].into());
        })
        .await;
        let answer = client.refresh(&refresh).await.unwrap();
        assert!(
            answer.get("refresh_token").is_none(),
            "offline_access was taken away"
        );
        changed(&app, &client, |change| {
            change.client.scopes = Some(["email".to_owned()].into());
        })
        .await;
        let other = client.ask_for("email");
        let code = client.code(&browser, &other).await;
        changed(&app, &client, |change| {
            change.client.scopes = Some(["openid".to_owned()].into());
        })
        .await;
        assert_eq!(
            code_of(client.redeem(&code, &other).await),
            ErrorCode::InvalidScope
        );
    })
    .await;
}

#[tokio::test]
async fn expired_consent_ends_the_refresh_tokens_that_live_on_it() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let client = app.oidc_client("grafana", |_| {}).await;
        let tokens = client.tokens(&browser, OFFLINE).await;
        changed(&app, &client, |change| {
            change.client.consent = Some(ConsentMode::Explicit);
        })
        .await;
        // Implicit consent was written down, so it counts.
        let answer = client.refresh(&tokens.refresh()).await.unwrap();
        let refresh = answer["refresh_token"].as_str().unwrap().to_owned();

        let expiring = app
            .oidc_client("expiring", |change| {
                change.client.consent = Some(ConsentMode::Skip);
            })
            .await;
        let unseen = expiring.tokens(&browser, OFFLINE).await;
        // Skipped consent is nobody's consent once people have to be asked.
        changed(&app, &expiring, |change| {
            change.client.consent = Some(ConsentMode::Expiring(Lifetime::from_days(1)));
        })
        .await;
        let error = Client::error(expiring.refresh(&unseen.refresh()).await);
        assert_eq!(error.code, ErrorCode::InvalidGrant);
        assert!(error.description.contains("consent"), "{error}");
        assert!(
            !expiring.is_active(&unseen.access()).await,
            "the family has ended"
        );
        client.refresh(&refresh).await.unwrap();
    })
    .await;
}

/// The description as the client reads it.
fn told<T: std::fmt::Debug>(result: Result<T>) -> String {
    let body = Client::error(result).body();
    body["error_description"].as_str().unwrap().to_owned()
}

/// The code at the end of a description.
fn code_in(told: &str) -> String {
    let (_, code) = told
        .rsplit_once(" (")
        .unwrap_or_else(|| panic!("no code in {told}"));
    let code = code.strip_suffix(')').unwrap();
    assert!(code.starts_with("DW-") && code.len() == 12, "{told}");
    code.to_owned()
}

#[tokio::test]
async fn every_refusal_of_the_token_side_names_a_code_that_leads_to_its_event() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let tokens = client.tokens(&browser, OFFLINE).await;
        let mut stranger = client.clone();
        stranger.id = "nobody".into();
        let mut wrong = client.clone();
        wrong.secret = Some("not the secret at all".into());
        let asked = client.ask();
        let code = client.code(&browser, &asked).await;
        client.redeem(&code, &asked).await.unwrap();
        let burnt = client.ask();
        let burn = client.code(&browser, &burnt).await;
        let burn = client
            .code_form(&burn, &burnt)
            .with("code_verifier", &"x".repeat(43));
        let doorward = &app.doorward;
        let origin = &client.origin;
        let basic = client.basic();
        let basic = basic.as_deref();
        let refused = [
            told(client.redeem(&code, &asked).await),
            told(client.token(burn).await),
            told(client.refresh("dwr_unknown").await),
            told(
                client
                    .token(Params::from_pairs([("grant_type", "password")]))
                    .await,
            ),
            told(
                client
                    .token(Params::from_pairs([("grant_type", "client_credentials")]))
                    .await,
            ),
            told(client.token(Params::default()).await),
            told(
                client
                    .token(Params::from_pairs([
                        ("grant_type", "refresh_token"),
                        ("refresh_token", &tokens.refresh()),
                        ("scope", "openid groups"),
                    ]))
                    .await,
            ),
            told(stranger.refresh("dwr_unknown").await),
            told(wrong.refresh("dwr_unknown").await),
            told(doorward.introspect(basic, &Params::default(), origin).await),
            told(doorward.revoke(basic, &Params::default(), origin).await),
            told(doorward.start_device(basic, &Params::default(), origin).await),
            told(
                doorward
                    .push(basic, client.ask().params.with("request_uri", "x"), origin)
                    .await,
            ),
            told(
                doorward
                    .token(
                        None,
                        &Params::from_pairs([("grant_type", "refresh_token")]),
                        origin,
                    )
                    .await,
            ),
        ];
        let events = app.events().await;
        for refusal in refused {
            let code = code_in(&refusal);
            let event = events
                .iter()
                .find(|event| event.code.as_ref().is_some_and(|of| of.as_str() == code));
            let event = event.unwrap_or_else(|| panic!("no event for {refusal}"));
            assert!(event.reason.is_some(), "{refusal}");
        }
        let pushed = doorward.push(basic, client.ask().params.with("response_type", "token"), origin);
        let doorward_core::pushed::Pushed::Refused(400, body) = pushed.await.unwrap() else {
            panic!("expected a refusal")
        };
        code_in(body["error_description"].as_str().unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_stranger_cannot_fill_the_events_with_unknown_clients() {
    each_app(async |app| {
        let (_, client) = two(&app).await;
        let before = app.rows().await["events"];
        for number in 0..100 {
            let mut stranger = client.clone();
            stranger.id = format!("nobody-{number}");
            code_in(&told(stranger.refresh("dwr_unknown").await));
        }
        assert!(app.rows().await["events"] <= before + 30);
    })
    .await;
}

#[tokio::test]
async fn keys_by_url_that_cannot_be_fetched_are_asked_for_rarely_and_old_ones_serve_for_a_day() {
    each_app(async |app| {
        let url = "https://robot.example.org/jwks";
        let client = app.oidc_client("robot", keyed).await;
        let issuer = format!("{PUBLIC_URL}/application/o/robot/");
        let signer = Signer::new(&client);
        app.fetch.script(url, Script::Fail("no route".into()));
        for jti in ["a", "b", "c"] {
            assert!(client.token(signer.form(jti, &issuer, app.now())).await.is_err());
        }
        assert_eq!(app.fetch.gets().len(), 1, "a failure is remembered");
        app.wait_seconds(30);
        app.fetch.serve(url, &signer.jwks());
        client.token(signer.form("1", &issuer, app.now())).await.unwrap();
        assert_eq!(app.fetch.gets().len(), 2);
        app.fetch.script(url, Script::Fail("no route".into()));
        app.wait(Lifetime::from_minutes(20));
        client.token(signer.form("2", &issuer, app.now())).await.unwrap();
        client.token(signer.form("3", &issuer, app.now())).await.unwrap();
        assert_eq!(app.fetch.gets().len(), 3, "stale keys serve while nobody answers");
        app.wait(Lifetime::from_hours(24));
        assert!(client.token(signer.form("4", &issuer, app.now())).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn at_most_two_secrets_live_at_once() {
    each_app(async |app| {
        let first = app.oidc_client("grafana", |_| {}).await;
        let mut secrets = vec![first.secret.clone().unwrap()];
        for _ in 0..3 {
            app.wait_seconds(1);
            let made = app
                .doorward
                .rotate_secret(first.application.id, Lifetime::from_days(1))
                .await
                .unwrap();
            secrets.push(made.client_secret.unwrap());
        }
        for (number, secret) in secrets.into_iter().enumerate() {
            let mut client = first.clone();
            client.secret = Some(secret);
            let code = code_of(client.refresh("dwr_unknown").await);
            let expected = if number < 2 {
                ErrorCode::InvalidClient
            } else {
                ErrorCode::InvalidGrant
            };
            assert_eq!(code, expected, "secret {number}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_secret_in_basic_counts_form_encoded_and_as_it_is() {
    each_app(async |app| {
        let secret = "imported+secret%with/signs=&%2";
        let client = app
            .oidc_client("grafana", |change| {
                change.client.client_secret = Some(secret.into());
            })
            .await;
        let encoded = "imported%2Bsecret%25with%2Fsigns%3D%26%252";
        for (given, expected) in [
            (secret, ErrorCode::InvalidGrant),
            (encoded, ErrorCode::InvalidGrant),
            ("imported secret%25with/signs=&%252", ErrorCode::InvalidClient),
        ] {
            let mut client = client.clone();
            client.secret = Some(given.into());
            assert_eq!(code_of(client.refresh("dwr_x").await), expected, "{given}");
        }
    })
    .await;
}

#[tokio::test]
async fn refresh_tokens_that_nobody_was_asked_for_are_listed_and_can_be_taken_back() {
    each_app(async |app| {
        let user = app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let client = app
            .oidc_client("grafana", |change| {
                change.client.consent = Some(ConsentMode::Skip);
            })
            .await;
        client.tokens(&browser, "openid").await;
        assert!(app.doorward.grants_of(user.id).await.unwrap().is_empty());
        let tokens = client.tokens(&browser, OFFLINE).await;
        let given = app.doorward.grants_of(user.id).await.unwrap();
        assert_eq!(given.len(), 1);
        assert_eq!(given[0].1.slug, "grafana");
        assert!(given[0].0.scopes.contains("offline_access"));
        let origin = &client.origin;
        assert!(
            app.doorward
                .revoke_grant(user.id, client.application.id, origin)
                .await
                .unwrap()
        );
        assert!(app.doorward.grants_of(user.id).await.unwrap().is_empty());
        assert_eq!(
            code_of(client.refresh(&tokens.refresh()).await),
            ErrorCode::InvalidGrant
        );
    })
    .await;
}
