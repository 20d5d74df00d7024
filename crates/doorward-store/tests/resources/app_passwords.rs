//! App passwords.

use doorward_domain::app_password::{AppPassword, Reach};
use doorward_domain::{Id, Timestamp, UserId};
use doorward_store::testing::each_engine;
use doorward_store::{Error, conflict_field};

use crate::{NOW, add_user, digest, id, later, write};

fn password(user: UserId, name: &str) -> AppPassword {
    AppPassword {
        id: id(),
        user_id: user,
        name: name.to_owned(),
        reach: Reach::EverySite,
        created_at: NOW,
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    }
}

#[tokio::test]
async fn one_comes_back_with_its_person_and_is_revoked_by_its_owner_only() {
    each_engine(async |store| {
        let (alice, bob) = (add_user(&store, "alice").await, add_user(&store, "bob").await);
        let everywhere = password(alice.id, "Phone calendar");
        let some = AppPassword {
            reach: Reach::Applications([id(), id()].into()),
            expires_at: Some(later(60)),
            ..password(alice.id, "Backup")
        };
        let none = AppPassword {
            reach: Reach::Applications([].into()),
            ..password(bob.id, "Phone calendar")
        };
        let digests = [digest(), digest(), digest()];
        write(&store, async |tx| {
            tx.add_app_password(&everywhere, &digests[0]).await?;
            tx.add_app_password(&some, &digests[1]).await?;
            tx.add_app_password(&none, &digests[2]).await
        })
        .await
        .unwrap();
        let conn = store.read();
        for (made, digest) in [&everywhere, &some, &none].into_iter().zip(&digests) {
            let (found, owner, groups) = conn.app_password_by_digest(digest).await.unwrap().unwrap();
            assert_eq!((&found, owner.id, groups.len()), (made, made.user_id, 0));
        }
        assert!(conn.app_password_by_digest(&digest()).await.unwrap().is_none());
        assert_eq!(
            conn.app_passwords_of(alice.id).await.unwrap(),
            [everywhere.clone(), some.clone()]
        );
        let same = AppPassword {
            name: "PHONE calendar".into(),
            ..password(alice.id, "")
        };
        let again = async || write(&store, async |tx| tx.add_app_password(&same, &digest()).await).await;
        let error = again().await.unwrap_err();
        assert_eq!(conflict_field(&error), Some("app_password_name"), "{error:?}");

        let revoke = async |user| {
            write(&store, async |tx| {
                tx.revoke_app_password(user, everywhere.id, later(5)).await
            })
            .await
            .unwrap()
        };
        assert!(!revoke(bob.id).await, "somebody else");
        assert!(revoke(alice.id).await);
        assert!(!revoke(alice.id).await, "once");
        let (found, ..) = conn.app_password_by_digest(&digests[0]).await.unwrap().unwrap();
        assert_eq!(found.revoked_at, Some(later(5)));
        assert_eq!(conn.app_passwords_of(alice.id).await.unwrap(), [some]);
        again().await.expect("the name is free again");
        let all = write(&store, async |tx| {
            tx.revoke_app_passwords_of(alice.id, later(6)).await
        })
        .await
        .unwrap();
        assert_eq!(all.len(), 2);
        assert!(conn.app_passwords_of(alice.id).await.unwrap().is_empty());
        assert_eq!(conn.app_passwords_of(bob.id).await.unwrap(), [none]);
    })
    .await;
}

#[tokio::test]
async fn last_uses_are_kept_to_the_minute_and_never_move_back() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let (one, two) = (password(alice.id, "one"), password(alice.id, "two"));
        write(&store, async |tx| {
            tx.add_app_password(&one, &digest()).await?;
            tx.add_app_password(&two, &digest()).await
        })
        .await
        .unwrap();
        let minute = |at: Timestamp| at.seconds().div_euclid(60) * 60;
        let touch = async |used: &[_]| {
            write(&store, async |tx| tx.touch_app_passwords(used).await)
                .await
                .unwrap();
            store
                .read()
                .app_passwords_of(alice.id)
                .await
                .unwrap()
                .iter()
                .map(|password| password.last_used_at.map(Timestamp::seconds))
                .collect::<Vec<_>>()
        };
        let unknown = Id::from_uuid(id::<()>().uuid());
        assert_eq!(
            touch(&[(one.id, later(61)), (unknown, later(61))]).await,
            [Some(minute(later(61))), None]
        );
        let both = touch(&[(one.id, later(1)), (two.id, later(200))]).await;
        assert_eq!(both, [Some(minute(later(61))), Some(minute(later(200)))]);
        assert_eq!(touch(&[]).await, both);
    })
    .await;
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten_and_what_belongs_to_nobody_is_not_added() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let expired = AppPassword {
            expires_at: Some(later(10)),
            ..password(alice.id, "expired")
        };
        let revoked = AppPassword {
            expires_at: Some(later(10_000)),
            revoked_at: Some(later(10)),
            ..password(alice.id, "revoked")
        };
        let both = AppPassword {
            expires_at: Some(later(9)),
            ..revoked.clone()
        };
        let both = AppPassword { id: id(), ..both };
        let good = password(alice.id, "good");
        write(&store, async |tx| {
            for password in [&expired, &revoked, &both, &good] {
                tx.add_app_password(password, &digest()).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
        let forget = async |before| {
            write(&store, async |tx| tx.forget_app_passwords(before).await)
                .await
                .unwrap()
        };
        assert_eq!(forget(later(9)).await, 0);
        assert_eq!(forget(later(11)).await, 3);
        assert_eq!(store.read().app_passwords_of(alice.id).await.unwrap(), [good]);
        let orphan = password(id(), "orphan");
        let added = write(&store, async |tx| tx.add_app_password(&orphan, &digest()).await).await;
        assert!(matches!(added, Err(Error::Reference { .. })), "{added:?}");
    })
    .await;
}
