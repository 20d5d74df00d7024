//! Saying yes or no to a client.

use axum::extract::Request;
use http::StatusCode;

use doorward_core::authorize::{Answer, Call, Question};
use doorward_domain::attempt::Purpose;
use doorward_oidc::params::Params;

use crate::ask::{self, Ask};
use crate::cookies::Name;
use crate::flow;
use crate::oidc;
use crate::pages::{Consent, Link, Person};
use crate::reply::{Failure, Forms, Reply, failure_page};

/// The page.
pub(crate) async fn page(ask: &Ask, question: &Question) -> Reply {
    let sealed = ask.app.doorward.seal_attempt(&question.attempt);
    let user = &question.person.user;
    let returns = format!("https://{}", question.return_host);
    let scopes = flow::scopes(question);
    let view = Consent {
        attempt: &sealed,
        person: Person {
            name: &user.name,
            username: &user.username,
        },
        application: flow::destination(&question.application),
        scopes: &scopes,
        returns_to: Link::web(&returns),
    };
    match view.render(&ask.page(ask.language(None), "", None)) {
        Ok(html) => Reply::page(StatusCode::OK, html, Forms::Onwards),
        Err(error) => failure_page(ask, &Failure::Render(error), None).await,
    }
}

/// Reads `decision`.
pub(crate) fn decision(form: &Params) -> Result<Answer, Failure> {
    match form.get("decision") {
        Some("allow") => Ok(Answer::Allow),
        Some("deny") => Ok(Answer::Deny),
        _ => Err(Failure::Parameters(
            "decision is missing; expected allow or deny".into(),
        )),
    }
}

/// The answer.
pub(crate) async fn answer(ask: Ask, request: Request) -> Reply {
    match answered(&ask, request).await {
        Ok(reply) => reply,
        Err(failure) => failure_page(&ask, &failure, None).await,
    }
}

async fn answered(ask: &Ask, request: Request) -> Result<Reply, Failure> {
    ask.same_site()?;
    let form = ask::form(ask, request).await?;
    let visit = match flow::signed_in(ask).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(reply),
    };
    let browser = ask.cookie(Name::Browser);
    let attempt = ask
        .app
        .doorward
        .open_attempt(
            form.get("attempt").unwrap_or_default(),
            Purpose::Consent,
            browser.as_deref(),
            Some(visit.session.id),
        )
        .map_err(Failure::reason)?;
    let call = Call {
        params: Params::from_pairs::<&str, &str>([]),
        visit: Some(&visit),
        browser: browser.as_deref().unwrap_or_default(),
        origin: &ask.origin,
    };
    let outcome = ask
        .app
        .doorward
        .consent_answered(&attempt, decision(&form)?, call)
        .await?;
    Ok(oidc::show(ask, outcome).await)
}
