//! The authorization endpoint: every way through it, and what must not open it.

use doorward_core::admin::applications::ApplicationChange;
use doorward_core::authorize::{Answer, Call, Choice, Outcome, PATH, PROGRESS, Question, SIGN_IN};
use doorward_core::pushed::Pushed;
use doorward_crypto::jose::{Algorithm, SigningKey};
use doorward_domain::attempt::{Attempt, Purpose, is_local};
use doorward_domain::client::{ClientKind, ConsentMode, SubjectMode};
use doorward_domain::event::EventKind;
use doorward_domain::{Lifetime, Reason};
use doorward_oidc::authorize::Response;
use doorward_oidc::params::Params;
use doorward_testkit::{
    App, Asked, Browser, Client, PASSWORD, PUBLIC_URL, back, each_app, location, refusal,
};
use serde_json::{Value, json};

async fn two(app: &App) -> (Browser, Client) {
    app.person("alice").await;
    let client = app.oidc_client("grafana", |_| {}).await;
    (app.sign_in("alice").await, client)
}

fn consent(mode: ConsentMode) -> impl FnOnce(&mut ApplicationChange) {
    move |change| change.client.consent = Some(mode)
}

/// Parameters of the request that a sign-in page leads back to.
fn next(outcome: &Outcome) -> Params {
    let query = location(outcome).strip_prefix(SIGN_IN).unwrap();
    let page = Params::parse(query.strip_prefix('?').unwrap()).unwrap();
    let next = page.get("next").unwrap();
    assert!(is_local(next), "{next}");
    params_of(next)
}

fn params_of(path: &str) -> Params {
    let query = path.strip_prefix(PATH).and_then(|rest| rest.strip_prefix('?'));
    Params::parse(query.expect("the authorization endpoint")).unwrap()
}

fn asks_again(outcome: &Outcome) -> bool {
    location(outcome).contains("again=1")
}

fn error(outcome: &Outcome) -> String {
    back(outcome).get("error").expect("an error").to_owned()
}

fn has_code(outcome: &Outcome) -> bool {
    back(outcome).get("code").is_some()
}

fn question(outcome: Outcome) -> Question {
    match outcome {
        Outcome::Consent(question) | Outcome::SelectAccount(question) => *question,
        other => panic!("expected a question, got {other:?}"),
    }
}

/// The form of a question comes back in this browser.
async fn answered(app: &App, browser: &Browser, purpose: Purpose, sealed: &str) -> Result<Attempt, Reason> {
    let session = browser.visit().await.map(|visit| visit.session.id);
    app.doorward
        .open_attempt(sealed, purpose, Some(&browser.id), session)
}

