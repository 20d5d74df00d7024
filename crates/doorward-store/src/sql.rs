//! Statements, arguments and rows, without knowing an engine.
//!
//! Lives here: `sql("… $1 …").bind(value)`, the typed arguments (a NULL keeps its type, which PostgreSQL needs), the
//! expansion of list arguments and the reading of columns. Does not live here: connections, and any `match` on the
//! engine other than the [`Dialect`] that the engine file passes in.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use doorward_domain::{Id, Timestamp};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::error::{Error, Result};

/// Most items that one [`Query::bind_list`] takes.
pub const MAX_LIST: usize = 10_000;

/// One statement and its arguments. Build with [`sql`].
#[derive(Clone)]
#[must_use = "a query does nothing until it is run"]
pub struct Query {
    pub(crate) text: Cow<'static, str>,
    pub(crate) args: Vec<Arg>,
}

/// Starts a statement. Placeholders are `$1`, `$2`, … in any order and as often as needed; each gets its value from
/// the `bind` call with that number. The text must be in the subset that both engines accept.
pub fn sql(text: &'static str) -> Query {
    Query {
        text: Cow::Borrowed(text),
        args: Vec::new(),
    }
}

/// Starts a statement whose text was put together at run time (filters, sorting). Never put a value into the text.
/// Not kept in PostgreSQL's statement cache.
pub fn sql_built(text: String) -> Query {
    Query {
        text: Cow::Owned(text),
        args: Vec::new(),
    }
}

impl Query {
    /// Gives the next placeholder its value.
    pub fn bind(mut self, value: impl IntoArg) -> Self {
        self.args.push(value.into_arg());
        self
    }

    /// Gives the next placeholder a list. Written `… IN $3` or `… NOT IN $3`, without parentheses. An empty list
    /// matches nothing. At most [`MAX_LIST`] items.
    pub fn bind_list<I>(mut self, items: I) -> Self
    where
        I: IntoIterator,
        I::Item: ListItem,
    {
        let items: Vec<Arg> = items
            .into_iter()
            .take(MAX_LIST + 1)
            .map(IntoArg::into_arg)
            .collect();
        self.args.push(if items.len() > MAX_LIST {
            Arg::Unstorable("the list is too long")
        } else {
            Arg::List(<I::Item as IntoArg>::KIND, items)
        });
        self
    }

    /// The number that the next `bind` will fill; for texts put together at run time.
    #[must_use]
    pub fn next_position(&self) -> usize {
        self.args.len() + 1
    }

    /// Adds to the text of a statement put together at run time. Never put a value into the text.
    pub fn push(mut self, text: &str) -> Self {
        self.text.to_mut().push_str(text);
        self
    }

    /// Refuses arguments that the engines would not store alike.
    pub(crate) fn check(&self) -> Result<()> {
        for (index, arg) in self.args.iter().enumerate() {
            if let Some(problem) = arg.problem() {
                return Err(Error::Unstorable {
                    position: index + 1,
                    problem,
                });
            }
        }
        Ok(())
    }

    /// The text with list placeholders written as the engine wants them.
    pub(crate) fn text_for(&self, dialect: Dialect) -> Result<Cow<'_, str>> {
        if self.args.iter().any(|arg| matches!(arg, Arg::List(..))) {
            expand_lists(&self.text, &self.args, dialect).map(Cow::Owned)
        } else {
            Ok(Cow::Borrowed(&self.text))
        }
    }
}

/// Shows the text and the number of arguments, never their values.
impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("text", &self.text)
            .field("args", &self.args.len())
            .finish()
    }
}

/// How an engine writes lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `IN (SELECT value FROM json_each($n))`
    Sqlite,
    /// `= ANY($n)`
    Postgres,
}

/// Type of an argument, also of a NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `@bool`
    Bool,
    /// `@int`, `@time`, `@serial`
    Int,
    /// `@text`
    Text,
    /// `@bytes`
    Bytes,
    /// `@id`
    Uuid,
    /// `@json`
    Json,
}

