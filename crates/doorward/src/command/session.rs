//! `doorward session …`

use clap::{Args, Subcommand};
use doorward_core::Origin;
use doorward_core::sessions::Which;
use doorward_domain::session::{Session as Record, SessionPolicy};
use doorward_domain::{Lifetime, SessionId, UserId};
use serde_json::{Value, json};

use super::Desk;
use crate::arguments::Yes;
use crate::failure::{Failure, Result};
use crate::out::{cells, facts};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Session {
    /// Lists a user's sessions
    #[command(
        after_help = "Examples:\n  doorward session list --user alice\n  doorward session list --user alice --json"
    )]
    List(List),
    /// Ends sessions: one by id, or all of a user
    #[command(
        after_help = "Examples:\n  doorward session end --user alice --all\n  doorward session end --user alice --id 019abf5e-7a00-7000-8000-000000000000\n  doorward session end 019abf5e-7a00-7000-8000-000000000000"
    )]
    End(End),
    /// Shows the one rule for how long sessions live, or changes it
    #[command(
        after_help = "Examples:\n  doorward session policy\n  doorward session policy --lifetime 14d --idle 2h\n  doorward session policy --idle none\n  doorward session policy --away 1h\n\nSessions that exist keep their end."
    )]
    Policy(Policy),
}

/// Whose sessions.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// User name, e-mail address or id
    #[arg(long)]
    user: String,
}

/// Which sessions.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["session", "id", "all"]))]
pub(crate) struct End {
    /// Id of the session
    #[arg(value_parser = super::id::<doorward_domain::SessionId>)]
    session: Option<SessionId>,
    /// User name, e-mail address or id
    #[arg(long)]
    user: Option<String>,
    /// Id of the session
    #[arg(long, value_parser = super::id::<doorward_domain::SessionId>)]
    id: Option<SessionId>,
    /// Every session of the user
    #[arg(long, requires = "user")]
    all: bool,
    #[command(flatten)]
    yes: Yes,
}

/// The rule.
#[derive(Debug, Args)]
pub(crate) struct Policy {
    /// A session ends this long after signing in
    #[arg(long, value_name = "DURATION")]
    lifetime: Option<Lifetime>,
    /// A session ends when unused for this long; `none` for no such limit
    #[arg(long, value_name = "DURATION|none")]
    idle: Option<String>,
    /// Sessions that are in memory open guarded sites for this long while the database is away
    #[arg(long, value_name = "DURATION")]
    away: Option<Lifetime>,
}

/// Does it.
pub(crate) async fn run(what: Session, desk: &Desk) -> Result<()> {
    match what {
        Session::List(list) => {
            let user = desk.user(&list.user).await?;
            let sessions = desk.doorward.sessions_of(user.id).await?;
            desk.out.list(
                sessions
                    .iter()
                    .map(|session| view(session, &user.username))
                    .collect(),
                &["ID", "SINCE", "LAST SEEN", "ENDS", "ADDRESS", "BROWSER"],
                |session| {
                    cells(
                        session,
                        &[
                            "id",
                            "created_at",
                            "last_seen_at",
                            "expires_at",
                            "ip",
                            "user_agent",
                        ],
                    )
                },
                &format!("{} is not signed in anywhere.", user.username),
            )
        }
        Session::End(end) => self::end(&end, desk).await,
        Session::Policy(policy) => self::policy(&policy, desk).await,
    }
}

fn view(session: &Record, username: &str) -> Value {
    json!({
        "id": session.id,
        "user": username,
        "methods": session.authentication.methods,
        "authenticated_at": session.authentication.at.to_string(),
        "created_at": session.created_at.to_string(),
        "last_seen_at": session.last_seen_at.to_string(),
        "expires_at": session.expires_at.to_string(),
        "ip": session.ip,
        "user_agent": session.user_agent,
    })
}

async fn end(end: &End, desk: &Desk) -> Result<()> {
    let (user, which) = match end.id.or(end.session) {
        Some(id) => (owner(end, id, desk).await?, Which::One(id)),
        None => {
            let user = desk.user(end.user.as_deref().unwrap_or_default()).await?;
            let question = format!("End all sessions of `{}`?", user.username);
            desk.out.confirm(&question, end.yes.assent())?;
            (user.id, Which::All)
        }
    };
    let ended = desk
        .doorward
        .end_sessions(user, which, &Origin::default())
        .await?;
    desk.out.either(&json!({ "ended": ended }), || {
        vec![match ended {
            0 => "No session was live.".to_owned(),
            1 => "1 session was ended.".to_owned(),
            many => format!("{many} sessions were ended."),
        }]
    })
}

/// Whose session this is; with `--user` it has to be theirs.
async fn owner(end: &End, id: SessionId, desk: &Desk) -> Result<UserId> {
    let session = desk.doorward.store()?.read().session(id).await?;
    let Some(session) = session else {
        return Err(Failure::NotFound(format!("there is no session `{id}`")));
    };
    if let Some(wanted) = &end.user
        && desk.user(wanted).await?.id != session.user_id
    {
        return Err(Failure::NotFound(format!("`{wanted}` has no session `{id}`")));
    }
    Ok(session.user_id)
}

async fn policy(given: &Policy, desk: &Desk) -> Result<()> {
    let mut policy = desk.doorward.session_policy().await?;
    if given.lifetime.is_some() || given.idle.is_some() || given.away.is_some() {
        policy = SessionPolicy {
            lifetime: given.lifetime.unwrap_or(policy.lifetime),
            idle: match given.idle.as_deref() {
                None => policy.idle,
                Some("none") => None,
                Some(text) => Some(
                    text.parse()
                        .map_err(|problem| Failure::Usage(format!("--idle: {problem}, or none")))?,
                ),
            },
            away: given.away.unwrap_or(policy.away),
        };
        desk.doorward.set_session_policy(policy).await?;
    }
    let value = json!({ "lifetime": policy.lifetime, "idle": policy.idle, "away": policy.away });
    desk.out.either(&value, || {
        let idle = policy
            .idle
            .map_or_else(|| "no limit".to_owned(), |idle| format!("after {idle}"));
        facts(
            "Sessions",
            &[
                ("end after", policy.lifetime.to_string()),
                ("end when unused", idle),
                ("count without database", policy.away.to_string()),
            ],
        )
    })
}
