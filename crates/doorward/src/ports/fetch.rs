//! Outgoing HTTP: short, bounded, without redirects and proxies, and never to a place that [`super::addresses`] refuses.
//!
//! The client is built at the first call, so that a server that never calls anybody holds no certificate store.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use doorward_config::PrivateNetworks;
use doorward_core::ports::{Boxed, Call, Fetch, FetchError, Fetched};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use url::{Host, Url};

use super::addresses::{self, Refusal};

const CONNECT: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(10);
/// Bytes of an answer to a POST that are read.
const LARGEST_POST_ANSWER: usize = 16 * 1024;
/// Bytes of a provider's answer that are read.
const LARGEST_CALL_ANSWER: usize = 256 * 1024;
/// Longest URL that is called.
const LONGEST_URL: usize = 4096;

/// Calls other servers.
pub(super) struct HttpFetch {
    private: PrivateNetworks,
    client: OnceLock<Result<Client, FetchError>>,
}

impl HttpFetch {
    /// Nothing happens before the first call.
    pub(super) fn new(private: PrivateNetworks) -> Self {
        Self {
            private,
            client: OnceLock::new(),
        }
    }

    fn client(&self) -> Result<&Client, FetchError> {
        let built = self.client.get_or_init(|| {
            Client::builder()
                .user_agent(concat!("doorward/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::none())
                .no_proxy()
                .no_gzip()
                .referer(false)
                .connect_timeout(CONNECT)
                .timeout(TOTAL)
                .pool_max_idle_per_host(2)
                .dns_resolver(Guarded {
                    private: self.private,
                })
                .build()
                .map_err(|error| FetchError(format!("outgoing calls are not possible: {}", chain(&error))))
        });
        built.as_ref().map_err(Clone::clone)
    }

    /// Reads and judges a URL. A literal address is judged here, because no resolver is asked for it.
    fn target(&self, text: &str) -> Result<Url, FetchError> {
        let wrong = |why: &str| Err(FetchError(format!("the URL {why}")));
        if text.len() > LONGEST_URL {
            return wrong("is longer than 4096 bytes");
        }
        let Ok(url) = Url::parse(text) else {
            return wrong("cannot be read");
        };
        if !matches!(url.scheme(), "https" | "http") {
            return wrong("is neither https nor http");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return wrong("has a user name or password");
        }
        let literal = match url.host() {
            Some(Host::Ipv4(v4)) => Some(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => Some(IpAddr::V6(v6)),
            Some(Host::Domain(_)) => None,
            None => return wrong("names no host"),
        };
        if let Some(address) = literal {
            addresses::check(address, self.private)
                .map_err(|refusal| FetchError(sentence(&address.to_string(), address, refusal)))?;
        }
        Ok(url)
    }
}

impl Fetch for HttpFetch {
    fn get<'a>(&'a self, url: &'a str, limit: usize) -> Boxed<'a, Result<Fetched, FetchError>> {
        Box::pin(async move {
            let url = self.target(url)?;
            call(self.client()?.get(url), limit).await
        })
    }

    fn call<'a>(&'a self, wanted: Call<'a>) -> Boxed<'a, Result<Fetched, FetchError>> {
        Box::pin(async move {
            let url = self.target(wanted.url)?;
            let client = self.client()?;
            let request = match wanted.form {
                Some(form) => client.post(url).form(form),
                None => client.get(url),
            };
            let request = request.header("accept", "application/json");
            let request = match wanted.authorization {
                Some(authorization) => request.header("authorization", authorization),
                None => request,
            };
            call(request, LARGEST_CALL_ANSWER).await
        })
    }

    fn post_form<'a>(
        &'a self,
        url: &'a str,
        form: &'a [(&'a str, &'a str)],
    ) -> Boxed<'a, Result<Fetched, FetchError>> {
        Box::pin(async move {
            let url = self.target(url)?;
            call(self.client()?.post(url).form(form), LARGEST_POST_ANSWER).await
        })
    }

    fn post_json<'a>(
        &'a self,
        url: &'a str,
        bearer: Option<&'a str>,
        body: &'a serde_json::Value,
    ) -> Boxed<'a, Result<Fetched, FetchError>> {
        Box::pin(async move {
            let url = self.target(url)?;
            let request = self
                .client()?
                .post(url)
                .header("content-type", "application/json")
                .body(body.to_string());
            let request = match bearer {
                Some(token) => request.bearer_auth(token),
                None => request,
            };
            call(request, LARGEST_POST_ANSWER).await
        })
    }
}

/// Sends, and stops reading as soon as the body is longer than `limit` bytes.
async fn call(request: RequestBuilder, limit: usize) -> Result<Fetched, FetchError> {
    let failed = |error: reqwest::Error| FetchError(chain(&error.without_url()));
    let mut answer = request.send().await.map_err(failed)?;
    let too_long = || FetchError(format!("the answer is longer than {limit} bytes"));
    let announced = answer
        .content_length()
        .map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced.is_some_and(|length| length > limit) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Fetched {
        status: answer.status().as_u16(),
        body,
    })
}

