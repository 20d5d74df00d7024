//! Checks of people whose session is in memory: answered at once, with headers that were written before.
//!
//! Must not live here: who may enter what, and every other answer; what is not plain here is left to the long way.

use http::header::{HeaderMap, HeaderValue};
use http::{Method, Response};
use prometheus_client::metrics::counter::Counter;
use quick_cache::sync::Cache;
use std::sync::Arc;

use doorward_core::forward_auth::{Authorization, Pass, Visitor};
use doorward_core::sessions::Visit;
use doorward_domain::Timestamp;
use doorward_domain::site::SiteEntry;

use super::{Call, Own, X_STRIP, identity_headers};
use crate::App;
use crate::original::{self, Proxy};
use crate::service::{Glance, Payload};

/// Answers to passing requests that were made before, by session, site and sets of headers.
pub(crate) struct Prepared(Cache<Key, Arc<Ready>>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    session: u128,
    loaded: u64,
    /// Address of the site's entry in memory; the entry is kept in the value, so that no other can have the same.
    entry: usize,
    authentik: bool,
}

/// What somebody's requests to a site are answered with.
pub(super) struct Ready {
    entry: Arc<SiteEntry>,
    /// All of them, those that every answer has too.
    pub(super) headers: HeaderMap,
    fresh_until: Timestamp,
    allowed: Counter,
}

impl Default for Prepared {
    fn default() -> Self {
        Self(Cache::new(20_000))
    }
}

impl Ready {
    pub(super) fn new(app: &App, pass: &Pass, twin: bool) -> Self {
        let (mut headers, fresh_until) = identity_headers(app, pass, twin);
        if pass.authorization == Authorization::Stripped {
            headers.insert(X_STRIP, HeaderValue::from_static("1"));
        }
        app.dress.put_on(&mut headers);
        Self {
            entry: Arc::clone(&pass.entry),
            headers,
            fresh_until,
            allowed: app.doorward.check_counter(Some(&pass.entry), "allowed"),
        }
    }

    /// What is kept for somebody with a session, or made and kept now. Counts who was simply allowed.
    pub(super) fn of(app: &App, pass: &Pass, visit: &Visit, twin: bool, now: Timestamp) -> Arc<Self> {
        let key = Key {
            session: visit.session.id.uuid().as_u128(),
            loaded: visit.loaded(),
            entry: Arc::as_ptr(&pass.entry) as usize,
            authentik: twin,
        };
        let known = app.prepared.0.get(&key);
        let known = known.filter(|ready| now < ready.fresh_until && Arc::ptr_eq(&ready.entry, &pass.entry));
        let ready = known.unwrap_or_else(|| {
            let ready = Arc::new(Self::new(app, pass, twin));
            app.prepared.0.insert(key, Arc::clone(&ready));
            ready
        });
        if pass.outcome == "allowed" {
            ready.allowed.inc();
        }
        ready
    }
}

/// Answers a proxy's question at once, when somebody with a session in memory may pass.
pub(super) fn at_hand(glance: &Glance<'_>, proxy: Proxy, prefix: &str) -> Option<Response<Payload>> {
    let call = Call {
        app: glance.app,
        headers: glance.headers,
        peer: glance.peer,
        twin: super::is_twin(glance.uri),
    };
    if !call.is_trusted() {
        return None;
    }
    let original = original::read(proxy, glance.headers, glance.uri, glance.method, prefix)?;
    if Own::of(proxy, &original.place.target).is_some() {
        return None;
    }
    let doorward = &glance.app.doorward;
    let now = doorward.now();
    let cookies = call.site_cookies();
    let method = original.method.as_ref().map(Method::as_str);
    let session = || call.session_cookie();
    let pass = doorward.check_at_hand(&original.place, method, &cookies, session, now)?;
    let Visitor::Session(visit) = &pass.visitor else {
        return None;
    };
    let ready = Ready::of(glance.app, &pass, visit, call.twin, now);
    let mut response = Response::new(Payload::empty());
    *response.headers_mut() = ready.headers.clone();
    Some(response)
}
