//! Access ends at the next check, whatever ended it; and nothing ends it but that.

use std::time::Duration;

use doorward_core::admin::applications::ApplicationChange;
use doorward_core::admin::sites::SiteChange;
use doorward_core::admin::users::UserChange;
use doorward_core::sessions::Which;
use doorward_domain::Lifetime;
use doorward_domain::session::SessionPolicy;
use doorward_testkit::{App, Browser, each_app};

use super::{FAR, Jar, WIKI, application, enter, get, put};

/// Alice of the staff, at two sites.
async fn furnish(app: &App) {
    let (staff, alice) = (app.group("staff").await, app.person("alice").await);
    app.doorward.add_member(alice.id, staff.id).await.unwrap();
    application(app, "wiki", Some("staff"), vec![put(WIKI, &[])]).await;
    application(app, "far", Some("staff"), vec![put(FAR, &[])]).await;
}

/// In at both sites, and warm.
async fn inside(app: &App) -> (Browser, Jar) {
    let browser = app.sign_in("alice").await;
    let jar = [enter(app, &browser, WIKI).await, enter(app, &browser, FAR).await].concat();
    for site in [WIKI, FAR] {
        assert_eq!(get(app, site, &jar).await, "allowed");
    }
    (browser, jar)
}

async fn at_both(app: &App, jar: &Jar, expected: &str, what: &str) {
    for site in [WIKI, FAR] {
        assert_eq!(get(app, site, jar).await, expected, "{what}: {site}");
    }
}

#[tokio::test]
async fn what_ends_a_session_ends_it_at_every_site_at_the_next_check() {
    each_app(async |app| {
        furnish(&app).await;
        let door = app.doorward.clone();
        let alice = door.find_user("alice").await.unwrap();

        let (browser, jar) = inside(&app).await;
        door.sign_out(&browser.visit().await.unwrap(), &browser.origin)
            .await
            .unwrap();
        at_both(&app, &jar, "sign_in", "signed out").await;

        let (browser, jar) = inside(&app).await;
        let (_, other) = inside(&app).await;
        door.end_sessions(alice.id, Which::One(browser.session_id().await), &browser.origin)
            .await
            .unwrap();
        at_both(&app, &jar, "sign_in", "ended by id").await;
        at_both(&app, &other, "allowed", "another session").await;
        door.end_sessions(alice.id, Which::All, &browser.origin)
            .await
            .unwrap();
        at_both(&app, &other, "sign_in", "all ended").await;

        let (_, jar) = inside(&app).await;
        let active = |active| UserChange {
            active: Some(active),
            ..UserChange::default()
        };
        door.update_user(alice.id, &active(false)).await.unwrap();
        at_both(&app, &jar, "sign_in", "switched off").await;
        door.update_user(alice.id, &active(true)).await.unwrap();
        at_both(&app, &jar, "sign_in", "and on again").await;

        let (_, jar) = inside(&app).await;
        let password = UserChange {
            password: Some("another good one".into()),
            ..UserChange::default()
        };
        door.update_user(alice.id, &password).await.unwrap();
        at_both(&app, &jar, "sign_in", "password set").await;
        let back = UserChange {
            password: Some(doorward_testkit::PASSWORD.into()),
            ..UserChange::default()
        };
        door.update_user(alice.id, &back).await.unwrap();

        let (_, jar) = inside(&app).await;
        door.delete_user(alice.id).await.unwrap();
        at_both(&app, &jar, "sign_in", "deleted").await;
    })
    .await;
}

