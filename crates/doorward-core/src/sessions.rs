//! Sessions: the one choke point that issues them, the warm cache that answers "who is this", and ending them.

use quick_cache::sync::Cache as QuickCache;
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use doorward_crypto::token::{self, Opaque, TokenKind};
use doorward_domain::access::{self, Person};
use doorward_domain::app_auth::AppSession;
use doorward_domain::application::Application;
use doorward_domain::event::EventKind;
use doorward_domain::session::{Authentication, Session};
use doorward_domain::user::{User, UserKind};
use doorward_domain::{ApplicationId, GroupId, Id, Lifetime, Reason, SessionId, Timestamp, UserId};
use doorward_store::{Store, Tx};

use crate::error::{Error, Fault, Refused, Result};
use crate::events::About;
use crate::picture::topic;
use crate::site_visits::Cookies;
use crate::{Doorward, Origin};

/// A signed-in browser with its user and effective groups.
#[derive(Debug)]
pub struct Visit {
    /// The session.
    pub session: Session,
    /// Who.
    pub person: Arc<Person>,
    /// Groups that the user is directly in.
    direct: Vec<GroupId>,
    loaded: u64,
    /// When it was last seen, in milliseconds; written to the database in batches.
    seen: AtomicI64,
}

impl Visit {
    /// When the session was last seen.
    #[must_use]
    pub fn last_seen_at(&self) -> Timestamp {
        Timestamp::from_millis(self.seen.load(Ordering::Relaxed))
    }

    /// Which loading of the session this is: greater after each change to session or user.
    #[must_use]
    pub const fn loaded(&self) -> u64 {
        self.loaded
    }
}

/// How far something in memory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// As good as the database.
    Fresh,
    /// Nothing speaks against it, but something may have been missed: good for as long as the database cannot be asked.
    Doubtful,
    /// It was changed or ended.
    Stale,
}

/// What is in memory of a session.
enum Warm {
    /// Nothing.
    Cold,
    /// As good as the database.
    Fresh(Arc<Visit>),
    /// Nothing says that this session ended or its user changed, but something may have been missed: good for as long as the
    /// database cannot be asked.
    Doubtful(Arc<Visit>),
}

/// Warm sessions by digest. Entries are dropped by marks: a mark on a session, a user or everything makes older entries stale.
pub struct Cache {
    entries: QuickCache<[u8; 32], Arc<Visit>>,
    /// Cookies of sites that were opened before.
    pub(crate) cookies: Cookies,
    marks: RwLock<Marks>,
    seen: Mutex<HashMap<SessionId, Timestamp>>,
}

/// Longest wait for a session that is not in memory. A database that stands still is known to be away a little later.
const LONGEST_LOAD: Duration = Duration::from_secs(2);
/// The same for one that is in memory, and stands in when there is no answer.
const LONGEST_DOUBT: Duration = Duration::from_millis(500);
/// A session is written down as seen at most this often.
const SEEN_EVERY: i64 = 60_000;
/// Most sessions that wait to be written down as seen.
const MOST_SEEN: usize = 100_000;

#[derive(Default)]
struct Marks {
    sequence: u64,
    everything: u64,
    dropped: u64,
    subjects: HashMap<uuid::Uuid, u64>,
}

const MOST_MARKS: usize = 50_000;
/// Anything that does not look like one of ours costs no query.
pub(crate) fn is_session_token(cookie: &&str) -> bool {
    TokenKind::of(cookie) == Some(TokenKind::Session)
}

