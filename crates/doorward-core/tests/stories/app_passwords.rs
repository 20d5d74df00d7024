//! App passwords: what a program with one may do, for how long, and what everybody else gets from one.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_core::Origin;
use doorward_core::admin::applications::ApplicationChange;
use doorward_core::admin::sites::{SiteChange, SiteDraft};
use doorward_core::admin::users::UserChange;
use doorward_core::app_passwords::{AppPasswordUse, By, MadeAppPassword, NewAppPassword};
use doorward_core::error::Error;
use doorward_core::forward_auth::{Shown, Verdict};
use doorward_core::links::Promote;
use doorward_core::place::Place;
use doorward_core::start::Bootstrap;
use doorward_crypto::token::{Opaque, TokenKind};
use doorward_domain::app_password::{MOST, Reach};
use doorward_domain::event::EventKind;
use doorward_domain::user::UserKind;
use doorward_domain::{ApplicationId, Lifetime, Reason, Timestamp, UserId};
use doorward_oidc::params::Params;
use doorward_store::count_queries;
use doorward_store::testing::each_place;
use doorward_testkit::{App, PASSWORD, each_app};

use crate::{invalid, reason};

fn named(name: &str) -> NewAppPassword {
    NewAppPassword {
        name: name.to_owned(),
        reach: Reach::EverySite,
        lifetime: None,
    }
}

/// An application with one site, `https://<slug>.example.org`, for everyone or nobody.
async fn guarded(app: &App, slug: &str, everyone: bool) -> ApplicationId {
    let address = format!("https://{slug}.example.org").parse().unwrap();
    let change = ApplicationChange {
        everyone: Some(everyone),
        sites: vec![SiteChange::Put(Box::new(SiteDraft::new(address)))],
        ..ApplicationChange::default()
    };
    let created = app.doorward.create_application(slug, &change).await.unwrap();
    created.application.id
}

/// May a request with this `Authorization` pass at a site?
async fn passes(app: &App, slug: &str, authorization: &str) -> bool {
    let place = Place::of(true, &format!("{slug}.example.org"), "/export").unwrap();
    let shown = Shown {
        cookies: &[],
        session: None,
        authorization: Some(authorization),
    };
    let verdict = app
        .doorward
        .check(&place, Some("GET"), shown, Origin::default)
        .await
        .unwrap();
    matches!(verdict, Verdict::Pass(_))
}

fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

async fn make(app: &App, user: UserId, new: &NewAppPassword) -> MadeAppPassword {
    app.doorward
        .create_app_password(user, new, &Origin::default())
        .await
        .unwrap()
}

async fn shown(app: &App, made: &MadeAppPassword) -> Option<Arc<AppPasswordUse>> {
    app.doorward
        .app_password(made.secret.expose(), None)
        .await
        .unwrap()
}

async fn works(app: &App, made: &MadeAppPassword) -> bool {
    shown(app, made).await.is_some()
}

async fn revoke(app: &App, user: UserId, made: &MadeAppPassword) {
    app.doorward
        .revoke_app_password(user, made.password.id, By::Administrator, &Origin::default())
        .await
        .unwrap();
}

fn switched(active: bool) -> UserChange {
    UserChange {
        active: Some(active),
        ..UserChange::default()
    }
}

#[tokio::test]
async fn it_brings_its_person_with_groups_and_where_it_works() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let group = app.group("staff").await;
        app.doorward.add_member(alice.id, group.id).await.unwrap();
        let wiki = app.oidc_client("wiki", |_| {}).await.application.id;
        let other = app.oidc_client("other", |_| {}).await.application.id;
        let everywhere = make(&app, alice.id, &named("Phone")).await;
        let found = shown(&app, &everywhere).await.unwrap();
        assert_eq!(found.id(), everywhere.password.id);
        assert_eq!(found.person.user.id, alice.id);
        assert!(found.person.groups.contains(&group.id) && !found.person.superuser);
        assert!(found.covers(wiki) && found.covers(other));
        let one = NewAppPassword {
            reach: Reach::Applications([wiki].into()),
            ..named("Wiki only")
        };
        let one = make(&app, alice.id, &one).await;
        let found = shown(&app, &one).await.unwrap();
        assert!(found.covers(wiki) && !found.covers(other));

        app.doorward.remove_member(alice.id, group.id).await.unwrap();
        let found = shown(&app, &everywhere).await.unwrap();
        assert!(
            !found.person.groups.contains(&group.id),
            "out of the group at once"
        );
    })
    .await;
}

