//! Which program this is.

/// Version of the package.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Commit that it was built from, or `unknown`.
pub(crate) const COMMIT: &str = env!("DOORWARD_COMMIT");
/// Were there changes beside the commit? `None` when that was not known.
pub(crate) fn dirty() -> Option<bool> {
    env!("DOORWARD_DIRTY").parse().ok()
}
/// When it was built, RFC 3339.
pub(crate) const BUILT_AT: &str = env!("DOORWARD_BUILT_AT");
