//! Calls of better-auth's plugins: organization, admin, api-key, passkey (contract sections 5.5, 5.6, 5.7 and 5.11).
//!
//! Status, text and shape of each answer are those of the recorded servers. Where we differ on purpose, `differs:` says why.

mod admin;
mod api_key;
mod organization;
mod passkey;
mod team;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use doorward_core::app_auth::AppError;
use doorward_domain::app_auth::roles::Wanted;

use super::call::{Call, Caller, Gate};
use super::check::Check;
use super::fail::Fail;
use super::{Answered, wire};

/// Calls by method and path.
pub(super) const CALLS: &[(&str, &str)] = &[
    ("POST", "/organization/create"),
    ("POST", "/organization/update"),
    ("POST", "/organization/delete"),
    ("POST", "/organization/set-active"),
    ("POST", "/organization/check-slug"),
    ("POST", "/organization/invite-member"),
    ("POST", "/organization/accept-invitation"),
    ("POST", "/organization/reject-invitation"),
    ("POST", "/organization/cancel-invitation"),
    ("POST", "/organization/update-member-role"),
    ("POST", "/organization/remove-member"),
    ("POST", "/organization/leave"),
    ("POST", "/organization/has-permission"),
    ("POST", "/organization/create-team"),
    ("POST", "/organization/update-team"),
    ("POST", "/organization/remove-team"),
    ("POST", "/organization/set-active-team"),
    ("POST", "/organization/add-team-member"),
    ("POST", "/organization/remove-team-member"),
    ("GET", "/organization/get-organization"),
    ("GET", "/organization/get-full-organization"),
    ("GET", "/organization/list"),
    ("GET", "/organization/get-invitation"),
    ("GET", "/organization/list-invitations"),
    ("GET", "/organization/list-user-invitations"),
    ("GET", "/organization/list-members"),
    ("GET", "/organization/get-active-member"),
    ("GET", "/organization/get-active-member-role"),
    ("GET", "/organization/list-teams"),
    ("GET", "/organization/list-user-teams"),
    ("GET", "/organization/list-team-members"),
    ("POST", "/admin/create-user"),
    ("POST", "/admin/update-user"),
    ("POST", "/admin/set-role"),
    ("POST", "/admin/ban-user"),
    ("POST", "/admin/unban-user"),
    ("POST", "/admin/list-user-sessions"),
    ("POST", "/admin/revoke-user-session"),
    ("POST", "/admin/revoke-user-sessions"),
    ("POST", "/admin/impersonate-user"),
    ("POST", "/admin/stop-impersonating"),
    ("POST", "/admin/set-user-password"),
    ("POST", "/admin/remove-user"),
    ("POST", "/admin/has-permission"),
    ("GET", "/admin/list-users"),
    ("GET", "/admin/get-user"),
    ("POST", "/api-key/create"),
    ("GET", "/api-key/get"),
    ("GET", "/api-key/list"),
    ("POST", "/api-key/update"),
    ("POST", "/api-key/delete"),
    ("POST", "/api-key/verify"),
    ("GET", "/passkey/generate-register-options"),
    ("GET", "/passkey/generate-authenticate-options"),
    ("POST", "/passkey/generate-authenticate-options"),
    ("POST", "/passkey/verify-registration"),
    ("POST", "/passkey/verify-authentication"),
    ("GET", "/passkey/list-user-passkeys"),
    ("POST", "/passkey/delete-passkey"),
    ("POST", "/passkey/update-passkey"),
];

/// Answers a call whose path begins like a plugin's.
pub(super) async fn route(call: &mut Call, path: &str) -> Answered {
    let get = call.method == Method::GET;
    match path.strip_prefix('/').and_then(|rest| rest.split_once('/')) {
        Some(("admin", what)) => admin::route(call, get, what).await,
        Some(("api-key", what)) => api_key::route(call, get, what).await,
        Some(("passkey", what)) => passkey::route(call, get, what).await,
        Some(("organization", what)) => organization::route(call, get, what).await,
        _ => Err(Fail::nothing()),
    }
}

