//! Hostile text and damaged rows.

use doorward_domain::user::{Realm, User};
use doorward_store::testing::each_engine;
use doorward_store::{Error, Query, Store, UserFilter, sql};
use serde_json::json;

use crate::{
    NOW, add_application, add_session, add_user, application, digest, family, id, later, user, write,
};

/// Text that breaks out of something somewhere.
const HOSTILE: [&str; 9] = [
    "'; DROP TABLE users; --",
    "\" OR 1=1 --",
    "$1 $2 ${x} %s {0}",
    "\\'\\\"\\x00\\u0000",
    "\u{202e}evil\u{feff}\u{200b}",
    "a\r\nSet-Cookie: x=1\t",
    "\u{10ffff}😀\u{fffe}",
    "<script>alert(1)</script>",
    "{\"a\": [1",
];

#[tokio::test]
async fn hostile_text_comes_back_as_it_went_in() {
    each_engine(async |store| {
        for (n, text) in HOSTILE.into_iter().enumerate() {
            let mut hostile = user(&format!("{n}{text}"));
            hostile.name = text.to_owned();
            hostile.attributes.insert(text.to_owned(), json!([text]));
            hostile.locale = Some(text.to_owned());
            hostile.number = write(&store, async |tx| tx.add_user(&hostile).await)
                .await
                .unwrap();
            let conn = store.read();
            assert_eq!(
                conn.user(hostile.id).await.unwrap(),
                Some(hostile.clone()),
                "{text:?}"
            );
            assert_eq!(
                conn.user_by_username(Realm::Shared, &hostile.username)
                    .await
                    .unwrap(),
                Some(hostile.clone()),
                "{text:?}"
            );
            let filter = UserFilter {
                search: Some(text.to_owned()),
                limit: 10,
                ..UserFilter::default()
            };
            let found = conn.list_users(&filter).await.unwrap();
            assert!(found.iter().any(|user| user.id == hostile.id), "{text:?}");

            let mut app = application(&format!("a{n}"));
            app.description = text.to_owned();
            app.client.as_mut().unwrap().redirect_uris = vec![text.to_owned()];
            write(&store, async |tx| tx.add_application(&app).await)
                .await
                .unwrap();
            assert_eq!(conn.application(app.id).await.unwrap(), Some(app), "{text:?}");
        }
        assert_eq!(store.read().count_users().await.unwrap(), 9);
    })
    .await;
}

