//! jsonwebtoken as the oracle, both ways and for every algorithm.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward_crypto::jose::{Algorithm, Jwk, SigningKey, Verifier, parse_compact};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

use crate::jose::key;
use crate::support::b64;

fn theirs(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    algorithm.as_str().parse().unwrap()
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    )
}

fn claims() -> Value {
    json!({ "sub": "alice", "exp": 4_102_444_800u64, "groups": ["a", "ä"] })
}

#[test]
fn what_we_sign_jsonwebtoken_verifies() {
    for algorithm in Algorithm::SIGNING {
        let key = key(algorithm);
        let token = key.sign("at+jwt", claims().to_string().as_bytes()).unwrap();
        let jwk: jsonwebtoken::jwk::Jwk =
            serde_json::from_value(serde_json::to_value(key.public_jwk()).unwrap()).unwrap();
        let read = jsonwebtoken::decode::<Value>(
            &token,
            &DecodingKey::from_jwk(&jwk).unwrap(),
            &Validation::new(theirs(algorithm)),
        )
        .unwrap();
        assert_eq!(read.claims, claims(), "{algorithm}");
        assert_eq!(read.header.kid.as_deref(), Some(key.kid()));
        assert_eq!(read.header.typ.as_deref(), Some("at+jwt"));
        let thumbprint = jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap();
        assert_eq!(thumbprint, key.kid(), "{algorithm}");
    }
}

#[test]
fn what_jsonwebtoken_signs_we_verify() {
    let rsa = key(Algorithm::RS256);
    let mut public = serde_json::to_value(rsa.public_jwk()).unwrap();
    public.as_object_mut().unwrap().remove("alg");
    let any_rsa = Verifier::from_jwk(&serde_json::from_value(public).unwrap()).unwrap();
    let rsa_pem = pem(&rsa.to_pkcs8().unwrap());
    for algorithm in Algorithm::ALL {
        let pem_of = |signer: &SigningKey| pem(&signer.to_pkcs8().unwrap());
        let (signing, verifier) = match algorithm {
            Algorithm::ES256 => (
                EncodingKey::from_ec_pem(pem_of(key(algorithm)).as_bytes()),
                key(algorithm).verifier().unwrap(),
            ),
            Algorithm::EdDSA => (
                EncodingKey::from_ed_pem(pem_of(key(algorithm)).as_bytes()),
                key(algorithm).verifier().unwrap(),
            ),
            Algorithm::ES384 => {
                let (pem, verifier) = p384();
                (EncodingKey::from_ec_pem(pem.as_bytes()), verifier)
            }
            _ => {
                let signing = EncodingKey::from_rsa_pem(rsa_pem.as_bytes());
                (signing, Verifier::from_jwk(any_rsa.jwk()).unwrap())
            }
        };
        let token =
            jsonwebtoken::encode(&Header::new(theirs(algorithm)), &claims(), &signing.unwrap()).unwrap();
        let payload = parse_compact(&token, 4096)
            .unwrap()
            .verify(&verifier, &[algorithm])
            .unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&payload).unwrap(),
            claims(),
            "{algorithm}"
        );
    }
}

/// We make no keys on this curve, so the library does.
fn p384() -> (String, Verifier) {
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let json = json!({ "kty": "EC", "crv": "P-384", "x": b64(&point[1..49]), "y": b64(&point[49..]) });
    let jwk: Jwk = serde_json::from_value(json).unwrap();
    (
        pem(pair.to_pkcs8v1().unwrap().as_ref()),
        Verifier::from_jwk(&jwk).unwrap(),
    )
}
