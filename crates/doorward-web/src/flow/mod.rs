//! Pages of the flows: signing in, choosing the account, consent, device, set-up, recovery, signing out.

pub(crate) mod consent;
pub(crate) mod device;
pub(crate) mod links;
pub(crate) mod select_account;
pub(crate) mod sign_in;
pub(crate) mod sign_out;

use std::sync::Arc;

use doorward_core::authorize::Question;
use doorward_core::sessions::Visit;
use doorward_domain::application::Application;

use crate::ask::Ask;
use crate::cookies::Name;
use crate::pages::{Destination, Link, Person, Scope};
use crate::reply::{Failure, Reply};

/// The application of a page, as people know it.
pub(crate) fn destination(application: &Application) -> Destination<'_> {
    Destination {
        name: &application.name,
        icon: application.icon_url.as_deref().and_then(Link::web),
    }
}

/// The person of a page.
pub(crate) fn person(visit: &Visit) -> Person<'_> {
    Person {
        name: &visit.person.user.name,
        username: &visit.person.user.username,
    }
}

/// Scopes of a page.
pub(crate) fn scopes(question: &Question) -> Vec<Scope<'_>> {
    question
        .scopes
        .iter()
        .map(|(name, description)| Scope {
            name,
            description: description.as_deref().unwrap_or_default(),
        })
        .collect()
}

/// The visitor, or where to sign in first.
pub(crate) async fn signed_in(ask: &Ask) -> Result<std::result::Result<Arc<Visit>, Reply>, Failure> {
    match ask.visit().await? {
        Some(visit) => Ok(Ok(visit)),
        None => {
            let next = doorward_oidc::params::Params::from_pairs([("next", ask.here())]);
            Ok(Err(Reply::see(&format!(
                "{}?{}",
                doorward_core::authorize::SIGN_IN,
                next.to_query()
            ))))
        }
    }
}

/// Sets the cookie of a session that was just issued.
pub(crate) fn with_session(
    ask: &Ask,
    reply: Reply,
    token: &str,
    session: &doorward_domain::session::Session,
) -> Reply {
    let seconds = (session.expires_at.millis_since(ask.app.doorward.now()) / 1000).max(1);
    reply.cookie(&ask.app, Name::Session, token, seconds)
}
