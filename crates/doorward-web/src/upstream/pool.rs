//! Connections that are kept: one at a time over HTTP/1.1, shared over HTTP/2.

use hyper::client::conn::{http1, http2};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use url::Host;

use super::body::Sent;
use super::connect::{Channel, Want};
use super::{Kind, Target, Trust, Unreachable};

/// A connection that nobody needs for this long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// How often that is looked at.
const SWEEP: Duration = Duration::from_secs(15);
/// Most connections to one service that are kept without a request.
const MOST_KEPT: usize = 64;
/// Most requests that share a connection.
pub(super) const MOST_SHARED: u32 = 100;

/// What tells one set of connections from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) protocol: Protocol,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) trust: KeyTrust,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    Plain,
    Tls,
    PriorKnowledge,
}

/// [`Trust`], owned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum KeyTrust {
    Authorities,
    Pinned(Vec<u8>),
    Anything,
}

impl Key {
    pub(super) fn of(target: &Target<'_>) -> Result<Self, Unreachable> {
        let wrong = |why: &str| Unreachable::new(Kind::Connect, format!("the upstream {why}"));
        let url = target.url;
        let (protocol, usual) = match url.scheme() {
            "http" => (Protocol::Plain, 80),
            "https" => (Protocol::Tls, 443),
            "h2c" => (Protocol::PriorKnowledge, 80),
            _ => return Err(wrong("is neither http, https nor h2c")),
        };
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(v4)) => v4.to_string(),
            Some(Host::Ipv6(v6)) => v6.to_string(),
            None => return Err(wrong("names no host")),
        };
        let trust = match target.trust {
            _ if protocol != Protocol::Tls => KeyTrust::Anything,
            Trust::Authorities => KeyTrust::Authorities,
            Trust::Pinned(certificate) => KeyTrust::Pinned(certificate.to_vec()),
            Trust::Anything => KeyTrust::Anything,
        };
        Ok(Self {
            protocol,
            host,
            port: url.port().unwrap_or(usual),
            trust,
        })
    }
}

/// All kept connections.
#[derive(Default)]
pub(super) struct Pool {
    entries: Mutex<HashMap<Key, Arc<Entry>>>,
    sweeping: AtomicBool,
}

impl Pool {
    /// The connections of a key; `places` bounds its requests when it is new.
    pub(super) fn entry(self: &Arc<Self>, key: Key, places: usize) -> Arc<Entry> {
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.get(&key) {
            return Arc::clone(entry);
        }
        let entry = Arc::new(Entry::new(key.clone(), places));
        entries.insert(key, Arc::clone(&entry));
        drop(entries);
        if !self.sweeping.swap(true, Ordering::AcqRel) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
        entry
    }

    /// Closes what was idle for too long. Is anything left?
    fn tidy(&self, now: Instant) -> bool {
        let mut entries = lock(&self.entries);
        entries.retain(|_, entry| entry.tidy(now) || Arc::strong_count(entry) > 1);
        if entries.is_empty() {
            // While the map is locked, so that whoever adds something afterwards starts again.
            self.sweeping.store(false, Ordering::Release);
        }
        !entries.is_empty()
    }
}

