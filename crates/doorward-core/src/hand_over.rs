//! Signing in at guarded sites: where a browser is sent, and how a session reaches a host that Doorward itself does not live at.
//!
//! A site's cookie is set in one of two ways. Where the site and Doorward live under one domain, Doorward sets it for that domain on
//! its own host. Anywhere else the browser takes a code along, sealed, good once and for a minute, and only in the browser that
//! asked: the site's host had given it a cookie of its own before.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use doorward_crypto::token;
use doorward_domain::application::Application;
use doorward_domain::site::{Found, Reach, Readings, SiteEntry};
use doorward_domain::{Lifetime, Reason, SessionId, Timestamp};

use crate::error::{Refused, Result};
use crate::place::{Place, escape, return_of};
use crate::sessions::Visit;
use crate::site_cookie::CookiePlace;
use crate::{Doorward, Origin};

/// Begins signing in.
pub const START: &str = "/.doorward/start";
/// Takes the code.
pub const CALLBACK: &str = "/.doorward/callback";
/// Paths that belong to Doorward on every site.
pub const OWN_PREFIXES: [&str; 2] = ["/.doorward/", "/outpost.goauthentik.io/"];

const CODE: &str = "site-hand-over";
/// A code is good for this long.
const CODE_LIFETIME: Lifetime = Lifetime::from_seconds(60);
/// Longest code that is looked at: the wanted URL is in it.
const LONGEST_CODE: usize = 32 * 1024;
/// Longest path and query that a browser is brought back to.
const LONGEST_TARGET: usize = 4096;
/// So often in [`LOOP_WINDOW`] one browser may be sent on to one page before it is told that something is wrong. Browsers give up by
/// themselves after some 20 redirects, of which each round takes two to four.
const LOOP_LIMIT: u32 = 6;
/// The same for all pages of a host: a browser that comes back to life may open a hundred tabs at once.
const HOST_LIMIT: u32 = 200;
const LOOP_WINDOW: i64 = 20_000;
const MOST_STARTS: usize = 10_000;

#[derive(Debug, Serialize, Deserialize)]
struct Code {
    session: SessionId,
    /// The wanted URL.
    to: String,
    /// Digest of the browser's cookie on the site's host, hex.
    browser: String,
    at: Timestamp,
    /// Makes each code another.
    id: String,
}

/// A cookie of a site to be set.
#[derive(Clone, PartialEq, Eq)]
pub struct SiteCookie {
    /// Its value.
    pub value: String,
    /// The domain that it is for; `None`: the host of the answer alone.
    pub domain: Option<String>,
    /// By https only.
    pub secure: bool,
    /// When the session ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for SiteCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SiteCookie")
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

/// What comes of beginning to sign in.
#[derive(Debug)]
pub enum Start {
    /// Sign in on this host first; the path comes back to here.
    SignIn(String),
    /// Go on to this URL, with this cookie if one is given.
    Onward {
        /// Where to.
        location: String,
        /// The cookie of the site.
        cookie: Option<SiteCookie>,
    },
    /// The same, and the browser gets its cookie on the host of the site.
    Marked {
        /// Where to.
        location: String,
        /// Value of the start cookie.
        browser: String,
        /// By https only.
        secure: bool,
    },
    /// The place to return to is none of ours, or the browser goes in circles.
    Refused(Box<Refused>),
}

/// Which session was sent to which page lately, by digest. By page, not by host: many tabs that open at once are no circle.
#[derive(Default)]
pub(crate) struct Starts(Mutex<HashMap<[u8; 32], (u32, Timestamp)>>);

impl Starts {
    /// Is this one too often?
    fn circles(&self, session: SessionId, place: &Place, now: Timestamp) -> bool {
        let page = self.is_over(session, &place.url(), LOOP_LIMIT, now);
        let host = self.is_over(session, &place.host, HOST_LIMIT, now);
        page || host
    }

