//! What the crate promises, and what attackers try. One binary.
//!
//! The modules are marked as tests so that the lints know that they may unwrap.

#[cfg(test)]
mod jose;
#[cfg(test)]
mod jose_oracle;
#[cfg(test)]
mod password;
#[cfg(test)]
mod seal;
#[cfg(test)]
mod support;
#[cfg(test)]
mod token;
#[cfg(test)]
mod vectors;
