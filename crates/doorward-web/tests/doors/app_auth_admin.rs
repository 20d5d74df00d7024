//! Administrators of an app, and how far they reach: each test is named after what it shows; numbers are of the contract.
#![expect(
    clippy::too_many_lines,
    reason = "each test is one story, told from beginning to end"
)]

use doorward_core::Origin;
use doorward_core::admin::applications::ApplicationChange;
use doorward_core::app_auth::Door;
use doorward_core::app_auth::settings::DoorChange;
use doorward_domain::Lifetime;
use doorward_testkit::{App, PASSWORD, each_app};
use http::StatusCode;
use serde_json::{Value, json};

use crate::app_auth::{browser, get, open, post};
use crate::app_auth_plugins::{all, id_of, ok, prove, says, see, somebody, told};
use crate::http_client::Client;

pub(crate) fn door(app: &App) -> Door {
    app.doorward
        .door_at(Some("door.example.org"), "/api/auth/ok")
        .expect("a door")
        .0
}

async fn give_role(app: &App, user: &str, role: &str) {
    let wanted = [role.to_owned()];
    app.doorward
        .set_app_role(&door(app), user.parse().expect("an id"), &wanted)
        .await
        .expect("a role");
}

pub(crate) async fn admin(app: &App, name: &str) -> (Client, String) {
    let (client, user) = somebody(app, name).await;
    give_role(app, &user, "admin").await;
    (client, user)
}

const POSTS: &[(&str, &str)] = &[
    ("create-user", "YOU_ARE_NOT_ALLOWED_TO_CREATE_USERS"),
    ("update-user", "YOU_ARE_NOT_ALLOWED_TO_UPDATE_USERS"),
    ("set-role", "YOU_ARE_NOT_ALLOWED_TO_CHANGE_USERS_ROLE"),
    ("ban-user", "YOU_ARE_NOT_ALLOWED_TO_BAN_USERS"),
    ("unban-user", "YOU_ARE_NOT_ALLOWED_TO_BAN_USERS"),
    ("list-user-sessions", "YOU_ARE_NOT_ALLOWED_TO_LIST_USERS_SESSIONS"),
    (
        "revoke-user-session",
        "YOU_ARE_NOT_ALLOWED_TO_REVOKE_USERS_SESSIONS",
    ),
    (
        "revoke-user-sessions",
        "YOU_ARE_NOT_ALLOWED_TO_REVOKE_USERS_SESSIONS",
    ),
    ("impersonate-user", "YOU_ARE_NOT_ALLOWED_TO_IMPERSONATE_USERS"),
    ("set-user-password", "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_PASSWORD"),
    ("remove-user", "YOU_ARE_NOT_ALLOWED_TO_DELETE_USERS"),
];

fn anything(user: &str) -> Value {
    json!({
        "userId": user, "email": "x@example.org", "name": "X", "data": { "name": "X" }, "role": "user", "sessionToken": "x",
        "newPassword": "another good one",
    })
}

