//! Public keys as JSON Web Keys (RFC 7517; RFC 7518, section 6; RFC 8037, section 2) and their thumbprints (RFC 7638).
//!
//! A [`Jwk`] has no place for a private member, so none can be published by mistake. One that comes in with private
//! members is refused and not trimmed: who sends it has given the key away and should hear of it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::strict::{Strict, parse_object};
use super::{Algorithm, JoseError, KeyType, MAX_KEYS, MAX_SET_LEN, Result, Verifier};
use crate::token::sha256;

/// Longest `kid`, `alg`, `use` that is kept, in bytes.
const MAX_NAME_LEN: usize = 256;
/// The private members of RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public signature key, checked: the right size, and on its curve.
#[derive(Clone, PartialEq, Eq)]
pub struct Jwk {
    material: Material,
    kid: Option<String>,
    /// As it was given; a key for encryption may name an algorithm that is unknown here.
    alg: Option<String>,
    usage: Option<String>,
    operations: Option<Vec<String>>,
}

/// The numbers of a public key, big-endian.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256 { x: [u8; 32], y: [u8; 32] },
    P384 { x: [u8; 48], y: [u8; 48] },
    Ed25519 { x: [u8; 32] },
}

impl Jwk {
    /// Wraps the public half of one of our keys, with its thumbprint as `kid`.
    pub(super) fn ours(material: Material, algorithm: Algorithm) -> Self {
        let mut key = Self {
            material,
            kid: None,
            alg: Some(algorithm.to_string()),
            usage: Some("sig".to_owned()),
            operations: None,
        };
        key.kid = Some(key.thumbprint());
        key
    }

    /// Reads one key from JSON text.
    ///
    /// # Errors
    ///
    /// [`JoseError::PrivateKey`] for a private or symmetric key, [`JoseError::BadKey`] for one that is too small, not on
    /// its curve or of an unknown type, [`JoseError::Malformed`], [`JoseError::Duplicate`], [`JoseError::TooLarge`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_SET_LEN {
            return Err(JoseError::TooLarge);
        }
        Self::from_members(&parse_object(bytes)?)
    }

    /// Reads one key from the members of a JSON object, as the `jwk` header of a DPoP proof brings it (RFC 9449).
    ///
    /// # Errors
    ///
    /// As [`Jwk::parse`].
    pub fn from_members(members: &Map<String, Value>) -> Result<Self> {
        if PRIVATE_MEMBERS
            .iter()
            .any(|private| members.contains_key(*private))
        {
            return Err(JoseError::PrivateKey);
        }
        let name = |member| short_text(members, member);
        let material = match (required(name("kty")?)?, name("crv")?) {
            ("RSA", _) => Material::rsa(number(members, "n")?, number(members, "e")?)?,
            ("EC", Some("P-256")) => Material::P256 {
                x: coordinate(members, "x")?,
                y: coordinate(members, "y")?,
            },
            ("EC", Some("P-384")) => Material::P384 {
                x: coordinate(members, "x")?,
                y: coordinate(members, "y")?,
            },
            ("OKP", Some("Ed25519")) => Material::Ed25519 {
                x: coordinate(members, "x")?,
            },
            _ => {
                return Err(JoseError::BadKey(
                    "expected RSA, EC on P-256 or P-384, or OKP on Ed25519",
                ));
            }
        };
        let key = Self {
            material,
            kid: name("kid")?.map(ToOwned::to_owned),
            alg: name("alg")?.map(ToOwned::to_owned),
            usage: name("use")?.map(ToOwned::to_owned),
            operations: operations(members)?,
        };
        Verifier::from_jwk(&key)?;
        Ok(key)
    }

    /// The key's name in its set.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What kind of key it is.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        match self.material {
            Material::Rsa { .. } => KeyType::Rsa,
            Material::P256 { .. } => KeyType::P256,
            Material::P384 { .. } => KeyType::P384,
            Material::Ed25519 { .. } => KeyType::Ed25519,
        }
    }

    /// The algorithm that the key says it is for, when it says so and the algorithm is known here.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.alg.as_deref()?.parse().ok()
    }

    /// Whether a signature with `algorithm` may be checked with this key: the type fits, and `alg`, `use` and `key_ops`,
    /// where given, say nothing else (RFC 7517, sections 4.2 to 4.4).
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.key_type() == algorithm.key_type()
            && self.alg.as_deref().is_none_or(|alg| alg == algorithm.as_str())
            && self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self
                .operations
                .as_ref()
                .is_none_or(|list| list.iter().any(|operation| operation == "verify"))
    }

    /// The thumbprint: base64url of the SHA-256 of the required members in their canonical form (RFC 7638, section 3).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let mut canonical = String::from("{");
        for (name, value) in self.material.members() {
            if canonical.len() > 1 {
                canonical.push(',');
            }
            canonical.push('"');
            canonical.push_str(name);
            canonical.push_str("\":\"");
            canonical.push_str(&value);
            canonical.push('"');
        }
        canonical.push('}');
        URL_SAFE_NO_PAD.encode(sha256(canonical.as_bytes()))
    }

    pub(super) fn material(&self) -> &Material {
        &self.material
    }
}

impl Material {
    /// Checks an RSA public key: minimal numbers (RFC 7518, section 2), 2048 to 8192 bits, an odd exponent of at least
    /// 3 and at most 32 bits.
    pub(super) fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Self> {
        if n.first() == Some(&0) || e.first() == Some(&0) {
            return Err(JoseError::BadKey("an RSA number has leading zeros"));
        }
        let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
        if !(2048..=8192).contains(&bits) {
            return Err(JoseError::BadKey("expected an RSA key of 2048 to 8192 bits"));
        }
        let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        if !odd(&n) || !odd(&e) || e.len() > 4 || e == [1] {
            return Err(JoseError::BadKey("not an RSA modulus and exponent"));
        }
        Ok(Self::Rsa { n, e })
    }

