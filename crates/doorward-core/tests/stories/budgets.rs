//! How much each use case asks of the database, and that strangers write nothing.

use doorward_core::authorize::{Call, Outcome};
use doorward_domain::client::{AccessTokenFormat, GrantType};
use doorward_oidc::params::Params;
use doorward_store::count_queries;
use doorward_testkit::{PASSWORD, each_app};

#[tokio::test]
async fn strangers_who_only_look_write_no_row() {
    each_app(async |app| {
        app.person("alice").await;
        let client = app.oidc_client("grafana", |_| {}).await;
        let before = app.rows().await;
        for params in [
            client.ask().params,
            client.ask().params.with("prompt", "login"),
            client.ask().params.with("prompt", "none"),
            client.ask().params.with("max_age", "0"),
            client.ask().params.with("login_hint", "alice"),
        ] {
            for _ in 0..3 {
                app.browser().authorize(params.clone()).await;
            }
        }
        let door = &app.doorward;
        assert!(door.visit(Some("dws_made-up")).await.unwrap().is_none());
        let _ = door.jwks(None);
        let _ = door.destination("/application/o/authorize/?client_id=x").await;
        let _ = door.readiness().await;
        let _ = door.setup_is_open().await;
        let browser = app.browser();
        let outcome = door
            .end_session(None, &Params::default(), None, &browser.id, &browser.origin)
            .await
            .unwrap();
        assert!(matches!(outcome, doorward_core::logout::Outcome::Done { .. }));
        assert_eq!(app.rows().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_refusals_does_not_fill_the_database() {
    each_app(async |app| {
        let client = app.oidc_client("grafana", |_| {}).await;
        let before = app.rows().await["events"];
        for n in 0..200 {
            let params = client
                .ask()
                .params
                .with("redirect_uri", &format!("https://evil.example.org/{n}"));
            app.browser().authorize(params).await;
        }
        // Each name that is unknown may cost a look whether another replica just made it.
        for n in 0..10 {
            let params = client.ask().params.with("client_id", &format!("nobody{n}"));
            app.browser().authorize(params).await;
        }
        let written = app.rows().await["events"] - before;
        assert!(written <= 60, "{written} events");
    })
    .await;
}

#[tokio::test]
async fn each_use_case_keeps_within_its_queries() {
    each_app(async |app| {
        app.person("alice").await;
        let door = &app.doorward;
        let browser = app.sign_in("alice").await;
        let cookie = browser.session.as_deref();
        let (_, cold) = count_queries(door.visit(cookie)).await;
        assert!(cold <= 1, "cold visit: {cold}");
        let (visit, warm) = count_queries(door.visit(cookie)).await;
        assert_eq!(warm, 0, "warm visit");
        let visit = visit.unwrap().unwrap();
        let (_, nothing) = count_queries(door.visit(None)).await;
        assert_eq!(nothing, 0, "visit without cookie");

        let client = app
            .oidc_client("grafana", |change| {
                change.client.grant_types = Some(GrantType::ALL.iter().copied().collect());
            })
            .await;
        let stranger = app.browser();
        let call = |visit| Call {
            params: client.ask().params,
            visit,
            browser: &stranger.id,
            origin: &stranger.origin,
        };
        let (_, anonymous) = count_queries(door.authorize(call(None))).await;
        assert_eq!(anonymous, 0, "authorize, anonymous");
        door.authorize(call(Some(&visit))).await.unwrap();
        let (outcome, granted) = count_queries(door.authorize(call(Some(&visit)))).await;
        assert!(matches!(outcome, Ok(Outcome::Return(_))));
        within("authorize, code", granted, 6);

        let asked = client.ask_for("openid profile offline_access");
        let code = client.code(&browser, &asked).await;
        let (answer, redeemed) = count_queries(client.redeem(&code, &asked)).await;
        within("token, code", redeemed, 6);
        let answer = answer.unwrap();
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        let (refreshed, refresh) = count_queries(client.refresh(&text("refresh_token"))).await;
        refreshed.unwrap();
        within("token, refresh", refresh, 4);
        let form = Params::from_pairs([("grant_type", "client_credentials")]);
        let (own, credentials) = count_queries(client.token(form)).await;
        own.unwrap();
        within("token, client_credentials", credentials, 1);
        let access = text("access_token");
        let (_, introspect) = count_queries(client.introspect(&access)).await;
        within("introspect, JWT", introspect, 1);
        let (told, userinfo) = count_queries(client.userinfo(&access)).await;
        told.unwrap();
        within("userinfo, JWT", userinfo, 1);

        let opaque = app
            .oidc_client("opaque", |change| {
                change.client.access_token_format = Some(AccessTokenFormat::Opaque);
            })
            .await;
        let tokens = opaque.tokens(&browser, "openid").await;
        let (_, introspect) = count_queries(opaque.introspect(&tokens.access())).await;
        within("introspect, opaque", introspect, 2);

        let mut again = app.browser();
        let (signed_in, sign_in) = count_queries(again.sign_in("alice", PASSWORD)).await;
        signed_in.unwrap();
        // Writing down that sessions were seen may fall into it.
        assert!((8..=11).contains(&sign_in), "queries of sign-in: {sign_in}");
    })
    .await;
}

/// Fails above the budget, and below it too: then the budget is to be lowered.
fn within(what: &str, queries: u64, budget: u64) {
    assert_eq!(queries, budget, "queries of {what}");
}
