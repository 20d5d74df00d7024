//! What each crate may know: the table of `docs/ARCHITECTURE.md`, checked against the manifests.
//!
//! Ordinary and build dependencies are held to the table; development dependencies may reach further, because tests
//! are allowed to know more than the code.

use super::Problem;
use crate::workspace::Package;

/// One row of the table.
struct Knowledge {
    package: &'static str,
    /// Crates of this workspace that it may use.
    uses: &'static [&'static str],
    /// Groups of outside crates that it must never use.
    never: &'static [&'static Group],
}

/// Outside crates that bring the same knowledge, and what that knowledge is.
struct Group {
    what: &'static str,
    packages: &'static [&'static str],
}

const ASYNC: Group = Group {
    what: "async code",
    packages: &[
        "tokio",
        "tokio-util",
        "futures",
        "futures-util",
        "async-trait",
        "tower",
        "smol",
    ],
};
const RANDOMNESS: Group = Group {
    what: "randomness",
    packages: &["rand", "rand_core", "getrandom", "fastrand", "ring", "aws-lc-rs"],
};
const DATABASE: Group = Group {
    what: "a database",
    packages: &[
        "rusqlite",
        "tokio-postgres",
        "tokio-postgres-rustls",
        "deadpool-postgres",
        "libsqlite3-sys",
        "postgres-types",
        "sqlx",
    ],
};
const HTTP_SERVER: Group = Group {
    what: "an HTTP server",
    packages: &[
        "axum",
        "axum-extra",
        "hyper",
        "hyper-util",
        "tower-http",
        "askama",
    ],
};
const HTTP_TYPES: Group = Group {
    what: "HTTP types",
    packages: &["http", "http-body", "http-body-util", "headers"],
};
const HTTP_CLIENT: Group = Group {
    what: "an HTTP client",
    packages: &["reqwest"],
};
const NETWORK: Group = Group {
    what: "TLS and the network",
    packages: &["rustls", "tokio-rustls", "lettre"],
};
const HASHING: Group = Group {
    what: "hashing and signing",
    packages: &[
        "argon2",
        "bcrypt",
        "scrypt",
        "sha-crypt",
        "aws-lc-rs",
        "sha2",
        "hmac",
        "jsonwebtoken",
    ],
};
const COMMAND_LINE: Group = Group {
    what: "the command line",
    packages: &["clap", "miette", "tracing-subscriber"],
};

const PURE: &[&Group] = &[
    &ASYNC,
    &RANDOMNESS,
    &DATABASE,
    &HTTP_SERVER,
    &HTTP_TYPES,
    &HTTP_CLIENT,
    &NETWORK,
    &HASHING,
    &COMMAND_LINE,
];

const TABLE: &[Knowledge] = &[
    Knowledge {
        package: "doorward-domain",
        uses: &[],
        never: PURE,
    },
    Knowledge {
        package: "doorward-oidc",
        uses: &["doorward-domain"],
        never: PURE,
    },
    Knowledge {
        package: "doorward-crypto",
        uses: &["doorward-domain"],
        never: &[
            &ASYNC,
            &DATABASE,
            &HTTP_SERVER,
            &HTTP_TYPES,
            &HTTP_CLIENT,
            &NETWORK,
            &COMMAND_LINE,
        ],
    },
    Knowledge {
        package: "doorward-config",
        uses: &["doorward-domain"],
        never: PURE,
    },
    Knowledge {
        package: "doorward-store",
        uses: &["doorward-domain"],
        never: &[&HASHING, &HTTP_SERVER, &HTTP_TYPES, &HTTP_CLIENT, &COMMAND_LINE],
    },
    Knowledge {
        package: "doorward-core",
        uses: &[
            "doorward-config",
            "doorward-crypto",
            "doorward-domain",
            "doorward-oidc",
            "doorward-store",
        ],
        never: &[
            &DATABASE,
            &HASHING,
            &HTTP_SERVER,
            &HTTP_TYPES,
            &HTTP_CLIENT,
            &NETWORK,
            &COMMAND_LINE,
        ],
    },
    Knowledge {
        package: "doorward-web",
        uses: &["doorward-core", "doorward-domain", "doorward-oidc"],
        never: &[&DATABASE, &HASHING, &RANDOMNESS, &HTTP_CLIENT, &COMMAND_LINE],
    },
    Knowledge {
        package: "doorward",
        uses: &[
            "doorward-config",
            "doorward-core",
            "doorward-crypto",
            "doorward-domain",
            "doorward-store",
            "doorward-web",
        ],
        never: &[&DATABASE, &HASHING],
    },
    // For other people's services: it knows Doorward by its public interfaces only, and can be published alone.
    Knowledge {
        package: "doorward-guard",
        uses: &[],
        never: &[&COMMAND_LINE],
    },
    Knowledge {
        package: "doorward-testkit",
        uses: &[
            "doorward-config",
            "doorward-core",
            "doorward-crypto",
            "doorward-domain",
            "doorward-oidc",
            "doorward-store",
            "doorward-web",
        ],
        never: &[],
    },
    Knowledge {
        package: "xtask",
        uses: &["doorward-config"],
        never: &[&DATABASE, &HTTP_SERVER],
    },
];

