//! What is wrong with a setting, where it was said, and what would be right, in one line.
//!
//! A problem never holds the value of a secret, nor text that was read through a `…_FILE` variable.

use std::fmt;
use std::path::PathBuf;

/// Where a value was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the settings file; line and column count from 1, columns in characters.
    File {
        /// As given in [`crate::Sources`].
        path: PathBuf,
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// In an environment variable.
    Environment(String),
    /// On the command line; with the leading dashes.
    Flag(String),
    /// Nowhere: the built-in default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => {
                write!(
                    f,
                    "{}:{line}:{column}",
                    one_line(&path.display().to_string(), 300)
                )
            }
            Self::Environment(name) => write!(f, "env {}", one_line(name, 100)),
            Self::Flag(name) => write!(f, "{}", one_line(name, 100)),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong (or, in [`crate::Settings::warnings`], unwise).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting, as in the file (`mail.host`); what was written when it is no setting; empty for a whole source.
    pub key: String,
    /// Where it was said.
    pub where_: Place,
    /// What is wrong.
    pub message: String,
    /// What was expected, when there is one answer.
    pub expected: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of a setting at a place.
    pub(crate) fn new(key: impl Into<String>, place: Place, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            where_: place,
            message: message.into(),
            expected: None,
            hint: None,
        }
    }

    /// Adds what was expected.
    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    /// `MESSAGE at FILE:LINE:COLUMN; expected …; HINT`, always one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.message, 1000))?;
        match &self.where_ {
            Place::File { .. } => write!(f, " at {}", self.where_)?,
            // Where the message names the variable or flag, it need not be named again.
            Place::Environment(name) | Place::Flag(name) if !self.message.contains(name.as_str()) => {
                write!(f, " in {}", one_line(name, 100))?;
            }
            Place::Environment(_) | Place::Flag(_) | Place::Default => {}
        }
        let expected = self
            .expected
            .as_ref()
            .map(|expected| format!("expected {expected}"));
        for part in expected.iter().chain(&self.hint) {
            write!(f, "; {}", one_line(part, 500))?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// Text without control characters and no longer than `longest` characters, so that a value cannot forge log lines.
pub(crate) fn one_line(text: &str, longest: usize) -> String {
    let mut line: String = text
        .chars()
        .take(longest)
        .flat_map(|c| {
            let escape = c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let mut escaped = escape.then(|| c.escape_default());
            std::iter::from_fn(move || escaped.as_mut().and_then(Iterator::next))
                .chain((!escape).then_some(c))
        })
        .collect();
    if text.chars().nth(longest).is_some() {
        line.push('…');
    }
    line
}
