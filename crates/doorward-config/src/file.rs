//! The settings file: TOML with positions, flattened to keys.

use doorward_domain::text::nearest;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::LARGEST_FILE;
use crate::problem::{Place, Problem, one_line};
use crate::reader::{Candidate, Given, Layer};
use crate::table::{self, ALL, Definition, Reach};
use crate::value::Form;

/// Syntax errors that are listed; the ones after them are mostly consequences.
const MOST_SYNTAX_ERRORS: usize = 10;

/// What the file says.
pub(crate) struct FromFile {
    /// Its values.
    pub(crate) layer: Layer,
    /// Environment variables that it points at.
    pub(crate) variables: Vec<String>,
    /// Whether it could be read as TOML.
    pub(crate) complete: bool,
}

/// Reads the file, when there is one.
pub(crate) fn read(file: Option<&(PathBuf, String)>, problems: &mut Vec<Problem>) -> FromFile {
    let mut found = FromFile {
        layer: Layer::new(),
        variables: Vec::new(),
        complete: true,
    };
    let Some((path, text)) = file else { return found };
    if text.len() > LARGEST_FILE {
        let message = format!("the settings file {} has {} bytes", path.display(), text.len());
        problems.push(
            Problem::new("", Place::Default, message).expected(format!("at most {LARGEST_FILE} bytes")),
        );
        found.complete = false;
        return found;
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut walk = Walk {
        path,
        lines: Lines::new(text),
        problems,
        found: &mut found,
    };
    for error in errors.iter().take(MOST_SYNTAX_ERRORS) {
        let place = walk.place(&error.span().unwrap_or(0..0));
        let message = error.message().replace('\n', ", ");
        walk.problems
            .push(Problem::new("", place, format!("not TOML: {message}")));
    }
    if errors.is_empty() {
        walk.table("", document.get_ref());
    } else {
        found.complete = false;
    }
    found
}

/// Where lines begin.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let breaks = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(breaks).collect(),
        }
    }

    /// Line and column of a byte, both from 1, columns in characters.
    fn position(&self, at: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..at).unwrap_or_default();
        (line, before.trim_start_matches('\u{feff}').chars().count() + 1)
    }
}

struct Walk<'a> {
    path: &'a Path,
    lines: Lines<'a>,
    problems: &'a mut Vec<Problem>,
    found: &'a mut FromFile,
}

impl Walk<'_> {
    fn place(&self, span: &Range<usize>) -> Place {
        let (line, column) = self.lines.position(span.start);
        Place::File {
            path: self.path.to_owned(),
            line,
            column,
        }
    }

    /// Goes through a table; `section` is its name, empty for the whole file.
    fn table(&mut self, section: &str, table: &DeTable<'_>) {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in entries {
            let key = if section.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{section}.{}", name.get_ref())
            };
            match table::find(&key) {
                Some(definition) => self.setting(definition, value),
                None if section.is_empty() && table::is_section(&key) => match value.get_ref() {
                    DeValue::Table(inner) => self.table(&key, inner),
                    other => {
                        let message = format!("`{key}` is {}", article(other));
                        let problem = Problem::new(key.as_str(), self.place(&value.span()), message);
                        self.problems
                            .push(problem.expected(format!("a section: [{key}]")));
                    }
                },
                None => {
                    let problem = unknown(&key, self.place(&name.span()));
                    self.problems.push(problem);
                }
            }
        }
    }

    fn setting(&mut self, definition: &'static Definition, value: &Spanned<DeValue<'_>>) {
        let place = self.place(&value.span());
        let key = definition.key;
        if definition.reach == Reach::Environment {
            let message = format!("`{key}` is read from the environment only");
            let hint = format!("set {}", definition.variable());
            self.problems.push(Problem::new(key, place, message).hint(hint));
            return;
        }
        let given = match (definition.form, value.get_ref()) {
            (_, DeValue::String(text))
                if definition.form != Form::Boolean && definition.form != Form::Integer =>
            {
                Some(Given::Text(text.to_string()))
            }
            (Form::Integer | Form::Size, DeValue::Integer(number)) => decimal(number).map(Given::Text),
            (Form::Boolean, DeValue::Boolean(on)) => Some(Given::Text(on.to_string())),
            (Form::List, DeValue::Array(items)) => list(items.iter().map(Spanned::get_ref)).map(Given::Text),
            (Form::Secret, DeValue::Table(table)) => indirect(table),
            _ => None,
        };
        match given {
            Some(given) => {
                if let Given::InVariable(name) = &given {
                    self.found.variables.push(name.clone());
                }
                self.found.layer.insert(key, Candidate { given, place });
            }
            None => {
                let message = format!("`{key}` is {}", article(value.get_ref()));
                self.problems
                    .push(Problem::new(key, place, message).expected(expected(definition)));
            }
        }
    }
}

/// What may stand in the file.
fn expected(definition: &Definition) -> String {
    let form = match definition.form {
        Form::Text => "a string",
        Form::List => "a list of strings",
        Form::Integer => "an integer",
        Form::Size => "a string or an integer",
        Form::Boolean => "true or false",
        Form::Secret => "a string, { file = \"PATH\" } or { env = \"VARIABLE\" }",
    };
    format!("{form}, such as {} = {}", definition.key, definition.example)
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list of something else",
        DeValue::Table(_) => "a table",
    }
}

fn decimal(number: &toml::de::DeInteger<'_>) -> Option<String> {
    i64::from_str_radix(number.as_str(), number.radix())
        .ok()
        .map(|number| number.to_string())
}

/// The strings of a list, with commas between them. A string that has a comma itself would be two.
fn list<'v>(items: impl Iterator<Item = &'v DeValue<'v>>) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for item in items {
        match item {
            DeValue::String(text) if !text.contains(',') => parts.push(text),
            _ => return None,
        }
    }
    Some(parts.join(","))
}

/// `{ file = "…" }` or `{ env = "…" }`, exactly one of them.
fn indirect(table: &DeTable<'_>) -> Option<Given> {
    let mut entries = table.iter();
    let (name, value) = entries.next()?;
    let DeValue::String(text) = value.get_ref() else {
        return None;
    };
    if entries.next().is_some() || text.is_empty() {
        return None;
    }
    match name.get_ref().as_ref() {
        "file" => Some(Given::InFile(PathBuf::from(text.as_ref()))),
        "env" => Some(Given::InVariable(text.to_string())),
        _ => None,
    }
}

fn unknown(key: &str, place: Place) -> Problem {
    let problem = Problem::new(key, place, format!("unknown key `{}`", one_line(key, 100)));
    let short: String = key.chars().take(100).collect();
    let settings = ALL
        .iter()
        .filter(|definition| definition.reach == Reach::Everywhere);
    let keys: Vec<&str> = settings.clone().map(|definition| definition.key).collect();
    let sections: Vec<&str> = settings
        .map(|definition| definition.section())
        .filter(|name| !name.is_empty())
        .collect();
    // `host` at the top of the file is most often the `host` of a section.
    let last = |key: &'static str| key.rsplit('.').next() == Some(short.as_str());
    match nearest(&short, keys.iter().chain(&sections).copied()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => match keys.iter().copied().find(|key| last(key)) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint("`doorward config show` lists the settings that there are"),
        },
    }
}
