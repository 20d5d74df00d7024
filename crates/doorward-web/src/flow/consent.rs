//! Saying yes or no to a client.

use axum::extract::Request;
use http::StatusCode;

use doorward_core::authorize::{Answer, Call, Question};
use doorward_domain::attempt::Purpose;
use doorward_oidc::params::Params;

use crate::ask::Ask;
use crate::cookies::Name;
use crate::flow::{self, Asked};
use crate::oidc;
use crate::pages::{Consent, Person};
use crate::reply::{Failure, Forms, Reply, failure_page};

/// The page.
pub(crate) async fn page(ask: &Ask, question: &Question) -> Reply {
    ask.wish_of(&question.attempt.next).await;
    let sealed = ask.app.doorward.seal_attempt(&question.attempt);
    let user = &question.person.user;
    let scopes = flow::scopes(question);
    let view = Consent {
        attempt: &sealed,
        person: Person {
            name: &user.name,
            username: &user.username,
        },
        application: flow::destination(&question.application),
        scopes: &scopes,
        returns_to: Some(question.return_host.as_str()).filter(|host| !host.is_empty()),
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
    let asked = match flow::asked(&ask, request, Purpose::Consent).await {
        Ok(Ok(asked)) => asked,
        Ok(Err(reply)) => return reply,
        Err(failure) => return failure_page(&ask, &failure, Some(flow::PORTAL)).await,
    };
    match answered(&ask, &asked).await {
        Ok(reply) => reply,
        Err(failure) => flow::failed(&ask, &failure, &asked.next).await,
    }
}

async fn answered(ask: &Ask, asked: &Asked) -> Result<Reply, Failure> {
    let visit = match flow::signed_in_for(ask, &asked.next).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(reply),
    };
    let session = visit.session.id;
    let attempt = ask
        .open(asked.form.get("attempt"), Purpose::Consent, Some(session))
        .map_err(Failure::reason)?;
    let browser = ask.cookie(Name::Browser);
    let call = Call {
        params: Params::from_pairs::<&str, &str>([]),
        visit: Some(&visit),
        browser: browser.as_deref().unwrap_or_default(),
        origin: ask.origin(),
    };
    let outcome = ask
        .app
        .doorward
        .consent_answered(&attempt, decision(&asked.form)?, call)
        .await?;
    Ok(oidc::show(ask, outcome).await)
}
