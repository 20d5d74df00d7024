//! Environment variables: `DOORWARD_` and the key in capitals, each also with `_FILE` at the end.

use doorward_domain::text::nearest;
use std::path::PathBuf;

use crate::file::FromFile;
use crate::problem::{Place, Problem, one_line};
use crate::reader::{Candidate, Given, Layer};
use crate::table::ALL;

/// What all variables of the settings begin with.
const PREFIX: &str = "DOORWARD_";
/// Variables with the prefix that are no settings; names that end in `_` stand for all that begin so.
const OTHERS: [&str; 3] = ["DOORWARD_CONFIG", "DOORWARD_LOG", "DOORWARD_TEST_"];

/// Sorts variables to their settings. Variables that the file points at are known too.
pub(crate) fn read(
    env: &[(String, String)],
    file: &FromFile,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Layer {
    let mut layer = Layer::new();
    let ours: Vec<&(String, String)> = env.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    let value = |name: &str| {
        ours.iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    };
    let mut known: Vec<String> = Vec::new();
    for definition in ALL {
        let (name, name_file) = (definition.variable(), format!("{}_FILE", definition.variable()));
        let (direct, in_file) = (value(&name), value(&name_file));
        let present = |value: Option<&str>| value.is_some_and(|text| !text.is_empty());
        if present(direct) && present(in_file) {
            let message = format!("{name} and {name_file} are both set");
            problems.push(
                Problem::new(definition.key, Place::Environment(name_file.clone()), message)
                    .expected("one of the two")
                    .hint("unset the other"),
            );
        }
        let chosen = match (direct, in_file) {
            (Some(text), _) if !text.is_empty() => Some((Given::Text(text.to_owned()), &name)),
            (_, Some(path)) if !path.is_empty() => Some((Given::InFile(PathBuf::from(path)), &name_file)),
            _ => None,
        };
        match chosen {
            Some((given, variable)) => {
                let place = Place::Environment(variable.clone());
                layer.insert(definition.key, Candidate { given, place });
            }
            None if direct.is_some() || in_file.is_some() => {
                let empty = if direct.is_some() { &name } else { &name_file };
                warnings.extend(overridden_by_nothing(definition.key, empty, file));
            }
            None => {}
        }
        known.extend([name, name_file]);
    }
    for (name, value) in ours {
        let used = known.contains(name)
            || file.variables.contains(name)
            || is_other(name)
            || is_service_link(name, value);
        if !used {
            problems.push(unknown(name, &known));
        }
    }
    layer
}

/// An empty variable counts as not set. Somebody may have wanted to override the file with it: say what holds.
fn overridden_by_nothing(key: &str, variable: &str, file: &FromFile) -> Option<Problem> {
    let candidate = file.layer.get(key)?;
    let message = format!(
        "{variable} is empty and counts as not set: the value at {} holds",
        candidate.place
    );
    Some(
        Problem::new(key, Place::Environment(variable.to_owned()), message)
            .hint("unset it or give it a value"),
    )
}

fn unknown(name: &str, known: &[String]) -> Problem {
    let message = format!("unknown environment variable {}", one_line(name, 100));
    let problem = Problem::new(name, Place::Environment(name.to_owned()), message);
    let short: String = name.chars().take(100).collect();
    // The prefix is always right: comparing it too would make everything look near.
    let rest = short.strip_prefix(PREFIX).unwrap_or(&short);
    match nearest(rest, known.iter().filter_map(|name| name.strip_prefix(PREFIX))) {
        Some(near) => problem.hint(format!("did you mean {PREFIX}{near}?")),
        None => problem.hint("`doorward config show` lists the variables that there are"),
    }
}

fn is_other(name: &str) -> bool {
    OTHERS
        .iter()
        .any(|other| name == *other || other.ends_with('_') && name.starts_with(other))
}

/// Whether Kubernetes set the variable because a Service of the same namespace has a name that begins with
/// `doorward`: `DOORWARD_SERVICE_HOST`, `DOORWARD_PORT=tcp://10.0.0.1:9000`, `DOORWARD_PORT_9000_TCP_ADDR` and so on.
fn is_service_link(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix("DOORWARD") else {
        return false;
    };
    if rest.ends_with("_SERVICE_HOST") || rest.contains("_SERVICE_PORT") {
        return true;
    }
    let link = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    if rest.ends_with("_PORT") && link {
        return true;
    }
    let Some((_, port)) = rest.split_once("_PORT_") else {
        return false;
    };
    let mut parts = port.split('_');
    let number = parts.next().is_some_and(|digits| digits.parse::<u16>().is_ok());
    let protocol = parts
        .next()
        .is_some_and(|word| ["TCP", "UDP", "SCTP"].contains(&word));
    let last = parts
        .next()
        .is_none_or(|word| ["PROTO", "PORT", "ADDR"].contains(&word));
    number && protocol && last && parts.next().is_none()
}
