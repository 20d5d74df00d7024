//! Failures as an app's door tells them: status, code and text are constants of the wire contract (sections 1.1 and 1.9).

use http::StatusCode;
use serde_json::{Value, json};

use doorward_core::app_auth::AppError;
use doorward_core::error::Error;
use doorward_domain::Reason;

/// A failure.
#[derive(Debug)]
pub(super) struct Fail {
    pub(super) status: StatusCode,
    pub(super) body: Option<Value>,
    /// Seconds until trying again makes sense.
    pub(super) retry_after: Option<u32>,
    /// Ours; the chain of causes for the log.
    pub(super) fault: Option<String>,
}

/// Texts of codes that do not follow the rule.
const TEXTS: &[(&str, &str)] = &[
    ("ID_TOKEN_NOT_SUPPORTED", "id_token not supported"),
    ("USER_ALREADY_EXISTS", "User already exists."),
    (
        "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL",
        "User already exists. Use another email.",
    ),
    ("INVALID_CALLBACK_URL", "Invalid callbackURL"),
    ("INVALID_REDIRECT_URL", "Invalid redirectURL"),
    ("INVALID_ERROR_CALLBACK_URL", "Invalid errorCallbackURL"),
    ("INVALID_NEW_USER_CALLBACK_URL", "Invalid newUserCallbackURL"),
    ("CALLBACK_URL_REQUIRED", "callbackURL is required"),
    ("MISSING_OR_NULL_ORIGIN", "Missing or null Origin"),
    ("INVALID_ORIGIN", "Invalid origin"),
    (
        "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED",
        "Cross-site navigation login blocked. This request appears to be a CSRF attack.",
    ),
    ("CHANGE_EMAIL_DISABLED", "Change email is disabled"),
    ("SESSION_NOT_FRESH", "Session is not fresh"),
    ("EMAIL_ALREADY_VERIFIED", "Email is already verified"),
    ("EMAIL_CAN_NOT_BE_UPDATED", "Email can not be updated"),
    (
        "FAILED_TO_UNLINK_LAST_ACCOUNT",
        "You can't unlink your last account",
    ),
    ("FAILED_TO_CREATE_VERIFICATION", "Unable to create verification"),
    (
        "VERIFICATION_EMAIL_NOT_ENABLED",
        "Verification email isn't enabled",
    ),
    (
        "SESSION_EXPIRED",
        "Session expired. Re-authenticate to perform this action.",
    ),
    ("EMAIL_PASSWORD_DISABLED", "Email and password is not enabled"),
    (
        "EMAIL_PASSWORD_SIGN_UP_DISABLED",
        "Email and password sign up is not enabled",
    ),
    ("RESET_PASSWORD_DISABLED", "Reset password isn't enabled"),
    (
        "BANNED_USER",
        "You have been banned from this application. Please contact support if you believe this is an error.",
    ),
    (
        "USERNAME_IS_ALREADY_TAKEN",
        "Username is already taken. Please try another.",
    ),
    ("SERVICE_UNAVAILABLE", "Service unavailable"),
    ("UNAUTHORIZED", "Unauthorized"),
    (
        "METHOD_NOT_ALLOWED_DEFER_SESSION_REQUIRED",
        "POST method requires deferSessionRefresh to be enabled in session config",
    ),
    ("NOT_FOUND", "Not found"),
    ("INVALID_OTP", "Invalid OTP"),
    ("OTP_EXPIRED", "OTP expired"),
];

/// The text of a code: its own, or the code as a sentence.
pub(super) fn text_of(code: &str) -> String {
    if let Some((_, text)) = TEXTS.iter().find(|(known, _)| *known == code) {
        return (*text).to_owned();
    }
    let lower = code.replace('_', " ").to_ascii_lowercase();
    let mut letters = lower.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_ascii_uppercase().to_string() + letters.as_str()
    })
}