async fn say(app: &App, browser: &Browser, question: &Question, answer: Answer) -> Outcome {
    let sealed = app.doorward.seal_attempt(&question.attempt);
    let attempt = answered(app, browser, Purpose::Consent, &sealed).await.unwrap();
    let visit = browser.visit().await;
    let call = Call {
        params: Params::default(),
        visit: visit.as_deref(),
        browser: &browser.id,
        origin: &browser.origin,
    };
    app.doorward
        .consent_answered(&attempt, answer, call)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_stranger_signs_in_first_and_then_comes_back_with_a_code() {
    each_app(async |app| {
        app.person("alice").await;
        let client = app.oidc_client("grafana", |_| {}).await;
        let mut browser = app.browser();
        let asked = client.ask();
        let outcome = browser.authorize(asked.params.clone()).await;
        assert!(!asks_again(&outcome));
        let next = next(&outcome);
        let told = app
            .doorward
            .destination(&format!("{PATH}?{}", next.to_query()))
            .await;
        assert_eq!(told.application.unwrap().slug, "grafana");
        browser.sign_in("alice", PASSWORD).await.unwrap();
        let outcome = browser.authorize(next).await;
        let back = back(&outcome);
        assert_eq!(back.get("state"), Some(asked.state.as_str()));
        assert_eq!(
            back.get("iss"),
            Some(format!("{PUBLIC_URL}/application/o/grafana/").as_str())
        );
        client.redeem(back.get("code").unwrap(), &asked).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_answer_travels_as_the_client_wants() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let params = |mode: &str| client.ask().params.with("response_mode", mode);
        let outcome = browser.authorize(params("fragment")).await;
        assert!(
            matches!(&outcome, Outcome::Return(Response::Location(to)) if to.contains("/callback#code="))
        );
        let outcome = browser.authorize(params("form_post")).await;
        let Outcome::Return(Response::FormPost { action, .. }) = &outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(*action, client.redirect_uri);
        assert!(has_code(&outcome));
        let shown = format!("{outcome:?}");
        assert!(!shown.contains("dwc_"), "{shown}");
    })
    .await;
}

#[tokio::test]
async fn prompt_login_asks_for_the_password_although_somebody_is_signed_in() {
    each_app(async |app| {
        let (mut browser, client) = two(&app).await;
        app.wait_seconds(10);
        let params = client.ask().params.with("prompt", "login");
        let outcome = browser.authorize(params.clone()).await;
        assert!(asks_again(&outcome));
        // Going on without the password asks again.
        let next = next(&outcome);
        assert!(asks_again(&browser.authorize(next.clone()).await));
        app.wait_seconds(10);
        browser.sign_in("alice", PASSWORD).await.unwrap();
        assert!(has_code(&browser.authorize(next).await));
        // Who was not signed in is asked once, not twice.
        let mut fresh = app.browser();
        let outcome = fresh.authorize(params).await;
        fresh.sign_in("alice", PASSWORD).await.unwrap();
        assert!(has_code(&fresh.authorize(self::next(&outcome)).await));
    })
    .await;
}

#[tokio::test]
async fn progress_counts_for_its_own_request_and_session_only() {
    each_app(async |app| {
        let (mut browser, client) = two(&app).await;
        app.person("bob").await;
        let strict = || client.ask().params.with("prompt", "login");
        // Somebody keeps the progress of one request, made before the sign-in, for another request.
        let first = strict();
        let kept = next(&app.browser().authorize(first.clone()).await);
        let kept = kept.get(PROGRESS).unwrap().to_owned();
        app.wait_seconds(5);
        browser.sign_in("alice", PASSWORD).await.unwrap();
        let other = strict().with(PROGRESS, &kept);
        assert!(asks_again(&browser.authorize(other).await), "another request");
        assert!(
            has_code(&browser.authorize(first.with(PROGRESS, &kept)).await),
            "its own"
        );

        // An account chosen by Alice is not chosen by Bob.
        let asked = client.ask().params.with("prompt", "select_account");
        let chosen = question(browser.authorize(asked.clone()).await);
        let session = browser.session_id().await;
        let to = app
            .doorward
            .account_selected(&chosen.attempt, session, Choice::Continue);
        let bob = app.sign_in("bob").await;
        assert!(matches!(
            bob.authorize(params_of(&to)).await,
            Outcome::SelectAccount(_)
        ));
        assert!(has_code(&browser.authorize(params_of(&to)).await));

        // Nothing else passes for progress.
        let attempt = app.doorward.seal_attempt(&chosen.attempt);
        let known = browser.known.clone().unwrap();
        for forged in [attempt, known, "AAAA".to_owned(), "x".repeat(100_000), kept] {
            let outcome = browser.authorize(asked.with(PROGRESS, &forged)).await;
            assert!(matches!(outcome, Outcome::SelectAccount(_)), "{forged:.20}");
        }
    })
    .await;
}

#[tokio::test]
async fn prompt_none_answers_without_a_page() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let silent = |client: &Client| client.ask().params.with("prompt", "none");
        assert!(has_code(&browser.authorize(silent(&client)).await));
        let nobody = app.browser();
        assert_eq!(error(&nobody.authorize(silent(&client)).await), "login_required");
        let careful = app.oidc_client("careful", consent(ConsentMode::Explicit)).await;
        assert_eq!(
            error(&browser.authorize(silent(&careful)).await),
            "consent_required"
        );
        let closed = app
            .oidc_client("closed", |change| change.everyone = Some(false))
            .await;
        assert_eq!(error(&browser.authorize(silent(&closed)).await), "access_denied");
        app.wait_seconds(60);
        let old = silent(&client).with("max_age", "59");
        assert_eq!(error(&browser.authorize(old).await), "login_required");
        let both = client.ask().params.with("prompt", "none login");
        assert_eq!(error(&browser.authorize(both).await), "invalid_request");
    })
    .await;
}

