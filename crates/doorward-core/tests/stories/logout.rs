//! Signing out: on a client's request, and told to the other clients.

use std::collections::HashMap;

use doorward_core::logout::Outcome;
use doorward_domain::attempt::Purpose;
use doorward_domain::event::EventKind;
use doorward_domain::{Lifetime, Reason};
use doorward_oidc::params::Params;
use doorward_store::{JobFilter, JobState};
use doorward_testkit::{App, Browser, Client, PASSWORD, PUBLIC_URL, Script, each_app};
use serde_json::json;

const BACK: &str = "https://grafana.example.org/backchannel";

async fn two(app: &App) -> (Browser, Client) {
    app.person("alice").await;
    let client = app
        .oidc_client("grafana", |change| {
            change.client.post_logout_redirect_uris = Some(vec!["https://grafana.example.org/bye".into()]);
            change.client.backchannel_logout_uri = Some(BACK.into());
            change.client.frontchannel_logout_uri = Some("https://grafana.example.org/front".into());
        })
        .await;
    (app.sign_in("alice").await, client)
}

async fn end(app: &App, browser: &Browser, params: Params) -> Outcome {
    let visit = browser.visit().await;
    app.doorward
        .end_session(None, &params, visit.as_deref(), &browser.id, &browser.origin)
        .await
        .unwrap()
}

fn bye(hint: &str) -> Params {
    Params::from_pairs([
        ("id_token_hint", hint),
        ("post_logout_redirect_uri", "https://grafana.example.org/bye"),
        ("state", "s1"),
    ])
}

async fn sign_out(app: &App, browser: &Browser) {
    let visit = browser.visit().await.unwrap();
    app.doorward.sign_out(&visit, &browser.origin).await.unwrap();
}

#[tokio::test]
async fn a_hint_of_this_session_signs_out_at_once_and_leads_back() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let tokens = client.tokens(&browser, "openid").await;
        let session = browser.session_id().await;
        let Outcome::Done { frames, redirect, .. } = end(&app, &browser, bye(&tokens.id())).await else {
            panic!("expected to be signed out")
        };
        assert_eq!(
            redirect.as_deref(),
            Some("https://grafana.example.org/bye?state=s1")
        );
        let [frame] = frames.as_slice() else {
            panic!("{frames:?}")
        };
        let query = Params::parse(frame.split_once('?').unwrap().1).unwrap();
        assert_eq!(query.get("sid"), Some(session.to_string().as_str()));
        assert_eq!(
            query.get("iss"),
            Some(format!("{PUBLIC_URL}/application/o/grafana/").as_str())
        );
        assert!(browser.visit().await.is_none());
        // Once more, without a session: no question, no error.
        let again = end(&app, &browser, bye(&tokens.id())).await;
        assert!(matches!(
            again,
            Outcome::Done {
                redirect: Some(_),
                ..
            }
        ));
    })
    .await;
}

#[tokio::test]
async fn without_proof_the_person_is_asked_first() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        app.person("mallory").await;
        let mallory = app.sign_in("mallory").await;
        let foreign = client.tokens(&mallory, "openid").await;
        let own = client.tokens(&browser, "openid").await;
        let named = Params::from_pairs([
            ("client_id", client.id.as_str()),
            ("post_logout_redirect_uri", "https://grafana.example.org/bye"),
        ]);
        let junk = named.with("id_token_hint", "x.y.z");
        let access = named.with("id_token_hint", &own.access());
        for forged in [junk, access] {
            let outcome = end(&app, &browser, forged).await;
            assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
            assert!(browser.visit().await.is_some());
        }
        for params in [Params::default(), named, bye(&foreign.id())] {
            let outcome = end(&app, &browser, params).await;
            let Outcome::Confirm { attempt, .. } = outcome else {
                panic!("expected a question, got {outcome:?}")
            };
            assert!(browser.visit().await.is_some(), "not before the answer");
            let sealed = app.doorward.seal_attempt(&attempt);
            let other = app.doorward.open_attempt(
                &sealed,
                Purpose::SignOut,
                Some(&mallory.id),
                Some(mallory.session_id().await),
            );
            assert_eq!(other.unwrap_err(), Reason::ForeignOrigin);
        }
        let named = Params::from_pairs([
            ("client_id", client.id.as_str()),
            ("post_logout_redirect_uri", "https://grafana.example.org/bye"),
        ]);
        let Outcome::Confirm { attempt, .. } = end(&app, &browser, named).await else {
            panic!("expected a question")
        };
        let visit = browser.visit().await;
        let outcome = app
            .doorward
            .end_session_confirmed(&attempt, visit.as_deref(), &browser.origin)
            .await
            .unwrap();
        assert!(matches!(outcome, Outcome::Done { redirect: Some(to), .. } if to.ends_with("/bye")));
        assert!(browser.visit().await.is_none());
    })
    .await;
}

