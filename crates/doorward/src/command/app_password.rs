//! `doorward user app-password …`

use clap::{Args, Subcommand};
use doorward_core::Origin;
use doorward_core::app_passwords::{By, NewAppPassword};
use doorward_domain::app_password::{AppPassword as Record, Reach};
use doorward_domain::text::{fold, nearest};
use doorward_domain::user::User;
use doorward_domain::{ApplicationId, Lifetime};
use serde_json::{Value, json};

use super::{Desk, view};
use crate::arguments::Yes;
use crate::failure::{Failure, Result};
use crate::out::{cell, cells, facts};

/// Secrets for programs that cannot sign in on pages.
#[derive(Debug, Subcommand)]
pub(crate) enum AppPassword {
    /// Makes one and prints its secret, this once
    #[command(
        after_help = "Examples:\n  doorward user app-password create alice --name \"Phone calendar\" --application calendar --expires 365d\n  \
                      doorward user app-password create backup-job --name nightly --json\n\nThe program sends it as a bearer token, or as \
                      the password of HTTP Basic with the user name or e-mail address of the\nuser. It works at sites behind forward auth \
                      only, and only where the user may enter."
    )]
    Create(Create),
    /// Lists a user's app passwords; never their secrets
    #[command(
        after_help = "Examples:\n  doorward user app-password list alice\n  doorward user app-password list alice --json"
    )]
    List(List),
    /// Revokes one; it is refused at once
    #[command(
        after_help = "Examples:\n  doorward user app-password revoke alice \"Phone calendar\"\n  doorward user app-password revoke alice 019abf5e-7a00-7000-8000-000000000000 --yes"
    )]
    Revoke(Revoke),
}

/// One to be made.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// User name, e-mail address or id
    user: String,
    /// What it is for; shown in lists
    #[arg(long)]
    name: String,
    /// Application at whose sites it works (may be repeated) [default: every site that the user may enter]
    #[arg(long, value_name = "APPLICATION")]
    application: Vec<String>,
    /// Stops working after this long [default: never]
    #[arg(long, value_name = "DURATION")]
    expires: Option<Lifetime>,
}

/// Whose.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// User name, e-mail address or id
    user: String,
}

/// Which one to revoke.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// User name, e-mail address or id
    user: String,
    /// Name or id of the app password
    #[arg(value_name = "ID|NAME")]
    app_password: String,
    #[command(flatten)]
    yes: Yes,
}

/// Does it.
pub(crate) async fn run(what: AppPassword, desk: &Desk) -> Result<()> {
    match what {
        AppPassword::Create(new) => create(new, desk).await,
        AppPassword::List(list) => self::list(&list, desk).await,
        AppPassword::Revoke(revoke) => self::revoke(&revoke, desk).await,
    }
}

async fn create(new: Create, desk: &Desk) -> Result<()> {
    let user = desk.user(&new.user).await?;
    let mut applications = Vec::new();
    for wanted in &new.application {
        let application = desk.doorward.find_application(wanted).await?;
        if application.deleted_at.is_some() {
            return Err(Failure::Invalid(format!("application `{wanted}` is deleted")));
        }
        applications.push(application.id);
    }
    let reach = if applications.is_empty() {
        Reach::EverySite
    } else {
        Reach::Applications(applications.into_iter().collect())
    };
    let new = NewAppPassword {
        name: new.name,
        reach,
        lifetime: new.expires,
    };
    let made = desk
        .doorward
        .create_app_password(user.id, &new, &Origin::default())
        .await?;
    let secret = made.secret.expose();
    let value = view::with(shown(desk, &made.password, &user), json!({ "secret": secret }));
    desk.out.either(&value, || {
        let title = format!(
            "App password {} of {} was made.",
            made.password.name, user.username
        );
        facts(
            &title,
            &[
                ("secret", format!("{secret}  (shown this once)")),
                ("works at", where_words(&value)),
                ("expires", until_words(&value)),
                ("id", cell(value.get("id"))),
            ],
        )
    })
}

async fn list(list: &List, desk: &Desk) -> Result<()> {
    let user = desk.user(&list.user).await?;
    let all = desk.doorward.app_passwords_of(user.id).await?;
    desk.out.list(
        all.iter().map(|one| shown(desk, one, &user)).collect(),
        &["ID", "NAME", "WORKS AT", "MADE", "LAST USED", "EXPIRES"],
        |one| {
            let [id, name, made, used] =
                ["id", "name", "created_at", "last_used_at"].map(|field| cell(one.get(field)));
            let used = if used.is_empty() { "never".to_owned() } else { used };
            vec![id, name, where_words(one), made, used, until_words(one)]
        },
        &format!("{} has no app passwords.", user.username),
    )
}

async fn revoke(revoke: &Revoke, desk: &Desk) -> Result<()> {
    let user = desk.user(&revoke.user).await?;
    let found = find(desk, &user, &revoke.app_password).await?;
    let question = format!(
        "Revoke the app password `{}` of `{}`? Programs that use it are refused at once.",
        found.name, user.username
    );
    desk.out.confirm(&question, revoke.yes.assent())?;
    desk.doorward
        .revoke_app_password(user.id, found.id, By::Administrator, &Origin::default())
        .await?;
    let value = json!({ "revoked": found.name, "id": found.id, "user": user.username });
    desk.out.either(&value, || {
        vec![format!(
            "App password {} of {} was revoked.",
            found.name, user.username
        )]
    })
}

/// One of a user's app passwords by id or name.
async fn find(desk: &Desk, user: &User, wanted: &str) -> Result<Record> {
    let mut all = desk.doorward.app_passwords_of(user.id).await?;
    let name = fold(wanted);
    let by_id = all.iter().position(|one| Some(one.id) == wanted.parse().ok());
    let at = by_id.or_else(|| all.iter().position(|one| fold(&one.name) == name));
    match at {
        Some(at) => Ok(all.swap_remove(at)),
        None => {
            let near = nearest(wanted, all.iter().map(|one| one.name.as_str()))
                .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
            Err(Failure::NotFound(format!(
                "`{}` has no app password `{wanted}`{near}",
                user.username
            )))
        }
    }
}

/// The shape that scripts rely on.
fn shown(desk: &Desk, one: &Record, user: &User) -> Value {
    let directory = desk.doorward.directory();
    // One that is deleted for good has no name any more.
    let slug = |id: &ApplicationId| {
        directory
            .application(*id)
            .map_or_else(|| id.to_string(), |application| application.slug.clone())
    };
    let applications: Vec<String> = one.reach.named().into_iter().flatten().map(slug).collect();
    json!({
        "id": one.id,
        "user": user.username,
        "name": one.name,
        "every_site": one.reach == Reach::EverySite,
        "applications": applications,
        "created_at": one.created_at.to_string(),
        "last_used_at": view::time(one.last_used_at),
        "expires_at": view::time(one.expires_at),
        "live": one.is_live(desk.doorward.now()),
    })
}

fn where_words(one: &Value) -> String {
    if one.get("every_site") == Some(&Value::Bool(true)) {
        return "every site".to_owned();
    }
    cells(one, &["applications"]).join("")
}

fn until_words(one: &Value) -> String {
    match (cell(one.get("expires_at")), one.get("live")) {
        (never, _) if never.is_empty() => "never".to_owned(),
        (at, Some(Value::Bool(false))) => format!("{at} (over)"),
        (at, _) => at,
    }
}
