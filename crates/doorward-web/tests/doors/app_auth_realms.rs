//! People that an app keeps to itself: for everything else they do not exist. Each test tries to get past that.

use std::sync::Arc;

use doorward_core::Origin;
use doorward_core::admin::applications::ApplicationChange;
use doorward_core::app_auth::Door;
use doorward_core::app_auth::settings::DoorChange;
use doorward_domain::ApplicationId;
use doorward_domain::app_auth::People;
use doorward_domain::user::Realm;
use doorward_testkit::{App, PASSWORD, each_app};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app_auth::browser;
use crate::http_client::{Client, Got};

const PARTS: [&str; 6] = [
    "admin",
    "magic-link",
    "email-otp",
    "username",
    "organization",
    "bearer",
];

/// A door of its own path.
async fn door_at(app: &App, slug: &str, people: People) -> ApplicationId {
    let audience = ApplicationChange {
        everyone: Some(true),
        ..ApplicationChange::default()
    };
    let made = app
        .doorward
        .create_application(slug, &audience)
        .await
        .expect("an app");
    let change = DoorChange {
        base_url: Some(format!("https://door.example.org/{slug}")),
        aliases: Some(Vec::new()),
        sign_up: Some(true),
        rate_limit: Some(false),
        people: Some(people),
        plugins: Some(PARTS.map(str::to_owned).to_vec()),
        ..DoorChange::default()
    };
    let id = made.application.id;
    app.doorward.change_door(id, &change).await.expect("a door");
    id
}

async fn call(client: &mut Client, method: Method, path: &str, body: Value) -> Got {
    let body = (method == Method::POST).then(|| ("application/json", body.to_string()));
    client.deliver(method, path, body).await
}

async fn post(client: &mut Client, path: &str, body: Value) -> Got {
    call(client, Method::POST, path, body).await
}

async fn sign_up(client: &mut Client, slug: &str, email: &str, password: &str) -> Got {
    let body = json!({ "name": "Ada", "email": email, "password": password });
    post(client, &format!("/{slug}/sign-up/email"), body).await
}

async fn sign_in(app: &App, slug: &str, email: &str, password: &str) -> StatusCode {
    let body = json!({ "email": email, "password": password });
    post(&mut browser(app), &format!("/{slug}/sign-in/email"), body)
        .await
        .status
}

#[tokio::test]
async fn one_address_is_another_person_in_each_app_and_everywhere_else() {
    each_app(async |app| {
        let mut ids = Vec::new();
        for (slug, people) in [
            ("one", People::Separate),
            ("two", People::Separate),
            ("all", People::Shared),
        ] {
            door_at(&app, slug, people).await;
            let made = sign_up(
                &mut browser(&app),
                slug,
                "ada@example.org",
                &format!("password of {slug}"),
            )
            .await;
            assert_eq!(made.status, StatusCode::OK, "{slug}: {}", made.body);
            ids.push(made.json()["user"]["id"].as_str().unwrap().to_owned());
            let again = sign_up(&mut browser(&app), slug, "Ada@Example.org", "another password").await;
            assert_eq!(
                again.status,
                StatusCode::UNPROCESSABLE_ENTITY,
                "{slug}: taken here"
            );
        }
        assert!(ids[0] != ids[1] && ids[1] != ids[2]);
        for at in ["one", "two", "all"] {
            for of in ["one", "two", "all"] {
                let wanted = if at == of {
                    StatusCode::OK
                } else {
                    StatusCode::UNAUTHORIZED
                };
                let got = sign_in(&app, at, "ada@example.org", &format!("password of {of}")).await;
                assert_eq!(got, wanted, "password of {of} at {at}");
            }
        }
        // Doorward's own page knows everybody's person only.
        for (of, wanted) in [("one", false), ("two", false), ("all", true)] {
            let entered = app
                .browser()
                .sign_in("ada@example.org", &format!("password of {of}"))
                .await;
            assert_eq!(entered.is_ok(), wanted, "{of}");
        }
        // Nor do commands, other than by id.
        let found = app.doorward.find_user("ada@example.org").await.unwrap();
        assert_eq!(
            (found.id.to_string(), found.realm),
            (ids[2].clone(), Realm::Shared)
        );
        assert!(app.doorward.find_user(&ids[0]).await.unwrap().realm != Realm::Shared);
    })
    .await;
}

