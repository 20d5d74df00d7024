//! What happens when something went away in the middle: sessions, cookies, proxies, the picture; and that the way back is kept.

use doorward_core::documents::fingerprint;
use doorward_domain::client::{ConsentMode, SigningAlgorithm};
use doorward_domain::{Lifetime, Reason};
use doorward_oidc::params::Params;
use doorward_testkit::{App, Asked, Client as Registered, PASSWORD, each_app};
use http::{Method, StatusCode};
use std::net::SocketAddr;

use crate::http_client::{Client, Got};

const CONSENT: &str = "/if/flow/consent/";
const SELECT: &str = "/if/flow/select-account/";
const SIGN_IN: &str = "/if/flow/sign-in/";
const SIGN_OUT: &str = "/if/flow/sign-out/";
const AUTHORIZE: &str = "/application/o/authorize/";

async fn asking(app: &App) -> Registered {
    app.oidc_client("grafana", |change| {
        change.everyone = Some(true);
        change.client.consent = Some(ConsentMode::Explicit);
    })
    .await
}

fn start(asked: &Params) -> String {
    format!("{AUTHORIZE}?{}", asked.to_query())
}

/// Signs out as another tab of the same browser does; the browser keeps the cookie it had.
async fn another_tab_signs_out(browser: &Client) {
    let mut tab = browser.clone();
    let page = tab.get(SIGN_OUT).await;
    let done = tab.post(SIGN_OUT, &[("csrf", &page.field("csrf"))]).await;
    assert_eq!(done.status, StatusCode::OK);
}

fn next_of(got: &Got) -> String {
    let query = got.location().split_once('?').expect("a query").1;
    let query = Params::parse(query).expect("parameters");
    query.get("next").expect("next").to_owned()
}

fn code_of(got: &Got) -> String {
    let at = got
        .body
        .find("DW-")
        .unwrap_or_else(|| panic!("no code in {}", got.body));
    got.body.get(at..).unwrap_or_default().chars().take(12).collect()
}

#[tokio::test]
async fn a_consent_given_after_the_session_ended_keeps_the_request() {
    each_app(async |app| {
        app.person("alice").await;
        let client = asking(&app).await;
        let asked: Asked = client.ask_for("openid profile");
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        let page = browser.get(&start(&asked.params)).await;
        let attempt = page.field("attempt");
        let answer = [("attempt", attempt.as_str()), ("decision", "allow")];
        another_tab_signs_out(&browser).await;

        let to_page = browser.post(CONSENT, &answer).await;
        assert_eq!(to_page.status, StatusCode::SEE_OTHER);
        let next = next_of(&to_page);
        assert!(next.starts_with(&start(&asked.params)), "{next}");
        let back = browser.sign_in_at(to_page.location(), "alice", PASSWORD).await;
        let page = browser.get(back.location()).await;
        assert_eq!(page.status, StatusCode::OK, "the question again: {}", page.body);

        // The page of the old session is told apart, with a code and the way back.
        let late = browser.post(CONSENT, &answer).await;
        assert_eq!(late.status, StatusCode::BAD_REQUEST);
        let code = code_of(&late);
        assert!(late.body.contains(AUTHORIZE), "{}", late.body);
        let events = app.events().await;
        let event = events
            .iter()
            .find(|event| event.code.as_ref().is_some_and(|known| known.as_str() == code))
            .expect("the event behind the code");
        assert_eq!(event.reason, Some(Reason::AttemptExpired));

        let attempt = page.field("attempt");
        let given = browser
            .post(CONSENT, &[("attempt", &attempt), ("decision", "allow")])
            .await;
        assert!(
            given.location().starts_with(&client.redirect_uri),
            "{}",
            given.body
        );
    })
    .await;
}

#[tokio::test]
async fn the_account_page_keeps_the_request_too_and_no_foreign_attempt_leads_anywhere() {
    each_app(async |app| {
        app.person("alice").await;
        let client = asking(&app).await;
        let asked = client.ask().params.with("prompt", "select_account");
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        let page = browser.get(&start(&asked)).await;
        let attempt = page.field("attempt");
        let mut gone = browser.clone();
        another_tab_signs_out(&browser).await;
        let to_page = gone
            .post(SELECT, &[("attempt", &attempt), ("choice", "continue")])
            .await;
        assert!(next_of(&to_page).starts_with(AUTHORIZE));
        // An attempt made for another page is none.
        let to_page = gone
            .post(CONSENT, &[("attempt", &attempt), ("decision", "allow")])
            .await;
        assert_eq!(next_of(&to_page), "/if/user/");
        for path in [CONSENT, SELECT] {
            let reloaded = gone.get(path).await;
            assert_eq!(reloaded.status, StatusCode::SEE_OTHER);
            assert_eq!(reloaded.location(), "/if/user/");
        }
    })
    .await;
}

