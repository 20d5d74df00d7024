//! How commands are found in a help text.

use super::subcommands;

#[test]
fn commands_are_the_first_words_of_the_list_without_help() {
    let help = "Does it\n\nUsage: doorward [COMMAND]\n\nCommands:\n  serve  Runs the server\n         until told to stop\n  user   People\n  help   Print this\n\nOptions:\n  -h, --help\n";
    assert_eq!(subcommands(help), ["serve", "user"]);
}

#[test]
fn a_command_without_commands_has_none() {
    assert!(subcommands("Usage: doorward serve\n\nOptions:\n  -h, --help\n").is_empty());
}
