//! Accounts at the Matrix server. Wanted in the transaction that makes the person; made by a job until it works. The password is
//! random and forgotten: people come in through their own door, never with it.

use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use doorward_crypto::shared::synapse_mac;
use doorward_domain::event::EventKind;
use doorward_domain::token_api::matrix::{self as rules, Made, MatrixAccount, MatrixStatus};
use doorward_domain::{Timestamp, UserId};
use doorward_store::{Job, NewJob, Tx, UserFilter};

use super::MatrixServer;
use crate::error::{Error, Result};
use crate::events::About;
use crate::logout::Delivery;
use crate::{Doorward, Origin};

/// Kind of the job that makes an account, or switches one off.
pub(crate) const JOB: &str = "matrix";
/// How long a registration waits for the account.
const MOMENT: Duration = Duration::from_millis(1500);
/// Largest answer of the Matrix server.
const LARGEST: usize = 16 * 1024;
/// A person without a name there is looked up again after this long, in microseconds.
const LOOK_AGAIN: u64 = 2_000_000;
/// Jobs that ask the Matrix server at once. It hashes a password for each: more would only make all of them too late.
const JOBS_AT_ONCE: usize = 2;
/// Attempts in all that are under way at once, those of registrations included; whoever comes then is left to a job.
const MOST_AT_ONCE: usize = 8;
/// Names that are remembered.
const MOST_NAMES: usize = 50_000;

/// How an attempt ended.
enum Attempt {
    /// There is nothing left to do.
    Done(MatrixAccount),
    /// Try again later.
    Later(String),
    /// Trying again is pointless.
    Never(String),
}

/// An attempt under way.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Which accounts to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The one of this person.
    One(UserId),
    /// Those that are pending or were given up.
    All,
    /// Those of people who have none yet.
    Missing,
}

impl Doorward {
    fn matrix_server(&self) -> Option<&MatrixServer> {
        self.token_api().and_then(|api| api.matrix.as_ref())
    }

    /// Notes, in the transaction that makes the person, that an account is wanted.
    pub(super) async fn want_matrix_account(&self, tx: &Tx, user: UserId, now: Timestamp) -> Result<()> {
        let account = MatrixAccount::pending(user, now);
        tx.add_matrix_account(&account).await?;
        self.queue_matrix(tx, user, "make", account.next_attempt_at.unwrap_or(now), now)
            .await
    }

    async fn queue_matrix(
        &self,
        tx: &Tx,
        user: UserId,
        what: &str,
        run_at: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        let job = NewJob {
            id: self.mint(now),
            kind: JOB.to_owned(),
            unique_key: None,
            payload: json!({ "user": user, "what": what }),
            run_at,
            max_attempts: rules::ATTEMPTS,
            created_at: now,
        };
        tx.enqueue(job).await?;
        Ok(())
    }

    /// Switching a person off switches the account off, when a token for that is there.
    pub(crate) async fn mirror_deactivation(&self, tx: &Tx, user: UserId, now: Timestamp) -> Result<()> {
        let able = self
            .matrix_server()
            .is_some_and(|server| server.admin_token.is_some());
        if !able {
            return Ok(());
        }
        let there = tx.matrix_account(user).await?;
        if there.is_some_and(|account| account.matrix_user_id.is_some()) {
            self.queue_matrix(tx, user, "deactivate", now, now).await?;
        }
        Ok(())
    }

    /// Tries once, for a moment, while the person waits; what is not done then is the job's.
    pub(super) async fn provision_briefly(&self, user: UserId) -> Option<MatrixAccount> {
        let attempts = &self.inner.token_api.attempts;
        let attempt = async {
            if attempts.load(Ordering::SeqCst) >= MOST_AT_ONCE {
                return Ok(Attempt::Later("too many are under way".into()));
            }
            let _under_way = UnderWay::new(attempts);
            self.attempt(user).await
        };
        match tokio::time::timeout(MOMENT, attempt).await {
            Ok(Ok(Attempt::Done(account))) => return Some(account),
            Ok(Ok(Attempt::Later(problem) | Attempt::Never(problem))) => {
                tracing::debug!(problem, "an account at the Matrix server was not made at once");
            }
            Ok(Err(error)) => tracing::debug!(%error, "an account at the Matrix server was not made at once"),
            Err(_) => {
                self.inner
                    .token_api
                    .synapse_trouble
                    .store(true, Ordering::Relaxed);
            }
        }
        let account = self.store().ok()?.read().matrix_account(user).await;
        account.ok().flatten()
    }

