//! `doorward user …`

use clap::{Args, Subcommand};
use doorward_core::admin::users::{NewUser, UserChange};
use doorward_domain::user::{User as Record, UserKind};
use doorward_domain::{Attributes, UserId};
use doorward_store::{MAX_PAGE, UserFilter};
use serde_json::{Value, json};

use super::app_password::{self, AppPassword};
use super::{Desk, view};
use crate::arguments::{Yes, words};
use crate::failure::{Failure, Result};
use crate::out::{ask_password, cell, cells, facts, secret_from_stdin};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Makes a user
    #[command(
        after_help = "Examples:\n  doorward user create alice --email alice@example.org --name \"Alice\" --group staff \\\n      --password-stdin < password.txt\n  \
                      doorward user create backup-job --kind service\n  \
                      doorward user create bob --attribute department=\\\"sales\\\" --attribute quota=10 --json\n\nWithout a \
                      password the user cannot sign in; `doorward user password` sets one later."
    )]
    Create(Create),
    /// Shows one user
    #[command(
        after_help = "Examples:\n  doorward user show alice\n  doorward user show alice@example.org --json"
    )]
    Show(Name),
    /// Lists users
    #[command(
        after_help = "Examples:\n  doorward user list\n  doorward user list --search example.org --json\n  doorward user list --deleted"
    )]
    List(List),
    /// Changes a user; what is not named stays
    #[command(
        after_help = "Examples:\n  doorward user update alice --name \"Alice Example\"\n  doorward user update alice --email alice@example.net --email-verified\n  \
                      doorward user update alice --attribute quota=null     removes the attribute\n  doorward user update alice --email \"\"                 removes the address"
    )]
    Update(Update),
    /// Deletes a user; can be restored for 30 days with all memberships
    #[command(after_help = "Examples:\n  doorward user delete alice\n  doorward user delete alice --yes")]
    Delete(Gone),
    /// Brings a deleted user back
    #[command(after_help = "Examples:\n  doorward user restore alice")]
    Restore(Name),
    /// Lets a user sign in again
    #[command(after_help = "Examples:\n  doorward user activate alice")]
    Activate(Name),
    /// Keeps a user from signing in and ends all sessions and tokens
    #[command(after_help = "Examples:\n  doorward user deactivate alice")]
    Deactivate(Gone),
    /// Sets a user's password and ends all sessions and app passwords
    #[command(
        after_help = "Examples:\n  doorward user password alice\n  doorward user password alice --password-stdin < password.txt"
    )]
    Password(Password),
    /// App passwords of a user: secrets for programs that cannot sign in on pages
    #[command(subcommand)]
    AppPassword(AppPassword),
}

/// A user to be made.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Name that is typed at sign-in
    username: String,
    /// Full name [default: the user name]
    #[arg(long)]
    name: Option<String>,
    /// E-mail address
    #[arg(long)]
    email: Option<String>,
    /// The address was proved elsewhere
    #[arg(long, requires = "email")]
    email_verified: bool,
    /// Reads the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
    /// Group to put the user into (may be repeated)
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// What sort of user [default: internal]
    #[arg(long, value_parser = words(KINDS))]
    kind: Option<String>,
    /// Attribute; the value is JSON, or text when it is not (may be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = attribute)]
    attribute: Vec<(String, Value)>,
    /// Preferred language, such as de
    #[arg(long, value_name = "LANGUAGE")]
    locale: Option<String>,
}

/// Which user.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// User name, e-mail address or id
    user: String,
}

/// Which user to take something away from.
#[derive(Debug, Args)]
pub(crate) struct Gone {
    /// User name, e-mail address or id
    user: String,
    #[command(flatten)]
    yes: Yes,
}

/// Which users.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only users with this text in user name, name or e-mail address
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only deleted users that can be restored
    #[arg(long)]
    deleted: bool,
    /// Only direct members of this group
    #[arg(long, value_name = "GROUP", conflicts_with_all = ["search", "deleted"])]
    group: Option<String>,
    /// Most users shown, 1 to 1000
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PAGE)))]
    limit: u32,
    /// Only users after the one with this id: the next page
    #[arg(long, value_name = "ID", value_parser = super::id::<doorward_domain::UserId>)]
    after: Option<UserId>,
}

