//! Device authorization (RFC 8628).
//!
//! Must not live here: the page on which the person types the code.

use doorward_domain::token::{DeviceRecord, DeviceState};
use doorward_domain::{ApplicationId, Lifetime, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;

use crate::error::{ErrorCode, TokenError, invalid_grant};
use crate::params::Params;
use crate::resource;
use crate::scope::Scopes;
use crate::token;

/// How long codes live.
pub const LIFETIME: Lifetime = Lifetime::from_minutes(10);
/// Seconds between polls at first.
pub const INTERVAL: u32 = 5;
/// Seconds added each time a device polls too fast (section 3.5).
pub const SLOWER: u32 = 5;
/// Longest interval in seconds.
const LONGEST_INTERVAL: u32 = 60;
/// A poll this much early counts as in time, because networks deliver unevenly.
const TOLERANCE: Lifetime = Lifetime::from_millis(500);
/// Characters of a user code: letters that are hard to confuse and form no words (section 6.1).
pub const USER_CODE_ALPHABET: &str = "BCDFGHJKLMNPQRSTVWXZ";
/// Letters in a user code.
const USER_CODE_LENGTH: usize = 8;

/// A request for a device code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRequest {
    /// Scopes, when asked for.
    pub scopes: Option<Scopes>,
    /// Resources (RFC 8707).
    pub resources: BTreeSet<String>,
}

impl DeviceRequest {
    /// Reads the form; the client is authenticated separately.
    ///
    /// # Errors
    /// `invalid_request`, `invalid_scope`, `invalid_target`.
    pub fn read(params: &Params) -> Result<Self, TokenError> {
        params.refuse_repeated()?;
        Ok(Self {
            scopes: token::asked_scopes(params)?,
            resources: resource::read(params)?,
        })
    }
}

/// A poll that was answered with something else than an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// The person allowed it: claim the code and issue tokens.
    Ready,
}

/// Decides over a poll (section 3.5). When the answer is `slow_down`, the caller saves [`interval_after`].
///
/// # Errors
/// `authorization_pending`, `slow_down`, `access_denied`, `expired_token`; `invalid_grant` for a code of another client or a used one.
pub fn poll(
    record: &DeviceRecord,
    application_id: ApplicationId,
    now: Timestamp,
) -> Result<Poll, TokenError> {
    if record.application_id != application_id {
        return Err(invalid_grant("device_code was issued to another client"));
    }
    if record.state == DeviceState::Used {
        return Err(invalid_grant("device_code was used before"));
    }
    if now >= record.expires_at {
        return Err(TokenError::new(
            ErrorCode::ExpiredToken,
            "device_code has expired; ask for a new one",
        ));
    }
    match record.state {
        DeviceState::Approved => Ok(Poll::Ready),
        DeviceState::Denied => Err(TokenError::new(ErrorCode::AccessDenied, "the person refused")),
        _ if too_fast(record, now) => Err(TokenError::new(
            ErrorCode::SlowDown,
            format!(
                "polled too fast; wait {} seconds between polls",
                interval_after(record, now)
            ),
        )),
        _ => Err(TokenError::new(
            ErrorCode::AuthorizationPending,
            "the person has not answered yet",
        )),
    }
}

/// Seconds that the device must wait after a poll at `now`: 5 more when it came too fast.
#[must_use]
pub fn interval_after(record: &DeviceRecord, now: Timestamp) -> u32 {
    if too_fast(record, now) {
        record
            .interval
            .saturating_add(SLOWER)
            .min(LONGEST_INTERVAL.max(record.interval))
    } else {
        record.interval
    }
}

fn too_fast(record: &DeviceRecord, now: Timestamp) -> bool {
    let least = Lifetime::from_seconds(record.interval).millis() - TOLERANCE.millis();
    record
        .last_polled_at
        .is_some_and(|last| now.millis_since(last) < least)
}

/// JSON body of the answer (section 3.2). `verification_uri` is the page; `user_code` is stored form.
#[must_use]
pub fn device_response(device_code: &str, user_code: &str, verification_uri: &str) -> Value {
    let shown = show_user_code(user_code);
    let complete = crate::encode::with_query(verification_uri, [("code", shown.as_str())]);
    json!({
        "device_code": device_code,
        "user_code": shown,
        "verification_uri": verification_uri,
        "verification_uri_complete": complete,
        "expires_in": LIFETIME.seconds(),
        "interval": INTERVAL,
    })
}

/// The form for people: `BCDF-GHJK`. A code that is grouped already stays as it is.
#[must_use]
pub fn show_user_code(stored: &str) -> String {
    match stored.split_at_checked(USER_CODE_LENGTH / 2) {
        Some((left, right)) if !right.is_empty() && !stored.contains('-') => format!("{left}-{right}"),
        _ => stored.to_owned(),
    }
}

/// The stored form of what a person typed: case, spaces and hyphens do not count. `None`: it cannot be a user code.
#[must_use]
pub fn normalise_user_code(typed: &str) -> Option<String> {
    if typed.len() > 100 {
        return None;
    }
    let letters = typed
        .chars()
        .filter(|c| !c.is_whitespace() && !"-‐‑–—_.".contains(*c));
    let code: String = letters.map(|c| c.to_ascii_uppercase()).collect();
    let known = code.chars().all(|c| USER_CODE_ALPHABET.contains(c));
    (known && code.len() == USER_CODE_LENGTH).then_some(code)
}
