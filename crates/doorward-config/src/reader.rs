//! Takes typed values out of the three sources, in the order flag, environment, file, default, and remembers where
//! each came from and what was wrong.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::problem::{Place, Problem, one_line};
use crate::table::{Definition, Setting, Standard};
use crate::value::{Hint, Value, Wrong};
use crate::{environment, file, flags, old_names};

/// Longest file that a secret or value is read from, in bytes.
const LARGEST_VALUE_FILE: usize = 64 * 1024;
/// Problems that are listed; more are counted.
const MOST_PROBLEMS: usize = 200;

/// Everything that settings come from. Reading files is left to the caller.
pub struct Sources<'a> {
    /// The settings file, when there is one: its path, for messages, and its text.
    pub file: Option<(PathBuf, String)>,
    /// The environment; names without the prefix `DOORWARD_` matter only where the file points at them.
    pub env: Vec<(String, String)>,
    /// Flags as key (`mail.host`) or flag name (`mail-host`, `--mail-host`) and value.
    pub flags: Vec<(String, String)>,
    /// Reads a file that a `…_FILE` variable or `{ file = "…" }` names.
    pub read_file: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// A value as it was said, before its type is known.
#[derive(Clone)]
pub(crate) enum Given {
    /// The value itself.
    Text(String),
    /// In a file; for example through a `…_FILE` variable.
    InFile(PathBuf),
    /// In another environment variable.
    InVariable(String),
}

/// A value and where it was said.
pub(crate) struct Candidate {
    /// The value.
    pub(crate) given: Given,
    /// Where.
    pub(crate) place: Place,
}

/// What one source says.
pub(crate) type Layer = BTreeMap<&'static str, Candidate>;

/// The state of reading.
pub(crate) struct Reader<'a> {
    layers: [Layer; 4],
    env: &'a [(String, String)],
    read_file: &'a dyn Fn(&Path) -> io::Result<String>,
    /// What is wrong so far.
    pub(crate) problems: Vec<Problem>,
    /// What is unwise.
    pub(crate) warnings: Vec<Problem>,
    /// Where each value came from and how it is shown; `None` for what is not set.
    pub(crate) shown: BTreeMap<&'static str, (Place, Option<String>)>,
    /// Whether every source could be read; otherwise nothing can be said about what is missing.
    pub(crate) complete: bool,
    /// Whether a variable of the old token service put the token API on.
    pub(crate) old_names: bool,
}

impl<'a> Reader<'a> {
    /// Reads the three sources and the old names below them, without looking into values.
    pub(crate) fn new(sources: &'a Sources<'a>) -> Self {
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let from_file = file::read(sources.file.as_ref(), &mut problems);
        let from_env = environment::read(&sources.env, &from_file, &mut problems, &mut warnings);
        let from_flags = flags::read(&sources.flags, &mut problems, &mut warnings);
        let own = [&from_flags, &from_env, &from_file.layer];
        let old = old_names::read(own, &sources.env, sources.read_file, &mut warnings);
        Self {
            layers: [from_flags, from_env, from_file.layer, old.layer],
            old_names: old.on,
            env: &sources.env,
            read_file: sources.read_file,
            problems,
            warnings,
            shown: BTreeMap::new(),
            complete: from_file.complete,
        }
    }

    /// Whether any source says something about the setting, right or wrong.
    pub(crate) fn is_given<T>(&self, setting: &Setting<T>) -> bool {
        self.layers
            .iter()
            .any(|layer| layer.contains_key(setting.definition.key))
    }

    /// Where the value that holds was said.
    pub(crate) fn place<T>(&self, setting: &Setting<T>) -> Place {
        let key = setting.definition.key;
        let found = self.layers.iter().find_map(|layer| layer.get(key));
        found.map_or(Place::Default, |candidate| candidate.place.clone())
    }

    /// The value that holds: of the first source that has one, else the default when that is a text. `None` when
    /// there is neither, and when it is wrong; the problem is noted then.
    pub(crate) fn take<T: Value>(&mut self, setting: &Setting<T>) -> Option<T> {
        let definition = &setting.definition;
        self.check_losers(definition);
        let place = self.place(setting);
        let key = definition.key;
        let text = match self.layers.iter().find_map(|layer| layer.get(key)) {
            Some(candidate) => {
                let quiet = definition.secret || !matches!(candidate.given, Given::Text(_));
                match resolve(candidate, self.env, self.read_file) {
                    Ok(text) => (text, quiet),
                    Err(problem) => {
                        self.problems.push(problem.of(definition));
                        return None;
                    }
                }
            }
            None => match definition.standard {
                Standard::Text(text) => (text.to_owned(), false),
                Standard::Computed(_) | Standard::Unset(_) => {
                    self.shown.insert(key, (Place::Default, None));
                    return None;
                }
            },
        };
        match T::parse(&text.0) {
            Ok(value) => {
                self.shown.insert(key, (place, Some(value.show())));
                Some(value)
            }
            Err(wrong) => {
                self.problems.push(explain(definition, place, wrong, text.1));
                None
            }
        }
    }

