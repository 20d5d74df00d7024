//! Taking over an app's own better-auth database.

use std::sync::Arc;

use doorward_core::Origin;
use doorward_core::admin::applications::ApplicationChange;
use doorward_core::app_auth::api_keys::Permissions;
use doorward_core::app_auth::import::{ImportReport, ImportWishes, SameSecret};
use doorward_core::app_auth::people::Remember;
use doorward_core::app_auth::sessions::Ending;
use doorward_core::app_auth::settings::DoorChange;
use doorward_core::app_auth::{AppError, Door};
use doorward_crypto::token::SecretText;
use doorward_domain::Lifetime;
use doorward_domain::app_auth::Provider;
use doorward_domain::application::Application;
use doorward_store::Foreign;
use doorward_testkit::{App, each_app};
use serde_json::{Value, json};

const SECRET: &str = "doorward-test-secret-0123456789abcdef";
/// "correct horse battery staple", as better-auth hashed it (contract section 4.2).
const HASH: &str = "00112233445566778899aabbccddeeff:f5b22309b28fe412c82a4b2cab57498b8f8a42c849af16cb908974048f61c13933421858db3a8f111430bdc493c7cef90f61f904061c77206e3820a2e8b11bc2";
const STAPLE: &str = "correct horse battery staple";
/// A second factor and its backup codes, as better-auth 1.7.25 encrypted them with the secret; the first code is [`CODE`].
const FACTOR: &str = "f0f9884a853da8826e4aa604fc53010223e45b6c2d1b06e0e9ebd124e75603088063a47d36879c4793e355507b82c45ccb17df8f26440fe94b74b38345ec841f3caa23c9dbcd46d2";
const CODES: &str = "ac27f7b7376556fb2159834569249bb30f4361b27384f8cc4ca575952ddf1eb1a4c95679c6fd188b2458e9f12a7733195040c1fe1d34d61e2deadb4fd24637260ba41812e26829f0c10c5a450bf94f4e9c9e7d27bf0c66c70ee1195edd1257c7a3e88df93b03840990967b889c3c4b15fc056cf31986459bd066c5d16abdcf83ec01f0ea355e6880952322074bf4bbc17920050a40bd0fb5e7d51ee61921f18a55a9c62c7d7d12a6e28e6eba60f998a9b63ba42991";
const CODE: &str = "lSQCl-8LoXT";
const TOKEN: &str = "oy3UjFJW1v3X2gCe1WEkW50lTKMQ1R5p";
const PAST: &str = "2025-01-02T03:04:05.678Z";
/// A key for programs that better-auth 1.7 made, and what it keeps of it.
const KEY: &str = "p_zOWcdsGMGdQseBjRwfMbnnbMsGNZIJvRwnNyFWmdfKwEZFNMbwijbFwKKZTffNTP";
const KEY_HASH: &str = "ZaxDz8ecjwROCRUPfeg4IzU55K2FSShW0AAQq0r38oI";

async fn door(app: &App) -> (Application, Door) {
    let audience = ApplicationChange {
        everyone: Some(true),
        ..ApplicationChange::default()
    };
    let made = app.doorward.create_application("shop", &audience).await.unwrap();
    let provider = Provider {
        id: "authentik".into(),
        issuer: Some("https://auth.example.net/application/o/shop/".into()),
        client_id: "shop".into(),
        ..Provider::default()
    };
    let change = DoorChange {
        secret: Some(SECRET.into()),
        plugins: Some(vec![
            "two-factor".into(),
            "api-key".into(),
            "organization".into(),
            "admin".into(),
        ]),
        providers: vec![(provider, Some("s".into()))],
        ..DoorChange::default()
    };
    let (application, _) = app
        .doorward
        .change_door(made.application.id, &change)
        .await
        .unwrap();
    let door = Door {
        base: "/api/auth".into(),
        application: Arc::new(application.clone()),
    };
    (application, door)
}

