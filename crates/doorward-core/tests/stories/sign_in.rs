//! Signing in with a password, and what attackers try there.

use std::net::IpAddr;

use doorward_core::admin::users::UserChange;
use doorward_core::sign_in::SignIn;
use doorward_domain::event::EventKind;
use doorward_domain::user::UserKind;
use doorward_domain::{Lifetime, Reason};
use doorward_testkit::{App, Browser, PASSWORD, each_app};

use crate::{reason, refused};

async fn fail(browser: &mut Browser, identifier: &str, times: usize) {
    for attempt in 0..times {
        let given = reason(browser.sign_in(identifier, "wrong").await);
        assert_eq!(given, Reason::WrongCredentials, "attempt {attempt}");
    }
}

#[tokio::test]
async fn the_right_password_opens_a_session_by_name_and_by_address() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        for identifier in ["alice", " ALICE ", "alice@example.org"] {
            let mut browser = app.browser();
            browser.sign_in(identifier, PASSWORD).await.unwrap();
            let visit = browser.visit().await.expect(identifier);
            assert_eq!(visit.session.user_id, alice.id);
            assert_eq!(visit.session.ip.as_deref(), Some("192.0.2.1"));
        }
    })
    .await;
}

#[tokio::test]
async fn wrong_and_unknown_look_the_same_and_the_event_knows_which() {
    each_app(async |app| {
        app.person("alice").await;
        let mut browser = app.browser();
        let wrong = refused(browser.sign_in("alice", "wrong").await);
        let unknown = refused(browser.sign_in("nobody", "wrong").await);
        assert_eq!(wrong.reason, unknown.reason);
        assert_eq!(
            (wrong.retry_after, &wrong.details),
            (unknown.retry_after, &unknown.details)
        );
        for (refused, user) in [(wrong, "found"), (unknown, "not found")] {
            let code = refused.code.unwrap();
            let explained = app.doorward.explain_code(code.as_str()).await.unwrap();
            assert_eq!(explained.event.details["user"], user);
        }
    })
    .await;
}

#[tokio::test]
async fn a_person_without_a_password_cannot_sign_in() {
    each_app(async |app| {
        let new = doorward_core::admin::users::NewUser {
            username: "bare".into(),
            ..Default::default()
        };
        app.doorward.create_user(&new, None).await.unwrap();
        for password in ["", "x", "bare", "measuring this machine"] {
            let given = reason(app.browser().sign_in("bare", password).await);
            assert_eq!(given, Reason::WrongCredentials);
        }
    })
    .await;
}

#[tokio::test]
async fn only_the_right_password_learns_that_a_user_is_switched_off_or_a_service() {
    each_app(async |app| {
        let off = app.person("off").await;
        let change = UserChange {
            active: Some(false),
            ..UserChange::default()
        };
        app.doorward.update_user(off.id, &change).await.unwrap();
        app.person_with("robot", |new| new.kind = UserKind::Service).await;
        let gone = app.person("gone").await;
        app.doorward.delete_user(gone.id).await.unwrap();
        for (name, told) in [
            ("off", Reason::UserInactive),
            ("robot", Reason::ServiceUser),
            ("gone", Reason::WrongCredentials),
        ] {
            let wrong = reason(app.browser().sign_in(name, "wrong").await);
            assert_eq!(wrong, Reason::WrongCredentials, "{name}");
            let right = reason(app.browser().sign_in(name, PASSWORD).await);
            assert_eq!(right, told, "{name}");
        }
        assert_eq!(app.rows().await["sessions"], 0);
    })
    .await;
}

