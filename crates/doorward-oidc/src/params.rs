//! Request parameters: `application/x-www-form-urlencoded` text as ordered pairs, with limits.
//!
//! Must not live here: the meaning of single parameters.

use std::collections::BTreeSet;
use std::fmt;

use crate::encode::{self, BadEncoding};
use crate::error::{ErrorCode, TokenError};

/// Longest accepted text in bytes.
pub const LONGEST_TEXT: usize = 64 * 1024;
/// Most pairs.
pub const MOST_PAIRS: usize = 200;
/// Longest decoded name in bytes.
pub const LONGEST_NAME: usize = 128;
/// Longest decoded value in bytes.
pub const LONGEST_VALUE: usize = 16 * 1024;

/// Parameters that may occur more than once (RFC 8707 section 2, RFC 8693 section 2.1).
const REPEATABLE: [&str; 2] = ["resource", "audience"];

/// Why a query or form was refused. The text names the field, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// The whole text is too long.
    #[error("the parameters have {0} bytes; expected at most 65536")]
    TooLong(usize),
    /// Too many pairs.
    #[error("there are more than 200 parameters")]
    TooMany,
    /// A name is too long.
    #[error("the name of parameter number {0} is longer than 128 bytes")]
    LongName(usize),
    /// A value is too long.
    #[error("{0} is longer than 16384 bytes")]
    LongValue(String),
    /// A name is not form-encoded UTF-8.
    #[error("the name of parameter number {0} is not form-encoded UTF-8")]
    BadName(usize),
    /// A value has a `%` without two hexadecimal digits.
    #[error("{0} has a % that is not followed by two hexadecimal digits")]
    BadPercent(String),
    /// A value is not UTF-8.
    #[error("{0} is not UTF-8 after decoding")]
    BadUtf8(String),
    /// A value has a NUL, which no field can hold and some databases refuse.
    #[error("{0} has a NUL character")]
    Nul(String),
    /// A parameter breaks a rule; the sentence says which.
    #[error("{0}")]
    Rule(String),
}

impl From<ParamError> for TokenError {
    fn from(error: ParamError) -> Self {
        Self::new(ErrorCode::InvalidRequest, error.to_string())
    }
}

/// Parameters in the order of the request. `Debug` shows names only, because values can be secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params {
    pairs: Vec<(String, String)>,
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.pairs.iter().map(|(name, _)| name))
            .finish()
    }
}

impl Params {
    /// Reads a query string (without `?`) or a form body.
    ///
    /// # Errors
    /// [`ParamError`] when a limit is passed or the encoding is broken.
    pub fn parse(text: &str) -> Result<Self, ParamError> {
        if text.len() > LONGEST_TEXT {
            return Err(ParamError::TooLong(text.len()));
        }
        let mut pairs = Vec::new();
        for piece in text.split('&').filter(|piece| !piece.is_empty()) {
            let number = pairs.len() + 1;
            if number > MOST_PAIRS {
                return Err(ParamError::TooMany);
            }
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            let name = encode::form_decode(name)
                .ok()
                .filter(|name| !name.contains('\0'))
                .ok_or(ParamError::BadName(number))?;
            if name.len() > LONGEST_NAME {
                return Err(ParamError::LongName(number));
            }
            let value = match encode::form_decode(value) {
                Ok(value) => value,
                Err(BadEncoding::Percent) => return Err(ParamError::BadPercent(name)),
                Err(BadEncoding::Utf8) => return Err(ParamError::BadUtf8(name)),
            };
            if value.len() > LONGEST_VALUE {
                return Err(ParamError::LongValue(name));
            }
            if value.contains('\0') {
                return Err(ParamError::Nul(name));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// From pairs that were read elsewhere (a JSON object, a test). No limits are applied.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Self {
            pairs: pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }

    /// First value of a parameter. One without a value counts as absent (RFC 6749 section 3.1).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a parameter, empty ones left out.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs
            .iter()
            .filter(move |(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// How often a name occurs, with or without a value.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        self.pairs.iter().filter(|(known, _)| known == name).count()
    }

    /// First name that occurs twice although it may not (RFC 6749 section 3.1): any but `resource` and `audience`.
    #[must_use]
    pub fn repeated(&self) -> Option<&str> {
        let mut seen = BTreeSet::new();
        self.pairs
            .iter()
            .map(|(name, _)| name.as_str())
            .find(|name| !REPEATABLE.contains(name) && !seen.insert(*name))
    }

    /// Refuses repeated parameters.
    ///
    /// # Errors
    /// `invalid_request` naming the parameter.
    pub fn refuse_repeated(&self) -> Result<(), TokenError> {
        match self.repeated() {
            None => Ok(()),
            Some(name) => Err(crate::error::invalid_request(format!(
                "{name} is given more than once"
            ))),
        }
    }

    /// The same without some parameters.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let pairs = self
            .pairs
            .iter()
            .filter(|(name, _)| !names.contains(&name.as_str()))
            .cloned();
        Self {
            pairs: pairs.collect(),
        }
    }

    /// The same with one parameter set; earlier values of that name are dropped.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut changed = self.without(&[name]);
        changed.pairs.push((name.to_owned(), value.to_owned()));
        changed
    }

    /// As a query string (without `?`), percent-encoded.
    #[must_use]
    pub fn to_query(&self) -> String {
        encode::encode_pairs(self.iter())
    }

    /// All pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Is there no pair at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}
