//! The OpenID provider over HTTP.

use doorward_testkit::{PASSWORD, PUBLIC_URL, each_app};
use http::StatusCode;

use crate::http_client::Client;

#[tokio::test]
async fn a_browser_and_a_client_go_through_the_code_flow() {
    each_app(async |app| {
        app.person("alice").await;
        let client = app
            .oidc_client("grafana", |change| change.everyone = Some(true))
            .await;
        let asked = client.ask_for("openid profile email offline_access");
        let mut browser = Client::new(&app);
        let start = format!("/application/o/authorize/?{}", asked.params.to_query());
        let to_page = browser.get(&start).await;
        assert_eq!(to_page.status, StatusCode::SEE_OTHER);
        let page = to_page.location().to_owned();
        assert!(page.starts_with("/if/flow/sign-in/?next="), "{page}");
        let back = browser.sign_in_at(&page, "alice", PASSWORD).await;
        let back = back.location().to_owned();
        let answer = browser.get(&back).await;
        let location = answer.location();
        assert!(location.starts_with(&client.redirect_uri), "{location}");
        let query = location
            .split_once('?')
            .map(|(_, query)| query.to_owned())
            .expect("a query");
        let answer = doorward_oidc::params::Params::parse(&query).expect("parameters");
        assert_eq!(answer.get("state"), Some(asked.state.as_str()));
        let issuer = format!("{PUBLIC_URL}/application/o/grafana/");
        assert_eq!(answer.get("iss"), Some(issuer.as_str()));
        let code = answer.get("code").expect("a code");

        let mut program = Client::new(&app);
        program
            .headers
            .push(("authorization", client.basic().expect("a secret")));
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", client.redirect_uri.as_str()),
            ("code_verifier", asked.verifier.as_str()),
        ];
        let got = program.post("/application/o/token/", &form).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.body);
        assert_eq!(got.header("cache-control"), "no-store");
        let tokens = got.json();
        let access = tokens
            .get("access_token")
            .and_then(|t| t.as_str())
            .expect("an access token")
            .to_owned();
        let mut bearer = Client::new(&app);
        bearer.headers.push(("authorization", format!("Bearer {access}")));
        for path in ["/application/o/userinfo/", "/application/o/userinfo"] {
            let claims = bearer.get(path).await.json();
            assert_eq!(
                claims.get("preferred_username").and_then(|n| n.as_str()),
                Some("alice")
            );
        }
        let posted = Client::new(&app)
            .post("/application/o/userinfo/", &[("access_token", &access)])
            .await;
        assert_eq!(posted.status, StatusCode::OK);
        let again = program.post("/application/o/token/", &form).await;
        assert_eq!(again.status, StatusCode::BAD_REQUEST);
        assert_eq!(
            again.json().get("error").and_then(|e| e.as_str()),
            Some("invalid_grant")
        );
        assert_eq!(
            bearer.get("/application/o/userinfo/").await.status,
            StatusCode::UNAUTHORIZED,
            "reuse ended the family"
        );
    })
    .await;
}

#[tokio::test]
async fn an_unregistered_redirect_uri_gets_a_page_and_only_administrators_see_the_nearest() {
    each_app(async |app| {
        app.person("alice").await;
        app.administrator("root").await;
        let client = app
            .oidc_client("grafana", |change| change.everyone = Some(true))
            .await;
        let asked = client.ask();
        let params = asked
            .params
            .without(&["redirect_uri"])
            .with("redirect_uri", &format!("{}x", client.redirect_uri));
        let target = format!("/application/o/authorize/?{}", params.to_query());
        let mut stranger = Client::new(&app);
        let got = stranger.get(&target).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST);
        assert_eq!(got.location(), "");
        assert!(got.body.contains("DW-"), "a code for the administrator");
        assert!(
            !got.body.contains(&client.redirect_uri),
            "registered URIs are not for strangers"
        );
        let mut administrator = Client::new(&app);
        administrator.sign_in("root").await;
        let got = administrator.get(&target).await;
        let shown = got.body.replace("<mark>", "").replace("</mark>", "");
        assert!(
            shown.contains("example") && got.status == StatusCode::BAD_REQUEST,
            "{shown}"
        );
    })
    .await;
}

#[tokio::test]
async fn rfc6749_5_2_a_wrong_secret_is_401_with_a_challenge() {
    each_app(async |app| {
        let client = app.oidc_client("grafana", |_| {}).await;
        let mut program = Client::new(&app);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client.id.as_str()),
            ("client_secret", "wrong"),
        ];
        let got = program.post("/application/o/token/", &form).await;
        assert_eq!(got.status, StatusCode::UNAUTHORIZED);
        assert_eq!(
            got.json().get("error").and_then(|e| e.as_str()),
            Some("invalid_client")
        );
        program
            .headers
            .push(("authorization", "Basic d3Jvbmc6d3Jvbmc=".into()));
        let got = program
            .post("/application/o/token/", &[("grant_type", "client_credentials")])
            .await;
        assert_eq!(got.status, StatusCode::UNAUTHORIZED);
        assert!(
            got.header("www-authenticate").starts_with("Basic "),
            "{:?}",
            got.headers
        );
    })
    .await;
}

