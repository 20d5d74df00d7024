//! Server settings: file, environment, flags.
