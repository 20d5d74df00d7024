//! Checks of what callers send, with the texts of the wire contract (section 1.1): every problem, joined with `; `.

use http::StatusCode;
use serde_json::{Map, Value};

use super::fail::Fail;

/// Fields of a body or a query under check.
pub(super) struct Check<'a> {
    place: &'static str,
    fields: Option<&'a Map<String, Value>>,
    problems: Vec<String>,
}

pub(super) fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "undefined",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "boolean",
        Some(Value::Number(_)) => "number",
        Some(Value::String(_)) => "string",
        Some(Value::Array(_)) => "array",
        Some(Value::Object(_)) => "object",
    }
}

/// An address as the contract's own check accepts it: letters, digits and `_'+-.` before one `@`, labels with a dot after it.
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let local_ok = !local.is_empty()
        && text.len() <= 254
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && local
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_'+-.".contains(&b));
    let labels: Vec<&str> = domain.split('.').collect();
    let label_ok = |label: &&str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let last_ok = labels
        .last()
        .is_some_and(|last| last.len() >= 2 && last.bytes().all(|b| b.is_ascii_alphabetic()));
    local_ok && labels.len() >= 2 && labels.iter().all(label_ok) && last_ok
}

impl<'a> Check<'a> {
    /// Begins. `place` is `body` or `query`.
    pub(super) fn new(place: &'static str, value: Option<&'a Value>) -> Self {
        let fields = value.and_then(Value::as_object);
        let mut problems = Vec::new();
        if fields.is_none() {
            problems.push(format!(
                "[{place}] Invalid input: expected object, received {}",
                kind(value)
            ));
        }
        Self {
            place,
            fields,
            problems,
        }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields.and_then(|fields| fields.get(name))
    }

    fn wrong(&mut self, name: &str, expected: &str) {
        let got = kind(self.get(name));
        let place = self.place;
        self.problem(
            name,
            &format!("Invalid input: expected {expected}, received {got}"),
            place,
        );
    }

    fn problem(&mut self, name: &str, text: &str, place: &str) {
        if self.fields.is_some() {
            self.problems.push(format!("[{place}.{name}] {text}"));
        }
    }

    /// Says that a field is not acceptable.
    pub(super) fn refuse(&mut self, name: &str, text: &str) {
        let place = self.place;
        self.problem(name, text, place);
    }

    /// A text that must be there.
    pub(super) fn text(&mut self, name: &str) -> &'a str {
        if let Some(Value::String(text)) = self.get(name) {
            return text;
        }
        self.wrong(name, "string");
        ""
    }

    /// An e-mail address that must be there, in lower case.
    pub(super) fn email(&mut self, name: &str) -> String {
        match self.get(name) {
            Some(Value::String(text)) if is_email(text) => text.to_lowercase(),
            Some(Value::String(_)) => {
                self.refuse(name, "Invalid email address");
                String::new()
            }
            _ => {
                self.wrong(name, "string");
                String::new()
            }
        }
    }

    /// A text that may be missing.
    pub(super) fn maybe_text(&mut self, name: &str) -> Option<&'a str> {
        match self.get(name) {
            None => None,
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                self.wrong(name, "string");
                None
            }
        }
    }

    /// A text that may be missing or null: the outer `None` is missing.
    pub(super) fn nullable_text(&mut self, name: &str) -> Option<Option<&'a str>> {
        match self.get(name) {
            None => None,
            Some(Value::Null) => Some(None),
            Some(Value::String(text)) => Some(Some(text)),
            Some(_) => {
                self.wrong(name, "string");
                None
            }
        }
    }

    /// Yes or no, that may be missing.
    pub(super) fn maybe_bool(&mut self, name: &str) -> Option<bool> {
        match self.get(name) {
            None => None,
            Some(Value::Bool(yes)) => Some(*yes),
            Some(_) => {
                self.wrong(name, "boolean");
                None
            }
        }
    }

    /// A list of texts that may be missing.
    pub(super) fn maybe_texts(&mut self, name: &str) -> Option<Vec<String>> {
        match self.get(name) {
            None => None,
            Some(Value::Array(list)) if list.iter().all(Value::is_string) && list.len() <= 100 => {
                Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            Some(_) => {
                self.wrong(name, "array");
                None
            }
        }
    }

    /// Anything that may be missing.
    pub(super) fn any(&self, name: &str) -> Option<&'a Value> {
        self.get(name)
    }

    /// Ends: all problems in one answer.
    pub(super) fn done(self) -> Result<(), Fail> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(Fail::said(
            StatusCode::BAD_REQUEST,
            "VALIDATION_ERROR",
            &self.problems.join("; "),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn section_1_1_every_problem_is_told_with_its_path() {
        let body = json!({ "email": "nobody", "password": 7 });
        let mut check = Check::new("body", Some(&body));
        let _ = (check.text("name"), check.email("email"), check.text("password"));
        let fail = check.done().unwrap_err();
        assert_eq!(
            fail.body.unwrap()["message"],
            "[body.name] Invalid input: expected string, received undefined; [body.email] Invalid email address; \
             [body.password] Invalid input: expected string, received number"
        );
    }

    #[test]
    fn addresses() {
        for good in ["a@example.org", "a.b+c_d'e-f@x-y.example.co"] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "@example.org",
            "a@localhost",
            "a b@example.org",
            ".a@example.org",
            "a..b@example.org",
            "a@-x.org",
            "a@example.o",
            "ä@example.org",
            "a@example.org\n",
        ] {
            assert!(!is_email(bad), "{bad:?}");
        }
    }
}
