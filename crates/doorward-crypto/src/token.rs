//! Opaque tokens, their digests, and the short codes that people read and type.
//!
//! What lives here: minting from random bytes that the caller brings, digests, comparison in constant time, the
//! wrapper that keeps secrets out of `Debug`. What must not: a source of randomness, and what a token means.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use crate::jose::Algorithm;

/// What an opaque token is for; it shows in the first letters, so that leaked ones are recognised (by people, and by
/// secret scanners).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// The session cookie.
    Session,
    /// An authorization code (RFC 6749, section 4.1.2).
    Code,
    /// An opaque access token.
    Access,
    /// A refresh token.
    Refresh,
    /// A device code (RFC 8628, section 3.2).
    Device,
    /// A pushed authorization request (RFC 9126).
    Pushed,
    /// A client secret.
    ClientSecret,
    /// The one-time set-up or recovery link.
    Setup,
    /// A token for the admin API.
    Api,
    /// An app password: what a program of a user shows at sites behind forward auth.
    AppPassword,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Session,
        Self::Code,
        Self::Access,
        Self::Refresh,
        Self::Device,
        Self::Pushed,
        Self::ClientSecret,
        Self::Setup,
        Self::Api,
        Self::AppPassword,
    ];

    /// The letters before the underscore.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Session => "dws",
            Self::Code => "dwc",
            Self::Access => "dwa",
            Self::Refresh => "dwr",
            Self::Device => "dwd",
            Self::Pushed => "dwp",
            Self::ClientSecret => "dwx",
            Self::Setup => "dwl",
            Self::Api => "dwt",
            Self::AppPassword => "dwk",
        }
    }

    /// The kind of a text that is shaped like one of our tokens: known prefix, underscore, base64url of 32 bytes.
    ///
    /// Says nothing about whether such a token was ever issued.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let (prefix, body) = text.split_once('_')?;
        let kind = Self::ALL.into_iter().find(|kind| kind.prefix() == prefix)?;
        let mut bytes = Zeroizing::new([0u8; 33]);
        let len =
            (body.len() == 43).then(|| URL_SAFE_NO_PAD.decode_slice(body, bytes.as_mut_slice()).ok())??;
        (len == 32).then_some(kind)
    }
}

/// A freshly minted opaque token: shown to its holder once, stored as its digest only.
#[derive(Clone)]
pub struct Opaque {
    kind: TokenKind,
    text: SecretText,
}

impl Opaque {
    /// Makes a token from 32 fresh random bytes: `<prefix>_<43 characters of base64url>`.
    #[must_use]
    pub fn mint(kind: TokenKind, random: &[u8; 32]) -> Self {
        let mut text = String::with_capacity(47);
        text.push_str(kind.prefix());
        text.push('_');
        URL_SAFE_NO_PAD.encode_string(random, &mut text);
        Self {
            kind,
            text: SecretText::new(text),
        }
    }

    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The text that the holder gets.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.expose()
    }

    /// What is stored.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest(self.text())
    }

    /// Gives up the digest's side and keeps the text.
    #[must_use]
    pub fn into_secret(self) -> SecretText {
        self.text
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opaque")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// SHA-256 of a high-entropy token: what the database knows of it.
///
/// Compared with `==`: who can choose the input of SHA-256 learns nothing useful from the time that takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From 32 bytes as they come out of the database.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// 64 lower-case hex digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(&self.0)
    }

    /// From 64 hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        unhex::<32>(text).map(Self)
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    /// The first four bytes, enough to tell two apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Digest({}…)", hex(&[a, b, c, d]))
    }
}

/// The digest of a token's whole text, prefix included.
#[must_use]
pub fn digest(text: &str) -> Digest {
    Digest(sha256(text.as_bytes()))
}

/// SHA-256 of several texts, each with its length in front, so that no two lists of texts look the same.
#[must_use]
pub fn digest_of_parts(parts: &[&str]) -> Digest {
    let mut context = digest::Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut bytes = [0u8; 32];
    for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    Digest(bytes)
}

/// Whether two byte strings are equal, in a time that depends on their lengths only.
#[must_use]
pub fn constant_eq(a: &[u8], b: &[u8]) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}

/// Text that must not show up in logs: no content in `Debug`, no `Display`, no `Serialize`, wiped when dropped,
/// compared in constant time.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// Takes the text in.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text. The name is there to be searched for.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        constant_eq(self.0.as_bytes(), other.0.as_bytes())
    }
}

impl Eq for SecretText {}

