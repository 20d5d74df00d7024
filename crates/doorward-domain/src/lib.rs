//! Rules and records of the identity platform, without I/O.
