//! Variables of the token service that was there before, so that its environment can stay as it is.
//!
//! They count only while the token API is on, below every source of our own; one of the names that begin with `AUTH_` puts it on.
//! Of several names for one setting the first one that is set counts, and one that says something else is told.

use std::io;
use std::path::Path;

use crate::problem::{Place, Problem};
use crate::reader::{Candidate, Given, Layer, resolve};
use crate::words::yes_or_no;

/// How a value was written there.
#[derive(Clone, Copy)]
enum Written {
    /// As here.
    Same,
    /// In seconds.
    Seconds,
    /// Anything that is not a clear yes is a no.
    Loosely,
    /// The number of a port.
    Port,
    /// With the name of a driver in the scheme.
    Database,
}

/// One setting with its old names, the first one first.
struct Old {
    key: &'static str,
    names: &'static [&'static str],
    written: Written,
}

const fn old(key: &'static str, names: &'static [&'static str], written: Written) -> Old {
    Old { key, names, written }
}

/// All of them. Beside them there are `AUTH_BCRYPT_ROUNDS` and `BCRYPT_ROUNDS`, which have no effect.
const OLD: &[Old] = &[
    old(
        "database_url",
        &["AUTH_DATABASE_URL", "DATABASE_URL", "AUTH_DB_DSN"],
        Written::Database,
    ),
    old(
        "token_api.secret",
        &["AUTH_JWT_SECRET", "JWT_SECRET"],
        Written::Same,
    ),
    old(
        "token_api.algorithm",
        &["AUTH_JWT_ALGORITHM", "JWT_ALGO", "JWT_ALGORITHM"],
        Written::Same,
    ),
    old("token_api.issuer", &["AUTH_JWT_ISSUER"], Written::Same),
    old(
        "token_api.access_lifetime",
        &["AUTH_ACCESS_TOKEN_TTL", "ACCESS_TOKEN_TTL", "JWT_EXPIRATION"],
        Written::Seconds,
    ),
    old(
        "token_api.refresh_lifetime",
        &["AUTH_REFRESH_TOKEN_TTL", "REFRESH_TOKEN_TTL"],
        Written::Seconds,
    ),
    old(
        "token_api.listen",
        &["AUTH_PORT", "PORT", "AUTH_SERVICE_PORT"],
        Written::Port,
    ),
    old("token_api.debug", &["AUTH_DEBUG", "DEBUG"], Written::Loosely),
    old("token_api.keep_bcrypt", &["AUTH_KEEP_BCRYPT"], Written::Same),
    old(
        "token_api.introspect_open",
        &["AUTH_INTROSPECT_OPEN"],
        Written::Same,
    ),
    old(
        "token_api.introspect_token",
        &["AUTH_INTROSPECT_TOKEN"],
        Written::Same,
    ),
    old("token_api.synapse_url", &["SYNAPSE_ADMIN_URL"], Written::Same),
    old(
        "token_api.synapse_secret",
        &["SYNAPSE_REGISTRATION_SECRET"],
        Written::Same,
    ),
    old(
        "token_api.synapse_server_name",
        &["SYNAPSE_SERVER_NAME"],
        Written::Same,
    ),
    old(
        "token_api.synapse_admin_token",
        &["SYNAPSE_ADMIN_TOKEN"],
        Written::Same,
    ),
];

/// Names that are known and mean nothing any more.
const IDLE: [&str; 2] = ["AUTH_BCRYPT_ROUNDS", "BCRYPT_ROUNDS"];

/// The old names of a setting.
#[cfg(test)]
pub(crate) fn of(key: &str) -> &'static [&'static str] {
    OLD.iter().find(|old| old.key == key).map_or(&[], |old| old.names)
}

/// What the old names say.
pub(crate) struct FromOldNames {
    /// The values.
    pub(crate) layer: Layer,
    /// Did one of them put the token API on?
    pub(crate) on: bool,
}

