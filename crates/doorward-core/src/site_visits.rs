//! Who is behind the cookies of a guarded site: from memory at once, or with a look into the database.
//!
//! Must not live here: what a cookie of a site is made of, how long sessions hold.

use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use std::sync::Arc;

use doorward_crypto::token;
use doorward_domain::{SessionId, Timestamp};
use doorward_store::Store;

use crate::Doorward;
use crate::error::Result;
use crate::sessions::{Visit, is_session_token};
use crate::site_cookie::{Brought, Kept};

/// Most sessions that one request may name: neighbours may set cookies that we made for them.
const MOST_NAMED: usize = 8;

/// Where the session with an id is kept; no digest of a cookie looks like it.
fn key_of(id: SessionId) -> [u8; 32] {
    let mut key = *b"................session by an id";
    for (to, from) in key.iter_mut().zip(id.uuid().as_bytes()) {
        *to = *from;
    }
    key
}

/// Cookies of sites that were opened before.
pub(crate) struct Cookies(Cache<Opened, SessionId>);

impl Cookies {
    /// Room for so many.
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity.max(16)))
    }
}

/// A cookie of a site as it was brought: looked up as it is, as a digest of it would cost a third of a check.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Opened {
    cookie: Box<str>,
    host: Box<str>,
    how: (Kept, bool, bool),
}

/// The same, borrowed. Has to hash as [`Opened`] does: the fields in their order.
#[derive(Hash)]
struct Opening<'a> {
    cookie: &'a str,
    host: &'a str,
    how: (Kept, bool, bool),
}

impl Equivalent<Opened> for Opening<'_> {
    fn equivalent(&self, opened: &Opened) -> bool {
        self.how == opened.how && *self.cookie == *opened.cookie && *self.host == *opened.host
    }
}

/// Who is behind the cookies of a site, as far as memory knows.
pub(crate) enum SiteVisit {
    /// A live session.
    There(Arc<Visit>),
    /// They name no session.
    Nobody,
    /// The database has to be asked.
    Unclear,
}

impl Doorward {
    /// Who is behind the cookies of a guarded site, sent with a request for `host`? The first that leads to a live session counts.
    /// 0 queries when the session is warm.
    ///
    /// # Errors
    /// `Fault` when the session is not warm and the database is away.
    pub async fn site_visit(
        &self,
        cookies: &[(Kept, &str)],
        host: &str,
        https: bool,
    ) -> Result<Option<Arc<Visit>>> {
        for id in self.named(cookies, host, https) {
            let load = async |store: &Store| Ok(store.read().session_with_person(id).await?);
            if let Some(visit) = self.warm_visit(key_of(id), load).await? {
                return Ok(Some(visit));
            }
        }
        Ok(None)
    }

    /// The same without waiting.
    pub(crate) fn site_visit_at_hand(
        &self,
        cookies: &[(Kept, &str)],
        host: &str,
        https: bool,
        now: Timestamp,
    ) -> SiteVisit {
        let Some(first) = self.named(cookies, host, https).next() else {
            return SiteVisit::Nobody;
        };
        // One that is not in memory may be alive all the same, and counts before those that follow.
        self.visit_at_hand(&key_of(first), now)
            .map_or(SiteVisit::Unclear, SiteVisit::There)
    }

    /// [`Doorward::visit`] without waiting; `None` says nothing.
    pub(crate) fn own_visit_at_hand(&self, cookie: Option<&str>, now: Timestamp) -> Option<Arc<Visit>> {
        let cookie = cookie.filter(is_session_token)?;
        self.visit_at_hand(token::digest(cookie).bytes(), now)
    }

    /// The sessions that cookies of sites name.
    fn named(
        &self,
        cookies: &[(Kept, &str)],
        host: &str,
        https: bool,
    ) -> impl Iterator<Item = SessionId> + Send {
        let brought = Brought {
            host,
            https,
            isolated: !cookies.is_empty() && self.directory_now().sites.is_isolated(host),
        };
        cookies
            .iter()
            .filter_map(move |(kept, cookie)| self.site_session(cookie, *kept, brought))
            .take(MOST_NAMED)
    }

    fn site_session(&self, cookie: &str, kept: Kept, brought: Brought<'_>) -> Option<SessionId> {
        let how = (kept, brought.https, brought.isolated);
        let host = brought.host;
        if let Some(id) = self.inner.sessions.cookies.0.get(&Opening { cookie, host, how }) {
            return Some(id);
        }
        let id = self.open_site_cookie(cookie, kept, brought)?;
        let opened = Opened {
            cookie: cookie.into(),
            host: host.into(),
            how,
        };
        self.inner.sessions.cookies.0.insert(opened, id);
        Some(id)
    }
}
