//! Signing, parsing and verifying, against the RFCs and against attackers.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_crypto::jose::{
    Algorithm, Header, JoseError, Jwk, JwkSet, KeyType, MAX_KEYS, SigningKey, Unverified, Verifier,
    parse_compact, parse_object,
};
use doorward_crypto::token::Digest;
use proptest::prelude::*;

use crate::support::{b64, unb64};
use crate::vectors::*;

const MAX: usize = 16 * 1024;

fn jwk(json: &str) -> Jwk {
    Jwk::parse(json.as_bytes()).unwrap()
}

fn verifier(json: &str) -> Verifier {
    Verifier::from_jwk(&jwk(json)).unwrap()
}

/// Keys are made once: RSA takes its time.
pub(crate) fn key(algorithm: Algorithm) -> &'static SigningKey {
    static KEYS: [OnceLock<SigningKey>; 4] = [const { OnceLock::new() }; 4];
    let index = Algorithm::SIGNING
        .iter()
        .position(|known| *known == algorithm)
        .unwrap();
    KEYS[index].get_or_init(|| SigningKey::generate(algorithm).unwrap())
}

fn check(token: &str, verifier: &Verifier, allowed: &[Algorithm]) -> Result<Vec<u8>, JoseError> {
    parse_compact(token, MAX)?.verify(verifier, allowed)
}

