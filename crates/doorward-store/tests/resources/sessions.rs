//! Sessions, grants, API tokens, one-time links.

use doorward_domain::session::{Authentication, Session};
use doorward_domain::token::Grant;
use doorward_store::testing::each_engine;
use doorward_store::{ApiToken, Error, FORGET_BATCH, conflict_field, count_queries};

use crate::{
    NOW, add_application, add_group, add_session, add_user, digest, id, later, race, session, texts, write,
};

#[tokio::test]
async fn a_cookie_leads_to_session_user_and_groups_in_one_query() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let staff = add_group(&store, "staff").await;
        write(&store, async |tx| tx.add_member(alice.id, staff.id, NOW).await)
            .await
            .unwrap();
        let (session, cookie) = add_session(&store, alice.id).await;
        let conn = store.read();
        let (found, queries) = count_queries(conn.session_by_digest(&cookie)).await;
        assert_eq!(
            found.unwrap(),
            Some((session.clone(), alice.clone(), vec![staff.id]))
        );
        assert_eq!(queries, 1);
        assert_eq!(conn.session_by_digest(&digest()).await.unwrap(), None);
        assert_eq!(conn.session(session.id).await.unwrap(), Some(session.clone()));

        let bare = Session {
            ip: None,
            user_agent: None,
            ..crate::session(alice.id)
        };
        write(&store, async |tx| tx.add_session(&bare, &digest()).await)
            .await
            .unwrap();
        assert_eq!(conn.session(bare.id).await.unwrap(), Some(bare));
        let nobodys = crate::session(id());
        let error = write(&store, async |tx| tx.add_session(&nobodys, &digest()).await)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Reference { .. }), "{error:?}");
        let twin = crate::session(alice.id);
        let error = write(&store, async |tx| tx.add_session(&twin, &cookie).await)
            .await
            .unwrap_err();
        assert!(error.is_conflict_on("sessions", "digest_key"), "{error:?}");
        assert_eq!(conflict_field(&error), None);
    })
    .await;
}

#[tokio::test]
async fn sessions_end_once_one_by_one_or_all_but_this_one() {
    each_engine(async |store| {
        let (alice, bob) = (add_user(&store, "alice").await, add_user(&store, "bob").await);
        let (one, cookie) = add_session(&store, alice.id).await;
        let (two, _) = add_session(&store, alice.id).await;
        let (three, _) = add_session(&store, alice.id).await;
        let (bobs, _) = add_session(&store, bob.id).await;
        let expired = Session {
            expires_at: later(1),
            ..session(alice.id)
        };
        write(&store, async |tx| tx.add_session(&expired, &digest()).await)
            .await
            .unwrap();
        let conn = store.read();
        assert_eq!(conn.sessions_of(alice.id, later(5)).await.unwrap().len(), 3);
        assert!(
            write(&store, async |tx| tx
                .end_session(one.id, "signed_out", later(5))
                .await)
            .await
            .unwrap()
        );
        assert!(
            !write(&store, async |tx| tx
                .end_session(one.id, "signed_out", later(6))
                .await)
            .await
            .unwrap()
        );
        let (ended, ..) = conn.session_by_digest(&cookie).await.unwrap().unwrap();
        assert_eq!(ended.ended_at, Some(later(5)));
        assert!(!ended.is_live(later(5)));
        let ended = write(&store, async |tx| {
            tx.end_sessions_of(alice.id, Some(two.id), "x", later(7)).await
        })
        .await;
        assert_eq!(ended.unwrap(), [three.id]);
        assert_eq!(
            conn.sessions_of(alice.id, later(7)).await.unwrap(),
            std::slice::from_ref(&two)
        );
        let ended = write(&store, async |tx| {
            tx.end_sessions_of(alice.id, None, "x", later(8)).await
        })
        .await
        .unwrap();
        assert_eq!(ended, [two.id]);
        assert_eq!(conn.sessions_of(alice.id, later(8)).await.unwrap(), []);
        assert_eq!(conn.sessions_of(bob.id, later(8)).await.unwrap(), [bobs]);
    })
    .await;
}

