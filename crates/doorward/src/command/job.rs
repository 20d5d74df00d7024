//! `doorward job …`

use clap::{Args, Subcommand};
use doorward_domain::JobId;
use doorward_store::{JobFilter, JobRecord, JobState};
use serde_json::{Value, json};

use super::{Desk, view};
use crate::arguments::words;
use crate::failure::{Failure, Result};
use crate::out::cells;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Job {
    /// Lists background work, the newest first
    #[command(after_help = "Examples:\n  doorward job list --state dead\n  doorward job list --json")]
    List(List),
    /// Tries a job again that was given up
    #[command(after_help = "Examples:\n  doorward job retry 019abf5e-7a00-7000-8000-000000000000")]
    Retry(Retry),
}

/// Which jobs.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those that are open, done or dead (given up)
    #[arg(long, value_parser = words(["open", "done", "dead"]))]
    state: Option<String>,
    /// Only this kind
    #[arg(long)]
    kind: Option<String>,
    /// Most jobs shown, 1 to 1000
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// Which job.
#[derive(Debug, Args)]
pub(crate) struct Retry {
    /// Id of the job
    #[arg(value_parser = super::id::<doorward_domain::JobId>)]
    job: JobId,
}

/// Does it.
pub(crate) async fn run(what: Job, desk: &Desk) -> Result<()> {
    match what {
        Job::List(list) => self::list(&list, desk).await,
        Job::Retry(retry) => self::retry(&retry, desk).await,
    }
}

async fn list(list: &List, desk: &Desk) -> Result<()> {
    let state = match list.state.as_deref() {
        Some("open") => Some(JobState::Open),
        Some("done") => Some(JobState::Done),
        Some("dead") => Some(JobState::Dead),
        _ => None,
    };
    let filter = JobFilter {
        state,
        kind: list.kind.clone(),
        before: None,
        limit: list.limit,
    };
    let jobs = desk.doorward.store()?.read().list_jobs(&filter).await?;
    desk.out.list(
        jobs.iter().map(shown).collect(),
        &["ID", "KIND", "STATE", "ATTEMPTS", "NEXT", "LAST ERROR"],
        |job| cells(job, &["id", "kind", "state", "attempts", "run_at", "last_error"]),
        "There are no such jobs.",
    )
}

/// A job without its payload, which may hold what only its receiver should see.
fn shown(job: &JobRecord) -> Value {
    let state = match job.state() {
        JobState::Open => "open",
        JobState::Done => "done",
        JobState::Dead => "dead",
    };
    json!({
        "id": job.id,
        "kind": job.kind,
        "state": state,
        "attempts": job.attempts,
        "max_attempts": job.max_attempts,
        "run_at": job.run_at.to_string(),
        "last_error": job.last_error,
        "created_at": job.created_at.to_string(),
        "done_at": view::time(job.done_at),
        "dead_at": view::time(job.dead_at),
    })
}

async fn retry(retry: &Retry, desk: &Desk) -> Result<()> {
    let id = retry.job;
    let store = desk.doorward.store()?;
    let tx = store.begin().await?;
    let revived = tx.revive_job(id, desk.doorward.now()).await?;
    tx.commit().await?;
    if !revived {
        return Err(Failure::NotFound(format!(
            "there is no job `{id}` that was given up; `doorward job list --state dead` shows them"
        )));
    }
    desk.out.either(&json!({ "retried": id }), || {
        vec![format!("The job {id} is due again.")]
    })
}
