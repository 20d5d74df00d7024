//! Extractors and layers on a router: one check per request, and the answer of each refusal.

use axum::Router;
use axum::body::Body;
use axum::extract::FromRef;
use axum::routing::get;
use doorward_crypto::jose::{Algorithm, SigningKey};
use doorward_guard::{Caller, Guard, Kind, Refusal, RequirePerson, RequireScope, RequireService, ScopeName};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::fake::{AUDIENCE, Fake, key, now, signed};

#[derive(Clone)]
struct App {
    guard: Guard,
}

impl FromRef<App> for Guard {
    fn from_ref(app: &App) -> Self {
        app.guard.clone()
    }
}

struct Write;
impl ScopeName for Write {
    const NAME: &'static str = "notes:write";
}

fn router(guard: &Guard) -> Router {
    let admin = Router::new()
        .route(
            "/admin",
            get(async |caller: Caller, RequirePerson(_): RequirePerson| caller.id().to_owned()),
        )
        .route_layer(guard.require().person().role("admin"))
        .route_layer(guard.require_scope("notes:read"));
    Router::new()
        .route("/person", get(async |person: RequirePerson| person.id.clone()))
        .route(
            "/service",
            get(async |service: RequireService| service.id.clone()),
        )
        .route(
            "/write",
            get(async |scope: RequireScope<Write>| scope.caller.id().to_owned()),
        )
        .route(
            "/anyone",
            get(async |caller: Option<Caller>| {
                caller.map_or("nobody".to_owned(), |caller| caller.id().to_owned())
            }),
        )
        .route(
            "/bug",
            get(async || -> Result<(), Refusal> { Err(Refusal::internal("a secret cause")) }),
        )
        .merge(admin)
        .with_state(App { guard: guard.clone() })
}

async fn ask(router: &Router, path: &str, headers: &[(&str, &str)]) -> (StatusCode, http::HeaderMap, String) {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).expect("a request");
    let (parts, body) = router
        .clone()
        .oneshot(request)
        .await
        .expect("an answer")
        .into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (
        parts.status,
        parts.headers,
        String::from_utf8_lossy(&body).into_owned(),
    )
}

fn person(fake: &Fake, key: &SigningKey, scope: &str, groups: &[&str]) -> String {
    let mut claims = fake.claims();
    let members = claims.as_object_mut().expect("members");
    members.insert("scope".to_owned(), json!(scope));
    members.insert("groups".to_owned(), json!(groups));
    format!("Bearer {}", signed(key, &claims))
}

#[tokio::test]
async fn each_door_lets_in_whom_it_is_for() {
    let fake = Fake::start().await;
    let key = key(Algorithm::EdDSA);
    fake.publish(&[&key]);
    let router = router(&fake.openid().build().expect("a guard"));
    let service = json!({ "iss": fake.issuer(), "sub": "robot", "client_id": "robot", "aud": AUDIENCE, "exp": now() + 60, "scope": "notes:write" });
    let service = format!("Bearer {}", signed(&key, &service));
    let reader = person(&fake, &key, "notes:read", &["staff"]);
    let writer = person(&fake, &key, "notes:write notes:read", &["admin"]);
    for (path, who, expected, text) in [
        ("/person", &reader, 200, "alice"),
        ("/person", &service, 403, "persons_only"),
        ("/service", &service, 200, "robot"),
        ("/service", &reader, 403, "services_only"),
        ("/write", &writer, 200, "alice"),
        ("/write", &service, 200, "robot"),
        ("/write", &reader, 403, "insufficient_scope"),
        ("/admin", &writer, 200, "alice"),
        ("/admin", &reader, 403, "missing_role"),
        ("/admin", &service, 403, "insufficient_scope"),
        ("/anyone", &writer, 200, "alice"),
    ] {
        let (status, headers, body) = ask(&router, path, &[("authorization", who)]).await;
        assert_eq!(status, expected, "{path} {body}");
        if expected == 200 {
            assert_eq!(body, text);
            continue;
        }
        let json: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(json["error"], text);
        assert_eq!(headers["cache-control"], "no-store");
        let challenge = headers
            .get("www-authenticate")
            .map(|value| value.to_str().expect("text").to_owned());
        let scope = (text == "insufficient_scope").then(|| {
            let scope = if path == "/write" {
                "notes:write"
            } else {
                "notes:read"
            };
            format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"")
        });
        assert_eq!(challenge, scope);
    }
}

