//! Signing in with a password: one screen, no enumeration, built-in back-off, and the session choke point at the end.

use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use doorward_crypto::password::Verified;
use doorward_domain::access::Person;
use doorward_domain::event::EventKind;
use doorward_domain::network::Network;
use doorward_domain::session::{Authentication, Session};
use doorward_domain::throttle::{self, Counts, Failures, Verdict};
use doorward_domain::user::{Realm, User, UserKind};
use doorward_domain::{Code, Reason, text};
use doorward_store::Tx;

use crate::attempts::KnownBrowser;
use crate::error::{Refused, Result};
use crate::events::{About, Allowed};
use crate::sessions::{Issued, Target};
use crate::{Doorward, Origin};

/// An answered sign-in page.
pub struct SignIn<'a> {
    /// User name or e-mail address as typed.
    pub identifier: &'a str,
    /// Password as typed.
    pub password: &'a str,
    /// The browser's sealed memory of accounts.
    pub known: Option<&'a str>,
    /// Session the browser already has.
    pub previous: Option<&'a Session>,
    /// Where it came from.
    pub origin: &'a Origin,
}

/// A sign-in that worked.
pub struct SignedIn {
    /// Session cookie value.
    pub token: String,
    /// The session.
    pub session: Session,
    /// New sealed memory of accounts.
    pub known: String,
}

impl std::fmt::Debug for SignIn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn")
            .field("session", &self.session.id)
            .finish_non_exhaustive()
    }
}

/// Password checks under way per account and place. Only as many run at once as may fail for free, so that parallel guesses
/// cannot slip through between the count and the failure; the others wait their turn and are then judged afresh.
#[derive(Default)]
pub struct Inflight(Mutex<HashMap<String, Place>>);

struct Place {
    turns: Arc<Semaphore>,
    here: usize,
}

/// Most sign-ins of one account that wait for each other.
const MOST_WAITING: usize = 64;

pub(crate) struct Turn<'a> {
    inflight: &'a Inflight,
    key: String,
    permit: Option<OwnedSemaphorePermit>,
    turns: Arc<Semaphore>,
}

impl Inflight {
    /// Waits for a turn; `None` when too many wait already.
    async fn enter(&self, key: &str, at_once: u32, permits: u32) -> Option<Turn<'_>> {
        let turns = {
            let mut places = self.0.lock().ok()?;
            let place = places.entry(key.to_owned()).or_insert_with(|| Place {
                turns: Arc::new(Semaphore::new(at_once as usize)),
                here: 0,
            });
            if place.here >= MOST_WAITING + at_once as usize {
                return None;
            }
            place.here += 1;
            Arc::clone(&place.turns)
        };
        // From here on leaving is counted, also when the caller goes away while waiting.
        let mut turn = Turn {
            inflight: self,
            key: key.to_owned(),
            permit: None,
            turns,
        };
        turn.permit = Arc::clone(&turn.turns).acquire_many_owned(permits).await.ok();
        Some(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.permit = None;
        if let Ok(mut places) = self.inflight.0.lock()
            && let Some(place) = places.get_mut(&self.key)
        {
            place.here -= 1;
            if place.here == 0 {
                places.remove(&self.key);
            }
        }
    }
}

pub(crate) struct Keys {
    place: String,
    account: String,
    network: String,
    known_browser: bool,
}

impl Keys {
    fn list(&self) -> [String; 3] {
        [self.place.clone(), self.account.clone(), self.network.clone()]
    }
}

fn keys(
    realm: Realm,
    identifier: &str,
    user: Option<&User>,
    known: Option<&KnownBrowser>,
    origin: &Origin,
) -> Keys {
    // What was typed is counted, not whose it is: a count that user name and address shared would tell that they belong
    // to one user.
    let typed = text::fold(identifier);
    let account = match realm {
        Realm::Shared => doorward_crypto::token::digest(&typed).hex(),
        // Who guesses at one app's people keeps nobody out elsewhere.
        Realm::App(application) => {
            doorward_crypto::token::digest_of_parts(&["realm", &application.to_string(), &typed]).hex()
        }
    };
    let network = origin
        .ip
        .map_or_else(|| "unknown".to_owned(), |ip| Network::of(ip).to_string());
    let known = known.filter(|known| user.is_some_and(|user| known.users.contains(&user.id)));
    let place = known.map_or_else(|| network.clone(), |known| format!("browser {}", known.id));
    Keys {
        place: format!("place {account} {place}"),
        account: format!("account {account}"),
        network: format!("network {network}"),
        known_browser: known.is_some(),
    }
}

