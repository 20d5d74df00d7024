//! `doorward explain …`

use clap::Args;
use serde_json::{Value, json};

use super::{Desk, view};
use crate::failure::{Failure, Result};
use crate::out::{cell, facts};

/// What to explain.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  doorward explain DW-7K2M-41XQ\n  doorward explain --user alice --application grafana --json\n  doorward explain --user alice --url https://wiki.example.org/admin --method POST"
)]
pub(crate) struct Explain {
    /// Code from a refusal page
    #[arg(required_unless_present_any = ["user", "url"])]
    code: Option<String>,
    /// Would this user be admitted …
    #[arg(long, conflicts_with = "code")]
    user: Option<String>,
    /// … to this application?
    #[arg(long, requires = "user", conflicts_with_all = ["url", "code"])]
    application: Option<String>,
    /// … to this page of a guarded site? Without --user: would somebody who is not signed in?
    #[arg(long, conflicts_with = "code")]
    url: Option<String>,
    /// With this method
    #[arg(long, requires = "url", default_value = "GET")]
    method: String,
}

/// Does it.
pub(crate) async fn run(what: Explain, desk: &Desk) -> Result<()> {
    if let Some(url) = &what.url {
        return explain_url(what.user.as_deref(), url, &what.method, desk).await;
    }
    match (what.code, what.user, what.application) {
        (Some(code), _, _) => explain_code(&code, desk).await,
        (None, Some(user), Some(application)) => explain_access(&user, &application, desk).await,
        _ => Err(Failure::Usage(
            "expected a code, --user and --application, or --url".into(),
        )),
    }
}

async fn explain_code(code: &str, desk: &Desk) -> Result<()> {
    let explained = desk.doorward.explain_code(code).await?;
    let event = &explained.event;
    let value = json!({
        "code": event.code,
        "outcome": "refused",
        "reason": event.reason,
        "rule": explained.rule,
        "user": explained.username,
        "application": explained.application,
        "at": event.at.to_string(),
        "ip": event.ip,
        "inputs": event.details,
        "event": view::event_view(event, explained.username.as_deref(), explained.application.as_deref()),
    });
    desk.out.either(&value, || {
        let field = |label: &'static str, name: &str| (label, cell(value.get(name)));
        let mut lines = facts(
            &explained.rule,
            &[
                field("reason", "reason"),
                field("user", "user"),
                field("application", "application"),
                field("at", "at"),
                field("address", "ip"),
            ],
        );
        lines.extend(inputs(&event.details));
        lines
    })
}

async fn explain_access(user: &str, application: &str, desk: &Desk) -> Result<()> {
    let user = desk.user(user).await?;
    let explained = desk
        .doorward
        .explain_access(&user.id.to_string(), application)
        .await?;
    let value = json!({
        "outcome": explained.outcome,
        "reason": explained.reason,
        "rule": explained.rule,
        "user": user.username,
        "application": application,
        "inputs": explained.inputs,
    });
    desk.out.either(&value, || {
        let title = format!("{} -> {application}: {}", user.username, explained.outcome);
        let mut lines = facts(
            &title,
            &[
                ("rule", explained.rule.clone()),
                ("reason", cell(value.get("reason"))),
            ],
        );
        lines.extend(inputs(&explained.inputs));
        lines
    })
}

async fn explain_url(user: Option<&str>, url: &str, method: &str, desk: &Desk) -> Result<()> {
    let user = match user {
        Some(name) => Some(desk.user(name).await?),
        None => None,
    };
    let id = user.as_ref().map(|user| user.id.to_string());
    let explained = desk.doorward.explain_url(id.as_deref(), url, method).await?;
    let value = json!({
        "outcome": explained.outcome,
        "site": explained.site,
        "application": explained.application,
        "rule": explained.rule,
        "why": explained.why,
        "reason": explained.reason,
        "user": user.as_ref().map(|user| &user.username),
        "url": url,
        "inputs": explained.inputs,
    });
    desk.out.either(&value, || {
        let who = user
            .as_ref()
            .map_or("somebody who is not signed in", |user| user.username.as_str());
        let title = format!("{who} -> {url}: {}", explained.outcome);
        let field = |label: &'static str, name: &str| (label, cell(value.get(name)));
        let mut lines = facts(
            &title,
            &[
                field("site", "site"),
                field("application", "application"),
                field("rule", "rule"),
                ("why", explained.why.clone()),
                field("reason", "reason"),
            ],
        );
        lines.extend(inputs(&explained.inputs));
        lines
    })
}

/// The inputs of a decision, one per line.
fn inputs(inputs: &Value) -> Vec<String> {
    let pairs: Vec<(&str, String)> = inputs
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let text = match value {
                Value::Array(list) if list.is_empty() => "none".to_owned(),
                value => cell(Some(value)),
            };
            (name.as_str(), text)
        })
        .collect();
    if pairs.is_empty() {
        Vec::new()
    } else {
        facts("Decided on:", &pairs)
    }
}
