#![doc = include_str!("../README.md")]
//!
//! ---
//!
//! Lives here: whose credentials count, extractors and layers, transactions with the caller's identity. Must not live
//! here: anything of Doorward's own inside; this crate knows the server by its public interfaces only.

mod answers;
mod ask;
mod builder;
mod caller;
mod clock;
mod credentials;
#[cfg(feature = "axum")]
mod extract;
mod guard;
mod introspection;
mod jose;
mod key_cache;
#[cfg(feature = "axum")]
mod layer;
mod refusal;
pub mod rls;
mod sessions;
mod tokens;

pub use builder::{BuildError, Builder};
pub use caller::{Caller, Person, Service, Source};
#[cfg(feature = "axum")]
pub use extract::{RequirePerson, RequireScope, RequireService, ScopeName};
pub use guard::Guard;
pub use jose::Algorithm;
#[cfg(feature = "axum")]
pub use layer::{Require, Required};
pub use refusal::{Kind, Refusal};
