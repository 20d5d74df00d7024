//! Refresh tokens: one next generation for any number of callers, ten seconds of grace, and the end when one comes again.

use doorward_domain::Reason;
use doorward_domain::event::EventKind;
use doorward_testkit::each_app_with;
use http::StatusCode;
use serde_json::{Value, json};

use super::{ISSUER, Program, SECRET, on, said, text, with};
use doorward_crypto::shared::SharedKey;
use doorward_domain::SessionId;

#[tokio::test]
async fn fifty_refreshes_at_once_make_one_generation_and_one_pair() {
    each_app_with(on, async |app| {
        app.person("ada").await;
        let program = Program::new(&app);
        let tokens = program.login("ada").await;
        let calls = (0..50).map(|_| {
            let (program, token) = (program.clone(), tokens["refresh_token"].clone());
            tokio::spawn(async move { program.refresh(&token).await })
        });
        let mut pairs = Vec::new();
        let calls: Vec<_> = calls.collect();
        for call in calls {
            let got = call.await.expect("an answer");
            assert_eq!(got.status, StatusCode::OK, "{}", got.body);
            let pair = got.json();
            pairs.push((pair["refresh_token"].clone(), pair["access_token"].clone()));
        }
        pairs.sort_by_key(|(refresh, _)| refresh.to_string());
        pairs.dedup();
        assert_eq!(pairs.len(), 1, "byte for byte the same");
        assert_ne!(pairs[0].0, tokens["refresh_token"]);
        let session: SessionId = text(&program.introspect(text(&pairs[0].1)).await["sid"])
            .parse()
            .expect("a session");
        let row = app.store().read().token_family(session).await.expect("a row");
        assert_eq!(row.expect("a family").family.generation, 1);
    })
    .await;
}

#[tokio::test]
async fn a_lost_answer_is_given_again_for_ten_seconds() {
    each_app_with(on, async |app| {
        app.person("ada").await;
        let program = Program::new(&app);
        let tokens = program.login("ada").await;
        app.wait_seconds(600);
        let first = program.refresh(&tokens["refresh_token"]).await.json();
        app.wait_seconds(10);
        let second = program.refresh(&tokens["refresh_token"]).await.json();
        assert_eq!(second["refresh_token"], first["refresh_token"]);
        assert_eq!(second["access_token"], first["access_token"]);
        assert_eq!(
            (&first["expires_in"], &second["expires_in"]),
            (&json!(1800), &json!(1790))
        );
        // The new one goes on.
        assert_eq!(
            program.refresh(&first["refresh_token"]).await.status,
            StatusCode::OK
        );
    })
    .await;
}

#[tokio::test]
async fn after_eleven_seconds_a_used_token_is_stolen_and_ends_the_session() {
    each_app_with(on, async |app| {
        app.person("ada").await;
        let program = Program::new(&app);
        let tokens = program.login("ada").await;
        let next = program.refresh(&tokens["refresh_token"]).await.json();
        app.wait_seconds(11);
        let got = program.refresh(&tokens["refresh_token"]).await;
        assert_eq!(said(&got), (401, json!("Refresh token reuse detected")));
        assert_eq!(got.header("www-authenticate"), "Bearer");
        for access in [&tokens["access_token"], &next["access_token"]] {
            assert_eq!(program.introspect(text(access)).await, json!({ "active": false }));
        }
        let got = program.refresh(&next["refresh_token"]).await;
        assert_eq!(said(&got), (401, json!("Invalid or expired refresh token")));
        let events = app.events().await;
        let told = events
            .iter()
            .filter(|event| event.kind == EventKind::Refused && event.reason == Some(Reason::TokenReuse));
        assert_eq!(told.count(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_token_two_generations_back_is_stolen_within_the_grace_too() {
    each_app_with(on, async |app| {
        app.person("ada").await;
        let program = Program::new(&app);
        let tokens = program.login("ada").await;
        let next = program.refresh(&tokens["refresh_token"]).await.json();
        program.refresh(&next["refresh_token"]).await;
        let got = program.refresh(&tokens["refresh_token"]).await;
        assert_eq!(said(&got), (401, json!("Refresh token reuse detected")));
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_ends_on_its_day_however_often_it_was_refreshed() {
    each_app_with(on, async |app| {
        app.person("ada").await;
        let program = Program::new(&app);
        let mut token = program.login("ada").await["refresh_token"].clone();
        for _ in 0..6 {
            app.wait(doorward_domain::Lifetime::from_days(1));
            token = program.refresh(&token).await.json()["refresh_token"].clone();
        }
        app.wait(doorward_domain::Lifetime::from_days(1));
        let got = program.refresh(&token).await;
        assert_eq!(said(&got), (401, json!("Invalid or expired refresh token")));
    })
    .await;
    each_app_with(with(|api| api.sliding = true), async |app| {
        app.person("ada").await;
        let program = Program::new(&app);
        let mut token = program.login("ada").await["refresh_token"].clone();
        for _ in 0..10 {
            app.wait(doorward_domain::Lifetime::from_days(6));
            let got = program.refresh(&token).await;
            assert_eq!(got.status, StatusCode::OK, "{}", got.body);
            token = got.json()["refresh_token"].clone();
        }
    })
    .await;
}

#[tokio::test]
async fn access_tokens_end_with_their_sign_in() {
    each_app_with(on, async |app| {
        app.person("ada").await;
        let program = Program::new(&app);
        let tokens = program.login("ada").await;
        app.wait_seconds(604_800 - 60);
        let got = program.refresh(&tokens["refresh_token"]).await;
        assert_eq!(got.json()["expires_in"], 60);
    })
    .await;
}

/// A token as the service before made it.
fn old(claims: &Value) -> String {
    SharedKey::new(SECRET).sign(claims.to_string().as_bytes())
}

#[tokio::test]
async fn tokens_of_the_old_service_go_on() {
    each_app_with(on, async |app| {
        let ada = app.person("ada").await;
        let program = Program::new(&app);
        let tokens = program.login("ada").await;
        let session = program.introspect(text(&tokens["access_token"])).await["sid"].clone();
        let now = app.now().seconds();
        let access = json!({
            "sub": ada.id, "email": "ada@example.org", "name": "ADA", "roles": ["user"], "type": "access", "iss": ISSUER,
            "iat": now, "exp": now + 1800,
        });
        assert_eq!(program.me(&old(&access)).await.status, StatusCode::OK, "no sid: signature and person");
        let active = program.introspect(&old(&access)).await;
        assert_eq!((&active["active"], active.get("sid")), (&json!(true), None));

        // A refresh token without a generation counts as the first.
        let refresh = json!({
            "sub": ada.id, "session_id": session, "type": "refresh", "iss": ISSUER, "iat": now, "exp": now + 604_800,
        });
        let got = program.refresh(&json!(old(&refresh))).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.body);
        let again = program.refresh(&json!(old(&refresh))).await;
        assert_eq!(again.json()["refresh_token"], got.json()["refresh_token"]);
        app.wait_seconds(11);
        let got = program.refresh(&json!(old(&refresh))).await;
        assert_eq!(said(&got), (401, json!("Refresh token reuse detected")));

        let change = doorward_core::admin::users::UserChange {
            active: Some(false),
            ..Default::default()
        };
        app.doorward.update_user(ada.id, &change).await.expect("a change");
        assert_eq!(program.introspect(&old(&access)).await, json!({ "active": false }));
    })
    .await;
}
