//! Pages and forms as browsers and attackers use them.

use doorward_testkit::{PASSWORD, PUBLIC_URL, each_app};
use http::{Method, StatusCode};

use crate::http_client::Client;

const PAGE: &str = "/if/flow/sign-in/";

#[tokio::test]
async fn the_sign_in_form_works_as_plain_html() {
    each_app(async |app| {
        app.person("alice").await;
        let mut browser = Client::new(&app);
        let first = browser.get("/if/user/").await;
        assert_eq!(first.status, StatusCode::SEE_OTHER);
        assert_eq!(first.location(), "/if/flow/sign-in/?next=%2Fif%2Fuser%2F");
        let next = first.location().to_owned();
        let wrong = browser.sign_in_at(&next, "alice", "wrong wrong").await;
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
        assert!(
            wrong.body.contains("value=\"alice\"") && !wrong.body.contains("wrong wrong"),
            "values stay, passwords never"
        );
        let unknown = browser.sign_in_at(&next, "nobody", "wrong wrong").await;
        assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
        let right = browser.sign_in_at(&next, "alice", PASSWORD).await;
        assert_eq!(right.status, StatusCode::SEE_OTHER, "{}", right.body);
        assert_eq!(right.location(), "/if/user/");
        let cookies: Vec<&str> = right
            .headers
            .get_all("set-cookie")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let session = cookies
            .iter()
            .find(|cookie| cookie.starts_with("__Host-doorward_session="))
            .expect("a session cookie");
        for attribute in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
            assert!(session.contains(attribute), "{session}");
        }
        let portal = browser.get("/if/user/").await;
        assert_eq!(portal.status, StatusCode::OK);
        assert!(portal.body.contains("ALICE"));
    })
    .await;
}

#[tokio::test]
async fn a_form_of_another_browser_or_site_is_refused_before_anything_is_looked_at() {
    each_app(async |app| {
        app.person("alice").await;
        let mut attacker = Client::new(&app);
        let page = attacker.get(PAGE).await;
        let attempt = page.field("attempt");
        let form = [
            ("attempt", attempt.as_str()),
            ("username", "alice"),
            ("password", PASSWORD),
        ];
        let mut victim = Client::new(&app);
        assert_eq!(
            victim.post(PAGE, &form).await.status,
            StatusCode::BAD_REQUEST,
            "no cookie yet"
        );
        victim.get(PAGE).await;
        let got = victim.post(PAGE, &form).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST, "another browser's attempt");
        assert!(!victim.cookies.contains_key("__Host-doorward_session"));
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
        ] {
            let mut lured = attacker.clone();
            lured.headers.push((name, value.to_owned()));
            let got = lured.post(PAGE, &form).await;
            assert_eq!(got.status, StatusCode::FORBIDDEN, "{name}: {value}");
            assert!(!lured.cookies.contains_key("__Host-doorward_session"));
        }
        let mut honest = attacker.clone();
        honest.headers.push(("origin", PUBLIC_URL.to_owned()));
        assert_eq!(honest.post(PAGE, &form).await.status, StatusCode::SEE_OTHER);
    })
    .await;
}

