//! Passkeys: what an authenticator says when it makes a key and when it signs in (WebAuthn level 3, sections 6.1, 7.1 and 7.2;
//! CBOR of RFC 8949; keys of RFC 9052 and 9053).
//!
//! Lives here: reading and checking the bytes. Must not live here: challenges and their single use, storage, HTTP. Attestation is not
//! asked for and not believed: the statement is read over.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::jose::{Algorithm, Jwk, Verifier, parse_object};
use crate::token::sha256;

/// Largest client data.
const LARGEST_CLIENT_DATA: usize = 4096;
/// Largest attestation object.
const LARGEST_ATTESTATION: usize = 32 * 1024;
/// Largest authenticator data.
const LARGEST_DATA: usize = 4096;
/// Longest credential id that is kept.
pub const LONGEST_ID: usize = 400;
/// Deepest nesting of CBOR.
const DEEPEST: usize = 8;

/// Somebody was there.
const USER_PRESENT: u8 = 1;
/// And showed to be the owner.
const USER_VERIFIED: u8 = 1 << 2;
/// The key may be on several devices.
const BACKUP_ELIGIBLE: u8 = 1 << 3;
/// It is.
const BACKED_UP: u8 = 1 << 4;
/// A key comes with it.
const ATTESTED: u8 = 1 << 6;
/// Extensions come with it.
const EXTENDED: u8 = 1 << 7;

/// Why something of an authenticator was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebauthnError {
    /// Not what it should be; says what was expected.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// It is of another ceremony; says which part.
    #[error("of another ceremony: {0}")]
    Other(&'static str),
    /// The key is none that we take.
    #[error("unusable key")]
    Key,
    /// The signature is not of the key.
    #[error("the signature does not fit")]
    Signature,
    /// The authenticator counts backwards: there are two of it.
    #[error("the signature counter did not advance")]
    Counter,
}

type Result<T> = std::result::Result<T, WebauthnError>;

/// What this ceremony is about.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// The challenge, as the browser got it (base64url).
    pub challenge: &'a str,
    /// The relying party's id: a host.
    pub rp_id: &'a str,
    /// Origins of pages that may use the keys.
    pub origin: &'a dyn Fn(&str) -> bool,
}

/// A new key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Credential id.
    pub id: Vec<u8>,
    /// Public key, as the authenticator wrote it (COSE).
    pub public_key: Vec<u8>,
    /// Which model of authenticator, or zeros.
    pub aaguid: [u8; 16],
    /// Signature counter.
    pub counter: u32,
    /// The key may be on several devices.
    pub eligible: bool,
    /// It is.
    pub backed_up: bool,
    /// The owner was verified.
    pub verified: bool,
}

/// A sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Signature counter.
    pub counter: u32,
    /// The key is on several devices.
    pub backed_up: bool,
    /// The owner was verified.
    pub verified: bool,
}

/// A CBOR item, as far as authenticators need it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Int(i64),
    Bytes(Vec<u8>),
    Text(String),
    List,
    Map(Vec<(Self, Self)>),
    Simple,
}

/// Reads bytes one after the other, never beyond the end.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self
            .at
            .checked_add(count)
            .ok_or(WebauthnError::Malformed("a length within bounds"))?;
        let part = self
            .bytes
            .get(self.at..end)
            .ok_or(WebauthnError::Malformed("more bytes"))?;
        self.at = end;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?
            .try_into()
            .map_err(|_| WebauthnError::Malformed("more bytes"))
    }

    const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Major type and argument (RFC 8949 section 3); definite lengths only.
    fn head(&mut self) -> Result<(u8, u64)> {
        let [first] = self.array()?;
        let argument = match first & 31 {
            small @ 0..=23 => u64::from(small),
            24 => u64::from(self.array::<1>()?[0]),
            25 => u64::from(u16::from_be_bytes(self.array()?)),
            26 => u64::from(u32::from_be_bytes(self.array()?)),
            27 => u64::from_be_bytes(self.array()?),
            _ => return Err(WebauthnError::Malformed("a definite length")),
        };
        Ok((first >> 5, argument))
    }

    fn length(&self, argument: u64) -> Result<usize> {
        // Every item takes a byte at least.
        usize::try_from(argument)
            .ok()
            .filter(|length| *length <= self.left())
            .ok_or(WebauthnError::Malformed("a length within bounds"))
    }

    fn item(&mut self, depth: usize) -> Result<Item> {
        if depth > DEEPEST {
            return Err(WebauthnError::Malformed("less nesting"));
        }
        let number = |argument: u64| {
            i64::try_from(argument).map_err(|_| WebauthnError::Malformed("a number within bounds"))
        };
        let (kind, argument) = self.head()?;
        Ok(match kind {
            0 => Item::Int(number(argument)?),
            1 => Item::Int(-1 - number(argument)?),
            2 => {
                let length = self.length(argument)?;
                Item::Bytes(self.take(length)?.to_vec())
            }
            3 => {
                let length = self.length(argument)?;
                let text = std::str::from_utf8(self.take(length)?);
                Item::Text(text.map_err(|_| WebauthnError::Malformed("UTF-8"))?.to_owned())
            }
            4 => {
                for _ in 0..self.length(argument)? {
                    self.item(depth + 1)?;
                }
                Item::List
            }
            5 => {
                let mut pairs: Vec<(Item, Item)> = Vec::new();
                for _ in 0..self.length(argument)? {
                    let key = self.item(depth + 1)?;
                    let value = self.item(depth + 1)?;
                    if pairs.len() >= 64 || pairs.iter().any(|(known, _)| *known == key) {
                        return Err(WebauthnError::Malformed("each key once"));
                    }
                    pairs.push((key, value));
                }
                Item::Map(pairs)
            }
            7 => Item::Simple,
            _ => return Err(WebauthnError::Malformed("no tags")),
        })
    }
}

