//! Background work: queued jobs with retries, and the schedule that frees space and rotates keys.

use std::time::Duration;
use tokio::task::JoinSet;

use doorward_domain::{JobId, Lifetime};
use doorward_store::{Job, Store};

use crate::Doorward;
use crate::error::Result;
use crate::logout::Delivery;
use crate::metrics::JobLabels;
use crate::token_api::matrix;

/// Jobs that run at once.
const AT_ONCE: usize = 16;
const LEASE: Lifetime = Lifetime::from_minutes(2);
/// Housekeeping runs this often.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);
/// Events are kept this long.
const KEEP_EVENTS: Lifetime = Lifetime::from_days(365);
/// Deleted people, groups and applications can be restored this long.
const KEEP_DELETED: Lifetime = Lifetime::from_days(30);
/// Spent sessions, codes and tokens are kept this long, so that reuse is recognised.
const KEEP_SPENT: Lifetime = Lifetime::from_days(2);

impl Doorward {
    /// Runs queued jobs for ever, several at once, so that one dead receiver delays nobody else. Sleeps until the next one is
    /// due or one is added.
    pub(crate) async fn work(self, store: Store) {
        let worker = format!("{:x}", u64::from_be_bytes(self.random()));
        let mut wake = store.job_wake();
        let mut running = JoinSet::new();
        loop {
            while running.len() < AT_ONCE {
                match self.next_job(&store, &worker).await {
                    Ok(Some(job)) => {
                        let (doorward, store) = (self.clone(), store.clone());
                        running.spawn(async move {
                            if let Err(error) = doorward.run_job(&store, &job).await {
                                tracing::warn!(%error, job = %job.id, "the end of a job could not be written down");
                            }
                        });
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(%error, "the job queue could not be read");
                        tokio::time::sleep(Duration::from_secs(2)).await;
                        break;
                    }
                }
            }
            let wait = match store.read().next_job_at().await {
                Ok(Some(at)) => {
                    let millis = at.millis_since(self.now()).clamp(1_000, 3_600_000);
                    Duration::from_millis(millis.unsigned_abs())
                }
                Ok(None) => HOUSEKEEPING,
                Err(_) => Duration::from_secs(2),
            };
            // Waiting ends early when a job is added or one ends.
            tokio::select! {
                () = wake.woken() => {}
                () = tokio::time::sleep(wait) => {}
                Some(ended) = running.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a job ended badly");
                    }
                }
            }
        }
    }

    async fn next_job(&self, store: &Store, worker: &str) -> Result<Option<Job>> {
        if store.read().next_job_at().await?.is_none_or(|at| at > self.now()) {
            return Ok(None);
        }
        // A slow Matrix server keeps nothing else waiting.
        let kinds: &[&str] = if self.may_run_matrix() {
            &[crate::logout::JOB, crate::app_auth::mail::JOB, matrix::JOB]
        } else {
            &[crate::logout::JOB, crate::app_auth::mail::JOB]
        };
        let tx = store.begin().await?;
        let job = tx.take_job(worker, kinds, LEASE, self.now()).await?;
        tx.commit().await?;
        Ok(job)
    }

    /// Runs everything that is due, one after the other, and gives how many jobs that were. The server does this by itself;
    /// this is for whoever moves the clock by hand.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn run_due_jobs(&self) -> Result<usize> {
        let store = self.store()?;
        let worker = format!("{:x}", u64::from_be_bytes(self.random()));
        let mut count = 0;
        while let Some(job) = self.next_job(store, &worker).await? {
            self.run_job(store, &job).await?;
            count += 1;
        }
        Ok(count)
    }

    async fn run_job(&self, store: &Store, job: &Job) -> Result<()> {
        let result = match job.kind.as_str() {
            crate::logout::JOB => self.deliver_logout(&job.payload).await,
            crate::app_auth::mail::JOB => self.deliver_mail(&job.payload).await,
            matrix::JOB => self.run_matrix(job).await,
            other => Err(Delivery::Pointless(format!(
                "nothing here knows the kind of job `{other}`"
            ))),
        };
        let now = self.now();
        let tx = store.begin().await?;
        let (outcome, note) = match result {
            Ok(()) => {
                tx.finish_job(job, now).await?;
                ("done", Some("delivered".to_owned()))
            }
            Err(Delivery::Failed(problem)) if !job.is_last_attempt() => {
                tracing::warn!(job = %job.id, attempt = job.attempt, problem, "a job failed and will be tried again");
                let wait = match job.kind.as_str() {
                    matrix::JOB => self.matrix_back_off(job.attempt),
                    _ => back_off(job.attempt),
                };
                tx.retry_job(job, &problem, now.plus(wait)).await?;
                ("retry", None)
            }
            Err(Delivery::Failed(problem) | Delivery::Pointless(problem)) => {
                tracing::error!(job = %job.id, problem, "a job was given up");
                tx.bury_job(job, &problem, now).await?;
                ("dead", Some(problem))
            }
        };
        tx.commit().await?;
        self.inner
            .metrics
            .jobs
            .get_or_create(&JobLabels {
                kind: job.kind.clone(),
                outcome,
            })
            .inc();
        if let Some(note) = note.filter(|_| job.kind == crate::logout::JOB) {
            self.note_delivery(&job.payload, &note).await?;
        }
        Ok(())
    }

    /// Jobs as operators see them.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn jobs(&self) -> Result<Vec<doorward_store::JobRecord>> {
        Ok(self
            .store()?
            .read()
            .list_jobs(&doorward_store::JobFilter::default())
            .await?)
    }

    /// Puts a buried job back.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn retry_job(&self, id: JobId) -> Result<()> {
        let tx = self.store()?.begin().await?;
        tx.revive_job(id, self.now()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Writes down every half minute which sessions and app passwords were in use; an idle server writes nothing.
    pub(crate) async fn note_sessions(self) {
        loop {
            tokio::time::sleep(Duration::from_secs(30)).await;
            if let Err(error) = self.write_seen().await {
                tracing::debug!(%error, "sessions in use could not be written down");
            }
            if let Err(error) = self.write_used().await {
                tracing::debug!(%error, "app passwords in use could not be written down");
            }
        }
    }

    /// Housekeeping for ever. Correctness never depends on it: time is compared at use.
    pub(crate) async fn keep_house(self) {
        loop {
            if let Err(error) = self.housekeeping().await {
                tracing::warn!(%error, "housekeeping was cut short");
            }
            tokio::time::sleep(HOUSEKEEPING).await;
        }
    }

    /// One round of housekeeping.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn housekeeping(&self) -> Result<()> {
        let now = self.now();
        let spent = now.minus(KEEP_SPENT);
        let store = self.store()?;
        macro_rules! forget {
            ($($call:ident($before:expr)),* $(,)?) => {
                $(loop {
                    let tx = store.begin().await?;
                    let gone = tx.$call($before).await?;
                    tx.commit().await?;
                    if gone < 1000 { break; }
                    tokio::task::yield_now().await;
                })*
            };
        }
        forget!(
            forget_codes(spent),
            forget_proofs(spent),
            forget_tokens(spent),
            forget_devices(now.minus(Lifetime::from_hours(1))),
            forget_pushed(now),
            forget_assertions(now),
            forget_sessions(spent),
            forget_families(spent),
            forget_failures(now.minus(Lifetime::from_hours(2))),
            forget_secrets(spent),
            forget_keys(spent),
            forget_events(now.minus(KEEP_EVENTS)),
            forget_jobs(now.minus(Lifetime::from_days(30))),
            forget_changes(now.minus(Lifetime::from_days(1))),
            forget_links(spent),
            forget_app_passwords(now.minus(KEEP_DELETED)),
            purge_users(now.minus(KEEP_DELETED)),
            purge_groups(now.minus(KEEP_DELETED)),
            purge_applications(now.minus(KEEP_DELETED)),
        );
        self.rotate_due_keys().await
    }
}

/// 10 s, 20 s, 40 s … up to an hour.
fn back_off(attempts: u32) -> Lifetime {
    let seconds = 10_u32
        .checked_shl(attempts.saturating_sub(1).min(12))
        .unwrap_or(3600);
    Lifetime::from_seconds(seconds.min(3600))
}