#[tokio::test]
async fn max_age_asks_when_the_proof_is_too_old() {
    each_app(async |app| {
        let (mut browser, client) = two(&app).await;
        let within = |age: &str| client.ask().params.with("max_age", age);
        app.wait_seconds(60);
        assert!(has_code(&browser.authorize(within("60")).await));
        assert!(asks_again(&browser.authorize(within("59")).await));
        let outcome = browser.authorize(within("0")).await;
        assert!(asks_again(&outcome));
        app.wait_seconds(1);
        browser.sign_in("alice", PASSWORD).await.unwrap();
        assert!(has_code(&browser.authorize(next(&outcome)).await));
        assert!(
            asks_again(&browser.authorize(within("0")).await),
            "each time anew"
        );
        for bad in ["-1", "1.5", "x", "99999999999999999999999"] {
            assert_eq!(
                error(&browser.authorize(within(bad)).await),
                "invalid_request",
                "{bad}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_hint_names_who_is_expected() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        app.person("bob").await;
        let mut bob = app.sign_in("bob").await;
        let tokens = client.tokens(&browser, "openid offline_access").await;
        let other = app.oidc_client("other", |_| {}).await;
        let foreign = other.tokens(&browser, "openid").await;
        let hinted = |hint: &str| client.ask().params.with("id_token_hint", hint);

        assert!(has_code(&browser.authorize(hinted(&tokens.id())).await));
        let silent = hinted(&tokens.id()).with("prompt", "none");
        assert_eq!(error(&bob.authorize(silent).await), "login_required");
        // An expired hint still names somebody.
        app.wait(Lifetime::from_hours(2));
        let outcome = bob.authorize(hinted(&tokens.id())).await;
        let asked = question(outcome);
        let to = app
            .doorward
            .account_selected(&asked.attempt, bob.session_id().await, Choice::Continue);
        assert_eq!(error(&bob.authorize(params_of(&to)).await), "login_required");
        let to = app
            .doorward
            .account_selected(&asked.attempt, bob.session_id().await, Choice::Other);
        assert!(to.starts_with(SIGN_IN) && to.contains("again=1"), "{to}");
        bob.sign_in("alice", PASSWORD).await.unwrap();
        let outcome = Outcome::SignIn { location: to };
        assert!(has_code(&bob.authorize(next(&outcome)).await));

        // Access tokens, other clients' ID tokens and junk are no hints.
        let bob = app.sign_in("bob").await;
        for hint in [
            &tokens.access(),
            &foreign.id(),
            &"x.y.z".to_owned(),
            &"\u{1}".to_owned(),
        ] {
            assert!(has_code(&bob.authorize(hinted(hint)).await), "{hint:.20}");
        }
    })
    .await;
}

#[tokio::test]
async fn select_account_shows_the_account_once() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let asked = client.ask().params.with("prompt", "select_account");
        let shown = question(browser.authorize(asked.clone()).await);
        assert_eq!(shown.person.user.username, "alice");
        let session = browser.session_id().await;
        let to = app
            .doorward
            .account_selected(&shown.attempt, session, Choice::Continue);
        assert!(has_code(&browser.authorize(params_of(&to)).await));
        // Who just typed a name has chosen.
        let mut fresh = app.browser();
        let outcome = fresh.authorize(asked).await;
        app.wait_seconds(5);
        fresh.sign_in("alice", PASSWORD).await.unwrap();
        assert!(has_code(&fresh.authorize(next(&outcome)).await));
    })
    .await;
}

#[tokio::test]
async fn explicit_consent_is_asked_once_per_set_of_scopes() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let client = app.oidc_client("careful", consent(ConsentMode::Explicit)).await;
        let asked = client.ask_for("openid profile");
        let shown = question(browser.authorize(asked.params.clone()).await);
        let names: Vec<_> = shown.scopes.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["openid", "profile"]);
        assert_eq!(shown.return_host, "careful.example.org");
        let outcome = say(&app, &browser, &shown, Answer::Deny).await;
        assert_eq!(error(&outcome), "access_denied");
        assert_eq!(back(&outcome).get("state"), Some(asked.state.as_str()));
        let outcome = say(&app, &browser, &shown, Answer::Allow).await;
        let code = back(&outcome).get("code").unwrap().to_owned();
        client.redeem(&code, &asked).await.unwrap();
        // Remembered; less needs no question, more does.
        assert!(has_code(
            &browser.authorize(client.ask_for("openid").params).await
        ));
        let more = browser.authorize(client.ask().params).await;
        let outcome = say(&app, &browser, &question(more), Answer::Allow).await;
        assert!(has_code(&outcome));
        assert!(has_code(&browser.authorize(client.ask().params).await));
        let again = client.ask().params.with("prompt", "consent");
        let shown = question(browser.authorize(again).await);
        assert!(has_code(&say(&app, &browser, &shown, Answer::Allow).await));
        // Taken back in the portal, it is asked again and its tokens are dead.
        let tokens = client.tokens(&browser, "openid offline_access profile email");
        let asked = client.ask_for("openid offline_access");
        drop(tokens);
        let shown = question(browser.authorize(asked.params.clone()).await);
        let outcome = say(&app, &browser, &shown, Answer::Allow).await;
        let answer = client.redeem(back(&outcome).get("code").unwrap(), &asked).await;
        let refresh = answer.unwrap()["refresh_token"].as_str().unwrap().to_owned();
        let alice = browser.visit().await.unwrap().person.user.id;
        let given = app.doorward.grants_of(alice).await.unwrap();
        assert_eq!(given.len(), 1);
        let revoked = app
            .doorward
            .revoke_grant(alice, client.application.id, &browser.origin)
            .await;
        assert!(revoked.unwrap());
        assert!(client.refresh(&refresh).await.is_err());
        assert!(matches!(
            browser.authorize(client.ask().params).await,
            Outcome::Consent(_)
        ));
    })
    .await;
}

