//! The grammar of the command line, and how settings become flags of every command.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use doorward_config::SettingDoc;
use serde_json::json;

use crate::command::{
    app_auth, application, config, db, doctor, event, explain, grant, group, import, job, key, matrix,
    recover, scope, session, shell, site, token_api, user,
};
use crate::out::{Assent, Out, Reader};
use crate::settings::Given;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "doorward",
    version = concat!(env!("CARGO_PKG_VERSION"), " (", env!("DOORWARD_COMMIT"), ")"),
    about = "Doorward: identity platform in one program",
    long_about = "Doorward: identity platform in one program.\n\nWithout a command it runs the server. All commands may run \
                  beside a running server: they use the same data folder or database, found by the same doorward.toml, \
                  DOORWARD_… variables and flags, and the server sees their changes at once. Every setting is a flag of \
                  every command; `doorward serve --help` lists them.",
    after_help = "Examples:\n  doorward                                  runs the server on ./doorward-data\n  \
                  doorward user create alice --email alice@example.org --password-stdin\n  \
                  doorward application create grafana --allow-group staff --redirect-uri https://g.example/callback\n  \
                  doorward explain --user alice --application grafana\n\nExit codes: 0 done, 1 refused or invalid, \
                  2 wrong use or settings, 3 not found, 4 database unavailable."
)]
pub(crate) struct Arguments {
    /// Print JSON; errors too: {"error": {"kind": …, "message": …}}
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the server (the same as no command at all)
    #[command(
        after_help = "Examples:\n  doorward serve\n  doorward serve --listen 0.0.0.0:9000 --public-url https://id.example.org \
                      --trusted-proxies private\n  DOORWARD_DATABASE_URL=postgres://doorward@db/doorward doorward serve"
    )]
    Serve,
    /// Looks at settings without starting anything
    #[command(subcommand)]
    Config(config::Config),
    /// People and services that sign in
    #[command(subcommand)]
    User(user::User),
    /// Groups, their parents and their members
    #[command(subcommand)]
    Group(group::Group),
    /// Applications: what people enter
    #[command(subcommand, visible_alias = "app")]
    Application(Box<application::Application>),
    /// Doors of apps: sign-up, sign-in and sessions for an app's own pages
    #[command(subcommand)]
    AppAuth(app_auth::AppAuth),
    /// Hosts and paths behind a reverse proxy
    #[command(subcommand)]
    Site(site::Site),
    /// Custom scopes: claims from attributes of users and groups
    #[command(subcommand)]
    Scope(scope::Scope),
    /// Keys that sign tokens
    #[command(subcommand)]
    Key(key::Key),
    /// Signed-in browsers
    #[command(subcommand)]
    Session(session::Session),
    /// What people allowed applications
    #[command(subcommand)]
    Grant(grant::Grant),
    /// What happened
    #[command(subcommand)]
    Event(event::Event),
    /// Background work, such as logout notices to applications
    #[command(subcommand)]
    Job(job::Job),
    /// Accounts at the Matrix server that people got through the token API
    #[command(subcommand)]
    Matrix(matrix::Matrix),
    /// The token API for services with pages of their own
    #[command(subcommand)]
    TokenApi(token_api::TokenApi),
    /// Takes over people from another service
    #[command(subcommand)]
    Import(import::Import),
    /// The database itself
    #[command(subcommand)]
    Db(db::Db),
    /// Tells why somebody was refused, or would be
    Explain(explain::Explain),
    /// Makes a one-time link for an administrator who lost the way in
    Recover(recover::Recover),
    /// Looks for what is wrong with this installation
    #[command(
        after_help = "Examples:\n  doorward doctor\n  doorward doctor --json\n  doorward doctor --expect-commit 1dcbf93   # after a deployment"
    )]
    Doctor(doctor::Expected),
    /// Prints the completion script of a shell
    Completions(shell::Completions),
    /// Prints the manual page, or writes all of them
    Man(shell::Man),
    /// Prints version, commit, build time and database schema
    #[command(after_help = "Examples:\n  doorward version\n  doorward version --json")]
    Version,
}

/// `--yes`, for commands that take something away.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Yes {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Yes {
    /// Was the question answered?
    pub(crate) fn assent(self) -> Assent {
        if self.yes { Assent::Given } else { Assent::Needed }
    }
}

/// What was typed.
#[derive(Debug)]
pub(crate) struct Typed {
    /// The command.
    pub(crate) arguments: Arguments,
    /// Settings among the flags.
    pub(crate) given: Given,
}