#[tokio::test]
async fn a_foreign_place_to_go_afterwards_ends_nothing() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let other = app
            .oidc_client("other", |change| {
                change.client.post_logout_redirect_uris = Some(vec!["https://other.example.org/".into()]);
            })
            .await;
        let tokens = client.tokens(&browser, "openid").await;
        let to = |uri: &str| bye(&tokens.id()).with("post_logout_redirect_uri", uri);
        for params in [
            to("https://evil.example.org/"),
            to("https://other.example.org/"),
            to("https://grafana.example.org/bye?x=1"),
            to("https://grafana.example.org/callback"),
            bye(&tokens.id()).with("client_id", &other.id),
            bye(&tokens.id()).with("client_id", "nobody"),
            Params::from_pairs([("post_logout_redirect_uri", "https://grafana.example.org/bye")]),
        ] {
            let outcome = end(&app, &browser, params).await;
            assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
            assert!(browser.visit().await.is_some());
        }
    })
    .await;
}

#[tokio::test]
async fn tokens_end_with_the_session_unless_they_are_for_offline() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let online = client.tokens(&browser, "openid profile").await;
        let offline = client.tokens(&browser, "openid offline_access").await;
        let asked = client.ask();
        let pending = client.code(&browser, &asked).await;
        sign_out(&app, &browser).await;
        assert!(!client.is_active(&online.access()).await);
        assert!(client.userinfo(&online.access()).await.is_err());
        assert!(client.redeem(&pending, &asked).await.is_err());
        assert!(client.is_active(&offline.access()).await);
        client.refresh(&offline.refresh()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_logout_token_is_delivered_once() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let silent = app.oidc_client("silent", |_| {}).await;
        for client in [&client, &client, &silent] {
            client.tokens(&browser, "openid").await;
        }
        let (session, user) = {
            let visit = browser.visit().await.unwrap();
            (visit.session.id, visit.person.user.clone())
        };
        app.fetch.script(BACK, Script::Answer(200, Vec::new()));
        sign_out(&app, &browser).await;
        assert!(app.fetch.posts().is_empty(), "not within the request");
        assert_eq!(app.doorward.run_due_jobs().await.unwrap(), 1);
        assert_eq!(app.doorward.run_due_jobs().await.unwrap(), 0);
        let posts = app.fetch.posts();
        let [post] = posts.as_slice() else {
            panic!("{posts:?}")
        };
        let fields: HashMap<_, _> = post.fields.iter().cloned().collect();
        let token = app.doorward.open_own_jwt(&fields["logout_token"]).unwrap();
        assert_eq!(token.typ.as_deref(), Some("logout+jwt"));
        let claims = token.claims;
        assert_eq!(claims["iss"], format!("{PUBLIC_URL}/application/o/grafana/"));
        assert_eq!(claims["aud"], client.id);
        assert_eq!(claims["sub"], user.uid);
        assert_eq!(claims["sid"], session.to_string());
        assert_eq!(
            claims["events"],
            json!({ "http://schemas.openid.net/event/backchannel-logout": {} })
        );
        assert!(claims.get("nonce").is_none());
        // It is no access token and no hint.
        assert!(client.userinfo(&fields["logout_token"]).await.is_err());
        assert!(!client.is_active(&fields["logout_token"]).await);
        let events = app.events().await;
        let noted: Vec<_> = events
            .iter()
            .filter(|event| event.kind == EventKind::LogoutDelivered)
            .collect();
        assert_eq!(noted.len(), 1);
        assert_eq!(noted[0].details["outcome"], "delivered");
        assert_eq!(noted[0].application_id, Some(client.application.id));
    })
    .await;
}

