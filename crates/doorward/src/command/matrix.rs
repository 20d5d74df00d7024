//! `doorward matrix …`

use clap::{Args, Subcommand};
use doorward_core::token_api::matrix::Retry as Which;
use doorward_domain::token_api::matrix::{MatrixAccount, MatrixStatus};
use serde_json::{Value, json};

use super::{Desk, view};
use crate::arguments::words;
use crate::failure::Result;
use crate::out::cells;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Matrix {
    /// Lists accounts at the Matrix server
    #[command(
        after_help = "Examples:\n  doorward matrix list --status failed\n  doorward matrix list --json"
    )]
    List(List),
    /// Makes accounts that are missing, pending or given up, at once
    #[command(
        after_help = "Examples:\n  doorward matrix retry alice\n  doorward matrix retry --all\n  doorward matrix retry --missing\n\nThe \
                      running server does the work; `doorward matrix list` shows how far it is."
    )]
    Retry(Retry),
}

/// Which accounts.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those that are pending, active, failed or deactivated
    #[arg(long, value_parser = words(MatrixStatus::ALL.iter().map(|status| status.as_str())))]
    status: Option<String>,
    /// Most accounts shown, 1 to 1000
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// Which accounts.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["user", "all", "missing"]))]
pub(crate) struct Retry {
    /// User name, e-mail address or id
    user: Option<String>,
    /// Every account that is pending or was given up
    #[arg(long)]
    all: bool,
    /// Everybody who has none yet
    #[arg(long)]
    missing: bool,
}

/// Does it.
pub(crate) async fn run(what: Matrix, desk: &Desk) -> Result<()> {
    match what {
        Matrix::List(list) => self::list(&list, desk).await,
        Matrix::Retry(retry) => self::retry(&retry, desk).await,
    }
}

async fn list(list: &List, desk: &Desk) -> Result<()> {
    let status = list.status.as_deref().and_then(|status| status.parse().ok());
    let conn = desk.doorward.store()?.read();
    let accounts = conn.matrix_accounts(status, None, list.limit).await?;
    let mut shown = Vec::new();
    for account in &accounts {
        let user = conn.user(account.user_id).await?;
        shown.push(one(account, user.as_ref().map(|user| user.username.as_str())));
    }
    desk.out.list(
        shown,
        &["USER", "STATUS", "NAME", "ATTEMPTS", "NEXT", "LAST ERROR"],
        |account| {
            cells(
                account,
                &[
                    "user",
                    "status",
                    "name",
                    "attempts",
                    "next_attempt_at",
                    "last_error",
                ],
            )
        },
        "There are no such accounts.",
    )
}

fn one(account: &MatrixAccount, username: Option<&str>) -> Value {
    json!({
        "user_id": account.user_id,
        "user": username,
        "localpart": account.localpart,
        "matrix_user_id": account.matrix_user_id,
        "name": account.matrix_user_id.as_ref().unwrap_or(&account.localpart),
        "status": account.status.as_str(),
        "attempts": account.attempts,
        "next_attempt_at": view::time(account.next_attempt_at),
        "last_error": account.last_error,
        "created_at": account.created_at.to_string(),
    })
}

async fn retry(retry: &Retry, desk: &Desk) -> Result<()> {
    let which = match &retry.user {
        Some(user) => Which::One(desk.doorward.find_user(user).await?.id),
        None if retry.missing => Which::Missing,
        None => Which::All,
    };
    let count = desk.doorward.retry_matrix(which).await?;
    desk.out.either(&json!({ "queued": count }), || {
        vec![match count {
            0 => "There is nothing to do.".to_owned(),
            1 => "1 account is due.".to_owned(),
            count => format!("{count} accounts are due."),
        }]
    })
}