#[tokio::test]
async fn next_never_leads_to_another_host() {
    each_app(async |app| {
        app.person("alice").await;
        for next in [
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "javascript:alert(1)",
        ] {
            let mut browser = Client::new(&app);
            let query = doorward_oidc::params::Params::from_pairs([("next", next)]).to_query();
            let got = browser
                .sign_in_at(&format!("{PAGE}?{query}"), "alice", PASSWORD)
                .await;
            assert_eq!(got.location(), "/if/user/", "{next}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_page_has_a_strict_policy_and_is_never_cached() {
    each_app(async |app| {
        app.person("alice").await;
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        let pages = [
            "/if/user/",
            "/if/user/profile/",
            "/if/user/password/",
            "/if/user/app-passwords/",
            "/if/user/sessions/",
            "/if/user/grants/",
            "/if/user/activity/",
            "/device",
            "/if/flow/sign-out/",
            "/nothing",
            "/application/o/authorize/",
        ];
        for path in pages {
            let got = browser.get(path).await;
            let policy = got.header("content-security-policy");
            assert!(
                policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
                "{path}: {policy}"
            );
            assert!(!policy.contains("unsafe"), "{path}: {policy}");
            assert_eq!(got.header("cache-control"), "no-store", "{path}");
            assert_eq!(got.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(got.header("referrer-policy"), "same-origin", "{path}");
            assert!(
                got.header("strict-transport-security").starts_with("max-age="),
                "{path}"
            );
            assert!(got.body.len() < 40_000, "{path} is {} bytes", got.body.len());
        }
    })
    .await;
}

#[tokio::test]
async fn portal_forms_need_the_sessions_own_token() {
    each_app(async |app| {
        app.person("alice").await;
        app.person("bob").await;
        let (mut alice, mut bob) = (Client::new(&app), Client::new(&app));
        alice.sign_in("alice").await;
        bob.sign_in("bob").await;
        let foreign = bob.get("/if/user/sessions/").await.field("csrf");
        for csrf in ["", "x", foreign.as_str()] {
            let got = alice
                .post("/if/user/sessions/", &[("csrf", csrf), ("session", "all")])
                .await;
            assert_eq!(got.status, StatusCode::FORBIDDEN);
        }
        assert_eq!(alice.get("/if/user/").await.status, StatusCode::OK);
        let own = alice.get("/if/user/sessions/").await.field("csrf");
        let got = alice
            .post("/if/user/sessions/", &[("csrf", &own), ("session", "all")])
            .await;
        assert_eq!(got.status, StatusCode::SEE_OTHER);
        assert_eq!(
            alice.get("/if/user/").await.status,
            StatusCode::SEE_OTHER,
            "signed out everywhere"
        );
        assert_eq!(bob.get("/if/user/").await.status, StatusCode::OK, "others stay");
    })
    .await;
}

#[tokio::test]
async fn bodies_beyond_the_limit_and_other_types_are_refused() {
    each_app(async |app| {
        let mut client = Client::new(&app);
        let big = "x".repeat(70 * 1024);
        let got = client
            .post("/application/o/token/", &[("grant_type", &big)])
            .await;
        assert_eq!(got.status, StatusCode::PAYLOAD_TOO_LARGE);
        let mut json = Client::new(&app);
        json.headers.push(("content-type", "application/json".into()));
        let got = json.send(Method::POST, "/application/o/token/", None).await;
        assert!(got.status.is_client_error());
        assert!(got.json().get("error").is_some());
    })
    .await;
}

#[tokio::test]
async fn liveness_readiness_version_and_metrics_answer() {
    each_app(async |app| {
        let mut client = Client::new(&app);
        assert_eq!(client.get("/-/health/live/").await.status, StatusCode::OK);
        assert_eq!(client.get("/-/health/ready/").await.status, StatusCode::OK);
        assert_eq!(
            client
                .get("/version")
                .await
                .json()
                .get("commit")
                .and_then(|c| c.as_str()),
            Some("test")
        );
        assert_eq!(
            client.get("/-/metrics").await.status,
            StatusCode::UNAUTHORIZED,
            "not for strangers"
        );
        let mut own = Client::new(&app);
        own.peer = std::net::SocketAddr::from(([127, 0, 0, 1], 4000));
        let text = own.get("/-/metrics").await.body;
        assert!(
            text.contains("doorward_http_requests_total") && text.ends_with("# EOF\n"),
            "{text}"
        );
        let mut forged = Client::new(&app);
        forged.headers.push(("x-forwarded-for", "127.0.0.1".into()));
        assert_eq!(forged.get("/-/metrics").await.status, StatusCode::UNAUTHORIZED);
    })
    .await;
}
