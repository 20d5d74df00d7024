//! Sessions end at once, whoever ends them and wherever they are looked at.

use std::time::Duration;

use doorward_core::admin::users::UserChange;
use doorward_core::links::Promote;
use doorward_core::sessions::Which;
use doorward_domain::Lifetime;
use doorward_domain::session::SessionPolicy;
use doorward_domain::user::UserKind;
use doorward_testkit::{App, Browser, PASSWORD, each_app};

async fn warm(app: &App) -> Browser {
    let browser = app.sign_in("alice").await;
    assert!(browser.visit().await.is_some());
    browser
}

#[tokio::test]
async fn whoever_ends_a_session_it_is_over_at_once() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let change = |change: UserChange| change;
        let doorward = app.doorward.clone();

        let browser = warm(&app).await;
        let visit = browser.visit().await.unwrap();
        doorward.sign_out(&visit, &browser.origin).await.unwrap();
        assert!(browser.visit().await.is_none(), "signed out");

        let browser = warm(&app).await;
        let one = Which::One(browser.session_id().await);
        doorward
            .end_sessions(alice.id, one, &browser.origin)
            .await
            .unwrap();
        assert!(browser.visit().await.is_none(), "ended by id");

        let (browser, kept) = (warm(&app).await, warm(&app).await);
        let others = Which::Others(kept.session_id().await);
        doorward
            .end_sessions(alice.id, others, &browser.origin)
            .await
            .unwrap();
        assert!(browser.visit().await.is_none(), "ended with the others");
        assert!(kept.visit().await.is_some(), "kept");

        let browser = warm(&app).await;
        let visit = kept.visit().await.unwrap();
        doorward
            .change_password(&visit, PASSWORD, "another good one", &kept.origin)
            .await
            .unwrap();
        assert!(browser.visit().await.is_none(), "password changed elsewhere");
        assert!(kept.visit().await.is_some(), "the browser that changed it");
        let back = change(UserChange {
            password: Some(PASSWORD.into()),
            ..UserChange::default()
        });
        doorward.update_user(alice.id, &back).await.unwrap();
        assert!(kept.visit().await.is_none(), "password set by an administrator");

        for (what, change, undo) in [
            (
                "switched off",
                UserChange {
                    active: Some(false),
                    ..UserChange::default()
                },
                UserChange {
                    active: Some(true),
                    ..UserChange::default()
                },
            ),
            (
                "made a service",
                UserChange {
                    kind: Some(UserKind::Service),
                    ..UserChange::default()
                },
                UserChange {
                    kind: Some(UserKind::Internal),
                    ..UserChange::default()
                },
            ),
        ] {
            let browser = warm(&app).await;
            doorward.update_user(alice.id, &change).await.unwrap();
            assert!(browser.visit().await.is_none(), "{what}");
            doorward.update_user(alice.id, &undo).await.unwrap();
            assert!(browser.visit().await.is_none(), "{what} and back");
        }

        let browser = warm(&app).await;
        let link = doorward.recover_link(alice.id, Promote::Yes).await.unwrap();
        let token = link.rsplit('/').next().unwrap();
        doorward
            .recover(token, "another good one", &browser.origin)
            .await
            .unwrap();
        assert!(browser.visit().await.is_none(), "recovered");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_user_is_out_and_restoring_does_not_bring_the_session_back() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let browser = warm(&app).await;
        app.doorward.delete_user(alice.id).await.unwrap();
        assert!(browser.visit().await.is_none());
        app.doorward.restore_user(alice.id).await.unwrap();
        assert!(browser.visit().await.is_none());
        app.sign_in("alice").await;
    })
    .await;
}

#[tokio::test]
async fn another_replica_sees_it_within_a_second() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let replica = app.replica().await;
        for what in ["signed out", "switched off"] {
            let browser = app.sign_in("alice").await;
            let there = browser.talking_to(&replica);
            assert!(there.visit().await.is_some());
            if what == "signed out" {
                let visit = browser.visit().await.unwrap();
                app.doorward.sign_out(&visit, &browser.origin).await.unwrap();
            } else {
                let change = UserChange {
                    active: Some(false),
                    ..UserChange::default()
                };
                app.doorward.update_user(alice.id, &change).await.unwrap();
            }
            gone(&there, what).await;
        }
    })
    .await;
}

async fn gone(browser: &Browser, what: &str) {
    for _ in 0..75 {
        if browser.visit().await.is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("still there after 1.5 seconds: {what}");
}

#[tokio::test]
async fn a_replica_hears_of_applications_groups_and_settings() {
    each_app(async |app| {
        app.person("alice").await;
        let replica = app.replica().await;
        let client = app.oidc_client("grafana", |_| {}).await;
        let browser = app.sign_in("alice").await;
        for _ in 0..75 {
            if replica.doorward.directory().by_client_id(&client.id).is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (there, client) = (browser.talking_to(&replica), client.talking_to(&replica));
        let tokens = client.tokens(&there, "openid").await;
        assert!(client.is_active(&tokens.access()).await);
    })
    .await;
}

#[tokio::test]
async fn sessions_end_by_the_clock_and_when_idle_too_long() {
    each_app(async |app| {
        app.person("alice").await;
        let policy = SessionPolicy {
            lifetime: Lifetime::from_hours(8),
            idle: Some(Lifetime::from_hours(1)),
            ..SessionPolicy::default()
        };
        app.doorward.set_session_policy(policy).await.unwrap();
        let browser = warm(&app).await;
        for _ in 0..3 {
            app.wait(Lifetime::from_minutes(59));
            assert!(browser.visit().await.is_some(), "in use");
        }
        app.wait(Lifetime::from_minutes(60));
        assert!(browser.visit().await.is_none(), "idle for an hour");

        let policy = SessionPolicy {
            lifetime: Lifetime::from_hours(8),
            idle: None,
            ..SessionPolicy::default()
        };
        app.doorward.set_session_policy(policy).await.unwrap();
        let browser = warm(&app).await;
        app.wait(Lifetime::from_millis(8 * 3_600_000 - 1));
        assert!(browser.visit().await.is_some());
        app.wait(Lifetime::from_millis(1));
        assert!(browser.visit().await.is_none(), "eight hours are over");
    })
    .await;
}

#[tokio::test]
async fn nothing_but_the_cookie_itself_opens_a_session() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let client = app.oidc_client("grafana", |_| {}).await;
        let tokens = client.tokens(&browser, "openid offline_access").await;
        let cookie = browser.session.clone().unwrap();
        let digest = doorward_crypto::token::digest(&cookie).hex();
        let id = browser.session_id().await.to_string();
        let long = format!("{cookie}{}", "x".repeat(1_000_000));
        for forged in [
            "",
            "\0",
            &digest,
            &id,
            &tokens.access(),
            &tokens.refresh(),
            &cookie.to_uppercase(),
            &format!("{cookie} "),
            &long,
        ] {
            let visit = app.doorward.visit(Some(forged)).await.unwrap();
            assert!(visit.is_none(), "{forged:.40}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_ended_session_does_not_change_the_password() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let stale = browser.visit().await.unwrap();
        app.doorward.sign_out(&stale, &browser.origin).await.unwrap();
        let late = app
            .doorward
            .change_password(&stale, PASSWORD, "another good one", &browser.origin)
            .await;
        assert_eq!(crate::reason(late), doorward_domain::Reason::SessionEnded);
        app.sign_in("alice").await;
    })
    .await;
}