#[tokio::test]
async fn consent_by_time_expires_implicit_is_recorded_and_first_party_is_not() {
    each_app(async |app| {
        let (browser, implicit) = two(&app).await;
        let alice = browser.visit().await.unwrap().person.user.id;
        let expiring = ConsentMode::Expiring(Lifetime::from_days(1));
        let expiring = app.oidc_client("expiring", consent(expiring)).await;
        let own = app.oidc_client("own", consent(ConsentMode::Skip)).await;
        assert!(has_code(&browser.authorize(implicit.ask().params).await));
        let forced = own.ask().params.with("prompt", "consent");
        assert!(has_code(&browser.authorize(forced).await));
        let shown = question(browser.authorize(expiring.ask().params).await);
        assert!(has_code(&say(&app, &browser, &shown, Answer::Allow).await));
        assert!(has_code(&browser.authorize(expiring.ask().params).await));
        let given = app.doorward.grants_of(alice).await.unwrap();
        let mut slugs: Vec<_> = given.iter().map(|(_, of)| of.slug.as_str()).collect();
        slugs.sort_unstable();
        assert_eq!(slugs, ["expiring", "grafana"]);
        app.wait(Lifetime::from_days(1));
        let outcome = browser.authorize(expiring.ask().params).await;
        assert!(matches!(outcome, Outcome::Consent(_)), "a day is over");
        // An administrator who made it ask for less forgets nothing that was refused since.
        let given = app.doorward.grants_of(alice).await.unwrap();
        assert_eq!(given.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_form_works_in_its_own_browser_session_and_time_only() {
    each_app(async |app| {
        app.person("bob").await;
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let client = app.oidc_client("careful", consent(ConsentMode::Explicit)).await;
        let shown = question(browser.authorize(client.ask().params).await);
        let sealed = app.doorward.seal_attempt(&shown.attempt);
        let open = async |browser: &Browser, purpose| answered(&app, browser, purpose, &sealed).await;

        let elsewhere = app.sign_in("alice").await;
        assert_eq!(
            open(&elsewhere, Purpose::Consent).await.unwrap_err(),
            Reason::ForeignOrigin
        );
        let mut bob = browser.clone();
        bob.sign_in("bob", PASSWORD).await.unwrap();
        assert_eq!(
            open(&bob, Purpose::Consent).await.unwrap_err(),
            Reason::AttemptExpired,
            "another session in the same browser"
        );
        for purpose in [
            Purpose::Device,
            Purpose::SelectAccount,
            Purpose::SignIn,
            Purpose::SignOut,
        ] {
            assert_eq!(
                open(&browser, purpose).await.unwrap_err(),
                Reason::AttemptExpired,
                "{purpose:?}"
            );
        }
        let flipped: String = sealed.chars().rev().collect();
        for forged in [flipped.as_str(), "", "AAAA", browser.known.as_deref().unwrap()] {
            let opened = answered(&app, &browser, Purpose::Consent, forged).await;
            assert_eq!(opened.unwrap_err(), Reason::AttemptExpired);
        }
        let without = app.doorward.open_attempt(&sealed, Purpose::Consent, None, None);
        assert_eq!(without.unwrap_err(), Reason::CookiesMissing);
        app.wait(
            Lifetime::from_hours(2)
                .millis()
                .try_into()
                .map(Lifetime::from_millis)
                .unwrap(),
        );
        app.wait_seconds(1);
        let alice = app.sign_in("alice").await;
        assert_eq!(
            open(&alice, Purpose::Consent).await.unwrap_err(),
            Reason::AttemptExpired
        );
    })
    .await;
}

#[tokio::test]
async fn who_is_not_in_the_audience_gets_a_code_that_explains_why() {
    each_app(async |app| {
        app.person("alice").await;
        let staff = app.group("staff").await;
        let guests = app.group("guests").await;
        let bob = app.person("bob").await;
        app.doorward.add_member(bob.id, guests.id).await.unwrap();
        let client = app
            .oidc_client("payroll", |change| {
                change.everyone = Some(false);
                change.allow_groups = vec!["staff".into()];
            })
            .await;
        let browser = app.sign_in("bob").await;
        let outcome = browser.authorize(client.ask().params).await;
        let told = refusal(&outcome);
        assert_eq!(told.reason, Reason::NotInAudience);
        let code = told.code.clone().unwrap();
        let typed = code.as_str().to_lowercase().replace('-', " ");
        let explained = app.doorward.explain_code(&typed).await.unwrap();
        assert_eq!(explained.username.as_deref(), Some("bob"));
        assert_eq!(explained.application.as_deref(), Some("payroll"));
        assert_eq!(explained.event.details["user_groups"], json!(["guests"]));
        assert_eq!(explained.event.details["audience_groups"], json!(["staff"]));
        let would = app.doorward.explain_access("bob", "payroll").await.unwrap();
        assert_eq!(
            (would.outcome, would.reason),
            ("refused", Some(Reason::NotInAudience))
        );

        // Through a parent group it opens at once, and closes again.
        let below = doorward_core::admin::groups::GroupChange {
            parents: Some(vec!["staff".into()]),
            ..Default::default()
        };
        app.doorward.update_group(guests.id, &below).await.unwrap();
        assert!(has_code(&browser.authorize(client.ask().params).await));
        let would = app.doorward.explain_access("bob", "payroll").await.unwrap();
        assert_eq!(would.outcome, "allowed");
        app.doorward.delete_group(staff.id).await.unwrap();
        refusal(&browser.authorize(client.ask().params).await);

        let empty = app
            .oidc_client("empty", |change| change.everyone = Some(false))
            .await;
        app.administrator("root").await;
        let root = app.sign_in("root").await;
        let outcome = root.authorize(empty.ask().params).await;
        assert_eq!(
            refusal(&outcome).reason,
            Reason::AudienceEmpty,
            "nobody means nobody"
        );
    })
    .await;
}

#[tokio::test]
async fn nothing_is_sent_to_a_place_that_is_not_registered() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        for given in [
            "https://evil.example.org/callback",
            "https://grafana.example.org/callback/",
            "https://grafana.example.org/callback?x=1",
            "https://grafana.example.org.evil.example/callback",
            "https://grafana.example.org@evil.example/callback",
            "http://grafana.example.org/callback",
            "https://grafana.example.org/callback#x",
            "https://grafana.example.org/%63allback",
            "HTTPS://grafana.example.org/callback",
            "javascript:alert(1)",
            "x",
        ] {
            for who in [&browser, &app.browser()] {
                let params = client.ask().params.with("redirect_uri", given);
                let outcome = who.authorize(params).await;
                assert_eq!(refusal(&outcome).reason, Reason::RedirectUriMismatch, "{given}");
                let silent = client
                    .ask()
                    .params
                    .with("redirect_uri", given)
                    .with("prompt", "none");
                refusal(&who.authorize(silent).await);
            }
        }
        let params = client
            .ask()
            .params
            .with("redirect_uri", "https://grafana.example.org/calback");
        let outcome = browser.authorize(params).await;
        let details = &refusal(&outcome).details;
        assert!(details.contains(&("nearest_registered", client.redirect_uri.clone())));
        let unknown = client.ask().params.with("client_id", "nobody");
        let outcome = browser.authorize(unknown).await;
        assert_eq!(refusal(&outcome).reason, Reason::UnknownClient);
        let none = client.ask().params.without(&["client_id"]);
        refusal(&browser.authorize(none).await);
        let twice = client.ask().params.to_query();
        let twice = format!("{twice}&redirect_uri=https://evil.example.org/");
        refusal(&browser.authorize(Params::parse(&twice).unwrap()).await);
    })
    .await;
}

async fn push(app: &App, client: &Client, asked: &Asked) -> String {
    let pushed = app
        .doorward
        .push(client.basic().as_deref(), asked.params.clone(), &client.origin)
        .await
        .unwrap();
    match pushed {
        Pushed::Accepted(body) => body["request_uri"].as_str().unwrap().to_owned(),
        Pushed::Refused(status, body) => panic!("{status} {body}"),
    }
}

#[tokio::test]
async fn a_pushed_request_works_once_for_its_client_and_cannot_be_amended() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let other = app.oidc_client("other", |_| {}).await;
        let asked = client.ask();
        let uri = push(&app, &client, &asked).await;
        let by_reference = |client: &Client, uri: &str| {
            Params::from_pairs([("client_id", client.id.as_str()), ("request_uri", uri)])
        };
        let foreign = browser.authorize(by_reference(&other, &uri)).await;
        assert_eq!(refusal(&foreign).reason, Reason::InvalidRequest);
        let amended = by_reference(&client, &uri)
            .with("redirect_uri", "https://evil.example.org/")
            .with("scope", "openid offline_access")
            .with("state", "other");
        let outcome = browser.authorize(amended).await;
        let answer = back(&outcome);
        assert_eq!(answer.get("state"), Some(asked.state.as_str()));
        let answer = client.redeem(answer.get("code").unwrap(), &asked).await.unwrap();
        assert_eq!(answer["scope"], "email openid profile");
        let again = browser.authorize(by_reference(&client, &uri)).await;
        assert_eq!(refusal(&again).reason, Reason::InvalidRequest);

        let uri = push(&app, &client, &asked).await;
        app.wait(doorward_core::pushed::LIFETIME);
        refusal(&browser.authorize(by_reference(&client, &uri)).await);
        for unknown in [
            "urn:ietf:params:oauth:request_uri:dwp_unknown",
            "https://evil.example.org/request",
        ] {
            let outcome = browser.authorize(by_reference(&client, unknown)).await;
            assert!(!matches!(outcome, Outcome::SignIn { .. }), "{outcome:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_pushed_request_survives_the_sign_in_between() {
    each_app(async |app| {
        app.person("alice").await;
        let client = app.oidc_client("grafana", |_| {}).await;
        let mut asked = client.ask();
        asked.params = asked.params.with("prompt", "login");
        let uri = push(&app, &client, &asked).await;
        let params = Params::from_pairs([("client_id", client.id.as_str()), ("request_uri", &uri)]);
        let mut browser = app.browser();
        let outcome = browser.authorize(params).await;
        app.wait_seconds(30);
        browser.sign_in("alice", PASSWORD).await.unwrap();
        let outcome = browser.authorize(next(&outcome)).await;
        client
            .redeem(back(&outcome).get("code").unwrap(), &asked)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pushed_request_in_twenty_tabs_gives_one_code() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let uri = push(&app, &client, &client.ask()).await;
        let params = Params::from_pairs([("client_id", client.id.as_str()), ("request_uri", &uri)]);
        let tabs: Vec<_> = (0..20)
            .map(|_| {
                let (browser, params) = (browser.clone(), params.clone());
                tokio::spawn(async move { matches!(browser.authorize(params).await, Outcome::Return(_)) })
            })
            .collect();
        let mut codes = 0;
        for tab in tabs {
            codes += usize::from(tab.await.unwrap());
        }
        assert_eq!(codes, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_tabs_at_once_all_get_their_code_also_the_first_time() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let tabs: Vec<_> = (0..20)
            .map(|_| {
                let (browser, params) = (browser.clone(), client.ask().params);
                tokio::spawn(async move { has_code(&browser.authorize(params).await) })
            })
            .collect();
        for tab in tabs {
            assert!(tab.await.unwrap());
        }
        assert_eq!(app.rows().await["grants"], 1);
    })
    .await;
}

#[tokio::test]
async fn a_request_object_counts_when_the_client_signed_it() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let client = app
            .oidc_client("signed", |change| {
                change.client.jwks = Some(json!({ "keys": [key.public_jwk()] }));
            })
            .await;
        let asked = client.ask();
        let members = |asked: &Asked| {
            let mut object = serde_json::Map::new();
            for (name, value) in asked.params.iter() {
                object.insert(name.to_owned(), value.into());
            }
            object.insert("iss".into(), client.id.as_str().into());
            object.insert("aud".into(), format!("{PUBLIC_URL}/application/o/signed/").into());
            object
        };
        let sign = |object: &serde_json::Map<String, Value>| {
            let bytes = serde_json::to_vec(object).unwrap();
            key.sign("oauth-authz-req+jwt", &bytes).unwrap()
        };
        let outer = |object: &str| {
            Params::from_pairs([
                ("client_id", client.id.as_str()),
                ("response_type", "code"),
                ("scope", "openid offline_access"),
                ("request", object),
            ])
        };
        let outcome = browser.authorize(outer(&sign(&members(&asked)))).await;
        let answer = client
            .redeem(back(&outcome).get("code").unwrap(), &asked)
            .await
            .unwrap();
        assert_eq!(answer["scope"], "email openid profile", "only the object counts");

        let mut wrong = members(&asked);
        wrong.insert("aud".into(), "https://other.example.org/".into());
        refusal(&browser.authorize(outer(&sign(&wrong))).await);
        let mut wrong = members(&asked);
        wrong.insert("client_id".into(), "nobody".into());
        refusal(&browser.authorize(outer(&sign(&wrong))).await);
        let mut evil = members(&asked);
        evil.insert("redirect_uri".into(), "https://evil.example.org/".into());
        refusal(&browser.authorize(outer(&sign(&evil))).await);
        let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
        let bytes = serde_json::to_vec(&members(&asked)).unwrap();
        let forged = stranger.sign("oauth-authz-req+jwt", &bytes).unwrap();
        refusal(&browser.authorize(outer(&forged)).await);
        // With a place to answer to that is known to be good, the client hears of it (RFC 9101 section 6.3).
        let heard = |object: &str| {
            let outer = outer(object)
                .with("state", "s1")
                .with("response_mode", "form_post");
            outer.with("redirect_uri", &client.redirect_uri)
        };
        let mut expired = members(&asked);
        expired.insert("exp".into(), (app.now().seconds() - 600).into());
        for object in [
            forged,
            "eyJhbGciOiJub25lIn0.e30.".into(),
            sign(&wrong),
            sign(&expired),
        ] {
            let outcome = browser.authorize(heard(&object)).await;
            assert!(
                matches!(outcome, Outcome::Return(Response::FormPost { .. })),
                "{outcome:?}"
            );
            assert_eq!(error(&outcome), "invalid_request_object");
            assert_eq!(back(&outcome).get("state"), Some("s1"));
            assert!(back(&outcome).get("error_description").unwrap().contains("(DW-"));
        }
        let evil = heard("a.b.c").with("redirect_uri", "https://evil.example.org/");
        assert_eq!(
            refusal(&browser.authorize(evil).await).reason,
            Reason::RedirectUriMismatch
        );
        // A client without keys cannot send one, signed or not.
        let plain = app.oidc_client("plain", |_| {}).await;
        let params = plain.ask().params.with("request", "eyJhbGciOiJub25lIn0.e30.");
        assert_eq!(error(&browser.authorize(params).await), "request_not_supported");
    })
    .await;
}

