//! Which origins may call an app and where it may send browsers (contract sections 3.1 and 3.2). Total functions: whatever
//! cannot be read is not trusted.

/// Scheme and authority of an absolute URL, without user info; `None` when it has none.
#[must_use]
pub fn origin_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme_ok = !scheme.is_empty()
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    let odd = |b: u8| {
        b <= b' '
            || b >= 0x7f
            || matches!(
                b,
                b'@' | b'%' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}'
            )
    };
    if !scheme_ok || authority.bytes().any(odd) {
        return None;
    }
    let http = scheme == "http" || scheme == "https";
    if http && authority.is_empty() {
        return None;
    }
    url.get(..scheme.len() + 3 + end)
}

/// An origin as browsers compare it: lower case, without the scheme's own port.
fn canonical(origin: &str) -> String {
    let origin = origin.to_ascii_lowercase();
    let bare = match origin.split_once("://") {
        Some(("https", _)) => origin.strip_suffix(":443"),
        Some(("http", _)) => origin.strip_suffix(":80"),
        _ => None,
    };
    bare.map_or(origin.clone(), str::to_owned)
}

/// Does a pattern admit an origin (as [`origin_of`] gives it)? Patterns: an origin; an origin or a host with `*` (within one
/// label), `**` (across labels) and `?` (one character); a scheme of an app such as `myapp://`. Never part of a name.
#[must_use]
pub fn admits(pattern: &str, origin: &str) -> bool {
    let origin = canonical(origin);
    let pattern = pattern.trim().trim_end_matches('/').to_ascii_lowercase();
    if pattern.is_empty() {
        return false;
    }
    let wild = pattern.contains(['*', '?']);
    match pattern.split_once(':') {
        // `myapp://` or `myapp:`: the scheme says it all.
        Some((scheme, rest))
            if rest.trim_start_matches('/').is_empty() && !rest.is_empty()
                || rest.is_empty() && !wild && !scheme.contains('.') =>
        {
            !matches!(scheme, "http" | "https")
                && origin.split_once("://").is_some_and(|(of, _)| of == scheme)
        }
        Some((_, rest)) if rest.starts_with("//") => {
            if wild {
                glob(pattern.as_bytes(), origin.as_bytes())
            } else {
                origin_of(&pattern).is_some_and(|of| canonical(of) == origin)
            }
        }
        _ => match origin.split_once("://") {
            Some(("http" | "https", host)) => glob(pattern.as_bytes(), host.as_bytes()),
            _ => false,
        },
    }
}

/// `*` stands for anything but a dot or slash, `**` for anything but a slash, `?` for one character that is neither.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    // States of the pattern that fit what was read so far; both are short (an origin and a setting).
    let mut states = vec![false; pattern.len() + 1];
    let spread = |states: &mut Vec<bool>| {
        for at in 0..pattern.len() {
            if states.get(at) == Some(&true)
                && pattern.get(at) == Some(&b'*')
                && let Some(next) = states.get_mut(at + 1)
            {
                *next = true;
            }
        }
    };
    if let Some(first) = states.first_mut() {
        *first = true;
    }
    spread(&mut states);
    for &byte in text {
        let mut next = vec![false; pattern.len() + 1];
        for (at, &wanted) in pattern.iter().enumerate() {
            if states.get(at) != Some(&true) {
                continue;
            }
            let double = wanted == b'*'
                && (pattern.get(at + 1) == Some(&b'*') || at > 0 && pattern.get(at - 1) == Some(&b'*'));
            let (stay, step) = match wanted {
                b'*' if double => (byte != b'/', false),
                b'*' => (byte != b'.' && byte != b'/', false),
                b'?' => (false, byte != b'.' && byte != b'/'),
                other => (false, other == byte),
            };
            if stay && let Some(slot) = next.get_mut(at) {
                *slot = true;
            }
            if step && let Some(slot) = next.get_mut(at + 1) {
                *slot = true;
            }
        }
        spread(&mut next);
        states = next;
    }
    states.last() == Some(&true)
}

