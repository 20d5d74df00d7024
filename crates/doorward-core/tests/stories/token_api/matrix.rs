//! Accounts at the Matrix server: made at once when it is there, made later when it is not, never twice, never somebody else's.

use doorward_core::Origin;
use doorward_core::admin::users::UserChange;
use doorward_core::token_api::matrix::Retry;
use doorward_crypto::shared::synapse_mac;
use doorward_domain::event::EventKind;
use doorward_domain::token_api::Registration;
use doorward_domain::token_api::matrix::{ATTEMPTS, MatrixAccount, MatrixStatus};
use doorward_domain::{Lifetime, UserId};
use doorward_testkit::{App, Script, each_app_with};
use serde_json::{Value, json};

use super::{SYNAPSE, on, with_matrix};

fn register_url() -> String {
    format!("{SYNAPSE}/_synapse/admin/v1/register")
}

/// Synapse answers; POSTs with this status and body.
fn synapse(app: &App, status: u16, body: &Value) {
    app.fetch
        .serve(&register_url(), &json!({ "nonce": "thisisanonce" }));
    let answer = Script::Answer(status, body.to_string().into_bytes());
    app.fetch.script_json(&register_url(), answer);
}

fn synapse_is_down(app: &App) {
    app.fetch
        .script(&register_url(), Script::Fail("connection refused".into()));
}

async fn register(app: &App, name: &str) -> (UserId, Value) {
    let wanted = Registration {
        email: format!("{name}@example.org"),
        password: "correct horse".into(),
        display_name: Some("Ada".into()),
    };
    let made = app
        .doorward
        .token_register(&wanted, &Origin::default())
        .await
        .expect("an account");
    (made["user_id"].as_str().unwrap().parse().unwrap(), made)
}

async fn account(app: &App, user: UserId) -> MatrixAccount {
    let found = app.store().read().matrix_account(user).await.unwrap();
    found.expect("an account")
}

