//! Taking over from the service before.

use doorward_core::Origin;
use doorward_core::token_api::import::Counted;
use doorward_crypto::shared::SharedKey;
use doorward_domain::token_api::Credentials;
use doorward_store::Foreign;
use doorward_testkit::{App, each_app_with};
use serde_json::{Map, Value, json};

use super::{SECRET, on, settings};

/// "correct horse", hashed with bcrypt at cost 4.
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";
const ADA: &str = "11111111-1111-4111-8111-111111111111";
const BOB: &str = "22222222-2222-4222-8222-222222222222";
const ROOT: &str = "33333333-3333-4333-8333-333333333333";
const SESSION: &str = "44444444-4444-4444-8444-444444444444";

fn row(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(row) => row,
        other => panic!("not a row: {other}"),
    }
}

fn user(id: &str, email: &str) -> Map<String, Value> {
    row(json!({
        "id": id, "email": email, "password_hash": BCRYPT, "display_name": "Ada", "avatar_url": "https://a.example/a.png",
        "is_active": true, "is_admin": id == ROOT, "locale": "de", "timezone": "Europe/Berlin", "meta": { "team": "blue" },
        "created_at": "2025-01-02T03:04:05.678+00:00", "updated_at": "2025-01-02T03:04:05.678+00:00",
    }))
}

async fn login(app: &App, email: &str) -> bool {
    let credentials = Credentials {
        email: email.into(),
        password: "correct horse".into(),
    };
    app.doorward
        .token_login(&credentials, &Origin::default())
        .await
        .is_ok()
}

fn counted(read: u64, imported: u64, present: u64, skipped: u64) -> Counted {
    Counted {
        read,
        imported,
        present,
        skipped,
    }
}

#[test]
fn the_hash_of_these_stories_is_one_of_bcrypt() {
    assert!(doorward_crypto::password::is_readable(BCRYPT));
    assert!(doorward_crypto::password::verify(BCRYPT, "correct horse").is_match());
}