#[tokio::test]
async fn what_changes_who_may_enter_counts_at_the_next_check() {
    each_app(async |app| {
        furnish(&app).await;
        let door = app.doorward.clone();
        let alice = door.find_user("alice").await.unwrap();
        let staff = door.find_group("staff").await.unwrap();
        let (_, jar) = inside(&app).await;

        door.remove_member(alice.id, staff.id).await.unwrap();
        at_both(&app, &jar, "not_in_audience", "no member any more").await;
        door.add_member(alice.id, staff.id).await.unwrap();
        at_both(&app, &jar, "allowed", "member again").await;

        door.delete_group(staff.id).await.unwrap();
        for site in [WIKI, FAR] {
            let got = get(&app, site, &jar).await;
            assert!(
                ["not_in_audience", "audience_empty"].contains(&got),
                "group deleted: {got}"
            );
        }
        door.restore_group(staff.id).await.unwrap();
        at_both(&app, &jar, "allowed", "group restored").await;

        // Through a parent, until the parent is taken away.
        let crew = app.group("crew").await;
        let parents = |parents: &[&str]| doorward_core::admin::groups::GroupChange {
            parents: Some(parents.iter().map(|name| (*name).to_owned()).collect()),
            ..Default::default()
        };
        door.remove_member(alice.id, staff.id).await.unwrap();
        door.add_member(alice.id, crew.id).await.unwrap();
        at_both(&app, &jar, "not_in_audience", "member of something else").await;
        door.update_group(crew.id, &parents(&["staff"])).await.unwrap();
        at_both(&app, &jar, "allowed", "through a parent").await;
        door.update_group(crew.id, &parents(&[])).await.unwrap();
        at_both(&app, &jar, "not_in_audience", "parent taken away").await;
        door.add_member(alice.id, staff.id).await.unwrap();

        let wiki = door.find_application("wiki").await.unwrap();
        let audience = |allow: &[&str], deny: &[&str]| ApplicationChange {
            allow_groups: allow.iter().map(|name| (*name).to_owned()).collect(),
            deny_groups: deny.iter().map(|name| (*name).to_owned()).collect(),
            ..ApplicationChange::default()
        };
        door.update_application(wiki.id, &audience(&[], &["staff"]))
            .await
            .unwrap();
        assert_eq!(get(&app, WIKI, &jar).await, "audience_empty");
        door.update_application(wiki.id, &audience(&["staff"], &[]))
            .await
            .unwrap();
        assert_eq!(get(&app, WIKI, &jar).await, "allowed");

        let rules = |rules: &[&str]| ApplicationChange {
            sites: vec![put(WIKI, rules)],
            ..ApplicationChange::default()
        };
        door.update_application(wiki.id, &rules(&["deny /"]))
            .await
            .unwrap();
        assert_eq!(get(&app, WIKI, &jar).await, "rule_denies");
        door.update_application(wiki.id, &rules(&[])).await.unwrap();
        assert_eq!(get(&app, WIKI, &jar).await, "allowed");

        door.delete_application(wiki.id).await.unwrap();
        assert_eq!(get(&app, WIKI, &jar).await, "host_unlisted");
        door.restore_application(wiki.id).await.unwrap();
        assert_eq!(get(&app, WIKI, &jar).await, "allowed");
        let removed = ApplicationChange {
            sites: vec![SiteChange::Remove(WIKI.parse().unwrap())],
            ..ApplicationChange::default()
        };
        door.update_application(wiki.id, &removed).await.unwrap();
        assert_eq!(get(&app, WIKI, &jar).await, "host_unlisted");
    })
    .await;
}