#[tokio::test]
async fn a_sign_out_in_between_leaves_no_code_behind() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        let stale = browser.visit().await.unwrap();
        app.doorward.sign_out(&stale, &browser.origin).await.unwrap();
        // The request had looked at the session before it ended.
        let call = Call {
            params: client.ask().params,
            visit: Some(&stale),
            browser: &browser.id,
            origin: &browser.origin,
        };
        let outcome = app.doorward.authorize(call).await.unwrap();
        assert!(matches!(outcome, Outcome::SignIn { .. }), "{outcome:?}");
        assert_eq!(app.rows().await["codes"], 0);
    })
    .await;
}

#[tokio::test]
async fn claims_asked_for_singly_need_consent_like_their_scope() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let client = app.oidc_client("careful", consent(ConsentMode::Explicit)).await;
        let mut asked = client.ask_for("openid");
        let claims = json!({ "userinfo": { "email": null }, "id_token": { "email_verified": null } });
        asked.params = asked.params.with("claims", &claims.to_string());
        let shown = question(browser.authorize(asked.params.clone()).await);
        let names: Vec<_> = shown.scopes.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["email", "openid"]);
        let outcome = say(&app, &browser, &shown, Answer::Allow).await;
        let answer = client.redeem(back(&outcome).get("code").unwrap(), &asked).await;
        let answer = answer.unwrap();
        let told = client
            .userinfo(answer["access_token"].as_str().unwrap())
            .await
            .unwrap();
        assert_eq!(told["email"], "alice@example.org");
        assert!(told.get("email_verified").is_none() && told.get("name").is_none());
        let id = app
            .doorward
            .open_own_jwt(answer["id_token"].as_str().unwrap())
            .unwrap()
            .claims;
        assert_eq!(id["email_verified"], true);
        assert!(id.get("email").is_none());
        // Remembered like a scope.
        assert!(has_code(&browser.authorize(asked.params.clone()).await));
        let other = json!({ "id_token": { "sub": { "value": "somebody else" } } });
        let other = client.ask_for("openid").params.with("claims", &other.to_string());
        assert!(matches!(
            browser.authorize(other).await,
            Outcome::SelectAccount(_)
        ));
    })
    .await;
}

