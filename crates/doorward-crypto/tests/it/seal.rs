//! Sealing: round trips, and every way of opening what one should not.

use doorward_crypto::seal::{KeyFileError, Keyring, SealError, open_with_token, seal_with_token};
use proptest::prelude::*;

use crate::support::b64;

const RANDOM: [u8; 28] = [9; 28];

fn ring() -> Keyring {
    Keyring::new([1; 32])
}

proptest! {
    #[test]
    fn what_is_sealed_opens_with_the_same_purpose(
        key: [u8; 32], random in any::<[u8; 28]>(), purpose in ".{0,40}", plain: Vec<u8>,
    ) {
        let ring = Keyring::new(key);
        let sealed = ring.seal(&purpose, &random, &plain);
        prop_assert_eq!(ring.open(&purpose, &sealed), Ok(plain.clone()));
        let text = ring.seal_text(&purpose, &random, &plain);
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        prop_assert_eq!(ring.open_text(&purpose, &text), Ok(plain.clone()));
        prop_assert_eq!(open_with_token(&purpose, &seal_with_token(&purpose, &random, &plain)), Ok(plain));
    }

    #[test]
    fn random_bytes_never_open_and_never_panic(bytes: Vec<u8>, text in ".{0,200}") {
        prop_assert!(ring().open("p", &bytes).is_err());
        prop_assert!(ring().open_text("p", &text).is_err());
        prop_assert!(open_with_token("t", &bytes).is_err());
        let _ = Keyring::parse(&text);
    }
}

#[test]
fn a_value_sealed_for_one_purpose_does_not_open_for_another() {
    let sealed = ring().seal("attempt", &RANDOM, b"x");
    for purpose in ["attemp", "attempt ", "Attempt", "", "session", "attempt\0"] {
        assert_eq!(
            ring().open(purpose, &sealed),
            Err(SealError::NotAuthentic),
            "{purpose:?}"
        );
    }
}

#[test]
fn every_changed_byte_is_noticed() {
    let sealed = ring().seal("p", &RANDOM, b"some plaintext");
    for position in 0..sealed.len() {
        for change in [1, 0x80, 0xff] {
            let mut changed = sealed.clone();
            changed[position] ^= change;
            assert!(ring().open("p", &changed).is_err(), "byte {position}");
        }
    }
    let sealed = seal_with_token("dwr_token", &RANDOM, b"some plaintext");
    for position in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[position] ^= 1;
        assert!(open_with_token("dwr_token", &changed).is_err(), "byte {position}");
    }
}

#[test]
fn a_truncated_or_extended_value_does_not_open() {
    let sealed = ring().seal("p", &RANDOM, b"some plaintext");
    for len in 0..sealed.len() {
        assert!(ring().open("p", &sealed[..len]).is_err(), "{len}");
    }
    assert_eq!(
        ring().open("p", &[sealed.as_slice(), &[0]].concat()),
        Err(SealError::NotAuthentic)
    );
    assert_eq!(
        ring().open("p", &sealed[..52]),
        Err(SealError::Malformed),
        "header and less than a tag"
    );
    assert_eq!(ring().open("p", &[]), Err(SealError::Malformed));
}

#[test]
fn an_empty_plaintext_is_sealed_too() {
    let sealed = ring().seal("p", &RANDOM, b"");
    assert_eq!(sealed.len(), 1 + 8 + 16 + 12 + 16);
    assert_eq!(ring().open("p", &sealed), Ok(Vec::new()));
}

#[test]
fn another_keyring_does_not_open() {
    let sealed = ring().seal("p", &RANDOM, b"x");
    assert_eq!(
        Keyring::new([2; 32]).open("p", &sealed),
        Err(SealError::UnknownKey)
    );
}

#[test]
fn a_rotated_keyring_opens_what_the_older_key_sealed_until_that_is_retired() {
    let mut rotated = ring();
    let old_id = rotated.primary_id();
    let sealed = rotated.seal("p", &RANDOM, b"x");
    rotated.rotate([2; 32]).unwrap();
    assert_ne!(rotated.primary_id(), old_id);
    assert_eq!(rotated.open("p", &sealed), Ok(b"x".to_vec()));
    assert_eq!(Keyring::sealed_by(&sealed), Some(old_id));
    assert_eq!(
        Keyring::sealed_by(&rotated.seal("p", &RANDOM, b"x")),
        Some(rotated.primary_id())
    );
    assert_eq!(
        ring().open("p", &rotated.seal("p", &RANDOM, b"x")),
        Err(SealError::UnknownKey)
    );
    assert_eq!(rotated.rotate([1; 32]), Err(KeyFileError::Repeated(1)));
    assert!(!rotated.retire(rotated.primary_id()), "the primary key stays");
    assert!(rotated.retire(old_id));
    assert_eq!(rotated.open("p", &sealed), Err(SealError::UnknownKey));
}

