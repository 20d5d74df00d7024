//! Values that are signed with an app's secret, as better-auth writes them into cookies (contract section 2.2).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// Length of a signature: 32 bytes in base64 with padding.
const SIGNATURE_LEN: usize = 44;
/// Longest signed value that is looked at.
const LONGEST: usize = 4096;

/// `value.signature`, HMAC-SHA256 under the secret's UTF-8 bytes.
#[must_use]
pub fn sign(value: &str, secret: &str) -> String {
    format!(
        "{value}.{}",
        STANDARD.encode(hmac_sha256(secret.as_bytes(), value.as_bytes()))
    )
}

/// The value of a signed text, when one of the secrets signed it. Split at the last dot; compared in constant time.
#[must_use]
pub fn verify<'t>(text: &'t str, secrets: &[impl AsRef<str>]) -> Option<&'t str> {
    if text.len() > LONGEST {
        return None;
    }
    let (value, signature) = text.rsplit_once('.')?;
    if signature.len() != SIGNATURE_LEN || !signature.ends_with('=') {
        return None;
    }
    let signature = STANDARD.decode(signature).ok()?;
    let fits = |secret: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hmac::verify(&key, value.as_bytes(), &signature).is_ok()
    };
    secrets
        .iter()
        .any(|secret| fits(secret.as_ref()))
        .then_some(value)
}

/// HMAC-SHA256 of a text under the secret's UTF-8 bytes, in base64url without padding, for what keeps it beside the text.
#[must_use]
pub fn mac(text: &str, secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(hmac_sha256(secret.as_bytes(), text.as_bytes()))
}

/// Did one of the secrets make this [`mac`]? Compared in constant time.
#[must_use]
pub fn mac_fits(text: &str, given: &str, secrets: &[impl AsRef<str>]) -> bool {
    let Ok(given) = URL_SAFE_NO_PAD.decode(given) else {
        return false;
    };
    secrets.iter().any(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref().as_bytes());
        hmac::verify(&key, text.as_bytes(), &given).is_ok()
    })
}

/// Base64 (RFC 4648 section 4) with padding.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// HMAC-SHA256 (RFC 2104).
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    out
}

/// HMAC-SHA1 (RFC 2104), for what others defined with it: one-time passwords, registrations at Synapse.
pub(crate) fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key), message);
    let mut out = [0; 20];
    for (to, from) in out.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    out
}

/// A time-based one-time password of six digits, 30 seconds, SHA-1 (RFC 6238 with RFC 4226 section 5.3).
#[must_use]
pub fn totp(key: &[u8], step: u64) -> String {
    let tag = hmac_sha1(key, &step.to_be_bytes());
    let offset = usize::from(tag.last().copied().unwrap_or(0) & 15);
    let number = tag
        .iter()
        .skip(offset)
        .take(4)
        .fold(0_u32, |number, byte| (number << 8) | u32::from(*byte))
        & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Base32 (RFC 4648) without padding.
#[must_use]
pub fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut held, mut bits) = (0_u32, 0_u32);
    let mut put = |index: u32| {
        if let Some(letter) = usize::try_from(index & 31).ok().and_then(|at| LETTERS.get(at)) {
            text.push(char::from(*letter));
        }
    };
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            put(held >> bits);
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        put(held << (5 - bits));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "doorward-test-secret-0123456789abcdef";

    #[test]
    fn section_2_2_vectors() {
        // As better-auth 1.7.25 signs them with this secret; the vectors in the contract are of another one.
        for (value, signed) in [
            (
                "SEuqcjYxGLZVSHwCVodYBWHxNRyVHlsr",
                "SEuqcjYxGLZVSHwCVodYBWHxNRyVHlsr.w6xpAIHjlGbzK1s2fL2eFxnoV/2RZgrD8mzR861tuDY=",
            ),
            (
                "jGH7CUopmQmxWb5OJecJZS7zphX2AZ52",
                "jGH7CUopmQmxWb5OJecJZS7zphX2AZ52.+vEstxAL7Kqb1b5y6IR3GNYlttnawCJrIXSsL/aK65w=",
            ),
        ] {
            assert_eq!(sign(value, SECRET), signed);
            assert_eq!(verify(signed, &["another", SECRET]), Some(value));
            assert_eq!(verify(signed, &["another"]), None);
            assert_eq!(verify(&signed.replace('=', ""), &[SECRET]), None);
            assert_eq!(verify(&signed.replacen(value, "x", 1), &[SECRET]), None);
        }
        assert_eq!(verify("", &[SECRET]), None);
        assert_eq!(verify(".", &[SECRET]), None);
        assert_eq!(verify(&"x".repeat(5000), &[SECRET]), None);
        assert_eq!(verify(&sign("a.b.c", SECRET), &[SECRET]), Some("a.b.c"));
    }

    #[test]
    fn rfc6238_appendix_b_and_rfc4648_section_10() {
        let key = b"12345678901234567890";
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(totp(key, time / 30), code);
        }
        for (plain, coded) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(plain.as_bytes()), coded);
        }
    }
}
