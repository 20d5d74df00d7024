//! Why a request to a site is answered as it is: which site, which rule, on which inputs.

use serde::Serialize;
use serde_json::{Value, json};

use doorward_domain::Reason;
use doorward_domain::access::Person;
use doorward_domain::group::GroupTree;
use doorward_domain::site::{
    Access, Decision, Decisive, Found, PathRule, Reach, Readings, SiteEntry, Why, decide,
};

use crate::Doorward;
use crate::error::{Error, Result};
use crate::explain::sentence;
use crate::place::Place;

/// Answer to "may this person open this URL".
#[derive(Debug, Serialize)]
pub struct ExplainedUrl {
    /// `allowed`, `sign_in` or `refused`.
    pub outcome: &'static str,
    /// The site that was found.
    pub site: Option<String>,
    /// Its application.
    pub application: Option<String>,
    /// The rule that decided, as it is written.
    pub rule: Option<String>,
    /// The same as a sentence, with the reason.
    pub why: String,
    /// Reason by name, for refusals.
    pub reason: Option<Reason>,
    /// What it was decided on.
    pub inputs: Value,
}

/// A rule as it is written on the command line: access, methods, path.
#[must_use]
pub fn rule_text(groups: &GroupTree, rule: &PathRule) -> String {
    let access = match &rule.access {
        Access::Application => "application".to_owned(),
        Access::Public => "public".to_owned(),
        Access::Deny => "deny".to_owned(),
        Access::Audience(audience) if audience.everyone => "everyone".to_owned(),
        Access::Audience(audience) => {
            let group = |id| {
                groups
                    .find(id)
                    .map_or_else(|| id.to_string(), |group| group.name.clone())
            };
            let mut parts: Vec<String> = audience
                .groups
                .iter()
                .map(|id| format!("group:{}", group(*id)))
                .collect();
            parts.extend(audience.users.iter().map(|id| format!("user:{id}")));
            parts.join(",")
        }
    };
    if rule.methods.is_empty() {
        return format!("{access} {}", rule.path);
    }
    let methods: Vec<&str> = rule.methods.iter().map(String::as_str).collect();
    format!("{access} {} {}", methods.join(","), rule.path)
}

/// The rule that decided, as it is written.
pub(crate) fn deciding(groups: &GroupTree, entry: &SiteEntry, by: Decisive) -> String {
    match by {
        Decisive::Rule(number) => match entry.site.rules.get(number) {
            Some(rule) => format!("{} (rule {})", rule_text(groups, rule), number + 1),
            None => format!("rule {}", number + 1),
        },
        Decisive::Application => format!("application {} (no path rule fits)", entry.application.slug),
    }
}

impl Doorward {
    /// What would a request of this person (nobody: `None`) to this URL be answered with?
    ///
    /// # Errors
    /// `NotFound` for an unknown user, `Invalid` for what is no URL.
    pub async fn explain_url(&self, username: Option<&str>, url: &str, method: &str) -> Result<ExplainedUrl> {
        let place = Place::parse(url).ok_or_else(|| {
            Error::Invalid(format!(
                "`{url}` is no URL that a site could have; expected for example https://wiki.example.org/page"
            ))
        })?;
        let directory = self.directory();
        let person = match username {
            None => None,
            Some(name) => {
                let user = self.find_user(name).await?;
                let direct = self.store()?.read().group_ids_of(user.id).await?;
                Some(Person::new(user, direct, &directory.groups))
            }
        };
        let method = method.to_ascii_uppercase();
        let mut inputs = json!({
            "url": place.url(),
            "method": method,
            "user": person.as_ref().map(|person| person.user.username.clone()),
            "active": person.as_ref().map(|person| person.user.is_usable()),
            "groups": person.as_ref().map(|person| directory.groups.names(&person.groups)),
            "administrator": person.as_ref().map(|person| person.superuser),
        });
        let unlisted = |reason: Reason, inputs: Value| ExplainedUrl {
            outcome: "refused",
            site: None,
            application: None,
            rule: None,
            why: sentence(reason).to_owned(),
            reason: Some(reason),
            inputs,
        };
        let Some(readings) = Readings::of(&place.target) else {
            return Ok(unlisted(Reason::OriginalUnreadable, inputs));
        };
        let read: Vec<&str> = readings.iter().collect();
        if let Value::Object(map) = &mut inputs {
            map.insert("paths".into(), json!(read));
        }
        let entry = match directory.sites.find(place.as_authority(), place.https, &readings) {
            Found::Site(entry) => entry,
            Found::HostUnlisted => return Ok(unlisted(Reason::HostUnlisted, inputs)),
            Found::PathUnlisted => return Ok(unlisted(Reason::PathUnlisted, inputs)),
        };
        if let Value::Object(map) = &mut inputs {
            let reach = match directory.sites.reach(&place.host) {
                Reach::Host(host) => format!("{host} only"),
                Reach::Domain(domain) => format!("{domain} and below"),
            };
            map.insert("cookie".into(), json!(reach));
            map.insert(
                "audience_groups".into(),
                json!(directory.groups.names(&entry.application.audience.groups)),
            );
            map.insert(
                "audience_everyone".into(),
                json!(entry.application.audience.everyone),
            );
        }
        let decision = decide(entry, person.as_ref(), &method, &readings, directory.break_glass);
        let (outcome, by, reason, why) = self.told(decision);
        Ok(ExplainedUrl {
            outcome,
            site: Some(entry.name.to_string()),
            application: Some(entry.application.slug.clone()),
            rule: Some(deciding(&directory.groups, entry, by)),
            why,
            reason,
            inputs,
        })
    }

    /// A decision in words: outcome, what decided, the reason of a refusal, and why.
    fn told(&self, decision: Decision) -> (&'static str, Decisive, Option<Reason>, String) {
        match decision {
            Decision::Public { rule, .. } => (
                "allowed",
                Decisive::Rule(rule),
                None,
                "The rule says public: everybody may, without signing in.".to_owned(),
            ),
            Decision::Allow {
                by,
                why: Why::Admitted(admitted),
            } => ("allowed", by, None, self.admitted_by(admitted)),
            Decision::Allow {
                by,
                why: Why::BreakGlass(reason),
            } => (
                "allowed",
                by,
                None,
                format!(
                    "As administrator (break glass, recorded). Without that: {}",
                    sentence(reason)
                ),
            ),
            Decision::SignIn { by } => (
                "sign_in",
                by,
                None,
                "Nobody is signed in; who signs in is looked at then.".to_owned(),
            ),
            Decision::Deny { by, reason } => ("refused", by, Some(reason), sentence(reason).to_owned()),
        }
    }
}