    fn is_over(&self, session: SessionId, what: &str, limit: u32, now: Timestamp) -> bool {
        let Ok(mut starts) = self.0.lock() else {
            return false;
        };
        if starts.len() >= MOST_STARTS {
            starts.retain(|_, (_, since)| now.millis_since(*since) < LOOP_WINDOW);
            if starts.len() >= MOST_STARTS {
                starts.clear();
            }
        }
        let key = *token::digest_of_parts(&[&session.to_string(), what]).bytes();
        let (count, since) = starts.entry(key).or_insert((0, now));
        if now.millis_since(*since) >= LOOP_WINDOW {
            (*count, *since) = (0, now);
        }
        *count += 1;
        *count > limit
    }
}

impl Doorward {
    /// The site of a place, when the host is one of ours. A path that no site covers counts too: the check will say no there.
    fn site_of(&self, place: &Place) -> Option<Arc<SiteEntry>> {
        let directory = self.directory();
        let readings = Readings::of(&place.target)?;
        match directory.sites.find(place.as_authority(), place.https, &readings) {
            Found::Site(entry) => Some(Arc::clone(entry)),
            Found::HostUnlisted | Found::PathUnlisted => None,
        }
    }

    /// The place as its site says that it is reached: never by less than https where the site says https.
    fn as_declared(&self, mut place: Place, entry: &SiteEntry) -> Place {
        if entry.site.address.https && !place.https {
            place.https = true;
            place.port = place.port.filter(|port| *port != 443 && *port != 80);
        }
        // Nobody returns to where signing in begins, and what is too long for one proxy's headers is not carried about.
        if place.target.len() > LONGEST_TARGET || OWN_PREFIXES.iter().any(|own| place.target.starts_with(own))
        {
            "/".clone_into(&mut place.target);
        }
        place
    }

