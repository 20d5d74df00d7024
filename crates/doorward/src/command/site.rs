//! `doorward site …`, and the flags about sites that applications are made and changed with.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use doorward_core::admin::site_tables::{Import, SiteRow};
use doorward_core::admin::sites::{SiteChange, SiteDraft};
use doorward_core::explain_site::rule_text;
use doorward_domain::Lifetime;
use doorward_domain::application::Application;
use doorward_domain::group::GroupTree;
use doorward_domain::site::{AuthorizationRule, BreakGlass, Site as Record, SiteAddress};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Desk;
use crate::arguments::words as one_of;
use crate::failure::{Failure, Result};
use crate::out::{cell, cells, facts};

/// Largest table, in bytes.
const LARGEST_TABLE: u64 = 4 * 1024 * 1024;
/// Largest file with a certificate, in bytes.
const LARGEST_CERTIFICATE: u64 = 64 * 1024;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Site {
    /// Lists every site with its rules
    #[command(after_help = "Examples:\n  doorward site list\n  doorward site list --json")]
    List,
    /// Takes a whole table of sites in: all of it or nothing
    #[command(
        after_help = "Examples:\n  doorward site import sites.toml --dry-run\n  doorward site import sites.csv --create-groups\n\nA table is a \
                      .toml file with [[site]] entries, a .json list, or a .csv file with a heading. Fields: url, application, name, \
                      groups, users, everyone, rules, upstream, authentik_headers, remote_headers; lists in a .csv are separated by |. \
                      Each row's application gets exactly the audience and rules of the row; what the table does not name stays."
    )]
    Import(Table),
    /// Shows whether administrators enter every site, or switches it
    #[command(
        after_help = "Examples:\n  doorward site break-glass\n  doorward site break-glass off\n\nWhile it is on, members of superuser groups pass every \
                      site that exists, also where no rule admits them. Each such pass is in the log and in `doorward event list`."
    )]
    BreakGlass(Switch),
}

/// Which table.
#[derive(Debug, Args)]
pub(crate) struct Table {
    /// File: .toml, .json or .csv
    file: PathBuf,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Make groups that do not exist yet, without members
    #[arg(long)]
    create_groups: bool,
}

/// On or off.
#[derive(Debug, Args)]
pub(crate) struct Switch {
    /// on or off; nothing shows how it is
    #[arg(value_parser = one_of(["on", "off"]))]
    wanted: Option<String>,
}

/// Sites of an application.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Sites behind a reverse proxy")]
pub(crate) struct Sites {
    /// Host (and path) that a reverse proxy guards: https://wiki.example.org, https://*.example.org (one label), https://.example.org
    /// (the domain and everything below), https://example.org/app (may be repeated)
    #[arg(long, value_name = "URL")]
    site: Vec<SiteAddress>,
    /// Path rules of the sites, in order, instead of those that they have: ACCESS [METHODS] PATH, where ACCESS is public, deny,
    /// application, everyone, group:NAME or user:NAME (may be repeated)
    #[arg(long, value_name = "RULE")]
    rule: Vec<String>,
    /// The same, added after the rules that they have (may be repeated)
    #[arg(long, value_name = "RULE", conflicts_with = "rule")]
    add_rule: Vec<String>,
    /// Takes all path rules away
    #[arg(long, conflicts_with_all = ["rule", "add_rule"])]
    no_rules: bool,
    /// Whether services get X-authentik-* headers too
    #[arg(long, value_name = "on|off", value_parser = one_of(["on", "off"]))]
    authentik_headers: Option<String>,
    /// Whether services get Remote-User and its kin too
    #[arg(long, value_name = "on|off", value_parser = one_of(["on", "off"]))]
    remote_headers: Option<String>,
    /// Whether services get X-Doorward-Jwt, the same facts signed
    #[arg(long, value_name = "on|off", value_parser = one_of(["on", "off"]))]
    jwt_header: Option<String>,
    /// Whether programs may come in with a bearer token or app password [default: on]
    #[arg(long, value_name = "on|off", value_parser = one_of(["on", "off"]))]
    bearer: Option<String>,
    /// Whether programs may come in with a user name and app password [default: on]
    #[arg(long, value_name = "on|off", value_parser = one_of(["on", "off"]))]
    basic: Option<String>,
    /// What becomes of the Authorization header: auto (removed when it let the request in), pass, strip
    #[arg(long, value_name = "RULE", value_parser = one_of(["auto", "pass", "strip"]))]
    authorization: Option<String>,
    /// Whether the cookie is for this host alone, not for its neighbours
    #[arg(long, value_name = "on|off", value_parser = one_of(["on", "off"]))]
    isolated: Option<String>,
    /// Reverse-proxy mode: where this program itself forwards to, http://, https:// or h2c://; empty switches it off
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Whether the upstream sees the host that the visitor typed [default: on]
    #[arg(long, value_name = "on|off", value_parser = one_of(["on", "off"]))]
    upstream_pass_host: Option<String>,
    /// Whether any certificate of an https upstream is good enough [default: off]
    #[arg(long, value_name = "on|off", value_parser = one_of(["on", "off"]))]
    upstream_insecure: Option<String>,
    /// File with the one certificate (PEM) that an https upstream may show, for example its own; empty removes it
    #[arg(long, value_name = "FILE", conflicts_with = "upstream_insecure")]
    upstream_certificate: Option<PathBuf>,
    /// How long the upstream may take to begin its answer, 1s to 1h [default: 1m]
    #[arg(long, value_name = "DURATION")]
    upstream_timeout: Option<Lifetime>,
}