async fn sweep(pool: std::sync::Weak<Pool>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let left = pool.upgrade().is_some_and(|pool| pool.tidy(Instant::now()));
        if !left {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connections to one service.
pub(super) struct Entry {
    pub(super) key: Key,
    kept: Mutex<Kept>,
    turn: tokio::sync::Mutex<()>,
    places: Arc<Semaphore>,
    /// TLS that offers HTTP/2 and HTTP/1.1, and the latter only.
    pub(super) tls: [OnceLock<TlsConnector>; 2],
}

#[derive(Default)]
struct Kept {
    ones: Vec<(http1::SendRequest<Sent>, Instant)>,
    twos: Vec<Two>,
    /// Offered both, the service chose HTTP/1.1.
    prefers_one: bool,
}

struct Two {
    sender: http2::SendRequest<Sent>,
    load: Load,
    used: Instant,
}

/// A request's share of a shared connection.
#[derive(Clone, Default)]
pub(super) struct Load(Arc<()>);

impl Load {
    /// Requests that share the connection.
    fn requests(&self) -> usize {
        Arc::strong_count(&self.0).saturating_sub(1)
    }
}

impl Entry {
    fn new(key: Key, places: usize) -> Self {
        Self {
            key,
            kept: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            places: Arc::new(Semaphore::new(places)),
            tls: [OnceLock::new(), OnceLock::new()],
        }
    }

    pub(super) const fn places(&self) -> &Arc<Semaphore> {
        &self.places
    }

    /// For the operator: says which upstream.
    pub(super) fn unreachable(&self, kind: Kind, detail: impl AsRef<str>) -> Unreachable {
        let Key { host, port, .. } = &self.key;
        Unreachable::new(kind, format!("{host} port {port}: {}", detail.as_ref()))
    }

    /// A kept connection.
    pub(super) fn take(self: &Arc<Self>, want: Want) -> Option<Lease> {
        if let Some(lease) = self.take_shared(want) {
            return Some(lease);
        }
        if want == Want::Two {
            return None;
        }
        let now = Instant::now();
        let mut kept = lock(&self.kept);
        while let Some((sender, since)) = kept.ones.pop() {
            if now.duration_since(since) < IDLE && sender.is_ready() {
                return Some(self.lease(Channel::One(sender), true, None));
            }
        }
        None
    }

    /// A share of a connection over HTTP/2.
    pub(super) fn take_shared(self: &Arc<Self>, want: Want) -> Option<Lease> {
        if want == Want::One {
            return None;
        }
        let mut kept = lock(&self.kept);
        kept.twos.retain(|two| !two.sender.is_closed());
        let two = kept.twos.iter_mut().min_by_key(|two| two.load.requests())?;
        if two.load.requests() >= MOST_SHARED as usize {
            return None;
        }
        two.used = Instant::now();
        Some(self.lease(Channel::Two(two.sender.clone()), true, Some(two.load.clone())))
    }

    /// Whoever may get a shared connection opens it alone. Nothing when connections are not shared.
    pub(super) async fn turn(&self, want: Want) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let alone = want == Want::Two || want == Want::Any && !lock(&self.kept).prefers_one;
        if alone { Some(self.turn.lock().await) } else { None }
    }

    /// A new connection, kept at once when it can be shared.
    pub(super) fn opened(self: &Arc<Self>, channel: Channel, want: Want) -> Lease {
        let mut load = None;
        let mut kept = lock(&self.kept);
        match &channel {
            Channel::Two(sender) => {
                let two = Two {
                    sender: sender.clone(),
                    load: Load::default(),
                    used: Instant::now(),
                };
                load = Some(two.load.clone());
                kept.twos.push(two);
            }
            Channel::One(_) if want == Want::Any => kept.prefers_one = true,
            Channel::One(_) => {}
        }
        self.lease(channel, false, load)
    }

    fn lease(self: &Arc<Self>, channel: Channel, used: bool, load: Option<Load>) -> Lease {
        Lease {
            channel,
            used,
            load,
            entry: Arc::clone(self),
        }
    }

    /// Closes what was idle for too long. Is anything kept?
    fn tidy(&self, now: Instant) -> bool {
        let mut kept = lock(&self.kept);
        kept.ones
            .retain(|(sender, since)| now.duration_since(*since) < IDLE && sender.is_ready());
        kept.twos.retain(|two| {
            let busy = two.load.requests() > 0 || now.duration_since(two.used) < IDLE;
            busy && !two.sender.is_closed()
        });
        !(kept.ones.is_empty() && kept.twos.is_empty())
    }
}

/// A connection, for one request.
pub(super) struct Lease {
    pub(super) channel: Channel,
    /// Was it used before?
    pub(super) used: bool,
    load: Option<Load>,
    entry: Arc<Entry>,
}

impl Lease {
    /// For the operator: says which upstream.
    pub(super) fn unreachable(&self, kind: Kind, detail: impl AsRef<str>) -> Unreachable {
        self.entry.unreachable(kind, detail)
    }

    /// The head of the answer is there. The connection is kept as soon as the bodies have passed; a shared one counts the
    /// request until the load is dropped.
    pub(super) fn give_back(self) -> Option<Load> {
        let entry = self.entry;
        match self.channel {
            Channel::Two(_) => self.load,
            Channel::One(mut sender) => {
                tokio::spawn(async move {
                    if sender.ready().await.is_ok() {
                        let mut kept = lock(&entry.kept);
                        if kept.ones.len() < MOST_KEPT {
                            kept.ones.push((sender, Instant::now()));
                        }
                    }
                });
                None
            }
        }
    }
}
