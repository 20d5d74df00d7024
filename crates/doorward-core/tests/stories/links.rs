//! The first administrator, an unattended installation, and a lost administrator.

use doorward_core::Origin;
use doorward_core::error::Error;
use doorward_core::links::{ADMINISTRATORS, Promote, Setup};
use doorward_core::start::{Bootstrap, Greeting};
use doorward_domain::{Lifetime, Reason};
use doorward_store::testing::each_place;
use doorward_testkit::{App, PASSWORD, each_app};

use crate::{invalid, reason};

fn setup<'a>(token: &'a str, username: &'a str) -> Setup<'a> {
    Setup {
        token,
        username,
        name: "",
        email: "",
        password: PASSWORD,
    }
}

fn token_of(link: &str) -> &str {
    link.rsplit('/').next().unwrap()
}

async fn link(app: &App) -> String {
    match app.start(&Bootstrap::default()).await {
        Greeting::SetupLink(link) => link,
        other => panic!("expected a link, got {other:?}"),
    }
}

#[tokio::test]
async fn the_set_up_link_works_once_and_then_never_again() {
    each_place(async |place| {
        let app = App::unopened(&place).await;
        let link = link(&app).await;
        assert!(link.starts_with("https://door.example.org/setup/dwl_"), "{link}");
        let (door, nobody) = (&app.doorward, Origin::default());
        assert!(door.setup_is_open().await.unwrap());
        for wrong in ["", "dwl_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "\0"] {
            assert!(!door.setup_token_works(wrong).await.unwrap());
            let given = reason(door.set_up(setup(wrong, "mallory"), &nobody).await);
            assert_eq!(given, Reason::LinkSpent);
        }
        // A mistake on the page does not use the link up.
        let bad = Setup {
            password: "short",
            ..setup(token_of(&link), "root")
        };
        assert!(invalid(door.set_up(bad, &nobody).await).contains("password"));
        let issued = door
            .set_up(setup(token_of(&link), "root"), &nobody)
            .await
            .unwrap();
        let visit = door.visit(Some(&issued.token)).await.unwrap().unwrap();
        assert!(visit.person.superuser);
        let again = reason(door.set_up(setup(token_of(&link), "mallory"), &nobody).await);
        assert_eq!(again, Reason::LinkSpent);
        // Even when everybody is gone the latch stays closed.
        assert!(!door.setup_is_open().await.unwrap());
        let tx = app.store().begin().await.unwrap();
        tx.delete_user(visit.person.user.id, app.now()).await.unwrap();
        tx.commit().await.unwrap();
        let replica = app.unopened_replica();
        assert_eq!(replica.start(&Bootstrap::default()).await, Greeting::SetUp);
        assert!(!door.setup_is_open().await.unwrap());
        app.store().close().await;
    })
    .await;
}