impl Sites {
    /// Is anything but addresses given?
    fn says_how(&self) -> bool {
        !self.rule.is_empty()
            || !self.add_rule.is_empty()
            || self.no_rules
            || self.upstream.is_some()
            || self.upstream_timeout.is_some()
            || self.upstream_certificate.is_some()
            || [
                &self.authentik_headers,
                &self.remote_headers,
                &self.jwt_header,
                &self.bearer,
                &self.basic,
                &self.authorization,
                &self.isolated,
                &self.upstream_pass_host,
                &self.upstream_insecure,
            ]
            .into_iter()
            .any(Option::is_some)
    }

    /// The changes; without addresses they are for all sites that the application has.
    pub(crate) fn changes(self, existing: &[Record]) -> Result<Vec<SiteChange>> {
        let mut addresses = self.site.clone();
        if addresses.is_empty() && self.says_how() {
            addresses = existing.iter().map(|site| site.address.clone()).collect();
            if addresses.is_empty() {
                return Err(Failure::Usage(
                    "rules and headers of a site need one: add --site https://HOST".into(),
                ));
            }
        }
        let switch = |word: &Option<String>| word.as_deref().map(|word| word == "on");
        let certificate = self
            .upstream_certificate
            .as_deref()
            .map(certificate)
            .transpose()?;
        let mut changes = Vec::new();
        for address in addresses {
            let draft = SiteDraft {
                rules: if self.no_rules {
                    Some(Vec::new())
                } else {
                    Some(self.rule.clone()).filter(|rules| !rules.is_empty())
                },
                more_rules: self.add_rule.clone(),
                authentik: switch(&self.authentik_headers),
                remote: switch(&self.remote_headers),
                jwt: switch(&self.jwt_header),
                bearer: switch(&self.bearer),
                basic: switch(&self.basic),
                authorization: self
                    .authorization
                    .as_deref()
                    .map(str::parse::<AuthorizationRule>)
                    .transpose()
                    .map_err(Failure::Usage)?,
                isolated: switch(&self.isolated),
                upstream: self.upstream.clone(),
                pass_host: switch(&self.upstream_pass_host),
                insecure: switch(&self.upstream_insecure),
                certificate: certificate.clone(),
                timeout: self.upstream_timeout,
                ..SiteDraft::new(address)
            };
            changes.push(SiteChange::Put(Box::new(draft)));
        }
        Ok(changes)
    }
}

/// Does it.
pub(crate) async fn run(what: Site, desk: &Desk) -> Result<()> {
    match what {
        Site::List => list(desk).await,
        Site::Import(table) => import(&table, desk).await,
        Site::BreakGlass(switch) => break_glass(&switch, desk).await,
    }
}

async fn list(desk: &Desk) -> Result<()> {
    let tree = desk.tree().await?;
    let mut views = Vec::new();
    for application in desk.doorward.list_applications(false).await? {
        for site in views_of(&application, &tree) {
            views.push(super::view::with(
                site,
                json!({ "application": application.slug }),
            ));
        }
    }
    desk.out.list(
        views,
        &["SITE", "APPLICATION", "RULES", "UPSTREAM"],
        |site| {
            let mut row = cells(site, &["url", "application"]);
            let rules = site.get("rules").and_then(Value::as_array);
            let rules: Vec<&str> = rules.into_iter().flatten().filter_map(Value::as_str).collect();
            row.push(if rules.is_empty() {
                "the application's audience".to_owned()
            } else {
                rules.join("; ")
            });
            row.push(cell(site.pointer("/upstream/url")));
            row
        },
        "There are no sites.",
    )
}

