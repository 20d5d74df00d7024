//! A cookie-keeping client on the router, without a socket.

use axum::body::Body;
use axum::extract::ConnectInfo;
use doorward_testkit::App;
use doorward_web::{BuildInfo, Options, Outbound, Service, router};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

/// One browser, or one program.
#[derive(Clone)]
pub(crate) struct Client {
    router: Service,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) peer: SocketAddr,
}

/// What came back.
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
    pub(crate) fn location(&self) -> &str {
        self.header("location")
    }
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }
    /// The value of a hidden field.
    pub(crate) fn field(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\"");
        let tag = self
            .body
            .split('<')
            .find(|tag| tag.contains(&mark))
            .unwrap_or_else(|| panic!("no field {name} in {}", self.body));
        let value = tag
            .split("value=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap_or_default();
        value.replace("&amp;", "&").replace("&#43;", "+")
    }
}

pub(crate) fn options() -> Options {
    Options {
        trusts: Arc::new(|ip: IpAddr| ip == IpAddr::from([10, 0, 0, 1])),
        metrics_token: None,
        body_limit: 64 * 1024,
        header_read_timeout: Duration::from_secs(5),
        connections: 100,
        shutdown_grace: Duration::from_millis(100),
        outbound: Outbound {
            tls: Arc::new(|| Err("tests call nobody".to_owned())),
            may_call: Arc::new(|_| false),
        },
        build: BuildInfo {
            version: "0.0.0",
            commit: "test",
            built_at: "unknown",
            dirty: Some(false),
        },
        image_digest: None,
    }
}

impl Client {
    pub(crate) fn new(app: &App) -> Self {
        Self {
            router: router::router(app.doorward.clone(), options()),
            cookies: BTreeMap::new(),
            headers: Vec::new(),
            peer: SocketAddr::from(([192, 0, 2, 9], 4000)),
        }
    }

    pub(crate) async fn send(&mut self, method: Method, target: &str, form: Option<&[(&str, &str)]>) -> Got {
        let path = target
            .strip_prefix(doorward_testkit::PUBLIC_URL)
            .unwrap_or(target);
        let body =
            form.map(|pairs| doorward_oidc::params::Params::from_pairs(pairs.iter().copied()).to_query());
        let body = body.map(|body| ("application/x-www-form-urlencoded", body));
        self.deliver(method, path, body).await
    }

    /// Sends a body of any kind.
    pub(crate) async fn deliver(&mut self, method: Method, path: &str, body: Option<(&str, String)>) -> Got {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "door.example.org");
        if let Some((kind, _)) = &body
            && !kind.is_empty()
        {
            request = request.header("content-type", *kind);
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<String> = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.header("cookie", cookies.join("; "));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let mut request = request
            .body(Body::from(body.map_or_else(String::new, |(_, body)| body)))
            .expect("a request");
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        for cookie in parts.headers.get_all("set-cookie") {
            let text = cookie.to_str().expect("a cookie");
            let (pair, rest) = text.split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a pair");
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Got {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// The same client on another service, for example the token API's own.
    pub(crate) fn on(service: Service) -> Self {
        Self {
            router: service,
            cookies: BTreeMap::new(),
            headers: Vec::new(),
            peer: SocketAddr::from(([192, 0, 2, 9], 4000)),
        }
    }

    /// Sends a body as it is, as `curl -d` does: JSON under the type of a form.
    pub(crate) async fn raw(&self, method: Method, path: &str, body: impl Into<Body>) -> Got {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "door.example.org")
            .header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let mut request = request.body(body.into()).expect("a request");
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        Got {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    pub(crate) async fn get(&mut self, target: &str) -> Got {
        self.send(Method::GET, target, None).await
    }
    pub(crate) async fn post(&mut self, target: &str, form: &[(&str, &str)]) -> Got {
        self.send(Method::POST, target, Some(form)).await
    }

    /// Signs in through the page, wherever it leads.
    pub(crate) async fn sign_in_at(&mut self, page: &str, username: &str, password: &str) -> Got {
        let shown = self.get(page).await;
        let attempt = shown.field("attempt");
        self.post(
            page,
            &[
                ("attempt", &attempt),
                ("username", username),
                ("password", password),
            ],
        )
        .await
    }
    pub(crate) async fn sign_in(&mut self, username: &str) {
        let got = self
            .sign_in_at("/if/flow/sign-in/", username, doorward_testkit::PASSWORD)
            .await;
        assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
    }
}