#[tokio::test]
async fn at_a_site_it_is_a_bearer_token_or_the_password_of_basic() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let service = app
            .person_with("backup", |new| new.kind = UserKind::Service)
            .await;
        let wiki = guarded(&app, "wiki", true).await;
        guarded(&app, "files", true).await;
        guarded(&app, "closed", false).await;
        let everywhere = make(&app, alice.id, &named("Phone")).await;
        let one = NewAppPassword {
            reach: Reach::Applications([wiki].into()),
            ..named("Wiki only")
        };
        let one = make(&app, service.id, &one).await;
        for (made, owner, site, good) in [
            (&everywhere, "alice", "wiki", true),
            (&everywhere, "alice", "files", true),
            (&everywhere, "alice", "closed", false),
            (&one, "backup", "wiki", true),
            (&one, "backup", "files", false),
            (&one, "backup", "closed", false),
        ] {
            let secret = made.secret.expose();
            for authorization in [
                format!("Bearer {secret}"),
                basic(owner, secret),
                basic(&format!("{owner}@example.org"), secret),
            ] {
                assert_eq!(
                    passes(&app, site, &authorization).await,
                    good,
                    "{owner} at {site}: {authorization:.10}"
                );
            }
            assert!(!passes(&app, site, &basic("mallory", secret)).await);
            assert!(!passes(&app, site, &basic(owner, PASSWORD)).await);
            assert!(!passes(&app, site, &format!("Bearer {PASSWORD}")).await);
        }
        let bearer = format!("Bearer {}", everywhere.secret.expose());
        let (passed, queries) = count_queries(passes(&app, "wiki", &bearer)).await;
        assert!(passed);
        assert_eq!(queries, 0, "a warm check");
        revoke(&app, alice.id, &everywhere).await;
        assert!(!passes(&app, "wiki", &bearer).await, "revoked");
    })
    .await;
}

#[tokio::test]
async fn a_service_has_one_although_it_cannot_sign_in() {
    each_app(async |app| {
        let service = app
            .person_with("backup", |new| new.kind = UserKind::Service)
            .await;
        let made = make(&app, service.id, &named("nightly")).await;
        let found = shown(&app, &made).await.unwrap();
        assert_eq!(found.person.user.kind, UserKind::Service);
        let signed_in = app.browser().sign_in("backup", PASSWORD).await;
        assert_eq!(reason(signed_in), Reason::ServiceUser);
    })
    .await;
}

#[tokio::test]
async fn a_name_given_with_it_has_to_be_its_persons() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        app.person("bob").await;
        let made = make(&app, alice.id, &named("Phone")).await;
        let secret = made.secret.expose();
        let long = "a".repeat(100_000);
        for (name, good) in [
            ("alice", true),
            ("ALICE", true),
            (" Alice@Example.ORG ", true),
            ("bob", false),
            ("bob@example.org", false),
            ("", false),
            ("alic", false),
            ("alice\0", false),
            (&long, false),
        ] {
            let found = app.doorward.app_password(secret, Some(name)).await.unwrap();
            assert_eq!(found.is_some(), good, "{name:.40}");
        }
        let renamed = UserChange {
            username: Some("alicia".into()),
            ..UserChange::default()
        };
        app.doorward.update_user(alice.id, &renamed).await.unwrap();
        for (name, good) in [("alice", false), ("alicia", true)] {
            let found = app.doorward.app_password(secret, Some(name)).await.unwrap();
            assert_eq!(found.is_some(), good, "renamed: {name}");
        }
    })
    .await;
}

