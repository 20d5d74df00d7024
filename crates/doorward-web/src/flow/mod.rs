//! Pages of the flows: signing in, choosing the account, consent, device, set-up, recovery, signing out.

pub(crate) mod consent;
pub(crate) mod device;
pub(crate) mod links;
pub(crate) mod select_account;
pub(crate) mod sign_in;
pub(crate) mod sign_out;

use axum::extract::Request;
use http::Method;
use std::sync::Arc;

use doorward_core::authorize::Question;
use doorward_core::sessions::Visit;
use doorward_domain::application::Application;
use doorward_domain::attempt::Purpose;
use doorward_oidc::params::Params;

use crate::ask::{self, Ask};
use crate::cookies::Name;
use crate::pages::{Destination, Link, Person, Scope};
use crate::reply::{Failure, Reply, failure_page};

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

/// Where people go who did not want anything in particular.
pub(crate) const PORTAL: &str = "/if/user/";

/// The visitor, or where to sign in first and come back to here.
pub(crate) async fn signed_in(ask: &Ask) -> Result<std::result::Result<Arc<Visit>, Reply>, Failure> {
    signed_in_for(ask, ask.here()).await
}

/// The visitor, or where to sign in first and go on to `next`.
pub(crate) async fn signed_in_for(
    ask: &Ask,
    next: &str,
) -> Result<std::result::Result<Arc<Visit>, Reply>, Failure> {
    match ask.visit().await? {
        Some(visit) => Ok(Ok(visit)),
        None => {
            let next = Params::from_pairs([("next", next)]);
            Ok(Err(Reply::see(&format!(
                "{}?{}",
                doorward_core::authorize::SIGN_IN,
                next.to_query()
            ))))
        }
    }
}

/// A page of the authorization endpoint that came back.
pub(crate) struct Asked {
    pub(crate) form: Params,
    /// The authorization request that it belongs to; where everything that goes wrong leads back to.
    pub(crate) next: String,
}

/// Reads the answer to a page of the authorization endpoint. Such pages live in the answer of that endpoint only: whoever
/// reloads their address goes to the portal.
pub(crate) async fn asked(
    ask: &Ask,
    request: Request,
    purpose: Purpose,
) -> Result<std::result::Result<Asked, Reply>, Failure> {
    if request.method() != Method::POST {
        return Ok(Err(Reply::see(PORTAL)));
    }
    ask.same_site()?;
    let form = ask::form(ask, request).await?;
    let sealed = form.get("attempt").unwrap_or_default();
    let next = ask
        .app
        .doorward
        .attempt_next(sealed, purpose)
        .unwrap_or_else(|| PORTAL.to_owned());
    Ok(Ok(Asked { form, next }))
}

/// A failure on the way through the authorization endpoint: in the languages of the request, with the way back to it.
pub(crate) async fn failed(ask: &Ask, failure: &Failure, next: &str) -> Reply {
    ask.wish_of(next).await;
    failure_page(ask, failure, Some(next)).await
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
