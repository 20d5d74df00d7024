//! Why was somebody refused, or would they be: the deciding rule with its inputs.

use serde::Serialize;
use serde_json::Value;

use doorward_domain::access::{self, Admitted, Person};
use doorward_domain::event::Event;
use doorward_domain::{Code, Reason};
use doorward_oidc::claims;

use crate::Doorward;
use crate::error::{Error, Result};

/// Answer to "would this person be admitted".
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// `allowed` or `refused`.
    pub outcome: &'static str,
    /// The deciding rule in a sentence.
    pub rule: String,
    /// Rule by name.
    pub reason: Option<Reason>,
    /// What it decided on.
    pub inputs: Value,
}

/// Answer to "what was this code".
#[derive(Debug, Serialize)]
pub struct ExplainedCode {
    /// The event.
    pub event: Event,
    /// The deciding rule in a sentence.
    pub rule: String,
    /// User name, when the event concerns a user that still exists.
    pub username: Option<String>,
    /// Application slug, when the event concerns one that still exists.
    pub application: Option<String>,
}

/// The rule behind a reason, as a sentence for administrators.
#[must_use]
pub const fn sentence(reason: Reason) -> &'static str {
    match reason {
        Reason::AudienceEmpty => {
            "The application has no audience: nobody is admitted until groups, people or everyone are named."
        }
        Reason::NotInAudience => {
            "The person is in none of the audience's groups (parents counted) and is not named in it."
        }
        Reason::ApplicationDeleted => "The application is in the bin.",
        Reason::UserInactive => "The user is switched off or in the bin.",
        Reason::Banned => "An administrator of the app shut the person out of it.",
        Reason::ServiceUser => "Service users do not sign in on pages.",
        Reason::WrongCredentials => "No user by that name, or the password is wrong; the inputs say which.",
        Reason::AccountThrottled => {
            "Too many failures for this account from this place; the wait doubles with each."
        }
        Reason::NetworkThrottled => {
            "Too many failures from this network; one attempt a second is let through."
        }
        Reason::Busy => "The hashing queue was full.",
        Reason::AttemptExpired => "The page was too old, opened in another session, or damaged.",
        Reason::CookiesMissing => "The browser did not send the cookie back that came with the page.",
        Reason::ForeignOrigin => "The form came from another site or another browser.",
        Reason::UnknownClient => "No application has this client_id.",
        Reason::RedirectUriMismatch => "The redirect URI is not registered; it must be equal in every part.",
        Reason::InvalidRequest => "A parameter is missing, repeated or malformed; the inputs name it.",
        Reason::InvalidClient => "The client could not prove who it is.",
        Reason::InvalidGrant => {
            "The code, refresh token or device code is unknown, used, expired or belongs to another client."
        }
        Reason::UnauthorizedClient => "The client may not use this grant type.",
        Reason::InvalidScope => "The client may not ask for this scope.",
        Reason::InvalidTarget => "The client may not ask for this resource.",
        Reason::TokenReuse => "A used code or refresh token came again; the whole token family was ended.",
        Reason::ConsentDenied => "The person said no.",
        Reason::UserCodeUnknown => "The user code is unknown, answered or expired.",
        Reason::LinkSpent => "The one-time link is unknown, used or expired.",
        Reason::SessionEnded => "The session has ended or expired.",
        Reason::NotAdministrator => "Only members of a superuser group may do this.",
        Reason::LastAdministrator => "The change would leave no administrator who can sign in.",
        Reason::HostUnlisted => {
            "No application has a site for this host; hosts that are not listed are refused."
        }
        Reason::PathUnlisted => {
            "The host has sites, but none whose path covers this one in every way that it can be read."
        }
        Reason::RuleDenies => "A path rule of the site says deny.",
        Reason::UntrustedProxy => {
            "The check came from an address that is not in trusted_proxies; only trusted proxies may say what the original request was."
        }
        Reason::OriginalUnreadable => {
            "The proxy did not say what the original request was, or it cannot be read."
        }
        Reason::ReturnElsewhere => "The URL to return to after signing in is not at one of the sites.",
        Reason::CookieNotKept => {
            "The browser came back again and again without the cookie that it had just been given for the site."
        }
        Reason::CredentialRefused => {
            "The token or app password is unknown, expired, revoked, or not for this application."
        }
        Reason::InsufficientScope => "The token lacks the scope, or is not about a person.",
    }
}

/// A text as a code, when it is shaped like one.
#[must_use]
pub fn as_code(text: &str) -> Option<Code> {
    doorward_crypto::token::normalise_short_code(text).map(Code::new)
}

impl Doorward {
    /// Looks a code up.
    ///
    /// # Errors
    /// `NotFound` when no event carries it.
    pub async fn explain_code(&self, typed: &str) -> Result<ExplainedCode> {
        let missing = || {
            Error::NotFound(format!(
                "no refusal has the code `{typed}`; codes look like DW-7K2M-41XQ"
            ))
        };
        let code = doorward_crypto::token::normalise_short_code(typed).ok_or_else(missing)?;
        let conn = self.store()?.read();
        let event = conn.event_by_code(&code).await?.ok_or_else(missing)?;
        let username = match event.user_id {
            Some(id) => conn.user(id).await?.map(|user| user.username),
            None => None,
        };
        let application = match event.application_id {
            Some(id) => conn.application(id).await?.map(|application| application.slug),
            None => None,
        };
        let rule = event.reason.map_or("", sentence).to_owned();
        Ok(ExplainedCode {
            event,
            rule,
            username,
            application,
        })
    }

    /// Would this person be admitted to this application now?
    ///
    /// # Errors
    /// `NotFound` for an unknown user or application.
    pub async fn explain_access(&self, username: &str, slug: &str) -> Result<Explanation> {
        let user = self.find_user(username).await?;
        let conn = self.store()?.read();
        let application = self.find_application(slug).await?;
        let direct = conn.group_ids_of(user.id).await?;
        let directory = self.directory();
        let person = Person::new(user, direct, &directory.groups);
        let decision = access::admit(&person, &application);
        let (outcome, reason, rule) = match decision {
            Err(reason) => ("refused", Some(reason), sentence(reason).to_owned()),
            Ok(admitted) => match &application.client {
                Some(client) if claims::subject_of(client.subject_mode, &person.user).is_err() => (
                    "refused",
                    Some(Reason::InvalidRequest),
                    "The application takes the e-mail address as subject, and the user has none.".to_owned(),
                ),
                _ => ("allowed", None, self.admitted_by(admitted)),
            },
        };
        let inputs = self.inputs(&person, &application, reason.unwrap_or(Reason::NotInAudience));
        let inputs = match (inputs, reason) {
            (Value::Object(mut map), None) => {
                map.remove("rule");
                Value::Object(map)
            }
            (inputs, _) => inputs,
        };
        Ok(Explanation {
            outcome,
            rule,
            reason,
            inputs,
        })
    }

    pub(crate) fn admitted_by(&self, admitted: Admitted) -> String {
        match admitted {
            Admitted::Everyone => "The audience says everyone.".into(),
            Admitted::User(_) => "The person is named in the audience.".into(),
            Admitted::Group(id) => {
                let directory = self.directory();
                let name = directory.groups.find(id).map_or("?", |group| group.name.as_str());
                format!("The person is a member of the group {name}, which the audience names.")
            }
        }
    }
}