#[tokio::test]
async fn discovery_names_only_endpoints_that_answer() {
    each_app(async |app| {
        app.oidc_client("grafana", |_| {}).await;
        let mut client = Client::new(&app);
        let paths = [
            "/application/o/grafana/.well-known/openid-configuration",
            "/.well-known/openid-configuration",
            "/.well-known/oauth-authorization-server",
            "/.well-known/oauth-authorization-server/application/o/grafana/",
            "/.well-known/openid-configuration/application/o/grafana",
        ];
        for path in paths {
            let got = client.get(path).await;
            assert_eq!(got.status, StatusCode::OK, "{path}");
            assert_eq!(got.header("access-control-allow-origin"), "*");
            let document = got.json();
            let issuer = document
                .get("issuer")
                .and_then(|i| i.as_str())
                .expect("an issuer")
                .to_owned();
            assert!(
                path.contains("grafana") == issuer.contains("grafana"),
                "{path}: {issuer}"
            );
            for (name, value) in document.as_object().expect("an object") {
                let Some(url) = value
                    .as_str()
                    .filter(|_| name.ends_with("_endpoint") || name == "jwks_uri")
                else {
                    continue;
                };
                let answer = client.get(url).await;
                assert_ne!(answer.status, StatusCode::NOT_FOUND, "{name}: {url}");
            }
        }
        let keys = client.get("/application/o/grafana/jwks/").await;
        let tag = keys.header("etag").to_owned();
        assert!(
            keys.json()
                .get("keys")
                .and_then(|k| k.as_array())
                .is_some_and(|keys| !keys.is_empty())
        );
        client.headers.push(("if-none-match", tag));
        assert_eq!(
            client.get("/application/o/grafana/jwks/").await.status,
            StatusCode::NOT_MODIFIED
        );
        assert_eq!(
            client.get("/application/o/nothing/jwks/").await.status,
            StatusCode::NOT_FOUND
        );
    })
    .await;
}

#[tokio::test]
async fn an_answer_from_memory_is_the_router_s_own() {
    each_app(async |app| {
        app.oidc_client("grafana", |_| {}).await;
        let client = Client::new(&app);
        client.clone().get("/.well-known/openid-configuration").await;
        let documents = [
            "/application/o/SLUG/jwks/",
            "/application/o/SLUG/jwks",
            "/application/o/SLUG/.well-known/openid-configuration",
            "/application/o/SLUG/.well-known/oauth-authorization-server",
            "/.well-known/openid-configuration/application/o/SLUG",
            "/.well-known/oauth-authorization-server/application/o/SLUG/",
        ];
        for document in documents {
            for headers in [vec![], vec![("if-none-match", "*".to_owned())]] {
                let mut client = client.clone();
                client.headers = headers;
                // Nothing with an escape in it is answered from memory.
                let mut routed = client.get(&document.replace("SLUG", "%67rafana")).await;
                // On the way out hyper says the length where the router did not.
                routed.headers.remove("content-length");
                let at_hand = client.get(&document.replace("SLUG", "grafana")).await;
                assert_eq!(at_hand.status, routed.status, "{document}");
                assert_eq!(at_hand.headers, routed.headers, "{document}");
                assert_eq!(at_hand.body, routed.body, "{document}");
                assert_eq!(at_hand.header("x-content-type-options"), "nosniff");
            }
            let mut client = client.clone();
            for nobody in ["", "nobody"] {
                let got = client.get(&document.replace("SLUG", nobody)).await;
                assert_eq!(got.status, StatusCode::NOT_FOUND, "{document} of `{nobody}`");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn anonymous_requests_to_any_route_write_nothing() {
    each_app(async |app| {
        app.oidc_client("grafana", |_| {}).await;
        let before = app.rows().await;
        let mut stranger = Client::new(&app);
        for route in doorward_web::router::routes() {
            let path = route
                .path
                .replace("{slug}", "grafana")
                .replace("{token}", "x")
                .replace("{file}", "x");
            stranger.get(&path).await;
        }
        let after = app.rows().await;
        // Refusals are events by rule; nothing else may have appeared.
        for (table, rows) in after {
            if table != "events" {
                assert_eq!(Some(&rows), before.get(&table), "{table}");
            }
        }
    })
    .await;
}