#[expect(clippy::needless_pass_by_value, reason = "a literal of the story")]
fn person(id: &str, email: &str, more: Value) -> Value {
    let mut row = json!({
        "id": id, "name": "Ada", "email": email, "emailVerified": true, "image": null, "createdAt": PAST, "updatedAt": PAST,
        "twoFactorEnabled": false, "role": "user", "banned": false, "username": null, "isAnonymous": false, "shoeSize": "39",
    });
    row.as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap_or_default());
    row
}

#[expect(clippy::needless_pass_by_value, reason = "a literal of the story")]
fn session(id: &str, user: &str, token: &str, expires: &str, more: Value) -> Value {
    let mut row = json!({
        "id": id, "userId": user, "token": token, "expiresAt": expires, "createdAt": PAST, "updatedAt": PAST, "ipAddress": "192.0.2.1",
        "userAgent": "Firefox", "impersonatedBy": null, "activeOrganizationId": "o1",
    });
    row.as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap_or_default());
    row
}

#[expect(clippy::needless_pass_by_value, reason = "a literal of the story")]
fn account(id: &str, user: &str, provider: &str, more: Value) -> Value {
    let mut row = json!({
        "id": id, "userId": user, "providerId": provider, "accountId": id, "password": null, "accessToken": null, "scope": null,
        "createdAt": PAST, "updatedAt": PAST,
    });
    row.as_object_mut()
        .unwrap()
        .extend(more.as_object().cloned().unwrap_or_default());
    row
}

async fn run(app: &App, application: &Application, wishes: &ImportWishes) -> ImportReport {
    let from = Foreign::open(&app.place).await.unwrap();
    app.doorward
        .import_better_auth(application, &from, wishes)
        .await
        .unwrap()
}

/// Rows, imported, present, skipped of a table.
fn counts(report: &ImportReport, table: &str) -> [u64; 4] {
    let found = report
        .tables
        .iter()
        .find(|found| found.table == table)
        .expect(table);
    let counted = found.counted;
    [counted.read, counted.imported, counted.present, counted.skipped]
}

async fn may_sign_in(app: &App, door: &Door, email: &str, password: &str) -> bool {
    app.doorward
        .app_prove(door, email, password, &Origin::default())
        .await
        .is_ok()
}

