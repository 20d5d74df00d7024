//! Password hashes: argon2id for our own, and verification of what people bring along.
//!
//! What lives here: making and checking the text that is stored for a password, the choice of its cost, and the
//! decoy that makes an unknown user cost as much as a known one. What must not: threads, queues, clocks. A hash
//! takes tens of milliseconds of one core by design, so the caller runs it in a bounded pool, never inside a
//! transaction.
//!
//! Passwords are used as the UTF-8 bytes that arrive. They are **not** Unicode-normalised: browsers on every current
//! platform send composed text (NFC) from the keyboard, and normalising later would lock out whoever already has
//! a hash. The one exception is the better-auth import format, whose definition includes NFKC.

mod choice;
mod imported;
mod room;

pub use choice::choose_params;
pub use room::release as release_memory;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Longest password, in bytes of UTF-8, that is ever hashed.
pub const MAX_PASSWORD_LEN: usize = 1024;

/// Longest stored hash that is looked at.
const MAX_STORED_LEN: usize = 512;
/// Length of the hashes that we make, in bytes.
const HASH_LEN: usize = 32;
/// Length of the salts that we make, in bytes.
const SALT_LEN: usize = 16;

/// No hash may take more memory than this, whoever made it (1 GiB, in KiB).
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
/// No argon2 hash may touch more memory than this in all (4 GiB, in KiB): about three seconds of one core.
const MAX_WORK_KIB: u64 = 4 * 1024 * 1024;
const MAX_LANES: u32 = 64;

/// What one argon2id hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Argon2Params {
    /// Memory in KiB that one hash fills.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Lanes. Ours are computed one after another, so more than one never helps the server.
    pub parallelism: u32,
}

impl Argon2Params {
    /// The least that Doorward hashes with: 19 MiB, two passes, one lane (OWASP Password Storage Cheat Sheet).
    pub const FLOOR: Self = Self {
        memory_kib: 19 * 1024,
        iterations: 2,
        parallelism: 1,
    };

    /// Whether a hash made with these parameters should be made again with `current`.
    #[must_use]
    pub fn is_weaker_than(&self, current: &Self) -> bool {
        self.memory_kib < current.memory_kib || self.iterations < current.iterations
    }

    /// Within what this program is willing to compute at all, for stored hashes as well as for settings.
    fn is_bounded(&self) -> bool {
        (1..=MAX_LANES).contains(&self.parallelism)
            && (8 * self.parallelism..=MAX_MEMORY_KIB).contains(&self.memory_kib)
            && self.iterations >= 1
            && u64::from(self.memory_kib) * u64::from(self.iterations) <= MAX_WORK_KIB
    }
}

/// Why a password could not be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The password is longer than [`MAX_PASSWORD_LEN`] bytes.
    #[error("the password is longer than {MAX_PASSWORD_LEN} bytes")]
    TooLong,
    /// The parameters are outside of what can or may be computed.
    #[error("the argon2 parameters are out of range")]
    Parameters,
    /// The memory for the hash could not be had.
    #[error("there is not enough memory for a password hash")]
    OutOfMemory,
}

/// The answer to "is this the password".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It is.
    Match {
        /// The hash is an imported format or weaker than the current parameters: hash the password again now that
        /// it is at hand, and store that.
        outdated: bool,
    },
    /// It is not.
    Mismatch,
    /// The stored text is in no format that is understood, or asks for more than a server may be made to compute.
    Unreadable,
}

impl Verified {
    /// Whether the password was right.
    #[must_use]
    pub fn is_match(self) -> bool {
        matches!(self, Self::Match { .. })
    }
}

/// Hashes a password with argon2id (RFC 9106, version 0x13) into a PHC string.
///
/// `salt` is 16 fresh random bytes. Runs for tens of milliseconds and fills `params.memory_kib` of memory.
///
/// # Errors
///
/// [`PasswordError`] for a password or parameters out of bounds, or memory that cannot be had.
pub fn hash(password: &str, salt: &[u8; 16], params: &Argon2Params) -> Result<String, PasswordError> {
    if password.len() > MAX_PASSWORD_LEN {
        return Err(PasswordError::TooLong);
    }
    let mut out = Zeroizing::new([0u8; HASH_LEN]);
    argon2(
        Algorithm::Argon2id,
        Version::V0x13,
        params,
        password,
        salt,
        out.as_mut_slice(),
    )?;
    Ok(phc(params, salt, out.as_slice()))
}

/// A well-formed hash that no known password matches, to verify against when the user does not exist, so that both
/// cases take the same time.
///
/// The "hash" in it is the SHA-256 of a sentence and not the output of argon2; finding a password for it is finding
/// a preimage. Nothing is computed, the text is the same on every call, and it is made once for the current
/// parameters.
#[must_use]
pub fn decoy(params: &Argon2Params) -> String {
    let noise = digest(&SHA256, b"doorward decoy: this is the hash of nobody's password");
    phc(params, b"doorward's decoy", noise.as_ref())
}

/// Checks a password against a stored hash; "outdated" is judged against [`Argon2Params::FLOOR`].
#[must_use]
pub fn verify(stored: &str, password: &str) -> Verified {
    verify_with(stored, password, &Argon2Params::FLOOR)
}

