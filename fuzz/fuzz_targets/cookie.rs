//! What comes back from browsers in cookies, form fields and links: sealed values, opaque tokens, codes that people type.
//!
//! Holds: only what we sealed opens, for its own purpose, and unchanged; reading a token or a code never panics and is
//! stable.
#![no_main]

use std::sync::LazyLock;

use doorward_crypto::seal::{Keyring, open_with_token, seal_with_token};
use doorward_crypto::token::{self, Digest, TokenKind};
use libfuzzer_sys::fuzz_target;

static KEYS: LazyLock<Keyring> = LazyLock::new(|| Keyring::new([7; 32]));
const RANDOM: [u8; 28] = [3; 28];
const TOKEN: &str = "a token that stands for 32 random bytes";

fuzz_target!(|text: &str| {
    sealed_by_nobody(text);
    sealed_by_us(text);
    // A first character that is a digit moves one bit of a genuine value.
    if let Some(place) = text.chars().next().and_then(|first| first.to_digit(10)) {
        one_bit_moved(text, place as usize);
    }
    codes(text);
});

fn sealed_by_nobody(text: &str) {
    assert!(KEYS.open_text("cookie", text).is_err(), "a value that nobody sealed was opened");
    assert!(KEYS.open("cookie", text.as_bytes()).is_err());
    assert!(open_with_token(TOKEN, text.as_bytes()).is_err());
}

fn sealed_by_us(text: &str) {
    let sealed = KEYS.seal_text("cookie", &RANDOM, text.as_bytes());
    assert_eq!(KEYS.open_text("cookie", &sealed).as_deref(), Ok(text.as_bytes()));
    assert!(KEYS.open_text("another purpose", &sealed).is_err(), "a value was opened for another purpose");
    let answer = seal_with_token(TOKEN, &RANDOM, text.as_bytes());
    assert_eq!(open_with_token(TOKEN, &answer).as_deref(), Ok(text.as_bytes()));
    assert!(open_with_token("another token", &answer).is_err());
}

fn one_bit_moved(text: &str, place: usize) {
    let mut sealed = KEYS.seal("cookie", &RANDOM, text.as_bytes());
    let at = (place * sealed.len() / 10).min(sealed.len() - 1);
    sealed[at] ^= 1 << (text.len() % 8);
    assert!(KEYS.open("cookie", &sealed).is_err(), "a changed value was opened");
}

fn codes(text: &str) {
    let _ = TokenKind::of(text);
    if let Some(digest) = Digest::from_hex(text) {
        assert_eq!(Digest::from_hex(&digest.hex()), Some(digest));
    }
    for read in [token::normalise_user_code, token::normalise_short_code] {
        if let Some(code) = read(text) {
            assert_eq!(read(&code), Some(code), "reading a code twice gives another one");
        }
    }
}
