//! Forward auth: may this request pass, and who is it? Decided from memory; nothing is written for somebody unknown.

use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use doorward_domain::access::Person;
use doorward_domain::event::EventKind;
use doorward_domain::site::{
    AuthorizationRule, BreakGlass, Decision, Decisive, Found, Readings, SiteEntry, Why, asks_application,
    decide,
};
use doorward_domain::{Reason, SessionId, Timestamp};

use crate::admin::sites::is_method;
use crate::error::{Error, Refused, Result};
use crate::events::About;
use crate::machines::Machine;
use crate::metrics::SiteLabels;
use crate::place::Place;
use crate::sessions::Visit;
use crate::site_cookie::Kept;
use crate::site_visits::SiteVisit;
use crate::{Doorward, Origin};

/// What a request brought along to say who it is.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Cookies of sites in their order, with what their names promise.
    pub cookies: &'a [(Kept, &'a str)],
    /// Value of the session cookie of Doorward itself; counts on its own host only.
    pub session: Option<&'a str>,
    /// `Authorization`.
    pub authorization: Option<&'a str>,
}

/// Who passes.
#[derive(Clone, Debug)]
pub enum Visitor {
    /// Nobody that the service needs to know of.
    Nobody,
    /// Somebody with a session.
    Session(Arc<Visit>),
    /// A program with a token or an app password.
    Machine(Arc<Machine>),
}

impl Visitor {
    /// The person, when there is one.
    #[must_use]
    pub fn person(&self) -> Option<&Person> {
        match self {
            Self::Nobody => None,
            Self::Session(visit) => Some(&visit.person),
            Self::Machine(machine) => machine.person(),
        }
    }
}

/// What becomes of `Authorization` on the way to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// It stays.
    Passes,
    /// It is removed.
    Stripped,
}

/// May pass.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The site.
    pub entry: Arc<SiteEntry>,
    /// Who.
    pub visitor: Visitor,
    /// What becomes of `Authorization`.
    pub authorization: Authorization,
    /// For measurements: `allowed`, `public` or `break_glass`.
    pub outcome: &'static str,
}

/// What comes of a check.
#[derive(Debug)]
pub enum Verdict {
    /// May pass.
    Pass(Pass),
    /// Somebody has to sign in first.
    SignIn(Arc<SiteEntry>),
    /// May not. The reason has a code when somebody is known.
    Refused {
        /// The site, when there is one.
        entry: Option<Arc<SiteEntry>>,
        /// Why.
        refused: Box<Refused>,
        /// Who, when somebody is known.
        visit: Option<Arc<Visit>>,
    },
}

/// Which break-glass passes were recorded lately.
#[derive(Default)]
pub(crate) struct Noticed(Mutex<HashMap<(SessionId, Arc<str>), Timestamp>>);

/// One break-glass pass is recorded per session and site in this time.
const NOTICE_EVERY: i64 = 3_600_000;
const RETRY_AFTER: i64 = 60_000;
const MOST_NOTICED: usize = 10_000;

impl Noticed {
    fn is_new(&self, session: SessionId, site: &Arc<str>, now: Timestamp) -> bool {
        let Ok(mut noticed) = self.0.lock() else {
            return true;
        };
        if noticed.len() >= MOST_NOTICED {
            noticed.retain(|_, at| now.millis_since(*at) < NOTICE_EVERY);
            if noticed.len() >= MOST_NOTICED {
                noticed.clear();
            }
        }
        let key = (session, Arc::clone(site));
        match noticed.get(&key) {
            Some(at) if now.millis_since(*at) < NOTICE_EVERY => false,
            _ => {
                noticed.insert(key, now);
                true
            }
        }
    }

    /// What could not be recorded is tried again in a minute: a database that is away does not hide who passed.
    fn try_again(&self, session: SessionId, site: &Arc<str>, now: Timestamp) {
        if let Ok(mut noticed) = self.0.lock() {
            let at = Timestamp::from_millis(now.millis() - NOTICE_EVERY + RETRY_AFTER);
            noticed.insert((session, Arc::clone(site)), at);
        }
    }
}