#[tokio::test]
async fn every_way_to_end_a_session_tells_the_clients() {
    each_app(async |app| {
        let (_, client) = two(&app).await;
        app.fetch.script(BACK, Script::Answer(204, Vec::new()));
        let user = app.doorward.find_user("alice").await.unwrap().id;
        let change = doorward_core::admin::users::UserChange {
            active: Some(false),
            ..Default::default()
        };
        for (n, what) in ["all", "password", "off"].into_iter().enumerate() {
            let browser = app.sign_in("alice").await;
            client.tokens(&browser, "openid").await;
            match what {
                "all" => {
                    let all = doorward_core::sessions::Which::All;
                    app.doorward
                        .end_sessions(user, all, &browser.origin)
                        .await
                        .unwrap();
                }
                "password" => {
                    let visit = app.sign_in("alice").await.visit().await.unwrap();
                    app.doorward
                        .change_password(&visit, PASSWORD, "another good one", &browser.origin)
                        .await
                        .unwrap();
                    let back = doorward_core::admin::users::UserChange {
                        password: Some(PASSWORD.into()),
                        ..Default::default()
                    };
                    app.doorward.update_user(user, &back).await.unwrap();
                }
                _ => {
                    app.doorward.update_user(user, &change).await.unwrap();
                }
            }
            assert!(browser.visit().await.is_none(), "{what}");
            app.doorward.run_due_jobs().await.unwrap();
            assert_eq!(app.fetch.posts().len(), n + 1, "{what}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_failed_delivery_is_tried_again_later_and_given_up_in_the_end() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        client.tokens(&browser, "openid").await;
        app.fetch.script(BACK, Script::Fail("no route".into()));
        sign_out(&app, &browser).await;
        assert_eq!(app.doorward.run_due_jobs().await.unwrap(), 1);
        assert_eq!(app.doorward.run_due_jobs().await.unwrap(), 0, "not at once");
        app.wait(Lifetime::from_millis(9_999));
        assert_eq!(app.doorward.run_due_jobs().await.unwrap(), 0);
        app.wait(Lifetime::from_millis(1));
        app.fetch.script(BACK, Script::Answer(503, Vec::new()));
        assert_eq!(app.doorward.run_due_jobs().await.unwrap(), 1);
        // 20 s, 40 s … until eight attempts have failed.
        for attempt in 2..8_u32 {
            app.wait_seconds(10 << (attempt - 1));
            assert_eq!(app.doorward.run_due_jobs().await.unwrap(), 1, "attempt {attempt}");
        }
        app.wait(Lifetime::from_days(1));
        assert_eq!(app.doorward.run_due_jobs().await.unwrap(), 0, "buried");
        assert_eq!(app.fetch.posts().len(), 8);
        let jobs = app.store().read().list_jobs(&JobFilter::default()).await.unwrap();
        assert_eq!(jobs.len(), 1);
        assert_eq!(jobs[0].state(), JobState::Dead);
        assert_eq!(jobs[0].last_error.as_deref(), Some("the client answered 503"));
        let events = app.events().await;
        let noted = events
            .iter()
            .filter(|event| event.kind == EventKind::LogoutDelivered);
        assert_eq!(noted.count(), 1);
        // The operator mends it and puts it back.
        app.fetch.script(BACK, Script::Answer(200, Vec::new()));
        app.doorward.retry_job(jobs[0].id).await.unwrap();
        assert_eq!(app.doorward.run_due_jobs().await.unwrap(), 1);
        assert_eq!(app.fetch.posts().len(), 9);
    })
    .await;
}

#[tokio::test]
async fn a_delivery_that_fails_first_arrives_at_the_second_try() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        client.tokens(&browser, "openid").await;
        app.fetch.script(BACK, Script::Fail("no route".into()));
        sign_out(&app, &browser).await;
        app.doorward.run_due_jobs().await.unwrap();
        app.fetch.script(BACK, Script::Answer(200, Vec::new()));
        app.wait_seconds(10);
        app.doorward.run_due_jobs().await.unwrap();
        app.wait(Lifetime::from_days(1));
        app.doorward.run_due_jobs().await.unwrap();
        assert_eq!(app.fetch.posts().len(), 2);
        // A refusal in so many words is not repeated.
        let browser = app.sign_in("alice").await;
        client.tokens(&browser, "openid").await;
        app.fetch.script(BACK, Script::Answer(400, Vec::new()));
        sign_out(&app, &browser).await;
        app.doorward.run_due_jobs().await.unwrap();
        app.wait(Lifetime::from_days(1));
        app.doorward.run_due_jobs().await.unwrap();
        assert_eq!(app.fetch.posts().len(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_workers_deliver_each_token_once() {
    each_app(async |app| {
        let (_, client) = two(&app).await;
        app.fetch.script(BACK, Script::Answer(200, Vec::new()));
        for _ in 0..10 {
            let browser = app.sign_in("alice").await;
            client.tokens(&browser, "openid").await;
            sign_out(&app, &browser).await;
        }
        let workers: Vec<_> = (0..10)
            .map(|_| {
                let door = app.doorward.clone();
                tokio::spawn(async move { door.run_due_jobs().await.unwrap() })
            })
            .collect();
        let mut ran = 0;
        for worker in workers {
            ran += worker.await.unwrap();
        }
        assert_eq!(ran, 10);
        assert_eq!(app.fetch.posts().len(), 10);
    })
    .await;
}

#[tokio::test]
async fn the_end_session_endpoint_of_an_application_takes_its_own_hints_only() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let other = app.oidc_client("other", |_| {}).await;
        let at = async |slug: &str, params: Params| {
            let visit = browser.visit().await;
            app.doorward
                .end_session(
                    Some(slug),
                    &params,
                    visit.as_deref(),
                    &browser.id,
                    &browser.origin,
                )
                .await
                .unwrap()
        };
        let foreign = other.tokens(&browser, "openid").await;
        let own = client.tokens(&browser, "openid").await;
        let mut modified = own.id();
        modified.truncate(modified.len() - 2);
        for hint in [foreign.id(), modified, "junk".into()] {
            let params = Params::from_pairs([
                ("id_token_hint", hint.as_str()),
                ("post_logout_redirect_uri", "https://grafana.example.org/bye"),
            ]);
            let outcome = at("grafana", params).await;
            assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        }
        let outcome = at("grafana", Params::from_pairs([("client_id", other.id.as_str())])).await;
        assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        assert!(browser.visit().await.is_some());
        // Signed out already: a bad hint is refused all the same.
        let outcome = app
            .doorward
            .end_session(None, &bye("junk"), None, &browser.id, &browser.origin)
            .await
            .unwrap();
        assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        let outcome = at("grafana", bye(&own.id())).await;
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    })
    .await;
}

#[tokio::test]
async fn logout_addresses_have_no_fragment() {
    each_app(async |app| {
        let client = app.oidc_client("grafana", |_| {}).await;
        for back in [true, false] {
            let mut change = doorward_core::admin::applications::ApplicationChange::default();
            let uri = Some("https://grafana.example.org/out#here".to_owned());
            if back {
                change.client.backchannel_logout_uri = uri;
            } else {
                change.client.frontchannel_logout_uri = uri;
            }
            let sentence = crate::invalid(
                app.doorward
                    .update_application(client.application.id, &change)
                    .await,
            );
            assert!(sentence.contains("fragment"), "{sentence}");
        }
    })
    .await;
}