#[tokio::test]
async fn a_replica_hears_within_a_second_of_whatever_ends_access() {
    each_app(async |app| {
        furnish(&app).await;
        let replica = app.replica().await;
        let door = app.doorward.clone();
        let alice = door.find_user("alice").await.unwrap();
        let staff = door.find_group("staff").await.unwrap();
        for what in [
            "signed out",
            "no member any more",
            "switched off",
            "group deleted",
            "rule",
        ] {
            let (browser, jar) = inside(&app).await;
            until(&replica, &jar, &["allowed"], "at first").await;
            match what {
                "signed out" => door
                    .sign_out(&browser.visit().await.unwrap(), &browser.origin)
                    .await
                    .unwrap(),
                "no member any more" => {
                    door.remove_member(alice.id, staff.id).await.unwrap();
                }
                "switched off" => {
                    let off = UserChange {
                        active: Some(false),
                        ..UserChange::default()
                    };
                    door.update_user(alice.id, &off).await.unwrap();
                }
                "group deleted" => door.delete_group(staff.id).await.unwrap(),
                _ => {
                    let wiki = door.find_application("wiki").await.unwrap();
                    let change = ApplicationChange {
                        sites: vec![put(WIKI, &["deny /"])],
                        ..ApplicationChange::default()
                    };
                    door.update_application(wiki.id, &change).await.unwrap();
                }
            }
            until(
                &replica,
                &jar,
                &["sign_in", "not_in_audience", "audience_empty", "rule_denies"],
                what,
            )
            .await;
            // And back.
            let on = UserChange {
                active: Some(true),
                ..UserChange::default()
            };
            door.update_user(alice.id, &on).await.unwrap();
            if what == "group deleted" {
                door.restore_group(staff.id).await.unwrap();
            }
            door.add_member(alice.id, staff.id).await.unwrap();
        }
    })
    .await;
}

async fn until(app: &App, jar: &Jar, expected: &[&str], what: &str) {
    let mut got = "";
    for _ in 0..75 {
        got = get(app, WIKI, jar).await;
        if expected.contains(&got) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("still {got} after 1.5 seconds: {what}");
}

#[tokio::test]
async fn sessions_end_at_sites_by_the_clock_and_when_idle() {
    each_app(async |app| {
        furnish(&app).await;
        let policy = SessionPolicy {
            lifetime: Lifetime::from_hours(8),
            idle: Some(Lifetime::from_hours(1)),
            ..SessionPolicy::default()
        };
        app.doorward.set_session_policy(policy).await.unwrap();
        let (browser, jar) = inside(&app).await;
        for _ in 0..3 {
            app.wait(Lifetime::from_minutes(59));
            assert_eq!(get(&app, WIKI, &jar).await, "allowed", "in use");
            app.doorward.write_seen().await.unwrap();
        }
        // What is in use at a site is in use.
        assert!(browser.visit().await.is_some());
        app.wait(Lifetime::from_minutes(60));
        at_both(&app, &jar, "sign_in", "idle for an hour").await;

        let (_, jar) = inside(&app).await;
        for _ in 0..8 {
            app.wait(Lifetime::from_millis(3_599_999));
            at_both(&app, &jar, "allowed", "in use").await;
        }
        app.wait(Lifetime::from_millis(8));
        at_both(&app, &jar, "sign_in", "eight hours").await;
    })
    .await;
}

#[tokio::test]
async fn sessions_at_sites_survive_a_restart() {
    each_app(async |app| {
        furnish(&app).await;
        let (browser, jar) = inside(&app).await;
        let again = app.unopened_replica();
        again.doorward.open(&again.place).await.unwrap();
        at_both(&again, &jar, "allowed", "after a restart").await;
        let there = browser.talking_to(&again);
        again
            .doorward
            .sign_out(&there.visit().await.unwrap(), &there.origin)
            .await
            .unwrap();
        at_both(&again, &jar, "sign_in", "signed out after the restart").await;
        // With another key file nothing that was sealed before counts.
        let stranger = app.replica_with_another_key_file();
        let _ = stranger.doorward.open(&stranger.place).await;
        again.store().close().await;
    })
    .await;
}

#[tokio::test]
async fn a_proof_given_again_keeps_the_cookies_of_sites() {
    each_app(async |app| {
        furnish(&app).await;
        let (mut browser, jar) = inside(&app).await;
        browser
            .sign_in("alice", doorward_testkit::PASSWORD)
            .await
            .unwrap();
        at_both(&app, &jar, "allowed", "the same session").await;
        // Somebody else at the same browser: the session before is over.
        app.person("bob").await;
        browser.sign_in("bob", doorward_testkit::PASSWORD).await.unwrap();
        at_both(&app, &jar, "sign_in", "replaced").await;
    })
    .await;
}