impl Item {
    fn get(&self, key: &Self) -> Option<&Self> {
        match self {
            Self::Map(pairs) => pairs
                .iter()
                .find(|(known, _)| known == key)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    fn number(&self, key: i64) -> Option<i64> {
        match self.get(&Self::Int(key))? {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    fn bytes(&self, key: i64) -> Option<&[u8]> {
        match self.get(&Self::Int(key))? {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// A public key that signatures are checked with.
enum Key {
    Jose(Box<Verifier>, Algorithm),
    /// Signatures in ASN.1, as WebAuthn wants them (section 6.5.5).
    P256(ParsedPublicKey),
}

impl Key {
    /// EdDSA, ES256 and RS256 (RFC 9053 sections 2 and 7, RFC 8812 section 2).
    fn read(cose: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(cose);
        let map = reader.item(0)?;
        if reader.left() > 0 {
            return Err(WebauthnError::Malformed("nothing after the key"));
        }
        let of = |key| map.bytes(key).ok_or(WebauthnError::Key);
        let jose = |members: &[(&str, String)], algorithm| {
            let members: Map<String, Value> = members
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Value::String(value.clone())))
                .collect();
            let jwk = Jwk::from_members(&members).map_err(|_| WebauthnError::Key)?;
            let verifier = Verifier::from_jwk(&jwk).map_err(|_| WebauthnError::Key)?;
            Ok(Self::Jose(Box::new(verifier), algorithm))
        };
        let coded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match (map.number(1), map.number(3)) {
            (Some(1), Some(-8)) if map.number(-1) == Some(6) => {
                let members = [
                    ("kty", "OKP".to_owned()),
                    ("crv", "Ed25519".to_owned()),
                    ("x", coded(of(-2)?)),
                ];
                jose(&members, Algorithm::EdDSA)
            }
            (Some(2), Some(-7)) if map.number(-1) == Some(1) => {
                let (x, y) = (of(-2)?, of(-3)?);
                if x.len() != 32 || y.len() != 32 {
                    return Err(WebauthnError::Key);
                }
                let point = [&[4], x, y].concat();
                let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
                Ok(Self::P256(key.map_err(|_| WebauthnError::Key)?))
            }
            (Some(3), Some(-257)) => {
                let members = [
                    ("kty", "RSA".to_owned()),
                    ("n", coded(of(-1)?)),
                    ("e", coded(of(-2)?)),
                ];
                jose(&members, Algorithm::RS256)
            }
            _ => Err(WebauthnError::Key),
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        let fits = match self {
            Self::Jose(verifier, algorithm) => verifier.verify(*algorithm, message, signature).is_ok(),
            Self::P256(key) => key.verify_sig(message, signature).is_ok(),
        };
        if fits {
            Ok(())
        } else {
            Err(WebauthnError::Signature)
        }
    }
}

/// Checks what the browser says about the ceremony (section 5.8.1).
fn check_client(client_data: &[u8], kind: &str, expected: &Expected<'_>) -> Result<()> {
    if client_data.len() > LARGEST_CLIENT_DATA {
        return Err(WebauthnError::Malformed("less client data"));
    }
    let data = parse_object(client_data).map_err(|_| WebauthnError::Malformed("a JSON object"))?;
    let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("type") != kind {
        return Err(WebauthnError::Other("type"));
    }
    if expected.challenge.is_empty() || text("challenge") != expected.challenge {
        return Err(WebauthnError::Other("challenge"));
    }
    if !(expected.origin)(text("origin")) {
        return Err(WebauthnError::Other("origin"));
    }
    // A page within somebody else's page is none that the person sees the address of.
    if data.get("crossOrigin").and_then(Value::as_bool) == Some(true) || data.contains_key("topOrigin") {
        return Err(WebauthnError::Other("origin of the outer page"));
    }
    Ok(())
}

/// Authenticator data (section 6.1).
struct AuthenticatorData {
    flags: u8,
    counter: u32,
    key: Option<(Vec<u8>, Vec<u8>, [u8; 16])>,
}

impl AuthenticatorData {
    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

fn read_data(bytes: &[u8], expected: &Expected<'_>) -> Result<AuthenticatorData> {
    if bytes.len() > LARGEST_DATA {
        return Err(WebauthnError::Malformed("less authenticator data"));
    }
    let mut reader = Reader::new(bytes);
    if reader.array::<32>()? != sha256(expected.rp_id.as_bytes()) {
        return Err(WebauthnError::Other("relying party"));
    }
    let [flags] = reader.array()?;
    let counter = u32::from_be_bytes(reader.array()?);
    let mut data = AuthenticatorData {
        flags,
        counter,
        key: None,
    };
    if !data.has(USER_PRESENT) {
        return Err(WebauthnError::Other("nobody was there"));
    }
    if data.has(BACKED_UP) && !data.has(BACKUP_ELIGIBLE) {
        return Err(WebauthnError::Malformed("flags that fit together"));
    }
    if data.has(ATTESTED) {
        let aaguid = reader.array()?;
        let length = u16::from_be_bytes(reader.array()?);
        let id = reader.take(usize::from(length))?.to_vec();
        let begin = reader.at;
        reader.item(0)?;
        let key = bytes.get(begin..reader.at).unwrap_or_default().to_vec();
        data.key = Some((id, key, aaguid));
    }
    if data.has(EXTENDED) {
        reader.item(0)?;
    }
    if reader.left() > 0 {
        return Err(WebauthnError::Malformed("nothing after authenticator data"));
    }
    Ok(data)
}

/// Checks a new key (section 7.1).
///
/// # Errors
/// Why it was refused.
pub fn register(attestation: &[u8], client_data: &[u8], expected: &Expected<'_>) -> Result<Registered> {
    check_client(client_data, "webauthn.create", expected)?;
    if attestation.len() > LARGEST_ATTESTATION {
        return Err(WebauthnError::Malformed("a smaller attestation"));
    }
    let mut reader = Reader::new(attestation);
    let object = reader.item(0)?;
    if reader.left() > 0 {
        return Err(WebauthnError::Malformed("nothing after the attestation"));
    }
    let Some(Item::Bytes(bytes)) = object.get(&Item::Text("authData".to_owned())) else {
        return Err(WebauthnError::Malformed("authenticator data"));
    };
    let data = read_data(bytes, expected)?;
    let (eligible, backed_up, verified) = (
        data.has(BACKUP_ELIGIBLE),
        data.has(BACKED_UP),
        data.has(USER_VERIFIED),
    );
    let counter = data.counter;
    let (id, public_key, aaguid) = data.key.ok_or(WebauthnError::Malformed("a key"))?;
    if id.is_empty() || id.len() > LONGEST_ID {
        return Err(WebauthnError::Malformed("a credential id within bounds"));
    }
    Key::read(&public_key)?;
    Ok(Registered {
        id,
        public_key,
        aaguid,
        counter,
        eligible,
        backed_up,
        verified,
    })
}

/// Checks a sign-in with a key that is known (section 7.2).
///
/// # Errors
/// Why it was refused.
pub fn sign_in(
    public_key: &[u8],
    counter: u32,
    (data, client_data, signature): (&[u8], &[u8], &[u8]),
    expected: &Expected<'_>,
) -> Result<Signed> {
    check_client(client_data, "webauthn.get", expected)?;
    let read = read_data(data, expected)?;
    let message = [data, &sha256(client_data)].concat();
    Key::read(public_key)?.verify(&message, signature)?;
    if (read.counter > 0 || counter > 0) && read.counter <= counter {
        return Err(WebauthnError::Counter);
    }
    Ok(Signed {
        counter: read.counter,
        backed_up: read.has(BACKED_UP),
        verified: read.has(USER_VERIFIED),
    })
}

/// Bytes of a browser's answer, which come as base64url; `None` when they do not, are none, or more than `most` letters.
#[must_use]
pub fn decode(text: &str, most: usize) -> Option<Vec<u8>> {
    if text.is_empty() || text.len() > most {
        return None;
    }
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// Bytes as browsers want them: base64url.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A public key as it is kept and shown: base64.
#[must_use]
pub fn encode_key(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A public key as it was kept.
#[must_use]
pub fn decode_key(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// An AAGUID as text (RFC 9562 section 4).
#[must_use]
pub fn aaguid_text(aaguid: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in aaguid.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    // What a browser's authenticator said to a recorded server.
    const CREATED: &str = "eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIiwiY2hhbGxlbmdlIjoiQUIzSnpOZW51NXoyWUhYYkNncVg5cjZGX180MXJzSExiYjdydzhMSWxldyIsIm9yaWdpbiI6Imh0dHA6Ly9hcHAuZXhhbXBsZS50ZXN0OjMwMDAiLCJjcm9zc09yaWdpbiI6ZmFsc2V9";
    const ATTESTATION: &str = "o2NmbXRkbm9uZWdhdHRTdG10oGhhdXRoRGF0YVikSZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2NFAAAAAgAAAAAAAAAAAAAAAAAAAAAAIMCej-IJiitMoa2XYayc5RiovBbB2ZbS9E7poWTJUbeIpQECAyYgASFYIBKkoJWjdGTOBeaPXUsAVlwydOdcWS4ysui_Z54N6D0RIlggLqSukbJTU2MdKlv2WG6jviAtiUw6YsB_n3zO81LVcUo";
    const SIGNED: &str = "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0IiwiY2hhbGxlbmdlIjoiQmVheC04THJXSVlqd3kyZklfdG5zSHU4cVlFb05SQzlBc3lFNkFXSUJISSIsIm9yaWdpbiI6Imh0dHA6Ly9hcHAuZXhhbXBsZS50ZXN0OjMwMDAiLCJjcm9zc09yaWdpbiI6ZmFsc2V9";
    const DATA: &str = "SZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2MFAAAABQ";
    const SIGNATURE: &str =
        "MEUCIQCB8ryilXsBhKjTs1VXNgus_rZI5RsV6xV4S0a5-C72eQIgMHOTxX-GH5R320tO54zmS3oKaAsGpXv-BN5jNOgDrd0";
    const REGISTERING: &str = "AB3JzNenu5z2YHXbCgqX9r6F__41rsHLbb7rw8LIlew";
    const SIGNING: &str = "Beax-8LrWIYjwy2fI_tnsHu8qYEoNRC9AsyE6AWIBHI";

    fn bytes(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    fn expected<'a>(challenge: &'a str, origin: &'a dyn Fn(&str) -> bool) -> Expected<'a> {
        Expected {
            challenge,
            rp_id: "localhost",
            origin,
        }
    }

    fn ours(origin: &str) -> bool {
        origin == "http://app.example.test:3000"
    }

    #[test]
    fn section_7_1_a_recorded_registration() {
        let wanted = expected(REGISTERING, &ours);
        let made = register(&bytes(ATTESTATION), &bytes(CREATED), &wanted).unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(&made.id),
            "wJ6P4gmKK0yhrZdhrJzlGKi8FsHZltL0TumhZMlRt4g"
        );
        assert_eq!(
            (made.counter, made.eligible, made.backed_up, made.verified),
            (2, false, false, true)
        );
        assert_eq!(aaguid_text(made.aaguid), "00000000-0000-0000-0000-000000000000");
        let other = |wanted: &Expected<'_>| register(&bytes(ATTESTATION), &bytes(CREATED), wanted);
        assert_eq!(
            other(&expected("AAAA", &ours)),
            Err(WebauthnError::Other("challenge"))
        );
        assert_eq!(
            other(&expected("", &ours)),
            Err(WebauthnError::Other("challenge"))
        );
        assert_eq!(
            other(&expected(REGISTERING, &|_| false)),
            Err(WebauthnError::Other("origin"))
        );
        let elsewhere = Expected {
            rp_id: "example.org",
            ..wanted
        };
        assert_eq!(other(&elsewhere), Err(WebauthnError::Other("relying party")));
        assert_eq!(
            register(&bytes(ATTESTATION), &bytes(SIGNED), &expected(SIGNING, &ours)),
            Err(WebauthnError::Other("type"))
        );
    }

    #[test]
    fn section_7_2_a_recorded_sign_in() {
        let made = register(
            &bytes(ATTESTATION),
            &bytes(CREATED),
            &expected(REGISTERING, &ours),
        )
        .unwrap();
        let wanted = expected(SIGNING, &ours);
        let (data, client, signature) = (bytes(DATA), bytes(SIGNED), bytes(SIGNATURE));
        let signed = sign_in(&made.public_key, 2, (&data, &client, &signature), &wanted).unwrap();
        assert_eq!((signed.counter, signed.verified), (5, true));
        assert_eq!(
            sign_in(&made.public_key, 5, (&data, &client, &signature), &wanted),
            Err(WebauthnError::Counter)
        );
        for at in 0..signature.len() {
            let mut broken = signature.clone();
            broken[at] ^= 1;
            assert!(sign_in(&made.public_key, 2, (&data, &client, &broken), &wanted).is_err());
        }
        // Every changed bit of the data is found out, by its meaning or by the signature.
        for at in 0..data.len() {
            let mut broken = data.clone();
            broken[at] ^= 1;
            assert!(
                sign_in(&made.public_key, 2, (&broken, &client, &signature), &wanted).is_err(),
                "{at}"
            );
        }
    }

    #[test]
    fn rfc9053_keys_of_each_kind_and_no_others() {
        let random = SystemRandom::new();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let point = pair.public_key().as_ref();
        let ed25519 = [
            &[0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20],
            point,
        ]
        .concat();
        let key = Key::read(&ed25519).unwrap();
        assert_eq!(key.verify(b"message", pair.sign(b"message").as_ref()), Ok(()));
        assert_eq!(
            key.verify(b"another", pair.sign(b"message").as_ref()),
            Err(WebauthnError::Signature)
        );
        let modulus = {
            let mut modulus = [0xa5_u8; 256];
            modulus[255] = 1;
            modulus
        };
        let rsa = [
            &[0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20, 0x59, 0x01, 0x00][..],
            &modulus,
            &[0x21, 0x43, 1, 0, 1],
        ]
        .concat();
        assert!(Key::read(&rsa).is_ok());
        let mut small = ed25519.clone();
        small.truncate(10);
        small.extend([0; 32]);
        let zero_point = [
            &[0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20][..],
            &[0; 32],
            &[0x22, 0x58, 0x20],
            &[0; 32],
        ]
        .concat();
        let mut long = ed25519.clone();
        long.push(0);
        // An OKP key that says ES256, a key on no curve, points of small order, something after the key.
        let mut other = ed25519.clone();
        other[4] = 0x26;
        for bad in [small, zero_point, long, other, vec![], vec![0xa0], vec![0xff]] {
            assert!(Key::read(&bad).is_err(), "{bad:02x?}");
        }
    }

    #[test]
    fn rfc8949_odd_bytes_are_refused() {
        for bad in [
            &[][..],
            &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x9b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            &[0xbb, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            &[0x9f, 0xff],
            &[0x5f, 0xff],
            &[0xa2, 0x01, 0x01, 0x01, 0x02],
            &[0xc0, 0x01],
            &[0x62, 0xff, 0xff],
            &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert!(Reader::new(bad).item(0).is_err(), "{bad:02x?}");
        }
        assert!(Reader::new(&[0x81; 100]).item(0).is_err(), "nested too deep");
        // Whatever is cut off, nothing panics.
        let whole = bytes(ATTESTATION);
        let wanted = expected(REGISTERING, &ours);
        for end in 0..whole.len() {
            assert!(register(&whole[..end], &bytes(CREATED), &wanted).is_err());
        }
    }

    #[test]
    fn section_6_1_flags_count() {
        let data = |flags: u8| [sha256(b"localhost").as_slice(), &[flags, 0, 0, 0, 1]].concat();
        let wanted = expected(SIGNING, &ours);
        assert!(read_data(&data(1), &wanted).is_ok());
        for flags in [0, USER_VERIFIED, 1 | BACKED_UP, 1 | ATTESTED, 1 | EXTENDED] {
            assert!(read_data(&data(flags), &wanted).is_err(), "{flags:08b}");
        }
        let framed = br#"{"type":"webauthn.get","challenge":"x","origin":"http://app.example.test:3000","crossOrigin":true}"#;
        assert!(check_client(framed, "webauthn.get", &expected("x", &ours)).is_err());
        let twice = br#"{"type":"webauthn.get","challenge":"x","challenge":"y","origin":"http://app.example.test:3000"}"#;
        assert!(check_client(twice, "webauthn.get", &expected("y", &ours)).is_err());
    }
}
