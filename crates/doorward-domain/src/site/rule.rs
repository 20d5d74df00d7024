//! Path rules of a site.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::application::Audience;

/// Most rules of one site.
pub const MOST_RULES: usize = 200;
/// Longest pattern, in bytes.
const LONGEST: usize = 200;

/// Which paths a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PathPattern {
    /// This path and everything below it, written `/api`.
    Prefix(String),
    /// Exactly this path, written `=/health`.
    Exact(String),
    /// A pattern: `*` is anything without a slash, `**` anything, `?` one character that is no slash.
    Glob(String),
}

impl PathPattern {
    /// Does it fit a path (as it is decided on)?
    #[must_use]
    pub fn fits(&self, path: &str) -> bool {
        match self {
            Self::Prefix(prefix) => super::path::is_below(path, prefix),
            Self::Exact(exact) => path == exact,
            Self::Glob(pattern) => glob(pattern.as_bytes(), path.as_bytes()),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(text) | Self::Glob(text) => f.write_str(text),
            Self::Exact(text) => write!(f, "={text}"),
        }
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> Self {
        pattern.to_string()
    }
}

impl TryFrom<String> for PathPattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for PathPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |what: &str| {
            format!("path `{text}` {what}; expected for example /api, =/health, /static/** or /user/*/avatar")
        };
        let (exact, path) = match text.strip_prefix('=') {
            Some(path) => (true, path),
            None => (false, text),
        };
        if !path.starts_with('/') || path.len() > LONGEST {
            return Err(bad("does not begin with a slash or has more than 200 characters"));
        }
        let is_glob = path.contains(['*', '?']);
        if exact && is_glob {
            return Err(bad("is both exact and a pattern"));
        }
        let plain = path.replace(['*', '?'], "x");
        let normal = super::path::site_path(&plain).map_err(|what| bad(&what))?;
        if !path.is_ascii() || path.bytes().any(|byte| byte <= b' ') {
            return Err(bad("has a space or a letter outside ASCII"));
        }
        Ok(if is_glob {
            Self::Glob(path.to_owned())
        } else if exact {
            Self::Exact(path.to_owned())
        } else {
            Self::Prefix(normal)
        })
    }
}

/// Does a pattern fit a path? Every way through the pattern is followed at once, so that the time is at most the product of the
/// two lengths, whatever the path.
fn glob(pattern: &[u8], path: &[u8]) -> bool {
    // Most paths fail in what stands before the first wildcard.
    let fixed = pattern
        .iter()
        .position(|byte| matches!(byte, b'*' | b'?'))
        .unwrap_or(pattern.len());
    if !path.starts_with(pattern.get(..fixed).unwrap_or_default()) {
        return false;
    }
    let mut places = [false; LONGEST + 1];
    reach(pattern, fixed, &mut places);
    for byte in path.get(fixed..).unwrap_or_default() {
        let mut next = [false; LONGEST + 1];
        let mut alive = false;
        let reached = places.iter().take(pattern.len() + 1).enumerate();
        for (at, _) in reached.filter(|(_, reached)| **reached) {
            let to = match pattern.get(at..).unwrap_or_default() {
                [b'*', b'*', ..] => Some(at),
                [b'*', ..] => (*byte != b'/').then_some(at),
                [b'?', ..] => (*byte != b'/').then_some(at + 1),
                [wanted, ..] => (wanted == byte).then_some(at + 1),
                [] => None,
            };
            if let Some(to) = to {
                reach(pattern, to, &mut next);
                alive = true;
            }
        }
        if !alive {
            return false;
        }
        places = next;
    }
    places.get(pattern.len()).copied().unwrap_or(false)
}

/// Marks a place in the pattern, and those behind stars that may stand for nothing.
fn reach(pattern: &[u8], from: usize, places: &mut [bool; LONGEST + 1]) {
    let mut at = from;
    while let Some(place) = places.get_mut(at) {
        if *place {
            return;
        }
        *place = true;
        at += match pattern.get(at..).unwrap_or_default() {
            [b'*', b'*', ..] => 2,
            [b'*', ..] => 1,
            _ => return,
        };
    }
}

/// What a rule says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Those whom the application admits.
    Application,
    /// Those of an audience of its own.
    Audience(Audience),
    /// Everybody, without signing in.
    Public,
    /// Nobody.
    Deny,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathRule {
    /// Which paths.
    pub path: PathPattern,
    /// Which methods; empty for all. GET stands for HEAD too.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub methods: BTreeSet<String>,
    /// Who.
    pub access: Access,
}

impl PathRule {
    /// Does the rule speak of this method and path?
    #[must_use]
    pub fn fits(&self, method: &str, path: &str) -> bool {
        (self.methods.is_empty()
            || self.methods.contains(method)
            || (method == "HEAD" && self.methods.contains("GET")))
            && self.path.fits(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, path: &str) -> bool {
        pattern.parse::<PathPattern>().unwrap().fits(path)
    }

    #[test]
    fn patterns_fit_what_they_say() {
        assert!(
            fits("/api", "/api") && fits("/api", "/api/") && fits("/api", "/api/x") && !fits("/api", "/apix")
        );
        assert!(fits("/api/", "/api") && fits("/", "/x"));
        assert!(
            fits("=/health", "/health") && !fits("=/health", "/health/") && !fits("=/health", "/health/x")
        );
        assert!(fits("/user/*/avatar", "/user/7/avatar") && !fits("/user/*/avatar", "/user/7/x/avatar"));
        assert!(fits("/user/*/avatar", "/user//avatar"));
        assert!(fits("/**/x", "/a/b/x") && fits("/**", "/") && fits("/a/**", "/a/") && !fits("/a/**", "/a"));
        assert!(fits("/*.js", "/app.js") && !fits("/*.js", "/a/app.js") && fits("/**.js", "/a/app.js"));
        assert!(fits("/a?c", "/abc") && !fits("/a?c", "/a/c") && !fits("/a?c", "/ac"));
        assert!(fits("/**/a*b/**", "/x/y/azzb/c") && !fits("/**/a*b/c", "/x/a/b/c"));
        assert!(fits("/*/*/c", "/a/b/c") && fits("/a/**/b*/d", "/a/b/b1/d"));
    }

    #[test]
    fn a_hostile_path_does_not_take_long() {
        let pattern = format!("/{}b", "**a*".repeat(40)).parse::<PathPattern>().unwrap();
        assert!(!pattern.fits(&format!("/{}", "a".repeat(8_000))));
    }

    #[test]
    fn patterns_that_cannot_be_meant_are_refused() {
        for bad in ["", "api", "=/a*", "/a b", "/a/../b", "/%61", "/a;b", "//a", "/ä"] {
            assert!(bad.parse::<PathPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn get_stands_for_head() {
        let rule = PathRule {
            path: PathPattern::Prefix("/".into()),
            methods: BTreeSet::from(["GET".to_owned()]),
            access: Access::Public,
        };
        assert!(rule.fits("HEAD", "/x") && rule.fits("GET", "/x") && !rule.fits("POST", "/x"));
    }
}