    /// May one more job of ours be taken now?
    pub(crate) fn may_run_matrix(&self) -> bool {
        self.inner.token_api.attempts.load(Ordering::SeqCst) < JOBS_AT_ONCE
    }

    /// Does a job.
    pub(crate) async fn run_matrix(&self, job: &Job) -> std::result::Result<(), Delivery> {
        let _under_way = UnderWay::new(&self.inner.token_api.attempts);
        let user = job.payload.get("user").and_then(Value::as_str);
        let user: Option<UserId> = user.and_then(crate::sessions::parse_id);
        let user = user.ok_or_else(|| Delivery::Pointless("the job names nobody".into()))?;
        let failed = |error: Error| Delivery::Failed(error.to_string());
        if job.payload.get("what").and_then(Value::as_str) == Some("deactivate") {
            return self.deactivate(user).await;
        }
        match self.attempt(user).await.map_err(failed)? {
            Attempt::Done(_) => Ok(()),
            Attempt::Never(problem) => Err(Delivery::Pointless(problem)),
            Attempt::Later(problem) if job.is_last_attempt() => {
                self.give_up(user, &problem).await.map_err(failed)?;
                Err(Delivery::Pointless(problem))
            }
            Attempt::Later(problem) => Err(Delivery::Failed(problem)),
        }
    }

    /// When a job of ours is tried again after so many attempts.
    pub(crate) fn matrix_back_off(&self, attempts: u32) -> doorward_domain::Lifetime {
        rules::retry_after(attempts, u32::from_be_bytes(self.random()))
    }

    /// One attempt, with a fresh nonce.
    async fn attempt(&self, user: UserId) -> Result<Attempt> {
        let Some(server) = self.matrix_server() else {
            return Ok(Attempt::Later("no Matrix server is set".into()));
        };
        let conn = self.store()?.read();
        let Some(account) = conn.matrix_account(user).await? else {
            return Ok(Attempt::Never("nobody wants this account any more".into()));
        };
        if account.status != MatrixStatus::Pending {
            return Ok(Attempt::Done(account));
        }
        let person = conn
            .user(user)
            .await?
            .filter(doorward_domain::user::User::is_usable);
        let Some(person) = person else {
            return Ok(Attempt::Done(account));
        };
        let url = format!("{}/_synapse/admin/v1/register", server.url);
        let nonce = match self.nonce(&url).await {
            Ok(nonce) => nonce,
            Err(problem) => return self.note_trouble(&account, problem).await,
        };
        // From here on the server may have made the account, whatever we hear of it.
        let lost = account.in_flight_at.is_some();
        let now = self.now();
        let mut flying = MatrixAccount {
            in_flight_at: Some(now),
            attempts: account.attempts.saturating_add(1),
            updated_at: now,
            ..account.clone()
        };
        if !self.save_account(&flying, account.updated_at, None).await? {
            return Ok(Attempt::Later("another attempt is under way".into()));
        }
        let password = self.random_hex::<32>();
        let mac = synapse_mac(
            server.secret.expose(),
            &[&nonce, &account.localpart, &password, "notadmin"],
        );
        let body = json!({
            "nonce": nonce, "username": account.localpart, "password": password, "displayname": person.name,
            "admin": false, "mac": mac, "inhibit_login": true,
        });
        let answered = self.inner.ports.fetch.post_json(&url, None, &body).await;
        let (made, seen) = match answered {
            Ok(fetched) => {
                let body: Value = serde_json::from_slice(&fetched.body).unwrap_or_default();
                // Something between us and the server may answer for it.
                let seen = fetched.status < 500;
                (rules::read_answer(fetched.status, &body, lost), seen)
            }
            Err(error) => (Made::Later(error.to_string()), false),
        };
        if seen {
            flying.in_flight_at = None;
        }
        let full = match made {
            Made::There(full) => Ok(full),
            Made::Ours => match self.server_name(server).await {
                Some(name) => Ok(format!("@{}:{name}", account.localpart)),
                None => {
                    flying.in_flight_at = Some(now);
                    Err((
                        MatrixStatus::Pending,
                        "the server does not tell its name".to_owned(),
                    ))
                }
            },
            Made::Never(problem) => Err((MatrixStatus::Failed, problem)),
            Made::Later(problem) => Err((MatrixStatus::Pending, problem)),
        };
        self.land(flying, full, now).await
    }