#[tokio::test]
async fn a_person_without_an_address_cannot_enter_where_the_address_is_the_subject() {
    each_app(async |app| {
        app.person_with("bare", |new| new.email = None).await;
        app.person("alice").await;
        let client = app
            .oidc_client("mail", |change| {
                change.client.subject_mode = Some(SubjectMode::Email);
                change.client.kind = Some(ClientKind::Public);
            })
            .await;
        let bare = app.sign_in("bare").await;
        refusal(&bare.authorize(client.ask().params).await);
        let silent = client.ask().params.with("prompt", "none");
        assert_eq!(error(&bare.authorize(silent).await), "access_denied");
        let alice = app.sign_in("alice").await;
        assert!(has_code(&alice.authorize(client.ask().params).await));
    })
    .await;
}

#[tokio::test]
async fn each_code_is_an_event_and_each_first_consent_another() {
    each_app(async |app| {
        let (browser, client) = two(&app).await;
        for _ in 0..2 {
            browser.authorize(client.ask().params).await;
        }
        let count = |events: &[doorward_domain::event::Event], kind| {
            events.iter().filter(|event| event.kind == kind).count()
        };
        let events = app.events().await;
        assert_eq!(count(&events, EventKind::Authorized), 2);
        assert_eq!(count(&events, EventKind::GrantGiven), 1);
    })
    .await;
}