impl Cache {
    /// A cache for so many sessions.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: QuickCache::new(capacity.max(16)),
            cookies: Cookies::new(capacity),
            marks: RwLock::default(),
            seen: Mutex::default(),
        }
    }

    /// How many are in memory.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.marks.read().map_or(0, |marks| marks.sequence)
    }

    /// How far something holds that was loaded at this place in the sequence and hangs on these subjects.
    pub(crate) fn standing(&self, loaded: u64, subjects: [uuid::Uuid; 2]) -> Standing {
        let Ok(marks) = self.marks.read() else {
            return Standing::Stale;
        };
        let stale = |id: &uuid::Uuid| marks.subjects.get(id).is_some_and(|mark| *mark > loaded);
        let named = !marks.subjects.is_empty() && subjects.iter().any(stale);
        // Marks on single subjects older than this were dropped: who is older than it may have been among them.
        if named || marks.dropped > loaded {
            Standing::Stale
        } else if marks.everything > loaded {
            Standing::Doubtful
        } else {
            Standing::Fresh
        }
    }

    fn find(&self, digest: &[u8; 32]) -> Warm {
        let Some(visit) = self.entries.get(digest) else {
            return Warm::Cold;
        };
        let subjects = [visit.session.id.uuid(), visit.session.user_id.uuid()];
        match self.standing(visit.loaded, subjects) {
            Standing::Fresh => Warm::Fresh(visit),
            Standing::Doubtful => Warm::Doubtful(visit),
            Standing::Stale => {
                self.entries.remove(digest);
                Warm::Cold
            }
        }
    }

    /// Notes that a session is in use.
    fn saw(&self, visit: &Visit, now: Timestamp) {
        if now.millis_since(visit.last_seen_at()) < SEEN_EVERY {
            return;
        }
        visit.seen.store(now.millis(), Ordering::Relaxed);
        if let Ok(mut seen) = self.seen.lock()
            && seen.len() < MOST_SEEN
        {
            seen.insert(visit.session.id, now);
        }
    }

    /// Takes what is to be written down.
    fn take_seen(&self) -> Vec<(SessionId, Timestamp)> {
        self.seen
            .lock()
            .map(|mut seen| seen.drain().collect())
            .unwrap_or_default()
    }

    /// Entries of this session or user are stale from now on.
    pub fn forget(&self, subject: &str) {
        let Ok(subject) = subject.parse::<uuid::Uuid>() else {
            return self.forget_all();
        };
        if let Ok(mut marks) = self.marks.write() {
            marks.sequence += 1;
            let sequence = marks.sequence;
            if marks.subjects.len() >= MOST_MARKS {
                marks.subjects.clear();
                marks.everything = sequence;
                marks.dropped = sequence;
            }
            marks.subjects.insert(subject, sequence);
        }
    }

    /// All entries are stale from now on.
    pub fn forget_all(&self) {
        if let Ok(mut marks) = self.marks.write() {
            // Marks on single subjects stay: while the database is away they are all that tells who must not pass.
            marks.sequence += 1;
            marks.everything = marks.sequence;
        }
    }
}

/// What the browser gets after a session was issued.
pub struct Issued {
    /// Cookie value; shown to the browser only.
    pub token: String,
    /// The session.
    pub session: Session,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued")
            .field("session", &self.session.id)
            .finish_non_exhaustive()
    }
}

/// What a session is for.
pub(crate) enum Target<'a> {
    /// Doorward itself, and everything that asks it.
    Doorward,
    /// One app, with a token that nothing else accepts.
    App(Entry<'a>),
}

/// A session of an app.
pub(crate) struct Entry<'a> {
    /// The app.
    pub(crate) application: &'a Application,
    /// How long it lives without being used.
    pub(crate) lifetime: Lifetime,
    /// Gone when the browser is closed.
    pub(crate) short: bool,
    /// Who acts as the person.
    pub(crate) impersonated_by: Option<UserId>,
    /// The provider that the person came in through.
    pub(crate) provider: Option<&'a str>,
}

/// Under what a token of an app's session is kept: good in this app only.
pub(crate) fn app_digest(application: ApplicationId, text: &str) -> [u8; 32] {
    *token::digest_of_parts(&["app session", &application.to_string(), text]).bytes()
}

/// Who can have no session at all of this kind.
fn may_have_sessions(user: &User, target: &Target<'_>) -> Result<()> {
    let reason = match target {
        _ if !user.is_usable() => Reason::UserInactive,
        _ if user.kind == UserKind::Service => Reason::ServiceUser,
        // People of a single app do not exist here.
        Target::Doorward if !user.realm.is_shared() => Reason::WrongCredentials,
        Target::Doorward | Target::App(_) => return Ok(()),
    };
    Err(Refused::bare(reason).into())
}

impl Doorward {
    /// Who is behind the token of an app's session? `None` as in [`Doorward::visit`], and for people that may not enter the app.
    /// 0 queries when the session is warm.
    ///
    /// # Errors
    /// `Fault` when the session is not warm and the database is away.
    pub async fn app_visit(&self, application: &Application, token: &str) -> Result<Option<Arc<Visit>>> {
        if token.is_empty() || token.len() > 256 {
            return Ok(None);
        }
        let digest = app_digest(application.id, token);
        let load = async |store: &Store| Ok(store.read().session_by_digest(&digest).await?);
        let visit = self.warm_visit(digest, load).await?;
        Ok(visit.filter(|visit| self.may_enter_app(&visit.person, application, self.now()).is_ok()))
    }