/// A typed argument. Made by [`IntoArg`]; resource code never names it.
#[derive(Clone)]
pub enum Arg {
    /// NULL of a type.
    Null(Kind),
    /// `@bool`
    Bool(bool),
    /// `@int`, `@time`
    Int(i64),
    /// `@text`
    Text(String),
    /// `@bytes`
    Bytes(Vec<u8>),
    /// `@id`
    Uuid(Uuid),
    /// `@json`, as text
    Json(String),
    /// A list for `IN $n`.
    List(Kind, Vec<Arg>),
    /// A value that cannot be stored; the statement fails with [`Error::Unstorable`].
    Unstorable(&'static str),
}

/// Shows the type, never the value.
impl fmt::Debug for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null(kind) => write!(f, "Null({kind:?})"),
            Self::List(kind, items) => write!(f, "List({kind:?}, {})", items.len()),
            Self::Unstorable(problem) => write!(f, "Unstorable({problem})"),
            other => write!(f, "{:?}", other.kind()),
        }
    }
}

impl Arg {
    /// The type of this argument (of its items, for a list).
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Null(kind) | Self::List(kind, _) => *kind,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::Text(_) | Self::Unstorable(_) => Kind::Text,
            Self::Bytes(_) => Kind::Bytes,
            Self::Uuid(_) => Kind::Uuid,
            Self::Json(_) => Kind::Json,
        }
    }

    fn problem(&self) -> Option<&'static str> {
        match self {
            Self::Unstorable(problem) => Some(problem),
            Self::Text(text) if text.contains('\0') => Some("the text contains a NUL character"),
            Self::List(_, items) => items.iter().find_map(Self::problem),
            _ => None,
        }
    }
}

/// What can be bound to a placeholder.
pub trait IntoArg {
    /// Type of the argument, also when it is NULL.
    const KIND: Kind;
    /// The argument.
    fn into_arg(self) -> Arg;
}

/// What can stand in a list for [`Query::bind_list`].
pub trait ListItem: IntoArg {}

macro_rules! into_arg {
    ($($type:ty, $kind:ident, $value:ident => $arg:expr;)*) => {
        $(impl IntoArg for $type {
            const KIND: Kind = Kind::$kind;
            fn into_arg(self) -> Arg {
                let $value = self;
                $arg
            }
        })*
    };
}

into_arg! {
    bool, Bool, value => Arg::Bool(value);
    i64, Int, value => Arg::Int(value);
    i32, Int, value => Arg::Int(i64::from(value));
    u32, Int, value => Arg::Int(i64::from(value));
    u16, Int, value => Arg::Int(i64::from(value));
    u64, Int, value => i64::try_from(value).map_or(Arg::Unstorable("the number is beyond 63 bits"), Arg::Int);
    usize, Int, value => i64::try_from(value).map_or(Arg::Unstorable("the number is beyond 63 bits"), Arg::Int);
    &str, Text, value => Arg::Text(value.to_owned());
    &String, Text, value => Arg::Text(value.clone());
    String, Text, value => Arg::Text(value);
    Cow<'_, str>, Text, value => Arg::Text(value.into_owned());
    Vec<u8>, Bytes, value => Arg::Bytes(value);
    &Vec<u8>, Bytes, value => Arg::Bytes(value.clone());
    &[u8], Bytes, value => Arg::Bytes(value.to_vec());
    Uuid, Uuid, value => Arg::Uuid(value);
    &Uuid, Uuid, value => Arg::Uuid(*value);
    Timestamp, Int, value => Arg::Int(value.millis());
    Json, Json, value => json_arg(&value);
    &Json, Json, value => json_arg(value);
    &serde_json::Map<String, Json>, Json, value => json_arg(&Json::Object(value.clone()));
    serde_json::Map<String, Json>, Json, value => json_arg(&Json::Object(value));
}

impl<const N: usize> IntoArg for [u8; N] {
    const KIND: Kind = Kind::Bytes;
    fn into_arg(self) -> Arg {
        Arg::Bytes(self.to_vec())
    }
}

impl<const N: usize> IntoArg for &[u8; N] {
    const KIND: Kind = Kind::Bytes;
    fn into_arg(self) -> Arg {
        Arg::Bytes(self.to_vec())
    }
}

impl<K> IntoArg for Id<K> {
    const KIND: Kind = Kind::Uuid;
    fn into_arg(self) -> Arg {
        Arg::Uuid(self.uuid())
    }
}