#[tokio::test]
async fn two_tabs_of_a_new_browser_both_sign_in() {
    each_app(async |app| {
        app.person("alice").await;
        // Both asked before either cookie came back.
        let mut other = Client::new(&app);
        let first = other.get(SIGN_IN).await.field("attempt");
        let mut browser = Client::new(&app);
        browser.get(SIGN_IN).await;
        let form = [
            ("attempt", first.as_str()),
            ("username", "alice"),
            ("password", PASSWORD),
        ];
        let mut silent = browser.clone();
        assert_eq!(
            silent.post(SIGN_IN, &form).await.status,
            StatusCode::BAD_REQUEST,
            "without the browser's word the cookie decides"
        );
        for site in ["same-site", "cross-site"] {
            let mut lured = browser.clone();
            lured.headers.push(("sec-fetch-site", site.to_owned()));
            assert_eq!(lured.post(SIGN_IN, &form).await.status, StatusCode::FORBIDDEN);
        }
        let mut without = Client::new(&app);
        without.headers.push(("sec-fetch-site", "same-origin".into()));
        assert_eq!(
            without.post(SIGN_IN, &form).await.status,
            StatusCode::BAD_REQUEST,
            "a browser without cookies learns that"
        );
        browser.headers.push(("sec-fetch-site", "same-origin".into()));
        let got = browser.post(SIGN_IN, &form).await;
        assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
    })
    .await;
}