/// What is to change.
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// User name, e-mail address or id
    user: String,
    /// New user name
    #[arg(long)]
    username: Option<String>,
    /// Full name
    #[arg(long)]
    name: Option<String>,
    /// E-mail address; empty removes it
    #[arg(long)]
    email: Option<String>,
    /// The address is proved, or with `=false` it is not
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    email_verified: Option<bool>,
    /// What sort of user
    #[arg(long, value_parser = words(KINDS))]
    kind: Option<String>,
    /// May the user sign in? (see also activate and deactivate)
    #[arg(long, value_name = "true|false")]
    active: Option<bool>,
    /// Attribute; the value is JSON, or text when it is not; null removes it (may be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = attribute)]
    attribute: Vec<(String, Value)>,
    /// Preferred language; empty removes it
    #[arg(long, value_name = "LANGUAGE")]
    locale: Option<String>,
}

/// Whose password.
#[derive(Debug, Args)]
pub(crate) struct Password {
    /// User name, e-mail address or id
    user: String,
    /// Reads it from the first line of standard input instead of asking
    #[arg(long)]
    password_stdin: bool,
}

const KINDS: [&str; 3] = ["internal", "external", "service"];

/// `name=value`, where the value is JSON, or text when it is not.
pub(super) fn attribute(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("expected NAME=VALUE, for example quota=10 or department=sales")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

pub(super) fn attributes(given: Vec<(String, Value)>) -> Attributes {
    given.into_iter().collect()
}

/// Does it.
pub(crate) async fn run(what: User, desk: &Desk) -> Result<()> {
    match what {
        User::Create(new) => create(new, desk).await,
        User::Show(name) => {
            let user = desk.user(&name.user).await?;
            show(desk, user, None).await
        }
        User::List(list) => self::list(list, desk).await,
        User::Update(change) => update(change, desk).await,
        User::Delete(gone) => delete(&gone, desk).await,
        User::Restore(name) => restore(&name, desk).await,
        User::Activate(name) => switch(desk, &name.user, true).await,
        User::Deactivate(gone) => {
            let user = desk.user(&gone.user).await?;
            let question = format!("End all sessions and tokens of `{}`?", user.username);
            desk.out.confirm(&question, gone.yes.assent())?;
            switch(desk, &user.id.to_string(), false).await
        }
        User::Password(password) => self::password(&password, desk).await,
        User::AppPassword(what) => app_password::run(what, desk).await,
    }
}

async fn create(new: Create, desk: &Desk) -> Result<()> {
    let password = new
        .password_stdin
        .then(|| secret_from_stdin("password"))
        .transpose()?;
    let user = NewUser {
        username: new.username,
        name: new.name.unwrap_or_default(),
        email: new.email.filter(|email| !email.is_empty()),
        email_verified: new.email_verified,
        kind: kind(new.kind.as_deref())?.unwrap_or(UserKind::Internal),
        attributes: attributes(new.attribute),
        groups: new.group,
        locale: new.locale.filter(|locale| !locale.is_empty()),
        ..NewUser::default()
    };
    let user = desk.doorward.create_user(&user, password.as_deref()).await?;
    let silent = password.is_none() && user.kind != UserKind::Service;
    let name = user.username.clone();
    show(desk, user, Some("was made")).await?;
    if silent {
        desk.out.note(&format!(
            "There is no password yet: doorward user password {name}"
        ));
    }
    Ok(())
}

fn kind(word: Option<&str>) -> Result<Option<UserKind>> {
    word.map(str::parse).transpose().map_err(Failure::Usage)
}

async fn show(desk: &Desk, user: Record, what: Option<&str>) -> Result<()> {
    let view = desk.doorward.user_view(user).await?;
    let value = view::user_view(&view);
    desk.out.either(&value, || {
        let user = &view.user;
        let title = what.map_or_else(
            || user.username.clone(),
            |what| format!("User {} {what}.", user.username),
        );
        let mut pairs: Vec<(&str, String)> = [
            ("name", "name"),
            ("e-mail", "email"),
            ("verified", "email_verified"),
            ("kind", "kind"),
            ("active", "active"),
            ("groups", "groups"),
            ("effective groups", "effective_groups"),
            ("administrator", "superuser"),
            ("password", "has_password"),
            ("language", "locale"),
            ("id", "id"),
            ("uid", "uid"),
            ("made", "created_at"),
            ("last sign-in", "last_sign_in_at"),
            ("deleted", "deleted_at"),
        ]
        .into_iter()
        .map(|(label, field)| (label, cell(value.get(field))))
        .collect();
        if !user.attributes.is_empty() {
            pairs.push(("attributes", Value::Object(user.attributes.clone()).to_string()));
        }
        facts(&title, &pairs)
    })
}

async fn list(list: List, desk: &Desk) -> Result<()> {
    let page = usize::try_from(list.limit).unwrap_or(usize::MAX);
    let mut users = match &list.group {
        Some(name) => {
            let group = desk.doorward.find_group(name).await?;
            desk.doorward.members(group.id, list.after, list.limit).await?
        }
        None => {
            let filter = UserFilter {
                search: list.search,
                include_deleted: list.deleted,
                after: list.after,
                limit: list.limit,
            };
            desk.doorward.list_users(&filter).await?
        }
    };
    let next = users.last().map(|user| user.id).filter(|_| users.len() == page);
    if list.deleted {
        users.retain(|user| user.deleted_at.is_some());
    }
    print_users(desk, &users)?;
    if let Some(id) = next {
        desk.out.note(&format!("There may be more: --after {id}"));
    }
    Ok(())
}

/// A table of users.
pub(super) fn print_users(desk: &Desk, users: &[Record]) -> Result<()> {
    desk.out.list(
        users.iter().map(view::user).collect(),
        &["USERNAME", "NAME", "E-MAIL", "KIND", "ACTIVE", "LAST SIGN-IN"],
        |user| {
            cells(
                user,
                &["username", "name", "email", "kind", "active", "last_sign_in_at"],
            )
        },
        "There are no such users.",
    )
}

async fn update(given: Update, desk: &Desk) -> Result<()> {
    let user = desk.user(&given.user).await?;
    let change = UserChange {
        username: given.username,
        name: given.name,
        email: given
            .email
            .map(|email| Some(email).filter(|email| !email.is_empty())),
        email_verified: given.email_verified,
        kind: kind(given.kind.as_deref())?,
        active: given.active,
        attributes: attributes(given.attribute),
        locale: given.locale,
        password: None,
    };
    let user = desk.doorward.update_user(user.id, &change).await?;
    show(desk, user, Some("was changed")).await
}

async fn delete(gone: &Gone, desk: &Desk) -> Result<()> {
    let user = desk.user(&gone.user).await?;
    if user.deleted_at.is_some() {
        return Err(Failure::Invalid(format!(
            "`{}` is deleted already",
            user.username
        )));
    }
    let question = format!(
        "Delete `{}`? All sessions and tokens end; 30 days to restore.",
        user.username
    );
    desk.out.confirm(&question, gone.yes.assent())?;
    desk.doorward.delete_user(user.id).await?;
    let value = json!({ "deleted": user.username, "id": user.id });
    desk.out.either(&value, || {
        vec![format!(
            "User {} was deleted; `doorward user restore {0}` brings it back within 30 days.",
            user.username
        )]
    })
}

async fn restore(name: &Name, desk: &Desk) -> Result<()> {
    let user = desk.deleted_user(&name.user).await?;
    let user = desk.doorward.restore_user(user.id).await?;
    show(desk, user, Some("was restored")).await
}

async fn switch(desk: &Desk, wanted: &str, active: bool) -> Result<()> {
    let user = desk.user(wanted).await?;
    let change = UserChange {
        active: Some(active),
        ..UserChange::default()
    };
    let user = desk.doorward.update_user(user.id, &change).await?;
    let what = if active {
        "may sign in"
    } else {
        "can no longer sign in; all sessions and tokens have ended"
    };
    show(desk, user, Some(what)).await
}

async fn password(given: &Password, desk: &Desk) -> Result<()> {
    let user = desk.user(&given.user).await?;
    let password = if given.password_stdin {
        secret_from_stdin("password")?
    } else {
        ask_password()?
    };
    let change = UserChange {
        password: Some(password),
        ..UserChange::default()
    };
    let user = desk.doorward.update_user(user.id, &change).await?;
    show(
        desk,
        user,
        Some("has the new password; all sessions and app passwords have ended"),
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_values_are_json_or_else_text() {
        assert_eq!(attribute("quota=10").unwrap(), ("quota".into(), json!(10)));
        assert_eq!(attribute("team=sales").unwrap(), ("team".into(), json!("sales")));
        assert_eq!(attribute("a=[1,\"b\"]").unwrap(), ("a".into(), json!([1, "b"])));
        assert_eq!(attribute("x=a=b").unwrap(), ("x".into(), json!("a=b")));
        assert!(attribute("novalue").is_err());
        assert!(attribute("=1").is_err());
    }
}
