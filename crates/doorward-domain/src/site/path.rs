//! Paths as they are decided on. Programs behind a proxy read the same path in different ways; where a path can be read in more
//! than one, every reading has to be allowed.

use std::borrow::Cow;

/// Longest request target (path and query) that is looked at, in bytes.
pub(super) const LONGEST_TARGET: usize = 16 * 1024;
/// Longest path that is looked at when it can be read in more than one way, in bytes.
const LONGEST_ODD: usize = 4096;
/// Most readings of one path. Nobody writes a path with more by accident.
const MOST_READINGS: usize = 32;

/// The readings of one request path.
///
/// Services undo escapes (once, or several times behind each other), drop parameters of segments, take `\` for `/`, merge slashes and
/// follow dots; each does some of it, in an order of its own. All that comes out of any of these steps in any order is a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readings<'a> {
    /// As written, with harmless escapes undone.
    plain: Cow<'a, str>,
    /// All others.
    others: Vec<String>,
}

impl<'a> Readings<'a> {
    /// Reads the path of a request target (`/path?query`). `None` when it is no path at all, or one that nobody writes who means well:
    /// such a request is refused.
    #[must_use]
    pub fn of(target: &'a str) -> Option<Self> {
        // A fragment is never sent (RFC 9112 section 3.2): some would take it for a part of the path, some would not.
        if target.len() > LONGEST_TARGET || target.contains('#') {
            return None;
        }
        let path = target.split('?').next().unwrap_or_default();
        if !path.starts_with('/') || path.bytes().any(is_control) {
            return None;
        }
        if is_simple(path) {
            return Some(Self {
                plain: Cow::Borrowed(path),
                others: Vec::new(),
            });
        }
        if path.len() > LONGEST_ODD {
            return None;
        }
        let plain = undo_harmless(path)?;
        let others = others(&plain)?;
        Some(Self {
            plain: Cow::Owned(plain),
            others,
        })
    }

    /// All readings, at least one.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.plain.as_ref()).chain(self.others.iter().map(String::as_str))
    }
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
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

/// What services make of a path besides what is written there. `None` for too many readings, and for control characters.
fn others(plain: &str) -> Option<Vec<String>> {
    type Step = fn(&[u8]) -> Vec<u8>;
    const STEPS: [Step; 6] = [
        undo_all,
        drop_parameters,
        cut_query,
        turn_slashes,
        merge_slashes,
        follow_dots,
    ];
    let mut known: Vec<Vec<u8>> = vec![plain.as_bytes().to_vec()];
    let mut at = 0;
    while let Some(reading) = known.get(at).cloned() {
        for step in STEPS {
            let next = step(&reading);
            if known.contains(&next) {
                continue;
            }
            if known.len() == MOST_READINGS || next.iter().copied().any(is_control) {
                return None;
            }
            known.push(next);
        }
        at += 1;
    }
    let text = |reading: &Vec<u8>| String::from_utf8_lossy(reading).into_owned();
    Some(known.iter().skip(1).map(text).collect())
}

/// Undoes every escape, once. What only looks like one stays.
fn undo_all(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        let undone = (*first == b'%')
            .then(|| escaped(&mut after.iter().copied()))
            .flatten();
        if let (Some(value), Some(after)) = (undone, after.get(2..)) {
            out.push(value);
            rest = after;
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

/// `/a;x=1/b` is `/a/b` (RFC 3986 section 3.3: a segment may have parameters).
fn drop_parameters(path: &[u8]) -> Vec<u8> {
    let bare = |segment: &[u8]| segment.split(|byte| *byte == b';').next().map(<[u8]>::to_vec);
    let segments: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').filter_map(bare).collect();
    segments.join(&b'/')
}

/// What was escaped may look like the beginning of a query or a fragment afterwards.
fn cut_query(path: &[u8]) -> Vec<u8> {
    let mut parts = path.split(|byte| matches!(byte, b'?' | b'#'));
    parts.next().unwrap_or_default().to_vec()
}

fn turn_slashes(path: &[u8]) -> Vec<u8> {
    let turned = |byte: &u8| if *byte == b'\\' { b'/' } else { *byte };
    path.iter().map(turned).collect()
}

fn merge_slashes(path: &[u8]) -> Vec<u8> {
    let mut out = path.to_vec();
    out.dedup_by(|next, before| (*next, *before) == (b'/', b'/'));
    out
}

/// RFC 3986 section 5.2.4. An empty segment is one, as it says there.
fn follow_dots(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_in_folder = false;
    for segment in path
        .strip_prefix(b"/")
        .unwrap_or(path)
        .split(|byte| *byte == b'/')
    {
        ends_in_folder = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for segment in &kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    if ends_in_folder || out.is_empty() {
        out.push(b'/');
    }
    out
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
            others,
        }) if plain == path && others.is_empty() => {
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
    fn what_can_be_read_in_many_ways_has_many_readings() {
        let reads =
            |target: &str, reading: &str| readings(target).unwrap().iter().any(|read| read == reading);
        for target in [
            "/public/../admin",
            "/public/%2e%2e/admin",
            "/public/%2E./admin",
            "/public/..%2fadmin",
            "/public/..;x=1/admin",
            "/public/%252e%252e/admin",
            "/public\\..\\admin",
            "/public/%5c../admin",
            "/public/x/%5c../../admin",
            "//admin",
            "/public/%3f/../../admin",
            // Only who drops parameters before undoing escapes reads it so.
            "/admin;x%2fpublic",
            // And here who follows dots first.
            "/public/../admin%2f..%2fpublic/../../admin",
            "/%2561dmin",
            "/admin%253fx",
        ] {
            assert!(reads(target, "/admin"), "{target}: {:?}", readings(target));
        }
        assert!(reads("/./admin/", "/admin/"));
        assert!(reads("/public/../admin/%2e%2e/public", "/admin/%2E%2E/public"));
        assert!(reads("/public/../admin/%2e%2e/public", "/public"));
        assert!(reads("/a//../b", "/b") && reads("/a//../b", "/a/b"));
        assert_eq!(
            readings("/api/projects/group%2Fproject"),
            Some(vec![
                "/api/projects/group%2Fproject".into(),
                "/api/projects/group/project".into()
            ])
        );
        assert!(reads("/../../../", "/"));
    }

    #[test]
    fn what_nobody_means_is_refused() {
        for bad in ["/a#b", "/a#/../b", "/a%0ab", "/a%250ab", "/a%7f", "/a?b#c"] {
            assert_eq!(readings(bad), None, "{bad}");
        }
        // Every segment in two ways of its own.
        let many = "/a%252f;b//../c\\%255c%253b".repeat(20);
        assert_eq!(readings(&many), None);
        let long = |what: &str| format!("/{}", what.repeat(2_000));
        assert!(readings(&long("a/")).is_some() && readings(&long("%20/")).is_none());
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
