//! Many things at once on one user: whatever wins, nothing is a fault and nothing is half done.

use doorward_core::error::{Error, Result};
use doorward_core::sessions::Which;
use doorward_testkit::{App, PASSWORD, each_app};
use tokio::task::JoinHandle;

fn no_fault<T: std::fmt::Debug>(what: &str, result: &Result<T>) {
    if let Err(Error::Fault(fault)) = result {
        panic!("{what}: {}", fault.chain());
    }
}

fn at_once<T, F>(times: usize, task: impl Fn(usize) -> F) -> Vec<JoinHandle<T>>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    (0..times).map(|n| tokio::spawn(task(n))).collect()
}

async fn done<T>(tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn right_and_wrong_passwords_at_once() {
    each_app(async |app| {
        app.person("alice").await;
        let tasks = at_once(60, |n| {
            let mut browser = app.browser().at([198, 51, 100, u8::try_from(n % 4).unwrap()]);
            async move {
                let password = if n % 2 == 0 { PASSWORD } else { "wrong" };
                browser.sign_in("alice", password).await
            }
        });
        for result in done(tasks).await {
            no_fault("sign-in", &result);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refreshing_revoking_and_signing_out_at_once() {
    each_app(async |app| {
        app.person("alice").await;
        let client = app.oidc_client("grafana", |_| {}).await;
        for _ in 0..5 {
            let browser = app.sign_in("alice").await;
            let asked = client.ask();
            let code = client.code(&browser, &asked).await;
            let tokens = client.tokens(&browser, "openid offline_access").await;
            let visit = browser.visit().await.unwrap();
            let user = visit.session.user_id;
            let tasks = at_once(40, |n| {
                let (app, client, browser) = (app.clone(), client.clone(), browser.clone());
                let (tokens, code, asked) = (tokens.clone(), code.clone(), asked.clone());
                async move {
                    let door = &app.doorward;
                    match n % 5 {
                        0 => no_fault("refresh", &client.refresh(&tokens.refresh()).await),
                        1 => no_fault("code", &client.redeem(&code, &asked).await),
                        2 => no_fault("end", &door.end_sessions(user, Which::All, &browser.origin).await),
                        3 => drop(browser.authorize(client.ask().params).await),
                        _ => no_fault(
                            "grant",
                            &door
                                .revoke_grant(user, client.application.id, &browser.origin)
                                .await,
                        ),
                    }
                }
            });
            done(tasks).await;
            assert!(browser.visit().await.is_none());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_switched_off_user_keeps_no_session_whatever_ran_at_the_same_time() {
    each_app(async |app| {
        for round in 0..5 {
            let name = format!("user{round}");
            let user = app.person(&name).await;
            let switch = {
                let door = app.doorward.clone();
                tokio::spawn(async move {
                    let off = doorward_core::admin::users::UserChange {
                        active: Some(false),
                        ..Default::default()
                    };
                    door.update_user(user.id, &off).await
                })
            };
            let tasks = at_once(10, |n| {
                let mut browser = app.browser().at([203, 0, 113, u8::try_from(n).unwrap()]);
                let name = name.clone();
                async move {
                    let result = browser.sign_in(&name, PASSWORD).await;
                    no_fault("sign-in", &result);
                    browser
                }
            });
            let browsers = done(tasks).await;
            no_fault("switch off", &switch.await.unwrap());
            for browser in browsers {
                assert!(browser.visit().await.is_none());
            }
            on_again(&app, user.id).await;
        }
    })
    .await;
}

async fn on_again(app: &App, user: doorward_domain::UserId) {
    let on = doorward_core::admin::users::UserChange {
        active: Some(true),
        ..Default::default()
    };
    app.doorward.update_user(user, &on).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_name_made_twenty_times_at_once_exists_once() {
    each_app(async |app| {
        let tasks = at_once(20, |_| {
            let door = app.doorward.clone();
            async move {
                let new = doorward_core::admin::users::NewUser {
                    username: "alice".into(),
                    ..Default::default()
                };
                door.create_user(&new, Some(PASSWORD)).await
            }
        });
        let results = done(tasks).await;
        for result in &results {
            no_fault("create", result);
        }
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert_eq!(app.rows().await["users"], 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn applications_changed_at_once_end_in_the_picture_that_is_stored() {
    each_app(async |app| {
        let client = app.oidc_client("grafana", |_| {}).await;
        let tasks = at_once(20, |n| {
            let (door, id) = (app.doorward.clone(), client.application.id);
            async move {
                let change = doorward_core::admin::applications::ApplicationChange {
                    name: Some(format!("name {n}")),
                    ..Default::default()
                };
                door.update_application(id, &change).await
            }
        });
        for result in done(tasks).await {
            no_fault("update", &result);
        }
        let stored = app.doorward.find_application("grafana").await.unwrap();
        let pictured = app.doorward.directory().by_slug("grafana").cloned().unwrap();
        assert_eq!(pictured.name, stored.name);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn saving_the_own_profile_does_not_undo_being_switched_off() {
    each_app(async |app| {
        for round in 0..10 {
            let name = format!("user{round}");
            let user = app.person(&name).await;
            let browser = app.sign_in(&name).await;
            let visit = browser.visit().await.unwrap();
            let saves = at_once(12, |n| {
                let (door, visit, origin) = (app.doorward.clone(), visit.clone(), browser.origin.clone());
                async move {
                    if n == 6 {
                        let off = doorward_core::admin::users::UserChange {
                            active: Some(false),
                            email: Some(None),
                            ..Default::default()
                        };
                        no_fault("switch off", &door.update_user(user.id, &off).await);
                        return;
                    }
                    let name = format!("name {n}");
                    let saved = door.change_profile(&visit, &name, None, &origin).await;
                    no_fault("profile", &saved);
                }
            });
            done(saves).await;
            let now = app.doorward.find_user(&name).await.unwrap();
            assert!(!now.active && now.email.is_none(), "round {round}: {now:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_group_taken_out_of_an_audience_stays_out_whatever_else_is_edited() {
    each_app(async |app| {
        use doorward_core::admin::applications::ApplicationChange;
        use doorward_core::admin::groups::GroupChange;
        app.group("staff").await;
        let team = app.group("team").await;
        for round in 0..10 {
            let client = app
                .oidc_client(&format!("app{round}"), |change| {
                    change.everyone = Some(false);
                    change.allow_groups = vec!["staff".into()];
                })
                .await;
            let superuser = GroupChange {
                superuser: Some(true),
                ..Default::default()
            };
            app.doorward.update_group(team.id, &superuser).await.unwrap();
            let edits = at_once(12, |n| {
                let (door, id) = (app.doorward.clone(), client.application.id);
                async move {
                    let mut change = ApplicationChange::default();
                    let mut group = GroupChange::default();
                    if n == 6 {
                        change.deny_groups = vec!["staff".into()];
                        group.superuser = Some(false);
                    } else {
                        change.name = Some(format!("name {n}"));
                        group.attributes.insert("n".into(), n.into());
                    }
                    no_fault("application", &door.update_application(id, &change).await);
                    no_fault("group", &door.update_group(team.id, &group).await);
                }
            });
            done(edits).await;
            let now = app.doorward.find_application(&client.application.slug).await;
            assert!(now.unwrap().audience.is_empty(), "round {round}");
            let now = app.doorward.find_group("team").await.unwrap();
            assert!(!now.superuser, "round {round}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_code_of_an_ended_session_can_be_redeemed() {
    each_app(async |app| {
        app.person("alice").await;
        let client = app.oidc_client("grafana", |_| {}).await;
        for _ in 0..10 {
            let browser = app.sign_in("alice").await;
            let visit = browser.visit().await.unwrap();
            let tasks = at_once(10, |n| {
                let (app, client, browser) = (app.clone(), client.clone(), browser.clone());
                let visit = visit.clone();
                async move {
                    if n == 5 {
                        let out = app.doorward.sign_out(&visit, &browser.origin).await;
                        no_fault("sign-out", &out);
                        return None;
                    }
                    let asked = client.ask();
                    let call = doorward_core::authorize::Call {
                        params: asked.params.clone(),
                        visit: Some(&visit),
                        browser: &browser.id,
                        origin: &browser.origin,
                    };
                    let outcome = app.doorward.authorize(call).await.unwrap();
                    match outcome {
                        doorward_core::authorize::Outcome::Return(_) => {
                            let back = doorward_testkit::back(&outcome);
                            Some((back.get("code").unwrap().to_owned(), asked))
                        }
                        _ => None,
                    }
                }
            });
            for (code, asked) in done(tasks).await.into_iter().flatten() {
                let late = client.redeem(&code, &asked).await;
                assert!(late.is_err(), "a code outlived its session");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_session_by_the_old_password_survives_its_change() {
    each_app(async |app| {
        for round in 0..8_u8 {
            let name = format!("user{round}");
            app.person(&name).await;
            let owner = app.sign_in(&name).await;
            let visit = owner.visit().await.unwrap();
            let tasks = at_once(8, |n| {
                let n = u8::try_from(n).unwrap();
                let mut browser = app.browser().at([203, 0, round, n]);
                let (door, visit, name) = (app.doorward.clone(), visit.clone(), name.clone());
                async move {
                    if n == 2 {
                        let changed = door
                            .change_password(&visit, PASSWORD, "another good one", &browser.origin)
                            .await;
                        changed.unwrap();
                    } else {
                        no_fault("sign-in", &browser.sign_in(&name, PASSWORD).await);
                    }
                    browser
                }
            });
            for browser in done(tasks).await {
                assert!(browser.visit().await.is_none(), "round {round}");
            }
            assert!(owner.visit().await.is_some());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_guesses_at_the_own_password_do_not_slip_through() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let visit = browser.visit().await.unwrap();
        let tasks = at_once(50, |n| {
            let (door, visit, origin) = (app.doorward.clone(), visit.clone(), browser.origin.clone());
            async move {
                let guess = format!("guess {n}");
                let result = door
                    .change_password(&visit, &guess, "another good one", &origin)
                    .await;
                crate::reason(result)
            }
        });
        let reasons = done(tasks).await;
        let compared = reasons
            .iter()
            .filter(|reason| **reason == doorward_domain::Reason::WrongCredentials);
        assert!(compared.count() <= 5, "{reasons:?}");
    })
    .await;
}