#[tokio::test]
async fn strange_input_is_a_wrong_password_not_an_error() {
    each_app(async |app| {
        app.person("alice").await;
        let long = "x".repeat(100_000);
        for (identifier, password) in [
            ("", PASSWORD),
            ("   ", PASSWORD),
            ("alice", ""),
            ("ali\0ce", PASSWORD),
            ("alice\0", PASSWORD),
            ("alice", "a\0b"),
            (long.as_str(), PASSWORD),
            ("alice", long.as_str()),
            ("alice' OR '1'='1", PASSWORD),
            ("%", PASSWORD),
            ("\u{202e}alice", PASSWORD),
        ] {
            let given = reason(app.browser().sign_in(identifier, password).await);
            assert_eq!(given, Reason::WrongCredentials, "{identifier:.20}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_sixth_failure_at_a_place_waits_and_the_wait_doubles() {
    each_app(async |app| {
        app.person("alice").await;
        let mut browser = app.browser();
        fail(&mut browser, "alice", 5).await;
        let told = refused(browser.sign_in("alice", PASSWORD).await);
        assert_eq!(
            (told.reason, told.retry_after),
            (Reason::AccountThrottled, Some(1))
        );
        assert!(told.code.is_some());
        // Elsewhere, and after the wait, the right password works.
        app.browser()
            .at([198, 51, 100, 7])
            .sign_in("alice", PASSWORD)
            .await
            .unwrap();
        app.wait_seconds(1);
        fail(&mut browser, "alice", 1).await;
        let told = refused(browser.sign_in("alice", PASSWORD).await);
        assert_eq!(told.retry_after, Some(2));
        app.wait_seconds(2);
        browser.sign_in("alice", PASSWORD).await.unwrap();
        // Success forgives.
        fail(&mut browser, "alice", 5).await;
    })
    .await;
}

#[tokio::test]
async fn the_throttle_does_not_tell_whether_a_name_exists_or_which_address_belongs_to_it() {
    each_app(async |app| {
        app.person("alice").await;
        for (first, second) in [("alice", "alice@example.org"), ("nobody", "nobody@example.org")] {
            let mut browser = app
                .browser()
                .at([198, 51, 100, u8::try_from(first.len()).unwrap()]);
            fail(&mut browser, first, 5).await;
            assert_eq!(
                reason(browser.sign_in(first, "wrong").await),
                Reason::AccountThrottled,
                "{first}"
            );
            assert_eq!(
                reason(browser.sign_in(second, "wrong").await),
                Reason::WrongCredentials,
                "{second}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_storm_from_many_places_stops_strangers_but_not_the_browser_that_is_known() {
    each_app(async |app| {
        app.person("alice").await;
        let mut home = app.sign_in("alice").await;
        for place in 0..5_u8 {
            let mut stranger = app.browser().at([198, 51, 100, place]);
            fail(&mut stranger, "alice", 4).await;
        }
        let mut stranger = app.browser().at([203, 0, 113, 9]);
        assert_eq!(
            reason(stranger.sign_in("alice", PASSWORD).await),
            Reason::AccountThrottled
        );
        home.session = None;
        home.sign_in("alice", PASSWORD).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_memory_of_one_account_does_not_help_with_another() {
    each_app(async |app| {
        app.person("mallory").await;
        app.person("alice").await;
        let mut mallory = app.sign_in("mallory").await;
        for place in 0..5_u8 {
            fail(&mut app.browser().at([198, 51, 100, place]), "alice", 4).await;
        }
        // Mallory's browser is known, but not for Alice; a forged or foreign-purpose memory is none.
        mallory.session = None;
        assert_eq!(
            reason(mallory.sign_in("alice", "guess").await),
            Reason::AccountThrottled
        );
        let attempt = app.doorward.new_attempt(
            doorward_domain::attempt::Purpose::SignIn,
            &mallory.id,
            None,
            "/".into(),
        );
        mallory.known = Some(app.doorward.seal_attempt(&attempt));
        assert_eq!(
            reason(mallory.sign_in("alice", "guess").await),
            Reason::AccountThrottled
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_parallel_guesses_do_not_slip_through_from_one_place_or_from_fifty() {
    each_app(async |app| {
        app.person("alice").await;
        app.person("bob").await;
        let compared = storm(&app, "alice", |_| IpAddr::from([192, 0, 2, 1])).await;
        assert!(compared <= 5, "{compared} guesses from one place were compared");
        let compared = storm(&app, "bob", |n| IpAddr::from([198, 51, 100, n])).await;
        assert!(
            compared <= 20,
            "{compared} guesses from many places were compared"
        );
    })
    .await;
}

/// Fifty guesses at once; how many of them were compared with the password.
async fn storm(app: &App, name: &'static str, place: fn(u8) -> IpAddr) -> usize {
    let guesses: Vec<_> = (0..50_u8)
        .map(|n| {
            let mut browser = app.browser().at(place(n));
            let task = async move { reason(browser.sign_in(name, "guess").await) };
            // Spawned at once, awaited together.
            std::thread::yield_now();
            spawn(task)
        })
        .collect();
    let mut compared = 0;
    for guess in guesses {
        compared += usize::from(guess.await.unwrap() == Reason::WrongCredentials);
    }
    compared
}

fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(task)
}

#[tokio::test]
async fn a_network_beyond_its_allowance_trickles_and_never_closes() {
    each_app(async |app| {
        app.person("alice").await;
        for n in 0..100 {
            let given = reason(app.browser().sign_in(&format!("nobody{n}"), "guess").await);
            assert_eq!(given, Reason::WrongCredentials);
        }
        let told = refused(app.browser().sign_in("alice", PASSWORD).await);
        assert_eq!(
            (told.reason, told.retry_after),
            (Reason::NetworkThrottled, Some(1))
        );
        app.browser()
            .at([203, 0, 113, 5])
            .sign_in("alice", PASSWORD)
            .await
            .unwrap();
        app.wait_seconds(1);
        app.browser().sign_in("alice", PASSWORD).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_ipv6_attacker_is_counted_by_its_64() {
    each_app(async |app| {
        app.person("alice").await;
        for n in 0..5_u16 {
            let ip = IpAddr::from([0x2001, 0xdb8, 1, 2, n, n, n, n]);
            fail(&mut app.browser().at(ip), "alice", 1).await;
        }
        let ip = IpAddr::from([0x2001, 0xdb8, 1, 2, 9, 9, 9, 9]);
        assert_eq!(
            reason(app.browser().at(ip).sign_in("alice", PASSWORD).await),
            Reason::AccountThrottled
        );
    })
    .await;
}

#[tokio::test]
async fn an_outdated_or_imported_hash_is_replaced_at_the_first_sign_in() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        // Imported from Django: `secret` with PBKDF2, one iteration.
        let weak = doorward_crypto::password::hash(
            PASSWORD,
            &[1; 16],
            &doorward_crypto::password::Argon2Params {
                memory_kib: 8,
                iterations: 1,
                parallelism: 1,
            },
        )
        .unwrap();
        let bcrypt = "$2b$04$CQ8eDqC1Ps5uHSEWq1pnx.rQ4tAcaQ0cDhy8tyBLSGJ0HlMMeEUu2";
        for (hash, password) in [(weak.as_str(), PASSWORD), (bcrypt, "imported password")] {
            if !doorward_crypto::password::verify(hash, password).is_match() {
                continue;
            }
            let tx = app.store().begin().await.unwrap();
            tx.set_password(alice.id, hash, app.now()).await.unwrap();
            tx.commit().await.unwrap();
            assert!(app.browser().sign_in("alice", "wrong").await.is_err());
            let kept = app.store().read().password_hash(alice.id).await.unwrap();
            assert_eq!(kept.as_deref(), Some(hash), "a wrong password changes nothing");
            app.browser().sign_in("alice", password).await.unwrap();
            let now = app.store().read().password_hash(alice.id).await.unwrap().unwrap();
            assert_ne!(now, hash);
            assert!(now.starts_with("$argon2id$"));
            app.browser().sign_in("alice", password).await.unwrap();
            let again = app.store().read().password_hash(alice.id).await.unwrap().unwrap();
            assert_eq!(now, again, "an up-to-date hash stays");
        }
    })
    .await;
}

#[tokio::test]
async fn proving_it_again_keeps_the_session_and_changes_the_cookie() {
    each_app(async |app| {
        app.person("alice").await;
        let mut browser = app.sign_in("alice").await;
        let (id, old) = (browser.session_id().await, browser.session.clone());
        app.wait(Lifetime::from_minutes(5));
        browser.sign_in("alice", PASSWORD).await.unwrap();
        let visit = browser.visit().await.unwrap();
        assert_eq!(visit.session.id, id);
        assert_eq!(visit.session.authentication.at, app.now());
        assert_ne!(browser.session, old);
        let by_old = app.doorward.visit(old.as_deref()).await.unwrap();
        assert!(by_old.is_none(), "the old cookie still works");
        assert_eq!(app.rows().await["sessions"], 1);
    })
    .await;
}

#[tokio::test]
async fn another_user_in_the_same_browser_ends_the_session_before() {
    each_app(async |app| {
        app.person("alice").await;
        app.person("bob").await;
        let mut browser = app.sign_in("alice").await;
        let alice = browser.clone();
        let client = app.oidc_client("grafana", |_| {}).await;
        let tokens = client.tokens(&browser, "openid").await;
        browser.sign_in("bob", PASSWORD).await.unwrap();
        assert!(alice.visit().await.is_none());
        assert!(!client.is_active(&tokens.access()).await);
        assert_ne!(browser.visit().await.unwrap().person.user.username, "alice");
    })
    .await;
}

#[tokio::test]
async fn a_session_that_ended_while_the_password_was_typed_does_not_swallow_the_sign_in() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let visit = browser.visit().await.unwrap();
        app.doorward
            .end_sessions(alice.id, doorward_core::sessions::Which::All, &browser.origin)
            .await
            .unwrap();
        let signed_in = app
            .doorward
            .sign_in(SignIn {
                identifier: "alice",
                password: PASSWORD,
                known: None,
                previous: Some(&visit.session),
                origin: &browser.origin,
            })
            .await
            .unwrap();
        let again = app.doorward.visit(Some(&signed_in.token)).await.unwrap();
        let again = again.expect("the new cookie works");
        assert_ne!(again.session.id, visit.session.id);
        assert_eq!(again.session.id, signed_in.session.id);
    })
    .await;
}

#[tokio::test]
async fn each_sign_in_and_each_refusal_is_one_event() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let before = app.events().await.len();
        app.wait_seconds(1);
        let mut browser = app.sign_in("alice").await;
        app.wait_seconds(1);
        let _ = browser.sign_in("alice", "wrong").await;
        let events = app.events().await;
        let kinds: Vec<_> = events[before..].iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::SignIn, EventKind::Refused]);
        assert!(
            events[before..]
                .iter()
                .all(|event| event.user_id == Some(alice.id))
        );
        assert!(
            events[before..]
                .iter()
                .all(|event| event.ip.as_deref() == Some("192.0.2.1"))
        );
    })
    .await;
}