#[tokio::test]
async fn warm_it_costs_nothing_and_a_guess_in_another_form_neither() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let made = make(&app, alice.id, &named("Phone")).await;
        let door = &app.doorward;
        let secret = made.secret.expose();
        let (found, cold) = count_queries(door.app_password(secret, None)).await;
        assert!(found.unwrap().is_some());
        assert_eq!(cold, 1, "cold");
        let (found, warm) = count_queries(door.app_password(secret, Some("alice"))).await;
        assert!(found.unwrap().is_some());
        assert_eq!(warm, 0, "warm");

        let digest = doorward_crypto::token::digest(secret).hex();
        let id = made.password.id.to_string();
        let session = browser.session.clone().unwrap();
        let disguised = session.replace("dws_", "dwk_");
        let long = format!("{secret}{}", "x".repeat(1_000_000));
        for guess in [
            "",
            "\0",
            PASSWORD,
            &id,
            &digest,
            &session,
            &secret.to_uppercase(),
            &format!("{secret} "),
            &secret.replace("dwk_", "dwt_"),
            "dwk_short",
            &long,
        ] {
            let (found, asked) = count_queries(door.app_password(guess, None)).await;
            assert!(found.unwrap().is_none(), "{guess:.40}");
            assert_eq!(asked, 0, "{guess:.40}");
        }
        let (found, asked) = count_queries(door.app_password(&disguised, None)).await;
        assert!(found.unwrap().is_none());
        assert_eq!(asked, 1, "one look-up for one that could be");

        revoke(&app, alice.id, &made).await;
        let (found, _) = count_queries(door.app_password(secret, None)).await;
        assert!(found.unwrap().is_none());
        let (found, asked) = count_queries(door.app_password(secret, None)).await;
        assert!(found.unwrap().is_none());
        assert_eq!(asked, 0, "a program that goes on with a revoked one");
    })
    .await;
}

#[tokio::test]
async fn it_opens_nothing_but_what_is_behind_forward_auth() {
    each_app(async |app| {
        let alice = app.administrator("alice").await;
        let client = app.oidc_client("grafana", |_| {}).await;
        let made = make(&app, alice.id, &named("Phone")).await;
        let secret = made.secret.expose();
        let door = &app.doorward;
        assert!(door.visit(Some(secret)).await.unwrap().is_none(), "as a session");
        let signed_in = app.browser().sign_in("alice", secret).await;
        assert_eq!(reason(signed_in), Reason::WrongCredentials, "as the password");
        assert!(!client.is_active(secret).await, "as an access token");
        assert!(client.refresh(secret).await.is_err(), "as a refresh token");
        let mut impostor = client.clone();
        impostor.secret = Some(secret.to_owned());
        assert!(impostor.refresh(secret).await.is_err(), "as a client secret");
        let exchange = Params::from_pairs([
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", secret),
            (
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
        ]);
        let exchanged = door
            .token(client.basic().as_deref(), &exchange, &client.origin)
            .await;
        assert!(exchanged.is_err(), "as a subject token");
        let now = app.now();
        let digest = doorward_crypto::token::digest(secret);
        let read = app.store().read();
        let as_api = read.find_api_token(digest.bytes(), now).await.unwrap();
        assert_eq!(as_api, None, "as a token of the admin API");
        assert!(works(&app, &made).await);
    })
    .await;
}

#[tokio::test]
async fn the_bootstrap_token_is_no_app_password_even_in_its_form() {
    each_place(async |place| {
        let app = App::unopened(&place).await;
        let token = Opaque::mint(TokenKind::AppPassword, &[9; 32]);
        let bootstrap = Bootstrap {
            username: None,
            email: None,
            password: Some(PASSWORD.into()),
            token: Some(token.text().to_owned()),
        };
        app.start(&bootstrap).await;
        let found = app.doorward.app_password(token.text(), None).await.unwrap();
        assert!(found.is_none());
        let admin = app.doorward.find_user("admin").await.unwrap();
        let listed = app.doorward.app_passwords_of(admin.id).await.unwrap();
        assert!(listed.is_empty());
        app.store().close().await;
    })
    .await;
}

#[tokio::test]
async fn it_ends_by_the_clock_by_revocation_and_with_its_user() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let door = &app.doorward;
        let short = NewAppPassword {
            lifetime: Some(Lifetime::from_hours(1)),
            ..named("short")
        };
        let short = make(&app, alice.id, &short).await;
        let made = make(&app, alice.id, &named("Phone")).await;
        assert!(works(&app, &short).await);
        app.wait(Lifetime::from_millis(3_599_999));
        assert!(works(&app, &short).await);
        app.wait(Lifetime::from_millis(1));
        assert!(!works(&app, &short).await, "expired while warm");
        assert!(works(&app, &made).await);

        door.update_user(alice.id, &switched(false)).await.unwrap();
        assert!(!works(&app, &made).await, "switched off");
        door.update_user(alice.id, &switched(true)).await.unwrap();
        assert!(works(&app, &made).await, "switched on again");

        door.delete_user(alice.id).await.unwrap();
        assert!(!works(&app, &made).await, "deleted");
        let late = door
            .create_app_password(alice.id, &named("late"), &Origin::default())
            .await;
        assert!(matches!(late, Err(Error::NotFound(_))), "{late:?}");
        app.wait(Lifetime::from_days(29));
        door.housekeeping().await.unwrap();
        door.restore_user(alice.id).await.unwrap();
        assert!(works(&app, &made).await, "restored");

        revoke(&app, alice.id, &made).await;
        assert!(!works(&app, &made).await, "revoked");
        assert_eq!(door.app_passwords_of(alice.id).await.unwrap().len(), 1);
        app.wait(Lifetime::from_days(31));
        door.housekeeping().await.unwrap();
        assert_eq!(app.rows().await["app_passwords"], 0, "forgotten in the end");

        let last = make(&app, alice.id, &named("last")).await;
        door.delete_user(alice.id).await.unwrap();
        app.wait(Lifetime::from_days(31));
        door.housekeeping().await.unwrap();
        assert!(!works(&app, &last).await);
        assert_eq!(app.rows().await["app_passwords"], 0, "gone with the user");
    })
    .await;
}

