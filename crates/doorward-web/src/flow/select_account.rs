//! Continue as the present user, or as another one.

use axum::extract::Request;
use http::StatusCode;

use doorward_core::authorize::{Choice, Question};
use doorward_domain::attempt::Purpose;

use crate::ask::Ask;
use crate::flow::{self, Asked};
use crate::pages::{Person, SelectAccount};
use crate::reply::{Failure, Forms, Reply, failure_page};

/// The page.
pub(crate) async fn page(ask: &Ask, question: &Question) -> Reply {
    ask.wish_of(&question.attempt.next).await;
    let sealed = ask.app.doorward.seal_attempt(&question.attempt);
    let user = &question.person.user;
    let view = SelectAccount {
        attempt: &sealed,
        person: Person {
            name: &user.name,
            username: &user.username,
        },
        destination: Some(flow::destination(&question.application)),
    };
    match view.render(&ask.page(ask.language(None), "", None)) {
        Ok(html) => Reply::page(StatusCode::OK, html, Forms::Onwards),
        Err(error) => failure_page(ask, &Failure::Render(error), None).await,
    }
}

/// The answer.
pub(crate) async fn answer(ask: Ask, request: Request) -> Reply {
    let asked = match flow::asked(&ask, request, Purpose::SelectAccount).await {
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
        .open(asked.form.get("attempt"), Purpose::SelectAccount, Some(session))
        .map_err(Failure::reason)?;
    let choice = match asked.form.get("choice") {
        Some("continue") => Choice::Continue,
        Some("other") => Choice::Other,
        _ => {
            return Err(Failure::Parameters(
                "choice is missing; expected continue or other".into(),
            ));
        }
    };
    Ok(Reply::see(
        &ask.app.doorward.account_selected(&attempt, session, choice),
    ))
}
