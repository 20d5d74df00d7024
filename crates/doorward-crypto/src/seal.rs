//! Sealing: values that must be read back, but only by this installation and only for the purpose they were made for.
//!
//! What lives here: the keyring (which is kept outside of the database), authenticated encryption with it, keys
//! derived from it, and sealing with a token that only its holder has. What must not: files. The caller reads and
//! writes the key file's text.
//!
//! A sealed value is
//!
//! ```text
//! version (1) | key id (8) | salt (16) | nonce (12) | AES-256-GCM ciphertext | tag (16)
//! ```
//!
//! Its key is HKDF-SHA256 (RFC 5869) of the master key, with that salt, and the purpose as info; everything before
//! the ciphertext, and the purpose, are authenticated too. As each value has a key of its own, the number of values
//! under one master key is not limited by the 96-bit nonce (NIST SP 800-38D, section 8.3).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::token::hex;

/// Version byte of values sealed with the keyring.
const KEYRING_VERSION: u8 = 1;
/// Version byte of values sealed with a token.
const TOKEN_VERSION: u8 = 2;
const ID_LEN: usize = 8;
const SALT_LEN: usize = 16;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
const KEY_LEN: usize = 32;
/// Most keys that a keyring holds.
const MAX_KEYS: usize = 16;
/// Largest key file.
const MAX_KEY_FILE: usize = 16 * 1024;
/// Longest text that [`Keyring::open_text`] looks at: a cookie or a form field, not a document.
const MAX_SEALED_TEXT: usize = 64 * 1024;
const KEY_LINE_PREFIX: &str = "dwk1_";

/// What the derived keys are separated by, so that no purpose of one use equals one of another.
const INFO_KEY_ID: &str = "doorward/key-id/1";
const INFO_DERIVE: &str = "doorward/derive/1";
const INFO_SEAL: &str = "doorward/seal/1";
const INFO_TOKEN: &str = "doorward/token-seal/1";

/// Why a sealed value was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Too short, of an unknown version, or not base64url.
    #[error("this is not a sealed value")]
    Malformed,
    /// Sealed under a key that is not in the keyring (any more).
    #[error("sealed with a key that is not in the key file")]
    UnknownKey,
    /// Changed since, or sealed for another purpose, or with another token.
    #[error("the sealed value is not authentic")]
    NotAuthentic,
}

/// Why a key file was refused. Never shows what is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// There is no key in it.
    #[error("the key file holds no key; expected lines of {KEY_LINE_PREFIX} and 43 characters")]
    Empty,
    /// A line is neither empty, nor a comment, nor a key.
    #[error(
        "line {0} of the key file is not a key; expected {KEY_LINE_PREFIX} and 43 characters of base64url"
    )]
    Line(usize),
    /// The same key stands on two lines.
    #[error("line {0} of the key file repeats a key")]
    Repeated(usize),
    /// More keys than a keyring holds, or a file larger than any key file.
    #[error("the key file is too large; expected at most {MAX_KEYS} keys")]
    TooLarge,
}

/// The name of a master key: eight bytes derived from it, safe to show and to store beside what it sealed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; ID_LEN]);

impl KeyId {
    /// The eight bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; ID_LEN] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Clone)]
struct MasterKey {
    id: KeyId,
    bytes: Zeroizing<[u8; KEY_LEN]>,
}

impl MasterKey {
    fn new(bytes: [u8; KEY_LEN]) -> Self {
        let bytes = Zeroizing::new(bytes);
        let whole = hkdf_sha256(&[], bytes.as_slice(), &[INFO_KEY_ID.as_bytes()]);
        let mut id = [0; ID_LEN];
        for (to, from) in id.iter_mut().zip(whole.iter()) {
            *to = *from;
        }
        Self { id: KeyId(id), bytes }
    }
}

/// The master keys: the primary one, which seals, and older ones, which still open. Wiped when dropped; `Debug` shows
/// ids only.
#[derive(Clone)]
pub struct Keyring {
    primary: MasterKey,
    older: Vec<MasterKey>,
}

impl Keyring {
    /// A keyring of one key made of 32 fresh random bytes.
    #[must_use]
    pub fn new(primary: [u8; 32]) -> Self {
        Self {
            primary: MasterKey::new(primary),
            older: Vec::new(),
        }
    }

