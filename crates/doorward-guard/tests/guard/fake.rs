//! A server on a port of its own that does what the test says, counts what it is asked, and signs tokens.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_crypto::jose::{Algorithm, SigningKey};
use doorward_guard::{Builder, Caller, Guard, Refusal};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

/// Who the service under test is.
pub(crate) const AUDIENCE: &str = "https://notes.example.org";

/// What a path answers: status and body.
type Answers = HashMap<String, (u16, String)>;

/// The server. Cloning is cheap; all clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    answers: Arc<Mutex<Answers>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    away: Arc<AtomicBool>,
    delay_millis: Arc<AtomicU32>,
    url: Arc<Mutex<String>>,
}

/// One request that the server got.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// What a path says: text, or JSON.
pub(crate) struct Said(String);

impl From<&str> for Said {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<&String> for Said {
    fn from(text: &String) -> Self {
        Self(text.clone())
    }
}

impl From<Value> for Said {
    fn from(json: Value) -> Self {
        Self(json.to_string())
    }
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let fake = Self::default();
        *fake.url.lock().expect("the address") =
            format!("http://{}", listener.local_addr().expect("its address"));
        let router = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    pub(crate) fn url(&self) -> String {
        self.url.lock().expect("the address").clone()
    }

    pub(crate) fn says(&self, path: &str, status: u16, body: impl Into<Said>) {
        let Said(body) = body.into();
        let answer = (status, body);
        self.answers
            .lock()
            .expect("answers")
            .insert(path.to_owned(), answer);
    }

    /// While away, every request fails with 503.
    pub(crate) fn go_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    pub(crate) fn take_time(&self, delay: Duration) {
        let millis = u32::try_from(delay.as_millis()).expect("a short time");
        self.delay_millis.store(millis, Ordering::SeqCst);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("requests").clone()
    }

    pub(crate) fn asked_for(&self, path: &str) -> usize {
        self.asked()
            .iter()
            .filter(|asked| asked.target.split('?').next() == Some(path))
            .count()
    }

    /// The issuer of the application `notes`.
    pub(crate) fn issuer(&self) -> String {
        format!("{}/application/o/notes/", self.url())
    }

    /// Publishes these keys for it.
    pub(crate) fn publish(&self, keys: &[&SigningKey]) {
        let keys: Vec<_> = keys.iter().map(|key| key.public_jwk()).collect();
        self.says(KEYS, 200, json!({ "keys": keys }));
    }

    /// A guard for the application `notes` and nothing else.
    pub(crate) fn openid(&self) -> Builder {
        Guard::builder(&self.url()).openid("notes", AUDIENCE)
    }

    /// Claims of a good access token of a person.
    pub(crate) fn claims(&self) -> Value {
        json!({ "iss": self.issuer(), "sub": "alice", "aud": AUDIENCE, "exp": now() + 300, "iat": now(), "client_id": "web",
            "jti": "1", "scope": "notes:read notes:write", "groups": ["staff"], "dw_family": "f" })
    }
}

/// Where the fake publishes its keys.
pub(crate) const KEYS: &str = "/application/o/notes/jwks/";

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let target = parts.uri.to_string();
    let path = parts.uri.path().to_owned();
    fake.asked.lock().expect("requests").push(Asked {
        target,
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    let delay = fake.delay_millis.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(delay.into())).await;
    if fake.away.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let answers = fake.answers.lock().expect("answers");
    match answers.get(&path) {
        Some((status, body)) => {
            let status = StatusCode::from_u16(*status).expect("a status");
            let location = [("location", "/elsewhere"), ("content-type", "application/json")];
            (status, location, body.clone()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the guard compares with the real time")]
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_secs()).expect("not too far")
}

pub(crate) fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm).expect("a key")
}

/// Signs as `at+jwt`.
pub(crate) fn signed(key: &SigningKey, claims: &Value) -> String {
    key.sign("at+jwt", claims.to_string().as_bytes())
        .expect("a token")
}

pub(crate) fn encoded(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token with any header, signed with HMAC.
pub(crate) fn hmac_signed(secret: &[u8], header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", encoded(tag.as_ref()))
}

/// Asks the guard about a GET with these headers.
pub(crate) async fn get(guard: &Guard, headers: &[(&str, &str)]) -> Result<Caller, Refusal> {
    guard.authenticate(&Method::GET, &map(headers)).await
}

pub(crate) fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().expect("a header's name");
        (name, HeaderValue::from_str(value).expect("a header"))
    };
    headers.iter().map(pair).collect()
}

/// Asks the guard about a GET with this bearer token.
pub(crate) async fn bearer(guard: &Guard, token: &str) -> Result<Caller, Refusal> {
    get(guard, &[("authorization", &format!("Bearer {token}"))]).await
}

/// The status with which the guard refuses; 200 when it does not.
pub(crate) async fn status(guard: &Guard, token: &str) -> u16 {
    bearer(guard, token)
        .await
        .map_or_else(|refusal| refusal.status().as_u16(), |_| 200)
}