    /// Writes down how an attempt ended.
    async fn land(
        &self,
        flying: MatrixAccount,
        full: std::result::Result<String, (MatrixStatus, String)>,
        seen: Timestamp,
    ) -> Result<Attempt> {
        let trouble = &self.inner.token_api.synapse_trouble;
        let now = self.now();
        match full {
            Ok(full) => {
                let account = MatrixAccount {
                    matrix_user_id: Some(full),
                    status: MatrixStatus::Active,
                    next_attempt_at: None,
                    in_flight_at: None,
                    last_error: None,
                    updated_at: now,
                    ..flying
                };
                self.save_account(&account, seen, Some("made")).await?;
                self.forget_matrix_name(account.user_id);
                trouble.store(false, Ordering::Relaxed);
                Ok(Attempt::Done(account))
            }
            Err((status, problem)) => {
                let account = MatrixAccount {
                    status,
                    next_attempt_at: self.next_attempt(status, flying.attempts, now),
                    last_error: Some(problem.clone()),
                    updated_at: now,
                    ..flying
                };
                trouble.store(true, Ordering::Relaxed);
                if status == MatrixStatus::Failed {
                    self.save_account(&account, seen, Some("failed")).await?;
                    tracing::error!(user = %account.user_id, problem, "an account at the Matrix server was given up");
                    return Ok(Attempt::Never(problem));
                }
                self.save_account(&account, seen, None).await?;
                Ok(Attempt::Later(problem))
            }
        }
    }

    /// About when the job comes back; the job itself knows.
    fn next_attempt(&self, status: MatrixStatus, attempts: u32, now: Timestamp) -> Option<Timestamp> {
        (status == MatrixStatus::Pending).then(|| now.plus(rules::retry_after(attempts, 360)))
    }

    /// The server could not even be asked.
    async fn note_trouble(&self, account: &MatrixAccount, problem: String) -> Result<Attempt> {
        self.inner
            .token_api
            .synapse_trouble
            .store(true, Ordering::Relaxed);
        let now = self.now();
        let attempts = account.attempts.saturating_add(1);
        let noted = MatrixAccount {
            attempts,
            next_attempt_at: self.next_attempt(account.status, attempts, now),
            last_error: Some(problem.clone()),
            updated_at: now,
            ..account.clone()
        };
        self.save_account(&noted, account.updated_at, None).await?;
        Ok(Attempt::Later(problem))
    }

    async fn give_up(&self, user: UserId, problem: &str) -> Result<()> {
        let Some(account) = self.store()?.read().matrix_account(user).await? else {
            return Ok(());
        };
        let failed = MatrixAccount {
            status: MatrixStatus::Failed,
            next_attempt_at: None,
            last_error: Some(problem.to_owned()),
            updated_at: self.now(),
            ..account.clone()
        };
        self.save_account(&failed, account.updated_at, Some("failed"))
            .await?;
        tracing::error!(%user, problem, "an account at the Matrix server was given up");
        Ok(())
    }