#[tokio::test]
async fn set_up_links_of_several_starts_work_until_the_first_of_them_is_used() {
    each_place(async |place| {
        let app = App::unopened(&place).await;
        let first = link(&app).await;
        let second = link(&app.unopened_replica()).await;
        let door = &app.doorward;
        assert!(door.setup_token_works(token_of(&first)).await.unwrap());
        assert!(door.setup_token_works(token_of(&second)).await.unwrap());
        door.set_up(setup(token_of(&second), "root"), &Origin::default())
            .await
            .unwrap();
        assert!(!door.setup_token_works(token_of(&first)).await.unwrap());
        app.store().close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_set_ups_at_once_make_one_administrator() {
    each_place(async |place| {
        let app = App::unopened(&place).await;
        let link = link(&app).await;
        let tries: Vec<_> = (0..10)
            .map(|n| {
                let (door, link) = (app.doorward.clone(), link.clone());
                tokio::spawn(async move {
                    let name = format!("root{n}");
                    door.set_up(setup(token_of(&link), &name), &Origin::default())
                        .await
                        .is_ok()
                })
            })
            .collect();
        let mut worked = 0;
        for outcome in tries {
            worked += usize::from(outcome.await.unwrap());
        }
        assert_eq!(worked, 1);
        assert_eq!(app.rows().await["users"], 1);
        app.store().close().await;
    })
    .await;
}

#[tokio::test]
async fn an_unattended_installation_gets_its_administrator_once() {
    each_place(async |place| {
        let app = App::unopened(&place).await;
        let bootstrap = Bootstrap {
            username: None,
            email: Some("root@example.org".into()),
            password: Some(PASSWORD.into()),
            token: Some("a token of enough length".into()),
        };
        assert!(!format!("{bootstrap:?}").contains(PASSWORD));
        assert_eq!(
            app.start(&bootstrap).await,
            Greeting::Bootstrapped("admin".into())
        );
        let visit = app.sign_in("root@example.org").await.visit().await.unwrap();
        assert!(visit.person.superuser);
        let replica = app.unopened_replica();
        assert_eq!(replica.start(&bootstrap).await, Greeting::BootstrapIgnored);
        assert_eq!(app.rows().await["users"], 1);
        assert_eq!(app.rows().await["api_tokens"], 1);
        assert!(!app.doorward.setup_is_open().await.unwrap());
        app.store().close().await;
    })
    .await;
}

#[tokio::test]
async fn an_installation_with_people_is_not_taken_over_by_variables() {
    each_place(async |place| {
        let app = App::new(&place).await;
        app.person("alice").await;
        let bootstrap = Bootstrap {
            password: Some(PASSWORD.into()),
            ..Bootstrap::default()
        };
        let replica = app.unopened_replica();
        assert_eq!(replica.start(&bootstrap).await, Greeting::BootstrapIgnored);
        assert_eq!(app.rows().await["users"], 1);
        app.store().close().await;
    })
    .await;
}

#[tokio::test]
async fn a_lost_administrator_sets_a_new_password_once_within_an_hour() {
    each_app(async |app| {
        let root = app.administrator("root").await;
        let (door, nobody) = (&app.doorward, Origin::default());
        let browser = app.sign_in("root").await;
        let link = door.recover_link(root.id, Promote::No).await.unwrap();
        let token = token_of(&link).to_owned();
        assert!(door.recover_token_works(&token).await.unwrap());
        // It is no set-up link and no session.
        assert!(!door.setup_token_works(&token).await.unwrap());
        assert!(door.visit(Some(&token)).await.unwrap().is_none());
        assert!(invalid(door.recover(&token, "short", &nobody).await).contains("password"));
        assert!(invalid(door.recover(&token, "root@example.org", &nobody).await).contains("password"));
        let issued = door.recover(&token, "a whole new one", &nobody).await.unwrap();
        assert!(door.visit(Some(&issued.token)).await.unwrap().is_some());
        assert!(browser.visit().await.is_none());
        assert_eq!(
            reason(door.recover(&token, "a whole new one", &nobody).await),
            Reason::LinkSpent
        );
        assert!(app.browser().sign_in("root", PASSWORD).await.is_err());
        app.browser().sign_in("root", "a whole new one").await.unwrap();

        let link = door.recover_link(root.id, Promote::No).await.unwrap();
        app.wait(Lifetime::from_minutes(60));
        let late = door.recover(token_of(&link), "a whole new one", &nobody).await;
        assert_eq!(reason(late), Reason::LinkSpent);
    })
    .await;
}

#[tokio::test]
async fn recover_makes_nobody_an_administrator_unless_asked() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let door = &app.doorward;
        let told = invalid(door.recover_link(alice.id, Promote::No).await);
        assert!(told.contains("is not an administrator"), "{told}");
        let link = door.recover_link(alice.id, Promote::Yes).await.unwrap();
        let issued = door
            .recover(token_of(&link), "a whole new one", &Origin::default())
            .await
            .unwrap();
        let visit = door.visit(Some(&issued.token)).await.unwrap().unwrap();
        assert!(visit.person.superuser);
        let missing = door
            .recover_link(doorward_domain::Id::mint(app.now(), [1; 10]), Promote::Yes)
            .await;
        assert!(matches!(missing, Err(Error::NotFound(_))));
    })
    .await;
}

#[tokio::test]
async fn recover_brings_back_a_deleted_or_switched_off_administrator() {
    each_app(async |app| {
        let root = app.administrator("root").await;
        let tx = app.store().begin().await.unwrap();
        tx.delete_user(root.id, app.now()).await.unwrap();
        tx.commit().await.unwrap();
        let link = app.doorward.recover_link(root.id, Promote::No).await.unwrap();
        let issued = app
            .doorward
            .recover(token_of(&link), "a whole new one", &Origin::default())
            .await
            .unwrap();
        let visit = app.doorward.visit(Some(&issued.token)).await.unwrap().unwrap();
        assert!(visit.person.superuser && visit.person.user.is_usable());
        assert!(app.doorward.find_group(ADMINISTRATORS).await.unwrap().superuser);
    })
    .await;
}
