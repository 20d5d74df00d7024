//! Device authorization (RFC 8628).

use doorward_core::authorize::{Answer, Question};
use doorward_core::error::Result;
use doorward_domain::attempt::Purpose;
use doorward_domain::client::{ClientKind, GrantType};
use doorward_domain::event::EventKind;
use doorward_domain::{Lifetime, Reason};
use doorward_oidc::error::ErrorCode;
use doorward_oidc::params::Params;
use doorward_testkit::{App, Browser, Client, PUBLIC_URL, each_app};
use serde_json::Value;

use crate::reason;

async fn tv(app: &App) -> Client {
    app.oidc_client("tv", |change| {
        change.client.kind = Some(ClientKind::Public);
        change.client.grant_types = Some([GrantType::DeviceCode, GrantType::RefreshToken].into());
        change.client.redirect_uris = None;
    })
    .await
}

async fn begin(app: &App, client: &Client) -> Value {
    let form = Params::from_pairs([
        ("client_id", client.id.as_str()),
        ("scope", "openid profile offline_access"),
    ]);
    app.doorward
        .start_device(client.basic().as_deref(), &form, &client.origin)
        .await
        .unwrap()
}

fn text<'a>(began: &'a Value, name: &str) -> &'a str {
    began[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {began}"))
}

async fn poll(client: &Client, began: &Value) -> Result<doorward_core::token::Answer> {
    let form = Params::from_pairs([
        ("grant_type", GrantType::DeviceCode.as_str()),
        ("device_code", text(began, "device_code")),
    ]);
    client.token(form).await
}

async fn polled(client: &Client, began: &Value) -> ErrorCode {
    Client::error(poll(client, began).await).code
}

async fn ask(app: &App, browser: &Browser, typed: &str) -> Result<Question> {
    let visit = browser.visit().await.unwrap();
    app.doorward
        .device_question(typed, &visit, &browser.id, &browser.origin)
        .await
}

async fn say(app: &App, browser: &Browser, question: &Question, answer: Answer) -> Result<()> {
    let visit = browser.visit().await.unwrap();
    let sealed = app.doorward.seal_attempt(&question.attempt);
    let attempt = app
        .doorward
        .open_attempt(
            &sealed,
            Purpose::Device,
            Some(&browser.id),
            Some(visit.session.id),
        )
        .unwrap();
    app.doorward
        .answer_device(&attempt, answer, &visit, &browser.origin)
        .await
        .map(|_| ())
}

#[tokio::test]
async fn a_device_waits_is_allowed_and_gets_its_tokens_once() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let client = tv(&app).await;
        let began = begin(&app, &client).await;
        let user_code = text(&began, "user_code");
        let (left, right) = user_code.split_once('-').unwrap();
        assert_eq!((left.len(), right.len()), (4, 4), "{user_code}");
        assert!(right.chars().all(|c| c.is_ascii_uppercase()), "{user_code}");
        let page = format!("{PUBLIC_URL}/device");
        assert_eq!(text(&began, "verification_uri"), page);
        assert_eq!(
            text(&began, "verification_uri_complete"),
            format!("{page}?code={user_code}")
        );
        assert_eq!(
            (&began["expires_in"], &began["interval"]),
            (&600.into(), &5.into())
        );

        assert_eq!(polled(&client, &began).await, ErrorCode::AuthorizationPending);
        let typed = format!(" {}{}", left.to_lowercase(), right.to_lowercase());
        let question = ask(&app, &browser, &typed).await.unwrap();
        assert_eq!(question.application.slug, "tv");
        let names: Vec<_> = question.scopes.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["offline_access", "openid", "profile"]);
        say(&app, &browser, &question, Answer::Allow).await.unwrap();
        app.wait_seconds(5);
        let answer = poll(&client, &began).await.unwrap();
        let access = answer["access_token"].as_str().unwrap();
        let told = client.userinfo(access).await.unwrap();
        assert_eq!(told["preferred_username"], "alice");
        assert!(answer.contains_key("refresh_token") && answer.contains_key("id_token"));
        assert_eq!(
            polled(&client, &began).await,
            ErrorCode::InvalidGrant,
            "used once"
        );
        let again = ask(&app, &browser, user_code).await;
        assert_eq!(reason(again), Reason::UserCodeUnknown, "answered once");
        assert_eq!(
            reason(say(&app, &browser, &question, Answer::Allow).await),
            Reason::UserCodeUnknown
        );
        let events = app.events().await;
        let count = |kind| events.iter().filter(|event| event.kind == kind).count();
        assert_eq!(
            (count(EventKind::Authorized), count(EventKind::TokensIssued)),
            (1, 1)
        );
    })
    .await;
}