/// Calls that hand out or change what opens an account for longer than an hour.
const KEYS: &[&str] = &[
    "/change-email",
    "/change-password",
    "/delete-user",
    "/link-social",
    "/oauth2/link",
    "/unlink-account",
    "/get-access-token",
    "/refresh-token",
    "/one-time-token/generate",
    "/device/approve",
    "/email-otp/change-email",
    "/email-otp/request-email-change",
    "/api-key/create",
    "/api-key/update",
    "/passkey/generate-register-options",
    "/passkey/verify-registration",
    "/passkey/delete-passkey",
];

/// differs: nobody gets keys to an account while being somebody else: they would outlive the hour, and open what the app's
/// administrator may not.
pub(super) async fn refuse_keys_for_others(call: &Call) -> Result<(), Fail> {
    if !KEYS.contains(&call.path.as_str()) && !call.path.starts_with("/two-factor/") {
        return Ok(());
    }
    let caller = call.caller(true).await?;
    let acts = caller.and_then(|caller| caller.visit.session.app.as_ref()?.impersonated_by);
    match acts {
        None => Ok(()),
        Some(_) => Err(Fail::said(
            StatusCode::FORBIDDEN,
            "FORBIDDEN",
            "Not while being somebody else",
        )),
    }
}

/// Texts of plugins' codes that do not follow the rule.
const TEXTS: &[(&str, &str)] = &[
    (
        "EMAIL_VERIFICATION_REQUIRED_FOR_INVITATION",
        "Email verification required to view or list invitations for the session email",
    ),
    (
        "YOU_ARE_NOT_ALLOWED_TO_LIST_INVITATIONS",
        "You are not allowed to list invitations for this organization",
    ),
    (
        "YOU_ARE_NOT_ALLOWED_TO_INVITE_USER_WITH_THIS_ROLE",
        "You are not allowed to invite a user with this role",
    ),
    (
        "YOU_ARE_NOT_ALLOWED_TO_CREATE_A_NEW_TEAM_MEMBER",
        "You are not allowed to create a new member",
    ),
    (
        "YOU_ARE_NOT_ALLOWED_TO_ACCESS_THIS_ORGANIZATION",
        "You are not allowed to access this organization as an owner",
    ),
    (
        "YOU_ARE_NOT_ALLOWED_TO_SET_NON_EXISTENT_VALUE",
        "You are not allowed to set a non-existent role value",
    ),
    (
        "YOU_ARE_NOT_ALLOWED_TO_SET_USERS_EMAIL",
        "You are not allowed to update users email",
    ),
    (
        "PASSWORD_CANNOT_BE_UPDATED_VIA_UPDATE_USER",
        "Password cannot be updated through update-user. Use the set-user-password endpoint instead",
    ),
    ("UNAUTHORIZED_SESSION", "Unauthorized or invalid session"),
    ("KEY_NOT_FOUND", "API Key not found"),
    ("KEY_DISABLED", "API Key is disabled"),
    ("KEY_EXPIRED", "API Key has expired"),
    ("RATE_LIMIT_EXCEEDED", "Rate limit exceeded."),
    ("USAGE_EXCEEDED", "API Key has reached its usage limit"),
    ("INVALID_METADATA_TYPE", "metadata must be an object or undefined"),
    (
        "REFILL_AMOUNT_AND_INTERVAL_REQUIRED",
        "refillInterval is required when refillAmount is provided",
    ),
    (
        "REFILL_INTERVAL_AND_AMOUNT_REQUIRED",
        "refillAmount is required when refillInterval is provided",
    ),
    ("USER_BANNED", "User is banned"),
    (
        "EXPIRES_IN_IS_TOO_SMALL",
        "The expiresIn is smaller than the predefined minimum value.",
    ),
    (
        "EXPIRES_IN_IS_TOO_LARGE",
        "The expiresIn is larger than the predefined maximum value.",
    ),
    (
        "INVALID_PREFIX_LENGTH",
        "The prefix length is either too large or too small.",
    ),
    (
        "INVALID_NAME_LENGTH",
        "The name length is either too large or too small.",
    ),
    ("METADATA_DISABLED", "Metadata is disabled."),
    ("NO_VALUES_TO_UPDATE", "No values to update."),
    (
        "SERVER_ONLY_PROPERTY",
        "The property you're trying to set can only be set from the server auth instance only.",
    ),
];