    /// Makes `primary` the key that seals from now on; the one so far stays to open what it sealed.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::Repeated`] when the key is in the ring already, [`KeyFileError::TooLarge`] when the ring is
    /// full.
    pub fn rotate(&mut self, primary: [u8; 32]) -> Result<(), KeyFileError> {
        let key = MasterKey::new(primary);
        if self.find(key.id).is_some() {
            return Err(KeyFileError::Repeated(1));
        }
        if self.older.len() + 2 > MAX_KEYS {
            return Err(KeyFileError::TooLarge);
        }
        let former = std::mem::replace(&mut self.primary, key);
        self.older.insert(0, former);
        Ok(())
    }

    /// Drops an older key. What is still sealed with it cannot be opened any more. Says whether it was there.
    pub fn retire(&mut self, id: KeyId) -> bool {
        let before = self.older.len();
        self.older.retain(|key| key.id != id);
        self.older.len() != before
    }

    /// Reads a key file: one key per line, the primary one first; empty lines and lines starting with `#` are skipped.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`] with the line's number, never its content.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        if text.len() > MAX_KEY_FILE {
            return Err(KeyFileError::TooLarge);
        }
        let mut keys: Vec<MasterKey> = Vec::new();
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = key_line(line)
                .map(|bytes| MasterKey::new(*bytes))
                .ok_or(KeyFileError::Line(number))?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(KeyFileError::Repeated(number));
            }
            if keys.len() == MAX_KEYS {
                return Err(KeyFileError::TooLarge);
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let primary = keys.next().ok_or(KeyFileError::Empty)?;
        Ok(Self {
            primary,
            older: keys.collect(),
        })
    }

    /// The key file's text, as [`Keyring::parse`] reads it, with a comment for whoever opens it.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(320 + (self.older.len() + 1) * 96));
        text.push_str(
            "# Doorward's master keys. Who has this file and the database has every secret in it:\n",
        );
        text.push_str("# keep it readable to the server only, and back it up apart from the database.\n");
        text.push_str("# The first key seals; the others open what they sealed before.\n");
        for key in self.keys() {
            text.push_str("# ");
            text.push_str(&hex(&key.id.0));
            text.push('\n');
            text.push_str(KEY_LINE_PREFIX);
            URL_SAFE_NO_PAD.encode_string(key.bytes.as_slice(), &mut text);
            text.push('\n');
        }
        text
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn primary_id(&self) -> KeyId {
        self.primary.id
    }

    /// All ids, the primary one first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys().map(|key| key.id)
    }

    /// Seals `plaintext` for `purpose`, which names one kind of value in one place (`"signing-key"`,
    /// `"attempt-cookie"`), and may name the row too, so that values cannot be moved between rows.
    ///
    /// `random` is 28 fresh random bytes: salt and nonce. The lengths being fixed by types, this fails only for a
    /// plaintext beyond AES-GCM's 64 GiB, which no caller can hold; the answer would then be empty, and never open.
    #[must_use]
    pub fn seal(&self, purpose: &str, random: &[u8; 28], plaintext: &[u8]) -> Vec<u8> {
        let mut header = [0; 1 + ID_LEN + SALT_LEN + NONCE_LEN];
        let parts = [KEYRING_VERSION]
            .into_iter()
            .chain(self.primary.id.0)
            .chain(*random);
        header.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        let info = [INFO_SEAL, purpose];
        encrypt(self.primary.bytes.as_slice(), &header, random, info, plaintext).unwrap_or_default()
    }

    /// Opens what [`Keyring::seal`] sealed for the same purpose, under any key of the ring.
    ///
    /// # Errors
    ///
    /// [`SealError`]; tell the cases apart in logs, not to strangers.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let id = Self::sealed_by(sealed).ok_or(SealError::Malformed)?;
        let key = self.find(id).ok_or(SealError::UnknownKey)?;
        decrypt(key.bytes.as_slice(), 1 + ID_LEN, [INFO_SEAL, purpose], sealed)
    }

    /// Which key sealed this, when it is a value sealed by some keyring; to find what has to be sealed again after
    /// a rotation.
    #[must_use]
    pub fn sealed_by(sealed: &[u8]) -> Option<KeyId> {
        let (version, rest) = sealed.split_first()?;
        let (id, rest) = rest.split_first_chunk()?;
        let whole = *version == KEYRING_VERSION && rest.len() >= SALT_LEN + NONCE_LEN + TAG_LEN;
        whole.then_some(KeyId(*id))
    }

    /// [`Keyring::seal`] as base64url without padding, for cookies and form fields.
    #[must_use]
    pub fn seal_text(&self, purpose: &str, random: &[u8; 28], plaintext: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.seal(purpose, random, plaintext))
    }

    /// Opens what [`Keyring::seal_text`] made.
    ///
    /// # Errors
    ///
    /// [`SealError::Malformed`] also for a text over 64 KiB.
    pub fn open_text(&self, purpose: &str, sealed: &str) -> Result<Vec<u8>, SealError> {
        if sealed.len() > MAX_SEALED_TEXT {
            return Err(SealError::Malformed);
        }
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| SealError::Malformed)?;
        self.open(purpose, &sealed)
    }

    /// A key for another use (a MAC, hashed subjects), from the primary key: it changes when the keyring is rotated.
    /// What must survive rotation is stored sealed instead, or looked up with [`Keyring::derive_each`].
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        derived(&self.primary, purpose)
    }

    /// [`Keyring::derive`] for every key of the ring, the primary one first.
    pub fn derive_each(&self, purpose: &str) -> impl Iterator<Item = [u8; 32]> {
        self.keys().map(move |key| derived(key, purpose))
    }

    fn keys(&self) -> impl Iterator<Item = &MasterKey> {
        std::iter::once(&self.primary).chain(&self.older)
    }

    fn find(&self, id: KeyId) -> Option<&MasterKey> {
        self.keys().find(|key| key.id == id)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring")
            .field(&self.ids().collect::<Vec<_>>())
            .finish()
    }
}

