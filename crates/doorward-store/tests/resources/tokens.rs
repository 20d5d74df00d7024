//! Families, codes, refresh and access tokens, devices, pushed requests, assertions.

use doorward_domain::token::{AccessRecord, CodeRecord, DeviceRecord, DeviceState, Family, RefreshRecord};
use doorward_domain::{ApplicationId, FamilyId};
use doorward_store::testing::each_engine;
use doorward_store::{Error, JtiState, Refreshing, Store, Taken, conflict_field, count_queries};

use crate::{
    NOW, add_application, add_family, add_group, add_session, add_user, code, digest, family, id, later,
    race, refresh, texts, write,
};

/// A family of nobody, with its application.
async fn bare_family(store: &Store) -> Family {
    let app = add_application(store, &format!("app{}", crate::unique())).await;
    add_family(store, family(app.id, None, None)).await
}

async fn add_code(store: &Store, code: &CodeRecord) -> [u8; 32] {
    let digest = digest();
    write(store, async |tx| tx.add_code(&digest, code).await)
        .await
        .unwrap();
    digest
}

async fn add_refresh(store: &Store, token: &RefreshRecord) -> [u8; 32] {
    let digest = digest();
    write(store, async |tx| tx.add_refresh(&digest, token).await)
        .await
        .unwrap();
    digest
}

#[tokio::test]
async fn a_family_comes_back_with_its_person() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let staff = add_group(&store, "staff").await;
        write(&store, async |tx| tx.add_member(alice.id, staff.id, NOW).await)
            .await
            .unwrap();
        let app = add_application(&store, "grafana").await;
        let full = add_family(&store, family(app.id, Some(alice.id), Some(id()))).await;
        let bare = Family {
            claims: None,
            nonce: None,
            auth_time: None,
            amr: Vec::new(),
            acr: None,
            ..family(app.id, None, None)
        };
        let bare = add_family(&store, bare).await;
        let conn = store.read();
        assert_eq!(conn.family(full.id).await.unwrap(), Some(full.clone()));
        let (found, queries) = count_queries(conn.family_with_person(full.id)).await;
        assert_eq!(found.unwrap(), Some((full, Some((alice, vec![staff.id])))));
        assert_eq!(queries, 1);
        assert_eq!(
            conn.family_with_person(bare.id).await.unwrap(),
            Some((bare, None))
        );
        assert_eq!(conn.family_with_person(id()).await.unwrap(), None);
        let lost = family(id(), None, None);
        let error = write(&store, async |tx| tx.add_family(&lost).await)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Reference { .. }), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_session_takes_its_families_along_unless_they_may_stay_offline() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let (one, two) = (
            add_application(&store, "one").await,
            add_application(&store, "two").await,
        );
        let (session, _) = add_session(&store, alice.id).await;
        let (other, _) = add_session(&store, alice.id).await;
        let online = add_family(&store, family(one.id, Some(alice.id), Some(session.id))).await;
        let again = add_family(&store, family(one.id, Some(alice.id), Some(session.id))).await;
        let mut offline = family(two.id, Some(alice.id), Some(session.id));
        offline.scopes.insert("offline_access".into());
        let offline = add_family(&store, offline).await;
        let elsewhere = add_family(&store, family(two.id, Some(alice.id), Some(other.id))).await;
        let conn = store.read();
        assert_eq!(
            conn.clients_of_session(session.id).await.unwrap(),
            [one.id, two.id]
        );
        let end = async || {
            write(&store, async |tx| {
                tx.end_families_of_session(session.id, later(5)).await
            })
            .await
            .unwrap()
        };
        let mut ended = end().await;
        ended.sort_unstable();
        assert_eq!(ended, [(online.id, one.id), (again.id, one.id)]);
        assert_eq!(end().await, []);
        for (family, at) in [
            (online.id, Some(later(5))),
            (offline.id, None),
            (elsewhere.id, None),
        ] {
            assert_eq!(conn.family(family).await.unwrap().unwrap().ended_at, at);
        }
        // Who was there stays known for the logout that follows.
        assert_eq!(
            conn.clients_of_session(session.id).await.unwrap(),
            [one.id, two.id]
        );
    })
    .await;
}

