//! Signing in a device that has no keyboard (RFC 8628): type the code, look at what asks, allow or deny.

use super::{Destination, Person, Problem, Scope, page};

/// Asks for the code. Posts `user_code` to `/device`.
#[derive(Clone, Debug)]
pub struct DeviceEntry<'a> {
    /// The code that came with the link (`verification_uri_complete`) or was typed before.
    pub user_code: &'a str,
    /// What was wrong with it.
    pub problem: Option<Problem<'a>>,
}
page!(DeviceEntry, "device_entry.html");

/// Shows what asks. Posts `attempt` and `decision` (`allow` or `deny`) to `/device`.
#[derive(Clone, Debug)]
pub struct DeviceConfirm<'a> {
    /// Sealed state of this tab.
    pub attempt: &'a str,
    /// Who decides.
    pub person: Person<'a>,
    /// Who asks.
    pub application: Destination<'a>,
    /// The code as the device shows it, to compare (RFC 8628 section 5.4).
    pub user_code: &'a str,
    /// What it asks for.
    pub scopes: &'a [Scope<'a>],
}
page!(DeviceConfirm, "device_confirm.html");

/// The device is signed in.
#[derive(Clone, Debug)]
pub struct DeviceDone<'a> {
    /// Who asked.
    pub application: Destination<'a>,
}
page!(DeviceDone, "device_done.html");

/// The person said no.
#[derive(Clone, Debug)]
pub struct DeviceDenied<'a> {
    /// Who asked.
    pub application: Destination<'a>,
}
page!(DeviceDenied, "device_denied.html");
