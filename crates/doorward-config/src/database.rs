//! Where the database is. The URL may hold a password; only its harmless parts are ever shown.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::Secret;
use crate::value::{Form, Value, Wrong};

/// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`. `Debug` and `Display` show no password.
#[derive(Clone)]
pub struct DatabaseUrl {
    whole: Secret,
    shown: String,
    file: Option<PathBuf>,
}

impl DatabaseUrl {
    /// An SQLite file.
    pub(crate) fn sqlite(file: PathBuf) -> Self {
        let text = format!("sqlite:{}", file.display());
        Self {
            whole: Secret::new(text.clone()),
            shown: text,
            file: Some(file),
        }
    }

    /// The URL with its password: for opening the database only.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.whole.expose()
    }

    /// The SQLite file, when it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Value for DatabaseUrl {
    const KIND: &'static str = "database URL";
    const FORM: Form = Form::Secret;
    const SECRET: bool = true;
    fn expected() -> String {
        "sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE".to_owned()
    }
    fn parse(text: &str) -> Result<Self, Wrong> {
        if text.len() > 4096 || text.chars().any(char::is_control) {
            return Err(Wrong::hidden(
                "is longer than 4096 bytes or has a control character",
            ));
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            return sqlite(path.strip_prefix("//").unwrap_or(path));
        }
        let scheme = ["postgres://", "postgresql://"]
            .into_iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        match scheme {
            Some(rest) => postgres(text, rest),
            None => Err(Wrong::hidden("begins neither with sqlite: nor with postgres://")),
        }
    }
    fn show(&self) -> String {
        self.shown.clone()
    }
}

fn sqlite(path: &str) -> Result<DatabaseUrl, Wrong> {
    if path.trim().is_empty() {
        return Err(Wrong::hidden("names no file"));
    }
    if path.starts_with(":memory:") || path.starts_with(['?', '#']) {
        return Err(Wrong::hidden("would forget everything when the server stops").hint("name a file"));
    }
    if path.contains(['?', '#']) {
        return Err(Wrong::hidden(
            "has parameters: after sqlite: stands the path of a file only",
        ));
    }
    if path.ends_with('/') {
        return Err(Wrong::hidden("names a folder").hint("add the name of a file, such as doorward.db"));
    }
    Ok(DatabaseUrl::sqlite(PathBuf::from(path)))
}

/// Takes the URL apart as libpq does. People forget to escape passwords: everything up to the last `@` counts as
/// user information, so that no part of a password is taken for a host and shown.
fn postgres(whole: &str, rest: &str) -> Result<DatabaseUrl, Wrong> {
    let (user_info, place) = rest
        .rsplit_once('@')
        .map_or((None, rest), |(info, place)| (Some(info), place));
    let escape = "percent-encode / ? # @ in user name and password: %2F %3F %23 %40";
    if user_info
        .is_some_and(|info| info.contains(['/', '?', '#', '@']) || info.chars().any(char::is_whitespace))
    {
        return Err(
            Wrong::hidden("has a user name or password with characters that end it early").hint(escape),
        );
    }
    let (place, parameters) = place.split_once('?').unwrap_or((place, ""));
    let (hosts, name) = place.split_once('/').unwrap_or((place, ""));
    let host_ok = |host: &str| {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !host.ends_with(']') => (name, Some(port)),
            _ => (host, None),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.%:[]".contains(c);
        name.chars().all(allowed) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
    };
    if !hosts.split(',').all(host_ok) {
        return Err(Wrong::hidden("has a host or port that is none").hint(escape));
    }
    if name.is_empty() || name.contains(['/', '#']) || name.chars().any(char::is_whitespace) {
        return Err(Wrong::hidden("names no database after the host"));
    }
    let parameters = harmless(parameters)?;
    if hosts.is_empty() && !parameters.iter().any(|pair| pair.starts_with("host")) {
        return Err(Wrong::hidden("names no host"));
    }
    let user = user_info.map_or_else(String::new, |info| match info.split_once(':') {
        Some((user, _)) => format!("{user}:(set)@"),
        None => format!("{info}@"),
    });
    let shown_parameters = if parameters.is_empty() {
        String::new()
    } else {
        format!("?{}", parameters.join("&"))
    };
    let shown = format!("postgres://{user}{hosts}/{name}{shown_parameters}");
    let whole = whole.replacen("postgresql://", "postgres://", 1);
    Ok(DatabaseUrl {
        whole: Secret::new(whole),
        shown,
        file: None,
    })
}

/// The parameters that may be shown, as `name=value`; the others are left out.
fn harmless(parameters: &str) -> Result<Vec<String>, Wrong> {
    let mut shown = Vec::new();
    for pair in parameters.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or_default();
        match name {
            "pool" => {
                return Err(
                    Wrong::hidden("has the parameter pool").hint("write the setting database.pool_size")
                );
            }
            "pooler" => {
                return Err(Wrong::hidden("has the parameter pooler")
                    .hint("write the setting database.transaction_pooler"));
            }
            "host" | "hostaddr" | "port" | "sslmode" | "sslrootcert" | "application_name"
            | "connect_timeout" => {
                shown.push(pair.to_owned());
            }
            _ => {}
        }
    }
    Ok(shown)
}