/// Seals `plaintext` so that only who presents `token` can open it; the database, with the token's digest, cannot.
///
/// `token` is one of our opaque tokens (32 random bytes): nothing slows down guessing here, so never a password.
/// `random` is 28 fresh random bytes. For the answer of a refresh that is given again within its grace period.
#[must_use]
pub fn seal_with_token(token: &str, random: &[u8; 28], plaintext: &[u8]) -> Vec<u8> {
    let mut header = [0; 1 + SALT_LEN + NONCE_LEN];
    let parts = [TOKEN_VERSION].into_iter().chain(*random);
    header.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    encrypt(token.as_bytes(), &header, random, [INFO_TOKEN, ""], plaintext).unwrap_or_default()
}

/// Opens what [`seal_with_token`] sealed with the same token.
///
/// # Errors
///
/// [`SealError::Malformed`] or [`SealError::NotAuthentic`].
pub fn open_with_token(token: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    if sealed.first() != Some(&TOKEN_VERSION) {
        return Err(SealError::Malformed);
    }
    decrypt(token.as_bytes(), 1, [INFO_TOKEN, ""], sealed)
}

fn key_line(line: &str) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let text = line
        .strip_prefix(KEY_LINE_PREFIX)
        .filter(|text| text.len() == 43)?;
    let mut bytes = Zeroizing::new([0; KEY_LEN + 1]);
    let len = URL_SAFE_NO_PAD.decode_slice(text, bytes.as_mut_slice()).ok()?;
    let (key, _) = bytes.split_first_chunk()?;
    (len == KEY_LEN && *key != [0; KEY_LEN]).then(|| Zeroizing::new(*key))
}