    /// Where a browser without a session begins to sign in for a place: the absolute URL, and a cookie for this host when it will
    /// have to show one.
    #[must_use]
    pub fn sign_in_at(&self, place: &Place, entry: &SiteEntry, browser: Option<&str>) -> Start {
        let place = self.as_declared(place.clone(), entry);
        let wanted = escape(&place.url());
        if self.sets_here(&place) || self.inner.home.is(&place) {
            return Start::Onward {
                location: format!("{}{START}?rd={wanted}", self.public_url()),
                cookie: None,
            };
        }
        let browser = browser
            .filter(|text| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .map_or_else(|| self.new_browser(), str::to_owned);
        Start::Marked {
            location: format!(
                "{}{START}?b={}&rd={wanted}",
                self.public_url(),
                token::digest(&browser).hex()
            ),
            browser,
            secure: place.https,
        }
    }

    /// Where signing in begins on the site's own host.
    #[must_use]
    pub fn start_url(&self, place: &Place, entry: &SiteEntry) -> String {
        let place = self.as_declared(place.clone(), entry);
        format!("{}{START}?rd={}", place.origin(), escape(&place.url()))
    }

    /// Is this the host and port that this program lives at?
    #[must_use]
    pub fn is_home(&self, place: &Place) -> bool {
        self.inner.home.lives_at(place)
    }

    /// The host that this program lives at.
    #[must_use]
    pub fn home_host(&self) -> Option<&str> {
        self.inner.home.host()
    }

    /// Is a place reached by https, as far as the request or its site says?
    #[must_use]
    pub fn is_reached_by_https(&self, place: &Place) -> bool {
        place.https || self.site_of(place).is_some_and(|entry| entry.site.address.https)
    }

    /// The domain that the cookie of a host is set for; `None`: the host alone.
    #[must_use]
    pub fn cookie_domain(&self, host: &str) -> Option<String> {
        match self.directory().sites.reach(host) {
            Reach::Domain(domain) => Some(domain.to_owned()),
            Reach::Host(_) => None,
        }
    }

    /// Can Doorward set the cookie of a place on its own host?
    fn sets_here(&self, place: &Place) -> bool {
        let directory = self.directory();
        let home = &self.inner.home;
        match (directory.sites.reach(&place.host), home.host()) {
            (reach @ Reach::Domain(_), Some(host)) => reach.covers(host) && (home.https() || !place.https),
            _ => false,
        }
    }

    fn site_cookie(&self, visit: &Visit, place: &Place) -> SiteCookie {
        let directory = self.directory();
        let reach = directory.sites.reach(&place.host);
        let cookie_place = CookiePlace {
            reach,
            secure: place.https,
        };
        SiteCookie {
            value: self.seal_site_cookie(visit.session.id, cookie_place),
            domain: match reach {
                Reach::Domain(domain) => Some(domain.to_owned()),
                Reach::Host(_) => None,
            },
            secure: place.https,
            expires_at: visit.session.expires_at,
        }
    }

    /// `/.doorward/start` on the host of a site: sends the browser to Doorward itself.
    #[must_use]
    pub fn start_at_site(&self, here: &Place, browser: Option<&str>) -> Start {
        let query = here.target.split_once('?').map_or("", |(_, query)| query);
        let wanted = self.wanted(query, here);
        let Some((place, entry)) = wanted.and_then(|place| self.site_of(&place).map(|entry| (place, entry)))
        else {
            return Start::Refused(Box::new(Refused::bare(Reason::ReturnElsewhere)));
        };
        // The browser's cookie is for the host that it is at.
        if place.host != here.host {
            let place = self.as_declared(place, &entry);
            return Start::Onward {
                location: format!("{}{START}?rd={}", self.public_url(), escape(&place.url())),
                cookie: None,
            };
        }
        self.sign_in_at(&place, &entry, browser)
    }

    /// The URL to return to.
    fn wanted(&self, query: &str, here: &Place) -> Option<Place> {
        match return_of(query) {
            Some(text) if text.starts_with('/') => {
                Place::of(here.https, &here.authority(), text.split('#').next()?)
            }
            Some(text) => Place::parse(&text),
            None => Place::of(here.https, &here.authority(), "/"),
        }
    }

    /// Strangers are refused without a record.
    async fn returns_elsewhere(&self, visit: Option<&Visit>, query: &str, origin: &Origin) -> Start {
        if visit.is_none() {
            return Start::Refused(Box::new(Refused::bare(Reason::ReturnElsewhere)));
        }
        let wanted: String = return_of(query).unwrap_or_default().chars().take(300).collect();
        let refused = self
            .refuse_shown(
                Reason::ReturnElsewhere,
                Some(&format!("`{wanted}` is not at one of the sites")),
                origin,
            )
            .await;
        Start::Refused(Box::new(refused))
    }

    /// `/.doorward/start` on Doorward's own host: with a session, on to the site; without, signing in first.
    pub async fn start_at_home(&self, visit: Option<&Visit>, query: &str, origin: &Origin) -> Start {
        let wanted = return_of(query).and_then(|text| Place::parse(&text));
        let Some((place, entry)) = wanted.and_then(|place| self.site_of(&place).map(|entry| (place, entry)))
        else {
            return self.returns_elsewhere(visit, query, origin).await;
        };
        let place = self.as_declared(place, &entry);
        let Some(visit) = visit else {
            let mark = browser_mark(query).map_or_else(String::new, |mark| format!("b={mark}&"));
            return Start::SignIn(format!("{START}?{mark}rd={}", escape(&place.url())));
        };
        let now = self.now();
        if self.inner.starts.circles(visit.session.id, &place, now) {
            let refused = self
                .refuse_shown(
                    Reason::CookieNotKept,
                    Some(&format!(
                        "the browser came back from {} without its cookie, {LOOP_LIMIT} times",
                        place.origin()
                    )),
                    origin,
                )
                .await;
            return Start::Refused(Box::new(refused));
        }
        if self.inner.home.is(&place) {
            return Start::Onward {
                location: place.url(),
                cookie: None,
            };
        }
        if self.sets_here(&place) {
            return Start::Onward {
                location: place.url(),
                cookie: Some(self.site_cookie(visit, &place)),
            };
        }
        let Some(mark) = browser_mark(query) else {
            // The browser first gets a cookie on the host of the site.
            return Start::Onward {
                location: format!("{}{START}?rd={}", place.origin(), escape(&place.url())),
                cookie: None,
            };
        };
        let code = Code {
            session: visit.session.id,
            to: place.url(),
            browser: mark.to_owned(),
            at: now,
            id: self.random_hex::<16>(),
        };
        let bytes = serde_json::to_vec(&code).unwrap_or_default();
        let sealed = self.inner.keyring.seal_text(CODE, &self.random(), &bytes);
        Start::Onward {
            location: format!("{}{CALLBACK}?code={sealed}", place.origin()),
            cookie: None,
        }
    }

    /// `/.doorward/callback` on the host of a site. Whatever is wrong with the code, the browser is sent to begin anew for the page that
    /// it wanted.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn callback(
        &self,
        here: &Place,
        browser: Option<&str>,
        visit: Option<&Visit>,
    ) -> Result<Start> {
        let query = here.target.split_once('?').map_or("", |(_, query)| query);
        let sealed = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("code="))
            .filter(|sealed| sealed.len() <= LONGEST_CODE);
        let code = sealed.and_then(|sealed| {
            let bytes = self.inner.keyring.open_text(CODE, sealed).ok()?;
            serde_json::from_slice::<Code>(&bytes).ok()
        });
        let wanted = code.as_ref().and_then(|code| Place::parse(&code.to));
        let wanted = wanted.filter(|place| place.host == here.host && self.site_of(place).is_some());
        let Some((code, place)) = code.zip(wanted) else {
            return Ok(self.again(&format!("{}/", here.origin())));
        };
        // Whoever is in already, in another tab perhaps, needs no code.
        if visit.is_some() {
            return Ok(Start::Onward {
                location: place.url(),
                cookie: None,
            });
        }
        let now = self.now();
        let mark = browser
            .map(|browser| token::digest(browser).hex())
            .unwrap_or_default();
        let fits = token::constant_eq(mark.as_bytes(), code.browser.as_bytes());
        if !fits || now >= code.at.plus(CODE_LIFETIME) || now < code.at {
            return Ok(self.again(&place.url()));
        }
        let store = self.store()?;
        let Some((session, user, direct)) = store.read().session_with_person(code.session).await? else {
            return Ok(self.again(&place.url()));
        };
        if !session.is_live(now) || !user.is_usable() {
            return Ok(self.again(&place.url()));
        }
        let digest = *token::digest_of_parts(&["site-hand-over", &code.id]).bytes();
        let tx = store.begin().await?;
        let first = tx.add_assertion(&digest, code.at.plus(CODE_LIFETIME)).await?;
        tx.commit().await?;
        if !first {
            return Ok(self.again(&place.url()));
        }
        let visit = self.unkept_visit(session, user, direct);
        Ok(Start::Onward {
            location: place.url(),
            cookie: Some(self.site_cookie(&visit, &place)),
        })
    }

