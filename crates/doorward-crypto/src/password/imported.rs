//! Hashes made by other systems: verification only.
//!
//! What lives here: one function per format, each with bounds on what the stored text may ask us to compute. What
//! must not: making new hashes in these formats.

use std::num::NonZeroU32;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha_crypt::password_hash::Error as ShaCryptError;
use sha_crypt::{PasswordHashRef, PasswordVerifier as _, ShaCrypt};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

/// Four seconds of one core; the usual costs are 10 to 14.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=16;
/// passlib's default is 656,000.
const SHA_CRYPT_ROUNDS: std::ops::RangeInclusive<u32> = 1_000..=2_000_000;
/// Django's default passed one million in 2025.
const PBKDF2_ROUNDS: std::ops::RangeInclusive<u32> = 1..=5_000_000;
/// 128·N·r bytes at once, and the same times p in all.
const SCRYPT_MEMORY: u64 = 1 << 30;
const SCRYPT_WORK: u64 = 1 << 32;

/// Whether `password` belongs to `stored`; `None` when the format is unknown, malformed or too expensive.
pub(super) fn verify(stored: &str, password: &str) -> Option<bool> {
    if let Some(rest) = stored.strip_prefix("$scrypt$") {
        return scrypt_phc(rest, password);
    }
    if let Some(rest) = stored.strip_prefix("$pbkdf2-sha256$") {
        return pbkdf2_passlib(rest, password);
    }
    if let Some(rest) = stored.strip_prefix("pbkdf2_sha256$") {
        return pbkdf2_django(rest, password);
    }
    if let Some(rest) = stored.strip_prefix("$5$").or_else(|| stored.strip_prefix("$6$")) {
        return sha_crypt(stored, rest, password);
    }
    if ["$2a$", "$2b$", "$2y$"]
        .iter()
        .any(|prefix| stored.starts_with(prefix))
    {
        return bcrypt(stored, password);
    }
    let (salt, key) = stored.split_once(':')?;
    better_auth(salt, key, password)
}

/// Whether the format is known and, where that costs nothing, whether the text is sound.
pub(super) fn is_readable(stored: &str) -> bool {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| stored.starts_with(prefix));
    if begins(&["$2a$", "$2b$", "$2y$"]) {
        let parts: Option<bcrypt::HashParts> = stored.parse().ok();
        return parts.is_some_and(|parts| BCRYPT_COSTS.contains(&parts.get_cost()));
    }
    begins(&["$scrypt$", "$pbkdf2-sha256$", "pbkdf2_sha256$", "$5$", "$6$"])
        || stored
            .split_once(':')
            .is_some_and(|(salt, key)| salt.len() == 32 && key.len() == 128)
}

/// Reads `a=1,b=2` with exactly the given names in the given order.
pub(super) fn numbers<const N: usize>(text: &str, names: [&str; N]) -> Option<[u32; N]> {
    let mut fields = text.split(',');
    let mut out = [0; N];
    for (slot, name) in out.iter_mut().zip(names) {
        let digits = fields.next()?.strip_prefix(name)?.strip_prefix('=')?;
        *slot = number(digits)?;
    }
    fields.next().is_none().then_some(out)
}