/// Reads the command line. Help, version and wrong use are answered here.
///
/// # Errors
/// The exit code of what was answered.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Typed, ExitCode> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let matched = grammar().try_get_matches_from(&arguments).and_then(|matches| {
        Ok(Typed {
            arguments: Arguments::from_arg_matches(&matches)?,
            given: given(&matches),
        })
    });
    matched.map_err(|error| {
        // Nobody is left to tell when neither stream can be written.
        let _shown = error.print();
        if !error.use_stderr() {
            return ExitCode::SUCCESS;
        }
        if arguments.iter().any(|argument| argument == "--json") {
            let text = error.render().to_string();
            let message = text
                .lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            let value = json!({ "error": { "kind": "usage", "message": message } });
            let _shown = Out::new(Reader::Program).value(&value);
        }
        ExitCode::from(2)
    })
}

/// The grammar with the settings as flags everywhere.
pub(crate) fn grammar() -> clap::Command {
    let settings: Vec<SettingDoc> = doorward_config::catalogue();
    with_settings(Arguments::command(), &settings)
}

const FILE: &str = "settings-file";
/// Settings that every command's help shows, because they say which installation is meant.
const SHOWN: [&str; 2] = ["data_dir", "database_url"];

fn with_settings(command: clap::Command, settings: &[SettingDoc]) -> clap::Command {
    let name = command.get_name().to_owned();
    let offline = matches!(name.as_str(), "completions" | "man" | "version");
    let group = command.has_subcommands();
    let file = Arg::new(FILE)
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Settings file [default: doorward.toml when it exists, env: DOORWARD_CONFIG]")
        .help_heading("Settings")
        .hide(offline || group);
    let flags = settings.iter().filter_map(|setting| {
        let flag = setting.flag.clone()?;
        let shown = name == "serve" || SHOWN.contains(&setting.key) && !offline && !group;
        Some(
            Arg::new(setting.key)
                .long(flag)
                .value_name(setting.kind.to_uppercase().replace([' ', '-'], "_"))
                .action(ArgAction::Append)
                .help(help(setting))
                .help_heading("Settings")
                .hide(!shown),
        )
    });
    command
        .arg(file)
        .args(flags)
        .mut_subcommands(|sub| with_settings(sub, settings))
}

/// The first sentence, the default and the variable.
fn help(setting: &SettingDoc) -> String {
    let sentence = setting.doc.split(". ").next().unwrap_or_default();
    let sentence = sentence.trim_end_matches('.');
    format!("{sentence} [default: {}] [env: {}]", setting.default, setting.env)
}

/// Settings that were typed before or after the command.
fn given(matches: &ArgMatches) -> Given {
    let catalogue = doorward_config::catalogue();
    let mut given = Given::default();
    let mut level = Some(matches);
    while let Some(matches) = level {
        if let Ok(Some(file)) = matches.try_get_one::<PathBuf>(FILE) {
            given.file = Some(file.clone());
        }
        for setting in &catalogue {
            if let Ok(Some(values)) = matches.try_get_many::<String>(setting.key) {
                given
                    .flags
                    .extend(values.map(|value| (setting.key.to_owned(), value.clone())));
            }
        }
        level = matches.subcommand().map(|(_, matches)| matches);
    }
    given
}

/// A parser of one of a few words, which `--help` lists.
pub(crate) fn words(known: impl IntoIterator<Item = &'static str>) -> PossibleValuesParser {
    PossibleValuesParser::new(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Typed {
        read(line.split_whitespace().map(OsString::from)).unwrap()
    }

    #[test]
    fn the_grammar_is_sound() {
        grammar().debug_assert();
    }

    #[test]
    fn no_command_is_serve() {
        assert!(typed("doorward").arguments.command.is_none());
    }

    #[test]
    fn settings_may_stand_before_and_after_the_command() {
        let typed = typed("doorward --data-dir /a user --config /c list --listen 127.0.0.1:1 --json");
        let flags: Vec<(&str, &str)> = typed
            .given
            .flags
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(flags, [("data_dir", "/a"), ("listen", "127.0.0.1:1")]);
        assert_eq!(typed.given.file, Some(PathBuf::from("/c")));
        assert!(typed.arguments.json);
    }

    #[test]
    fn every_setting_with_a_flag_is_accepted_by_every_command() {
        fn walk(command: &clap::Command, flags: &[String], path: &str) {
            let known: Vec<&str> = command.get_arguments().filter_map(Arg::get_long).collect();
            for flag in flags {
                assert!(known.contains(&flag.as_str()), "{path} lacks --{flag}");
            }
            for sub in command.get_subcommands() {
                walk(sub, flags, &format!("{path} {}", sub.get_name()));
            }
        }
        let flags: Vec<String> = doorward_config::catalogue()
            .into_iter()
            .filter_map(|s| s.flag)
            .collect();
        walk(&grammar(), &flags, "doorward");
    }

    #[test]
    fn every_command_that_does_something_has_an_example() {
        fn walk(command: &clap::Command, path: &str) {
            if !command.has_subcommands() {
                let help = command
                    .get_after_help()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                assert!(help.contains("Example"), "{path} has no example");
            }
            for sub in command.get_subcommands() {
                walk(sub, &format!("{path} {}", sub.get_name()));
            }
        }
        walk(&grammar(), "doorward");
    }
}
