//! How one value is read from text: the trait that every type of setting has, and the plain types.
//!
//! A type says what it is called, what is expected and how it is printed, so that reading, errors and the reference
//! page come from one place.

use doorward_domain::Lifetime;
use std::path::PathBuf;

use crate::Secret;
use crate::size::ByteSize;
use crate::words::yes_or_no;

/// The form that a value has in the settings file. Environment and flags are always text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A string.
    Text,
    /// A list of strings, or one string with commas.
    List,
    /// An integer.
    Integer,
    /// An integer or a string with a unit.
    Size,
    /// `true` or `false`.
    Boolean,
    /// A string, or a table that says where the string is.
    Secret,
}

/// Why a text is not a value of the wanted type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// The part that is wrong, when it may be shown.
    pub(crate) given: Option<String>,
    /// What is wrong with it, as the rest of a sentence (`is not …`); never holds the value.
    pub(crate) why: String,
    /// What to do.
    pub(crate) hint: Option<Hint>,
}

/// What to do about a wrong value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Does not hold the value.
    Plain(&'static str),
    /// Holds parts of the value: shown only when the value may be shown.
    Quoting(String),
}

impl Wrong {
    /// A value that may be shown when it is no secret.
    pub(crate) fn new(given: &str, why: impl Into<String>) -> Self {
        Self {
            given: Some(given.to_owned()),
            why: why.into(),
            hint: None,
        }
    }
    /// A value that is not shown.
    pub(crate) fn hidden(why: impl Into<String>) -> Self {
        Self {
            given: None,
            why: why.into(),
            hint: None,
        }
    }
    /// Adds what to do; holds no part of the value.
    pub(crate) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(Hint::Plain(hint));
        self
    }
    /// Adds what to do with parts of the value in it.
    pub(crate) fn quoting(mut self, hint: String) -> Self {
        self.hint = Some(Hint::Quoting(hint));
        self
    }
}

/// A type of setting.
pub(crate) trait Value: Sized {
    /// Its name on the reference page.
    const KIND: &'static str;
    /// Its form in the file.
    const FORM: Form = Form::Text;
    /// Whether problems, `config show` and the log must not show it.
    const SECRET: bool = false;
    /// What is expected, as the rest of "expected …".
    fn expected() -> String;
    /// Reads it.
    fn parse(text: &str) -> Result<Self, Wrong>;
    /// Prints it for `config show`.
    fn show(&self) -> String;
}

/// Longest accepted text of one value, in bytes, apart from lists.
const LONGEST: usize = 4096;

fn visible(text: &str, longest: usize) -> Result<(), Wrong> {
    if text.trim().is_empty() {
        return Err(Wrong::hidden("is empty"));
    }
    if text.len() > longest {
        return Err(Wrong::hidden(format!(
            "has {} bytes, at most {longest} are accepted",
            text.len()
        )));
    }
    if text.chars().any(char::is_control) {
        return Err(Wrong::hidden("has a line break or another control character"));
    }
    Ok(())
}

/// A path of a file or folder.
#[derive(Clone, Debug)]
pub(crate) struct FilePath(pub(crate) PathBuf);

impl Value for FilePath {
    const KIND: &'static str = "path";
    fn expected() -> String {
        "a path, absolute or relative to the working directory".to_owned()
    }
    fn parse(text: &str) -> Result<Self, Wrong> {
        if text.contains("-----BEGIN") {
            return Err(
                Wrong::hidden("holds the content of a PEM file instead of its path").hint(
                    "give the path itself; a variable that ends in _FILE names a file that holds the path",
                ),
            );
        }
        visible(text, LONGEST)?;
        Ok(Self(PathBuf::from(text)))
    }
    fn show(&self) -> String {
        self.0.display().to_string()
    }
}

/// A whole number between two bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count<const MIN: u32, const MAX: u32>(pub(crate) u32);

impl<const MIN: u32, const MAX: u32> Value for Count<MIN, MAX> {
    const KIND: &'static str = "number";
    const FORM: Form = Form::Integer;
    fn expected() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }
    fn parse(text: &str) -> Result<Self, Wrong> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<u32>() {
            Ok(number) if digits && (MIN..=MAX).contains(&number) => Ok(Self(number)),
            Ok(_) if digits => Err(Wrong::new(text, "is out of range")),
            Err(_) if digits => Err(Wrong::new(text, "is out of range")),
            _ => Err(Wrong::new(text, "is not a whole number")),
        }
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// `true` or `false`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Switch(pub(crate) bool);