#[tokio::test]
async fn a_new_proof_changes_the_cookie_and_an_ended_session_takes_none() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let (session, old) = add_session(&store, alice.id).await;
        let new = digest();
        let proof = Authentication {
            at: later(30),
            methods: vec!["pwd".into(), "hwk".into()],
        };
        let renew = async || {
            write(&store, async |tx| {
                tx.reauthenticate(session.id, &new, &proof, later(2000)).await
            })
            .await
            .unwrap()
        };
        assert!(renew().await);
        let conn = store.read();
        assert_eq!(conn.session_by_digest(&old).await.unwrap(), None);
        let (found, ..) = conn.session_by_digest(&new).await.unwrap().unwrap();
        let expected = Session {
            authentication: proof.clone(),
            expires_at: later(2000),
            last_seen_at: later(30),
            ..session.clone()
        };
        assert_eq!(found, expected);
        write(&store, async |tx| {
            tx.end_session(session.id, "x", later(40)).await
        })
        .await
        .unwrap();
        assert!(!renew().await);
    })
    .await;
}

#[tokio::test]
async fn last_seen_moves_forward_only_and_shares_statements() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let (one, _) = add_session(&store, alice.id).await;
        let (two, _) = add_session(&store, alice.id).await;
        let seen = [
            (one.id, later(60)),
            (two.id, later(60)),
            (one.id, later(30)),
            (id(), later(60)),
        ];
        let touch = async |seen: &[_]| {
            write(&store, async |tx| tx.touch_sessions(seen).await)
                .await
                .unwrap();
        };
        let ((), queries) = count_queries(touch(&seen)).await;
        assert_eq!(queries, 2);
        touch(&[(two.id, later(10))]).await;
        touch(&[]).await;
        for session in [&one, &two] {
            let found = store.read().session(session.id).await.unwrap().unwrap();
            assert_eq!(found.last_seen_at, later(60));
        }
    })
    .await;
}

#[tokio::test]
async fn forgetting_takes_bounded_bytes_of_what_is_over_only() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let (live, _) = add_session(&store, alice.id).await;
        let (ended, _) = add_session(&store, alice.id).await;
        write(&store, async |tx| {
            tx.end_session(ended.id, "x", later(1)).await?;
            for _ in 0..FORGET_BATCH + 50 {
                let session = Session {
                    expires_at: later(2),
                    ..session(alice.id)
                };
                tx.add_session(&session, &digest()).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
        let forget = async |at| {
            write(&store, async |tx| tx.forget_sessions(at).await)
                .await
                .unwrap()
        };
        assert_eq!(forget(later(1)).await, 0);
        assert_eq!(forget(later(10)).await, FORGET_BATCH);
        assert_eq!(forget(later(10)).await, 51);
        assert_eq!(forget(later(10)).await, 0);
        assert_eq!(store.read().session(live.id).await.unwrap(), Some(live));
    })
    .await;
}