#[tokio::test]
async fn a_client_whose_keys_cannot_be_fetched_hears_that_it_is_for_now() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let client = app
            .oidc_client("signed", |change| {
                change.client.jwks_uri = Some("https://signed.example.org/jwks".into());
            })
            .await;
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let object = key.sign("oauth-authz-req+jwt", b"{}").unwrap();
        let outcome = browser
            .authorize(client.ask().params.with("request", &object))
            .await;
        assert_eq!(error(&outcome), "temporarily_unavailable");
    })
    .await;
}

#[tokio::test]
async fn a_yes_covers_what_the_page_showed() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let client = app
            .oidc_client("grafana", |change| {
                change.client.consent = Some(ConsentMode::Explicit);
                change.client.scopes = Some(["openid".to_owned()].into());
            })
            .await;
        let asked = client.ask_for("openid email");
        let shown = question(browser.authorize(asked.params.clone()).await);
        let mut wider = ApplicationChange::default();
        wider.client.scopes = Some(["openid".to_owned(), "email".to_owned()].into());
        app.doorward
            .update_application(client.application.id, &wider)
            .await
            .unwrap();
        let again = question(say(&app, &browser, &shown, Answer::Allow).await);
        assert_eq!(
            again.scopes.len(),
            2,
            "the page comes again with everything on it"
        );
        assert_eq!(app.rows().await["grants"], 0);
        assert!(has_code(&say(&app, &browser, &again, Answer::Allow).await));
    })
    .await;
}

