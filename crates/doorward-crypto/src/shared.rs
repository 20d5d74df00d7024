//! Tokens signed with a secret that two services share: compact JWS with HS256 (RFC 7515; RFC 7518, section 3.2), and two
//! message authentication codes.
//!
//! Apart from `jose` on purpose: there no secret is a key, here nothing but a secret is, so neither is ever taken for the
//! other. The header must say `HS256`; nothing in it chooses anything.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::jose::parse_object;
use crate::signed::hmac_sha1;
use crate::token::hex;

/// `{"alg":"HS256","typ":"JWT"}`.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
/// Longest header, encoded.
const LONGEST_HEADER: usize = 1024;
/// The least that RFC 7518, section 3.2, asks of a secret, in bytes.
pub const SHORTEST_SECRET: usize = 32;

/// A secret that signs and checks. Wiped when dropped; `Debug` shows nothing.
#[derive(Clone)]
pub struct SharedKey(Zeroizing<Vec<u8>>);

impl SharedKey {
    /// The secret's bytes as they are: the other service has them as text too.
    #[must_use]
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(secret.into()))
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }

    /// Signs claims. The same claims give the same text every time.
    #[must_use]
    pub fn sign(&self, claims: &[u8]) -> String {
        let mut token = String::with_capacity(HEADER.len() + claims.len() * 4 / 3 + 64);
        token.push_str(HEADER);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let tag = hmac::sign(&self.key(), token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(tag, &mut token);
        token
    }

    /// The claims of a token that was signed with this secret; `None` for everything else, also for a good signature under
    /// a header that says another algorithm, or has extensions that must be understood.
    #[must_use]
    pub fn open(&self, token: &str, longest: usize) -> Option<Map<String, Value>> {
        if token.len() > longest {
            return None;
        }
        let (signed, tag) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        if header.len() > LONGEST_HEADER || claims.contains('.') {
            return None;
        }
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.key(), signed.as_bytes(), &tag).ok()?;
        let header = parse_object(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        if header.get("alg").and_then(Value::as_str) != Some("HS256") || header.contains_key("crit") {
            return None;
        }
        parse_object(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    /// A name for what these parts say, which nobody makes without the secret: 32 hexadecimal digits.
    #[must_use]
    pub fn name_of(&self, parts: &[&str]) -> String {
        let mut context = hmac::Context::with_key(&self.key());
        for part in parts {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            context.update(&length.to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut name = hex(context.sign().as_ref());
        name.truncate(32);
        name
    }
}

impl std::fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedKey")
    }
}

/// What stands for a registration at Synapse: HMAC-SHA1 of the parts with a NUL between them, in lower-case hexadecimal.
#[must_use]
pub fn synapse_mac(secret: &str, parts: &[&str]) -> String {
    hex(&hmac_sha1(secret.as_bytes(), parts.join("\0").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn key() -> SharedKey {
        SharedKey::new(SECRET)
    }

    /// A token under any header, rightly signed.
    fn under(header: &str, claims: &str) -> String {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()),
            signed.as_bytes(),
        );
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    #[test]
    fn the_vector_of_the_synapse_documentation() {
        let mac = synapse_mac(
            "synapse-shared-secret",
            &["thisisanonce", "alice", "pa55word", "notadmin"],
        );
        assert_eq!(mac, "562a5d218167b3f1ff1bbc8e7193c3506279ef52");
    }

    #[test]
    fn another_library_reads_and_writes_the_same_tokens() {
        use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation, decode, encode};
        let claims = serde_json::json!({ "sub": "a", "exp": 4_000_000_000_i64 });
        let ours = key().sign(claims.to_string().as_bytes());
        let read = decode::<Value>(
            &ours,
            &DecodingKey::from_secret(SECRET.as_bytes()),
            &Validation::default(),
        );
        assert_eq!(read.unwrap().claims, claims);
        let theirs = encode(
            &Header::default(),
            &claims,
            &EncodingKey::from_secret(SECRET.as_bytes()),
        );
        assert_eq!(Value::Object(key().open(&theirs.unwrap(), 4096).unwrap()), claims);
    }

    #[test]
    fn only_hs256_is_accepted_whatever_the_header_says() {
        assert!(
            key()
                .open(&under(r#"{"alg":"HS256"}"#, r#"{"a":1}"#), 4096)
                .is_some()
        );
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":"hs256"}"#,
            r#"{"alg":"HS512"}"#,
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
            r#"{"alg":"HS256","alg":"none"}"#,
            r#"{"typ":"JWT"}"#,
            r#""HS256""#,
        ] {
            assert!(
                key().open(&under(header, r#"{"a":1}"#), 4096).is_none(),
                "{header}"
            );
        }
        assert!(
            key()
                .open(&under(r#"{"alg":"HS256"}"#, r#"{"a":1,"a":2}"#), 4096)
                .is_none()
        );
    }

    #[test]
    fn a_token_that_was_touched_is_no_token() {
        let token = key().sign(br#"{"a":1}"#);
        assert!(key().open(&token, token.len()).is_some());
        assert!(key().open(&token, token.len() - 1).is_none());
        assert!(SharedKey::new("another").open(&token, 4096).is_none());
        let (signed, _) = token.rsplit_once('.').unwrap();
        for touched in [
            format!("{signed}."),
            signed.to_owned(),
            format!("{token}="),
            format!("{token}.x"),
            format!("x{token}"),
            token.replace("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "eyJhbGciOiJub25lIn0"),
            String::new(),
            "..".to_owned(),
        ] {
            assert!(key().open(&touched, 4096).is_none(), "{touched}");
        }
    }

    #[test]
    fn names_tell_their_parts_apart() {
        let name = key().name_of(&["ab", "c"]);
        assert_eq!(name.len(), 32);
        assert_ne!(name, key().name_of(&["a", "bc"]));
        assert_ne!(name, SharedKey::new("another").name_of(&["ab", "c"]));
        assert_eq!(name, key().name_of(&["ab", "c"]));
    }
}