#[tokio::test]
async fn a_grant_is_widened_in_place_and_taken_back_once() {
    each_engine(async |store| {
        let (alice, bob) = (add_user(&store, "alice").await, add_user(&store, "bob").await);
        let app = add_application(&store, "grafana").await;
        let first = Grant {
            id: id(),
            user_id: alice.id,
            application_id: app.id,
            scopes: texts(["openid"]),
            created_at: NOW,
            updated_at: NOW,
            expires_at: None,
        };
        let wider = Grant {
            id: id(),
            scopes: texts(["openid", "email"]),
            created_at: later(9),
            updated_at: later(9),
            expires_at: Some(later(99)),
            ..first.clone()
        };
        for grant in [&first, &wider] {
            write(&store, async |tx| tx.save_grant(grant).await)
                .await
                .unwrap();
        }
        let conn = store.read();
        let expected = Grant {
            id: first.id,
            created_at: NOW,
            ..wider
        };
        assert_eq!(
            conn.grant(alice.id, app.id).await.unwrap(),
            Some(expected.clone())
        );
        assert_eq!(conn.grants_of(alice.id).await.unwrap(), [expected]);
        assert_eq!(conn.grants_of(bob.id).await.unwrap(), []);

        let revoke = async |at| {
            write(&store, async |tx| tx.revoke_grant(alice.id, app.id, at).await)
                .await
                .unwrap()
        };
        assert!(revoke(later(98)).await);
        assert!(!revoke(later(98)).await);
        assert_eq!(conn.grant(alice.id, app.id).await.unwrap(), None);
        write(&store, async |tx| tx.save_grant(&first).await)
            .await
            .unwrap();
        assert!(revoke(later(1_000_000)).await);
        let expired = Grant {
            expires_at: Some(later(99)),
            ..first.clone()
        };
        write(&store, async |tx| tx.save_grant(&expired).await)
            .await
            .unwrap();
        assert!(!revoke(later(99)).await, "an expired grant is gone, and was none");
        assert_eq!(conn.grants_of(alice.id).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn an_api_token_works_until_it_expires_or_is_revoked() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let token = |expires_at| ApiToken {
            id: id(),
            user_id: alice.id,
            name: "deploy".into(),
            scopes: texts(["users:read"]),
            created_at: NOW,
            expires_at,
            revoked_at: None,
        };
        let (forever, short) = (token(None), token(Some(later(10))));
        let (forever_digest, short_digest) = (digest(), digest());
        write(&store, async |tx| {
            tx.add_api_token(&forever, &forever_digest).await?;
            tx.add_api_token(&short, &short_digest).await
        })
        .await
        .unwrap();
        let conn = store.read();
        assert_eq!(
            conn.find_api_token(&short_digest, later(9)).await.unwrap(),
            Some(short.clone())
        );
        assert_eq!(conn.find_api_token(&short_digest, later(10)).await.unwrap(), None);
        assert_eq!(
            conn.find_api_token(&forever_digest, later(9)).await.unwrap(),
            Some(forever.clone())
        );
        let revoke = async || {
            write(&store, async |tx| tx.revoke_api_token(forever.id, later(5)).await)
                .await
                .unwrap()
        };
        assert!(revoke().await);
        assert!(!revoke().await);
        assert_eq!(
            conn.find_api_token(&forever_digest, later(5)).await.unwrap(),
            None
        );
        let all = conn.api_tokens_of(alice.id, None, 10).await.unwrap();
        assert_eq!(
            all,
            [
                ApiToken {
                    revoked_at: Some(later(5)),
                    ..forever
                },
                short.clone()
            ]
        );
        assert_eq!(
            conn.api_tokens_of(alice.id, Some(all[0].id), 1).await.unwrap(),
            [short]
        );
    })
    .await;
}

#[tokio::test]
async fn a_link_is_for_its_purpose_its_time_and_one_use() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let (setup, recover) = (digest(), digest());
        write(&store, async |tx| {
            tx.add_link(&setup, "setup", None, later(10), NOW).await?;
            tx.add_link(&recover, "recover", Some(alice.id), later(10), NOW)
                .await
        })
        .await
        .unwrap();
        let conn = store.read();
        let take = async |link, purpose: &str, at| {
            write(&store, async |tx| tx.take_link(link, purpose, at).await)
                .await
                .unwrap()
        };
        assert!(conn.find_link(&setup, "setup", later(9)).await.unwrap());
        assert!(!conn.find_link(&setup, "recover", later(9)).await.unwrap());
        assert!(!conn.find_link(&setup, "setup", later(10)).await.unwrap());
        assert_eq!(conn.live_links("setup", later(9)).await.unwrap(), 1);
        assert_eq!(take(&setup, "recover", later(1)).await, None);
        assert_eq!(take(&setup, "setup", later(10)).await, None);
        assert_eq!(take(&setup, "setup", later(9)).await, Some(None));
        assert_eq!(take(&setup, "setup", later(9)).await, None);
        assert_eq!(conn.live_links("setup", later(9)).await.unwrap(), 0);
        assert_eq!(take(&recover, "recover", later(9)).await, Some(Some(alice.id)));

        let unused = digest();
        write(&store, async |tx| {
            tx.add_link(&unused, "setup", None, later(10), NOW).await
        })
        .await
        .unwrap();
        assert_eq!(
            write(&store, async |tx| tx.withdraw_links("setup").await)
                .await
                .unwrap(),
            2
        );
        assert_eq!(take(&unused, "setup", later(1)).await, None);
        assert_eq!(
            write(&store, async |tx| tx.forget_links(later(11)).await)
                .await
                .unwrap(),
            1
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_50_who_take_a_link_at_once_one_gets_it() {
    each_engine(async |store| {
        let link = digest();
        write(&store, async |tx| {
            tx.add_link(&link, "setup", None, later(10), NOW).await
        })
        .await
        .unwrap();
        let outcomes = race(|| {
            let store = store.clone();
            async move {
                let tx = store.begin().await.unwrap();
                let taken = tx.take_link(&link, "setup", later(1)).await.unwrap();
                tx.commit().await.unwrap();
                taken
            }
        })
        .await;
        assert_eq!(outcomes.iter().filter(|taken| taken.is_some()).count(), 1);
    })
    .await;
}
