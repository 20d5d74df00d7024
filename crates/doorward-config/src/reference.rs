//! What the settings say about themselves: for `config show`, for the flags of the command line, for the reference page
//! and for the sample file.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::problem::Place;
use crate::table::{self, ALL, Definition, Reach, Standard};
use crate::value::Form;

/// What there is to know about a setting, without a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingDoc {
    /// As in the file: `mail.host`.
    pub key: &'static str,
    /// The environment variable: `DOORWARD_MAIL_HOST`; the same with `_FILE` names a file.
    pub env: String,
    /// The flag without dashes: `mail-host`; `None` when the setting is read from the environment only.
    pub flag: Option<String>,
    /// Name of its type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What is expected.
    pub expected: String,
    /// What holds when nothing is said, in words or as text.
    pub default: String,
    /// What it does; Markdown, one paragraph.
    pub doc: String,
    /// Whether its value is never shown.
    pub secret: bool,
}

/// A setting with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingInfo {
    /// What there is to know about it.
    #[serde(flatten)]
    pub about: SettingDoc,
    /// Where the value was said: `doorward.toml:3:1`, `env DOORWARD_LISTEN`, `--listen` or `default`.
    pub source: String,
    /// The value; `(set)` for a secret, `None` when there is none.
    pub value: Option<String>,
}

/// Every setting, in the order of the reference page.
#[must_use]
pub fn catalogue() -> Vec<SettingDoc> {
    ALL.iter().copied().map(about).collect()
}

fn about(definition: &Definition) -> SettingDoc {
    SettingDoc {
        key: definition.key,
        env: definition.variable(),
        flag: (definition.reach == Reach::Everywhere).then(|| definition.flag()),
        kind: definition.kind,
        expected: (definition.expected)(),
        default: match definition.standard {
            Standard::Text(text) | Standard::Computed(text) | Standard::Unset(text) => text.to_owned(),
        },
        doc: definition.doc_lines().collect::<Vec<_>>().join(" "),
        secret: definition.secret,
    }
}

/// Every setting with what was read.
pub(crate) fn describe(shown: &BTreeMap<&'static str, (Place, Option<String>)>) -> Vec<SettingInfo> {
    ALL.iter()
        .copied()
        .map(|definition| {
            let (place, value) = shown
                .get(definition.key)
                .cloned()
                .unwrap_or((Place::Default, None));
            SettingInfo {
                about: about(definition),
                source: place.to_string(),
                value,
            }
        })
        .collect()
}

/// The sections in order; the top of the file is the first.
fn sections() -> Vec<(&'static str, Vec<&'static Definition>)> {
    let mut sections: Vec<(&'static str, Vec<&'static Definition>)> = Vec::new();
    for definition in ALL.iter().copied() {
        match sections.last_mut() {
            Some((name, members)) if *name == definition.section() => members.push(definition),
            _ => sections.push((definition.section(), vec![definition])),
        }
    }
    sections
}

/// The default as it would stand in the file.
fn standard_in_file(form: Form, text: &str) -> String {
    match form {
        Form::Integer | Form::Boolean => text.to_owned(),
        Form::List if text == "none" => "[]".to_owned(),
        Form::List => format!("[\"{text}\"]"),
        Form::Text | Form::Size | Form::Secret => format!("\"{text}\""),
    }
}

const INTRODUCTION: &str = "\
# Settings

<!-- Generated from crates/doorward-config/src/table.rs by `cargo xtask generate`. -->

Settings say how the server is reached and where it keeps things. Everything else (users, applications, policies,
lifetimes of sessions) is in the database and changes while the server runs.

## Where settings are said

Each setting has one key, and three places where it may be said. What comes first in this list holds:

1. a flag: `doorward serve --mail-host smtp.example.org`
2. an environment variable: `DOORWARD_MAIL_HOST=smtp.example.org`
3. the file `doorward.toml`, or the one that `--config` or `DOORWARD_CONFIG` names
4. the default.

- Every variable also exists with `_FILE` at the end: `DOORWARD_MAIL_PASSWORD_FILE=/run/secrets/mail` reads the value from
  that file, without the line break at its end. Setting both is an error.