/// Checks a password against a stored hash, which may be of any format listed here; "outdated" is judged against
/// `current`.
///
/// Understood are: argon2id and argon2i PHC strings (also with Django's `argon2` prefix), bcrypt (`$2a$ $2b$ $2y$`),
/// scrypt (`$scrypt$`, as PHC and passlib write it, and better-auth's `hexsalt:hexkey`), SHA-crypt (`$5$ $6$`),
/// PBKDF2-SHA256 (Django's `pbkdf2_sha256$` and passlib's `$pbkdf2-sha256$`). The cost that a stored hash may ask for is
/// bounded, as hashes are imported from files that we did not write.
#[must_use]
pub fn verify_with(stored: &str, password: &str, current: &Argon2Params) -> Verified {
    if stored.len() > MAX_STORED_LEN || !stored.is_ascii() {
        return Verified::Unreadable;
    }
    if password.len() > MAX_PASSWORD_LEN {
        return Verified::Mismatch;
    }
    let (phc, wrapped) = match stored.strip_prefix("argon2$") {
        Some(rest) => (rest, true),
        None => (stored.strip_prefix('$').unwrap_or_default(), false),
    };
    if phc.starts_with("argon2") {
        return verify_argon2(phc, password, current, wrapped);
    }
    match imported::verify(stored, password) {
        Some(true) => Verified::Match { outdated: true },
        Some(false) => Verified::Mismatch,
        None => Verified::Unreadable,
    }
}

/// Whether a stored hash is one that [`verify_with`] can check a password against. Costs next to nothing.
#[must_use]
pub fn is_readable(stored: &str) -> bool {
    if stored.len() > MAX_STORED_LEN || !stored.is_ascii() {
        return false;
    }
    let phc = stored
        .strip_prefix("argon2$")
        .or_else(|| stored.strip_prefix('$'));
    match phc {
        Some(phc) if phc.starts_with("argon2") => StoredArgon2::parse(phc).is_some(),
        _ => imported::is_readable(stored),
    }
}

fn verify_argon2(phc: &str, password: &str, current: &Argon2Params, wrapped: bool) -> Verified {
    let Some(stored) = StoredArgon2::parse(phc) else {
        return Verified::Unreadable;
    };
    let mut out = Zeroizing::new(vec![0u8; stored.hash.len()]);
    if argon2(
        stored.algorithm,
        stored.version,
        &stored.params,
        password,
        &stored.salt,
        &mut out,
    )
    .is_err()
    {
        return Verified::Unreadable;
    }
    if verify_slices_are_equal(&out, &stored.hash).is_err() {
        return Verified::Mismatch;
    }
    let outdated = wrapped
        || stored.algorithm != Algorithm::Argon2id
        || stored.version != Version::V0x13
        || stored.params.is_weaker_than(current)
        || stored.salt.len() < SALT_LEN
        || stored.hash.len() < HASH_LEN;
    Verified::Match { outdated }
}

/// The parts of an argon2 PHC string.
struct StoredArgon2 {
    algorithm: Algorithm,
    version: Version,
    params: Argon2Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl StoredArgon2 {
    /// Reads `argon2id$v=19$m=…,t=…,p=…$salt$hash` (no leading `$`). Without `v=` it is version 0x10, as the
    /// reference implementation says. Keyed hashes (`keyid`, `data`) are not understood.
    fn parse(phc: &str) -> Option<Self> {
        let mut fields = phc.split('$');
        let algorithm = match fields.next()? {
            "argon2id" => Algorithm::Argon2id,
            "argon2i" => Algorithm::Argon2i,
            _ => return None,
        };
        let mut next = fields.next()?;
        let version = match next {
            "v=19" => Version::V0x13,
            _ => Version::V0x10,
        };
        if next.starts_with("v=") {
            if !matches!(next, "v=19" | "v=16") {
                return None;
            }
            next = fields.next()?;
        }
        let [memory_kib, iterations, parallelism] = imported::numbers(next, ["m", "t", "p"])?;
        let params = Argon2Params {
            memory_kib,
            iterations,
            parallelism,
        };
        let salt = STANDARD_NO_PAD.decode(fields.next()?).ok()?;
        let hash = STANDARD_NO_PAD.decode(fields.next()?).ok()?;
        let sound = fields.next().is_none()
            && params.is_bounded()
            && (8..=64).contains(&salt.len())
            && (16..=64).contains(&hash.len());
        sound.then_some(Self {
            algorithm,
            version,
            params,
            salt,
            hash,
        })
    }
}

fn argon2(
    algorithm: Algorithm,
    version: Version,
    params: &Argon2Params,
    password: &str,
    salt: &[u8],
    out: &mut [u8],
) -> Result<(), PasswordError> {
    if !params.is_bounded() {
        return Err(PasswordError::Parameters);
    }
    let params = Params::new(
        params.memory_kib,
        params.iterations,
        params.parallelism,
        Some(out.len()),
    )
    .map_err(|_| PasswordError::Parameters)?;
    let mut room = room::Room::of(params.block_count())?;
    Argon2::new(algorithm, version, params)
        .hash_password_into_with_memory(password.as_bytes(), salt, out, room.blocks())
        .map_err(|error| match error {
            argon2::Error::OutOfMemory => PasswordError::OutOfMemory,
            _ => PasswordError::Parameters,
        })
}

fn phc(params: &Argon2Params, salt: &[u8], hash: &[u8]) -> String {
    let Argon2Params {
        memory_kib,
        iterations,
        parallelism,
    } = params;
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    format!("$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}${salt}${hash}")
}
