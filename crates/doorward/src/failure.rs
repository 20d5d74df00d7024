//! Why the program ends with something else than 0, and how that is said: one sentence on standard error, and with
//! `--json` an object on standard output.

use std::fmt;
use std::io;
use std::process::ExitCode;

use doorward_config::Problem;
use doorward_core::{Error, explain};
use serde_json::{Value, json};

/// Result of a command.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a command did not happen.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Settings that are wrong, all of them.
    Settings(Vec<Problem>),
    /// The command line makes no sense.
    Usage(String),
    /// A rule forbids it.
    Refused(String),
    /// A value is not acceptable; names the field.
    Invalid(String),
    /// Nothing by that name.
    NotFound(String),
    /// The database is away.
    Unavailable(String),
    /// Something on this machine or in this program is wrong.
    Fault(String),
    /// Standard output is gone.
    Output(io::Error),
}

impl Failure {
    /// A word for programs.
    fn kind(&self) -> &'static str {
        match self {
            Self::Settings(_) => "settings",
            Self::Usage(_) => "usage",
            Self::Refused(_) => "refused",
            Self::Invalid(_) => "invalid",
            Self::NotFound(_) => "not_found",
            Self::Unavailable(_) => "unavailable",
            Self::Fault(_) => "fault",
            Self::Output(_) => "output",
        }
    }

    /// The number that the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused(_) | Self::Invalid(_) | Self::Fault(_) => 1,
            Self::Settings(_) | Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Unavailable(_) => 4,
            // `doorward user list | head` is no failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) => 1,
        })
    }

    /// Is there nobody to tell?
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// `{"error": {"kind": …, "message": …}}`, with the single problems of wrong settings.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({ "kind": self.kind(), "message": self.to_string() });
        if let (Self::Settings(problems), Value::Object(error)) = (self, &mut error) {
            let problems = problems.iter().map(problem_json).collect();
            error.insert("problems".to_owned(), Value::Array(problems));
        }
        json!({ "error": error })
    }
}

/// One problem of the settings for programs.
pub(crate) fn problem_json(problem: &Problem) -> Value {
    json!({
        "key": problem.key,
        "where": problem.where_.to_string(),
        "message": problem.message,
        "expected": problem.expected,
        "hint": problem.hint,
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(problems) => {
                for (index, problem) in problems.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "\n" };
                    write!(f, "{separator}{problem}")?;
                }
                Ok(())
            }
            Self::Usage(text)
            | Self::Refused(text)
            | Self::Invalid(text)
            | Self::NotFound(text)
            | Self::Unavailable(text)
            | Self::Fault(text) => f.write_str(text),
            Self::Output(error) => write!(f, "standard output cannot be written: {error}"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refused) => Self::Refused(explain::sentence(refused.reason).to_owned()),
            Error::Protocol(error) => Self::Invalid(error.description.to_string()),
            Error::Invalid(text) => Self::Invalid(text),
            Error::NotFound(text) => Self::NotFound(text),
            Error::Fault(fault) if fault.unavailable => Self::Unavailable(fault.chain()),
            Error::Fault(fault) => Self::Fault(fault.chain()),
        }
    }
}

impl From<doorward_store::Error> for Failure {
    fn from(error: doorward_store::Error) -> Self {
        Self::from(Error::from(error))
    }
}

impl From<io::Error> for Failure {
    /// For standard output only; other files get a sentence of their own.
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_a_word_for_programs_and_a_sentence_for_people() {
        let failure = Failure::from(Error::NotFound("there is no user `x`".into()));
        assert_eq!(
            failure.to_json(),
            json!({ "error": { "kind": "not_found", "message": "there is no user `x`" } })
        );
        assert_eq!(failure.exit_code(), ExitCode::from(3));
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.is_silent());
        assert_eq!(failure.exit_code(), ExitCode::from(0));
    }
}