/// A database as better-auth 1.7 makes it, with every table that is taken over.
#[expect(clippy::too_many_lines, reason = "a database, table by table")]
async fn fill(app: &App) {
    let soon = app.now().plus(Lifetime::from_days(3)).to_string();
    let people = [
        person(
            "ada",
            "Ada@Example.org",
            json!({ "username": "Ada_L", "displayUsername": "Ada_L", "twoFactorEnabled": true }),
        ),
        person(
            "bob",
            "bob@example.org",
            json!({ "role": "admin,chief", "emailVerified": false }),
        ),
        person(
            "eve",
            "eve@example.org",
            json!({ "banned": true, "banReason": "spam" }),
        ),
        person("dup", "ADA@example.org", json!({})),
        person("odd", "nobody", json!({})),
        person("anon", "temp@example.org", json!({ "isAnonymous": true })),
        person(
            "018f3c5e-7a4b-7c1d-9e2f-3a4b5c6d7e8f",
            "uuid@example.org",
            json!({}),
        ),
    ];
    app.make_foreign_table("user", &people).await;
    let accounts = [
        account(
            "a1",
            "ada",
            "credential",
            json!({ "password": HASH, "accountId": "Ada@Example.org" }),
        ),
        account("a2", "bob", "credential", json!({ "password": "md5$123" })),
        account(
            "a3",
            "ada",
            "authentik",
            json!({ "accessToken": "open-token", "scope": "openid,email" }),
        ),
        account("a4", "ada", "gitplace", json!({})),
        account("a5", "nobody", "authentik", json!({})),
        account("a6", "eve", "credential", json!({ "password": HASH })),
    ];
    app.make_foreign_table("account", &accounts).await;
    let sessions = [
        session("s1", "ada", TOKEN, &soon, json!({})),
        session("s2", "ada", "another-token-of-ada", PAST, json!({})),
        session(
            "s3",
            "ada",
            "a-token-of-somebody-else",
            &soon,
            json!({ "impersonatedBy": "bob" }),
        ),
        session("s4", "eve", "a-token-of-eve", &soon, json!({})),
        session("s5", "nobody", "a-token-of-nobody", &soon, json!({})),
    ];
    app.make_foreign_table("session", &sessions).await;
    let factors =
        [json!({ "id": "f1", "userId": "ada", "secret": FACTOR, "backupCodes": CODES, "verified": true })];
    app.make_foreign_table("twoFactor", &factors).await;
    let passkeys = [
        json!({ "id": "p1", "userId": "ada", "name": "Phone", "publicKey": "pQECAyYgASFYIA==", "credentialID": "Y3JlZGVudGlhbA",
                "counter": 7, "deviceType": "multiDevice", "backedUp": true, "transports": "internal,hybrid", "createdAt": PAST }),
        json!({ "id": "p2", "userId": "ada", "publicKey": "!", "credentialID": "x", "counter": 0 }),
    ];
    app.make_foreign_table("passkey", &passkeys).await;
    let keys = [
        json!({ "id": "k1", "configId": "default", "referenceId": "ada", "name": "k", "prefix": "p_", "start": "p_zOWc", "key": KEY_HASH,
                "enabled": true, "permissions": "{\"files\":[\"read\"]}", "remaining": 2, "rateLimitEnabled": false, "createdAt": PAST, "updatedAt": PAST }),
        json!({ "id": "k2", "configId": "default", "referenceId": "ada", "key": KEY_HASH, "permissions": "[\"files\"]" }),
        json!({ "id": "k3", "configId": "default", "referenceId": "ada", "key": "in the open" }),
    ];
    app.make_foreign_table("apikey", &keys).await;
    let organizations =
        [json!({ "id": "o1", "name": "Org", "slug": "org", "metadata": "{\"a\":1}", "createdAt": PAST })];
    app.make_foreign_table("organization", &organizations).await;
    let members = [
        json!({ "id": "m1", "organizationId": "o1", "userId": "ada", "role": "owner", "createdAt": PAST }),
        json!({ "id": "m2", "organizationId": "o1", "userId": "bob", "role": "chief", "createdAt": PAST }),
        json!({ "id": "m3", "organizationId": "o2", "userId": "bob", "role": "member", "createdAt": PAST }),
    ];
    app.make_foreign_table("member", &members).await;
    app.make_foreign_table(
        "team",
        &[json!({ "id": "t1", "name": "Crew", "organizationId": "o1", "createdAt": PAST })],
    )
    .await;
    app.make_foreign_table(
        "teamMember",
        &[json!({ "id": "tm1", "teamId": "t1", "userId": "ada", "createdAt": PAST })],
    )
    .await;
    let invitations = [
        json!({ "id": "i1", "organizationId": "o1", "email": "new@example.org", "role": "member", "teamId": "t1", "status": "pending",
                "expiresAt": soon, "createdAt": PAST, "inviterId": "ada" }),
        json!({ "id": "i2", "organizationId": "o1", "email": "old@example.org", "role": "member", "status": "accepted",
                "expiresAt": soon, "createdAt": PAST, "inviterId": "ada" }),
    ];
    app.make_foreign_table("invitation", &invitations).await;
    app.make_foreign_table(
        "verification",
        &[json!({ "id": "v1", "identifier": "reset-password:x", "value": "ada" })],
    )
    .await;
}

