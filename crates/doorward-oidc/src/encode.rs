//! Percent and form encoding, strict in both directions.
//!
//! Must not live here: knowledge of single parameters.

/// Why a piece of form encoding could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadEncoding {
    /// `%` not followed by two hexadecimal digits.
    Percent,
    /// The octets are not UTF-8.
    Utf8,
}

/// Decodes one name or value of `application/x-www-form-urlencoded`.
pub(crate) fn form_decode(text: &str) -> Result<String, BadEncoding> {
    let mut octets = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        octets.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = hex(bytes.next()).ok_or(BadEncoding::Percent)?;
                let low = hex(bytes.next()).ok_or(BadEncoding::Percent)?;
                high << 4 | low
            }
            other => other,
        });
    }
    String::from_utf8(octets).map_err(|_| BadEncoding::Utf8)
}

fn hex(byte: Option<u8>) -> Option<u8> {
    match byte? {
        b @ b'0'..=b'9' => Some(b - b'0'),
        b @ b'a'..=b'f' => Some(b - b'a' + 10),
        b @ b'A'..=b'F' => Some(b - b'A' + 10),
        _ => None,
    }
}

/// Appends `text` with everything but unreserved characters (RFC 3986 section 2.3) as `%XX`. A space becomes `%20`, which form
/// decoders and `decodeURIComponent` both understand.
pub(crate) fn percent_encode_to(out: &mut String, text: &str) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(digit(byte >> 4));
            out.push(digit(byte & 15));
        }
    }
}

/// `name=value&…`, percent-encoded, in order.
pub(crate) fn encode_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        percent_encode_to(&mut out, name);
        out.push('=');
        percent_encode_to(&mut out, value);
    }
    out
}

/// `uri` with the pairs added to its query; an existing query is kept as it is (RFC 6749 section 3.1.2). `uri` has no fragment.
pub(crate) fn with_query<'a>(uri: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let added = encode_pairs(pairs);
    if added.is_empty() {
        return uri.to_owned();
    }
    let joint = match uri.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{uri}{joint}{added}")
}
