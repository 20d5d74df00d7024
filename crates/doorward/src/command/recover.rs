//! `doorward recover`

use clap::Args;
use doorward_core::links::Promote;
use doorward_domain::user::User;
use serde_json::json;

use super::Desk;
use crate::failure::{Failure, Result};
use crate::out::facts;

/// Administrators that are named when none was.
const MOST_NAMED: u32 = 20;

/// Who is lost.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  doorward recover                                    the only administrator\n  doorward recover --user alice\n  \
                  doorward recover --user bob --make-administrator\n\nThe link sets a new password, works once and for an hour. It \
                  also brings back an administrator who was deactivated or deleted."
)]
pub(crate) struct Recover {
    /// User name, e-mail address or id [default: the only administrator]
    name: Option<String>,
    /// User name, e-mail address or id
    #[arg(long, conflicts_with = "name")]
    user: Option<String>,
    /// Makes the user an administrator
    #[arg(long)]
    make_administrator: bool,
}

/// Does it.
pub(crate) async fn run(what: Recover, desk: &Desk) -> Result<()> {
    let user = match what.user.or(what.name) {
        Some(wanted) => find(&wanted, desk).await?,
        None => only_administrator(desk).await?,
    };
    let promote = if what.make_administrator {
        Promote::Yes
    } else {
        Promote::No
    };
    let link = desk.doorward.recover_link(user.id, promote).await?;
    let value = json!({ "user": user.username, "link": link });
    desk.out.either(&value, || {
        facts(
            &format!("Works once and for an hour, for {}:", user.username),
            &[("link", link.clone())],
        )
    })
}

/// A live user, or one in the bin.
async fn find(wanted: &str, desk: &Desk) -> Result<User> {
    match desk.user(wanted).await {
        Err(Failure::NotFound(text)) => match desk.deleted_user(wanted).await {
            Err(Failure::NotFound(_)) => Err(Failure::NotFound(text)),
            found => found,
        },
        found => found,
    }
}

async fn only_administrator(desk: &Desk) -> Result<User> {
    let tree = desk.tree().await?;
    let powerful: Vec<_> = tree
        .iter()
        .filter(|group| tree.is_superuser(&tree.effective([group.id])))
        .map(|group| group.id)
        .collect();
    let conn = desk.doorward.store()?.read();
    let mut users = Vec::new();
    if !powerful.is_empty() {
        for id in conn.members_of(&powerful, MOST_NAMED).await? {
            users.extend(conn.user(id).await?);
        }
    }
    match users.as_slice() {
        [] => Err(Failure::NotFound(
            "there is no administrator; name a user: doorward recover --user NAME --make-administrator"
                .into(),
        )),
        [only] => Ok(only.clone()),
        several => {
            let names: Vec<&str> = several.iter().map(|user| user.username.as_str()).collect();
            Err(Failure::Usage(format!(
                "there are several administrators, name one with --user: {}",
                names.join(", ")
            )))
        }
    }
}
