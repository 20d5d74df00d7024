//! `doorward event …`

use clap::{Args, Subcommand};
use doorward_domain::EventId;
use doorward_domain::event::EventKind;
use doorward_store::{EventFilter, MAX_PAGE};

use super::Desk;
use crate::arguments::words;
use crate::failure::{Failure, Result};
use crate::out::{cell, cells};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Event {
    /// Lists events, the newest first
    #[command(
        after_help = "Examples:\n  doorward event list\n  doorward event list --user alice --kind refused --json\n  doorward event list --application grafana --limit 20"
    )]
    List(List),
}

/// Which events.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only about this user
    #[arg(long)]
    user: Option<String>,
    /// Only about this application
    #[arg(long)]
    application: Option<String>,
    /// Only of this kind
    #[arg(long, value_parser = words(EventKind::ALL.iter().map(|kind| kind.as_str())), hide_possible_values = true)]
    kind: Option<String>,
    /// Most events shown, 1 to 1000
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PAGE)))]
    limit: u32,
    /// Only events before the one with this id: the next page
    #[arg(long, value_name = "ID", value_parser = super::id::<doorward_domain::EventId>)]
    after: Option<EventId>,
}

/// Does it.
pub(crate) async fn run(what: Event, desk: &Desk) -> Result<()> {
    let Event::List(list) = what;
    let user = match &list.user {
        Some(wanted) => Some(desk.user(wanted).await?.id),
        None => None,
    };
    let application = match &list.application {
        Some(wanted) => Some(desk.doorward.find_application(wanted).await?.id),
        None => None,
    };
    let kind = list
        .kind
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(Failure::Usage)?;
    let filter = EventFilter {
        user,
        application,
        kind,
        after: list.after,
        limit: list.limit,
    };
    let events = desk.doorward.store()?.read().events(&filter).await?;
    let views = desk.event_views(&events).await?;
    desk.out.list(
        views,
        &[
            "AT",
            "WHAT",
            "REASON",
            "CODE",
            "USER",
            "APPLICATION",
            "ADDRESS",
            "DETAILS",
        ],
        |event| {
            let mut row = cells(
                event,
                &["at", "kind", "reason", "code", "user", "application", "ip"],
            );
            row.push(shortened(&cell(event.get("details")), 100));
            row
        },
        "There are no such events.",
    )?;
    let full = events.len() == usize::try_from(list.limit).unwrap_or(usize::MAX);
    if let Some(last) = events.last().filter(|_| full) {
        desk.out.note(&format!("There may be more: --after {}", last.id));
    }
    Ok(())
}

fn shortened(text: &str, longest: usize) -> String {
    if text == "{}" {
        return String::new();
    }
    let mut short: String = text.chars().take(longest).collect();
    if text.chars().nth(longest).is_some() {
        short.push('…');
    }
    short
}