/// The status that a code comes with when nothing else is said.
fn status_of(code: &str) -> StatusCode {
    match code {
        "UNAUTHORIZED"
        | "INVALID_EMAIL_OR_PASSWORD"
        | "INVALID_USERNAME_OR_PASSWORD"
        | "FAILED_TO_CREATE_SESSION"
        | "FAILED_TO_GET_USER_INFO"
        | "USER_EMAIL_NOT_FOUND"
        | "OAUTH_LINK_ERROR"
        | "LINKING_NOT_ALLOWED"
        | "LINKING_DIFFERENT_EMAILS_NOT_ALLOWED" => StatusCode::UNAUTHORIZED,
        "EMAIL_NOT_VERIFIED"
        | "BANNED_USER"
        | "SESSION_NOT_FRESH"
        | "INVALID_ORIGIN"
        | "MISSING_OR_NULL_ORIGIN"
        | "INVALID_CALLBACK_URL"
        | "INVALID_REDIRECT_URL"
        | "INVALID_ERROR_CALLBACK_URL"
        | "INVALID_NEW_USER_CALLBACK_URL"
        | "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED"
        | "FORBIDDEN" => StatusCode::FORBIDDEN,
        "PROVIDER_NOT_FOUND" => StatusCode::NOT_FOUND,
        "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL" | "FAILED_TO_CREATE_USER" => StatusCode::UNPROCESSABLE_ENTITY,
        "METHOD_NOT_ALLOWED_DEFER_SESSION_REQUIRED" => StatusCode::METHOD_NOT_ALLOWED,
        "UNSUPPORTED_MEDIA_TYPE" => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "SERVICE_UNAVAILABLE" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

impl Fail {
    /// A code with its usual status and text.
    pub(super) fn code(code: &str) -> Self {
        Self::with(status_of(code), code)
    }

    /// A code with another status.
    pub(super) fn with(status: StatusCode, code: &str) -> Self {
        Self::said(status, code, &text_of(code))
    }

    /// A code with another text.
    pub(super) fn said(status: StatusCode, code: &str, message: &str) -> Self {
        Self {
            status,
            body: Some(json!({ "message": message, "code": code })),
            retry_after: None,
            fault: None,
        }
    }

    /// A text without a code.
    pub(super) fn plain(status: StatusCode, message: &str) -> Self {
        Self {
            status,
            body: Some(json!({ "message": message })),
            retry_after: None,
            fault: None,
        }
    }

    /// Nothing lives here: an empty body, whatever the method.
    pub(super) fn nothing() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            body: None,
            retry_after: None,
            fault: None,
        }
    }

    /// Asked too often.
    pub(super) fn too_often(seconds: u32) -> Self {
        Self {
            retry_after: Some(seconds),
            ..Self::plain(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many requests. Please try again later.",
            )
        }
    }

    /// The code, when there is one.
    pub(super) fn code_text(&self) -> Option<&str> {
        self.body.as_ref()?.get("code")?.as_str()
    }
}

impl From<AppError> for Fail {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Code(code) => Self::code(code),
            AppError::Said(code, text) => Self::said(status_of(code), code, &text),
            AppError::Core(error) => error.into(),
        }
    }
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refused) => match refused.reason {
                Reason::WrongCredentials => Self::code("INVALID_EMAIL_OR_PASSWORD"),
                Reason::AccountThrottled | Reason::NetworkThrottled => {
                    Self::too_often(refused.retry_after.unwrap_or(1))
                }
                Reason::Busy => Self {
                    retry_after: refused.retry_after.or(Some(2)),
                    ..Self::code("SERVICE_UNAVAILABLE")
                },
                Reason::Banned => Self::code("BANNED_USER"),
                Reason::SessionEnded => Self::code("UNAUTHORIZED"),
                _ => Self::said(
                    StatusCode::FORBIDDEN,
                    "FORBIDDEN",
                    "This account may not use this application",
                ),
            },
            Error::Invalid(text) => Self::said(StatusCode::BAD_REQUEST, "BAD_REQUEST", &text),
            Error::NotFound(_) => Self::with(StatusCode::NOT_FOUND, "NOT_FOUND"),
            Error::Protocol(error) => Self::said(StatusCode::BAD_REQUEST, "BAD_REQUEST", &error.description),
            Error::Fault(fault) if fault.unavailable => Self {
                retry_after: Some(2),
                fault: Some(fault.chain()),
                ..Self::code("SERVICE_UNAVAILABLE")
            },
            Error::Fault(fault) => Self {
                fault: Some(fault.chain()),
                ..Self::said(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "INTERNAL_SERVER_ERROR",
                    "Internal server error",
                )
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_1_9_texts_follow_the_rule_or_are_listed() {
        assert_eq!(text_of("INVALID_EMAIL_OR_PASSWORD"), "Invalid email or password");
        assert_eq!(text_of("USER_NOT_FOUND"), "User not found");
        assert_eq!(
            text_of("FAILED_TO_UNLINK_LAST_ACCOUNT"),
            "You can't unlink your last account"
        );
        assert_eq!(text_of(""), "");
    }
}