#[tokio::test]
async fn an_account_is_made_while_the_person_waits() {
    each_app_with(with_matrix, async |app| {
        synapse(
            &app,
            200,
            &json!({ "user_id": "@t_x:example.org", "home_server": "example.org" }),
        );
        let (user, made) = register(&app, "ada").await;
        assert_eq!(made["matrix_status"], "active");
        assert_eq!(made["matrix_user_id"], "@t_x:example.org");
        let posted = app.fetch.posted_json();
        assert_eq!(posted.len(), 1);
        let body = &posted[0].body;
        assert_eq!(body["username"], format!("t_{}", user.uuid().simple()));
        assert_eq!(body["admin"], false);
        assert_eq!(body["displayname"], "Ada");
        let password = body["password"].as_str().unwrap();
        assert_eq!(password.len(), 64);
        let parts = [
            "thisisanonce",
            body["username"].as_str().unwrap(),
            password,
            "notadmin",
        ];
        assert_eq!(body["mac"], synapse_mac("synapse-shared-secret", &parts));
        // The job finds nothing left to do.
        app.wait_seconds(5);
        assert_eq!(app.doorward.run_due_jobs().await.unwrap(), 1);
        assert_eq!(app.fetch.posted_json().len(), 1);
        let events = app.events().await;
        assert_eq!(
            events
                .iter()
                .filter(|event| event.kind == EventKind::MatrixAccount)
                .count(),
            1
        );
        assert!(!format!("{events:?}").contains(password));
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_away_stops_nobody_and_gets_everybody_later() {
    each_app_with(with_matrix, async |app| {
        synapse_is_down(&app);
        let mut people = Vec::new();
        for number in 0..5 {
            let (user, made) = register(&app, &format!("n{number}")).await;
            assert_eq!(
                (&made["matrix_status"], &made["matrix_user_id"]),
                (&json!("pending"), &json!(null))
            );
            people.push(user);
        }
        for wait in [5, 30, 120, 600, 3960, 3960] {
            app.wait_seconds(wait);
            assert_eq!(app.doorward.run_due_jobs().await.unwrap(), 5, "after {wait} s");
        }
        let waiting = account(&app, people[0]).await;
        assert_eq!(waiting.last_error.as_deref(), Some("connection refused"));
        assert_eq!(waiting.in_flight_at, None, "nothing was sent");
        synapse(&app, 200, &json!({ "user_id": "@t_x:example.org" }));
        app.wait_seconds(3960);
        app.doorward.run_due_jobs().await.unwrap();
        for user in people {
            assert_eq!(account(&app, user).await.status, MatrixStatus::Active);
        }
    })
    .await;
}

#[tokio::test]
async fn a_lost_answer_means_that_the_account_is_ours() {
    each_app_with(with_matrix, async |app| {
        synapse(&app, 200, &json!({}));
        app.fetch
            .script_json(&register_url(), Script::Fail("the connection broke".into()));
        let (user, made) = register(&app, "ada").await;
        assert_eq!(made["matrix_status"], "pending");
        assert!(account(&app, user).await.in_flight_at.is_some());
        synapse(&app, 400, &json!({ "errcode": "M_USER_IN_USE" }));
        // Its name is asked from the server; while it does not say, nothing is guessed.
        app.wait_seconds(5);
        app.doorward.run_due_jobs().await.unwrap();
        assert_eq!(account(&app, user).await.status, MatrixStatus::Pending);
        app.fetch.serve(
            &format!("{SYNAPSE}/_matrix/key/v2/server"),
            &json!({ "server_name": "example.org" }),
        );
        app.wait_seconds(30);
        app.doorward.run_due_jobs().await.unwrap();
        let account = account(&app, user).await;
        assert_eq!(account.status, MatrixStatus::Active);
        let name = format!("@t_{}:example.org", user.uuid().simple());
        assert_eq!(account.matrix_user_id, Some(name));
    })
    .await;
}

#[tokio::test]
async fn a_taken_name_is_never_taken_over() {
    each_app_with(with_matrix, async |app| {
        synapse(&app, 400, &json!({ "errcode": "M_USER_IN_USE" }));
        let (user, made) = register(&app, "ada").await;
        assert_eq!(
            (&made["matrix_status"], &made["matrix_user_id"]),
            (&json!("failed"), &json!(null))
        );
        let account = account(&app, user).await;
        assert!(account.last_error.unwrap().contains("name conflict"));
        app.wait_seconds(5);
        app.doorward.run_due_jobs().await.unwrap();
        assert_eq!(app.fetch.posted_json().len(), 1, "not tried again by itself");
    })
    .await;
}

#[tokio::test]
async fn after_a_week_an_account_is_given_up_and_an_operator_brings_it_back() {
    each_app_with(with_matrix, async |app| {
        app.fetch.script(&register_url(), Script::Answer(404, Vec::new()));
        let (user, _) = register(&app, "ada").await;
        for _ in 0..ATTEMPTS {
            app.wait(Lifetime::from_minutes(66));
            app.doorward.run_due_jobs().await.unwrap();
        }
        let given_up = account(&app, user).await;
        assert_eq!(given_up.status, MatrixStatus::Failed);
        assert!(given_up.last_error.unwrap().contains("shared secret is off"));
        app.wait(Lifetime::from_days(1));
        assert_eq!(app.doorward.run_due_jobs().await.unwrap(), 0);
        assert_eq!(app.doorward.retry_matrix(Retry::All).await.unwrap(), 1);
        synapse(&app, 200, &json!({ "user_id": "@t_x:example.org" }));
        app.doorward.run_due_jobs().await.unwrap();
        assert_eq!(account(&app, user).await.status, MatrixStatus::Active);
    })
    .await;
}

#[tokio::test]
async fn a_person_and_the_wish_for_an_account_are_one_transaction() {
    each_app_with(with_matrix, async |app| {
        app.lose("matrix_accounts").await;
        let wanted = Registration {
            email: "ada@example.org".into(),
            password: "correct horse".into(),
            display_name: None,
        };
        let failed = app.doorward.token_register(&wanted, &Origin::default()).await;
        assert!(failed.is_err());
        assert_eq!(app.store().read().count_users().await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn switching_somebody_off_switches_the_account_off() {
    each_app_with(with_matrix, async |app| {
        synapse(&app, 200, &json!({ "user_id": "@t_x:example.org" }));
        let (user, _) = register(&app, "ada").await;
        let off = UserChange {
            active: Some(false),
            ..UserChange::default()
        };
        app.doorward.update_user(user, &off).await.unwrap();
        let url = format!("{SYNAPSE}/_synapse/admin/v1/deactivate/@t_x:example.org");
        app.fetch.script_json(&url, Script::Answer(500, Vec::new()));
        app.doorward.run_due_jobs().await.unwrap();
        assert_eq!(account(&app, user).await.status, MatrixStatus::Active);
        app.fetch.script_json(&url, Script::Answer(200, b"{}".to_vec()));
        app.wait_seconds(60);
        app.doorward.run_due_jobs().await.unwrap();
        assert_eq!(account(&app, user).await.status, MatrixStatus::Deactivated);
        let last = app.fetch.posted_json().pop().unwrap();
        assert_eq!(last.bearer.as_deref(), Some("the administrator's token"));
        assert_eq!(last.body, json!({ "erase": false }));
    })
    .await;
}

#[tokio::test]
async fn people_who_were_there_before_get_accounts_on_request() {
    each_app_with(with_matrix, async |app| {
        app.person("ada").await;
        app.person("bob").await;
        synapse(&app, 200, &json!({ "user_id": "@t_x:example.org" }));
        assert_eq!(app.doorward.retry_matrix(Retry::Missing).await.unwrap(), 2);
        assert_eq!(app.doorward.run_due_jobs().await.unwrap(), 2);
        assert_eq!(app.doorward.retry_matrix(Retry::Missing).await.unwrap(), 0);
    })
    .await;
    each_app_with(on, async |app| {
        let problem = app.doorward.retry_matrix(Retry::All).await.unwrap_err();
        assert!(
            problem.to_string().contains("token_api.synapse_secret"),
            "{problem}"
        );
        let (_, made) = register(&app, "ada").await;
        assert_eq!(made["matrix_status"], "disabled");
    })
    .await;
}
