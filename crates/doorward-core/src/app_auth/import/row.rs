//! Rows of somebody else's tables: names in any spelling, values of any type that means the same.

use serde_json::{Map, Value};

use doorward_domain::Timestamp;

/// Longest text that is taken from a column.
const LONGEST: usize = 64 * 1024;
/// Longest id.
const LONGEST_ID: usize = 200;
/// Numbers below this are seconds; a time in milliseconds that is as small was in March 1973.
const SECONDS_BELOW: i64 = 100_000_000_000;

/// A name without what spellings differ in: `emailVerified`, `email_verified` and `EMAIL_VERIFIED` are one.
pub(super) fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| *c != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

/// A row with plain names.
pub(super) struct Row(Map<String, Value>);

impl Row {
    pub(super) fn new(columns: Map<String, Value>) -> Self {
        Self(
            columns
                .into_iter()
                .map(|(name, value)| (plain(&name), value))
                .collect(),
        )
    }

    fn get(&self, column: &str) -> Option<&Value> {
        self.0.get(column).filter(|value| !value.is_null())
    }

    /// Is there anything in the column?
    pub(super) fn has(&self, column: &str) -> bool {
        self.get(column)
            .is_some_and(|value| value.as_str().is_none_or(|text| !text.trim().is_empty()))
    }

    /// A text that is not empty.
    pub(super) fn text(&self, column: &str) -> Option<&str> {
        let text = self.get(column)?.as_str()?;
        Some(text).filter(|text| !text.trim().is_empty() && !text.contains('\0') && text.len() <= LONGEST)
    }

    /// An id: a text, a uuid or a number.
    pub(super) fn id(&self, column: &str) -> Option<String> {
        let id = match self.get(column)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let fits = !id.is_empty() && id.len() <= LONGEST_ID && !id.chars().any(char::is_control);
        fits.then_some(id)
    }

    /// Yes or no, as engines and libraries write it.
    pub(super) fn flag(&self, column: &str) -> Option<bool> {
        match self.get(column)? {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => number.as_i64().map(|number| number != 0),
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "1" | "t" | "true" => Some(true),
                "0" | "f" | "false" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// A whole number.
    pub(super) fn number(&self, column: &str) -> Option<i64> {
        match self.get(column)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// A time: RFC 3339, the same without a zone (UTC) or with a space, seconds or milliseconds since 1970.
    pub(super) fn time(&self, column: &str) -> Option<Timestamp> {
        if let Some(number) = self.number(column) {
            let millis = if (-SECONDS_BELOW..SECONDS_BELOW).contains(&number) {
                number.checked_mul(1000)?
            } else {
                number
            };
            return Some(Timestamp::from_millis(millis));
        }
        let text = self.text(column)?.replacen(' ', "T", 1);
        let with_zone = || format!("{text}Z");
        text.parse().ok().or_else(|| with_zone().parse().ok())
    }

    /// When it was made; never later than now.
    pub(super) fn created(&self, now: Timestamp) -> Timestamp {
        self.time("createdat").unwrap_or(now).min(now)
    }

    /// When it last changed, or was made; never later than now.
    pub(super) fn updated(&self, now: Timestamp) -> Timestamp {
        self.time("updatedat")
            .map_or_else(|| self.created(now), |at| at.min(now))
    }

    /// An object or list, or a text that is one.
    pub(super) fn json(&self, column: &str) -> Option<Value> {
        match self.get(column)? {
            Value::String(text) if text.len() <= LONGEST => serde_json::from_str(text)
                .ok()
                .filter(|value: &Value| !value.is_null()),
            Value::String(_) => None,
            value => Some(value.clone()),
        }
    }

    /// What a report shows of the row.
    pub(super) fn shown(&self) -> String {
        let id = self.id("id").unwrap_or_default();
        id.chars().take(64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(value: Value) -> Row {
        match value {
            Value::Object(columns) => Row::new(columns),
            other => panic!("not a row: {other}"),
        }
    }

    #[test]
    fn names_in_any_spelling_are_one() {
        for name in [
            "emailVerified",
            "email_verified",
            "EMAIL_VERIFIED",
            "EmailVerified",
        ] {
            assert_eq!(plain(name), "emailverified");
        }
    }

    #[test]
    fn values_of_either_engine_mean_the_same() {
        let at: Timestamp = "2026-12-01T02:28:14Z".parse().unwrap();
        for time in [
            json!("2026-12-01T02:28:14.000Z"),
            json!("2026-12-01T02:28:14+00:00"),
            json!("2026-12-01 02:28:14"),
            json!("2026-12-01T02:28:14"),
            json!(at.seconds()),
            json!(at.millis()),
            json!(at.millis().to_string()),
        ] {
            assert_eq!(row(json!({ "t": time })).time("t"), Some(at), "{time}");
        }
        for (flag, wanted) in [
            (json!(true), Some(true)),
            (json!(0), Some(false)),
            (json!("t"), Some(true)),
            (json!("perhaps"), None),
            (json!(null), None),
        ] {
            assert_eq!(row(json!({ "f": flag })).flag("f"), wanted);
        }
        assert_eq!(row(json!({ "id": 7 })).id("id").as_deref(), Some("7"));
        for odd in [
            json!(""),
            json!("a\u{7}"),
            json!("x".repeat(201)),
            json!({}),
            json!(null),
        ] {
            assert_eq!(row(json!({ "id": odd })).id("id"), None);
        }
        for odd in [json!("yesterday"), json!({}), json!(i64::MIN), json!("")] {
            let _ = row(json!({ "t": odd })).time("t");
        }
        assert_eq!(
            row(json!({ "j": "{\"a\":1}" })).json("j"),
            Some(json!({ "a": 1 }))
        );
        assert_eq!(row(json!({ "j": "null" })).json("j"), None);
    }
}