impl<K> IntoArg for &Id<K> {
    const KIND: Kind = Kind::Uuid;
    fn into_arg(self) -> Arg {
        Arg::Uuid(self.uuid())
    }
}

impl<T: IntoArg> IntoArg for Option<T> {
    const KIND: Kind = T::KIND;
    fn into_arg(self) -> Arg {
        self.map_or(Arg::Null(T::KIND), T::into_arg)
    }
}

impl ListItem for Uuid {}
impl ListItem for &Uuid {}
impl<K> ListItem for Id<K> {}
impl<K> ListItem for &Id<K> {}
impl ListItem for String {}
impl ListItem for &String {}
impl ListItem for &str {}
impl ListItem for i64 {}
impl ListItem for Vec<u8> {}
impl<const N: usize> ListItem for [u8; N] {}

/// PostgreSQL's `jsonb` has no NUL character, so neither engine gets one.
fn json_arg(value: &Json) -> Arg {
    fn has_nul(value: &Json) -> bool {
        match value {
            Json::String(text) => text.contains('\0'),
            Json::Array(items) => items.iter().any(has_nul),
            Json::Object(fields) => fields
                .iter()
                .any(|(name, value)| name.contains('\0') || has_nul(value)),
            _ => false,
        }
    }
    if has_nul(value) {
        Arg::Unstorable("the JSON contains a NUL character")
    } else {
        Arg::Json(value.to_string())
    }
}

/// Rewrites `IN $n` for the list arguments. Text in quotes stays as it is.
fn expand_lists(text: &str, args: &[Arg], dialect: Dialect) -> Result<String> {
    let mut out = String::with_capacity(text.len() + 32);
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' {
            quoted = !quoted;
        }
        if c != '$' || quoted {
            out.push(c);
            continue;
        }
        let mut digits = String::new();
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        let position = digits.parse::<usize>().unwrap_or(0);
        match position.checked_sub(1).and_then(|index| args.get(index)) {
            Some(Arg::List(kind, _)) => push_list(&mut out, &digits, *kind, dialect)?,
            _ => {
                out.push('$');
                out.push_str(&digits);
            }
        }
    }
    Ok(out)
}

/// Writes the list with number `digits`; `out` ends with `IN ` or `NOT IN `.
fn push_list(out: &mut String, digits: &str, kind: Kind, dialect: Dialect) -> Result<()> {
    let Some(before) = strip_word(out, "IN") else {
        return Err(Error::Engine(format!("list ${digits} does not stand after IN")));
    };
    match dialect {
        Dialect::Sqlite => {
            let value = if matches!(kind, Kind::Uuid | Kind::Bytes) {
                "unhex(value)"
            } else {
                "value"
            };
            out.push_str(&format!("(SELECT {value} FROM json_each(${digits}))"));
        }
        Dialect::Postgres => {
            let (keep, operator) = match strip_word(before, "NOT") {
                Some(before) => (before.len(), "<> ALL"),
                None => (before.len(), "= ANY"),
            };
            out.truncate(keep);
            out.push_str(&format!("{operator}(${digits})"));
        }
    }
    Ok(())
}

/// `text` without `word` at its end, keeping the space before it.
fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let trimmed = text.trim_end();
    let start = trimmed.len().checked_sub(word.len())?;
    let tail = trimmed.get(start..)?;
    let head = trimmed.get(..start)?;
    (tail.eq_ignore_ascii_case(word) && head.ends_with(|c: char| c.is_whitespace() || c == ')'))
        .then_some(head)
}

/// The items of a list as a JSON array, for SQLite's `json_each`; bytes and ids in hexadecimal.
pub(crate) fn list_as_json(items: &[Arg]) -> String {
    let items: Vec<Json> = items
        .iter()
        .map(|item| match item {
            Arg::Int(value) => Json::from(*value),
            Arg::Text(text) => Json::from(text.as_str()),
            Arg::Uuid(id) => Json::from(id.simple().to_string()),
            Arg::Bytes(bytes) => Json::from(hex(bytes)),
            _ => Json::Null,
        })
        .collect();
    Json::from(items).to_string()
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// A column's value as the engine gave it.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// NULL
    Null,
    /// PostgreSQL `boolean`
    Bool(bool),
    /// Whole number
    Int(i64),
    /// Floating-point number (aggregates only)
    Real(f64),
    /// Text
    Text(String),
    /// Bytes
    Bytes(Vec<u8>),
    /// PostgreSQL `uuid`
    Uuid(Uuid),
    /// PostgreSQL `jsonb`
    Json(Json),
}