#[tokio::test]
async fn a_changed_password_ends_them_all() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let bob = app.person("bob").await;
        let door = &app.doorward;
        let bobs = make(&app, bob.id, &named("Phone")).await;
        for how in ["changed", "set", "recovered"] {
            let made = make(&app, alice.id, &named("Phone")).await;
            assert!(works(&app, &made).await);
            match how {
                "changed" => {
                    let browser = app.sign_in("alice").await;
                    let visit = browser.visit().await.unwrap();
                    door.change_password(&visit, PASSWORD, "another good one", &browser.origin)
                        .await
                        .unwrap();
                }
                "set" => {
                    let change = UserChange {
                        password: Some("yet another one".into()),
                        ..UserChange::default()
                    };
                    door.update_user(alice.id, &change).await.unwrap();
                }
                _ => {
                    let link = door.recover_link(alice.id, Promote::Yes).await.unwrap();
                    let token = link.rsplit('/').next().unwrap();
                    door.recover(token, "a recovered one", &Origin::default())
                        .await
                        .unwrap();
                }
            }
            assert!(!works(&app, &made).await, "{how}");
            app.wait_seconds(1);
            assert!(door.app_passwords_of(alice.id).await.unwrap().is_empty());
        }
        assert!(works(&app, &bobs).await, "other people's stay");
        let events = app.events().await;
        let revoked = events
            .iter()
            .filter(|event| event.kind == EventKind::AppPasswordRevoked);
        let by: Vec<&str> = revoked
            .map(|event| event.details["by"].as_str().unwrap())
            .collect();
        assert_eq!(by, ["password changed", "password set", "recovered"]);
    })
    .await;
}

#[tokio::test]
async fn nobody_revokes_somebody_elses() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let mallory = app.person("mallory").await;
        let made = make(&app, alice.id, &named("Phone")).await;
        let before = app.events().await.len();
        let tried = app
            .doorward
            .revoke_app_password(mallory.id, made.password.id, By::Owner, &Origin::default())
            .await;
        assert!(matches!(tried, Err(Error::NotFound(_))), "{tried:?}");
        assert!(works(&app, &made).await);
        assert_eq!(app.events().await.len(), before, "nothing happened");
        revoke(&app, alice.id, &made).await;
        let again = app
            .doorward
            .revoke_app_password(alice.id, made.password.id, By::Owner, &Origin::default())
            .await;
        assert!(matches!(again, Err(Error::NotFound(_))), "{again:?}");
    })
    .await;
}