#[tokio::test]
async fn native_clients_are_asked_for_once_and_never_let_in_silently() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        for (slug, redirect) in [
            ("loopback", "http://127.0.0.1/callback"),
            ("private", "org.example.app:/callback"),
        ] {
            let client = app
                .oidc_client(slug, |change| {
                    change.client.kind = Some(ClientKind::Public);
                    change.client.redirect_uris = Some(vec![redirect.into()]);
                })
                .await;
            let silent = client.ask().params.with("prompt", "none");
            assert_eq!(
                error(&browser.authorize(silent.clone()).await),
                "consent_required"
            );
            let asked = question(browser.authorize(client.ask().params).await);
            assert!(has_code(&say(&app, &browser, &asked, Answer::Allow).await));
            assert!(has_code(&browser.authorize(silent).await), "asked before");
            assert!(
                has_code(&browser.authorize(client.ask().params).await),
                "asked before"
            );
        }
        // Whoever owns an https address is who they say they are; and an administrator may vouch for a program.
        let page = app
            .oidc_client("page", |change| change.client.kind = Some(ClientKind::Public))
            .await;
        assert!(has_code(&browser.authorize(page.ask().params).await));
        let vouched = app
            .oidc_client("vouched", |change| {
                change.client.kind = Some(ClientKind::Public);
                change.client.redirect_uris = Some(vec!["http://127.0.0.1/callback".into()]);
                change.client.consent = Some(ConsentMode::Skip);
            })
            .await;
        assert!(has_code(&browser.authorize(vouched.ask().params).await));
    })
    .await;
}

#[tokio::test]
async fn a_pushed_request_is_used_up_by_a_refusal_too() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let client = app.oidc_client("grafana", consent(ConsentMode::Explicit)).await;
        let by = |uri: &str| Params::from_pairs([("client_id", client.id.as_str()), ("request_uri", uri)]);
        let uri = push(&app, &client, &client.ask()).await;
        let asked = question(browser.authorize(by(&uri)).await);
        assert_eq!(
            error(&say(&app, &browser, &asked, Answer::Deny).await),
            "access_denied"
        );
        refusal(&browser.authorize(by(&uri)).await);
        let mut silent = client.ask();
        silent.params = silent.params.with("prompt", "none");
        let uri = push(&app, &client, &silent).await;
        assert_eq!(error(&browser.authorize(by(&uri)).await), "consent_required");
        refusal(&browser.authorize(by(&uri)).await);
    })
    .await;
}

#[tokio::test]
async fn strangers_cannot_fill_the_database_by_pushing() {
    each_app(async |app| {
        let (_, client) = two(&app).await;
        let public = app
            .oidc_client("page", |change| {
                change.client.kind = Some(ClientKind::Public);
                change.client.resources =
                    Some([format!("https://x.example.org/{}", "x".repeat(1900))].into());
            })
            .await;
        let push = async |client: &Client, params: Params| {
            app.doorward
                .push(client.basic().as_deref(), params, &client.origin)
                .await
        };
        let mut taken = 0;
        for _ in 0..100 {
            match push(&public, public.ask().params).await {
                Ok(Pushed::Accepted(_)) => taken += 1,
                Err(doorward_core::Error::Protocol(error)) => assert_eq!(error.status(), 503, "{error}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(taken, 30);
        assert_eq!(app.rows().await["pushed_requests"], 30);
        // Who proves itself is not kept waiting, and time heals.
        assert!(matches!(
            push(&client, client.ask().params).await,
            Ok(Pushed::Accepted(_))
        ));
        app.wait_seconds(2);
        assert!(matches!(
            push(&public, public.ask().params).await,
            Ok(Pushed::Accepted(_))
        ));
        let long = client
            .ask()
            .params
            .with("login_hint", &"é".repeat(1000))
            .with("state", &"%".repeat(8000));
        let told = Client::error(push(&client, long).await);
        assert!(told.description.contains("16384"), "{told}");
    })
    .await;
}