impl Value {
    fn name(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "a whole number",
            Self::Real(_) => "a floating-point number",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Uuid(_) => "an id",
            Self::Json(_) => "JSON",
        }
    }
}

/// Shows the type, never the value.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One row of a result.
#[derive(Clone, Debug)]
pub struct Row {
    pub(crate) shape: Arc<Shape>,
    pub(crate) values: Vec<Value>,
}

/// What the rows of one result share.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) sql: Cow<'static, str>,
    pub(crate) columns: Vec<String>,
}

impl Row {
    /// The value of a column by the name it has in the result.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the column does not exist, is NULL without `Option`, or has another type or range.
    pub fn get<T: FromValue>(&self, column: &str) -> Result<T> {
        let index = self.shape.columns.iter().position(|name| name == column);
        match index.and_then(|index| self.values.get(index)) {
            Some(value) => T::from_value(value).map_err(|problem| self.corrupt(column, problem)),
            None => Err(self.corrupt(column, "the statement returns no such column".to_owned())),
        }
    }

    /// An [`Error::Corrupt`] that names this row's table: for values that are well-formed for the database and yet
    /// not one of those that the program knows.
    #[must_use]
    pub fn corrupt(&self, column: &str, problem: impl Into<String>) -> Error {
        Error::Corrupt {
            table: table_of(&self.shape.sql).to_owned(),
            column: column.to_owned(),
            problem: problem.into(),
        }
    }

    /// The columns' names and values in order; for copying whole tables.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.shape.columns.iter().map(String::as_str).zip(&self.values)
    }
}

/// The first table that a statement names, for error messages.
fn table_of(sql: &str) -> &str {
    let mut words = sql.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';'));
    while let Some(word) = words.next() {
        let before_a_table = ["FROM", "INTO", "UPDATE"]
            .iter()
            .any(|key| word.eq_ignore_ascii_case(key));
        if before_a_table && let Some(table) = words.find(|word| !word.is_empty()) {
            return table;
        }
    }
    "result"
}

/// What can be read from a column.
pub trait FromValue: Sized {
    /// The value, or what is wrong with it (types only, never the value).
    ///
    /// # Errors
    /// A description of the mismatch.
    fn from_value(value: &Value) -> Result<Self, String>;
}

fn expected<T>(what: &str, found: &Value) -> Result<T, String> {
    Err(format!("expected {what}, found {}", found.name()))
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Bool(value) => Ok(*value),
            Value::Int(0) => Ok(false),
            Value::Int(1) => Ok(true),
            other => expected("a truth value", other),
        }
    }
}

impl FromValue for i64 {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Int(value) => Ok(*value),
            other => expected("a whole number", other),
        }
    }
}

macro_rules! narrower {
    ($($type:ty),*) => {
        $(impl FromValue for $type {
            fn from_value(value: &Value) -> Result<Self, String> {
                let wide = i64::from_value(value)?;
                Self::try_from(wide).map_err(|_| concat!("the number does not fit ", stringify!($type)).to_owned())
            }
        })*
    };
}
narrower!(u64, u32, u16, u8, i32, usize);

impl FromValue for f64 {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Real(value) => Ok(*value),
            other => expected("a floating-point number", other),
        }
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(text) => Ok(text.clone()),
            other => expected("text", other),
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Bytes(bytes) => Ok(bytes.clone()),
            other => expected("bytes", other),
        }
    }
}

impl<const N: usize> FromValue for [u8; N] {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Bytes(bytes) => <[u8; N]>::try_from(bytes.as_slice())
                .map_err(|_| format!("expected {N} bytes, found {}", bytes.len())),
            other => expected("bytes", other),
        }
    }
}

impl FromValue for Uuid {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Uuid(id) => Ok(*id),
            Value::Bytes(bytes) => Self::from_slice(bytes)
                .map_err(|_| format!("expected an id of 16 bytes, found {}", bytes.len())),
            other => expected("an id", other),
        }
    }
}

impl<K> FromValue for Id<K> {
    fn from_value(value: &Value) -> Result<Self, String> {
        Uuid::from_value(value).map(Self::from_uuid)
    }
}

