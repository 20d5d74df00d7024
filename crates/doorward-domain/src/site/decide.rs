//! The decision of forward auth: one site, one person or none, one method, one path.

use serde::{Deserialize, Serialize};

use super::path::Readings;
use super::rule::{Access, PathRule};
use super::{Site, SiteEntry};
use crate::access::{self, Admitted, Person};
use crate::refusal::Reason;
use crate::user::UserKind;

/// Do administrators get in everywhere, when nothing else lets them?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BreakGlass {
    /// Members of superuser groups pass every site that exists; recorded when it mattered.
    #[default]
    On,
    /// They are people like all others.
    Off,
}

/// Which rule decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decisive {
    /// The rule with this number, from 0.
    Rule(usize),
    /// None fitted: the application's audience.
    Application,
}

/// Why somebody gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Admitted by an audience.
    Admitted(Admitted),
    /// As administrator, against this rule.
    BreakGlass(Reason),
}

/// What comes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Everybody may; the service is told who only if it is somebody whom the application admits.
    Public {
        /// Which rule says so.
        rule: usize,
        /// Is the visitor somebody whom the application admits?
        known: bool,
    },
    /// This person may.
    Allow {
        /// Which rule.
        by: Decisive,
        /// Why.
        why: Why,
    },
    /// Nobody is known yet.
    SignIn {
        /// Which rule asks.
        by: Decisive,
    },
    /// No.
    Deny {
        /// Which rule.
        by: Decisive,
        /// Why not.
        reason: Reason,
    },
}

impl Decision {
    /// What is the stricter of two decisions about the same request?
    fn stricter(self, other: Self) -> Self {
        let rank = |decision: &Self| match decision {
            Self::Deny { .. } => 3,
            Self::SignIn { .. } => 2,
            Self::Allow { .. } => 1,
            Self::Public { .. } => 0,
        };
        if rank(&other) > rank(&self) { other } else { self }
    }
}

/// Decides. Total: what no rule speaks of asks for the application's audience, which admits nobody until somebody said who.
///
/// Every reading of the path is decided on, and the strictest counts.
#[must_use]
pub fn decide(
    entry: &SiteEntry,
    person: Option<&Person>,
    method: &str,
    readings: &Readings<'_>,
    break_glass: BreakGlass,
) -> Decision {
    let mut strictest: Option<Decision> = None;
    for path in readings.iter() {
        let here = ordinary(entry, person, method, path);
        strictest = Some(strictest.map_or(here, |before| before.stricter(here)));
    }
    // There is always one reading.
    let ordinary = strictest.unwrap_or(Decision::Deny {
        by: Decisive::Application,
        reason: Reason::PathUnlisted,
    });
    match (ordinary, person) {
        (Decision::Deny { by, reason }, Some(person))
            if break_glass == BreakGlass::On
                && person.superuser
                && person.user.is_usable()
                && person.user.kind != UserKind::Service =>
        {
            Decision::Allow {
                by,
                why: Why::BreakGlass(reason),
            }
        }
        (ordinary, _) => ordinary,
    }
}

/// Do all readings of a path ask for the application's own audience?
#[must_use]
pub fn asks_application(entry: &SiteEntry, method: &str, readings: &Readings<'_>) -> bool {
    readings.iter().all(|path| {
        rule_for(&entry.site, method, path).is_none_or(|(_, rule)| rule.access == Access::Application)
    })
}

/// The first rule that fits.
fn rule_for<'a>(site: &'a Site, method: &str, path: &str) -> Option<(usize, &'a PathRule)> {
    site.rules
        .iter()
        .enumerate()
        .find(|(_, rule)| rule.fits(method, path))
}

fn ordinary(entry: &SiteEntry, person: Option<&Person>, method: &str, path: &str) -> Decision {
    let application = &entry.application;
    let (by, access) = match rule_for(&entry.site, method, path) {
        Some((number, rule)) => (Decisive::Rule(number), &rule.access),
        None => (Decisive::Application, &Access::Application),
    };
    let audience = match (access, by) {
        (Access::Public, Decisive::Rule(rule)) => {
            let known = person.is_some_and(|person| {
                may_act(person).is_ok() && access::audience_admits(person, &application.audience).is_ok()
            });
            return Decision::Public { rule, known };
        }
        (Access::Deny | Access::Public, _) => {
            return Decision::Deny {
                by,
                reason: Reason::RuleDenies,
            };
        }
        (Access::Audience(audience), _) => audience,
        (Access::Application, _) => &application.audience,
    };
    let Some(person) = person else {
        return Decision::SignIn { by };
    };
    match may_act(person).and_then(|()| access::audience_admits(person, audience)) {
        Ok(admitted) => Decision::Allow {
            by,
            why: Why::Admitted(admitted),
        },
        Err(reason) => Decision::Deny { by, reason },
    }
}

/// Service users may enter sites: they come with app passwords and tokens.
fn may_act(person: &Person) -> Result<(), Reason> {
    if person.user.is_usable() {
        Ok(())
    } else {
        Err(Reason::UserInactive)
    }
}
