//! Doorward's cryptography: passwords, sealing, opaque tokens, signed tokens.
//!
//! What lives here: everything that turns a secret into bytes that may be stored or sent, and back.
//!
//! * [`password`]: argon2id, and the hashes that people bring along from other systems.
//! * [`seal`]: authenticated encryption with the keyring that lives outside the database.
//! * [`sealed_elsewhere`]: what apps encrypted before they moved here.
//! * [`signed`]: values signed with an app's secret, one-time passwords.
//! * [`token`]: opaque tokens, their digests, the codes that people type.
//! * [`webauthn`]: what authenticators say.
//! * [`shared`]: tokens signed with a secret that two services share, and message authentication codes.
//! * [`jose`]: signing keys, JSON Web Keys, compact JWS (RFC 7515, 7517, 7518, 7519, 7638, 8037).
//!
//! What must not: SQL, HTTP, files, sockets, the clock. Randomness comes in as an argument; the only exception is
//! what the crypto library draws inside key generation, ECDSA and RSASSA-PSS. Every primitive comes from one
//! provider, AWS-LC, except the password hashes that it does not have.

pub mod jose;
pub mod password;
pub mod seal;
pub mod sealed_elsewhere;
pub mod shared;
pub mod signed;
pub mod token;
pub mod webauthn;