#[tokio::test]
async fn nobody_is_401_everywhere_but_where_nobody_may_come() {
    let fake = Fake::start().await;
    let router = router(&fake.openid().build().expect("a guard"));
    for path in ["/person", "/service", "/write", "/admin"] {
        let (status, headers, body) = ask(&router, path, &[]).await;
        assert_eq!(status, 401, "{path}");
        assert_eq!(headers["www-authenticate"], "Bearer");
        assert_eq!(headers["content-type"], "application/json");
        assert!(body.contains("\"error\":\"unauthorized\""));
        let (status, headers, _) = ask(&router, path, &[("authorization", "Bearer nonsense")]).await;
        assert_eq!(status, 401);
        assert!(
            headers["www-authenticate"]
                .to_str()
                .expect("text")
                .contains("error=\"invalid_token\"")
        );
    }
    assert_eq!(ask(&router, "/anyone", &[]).await.2, "nobody");
    assert_eq!(
        ask(&router, "/anyone", &[("authorization", "Bearer nonsense")])
            .await
            .0,
        401
    );
}

#[tokio::test]
async fn several_extractors_in_one_request_cost_one_question() {
    let fake = Fake::start().await;
    let answer = json!({ "active": true, "client_id": "web", "sub": "alice", "username": "alice", "scope": "notes:read", "exp": now() + 60,
        "aud": AUDIENCE, "token_type": "Bearer", "groups": ["admin"] });
    fake.says("/application/o/introspect/", 200, answer);
    let guard = fake
        .openid()
        .introspection("a", "b")
        .keep_answers(std::time::Duration::ZERO)
        .build()
        .expect("a guard");
    let router = router(&guard);
    // Two layers and two extractors.
    let (status, _, body) = ask(&router, "/admin", &[("authorization", "Bearer dwa_x")]).await;
    assert_eq!((status.as_u16(), body.as_str()), (200, "alice"));
    assert_eq!(fake.asked().len(), 1);
    // Another guard does not believe what this one found out.
    let other = Guard::builder(&fake.url())
        .openid("other", "other")
        .build()
        .expect("a guard");
    let router = Router::new()
        .route("/", get(async |caller: Caller| caller.id().to_owned()))
        .route_layer(guard.require())
        .with_state(other);
    assert_eq!(
        ask(&router, "/", &[("authorization", "Bearer dwa_x")]).await.0,
        401
    );
}

#[tokio::test]
async fn a_bug_is_500_with_an_id_and_without_its_cause() {
    let fake = Fake::start().await;
    let router = router(&fake.openid().build().expect("a guard"));
    let (status, _, body) = ask(&router, "/bug", &[]).await;
    assert_eq!(status, 500);
    let json: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(json["error"], "server_error");
    assert_eq!(json["error_id"].as_str().map(str::len), Some(16));
    assert!(!body.contains("secret"));
    // Away: 503 with the time to wait, and no challenge, on every door.
    fake.go_away(true);
    let token = person(&fake, &key(Algorithm::EdDSA), "a", &[]);
    for path in ["/person", "/admin", "/anyone"] {
        let (status, headers, _) = ask(&router, path, &[("authorization", &token)]).await;
        assert_eq!(status, 503);
        assert!(headers.contains_key("retry-after") && !headers.contains_key("www-authenticate"));
    }
    assert_eq!(Refusal::unavailable("x").kind(), &Kind::Unavailable);
}

#[test]
fn a_guard_says_everything_that_makes_no_sense_at_once() {
    let error = Guard::builder("http://id.example.org")
        .openid("no/slug", "a")
        .trusted_origin("https://app.example.org/path")
        .leeway(std::time::Duration::from_secs(3600))
        .cookie_prefix("a;b")
        .build()
        .expect_err("problems");
    let text = error.to_string();
    for part in ["leeway", "trusted origin", "cookie prefix", "allow_plain_http"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for address in [
        "",
        "id.example.org",
        "ftp://id.example.org",
        "https://user:secret@id.example.org",
        "https://id.example.org?x=1",
    ] {
        let error = Guard::builder(address)
            .sessions("/api/auth")
            .build()
            .expect_err("a problem")
            .to_string();
        assert!(error.contains("address"), "{error}");
    }
    assert!(
        Guard::builder("https://id.example.org")
            .build()
            .expect_err("a problem")
            .to_string()
            .contains("lets nobody in")
    );
    assert!(
        Guard::builder("https://id.example.org")
            .introspection("a", "b")
            .build()
            .is_err()
    );
    assert!(
        Guard::builder("https://id.example.org")
            .openid("notes", "")
            .build()
            .is_err()
    );
    for (address, good) in [
        ("http://localhost:9000", true),
        ("http://127.0.0.1:9000/", true),
        ("http://[::1]:9000", true),
        ("http://127.0.0.1.evil.example", false),
        ("http://localhost.evil.example", false),
    ] {
        let built = Guard::builder(address).sessions("/api/auth").build();
        assert_eq!(built.is_ok(), good, "{address}");
    }
}