#[tokio::test]
async fn another_replica_refuses_it_within_a_second() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let replica = app.replica().await;
        for what in ["revoked", "switched off"] {
            let made = make(&app, alice.id, &named("Phone")).await;
            assert!(works(&replica, &made).await);
            if what == "revoked" {
                revoke(&app, alice.id, &made).await;
            } else {
                app.doorward
                    .update_user(alice.id, &switched(false))
                    .await
                    .unwrap();
            }
            let mut left = 75;
            while works(&replica, &made).await {
                assert!(left > 0, "still good after 1.5 seconds: {what}");
                left -= 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_warm_one_passes_while_the_database_does_not_answer() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let short = NewAppPassword {
            lifetime: Some(Lifetime::from_hours(1)),
            ..named("short")
        };
        let warm = make(&app, alice.id, &short).await;
        let cold = make(&app, alice.id, &named("cold")).await;
        assert!(works(&app, &warm).await);
        app.lose("app_passwords").await;
        assert!(works(&app, &warm).await, "known and good before");
        let asked = app.doorward.app_password(cold.secret.expose(), None).await;
        assert!(
            matches!(asked, Err(Error::Fault(_))),
            "nobody can tell: {asked:?}"
        );
        app.wait(Lifetime::from_hours(1));
        assert!(!works(&app, &warm).await, "its own end holds all the same");
    })
    .await;
}

#[tokio::test]
async fn a_stolen_cookie_makes_none_and_guesses_are_counted() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let visit = browser.visit().await.unwrap();
        let door = &app.doorward;
        let own = async |password: &str, new: &NewAppPassword| {
            door.create_own_app_password(&visit, password, new, &browser.origin)
                .await
        };
        assert_eq!(
            reason(own("wrong guess", &named("Thief")).await),
            Reason::WrongCredentials
        );
        assert_eq!(reason(own("", &named("Thief")).await), Reason::WrongCredentials);
        assert!(door.app_passwords_of(alice.id).await.unwrap().is_empty());
        let made = own(PASSWORD, &named("Phone")).await.unwrap();
        assert!(works(&app, &made).await);

        let mut throttled = false;
        for _ in 0..30 {
            let no = crate::refused(own("wrong guess", &named("Thief")).await);
            throttled = throttled || no.reason == Reason::AccountThrottled;
        }
        assert!(throttled);
        let held = own(PASSWORD, &named("Thief")).await;
        assert_eq!(reason(held), Reason::AccountThrottled, "also with the right one");
        let change = door
            .change_password(&visit, PASSWORD, "another good one", &browser.origin)
            .await;
        assert_eq!(
            reason(change),
            Reason::AccountThrottled,
            "one count for both pages"
        );
        app.wait(Lifetime::from_hours(3));
        door.sign_out(&visit, &browser.origin).await.unwrap();
        assert_eq!(reason(own(PASSWORD, &named("Late")).await), Reason::SessionEnded);
    })
    .await;
}

#[tokio::test]
async fn a_person_names_only_applications_that_admit_the_person() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let wiki = guarded(&app, "wiki", true).await;
        let closed = guarded(&app, "closed", false).await;
        app.oidc_client("siteless", |_| {}).await;
        let visit = browser.visit().await.unwrap();
        let door = &app.doorward;
        let choices: Vec<_> = door
            .app_password_choices(&visit)
            .iter()
            .map(|application| application.id)
            .collect();
        assert_eq!(choices, [wiki]);
        let of = |name: &str, ids: &[_]| NewAppPassword {
            reach: Reach::Applications(ids.iter().copied().collect()),
            ..named(name)
        };
        let own = async |new: &NewAppPassword| {
            door.create_own_app_password(&visit, PASSWORD, new, &browser.origin)
                .await
        };
        assert!(invalid(own(&of("a", &[wiki, closed])).await).contains("application"));
        assert!(invalid(own(&of("a", &[])).await).contains("application"));
        own(&of("a", &[wiki])).await.unwrap();
        let taken = invalid(own(&of(" A".trim(), &[wiki])).await);
        assert!(taken.contains("taken"), "{taken}");
    })
    .await;
}

