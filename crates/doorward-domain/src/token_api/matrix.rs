//! Accounts at the Matrix server: their names, when to try again, and what an answer of Synapse means.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::words;
use crate::{Lifetime, Timestamp, UserId};

words! {
    /// Where an account stands.
    MatrixStatus {
        /// Not made yet; it is tried again.
        Pending = "pending",
        /// It is there.
        Active = "active",
        /// Given up; an operator decides.
        Failed = "failed",
        /// Switched off at the Matrix server, because the person was.
        Deactivated = "deactivated",
    }
}

/// The account of one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixAccount {
    /// Whose.
    pub user_id: UserId,
    /// The name at the server.
    pub localpart: String,
    /// `@localpart:server`, once it is there.
    pub matrix_user_id: Option<String>,
    /// Where it stands.
    pub status: MatrixStatus,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried again.
    pub next_attempt_at: Option<Timestamp>,
    /// An attempt was sent then and its answer was not seen.
    pub in_flight_at: Option<Timestamp>,
    /// What went wrong the last time.
    pub last_error: Option<String>,
    /// When the record was made.
    pub created_at: Timestamp,
    /// When the record last changed.
    pub updated_at: Timestamp,
}

impl MatrixAccount {
    /// A new one, to be made at the server.
    #[must_use]
    pub fn pending(user: UserId, now: Timestamp) -> Self {
        Self {
            user_id: user,
            localpart: localpart(user),
            matrix_user_id: None,
            status: MatrixStatus::Pending,
            attempts: 0,
            next_attempt_at: Some(now.plus(retry_after(0, 0))),
            in_flight_at: None,
            last_error: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// The word that programs hear: `active`, `pending`, `failed` or `disabled`.
    #[must_use]
    pub fn wire_status(account: Option<&Self>) -> &'static str {
        match account.map(|account| account.status) {
            Some(MatrixStatus::Active) => "active",
            Some(MatrixStatus::Pending) => "pending",
            Some(MatrixStatus::Failed) => "failed",
            Some(MatrixStatus::Deactivated) | None => "disabled",
        }
    }
}

/// The whole id in hexadecimal: no two people share a name, and the same person gets the same one every time.
#[must_use]
pub fn localpart(user: UserId) -> String {
    format!("t_{}", user.uuid().simple())
}

/// Attempts before an account is given up: the short ones, and hourly for seven days.
pub const ATTEMPTS: u32 = 5 + 7 * 24;

/// How long to wait after so many attempts that did not work: 5 s, 30 s, 2 min, 10 min, then an hour with up to six minutes
/// more or less, so that a thousand accounts do not come back in one second. `noise` is a random number.
#[must_use]
pub fn retry_after(attempts: u32, noise: u32) -> Lifetime {
    match attempts {
        0 => Lifetime::from_seconds(5),
        1 => Lifetime::from_seconds(30),
        2 => Lifetime::from_minutes(2),
        3 => Lifetime::from_minutes(10),
        _ => Lifetime::from_seconds(54 * 60 + noise % (12 * 60)),
    }
}

/// What an answer of the registration endpoint means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// The account is there, under this full name.
    There(String),
    /// The name is taken, but an attempt of ours was under way whose answer was lost: it is ours.
    Ours,
    /// It will not work by trying again.
    Never(String),
    /// It may work later.
    Later(String),
}

/// Reads the answer to an attempt. `lost` says that an earlier attempt was sent and its answer was not seen.
#[must_use]
pub fn read_answer(status: u16, body: &Value, lost: bool) -> Made {
    let code = body.get("errcode").and_then(Value::as_str).unwrap_or_default();
    match (status, code) {
        (200, _) => match body.get("user_id").and_then(Value::as_str) {
            Some(id) if is_full_name(id) => Made::There(id.to_owned()),
            _ => Made::Later("Synapse answered without a user_id".into()),
        },
        (400, "M_USER_IN_USE") if lost => Made::Ours,
        (400, "M_USER_IN_USE") => Made::Never("name conflict: the name is taken by somebody else".into()),
        (400, "M_INVALID_USERNAME") => Made::Never("Synapse does not accept the name".into()),
        (403, _) => Made::Later("Synapse says that the registration secret is another one".into()),
        _ => Made::Later(refused(status, code)),
    }
}

/// What an answer without a nonce means.
#[must_use]
pub fn no_nonce(status: u16) -> String {
    match status {
        400 | 404 => {
            "registration with a shared secret is off at Synapse, or its sign-in is delegated".to_owned()
        }
        _ => refused(status, ""),
    }
}

fn refused(status: u16, code: &str) -> String {
    let code: String = code
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .take(60)
        .collect();
    if code.is_empty() {
        format!("Synapse answered {status}")
    } else {
        format!("Synapse answered {status} {code}")
    }
}

/// Is this `@localpart:server`, short enough and without anything odd?
#[must_use]
pub fn is_full_name(text: &str) -> bool {
    let parts = text.strip_prefix('@').and_then(|rest| rest.split_once(':'));
    parts.is_some_and(|(local, server)| {
        !local.is_empty()
            && !server.is_empty()
            && text.len() <= 255
            && text.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_name_is_the_whole_id() {
        let user: UserId = "019abf5e-7a00-7000-8000-0000000000ff".parse().unwrap();
        assert_eq!(localpart(user), "t_019abf5e7a00700080000000000000ff");
    }

    #[test]
    fn waits_grow_to_an_hour_that_is_spread() {
        let waits: Vec<i64> = (0..5).map(|n| retry_after(n, 0).seconds()).collect();
        assert_eq!(waits, [5, 30, 120, 600, 3240]);
        assert_eq!(retry_after(100, 719).seconds(), 3959);
        assert!((0..2000).all(|noise| (3240..3960).contains(&retry_after(9, noise).seconds())));
    }

    #[test]
    fn a_taken_name_is_ours_only_when_an_answer_was_lost() {
        let taken = json!({ "errcode": "M_USER_IN_USE" });
        assert_eq!(read_answer(400, &taken, true), Made::Ours);
        assert!(matches!(read_answer(400, &taken, false), Made::Never(why) if why.contains("name conflict")));
        assert_eq!(
            read_answer(200, &json!({ "user_id": "@t_1:example.org" }), false),
            Made::There("@t_1:example.org".into())
        );
        for (status, body) in [
            (200, json!({})),
            (200, json!({ "user_id": "not a name" })),
            (400, json!({ "errcode": "M_UNKNOWN" })),
            (403, json!({ "errcode": "M_FORBIDDEN" })),
            (429, json!(null)),
            (502, json!("<html>")),
        ] {
            assert!(
                matches!(read_answer(status, &body, true), Made::Later(_)),
                "{status} {body}"
            );
        }
    }
}
