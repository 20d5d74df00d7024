//! Bodies of the token API, and what is said about one that does not fit. The words are those that clients of such
//! services know; a password or token is never said back.

use serde_json::{Map, Value, json};

/// Shortest new password, in characters.
pub const SHORTEST_PASSWORD: usize = 8;
/// Longest new password, in characters.
pub const LONGEST_PASSWORD: usize = 128;
/// Longest name, in characters.
pub const LONGEST_NAME: usize = 100;
/// Fields whose value is said back to nobody.
const SECRET: [&str; 3] = ["password", "refresh_token", "token"];

/// One thing that is wrong with a body.
#[derive(Clone, Debug, PartialEq)]
pub struct Issue {
    /// The field; `None` for the body as a whole.
    pub field: Option<&'static str>,
    /// What sort of problem.
    pub kind: &'static str,
    /// A sentence.
    pub message: String,
    /// What was given, when it may be shown.
    pub input: Value,
}

impl Issue {
    fn of(field: &'static str, kind: &'static str, message: impl Into<String>, input: &Value) -> Self {
        let shown = if SECRET.contains(&field) || too_long_to_show(input) {
            Value::Null
        } else {
            input.clone()
        };
        Self {
            field: Some(field),
            kind,
            message: message.into(),
            input: shown,
        }
    }

    fn missing(field: &'static str) -> Self {
        Self::of(field, "missing", "Field required", &Value::Null)
    }

    /// A password that the rules for passwords refuse.
    #[must_use]
    pub fn password(message: &str) -> Self {
        Self::of(
            "password",
            "value_error",
            format!("Value error, {message}"),
            &Value::Null,
        )
    }

    /// A name or address that the rules for people refuse.
    #[must_use]
    pub fn value(field: &'static str, message: &str, input: &str) -> Self {
        Self::of(
            field,
            "value_error",
            format!("Value error, {message}"),
            &json!(input),
        )
    }

    /// As the answer says it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut place = vec!["body"];
        place.extend(self.field);
        json!({ "loc": place, "msg": self.message, "type": self.kind, "input": self.input })
    }
}

fn too_long_to_show(input: &Value) -> bool {
    match input {
        Value::String(text) => text.len() > 300,
        Value::Array(_) | Value::Object(_) => true,
        _ => false,
    }
}

/// Who wants an account.
#[derive(Clone, PartialEq, Eq)]
pub struct Registration {
    /// Address, in lower case.
    pub email: String,
    /// Password.
    pub password: String,
    /// Name.
    pub display_name: Option<String>,
}

/// Who wants to sign in.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Address, in lower case.
    pub email: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registration")
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

/// Deepest nesting of a body.
const DEEPEST: usize = 16;

/// The body as an object, whatever its `Content-Type` said.
///
/// # Errors
/// What is wrong with it.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, Vec<Issue>> {
    let whole = |kind, message: &str| {
        vec![Issue {
            field: None,
            kind,
            message: message.to_owned(),
            input: Value::Null,
        }]
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(whole("missing", "Field required"));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(members)) => {
            if members.values().all(|value| is_shallow(value, DEEPEST)) {
                Ok(members)
            } else {
                Err(whole("json_invalid", "JSON decode error"))
            }
        }
        Ok(_) => Err(whole(
            "model_attributes_type",
            "Input should be a valid dictionary or object to extract fields from",
        )),
        Err(_) => Err(whole("json_invalid", "JSON decode error")),
    }
}

fn is_shallow(value: &Value, left: usize) -> bool {
    match value {
        Value::Array(items) => left > 0 && items.iter().all(|item| is_shallow(item, left - 1)),
        Value::Object(members) => left > 0 && members.values().all(|item| is_shallow(item, left - 1)),
        _ => true,
    }
}

/// The body of `register`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn registration(body: &Map<String, Value>) -> Result<Registration, Vec<Issue>> {
    let mut issues = Vec::new();
    let email = email(body, &mut issues);
    let password = string(body, "password", &mut issues);
    if let Some(password) = &password {
        let length = password.chars().count();
        let mut say = |kind, message| issues.push(Issue::of("password", kind, message, &Value::Null));
        if length < SHORTEST_PASSWORD {
            say(
                "string_too_short",
                format!("String should have at least {SHORTEST_PASSWORD} characters"),
            );
        } else if length > LONGEST_PASSWORD {
            say(
                "string_too_long",
                format!("String should have at most {LONGEST_PASSWORD} characters"),
            );
        }
    }
    let display_name = match body.get("display_name") {
        None | Some(Value::Null) => None,
        Some(_) => string(body, "display_name", &mut issues),
    };
    let display_name = display_name
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty());
    if let Some(name) = &display_name {
        if name.chars().count() > LONGEST_NAME {
            let message = format!("String should have at most {LONGEST_NAME} characters");
            issues.push(Issue::of(
                "display_name",
                "string_too_long",
                message,
                &json!(name),
            ));
        } else if name.chars().any(char::is_control) {
            issues.push(Issue::value(
                "display_name",
                "the name has a control character",
                "",
            ));
        }
    }
    match (email, password) {
        (Some(email), Some(password)) if issues.is_empty() => Ok(Registration {
            email,
            password,
            display_name,
        }),
        _ => Err(issues),
    }
}

