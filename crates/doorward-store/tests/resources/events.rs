//! Events and counts of failures.

use doorward_domain::event::{Event, EventKind};
use doorward_domain::throttle::Failures;
use doorward_domain::{Code, EventId, Reason, Timestamp};
use doorward_store::testing::each_engine;
use doorward_store::{Error, EventFilter, FORGET_BATCH, Store, count_queries};
use serde_json::json;

use crate::{NOW, id, later, race, unique, write};

fn event(at: Timestamp, kind: EventKind) -> Event {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&unique().to_be_bytes());
    Event {
        id: EventId::mint(at, random),
        at,
        kind,
        reason: None,
        code: None,
        user_id: None,
        application_id: None,
        session_id: None,
        ip: None,
        details: json!({}),
    }
}

async fn add(store: &Store, events: &[Event]) {
    write(store, async |tx| {
        for event in events {
            tx.add_event(event).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn every_kind_and_reason_comes_back() {
    each_engine(async |store| {
        let mut events: Vec<Event> = EventKind::ALL.iter().map(|kind| event(NOW, *kind)).collect();
        for (n, reason) in Reason::ALL.iter().enumerate() {
            events.push(Event {
                reason: Some(*reason),
                code: Some(Code::new(format!("DW-{n:04}"))),
                user_id: Some(id()),
                application_id: Some(id()),
                session_id: Some(id()),
                ip: Some("192.0.2.1".into()),
                details: json!({ "given": "https://a/'\"", "n": [1, 2.5, null] }),
                ..event(later(1), EventKind::Refused)
            });
        }
        add(&store, &events).await;
        let found = store
            .read()
            .events(&EventFilter {
                limit: 1000,
                ..EventFilter::default()
            })
            .await
            .unwrap();
        events.sort_by_key(|event| std::cmp::Reverse(event.id));
        assert_eq!(found, events);
        for event in events.iter().filter(|event| event.code.is_some()) {
            let code = event.code.as_ref().unwrap().as_str();
            assert_eq!(
                store.read().event_by_code(code).await.unwrap().as_ref(),
                Some(event)
            );
        }
        assert_eq!(store.read().event_by_code("DW-NONE").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn pages_of_events_are_filtered_newest_first_and_without_gaps() {
    each_engine(async |store| {
        let (user, application) = (id(), id());
        let mut events = Vec::new();
        for n in 0..60_u32 {
            let kind = if n % 2 == 0 {
                EventKind::SignIn
            } else {
                EventKind::TokensIssued
            };
            events.push(Event {
                user_id: (n % 3 == 0).then_some(user),
                application_id: (n % 5 == 0).then_some(application),
                // Four events share each millisecond.
                ..event(later(n / 4), kind)
            });
        }
        add(&store, &events).await;
        let base = EventFilter {
            limit: 7,
            ..EventFilter::default()
        };
        for filter in [
            base.clone(),
            EventFilter {
                user: Some(user),
                ..base.clone()
            },
            EventFilter {
                application: Some(application),
                ..base.clone()
            },
            EventFilter {
                kind: Some(EventKind::SignIn),
                ..base.clone()
            },
            EventFilter {
                user: Some(user),
                application: Some(application),
                kind: Some(EventKind::TokensIssued),
                ..base.clone()
            },
        ] {
            let expected: Vec<EventId> = events
                .iter()
                .rev()
                .filter(|event| filter.user.is_none_or(|user| event.user_id == Some(user)))
                .filter(|event| {
                    filter
                        .application
                        .is_none_or(|app| event.application_id == Some(app))
                })
                .filter(|event| filter.kind.is_none_or(|kind| event.kind == kind))
                .map(|event| event.id)
                .collect();
            let (mut seen, mut filter) = (Vec::new(), filter);
            loop {
                let page = store.read().events(&filter).await.unwrap();
                let Some(last) = page.last() else { break };
                filter.after = Some(last.id);
                seen.extend(page.iter().map(|event| event.id));
            }
            assert_eq!(seen, expected, "{filter:?}");
        }
        let counts = store.read().event_counts(later(13)).await.unwrap();
        assert_eq!(counts, [(EventKind::SignIn, 4), (EventKind::TokensIssued, 4)]);
        assert_eq!(store.read().event_counts(later(1000)).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn old_events_are_forgotten_in_bounded_batches() {
    each_engine(async |store| {
        let count = usize::try_from(FORGET_BATCH).unwrap() + 20;
        let mut events: Vec<Event> = (0..count).map(|_| event(NOW, EventKind::SignIn)).collect();
        events.push(event(later(1), EventKind::SignOut));
        add(&store, &events).await;
        let forget = async |at| {
            write(&store, async |tx| tx.forget_events(at).await)
                .await
                .unwrap()
        };
        assert_eq!(forget(NOW).await, 0);
        assert_eq!(forget(later(1)).await, FORGET_BATCH);
        assert_eq!(forget(later(1)).await, 20);
        assert_eq!(forget(later(1)).await, 0);
        assert_eq!(
            store.read().event_counts(NOW).await.unwrap(),
            [(EventKind::SignOut, 1)]
        );
    })
    .await;
}

#[tokio::test]
async fn failures_are_counted_and_forgiven_as_the_rule_says() {
    each_engine(async |store| {
        let keys = ["a".to_owned(), "b".to_owned(), "net:192.0.2.1".to_owned()];
        let conn = store.read();
        let mut expected = Failures::default();
        for at in [
            later(0),
            later(1),
            later(3601),
            later(3601 + 3600),
            later(3601 + 3600 + 3601),
        ] {
            write(&store, async |tx| tx.add_failure("b", at).await)
                .await
                .unwrap();
            expected = expected.and_one(at);
            let (found, queries) = count_queries(conn.failures(&keys)).await;
            assert_eq!(
                found.unwrap(),
                [Failures::default(), expected, Failures::default()],
                "{at}"
            );
            assert_eq!(queries, 1);
        }
        assert_eq!(expected.count, 1, "the last one came after an hour of quiet");
        write(&store, async |tx| tx.add_failure("a", later(9)).await)
            .await
            .unwrap();
        let twice = ["a".to_owned(), "a".to_owned()];
        assert_eq!(conn.failures(&twice).await.unwrap().len(), 2);
        assert_eq!(conn.failures(&[]).await.unwrap(), []);
        write(&store, async |tx| tx.clear_failures(&keys[1..]).await)
            .await
            .unwrap();
        assert_eq!(conn.failures(&keys[..2]).await.unwrap()[1], Failures::default());
        assert_eq!(conn.failures(&keys[..2]).await.unwrap()[0].count, 1);
        assert_eq!(
            write(&store, async |tx| tx.forget_failures(later(9)).await)
                .await
                .unwrap(),
            0
        );
        assert_eq!(
            write(&store, async |tx| tx.forget_failures(later(10)).await)
                .await
                .unwrap(),
            1
        );
        let long = "x".repeat(513);
        let error = write(&store, async |tx| tx.add_failure(&long, NOW).await)
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Unstorable { position: 1, .. }),
            "{error:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_failure_is_lost_when_50_come_at_once() {
    each_engine(async |store| {
        race(|| {
            let store = store.clone();
            async move {
                let tx = store.begin().await.unwrap();
                tx.add_failure("k", NOW).await.unwrap();
                tx.commit().await.unwrap();
            }
        })
        .await;
        assert_eq!(
            store.read().failures(&["k".to_owned()]).await.unwrap()[0].count,
            50
        );
    })
    .await;
}