#[tokio::test]
async fn section_4_3_every_row_is_counted_in_and_out_and_the_second_run_changes_nothing() {
    each_app(async |app| {
        let (application, _) = door(&app).await;
        fill(&app).await;
        let before = app.rows().await;
        let dry = ImportWishes {
            dry_run: true,
            ..ImportWishes::default()
        };
        let planned = run(&app, &application, &dry).await;
        assert_eq!(app.rows().await, before, "a dry run writes nothing");
        let wishes = ImportWishes::default();
        for (round, report) in [
            planned,
            run(&app, &application, &wishes).await,
            run(&app, &application, &wishes).await,
        ]
        .iter()
        .enumerate()
        {
            let shown = serde_json::to_string(report).unwrap();
            let wanted = if round < 2 {
                [
                    ("user", [7, 4, 0, 3]),
                    ("account", [6, 3, 0, 3]),
                    ("session", [5, 1, 0, 4]),
                    ("twoFactor", [1, 1, 0, 0]),
                    ("passkey", [2, 1, 0, 1]),
                    ("apikey", [3, 1, 0, 2]),
                    ("organization", [1, 1, 0, 0]),
                    ("member", [3, 2, 0, 1]),
                    ("team", [1, 1, 0, 0]),
                    ("teamMember", [1, 1, 0, 0]),
                    ("invitation", [2, 1, 0, 1]),
                ]
            } else {
                [
                    ("user", [7, 0, 4, 3]),
                    ("account", [6, 0, 3, 3]),
                    ("session", [5, 0, 1, 4]),
                    ("twoFactor", [1, 0, 1, 0]),
                    ("passkey", [2, 0, 1, 1]),
                    ("apikey", [3, 0, 1, 2]),
                    ("organization", [1, 0, 1, 0]),
                    ("member", [3, 0, 2, 1]),
                    ("team", [1, 0, 1, 0]),
                    ("teamMember", [1, 0, 1, 0]),
                    ("invitation", [2, 0, 1, 1]),
                ]
            };
            for (table, counted) in wanted {
                assert_eq!(counts(report, table), counted, "round {round}, {table}: {shown}");
            }
            assert_eq!(report.same_secret, SameSecret::Yes);
            assert_eq!(report.left.len(), 1);
            assert_eq!(
                (report.left[0].name.as_str(), report.left[0].rows),
                ("verification", 1)
            );
            assert_eq!(report.tables[0].other_columns, ["shoeSize"]);
            for secret in [
                HASH,
                FACTOR,
                CODES,
                TOKEN,
                "open-token",
                KEY_HASH,
                SECRET,
                "a-token-of",
            ] {
                assert!(!shown.contains(secret), "round {round}: the report has {secret}");
            }
        }
    })
    .await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "everything that one person brings along")]
