//! Get-session of somebody whose session is in memory: it asks the database nothing, and it never answers for longer than the session
//! lives, wherever it was ended.

use doorward_core::app_auth::settings::DoorChange;
use doorward_testkit::{App, each_app};
use http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

use crate::app_auth::{browser, get, open, post, sign_up};
use crate::http_client::Client;

const REQUESTS: u64 = 50;

/// A browser with the cookie alone, and a program with the token alone.
async fn both_ways(app: &App) -> [Client; 2] {
    let mut cookie = browser(app);
    let made = sign_up(&mut cookie, "alice").await;
    let token = made.get("token").and_then(Value::as_str).expect("a token");
    let mut bearer = Client::new(app);
    bearer.headers.push(("authorization", format!("Bearer {token}")));
    [cookie, bearer]
}

/// The same cookies and headers at another replica.
fn at(app: &App, client: &Client) -> Client {
    let mut there = Client::new(app);
    there.cookies.clone_from(&client.cookies);
    there.headers.clone_from(&client.headers);
    there
}

#[tokio::test]
async fn a_warm_session_costs_no_query_by_cookie_or_bearer() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let [mut cookie, mut bearer] = both_ways(&app).await;
        for client in [&mut cookie, &mut bearer] {
            let first = get(client, "/get-session").await;
            assert_eq!(first.json()["user"]["email"], "alice@example.org");
            let before = app.store().queries();
            for _ in 0..REQUESTS {
                assert_eq!(get(client, "/get-session").await.body, first.body);
            }
            assert_eq!(app.store().queries(), before);
        }
        // The count is one that moves: whoever is not known is looked up.
        let before = app.store().queries();
        bearer.headers = vec![("authorization", format!("Bearer {}", "x".repeat(32)))];
        assert_eq!(get(&mut bearer, "/get-session").await.body, "null");
        assert!(app.store().queries() > before);
    })
    .await;
}

#[tokio::test]
async fn a_sign_out_on_another_replica_is_known_here_within_a_second() {
    each_app(async |app| {
        open(&app, DoorChange::default()).await;
        let here = app.replica().await;
        let there = app.replica().await;
        let clients = both_ways(&app).await;
        let mut warm = clients.each_ref().map(|client| at(&here, client));
        for client in &mut warm {
            assert_ne!(get(client, "/get-session").await.body, "null");
        }
        let mut leaving = at(&there, &clients[0]);
        let out = post(&mut leaving, "/sign-out", json!({})).await;
        assert_eq!(out.status, StatusCode::OK, "{}", out.body);
        // At once where it happened.
        for client in &clients {
            assert_eq!(get(&mut at(&there, client), "/get-session").await.body, "null");
        }
        for client in &warm {
            let mut left = 75;
            // A client of its own each time: the answer takes the cookie away.
            while get(&mut client.clone(), "/get-session").await.body != "null" {
                left -= 1;
                assert!(left > 0, "still there after 1.5 seconds");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_person_and_who_may_enter_change_at_once_however_warm_the_session_is() {
    each_app(async |app| {
        let id = open(&app, DoorChange::default()).await;
        let [mut cookie, mut bearer] = both_ways(&app).await;
        get(&mut cookie, "/get-session").await;
        let got = post(&mut cookie, "/update-user", json!({ "name": "Alice \"<ä>\"" })).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.body);
        for client in [&mut cookie, &mut bearer] {
            let got = get(client, "/get-session").await;
            assert_eq!(got.json()["user"]["name"], "Alice \"<ä>\"");
            assert_eq!(got.header("content-type"), "application/json");
            // Written as every other answer: members in the order of their names, nothing between them.
            assert_eq!(got.json().to_string(), got.body);
            let members: Vec<String> = ["session", "user"]
                .iter()
                .flat_map(|part| keys(&got.json()[*part]))
                .collect();
            assert_eq!(members, MEMBERS);
        }
        let nobody = doorward_core::admin::applications::ApplicationChange {
            everyone: Some(false),
            ..Default::default()
        };
        app.doorward
            .update_application(id, &nobody)
            .await
            .expect("an application");
        for client in [&mut cookie, &mut bearer] {
            assert_eq!(get(client, "/get-session").await.body, "null");
        }
    })
    .await;
}

fn keys(value: &Value) -> Vec<String> {
    let object = value.as_object().expect("an object");
    object.keys().cloned().collect()
}

/// Of the session, then of the user (contract section 1.2).
const MEMBERS: [&str; 25] = [
    "activeOrganizationId",
    "activeTeamId",
    "createdAt",
    "expiresAt",
    "id",
    "impersonatedBy",
    "ipAddress",
    "token",
    "updatedAt",
    "userAgent",
    "userId",
    "banExpires",
    "banReason",
    "banned",
    "createdAt",
    "displayUsername",
    "email",
    "emailVerified",
    "id",
    "image",
    "name",
    "role",
    "twoFactorEnabled",
    "updatedAt",
    "username",
];