#[tokio::test]
async fn names_numbers_and_ends_have_limits() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let bob = app.person("bob").await;
        let door = &app.doorward;
        let create =
            async |user, new: &NewAppPassword| door.create_app_password(user, new, &Origin::default()).await;
        let longest = "ä".repeat(100);
        for name in ["", " ", " a", "a\nb", &"a".repeat(101)] {
            let said = invalid(create(alice.id, &named(name)).await);
            assert!(said.contains("name"), "{said}");
        }
        let at_once = NewAppPassword {
            lifetime: Some(Lifetime::from_seconds(0)),
            ..named("now")
        };
        assert!(invalid(create(alice.id, &at_once).await).contains("expires"));
        create(alice.id, &named(&longest)).await.unwrap();
        for n in 1..MOST {
            create(alice.id, &named(&format!("number {n}"))).await.unwrap();
        }
        let full = invalid(create(alice.id, &named("one more")).await);
        assert!(full.contains("50"), "{full}");
        create(bob.id, &named("one more")).await.unwrap();
        let all = door.app_passwords_of(alice.id).await.unwrap();
        let first = all.iter().find(|one| one.name == longest).unwrap();
        door.revoke_app_password(alice.id, first.id, By::Owner, &Origin::default())
            .await
            .unwrap();
        create(alice.id, &named(&longest))
            .await
            .expect("the name and the place are free again");
        assert_eq!(door.app_passwords_of(alice.id).await.unwrap().len(), MOST);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_do_not_pass_the_limit_together() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        for n in 0..MOST - 3 {
            make(&app, alice.id, &named(&format!("number {n}"))).await;
        }
        let tasks: Vec<_> = (0..12)
            .map(|n| {
                let app = app.clone();
                tokio::spawn(async move {
                    let new = named(&format!("racer {n}"));
                    app.doorward
                        .create_app_password(alice.id, &new, &Origin::default())
                        .await
                })
            })
            .collect();
        let mut made = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => made += 1,
                Err(Error::Invalid(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(made, 3);
    })
    .await;
}

#[tokio::test]
async fn making_and_revoking_are_events_and_the_last_use_shows() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let visit = browser.visit().await.unwrap();
        let door = &app.doorward;
        let made = door
            .create_own_app_password(&visit, PASSWORD, &named("Phone"), &browser.origin)
            .await
            .unwrap();
        let listed = async || door.app_passwords_of(alice.id).await.unwrap().remove(0);
        assert_eq!(listed().await.last_used_at, None);
        assert!(works(&app, &made).await);
        assert!(works(&app, &made).await);
        let (written, queries) = count_queries(door.write_used()).await;
        written.unwrap();
        assert!(queries >= 1);
        let minute = app.now().seconds() / 60;
        assert_eq!(
            listed().await.last_used_at.map(Timestamp::seconds),
            Some(minute * 60)
        );
        app.wait_seconds(59);
        assert!(works(&app, &made).await);
        let (written, queries) = count_queries(door.write_used()).await;
        written.unwrap();
        assert_eq!(queries, 0, "once a minute is enough");
        app.wait_seconds(2);
        assert!(works(&app, &made).await);
        door.write_used().await.unwrap();
        let later = app.now().seconds() / 60;
        assert_eq!(
            listed().await.last_used_at.map(Timestamp::seconds),
            Some(later * 60)
        );

        let wrong = door.app_password(made.secret.expose(), Some("bob")).await;
        assert!(wrong.unwrap().is_none());
        door.revoke_app_password(alice.id, made.password.id, By::Owner, &browser.origin)
            .await
            .unwrap();
        let events = app.events().await;
        for (kind, by) in [
            (EventKind::AppPasswordMade, "self"),
            (EventKind::AppPasswordRevoked, "self"),
        ] {
            let event = events.iter().find(|event| event.kind == kind).unwrap();
            assert_eq!(event.user_id, Some(alice.id));
            assert_eq!(event.details["name"], "Phone");
            assert_eq!(event.details["by"], by);
            assert_eq!(
                event.details["app_password"],
                made.password.id.to_string().as_str()
            );
            assert!(!event.details.to_string().contains(made.secret.expose()));
        }
        assert!(!format!("{made:?}").contains(made.secret.expose()));
    })
    .await;
}
