//! `doorward grant …`

use clap::{Args, Subcommand};
use doorward_core::Origin;
use serde_json::{Value, json};

use super::{Desk, view};
use crate::arguments::Yes;
use crate::failure::{Failure, Result};
use crate::out::cells;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Grant {
    /// Lists what a user allowed which applications
    #[command(after_help = "Examples:\n  doorward grant list --user alice --json")]
    List(List),
    /// Takes a grant back: the application's tokens for this user end
    #[command(after_help = "Examples:\n  doorward grant revoke --user alice --application grafana")]
    Revoke(Revoke),
}

/// Whose grants.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// User name, e-mail address or id
    #[arg(long)]
    user: String,
}

/// Which grant.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// User name, e-mail address or id
    #[arg(long)]
    user: String,
    /// Slug or id
    #[arg(long)]
    application: String,
    #[command(flatten)]
    yes: Yes,
}

/// Does it.
pub(crate) async fn run(what: Grant, desk: &Desk) -> Result<()> {
    match what {
        Grant::List(list) => self::list(&list, desk).await,
        Grant::Revoke(revoke) => self::revoke(&revoke, desk).await,
    }
}

async fn list(list: &List, desk: &Desk) -> Result<()> {
    let user = desk.user(&list.user).await?;
    let grants = desk.doorward.grants_of(user.id).await?;
    let values: Vec<Value> = grants
        .iter()
        .map(|(grant, application)| {
            json!({
                "user": user.username,
                "application": application.slug,
                "scopes": grant.scopes,
                "created_at": grant.created_at.to_string(),
                "updated_at": grant.updated_at.to_string(),
                "expires_at": view::time(grant.expires_at),
            })
        })
        .collect();
    desk.out.list(
        values,
        &["APPLICATION", "SCOPES", "SINCE", "UNTIL"],
        |grant| cells(grant, &["application", "scopes", "created_at", "expires_at"]),
        &format!("{} allowed nothing so far.", user.username),
    )
}

async fn revoke(revoke: &Revoke, desk: &Desk) -> Result<()> {
    let user = desk.user(&revoke.user).await?;
    let application = desk.doorward.find_application(&revoke.application).await?;
    let question = format!(
        "Revoke what `{}` allowed `{}`? Its tokens for this user end.",
        user.username, application.slug
    );
    desk.out.confirm(&question, revoke.yes.assent())?;
    let revoked = desk
        .doorward
        .revoke_grant(user.id, application.id, &Origin::default())
        .await?;
    if !revoked {
        return Err(Failure::NotFound(format!(
            "`{}` allowed `{}` nothing",
            user.username, application.slug
        )));
    }
    let value = json!({ "revoked": { "user": user.username, "application": application.slug } });
    desk.out.either(&value, || {
        vec![format!(
            "The grant of {} to {} was revoked.",
            user.username, application.slug
        )]
    })
}