#[test]
fn rfc_7515_appendix_a_2_rs256() {
    let key = verifier(RFC7515_A2_KEY);
    let payload = check(RFC7515_A2_TOKEN, &key, &[Algorithm::RS256]).unwrap();
    let said = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    assert_eq!(payload, said.as_bytes());
    let signer =
        SigningKey::from_pkcs8(Algorithm::RS256, &STANDARD.decode(RFC7515_A2_PKCS8).unwrap()).unwrap();
    assert_eq!(
        signer
            .sign_header_json(r#"{"alg":"RS256"}"#, said.as_bytes())
            .unwrap(),
        RFC7515_A2_TOKEN
    );
}

#[test]
fn rfc_7515_appendix_a_3_es256() {
    assert!(check(RFC7515_A3_TOKEN, &verifier(RFC7515_A3_KEY), &[Algorithm::ES256]).is_ok());
}

#[test]
fn rfc_7515_appendix_a_4_es512_is_not_in_our_vocabulary() {
    assert_eq!(
        parse_compact(RFC7515_A4_TOKEN, MAX),
        Err(JoseError::UnknownAlgorithm)
    );
    assert!(matches!(
        Jwk::parse(RFC7515_A4_KEY.as_bytes()),
        Err(JoseError::BadKey(_))
    ));
}

#[test]
fn rfc_7520_sections_4_1_and_4_2_rs256_and_ps384() {
    let key = verifier(RFC7520_RSA_KEY);
    for (token, algorithm) in [
        (RFC7520_RS256_TOKEN, Algorithm::RS256),
        (RFC7520_PS384_TOKEN, Algorithm::PS384),
    ] {
        let payload = check(token, &key, &[algorithm]).unwrap();
        assert!(payload.starts_with("It’s a dangerous business, Frodo".as_bytes()));
        let set = JwkSet::new(vec![key.jwk().clone()]).unwrap();
        assert_eq!(
            parse_compact(token, MAX)
                .unwrap()
                .verify_with_set(&set, &[algorithm]),
            Ok(payload)
        );
    }
}

#[test]
fn rfc_7638_section_3_1_thumbprint() {
    assert_eq!(
        jwk(RFC7638_KEY).thumbprint(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
}

#[test]
fn rfc_8037_appendix_a_ed25519() {
    let signer = SigningKey::from_pkcs8(Algorithm::EdDSA, &STANDARD.decode(RFC8037_PKCS8).unwrap()).unwrap();
    assert_eq!(signer.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let token = signer
        .sign_header_json(r#"{"alg":"EdDSA"}"#, b"Example of Ed25519 signing")
        .unwrap();
    assert_eq!(token, RFC8037_TOKEN);
    let payload = check(&token, &verifier(RFC8037_KEY), &[Algorithm::EdDSA]).unwrap();
    assert_eq!(payload, b"Example of Ed25519 signing");
}

#[test]
fn tokens_signed_by_openssl_verify_with_every_algorithm() {
    let key_of = |name: &str| FOREIGN_KEYS.iter().find(|(known, _)| *known == name).unwrap().1;
    for (algorithm, name, token) in FOREIGN_TOKENS {
        let algorithm: Algorithm = algorithm.parse().unwrap();
        assert_eq!(
            check(token, &verifier(key_of(name)), &[algorithm]).unwrap(),
            br#"{"sub":"alice"}"#
        );
    }
}

#[test]
fn what_is_signed_verifies_and_has_the_header_that_was_asked_for() {
    for algorithm in Algorithm::SIGNING {
        let key = key(algorithm);
        for typ in ["JWT", "at+jwt", "logout+jwt", "secevent+jwt", "odd \"type\""] {
            let token = key.sign(typ, br#"{"sub":"alice"}"#).unwrap();
            let parsed = parse_compact(&token, MAX).unwrap();
            assert_eq!(parsed.header.alg, algorithm);
            assert_eq!(parsed.header.kid.as_deref(), Some(key.kid()));
            assert_eq!(parsed.header.typ.as_deref(), Some(typ));
            assert_eq!(parsed.header.members.len(), 3);
            assert_eq!(parsed.payload, br#"{"sub":"alice"}"#);
            assert_eq!(
                parsed.verify(&key.verifier().unwrap(), &[algorithm]).unwrap(),
                br#"{"sub":"alice"}"#
            );
        }
    }
}

#[test]
fn a_key_survives_storage_and_keeps_its_name() {
    for algorithm in Algorithm::SIGNING {
        let key = key(algorithm);
        let again = SigningKey::from_pkcs8(algorithm, &key.to_pkcs8().unwrap()).unwrap();
        assert_eq!(again.kid(), key.kid());
        assert_eq!(again.algorithm(), algorithm);
        assert_eq!(again.public_jwk(), key.public_jwk());
        let token = again.sign("JWT", b"{}").unwrap();
        assert!(check(&token, &key.verifier().unwrap(), &[algorithm]).is_ok());
    }
}

#[test]
fn a_private_key_is_refused_for_another_algorithm() {
    let pkcs8 = |algorithm| key(algorithm).to_pkcs8().unwrap();
    for (stored, wanted) in [
        (Algorithm::RS256, Algorithm::ES256),
        (Algorithm::ES256, Algorithm::RS256),
        (Algorithm::ES256, Algorithm::EdDSA),
        (Algorithm::EdDSA, Algorithm::PS256),
    ] {
        assert!(matches!(
            SigningKey::from_pkcs8(wanted, &pkcs8(stored)),
            Err(JoseError::BadKey(_))
        ));
    }
    assert!(SigningKey::from_pkcs8(Algorithm::RS256, b"not a key").is_err());
    for algorithm in [
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES384,
    ] {
        assert_eq!(
            SigningKey::generate(algorithm).unwrap_err(),
            JoseError::VerifyOnly
        );
        let der = pkcs8(Algorithm::RS256);
        assert_eq!(
            SigningKey::from_pkcs8(algorithm, &der).unwrap_err(),
            JoseError::VerifyOnly
        );
    }
}

#[test]
fn a_header_of_ones_own_must_name_the_keys_algorithm() {
    let key = key(Algorithm::ES256);
    assert!(
        key.sign_header_json(r#"{"alg":"ES256","typ":"x","jku":"y"}"#, b"{}")
            .is_ok()
    );
    let refused = |header: &str| key.sign_header_json(header, b"{}").unwrap_err();
    assert_eq!(refused(r#"{"alg":"none"}"#), JoseError::AlgorithmNotAllowed);
    assert_eq!(refused(r#"{"alg":"RS256"}"#), JoseError::AlgorithmNotAllowed);
    assert_eq!(refused("{}"), JoseError::AlgorithmNotAllowed);
    assert_eq!(refused(r#"{"alg":"ES256","alg":"none"}"#), JoseError::Duplicate);
    assert!(matches!(refused("[]"), JoseError::Malformed(_)));
    let long = format!(r#"{{"alg":"ES256","x":"{}"}}"#, "y".repeat(5000));
    assert_eq!(refused(&long), JoseError::TooLarge);
}

/// Each character of the text, and each bit that a decoder might not look at: a changed token is refused or, when it
/// cannot be told apart, was not changed.
#[test]
fn every_changed_character_is_refused() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ";
    for algorithm in Algorithm::SIGNING {
        let key = key(algorithm);
        let verifier = key.verifier().unwrap();
        let token = key.sign("JWT", br#"{"sub":"alice","admin":false}"#).unwrap();
        assert!(check(&token, &verifier, &[algorithm]).is_ok());
        for position in 0..token.len() {
            let original = token.as_bytes()[position];
            let at = ALPHABET.iter().position(|known| *known == original).unwrap();
            for step in [1, 2, 7, 16, 32, 63] {
                let mut changed = token.clone().into_bytes();
                changed[position] = ALPHABET[(at + step) % ALPHABET.len()];
                let changed = String::from_utf8(changed).unwrap();
                assert!(
                    check(&changed, &verifier, &[algorithm]).is_err(),
                    "{algorithm}: {position} + {step}"
                );
            }
        }
    }
}

#[test]
fn every_flipped_byte_of_header_payload_and_signature_is_refused() {
    for algorithm in Algorithm::SIGNING {
        let key = key(algorithm);
        let verifier = key.verifier().unwrap();
        let token = key.sign("JWT", br#"{"sub":"alice","admin":false}"#).unwrap();
        let parts: Vec<Vec<u8>> = token.split('.').map(unb64).collect();
        for part in 0..3 {
            for position in 0..parts[part].len() {
                let mut changed = parts.clone();
                changed[part][position] ^= 1;
                let changed = changed.iter().map(b64).collect::<Vec<_>>().join(".");
                assert!(
                    check(&changed, &verifier, &[algorithm]).is_err(),
                    "{algorithm}: {part}/{position}"
                );
            }
            let mut shorter = parts.clone();
            shorter[part].pop();
            let mut longer = parts.clone();
            longer[part].push(0);
            for changed in [shorter, longer] {
                let changed = changed.iter().map(b64).collect::<Vec<_>>().join(".");
                assert!(
                    check(&changed, &verifier, &[algorithm]).is_err(),
                    "{algorithm}: {part} resized"
                );
            }
        }
    }
}

#[test]
fn an_es256_signature_in_der_or_of_zeros_is_refused() {
    let key = key(Algorithm::ES256);
    let verifier = key.verifier().unwrap();
    let token = key.sign("JWT", b"{}").unwrap();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let raw = unb64(signature);
    let integer = |half: &[u8]| {
        let mut bytes = vec![0];
        bytes.extend_from_slice(half);
        [vec![2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    };
    let body = [integer(&raw[..32]), integer(&raw[32..])].concat();
    let der = [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat();
    // CVE-2022-21449: r = s = 0 must not pass for a signature.
    for forged in [
        der,
        vec![0; 64],
        [vec![0; 32], vec![1; 32]].concat(),
        vec![0xff; 64],
        vec![0; 1],
    ] {
        let token = format!("{input}.{}", b64(forged));
        assert_eq!(
            check(&token, &verifier, &[Algorithm::ES256]),
            Err(JoseError::BadSignature)
        );
    }
}

fn forged(header: &str) -> String {
    format!("{}.{}.{}", b64(header), b64("{}"), b64([1; 64]))
}

#[test]
fn rfc_8725_section_2_1_no_algorithm_none() {
    for name in [
        "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "rs256", "ES512", "ES256K", "RSA1_5",
    ] {
        let token = forged(&format!(r#"{{"alg":"{name}"}}"#));
        assert_eq!(
            parse_compact(&token, MAX),
            Err(JoseError::UnknownAlgorithm),
            "{name}"
        );
    }
    let unsigned = format!("{}.{}.", b64(r#"{"alg":"none"}"#), b64("{}"));
    assert!(parse_compact(&unsigned, MAX).is_err());
    let unsigned = format!("{}.{}.", b64(r#"{"alg":"RS256"}"#), b64("{}"));
    assert!(matches!(
        parse_compact(&unsigned, MAX),
        Err(JoseError::Malformed(_))
    ));
}

/// RFC 8725, section 2.1: the public RSA key used as an HMAC secret. There is no HMAC here to be talked into.
#[test]
fn rfc_8725_section_2_1_no_hmac_with_the_public_key() {
    let key = key(Algorithm::RS256);
    let input = format!(
        "{}.{}",
        b64(r#"{"alg":"HS256","typ":"JWT"}"#),
        b64(r#"{"sub":"root"}"#)
    );
    let secret = serde_json::to_vec(&key.public_jwk()).unwrap();
    let mac = aws_lc_rs::hmac::sign(
        &aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret),
        input.as_bytes(),
    );
    let token = format!("{input}.{}", b64(mac));
    assert_eq!(
        check(&token, &key.verifier().unwrap(), &Algorithm::ALL),
        Err(JoseError::UnknownAlgorithm)
    );
}

#[test]
fn an_algorithm_must_be_allowed_and_fit_the_key() {
    for signed in Algorithm::SIGNING {
        let signer = key(signed);
        let token = signer.sign("JWT", b"{}").unwrap();
        let own = signer.verifier().unwrap();
        assert_eq!(check(&token, &own, &[]), Err(JoseError::AlgorithmNotAllowed));
        for other in Algorithm::SIGNING.into_iter().filter(|other| *other != signed) {
            assert_eq!(check(&token, &own, &[other]), Err(JoseError::AlgorithmNotAllowed));
            let verdict = check(&token, &key(other).verifier().unwrap(), &Algorithm::ALL);
            let expected = if signed.key_type() == other.key_type() {
                JoseError::AlgorithmNotAllowed
            } else {
                JoseError::WrongKeyType
            };
            assert_eq!(verdict, Err(expected), "{signed} token, {other} key");
        }
    }
}

#[test]
fn a_pss_signature_is_not_a_pkcs1_signature_even_under_the_same_key() {
    let der = key(Algorithm::RS256).to_pkcs8().unwrap();
    let pss = SigningKey::from_pkcs8(Algorithm::PS256, &der).unwrap();
    let token = pss.sign("JWT", b"{}").unwrap();
    let renamed = b64(r#"{"alg":"RS256"}"#);
    let token = format!("{renamed}.{}", token.split_once('.').unwrap().1);
    let unbound = Jwk::parse(plain_rsa_json(&pss).as_bytes()).unwrap();
    let verifier = Verifier::from_jwk(&unbound).unwrap();
    assert_eq!(
        check(&token, &verifier, &Algorithm::ALL),
        Err(JoseError::BadSignature)
    );
}

/// The public key without `alg`, `use` and `kid`.
fn plain_rsa_json(key: &SigningKey) -> String {
    let mut value = serde_json::to_value(key.public_jwk()).unwrap();
    let members = value.as_object_mut().unwrap();
    members.retain(|name, _| ["kty", "n", "e"].contains(&name.as_str()));
    value.to_string()
}

#[test]
fn rfc_7515_section_4_1_11_crit_is_refused() {
    for crit in [r#"["exp"]"#, r#"["b64"]"#, "[]", "null", "0"] {
        let token = forged(&format!(r#"{{"alg":"ES256","crit":{crit},"b64":false}}"#));
        assert_eq!(parse_compact(&token, MAX), Err(JoseError::Critical), "{crit}");
    }
}

#[test]
fn rfc_7515_section_4_duplicate_header_members_are_refused() {
    for header in [
        r#"{"alg":"ES256","alg":"none"}"#,
        r#"{"alg":"none","alg":"ES256"}"#,
        r#"{"alg":"ES256","kid":"a","kid":"b"}"#,
        r#"{"alg":"ES256","\u0061lg":"ES256"}"#,
        r#"{"alg":"ES256","jwk":{"kty":"EC","kty":"RSA"}}"#,
        r#"{"alg":"ES256","list":[{"a":1,"a":1}]}"#,
    ] {
        assert_eq!(
            parse_compact(&forged(header), MAX),
            Err(JoseError::Duplicate),
            "{header}"
        );
    }
}

#[test]
fn a_malformed_header_is_refused() {
    let deep = format!(r#"{{"alg":"ES256","x":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
    let long = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(257));
    for header in [
        "",
        "[]",
        "null",
        "\"alg\"",
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":["ES256"]}"#,
        r#"{"alg":"ES256"} x"#,
        r#"{"alg":"ES256"}{}"#,
        r#"{"alg":"ES256",}"#,
        r#"{"alg":"ES256","kid":7}"#,
        r#"{"alg":"ES256","typ":[]}"#,
        "{\"alg\":\"ES256\",\"kid\":\"\u{0}\"}",
        &deep,
        &long,
    ] {
        assert!(
            matches!(parse_compact(&forged(header), MAX), Err(JoseError::Malformed(_))),
            "{header}"
        );
    }
    let mut invalid = br#"{"alg":"ES256","kid":""#.to_vec();
    invalid.extend_from_slice(b"\xff\"}");
    let token = format!("{}.{}.{}", b64(invalid), b64("{}"), b64([1; 64]));
    assert!(matches!(parse_compact(&token, MAX), Err(JoseError::Malformed(_))));
    let fat = format!(r#"{{"alg":"ES256","x":"{}"}}"#, "y".repeat(6000));
    assert_eq!(parse_compact(&forged(&fat), MAX), Err(JoseError::TooLarge));
}

#[test]
fn only_three_parts_of_plain_base64url_are_read() {
    let token = key(Algorithm::ES256).sign("JWT", br#"{"a":"b"}"#).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        panic!()
    };
    for wrong in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        format!("{header}.{payload}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}.{payload}."),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.x"),
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        format!("{token}="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}.{signature}é"),
        token.replace('-', "+").replace('_', "/") + "+",
    ] {
        assert!(
            matches!(parse_compact(&wrong, MAX), Err(JoseError::Malformed(_))),
            "{wrong}"
        );
    }
    assert_eq!(parse_compact(&token, token.len() - 1), Err(JoseError::TooLarge));
    assert!(parse_compact(&token, token.len()).is_ok());
}

#[test]
fn what_was_signed_is_returned_and_not_what_was_put_in_between() {
    let key = key(Algorithm::ES256);
    let token = key.sign("JWT", br#"{"sub":"alice"}"#).unwrap();
    let mut parsed: Unverified<'_> = parse_compact(&token, MAX).unwrap();
    parsed.payload = br#"{"sub":"root"}"#.to_vec();
    assert_eq!(
        parsed
            .verify(&key.verifier().unwrap(), &[Algorithm::ES256])
            .unwrap(),
        br#"{"sub":"alice"}"#
    );
}

#[test]
fn rfc_7515_section_4_1_9_types_ignore_case_and_the_application_prefix() {
    let typed = |typ: &str| Header {
        alg: Algorithm::RS256,
        kid: None,
        typ: Some(typ.to_owned()),
        members: serde_json::Map::default(),
    };
    assert!(typed("at+jwt").is_type("at+jwt"));
    assert!(typed("AT+JWT").is_type("at+jwt"));
    assert!(typed("application/at+jwt").is_type("at+jwt"));
    assert!(typed("Application/AT+jwt").is_type("at+jwt"));
    assert!(!typed("JWT").is_type("at+jwt"));
    assert!(!typed("application/x/at+jwt").is_type("at+jwt"));
    assert!(!typed("").is_type("at+jwt"));
    assert!(
        !Header {
            typ: None,
            ..typed("")
        }
        .is_type("at+jwt")
    );
}

#[test]
fn a_set_is_searched_by_kid() {
    let set = JwkSet::new(
        Algorithm::SIGNING
            .iter()
            .map(|algorithm| key(*algorithm).public_jwk())
            .collect(),
    )
    .unwrap();
    for algorithm in Algorithm::SIGNING {
        let token = key(algorithm).sign("JWT", b"{}").unwrap();
        assert!(
            parse_compact(&token, MAX)
                .unwrap()
                .verify_with_set(&set, &[algorithm])
                .is_ok()
        );
        let parsed = parse_compact(&token, MAX).unwrap();
        assert_eq!(
            parsed.verify_with_set(&set, &[]),
            Err(JoseError::AlgorithmNotAllowed)
        );
        assert_eq!(
            parsed.verify_with_set(&JwkSet::default(), &[algorithm]),
            Err(JoseError::NoKey)
        );
    }
    let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
    let token = stranger.sign("JWT", b"{}").unwrap();
    let verdict = parse_compact(&token, MAX)
        .unwrap()
        .verify_with_set(&set, &[Algorithm::ES256]);
    assert_eq!(
        verdict,
        Err(JoseError::NoKey),
        "a kid that is not in the set: fetch it again"
    );
    let header = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, key(Algorithm::ES256).kid());
    let token = stranger.sign_header_json(&header, b"{}").unwrap();
    let verdict = parse_compact(&token, MAX)
        .unwrap()
        .verify_with_set(&set, &[Algorithm::ES256]);
    assert_eq!(verdict, Err(JoseError::BadSignature), "somebody else's kid");
    let header = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, key(Algorithm::RS256).kid());
    let token = stranger.sign_header_json(&header, b"{}").unwrap();
    let verdict = parse_compact(&token, MAX)
        .unwrap()
        .verify_with_set(&set, &Algorithm::ALL);
    assert_eq!(verdict, Err(JoseError::NoKey), "the kid of a key of another type");
}

#[test]
fn without_a_kid_the_fitting_keys_are_tried_but_not_without_end() {
    let keys: Vec<SigningKey> = (0..10)
        .map(|_| SigningKey::generate(Algorithm::EdDSA).unwrap())
        .collect();
    let set = JwkSet::new(keys.iter().map(SigningKey::public_jwk).collect()).unwrap();
    let verdict = |signer: &SigningKey| {
        let token = signer.sign_header_json(r#"{"alg":"EdDSA"}"#, b"{}").unwrap();
        parse_compact(&token, MAX)
            .unwrap()
            .verify_with_set(&set, &[Algorithm::EdDSA])
    };
    assert!(verdict(&keys[0]).is_ok());
    assert!(verdict(&keys[7]).is_ok());
    assert_eq!(verdict(&keys[8]), Err(JoseError::BadSignature));
}

#[test]
fn a_key_without_a_name_serves_a_token_that_names_one() {
    let set = JwkSet::parse(format!(r#"{{"keys":[{RFC7515_A3_KEY}]}}"#).as_bytes()).unwrap();
    assert_eq!(set.keys()[0].kid(), None);
    let key = key(Algorithm::ES256);
    let mut value = serde_json::to_value(key.public_jwk()).unwrap();
    value.as_object_mut().unwrap().remove("kid");
    let set = JwkSet::parse(format!(r#"{{"keys":[{value}]}}"#).as_bytes()).unwrap();
    let token = key.sign("JWT", b"{}").unwrap();
    assert!(
        parse_compact(&token, MAX)
            .unwrap()
            .verify_with_set(&set, &[Algorithm::ES256])
            .is_ok()
    );
}

#[test]
fn a_published_key_has_public_members_only_and_reads_back() {
    for algorithm in Algorithm::SIGNING {
        let published = key(algorithm).public_jwk();
        let value = serde_json::to_value(&published).unwrap();
        let names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = match algorithm.key_type() {
            KeyType::Rsa => vec!["kty", "n", "e"],
            KeyType::P256 | KeyType::P384 => vec!["kty", "crv", "x", "y"],
            KeyType::Ed25519 => vec!["kty", "crv", "x"],
        };
        expected.extend(["kid", "alg", "use"]);
        expected.sort_unstable();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, expected, "{algorithm}");
        assert_eq!(value["use"], "sig");
        assert_eq!(value["alg"], algorithm.as_str());
        assert_eq!(value["kid"].as_str(), Some(published.thumbprint().as_str()));
        assert_eq!(serde_json::from_value::<Jwk>(value).unwrap(), published);
        assert!(published.fits(algorithm));
    }
    let set = JwkSet::new(vec![key(Algorithm::EdDSA).public_jwk()]).unwrap();
    let text = serde_json::to_string(&set).unwrap();
    assert!(
        text.starts_with(r#"{"keys":[{"crv":"Ed25519","kty":"OKP","x":""#),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<JwkSet>(&text).unwrap(), set);
    assert_eq!(JwkSet::parse(text.as_bytes()).unwrap(), set);
}

#[test]
fn private_and_symmetric_keys_are_refused() {
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let json = RFC7515_A2_KEY.replacen('{', &format!(r#"{{"{member}":"AQAB","#), 1);
        assert_eq!(
            Jwk::parse(json.as_bytes()),
            Err(JoseError::PrivateKey),
            "{member}"
        );
        assert!(serde_json::from_str::<Jwk>(&json).is_err());
        let set = format!(r#"{{"keys":[{RFC7515_A3_KEY},{json}]}}"#);
        assert_eq!(
            JwkSet::parse(set.as_bytes()),
            Err(JoseError::PrivateKey),
            "{member}"
        );
    }
    assert_eq!(
        Jwk::parse(br#"{"kty":"oct","k":"c2VjcmV0"}"#),
        Err(JoseError::PrivateKey)
    );
}

fn rsa_json(n: &str, e: &str) -> String {
    format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#)
}

/// An odd or even number of so many bytes, in base64url.
fn modulus(bytes: usize, first: u8, last: u8) -> String {
    let mut number = vec![0xa5; bytes];
    number[0] = first;
    number[bytes - 1] = last;
    b64(number)
}

fn refused(keys: &[(&str, String)]) {
    for (why, json) in keys {
        let verdict = Jwk::parse(json.as_bytes());
        assert!(matches!(verdict, Err(JoseError::BadKey(_))), "{why}: {verdict:?}");
    }
}

/// RFC 7518, sections 2, 3.3 and 6.3.1.
#[test]
fn small_and_odd_rsa_keys_are_refused() {
    let good = modulus(256, 0x80, 1);
    assert!(Jwk::parse(rsa_json(&good, "AQAB").as_bytes()).is_ok());
    refused(&[
        ("1024 bits", rsa_json(&modulus(128, 0x80, 1), "AQAB")),
        ("2047 bits", rsa_json(&modulus(256, 0x7f, 1), "AQAB")),
        ("8200 bits", rsa_json(&modulus(1025, 0x80, 1), "AQAB")),
        ("even modulus", rsa_json(&modulus(256, 0x80, 2), "AQAB")),
        ("leading zero", rsa_json(&modulus(257, 0, 1), "AQAB")),
        ("exponent 1", rsa_json(&good, "AQ")),
        ("exponent 0", rsa_json(&good, "AA")),
        ("even exponent", rsa_json(&good, "Ag")),
        ("exponent with leading zero", rsa_json(&good, "AAEAAQ")),
        ("exponent of 5 bytes", rsa_json(&good, "AQEBAQE")),
    ]);
}

/// RFC 7518, section 6.2.1; RFC 8037, section 2; RFC 8725, section 2.6 (invalid curves).
#[test]
fn points_that_are_not_on_their_curve_or_of_small_order_are_refused() {
    let zero = b64([0; 32]);
    let one = b64([[1].as_slice(), &[0; 31]].concat());
    let point: serde_json::Value = serde_json::from_str(RFC7515_A3_KEY).unwrap();
    let (x, y) = (point["x"].as_str().unwrap(), point["y"].as_str().unwrap());
    let ec = |x: &str, y: &str| format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#);
    let okp = |x: &str| format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
    let order_eight = |digits: &str| okp(&b64(Digest::from_hex(digits).unwrap()));
    let near_prime = |first: u8| okp(&b64([&[first], [0xff; 30].as_slice(), &[0x7f]].concat()));
    assert!(Jwk::parse(ec(x, y).as_bytes()).is_ok());
    refused(&[
        ("not on the curve", ec(x, x)),
        ("swapped", ec(y, x)),
        ("zero point", ec(&zero, &zero)),
        ("beyond the field", ec(&b64([0xff; 32]), y)),
        ("short coordinate", ec(&b64([1; 31]), y)),
        ("long coordinate", ec(&b64([1; 33]), y)),
        ("P-384 coordinates too short", ec(x, y).replace("P-256", "P-384")),
        ("unknown curve", ec(x, y).replace("P-256", "secp256k1")),
        ("Ed25519 zero", okp(&zero)),
        ("Ed25519 identity", okp(&one)),
        ("Ed25519 order 2", near_prime(0xec)),
        ("Ed25519 not canonical", near_prime(0xed)),
        (
            "Ed25519 order 8",
            order_eight("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        ),
        (
            "the other sign",
            order_eight("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
        ),
        (
            "the other pair",
            order_eight("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        ),
        ("Ed25519 of 31 bytes", okp(&b64([7; 31]))),
        ("X25519", okp(&b64([9; 32])).replace("Ed25519", "X25519")),
        ("unknown type", r#"{"kty":"AKP","pub":"AQAB"}"#.to_owned()),
    ]);
}

#[test]
fn malformed_keys_are_refused() {
    let good = rsa_json(&modulus(256, 0x80, 1), "AQAB");
    let with = |extra: &str| good.replacen('{', &format!("{{{extra},"), 1);
    for json in [
        "{}",
        "[]",
        r#"{"kty":7}"#,
        r#"{"kty":"RSA"}"#,
        r#"{"kty":"RSA","n":"AQAB"}"#,
        &good.replace("AQAB", ""),
        &good.replace("AQAB", "A"),
        &good.replace("AQAB", "AQAB="),
        &with(r#""use":7"#),
        &with(r#""key_ops":"verify""#),
        &with(&format!(r#""kid":"{}""#, "k".repeat(300))),
    ] {
        assert!(
            matches!(Jwk::parse(json.as_bytes()), Err(JoseError::Malformed(_))),
            "{json}"
        );
    }
    assert_eq!(
        Jwk::parse(with(r#""kty":"EC""#).as_bytes()),
        Err(JoseError::Duplicate)
    );
}

/// RFC 7517, sections 4.2 to 4.4.
#[test]
fn a_key_is_used_for_what_it_says_it_is_for() {
    let with = |extra: &str| jwk(&RFC7515_A2_KEY.replacen('{', &format!("{{{extra},"), 1));
    assert!(with(r#""use":"sig""#).fits(Algorithm::PS512));
    assert!(!with(r#""use":"enc""#).fits(Algorithm::RS256));
    assert!(with(r#""alg":"RS256""#).fits(Algorithm::RS256));
    assert!(!with(r#""alg":"RS256""#).fits(Algorithm::PS256));
    assert!(!with(r#""alg":"RSA-OAEP""#).fits(Algorithm::RS256));
    assert!(with(r#""key_ops":["verify"]"#).fits(Algorithm::RS256));
    assert!(!with(r#""key_ops":["encrypt"]"#).fits(Algorithm::RS256));
    assert!(!with(r#""key_ops":[]"#).fits(Algorithm::RS256));
    let encryption = Verifier::from_jwk(&with(r#""use":"enc""#)).unwrap();
    assert_eq!(
        check(RFC7515_A2_TOKEN, &encryption, &[Algorithm::RS256]),
        Err(JoseError::AlgorithmNotAllowed)
    );
}

#[test]
fn rfc_7517_section_5_unknown_keys_of_a_set_are_left_out() {
    let text = format!(
        r#"{{"keys":[{{"kty":"oct","k":"c2VjcmV0"}},{RFC7515_A4_KEY},{{"kty":"new"}},{RFC7515_A3_KEY},{{}}],"extra":1}}"#
    );
    let set = JwkSet::parse(text.as_bytes()).unwrap();
    assert_eq!((set.keys().len(), set.ignored()), (1, 4));
    assert!(!serde_json::to_string(&set).unwrap().contains("oct"));
}

#[test]
fn a_set_is_bounded() {
    let many = |count: usize| format!(r#"{{"keys":[{}]}}"#, vec![RFC7515_A3_KEY; count].join(","));
    assert_eq!(
        JwkSet::parse(many(MAX_KEYS).as_bytes()).unwrap().keys().len(),
        MAX_KEYS
    );
    assert_eq!(
        JwkSet::parse(many(MAX_KEYS + 1).as_bytes()),
        Err(JoseError::TooLarge)
    );
    assert!(serde_json::from_str::<JwkSet>(&many(MAX_KEYS + 1)).is_err());
    assert_eq!(
        JwkSet::new(vec![jwk(RFC7515_A3_KEY); MAX_KEYS + 1]),
        Err(JoseError::TooLarge)
    );
    let padded = format!("{}{}", many(1), " ".repeat(64 * 1024));
    assert_eq!(JwkSet::parse(padded.as_bytes()), Err(JoseError::TooLarge));
    for wrong in [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[1]}"#,
        r#"{"keys":[],"keys":[]}"#,
    ] {
        assert!(JwkSet::parse(wrong.as_bytes()).is_err(), "{wrong}");
        assert!(serde_json::from_str::<JwkSet>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn algorithms_are_written_as_the_rfcs_write_them() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
        assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.as_str());
        assert_eq!(
            serde_json::from_value::<Algorithm>(algorithm.as_str().into()).unwrap(),
            algorithm
        );
    }
    assert!(serde_json::from_str::<Algorithm>("\"none\"").is_err());
    assert!(serde_json::from_str::<Algorithm>("\"HS256\"").is_err());
}

#[test]
fn debug_shows_no_key_and_no_payload() {
    let key = key(Algorithm::ES256);
    let token = key.sign("JWT", br#"{"email":"alice@example.com"}"#).unwrap();
    let shown = format!(
        "{key:?} {:?} {:?}",
        key.verifier().unwrap(),
        parse_compact(&token, MAX).unwrap()
    );
    assert!(
        shown.starts_with(&format!(
            "SigningKey {{ algorithm: ES256, kid: \"{}\", .. }}",
            key.kid()
        )),
        "{shown}"
    );
    assert!(
        !shown.contains("payload") && !shown.contains("alice") && !shown.contains("97, 108"),
        "{shown}"
    );
}

#[test]
fn objects_with_odd_values_are_read_as_serde_json_reads_them() {
    let text = r#"{"a":[1,-2,3.5,1e400,null,true,"x",{}],"b":18446744073709551615}"#;
    assert!(parse_object(text.as_bytes()).is_err(), "a number beyond f64");
    let text = text.replace("1e400", "1e300");
    let strict = serde_json::Value::Object(parse_object(text.as_bytes()).unwrap());
    assert_eq!(strict, serde_json::from_str::<serde_json::Value>(&text).unwrap());
}

proptest! {
    #[test]
    fn parsing_never_panics(text in ".{0,300}", bytes: Vec<u8>) {
        let _ = parse_compact(&text, MAX);
        let _ = Jwk::parse(&bytes);
        let _ = JwkSet::parse(text.as_bytes());
        let _ = parse_object(&bytes);
    }

    #[test]
    fn parsing_what_looks_like_a_token_never_panics(
        header in r#"\{("[a-z]{1,3}":("[A-Z0-9]{0,5}"|[0-9]{1,3}|\[\]),?){0,4}"alg":"(ES256|RS256|none)"\}"#,
        payload: Vec<u8>, signature: Vec<u8>, cut in 0usize..100,
    ) {
        let token = format!("{}.{}.{}", b64(header), b64(payload), b64(signature));
        let _ = parse_compact(&token, MAX).map(|parsed| {
            let key = key(Algorithm::ES256);
            parsed.verify(&key.verifier().unwrap(), &Algorithm::ALL).unwrap_err();
            parsed.verify_with_set(&JwkSet::new(vec![key.public_jwk()]).unwrap(), &Algorithm::ALL).unwrap_err();
        });
        let _ = parse_compact(&token[..cut.min(token.len())], MAX);
    }

    #[test]
    fn any_payload_comes_back(payload in proptest::collection::vec(any::<u8>(), 1..300)) {
        let key = key(Algorithm::EdDSA);
        let token = key.sign("JWT", &payload).unwrap();
        prop_assert_eq!(check(&token, &key.verifier().unwrap(), &[Algorithm::EdDSA]), Ok(payload));
    }
}