/// Is this a path of our own that a browser cannot read as another place?
#[must_use]
pub fn is_safe_path(text: &str) -> bool {
    if !text.starts_with('/') || text.starts_with("//") || text.len() > 2048 {
        return false;
    }
    if text.chars().any(|c| c == '\\' || c.is_control()) {
        return false;
    }
    let path = text
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    !path.contains("%2f") && !path.contains("%5c")
}

/// May a browser be sent to `target` by an app that lives at `own` and trusts `patterns`?
#[must_use]
pub fn may_go(target: &str, own: &str, patterns: &[String]) -> bool {
    if is_safe_path(target) {
        return true;
    }
    // Programs disagree about what a backslash is.
    if target.len() > 2048 || target.chars().any(|c| c == '\\' || c.is_control()) {
        return false;
    }
    let scheme = target
        .split_once(':')
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    if matches!(
        scheme.as_deref(),
        Some("javascript" | "data" | "vbscript" | "file" | "blob")
    ) {
        return false;
    }
    origin_of(target).is_some_and(|origin| is_trusted(origin, own, patterns))
}

/// May scripts of `origin` call an app that lives at `own` and trusts `patterns`?
#[must_use]
pub fn is_trusted(origin: &str, own: &str, patterns: &[String]) -> bool {
    let Some(read) = origin_of(origin) else {
        return false;
    };
    canonical(read) == canonical(own) || patterns.iter().any(|pattern| admits(pattern, read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_admit_whole_names_only() {
        for (pattern, origin, wanted) in [
            ("https://app.example.com", "https://app.example.com", true),
            ("https://app.example.com/", "https://app.example.com", true),
            ("https://app.example.com", "https://APP.example.com:443", true),
            ("https://app.example.com", "http://app.example.com", false),
            (
                "https://app.example.com",
                "https://app.example.com.evil.net",
                false,
            ),
            ("https://app.example.com", "https://evilapp.example.com", false),
            ("https://*.example.com", "https://a.example.com", true),
            ("https://*.example.com", "https://a.b.example.com", false),
            ("https://**.example.com", "https://a.b.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://evil.net/.example.com", false),
            ("https://a?.example.com", "https://a1.example.com", true),
            ("*.example.com", "http://a.example.com", true),
            ("*.example.com", "https://a.example.com", true),
            ("example.com", "https://example.com", true),
            ("example.com", "myapp://example.com", false),
            ("myapp://", "myapp://anything", true),
            ("myapp://", "myapp2://anything", false),
            ("http://localhost:*", "http://localhost:3000", true),
            ("*", "https://anything", true),
            ("", "https://anything", false),
            ("https:", "https://anything", false),
        ] {
            let read = origin_of(origin).unwrap_or_default();
            assert_eq!(admits(pattern, read), wanted, "{pattern} {origin}");
        }
    }

    #[test]
    fn what_a_browser_reads_as_another_place_is_not_safe() {
        let own = "https://app.example.com";
        for good in [
            "/",
            "/dashboard?a=b&c=/x",
            "/a/../b",
            "https://app.example.com/x",
            "https://ok.example.net/",
        ] {
            assert!(
                may_go(good, own, &["https://ok.example.net".to_owned()]),
                "{good}"
            );
        }
        for bad in [
            "",
            "dashboard",
            "//evil.net",
            "/\\evil.net",
            "\\/evil.net",
            "/%2fevil.net",
            "/%5Cevil.net",
            "/\tevil",
            "javascript:alert(1)",
            "JavaScript://app.example.com/%0aalert(1)",
            "https://evil.net",
            "https://app.example.com@evil.net",
            "https://app.example.com\\@evil.net",
            "https:evil.net",
            "data:text/html,x",
            "http://app.example.com",
            "https://app.example.com.evil.net/",
            "https:///evil.net",
        ] {
            assert!(!may_go(bad, own, &["https://ok.example.net".to_owned()]), "{bad}");
        }
    }
}
