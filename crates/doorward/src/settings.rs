//! Collects what settings come from (file, environment, flags) and has `doorward-config` read it. The only place of the
//! program that looks at the environment.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use doorward_config::{LARGEST_FILE, Problem, Settings, Sources};

use crate::failure::{Failure, Result};

/// The file that is read when nothing names another one.
const STANDARD_FILE: &str = "doorward.toml";
/// Names another file; `--config` wins over it.
const FILE_VARIABLE: &str = "DOORWARD_CONFIG";
/// Says what the log shows, for looking into one part of the program.
const LOG_VARIABLE: &str = "DOORWARD_LOG";

/// What was said outside of the settings file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// `--config`.
    pub(crate) file: Option<PathBuf>,
    /// Flags as name and value.
    pub(crate) flags: Vec<(String, String)>,
}

/// Reads all settings.
///
/// # Errors
/// Everything that is wrong at once; a settings file that was named and cannot be read.
pub(crate) fn read(given: &Given) -> Result<Settings> {
    read_or_problems(given)?.map_err(Failure::Settings)
}

/// [`read`], with the problems apart from other failures: for commands that report on them.
pub(crate) fn read_or_problems(given: &Given) -> Result<Result<Settings, Vec<Problem>>> {
    let env = environment();
    let sources = Sources {
        file: settings_file(given, &env)?,
        env,
        flags: given.flags.clone(),
        read_file: &|path| read_text(path),
    };
    Ok(doorward_config::read(&sources))
}

/// The path of the settings file that is read, whether or not it can be.
pub(crate) fn file_in_use(given: &Given) -> Option<PathBuf> {
    named_file(given, &environment()).or_else(|| {
        let standard = PathBuf::from(STANDARD_FILE);
        standard.exists().then_some(standard)
    })
}

/// What `DOORWARD_LOG` says.
pub(crate) fn log_filter() -> Option<String> {
    environment()
        .into_iter()
        .find(|(name, value)| name == LOG_VARIABLE && !value.is_empty())
        .map(|(_, value)| value)
}

/// Whether `NO_COLOR` asks for plain text (no-color.org).
pub(crate) fn wants_no_colour() -> bool {
    environment()
        .iter()
        .any(|(name, value)| name == "NO_COLOR" && !value.is_empty())
}

/// What a variable says, or the file that the variable with `_FILE` behind its name names; white space at the ends does not count.
/// `None` when both are missing or empty.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn variable(name: &str) -> Result<Option<String>> {
    let env = environment();
    let of = |wanted: &str| {
        let found = env
            .iter()
            .find(|(name, value)| name == wanted && !value.trim().is_empty());
        found.map(|(_, value)| value.trim().to_owned())
    };
    if let Some(value) = of(name) {
        return Ok(Some(value));
    }
    let from = format!("{name}_FILE");
    let Some(path) = of(&from) else {
        return Ok(None);
    };
    let text = read_text(Path::new(&path))
        .map_err(|error| Failure::Usage(format!("{from}: {path} cannot be read: {error}")))?;
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}

fn named_file(given: &Given, env: &[(String, String)]) -> Option<PathBuf> {
    given.file.clone().or_else(|| {
        env.iter()
            .find(|(name, value)| name == FILE_VARIABLE && !value.is_empty())
            .map(|(_, value)| PathBuf::from(value))
    })
}

fn settings_file(given: &Given, env: &[(String, String)]) -> Result<Option<(PathBuf, String)>> {
    let unreadable = |path: &Path, error: io::Error| {
        Failure::Usage(format!(
            "the settings file {} cannot be read: {error}",
            path.display()
        ))
    };
    if let Some(path) = named_file(given, env) {
        let text = read_text(&path).map_err(|error| unreadable(&path, error))?;
        return Ok(Some((path, text)));
    }
    let path = PathBuf::from(STANDARD_FILE);
    match read_text(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(&path, error)),
    }
}

/// Variables whose name is text; a value that is not is shown as such by whoever wants it.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .map(|(name, value)| {
            let value = match value.into_string() {
                Ok(value) => value,
                Err(value) => value.to_string_lossy().into_owned(),
            };
            (name, value)
        })
        .collect()
}

/// A whole text file, up to one byte beyond what is accepted anyway.
fn read_text(path: &Path) -> io::Result<String> {
    let most = u64::try_from(LARGEST_FILE).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    File::open(path)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}
