//! Password hashing, signing keys, JOSE, sealing, opaque tokens.
