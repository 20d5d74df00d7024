//! The smallest HTTP client that preparing a measurement needs: one request per connection, cookies, forms.
//!
//! Never used to measure speed, except for signing in, where the password hash outweighs it a thousand times.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const MOST_REDIRECTS: usize = 8;
const FORM: &str = "application/x-www-form-urlencoded";

/// One answer.
pub(crate) struct Answer {
    /// The path that was asked for, to which a form without an action is posted.
    pub(crate) path: String,
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// A browser of one person: cookies for one server on the loopback interface.
pub(crate) struct Browser {
    port: u16,
    /// The host that the browser is at, when a proxy hands its requests on.
    behind: Option<String>,
    cookies: BTreeMap<String, String>,
}

/// Where following redirects ends.
pub(crate) enum End {
    /// At an answer of this server.
    Page(Answer),
    /// At an address somewhere else.
    Away(String),
}

/// The form of a page.
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Answer {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// A text member of the JSON object in the body.
    pub(crate) fn member(&self, name: &str) -> Result<String, String> {
        let body: serde_json::Value = serde_json::from_str(&self.body)
            .map_err(|error| format!("status {}, not JSON ({error}): {}", self.status, self.body))?;
        body.get(name)
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| format!("status {}, no {name} in {}", self.status, self.body))
    }
}

impl End {
    /// The page; being sent away is a failure here.
    pub(crate) fn page(self) -> Result<Answer, String> {
        match self {
            Self::Page(answer) => Ok(answer),
            Self::Away(address) => Err(format!("expected a page, was sent to {address}")),
        }
    }

    /// The address that leads away; a page is a failure here, and is shown.
    pub(crate) fn away(self) -> Result<String, String> {
        match self {
            Self::Away(address) => Ok(address),
            Self::Page(page) => Err(format!(
                "expected to be sent away, got status {}: {}",
                page.status, page.body
            )),
        }
    }
}

impl Browser {
    pub(crate) fn new(port: u16) -> Self {
        Self {
            port,
            behind: None,
            cookies: BTreeMap::new(),
        }
    }

    /// A browser at the host of a guarded site, with cookies of its own.
    pub(crate) fn at(port: u16, host: &str) -> Self {
        Self {
            behind: Some(host.to_owned()),
            ..Self::new(port)
        }
    }

    /// What it sends as `Cookie`.
    pub(crate) fn cookie(&self) -> String {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    /// Asks for a page without following redirects.
    pub(crate) fn get(&mut self, path: &str) -> Result<Answer, String> {
        self.send("GET", path, &[], None)
    }

    /// The same with more headers.
    pub(crate) fn get_with(&mut self, path: &str, headers: &[(&str, String)]) -> Result<Answer, String> {
        self.send("GET", path, headers, None)
    }

    /// Posts a form without following redirects.
    pub(crate) fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Result<Answer, String> {
        let pairs: Vec<String> = form
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        self.send("POST", path, &[], Some((FORM, &pairs.join("&"))))
    }

    /// Posts a JSON value.
    pub(crate) fn post_json(&mut self, path: &str, body: &serde_json::Value) -> Result<Answer, String> {
        self.send("POST", path, &[], Some(("application/json", &body.to_string())))
    }

    /// Follows redirects as long as they stay on this server.
    pub(crate) fn follow(&mut self, mut answer: Answer) -> Result<End, String> {
        for _ in 0..MOST_REDIRECTS {
            if !(300..400).contains(&answer.status) {
                return Ok(End::Page(answer));
            }
            let location = answer
                .header("location")
                .ok_or("a redirect without an address")?
                .to_owned();
            let here = format!("http://localhost:{}", self.port);
            let path = location.strip_prefix(&here).unwrap_or(&location).to_owned();
            if !path.starts_with('/') {
                return Ok(End::Away(location));
            }
            answer = self.get(&path)?;
        }
        Err("too many redirects".to_owned())
    }

    fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Option<(&str, &str)>,
    ) -> Result<Answer, String> {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{0}\r\nConnection: close\r\nOrigin: http://localhost:{0}\r\n",
            self.port
        );
        if !self.cookies.is_empty() {
            head.push_str(&format!("Cookie: {}\r\n", self.cookie()));
        }
        if let Some(host) = &self.behind {
            head.push_str(&format!(
                "X-Forwarded-Host: {host}\r\nX-Forwarded-Proto: http\r\n"
            ));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let (kind, body) = body.unwrap_or_default();
        if !kind.is_empty() {
            let length = body.len();
            head.push_str(&format!("Content-Type: {kind}\r\nContent-Length: {length}\r\n"));
        }
        head.push_str("\r\n");
        head.push_str(body);
        let answer = exchange(self.port, path, &head).map_err(|error| format!("{method} {path}: {error}"))?;
        let set = answer
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        for (_, cookie) in set {
            let pair = cookie.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                if cookie.contains("Max-Age=0") {
                    self.cookies.remove(name.trim());
                } else {
                    self.cookies
                        .insert(name.trim().to_owned(), value.trim().to_owned());
                }
            }
        }
        Ok(answer)
    }
}

/// Whether the server answers this path with 200 now.
pub(crate) fn is_ok(port: u16, path: &str) -> bool {
    Browser::new(port)
        .get(path)
        .is_ok_and(|answer| answer.status == 200)
}

fn exchange(port: u16, path: &str, request: &str) -> Result<Answer, String> {
    let told = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(told)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    stream.write_all(request.as_bytes()).map_err(told)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(told)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("the answer has no head")?;
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let chunked = headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked")
    });
    let body = if chunked { joined(body) } else { body.to_owned() };
    Ok(Answer {
        path: path.to_owned(),
        status: status.ok_or("the answer has no status")?,
        headers,
        body,
    })
}

/// The content of a chunked body (RFC 9112, section 7.1).
fn joined(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        let Some((chunk, after)) = rest.split_at_checked(size).filter(|_| size > 0) else {
            break;
        };
        whole.push_str(chunk);
        body = after.strip_prefix("\r\n").unwrap_or(after);
    }
    whole
}

/// Percent-encodes everything but unreserved characters (RFC 3986, section 2.3).
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// The form that asks for a password when a page has one, else its first form, with the values of its inputs.
pub(crate) fn form(page: &str) -> Result<Form, String> {
    let forms: Vec<&str> = page
        .split("<form")
        .skip(1)
        .filter_map(|rest| rest.split("</form>").next())
        .collect();
    let wanted = forms
        .iter()
        .find(|form| form.contains("\"password\""))
        .or(forms.first());
    let form = wanted.ok_or_else(|| format!("a page without a form: {page}"))?;
    let tag = form.split('>').next().unwrap_or_default();
    let fields = form
        .split("<input")
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
        .filter_map(|input| {
            Some((
                attribute(input, "name")?,
                attribute(input, "value").unwrap_or_default(),
            ))
        })
        .collect();
    Ok(Form {
        action: attribute(tag, "action").unwrap_or_default(),
        fields,
    })
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    let entities = [
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ];
    Some(
        entities
            .iter()
            .fold(value.to_owned(), |text, (entity, character)| {
                text.replace(entity, character)
            }),
    )
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