- An empty variable counts as not set. Lists are separated by commas in variables and flags.
- In the file, a secret may stand as it is, or as `{ file = \"PATH\" }`, or as `{ env = \"VARIABLE\" }`. On the command line
  other users of the machine can read it: the server warns.
- Paths are absolute or relative to the working directory.
- An unknown key, flag or `DOORWARD_…` variable is an error that names the nearest known one. `DOORWARD_CONFIG`,
  `DOORWARD_LOG`, names that begin with `DOORWARD_TEST_`, and the variables that Kubernetes makes for a Service called
  `doorward` are no settings and are left alone.
- `doorward config check` lists everything that is wrong at once; `doorward config show` prints every setting, its value
  and where the value was said. Secrets are never printed.
- A length of time is a number with a unit (`ms`, `s`, `m`, `h`, `d`, `w`), several in a row, or the form
  `minutes=10;hours=1`. A size is a number with `KiB`, `MiB`, `GiB`, `kB`, `MB`, `GB`, or bytes without a unit.
";

/// The page `docs/reference/settings.md`.
#[must_use]
pub fn reference_page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (section, definitions) in sections() {
        let title = if section.is_empty() {
            "The server".to_owned()
        } else {
            format!("`[{section}]`")
        };
        let _ = write!(
            page,
            "\n## {title}\n\n{}\n",
            wrap(table::section_doc(section), "", 118)
        );
        for definition in definitions {
            entry(&mut page, definition);
        }
    }
    page
}

fn entry(page: &mut String, definition: &Definition) {
    let about = about(definition);
    let _ = write!(page, "\n### `{}`\n\n{}\n\n", about.key, wrap(&about.doc, "", 118));
    let default = match definition.standard {
        Standard::Text(text) => format!("`{}`", standard_in_file(definition.form, text)),
        Standard::Computed(words) => words.to_owned(),
        Standard::Unset(words) => format!("not set ({words})"),
    };
    let secret = if about.secret && about.kind != "secret" {
        ", secret"
    } else {
        ""
    };
    let _ = writeln!(
        page,
        "- Type: {}{secret}; expected: {}",
        about.kind, about.expected
    );
    let _ = writeln!(page, "- Default: {default}");
    match &about.flag {
        Some(flag) => {
            let _ = writeln!(page, "- Variable: `{}` · flag: `--{flag}`", about.env);
            let _ = writeln!(page, "- Example: `{} = {}`", about.key, definition.example);
        }
        None => {
            let _ = writeln!(page, "- Variable: `{}` (nowhere else)", about.env);
        }
    }
}

/// A `doorward.toml` in which everything is commented out: with defaults where there are any, else with examples.
#[must_use]
pub fn sample_file() -> String {
    let mut file = "\
# Settings of Doorward. Every line that is commented out shows the default, or an example where there is none.
# The same settings as environment variables: mail.host is DOORWARD_MAIL_HOST. Reference: docs/reference/settings.md
"
    .to_owned();
    for (section, definitions) in sections() {
        let in_file: Vec<_> = definitions
            .into_iter()
            .filter(|definition| definition.reach == Reach::Everywhere)
            .collect();
        if in_file.is_empty() {
            continue;
        }
        if !section.is_empty() {
            let _ = write!(
                file,
                "\n{}\n[{section}]\n",
                wrap(table::section_doc(section), "# ", 110)
            );
        }
        for definition in in_file {
            let name = definition.key.rsplit('.').next().unwrap_or(definition.key);
            let about = about(definition);
            let (value, note) = match definition.standard {
                Standard::Text(text) => (standard_in_file(definition.form, text), String::new()),
                Standard::Computed(words) => (definition.example.to_owned(), format!(" Default: {words}.")),
                Standard::Unset(words) => (definition.example.to_owned(), format!(" Not set: {words}.")),
            };
            let text = wrap(&format!("{}{note}", about.doc), "# ", 110);
            let _ = write!(file, "\n{text}\n#{name} = {value}\n");
        }
    }
    file
}

/// Breaks a paragraph into lines of at most `width` characters, each with `prefix`.
fn wrap(text: &str, prefix: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            lines.push('\n');
            column = 0;
        }
        if column == 0 {
            lines.push_str(prefix);
            column = prefix.chars().count();
        } else {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}