    /// The same as the database has it now.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn app_visit_again(
        &self,
        application: &Application,
        token: &str,
    ) -> Result<Option<Arc<Visit>>> {
        if token.is_empty() || token.len() > 256 {
            return Ok(None);
        }
        let digest = app_digest(application.id, token);
        let Some((session, user, direct)) = self.store()?.read().session_by_digest(&digest).await? else {
            return Ok(None);
        };
        let visit = Arc::new(self.unkept_visit(session, user, direct));
        let now = self.now();
        let good = self.is_good(&visit, now) && self.may_enter_app(&visit.person, application, now).is_ok();
        Ok(good.then_some(visit))
    }

    /// May this person be in this app now?
    pub(crate) fn may_enter_app(
        &self,
        person: &Person,
        application: &Application,
        now: Timestamp,
    ) -> Result<()> {
        access::admit(person, application).map_err(Refused::bare)?;
        if person.user.realm != application.realm() {
            return Err(Refused::bare(Reason::NotInAudience).into());
        }
        if person.user.app.ban(application.id, now).is_some() {
            return Err(Refused::bare(Reason::Banned).into());
        }
        Ok(())
    }

    /// Who is behind a session cookie? `None` for no, unknown, ended or expired sessions, and for users that were switched off.
    ///
    /// # Errors
    /// `Fault` when the session is not warm and the database is away.
    pub async fn visit(&self, cookie: Option<&str>) -> Result<Option<Arc<Visit>>> {
        let Some(cookie) = cookie.filter(is_session_token) else {
            return Ok(None);
        };
        let digest = *token::digest(cookie).bytes();
        self.warm_visit(digest, async |store| {
            Ok(store.read().session_by_digest(&digest).await?)
        })
        .await
    }

    /// A session from memory that is as good as the database.
    pub(crate) fn visit_at_hand(&self, key: &[u8; 32], now: Timestamp) -> Option<Arc<Visit>> {
        match self.inner.sessions.find(key) {
            Warm::Fresh(visit) if self.is_good(&visit, now) && self.may_stand_in(now).is_ok() => {
                self.inner.metrics.session_hits.inc();
                self.inner.sessions.saw(&visit, now);
                Some(visit)
            }
            _ => None,
        }
    }

    /// A session from memory, or loaded and kept there. While the database is away, what nothing speaks against is still good, for as
    /// long as the policy allows.
    pub(crate) async fn warm_visit(
        &self,
        key: [u8; 32],
        load: impl AsyncFnOnce(&Store) -> Result<Option<(Session, User, Vec<GroupId>)>>,
    ) -> Result<Option<Arc<Visit>>> {
        let now = self.now();
        let mut doubtful = None;
        match self.inner.sessions.find(&key) {
            Warm::Fresh(visit) if self.is_good(&visit, now) => {
                self.may_stand_in(now)?;
                self.inner.metrics.session_hits.inc();
                self.inner.sessions.saw(&visit, now);
                return Ok(Some(visit));
            }
            // Perhaps it was in use on another replica: the database has the last word.
            Warm::Fresh(_) => {
                self.inner.sessions.entries.remove(&key);
            }
            Warm::Doubtful(visit) => doubtful = Some(visit).filter(|visit| self.is_good(visit, now)),
            Warm::Cold => {}
        }
        self.inner.metrics.session_misses.inc();
        let loaded = self.inner.sessions.sequence();
        let found = match self.store() {
            Ok(store) => {
                let longest = if doubtful.is_some() {
                    LONGEST_DOUBT
                } else {
                    LONGEST_LOAD
                };
                tokio::time::timeout(longest, load(store))
                    .await
                    .unwrap_or_else(|_| Err(Fault::unavailable("the database does not answer").into()))
            }
            Err(error) => Err(error),
        };
        let (session, user, direct, loaded) = match (found, doubtful) {
            (Ok(None), _) => {
                self.inner.sessions.entries.remove(&key);
                return Ok(None);
            }
            (Ok(Some((session, user, direct))), _) => (session, user, direct, loaded),
            (Err(Error::Fault(fault)), Some(old)) if fault.unavailable => {
                self.may_stand_in(now)?;
                // Groups and their parents may have changed since; what is in memory of them is newer.
                let user = old.person.user.clone();
                (old.session.clone(), user, old.direct.clone(), old.loaded)
            }
            (Err(error), _) => return Err(error),
        };
        let person = Arc::new(Person::new(
            user,
            direct.iter().copied(),
            &self.directory().groups,
        ));
        let seen = AtomicI64::new(session.last_seen_at.millis());
        let visit = Arc::new(Visit {
            session,
            person,
            direct,
            loaded,
            seen,
        });
        if !self.is_good(&visit, now) {
            return Ok(None);
        }
        self.inner.sessions.saw(&visit, now);
        self.inner.sessions.entries.insert(key, Arc::clone(&visit));
        Ok(Some(visit))
    }

    /// A session with its person that is not kept in memory.
    pub(crate) fn unkept_visit(&self, session: Session, user: User, direct: Vec<GroupId>) -> Visit {
        let person = Person::new(user, direct.iter().copied(), &self.directory().groups);
        Visit {
            seen: AtomicI64::new(session.last_seen_at.millis()),
            session,
            person: Arc::new(person),
            direct,
            loaded: self.inner.sessions.sequence(),
        }
    }

    /// May memory stand in for a database that is away? Not for longer than the policy says.
    pub(crate) fn may_stand_in(&self, now: Timestamp) -> Result<()> {
        match self.away_since(now) {
            Some(since) if now >= since.plus(self.inner.directory.load().session_policy.away) => {
                Err(Fault::unavailable("the database has been away for too long").into())
            }
            _ => Ok(()),
        }
    }

    fn is_good(&self, visit: &Visit, now: Timestamp) -> bool {
        let idle = self.inner.directory.load().session_policy.idle;
        visit.session.is_live(now)
            && visit.person.user.is_usable()
            && idle.is_none_or(|idle| now < visit.last_seen_at().plus(idle))
    }

    /// The choke point: every session of every door is issued here.
    ///
    /// # Errors
    /// `Refused` when the user is switched off or a service.
    #[expect(clippy::too_many_arguments, reason = "each is one thing that decides")]
    pub(crate) async fn issue_session(
        &self,
        tx: &Tx,
        person: &Person,
        authentication: Authentication,
        previous: Option<&Session>,
        target: &Target<'_>,
        origin: &Origin,
    ) -> Result<Issued> {
        may_have_sessions(&person.user, target)?;
        let now = authentication.at;
        let (text, digest, expires_at, app) = match target {
            Target::Doorward => {
                let minted = Opaque::mint(TokenKind::Session, &self.random());
                let digest = *token::digest(minted.text()).bytes();
                let policy = self.directory().session_policy;
                (minted.text().to_owned(), digest, now.plus(policy.lifetime), None)
            }
            Target::App(entry) => {
                self.may_enter_app(person, entry.application, now)?;
                self.note_person(tx, entry.application.id, person.user.id, now)
                    .await?;
                let text = self.random_name::<32>();
                let digest = app_digest(entry.application.id, &text);
                let app = AppSession {
                    application: entry.application.id,
                    handle: format!("handle-{}", self.random_name::<25>()),
                    updated_at: now,
                    short: entry.short,
                    impersonated_by: entry.impersonated_by,
                    organization: None,
                    team: None,
                    provider: entry.provider.map(str::to_owned),
                };
                (text, digest, now.plus(entry.lifetime), Some(app))
            }
        };
        let same_user = previous.filter(|previous| previous.user_id == person.user.id);
        // A session that ended in the meantime stays ended; the proof opens a new one.
        let kept = match same_user {
            Some(previous)
                if tx
                    .reauthenticate(previous.id, &digest, &authentication, expires_at)
                    .await? =>
            {
                Some(previous)
            }
            _ => None,
        };
        let session = match (kept, previous) {
            (Some(previous), _) => {
                tx.changed(topic::SESSION, &previous.id.to_string(), now);
                Session {
                    authentication,
                    expires_at,
                    last_seen_at: now,
                    ..previous.clone()
                }
            }
            (None, previous) => {
                if let Some(previous) = previous {
                    self.close_session(tx, previous.id, Some(previous.user_id), "replaced", now)
                        .await?;
                }
                let session = Session {
                    id: self.mint(now),
                    user_id: person.user.id,
                    authentication,
                    created_at: now,
                    expires_at,
                    last_seen_at: now,
                    ended_at: None,
                    ip: origin.ip.map(|ip| ip.to_canonical().to_string()),
                    user_agent: origin.user_agent.clone(),
                    app,
                };
                tx.add_session(&session, &digest).await?;
                session
            }
        };
        tx.touch_sign_in(person.user.id, now).await?;
        let details = json!({ "methods": session.authentication.methods });
        let about = About {
            user: Some(person.user.id),
            session: Some(session.id),
            application: session.app.as_ref().map(|app| app.application),
            details,
        };
        tx.add_event(&self.event(EventKind::SignIn, about, origin, now))
            .await?;
        Ok(Issued { token: text, session })
    }

    /// Ends every session of a user but `kept`, however many there are; gives their ids.
    pub(crate) async fn close_all(
        &self,
        tx: &Tx,
        user: UserId,
        kept: Option<SessionId>,
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<SessionId>> {
        let mut ended = Vec::new();
        loop {
            let mut closed = 0;
            for session in tx.sessions_of(user, now).await? {
                if Some(session.id) != kept
                    && self
                        .close_session(tx, session.id, Some(user), reason, now)
                        .await?
                {
                    ended.push(session.id);
                    closed += 1;
                }
            }
            // One page at a time; what was closed is not on the next.
            if closed == 0 {
                return Ok(ended);
            }
        }
    }

    /// Ends one session with everything that hangs off it: families without `offline_access`, logout tokens to clients.
    pub(crate) async fn close_session(
        &self,
        tx: &Tx,
        session: SessionId,
        user: Option<UserId>,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool> {
        if !tx.end_session(session, reason, now).await? {
            return Ok(false);
        }
        self.queue_logout_tokens(tx, session, user, now).await?;
        tx.end_families_of_session(session, now).await?;
        tx.changed(topic::SESSION, &session.to_string(), now);
        Ok(true)
    }

    /// The token that forms of this session carry: bound to the session, useless in any other.
    #[must_use]
    pub fn csrf(&self, session: &Session) -> String {
        let mut bytes = self.inner.keyring.derive("csrf").to_vec();
        bytes.extend_from_slice(session.id.uuid().as_bytes());
        doorward_crypto::token::sha256_hex(bytes)
    }

    /// Does a form carry the token of this session? Compared in constant time.
    #[must_use]
    pub fn csrf_fits(&self, session: &Session, given: &str) -> bool {
        doorward_crypto::token::constant_eq(self.csrf(session).as_bytes(), given.as_bytes())
    }

    /// Writes down which sessions were in use since the last time. Writes nothing when none was.
    ///
    /// # Errors
    /// `Fault` when the database is away; what was to be written is dropped then.
    pub async fn write_seen(&self) -> Result<()> {
        let seen = self.inner.sessions.take_seen();
        for batch in seen.chunks(500) {
            let tx = self.store()?.begin().await?;
            tx.touch_sessions(batch).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Signs one browser out.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn sign_out(&self, visit: &Visit, origin: &Origin) -> Result<()> {
        let now = self.now();
        let session = &visit.session;
        let tx = self.store()?.begin().await?;
        if self
            .close_session(&tx, session.id, Some(session.user_id), "signed out", now)
            .await?
        {
            let about = About {
                user: Some(session.user_id),
                session: Some(session.id),
                ..About::default()
            };
            tx.add_event(&self.event(EventKind::SignOut, about, origin, now))
                .await?;
        }
        tx.commit().await?;
        self.inner.sessions.forget(&session.id.to_string());
        Ok(())
    }

    /// Ends sessions of a user: one, all, or all but one. Returns how many.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn end_sessions(&self, user: UserId, which: Which, origin: &Origin) -> Result<usize> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let ended = match which {
            Which::All => self.close_all(&tx, user, None, "ended", now).await?,
            Which::Others(kept) => self.close_all(&tx, user, Some(kept), "ended", now).await?,
            Which::One(id) => {
                let own = tx
                    .session(id)
                    .await?
                    .is_some_and(|session| session.user_id == user);
                let closed = own && self.close_session(&tx, id, Some(user), "ended", now).await?;
                if closed { vec![id] } else { Vec::new() }
            }
        };
        if !ended.is_empty() {
            let details = json!({ "sessions": ended.iter().map(ToString::to_string).collect::<Vec<_>>() });
            let about = About {
                user: Some(user),
                details,
                ..About::default()
            };
            tx.add_event(&self.event(EventKind::SessionsEnded, about, origin, now))
                .await?;
        }
        tx.commit().await?;
        for id in &ended {
            self.inner.sessions.forget(&id.to_string());
        }
        Ok(ended.len())
    }

    /// Live sessions of a user, newest first.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn sessions_of(&self, user: UserId) -> Result<Vec<Session>> {
        Ok(self.store()?.read().sessions_of(user, self.now()).await?)
    }
}

/// Which sessions of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Exactly this one.
    One(SessionId),
    /// Every one.
    All,
    /// Every one but this.
    Others(SessionId),
}

/// Reads an id that came over the wire.
pub(crate) fn parse_id<K>(text: &str) -> Option<Id<K>> {
    text.parse().ok()
}
