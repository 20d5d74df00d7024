//! Values that better-auth encrypted with an app's secret, opened when its database moves here (contract section 2.2).
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha): AWS-LC has ChaCha20-Poly1305; HChaCha20, which makes the one of the other, is here.
//! Nothing is sealed in this form.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use crate::token::unhex_byte;

/// Longest text that is looked at, in characters of hex.
const LONGEST: usize = 128 * 1024;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;
/// `expand 32-byte k`, as words.
const CONSTANT: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
/// Columns and diagonals of a double round (RFC 8439 section 2.3).
const QUARTERS: [[usize; 4]; 8] = [
    [0, 4, 8, 12],
    [1, 5, 9, 13],
    [2, 6, 10, 14],
    [3, 7, 11, 15],
    [0, 5, 10, 15],
    [1, 6, 11, 12],
    [2, 7, 8, 13],
    [3, 4, 9, 14],
];

/// The text that one of the secrets encrypted: hex of nonce and ciphertext, perhaps behind `$ba$<version>$`. `None` when none of
/// them did, or it is not such a value.
#[must_use]
pub fn open(sealed: &str, secrets: &[impl AsRef<str>]) -> Option<String> {
    let hex = match sealed.strip_prefix("$ba$") {
        Some(rest) => rest.split_once('$')?.1,
        None => sealed,
    };
    if hex.len() > LONGEST || hex.len() < 2 * (NONCE_LEN + TAG_LEN) || !hex.is_ascii() {
        return None;
    }
    let bytes = hex
        .as_bytes()
        .chunks(2)
        .map(unhex_byte)
        .collect::<Option<Vec<u8>>>()?;
    secrets
        .iter()
        .find_map(|secret| open_bytes(&bytes, secret.as_ref()))
        .and_then(|opened| String::from_utf8(opened).ok())
}

fn open_bytes(bytes: &[u8], secret: &str) -> Option<Vec<u8>> {
    let (first, rest) = bytes.split_first_chunk::<16>()?;
    let (last, ciphertext) = rest.split_first_chunk::<8>()?;
    let key = digest(&SHA256, secret.as_bytes());
    let subkey = hchacha20(key.as_ref(), first);
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, subkey.as_slice()).ok()?);
    let mut nonce = [0; 12];
    nonce
        .iter_mut()
        .skip(4)
        .zip(last)
        .for_each(|(to, from)| *to = *from);
    let mut body = ciphertext.to_vec();
    let opened = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut body);
    let length = opened.ok()?.len();
    body.truncate(length);
    Some(body)
}

/// draft-irtf-cfrg-xchacha-03 section 2.2.
fn hchacha20(key: &[u8], nonce: &[u8; 16]) -> Zeroizing<[u8; 32]> {
    let mut words = [0_u32; 16];
    let read = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0, |word, byte| (word << 8) | u32::from(*byte))
    };
    let input = key.chunks(4).chain(nonce.chunks(4)).map(read);
    words
        .iter_mut()
        .zip(CONSTANT.into_iter().chain(input))
        .for_each(|(to, from)| *to = from);
    for _ in 0..10 {
        for [a, b, c, d] in QUARTERS {
            quarter(&mut words, a, b, c, d);
        }
    }
    let mut out = Zeroizing::new([0; 32]);
    let kept = words.iter().take(4).chain(words.iter().skip(12));
    for (to, word) in out.chunks_mut(4).zip(kept) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    out
}

/// RFC 8439 section 2.1.
fn quarter(words: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    let mut step = |to: usize, with: usize, turned: usize, by: u32| {
        let sum = word(words, to).wrapping_add(word(words, with));
        put(words, to, sum);
        let mixed = (word(words, turned) ^ sum).rotate_left(by);
        put(words, turned, mixed);
    };
    step(a, b, d, 16);
    step(c, d, b, 12);
    step(a, b, d, 8);
    step(c, d, b, 7);
}

fn word(words: &[u32; 16], at: usize) -> u32 {
    words.get(at).copied().unwrap_or_default()
}

fn put(words: &mut [u32; 16], at: usize, value: u32) {
    if let Some(word) = words.get_mut(at) {
        *word = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{hex, unhex};

    const SECRET: &str = "doorward-test-secret-0123456789abcdef";

    #[test]
    fn draft_irtf_cfrg_xchacha_section_2_2_1() {
        let key = unhex::<32>("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f").unwrap();
        let nonce = unhex::<16>("000000090000004a0000000031415927").unwrap();
        assert_eq!(
            hex(hchacha20(&key, &nonce).as_slice()),
            "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"
        );
    }

    #[test]
    fn section_2_2_what_better_auth_encrypted_is_opened_with_its_secret_only() {
        // Written by better-auth 1.7.25.
        let bare =
            "f7eb0e1d355c967b551c7f6e53d90145a3adc303a89e2e8f52dc10554533612bc8ed2fdb31985bad63f7ed5c82";
        let versioned = "$ba$2$c07e32480c45b12e495d57ce6ca69d9e298378ac9335c3d73ba6b0d6cf15492c5539aab9ac36a6ea8173e24b9cc0e56f59";
        assert_eq!(open(bare, &["another", SECRET]).as_deref(), Some("hello"));
        assert_eq!(open(versioned, &[SECRET]).as_deref(), Some("hello ✓"));
        assert_eq!(open(bare, &["another"]), None);
        assert_eq!(open(bare, &[] as &[&str]), None);
        for at in 0..bare.len() {
            let mut changed = bare.to_owned().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(
                open(std::str::from_utf8(&changed).unwrap(), &[SECRET]),
                None,
                "{at}"
            );
        }
        for odd in [
            "",
            "$ba$",
            "$ba$1$",
            "zz",
            &"a".repeat(81),
            &"é".repeat(50),
            &"a".repeat(200_000),
            &"+1".repeat(60),
        ] {
            assert_eq!(open(odd, &[SECRET]), None);
        }
    }
}
