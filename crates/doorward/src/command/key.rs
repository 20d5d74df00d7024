//! `doorward key …`

use clap::{Args, Subcommand};
use doorward_domain::client::SigningAlgorithm;
use doorward_domain::key::{self, KeyRecord};
use doorward_domain::{Lifetime, Timestamp};
use serde_json::{Value, json};

use super::{Desk, view};
use crate::arguments::{Yes, words};
use crate::failure::{Failure, Result};
use crate::out::cells;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Lists signing keys and what each is doing
    #[command(after_help = "Examples:\n  doorward key list\n  doorward key list --json")]
    List,
    /// Makes new keys: published at once, signing after a day; the old ones stay published until their tokens have ended
    #[command(
        after_help = "Examples:\n  doorward key rotate                            every algorithm\n  doorward key rotate --algorithm RS256 --now    signs at once: for keys that leaked"
    )]
    Rotate(Rotate),
    /// Takes a key out at once: tokens that it signed are refused from now on
    #[command(after_help = "Examples:\n  doorward key withdraw Wd3tYqV0n5kT0pFQ1Qm2bS3m1kq0mR8xg0V8QWc1yS8")]
    Withdraw(Withdraw),
}

/// Which keys, and how fast.
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// Only this algorithm
    #[arg(long, value_parser = words(SigningAlgorithm::ALL.iter().map(|algorithm| algorithm.as_str())))]
    algorithm: Option<String>,
    /// Signs with the new key at once instead of publishing it for a day first
    #[arg(long)]
    now: bool,
}

/// Which key.
#[derive(Debug, Args)]
pub(crate) struct Withdraw {
    /// Key id as in the JWKS
    kid: String,
    #[command(flatten)]
    yes: Yes,
}

/// Does it.
pub(crate) async fn run(what: Key, desk: &Desk) -> Result<()> {
    match what {
        Key::List => {
            let records = records(desk).await?;
            let now = desk.doorward.now();
            print(
                desk,
                records
                    .iter()
                    .map(|record| shown(record, &records, now))
                    .collect(),
            )
        }
        Key::Rotate(rotate) => self::rotate(&rotate, desk).await,
        Key::Withdraw(withdraw) => self::withdraw(&withdraw, desk).await,
    }
}

async fn records(desk: &Desk) -> Result<Vec<KeyRecord>> {
    let mut records = desk.doorward.store()?.read().keys().await?;
    records.sort_by_key(|record| (record.algorithm, std::cmp::Reverse(record.created_at)));
    Ok(records)
}

fn print(desk: &Desk, keys: Vec<Value>) -> Result<()> {
    desk.out.list(
        keys,
        &["KID", "ALGORITHM", "STATE", "SIGNS FROM", "WITHDRAWN"],
        |key| cells(key, &["kid", "algorithm", "state", "signs_from", "withdrawn_at"]),
        "There are no keys.",
    )
}

/// A key and what it does: `signing`, `announced` (will sign), `published` (signed once), `withdrawn`.
fn shown(record: &KeyRecord, all: &[KeyRecord], now: Timestamp) -> Value {
    let signs = key::signing(all, record.algorithm, now).is_some_and(|signing| signing.kid == record.kid);
    let state = match record {
        _ if signs => "signing",
        record if !record.is_published(now) => "withdrawn",
        record if now < record.signs_from => "announced",
        _ => "published",
    };
    json!({
        "kid": record.kid,
        "algorithm": record.algorithm,
        "state": state,
        "created_at": record.created_at.to_string(),
        "signs_from": record.signs_from.to_string(),
        "withdrawn_at": view::time(record.withdrawn_at),
    })
}

async fn rotate(rotate: &Rotate, desk: &Desk) -> Result<()> {
    let announce = if rotate.now { Lifetime::ZERO } else { key::ANNOUNCE };
    let wanted = SigningAlgorithm::ALL.iter().copied().filter(|algorithm| {
        rotate
            .algorithm
            .as_deref()
            .is_none_or(|only| only == algorithm.as_str())
    });
    let mut made = Vec::new();
    for algorithm in wanted {
        made.push(desk.doorward.rotate_key(algorithm, announce).await?);
    }
    let records = records(desk).await?;
    let now = desk.doorward.now();
    print(
        desk,
        made.iter().map(|record| shown(record, &records, now)).collect(),
    )
}

async fn withdraw(withdraw: &Withdraw, desk: &Desk) -> Result<()> {
    let kid = &withdraw.kid;
    let records = records(desk).await?;
    if !records.iter().any(|record| record.kid == *kid) {
        return Err(Failure::NotFound(format!(
            "there is no key `{kid}`; `doorward key list` shows them"
        )));
    }
    let question =
        format!("Withdraw the key `{kid}`? Tokens that it signed are refused from then on, for good.");
    desk.out.confirm(&question, withdraw.yes.assent())?;
    desk.doorward.withdraw_key(kid).await?;
    desk.out.either(&json!({ "withdrawn": kid }), || {
        vec![format!("The key {kid} was withdrawn.")]
    })
}
