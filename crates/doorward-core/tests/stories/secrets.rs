//! No secret is where it can be read: not in events, not in the database, not in what is shown for debugging.

use doorward_core::Origin;
use doorward_core::app_passwords::NewAppPassword;
use doorward_core::links::Promote;
use doorward_domain::Lifetime;
use doorward_domain::app_password::Reach;
use doorward_domain::client::{AccessTokenFormat, GrantType};
use doorward_oidc::params::Params;
use doorward_testkit::{App, Browser, PASSWORD, Tokens, each_app};

/// An app password that was made and used.
async fn an_app_password(app: &App, browser: &Browser) -> String {
    let new = NewAppPassword {
        name: "Phone".into(),
        reach: Reach::EverySite,
        lifetime: None,
    };
    let visit = browser.visit().await.unwrap();
    let made = app
        .doorward
        .create_own_app_password(&visit, PASSWORD, &new, &browser.origin)
        .await
        .unwrap();
    let secret = made.secret.expose().to_owned();
    let used = app.doorward.app_password(&secret, None).await.unwrap();
    assert!(used.is_some());
    secret
}

/// Everything that happens in a day, and every secret that was handed out on the way.
async fn a_day(app: &App) -> Vec<String> {
    let mut secrets = vec![
        PASSWORD.to_owned(),
        "another good one".into(),
        "wrong guess".into(),
    ];
    let alice = app.administrator("alice").await;
    let mut browser = app.browser();
    let _ = browser.sign_in("alice", "wrong guess").await;
    browser.sign_in("alice", PASSWORD).await.unwrap();
    secrets.extend([browser.session.clone().unwrap(), browser.known.clone().unwrap()]);
    for (slug, format) in [
        ("jwt", AccessTokenFormat::Jwt),
        ("opaque", AccessTokenFormat::Opaque),
    ] {
        let client = app
            .oidc_client(slug, |change| {
                change.client.access_token_format = Some(format);
                change.client.backchannel_logout_uri = Some("https://gone.example.org/".into());
                change.client.grant_types = Some(GrantType::ALL.iter().copied().collect());
            })
            .await;
        secrets.push(client.secret.clone().unwrap());
        let mut asked = client.ask_for("openid profile email offline_access");
        secrets.push(asked.verifier.clone());
        let pushed = app
            .doorward
            .push(client.basic().as_deref(), asked.params.clone(), &client.origin)
            .await
            .unwrap();
        let doorward_core::pushed::Pushed::Accepted(pushed) = pushed else {
            panic!("{pushed:?}")
        };
        let uri = pushed["request_uri"].as_str().unwrap().to_owned();
        secrets.push(uri.rsplit(':').next().unwrap().to_owned());
        asked.params = Params::from_pairs([("client_id", client.id.as_str()), ("request_uri", &uri)]);
        let code = client.code(&browser, &asked).await;
        secrets.push(code.clone());
        let first = Tokens {
            answer: client.redeem(&code, &asked).await.unwrap(),
        };
        let second = Tokens {
            answer: client.refresh(&first.refresh()).await.unwrap(),
        };
        for tokens in [&first, &second] {
            secrets.extend([tokens.access(), tokens.refresh(), tokens.id()]);
        }
        client.revoke(&second.access()).await;
        let _ = client.redeem(&code, &asked).await;
        let mut impostor = client.clone();
        impostor.secret = Some("wrong secret of an impostor".into());
        secrets.extend(impostor.secret.clone());
        let _ = impostor.refresh(&second.refresh()).await;
        let form = Params::from_pairs([("client_id", client.id.as_str())]);
        let device = app
            .doorward
            .start_device(client.basic().as_deref(), &form, &client.origin)
            .await
            .unwrap();
        secrets.push(device["device_code"].as_str().unwrap().to_owned());
        let rotated = app
            .doorward
            .rotate_secret(client.application.id, Lifetime::from_hours(1))
            .await
            .unwrap();
        secrets.extend(rotated.client_secret);
    }
    let visit = browser.visit().await.unwrap();
    secrets.push(an_app_password(app, &browser).await);
    app.doorward
        .change_password(&visit, PASSWORD, "another good one", &browser.origin)
        .await
        .unwrap();
    let link = app.doorward.recover_link(alice.id, Promote::No).await.unwrap();
    let link = link.rsplit('/').next().unwrap().to_owned();
    let issued = app
        .doorward
        .recover(&link, "yet another one", &Origin::default())
        .await
        .unwrap();
    secrets.extend([link, issued.token, "yet another one".into()]);
    app.doorward.run_due_jobs().await.unwrap();
    secrets
}

#[tokio::test]
async fn no_event_holds_a_secret() {
    each_app(async |app| {
        let secrets = a_day(&app).await;
        let events = app.events().await;
        assert!(events.len() > 20, "{}", events.len());
        for event in &events {
            let text = serde_json::to_string(event).unwrap();
            let shown = format!("{event:?}");
            for secret in &secrets {
                assert!(!text.contains(secret.as_str()), "{secret} in {text}");
                assert!(!shown.contains(secret.as_str()), "{secret} in {shown}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn who_steals_the_database_file_finds_no_secret_in_it() {
    each_app(async |app| {
        let secrets = a_day(&app).await;
        if app.store().engine_name() != "sqlite" {
            return;
        }
        let copy = std::env::temp_dir().join(format!("doorward-story-{}.db", std::process::id()));
        app.store().snapshot(&copy).await.unwrap();
        let bytes = std::fs::read(&copy).unwrap();
        std::fs::remove_file(&copy).unwrap();
        let holds = |needle: &str| {
            let needle = needle.as_bytes();
            bytes.windows(needle.len()).any(|window| window == needle)
        };
        assert!(holds("alice@example.org"), "the search finds what is there");
        for secret in &secrets {
            assert!(!holds(secret), "{secret:.12}… is in the database");
        }
    })
    .await;
}

#[tokio::test]
async fn debugging_shows_no_secret() {
    each_app(async |app| {
        let secrets = a_day(&app).await;
        let shown = format!("{:?}", app.doorward);
        for secret in &secrets {
            assert!(!shown.contains(secret.as_str()));
        }
    })
    .await;
}