impl Value for Switch {
    const KIND: &'static str = "true or false";
    const FORM: Form = Form::Boolean;
    fn expected() -> String {
        "true or false".to_owned()
    }
    fn parse(text: &str) -> Result<Self, Wrong> {
        yes_or_no(text)
            .map(Self)
            .ok_or_else(|| Wrong::new(text, "is neither true nor false"))
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// A length of time between two bounds, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<const MIN: u32, const MAX: u32>(pub(crate) Lifetime);

impl<const MIN: u32, const MAX: u32> Value for Span<MIN, MAX> {
    const KIND: &'static str = "length of time";
    fn expected() -> String {
        let (least, most) = (Lifetime::from_millis(MIN), Lifetime::from_millis(MAX));
        format!("a length of time from {least} to {most}, such as 1500ms, 30s, 1h30m or minutes=10")
    }
    fn parse(text: &str) -> Result<Self, Wrong> {
        let lifetime: Lifetime = text.parse().map_err(|_| {
            let wrong = Wrong::new(text, "is not a length of time");
            let unitless = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            if unitless {
                wrong.hint("add the unit: ms, s, m, h, d or w")
            } else {
                wrong
            }
        })?;
        if (i64::from(MIN)..=i64::from(MAX)).contains(&lifetime.millis()) {
            Ok(Self(lifetime))
        } else {
            Err(Wrong::new(text, "is out of range"))
        }
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// An amount of memory between two bounds, in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<const MIN_KIB: u32, const MAX_KIB: u32>(pub(crate) ByteSize);

impl<const MIN_KIB: u32, const MAX_KIB: u32> Value for Bytes<MIN_KIB, MAX_KIB> {
    const KIND: &'static str = "size";
    const FORM: Form = Form::Size;
    fn expected() -> String {
        let (least, most) = (kib(MIN_KIB), kib(MAX_KIB));
        format!("a size from {least} to {most}, such as 64KiB, 10MiB or 65536 (bytes)")
    }
    fn parse(text: &str) -> Result<Self, Wrong> {
        let size: ByteSize = text.parse().map_err(|_| Wrong::new(text, "is not a size"))?;
        if (kib(MIN_KIB)..=kib(MAX_KIB)).contains(&size) {
            Ok(Self(size))
        } else {
            Err(Wrong::new(text, "is out of range"))
        }
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

fn kib(count: u32) -> ByteSize {
    ByteSize::new(u64::from(count) * 1024)
}

/// A name that another program chose, such as a user name at a mail server.
#[derive(Clone, Debug)]
pub(crate) struct Line(pub(crate) String);

impl Value for Line {
    const KIND: &'static str = "text";
    fn expected() -> String {
        "one line of text".to_owned()
    }
    fn parse(text: &str) -> Result<Self, Wrong> {
        visible(text, 512)?;
        Ok(Self(text.to_owned()))
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

/// A name that people sign in with.
#[derive(Clone, Debug)]
pub(crate) struct Username(pub(crate) String);

impl Value for Username {
    const KIND: &'static str = "user name";
    fn expected() -> String {
        "1 to 150 letters, digits and . _ - @ +, such as admin".to_owned()
    }
    fn parse(text: &str) -> Result<Self, Wrong> {
        match doorward_domain::text::check_username(text) {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(_) => Err(Wrong::new(text, "is not a usable user name")),
        }
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

/// A secret of a least length.
#[derive(Clone, Debug)]
pub(crate) struct SecretText<const LEAST: usize>(pub(crate) Secret);

impl<const LEAST: usize> Value for SecretText<LEAST> {
    const KIND: &'static str = "secret";
    const FORM: Form = Form::Secret;
    const SECRET: bool = true;
    fn expected() -> String {
        if LEAST > 1 {
            format!("at least {LEAST} characters on one line")
        } else {
            "one line of text".to_owned()
        }
    }
    fn parse(text: &str) -> Result<Self, Wrong> {
        if text.is_empty() {
            return Err(Wrong::hidden("is empty"));
        }
        if text.len() > LONGEST {
            return Err(Wrong::hidden(format!("is longer than {LONGEST} bytes")));
        }
        if text.chars().any(char::is_control) {
            return Err(Wrong::hidden("has a line break or another control character"));
        }
        if text.chars().count() < LEAST {
            return Err(Wrong::hidden(format!("is shorter than {LEAST} characters")));
        }
        Ok(Self(Secret::new(text)))
    }
    fn show(&self) -> String {
        "(set)".to_owned()
    }
}