#[tokio::test]
async fn every_refusal_on_a_page_and_every_unreadable_request_has_a_code() {
    each_app(async |app| {
        app.person("alice").await;
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        let foreign = browser.post(SIGN_OUT, &[("csrf", "x")]).await;
        assert_eq!(foreign.status, StatusCode::FORBIDDEN);
        let spent = browser.get("/recover/dwl_nothing").await;
        assert_eq!(spent.status, StatusCode::GONE);
        let repeated = browser.get("/if/user/?a=%zz").await;
        let page = browser.get("/if/user/profile/?a=%zz").await;
        let unknown = browser.post("/device", &[("user_code", "BCDF-GHJK")]).await;
        let bad = browser.post(CONSENT, &[("decision", "allow")]).await;
        let mut twice = vec![foreign, spent, repeated, page, unknown, bad];
        let mut program = Client::new(&app);
        program
            .headers
            .push(("content-type", "application/x-www-form-urlencoded".into()));
        let unreadable = program.post("/application/o/token/", &[("a", "\0")]).await;
        assert_eq!(unreadable.status, StatusCode::BAD_REQUEST);
        twice.push(unreadable);
        let events = app.events().await;
        for got in twice {
            assert!(got.status.is_client_error(), "{}", got.status);
            let code = code_of(&got);
            assert!(
                events
                    .iter()
                    .any(|event| event.code.as_ref().is_some_and(|known| known.as_str() == code)),
                "{code} leads nowhere"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn only_the_operator_learns_why_and_reads_metrics_also_behind_a_forgotten_proxy() {
    each_app(async |app| {
        let waiting = app.unopened_replica();
        let local = SocketAddr::from(([127, 0, 0, 1], 4000));
        let mut stranger = Client::new(&waiting);
        let got = stranger.get("/-/health/ready/").await;
        assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(got.json(), serde_json::json!({ "ready": false }));
        let mut operator = Client::new(&waiting);
        operator.peer = local;
        let got = operator.get("/-/health/ready/").await;
        assert!(got.json().get("reason").is_some(), "{}", got.body);

        for mark in ["x-forwarded-for", "forwarded", "x-real-ip", "via"] {
            let mut behind = Client::new(&waiting);
            behind.peer = local;
            behind.headers.push((mark, "203.0.113.9".into()));
            let got = behind.get("/-/health/ready/").await;
            assert!(got.json().get("reason").is_none(), "{mark}: {}", got.body);
            let got = behind.get("/-/metrics").await;
            assert_eq!(got.status, StatusCode::UNAUTHORIZED, "{mark}");
        }
        assert_eq!(operator.get("/-/metrics").await.status, StatusCode::OK);
    })
    .await;
}

#[tokio::test]
async fn readiness_asks_the_database_once_a_second() {
    each_app(async |app| {
        app.doorward.readiness().await;
        let queries = app.store().queries();
        for _ in 0..50 {
            assert!(app.doorward.readiness().await.ready);
        }
        assert!(app.store().queries() <= queries + 2, "one look for all");
    })
    .await;
}

#[tokio::test]
async fn rfc9110_13_1_prepared_documents_have_tags_and_change_with_the_picture() {
    each_app(async |app| {
        app.oidc_client("grafana", |_| {}).await;
        let mut client = Client::new(&app);
        let own = "/application/o/grafana/.well-known/openid-configuration";
        for path in [
            own,
            "/.well-known/openid-configuration",
            "/application/o/jwks/",
            "/application/o/grafana/jwks/",
        ] {
            let first = client.get(path).await;
            let tag = first.header("etag").to_owned();
            assert_eq!(tag, format!("\"{}\"", fingerprint(&first.body)), "{path}");
            assert_eq!(client.get(path).await.body, first.body);
            for known in [
                tag.clone(),
                format!("W/{tag}"),
                format!("\"x\", {tag}"),
                "*".to_owned(),
            ] {
                let mut again = client.clone();
                again.headers.push(("if-none-match", known.clone()));
                let got = again.get(path).await;
                assert_eq!(got.status, StatusCode::NOT_MODIFIED, "{path} {known}");
                assert_eq!((got.header("etag"), got.body.as_str()), (tag.as_str(), ""));
                assert_eq!(got.header("cache-control"), "public, max-age=300");
                assert_eq!(got.header("access-control-allow-origin"), "*");
            }
            let mut other = client.clone();
            other.headers.push(("if-none-match", "\"x\"".into()));
            assert_eq!(other.get(path).await.status, StatusCode::OK);
        }

        let before = client.get(own).await.header("etag").to_owned();
        app.doorward
            .put_scope("orders", Some("Your orders"), &[])
            .await
            .expect("a scope");
        let global = client.get("/.well-known/openid-configuration").await;
        assert!(global.body.contains("\"orders\""), "{}", global.body);
        assert_eq!(client.get(own).await.header("etag"), before, "not this client's");
    })
    .await;
}

#[tokio::test]
async fn a_withdrawn_key_leaves_the_prepared_set_when_its_time_has_come() {
    each_app(async |app| {
        app.oidc_client("grafana", |_| {}).await;
        let mut client = Client::new(&app);
        let keys = |got: &Got| got.json()["keys"].as_array().expect("keys").len();
        let path = "/application/o/grafana/jwks/";
        let before = client.get(path).await;
        app.doorward
            .rotate_key(SigningAlgorithm::Rs256, Lifetime::ZERO)
            .await
            .expect("a new key");
        let overlap = client.get(path).await;
        assert_eq!(keys(&overlap), keys(&before) + 1);
        assert_ne!(overlap.header("etag"), before.header("etag"));
        app.wait(doorward_domain::key::OVERLAP);
        app.wait_seconds(1);
        let after = client.get(path).await;
        assert_eq!(
            keys(&after),
            keys(&before),
            "withdrawn without a change of the set"
        );
        assert_ne!(after.header("etag"), before.header("etag"));
    })
    .await;
}

#[tokio::test]
async fn a_long_request_goes_through_a_sign_in_or_back_to_the_client_and_never_dies_on_the_page() {
    each_app(async |app| {
        app.person("alice").await;
        let client = app
            .oidc_client("grafana", |change| change.everyone = Some(true))
            .await;
        let with_state = |bytes: usize| {
            let asked = client.ask();
            let state = "{}".repeat(bytes / 2);
            (asked.params.without(&["state"]).with("state", &state), state)
        };
        let (params, state) = with_state(3_200);
        let mut browser = Client::new(&app);
        let to_page = browser.get(&start(&params)).await;
        assert!(to_page.location().starts_with(SIGN_IN), "{}", to_page.location());
        let back = browser.sign_in_at(to_page.location(), "alice", PASSWORD).await;
        assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.body);
        let done = browser.get(back.location()).await;
        let (place, query) = done.location().split_once('?').expect("a query");
        assert_eq!(place, client.redirect_uri);
        assert_eq!(
            Params::parse(query).expect("parameters").get("state"),
            Some(state.as_str())
        );

        let (params, state) = with_state(4_000);
        let mut stranger = Client::new(&app);
        let refused = stranger.get(&start(&params)).await;
        let (place, query) = refused.location().split_once('?').expect("a query");
        assert_eq!(place, client.redirect_uri);
        let answer = Params::parse(query).expect("parameters");
        assert_eq!(answer.get("error"), Some("invalid_request"));
        assert!(
            answer
                .get("error_description")
                .is_some_and(|text| text.contains("RFC 9126"))
        );
        assert_eq!(answer.get("state"), Some(state.as_str()));
        let served = browser.get(&start(&params)).await;
        assert!(served.location().contains("code="), "no page, no limit");
    })
    .await;
}

#[tokio::test]
async fn a_next_that_no_header_can_carry_leads_to_the_portal() {
    each_app(async |app| {
        app.person("alice").await;
        let mut browser = Client::new(&app);
        let page = format!("{SIGN_IN}?next=%2Fif%2F%C3%A4");
        let got = browser.sign_in_at(&page, "alice", PASSWORD).await;
        assert_eq!(got.location(), "/if/user/");
        assert_eq!(browser.get(&page).await.location(), "/if/user/");
    })
    .await;
}

#[tokio::test]
async fn head_does_no_work() {
    each_app(async |app| {
        app.person("alice").await;
        let client = app
            .oidc_client("grafana", |change| change.everyone = Some(true))
            .await;
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        let before = app.rows().await;
        let target = start(&client.ask().params);
        for path in [
            target.as_str(),
            SIGN_OUT,
            "/application/o/end-session/",
            "/device",
            "/if/user/",
        ] {
            let got = browser.send(Method::HEAD, path, None).await;
            assert_eq!((got.status, got.location()), (StatusCode::OK, ""), "{path}");
        }
        assert_eq!(app.rows().await, before);
        let got = browser.get(&target).await;
        assert!(got.location().contains("code="), "GET does it");
    })
    .await;
}

#[tokio::test]
async fn following_links_to_the_device_page_never_counts_as_guessing() {
    each_app(async |app| {
        app.person("alice").await;
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        for _ in 0..20 {
            let got = browser.get("/device?user_code=BCDF-GHJK").await;
            assert_eq!(got.status, StatusCode::OK);
            assert!(got.body.contains("value=\"BCDF-GHJK\""), "prefilled");
        }
        let got = browser.post("/device", &[("user_code", "BCDF-GHJK")]).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST, "wrong, and not shut");
    })
    .await;
}

#[tokio::test]
async fn a_sign_out_confirmed_after_another_tab_signed_out_still_goes_back_to_the_client() {
    each_app(async |app| {
        app.person("alice").await;
        let client = app
            .oidc_client("grafana", |change| {
                change.everyone = Some(true);
                change.client.post_logout_redirect_uris = Some(vec!["https://grafana.example/bye".into()]);
            })
            .await;
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        let query = Params::from_pairs([
            ("client_id", client.id.as_str()),
            ("post_logout_redirect_uri", "https://grafana.example/bye"),
        ]);
        let page = browser
            .get(&format!("/application/o/end-session/?{}", query.to_query()))
            .await;
        let attempt = page.field("attempt");
        another_tab_signs_out(&browser).await;
        let mut foreign = Client::new(&app);
        foreign.get(SIGN_IN).await;
        assert_eq!(
            foreign.post(SIGN_OUT, &[("attempt", &attempt)]).await.status,
            StatusCode::FORBIDDEN,
            "another browser's"
        );
        let done = browser.post(SIGN_OUT, &[("attempt", &attempt)]).await;
        assert_eq!(done.location(), "https://grafana.example/bye", "{}", done.body);
    })
    .await;
}

#[tokio::test]
async fn rfc6750_3_1_a_token_without_openid_is_told_which_scope_is_missing() {
    each_app(async |app| {
        app.person("alice").await;
        let client = app
            .oidc_client("grafana", |change| change.everyone = Some(true))
            .await;
        let alice = app.sign_in("alice").await;
        let tokens = client.tokens(&alice, "profile").await;
        let mut bearer = Client::new(&app);
        bearer
            .headers
            .push(("authorization", format!("Bearer {}", tokens.access())));
        let got = bearer.get("/application/o/userinfo/").await;
        assert_eq!(got.status, StatusCode::FORBIDDEN);
        assert!(
            got.header("www-authenticate").contains("scope=\"openid\""),
            "{}",
            got.header("www-authenticate")
        );
        assert_eq!(got.header("access-control-expose-headers"), "WWW-Authenticate");
    })
    .await;
}

#[tokio::test]
async fn ui_locales_reach_every_page_of_a_request_however_it_was_made() {
    each_app(async |app| {
        app.person("alice").await;
        let client = asking(&app).await;
        let asked = client.ask_for("openid").params.with("ui_locales", "de");
        let german = |got: &Got, what: &str| {
            assert!(got.body.contains("<html lang=\"de\""), "{what}: {}", got.body);
        };
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        let page = browser.get(&start(&asked)).await;
        german(&page, "GET");
        let attempt = page.field("attempt");
        let wrong = browser.post(CONSENT, &[("attempt", &attempt)]).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
        german(&wrong, "an answer without a decision");
        let form: Vec<(&str, &str)> = asked.iter().collect();
        german(&browser.post(AUTHORIZE, &form).await, "POST");
        let chosen = asked.with("prompt", "select_account");
        let form: Vec<(&str, &str)> = chosen.iter().collect();
        german(&browser.post(AUTHORIZE, &form).await, "account page");
        let lost = asked
            .without(&["redirect_uri"])
            .with("redirect_uri", "https://evil.example/");
        let form: Vec<(&str, &str)> = lost.iter().collect();
        german(&browser.post(AUTHORIZE, &form).await, "error page");

        let mut program = Client::new(&app);
        program
            .headers
            .push(("authorization", client.basic().expect("a secret")));
        let form: Vec<(&str, &str)> = asked.iter().collect();
        let pushed = program.post("/application/o/par/", &form).await.json();
        let uri = pushed["request_uri"].as_str().expect("a request_uri");
        let query = Params::from_pairs([("client_id", client.id.as_str()), ("request_uri", uri)]);
        german(&browser.get(&start(&query)).await, "pushed");
    })
    .await;
}

#[tokio::test]
async fn oidc_core_3_1_2_1_every_display_value_is_taken_and_others_are_refused() {
    each_app(async |app| {
        app.person("alice").await;
        let client = asking(&app).await;
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        for display in ["page", "popup", "touch", "wap"] {
            let got = browser
                .get(&start(&client.ask().params.with("display", display)))
                .await;
            assert_eq!(got.status, StatusCode::OK, "{display}: {}", got.body);
        }
        let got = browser
            .get(&start(&client.ask().params.with("display", "hologram")))
            .await;
        assert!(
            got.location().contains("error=invalid_request"),
            "{}",
            got.location()
        );
    })
    .await;
}

#[tokio::test]
async fn a_native_application_is_named_by_its_scheme_not_by_an_https_address() {
    each_app(async |app| {
        app.person("alice").await;
        let client = app
            .oidc_client("library", |change| {
                change.everyone = Some(true);
                change.client.consent = Some(ConsentMode::Explicit);
                change.client.redirect_uris = Some(vec!["com.example.library:/back".into()]);
            })
            .await;
        let asked = client.ask().params;
        let asked = asked
            .without(&["redirect_uri"])
            .with("redirect_uri", "com.example.library:/back");
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        let page = browser.get(&start(&asked)).await;
        assert!(page.body.contains("com.example.library"), "{}", page.body);
        assert!(!page.body.contains("https://com.example"), "{}", page.body);
    })
    .await;
}

#[tokio::test]
async fn page_style_and_script_together_stay_under_60_kilobytes() {
    each_app(async |app| {
        app.person("alice").await;
        let mut browser = Client::new(&app);
        let assets: usize = doorward_web::assets::all()
            .iter()
            .map(|asset| asset.bytes.len())
            .sum();
        let anonymous = browser.get(SIGN_IN).await.body.len();
        browser.sign_in("alice").await;
        let mut largest = anonymous;
        for path in ["/if/user/", "/if/user/profile/", "/if/user/sessions/", "/device"] {
            largest = largest.max(browser.get(path).await.body.len());
        }
        assert!(largest + assets < 60 * 1024, "{largest} + {assets}");
    })
    .await;
}

#[test]
fn discovery_names_the_languages_that_there_are() {
    let languages: Vec<&str> = doorward_web::locale::Language::ALL
        .iter()
        .map(|language| language.code())
        .collect();
    assert_eq!(doorward_oidc::discovery::UI_LOCALES, languages);
}
