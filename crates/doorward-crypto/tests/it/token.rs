//! Opaque tokens, digests and typed codes.

use std::collections::HashSet;

use doorward_crypto::jose::Algorithm;
use doorward_crypto::token::{
    Digest, Opaque, SecretText, TokenKind, constant_eq, digest, half_hash, normalise_short_code,
    normalise_user_code, pkce_s256, sha256_hex, short_code, user_code,
};
use proptest::prelude::*;

#[test]
fn a_minted_token_is_its_prefix_and_43_characters() {
    let token = Opaque::mint(TokenKind::Refresh, &[0xfb; 32]);
    assert_eq!(token.text(), "dwr_-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s");
    assert_eq!(token.kind(), TokenKind::Refresh);
    assert_eq!(token.digest(), digest(token.text()));
    let prefixes: HashSet<_> = TokenKind::ALL.iter().map(|kind| kind.prefix()).collect();
    assert_eq!(prefixes.len(), TokenKind::ALL.len());
    for kind in TokenKind::ALL {
        assert_eq!(TokenKind::of(Opaque::mint(kind, &[3; 32]).text()), Some(kind));
    }
}

#[test]
fn text_that_is_not_shaped_like_a_token_has_no_kind() {
    let body = "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s";
    assert_eq!(TokenKind::of(&format!("dws_{body}")), Some(TokenKind::Session));
    for text in [
        String::new(),
        "dws_".to_owned(),
        body.to_owned(),
        format!("dwq_{body}"),
        format!("DWS_{body}"),
        format!("dws_{body}A"),
        format!("dws_{}", &body[1..]),
        format!("dws_{}t", &body[..42]),
        format!("dws_{}=", &body[..42]),
        format!("dws_{}", "ä".repeat(21)),
    ] {
        assert_eq!(TokenKind::of(&text), None, "{text}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let token = Opaque::mint(TokenKind::Access, &[7; 32]);
    let shown = format!("{token:?} {:?}", SecretText::new("hunter2"));
    assert_eq!(shown, "Opaque { kind: Access, .. } SecretText(…)");
    assert_eq!(format!("{:?}", digest("abc")), "Digest(ba7816bf…)");
}

#[test]
fn a_digest_is_sha_256_and_reads_back() {
    let abc = digest("abc");
    let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(abc.hex(), hex);
    assert_eq!(sha256_hex("abc"), hex);
    assert_eq!(Digest::from_hex(hex), Some(abc));
    assert_eq!(Digest::from_hex(&hex.to_uppercase()), Some(abc));
    assert_eq!(Digest::from_slice(abc.bytes()), Some(abc));
    assert_eq!(Digest::from_slice(&abc.bytes()[1..]), None);
    assert_eq!(Digest::from_hex(&hex[2..]), None);
    assert_eq!(Digest::from_hex(&hex.replace('b', "g")), None);
}

#[test]
fn secrets_compare_by_content() {
    assert!(constant_eq(b"abc", b"abc"));
    assert!(!constant_eq(b"abc", b"abd"));
    assert!(!constant_eq(b"abc", b"ab"));
    assert!(constant_eq(b"", b""));
    assert_eq!(SecretText::from("a"), SecretText::new(String::from("a")));
    assert_ne!(SecretText::from("a"), SecretText::from("b"));
}

#[test]
fn rfc_7636_appendix_b_code_challenge() {
    assert_eq!(
        pkce_s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    );
}

/// OpenID Connect Core 1.0, appendix A.3 (at_hash) and A.4 (c_hash).
#[test]
fn openid_connect_core_appendix_a_hashes() {
    assert_eq!(
        half_hash(Algorithm::RS256, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
        "77QmUPtjPfzWtF2AnpK9RQ"
    );
    let code = "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk";
    assert_eq!(half_hash(Algorithm::RS256, code), "LDktKdoQak3Pk0cnXxCltA");
    assert_eq!(half_hash(Algorithm::ES384, code).len(), 32, "24 of 48 bytes");
    assert_eq!(half_hash(Algorithm::EdDSA, code).len(), 43, "32 of 64 bytes");
}

#[test]
fn rfc_8628_section_6_1_user_codes_use_letters_without_vowels() {
    assert_eq!(user_code(&[0; 16]), "BBBB-BBBB");
    let mut nineteen = [0; 16];
    nineteen[15] = 19;
    assert_eq!(user_code(&nineteen), "ZBBB-BBBB");
    nineteen[15] = 20;
    assert_eq!(user_code(&nineteen), "BCBB-BBBB");
}

#[test]
fn every_letter_of_a_user_code_is_as_frequent_as_the_others() {
    let mut counts = std::collections::BTreeMap::new();
    let rounds = 20_000u32;
    for round in 0..rounds {
        let seed = doorward_crypto::token::digest(&round.to_string());
        let code = user_code(seed.bytes()[..16].try_into().unwrap());
        for letter in code.chars().filter(|letter| *letter != '-') {
            *counts.entry(letter).or_insert(0u32) += 1;
        }
    }
    assert_eq!(counts.len(), 20);
    let expected = rounds * 8 / 20;
    for (letter, count) in counts {
        assert!(
            count.abs_diff(expected) < expected / 20,
            "{letter}: {count} of {expected}"
        );
    }
}

#[test]
fn typed_user_codes_are_read_in_every_usual_form() {
    for typed in [
        "WDJB-MJHT",
        "wdjbmjht",
        " WDJB MJHT ",
        "w-d-j-b-m-j-h-t",
        "wdjb\u{2011}mjht",
        "WDJB_MJHT",
    ] {
        assert_eq!(
            normalise_user_code(typed).as_deref(),
            Some("WDJB-MJHT"),
            "{typed}"
        );
    }
    let long = "W".repeat(65);
    for typed in [
        "",
        "WDJB-MJH",
        "WDJB-MJHTT",
        "WDJA-MJHT",
        "WDJ1-MJHT",
        "WDJB/MJHT",
        "ẆDJB-MJHT",
        &long,
    ] {
        assert_eq!(normalise_user_code(typed), None, "{typed}");
    }
}

#[test]
fn typed_refusal_codes_are_read_in_every_usual_form() {
    for typed in [
        "DW-7K2M-41XQ",
        "dw-7k2m-41xq",
        "7K2M41XQ",
        "7k2m 41xq",
        "dw7k2m41xq",
        "DW-7K2M-4IXQ",
        "dw-7k2m-4lxq",
    ] {
        assert_eq!(
            normalise_short_code(typed).as_deref(),
            Some("DW-7K2M-41XQ"),
            "{typed}"
        );
    }
    assert_eq!(normalise_short_code("dw00-ooOO").as_deref(), Some("DW-DW00-0000"));
    for typed in [
        "",
        "DW-",
        "DW-7K2M-41X",
        "DW-7K2M-41XU",
        "XX-7K2M-41XQ",
        "DW-7K2M-41XQ-1",
    ] {
        assert_eq!(normalise_short_code(typed), None, "{typed}");
    }
}

proptest! {
    #[test]
    fn codes_read_back_as_they_were_made(user in any::<[u8; 16]>(), refusal in any::<[u8; 8]>()) {
        let code = user_code(&user);
        prop_assert_eq!(normalise_user_code(&code.to_lowercase().replace('-', " ")), Some(code));
        let code = short_code(&refusal);
        prop_assert_eq!(code.len(), 12);
        prop_assert_eq!(normalise_short_code(&code.to_lowercase()), Some(code.clone()));
        prop_assert_eq!(normalise_short_code(code.trim_start_matches("DW-")), Some(code));
    }

    #[test]
    fn reading_codes_never_panics(typed in ".{0,80}") {
        let _ = (normalise_user_code(&typed), normalise_short_code(&typed), TokenKind::of(&typed));
    }
}