#[tokio::test]
async fn a_device_that_polls_too_fast_slows_down() {
    each_app(async |app| {
        let client = tv(&app).await;
        let began = begin(&app, &client).await;
        assert_eq!(polled(&client, &began).await, ErrorCode::AuthorizationPending);
        app.wait_seconds(4);
        assert_eq!(polled(&client, &began).await, ErrorCode::SlowDown);
        // Ten seconds from now on.
        app.wait_seconds(9);
        assert_eq!(polled(&client, &began).await, ErrorCode::SlowDown);
        app.wait_seconds(15);
        assert_eq!(polled(&client, &began).await, ErrorCode::AuthorizationPending);
    })
    .await;
}

#[tokio::test]
async fn a_refused_an_expired_and_a_foreign_device_code_give_nothing() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let client = tv(&app).await;
        let began = begin(&app, &client).await;
        let question = ask(&app, &browser, text(&began, "user_code")).await.unwrap();
        say(&app, &browser, &question, Answer::Deny).await.unwrap();
        assert_eq!(polled(&client, &began).await, ErrorCode::AccessDenied);
        assert_eq!(
            reason(say(&app, &browser, &question, Answer::Allow).await),
            Reason::UserCodeUnknown,
            "no second thoughts"
        );

        let began = begin(&app, &client).await;
        let question = ask(&app, &browser, text(&began, "user_code")).await.unwrap();
        let thief = app
            .oidc_client("thief", |change| {
                change.client.grant_types = Some([GrantType::DeviceCode].into());
            })
            .await;
        say(&app, &browser, &question, Answer::Allow).await.unwrap();
        assert_eq!(polled(&thief, &began).await, ErrorCode::InvalidGrant);
        app.wait(Lifetime::from_minutes(10));
        assert_eq!(polled(&client, &began).await, ErrorCode::ExpiredToken);

        let began = begin(&app, &client).await;
        let question = ask(&app, &browser, text(&began, "user_code")).await.unwrap();
        app.wait(Lifetime::from_minutes(10));
        let late = ask(&app, &browser, text(&began, "user_code")).await;
        assert_eq!(reason(late), Reason::UserCodeUnknown);
        assert_eq!(
            reason(say(&app, &browser, &question, Answer::Allow).await),
            Reason::UserCodeUnknown
        );
    })
    .await;
}