impl FromValue for Timestamp {
    fn from_value(value: &Value) -> Result<Self, String> {
        i64::from_value(value).map(Self::from_millis)
    }
}

impl FromValue for Json {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Json(json) => Ok(json.clone()),
            Value::Text(text) => {
                serde_json::from_str(text).map_err(|_| "expected JSON, found other text".to_owned())
            }
            other => expected("JSON", other),
        }
    }
}

impl FromValue for serde_json::Map<String, Json> {
    fn from_value(value: &Value) -> Result<Self, String> {
        match Json::from_value(value)? {
            Json::Object(fields) => Ok(fields),
            _ => Err("expected a JSON object, found other JSON".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &'static str, dialect: Dialect) -> Result<String> {
        sql(text)
            .bind("x")
            .bind_list([Uuid::nil()])
            .text_for(dialect)
            .map(Cow::into_owned)
    }

    #[test]
    fn a_list_is_written_as_each_engine_wants_it() {
        let text = "SELECT a FROM t WHERE b = $1 AND id IN $2 AND c = '$2'";
        assert_eq!(
            expand(text, Dialect::Sqlite).unwrap(),
            "SELECT a FROM t WHERE b = $1 AND id IN (SELECT unhex(value) FROM json_each($2)) AND c = '$2'"
        );
        assert_eq!(
            expand(text, Dialect::Postgres).unwrap(),
            "SELECT a FROM t WHERE b = $1 AND id = ANY($2) AND c = '$2'"
        );
        assert_eq!(
            expand("a = $1 AND id NOT IN $2", Dialect::Postgres).unwrap(),
            "a = $1 AND id <> ALL($2)"
        );
    }

    #[test]
    fn a_list_anywhere_but_after_in_is_refused() {
        for text in ["a = $1 AND id = $2", "$1 $2", "a = $1 AND margin $2"] {
            assert!(
                matches!(expand(text, Dialect::Sqlite), Err(Error::Engine(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn values_that_the_engines_would_not_store_alike_are_refused() {
        let refused = |query: Query| matches!(query.check(), Err(Error::Unstorable { position: 1, .. }));
        assert!(refused(sql("").bind("a\0b")));
        assert!(refused(sql("").bind(u64::MAX)));
        assert!(refused(sql("").bind(serde_json::json!({ "a": ["\0"] }))));
        assert!(refused(sql("").bind_list(["a", "b\0"])));
        assert!(refused(sql("").bind_list(vec![1i64; MAX_LIST + 1])));
        assert!(sql("").bind("a").bind(1u64).bind(None::<&str>).check().is_ok());
    }

    #[test]
    fn debug_output_shows_no_value() {
        let query = sql("SELECT $1").bind("hunter2").bind(Some("hunter3"));
        assert!(!format!("{query:?}{:?}", query.args).contains("hunter"));
        let row = Row {
            shape: Arc::new(Shape {
                sql: "SELECT a FROM t".into(),
                columns: vec!["a".into()],
            }),
            values: vec![Value::Text("hunter2".into())],
        };
        assert!(!format!("{row:?}").contains("hunter"));
        let error = row.get::<i64>("a").unwrap_err();
        assert_eq!(
            error.to_string(),
            "t.a holds an unexpected value: expected a whole number, found text"
        );
    }

    #[test]
    fn a_wrong_column_or_type_is_an_error_that_names_table_and_column() {
        let row = Row {
            shape: Arc::new(Shape {
                sql: "INSERT INTO users(id) VALUES ($1) RETURNING id".into(),
                columns: vec!["id".into(), "n".into()],
            }),
            values: vec![Value::Bytes(vec![1, 2]), Value::Int(-1)],
        };
        for error in [
            row.get::<Uuid>("id").unwrap_err(),
            row.get::<u32>("n").unwrap_err(),
            row.get::<bool>("n").unwrap_err(),
            row.get::<Option<String>>("n").unwrap_err(),
            row.get::<i64>("missing").unwrap_err(),
            row.get::<[u8; 3]>("id").unwrap_err(),
        ] {
            assert!(
                matches!(&error, Error::Corrupt { table, .. } if table == "users"),
                "{error}"
            );
        }
    }
}
