//! What only a request shows: who answers at the public address and which build that is; and which requests carry the session of an
//! app's door.

use std::time::Duration;

use clap::Args;
use doorward_config::{PrivateNetworks, Settings};
use doorward_domain::app_auth::{AppAuth, SameSite};
use doorward_domain::application::Application;
use serde_json::Value;

use super::{Findings, State};
use crate::failure::{Failure, Result};
use crate::{build, ports};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST: usize = 64 * 1024;
/// Fewer digits of a commit say too little.
const SHORTEST_COMMIT: usize = 7;

/// What is expected of the running server.
#[derive(Debug, Args)]
pub(crate) struct Expected {
    /// Fails unless the server at `public_url` was built from this commit, without changes beside it (7 to 64 hex digits)
    #[arg(long, value_name = "COMMIT")]
    expect_commit: Option<String>,
}

impl Expected {
    /// The commit in lower case.
    ///
    /// # Errors
    /// It is no commit.
    pub(super) fn commit(&self) -> Result<Option<String>> {
        let Some(given) = &self.expect_commit else {
            return Ok(None);
        };
        let hex = given.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hex && (SHORTEST_COMMIT..=64).contains(&given.len()) {
            return Ok(Some(given.to_ascii_lowercase()));
        }
        Err(Failure::Usage(format!(
            "--expect-commit `{given}` is no commit; expected {SHORTEST_COMMIT} to 64 hex digits"
        )))
    }
}

/// Asks the server at the public address which build it is. Nobody there is a problem only when a commit is expected.
pub(super) async fn look_at_server(settings: &Settings, expected: Option<&str>, findings: &mut Findings) {
    let url = format!("{}/version", settings.public_url.as_str().trim_end_matches('/'));
    let fetch = ports::real(PrivateNetworks::Allow, None).fetch;
    let silent = if expected.is_some() {
        State::Wrong
    } else {
        State::Unwise
    };
    let answer = match tokio::time::timeout(PATIENCE, fetch.get(&url, LARGEST)).await {
        Err(_) => Err("no answer in time".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(answer)) if answer.status != 200 => Err(format!("it answered {}", answer.status)),
        Ok(Ok(answer)) => serde_json::from_slice::<Value>(&answer.body)
            .map_err(|_| "the answer is not Doorward's".to_owned()),
    };
    match answer {
        Err(why) => findings.add("server", silent, format!("{url}: {why}; does the server run?")),
        Ok(told) => judge(&url, &told, expected, findings),
    }
}

fn judge(url: &str, told: &Value, expected: Option<&str>, findings: &mut Findings) {
    let text = |name: &str| told.get(name).and_then(Value::as_str).unwrap_or("unknown");
    let (version, commit) = (text("version"), text("commit"));
    let dirty = told.get("dirty").and_then(Value::as_bool);
    let changes = if dirty == Some(true) { " with changes" } else { "" };
    let shown = format!("{url}: version {version}, commit {commit}{changes}");
    match expected {
        Some(wanted) if !commit.to_ascii_lowercase().starts_with(wanted) => findings.add(
            "server",
            State::Wrong,
            format!("{shown}; expected {wanted}: the old image still runs, or a tag moved; deploy by digest"),
        ),
        Some(_) if dirty == Some(true) => findings.add(
            "server",
            State::Wrong,
            format!("{shown}; expected the commit as it is"),
        ),
        Some(_) => findings.add("server", State::Good, shown),
        None if commit != build::COMMIT => findings.add(
            "server",
            State::Unwise,
            format!("{shown}; this program is of commit {}", build::COMMIT),
        ),
        None => findings.add("server", State::Good, shown),
    }
}

/// Says for each door which requests carry its session, and which pages that are trusted do not get it.
pub(super) fn look_at_doors(applications: &[Application], findings: &mut Findings) {
    for application in applications {
        let Some(door) = &application.app_auth else {
            continue;
        };
        let secure = if door.secure() { "__Secure-" } else { "" };
        let name = format!("{secure}{}.session_token", door.cookie_prefix);
        let host = bare(door.host());
        let reach = match &door.cookie_domain {
            Some(domain) => format!("{domain} and all hosts below it"),
            None => format!("{host} and no other host"),
        };
        let from = match door.same_site {
            SameSite::None => "from pages of any site",
            SameSite::Lax => "from pages of the same site, and when somebody follows a link there",
            SameSite::Strict => "from pages of the same site only",
        };
        let text = format!("{}: {name} goes to {reach}, {from}", application.slug);
        findings.add("door", State::Good, text);
        for origin in pages_without(door) {
            let text = format!(
                "{}: calls of pages at {origin} do not carry {name}: another site than {host}. Put both behind one host, or \
                 `doorward app-auth set {} --same-site none` (browsers may refuse such cookies all the same)",
                application.slug, application.slug
            );
            findings.add("door", State::Unwise, text);
        }
    }
}

/// Trusted pages of another site than the door, as far as names tell.
fn pages_without(door: &AppAuth) -> impl Iterator<Item = &str> {
    let site = site_of(bare(door.host()));
    let all = door.same_site == SameSite::None;
    door.trusted_origins
        .iter()
        .map(String::as_str)
        .filter(move |origin| {
            let host = origin.split_once("://").map_or(*origin, |(_, host)| host);
            !all && site_of(bare(host)) != site
        })
}

/// A host without its port.
fn bare(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    }
}

/// The last two labels of a name; of an address, all of it. Browsers know more (public suffixes), and never take two such names for one site
/// that differ here.
fn site_of(host: &str) -> &str {
    if host.parse::<std::net::IpAddr>().is_ok() || host.starts_with('[') {
        return host;
    }
    let cut = host.rmatch_indices('.').nth(1).map(|(at, _)| at + 1);
    host.get(cut.unwrap_or(0)..).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_expected_commit_without_changes_is_good() {
        let state = |commit: &str, dirty: bool, expected: Option<&str>| {
            let mut findings = Findings::default();
            let told = json!({ "version": "1", "commit": commit, "dirty": dirty });
            judge("u", &told, expected, &mut findings);
            findings.0.pop().map(|finding| finding.state)
        };
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(state(commit, false, Some("0123456")), Some(State::Good));
        assert_eq!(state(commit, true, Some("0123456")), Some(State::Wrong));
        assert_eq!(state(commit, false, Some("0123457")), Some(State::Wrong));
        assert_eq!(state("unknown", false, Some("0123456")), Some(State::Wrong));
        assert_eq!(state("other", false, None), Some(State::Unwise));
        assert_eq!(state(build::COMMIT, false, None), Some(State::Good));
    }

    #[test]
    fn sites_are_told_apart_by_their_last_labels() {
        let door = |base: &str, trusted: &[&str]| AppAuth {
            base_url: base.to_owned(),
            trusted_origins: trusted.iter().map(|origin| (*origin).to_owned()).collect(),
            ..AppAuth::default()
        };
        let pages = [
            "https://app.example.org",
            "https://*.example.org",
            "https://example.org:8443",
            "https://example.net",
        ];
        let here = door("https://api.example.org/auth", &pages);
        assert_eq!(pages_without(&here).collect::<Vec<_>>(), ["https://example.net"]);
        let everywhere = AppAuth {
            same_site: SameSite::None,
            ..here
        };
        assert_eq!(pages_without(&everywhere).count(), 0);
        let local = door(
            "http://localhost:9000/auth",
            &["http://localhost:3000", "http://127.0.0.1:3000"],
        );
        assert_eq!(
            pages_without(&local).collect::<Vec<_>>(),
            ["http://127.0.0.1:3000"]
        );
    }
}