/// Codes that come with another status than 400 and than elsewhere at the door.
fn status_of(code: &str) -> Option<StatusCode> {
    if code.starts_with("YOU_ARE_NOT_ALLOWED_TO_") {
        return Some(match code {
            "YOU_ARE_NOT_ALLOWED_TO_DELETE_THIS_MEMBER" | "YOU_ARE_NOT_ALLOWED_TO_REGISTER_THIS_PASSKEY" => {
                StatusCode::UNAUTHORIZED
            }
            "YOU_ARE_NOT_ALLOWED_TO_SET_NON_EXISTENT_VALUE" => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        });
    }
    Some(match code {
        "YOU_ARE_NOT_A_MEMBER_OF_THIS_ORGANIZATION"
        | "YOU_ARE_NOT_THE_RECIPIENT_OF_THE_INVITATION"
        | "EMAIL_VERIFICATION_REQUIRED_BEFORE_ACCEPTING_OR_REJECTING_INVITATION"
        | "EMAIL_VERIFICATION_REQUIRED_FOR_INVITATION"
        | "INVITATION_LIMIT_REACHED"
        | "ORGANIZATION_MEMBERSHIP_LIMIT_REACHED"
        | "YOU_HAVE_REACHED_THE_MAXIMUM_NUMBER_OF_ORGANIZATIONS"
        | "YOU_CANNOT_IMPERSONATE_ADMINS" => StatusCode::FORBIDDEN,
        "UNAUTHORIZED_SESSION" | "AUTHENTICATION_FAILED" => StatusCode::UNAUTHORIZED,
        "KEY_NOT_FOUND" | "PASSKEY_NOT_FOUND" => StatusCode::NOT_FOUND,
        _ => return None,
    })
}

fn code(code: &str) -> Fail {
    let text = TEXTS.iter().find(|(known, _)| *known == code);
    let usual = Fail::code(code);
    let status = status_of(code).unwrap_or(usual.status);
    match text {
        Some((_, text)) => Fail::said(status, code, text),
        None => Fail::with(status, code),
    }
}

fn with(status: StatusCode, name: &str) -> Fail {
    Fail { status, ..code(name) }
}

/// What core says, in the plugins' words.
fn told(error: AppError) -> Fail {
    match error {
        AppError::Code(name) => code(name),
        AppError::Said("", text) => Fail::plain(StatusCode::BAD_REQUEST, &text),
        error => error.into(),
    }
}

/// The same, where one code has another status on this route.
fn told_as(error: AppError, name: &str, status: StatusCode) -> Fail {
    match error {
        AppError::Code(known) if known == name => with(status, name),
        error => told(error),
    }
}

/// 401 with nothing in it.
fn nobody() -> Fail {
    Fail {
        status: StatusCode::UNAUTHORIZED,
        ..Fail::nothing()
    }
}

/// Who calls, read again from the database; nobody is refused without a word.
async fn require_quietly(call: &Call) -> Result<Caller, Fail> {
    call.require(Gate::Sensitive).await.map_err(|fail| {
        if fail.status == StatusCode::UNAUTHORIZED {
            nobody()
        } else {
            fail
        }
    })
}

/// A text that must be there and not be empty.
fn filled<'a>(check: &mut Check<'a>, name: &str) -> &'a str {
    if check.any(name).and_then(Value::as_str) == Some("") {
        check.refuse(name, "Too small: expected string to have >=1 characters");
    }
    check.text(name)
}

/// One text or a list of texts, at least one.
fn texts(check: &mut Check<'_>, name: &str) -> Vec<String> {
    match check.any(name) {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list))
            if !list.is_empty() && list.len() <= 20 && list.iter().all(Value::is_string) =>
        {
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => {
            check.refuse(name, "Invalid input");
            Vec::new()
        }
    }
}

/// An object that may be missing or null.
fn maybe_object<'a>(check: &mut Check<'a>, name: &str) -> Option<Option<&'a Map<String, Value>>> {
    match check.any(name) {
        None => None,
        Some(Value::Null) => Some(None),
        Some(Value::Object(map)) => Some(Some(map)),
        Some(_) => {
            check.refuse(name, "Invalid input: expected record");
            None
        }
    }
}

