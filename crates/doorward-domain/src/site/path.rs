//! Paths as they are decided on. Programs behind a proxy read the same path in different ways; where a path can be read in more
//! than one, every reading has to be allowed.

use std::borrow::Cow;

/// Longest request target (path and query) that is looked at, in bytes.
pub(super) const LONGEST_TARGET: usize = 16 * 1024;

/// The readings of one request path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readings<'a> {
    /// As written, with harmless escapes undone.
    pub plain: Cow<'a, str>,
    /// With every escape undone, parameters of segments dropped, slashes merged and dots followed; `None` when that is the same.
    pub resolved: Option<String>,
}

impl<'a> Readings<'a> {
    /// Reads the path of a request target (`/path?query`). `None` when it is no path at all: such a request is refused.
    #[must_use]
    pub fn of(target: &'a str) -> Option<Self> {
        if target.len() > LONGEST_TARGET {
            return None;
        }
        let path = target.split(['?', '#']).next().unwrap_or_default();
        if !path.starts_with('/') || path.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return None;
        }
        if is_simple(path) {
            return Some(Self {
                plain: Cow::Borrowed(path),
                resolved: None,
            });
        }
        let plain = undo_harmless(path)?;
        let resolved = Some(resolve(path)?).filter(|resolved| *resolved != plain);
        Some(Self {
            plain: Cow::Owned(plain),
            resolved,
        })
    }

    /// All readings.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.plain.as_ref()).chain(self.resolved.as_deref())
    }
}

/// May this request target stand in a header or an address? Printable ASCII only.
#[must_use]
pub fn is_printable_target(target: &str) -> bool {
    target.len() <= LONGEST_TARGET && target.bytes().all(|byte| (0x21..0x7f).contains(&byte))
}

/// Is there only one way to read it?
fn is_simple(path: &str) -> bool {
    let mut last = 0_u8;
    let mut dots = false;
    let plain = path.bytes().all(|byte| {
        let fine = !matches!(byte, b'%' | b'\\' | b';') && byte < 0x80 && !(last == b'/' && byte == b'/');
        dots |= last == b'/' && byte == b'.';
        last = byte;
        fine
    });
    plain && !(dots && path.split('/').any(|segment| matches!(segment, "." | "..")))
}

/// Undoes escapes of unreserved characters (RFC 3986 section 6.2.2.2); the others stay, in capitals.
fn undo_harmless(path: &str) -> Option<String> {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let value = escaped(&mut bytes)?;
        if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'_' | b'~') {
            out.push(value);
        } else {
            out.extend_from_slice(format!("%{value:02X}").as_bytes());
        }
    }
    String::from_utf8(out).ok()
}

/// The two digits after a percent sign.
fn escaped(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let mut digit = || char::from(bytes.next()?).to_digit(16);
    let value = digit()? * 16 + digit()?;
    u8::try_from(value).ok()
}

/// What the most eager service makes of a path. Escapes are undone until none is left, because there are services behind services.
fn resolve(path: &str) -> Option<String> {
    let mut current = path.as_bytes().to_vec();
    for _ in 0..4 {
        let (next, changed) = undo_all(&current);
        current = next;
        if !changed {
            break;
        }
    }
    if current.contains(&0) {
        return None;
    }
    let text = String::from_utf8_lossy(&current).replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split('/') {
        let bare = segment.split([';', '?', '#']).next().unwrap_or_default();
        match bare {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut out = String::with_capacity(text.len());
    for segment in &segments {
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() || (text.ends_with('/') && !out.ends_with('/')) {
        out.push('/');
    }
    Some(out)
}

fn undo_all(path: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(path.len());
    let mut changed = false;
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        let undone = (*first == b'%')
            .then(|| escaped(&mut after.iter().copied()))
            .flatten();
        if let (Some(value), Some(after)) = (undone, after.get(2..)) {
            out.push(value);
            changed = true;
            rest = after;
        } else {
            out.push(*first);
            rest = after;
        }
    }
    (out, changed)
}

/// Is `path` this very path, or below it? `/app` and `/app/` are the same place.
pub(super) fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Checks the path of a site's address or of a rule: plain, so that it can be compared with every reading.
pub(super) fn site_path(path: &str) -> Result<String, String> {
    match Readings::of(path) {
        Some(Readings {
            plain: Cow::Borrowed(plain),
            resolved: None,
        }) if plain == path => {
            let bare = plain.trim_end_matches('/');
            Ok(if bare.is_empty() {
                "/".to_owned()
            } else {
                bare.to_owned()
            })
        }
        _ => Err("has a path with escapes, `;`, `//`, `.` or `..`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(target: &str) -> Option<Vec<String>> {
        Readings::of(target).map(|readings| readings.iter().map(str::to_owned).collect())
    }

    #[test]
    fn a_plain_path_has_one_reading() {
        assert_eq!(readings("/a/b?x=/../y"), Some(vec!["/a/b".into()]));
        assert_eq!(readings("/a%2Db"), Some(vec!["/a-b".into()]));
        assert_eq!(readings("/"), Some(vec!["/".into()]));
    }

    #[test]
    fn what_can_be_read_twice_has_two_readings() {
        let second = |target: &str| readings(target).unwrap().get(1).cloned();
        assert_eq!(second("/public/../admin").as_deref(), Some("/admin"));
        assert_eq!(second("/public/%2e%2e/admin").as_deref(), Some("/admin"));
        assert_eq!(second("/public/%2E./admin").as_deref(), Some("/admin"));
        assert_eq!(second("/public/..%2fadmin").as_deref(), Some("/admin"));
        assert_eq!(second("/public/..;x=1/admin").as_deref(), Some("/admin"));
        assert_eq!(second("/public/%252e%252e/admin").as_deref(), Some("/admin"));
        assert_eq!(second("/public\\..\\admin").as_deref(), Some("/admin"));
        assert_eq!(second("/public/%5c../admin").as_deref(), Some("/admin"));
        assert_eq!(second("//admin").as_deref(), Some("/admin"));
        assert_eq!(second("/./admin/").as_deref(), Some("/admin/"));
        assert_eq!(second("/public/%3f/../admin").as_deref(), Some("/admin"));
        assert_eq!(
            second("/api/projects/group%2Fproject").as_deref(),
            Some("/api/projects/group/project")
        );
        assert_eq!(second("/../../../").as_deref(), Some("/"));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for bad in [
            "",
            "*",
            "admin",
            "?x",
            "http://x/",
            "/a\0b",
            "/a\nb",
            "/a%00b",
            "/a%",
            "/a%2",
            "/a%zz",
            "/%c3",
        ] {
            let refused = readings(bad).is_none();
            // A lone continuation byte is no text, but harmless: it stays escaped in the plain reading.
            assert!(refused || bad == "/%c3", "{bad}");
        }
        assert!(readings(&format!("/{}", "a".repeat(LONGEST_TARGET))).is_none());
    }

    #[test]
    fn below_means_at_a_slash() {
        assert!(is_below("/app", "/app") && is_below("/app/", "/app") && is_below("/app/x", "/app/"));
        assert!(!is_below("/apple", "/app") && !is_below("/ap", "/app") && is_below("/anything", "/"));
    }
}
