//! Continue as the present user, or as another one.

use axum::extract::Request;
use http::StatusCode;

use doorward_core::authorize::{Choice, Question};
use doorward_domain::attempt::Purpose;

use crate::ask::{self, Ask};
use crate::cookies::Name;
use crate::flow;
use crate::pages::{Person, SelectAccount};
use crate::reply::{Failure, Forms, Reply, failure_page};

/// The page.
pub(crate) async fn page(ask: &Ask, question: &Question) -> Reply {
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
    let attempt = ask
        .app
        .doorward
        .open_attempt(
            form.get("attempt").unwrap_or_default(),
            Purpose::SelectAccount,
            ask.cookie(Name::Browser).as_deref(),
            Some(visit.session.id),
        )
        .map_err(Failure::reason)?;
    let choice = match form.get("choice") {
        Some("continue") => Choice::Continue,
        Some("other") => Choice::Other,
        _ => {
            return Err(Failure::Parameters(
                "choice is missing; expected continue or other".into(),
            ));
        }
    };
    Ok(Reply::see(&ask.app.doorward.account_selected(
        &attempt,
        visit.session.id,
        choice,
    )))
}