    async fn save_account(
        &self,
        account: &MatrixAccount,
        seen: Timestamp,
        event: Option<&str>,
    ) -> Result<bool> {
        let tx = self.store()?.begin().await?;
        let saved = tx.save_matrix_account(account, seen).await?;
        if let (true, Some(outcome)) = (saved, event) {
            let about = About {
                user: Some(account.user_id),
                details: json!({
                    "outcome": outcome, "localpart": account.localpart, "matrix_user_id": account.matrix_user_id,
                    "attempts": account.attempts, "problem": account.last_error,
                }),
                ..About::default()
            };
            tx.add_event(&self.event(
                EventKind::MatrixAccount,
                about,
                &Origin::default(),
                account.updated_at,
            ))
            .await?;
        }
        tx.commit().await?;
        Ok(saved)
    }

    async fn nonce(&self, url: &str) -> std::result::Result<String, String> {
        let fetched = self
            .inner
            .ports
            .fetch
            .get(url, LARGEST)
            .await
            .map_err(|error| error.to_string())?;
        if fetched.status != 200 {
            return Err(rules::no_nonce(fetched.status));
        }
        let body: Value = serde_json::from_slice(&fetched.body).unwrap_or_default();
        let nonce = body.get("nonce").and_then(Value::as_str);
        let sound = |nonce: &&str| !nonce.is_empty() && nonce.len() <= 512 && !nonce.contains('\0');
        nonce
            .filter(sound)
            .map(ToOwned::to_owned)
            .ok_or_else(|| "Synapse answered without a nonce".to_owned())
    }

    /// What the server calls itself: as set, or as it says.
    async fn server_name(&self, server: &MatrixServer) -> Option<String> {
        if let Some(name) = &server.server_name {
            return Some(name.clone());
        }
        let url = format!("{}/_matrix/key/v2/server", server.url);
        let fetched = self.inner.ports.fetch.get(&url, LARGEST).await.ok()?;
        let body: Value = serde_json::from_slice(&fetched.body).ok()?;
        let name = body.get("server_name").and_then(Value::as_str)?;
        rules::is_full_name(&format!("@a:{name}")).then(|| name.to_owned())
    }

    async fn deactivate(&self, user: UserId) -> std::result::Result<(), Delivery> {
        let failed = |error: Error| Delivery::Failed(error.to_string());
        let gone = || Delivery::Pointless("there is nothing to switch off".into());
        let server = self.matrix_server().ok_or_else(gone)?;
        let token = server.admin_token.as_ref().ok_or_else(gone)?;
        let conn = self.store().map_err(failed)?.read();
        let account = conn
            .matrix_account(user)
            .await
            .map_err(|error| failed(error.into()))?;
        let account = account.filter(|account| account.status == MatrixStatus::Active);
        let Some(account) = account else {
            return Ok(());
        };
        let person = conn.user(user).await.map_err(|error| failed(error.into()))?;
        if person.is_some_and(|person| person.is_usable()) {
            // Switched on again in the meantime.
            return Ok(());
        }
        let name = account.matrix_user_id.as_deref().ok_or_else(gone)?;
        let mut url = url::Url::parse(&server.url).map_err(|_| gone())?;
        url.path_segments_mut()
            .map_err(|()| gone())?
            .extend(["_synapse", "admin", "v1", "deactivate", name]);
        let body = json!({ "erase": false });
        let answered = self
            .inner
            .ports
            .fetch
            .post_json(url.as_str(), Some(token.expose()), &body)
            .await
            .map_err(|error| Delivery::Failed(error.to_string()))?;
        // Somebody who is not there cannot come in either.
        if !matches!(answered.status, 200 | 404) {
            return Err(Delivery::Failed(format!("Synapse answered {}", answered.status)));
        }
        let off = MatrixAccount {
            status: MatrixStatus::Deactivated,
            updated_at: self.now(),
            ..account.clone()
        };
        self.save_account(&off, account.updated_at, Some("deactivated"))
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// The full name of a person's account, when it is there.
    pub(super) async fn matrix_name(&self, user: UserId) -> Result<Option<String>> {
        let now = self.monotonic_micros();
        let known = self.inner.token_api.matrix_names.lock();
        let known = known.ok().and_then(|names| names.get(&user).cloned());
        if let Some((name, at)) = &known
            && (name.is_some() || now.saturating_sub(*at) < LOOK_AGAIN)
        {
            return Ok(name.clone());
        }
        let account = match (self.store(), known) {
            (Ok(store), _) => store.read().matrix_account(user).await?,
            // While the database is away, what was known is good enough.
            (Err(_), Some((name, _))) => return Ok(name),
            (Err(error), None) => return Err(error),
        };
        let name = account.and_then(|account| account.matrix_user_id);
        if let Ok(mut names) = self.inner.token_api.matrix_names.lock() {
            if names.len() >= MOST_NAMES {
                names.clear();
            }
            names.insert(user, (name.clone(), now));
        }
        Ok(name)
    }

    pub(super) fn forget_matrix_name(&self, user: UserId) {
        if let Ok(mut names) = self.inner.token_api.matrix_names.lock() {
            names.remove(&user);
        }
    }

    /// `ok`, `degraded` or `off`: never a reason to be unhealthy.
    pub(super) fn synapse_health(&self) -> &'static str {
        if self.matrix_server().is_none() {
            "off"
        } else if self.inner.token_api.synapse_trouble.load(Ordering::Relaxed) {
            "degraded"
        } else {
            "ok"
        }
    }