/// The sites of an application as scripts see them.
pub(super) fn views_of(application: &Application, tree: &GroupTree) -> Vec<Value> {
    application
        .sites
        .iter()
        .map(|site| {
            let rules: Vec<String> = site.rules.iter().map(|rule| rule_text(tree, rule)).collect();
            json!({
                "url": site.address,
                "rules": rules,
                "authentik_headers": site.headers.authentik,
                "remote_headers": site.headers.remote,
                "jwt_header": site.headers.jwt,
                "bearer": site.machines.bearer,
                "basic": site.machines.basic,
                "authorization": site.authorization,
                "isolated": site.isolated,
                "upstream": site.upstream,
            })
        })
        .collect()
}

/// The addresses of an application's sites.
pub(super) fn words(application: &Value) -> String {
    let sites = application.get("sites").and_then(Value::as_array);
    let urls = sites.into_iter().flatten().map(|site| {
        let rules = site.get("rules").and_then(Value::as_array).map_or(0, Vec::len);
        match rules {
            0 => cell(site.get("url")),
            1 => format!("{} (1 rule)", cell(site.get("url"))),
            many => format!("{} ({many} rules)", cell(site.get("url"))),
        }
    });
    urls.collect::<Vec<_>>().join(", ")
}

async fn import(table: &Table, desk: &Desk) -> Result<()> {
    let rows = read(&table.file)?;
    let how = Import {
        dry_run: table.dry_run,
        create_groups: table.create_groups,
    };
    let done = desk.doorward.import_sites(&rows, how).await?;
    let value = serde_json::to_value(&done).map_err(|error| Failure::Fault(error.to_string()))?;
    desk.out.either(&value, || {
        let title = if done.dry_run {
            "Nothing was written. The table would:"
        } else {
            "The table was taken in."
        };
        let count = |list: &[String]| format!("{}", list.len());
        let mut lines = facts(
            title,
            &[
                ("make", count(&done.created)),
                ("change", count(&done.changed)),
                ("leave", count(&done.unchanged)),
                ("new groups", count(&done.groups)),
            ],
        );
        lines.extend(done.created.iter().map(|slug| format!("+ {slug}")));
        lines.extend(done.changed.iter().map(|slug| format!("~ {slug}")));
        lines.extend(done.groups.iter().map(|name| format!("+ group {name}")));
        lines
    })
}

/// A table in a .toml file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlTable {
    #[serde(default)]
    site: Vec<SiteRow>,
}

/// A text file that is not too large.
fn text_of(path: &Path, largest: u64) -> Result<String> {
    let shown = path.display();
    let unreadable = |error| Failure::Invalid(format!("{shown} cannot be read: {error}"));
    let mut text = String::new();
    fs::File::open(path)
        .map_err(unreadable)?
        .take(largest + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > largest {
        return Err(Failure::Invalid(format!(
            "{shown} is larger than {largest} bytes"
        )));
    }
    Ok(text)
}

/// The first certificate of a PEM file (RFC 7468), DER in base64.
fn certificate(path: &Path) -> Result<String> {
    if path.as_os_str().is_empty() {
        return Ok(String::new());
    }
    let text = text_of(path, LARGEST_CERTIFICATE)?;
    let inside = text
        .split_once("-----BEGIN CERTIFICATE-----")
        .and_then(|(_, rest)| rest.split_once("-----END CERTIFICATE-----"))
        .map(|(inside, _)| inside.split_whitespace().collect::<String>());
    inside.filter(|inside| !inside.is_empty()).ok_or_else(|| {
        Failure::Invalid(format!(
            "{}: there is no certificate in PEM form in it",
            path.display()
        ))
    })
}

fn read(path: &Path) -> Result<Vec<SiteRow>> {
    let shown = path.display();
    let text = text_of(path, LARGEST_TABLE)?;
    let bad = |error: String| Failure::Invalid(format!("{shown}: {error}"));
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("toml") => toml::from_str::<TomlTable>(&text)
            .map(|table| table.site)
            .map_err(|error| bad(error.to_string())),
        Some("json") => serde_json::from_str(&text).map_err(|error| bad(error.to_string())),
        Some("csv") => read_csv(&text).map_err(bad),
        _ => Err(bad("expected a name that ends in .toml, .json or .csv".into())),
    }
}