impl Doorward {
    /// Checks user name and password and issues a session.
    ///
    /// # Errors
    /// `Refused` with `wrong_credentials` (the same for an unknown user), `user_inactive` or `service_user` (after the right
    /// password only), `account_throttled`, `network_throttled` or `busy` with a retry time.
    pub async fn sign_in(&self, request: SignIn<'_>) -> Result<SignedIn> {
        let proved = self
            .prove_identity(
                Realm::Shared,
                request.identifier,
                request.password,
                request.known,
                request.origin,
            )
            .await?;
        let issued = self
            .complete(&proved, request.previous, &Target::Doorward, request.origin)
            .await?;
        let mut known = proved.known.unwrap_or_else(|| KnownBrowser {
            id: self.new_browser(),
            users: Vec::new(),
        });
        known.users.retain(|id| *id != proved.user.id);
        known.users.insert(0, proved.user.id);
        known.users.truncate(KnownBrowser::MOST);
        Ok(SignedIn {
            token: issued.token,
            session: issued.session,
            known: self.seal_known(&known),
        })
    }

    /// Checks user name and password, with all limits on guessing. Whoever signs somebody in then calls
    /// [`Doorward::complete`], which looks again whether everything is still so.
    ///
    /// # Errors
    /// As [`Doorward::sign_in`].
    pub(crate) async fn prove_identity(
        &self,
        realm: Realm,
        identifier: &str,
        password: &str,
        known: Option<&str>,
        origin: &Origin,
    ) -> Result<Proved<'_>> {
        let identifier = identifier.trim();
        let too_long = identifier.len() > 254 || password.len() > crate::passwords::LONGEST;
        if identifier.is_empty() || password.is_empty() || too_long || identifier.contains('\0') {
            return Err(Refused::bare(Reason::WrongCredentials).into());
        }
        let found = self.store()?.read().user_for_sign_in(realm, identifier).await?;
        let (user, stored) = found.map_or((None, None), |(user, hash)| (Some(user), hash));
        let known = self.open_known(known);
        let keys = keys(realm, identifier, user.as_ref(), known.as_ref(), origin);
        let (turns, failures) = self.take_turns(&keys).await?;
        self.throttle(&keys, failures, user.as_ref(), origin).await?;

