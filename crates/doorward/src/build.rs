//! Which program this is.

/// Version of the package.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Commit that it was built from, or `unknown`.
pub(crate) const COMMIT: &str = env!("DOORWARD_COMMIT");
/// When it was built, RFC 3339.
pub(crate) const BUILT_AT: &str = env!("DOORWARD_BUILT_AT");