#[tokio::test]
async fn user_codes_cannot_be_guessed_by_trying() {
    each_app(async |app| {
        app.person("alice").await;
        app.person("bob").await;
        let browser = app.sign_in("alice").await;
        let began = begin(&app, &tv(&app).await).await;
        let right = text(&began, "user_code").to_owned();
        for guess in ["BBBB-BBBB", "CCCC-CCCC", "DDDD-DDDD", "FFFF-FFFF", "GGGG-GGGG"] {
            assert_eq!(reason(ask(&app, &browser, guess).await), Reason::UserCodeUnknown);
        }
        // What cannot be a code is not even looked up.
        for junk in ["", "\0", "AAAA-AAAA", &"B".repeat(100_000)] {
            assert!(ask(&app, &browser, junk).await.is_err());
        }
        let told = crate::refused(ask(&app, &browser, &right).await);
        assert_eq!(told.reason, Reason::AccountThrottled);
        assert!(told.retry_after.is_some());
        let other = app.sign_in("bob").await;
        ask(&app, &other, &right).await.unwrap();
        app.wait_seconds(2);
        ask(&app, &browser, &right).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn somebody_outside_the_audience_cannot_allow_a_device() {
    each_app(async |app| {
        app.person("alice").await;
        app.person("bob").await;
        let client = app
            .oidc_client("tv", |change| {
                change.client.grant_types = Some([GrantType::DeviceCode].into());
                change.everyone = Some(false);
                change.allow_users = vec!["alice".into()];
            })
            .await;
        let began = begin(&app, &client).await;
        let bob = app.sign_in("bob").await;
        let question = ask(&app, &bob, text(&began, "user_code")).await.unwrap();
        let told = crate::refused(say(&app, &bob, &question, Answer::Allow).await);
        assert_eq!(told.reason, Reason::NotInAudience);
        assert!(told.code.is_some());
        assert_eq!(polled(&client, &began).await, ErrorCode::AuthorizationPending);
        let alice = app.sign_in("alice").await;
        let question = ask(&app, &alice, text(&began, "user_code")).await.unwrap();
        say(&app, &alice, &question, Answer::Allow).await.unwrap();
        app.wait_seconds(5);
        poll(&client, &began).await.unwrap();
        // Only clients that may.
        let web = app.oidc_client("web", |_| {}).await;
        let form = Params::from_pairs([("client_id", web.id.as_str())]);
        let told = app
            .doorward
            .start_device(web.basic().as_deref(), &form, &web.origin)
            .await;
        assert_eq!(Client::error(told).code, ErrorCode::UnauthorizedClient);
    })
    .await;
}

#[tokio::test]
async fn a_sign_out_before_the_poll_ends_it_and_a_stale_page_allows_nothing() {
    each_app(async |app| {
        app.person("alice").await;
        let client = app
            .oidc_client("tv", |change| {
                change.client.grant_types = Some([GrantType::DeviceCode].into());
            })
            .await;
        let browser = app.sign_in("alice").await;
        let began = begin(&app, &client).await;
        let question = ask(&app, &browser, text(&began, "user_code")).await.unwrap();
        let stale = browser.visit().await.unwrap();
        say(&app, &browser, &question, Answer::Allow).await.unwrap();
        let other = begin(&app, &client).await;
        let open = ask(&app, &browser, text(&other, "user_code")).await.unwrap();
        app.doorward.sign_out(&stale, &browser.origin).await.unwrap();
        assert_eq!(polled(&client, &began).await, ErrorCode::InvalidGrant);
        let late = app
            .doorward
            .answer_device(&open.attempt, Answer::Allow, &stale, &browser.origin)
            .await;
        assert_eq!(reason(late), Reason::SessionEnded);
        assert_eq!(polled(&client, &other).await, ErrorCode::AuthorizationPending);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_polls_at_once_get_the_tokens_once() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let client = tv(&app).await;
        let began = begin(&app, &client).await;
        let question = ask(&app, &browser, text(&began, "user_code")).await.unwrap();
        say(&app, &browser, &question, Answer::Allow).await.unwrap();
        let polls: Vec<_> = (0..50)
            .map(|_| {
                let (client, began) = (client.clone(), began.clone());
                tokio::spawn(async move { poll(&client, &began).await })
            })
            .collect();
        let mut won = 0;
        for poll in polls {
            match poll.await.unwrap() {
                Ok(_) => won += 1,
                other => assert_eq!(Client::error(other).code, ErrorCode::InvalidGrant),
            }
        }
        assert_eq!(won, 1);
    })
    .await;
}

#[tokio::test]
async fn strangers_cannot_fill_the_database_with_device_codes() {
    each_app(async |app| {
        let client = tv(&app).await;
        let form = Params::from_pairs([("client_id", client.id.as_str())]);
        let mut given = 0;
        for _ in 0..100 {
            match app.doorward.start_device(None, &form, &client.origin).await {
                Ok(_) => given += 1,
                Err(doorward_core::Error::Protocol(error)) => assert_eq!(error.status(), 503, "{error}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(given, 30);
        assert_eq!(app.rows().await["device_codes"], 30);
    })
    .await;
}