/// The method to decide on. Rules that name methods cannot be read for a request without one, nor for one in letters that some services
/// take for the capitals that it should have.
fn method_at<'a>(entry: &SiteEntry, method: Option<&'a str>) -> Option<&'a str> {
    match method {
        Some(method) => Some(method).filter(|method| is_method(method)),
        None if entry.site.rules.iter().any(|rule| !rule.methods.is_empty()) => None,
        None => Some("GET"),
    }
}

impl Doorward {
    /// Decides on one request to a site. 0 queries for a session that is warm, for strangers, and for refusals without a session.
    ///
    /// # Errors
    /// `Fault` when the visitor is not in memory and the database is away.
    pub async fn check(
        &self,
        place: &Place,
        method: Option<&str>,
        shown: Shown<'_>,
        origin: impl Fn() -> Origin + Send + Sync,
    ) -> Result<Verdict> {
        let directory = self.directory();
        let Some(readings) = Readings::of(&place.target) else {
            return Ok(self.refused_stranger(None, Reason::OriginalUnreadable));
        };
        let entry = match directory.sites.find(place.as_authority(), place.https, &readings) {
            Found::Site(entry) => entry,
            Found::HostUnlisted => return Ok(self.refused_stranger(None, Reason::HostUnlisted)),
            Found::PathUnlisted => return Ok(self.refused_stranger(None, Reason::PathUnlisted)),
        };
        let Some(method) = method_at(entry, method) else {
            return Ok(self.refused_stranger(Some(entry), Reason::OriginalUnreadable));
        };
        let break_glass = directory.break_glass;
        let visit = self.visit_of_check(place, entry, shown).await;
        let visit = match visit {
            Ok(visit) => visit,
            // What everybody may see is shown, whoever asks.
            Err(error) => match decide(entry, None, method, &readings, BreakGlass::Off) {
                Decision::Public { .. } => None,
                _ => {
                    self.count_check(Some(entry), "unavailable");
                    return Err(error);
                }
            },
        };
        if let Some(visit) = visit {
            let decision = decide(entry, Some(&visit.person), method, &readings, break_glass);
            return Ok(self
                .verdict_for(entry, visit, decision, (place, method), &origin)
                .await);
        }
        match decide(entry, None, method, &readings, break_glass) {
            Decision::Public { .. } => Ok(Verdict::Pass(self.pass(entry, Visitor::Nobody, "public"))),
            Decision::SignIn { .. } => match self.machine_of(entry, shown.authorization).await? {
                Machine::Absent => {
                    self.count_check(Some(entry), "sign_in");
                    Ok(Verdict::SignIn(Arc::clone(entry)))
                }
                Machine::Refused => Ok(self.refused_stranger(Some(entry), Reason::CredentialRefused)),
                machine => Ok(self
                    .verdict_for_machine(entry, Arc::new(machine), (place, method), &readings, &origin())
                    .await),
            },
            Decision::Deny { reason, .. } => Ok(self.refused_stranger(Some(entry), reason)),
            // Nobody is known, so nobody was admitted.
            Decision::Allow { .. } => Ok(self.refused_stranger(Some(entry), Reason::NotInAudience)),
        }
    }