/// Rows with a heading, comma-separated; quotes as in RFC 4180, lists within a cell separated by `|`.
fn read_csv(text: &str) -> Result<Vec<SiteRow>, String> {
    // Spreadsheets write a mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let Some((_, heading)) = lines.next() else {
        return Ok(Vec::new());
    };
    let heading = csv_cells(heading).map_err(|problem| format!("line 1: {problem}"))?;
    let mut rows = Vec::new();
    for (number, line) in lines {
        let at = |problem: String| format!("line {}: {problem}", number + 1);
        let cells = csv_cells(line).map_err(at)?;
        if cells.len() != heading.len() {
            return Err(at(format!(
                "{} cells under {} headings",
                cells.len(),
                heading.len()
            )));
        }
        let mut row = SiteRow::default();
        for (name, cell) in heading.iter().zip(cells) {
            let list = || {
                cell.split('|')
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            let some = || Some(cell.clone()).filter(|cell| !cell.is_empty());
            let switch = || match cell.as_str() {
                "" => Ok(None),
                "true" | "yes" | "on" => Ok(Some(true)),
                "false" | "no" | "off" => Ok(Some(false)),
                other => Err(at(format!("{name} is `{other}`; expected true or false"))),
            };
            match name.as_str() {
                "url" => row.url.clone_from(&cell),
                "application" => row.application = some(),
                "name" => row.name = some(),
                "groups" => row.groups = list(),
                "users" => row.users = list(),
                "everyone" => row.everyone = switch()?.unwrap_or(false),
                "rules" => row.rules = list(),
                "upstream" => row.upstream = some(),
                "authentik_headers" => row.authentik_headers = switch()?,
                "remote_headers" => row.remote_headers = switch()?,
                other => {
                    return Err(format!(
                        "the heading `{other}` is not known; expected url, application, name, groups, users, everyone, rules, \
                         upstream, authentik_headers, remote_headers"
                    ));
                }
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

fn csv_cells(line: &str) -> Result<Vec<String>, String> {
    let mut cells = Vec::new();
    let mut cell = String::new();
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, quoted) {
            ('"', true) if letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            ('"', _) => quoted = !quoted,
            (',', false) => cells.push(std::mem::take(&mut cell).trim().to_owned()),
            (other, _) => cell.push(other),
        }
    }
    if quoted {
        return Err("a quote is not closed".to_owned());
    }
    cells.push(cell.trim().to_owned());
    Ok(cells)
}

async fn break_glass(switch: &Switch, desk: &Desk) -> Result<()> {
    if let Some(wanted) = &switch.wanted {
        let wanted = if wanted == "on" {
            BreakGlass::On
        } else {
            BreakGlass::Off
        };
        desk.doorward.set_break_glass(wanted).await?;
    }
    let now = desk.doorward.break_glass().await?;
    let value = json!({ "break_glass": now });
    desk.out.either(&value, || {
        vec![match now {
            BreakGlass::On => {
                "Administrators enter every site; what no rule allowed them is recorded.".to_owned()
            }
            BreakGlass::Off => "Administrators enter the sites whose rules admit them.".to_owned(),
        }]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_in_three_forms() {
        let csv = "url,groups,rules\nhttps://a.example,staff|ops,\"public GET /x|deny /y\"\n# no row\n\nhttps://b.example,\"one, two\",\n";
        let rows = read_csv(csv).unwrap();
        assert_eq!(
            read_csv(&format!("\u{feff}{}", csv.replace('\n', "\r\n")))
                .unwrap()
                .len(),
            rows.len()
        );
        assert_eq!(rows[0].groups, ["staff", "ops"]);
        assert_eq!(rows[0].rules, ["public GET /x", "deny /y"]);
        assert_eq!(rows[1].groups, ["one, two"]);
        let toml: TomlTable =
            toml::from_str("[[site]]\nurl = \"https://a.example\"\ngroups = [\"staff\"]\n").unwrap();
        assert_eq!(toml.site[0].groups, ["staff"]);
        assert!(toml::from_str::<TomlTable>("[[site]]\nurl = \"x\"\ngroup = [\"staff\"]\n").is_err());
    }

    #[test]
    fn broken_tables_say_where() {
        assert!(read_csv("url,group\nx,y\n").unwrap_err().contains("`group`"));
        assert!(read_csv("url,groups\nx\n").unwrap_err().contains("line 2"));
        assert!(read_csv("url,everyone\nx,maybe\n").unwrap_err().contains("maybe"));
        assert!(read_csv("url\n\"x\n").unwrap_err().contains("quote"));
    }
}
