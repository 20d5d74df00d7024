//! A database that is away: who was seen before passes, nobody else does, and it is said. PostgreSQL behind a cable that can be
//! pulled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use doorward_core::error::{Error, Result};
use doorward_core::forward_auth::Verdict;
use doorward_core::start::Bootstrap;
use doorward_domain::Lifetime;
use doorward_domain::session::SessionPolicy;
use doorward_store::OpenOptions;
use doorward_store::testing::{PostgresDatabase, postgres_url};
use doorward_testkit::App;
use tokio::net::{TcpListener, TcpStream};

use super::{Jar, WIKI, application, asks, enter, get, put, word};

/// Stands between Doorward and the server.
struct Cable {
    port: u16,
    plugged: Arc<AtomicBool>,
    pulled: tokio::sync::watch::Sender<()>,
}

impl Cable {
    async fn new(server: &str) -> Self {
        let server = server.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cable = Self {
            port: listener.local_addr().unwrap().port(),
            plugged: Arc::new(AtomicBool::new(true)),
            pulled: tokio::sync::watch::Sender::new(()),
        };
        let (plugged, pulled) = (Arc::clone(&cable.plugged), cable.pulled.clone());
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if !plugged.load(Ordering::SeqCst) {
                    continue;
                }
                let (server, mut pulled) = (server.clone(), pulled.subscribe());
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(&server).await else {
                        return;
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = pulled.changed() => {}
                    }
                });
            }
        });
        cable
    }

    fn pull(&self) {
        self.plugged.store(false, Ordering::SeqCst);
        self.pulled.send_replace(());
    }

    fn plug(&self) {
        self.plugged.store(true, Ordering::SeqCst);
    }
}

