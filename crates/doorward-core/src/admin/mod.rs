//! Administration: users, groups, applications, scopes, settings. The command line and later the console call these.

pub mod applications;
mod clients;
pub mod groups;
pub mod scopes;
pub mod settings;
pub mod site_tables;
pub mod sites;
pub mod users;

use crate::error::{Error, Result};

/// Checks a text that people read and that may be empty: at most `longest` characters, no control characters but line breaks.
pub(crate) fn check_text(field: &str, text: &str, longest: usize) -> Result<()> {
    let length = text.chars().count();
    if length > longest {
        return Err(Error::Invalid(format!(
            "{field} has {length} characters; expected at most {longest}"
        )));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Error::Invalid(format!("{field} has a control character")));
    }
    Ok(())
}

/// Checks a language tag (BCP 47) for its shape.
pub(crate) fn check_locale(locale: &str) -> Result<()> {
    let shape = locale.len() <= 35 && locale.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if shape {
        return Ok(());
    }
    Err(Error::Invalid(
        "locale is not a language tag; expected for example en or de-CH".into(),
    ))
}