impl Drop for SecretText {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The letters of user codes: no vowels, so no words, and nothing that looks like a digit (RFC 8628, section 6.1).
const USER_LETTERS: [char; 20] = [
    'B', 'C', 'D', 'F', 'G', 'H', 'J', 'K', 'L', 'M', 'N', 'P', 'Q', 'R', 'S', 'T', 'V', 'W', 'X', 'Z',
];

/// The code that a person types on the device page: `XXXX-XXXX`, 20^8 possibilities (RFC 8628, section 6.1).
///
/// The 16 random bytes are read as one number; taking it modulo 20^8 favours no code by more than one in 2^93.
#[must_use]
pub fn user_code(random: &[u8; 16]) -> String {
    grouped(&USER_LETTERS, u128::from_be_bytes(*random))
}

/// Reads a user code as people type it (any case, with or without dash and spaces) into the form of [`user_code`].
#[must_use]
pub fn normalise_user_code(input: &str) -> Option<String> {
    let letters = typed_characters(input)?;
    spelled(&USER_LETTERS, &letters)
}

/// Crockford's base32: no I, L, O, U.
const CROCKFORD: [char; 32] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'J', 'K', 'M',
    'N', 'P', 'Q', 'R', 'S', 'T', 'V', 'W', 'X', 'Y', 'Z',
];

/// The code on a refusal, for `doorward explain`: `DW-7K2M-41XQ`, 40 random bits.
#[must_use]
pub fn short_code(random: &[u8; 8]) -> String {
    format!(
        "DW-{}",
        grouped(&CROCKFORD, u128::from(u64::from_be_bytes(*random)))
    )
}

/// Reads a refusal code as people type it: any case, with or without `DW` and dashes, I and L for 1, O for 0.
#[must_use]
pub fn normalise_short_code(input: &str) -> Option<String> {
    let mut typed = typed_characters(input)?;
    if typed.len() == 10 && typed.starts_with(&['D', 'W']) {
        typed.drain(..2);
    }
    for letter in &mut typed {
        *letter = match *letter {
            'I' | 'L' => '1',
            'O' => '0',
            other => other,
        };
    }
    spelled(&CROCKFORD, &typed).map(|code| format!("DW-{code}"))
}

/// Eight characters in two groups, the digits of `number` in the alphabet's base.
fn grouped<const N: usize>(alphabet: &[char; N], mut number: u128) -> String {
    let mut text = String::with_capacity(9);
    for position in 0..8 {
        if position == 4 {
            text.push('-');
        }
        let digit = usize::try_from(number % N as u128).unwrap_or_default();
        text.extend(alphabet.get(digit));
        number /= N as u128;
    }
    text
}

/// Upper-case letters and digits of a short input; `None` when anything else than dashes and spaces is in between.
fn typed_characters(input: &str) -> Option<Vec<char>> {
    if input.len() > 64 {
        return None;
    }
    let separators = ['-', ' ', '\t', '_', '.', '\u{2010}', '\u{2011}', '\u{2013}'];
    let typed = input
        .trim()
        .chars()
        .filter(|character| !separators.contains(character));
    typed
        .map(|character| {
            character
                .is_ascii_alphanumeric()
                .then(|| character.to_ascii_uppercase())
        })
        .collect()
}

fn spelled(alphabet: &[char], typed: &[char]) -> Option<String> {
    let (first, second) = typed.split_at_checked(4)?;
    let known = second.len() == 4 && typed.iter().all(|character| alphabet.contains(character));
    known.then(|| first.iter().chain(&['-']).chain(second).collect())
}

/// The code challenge of a code verifier: base64url(SHA-256(verifier)) (RFC 7636, section 4.2).
#[must_use]
pub fn pkce_s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()))
}

/// The value of `at_hash` or `c_hash`: base64url of the left half of the hash that belongs to the ID token's algorithm
/// (OpenID Connect Core 1.0, sections 3.1.3.6 and 3.3.2.11). Ed25519 uses SHA-512, the hash inside of it.
#[must_use]
pub fn half_hash(algorithm: Algorithm, text: &str) -> String {
    let hash = match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => &SHA256,
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &SHA384,
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => &SHA512,
    };
    let whole = digest::digest(hash, text.as_bytes());
    let whole = whole.as_ref();
    URL_SAFE_NO_PAD.encode(whole.get(..whole.len() / 2).unwrap_or_default())
}

/// SHA-256 as 64 lower-case hex digits.
#[must_use]
pub fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    hex(&sha256(bytes.as_ref()))
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&SHA256, bytes).as_ref());
    out
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Exactly `N` bytes from hex of either case.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (slot, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *slot = unhex_byte(pair)?;
    }
    Some(out)
}

/// A byte from its two digits, in either case.
pub(crate) fn unhex_byte(pair: &[u8]) -> Option<u8> {
    let nibble = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let [high, low] = pair else { return None };
    Some(nibble(high)? << 4 | nibble(low)?)
}