#[tokio::test]
async fn section_5_7_nobody_but_an_administrator_administers() {
    each_app(async |app| {
        open(&app, all()).await;
        let (mut bob, bob_id) = somebody(&app, "bob").await;
        let mut nobody = browser(&app);
        for (path, code) in POSTS {
            let got = post(&mut bob, &format!("/admin/{path}"), anything(&bob_id)).await;
            assert_eq!(told(&got), says(403, code), "{path}");
            let got = post(&mut nobody, &format!("/admin/{path}"), anything(&bob_id)).await;
            assert_eq!(
                (got.status, got.body.as_str()),
                (StatusCode::UNAUTHORIZED, ""),
                "{path}"
            );
        }
        for (path, code) in [
            ("list-users", "YOU_ARE_NOT_ALLOWED_TO_LIST_USERS"),
            ("get-user?id=x", "YOU_ARE_NOT_ALLOWED_TO_GET_USER"),
        ] {
            let got = get(&mut bob, &format!("/admin/{path}")).await;
            assert_eq!(told(&got), says(403, code));
            assert_eq!(
                get(&mut nobody, &format!("/admin/{path}")).await.status,
                StatusCode::UNAUTHORIZED
            );
        }
        // Asking for another role or person changes nothing.
        let asks = json!({ "permissions": { "user": ["ban"] }, "role": "admin", "userId": "x" });
        let got = ok(&mut bob, "/admin/has-permission", asks.clone()).await;
        assert_eq!(got, json!({ "error": null, "success": false }));
        give_role(&app, &bob_id, "admin").await;
        let got = ok(&mut bob, "/admin/has-permission", asks).await;
        assert_eq!(
            got,
            json!({ "error": null, "success": true }),
            "the next call already sees the role"
        );
        give_role(&app, &bob_id, "user").await;
        assert_eq!(
            get(&mut bob, "/admin/list-users").await.status,
            StatusCode::FORBIDDEN
        );
        let got = post(&mut bob, "/admin/has-permission", json!({})).await;
        assert_eq!(
            got.json(),
            json!({ "message": "[body] Invalid input", "code": "VALIDATION_ERROR" })
        );
        let wrong = app
            .doorward
            .set_app_role(&door(&app), bob_id.parse().unwrap(), &["captain".to_owned()])
            .await;
        assert!(wrong.unwrap_err().to_string().contains("admin"));
    })
    .await;
}