/// What a permission call asks for, as `permissions` or in the old spelling.
fn wanted(body: Option<&Value>) -> Result<Wanted, Fail> {
    let invalid = || {
        Fail::said(
            StatusCode::BAD_REQUEST,
            "VALIDATION_ERROR",
            "[body] Invalid input",
        )
    };
    let given = |name: &str| body.and_then(|body| body.get(name));
    let ((Some(Value::Object(map)), None) | (None, Some(Value::Object(map)))) =
        (given("permissions"), given("permission"))
    else {
        return Err(invalid());
    };
    if map.len() > 50 {
        return Err(invalid());
    }
    let actions = |value: &Value| {
        let list = value.as_array().filter(|list| list.len() <= 50)?;
        list.iter()
            .map(|action| action.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
    };
    map.iter()
        .map(|(resource, value)| Some((resource.clone(), actions(value)?)))
        .collect::<Option<Wanted>>()
        .ok_or_else(invalid)
}

/// A page of a list, with how many there are in all, and which page was asked for.
fn page_of(
    name: &str,
    page: &[Value],
    total: usize,
    (limit, offset): (Option<usize>, Option<usize>),
) -> Value {
    let mut body = json!({ name: page, "total": total });
    if let Value::Object(map) = &mut body {
        for (name, value) in [("limit", limit), ("offset", offset)] {
            if let Some(value) = value {
                map.insert(name.to_owned(), json!(value));
            }
        }
    }
    body
}

/// A number in a query, when it is one.
fn number(call: &Call, name: &str) -> Option<usize> {
    call.asked(name).and_then(|text| text.parse().ok())
}

/// Sorts and filters by a field of what goes over the wire.
fn choose(list: &mut Vec<Value>, call: &Call) {
    if let (Some(field), Some(value)) = (call.asked("filterField"), call.asked("filterValue")) {
        let operator = call.asked("filterOperator").unwrap_or("eq").to_owned();
        list.retain(|one| fits(one.get(field).unwrap_or(&Value::Null), value, &operator));
    }
    if let Some(field) = call.asked("sortBy") {
        list.sort_by_key(|one| as_text(one.get(field).unwrap_or(&Value::Null)));
        if call.asked("sortDirection") == Some("desc") {
            list.reverse();
        }
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn fits(found: &Value, wanted: &str, operator: &str) -> bool {
    let found = as_text(found);
    match operator {
        "eq" => found == wanted,
        "ne" => found != wanted,
        "lt" => found.as_str() < wanted,
        "lte" => found.as_str() <= wanted,
        "gt" => found.as_str() > wanted,
        "gte" => found.as_str() >= wanted,
        "contains" => found.contains(wanted),
        "starts_with" => found.starts_with(wanted),
        "ends_with" => found.ends_with(wanted),
        "in" => wanted.split(',').any(|one| one == found),
        "not_in" => wanted.split(',').all(|one| one != found),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_read_strictly() {
        let read = |body: Value| wanted(Some(&body)).ok();
        let one = Some(vec![("organization".to_owned(), vec!["update".to_owned()])]);
        assert_eq!(
            read(json!({ "permissions": { "organization": ["update"] } })),
            one
        );
        assert_eq!(read(json!({ "permission": { "organization": ["update"] } })), one);
        for bad in [
            json!({}),
            json!({ "permissions": [] }),
            json!({ "permissions": { "organization": "update" } }),
            json!({ "permissions": { "organization": [1] } }),
            json!({ "permissions": {}, "permission": {} }),
        ] {
            assert_eq!(read(bad.clone()), None, "{bad}");
        }
    }

    #[test]
    fn section_5_codes_have_their_status() {
        for (name, status) in [
            ("YOU_ARE_NOT_ALLOWED_TO_BAN_USERS", 403),
            ("YOU_ARE_NOT_ALLOWED_TO_SET_NON_EXISTENT_VALUE", 400),
            ("ORGANIZATION_NOT_FOUND", 400),
            ("KEY_NOT_FOUND", 404),
            ("UNAUTHORIZED", 401),
        ] {
            assert_eq!(code(name).status.as_u16(), status, "{name}");
        }
    }
}