    /// The required members in lexicographic order, as RFC 7638, section 3.2 wants them.
    fn members(&self) -> Vec<(&'static str, String)> {
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let fixed = str::to_owned;
        match self {
            Self::Rsa { n, e } => vec![("e", encoded(e)), ("kty", fixed("RSA")), ("n", encoded(n))],
            Self::P256 { x, y } => {
                vec![
                    ("crv", fixed("P-256")),
                    ("kty", fixed("EC")),
                    ("x", encoded(x)),
                    ("y", encoded(y)),
                ]
            }
            Self::P384 { x, y } => {
                vec![
                    ("crv", fixed("P-384")),
                    ("kty", fixed("EC")),
                    ("x", encoded(x)),
                    ("y", encoded(y)),
                ]
            }
            Self::Ed25519 { x } => vec![
                ("crv", fixed("Ed25519")),
                ("kty", fixed("OKP")),
                ("x", encoded(x)),
            ],
        }
    }
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Jwk");
        shown
            .field("type", &self.key_type())
            .field("kid", &self.kid)
            .field("alg", &self.alg);
        shown.finish_non_exhaustive()
    }
}

impl Serialize for Jwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.material.members() {
            map.serialize_entry(name, &value)?;
        }
        for (name, value) in [("kid", &self.kid), ("alg", &self.alg), ("use", &self.usage)] {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        if let Some(operations) = &self.operations {
            map.serialize_entry("key_ops", operations)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Jwk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        match Strict::deserialize(deserializer)? {
            Strict(Value::Object(members)) => Self::from_members(&members).map_err(D::Error::custom),
            _ => Err(D::Error::custom("expected a JSON Web Key")),
        }
    }
}

/// A set of public keys (RFC 7517, section 5): at most 50 of them, at most 64 KiB of JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    keys: Vec<Jwk>,
    #[serde(skip)]
    ignored: usize,
}

impl JwkSet {
    /// A set of these keys.
    ///
    /// # Errors
    ///
    /// [`JoseError::TooLarge`] beyond 50.
    pub fn new(keys: Vec<Jwk>) -> Result<Self> {
        if keys.len() > MAX_KEYS {
            return Err(JoseError::TooLarge);
        }
        Ok(Self { keys, ignored: 0 })
    }

    /// Reads a set from JSON text. Keys of unknown types, too small or for symmetric use are left out, as RFC 7517,
    /// section 5 says ([`JwkSet::ignored`] counts them); a private key refuses the whole set.
    ///
    /// # Errors
    ///
    /// [`JoseError::TooLarge`], [`JoseError::Malformed`], [`JoseError::Duplicate`], [`JoseError::PrivateKey`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_SET_LEN {
            return Err(JoseError::TooLarge);
        }
        Self::from_members(&parse_object(bytes)?)
    }

    fn from_members(members: &Map<String, Value>) -> Result<Self> {
        let Some(Value::Array(list)) = members.get("keys") else {
            return Err(JoseError::Malformed("expected an object with an array \"keys\""));
        };
        if list.len() > MAX_KEYS {
            return Err(JoseError::TooLarge);
        }
        let mut set = Self::default();
        for entry in list {
            let Value::Object(key) = entry else {
                return Err(JoseError::Malformed("expected objects in \"keys\""));
            };
            let symmetric = key.get("kty").is_some_and(|kty| kty == "oct");
            match Jwk::from_members(key) {
                Ok(key) => set.keys.push(key),
                Err(JoseError::PrivateKey) if !symmetric => return Err(JoseError::PrivateKey),
                Err(_) => set.ignored += 1,
            }
        }
        Ok(set)
    }

    /// The keys, in the order of the set.
    #[must_use]
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// How many keys of the text were left out.
    #[must_use]
    pub fn ignored(&self) -> usize {
        self.ignored
    }
}

impl<'de> Deserialize<'de> for JwkSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        match Strict::deserialize(deserializer)? {
            Strict(Value::Object(members)) => Self::from_members(&members).map_err(D::Error::custom),
            _ => Err(D::Error::custom("expected a JSON Web Key Set")),
        }
    }
}

fn required<T>(value: Option<T>) -> Result<T> {
    value.ok_or(JoseError::Malformed("a required member of the key is missing"))
}

fn short_text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if text.len() <= MAX_NAME_LEN => Ok(Some(text)),
        Some(_) => Err(JoseError::Malformed("a member of the key is not a short string")),
    }
}

fn operations(members: &Map<String, Value>) -> Result<Option<Vec<String>>> {
    const WRONG: JoseError = JoseError::Malformed("key_ops is not a short list of strings");
    let Some(value) = members.get("key_ops") else {
        return Ok(None);
    };
    let list = value.as_array().filter(|list| list.len() <= 8).ok_or(WRONG)?;
    let texts = list.iter().map(|item| {
        item.as_str()
            .filter(|text| text.len() <= 64)
            .map(ToOwned::to_owned)
    });
    texts.collect::<Option<Vec<_>>>().map(Some).ok_or(WRONG)
}

fn number(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>> {
    let text = required(members.get(name).and_then(Value::as_str))?;
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| JoseError::Malformed("a number of the key is not base64url"))?;
    (!bytes.is_empty())
        .then_some(bytes)
        .ok_or(JoseError::Malformed("a number of the key is empty"))
}

/// Exactly as long as the curve's field (RFC 7518, section 6.2.1.2).
fn coordinate<const N: usize>(members: &Map<String, Value>, name: &str) -> Result<[u8; N]> {
    number(members, name)?
        .try_into()
        .map_err(|_| JoseError::BadKey("a coordinate has the wrong length"))
}