    /// [`Reader::take`], or the default that was worked out. `None` only when the given value is wrong.
    pub(crate) fn take_or<T: Value>(
        &mut self,
        setting: &Setting<T>,
        standard: impl FnOnce() -> T,
    ) -> Option<T> {
        if self.is_given(setting) {
            return self.take(setting);
        }
        let value = standard();
        self.shown
            .insert(setting.definition.key, (Place::Default, Some(value.show())));
        Some(value)
    }

    /// Values that another source overrides must be right too: what is wrong today would fail on the day that the
    /// other source falls away.
    fn check_losers(&mut self, definition: &Definition) {
        let candidates = self.layers.iter().filter_map(|layer| layer.get(definition.key));
        let wrong: Vec<Problem> = candidates
            .skip(1)
            .filter_map(|candidate| match &candidate.given {
                Given::Text(text) => {
                    let wrong = (definition.check)(text).err()?;
                    Some(explain(
                        definition,
                        candidate.place.clone(),
                        wrong,
                        definition.secret,
                    ))
                }
                Given::InFile(_) | Given::InVariable(_) => None,
            })
            .collect();
        self.problems.extend(wrong);
    }

    /// All problems, at most [`MOST_PROBLEMS`] and a count of the rest.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems;
        let more = problems.len().saturating_sub(MOST_PROBLEMS);
        if more > 0 {
            problems.truncate(MOST_PROBLEMS);
            problems.push(Problem::new(
                "",
                Place::Default,
                format!("and {more} more problems"),
            ));
        }
        problems
    }
}

/// What went wrong on the way to a value.
pub(crate) struct Unresolved {
    place: Place,
    message: String,
}

impl Unresolved {
    fn of(self, definition: &Definition) -> Problem {
        Problem::new(
            definition.key,
            self.place,
            format!("`{}`: {}", definition.key, self.message),
        )
    }
}

/// The text of a value.
pub(crate) fn resolve(
    candidate: &Candidate,
    env: &[(String, String)],
    read_file: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<String, Unresolved> {
    let fail = |message: String| Unresolved {
        place: candidate.place.clone(),
        message,
    };
    match &candidate.given {
        Given::Text(text) => Ok(text.clone()),
        Given::InVariable(name) => match env.iter().find(|(other, _)| other == name) {
            Some((_, text)) if !text.is_empty() => Ok(text.clone()),
            Some(_) => Err(fail(format!(
                "the environment variable {} is empty",
                one_line(name, 100)
            ))),
            None => Err(fail(format!(
                "the environment variable {} is not set",
                one_line(name, 100)
            ))),
        },
        Given::InFile(path) => {
            let shown = one_line(&path.display().to_string(), 300);
            let text = read_file(path).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => fail(format!("the file {shown} is not text in UTF-8")),
                _ => fail(format!("the file {shown} cannot be read: {error}")),
            })?;
            if text.len() > LARGEST_VALUE_FILE {
                return Err(fail(format!(
                    "the file {shown} is larger than {LARGEST_VALUE_FILE} bytes"
                )));
            }
            let text = text
                .strip_suffix('\n')
                .map_or(text.as_str(), |rest| rest.strip_suffix('\r').unwrap_or(rest));
            if text.trim().is_empty() {
                return Err(fail(format!("the file {shown} is empty")));
            }
            Ok(text.to_owned())
        }
    }
}

/// The problem of a wrong value. `quiet` says that no part of the value may be shown.
fn explain(definition: &Definition, place: Place, wrong: Wrong, quiet: bool) -> Problem {
    let key = definition.key;
    let message = match wrong.given {
        Some(given) if !quiet => format!("`{key}` has `{}`, which {}", one_line(&given, 80), wrong.why),
        _ => format!("`{key}` {}", wrong.why),
    };
    let problem = Problem::new(key, place, message).expected((definition.expected)());
    match wrong.hint {
        Some(Hint::Plain(hint)) => problem.hint(hint),
        Some(Hint::Quoting(hint)) if !quiet => problem.hint(hint),
        _ => problem,
    }
}