fn number(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

/// Passwords longer than 72 bytes are cut there, as every bcrypt of that time did.
fn bcrypt(stored: &str, password: &str) -> Option<bool> {
    let parts: bcrypt::HashParts = stored.parse().ok()?;
    if !BCRYPT_COSTS.contains(&parts.get_cost()) {
        return None;
    }
    bcrypt::verify(password.as_bytes(), stored).ok()
}

/// `ln=14,r=8,p=1$salt$key`, base64 without padding.
fn scrypt_phc(rest: &str, password: &str) -> Option<bool> {
    let mut fields = rest.split('$');
    let [log_n, r, p] = numbers(fields.next()?, ["ln", "r", "p"])?;
    let salt = STANDARD_NO_PAD.decode(fields.next()?).ok()?;
    let key = STANDARD_NO_PAD.decode(fields.next()?).ok()?;
    if fields.next().is_some() {
        return None;
    }
    scrypt(password.as_bytes(), &salt, [log_n, r, p], &key)
}

/// better-auth: N=16384, r=16, p=1, 64 bytes; the salt is the hex text itself and the password is NFKC.
fn better_auth(salt: &str, key: &str, password: &str) -> Option<bool> {
    if salt.len() != 32 || !salt.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let key = crate::token::unhex::<64>(key)?;
    let password: Zeroizing<String> = Zeroizing::new(password.nfkc().collect());
    scrypt(password.as_bytes(), salt.as_bytes(), [14, 16, 1], &key)
}

/// The key has one of the usual lengths: any prefix of a longer one would match as well, so a stored text that was cut
/// short must not pass.
fn scrypt(password: &[u8], salt: &[u8], [log_n, r, p]: [u32; 3], key: &[u8]) -> Option<bool> {
    if !(1..=30).contains(&log_n) || !(1..=1024).contains(&r) || !(1..=1024).contains(&p) {
        return None;
    }
    let memory = (128 * u64::from(r)) << log_n;
    let sound =
        memory <= SCRYPT_MEMORY && memory * u64::from(p) <= SCRYPT_WORK && matches!(key.len(), 32 | 64);
    if !sound {
        return None;
    }
    let params = scrypt::Params::new(u8::try_from(log_n).ok()?, r, p).ok()?;
    let mut out = Zeroizing::new(vec![0u8; key.len()]);
    scrypt::scrypt(password, salt, &params, &mut out).ok()?;
    Some(verify_slices_are_equal(&out, key).is_ok())
}

/// `[rounds=N$]salt$hash` after `$5$` or `$6$`. The rounds are checked before the library sees them.
fn sha_crypt(stored: &str, rest: &str, password: &str) -> Option<bool> {
    let fields: Vec<&str> = rest.split('$').collect();
    let (salt, hash) = match fields.as_slice() {
        [rounds, salt, hash] => {
            let rounds = number(rounds.strip_prefix("rounds=")?)?;
            SHA_CRYPT_ROUNDS.contains(&rounds).then_some((salt, hash))?
        }
        [salt, hash] => (salt, hash),
        _ => return None,
    };
    let hash_len = if stored.starts_with("$5$") { 43 } else { 86 };
    if salt.len() > 16 || salt.starts_with("rounds=") || hash.len() != hash_len {
        return None;
    }
    let stored = PasswordHashRef::new(stored).ok()?;
    match ShaCrypt::default().verify_password(password.as_bytes(), stored) {
        Ok(()) => Some(true),
        Err(ShaCryptError::PasswordInvalid) => Some(false),
        Err(_) => None,
    }
}

/// `rounds$salt$key` with the salt as text and the key in padded base64.
fn pbkdf2_django(rest: &str, password: &str) -> Option<bool> {
    let mut fields = rest.split('$');
    let rounds = number(fields.next()?)?;
    let salt = fields.next()?;
    let key = STANDARD.decode(fields.next()?).ok()?;
    if fields.next().is_some() {
        return None;
    }
    pbkdf2_sha256(password, salt.as_bytes(), rounds, &key)
}

/// `rounds$salt$key`, both in base64 without padding and with `.` for `+`.
fn pbkdf2_passlib(rest: &str, password: &str) -> Option<bool> {
    let decode = |text: &str| STANDARD_NO_PAD.decode(text.replace('.', "+")).ok();
    let mut fields = rest.split('$');
    let rounds = number(fields.next()?)?;
    let salt = decode(fields.next()?)?;
    let key = decode(fields.next()?)?;
    if fields.next().is_some() {
        return None;
    }
    pbkdf2_sha256(password, &salt, rounds, &key)
}

fn pbkdf2_sha256(password: &str, salt: &[u8], rounds: u32, key: &[u8]) -> Option<bool> {
    if !PBKDF2_ROUNDS.contains(&rounds) || key.len() != 32 {
        return None;
    }
    let rounds = NonZeroU32::new(rounds)?;
    Some(pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, password.as_bytes(), key).is_ok())
}