/// Resolves names and keeps only the addresses that may be called. The connection goes to what is given here, so a name
/// that changes between the check and the call gains nothing.
struct Guarded {
    private: PrivateNetworks,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let refused = found
                .iter()
                .find_map(|address| Some((address.ip(), addresses::check(address.ip(), private).err()?)));
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| addresses::check(address.ip(), private).is_ok())
                .collect();
            match refused {
                Some((address, refusal)) if allowed.is_empty() => {
                    Err(sentence(name.as_str(), address, refusal).into())
                }
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

fn sentence(host: &str, address: IpAddr, refusal: Refusal) -> String {
    match refusal {
        Refusal::Never => format!("{host} leads to {address}, which is never called"),
        Refusal::Private => format!(
            "{host} leads to {address} in a private network, and outbound.private_networks is `refuse`"
        ),
    }
}

/// The error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn provider() {
        // A second installation is refused, which is fine in tests that run side by side.
        let _again = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }

    /// Answers one connection with `answer` and says what was asked.
    async fn answers(answer: Vec<u8>) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = socket.read(&mut request).await.unwrap();
            // The client may hang up before it has read everything.
            let _result = socket.write_all(&answer).await;
            let _result = socket.shutdown().await;
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        (port, asked)
    }

    #[tokio::test]
    async fn get_gives_status_and_body() {
        provider();
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone".to_vec();
        let (port, asked) = answers(answer).await;
        let fetch = HttpFetch::new(PrivateNetworks::Allow);
        let url = format!("http://localhost:{port}/keys");
        let fetched = fetch.get(&url, 100).await.unwrap();
        assert_eq!((fetched.status, fetched.body.as_slice()), (404, &b"gone"[..]));
        assert!(asked.await.unwrap().starts_with("GET /keys HTTP/1.1\r\n"));
    }

    #[tokio::test]
    async fn post_form_sends_the_form() {
        provider();
        let (port, asked) = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
        let fetch = HttpFetch::new(PrivateNetworks::Allow);
        let url = format!("http://127.0.0.1:{port}/logout");
        let fetched = fetch.post_form(&url, &[("logout_token", "a b")]).await.unwrap();
        assert_eq!(fetched.status, 200);
        let asked = asked.await.unwrap();
        assert!(asked.contains("application/x-www-form-urlencoded"), "{asked}");
    }

    #[tokio::test]
    async fn post_json_sends_json_and_the_token() {
        provider();
        let (port, asked) = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_vec()).await;
        let fetch = HttpFetch::new(PrivateNetworks::Allow);
        let url = format!("http://127.0.0.1:{port}/register");
        let body = serde_json::json!({ "a": 1 });
        let fetched = fetch.post_json(&url, Some("secret"), &body).await.unwrap();
        assert_eq!(fetched.body, b"{}");
        let asked = asked.await.unwrap().to_lowercase();
        assert!(asked.contains("content-type: application/json"), "{asked}");
        assert!(asked.contains("authorization: bearer secret"), "{asked}");
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused_whether_it_is_announced_or_streamed() {
        provider();
        let fetch = HttpFetch::new(PrivateNetworks::Allow);
        let long = "x".repeat(5000);
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        ] {
            let (port, _asked) = answers(format!("{head}{long}").into_bytes()).await;
            let error = fetch
                .get(&format!("http://127.0.0.1:{port}/"), 4999)
                .await
                .unwrap_err();
            assert!(error.to_string().contains("longer than 4999 bytes"), "{error}");
        }
    }

    #[tokio::test]
    async fn redirects_are_not_followed() {
        provider();
        let answer = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n";
        let (port, _asked) = answers(answer.to_vec()).await;
        let fetch = HttpFetch::new(PrivateNetworks::Allow);
        let fetched = fetch.get(&format!("http://127.0.0.1:{port}/"), 10).await.unwrap();
        assert_eq!(fetched.status, 302);
    }

    #[tokio::test]
    async fn places_that_must_not_be_called_are_not_called() {
        provider();
        let allow = HttpFetch::new(PrivateNetworks::Allow);
        let refuse = HttpFetch::new(PrivateNetworks::Refuse);
        for url in [
            "http://169.254.169.254/latest/meta-data/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://2852039166/",
            "http://0x7f.1/",
            "http://0.0.0.0/",
            "http://[fe80::1]/",
            "file:///etc/passwd",
            "ftp://example.org/",
            "https://user:secret@example.org/",
            "nonsense",
        ] {
            let fetch = if url.contains("0x7f") { &refuse } else { &allow };
            let error = fetch.get(url, 10).await.unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
            assert!(
                error.contains("never called") || error.contains("private network") || error.contains("URL"),
                "{url}: {error}"
            );
        }
        for url in ["http://localhost:9/", "http://127.0.0.1:9/", "http://[::1]:9/"] {
            let error = refuse.get(url, 10).await.unwrap_err().to_string();
            assert!(error.contains("private network"), "{url}: {error}");
        }
    }
}
