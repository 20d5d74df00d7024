//! The guarded site that checks are about: its address, what proxies send, and how a browser gets its cookie.

use std::time::Duration;

use super::Kind;
use super::http::{Answer, Browser};
use super::process;
use super::wrk::Headers;

const HOST: &str = "wiki.example.test";
/// The address that is checked.
pub(crate) const URL: &str = "http://wiki.example.test/";
/// Where nginx asks.
pub(crate) const NGINX: &str = "/.doorward/auth/nginx";
const MOST_STEPS: usize = 8;

/// Where a proxy asks.
pub(crate) fn path(kind: Kind) -> &'static str {
    match kind {
        Kind::CheckTraefik | Kind::CheckAnonymous => "/.doorward/auth/traefik",
        _ => NGINX,
    }
}

/// What a proxy sends for a request to the site; nothing for what is no check.
pub(crate) fn headers(kind: Kind, cookie: &str) -> Option<Headers> {
    let traefik = || {
        vec![
            ("X-Forwarded-Proto", "http".to_owned()),
            ("X-Forwarded-Host", HOST.to_owned()),
            ("X-Forwarded-Uri", "/".to_owned()),
            ("X-Forwarded-Method", "GET".to_owned()),
            ("X-Forwarded-For", "192.0.2.7".to_owned()),
        ]
    };
    match kind {
        Kind::CheckNginx => Some(nginx(URL, cookie)),
        Kind::CheckTraefik => {
            let mut headers = traefik();
            headers.push(("Cookie", cookie.to_owned()));
            Some(headers)
        }
        // A browser that looks at a page: it is sent to sign in.
        Kind::CheckAnonymous => {
            let mut headers = traefik();
            headers.push(("Accept", "text/html".to_owned()));
            headers.push(("Sec-Fetch-Mode", "navigate".to_owned()));
            Some(headers)
        }
        _ => None,
    }
}

/// What nginx sends.
pub(crate) fn nginx(url: &str, cookie: &str) -> Headers {
    vec![
        ("X-Original-URL", url.to_owned()),
        ("X-Original-Method", "GET".to_owned()),
        ("Cookie", cookie.to_owned()),
    ]
}

/// The answer to a check without a cookie, once the server guards the site: it takes over what the command line changed within a moment.
pub(crate) fn refused(port: u16, url: &str) -> Result<Answer, String> {
    let mut last = 0;
    for _ in 0..100 {
        let answer = Browser::new(port).get_with(NGINX, &nginx(url, ""))?;
        if answer.status == 401 {
            return Ok(answer);
        }
        last = answer.status;
        process::pause(Duration::from_millis(50));
    }
    Err(format!("a check of {url} without a cookie gets status {last}"))
}

/// The way of a browser that is signed in from a refused check to the cookie of the site; gives `name=value`.
pub(crate) fn enter(port: u16, home: &mut Browser) -> Result<String, String> {
    let mut there = Browser::at(port, HOST);
    let refused = refused(port, URL)?;
    let mut next = refused
        .header("x-doorward-location")
        .ok_or("a check without a cookie does not say where to sign in")?
        .to_owned();
    let own = format!("http://localhost:{port}");
    for _ in 0..MOST_STEPS {
        if next == URL {
            return Ok(there.cookie());
        }
        let (browser, path) = match (next.strip_prefix(&own), next.strip_prefix(URL)) {
            (Some(path), _) => (&mut *home, path.to_owned()),
            (None, Some(path)) => (&mut there, format!("/{path}")),
            (None, None) => return Err(format!("on the way to {URL} the browser was sent to {next}")),
        };
        let answer = browser.get(&path)?;
        let location = answer.header("location");
        next = location
            .ok_or_else(|| {
                format!(
                    "the way to {URL} ended at {path}: {} {}",
                    answer.status, answer.body
                )
            })?
            .to_owned();
    }
    Err(format!("the way to {URL} does not end; last at {next}"))
}