#[tokio::test]
async fn every_row_is_counted_once_and_the_second_run_changes_nothing() {
    each_app_with(on, async |app| {
        app.person("taken").await;
        let soon = app.now().plus(doorward_domain::Lifetime::from_days(1)).to_string();
        let past = "2025-01-02T03:04:05Z";
        for run in 0..3 {
            // The first time nothing is written.
            let dry_run = run == 0;
            let mut import = app.doorward.begin_import(dry_run);
            for row in [
                user(ADA, "Ada@Example.org"),
                user(BOB, "bob@example.org"),
                user(ROOT, "boss@example.org"),
                user("55555555-5555-4555-8555-555555555555", "taken@example.org"),
                user("66666666-6666-4666-8666-666666666666", "nobody"),
                user("7", "seven@example.org"),
            ] {
                import.user(&row).await.unwrap();
            }
            for (who, role) in [(ADA, "user"), (ADA, "agent-system"), (ADA, "chief"), ("x", "user")] {
                import.role(&row(json!({ "user_id": who, "role_id": role }))).await.unwrap();
            }
            for (id, who, expires, revoked) in [
                (SESSION, ADA, soon.as_str(), None),
                ("88888888-8888-4888-8888-888888888888", ADA, soon.as_str(), Some(past)),
                ("99999999-9999-4999-8999-999999999999", ADA, past, None),
                ("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "55555555-5555-4555-8555-555555555555", soon.as_str(), None),
            ] {
                let session = row(json!({
                    "id": id, "user_id": who, "user_agent": "curl", "ip_address": "192.0.2.1", "created_at": past,
                    "expires_at": expires, "revoked_at": revoked, "meta": {},
                }));
                import.session(&session).await.unwrap();
            }
            for (who, name) in [(ADA, "@daarion_1a2b3c4d:example.org"), (BOB, "@daarion_1a2b3c4d:example.org")] {
                let account = row(json!({ "user_id": who, "matrix_user_id": name, "status": "active" }));
                import.matrix(&account).await.unwrap();
            }
            let report = import.report();
            let (users, roles, sessions, matrix) = match run {
                // A dry run does not see that a name is given twice.
                0 => (counted(6, 3, 0, 3), counted(4, 2, 0, 2), counted(4, 1, 0, 3), counted(2, 2, 0, 0)),
                1 => (counted(6, 3, 0, 3), counted(4, 2, 0, 2), counted(4, 1, 0, 3), counted(2, 1, 0, 1)),
                _ => (counted(6, 0, 3, 3), counted(4, 1, 1, 2), counted(4, 0, 1, 3), counted(2, 0, 1, 1)),
            };
            assert_eq!(report.users, users, "run {run}: {report:?}");
            assert_eq!(report.roles, roles, "run {run}: {report:?}");
            assert_eq!(report.sessions, sessions, "run {run}: {report:?}");
            assert_eq!(report.matrix, matrix, "run {run}: {report:?}");
            let count = app.store().read().count_users().await.unwrap();
            assert_eq!(count, if dry_run { 1 } else { 4 });
        }
        let ada = app.doorward.find_user("ada@example.org").await.unwrap();
        assert_eq!(ada.id.to_string(), ADA, "the id stays");
        assert_eq!(ada.created_at.to_string(), "2025-01-02T03:04:05.678Z");
        assert_eq!(ada.attributes["timezone"], "Europe/Berlin");
        assert_eq!(ada.attributes["team"], "blue");
        let view = app.doorward.user_view(ada).await.unwrap();
        assert_eq!(view.groups, ["agent-system"]);
        let boss = app.doorward.find_user("boss@example.org").await.unwrap();
        let view = app.doorward.user_view(boss).await.unwrap();
        assert_eq!((view.groups.as_slice(), view.superuser), (&["admin".to_owned()][..], false));
        assert!(login(&app, "ada@example.org").await);
        // An old refresh token of an old session.
        let now = app.now().seconds();
        let claims = json!({
            "sub": ADA, "session_id": SESSION, "type": "refresh", "iss": "daarion-auth", "iat": now, "exp": now + 80_000,
        });
        let token = SharedKey::new(SECRET).sign(claims.to_string().as_bytes());
        let pair = app.doorward.token_refresh(&token, &Origin::default()).await.unwrap();
        let me = app.doorward.token_me(pair["access_token"].as_str()).await.unwrap();
        assert_eq!(me["matrix_user_id"], "@daarion_1a2b3c4d:example.org");
        assert_eq!(me["avatar_url"], "https://a.example/a.png");
    })
    .await;
}

#[tokio::test]
async fn hashes_are_replaced_at_the_first_sign_in_unless_they_are_to_be_kept() {
    for keep in [false, true] {
        let change = |options: &mut doorward_core::Options| {
            let mut api = settings();
            api.keep_bcrypt = keep;
            options.token_api = Some(std::sync::Arc::new(api));
        };
        each_app_with(change, async |app| {
            let mut import = app.doorward.begin_import(false);
            import.user(&user(ADA, "ada@example.org")).await.unwrap();
            let hash = async || {
                let read = app.store().read();
                read.password_hash(ADA.parse().unwrap()).await.unwrap().unwrap()
            };
            assert!(login(&app, "ada@example.org").await);
            assert_eq!(hash().await.starts_with("$2b$"), keep);
            assert!(login(&app, "ada@example.org").await);
            // The sign-in page keeps it too.
            app.browser()
                .sign_in("ada@example.org", "correct horse")
                .await
                .unwrap();
            assert_eq!(hash().await.starts_with("$2b$"), keep);
        })
        .await;
    }
}

#[tokio::test]
async fn an_import_makes_nobody_an_administrator_of_doorward() {
    each_app_with(on, async |app| {
        let powerful = doorward_core::admin::groups::GroupChange {
            superuser: Some(true),
            ..Default::default()
        };
        app.doorward.create_group("admin", &powerful).await.unwrap();
        let mut import = app.doorward.begin_import(false);
        import.user(&user(ROOT, "boss@example.org")).await.unwrap();
        let role = row(json!({ "user_id": ROOT, "role_id": "admin" }));
        import.role(&role).await.unwrap();
        let report = import.report();
        assert_eq!(report.roles, counted(1, 0, 0, 1));
        assert!(
            report
                .notes
                .iter()
                .any(|note| note.what.contains("administers Doorward")),
            "{report:?}"
        );
        let boss = app.doorward.find_user("boss@example.org").await.unwrap();
        assert!(!app.doorward.user_view(boss).await.unwrap().superuser);
    })
    .await;
}

#[tokio::test]
async fn odd_rows_lose_what_is_odd_and_keep_the_person() {
    each_app_with(on, async |app| {
        let mut odd = user(ADA, "o'neil@example.org");
        odd.insert("password_hash".into(), json!("md5$123"));
        odd.insert("display_name".into(), json!("\u{1b}[31m\u{7}"));
        odd.insert("locale".into(), json!("not a locale"));
        odd.insert("meta".into(), json!({ "x": "y".repeat(70_000) }));
        let mut bare = row(json!({ "id": BOB, "email": "bob@example.org" }));
        bare.insert("matrix_user_id".into(), json!("@bob:example.org"));
        let mut import = app.doorward.begin_import(false);
        import.user(&odd).await.unwrap();
        import.user(&bare).await.unwrap();
        let report = import.report();
        assert_eq!(
            (report.users, report.matrix),
            (counted(2, 2, 0, 0), counted(1, 1, 0, 0))
        );
        assert!(
            report
                .notes
                .iter()
                .any(|note| note.what.contains("without a password"))
        );
        assert!(report.notes.iter().any(|note| note.what.contains("without meta")));
        let ada = app.doorward.find_user("o'neil@example.org").await.unwrap();
        assert!(ada.username.starts_with("u-") && ada.name == "[31m" && ada.locale.is_none());
        let bob = app
            .store()
            .read()
            .matrix_account(BOB.parse().unwrap())
            .await
            .unwrap();
        assert_eq!(bob.unwrap().localpart, "bob");
    })
    .await;
}

/// With real tables of the old service, in the database of PostgreSQL that Doorward itself uses.
#[tokio::test]
async fn a_real_database_is_read_without_being_touched() {
    each_app_with(on, async |app| {
        if app.store().engine_name() == "sqlite" {
            let from = Foreign::open(&app.place).await.unwrap();
            let refused = app.doorward.import_auth_users(&from, false).await;
            assert!(refused.is_err_and(|error| error.to_string().contains("no table auth_users")));
            return;
        }
        app.make_old_tables(1200).await;
        let from = Foreign::open(&app.place).await.unwrap();
        let report = app.doorward.import_auth_users(&from, false).await.unwrap();
        assert_eq!(report.users, counted(1200, 1200, 0, 0));
        assert_eq!(report.roles, counted(1200, 1200, 0, 0));
        assert_eq!(report.sessions, counted(10, 10, 0, 0));
        assert_eq!(report.matrix, counted(0, 0, 0, 0));
        // The old tables stand in the way of views with their names, and are left alone.
        let refused = app.store().make_old_views().await.unwrap_err();
        assert!(refused.to_string().contains("renamed first"), "{refused}");
        assert_eq!(app.store().read_old_views().await.unwrap(), 1200);
    })
    .await;
}
