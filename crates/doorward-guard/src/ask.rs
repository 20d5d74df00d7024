//! Calls to the server, with a limit on everything: time, size of the answer, calls at once, redirects.

use std::time::Duration;

use http::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, COOKIE, HOST, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use tokio::sync::Semaphore;
use url::Url;

/// Bytes of an answer that are read.
const LARGEST_ANSWER: usize = 64 * 1024;
/// Calls at once; whoever finds none free waits, within the time limit.
const MOST_CALLS: usize = 64;
const CONNECT: Duration = Duration::from_secs(2);

/// Calls the server.
pub(crate) struct Asker {
    client: Client,
    calls: Semaphore,
    timeout: Duration,
}

/// Why there was no answer. For the log: holds no credentials and no URL with any.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Silence {
    #[error("{place}: no answer within {0:?}", place = .1)]
    Late(Duration, String),
    #[error("{1}: {0}")]
    Failed(String, String),
    #[error("{1}: the answer is longer than {LARGEST_ANSWER} bytes ({0} read)")]
    TooLong(usize, String),
}

/// An answer of any status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

impl Asker {
    pub(crate) fn new(timeout: Duration) -> Result<Self, String> {
        let client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .user_agent(concat!("doorward-guard/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| chain(&error))?;
        Ok(Self {
            client,
            calls: Semaphore::new(MOST_CALLS),
            timeout,
        })
    }

    /// Fetches a document.
    pub(crate) async fn get(&self, url: &Url) -> Result<Answer, Silence> {
        self.call(self.client.get(url.clone()), url).await
    }

    /// Fetches with a cookie as it came, or with a bearer token; in the name of another host, where one is given.
    pub(crate) async fn get_as(
        &self,
        url: &Url,
        host: Option<&HeaderValue>,
        credential: &Credential<'_>,
    ) -> Result<Answer, Silence> {
        let (header, text) = match credential {
            Credential::Cookie(pair) => (COOKIE, (*pair).to_owned()),
            Credential::Bearer(token) => (AUTHORIZATION, format!("Bearer {token}")),
        };
        let mut value = HeaderValue::try_from(text)
            .map_err(|_| Silence::Failed("not a header".to_owned(), place(url)))?;
        value.set_sensitive(true);
        let mut request = self.client.get(url.clone()).header(header, value);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        self.call(request, url).await
    }

    /// Posts the question of RFC 7662.
    pub(crate) async fn introspect(
        &self,
        url: &Url,
        client: &ClientSecret,
        token: &str,
    ) -> Result<Answer, Silence> {
        let form = [("token", token), ("token_type_hint", "access_token")];
        let request = self.client.post(url.clone()).form(&form);
        self.call(client.sign(request), url).await
    }

    /// Posts the question of the token API, which takes JSON.
    pub(crate) async fn introspect_json(
        &self,
        url: &Url,
        credential: Option<&str>,
        token: &str,
    ) -> Result<Answer, Silence> {
        let request = self
            .client
            .post(url.clone())
            .json(&serde_json::json!({ "token": token }));
        let request = match credential {
            Some(credential) => request.bearer_auth(credential),
            None => request,
        };
        self.call(request, url).await
    }

    async fn call(&self, request: RequestBuilder, url: &Url) -> Result<Answer, Silence> {
        let work = async {
            // Never closed; were it, the call goes ahead uncounted.
            let _turn = self.calls.acquire().await;
            read(request.header(ACCEPT, "application/json"), url).await
        };
        match tokio::time::timeout(self.timeout, work).await {
            Ok(answer) => answer,
            Err(_) => Err(Silence::Late(self.timeout, place(url))),
        }
    }
}

/// Whose request is passed on.
pub(crate) enum Credential<'a> {
    /// `name=value`.
    Cookie(&'a str),
    Bearer(&'a str),
}

/// How this service proves itself to the server.
#[derive(Clone)]
pub(crate) struct ClientSecret {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl ClientSecret {
    /// RFC 6749, section 2.3.1: both halves are form-encoded first, so that a colon in the id does no harm.
    fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        request.basic_auth(encoded(&self.id), Some(encoded(&self.secret)))
    }
}

async fn read(request: RequestBuilder, url: &Url) -> Result<Answer, Silence> {
    let failed = |error: reqwest::Error| Silence::Failed(chain(&error.without_url()), place(url));
    let mut answer = request.send().await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        let length = body.len().saturating_add(chunk.len());
        if length > LARGEST_ANSWER {
            return Err(Silence::TooLong(length, place(url)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status: answer.status(),
        body,
    })
}

/// Where was asked, without anything that may be secret.
pub(crate) fn place(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