fn derived(key: &MasterKey, purpose: &str) -> [u8; 32] {
    *hkdf_sha256(
        &[],
        key.bytes.as_slice(),
        &[INFO_DERIVE.as_bytes(), &[0], purpose.as_bytes()],
    )
}

/// Salt and nonce out of 28 random bytes.
fn salt_and_nonce(random: &[u8]) -> Option<([u8; SALT_LEN], [u8; NONCE_LEN])> {
    let (salt, nonce) = random.split_first_chunk()?;
    Some((*salt, nonce.try_into().ok()?))
}

fn message_key(secret: &[u8], salt: &[u8], [label, purpose]: [&str; 2]) -> Option<LessSafeKey> {
    let key = hkdf_sha256(salt, secret, &[label.as_bytes(), &[0], purpose.as_bytes()]);
    UnboundKey::new(&AES_256_GCM, key.as_slice())
        .ok()
        .map(LessSafeKey::new)
}

/// `header | ciphertext | tag`, with `header | purpose` authenticated (the header's length is fixed by its version).
fn encrypt(
    secret: &[u8],
    header: &[u8],
    random: &[u8; 28],
    info: [&str; 2],
    plaintext: &[u8],
) -> Option<Vec<u8>> {
    let (salt, nonce) = salt_and_nonce(random)?;
    let key = message_key(secret, &salt, info)?;
    let mut out = Vec::with_capacity(header.len() + plaintext.len() + TAG_LEN);
    out.extend_from_slice(header);
    out.extend_from_slice(plaintext);
    let aad = Aad::from([header, info[1].as_bytes()].concat());
    let body = out.get_mut(header.len()..)?;
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, body)
        .ok()?;
    out.extend_from_slice(tag.as_ref());
    Some(out)
}

/// The other way; `skip` is the length of what stands before the salt.
fn decrypt(secret: &[u8], skip: usize, info: [&str; 2], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let header_len = skip + SALT_LEN + NONCE_LEN;
    let (header, body) = sealed.split_at_checked(header_len).ok_or(SealError::Malformed)?;
    let (salt, nonce) = header
        .get(skip..)
        .and_then(salt_and_nonce)
        .ok_or(SealError::Malformed)?;
    if body.len() < TAG_LEN {
        return Err(SealError::Malformed);
    }
    let key = message_key(secret, &salt, info).ok_or(SealError::NotAuthentic)?;
    let aad = Aad::from([header, info[1].as_bytes()].concat());
    let mut body = body.to_vec();
    let len = key
        .open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut body)
        .map_err(|_| SealError::NotAuthentic)?
        .len();
    body.truncate(len);
    Ok(body)
}

/// HKDF-SHA256 (RFC 5869) for one block of output, which is all that is needed here, and which cannot fail.
fn hkdf_sha256(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; KEY_LEN]> {
    let extracted = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), secret);
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, extracted.as_ref()));
    for part in info {
        context.update(part);
    }
    context.update(&[1]);
    let mut out = Zeroizing::new([0; KEY_LEN]);
    out.copy_from_slice(context.sign().as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::unhex;

    /// RFC 5869, appendix A.1 and A.3: the first 32 bytes of output.
    #[test]
    fn hkdf_gives_what_rfc_5869_appendix_a_says() {
        let salt = unhex::<13>("000102030405060708090a0b0c").unwrap();
        let info = unhex::<10>("f0f1f2f3f4f5f6f7f8f9").unwrap();
        let okm = hkdf_sha256(&salt, &[0x0b; 22], &[&info[..3], &info[3..]]);
        assert_eq!(
            hex(&*okm),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
        );
        let okm = hkdf_sha256(&[], &[0x0b; 22], &[]);
        assert_eq!(
            hex(&*okm),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
        );
    }
}
