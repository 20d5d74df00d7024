//! `doorward token-api …`

use clap::{Args, Subcommand};
use doorward_store::OLD_NAMES;
use serde_json::json;

use super::Desk;
use crate::failure::Result;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenApi {
    /// Makes views with the table names of the service before, for programs that read its database
    #[command(
        after_help = "Examples:\n  doorward token-api views\n  doorward token-api views --drop\n\nThe views are read only. They show \
                      password hashes, as the old tables did: grant them to whom you must."
    )]
    Views(Views),
}

/// Made or removed.
#[derive(Debug, Args)]
pub(crate) struct Views {
    /// Remove them
    #[arg(long)]
    drop: bool,
}

/// Does it.
pub(crate) async fn run(what: TokenApi, desk: &Desk) -> Result<()> {
    let TokenApi::Views(views) = what;
    let store = desk.doorward.store()?;
    if views.drop {
        store.drop_old_views().await?;
    } else {
        store.make_old_views().await?;
    }
    let state = if views.drop { "gone" } else { "there" };
    desk.out
        .either(&json!({ "views": OLD_NAMES, "state": state }), || {
            vec![format!("{} are {state}.", OLD_NAMES.join(", "))]
        })
}