    /// Puts accounts back to be made at once; gives how many.
    ///
    /// # Errors
    /// `NotFound` when the person has no account to be made, `Invalid` when no Matrix server is set.
    pub async fn retry_matrix(&self, which: Retry) -> Result<usize> {
        if self.matrix_server().is_none() {
            return Err(Error::Invalid(
                "no Matrix server is set: see token_api.synapse_url and token_api.synapse_secret".into(),
            ));
        }
        match which {
            Retry::One(user) => {
                let account = self.store()?.read().matrix_account(user).await?;
                match account {
                    Some(account) if account.status != MatrixStatus::Active => {
                        self.put_back(&account).await?;
                    }
                    Some(_) => return Ok(0),
                    None => self.add_missing(user).await?,
                }
                Ok(1)
            }
            Retry::All => {
                let mut count = 0;
                for status in [MatrixStatus::Pending, MatrixStatus::Failed] {
                    let mut after = None;
                    loop {
                        let page = self
                            .store()?
                            .read()
                            .matrix_accounts(Some(status), after, 500)
                            .await?;
                        let Some(last) = page.last() else { break };
                        after = Some(last.user_id);
                        for account in &page {
                            self.put_back(account).await?;
                            count += 1;
                        }
                    }
                }
                Ok(count)
            }
            Retry::Missing => self.add_all_missing().await,
        }
    }

    async fn add_all_missing(&self) -> Result<usize> {
        let mut count = 0;
        let mut filter = UserFilter {
            limit: 500,
            ..UserFilter::default()
        };
        loop {
            let page = self.store()?.read().list_users(&filter).await?;
            let Some(last) = page.last() else {
                return Ok(count);
            };
            filter.after = Some(last.id);
            for user in page.iter().filter(|user| user.is_usable()) {
                if user.kind == doorward_domain::user::UserKind::Service {
                    continue;
                }
                if self.store()?.read().matrix_account(user.id).await?.is_none() {
                    self.add_missing(user.id).await?;
                    count += 1;
                }
            }
        }
    }

    async fn add_missing(&self, user: UserId) -> Result<()> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let account = MatrixAccount {
            next_attempt_at: Some(now),
            ..MatrixAccount::pending(user, now)
        };
        tx.add_matrix_account(&account).await?;
        self.queue_matrix(&tx, user, "make", now, now).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn put_back(&self, account: &MatrixAccount) -> Result<()> {
        let now = self.now();
        let back = MatrixAccount {
            status: MatrixStatus::Pending,
            next_attempt_at: Some(now),
            updated_at: now,
            ..account.clone()
        };
        let tx = self.store()?.begin().await?;
        tx.save_matrix_account(&back, account.updated_at).await?;
        self.queue_matrix(&tx, account.user_id, "make", now, now).await?;
        tx.commit().await?;
        Ok(())
    }
}