#[tokio::test]
async fn a_session_or_token_of_one_app_is_nothing_anywhere_else() {
    each_app(async |app| {
        let one = door_at(&app, "one", People::Separate).await;
        door_at(&app, "two", People::Separate).await;
        let all = door_at(&app, "all", People::Shared).await;
        let mut client = browser(&app);
        let made = sign_up(&mut client, "one", "ada@example.org", PASSWORD)
            .await
            .json();
        let token = made["token"].as_str().unwrap().to_owned();
        let own = call(&mut client, Method::GET, "/one/get-session", Value::Null).await;
        assert_eq!(own.json()["user"]["email"], "ada@example.org");
        for slug in ["two", "all"] {
            let mut other = browser(&app);
            other.headers.push(("authorization", format!("Bearer {token}")));
            other.cookies = client.cookies.clone();
            let got = call(
                &mut other,
                Method::GET,
                &format!("/{slug}/get-session"),
                Value::Null,
            )
            .await;
            assert_eq!(got.body, "null", "{slug}");
        }
        // Even a session that was issued for another app, past every door, is refused there and at Doorward itself.
        let conn = app.store().read();
        let user = conn
            .user(made["user"]["id"].as_str().unwrap().parse().unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(user.realm, Realm::App(one));
        let application = app.doorward.find_application(&all.to_string()).await.unwrap();
        let door = Door {
            base: "/all".into(),
            application: Arc::new(application),
        };
        let entered = app
            .doorward
            .app_enter_by(
                &door,
                user.id,
                &["pwd"],
                doorward_core::app_auth::people::Remember::Yes,
                &Origin::default(),
            )
            .await;
        assert!(entered.is_err(), "{entered:?}");
        // And somebody of everybody does not come into the app that keeps its people to itself.
        let shared = app.person("bob").await;
        let application = app.doorward.find_application(&one.to_string()).await.unwrap();
        let door = Door {
            base: "/one".into(),
            application: Arc::new(application),
        };
        let entered = app
            .doorward
            .app_enter_by(
                &door,
                shared.id,
                &["pwd"],
                doorward_core::app_auth::people::Remember::Yes,
                &Origin::default(),
            )
            .await;
        assert!(entered.is_err(), "{entered:?}");
        assert_eq!(
            sign_in(&app, "one", "bob@example.org", PASSWORD).await,
            StatusCode::UNAUTHORIZED
        );
        // Not by an operator's slip either.
        let slip = app
            .doorward
            .set_app_role(&door, shared.id, &["admin".to_owned()])
            .await;
        assert!(slip.is_err());
    })
    .await;
}

#[tokio::test]
async fn mails_and_codes_of_one_app_reach_and_open_that_apps_people_only() {
    each_app(async |app| {
        door_at(&app, "one", People::Separate).await;
        door_at(&app, "two", People::Separate).await;
        sign_up(&mut browser(&app), "one", "ada@example.org", "password of one").await;
        // Nobody of two has the address: no mail, the same answer.
        let ask = json!({ "email": "ada@example.org" });
        let got = post(&mut browser(&app), "/two/request-password-reset", ask.clone()).await;
        assert_eq!(got.status, StatusCode::OK);
        let code = json!({ "email": "ada@example.org", "type": "forget-password" });
        post(&mut browser(&app), "/two/email-otp/send-verification-otp", code).await;
        app.doorward.run_due_jobs().await.unwrap();
        assert_eq!(app.inbox.letters().len(), 0);
        // A link of one is none of two.
        post(&mut browser(&app), "/one/request-password-reset", ask).await;
        app.doorward.run_due_jobs().await.unwrap();
        let letters = app.inbox.letters();
        assert_eq!(letters.len(), 1);
        let text = letters[0].text.clone();
        let token = text.split("/reset-password/").nth(1).unwrap();
        let token: String = token.chars().take_while(char::is_ascii_alphanumeric).collect();
        let reset = json!({ "newPassword": "a new password", "token": token });
        let got = post(&mut browser(&app), "/two/reset-password", reset.clone()).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST, "{}", got.body);
        let got = post(&mut browser(&app), "/one/reset-password", reset).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.body);
        assert_eq!(
            sign_in(&app, "one", "ada@example.org", "a new password").await,
            StatusCode::OK
        );
    })
    .await;
}

