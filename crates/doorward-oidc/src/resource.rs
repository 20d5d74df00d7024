//! Resource indicators (RFC 8707).
//!
//! Must not live here: the audience of finished tokens (see [`crate::claims`]).

use doorward_domain::client::Client;
use std::collections::BTreeSet;

use crate::error::{ErrorCode, TokenError};
use crate::params::Params;

/// Most resources in one request.
pub const MOST_RESOURCES: usize = 20;
/// Longest resource in bytes.
pub const LONGEST_RESOURCE: usize = 2048;

/// The resources that a request names, checked for their form only.
///
/// # Errors
/// `invalid_target` when one is not an absolute URI without fragment (RFC 8707 section 2), or there are too many. A name without
/// any colon is taken for a client id, which [`allow`] then checks.
pub fn read(params: &Params) -> Result<BTreeSet<String>, TokenError> {
    let mut resources = BTreeSet::new();
    for resource in params.all("resource") {
        if resource.len() > LONGEST_RESOURCE {
            return Err(invalid_target("resource is longer than 2048 bytes"));
        }
        let plain = resource.bytes().all(|b| b.is_ascii_graphic()) && !resource.contains(['\\', '"', '#']);
        let absolute = !resource.contains(':') || url::Url::parse(resource).is_ok();
        if !plain || !absolute {
            return Err(invalid_target("resource is not an absolute URI without fragment"));
        }
        resources.insert(resource.to_owned());
        if resources.len() > MOST_RESOURCES {
            return Err(invalid_target("resource is given more than 20 times"));
        }
    }
    Ok(resources)
}

/// Checks that the client may ask for these resources; its own client id always counts.
///
/// # Errors
/// `invalid_target`.
pub fn allow(asked: &BTreeSet<String>, client: &Client) -> Result<(), TokenError> {
    let known = |resource: &String| *resource == client.client_id || client.resources.contains(resource);
    match asked.iter().find(|resource| !known(resource)) {
        None => Ok(()),
        Some(resource) => Err(invalid_target(format!(
            "resource {resource} is not registered for this client"
        ))),
    }
}

pub(crate) fn invalid_target(description: impl AsRef<str>) -> TokenError {
    TokenError::new(ErrorCode::InvalidTarget, description)
}
