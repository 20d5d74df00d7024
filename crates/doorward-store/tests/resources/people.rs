//! Users, passwords, groups, memberships.

use doorward_domain::group::GroupTree;
use doorward_domain::user::{Realm, User, UserKind};
use doorward_domain::{GroupId, UserId};
use doorward_store::testing::each_engine;
use doorward_store::{Error, Store, UserFilter, conflict_field, count_queries, sql};
use serde_json::json;

use crate::{
    NOW, add_application, add_family, add_group, add_session, add_user, family, group, later, user, write,
};

async fn page(store: &Store, filter: UserFilter) -> Vec<User> {
    store.read().list_users(&filter).await.unwrap()
}

fn usernames(users: &[User]) -> Vec<&str> {
    users.iter().map(|user| user.username.as_str()).collect()
}

#[tokio::test]
async fn a_user_comes_back_as_it_went_in_by_every_way() {
    each_engine(async |store| {
        let alice = add_user(&store, "Alice").await;
        let mut bare = user("bare");
        (bare.email, bare.email_verified_at, bare.locale) = (None, None, None);
        bare.attributes = serde_json::Map::new();
        bare.kind = UserKind::Service;
        bare.active = false;
        bare.number = write(&store, async |tx| tx.add_user(&bare).await).await.unwrap();
        let conn = store.read();
        for expected in [&alice, &bare] {
            assert_eq!(conn.user(expected.id).await.unwrap().as_ref(), Some(expected));
            assert_eq!(
                conn.user_by_username(Realm::Shared, &expected.username)
                    .await
                    .unwrap()
                    .as_ref(),
                Some(expected)
            );
            assert_eq!(
                conn.user_with_groups(expected.id).await.unwrap(),
                Some((expected.clone(), Vec::new()))
            );
        }
        assert_eq!(
            conn.user_by_email(Realm::Shared, " ALICE@example.ORG ")
                .await
                .unwrap(),
            Some(alice)
        );
        assert_eq!(conn.user_by_email(Realm::Shared, "").await.unwrap(), None);
        assert_eq!(conn.user(crate::id()).await.unwrap(), None);
        assert_eq!(conn.count_users().await.unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn saving_a_user_changes_what_may_change_and_nothing_else() {
    each_engine(async |store| {
        let before = add_user(&store, "alice").await;
        write(&store, async |tx| tx.touch_sign_in(before.id, later(5)).await)
            .await
            .unwrap();
        let mut after = User {
            username: "Alicia".into(),
            name: "Alicia B".into(),
            ..before.clone()
        };
        after.email = None;
        after.email_verified_at = None;
        after.kind = UserKind::External;
        after.attributes = json!({ "x": [1, null, "ü"] }).as_object().unwrap().clone();
        after.active = false;
        after.locale = None;
        after.updated_at = later(6);
        let sent = User {
            number: 99,
            uid: "other".into(),
            deleted_at: Some(NOW),
            ..after.clone()
        };
        write(&store, async |tx| tx.save_user(&sent).await).await.unwrap();
        let expected = User {
            last_sign_in_at: Some(later(5)),
            ..after
        };
        assert_eq!(store.read().user(before.id).await.unwrap(), Some(expected));
        assert_eq!(
            store
                .read()
                .user_by_username(Realm::Shared, "alice")
                .await
                .unwrap(),
            None
        );
        assert_eq!(
            store
                .read()
                .user_by_email(Realm::Shared, "alice@example.org")
                .await
                .unwrap(),
            None
        );
        let nobody = user("nobody");
        let error = write(&store, async |tx| tx.save_user(&nobody).await)
            .await
            .unwrap_err();
        assert_eq!(error, Error::Stale);
    })
    .await;
}

#[tokio::test]
async fn names_are_unique_without_regard_to_case_and_the_error_names_the_field() {
    each_engine(async |store| {
        let anna = add_user(&store, "Ärger").await;
        let other = add_user(&store, "other").await;
        for (change, field) in [
            (
                User {
                    username: "äRGER".into(),
                    ..user("a1")
                },
                "username",
            ),
            (
                User {
                    email: Some("ÄRGER@EXAMPLE.org".into()),
                    ..user("a2")
                },
                "email",
            ),
            (
                User {
                    uid: anna.uid.clone(),
                    ..user("a3")
                },
                "uid",
            ),
            (
                User {
                    number: anna.number,
                    ..user("a4")
                },
                "number",
            ),
        ] {
            let error = write(&store, async |tx| tx.add_user(&change).await)
                .await
                .unwrap_err();
            assert_eq!(conflict_field(&error), Some(field), "{error:?}");
        }
        for (change, field) in [
            (
                User {
                    username: "ÄRGER".into(),
                    ..other.clone()
                },
                "username",
            ),
            (
                User {
                    email: Some("ärger@example.org".into()),
                    ..other.clone()
                },
                "email",
            ),
        ] {
            let error = write(&store, async |tx| tx.save_user(&change).await)
                .await
                .unwrap_err();
            assert_eq!(conflict_field(&error), Some(field), "{error:?}");
        }
        let same_id = User {
            id: anna.id,
            ..user("a5")
        };
        let error = write(&store, async |tx| tx.add_user(&same_id).await)
            .await
            .unwrap_err();
        assert!(error.is_conflict_on("users", "pkey"), "{error:?}");
        assert_eq!(
            store
                .read()
                .user_by_username(Realm::Shared, "ÄrgeR")
                .await
                .unwrap(),
            Some(anna)
        );
        assert_eq!(store.read().count_users().await.unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn case_is_folded_beyond_ascii() {
    each_engine(async |store| {
        for (stored, typed) in [
            ("ΟΔΟΣ", "οδος"),
            ("ЖЁЛТЫЙ", "жёлтый"),
            ("İstanbul", "i̇stanbul"),
            ("Đức", "đỨC"),
        ] {
            let stored = add_user(&store, stored).await;
            assert_eq!(
                store
                    .read()
                    .user_by_username(Realm::Shared, typed)
                    .await
                    .unwrap()
                    .map(|u| u.id),
                Some(stored.id),
                "{typed}"
            );
        }
        // Not folded: what only looks alike, or is alike only in some languages.
        add_user(&store, "straße").await;
        assert_eq!(
            store
                .read()
                .user_by_username(Realm::Shared, "strasse")
                .await
                .unwrap(),
            None
        );
    })
    .await;
}

#[tokio::test]
async fn signing_in_takes_one_query_and_finds_user_name_before_address() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let clash = User {
            username: "alice@example.org".into(),
            email: None,
            ..user("x")
        };
        let clash_number = write(&store, async |tx| tx.add_user(&clash).await).await.unwrap();
        write(&store, async |tx| {
            tx.set_password(alice.id, "$argon2id$one", NOW).await
        })
        .await
        .unwrap();
        let conn = store.read();
        let (found, queries) = count_queries(conn.user_for_sign_in(Realm::Shared, " Alice ")).await;
        assert_eq!(
            found.unwrap(),
            Some((alice.clone(), Some("$argon2id$one".to_owned())))
        );
        assert_eq!(queries, 1);
        let found = conn
            .user_for_sign_in(Realm::Shared, "ALICE@example.org")
            .await
            .unwrap();
        assert_eq!(
            found,
            Some((
                User {
                    number: clash_number,
                    ..clash.clone()
                },
                None
            ))
        );
        write(&store, async |tx| tx.delete_user(clash.id, NOW).await)
            .await
            .unwrap();
        let found = conn
            .user_for_sign_in(Realm::Shared, "ALICE@example.org")
            .await
            .unwrap();
        assert_eq!(found.map(|(user, _)| user.id), Some(alice.id));
        let (found, queries) = count_queries(conn.user_for_sign_in(Realm::Shared, "nobody")).await;
        assert_eq!((found.unwrap(), queries), (None, 1));
        // An inactive user is found: the rules refuse, and count the failure.
        let off = User {
            active: false,
            ..alice.clone()
        };
        write(&store, async |tx| tx.save_user(&off).await).await.unwrap();
        assert_eq!(
            conn.user_for_sign_in(Realm::Shared, "alice")
                .await
                .unwrap()
                .map(|(user, _)| user.active),
            Some(false)
        );
    })
    .await;
}

#[tokio::test]
async fn a_password_is_replaced_and_belongs_to_somebody() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        assert_eq!(store.read().password_hash(alice.id).await.unwrap(), None);
        for hash in ["one", "two"] {
            write(&store, async |tx| tx.set_password(alice.id, hash, NOW).await)
                .await
                .unwrap();
        }
        assert_eq!(
            store.read().password_hash(alice.id).await.unwrap(),
            Some("two".to_owned())
        );
        let nobody: UserId = crate::id();
        let error = write(&store, async |tx| tx.set_password(nobody, "x", NOW).await)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Reference { .. }), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn users_are_numbered_without_gaps_and_imports_keep_theirs() {
    each_engine(async |store| {
        assert_eq!(add_user(&store, "a").await.number, 1);
        assert_eq!(add_user(&store, "b").await.number, 2);
        let imported = User {
            number: 40,
            ..user("c")
        };
        assert_eq!(
            write(&store, async |tx| tx.add_user(&imported).await)
                .await
                .unwrap(),
            40
        );
        let earlier = User {
            number: 7,
            ..user("d")
        };
        assert_eq!(
            write(&store, async |tx| tx.add_user(&earlier).await)
                .await
                .unwrap(),
            7
        );
        assert_eq!(add_user(&store, "e").await.number, 41);
        // A transaction that fails takes no number.
        let tx = store.begin().await.unwrap();
        tx.add_user(&user("f")).await.unwrap();
        drop(tx);
        assert_eq!(add_user(&store, "g").await.number, 42);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_added_at_once_get_a_number_each() {
    each_engine(async |store| {
        let numbers = crate::race(|| {
            let store = store.clone();
            async move {
                let user = user(&format!("u{}", crate::unique()));
                store
                    .retry(|tx| {
                        let user = user.clone();
                        Box::pin(async move { tx.add_user(&user).await })
                    })
                    .await
                    .unwrap()
            }
        })
        .await;
        let mut numbers: Vec<i64> = numbers;
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=50).collect::<Vec<i64>>());
    })
    .await;
}

#[tokio::test]
async fn the_bin_frees_the_name_and_gives_back_memberships() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let staff = add_group(&store, "staff").await;
        write(&store, async |tx| tx.add_member(alice.id, staff.id, NOW).await)
            .await
            .unwrap();
        assert!(
            write(&store, async |tx| tx.delete_user(alice.id, later(1)).await)
                .await
                .unwrap()
        );
        assert!(
            !write(&store, async |tx| tx.delete_user(alice.id, later(2)).await)
                .await
                .unwrap()
        );
        let conn = store.read();
        assert_eq!(
            conn.user(alice.id).await.unwrap().unwrap().deleted_at,
            Some(later(1))
        );
        assert_eq!(conn.user_by_username(Realm::Shared, "alice").await.unwrap(), None);
        assert_eq!(
            conn.user_by_email(Realm::Shared, "alice@example.org")
                .await
                .unwrap(),
            None
        );
        assert_eq!(conn.user_for_sign_in(Realm::Shared, "alice").await.unwrap(), None);
        assert_eq!(conn.members(staff.id, None, 10).await.unwrap(), []);
        assert_eq!(conn.members_of(&[staff.id], 10).await.unwrap(), []);
        assert_eq!(conn.count_users().await.unwrap(), 0);

        // The name is free, and while somebody else has it the first alice cannot come back.
        let second = add_user(&store, "ALICE").await;
        let error = write(&store, async |tx| tx.restore_user(alice.id, later(3)).await)
            .await
            .unwrap_err();
        assert!(
            matches!(conflict_field(&error), Some("username" | "email")),
            "{error:?}"
        );
        write(&store, async |tx| tx.delete_user(second.id, later(4)).await)
            .await
            .unwrap();
        assert!(
            write(&store, async |tx| tx.restore_user(alice.id, later(5)).await)
                .await
                .unwrap()
        );
        assert!(
            !write(&store, async |tx| tx.restore_user(alice.id, later(5)).await)
                .await
                .unwrap()
        );
        let back = User {
            updated_at: later(5),
            ..alice.clone()
        };
        assert_eq!(
            conn.user_with_groups(alice.id).await.unwrap(),
            Some((back.clone(), vec![staff.id]))
        );
        assert_eq!(conn.members(staff.id, None, 10).await.unwrap(), [back]);
    })
    .await;
}

#[tokio::test]
async fn purging_removes_what_is_long_in_the_bin_with_everything_of_theirs() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let bob = add_user(&store, "bob").await;
        let staff = add_group(&store, "staff").await;
        let app = add_application(&store, "grafana").await;
        let (session, _) = add_session(&store, alice.id).await;
        let family = add_family(&store, family(app.id, Some(alice.id), Some(session.id))).await;
        write(&store, async |tx| {
            tx.set_password(alice.id, "x", NOW).await?;
            tx.add_member(alice.id, staff.id, NOW).await?;
            tx.delete_user(alice.id, NOW).await?;
            tx.delete_user(bob.id, later(100)).await
        })
        .await
        .unwrap();
        let purge = async |at| write(&store, async |tx| tx.purge_users(at).await).await.unwrap();
        assert_eq!(purge(NOW).await, 0);
        assert_eq!(purge(later(50)).await, 1);
        let conn = store.read();
        assert_eq!(conn.user(alice.id).await.unwrap(), None);
        assert_eq!(conn.session(session.id).await.unwrap(), None);
        assert_eq!(conn.family(family.id).await.unwrap(), None);
        assert_eq!(conn.password_hash(alice.id).await.unwrap(), None);
        assert!(conn.user(bob.id).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn pages_of_users_have_no_gaps_and_no_doubles() {
    each_engine(async |store| {
        let mut expected = Vec::new();
        for n in 0..25 {
            let user = add_user(&store, &format!("user{n}")).await;
            if n % 5 == 4 {
                write(&store, async |tx| tx.delete_user(user.id, NOW).await)
                    .await
                    .unwrap();
            } else {
                expected.push(user.id);
            }
        }
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let users = page(
                &store,
                UserFilter {
                    after,
                    limit: 7,
                    ..UserFilter::default()
                },
            )
            .await;
            after = users.last().map(|user| user.id);
            if users.is_empty() {
                break;
            }
            assert!(users.len() <= 7);
            seen.extend(users.iter().map(|user| user.id));
        }
        assert_eq!(seen, expected);
        let all = UserFilter {
            include_deleted: true,
            limit: 1000,
            ..UserFilter::default()
        };
        assert_eq!(page(&store, all).await.len(), 25);
        // A limit of nothing gives one, not all.
        assert_eq!(page(&store, UserFilter::default()).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn searching_finds_text_and_not_wildcards() {
    each_engine(async |store| {
        for (username, name) in [
            ("alice", "Alice Über"),
            ("bob", "100% Bob"),
            ("carol", "Carol _x_"),
            ("dan", "D\\n"),
        ] {
            let user = User {
                name: name.into(),
                ..user(username)
            };
            write(&store, async |tx| tx.add_user(&user).await).await.unwrap();
        }
        for (search, expected) in [
            ("ALI", vec!["alice"]),
            ("über", vec!["alice"]),
            ("ÜBER", vec!["alice"]),
            ("%", vec!["bob"]),
            ("_", vec!["carol"]),
            ("\\", vec!["dan"]),
            ("bob@example", vec!["bob"]),
            ("'; DROP TABLE users; --", vec![]),
            ("", vec!["alice", "bob", "carol", "dan"]),
        ] {
            let filter = UserFilter {
                search: Some(search.into()),
                limit: 10,
                ..UserFilter::default()
            };
            assert_eq!(usernames(&page(&store, filter).await), expected, "{search}");
        }
    })
    .await;
}

#[tokio::test]
async fn groups_come_back_with_parents_and_saving_replaces_them() {
    each_engine(async |store| {
        let staff = add_group(&store, "Staff").await;
        let all = add_group(&store, "All").await;
        let mut team = group("Team");
        team.superuser = true;
        team.parents = vec![staff.id, all.id];
        write(&store, async |tx| tx.add_group(&team).await).await.unwrap();
        let (groups, queries) = count_queries(async { store.read().groups(false).await.unwrap() }).await;
        assert_eq!(groups, [staff.clone(), all.clone(), team.clone()]);
        assert_eq!(queries, 2);
        assert!(GroupTree::new(groups).effective([team.id]).contains(&all.id));

        team.parents = vec![all.id];
        team.name = "Team Ü".into();
        team.superuser = false;
        team.attributes = json!({}).as_object().unwrap().clone();
        team.updated_at = later(1);
        write(&store, async |tx| tx.save_group(&team).await)
            .await
            .unwrap();
        assert_eq!(
            store.read().groups(false).await.unwrap(),
            [staff.clone(), all, team.clone()]
        );

        let same = group("TEAM ü");
        let error = write(&store, async |tx| tx.add_group(&same).await)
            .await
            .unwrap_err();
        assert_eq!(conflict_field(&error), Some("name"), "{error:?}");
        let mut orphan = group("orphan");
        orphan.parents = vec![crate::id()];
        let error = write(&store, async |tx| tx.add_group(&orphan).await)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Reference { .. }), "{error:?}");
        assert_eq!(store.read().groups(true).await.unwrap().len(), 3);
        let error = write(&store, async |tx| tx.save_group(&orphan).await)
            .await
            .unwrap_err();
        assert_eq!(error, Error::Stale);
    })
    .await;
}

#[tokio::test]
async fn a_group_in_the_bin_gives_nobody_anything_until_it_is_restored() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let (_, cookie) = add_session(&store, alice.id).await;
        let staff = add_group(&store, "staff").await;
        let join = async || {
            write(&store, async |tx| tx.add_member(alice.id, staff.id, NOW).await)
                .await
                .unwrap()
        };
        assert!(join().await);
        assert!(!join().await);
        let conn = store.read();
        let groups = async || -> Vec<Vec<GroupId>> {
            vec![
                conn.group_ids_of(alice.id).await.unwrap(),
                conn.user_with_groups(alice.id).await.unwrap().unwrap().1,
                conn.session_by_digest(&cookie).await.unwrap().unwrap().2,
            ]
        };
        assert_eq!(groups().await, vec![vec![staff.id]; 3]);
        assert!(
            write(&store, async |tx| tx.delete_group(staff.id, later(1)).await)
                .await
                .unwrap()
        );
        assert_eq!(groups().await, vec![Vec::new(); 3]);
        assert_eq!(conn.groups(false).await.unwrap(), []);
        assert_eq!(conn.groups(true).await.unwrap().len(), 1);
        let second = add_group(&store, "STAFF").await;
        let error = write(&store, async |tx| tx.restore_group(staff.id, later(2)).await)
            .await
            .unwrap_err();
        assert_eq!(conflict_field(&error), Some("name"));
        write(&store, async |tx| tx.delete_group(second.id, NOW).await)
            .await
            .unwrap();
        assert!(
            write(&store, async |tx| tx.restore_group(staff.id, later(2)).await)
                .await
                .unwrap()
        );
        assert_eq!(groups().await, vec![vec![staff.id]; 3]);
        assert!(
            write(&store, async |tx| tx.remove_member(alice.id, staff.id).await)
                .await
                .unwrap()
        );
        assert!(
            !write(&store, async |tx| tx.remove_member(alice.id, staff.id).await)
                .await
                .unwrap()
        );
        assert_eq!(groups().await, vec![Vec::new(); 3]);
        assert_eq!(
            write(&store, async |tx| tx.purge_groups(later(1)).await)
                .await
                .unwrap(),
            1
        );
        assert_eq!(conn.groups(true).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn members_are_paged_and_the_last_administrator_can_be_counted() {
    each_engine(async |store| {
        let admins = add_group(&store, "admins").await;
        let others = add_group(&store, "others").await;
        let mut ids = Vec::new();
        for n in 0..12 {
            let mut user = user(&format!("u{n}"));
            user.active = n != 3;
            user.kind = if n == 4 {
                UserKind::Service
            } else {
                UserKind::Internal
            };
            write(&store, async |tx| {
                tx.add_user(&user).await?;
                tx.add_member(user.id, admins.id, NOW).await?;
                tx.add_member(user.id, others.id, NOW).await?;
                if n != 5 {
                    tx.set_password(user.id, "x", NOW).await?;
                }
                if n == 6 {
                    tx.delete_user(user.id, NOW).await?;
                }
                Ok(())
            })
            .await
            .unwrap();
            if n != 6 {
                ids.push(user.id);
            }
        }
        let conn = store.read();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let members = conn.members(admins.id, after, 5).await.unwrap();
            let Some(last) = members.last() else { break };
            after = Some(last.id);
            seen.extend(members.iter().map(|user| user.id));
        }
        assert_eq!(seen, ids);
        assert_eq!(conn.members_of(&[admins.id, others.id], 100).await.unwrap(), ids);
        assert_eq!(conn.members_of(&[admins.id], 2).await.unwrap(), ids[..2]);
        assert_eq!(conn.members_of(&[], 100).await.unwrap(), []);
        let (usable, queries) = count_queries(conn.usable_members(&[admins.id, others.id])).await;
        assert_eq!((usable.unwrap(), queries), (8, 1));
        assert_eq!(conn.usable_members(&[]).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_person_with_many_groups_is_one_query_and_one_row() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let mut ids = Vec::new();
        for n in 0..30 {
            let group = add_group(&store, &format!("g{n}")).await;
            write(&store, async |tx| tx.add_member(alice.id, group.id, NOW).await)
                .await
                .unwrap();
            ids.push(group.id);
        }
        let (found, queries) =
            count_queries(async { store.read().user_with_groups(alice.id).await.unwrap() }).await;
        let mut groups = found.unwrap().1;
        groups.sort_unstable();
        assert_eq!((groups, queries), (ids, 1));
        let rows = store
            .read()
            .all(sql("SELECT count(*) AS n FROM memberships"))
            .await
            .unwrap();
        assert_eq!(rows[0].get::<i64>("n").unwrap(), 30);
    })
    .await;
}