async fn people_come_with_their_passwords_factors_accounts_and_cookies() {
    each_app(async |app| {
        let (application, door) = door(&app).await;
        fill(&app).await;
        let report = run(&app, &application, &ImportWishes::default()).await;
        let ada = app.doorward.find_user("ada@example.org").await.unwrap();
        assert_eq!(
            (ada.username.as_str(), ada.app.display_username.as_deref()),
            ("ada_l", Some("Ada_L"))
        );
        assert_eq!(ada.created_at.to_string(), PAST);
        assert_eq!(ada.email_verified_at.unwrap().to_string(), PAST);
        assert_eq!(ada.app.home, Some(application.id));
        // The password, once as it was and once as it is kept since.
        for _ in 0..2 {
            let proved = app
                .doorward
                .app_prove(&door, "ada@example.org", STAPLE, &Origin::default())
                .await
                .unwrap();
            app.doorward
                .app_enter(&door, &proved, Remember::Yes, &Origin::default())
                .await
                .unwrap();
        }
        assert!(!may_sign_in(&app, &door, "ada@example.org", "correct horse battery stapler").await);
        let hash = app.store().read().password_hash(ada.id).await.unwrap().unwrap();
        assert!(hash.starts_with("$argon2id$"));
        // The session, in this app and nowhere else.
        let visit = app
            .doorward
            .app_visit(&application, TOKEN)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(visit.person.user.id, ada.id);
        assert!(app.doorward.visit(Some(TOKEN)).await.unwrap().is_none());
        let organizations = app.doorward.app_organizations(&door, &visit).await.unwrap();
        assert_eq!(organizations.len(), 1);
        let active = visit.session.app.as_ref().unwrap().organization.clone();
        assert_eq!(active, Some(organizations[0].id.to_string()));
        // The second factor: asked for, and each backup code is good once.
        assert!(ada.app.two_factor);
        app.doorward.factor_backup_code(ada.id, CODE).await.unwrap();
        let again = app.doorward.factor_backup_code(ada.id, CODE).await;
        assert!(matches!(again, Err(AppError::Code("INVALID_BACKUP_CODE"))));
        let uri = app.doorward.factor_uri(&door, &ada).await.unwrap();
        assert!(
            uri.contains("secret=KJHDS3SUOZWESLKPPJHDSZS2MVYDISTNMRPUC43OL5MGI6RTPFXQ"),
            "{uri}"
        );
        // The account at the provider, with its tokens sealed.
        let accounts = app.doorward.app_accounts(&door, ada.id).await.unwrap();
        assert_eq!(
            (
                accounts.len(),
                accounts[0].provider.as_str(),
                accounts[0].account.as_str()
            ),
            (1, "authentik", "a3")
        );
        assert!(!accounts[0].tokens.windows(4).any(|part| part == b"open"));
        assert_eq!(
            app.doorward.account_tokens(&accounts[0]).access.as_deref(),
            Some("open-token")
        );
        // The key of a program, and the passkey.
        let may = |what: &str| Permissions::from([("files".to_owned(), vec![what.to_owned()])]);
        let uses = async |what: &str| {
            let used = app.doorward.app_check_key(&door, KEY, &may(what)).await;
            used.map(|(key, _)| key.remaining)
                .map_err(|error| format!("{error:?}"))
        };
        assert!(
            uses("write")
                .await
                .is_err_and(|error| error.contains("KEY_NOT_FOUND"))
        );
        assert_eq!(
            (uses("read").await, uses("read").await),
            (Ok(Some(1)), Ok(Some(0)))
        );
        assert!(
            uses("read")
                .await
                .is_err_and(|error| error.contains("USAGE_EXCEEDED"))
        );
        let passkeys = app.doorward.app_passkeys(&door, ada.id).await.unwrap();
        assert_eq!(
            (passkeys.len(), passkeys[0].counter, passkeys[0].eligible),
            (1, 7, true)
        );
        // Roles that are known here, and bans.
        let bob = app.doorward.find_user("bob@example.org").await.unwrap();
        assert_eq!(
            bob.app.roles.get(&application.id).map(String::as_str),
            Some("admin")
        );
        assert!(bob.email_verified_at.is_none());
        let eve = app.doorward.find_user("eve@example.org").await.unwrap();
        assert!(eve.app.ban(application.id, app.now()).is_some());
        let refused = app
            .doorward
            .app_prove(&door, "eve@example.org", STAPLE, &Origin::default())
            .await;
        assert!(matches!(refused, Err(AppError::Code("BANNED_USER"))));
        // Ids that are UUIDs stay.
        let kept = app.doorward.find_user("uuid@example.org").await.unwrap();
        assert_eq!(kept.id.to_string(), "018f3c5e-7a4b-7c1d-9e2f-3a4b5c6d7e8f");
        assert!(
            report.ids.iter().any(|(table, there, here)| *table == "user"
                && there == "ada"
                && *here == ada.id.to_string())
        );
        // Nobody became an administrator of Doorward.
        assert!(!app.doorward.user_view(bob).await.unwrap().superuser);
    })
    .await;
}