#[tokio::test]
async fn an_administrator_of_one_app_sees_and_reaches_nobody_of_another() {
    each_app(async |app| {
        let one = door_at(&app, "one", People::Separate).await;
        door_at(&app, "two", People::Separate).await;
        let other = sign_up(&mut browser(&app), "two", "eve@example.org", PASSWORD)
            .await
            .json();
        let mut admin = browser(&app);
        let made = sign_up(&mut admin, "one", "root@example.org", PASSWORD)
            .await
            .json();
        let application = app.doorward.find_application(&one.to_string()).await.unwrap();
        let door = Door {
            base: "/one".into(),
            application: Arc::new(application),
        };
        let root = made["user"]["id"].as_str().unwrap().parse().unwrap();
        app.doorward
            .set_app_role(&door, root, &["admin".to_owned()])
            .await
            .unwrap();
        let list = call(
            &mut admin,
            Method::GET,
            "/one/admin/list-users?limit=10",
            Value::Null,
        )
        .await
        .json();
        assert_eq!(list["total"], 1, "{list}");
        let id = other["user"]["id"].as_str().unwrap();
        let got = call(
            &mut admin,
            Method::GET,
            &format!("/one/admin/get-user?id={id}"),
            Value::Null,
        )
        .await;
        assert_eq!(got.status, StatusCode::NOT_FOUND, "{}", got.body);
        for (path, body) in [
            ("ban-user", json!({ "userId": id })),
            (
                "set-user-password",
                json!({ "userId": id, "newPassword": "a new password" }),
            ),
            ("impersonate-user", json!({ "userId": id })),
            ("remove-user", json!({ "userId": id })),
        ] {
            let got = post(&mut admin, &format!("/one/admin/{path}"), body).await;
            assert!(
                got.status.is_client_error(),
                "{path}: {} {}",
                got.status,
                got.body
            );
        }
        // An account that is made for an address of two is another person.
        let new = json!({ "email": "eve@example.org", "name": "Eve", "password": "a password of one" });
        let got = post(&mut admin, "/one/admin/create-user", new).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.body);
        assert_eq!(
            sign_in(&app, "two", "eve@example.org", PASSWORD).await,
            StatusCode::OK
        );
        assert_eq!(
            sign_in(&app, "two", "eve@example.org", "a password of one").await,
            StatusCode::UNAUTHORIZED
        );
    })
    .await;
}

#[tokio::test]
async fn a_superuser_group_does_not_help_and_does_not_count() {
    each_app(async |app| {
        door_at(&app, "one", People::Separate).await;
        let made = sign_up(&mut browser(&app), "one", "ada@example.org", PASSWORD)
            .await
            .json();
        let boss = app.administrator("boss").await;
        let group = app
            .doorward
            .find_group(doorward_core::links::ADMINISTRATORS)
            .await
            .unwrap();
        let ada = made["user"]["id"].as_str().unwrap().parse().unwrap();
        app.doorward.add_member(ada, group.id).await.unwrap();
        assert!(app.browser().sign_in("ada@example.org", PASSWORD).await.is_err());
        // She cannot sign in at Doorward, so she is not the one who keeps it usable.
        let lost = app.doorward.delete_user(boss.id).await;
        assert!(lost.is_err(), "the last administrator went");
    })
    .await;
}

#[tokio::test]
async fn people_do_not_change_their_realm_under_their_feet() {
    each_app(async |app| {
        let shared = door_at(&app, "all", People::Shared).await;
        let own = door_at(&app, "one", People::Separate).await;
        let set = async |id, people| {
            let change = DoorChange {
                people: Some(people),
                ..DoorChange::default()
            };
            app.doorward.change_door(id, &change).await.map(|_| ())
        };
        // While nobody is there, it may change.
        for id in [shared, own] {
            set(id, People::Shared).await.unwrap();
            set(id, People::Separate).await.unwrap();
        }
        set(shared, People::Shared).await.unwrap();
        sign_up(&mut browser(&app), "all", "ada@example.org", PASSWORD).await;
        sign_up(&mut browser(&app), "one", "ada@example.org", PASSWORD).await;
        for (id, people) in [(shared, People::Separate), (own, People::Shared)] {
            let refused = set(id, people).await.unwrap_err().to_string();
            assert!(refused.contains("has people"), "{refused}");
        }
        // Nor by closing the door and opening another.
        app.doorward.close_door(own).await.unwrap();
        let change = DoorChange {
            base_url: Some("https://door.example.org/one".into()),
            ..DoorChange::default()
        };
        assert!(app.doorward.change_door(own, &change).await.is_err());
        let change = DoorChange {
            people: Some(People::Separate),
            ..change
        };
        app.doorward.change_door(own, &change).await.unwrap();
        assert_eq!(
            sign_in(&app, "one", "ada@example.org", PASSWORD).await,
            StatusCode::OK
        );
    })
    .await;
}