    /// Decides on one request to a site at once, when somebody may pass and all that it takes is in memory. `None` says nothing: then
    /// [`Doorward::check`] is to be asked.
    pub fn check_at_hand<'a>(
        &self,
        place: &Place,
        method: Option<&str>,
        cookies: &[(Kept, &str)],
        session: impl FnOnce() -> Option<&'a str>,
        now: Timestamp,
    ) -> Option<Pass> {
        let directory = self.directory_now();
        let readings = Readings::of(&place.target)?;
        let Found::Site(entry) = directory.sites.find(place.as_authority(), place.https, &readings) else {
            return None;
        };
        let method = method_at(entry, method)?;
        let https = place.https || entry.site.address.https;
        let visit = match self.site_visit_at_hand(cookies, &place.host, https, now) {
            SiteVisit::There(visit) => visit,
            SiteVisit::Nobody if self.inner.home.host() == Some(place.host.as_str()) => {
                self.own_visit_at_hand(session(), now)?
            }
            SiteVisit::Nobody | SiteVisit::Unclear => return None,
        };
        match decide(
            entry,
            Some(&visit.person),
            method,
            &readings,
            directory.break_glass,
        ) {
            Decision::Allow {
                why: Why::Admitted(_),
                ..
            } => Some(self.pass(entry, Visitor::Session(visit), "allowed")),
            // What everybody may see, what has to be recorded, and what is refused.
            _ => None,
        }
    }

    /// The session that a request to a site belongs to.
    async fn visit_of_check(
        &self,
        place: &Place,
        entry: &SiteEntry,
        shown: Shown<'_>,
    ) -> Result<Option<Arc<Visit>>> {
        let https = place.https || entry.site.address.https;
        let visit = self.site_visit(shown.cookies, &place.host, https).await?;
        // Doorward's own cookie is sent to every port of its host.
        if visit.is_none() && self.inner.home.host() == Some(place.host.as_str()) {
            return self.visit(shown.session).await;
        }
        Ok(visit)
    }

    async fn verdict_for(
        &self,
        entry: &Arc<SiteEntry>,
        visit: Arc<Visit>,
        decision: Decision,
        asked: (&Place, &str),
        origin: &(impl Fn() -> Origin + Sync),
    ) -> Verdict {
        match decision {
            Decision::Public { known, .. } => {
                let visitor = if known {
                    Visitor::Session(visit)
                } else {
                    Visitor::Nobody
                };
                Verdict::Pass(self.pass(entry, visitor, "public"))
            }
            Decision::Allow { why, .. } => {
                let outcome = match why {
                    Why::Admitted(_) => "allowed",
                    Why::BreakGlass(reason) => {
                        self.notice_break_glass(entry, &visit, reason, asked.0, origin);
                        "break_glass"
                    }
                };
                Verdict::Pass(self.pass(entry, Visitor::Session(visit), outcome))
            }
            Decision::Deny { reason, by } => {
                let about = About {
                    user: Some(visit.session.user_id),
                    session: Some(visit.session.id),
                    ..self.about_check(entry, asked, by, Some(&visit.person))
                };
                let refused = Box::new(self.refuse("forward_auth", reason, about, &origin()).await);
                self.count_check(Some(entry), reason.as_str());
                Verdict::Refused {
                    entry: Some(Arc::clone(entry)),
                    refused,
                    visit: Some(visit),
                }
            }
            // Somebody is known, so nobody has to sign in.
            Decision::SignIn { .. } => self.refused_stranger(Some(entry), Reason::SessionEnded),
        }
    }

    async fn verdict_for_machine(
        &self,
        entry: &Arc<SiteEntry>,
        machine: Arc<Machine>,
        asked: (&Place, &str),
        readings: &Readings<'_>,
        origin: &Origin,
    ) -> Verdict {
        let mut by = Decisive::Application;
        let reason = match machine.person() {
            Some(person) => match decide(entry, Some(person), asked.1, readings, BreakGlass::Off) {
                Decision::Allow { .. } => None,
                Decision::Deny { reason, by: decisive } => {
                    by = decisive;
                    Some(reason)
                }
                Decision::Public { .. } | Decision::SignIn { .. } => Some(Reason::CredentialRefused),
            },
            // The application's own client, which came without a person: where the application's audience may go.
            None if machine.is_client_of(entry) && asks_application(entry, asked.1, readings) => None,
            None => Some(Reason::CredentialRefused),
        };
        let Some(reason) = reason else {
            return Verdict::Pass(self.pass(entry, Visitor::Machine(machine), "allowed"));
        };
        let about = About {
            user: machine.person().map(|person| person.user.id),
            ..self.about_check(entry, asked, by, machine.person())
        };
        let refused = Box::new(self.refuse("forward_auth", reason, about, origin).await);
        self.count_check(Some(entry), reason.as_str());
        Verdict::Refused {
            entry: Some(Arc::clone(entry)),
            refused,
            visit: None,
        }
    }

    fn about_check(
        &self,
        entry: &SiteEntry,
        (place, method): (&Place, &str),
        by: Decisive,
        person: Option<&Person>,
    ) -> About {
        let directory = self.directory();
        let path = place.target.split('?').next().unwrap_or_default();
        About {
            application: Some(entry.application.id),
            details: json!({
                "site": &*entry.name,
                "host": place.authority(),
                "path": path.chars().take(500).collect::<String>(),
                "method": method.chars().take(20).collect::<String>(),
                "rule": crate::explain_site::deciding(&directory.groups, entry, by),
                "groups": person.map(|person| directory.groups.names(&person.groups)),
            }),
            ..About::default()
        }
    }

    fn pass(&self, entry: &Arc<SiteEntry>, visitor: Visitor, outcome: &'static str) -> Pass {
        let by_machine = matches!(visitor, Visitor::Machine(_));
        let authorization = match entry.site.authorization {
            AuthorizationRule::Strip => Authorization::Stripped,
            AuthorizationRule::Auto if by_machine => Authorization::Stripped,
            AuthorizationRule::Auto | AuthorizationRule::Pass => Authorization::Passes,
        };
        Pass {
            entry: Arc::clone(entry),
            visitor,
            authorization,
            outcome,
        }
    }

    /// Strangers are refused without a record: anonymous checks write nothing.
    fn refused_stranger(&self, entry: Option<&Arc<SiteEntry>>, reason: Reason) -> Verdict {
        self.count_check(entry, reason.as_str());
        Verdict::Refused {
            entry: entry.cloned(),
            refused: Box::new(Refused {
                application: entry.map(|entry| entry.application.name.clone()),
                ..Refused::bare(reason)
            }),
            visit: None,
        }
    }

    /// Counts one check.
    pub fn count_check(&self, entry: Option<&Arc<SiteEntry>>, outcome: &'static str) {
        self.check_counter(entry, outcome).inc();
    }

    /// The counter of checks of a site with an outcome.
    #[must_use]
    pub fn check_counter(
        &self,
        entry: Option<&Arc<SiteEntry>>,
        outcome: &'static str,
    ) -> prometheus_client::metrics::counter::Counter {
        let site = entry.map_or_else(|| Arc::from("none"), |entry| Arc::clone(&entry.name));
        let labels = SiteLabels { site, outcome };
        self.inner.metrics.forward_auth.get_or_create(&labels).clone()
    }

    /// An administrator passed against a rule: said in the log and in an event, once an hour for each session and site.
    fn notice_break_glass(
        &self,
        entry: &Arc<SiteEntry>,
        visit: &Arc<Visit>,
        reason: Reason,
        place: &Place,
        origin: &impl Fn() -> Origin,
    ) {
        let now = self.now();
        if !self.inner.noticed.is_new(visit.session.id, &entry.name, now) {
            return;
        }
        tracing::warn!(
            user = visit.person.user.username,
            site = &*entry.name,
            overruled = reason.as_str(),
            "an administrator entered a site that would not have let them in"
        );
        let about = About {
            user: Some(visit.session.user_id),
            application: Some(entry.application.id),
            session: Some(visit.session.id),
            details: json!({ "site": &*entry.name, "host": place.authority(), "overruled": reason }),
        };
        let event = self.event(EventKind::BreakGlass, about, &origin(), now);
        let doorward = self.clone();
        let (session, site) = (visit.session.id, Arc::clone(&entry.name));
        tokio::spawn(async move {
            let written = async {
                let tx = doorward.store()?.begin().await?;
                tx.add_event(&event).await?;
                tx.commit().await?;
                Ok::<_, Error>(())
            };
            if let Err(error) = written.await {
                tracing::warn!(%error, "a break-glass pass could not be recorded");
                doorward.inner.noticed.try_again(session, &site, now);
            }
        });
    }
}