#[tokio::test]
async fn what_ended_or_was_changed_here_stays_so_when_it_is_run_again() {
    each_app(async |app| {
        let (application, door) = door(&app).await;
        fill(&app).await;
        let wishes = ImportWishes::default();
        run(&app, &application, &wishes).await;
        let origin = Origin::default();
        let ada = app.doorward.find_user("ada@example.org").await.unwrap();
        app.doorward
            .app_end(&door, ada.id, Ending::All, &origin)
            .await
            .unwrap();
        app.doorward
            .app_unlink(&door, &ada, |way| way.provider == "authentik")
            .await
            .unwrap();
        app.doorward
            .app_set_password(&door, ada.id, "another long password", "test", &origin)
            .await
            .unwrap();
        app.doorward.factor_remove(ada.id, &origin).await.unwrap();
        let bob = app.doorward.find_user("bob@example.org").await.unwrap();
        app.doorward.delete_user(bob.id).await.unwrap();
        // Long enough that the rows themselves are gone.
        let tx = app.store().begin().await.unwrap();
        tx.forget_sessions(app.now().plus(Lifetime::from_days(1)))
            .await
            .unwrap();
        tx.purge_users(app.now().plus(Lifetime::from_days(1)))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let report = run(&app, &application, &wishes).await;
        assert_eq!(counts(&report, "user"), [7, 0, 4, 3]);
        assert_eq!(counts(&report, "session"), [5, 0, 1, 4]);
        assert!(
            app.doorward
                .app_visit(&application, TOKEN)
                .await
                .unwrap()
                .is_none()
        );
        assert!(app.doorward.app_accounts(&door, ada.id).await.unwrap().is_empty());
        assert!(!may_sign_in(&app, &door, "ada@example.org", STAPLE).await);
        assert!(may_sign_in(&app, &door, "ada@example.org", "another long password").await);
        assert!(app.doorward.factor_uri(&door, &ada).await.is_err());
        assert!(app.doorward.find_user("bob@example.org").await.is_err());
    })
    .await;
}

#[tokio::test]
async fn equal_addresses_are_never_merged_silently() {
    each_app(async |app| {
        let (application, door) = door(&app).await;
        let same = app.person("ada").await;
        let unproved = app.person_with("eve", |new| new.email_verified = false).await;
        let boss = app.administrator("uuid").await;
        fill(&app).await;
        let report = run(&app, &application, &ImportWishes::default()).await;
        assert_eq!(counts(&report, "user"), [7, 1, 0, 6]);
        assert_eq!(counts(&report, "session"), [5, 0, 0, 5]);
        let reason = |report: &ImportReport, id: &str| {
            let found = report
                .skipped
                .iter()
                .find(|remark| remark.table == "user" && remark.id == id);
            found.map(|remark| remark.what.clone()).unwrap_or_default()
        };
        assert!(reason(&report, "ada").contains("--link-verified"), "{report:?}");
        // Asked for, and proved on both sides; never an administrator of Doorward.
        let wishes = ImportWishes {
            link_verified: true,
            ..ImportWishes::default()
        };
        let report = run(&app, &application, &wishes).await;
        assert_eq!(counts(&report, "user"), [7, 1, 1, 5]);
        assert!(reason(&report, "eve").contains("not proved here"));
        assert!(reason(&report, "018f3c5e-7a4b-7c1d-9e2f-3a4b5c6d7e8f").contains("administers Doorward"));
        let ada = app.doorward.find_user("ada@example.org").await.unwrap();
        assert_eq!(
            (ada.id, ada.username.as_str(), ada.app.two_factor),
            (same.id, "ada", false)
        );
        assert_eq!(ada.app.home, None, "the app does not get the account itself");
        // What counts in the app alone came along; what counts everywhere did not.
        assert!(may_sign_in(&app, &door, "ada@example.org", doorward_testkit::PASSWORD).await);
        assert!(!may_sign_in(&app, &door, "ada@example.org", STAPLE).await);
        let visit = app
            .doorward
            .app_visit(&application, TOKEN)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(visit.person.user.id, same.id);
        assert_eq!(app.doorward.app_accounts(&door, same.id).await.unwrap().len(), 1);
        assert!(app.doorward.factor_uri(&door, &ada).await.is_err());
        for (user, before) in [(unproved.id, &unproved), (boss.id, &boss)] {
            let now = app.store().read().user(user).await.unwrap().unwrap();
            assert_eq!(now.app, before.app);
        }
    })
    .await;
}