/// Every way in which the manifests break the table.
pub(super) fn problems(packages: &[Package]) -> Vec<Problem> {
    packages.iter().flat_map(package_problems).collect()
}

fn package_problems(package: &Package) -> Vec<Problem> {
    let file = format!("{}/Cargo.toml", package.folder);
    let mut problems = Vec::new();
    if !inherits_lints(package) {
        problems.push(Problem::new(&file, 0, "has no `[lints] workspace = true`"));
    }
    let folder_name = package.folder.rsplit('/').next().unwrap_or_default();
    if folder_name != package.name {
        problems.push(Problem::new(
            &file,
            0,
            format!("package `{}` is not named after its folder", package.name),
        ));
    }
    let Some(knowledge) = TABLE.iter().find(|row| row.package == package.name) else {
        problems.push(Problem::new(
            &file,
            0,
            "is not in the table of what each crate may know (xtask/src/tidy/crates.rs and docs/ARCHITECTURE.md)",
        ));
        return problems;
    };
    for dependency in dependencies(package) {
        if let Some(complaint) = complaint(knowledge, &dependency) {
            problems.push(Problem::new(&file, line_of(package, &dependency), complaint));
        }
    }
    problems
}

fn complaint(knowledge: &Knowledge, dependency: &str) -> Option<String> {
    let ours = dependency == "doorward" || dependency == "xtask" || dependency.starts_with("doorward-");
    if ours && !knowledge.uses.contains(&dependency) {
        let may = if knowledge.uses.is_empty() {
            "nothing of ours".to_owned()
        } else {
            knowledge.uses.join(", ")
        };
        return Some(format!(
            "{} must not use {dependency}: it may use {may}",
            knowledge.package
        ));
    }
    let group = knowledge
        .never
        .iter()
        .find(|group| group.packages.contains(&dependency))?;
    Some(format!(
        "{} must not know {}: drop {dependency}",
        knowledge.package, group.what
    ))
}

fn inherits_lints(package: &Package) -> bool {
    package
        .manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"))
        .and_then(toml::Value::as_bool)
        == Some(true)
}

/// Names of ordinary and build dependencies, by package where it was renamed, of every target.
fn dependencies(package: &Package) -> Vec<String> {
    let mut tables: Vec<&toml::Table> = ordinary_tables(&package.manifest);
    if let Some(targets) = package.manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(
            targets
                .values()
                .filter_map(toml::Value::as_table)
                .flat_map(ordinary_tables),
        );
    }
    tables
        .into_iter()
        .flatten()
        .map(|(key, value)| {
            value
                .get("package")
                .and_then(toml::Value::as_str)
                .unwrap_or(key)
                .to_owned()
        })
        .collect()
}

fn ordinary_tables(manifest: &toml::Table) -> Vec<&toml::Table> {
    ["dependencies", "build-dependencies"]
        .into_iter()
        .filter_map(|kind| manifest.get(kind).and_then(toml::Value::as_table))
        .collect()
}

fn line_of(package: &Package, dependency: &str) -> usize {
    package
        .manifest_text
        .lines()
        .position(|line| {
            line.strip_prefix(dependency)
                .is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
                || line.contains(&format!("\"{dependency}\""))
        })
        .map_or(0, |at| at + 1)
}