    fn again(&self, wanted: &str) -> Start {
        Start::Onward {
            location: format!("{}{START}?rd={}", self.public_url(), escape(wanted)),
            cookie: None,
        }
    }

    /// The application that `/.doorward/start?…` leads to, for the sign-in page.
    pub(crate) fn start_destination(&self, next: &str) -> Option<Arc<Application>> {
        let query = next.strip_prefix(START)?.strip_prefix('?')?;
        let place = Place::parse(&return_of(query)?)?;
        self.site_of(&place).map(|entry| Arc::clone(&entry.application))
    }
}

/// The digest of the browser's cookie on the site's host.
fn browser_mark(query: &str) -> Option<&str> {
    let mark = query.split('&').next()?.strip_prefix("b=")?;
    (mark.len() == 64 && mark.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward_domain::Id;

    #[test]
    fn many_tabs_are_no_circle_and_the_same_page_again_and_again_is_one() {
        let starts = Starts::default();
        let at = Timestamp::from_millis;
        let session: SessionId = Id::mint(at(0), [7; 10]);
        let place = |path: &str| Place::parse(&format!("https://wiki.example.org{path}")).unwrap();
        for tab in 0..40 {
            assert!(
                !starts.circles(session, &place(&format!("/tab?{tab}")), at(1)),
                "{tab}"
            );
        }
        for round in 0..LOOP_LIMIT {
            assert!(!starts.circles(session, &place("/x"), at(2)), "{round}");
        }
        assert!(starts.circles(session, &place("/x"), at(3)));
        assert!(!starts.circles(session, &place("/y"), at(3)), "another page");
        assert!(
            !starts.circles(session, &place("/x"), at(3 + LOOP_WINDOW)),
            "later"
        );
        let ever_new =
            (0..HOST_LIMIT + 1).any(|n| starts.circles(session, &place(&format!("/n?{n}")), at(4)));
        assert!(ever_new, "a host that asks for another page each time is one too");
    }
}
