//! What the command line says: facts on standard output, remarks and questions on standard error.
//!
//! Everything that people typed somewhere goes through [`clean`], so that a name cannot move the cursor or repaint the
//! terminal. Secrets are handed to [`Out::value`] or [`Out::line`] once, by the command that makes them.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use serde_json::Value;

use crate::failure::{Failure, Result};

/// Longest secret read from standard input, in bytes.
const LONGEST_SECRET: u64 = 4096;

/// Whom the output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Somebody at a terminal.
    Person,
    /// A program that asked for `--json`.
    Program,
}

/// Where the words go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    reader: Reader,
}

impl Out {
    pub(crate) fn new(reader: Reader) -> Self {
        Self { reader }
    }

    /// Does a program read this?
    pub(crate) fn is_json(self) -> bool {
        self.reader == Reader::Program
    }

    /// One value for programs.
    pub(crate) fn value(self, value: &Value) -> Result<()> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::Fault(format!("the answer cannot be written as JSON: {error}")))?;
        self.line(&text)
    }

    /// One line on standard output.
    pub(crate) fn line(self, text: &str) -> Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}")?;
        Ok(stdout.flush()?)
    }

    /// The value for programs, or the lines for people.
    pub(crate) fn either(self, value: &Value, lines: impl FnOnce() -> Vec<String>) -> Result<()> {
        match self.reader {
            Reader::Program => self.value(value),
            Reader::Person => self.line(&lines().join("\n")),
        }
    }

    /// A list: an array for programs, a table for people, or `nothing` when it is empty.
    pub(crate) fn list(
        self,
        values: Vec<Value>,
        headings: &[&str],
        row: impl Fn(&Value) -> Vec<String>,
        nothing: &str,
    ) -> Result<()> {
        if self.is_json() {
            return self.value(&Value::Array(values));
        }
        if values.is_empty() {
            return self.line(nothing);
        }
        let rows: Vec<Vec<String>> = values.iter().map(row).collect();
        self.line(&table(headings, &rows).join("\n"))
    }

    /// A remark that is not part of the answer; programs do not get it.
    pub(crate) fn note(self, text: &str) {
        if self.reader == Reader::Person {
            complain(text);
        }
    }

    /// Asks before something is lost, when somebody is there to be asked.
    pub(crate) fn confirm(self, question: &str, assent: Assent) -> Result<()> {
        if assent == Assent::Given || !io::stdin().is_terminal() {
            return Ok(());
        }
        let mut stderr = io::stderr().lock();
        // A question that cannot be shown is answered with no by whoever cannot see it.
        let _shown = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
        drop(stderr);
        let mut answer = String::new();
        io::stdin()
            .lock()
            .take(16)
            .read_line(&mut answer)
            .map_err(|error| Failure::Fault(format!("the answer cannot be read: {error}")))?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::Refused("nothing was changed".into())),
        }
    }
}

/// Was the question answered on the command line?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assent {
    /// `--yes`.
    Given,
    /// Not yet.
    Needed,
}

/// One line on standard error.
pub(crate) fn complain(text: &str) {
    // When standard error is gone there is nobody left to tell.
    let _gone = writeln!(io::stderr().lock(), "{text}");
}

/// The first line of standard input, without its line break.
pub(crate) fn secret_from_stdin(what: &str) -> Result<String> {
    let mut text = String::new();
    let mut input = io::stdin().lock().take(LONGEST_SECRET + 1);
    let length = input
        .read_line(&mut text)
        .map_err(|error| Failure::Fault(format!("the {what} cannot be read from standard input: {error}")))?;
    if u64::try_from(length).unwrap_or(u64::MAX) > LONGEST_SECRET {
        return Err(Failure::Invalid(format!(
            "the {what} on standard input is longer than {LONGEST_SECRET} bytes"
        )));
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(Failure::Invalid(format!(
            "standard input holds no {what}; expected it on the first line"
        )));
    }
    Ok(text.to_owned())
}

/// Asks for a new password twice, without showing it.
pub(crate) fn ask_password() -> Result<String> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "no terminal to ask for the password on; give it with --password-stdin".into(),
        ));
    }
    let first = ask_hidden("New password: ")?;
    let second = ask_hidden("Again: ")?;
    if first != second {
        return Err(Failure::Invalid("the two passwords differ".into()));
    }
    Ok(first)
}

fn ask_hidden(prompt: &str) -> Result<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let failed = |error: rustix::io::Errno| Failure::Fault(format!("the terminal cannot be set: {error}"));
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).map_err(failed)?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    let mut stderr = io::stderr().lock();
    let _shown = write!(stderr, "{prompt}").and_then(|()| stderr.flush());
    tcsetattr(&stdin, OptionalActions::Now, &hidden).map_err(failed)?;
    let secret = secret_from_stdin("password");
    tcsetattr(&stdin, OptionalActions::Now, &before).map_err(failed)?;
    let _shown = writeln!(stderr);
    secret
}

/// Text without control characters and direction marks.
pub(crate) fn clean(text: &str) -> String {
    let is_marker = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if is_marker(c) {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    clean
}

/// Columns under headings.
fn table(headings: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let head: Vec<String> = headings.iter().map(|text| (*text).to_owned()).collect();
    let all: Vec<Vec<String>> = std::iter::once(head)
        .chain(
            rows.iter()
                .map(|row| row.iter().map(|cell| clean(cell)).collect()),
        )
        .collect();
    let width = |column: usize| {
        all.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    all.iter()
        .map(|row| {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

/// Labels and values, one pair per line, the values below each other; pairs without a value are left out.
pub(crate) fn facts(title: &str, pairs: &[(&str, String)]) -> Vec<String> {
    let shown = pairs.iter().filter(|(_, value)| !value.is_empty());
    let width = shown
        .clone()
        .map(|(label, _)| label.chars().count())
        .max()
        .unwrap_or(0);
    let lines = shown.map(|(label, value)| format!("  {label:<width$}  {}", clean(value)));
    std::iter::once(clean(title)).chain(lines).collect()
}

/// A JSON value as a table cell: text as it is, nothing for null, lists with commas.
pub(crate) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::Array(list)) => list
            .iter()
            .map(|item| cell(Some(item)))
            .collect::<Vec<_>>()
            .join(", "),
        Some(other) => other.to_string(),
    }
}

/// The cells of these fields of an object.
pub(crate) fn cells(object: &Value, fields: &[&str]) -> Vec<String> {
    fields.iter().map(|field| cell(object.get(field))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_cannot_repaint_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\n\u{202e}c"), "a\\u{1b}[2Jb\\n\\u{202e}c");
        assert_eq!(clean("Zoë"), "Zoë");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![
            vec!["ä".to_owned(), "one".to_owned()],
            vec!["long".to_owned(), String::new()],
        ];
        assert_eq!(table(&["A", "B"], &rows), ["A     B", "ä     one", "long"]);
    }

    #[test]
    fn cells_show_lists_and_answers_as_people_write_them() {
        let object = json!({ "groups": ["a", "b"], "active": true, "email": null });
        assert_eq!(
            cells(&object, &["groups", "active", "email", "none"]),
            ["a, b", "yes", "", ""]
        );
    }

    #[test]
    fn facts_without_a_value_are_left_out() {
        let lines = facts("alice", &[("name", "Alice".into()), ("email", String::new())]);
        assert_eq!(lines, ["alice", "  name  Alice"]);
    }
}