#[test]
fn the_same_plaintext_sealed_with_other_randomness_shares_nothing_with_it() {
    let one = ring().seal("p", &[1; 28], b"0123456789abcdef");
    let other = ring().seal("p", &[2; 28], b"0123456789abcdef");
    assert_ne!(one[37..], other[37..]);
    let mut salt_only = [1; 28];
    salt_only[0] = 2;
    let third = ring().seal("p", &salt_only, b"0123456789abcdef");
    assert_ne!(one[37..53], third[37..53], "the salt alone changes the key");
}

#[test]
fn only_the_token_that_sealed_opens() {
    let sealed = seal_with_token("dwr_one", &RANDOM, b"the answer");
    assert_eq!(open_with_token("dwr_one", &sealed), Ok(b"the answer".to_vec()));
    for token in ["dwr_two", "", "dwr_one ", "DWR_ONE"] {
        assert_eq!(open_with_token(token, &sealed), Err(SealError::NotAuthentic));
    }
    assert_eq!(
        ring().open("", &sealed),
        Err(SealError::Malformed),
        "another version byte"
    );
    assert_eq!(
        open_with_token("x", &ring().seal("", &RANDOM, b"x")),
        Err(SealError::Malformed)
    );
}

#[test]
fn derived_keys_differ_by_purpose_and_by_key_and_are_not_what_seals() {
    let mut ring = ring();
    let (a, b) = (ring.derive("a"), ring.derive("b"));
    assert_ne!(a, b);
    assert_eq!(a, ring.derive("a"));
    ring.rotate([2; 32]).unwrap();
    assert_ne!(ring.derive("a"), a);
    assert_eq!(ring.derive_each("a").nth(1), Some(a));
    assert_eq!(ring.derive_each("a").next(), Some(ring.derive("a")));
}

#[test]
fn the_key_file_reads_back_and_debug_shows_ids_only() {
    let mut ring = Keyring::new([0xab; 32]);
    ring.rotate([0xcd; 32]).unwrap();
    let text = ring.to_text();
    let again = Keyring::parse(&text).unwrap();
    assert_eq!(again.ids().collect::<Vec<_>>(), ring.ids().collect::<Vec<_>>());
    assert_eq!(again.open("p", &ring.seal("p", &RANDOM, b"x")), Ok(b"x".to_vec()));

    let shown = format!("{ring:?}");
    assert_eq!(
        shown,
        format!("Keyring([{}, {}])", ring.primary_id(), ring.ids().nth(1).unwrap())
    );
    for secret in text.lines().filter_map(|line| line.strip_prefix("dwk1_")) {
        assert_eq!(secret.len(), 43);
        assert!(!shown.contains(secret));
    }
    assert!(!shown.contains("cdcd") && !shown.contains("205"), "{shown}");
}

#[test]
fn a_bad_key_file_names_the_line_and_not_its_content() {
    let key = "dwk1_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
    assert!(Keyring::parse(key).is_ok());
    assert!(Keyring::parse(&format!("\n# comment\r\n  {key}  \r\n\n")).is_ok());
    let wrong = |text: &str| Keyring::parse(text).unwrap_err();
    assert_eq!(wrong(""), KeyFileError::Empty);
    assert_eq!(wrong("# only\n\n"), KeyFileError::Empty);
    assert_eq!(wrong(&format!("{key}\nhunter2")), KeyFileError::Line(2));
    assert_eq!(wrong(&format!("{key}\n\n{key}")), KeyFileError::Repeated(3));
    assert_eq!(wrong(&key[..40]), KeyFileError::Line(1));
    assert_eq!(wrong(&format!("{key}A")), KeyFileError::Line(1));
    assert_eq!(wrong(&key.replace("dwk1", "dwk2")), KeyFileError::Line(1));
    assert_eq!(
        wrong(&format!("dwk1_{}", "A".repeat(43))),
        KeyFileError::Line(1),
        "a key of zeros"
    );
    assert_eq!(wrong(&"#\n".repeat(10_000)), KeyFileError::TooLarge);
    assert!(!wrong("hunter2").to_string().contains("hunter2"));

    let mut full = Keyring::new([1; 32]);
    for byte in 2..=16 {
        full.rotate([byte; 32]).unwrap();
    }
    assert_eq!(full.rotate([17; 32]), Err(KeyFileError::TooLarge));
    assert!(Keyring::parse(&full.to_text()).is_ok());
    let seventeen = format!("{}dwk1_{}\n", full.to_text().as_str(), b64([17; 32]));
    assert_eq!(wrong(&seventeen), KeyFileError::TooLarge);
}

#[test]
fn a_sealed_text_is_bounded_and_strict() {
    let text = ring().seal_text("p", &RANDOM, b"x");
    assert_eq!(
        ring().open_text("p", &format!("{text}=")),
        Err(SealError::Malformed)
    );
    assert_eq!(
        ring().open_text("p", &format!(" {text}")),
        Err(SealError::Malformed)
    );
    assert_eq!(
        ring().open_text("p", &"A".repeat(70_000)),
        Err(SealError::Malformed)
    );
}