        let verified = self.verify_password(stored.clone(), password.to_owned()).await?;
        let Verified::Match { outdated } = verified else {
            let why = WrongBecause {
                user: user.as_ref(),
                has_password: stored.is_some(),
            };
            return Err(self.count_failure(&keys, &why, origin).await?.into());
        };
        let Some(user) = user else {
            return Err(Refused::bare(Reason::WrongCredentials).into());
        };
        if let Some(reason) = unusable(&user) {
            let details = json!({ "password": "right", "active": user.active, "kind": user.kind.as_str() });
            let about = About {
                user: Some(user.id),
                details,
                ..About::default()
            };
            return Err(self.refuse("sign_in", reason, about, origin).await.into());
        }
        let kept = stored.as_deref().is_some_and(|stored| self.keeps_hash(stored));
        let rehashed = if outdated && !kept {
            Some(self.hash_password(password.to_owned()).await?)
        } else {
            None
        };
        Ok(Proved {
            user,
            hash: stored,
            rehashed,
            keys,
            known,
            _turns: turns,
        })
    }

    /// Waits for the turn of somebody who changes the own password.
    pub(crate) async fn password_turn(&self, key: &str) -> Result<Turn<'_>> {
        let busy = || Refused {
            retry_after: Some(2),
            ..Refused::bare(Reason::Busy)
        };
        Ok(self.inner.inflight.enter(key, 1, 1).await.ok_or_else(busy)?)
    }

    /// Waits until it is this sign-in's turn, and gives the failures that count then. Where nothing failed lately, as many go on
    /// together as may fail for free; where something did, one after the other, so that the count is always known before the
    /// next password is compared.
    async fn take_turns(&self, keys: &Keys) -> Result<(Vec<Turn<'_>>, [Failures; 3])> {
        // Always in this order, so that nobody waits in a circle. Strangers never make a known browser wait.
        let mut wanted = Vec::new();
        if !keys.known_browser {
            // One network never takes more than half of what may be hashed or wait for it.
            let share = u32::try_from(self.inner.hashing.places() / 2).unwrap_or(1).max(1);
            wanted.push((&keys.network, share));
            wanted.push((&keys.account, throttle::FREE_FOR_ACCOUNT));
        }
        wanted.push((&keys.place, throttle::FREE_AT_PLACE));
        let turns = self.enter_all(&wanted, |_| false).await?;
        let failures = self.failures(keys).await?;
        let now = self.now();
        let [place, account, network] = failures.map(|failures| failures.fresh(now));
        // A network is shared by people who have nothing to do with each other: one by one only beyond its allowance.
        let crowded = |key: &String| {
            (*key == keys.place && place > 0)
                || (*key == keys.account && account > 0)
                || (*key == keys.network && network >= throttle::FREE_FOR_NETWORK)
        };
        if !wanted.iter().any(|(key, _)| crowded(key)) {
            return Ok((turns, failures));
        }
        drop(turns);
        let turns = self.enter_all(&wanted, crowded).await?;
        Ok((turns, self.failures(keys).await?))
    }

    async fn enter_all(
        &self,
        wanted: &[(&String, u32)],
        alone: impl Fn(&String) -> bool,
    ) -> Result<Vec<Turn<'_>>> {
        let mut turns = Vec::new();
        for (key, at_once) in wanted {
            let permits = if alone(key) { *at_once } else { 1 };
            let turn = self.inner.inflight.enter(key, *at_once, permits).await;
            let busy = || Refused {
                retry_after: Some(2),
                ..Refused::bare(Reason::Busy)
            };
            turns.push(turn.ok_or_else(busy)?);
        }
        Ok(turns)
    }

    /// Failures at the place, of the account and of the network.
    async fn failures(&self, keys: &Keys) -> Result<[Failures; 3]> {
        let found = self.store()?.read().failures(&keys.list()).await?;
        let mut found = found.into_iter();
        Ok(std::array::from_fn(|_| found.next().unwrap_or_default()))
    }

    async fn throttle(
        &self,
        keys: &Keys,
        failures: [Failures; 3],
        user: Option<&User>,
        origin: &Origin,
    ) -> Result<()> {
        let now = self.now();
        let [at_place, account, network] = failures;
        let counts = Counts {
            at_place,
            account,
            network,
            known_browser: keys.known_browser,
        };
        let Verdict::Wait { reason, until } = throttle::judge(&counts, now) else {
            return Ok(());
        };
        let seconds = u32::try_from((until.millis_since(now) + 999) / 1000)
            .unwrap_or(1)
            .max(1);
        let details = json!({
            "failures_at_place": at_place.fresh(now), "failures_of_account": account.fresh(now),
            "failures_of_network": network.fresh(now), "known_browser": keys.known_browser,
            "place": keys.place.rsplit(' ').next().unwrap_or_default(), "wait_until": until.to_string(),
        });
        let about = About {
            user: user.map(|user| user.id),
            details,
            ..About::default()
        };
        let refused = self.refuse("sign_in", reason, about, origin).await;
        Err(Refused {
            retry_after: Some(seconds),
            ..refused
        }
        .into())
    }

    async fn count_failure(&self, keys: &Keys, why: &WrongBecause<'_>, origin: &Origin) -> Result<Refused> {
        self.inner
            .metrics
            .decided("sign_in", Reason::WrongCredentials.as_str());
        let now = self.now();
        let tx = self.store()?.begin().await?;
        for key in keys.list() {
            tx.add_failure(&key, now).await?;
        }
        let details = json!({
            "user": if why.user.is_some() { "found" } else { "not found" },
            "password": match (why.user.is_some(), why.has_password) {
                (true, true) => "wrong", (true, false) => "none set", (false, _) => "not compared",
            },
            "network": keys.network.split_once(' ').map_or("", |(_, network)| network),
        });
        let about = About {
            user: why.user.map(|user| user.id),
            details,
            ..About::default()
        };
        // Failures are always counted; how many are also told as events has a lid.
        let key = format!("wrong {}", keys.network);
        let code = match self.inner.refusals.ask(&key, now) {
            Allowed::Repeat(code) => code,
            Allowed::Write => {
                let code = Code::new(doorward_crypto::token::short_code(&self.random()));
                let mut event = self.event(EventKind::Refused, about, origin, now);
                event.reason = Some(Reason::WrongCredentials);
                event.code = Some(code.clone());
                tx.add_event(&event).await?;
                self.inner.refusals.wrote(&key, &code);
                Some(code)
            }
        };
        tx.commit().await?;
        Ok(Refused {
            code,
            ..Refused::bare(Reason::WrongCredentials)
        })
    }

    /// Signs somebody in whose password was right.
    ///
    /// # Errors
    /// `Refused` when user or password changed meanwhile, or the person may not enter.
    pub(crate) async fn complete(
        &self,
        proved: &Proved<'_>,
        previous: Option<&Session>,
        target: &Target<'_>,
        origin: &Origin,
    ) -> Result<Issued> {
        let tx = self.store()?.begin().await?;
        let (_, issued) = self.admit_proved(&tx, proved, previous, target, origin).await?;
        tx.commit().await?;
        if let Some(previous) = previous {
            self.inner.sessions.forget(&previous.id.to_string());
        }
        self.inner.metrics.decided("sign_in", "allowed");
        Ok(issued)
    }

    /// The same in a transaction of the caller's, which has more to write; gives the person too.
    ///
    /// # Errors
    /// As [`Doorward::complete`].
    pub(crate) async fn admit_proved(
        &self,
        tx: &Tx,
        proved: &Proved<'_>,
        previous: Option<&Session>,
        target: &Target<'_>,
        origin: &Origin,
    ) -> Result<(Person, Issued)> {
        let now = self.now();
        let user = &proved.user;
        let authentication = Authentication {
            at: now,
            methods: vec!["pwd".to_owned()],
        };
        // Hashing took a while: the user and the password must still be the ones that were looked at, and stay so until this
        // is committed.
        tx.lock_user(user.id).await?;
        let current = tx.user_with_groups(user.id).await?;
        let hash = tx.password_hash(user.id).await?;
        let Some((record, direct)) = current.filter(|_| hash == proved.hash) else {
            return Err(Refused::bare(Reason::WrongCredentials).into());
        };
        let person = Person::new(record, direct, &self.directory().groups);
        let issued = self
            .issue_session(tx, &person, authentication, previous, target, origin)
            .await?;
        tx.clear_failures(&[proved.keys.place.clone(), proved.keys.account.clone()])
            .await?;
        if let Some(hash) = &proved.rehashed {
            tx.set_password(user.id, hash, now).await?;
        }
        Ok((person, issued))
    }
}

/// Whose password was right, and what it was compared with.
pub(crate) struct Proved<'a> {
    pub(crate) user: User,
    hash: Option<String>,
    rehashed: Option<String>,
    keys: Keys,
    known: Option<KnownBrowser>,
    /// Others wait until this is decided.
    _turns: Vec<Turn<'a>>,
}

struct WrongBecause<'a> {
    user: Option<&'a User>,
    has_password: bool,
}

fn unusable(user: &User) -> Option<Reason> {
    if !user.is_usable() {
        return Some(Reason::UserInactive);
    }
    (user.kind == UserKind::Service).then_some(Reason::ServiceUser)
}