#[tokio::test]
async fn families_end_once_by_id_user_grant_and_application() {
    each_engine(async |store| {
        let (alice, bob) = (add_user(&store, "alice").await, add_user(&store, "bob").await);
        let (one, two) = (
            add_application(&store, "one").await,
            add_application(&store, "two").await,
        );
        let mut families = Vec::new();
        for (app, user) in [(&one, &alice), (&two, &alice), (&one, &bob), (&two, &bob)] {
            families.push(add_family(&store, family(app.id, Some(user.id), None)).await.id);
        }
        let ended = async || {
            let mut ended = Vec::new();
            for family in &families {
                ended.push(
                    store
                        .read()
                        .family(*family)
                        .await
                        .unwrap()
                        .unwrap()
                        .ended_at
                        .is_some(),
                );
            }
            ended
        };
        let tx = store.begin().await.unwrap();
        assert!(tx.end_family(families[0], "reuse", later(1)).await.unwrap());
        assert!(!tx.end_family(families[0], "reuse", later(2)).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(ended().await, [true, false, false, false]);
        let n = write(&store, async |tx| {
            tx.end_families_of_grant(bob.id, one.id, "x", later(2)).await
        })
        .await;
        assert_eq!(n.unwrap(), 1);
        assert_eq!(ended().await, [true, false, true, false]);
        let n = write(&store, async |tx| {
            tx.end_families_of_user(alice.id, "x", later(3)).await
        })
        .await;
        assert_eq!(n.unwrap(), 1);
        assert_eq!(ended().await, [true, true, true, false]);
        let n = write(&store, async |tx| {
            tx.end_families_of_application(two.id, "x", later(4)).await
        })
        .await;
        assert_eq!(n.unwrap(), 1);
        assert_eq!(ended().await, [true; 4]);
        assert_eq!(
            store.read().family(families[0]).await.unwrap().unwrap().ended_at,
            Some(later(1))
        );
    })
    .await;
}

#[tokio::test]
async fn rfc6749_4_1_2_a_code_is_taken_once_and_by_its_client_only() {
    each_engine(async |store| {
        let family = bare_family(&store).await;
        let app = family.application_id;
        let record = code(family.id, app);
        let (digest, unknown) = (add_code(&store, &record).await, digest());
        let conn = store.read();
        assert_eq!(
            conn.find_code(&digest).await.unwrap(),
            Some((record.clone(), family.clone()))
        );
        let take = async |digest, app: ApplicationId, at| {
            write(&store, async |tx| tx.take_code(digest, app, at).await)
                .await
                .unwrap()
        };
        // Another client's attempt neither gets the code nor burns it.
        assert_eq!(take(&digest, id(), later(1)).await, Taken::Unknown);
        assert_eq!(take(&unknown, app, later(1)).await, Taken::Unknown);
        assert_eq!(conn.find_code(&digest).await.unwrap().unwrap().0.used_at, None);
        let used = CodeRecord {
            used_at: Some(later(2)),
            ..record.clone()
        };
        let (taken, queries) = count_queries(take(&digest, app, later(2))).await;
        assert_eq!((taken, queries), (Taken::Fresh(used.clone()), 1));
        assert_eq!(take(&digest, app, later(3)).await, Taken::Used(used));
        // A transaction that is rolled back has taken nothing.
        let bare = CodeRecord {
            redirect_uri_given: false,
            code_challenge: None,
            jkt: None,
            ..record
        };
        let second = add_code(&store, &bare).await;
        let tx = store.begin().await.unwrap();
        assert!(matches!(
            tx.take_code(&second, app, later(4)).await.unwrap(),
            Taken::Fresh(_)
        ));
        drop(tx);
        assert!(
            matches!(take(&second, app, later(5)).await, Taken::Fresh(code) if code.code_challenge.is_none())
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_50_who_take_a_code_at_once_one_gets_it() {
    each_engine(async |store| {
        let family = bare_family(&store).await;
        let app = family.application_id;
        let digest = add_code(&store, &code(family.id, app)).await;
        let outcomes = race(|| {
            let store = store.clone();
            async move {
                let tx = store.begin().await.unwrap();
                let taken = tx.take_code(&digest, app, later(1)).await.unwrap();
                tx.commit().await.unwrap();
                taken
            }
        })
        .await;
        let fresh = outcomes
            .iter()
            .filter(|taken| matches!(taken, Taken::Fresh(_)))
            .count();
        let used = outcomes
            .iter()
            .filter(|taken| matches!(taken, Taken::Used(_)))
            .count();
        assert_eq!((fresh, used), (1, 49));
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_is_taken_once_and_keeps_its_answer() {
    each_engine(async |store| {
        let alice = add_user(&store, "alice").await;
        let staff = add_group(&store, "staff").await;
        write(&store, async |tx| tx.add_member(alice.id, staff.id, NOW).await)
            .await
            .unwrap();
        let app = add_application(&store, "grafana").await;
        let family = add_family(&store, family(app.id, Some(alice.id), None)).await;
        let record = refresh(family.id, app.id);
        let token = add_refresh(&store, &record).await;
        let conn = store.read();
        let (found, queries) = count_queries(conn.refresh_with_person(&token, NOW)).await;
        let expected = Refreshing {
            record: record.clone(),
            family: family.clone(),
            person: Some((alice, vec![staff.id])),
            consented: false,
        };
        assert_eq!(found.unwrap(), Some(expected));
        assert_eq!(queries, 1);
        let take = async |at| {
            write(&store, async |tx| tx.take_refresh(&token, &[0, 1, 255], at).await)
                .await
                .unwrap()
        };
        assert!(take(later(1)).await);
        assert!(!take(later(2)).await);
        let used = RefreshRecord {
            used_at: Some(later(1)),
            answer_sealed: Some(vec![0, 1, 255]),
            ..record
        };
        assert_eq!(conn.find_refresh(&token).await.unwrap(), Some((used, family)));
        assert_eq!(conn.find_refresh(&digest()).await.unwrap(), None);
        assert_eq!(conn.refresh_with_person(&digest(), NOW).await.unwrap(), None);
        assert!(
            !write(&store, async |tx| tx.take_refresh(&digest(), b"", NOW).await)
                .await
                .unwrap()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_50_who_take_a_refresh_token_at_once_one_gets_it_and_its_answer_stays() {
    each_engine(async |store| {
        let family = bare_family(&store).await;
        let token = add_refresh(&store, &refresh(family.id, family.application_id)).await;
        let outcomes = race(|| {
            let store = store.clone();
            let answer = crate::unique().to_be_bytes();
            async move {
                let tx = store.begin().await.unwrap();
                let taken = tx.take_refresh(&token, &answer, later(1)).await.unwrap();
                tx.commit().await.unwrap();
                taken.then_some(answer)
            }
        })
        .await;
        let winners: Vec<_> = outcomes.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1);
        let (record, _) = store.read().find_refresh(&token).await.unwrap().unwrap();
        assert_eq!(record.answer_sealed.as_deref(), Some(&winners[0][..]));
    })
    .await;
}

#[tokio::test]
async fn opaque_access_tokens_come_back_and_are_revoked_once() {
    each_engine(async |store| {
        let family = bare_family(&store).await;
        let full = AccessRecord {
            jti: "j1".into(),
            family_id: Some(family.id),
            application_id: family.application_id,
            scopes: texts(["openid"]),
            audience: vec!["b".into(), "a".into()],
            created_at: NOW,
            expires_at: later(10),
            revoked_at: None,
            jkt: Some("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".to_owned()),
        };
        let bare = AccessRecord {
            jti: "j2".into(),
            family_id: None,
            audience: Vec::new(),
            jkt: None,
            ..full.clone()
        };
        let (one, two) = (digest(), digest());
        write(&store, async |tx| {
            tx.add_access(&one, &full).await?;
            tx.add_access(&two, &bare).await
        })
        .await
        .unwrap();
        let conn = store.read();
        assert_eq!(conn.find_access(&one).await.unwrap(), Some(full.clone()));
        assert_eq!(conn.find_access(&two).await.unwrap(), Some(bare));
        assert_eq!(conn.find_access(&digest()).await.unwrap(), None);
        assert!(
            write(&store, async |tx| tx.revoke_access(&one, later(1)).await)
                .await
                .unwrap()
        );
        assert!(
            !write(&store, async |tx| tx.revoke_access(&one, later(2)).await)
                .await
                .unwrap()
        );
        assert_eq!(
            conn.find_access(&one).await.unwrap().unwrap().revoked_at,
            Some(later(1))
        );
        assert_eq!(
            write(&store, async |tx| tx.forget_tokens(later(11)).await)
                .await
                .unwrap(),
            2
        );
    })
    .await;
}

#[tokio::test]
async fn the_state_of_a_jwt_is_one_query() {
    each_engine(async |store| {
        let family = bare_family(&store).await;
        let conn = store.read();
        let state = |revoked, family_ended, family_known| JtiState {
            revoked,
            family_ended,
            family_known,
        };
        let (found, queries) = count_queries(conn.jti_state("j", Some(family.id))).await;
        assert_eq!((found.unwrap(), queries), (state(false, false, true), 1));
        assert_eq!(
            conn.jti_state("j", None).await.unwrap(),
            state(false, false, false)
        );
        assert_eq!(
            conn.jti_state("j", Some(id())).await.unwrap(),
            state(false, false, false)
        );
        assert!(
            write(&store, async |tx| tx.revoke_jti("j", later(9)).await)
                .await
                .unwrap()
        );
        assert!(
            !write(&store, async |tx| tx.revoke_jti("j", later(9)).await)
                .await
                .unwrap()
        );
        write(&store, async |tx| tx.end_family(family.id, "x", later(1)).await)
            .await
            .unwrap();
        assert_eq!(
            conn.jti_state("j", Some(family.id)).await.unwrap(),
            state(true, true, true)
        );
        assert_eq!(
            conn.jti_state("other", Some(family.id)).await.unwrap(),
            state(false, true, true)
        );
        assert_eq!(
            write(&store, async |tx| tx.forget_tokens(later(10)).await)
                .await
                .unwrap(),
            1
        );
        assert_eq!(
            conn.jti_state("j", None).await.unwrap(),
            state(false, false, false)
        );
    })
    .await;
}

#[tokio::test]
async fn families_are_forgotten_when_nothing_of_theirs_is_left() {
    each_engine(async |store| {
        let (spent, rotating, coded, opaque, young) = (
            bare_family(&store).await,
            bare_family(&store).await,
            bare_family(&store).await,
            bare_family(&store).await,
            {
                let app = add_application(&store, "young").await;
                add_family(
                    &store,
                    Family {
                        created_at: later(500),
                        ..family(app.id, None, None)
                    },
                )
                .await
            },
        );
        add_refresh(
            &store,
            &RefreshRecord {
                expires_at: later(5),
                ..refresh(spent.id, spent.application_id)
            },
        )
        .await;
        add_refresh(&store, &refresh(rotating.id, rotating.application_id)).await;
        add_code(
            &store,
            &CodeRecord {
                expires_at: later(700),
                ..code(coded.id, coded.application_id)
            },
        )
        .await;
        let access = AccessRecord {
            jti: "j".into(),
            family_id: Some(opaque.id),
            application_id: opaque.application_id,
            scopes: texts([]),
            audience: Vec::new(),
            created_at: NOW,
            expires_at: later(700),
            revoked_at: None,
            jkt: None,
        };
        write(&store, async |tx| tx.add_access(&digest(), &access).await)
            .await
            .unwrap();
        let left = async || {
            let mut left = Vec::new();
            for family in [&spent, &rotating, &coded, &opaque, &young] {
                left.push(store.read().family(family.id).await.unwrap().is_some());
            }
            left
        };
        let forget = async |at| {
            write(&store, async |tx| tx.forget_families(at).await)
                .await
                .unwrap()
        };
        assert_eq!(forget(NOW).await, 0);
        // One is removed, three are put off until their tokens are over.
        assert_eq!(forget(later(400)).await, 4);
        assert_eq!(forget(later(400)).await, 0);
        assert_eq!(left().await, [false, true, true, true, true]);
        assert_eq!(forget(later(699)).await, 1);
        assert_eq!(left().await, [false, true, true, true, false]);
        assert_eq!(forget(later(800)).await, 2);
        assert_eq!(left().await, [false, true, false, false, false]);
        assert_eq!(forget(later(1000)).await, 0);
        assert_eq!(forget(later(1001)).await, 1);
        assert_eq!(left().await, [false; 5]);
    })
    .await;
}

#[tokio::test]
async fn codes_and_refresh_tokens_are_forgotten_after_their_time() {
    each_engine(async |store| {
        let family = bare_family(&store).await;
        let code = add_code(&store, &code(family.id, family.application_id)).await;
        let token = add_refresh(&store, &refresh(family.id, family.application_id)).await;
        assert_eq!(
            write(&store, async |tx| tx.forget_codes(later(60)).await)
                .await
                .unwrap(),
            0
        );
        assert_eq!(
            write(&store, async |tx| tx.forget_codes(later(61)).await)
                .await
                .unwrap(),
            1
        );
        assert_eq!(
            write(&store, async |tx| tx.forget_tokens(later(1000)).await)
                .await
                .unwrap(),
            0
        );
        assert_eq!(
            write(&store, async |tx| tx.forget_tokens(later(1001)).await)
                .await
                .unwrap(),
            1
        );
        assert_eq!(store.read().find_code(&code).await.unwrap(), None);
        assert_eq!(store.read().find_refresh(&token).await.unwrap(), None);
    })
    .await;
}

async fn add_device(store: &Store, app: ApplicationId, user_code: &str) -> (DeviceRecord, [u8; 32]) {
    let (device, digest) = (device(app, user_code), digest());
    write(store, async |tx| tx.add_device(&digest, &device).await)
        .await
        .unwrap();
    (device, digest)
}

fn device(app: ApplicationId, user_code: &str) -> DeviceRecord {
    DeviceRecord {
        user_code: user_code.to_owned(),
        application_id: app,
        scopes: texts(["openid"]),
        resources: texts(["https://api.example.org/"]),
        created_at: NOW,
        expires_at: later(100),
        interval: 5,
        last_polled_at: None,
        state: DeviceState::Pending,
        family_id: None,
    }
}

#[tokio::test]
async fn rfc8628_a_device_is_approved_once_and_taken_once() {
    each_engine(async |store| {
        let family = bare_family(&store).await;
        let app = family.application_id;
        let (device, digest) = add_device(&store, app, "BCDFGHJK").await;
        let conn = store.read();
        let take = async |at| {
            write(&store, async |tx| tx.take_device(&digest, at).await)
                .await
                .unwrap()
        };
        let decide = async |code: &str, family: Option<FamilyId>, at| {
            write(&store, async |tx| tx.decide_device(code, family, at).await)
                .await
                .unwrap()
        };
        assert_eq!(conn.find_device(&digest).await.unwrap(), Some(device.clone()));
        assert_eq!(
            conn.device_by_user_code("BCDFGHJK", later(99)).await.unwrap(),
            Some(device.clone())
        );
        assert_eq!(
            conn.device_by_user_code("BCDFGHJK", later(100)).await.unwrap(),
            None
        );
        assert_eq!(
            conn.device_by_user_code("BCDFGHJL", later(1)).await.unwrap(),
            None
        );
        write(&store, async |tx| tx.poll_device(&digest, later(3), 10).await)
            .await
            .unwrap();
        let polled = conn.find_device(&digest).await.unwrap().unwrap();
        assert_eq!((polled.last_polled_at, polled.interval), (Some(later(3)), 10));
        assert!(!take(later(4)).await, "nobody has said yes");
        assert!(!decide("BCDFGHJK", Some(family.id), later(100)).await, "expired");
        assert!(decide("BCDFGHJK", Some(family.id), later(99)).await);
        assert!(!decide("BCDFGHJK", None, later(99)).await, "answered before");
        assert_eq!(
            conn.device_by_user_code("BCDFGHJK", later(1)).await.unwrap(),
            None
        );
        let approved = conn.find_device(&digest).await.unwrap().unwrap();
        assert_eq!(
            (approved.state, approved.family_id),
            (DeviceState::Approved, Some(family.id))
        );
        assert!(!take(later(100)).await, "expired");
        assert!(take(later(99)).await);
        assert!(!take(later(99)).await);
        assert_eq!(
            conn.find_device(&digest).await.unwrap().unwrap().state,
            DeviceState::Used
        );

        let (_, refused) = add_device(&store, app, "BCDFGHJK").await;
        assert!(decide("BCDFGHJK", None, later(1)).await);
        assert_eq!(
            conn.find_device(&refused).await.unwrap().unwrap().state,
            DeviceState::Denied
        );
        assert!(
            !write(&store, async |tx| tx.take_device(&refused, later(1)).await)
                .await
                .unwrap()
        );
        assert_eq!(
            write(&store, async |tx| tx.forget_devices(later(101)).await)
                .await
                .unwrap(),
            2
        );
    })
    .await;
}

#[tokio::test]
async fn a_user_code_waits_for_one_device_at_a_time() {
    each_engine(async |store| {
        let app = add_application(&store, "tv").await;
        add_device(&store, app.id, "BCDFGHJK").await;
        let twin = device(app.id, "BCDFGHJK");
        let error = write(&store, async |tx| tx.add_device(&digest(), &twin).await)
            .await
            .unwrap_err();
        assert_eq!(conflict_field(&error), Some("user_code"), "{error:?}");
        let lost: FamilyId = id();
        let error = write(&store, async |tx| {
            tx.decide_device("BCDFGHJK", Some(lost), later(1)).await
        })
        .await
        .unwrap_err();
        assert!(matches!(error, Error::Reference { .. }), "{error:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_50_polls_of_an_approved_device_one_takes_it() {
    each_engine(async |store| {
        let family = bare_family(&store).await;
        let (_, digest) = add_device(&store, family.application_id, "BCDFGHJK").await;
        write(&store, async |tx| {
            tx.decide_device("BCDFGHJK", Some(family.id), later(1)).await
        })
        .await
        .unwrap();
        let outcomes = race(|| {
            let store = store.clone();
            async move {
                let tx = store.begin().await.unwrap();
                let taken = tx.take_device(&digest, later(2)).await.unwrap();
                tx.commit().await.unwrap();
                taken
            }
        })
        .await;
        assert_eq!(outcomes.iter().filter(|taken| **taken).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn rfc9126_a_pushed_request_is_used_once_within_its_time() {
    each_engine(async |store| {
        let app = add_application(&store, "grafana").await;
        let digest = digest();
        let query = "client_id=x&state='%00'&scope=openid";
        write(&store, async |tx| {
            tx.add_pushed(&digest, app.id, query, later(60)).await
        })
        .await
        .unwrap();
        let conn = store.read();
        let take = async |at| {
            write(&store, async |tx| tx.use_pushed(&digest, at).await)
                .await
                .unwrap()
        };
        assert_eq!(
            conn.find_pushed(&digest, later(59)).await.unwrap(),
            Some((app.id, query.to_owned()))
        );
        assert_eq!(conn.find_pushed(&digest, later(60)).await.unwrap(), None);
        assert!(!take(later(60)).await);
        assert!(take(later(59)).await);
        assert!(!take(later(59)).await);
        assert_eq!(conn.find_pushed(&digest, later(1)).await.unwrap(), None);
        assert_eq!(
            write(&store, async |tx| tx.forget_pushed(later(61)).await)
                .await
                .unwrap(),
            1
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc7523_of_50_equal_assertions_one_counts() {
    each_engine(async |store| {
        let digest = digest();
        let outcomes = race(|| {
            let store = store.clone();
            async move {
                let tx = store.begin().await.unwrap();
                let fresh = tx.add_assertion(&digest, later(60)).await.unwrap();
                tx.commit().await.unwrap();
                fresh
            }
        })
        .await;
        assert_eq!(outcomes.iter().filter(|fresh| **fresh).count(), 1);
        assert_eq!(
            write(&store, async |tx| tx.forget_assertions(later(60)).await)
                .await
                .unwrap(),
            0
        );
        assert_eq!(
            write(&store, async |tx| tx.forget_assertions(later(61)).await)
                .await
                .unwrap(),
            1
        );
    })
    .await;
}
