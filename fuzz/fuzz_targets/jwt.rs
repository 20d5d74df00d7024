//! Tokens and key sets from strangers.
//!
//! Holds: a text that we did not sign never verifies; what we did sign comes back as it was, and only under the algorithm
//! that was allowed; a key set that reads is usable or refused, without a panic; nothing takes long.
#![no_main]

use std::sync::LazyLock;

use doorward_crypto::jose::{Algorithm, Jwk, JwkSet, SigningKey, Verifier, parse_compact};
use libfuzzer_sys::fuzz_target;

const LONGEST: usize = 16 * 1024;

struct Ours {
    signing: SigningKey,
    set: JwkSet,
}

static OURS: LazyLock<Ours> = LazyLock::new(|| {
    let signing = SigningKey::generate(Algorithm::EdDSA).expect("a key");
    let other = SigningKey::generate(Algorithm::ES256).expect("a key");
    let set = JwkSet::new(vec![signing.public_jwk(), other.public_jwk()]).expect("a set");
    Ours { signing, set }
});

fuzz_target!(|text: &str| {
    a_stranger_s_token(text);
    if let Some((header, claims)) = text.split_once('\n') {
        our_token(header, claims);
    }
    a_stranger_s_keys(text);
});

fn a_stranger_s_token(text: &str) {
    let Ok(token) = parse_compact(text, LONGEST) else { return };
    assert!(text.len() <= LONGEST);
    assert!(!token.payload.is_empty());
    assert!(token.verify_with_set(&OURS.set, &Algorithm::ALL).is_err(), "a token that nobody signed was believed");
}

fn our_token(header: &str, claims: &str) {
    let Ok(text) = OURS.signing.sign_header_json(header, claims.as_bytes()) else { return };
    let Ok(token) = parse_compact(&text, LONGEST) else { return };
    assert!(token.verify_with_set(&OURS.set, &[Algorithm::ES256, Algorithm::RS256]).is_err(), "a foreign algorithm passed");
    match token.verify_with_set(&OURS.set, &[Algorithm::EdDSA]) {
        Ok(payload) => assert_eq!(payload, claims.as_bytes()),
        // A `kid` that names no key of ours.
        Err(_) => assert!(token.header.kid.is_some(), "our own token was refused"),
    }
    // One changed character anywhere must not pass: move the last character of the payload.
    let Some((signed, signature)) = text.rsplit_once('.') else { return };
    let changed = match signed.char_indices().next_back() {
        Some((at, 'A')) => format!("{}B.{signature}", &signed[..at]),
        Some((at, _)) => format!("{}A.{signature}", &signed[..at]),
        None => return,
    };
    if let Ok(token) = parse_compact(&changed, LONGEST) {
        assert!(token.verify_with_set(&OURS.set, &Algorithm::ALL).is_err(), "a changed token was believed");
    }
}

fn a_stranger_s_keys(text: &str) {
    if let Ok(set) = JwkSet::parse(text.as_bytes()) {
        for key in set.keys() {
            usable_or_refused(key);
        }
    }
    if let Ok(key) = Jwk::parse(text.as_bytes()) {
        usable_or_refused(&key);
    }
}

fn usable_or_refused(key: &Jwk) {
    assert!(!key.thumbprint().is_empty());
    if let Ok(verifier) = Verifier::from_jwk(key) {
        for algorithm in Algorithm::ALL {
            assert!(verifier.verify(algorithm, b"message", b"signature").is_err());
        }
    }
}