/// Doorward with its watchers on a database behind a cable, and another handle on the same database without one.
async fn behind_a_cable(story: impl AsyncFn(&Cable, App, App)) {
    let Some(server) = postgres_url() else { return };
    let database = PostgresDatabase::create(&server).await;
    let url = database.url();
    let (who, rest) = url.split_once('@').unwrap();
    let (host, name) = rest.split_once('/').unwrap();
    let cable = Cable::new(host).await;
    let direct = App::new(&database.options()).await;
    let place = OpenOptions::parse(&format!("{who}@127.0.0.1:{}/{name}", cable.port))
        .unwrap()
        .with_statement_limit(Duration::from_secs(5));
    let mut app = direct.unopened_replica();
    app.place = place;
    app.start(&Bootstrap::default()).await;
    // On a busy machine the first look may take too long; it is looked at again.
    for _ in 0..500 {
        if app.doorward.opened().is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    story(&cable, app.clone(), direct.clone()).await;
    cable.plug();
    app.doorward.opened().unwrap().close().await;
    direct.store().close().await;
    database.remove().await;
}

fn unavailable<T: std::fmt::Debug>(result: Result<T>) {
    match result {
        Err(Error::Fault(fault)) => assert!(fault.unavailable, "{fault:?}"),
        other => panic!("expected that the database is away, got {other:?}"),
    }
}

async fn furnish(app: &App) {
    app.group("staff").await;
    let staff = app.doorward.find_group("staff").await.unwrap();
    for name in ["alice", "bella"] {
        let user = app.person(name).await;
        app.doorward.add_member(user.id, staff.id).await.unwrap();
    }
    application(app, "wiki", Some("staff"), vec![put(WIKI, &["public /open"])]).await;
}

/// Until the program knows how it is.
async fn until_away(app: &App, away: bool) {
    for _ in 0..500 {
        // Whoever asks for the store while it is away is told so; here only the flag counts.
        if app.doorward.opened().unwrap().is_away() == away {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("after 10 seconds it is still not known that away is {away}");
}

async fn known(app: &App, host: &str) {
    for _ in 0..500 {
        if get(app, host, &Jar::new()).await == "sign_in" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{host} is not known after 10 seconds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_those_who_were_seen_before_pass_and_nobody_else() {
    behind_a_cable(async |cable, app, direct| {
        furnish(&direct).await;
        let policy = SessionPolicy {
            away: Lifetime::from_hours(2),
            ..SessionPolicy::default()
        };
        direct.doorward.set_session_policy(policy).await.unwrap();
        known(&app, WIKI).await;
        let (alice, bella, left) = (
            direct.sign_in("alice").await,
            direct.sign_in("bella").await,
            direct.sign_in("alice").await,
        );
        let warm = enter(&direct, &alice, WIKI).await;
        let cold = enter(&direct, &bella, WIKI).await;
        let ended = enter(&direct, &left, WIKI).await;
        assert_eq!(get(&app, WIKI, &warm).await, "allowed");
        assert_eq!(get(&app, WIKI, &ended).await, "allowed");
        // Known here that it ended, before the cable is pulled.
        let there = left.talking_to(&app);
        app.doorward
            .sign_out(&there.visit().await.unwrap(), &there.origin)
            .await
            .unwrap();

        cable.pull();
        for _ in 0..100 {
            // No failed check, not even in the moment in which it goes away.
            assert_eq!(get(&app, WIKI, &warm).await, "allowed");
            assert_eq!(get(&app, &format!("{WIKI}/open"), &cold).await, "public");
            assert_eq!(get(&app, WIKI, &Jar::new()).await, "sign_in");
            assert_eq!(get(&app, "https://unknown.test", &warm).await, "host_unlisted");
        }
        until_away(&app, true).await;
        for _ in 0..20 {
            assert_eq!(get(&app, WIKI, &warm).await, "allowed");
        }
        unavailable(asks(&app, WIKI, "GET", &cold, None).await);
        match asks(&app, WIKI, "GET", &ended, None).await {
            Err(Error::Fault(fault)) => assert!(fault.unavailable),
            Ok(Verdict::SignIn(_)) => {}
            other => panic!("signed out, and yet {other:?}"),
        }
        unavailable(
            asks(
                &app,
                WIKI,
                "GET",
                &Jar::new(),
                Some("Bearer dwa_0000000000000000000000000000000000000000000"),
            )
            .await,
        );
        assert!(!app.doorward.readiness().await.ready);
        assert!(
            app.doorward.metrics_text().contains("doorward_database_up 0"),
            "{}",
            app.doorward.metrics_text()
        );

        // Meanwhile another replica, which has the database, ends a session and changes a rule. This one cannot know.
        direct
            .doorward
            .sign_out(&alice.visit().await.unwrap(), &alice.origin)
            .await
            .unwrap();
        assert_eq!(get(&app, WIKI, &warm).await, "allowed");
        // Not for longer than the policy says, counted from when it was noticed.
        app.wait(Lifetime::from_millis(2 * 3_600_000 - 1));
        assert_eq!(get(&app, WIKI, &warm).await, "allowed");
        app.wait(Lifetime::from_millis(1));
        unavailable(asks(&app, WIKI, "GET", &warm, None).await);
        assert_eq!(get(&app, &format!("{WIKI}/open"), &warm).await, "public");

        cable.plug();
        until_away(&app, false).await;
        for _ in 0..500 {
            if get(&app, WIKI, &warm).await == "sign_in" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(
            get(&app, WIKI, &warm).await,
            "sign_in",
            "what was missed is made up for"
        );
        assert_eq!(
            get(&app, WIKI, &cold).await,
            "allowed",
            "it goes on without a restart"
        );
        assert_eq!(get(&app, WIKI, &ended).await, "sign_in");
        assert!(app.doorward.metrics_text().contains("doorward_database_up 1"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_by_its_own_clock_also_while_the_database_is_away() {
    behind_a_cable(async |cable, app, direct| {
        furnish(&direct).await;
        let policy = SessionPolicy {
            lifetime: Lifetime::from_hours(1),
            ..SessionPolicy::default()
        };
        direct.doorward.set_session_policy(policy).await.unwrap();
        known(&app, WIKI).await;
        let jar = enter(&direct, &direct.sign_in("alice").await, WIKI).await;
        assert_eq!(get(&app, WIKI, &jar).await, "allowed");
        cable.pull();
        until_away(&app, true).await;
        app.wait(Lifetime::from_millis(3_599_999));
        assert_eq!(get(&app, WIKI, &jar).await, "allowed");
        app.wait(Lifetime::from_millis(1));
        let verdict = asks(&app, WIKI, "GET", &jar, None).await;
        assert!(
            !matches!(&verdict, Ok(verdict) if word(verdict) == "allowed"),
            "{verdict:?}"
        );
    })
    .await;
}