#[tokio::test]
async fn a_factor_that_cannot_be_opened_keeps_the_person_out_until_it_can() {
    each_app(async |app| {
        let (application, door) = door(&app).await;
        let change = DoorChange {
            secret: Some("another secret of the door, 32 letters".into()),
            drop_old_secrets: true,
            ..DoorChange::default()
        };
        let (application, _) = app.doorward.change_door(application.id, &change).await.unwrap();
        let door = Door {
            application: Arc::new(application.clone()),
            ..door
        };
        fill(&app).await;
        let report = run(&app, &application, &ImportWishes::default()).await;
        assert_eq!(report.same_secret, SameSecret::No);
        assert_eq!(counts(&report, "twoFactor"), [1, 0, 0, 1]);
        assert!(
            report
                .hints
                .iter()
                .any(|hint| hint.contains("cookies of the sessions do not work"))
        );
        let ada = app.doorward.find_user("ada@example.org").await.unwrap();
        assert!(ada.app.two_factor, "she is asked all the same");
        assert!(app.doorward.factor_totp(ada.id, "000000").await.is_err());
        let wishes = ImportWishes {
            secret: Some(SecretText::new(SECRET)),
            ..ImportWishes::default()
        };
        let report = run(&app, &application, &wishes).await;
        assert_eq!(report.same_secret, SameSecret::No, "the door's is still another");
        assert_eq!(counts(&report, "twoFactor"), [1, 1, 0, 0]);
        app.doorward.factor_backup_code(ada.id, CODE).await.unwrap();
        let proved = app
            .doorward
            .app_prove(&door, "ada@example.org", STAPLE, &Origin::default())
            .await
            .unwrap();
        app.doorward
            .app_enter(&door, &proved, Remember::Yes, &Origin::default())
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn other_spellings_and_names_of_tables_are_read_alike() {
    each_app(async |app| {
        let (application, door) = door(&app).await;
        let soon = app.now().plus(Lifetime::from_days(3));
        let people = [json!({ "id": 1, "name": "Ada", "email": "ada@example.org", "email_verified": 1, "created_at": PAST, "updated_at": PAST })];
        app.make_foreign_table("app_people", &people).await;
        let accounts = [json!({ "id": 1, "account_id": "1", "provider_id": "credential", "user_id": 1, "password": HASH, "issuer": null })];
        app.make_foreign_table("app_accounts", &accounts).await;
        // Times as numbers of seconds, as some libraries keep them.
        let sessions = [json!({ "id": 1, "user_id": 1, "token": TOKEN, "expires_at": soon.seconds(), "created_at": PAST, "updated_at": PAST })];
        app.make_foreign_table("app_sessions", &sessions).await;
        let named = |table: &str, name: &str| (table.to_owned(), name.to_owned());
        let wishes = ImportWishes {
            tables: vec![named("user", "app_people"), named("account", "app_accounts"), named("session", "app_sessions")],
            ..ImportWishes::default()
        };
        let report = run(&app, &application, &wishes).await;
        for table in ["user", "account", "session"] {
            assert_eq!(counts(&report, table), [1, 1, 0, 0], "{report:?}");
        }
        assert_eq!(report.same_secret, SameSecret::Unknown);
        assert!(may_sign_in(&app, &door, "ada@example.org", STAPLE).await);
        assert!(app.doorward.app_visit(&application, TOKEN).await.unwrap().is_some());
        for (table, name) in [("usr", "app_people"), ("user", "nothing")] {
            let wishes = ImportWishes { tables: vec![named(table, name)], ..ImportWishes::default() };
            let from = Foreign::open(&app.place).await.unwrap();
            let refused = app.doorward.import_better_auth(&application, &from, &wishes).await;
            assert!(refused.is_err_and(|error| error.to_string().contains("--table")));
        }
    })
    .await;
}
