//! Nobody can lose the last administrator, whichever way it is tried.

use doorward_core::admin::groups::GroupChange;
use doorward_core::admin::users::{NewUser, UserChange};
use doorward_core::error::Error;
use doorward_core::links::ADMINISTRATORS;
use doorward_domain::Reason;
use doorward_domain::user::UserKind;
use doorward_testkit::{PASSWORD, each_app};

use crate::{invalid, reason};

#[tokio::test]
async fn no_change_takes_the_last_administrator_away() {
    each_app(async |app| {
        let root = app.administrator("root").await;
        let door = &app.doorward;
        let group = door.find_group(ADMINISTRATORS).await.unwrap();
        let before = app.rows().await;

        let off = UserChange {
            active: Some(false),
            ..UserChange::default()
        };
        let service = UserChange {
            kind: Some(UserKind::Service),
            ..UserChange::default()
        };
        let plain = GroupChange {
            superuser: Some(false),
            ..GroupChange::default()
        };
        let last = Reason::LastAdministrator;
        assert_eq!(reason(door.delete_user(root.id).await), last);
        assert_eq!(reason(door.update_user(root.id, &off).await), last);
        assert_eq!(reason(door.update_user(root.id, &service).await), last);
        assert_eq!(reason(door.remove_member(root.id, group.id).await), last);
        assert_eq!(reason(door.update_group(group.id, &plain).await), last);
        assert_eq!(reason(door.delete_group(group.id).await), last);
        assert_eq!(app.rows().await, before, "a refused change leaves nothing behind");
        app.sign_in("root").await;
    })
    .await;
}

#[tokio::test]
async fn an_administrator_by_a_parent_group_counts_and_is_guarded() {
    each_app(async |app| {
        let door = &app.doorward;
        let top = GroupChange {
            superuser: Some(true),
            ..GroupChange::default()
        };
        let top = door.create_group("top", &top).await.unwrap();
        let below = GroupChange {
            parents: Some(vec!["top".into()]),
            ..GroupChange::default()
        };
        let team = door.create_group("team", &below).await.unwrap();
        let root = app.person("root").await;
        door.add_member(root.id, team.id).await.unwrap();
        let view = door.user_view(root.clone()).await.unwrap();
        assert!(view.superuser);

        let orphan = GroupChange {
            parents: Some(Vec::new()),
            ..GroupChange::default()
        };
        let last = Reason::LastAdministrator;
        assert_eq!(reason(door.update_group(team.id, &orphan).await), last);
        assert_eq!(reason(door.delete_group(top.id).await), last);
        assert_eq!(reason(door.delete_group(team.id).await), last);
        // With a second one everything goes.
        app.administrator("second").await;
        door.update_group(team.id, &orphan).await.unwrap();
        door.delete_group(top.id).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_administrators_who_remove_each_other_at_once_do_not_both_succeed() {
    each_app(async |app| {
        let mut left = app.administrator("first").await;
        for round in 0..20 {
            let right = app.administrator(&format!("other{round}")).await;
            let [one, other] = [left.id, right.id].map(|id| {
                let door = app.doorward.clone();
                tokio::spawn(async move { door.delete_user(id).await.is_ok() })
            });
            let (one, other) = (one.await.unwrap(), other.await.unwrap());
            assert!(one != other, "round {round}: {one} and {other}");
            if one {
                left = right;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn one_persons_user_name_is_never_anothers_address() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let bob = app.person("bob").await;
        let steal = NewUser {
            username: "alice@example.org".into(),
            ..NewUser::default()
        };
        let told = invalid(app.doorward.create_user(&steal, Some(PASSWORD)).await);
        assert!(told.contains("is the e-mail address of `alice`"), "{told}");
        let steal = UserChange {
            username: Some("ALICE@example.org".into()),
            ..UserChange::default()
        };
        let told = invalid(app.doorward.update_user(bob.id, &steal).await);
        assert!(told.contains("is the e-mail address of `alice`"), "{told}");
        // One's own address as user name is fine.
        app.doorward.update_user(alice.id, &steal).await.unwrap();
        // Taken while somebody is in the bin: restoring says so.
        app.doorward.delete_user(alice.id).await.unwrap();
        let take = UserChange {
            email: Some(Some("alice@example.org".into())),
            ..UserChange::default()
        };
        app.doorward.update_user(bob.id, &take).await.unwrap();
        let told = invalid(app.doorward.restore_user(alice.id).await);
        assert!(told.contains("alice@example.org"), "{told}");
    })
    .await;
}

#[tokio::test]
async fn what_is_taken_is_named() {
    each_app(async |app| {
        app.person("alice").await;
        let again = |change: fn(&mut NewUser)| {
            let mut new = NewUser {
                username: "other".into(),
                ..NewUser::default()
            };
            change(&mut new);
            new
        };
        for (new, told) in [
            (
                again(|new| new.username = "ALICE".into()),
                "username `ALICE` is taken",
            ),
            (
                again(|new| new.email = Some("Alice@Example.org".into())),
                "email `Alice@Example.org` belongs to another user",
            ),
        ] {
            assert_eq!(invalid(app.doorward.create_user(&new, None).await), told);
        }
        app.group("team").await;
        let told = invalid(app.doorward.create_group("TEAM", &GroupChange::default()).await);
        assert_eq!(told, "a group named `TEAM` exists already");
        let client = app.oidc_client("grafana", |_| {}).await;
        let plain = doorward_core::admin::applications::ApplicationChange::default();
        let told = invalid(app.doorward.create_application("grafana", &plain).await);
        assert_eq!(told, "slug `grafana` is taken");
        let mut same_id = plain.clone();
        same_id.client.client_id = Some(client.id.clone());
        let told = invalid(app.doorward.create_application("other", &same_id).await);
        assert_eq!(told, format!("client_id `{}` is taken", client.id));
    })
    .await;
}

#[tokio::test]
async fn a_changed_address_is_not_verified_any_more() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        assert!(alice.email_verified_at.is_some());
        let change = UserChange {
            email: Some(Some("new@example.org".into())),
            ..UserChange::default()
        };
        let alice = app.doorward.update_user(alice.id, &change).await.unwrap();
        assert_eq!(alice.email_verified_at, None);
    })
    .await;
}

#[tokio::test]
async fn parents_never_close_a_circle() {
    each_app(async |app| {
        let door = &app.doorward;
        let [one, two] = [app.group("one").await, app.group("two").await];
        let below = |name: &str| GroupChange {
            parents: Some(vec![name.to_owned()]),
            ..GroupChange::default()
        };
        door.update_group(two.id, &below("one")).await.unwrap();
        invalid(door.update_group(one.id, &below("two")).await);
        invalid(door.update_group(one.id, &below("one")).await);
        let missing = door.update_group(one.id, &below("twoo")).await;
        assert!(matches!(missing, Err(Error::NotFound(text)) if text.contains("did you mean `two`")));
    })
    .await;
}