#[tokio::test]
async fn section_5_7_people_are_made_listed_and_changed() {
    each_app(async |app| {
        open(&app, all()).await;
        let (mut root, _) = admin(&app, "root").await;
        // Somebody of Doorward who was never here is not listed.
        app.person("stranger").await;
        let new = json!({
            "email": "Cleo@example.org", "name": "Cleo", "password": PASSWORD, "role": "user",
            "data": { "image": "https://img.example.test/c.png" },
        });
        let made = ok(&mut root, "/admin/create-user", new.clone()).await["user"].clone();
        assert_eq!(
            (
                &made["email"],
                &made["role"],
                &made["emailVerified"],
                &made["image"]
            ),
            (
                &json!("cleo@example.org"),
                &json!("user"),
                &json!(false),
                &json!("https://img.example.test/c.png")
            )
        );
        let cleo = id_of(&made);
        for (body, status, code) in [
            (new, 400, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"),
            (
                json!({ "email": "nobody", "name": "X", "password": PASSWORD }),
                400,
                "INVALID_EMAIL",
            ),
            (json!({}), 400, "VALIDATION_ERROR"),
            (
                json!({ "email": "y@example.org", "name": "Y", "role": "captain" }),
                400,
                "YOU_ARE_NOT_ALLOWED_TO_SET_NON_EXISTENT_VALUE",
            ),
            // Nobody vouches for an address in front of other applications.
            (
                json!({ "email": "boss@example.org", "name": "B", "data": { "emailVerified": true } }),
                400,
                "FIELD_NOT_ALLOWED",
            ),
        ] {
            let got = post(&mut root, "/admin/create-user", body).await;
            assert_eq!(told(&got), says(status, code), "{}", got.body);
        }
        ok(
            &mut root,
            "/admin/create-user",
            json!({ "email": "dora@example.org", "name": "Dora" }),
        )
        .await;
        let names = |value: &Value| -> Vec<String> {
            value["users"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["name"].as_str().unwrap().to_owned())
                .collect()
        };
        let all = see(
            &mut root,
            "/admin/list-users?sortBy=email&sortDirection=asc&limit=10",
        )
        .await;
        assert_eq!(names(&all), ["Cleo", "Dora", "root"]);
        assert_eq!(
            (&all["total"], &all["limit"], all.get("offset")),
            (&json!(3), &json!(10), None)
        );
        let two = see(
            &mut root,
            "/admin/list-users?sortBy=email&sortDirection=desc&limit=2&offset=1",
        )
        .await;
        assert_eq!(
            (names(&two), &two["total"], &two["offset"]),
            (vec!["Dora".to_owned(), "Cleo".to_owned()], &json!(3), &json!(1))
        );
        let found = see(
            &mut root,
            "/admin/list-users?searchField=name&searchValue=Cl&searchOperator=starts_with",
        )
        .await;
        assert_eq!(names(&found), ["Cleo"]);
        let found = see(
            &mut root,
            "/admin/list-users?searchField=email&searchValue=nobody-at-all",
        )
        .await;
        assert_eq!(found, json!({ "users": [], "total": 0 }));
        let found = see(
            &mut root,
            "/admin/list-users?filterField=role&filterValue=admin&filterOperator=eq",
        )
        .await;
        assert_eq!(names(&found), ["root"]);
        assert_eq!(
            names(&see(&mut root, "/admin/list-users?limit=many").await).len(),
            3
        );
        assert_eq!(
            see(&mut root, &format!("/admin/get-user?id={cleo}")).await["name"],
            "Cleo"
        );
        assert_eq!(
            told(&get(&mut root, "/admin/get-user?id=unknown").await),
            says(404, "USER_NOT_FOUND")
        );
        let stranger = app.doorward.find_user("stranger").await.unwrap().id;
        let got = get(&mut root, &format!("/admin/get-user?id={stranger}")).await;
        assert_eq!(
            told(&got),
            says(404, "USER_NOT_FOUND"),
            "who was never here is not there"
        );
        let change = |user: &str, data: Value| json!({ "userId": user, "data": data });
        assert_eq!(
            ok(
                &mut root,
                "/admin/update-user",
                change(&cleo, json!({ "name": "Cleo Two" }))
            )
            .await["name"],
            "Cleo Two"
        );
        for (body, status, code) in [
            (change(&cleo, json!({})), 400, "NO_DATA_TO_UPDATE"),
            (
                change(&cleo, json!({ "password": "x" })),
                400,
                "PASSWORD_CANNOT_BE_UPDATED_VIA_UPDATE_USER",
            ),
            (
                change(&cleo, json!({ "id": "x" })),
                400,
                "USER_ID_CANNOT_BE_UPDATED",
            ),
            (
                change(&cleo, json!({ "emailVerified": true })),
                400,
                "FIELD_NOT_ALLOWED",
            ),
            (
                change(&cleo, json!({ "role": "captain" })),
                400,
                "YOU_ARE_NOT_ALLOWED_TO_SET_NON_EXISTENT_VALUE",
            ),
            (change("unknown", json!({ "name": "X" })), 404, "USER_NOT_FOUND"),
        ] {
            let got = post(&mut root, "/admin/update-user", body).await;
            assert_eq!(told(&got), says(status, code), "{}", got.body);
        }
        // An address that an administrator sets is not a proved one.
        prove(&app, &cleo).await;
        let moved = ok(
            &mut root,
            "/admin/update-user",
            change(&cleo, json!({ "email": "cleo@example.net" })),
        )
        .await;
        assert_eq!(
            (&moved["email"], &moved["emailVerified"]),
            (&json!("cleo@example.net"), &json!(false))
        );
        let role = |role: Value| json!({ "userId": cleo, "role": role });
        assert_eq!(
            ok(&mut root, "/admin/set-role", role(json!("admin"))).await["user"]["role"],
            "admin"
        );
        assert_eq!(
            ok(&mut root, "/admin/set-role", role(json!(["user", "admin"]))).await["user"]["role"],
            "user,admin"
        );
        assert_eq!(
            told(&post(&mut root, "/admin/set-role", role(json!("captain"))).await),
            says(400, "YOU_ARE_NOT_ALLOWED_TO_SET_NON_EXISTENT_VALUE")
        );
        assert_eq!(
            ok(&mut root, "/admin/set-role", role(json!("user"))).await["user"]["role"],
            "user"
        );
        let password = |user: &str, new: &str| json!({ "userId": user, "newPassword": new });
        for (body, status, code) in [
            (password(&cleo, "short"), 400, "PASSWORD_TOO_SHORT"),
            (password(&cleo, ""), 400, "VALIDATION_ERROR"),
            (password("unknown", "another good one"), 404, "USER_NOT_FOUND"),
        ] {
            let got = post(&mut root, "/admin/set-user-password", body).await;
            assert_eq!(told(&got), says(status, code), "{}", got.body);
        }
        let mut phone = browser(&app);
        let sign_in = |password: &str| json!({ "email": "cleo@example.net", "password": password });
        ok(&mut phone, "/sign-in/email", sign_in(PASSWORD)).await;
        assert_eq!(
            ok(
                &mut root,
                "/admin/set-user-password",
                password(&cleo, "another good one")
            )
            .await,
            json!({ "status": true })
        );
        assert_eq!(
            see(&mut phone, "/get-session").await,
            Value::Null,
            "whoever knew the old password is out"
        );
        let token = ok(&mut phone, "/sign-in/email", sign_in("another good one")).await["token"].clone();
        let list =
            ok(&mut root, "/admin/list-user-sessions", json!({ "userId": cleo })).await["sessions"].clone();
        assert_eq!(list.as_array().unwrap().len(), 1);
        assert_ne!(list[0]["token"], token, "no token is given away");
        let mut thief = browser(&app);
        thief.headers.push((
            "authorization",
            format!("Bearer {}", list[0]["token"].as_str().unwrap()),
        ));
        assert_eq!(see(&mut thief, "/get-session").await, Value::Null);
        assert_eq!(
            ok(
                &mut root,
                "/admin/list-user-sessions",
                json!({ "userId": "unknown" })
            )
            .await,
            json!({ "sessions": [] })
        );
        let revoke = json!({ "sessionToken": list[0]["token"] });
        assert_eq!(
            ok(&mut root, "/admin/revoke-user-session", revoke).await,
            json!({ "success": true })
        );
        assert_eq!(see(&mut phone, "/get-session").await, Value::Null);
        ok(
            &mut root,
            "/admin/revoke-user-session",
            json!({ "sessionToken": "unknown" }),
        )
        .await;
        ok(&mut phone, "/sign-in/email", sign_in("another good one")).await;
        ok(
            &mut root,
            "/admin/revoke-user-sessions",
            json!({ "userId": cleo }),
        )
        .await;
        assert_eq!(see(&mut phone, "/get-session").await, Value::Null);
        assert_eq!(
            ok(&mut root, "/admin/remove-user", json!({ "userId": cleo })).await,
            json!({ "success": true })
        );
        let got = post(&mut root, "/admin/remove-user", json!({ "userId": cleo })).await;
        assert_eq!(told(&got), says(404, "USER_NOT_FOUND"));
        let own = see(&mut root, "/get-session").await["user"]["id"].clone();
        let got = post(&mut root, "/admin/remove-user", json!({ "userId": own })).await;
        assert_eq!(told(&got), says(400, "YOU_CANNOT_REMOVE_YOURSELF"));
        let got = post(&mut root, "/admin/ban-user", json!({ "userId": own })).await;
        assert_eq!(told(&got), says(400, "YOU_CANNOT_BAN_YOURSELF"));
    })
    .await;
}

#[tokio::test]
async fn an_apps_administrator_takes_over_no_account_that_matters_elsewhere() {
    each_app(async |app| {
        let shop = open(&app, all()).await;
        let (mut mallory, _) = admin(&app, "mallory").await;
        // 1: an administrator of Doorward who uses the app; 2: the same, whose account was made in the app.
        app.administrator("boss").await;
        let mut boss = browser(&app);
        ok(
            &mut boss,
            "/sign-in/email",
            json!({ "email": "boss@example.org", "password": PASSWORD }),
        )
        .await;
        let boss_id = id_of(&see(&mut boss, "/get-session").await["user"]);
        let (mut chief, chief_id) = somebody(&app, "chief").await;
        let group = app.doorward.find_group("administrators").await.unwrap();
        app.doorward
            .add_member(chief_id.parse().unwrap(), group.id)
            .await
            .unwrap();
        // 3: somebody whose account was made elsewhere; 4: an administrator of another app.
        app.person("guest").await;
        let mut guest = browser(&app);
        ok(
            &mut guest,
            "/sign-in/email",
            json!({ "email": "guest@example.org", "password": PASSWORD }),
        )
        .await;
        let guest_id = id_of(&see(&mut guest, "/get-session").await["user"]);
        let (mut other, other_id) = somebody(&app, "other").await;
        let audience = ApplicationChange {
            everyone: Some(true),
            ..ApplicationChange::default()
        };
        let blog = app
            .doorward
            .create_application("blog", &audience)
            .await
            .unwrap()
            .application
            .id;
        let change = DoorChange {
            base_url: Some("https://door.example.org/blog/auth".to_owned()),
            aliases: Some(vec![]),
            ..DoorChange::default()
        };
        app.doorward.change_door(blog, &change).await.unwrap();
        let (blog_door, _) = app
            .doorward
            .door_at(Some("door.example.org"), "/blog/auth/ok")
            .unwrap();
        app.doorward
            .set_app_role(&blog_door, other_id.parse().unwrap(), &["admin".to_owned()])
            .await
            .unwrap();
        for (client, id) in [
            (&mut boss, &boss_id),
            (&mut chief, &chief_id),
            (&mut guest, &guest_id),
            (&mut other, &other_id),
        ] {
            for (path, code) in POSTS.iter().filter(|(path, _)| {
                [
                    "update-user",
                    "ban-user",
                    "impersonate-user",
                    "set-user-password",
                    "remove-user",
                ]
                .contains(path)
            }) {
                let mut body = anything(id);
                body.as_object_mut().unwrap().remove("role");
                let got = post(&mut mallory, &format!("/admin/{path}"), body).await;
                assert_eq!(told(&got), says(403, code), "{path} {}", got.body);
            }
            let email = json!({ "userId": id, "data": { "email": "mallory2@example.org" } });
            let got = post(&mut mallory, "/admin/update-user", email).await;
            assert_eq!(told(&got), says(403, "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_EMAIL"));
            assert_ne!(see(client, "/get-session").await, Value::Null);
        }
        // 5: an account that an operator gave more: it can be banned from the app, but not taken or ended.
        let (mut bob, bob_id) = somebody(&app, "bob").await;
        let staff = app.group("staff").await;
        app.doorward
            .add_member(bob_id.parse().unwrap(), staff.id)
            .await
            .unwrap();
        for (path, code) in [
            ("set-user-password", "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_PASSWORD"),
            ("remove-user", "YOU_ARE_NOT_ALLOWED_TO_DELETE_USERS"),
        ] {
            let got = post(&mut mallory, &format!("/admin/{path}"), anything(&bob_id)).await;
            assert_eq!(told(&got), says(403, code), "{path}");
        }
        ok(&mut mallory, "/admin/ban-user", json!({ "userId": bob_id })).await;
        assert_eq!(see(&mut bob, "/get-session").await, Value::Null);
        // A role of the app is no role elsewhere, and a session of the app's administrator none of Doorward's.
        let got = app
            .doorward
            .app_user(boss_id.parse().unwrap())
            .await
            .unwrap()
            .unwrap();
        assert!(got.app.roles.is_empty() && got.app.bans.is_empty());
        let _ = shop;
    })
    .await;
}

#[tokio::test]
async fn section_5_7_who_is_banned_is_out_at_once_and_comes_back_later() {
    each_app(async |app| {
        open(&app, all()).await;
        let (mut root, root_id) = admin(&app, "root").await;
        let (mut bob, bob_id) = somebody(&app, "bob").await;
        let mut phone = browser(&app);
        let sign_in = json!({ "email": "bob@example.org", "password": PASSWORD });
        ok(&mut phone, "/sign-in/email", sign_in.clone()).await;
        let banned = ok(
            &mut root,
            "/admin/ban-user",
            json!({ "userId": bob_id, "banReason": "Too loud" }),
        )
        .await["user"]
            .clone();
        assert_eq!(
            (&banned["banned"], &banned["banReason"], &banned["banExpires"]),
            (&json!(true), &json!("Too loud"), &Value::Null)
        );
        assert_eq!(see(&mut bob, "/get-session").await, Value::Null);
        assert_eq!(see(&mut phone, "/get-session").await, Value::Null);
        let got = post(&mut phone, "/sign-in/email", sign_in.clone()).await;
        assert_eq!(told(&got), says(403, "BANNED_USER"));
        let free = ok(&mut root, "/admin/unban-user", json!({ "userId": bob_id })).await["user"].clone();
        assert_eq!(
            (&free["banned"], &free["banReason"]),
            (&json!(false), &Value::Null)
        );
        ok(&mut phone, "/sign-in/email", sign_in.clone()).await;
        let hour = ok(
            &mut root,
            "/admin/ban-user",
            json!({ "userId": bob_id, "banExpiresIn": 3600 }),
        )
        .await["user"]
            .clone();
        assert_eq!(hour["banReason"], "No reason");
        assert!(hour["banExpires"].is_string());
        assert_eq!(
            told(&post(&mut phone, "/sign-in/email", sign_in.clone()).await),
            says(403, "BANNED_USER")
        );
        app.clock.advance(Lifetime::from_hours(1));
        ok(&mut phone, "/sign-in/email", sign_in).await;
        for path in ["ban-user", "unban-user"] {
            let got = post(
                &mut root,
                &format!("/admin/{path}"),
                json!({ "userId": "unknown" }),
            )
            .await;
            assert_eq!(told(&got), says(404, "USER_NOT_FOUND"));
        }
        // A banned administrator administers nothing, also not as somebody else.
        let (mut second, second_id) = admin(&app, "second").await;
        ok(
            &mut second,
            "/admin/impersonate-user",
            json!({ "userId": bob_id }),
        )
        .await;
        assert_ne!(see(&mut second, "/get-session").await, Value::Null);
        ok(&mut root, "/admin/ban-user", json!({ "userId": second_id })).await;
        assert_eq!(see(&mut second, "/get-session").await, Value::Null);
        let _ = root_id;
    })
    .await;
}

#[tokio::test]
async fn section_5_7_an_administrator_is_somebody_else_for_an_hour() {
    each_app(async |app| {
        open(&app, all()).await;
        let (mut root, root_id) = admin(&app, "root").await;
        let (_, other_id) = admin(&app, "other").await;
        let (mut bob, bob_id) = somebody(&app, "bob").await;
        assert_eq!(
            post(&mut root, "/admin/stop-impersonating", json!({}))
                .await
                .json(),
            json!({ "message": "You are not impersonating anyone" })
        );
        for (user, status, code) in [
            ("unknown", 404, "USER_NOT_FOUND"),
            (other_id.as_str(), 403, "YOU_CANNOT_IMPERSONATE_ADMINS"),
        ] {
            let got = post(&mut root, "/admin/impersonate-user", json!({ "userId": user })).await;
            assert_eq!(told(&got), says(status, code));
        }
        let got = post(&mut root, "/admin/impersonate-user", json!({ "userId": bob_id })).await;
        assert_eq!(
            got.json()["session"]["impersonatedBy"],
            root_id.as_str(),
            "{}",
            got.body
        );
        let cookies: Vec<&str> = got
            .headers
            .get_all("set-cookie")
            .iter()
            .filter_map(|one| one.to_str().ok())
            .collect();
        let of = |name: &str| {
            *cookies
                .iter()
                .find(|one| one.contains(&format!("{name}=")))
                .unwrap()
        };
        assert!(of("admin_session").contains("Max-Age=604800"));
        assert!(!of("better-auth.session_token").contains("Max-Age"));
        let session = see(&mut root, "/get-session").await;
        assert_eq!(
            (&session["user"]["id"], &session["session"]["impersonatedBy"]),
            (&json!(bob_id), &json!(root_id))
        );
        assert_eq!(
            told(&get(&mut root, "/admin/list-users").await),
            says(403, "YOU_ARE_NOT_ALLOWED_TO_LIST_USERS")
        );
        // Even when the other person becomes an administrator meanwhile.
        give_role(&app, &bob_id, "admin").await;
        assert_eq!(
            get(&mut root, "/admin/list-users").await.status,
            StatusCode::FORBIDDEN
        );
        give_role(&app, &bob_id, "user").await;
        // Nothing that stays is made in somebody's name.
        let register = get(&mut root, "/passkey/generate-register-options").await;
        assert_eq!(told(&register), says(403, "FORBIDDEN"));
        for (path, body) in [
            ("/api-key/create", json!({ "name": "x" })),
            ("/change-email", json!({ "newEmail": "mallory@example.org" })),
            ("/delete-user", json!({})),
            ("/get-access-token", json!({ "providerId": "x" })),
        ] {
            assert_eq!(
                told(&post(&mut root, path, body).await),
                says(403, "FORBIDDEN"),
                "{path}"
            );
        }
        let back = post(&mut root, "/admin/stop-impersonating", json!({})).await;
        assert_eq!(back.json()["user"]["id"], root_id.as_str(), "{}", back.body);
        assert_eq!(
            see(&mut root, "/get-session").await["user"]["id"],
            root_id.as_str()
        );
        assert!(!root.cookies.keys().any(|name| name.contains("admin_session")));
        assert_ne!(
            see(&mut bob, "/get-session").await,
            Value::Null,
            "bob's own session goes on"
        );
        // It ends by itself.
        ok(&mut root, "/admin/impersonate-user", json!({ "userId": bob_id })).await;
        app.clock.advance(Lifetime::from_hours(1));
        assert_eq!(see(&mut root, "/get-session").await, Value::Null);
        // Losing the role ends it too.
        ok(
            &mut root,
            "/sign-in/email",
            json!({ "email": "root@example.org", "password": PASSWORD }),
        )
        .await;
        ok(&mut root, "/admin/impersonate-user", json!({ "userId": bob_id })).await;
        give_role(&app, &root_id, "user").await;
        assert_eq!(see(&mut root, "/get-session").await, Value::Null);
        let got = post(&mut browser(&app), "/admin/stop-impersonating", json!({})).await;
        assert_eq!((got.status, got.body.as_str()), (StatusCode::UNAUTHORIZED, ""));
        let _ = Origin::default();
    })
    .await;
}

#[tokio::test]
async fn a_cookie_of_somebody_elses_session_does_not_make_an_administrator() {
    each_app(async |app| {
        open(&app, all()).await;
        let (mut root, _) = admin(&app, "root").await;
        let (_, bob_id) = somebody(&app, "bob").await;
        let (mut eve, _) = somebody(&app, "eve").await;
        // Eve's own genuine session cookie in the place of the administrator's.
        let own = eve.cookies["__Secure-better-auth.session_token"].clone();
        eve.cookies
            .insert("__Secure-better-auth.admin_session".to_owned(), own.clone());
        assert_eq!(
            post(&mut eve, "/admin/stop-impersonating", json!({}))
                .await
                .status,
            StatusCode::BAD_REQUEST
        );
        ok(&mut root, "/admin/impersonate-user", json!({ "userId": bob_id })).await;
        for forged in [own, "x.y".to_owned(), String::new()] {
            let mut client = root.clone();
            client
                .cookies
                .insert("__Secure-better-auth.admin_session".to_owned(), forged);
            let got = post(&mut client, "/admin/stop-impersonating", json!({})).await;
            assert_eq!(got.status, StatusCode::UNAUTHORIZED);
            assert_eq!(see(&mut client, "/get-session").await, Value::Null);
        }
    })
    .await;
}