/// The body of `login`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn credentials(body: &Map<String, Value>) -> Result<Credentials, Vec<Issue>> {
    let mut issues = Vec::new();
    let email = email(body, &mut issues);
    let password = string(body, "password", &mut issues);
    match (email, password) {
        (Some(email), Some(password)) if issues.is_empty() => Ok(Credentials { email, password }),
        _ => Err(issues),
    }
}

/// One text of a body, such as `refresh_token`.
///
/// # Errors
/// What is wrong with it.
pub fn text(body: &Map<String, Value>, field: &'static str) -> Result<String, Vec<Issue>> {
    let mut issues = Vec::new();
    string(body, field, &mut issues).ok_or(issues)
}

/// `logout` with neither token.
#[must_use]
pub fn no_proof() -> Vec<Issue> {
    vec![Issue::missing("refresh_token")]
}

fn string(body: &Map<String, Value>, field: &'static str, issues: &mut Vec<Issue>) -> Option<String> {
    match body.get(field) {
        Some(Value::String(text)) => return Some(text.clone()),
        Some(other) => issues.push(Issue::of(
            field,
            "string_type",
            "Input should be a valid string",
            other,
        )),
        None => issues.push(Issue::missing(field)),
    }
    None
}

fn email(body: &Map<String, Value>, issues: &mut Vec<Issue>) -> Option<String> {
    let given = string(body, "email", issues)?;
    let email = given.trim().to_lowercase();
    match crate::text::check_email(&email) {
        Ok(()) => Some(email),
        Err(_) => {
            let message = "value is not a valid email address";
            issues.push(Issue::of("email", "value_error", message, &json!(given)));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(value: impl std::fmt::Display) -> Map<String, Value> {
        object(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn addresses_are_compared_in_lower_case_and_unknown_fields_do_not_matter() {
        let given = body(json!({ "email": " Alice@Example.ORG", "password": "correct horse", "x": [1] }));
        let read = registration(&given).unwrap();
        assert_eq!(read.email, "alice@example.org");
        assert_eq!(read.display_name, None);
        assert_eq!(credentials(&given).unwrap().email, "alice@example.org");
    }

    #[test]
    fn everything_wrong_is_said_at_once_with_its_place() {
        let issues = registration(&body(
            json!({ "email": "nobody", "password": "short", "display_name": 5 }),
        ))
        .unwrap_err();
        let said: Vec<Value> = issues.iter().map(Issue::to_json).collect();
        assert_eq!(said[0]["loc"], json!(["body", "email"]));
        assert_eq!(said[0]["input"], "nobody");
        assert_eq!(said[1]["type"], "string_too_short");
        assert_eq!(said[2]["type"], "string_type");
        let issues = registration(&Map::new()).unwrap_err();
        assert_eq!(issues.len(), 2);
        assert_eq!(
            issues[1].to_json(),
            json!({ "loc": ["body", "password"], "msg": "Field required", "type": "missing", "input": null })
        );
    }

    #[test]
    fn nobody_hears_their_password_or_token_back() {
        for (given, field) in [
            (
                json!({ "email": "a@example.org", "password": "hunter2" }),
                "password",
            ),
            (json!({ "refresh_token": ["hunter2"] }), "refresh_token"),
            (json!({ "token": { "hunter2": 1 } }), "token"),
        ] {
            let issues = match field {
                "password" => registration(&body(given)).unwrap_err(),
                _ => text(&body(given), field).unwrap_err(),
            };
            let said = json!(issues.iter().map(Issue::to_json).collect::<Vec<_>>()).to_string();
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn only_objects_that_are_not_too_deep_are_bodies() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
        let deeper = format!("{{\"a\":{}", "[".repeat(60_000));
        for (bytes, kind) in [
            ("", "missing"),
            (" \n", "missing"),
            ("[]", "model_attributes_type"),
            ("null", "model_attributes_type"),
            ("{\"a\"", "json_invalid"),
            ("email=a&password=b", "json_invalid"),
            (deep.as_str(), "json_invalid"),
            (deeper.as_str(), "json_invalid"),
        ] {
            assert_eq!(object(bytes.as_bytes()).unwrap_err()[0].kind, kind);
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}").unwrap_err()[0].kind, "json_invalid");
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        let with = |password: &str, name: &str| {
            registration(&body(
                json!({ "email": "a@example.org", "password": password, "display_name": name }),
            ))
        };
        assert!(with(&"ä".repeat(128), &"ö".repeat(100)).is_ok());
        assert_eq!(
            with(&"ä".repeat(129), "A").unwrap_err()[0].kind,
            "string_too_long"
        );
        assert_eq!(
            with("correct horse", &"ö".repeat(101)).unwrap_err()[0].field,
            Some("display_name")
        );
        assert_eq!(with("correct horse", "a\nb").unwrap_err()[0].kind, "value_error");
        assert_eq!(with("correct horse", " ").unwrap().display_name, None);
    }
}