#[tokio::test]
async fn a_nul_character_is_refused_in_reads_and_writes_and_leaves_nothing() {
    each_engine(async |store| {
        let nul = "a\0b";
        let refused = |error: Error| assert!(matches!(error, Error::Unstorable { .. }), "{error:?}");
        let conn = store.read();
        refused(conn.user_by_username(Realm::Shared, nul).await.unwrap_err());
        refused(conn.user_for_sign_in(Realm::Shared, nul).await.unwrap_err());
        refused(conn.application_by_slug(nul, false).await.unwrap_err());
        refused(conn.event_by_code(nul).await.unwrap_err());
        refused(conn.jti_state(nul, None).await.unwrap_err());
        refused(conn.failures(&[nul.to_owned()]).await.unwrap_err());
        refused(
            conn.list_users(&UserFilter {
                search: Some(nul.into()),
                ..UserFilter::default()
            })
            .await
            .unwrap_err(),
        );
        refused(conn.device_by_user_code(nul, NOW).await.unwrap_err());
        let named = user(nul);
        refused(
            write(&store, async |tx| tx.add_user(&named).await)
                .await
                .unwrap_err(),
        );
        let mut deep = user("deep");
        deep.attributes.insert("x".into(), json!({ "y": [{ nul: 1 }] }));
        refused(
            write(&store, async |tx| tx.add_user(&deep).await)
                .await
                .unwrap_err(),
        );
        let mut app = application("app");
        app.client.as_mut().unwrap().redirect_uris.push(nul.into());
        refused(
            write(&store, async |tx| tx.add_application(&app).await)
                .await
                .unwrap_err(),
        );
        assert_eq!(conn.count_users().await.unwrap(), 0);
        assert_eq!(conn.applications(true).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_megabyte_is_stored_where_it_may_and_refused_where_an_index_would_have_to_carry_it() {
    each_engine(async |store| {
        // Not compressible, so that PostgreSQL cannot squeeze it into an index.
        let mut state: u32 = 1;
        let long: String = (0..1_000_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                char::from(b'a' + u8::try_from(state >> 24).unwrap() % 26)
            })
            .collect();
        let mut big = user("big");
        big.name.clone_from(&long);
        big.attributes.insert("x".into(), json!(long));
        big.number = write(&store, async |tx| tx.add_user(&big).await).await.unwrap();
        let conn = store.read();
        assert!(conn.user(big.id).await.unwrap() == Some(big));
        assert_eq!(conn.user_by_username(Realm::Shared, &long).await.unwrap(), None);
        assert_eq!(conn.user_for_sign_in(Realm::Shared, &long).await.unwrap(), None);
        assert_eq!(conn.event_by_code(&long).await.unwrap(), None);
        let filter = UserFilter {
            search: Some(long.clone()),
            limit: 1,
            ..UserFilter::default()
        };
        assert_eq!(conn.list_users(&filter).await.unwrap().len(), 1);
        for bad in [
            User {
                username: long.clone(),
                ..user("a")
            },
            User {
                email: Some(long.clone()),
                ..user("b")
            },
            User {
                uid: long.clone(),
                ..user("c")
            },
        ] {
            let error = write(&store, async |tx| tx.add_user(&bad).await)
                .await
                .unwrap_err();
            assert!(
                !error.to_string().contains(&long[..50]),
                "the value is in the error"
            );
        }
        assert_eq!(conn.count_users().await.unwrap(), 1);
        let app = add_application(&store, "app").await;
        let pushed = digest();
        write(&store, async |tx| {
            tx.add_pushed(&pushed, app.id, &long, later(1)).await
        })
        .await
        .unwrap();
        assert!(conn.find_pushed(&pushed, NOW).await.unwrap().unwrap().1 == long);
    })
    .await;
}

/// Damages rows behind the back of the resource methods.
async fn damage(store: &Store, query: Query) {
    let rows = write(store, async |tx| tx.run(query).await).await.unwrap();
    assert_eq!(rows, 1);
}

/// The error names table, column and row, and does not show the value.
fn assert_corrupt(error: &Error, table: &str, column: &str, row: &str) {
    let Error::Corrupt {
        table: t,
        column: c,
        problem,
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!((t.as_str(), c.as_str()), (table, column), "{problem}");
    assert!(problem.contains(row), "{problem}");
    assert!(!error.to_string().contains("poison"), "{error}");
}

#[tokio::test]
async fn a_damaged_row_is_an_error_that_names_it() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let (session, cookie) = add_session(&store, alice.id).await;
        let app = add_application(&store, "app").await;
        let family = crate::add_family(&store, family(app.id, Some(alice.id), None)).await;
        let (conn, poison) = (store.read(), json!({ "poison": 1 }));
        let alice_id = alice.id.to_string();

        damage(&store, sql("UPDATE sessions SET amr = $1").bind(&poison)).await;
        let error = conn.session_by_digest(&cookie).await.unwrap_err();
        assert_corrupt(&error, "sessions", "amr", &session.id.to_string());

        damage(
            &store,
            sql("UPDATE users SET attributes = $1").bind(json!(["poison"])),
        )
        .await;
        for error in [
            conn.user(alice.id).await.unwrap_err(),
            conn.user_for_sign_in(Realm::Shared, "alice").await.unwrap_err(),
            conn.family_with_person(family.id).await.unwrap_err(),
            conn.list_users(&UserFilter {
                limit: 5,
                ..UserFilter::default()
            })
            .await
            .unwrap_err(),
        ] {
            assert_corrupt(&error, "users", "attributes", &alice_id);
        }

        damage(&store, sql("UPDATE families SET scopes = $1").bind(&poison)).await;
        let error = conn.family(family.id).await.unwrap_err();
        assert_corrupt(&error, "families", "scopes", &family.id.to_string());

        damage(&store, sql("UPDATE applications SET client = $1").bind(&poison)).await;
        let error = conn.applications(true).await.unwrap_err();
        assert_corrupt(&error, "applications", "client", &app.id.to_string());

        let group = crate::add_group(&store, "g").await;
        write(&store, async |tx| tx.add_member(alice.id, group.id, NOW).await)
            .await
            .unwrap();
        damage(&store, sql("UPDATE groups SET id_text = 'poison'")).await;
        let error = conn.user_with_groups(alice.id).await.unwrap_err();
        assert_corrupt(&error, "memberships", "group_ids", &alice_id);
        damage(
            &store,
            sql("UPDATE groups SET attributes = $1").bind(json!("poison")),
        )
        .await;
        let error = conn.groups(true).await.unwrap_err();
        assert_corrupt(&error, "groups", "attributes", &group.id.to_string());

        let event: doorward_domain::EventId = id();
        let insert =
            sql("INSERT INTO events(id, at, kind, code, details) VALUES ($1, 1, 'poison', 'DW-1', $2)");
        damage(&store, insert.bind(event).bind(json!({}))).await;
        let error = conn.event_by_code("DW-1").await.unwrap_err();
        assert_corrupt(&error, "events", "kind", &event.to_string());
    })
    .await;
}

#[tokio::test]
async fn digests_of_another_length_are_damage_too() {
    each_engine(async |store| {
        let app = add_application(&store, "app").await;
        let secret: doorward_domain::SecretId = id();
        let insert = sql(
            "INSERT INTO client_secrets(id, application_id, digest, hint, created_at) \
             VALUES ($1, $2, $3, 'x', 1)",
        );
        damage(&store, insert.bind(secret).bind(app.id).bind(vec![1_u8, 2])).await;
        let error = store.read().application(app.id).await.unwrap_err();
        assert_corrupt(&error, "client_secrets", "digest", &secret.to_string());
    })
    .await;
}
