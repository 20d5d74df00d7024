//! The Doorward binary.

fn main() {}