/// Reads them, when the token API is on. `layers` are our own sources, the strongest first.
pub(crate) fn read(
    layers: [&Layer; 3],
    env: &[(String, String)],
    read_file: &dyn Fn(&Path) -> io::Result<String>,
    warnings: &mut Vec<Problem>,
) -> FromOldNames {
    let mut found = FromOldNames {
        layer: Layer::new(),
        on: false,
    };
    let given = |name: &str| {
        env.iter()
            .any(|(other, value)| other == name && !value.is_empty())
    };
    let named = OLD
        .iter()
        .flat_map(|old| old.names)
        .filter(|name| name.starts_with("AUTH_"))
        .any(|name| given(name) || given(&format!("{name}_FILE")));
    let said = layers.iter().find_map(|layer| layer.get("token_api.enabled"));
    let said = said.and_then(|candidate| match &candidate.given {
        Given::Text(text) => yes_or_no(text),
        _ => None,
    });
    found.on = named && said.is_none();
    if !said.unwrap_or(named) {
        return found;
    }
    let sources = Where {
        layers,
        env,
        read_file,
    };
    for old in OLD {
        sources.take(old, &mut found.layer, warnings);
    }
    for name in IDLE.into_iter().filter(|name| given(name)) {
        let message = format!("{name} has no effect: new passwords are hashed with argon2id");
        warnings
            .push(Problem::new("token_api", Place::Environment(name.to_owned()), message).hint("unset it"));
    }
    found
}

struct Where<'a> {
    layers: [&'a Layer; 3],
    env: &'a [(String, String)],
    read_file: &'a dyn Fn(&Path) -> io::Result<String>,
}

impl Where<'_> {
    fn text(&self, candidate: &Candidate) -> Option<String> {
        resolve(candidate, self.env, self.read_file).ok()
    }

    fn take(&self, old: &Old, layer: &mut Layer, warnings: &mut Vec<Problem>) {
        let ours = self.layers.iter().find_map(|layer| layer.get(old.key));
        let mut strongest: Option<(String, Option<String>)> =
            ours.map(|candidate| (candidate.place.to_string(), self.text(candidate)));
        for name in old.names {
            let Some(candidate) = self.candidate(name) else {
                continue;
            };
            let Candidate { given, place } = candidate;
            let written = self.text(&Candidate {
                given: given.clone(),
                place: place.clone(),
            });
            let text = written.as_deref().map(|text| self.rewritten(text, old.written));
            if let Some((winner, wanted)) = &strongest {
                if *wanted != text {
                    let message = format!("{winner} and {place} say different things: {winner} holds");
                    warnings.push(Problem::new(old.key, place, message).hint("unset one of them"));
                }
                continue;
            }
            strongest = Some((place.to_string(), text.clone()));
            // What cannot be read is told by whoever takes the value.
            let given = match (old.written, text) {
                (Written::Same, _) | (_, None) => given,
                (_, Some(text)) => Given::Text(text),
            };
            layer.insert(old.key, Candidate { given, place });
        }
    }

    fn candidate(&self, name: &str) -> Option<Candidate> {
        let value = |name: &str| {
            let found = self.env.iter().find(|(other, _)| other == name);
            found
                .map(|(_, value)| value.clone())
                .filter(|value| !value.is_empty())
        };
        if let Some(text) = value(name) {
            return Some(Candidate {
                given: Given::Text(text),
                place: Place::Environment(name.to_owned()),
            });
        }
        let name = format!("{name}_FILE");
        value(&name).map(|path| Candidate {
            given: Given::InFile(path.into()),
            place: Place::Environment(name),
        })
    }

    fn rewritten(&self, text: &str, written: Written) -> String {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match written {
            Written::Seconds if digits => format!("{text}s"),
            Written::Loosely => (yes_or_no(text) == Some(true)).to_string(),
            Written::Port if digits => self.beside(text),
            Written::Database => match text.split_once("://") {
                Some((scheme, rest)) => {
                    let plain = scheme.split('+').next().unwrap_or(scheme);
                    format!("{plain}://{rest}")
                }
                None => text.to_owned(),
            },
            Written::Same | Written::Seconds | Written::Port => text.to_owned(),
        }
    }

    /// The port on the first address that the server listens on anyway.
    fn beside(&self, port: &str) -> String {
        let listen = self.layers.iter().find_map(|layer| layer.get("listen"));
        let listen = listen.and_then(|candidate| self.text(candidate));
        let first: Option<std::net::SocketAddr> = listen
            .as_deref()
            .and_then(|text| text.split(',').next()?.trim().parse().ok());
        match first {
            Some(address) if address.is_ipv6() => format!("[{}]:{port}", address.ip()),
            Some(address) => format!("{}:{port}", address.ip()),
            None => format!("127.0.0.1:{port}"),
        }
    }
}
