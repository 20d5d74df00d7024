//! Flags of the command line, as pairs of name and value.

use doorward_domain::text::nearest;

use crate::problem::{Place, Problem, one_line};
use crate::reader::{Candidate, Given, Layer};
use crate::table::{ALL, Reach};

/// Sorts flags to their settings; names may be keys (`mail.host`) or flags (`--mail-host`).
pub(crate) fn read(
    flags: &[(String, String)],
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Layer {
    let mut layer = Layer::new();
    for (name, value) in flags {
        let flag = name.trim_start_matches('-').replace(['.', '_'], "-");
        let place = Place::Flag(format!("--{flag}"));
        let Some(definition) = ALL.iter().copied().find(|definition| definition.flag() == flag) else {
            let problem = Problem::new(
                name.as_str(),
                place,
                format!("unknown flag `--{}`", one_line(&flag, 80)),
            );
            let short: String = flag.chars().take(80).collect();
            let flags: Vec<String> = ALL.iter().map(|definition| definition.flag()).collect();
            problems.push(match nearest(&short, flags.iter().map(String::as_str)) {
                Some(near) => problem.hint(format!("did you mean `--{near}`?")),
                None => problem,
            });
            continue;
        };
        let key = definition.key;
        if definition.reach == Reach::Environment {
            let message = format!("`{key}` is read from the environment only");
            let hint = format!("set {}", definition.variable());
            problems.push(Problem::new(key, place, message).hint(hint));
            continue;
        }
        let shows_secret = definition.secret && (key != "database_url" || value.contains('@'));
        if shows_secret {
            let message =
                format!("`{key}` is on the command line, where other users of this machine can read it");
            let hint = format!("set {} or {0}_FILE", definition.variable());
            warnings.push(Problem::new(key, place.clone(), message).hint(hint));
        }
        let candidate = Candidate {
            given: Given::Text(value.clone()),
            place: place.clone(),
        };
        if layer.insert(key, candidate).is_some() {
            let problem = Problem::new(key, place, format!("`--{flag}` is given twice"));
            problems.push(match definition.form {
                crate::value::Form::List => problem.hint("separate the parts of a list with commas"),
                _ => problem,
            });
        }
    }
    layer
}
