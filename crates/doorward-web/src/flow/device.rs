//! The page on which a person lets a device in.

use axum::extract::Request;
use http::{Method, StatusCode};

use doorward_core::authorize::Answer;
use doorward_core::error::{Error, Refused};
use doorward_core::sessions::Visit;
use doorward_domain::attempt::Purpose;
use doorward_oidc::params::Params;

use crate::ask::{self, Ask};
use crate::flow;
use crate::pages::{DeviceConfirm, DeviceDenied, DeviceDone, DeviceEntry, Problem};
use crate::reply::{Failure, Forms, Reply, failure_page};

/// GET asks for the code or shows what asks; POST takes the code or the answer.
pub(crate) async fn device(ask: Ask, request: Request) -> Reply {
    match handle(&ask, request).await {
        Ok(reply) => reply,
        Err(failure) => failure_page(&ask, &failure, None).await,
    }
}

async fn handle(ask: &Ask, request: Request) -> Result<Reply, Failure> {
    let visit = match flow::signed_in(ask).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(reply),
    };
    let posted = request.method() == Method::POST;
    let params = if posted {
        ask.same_site()?;
        ask::form(ask, request).await?
    } else {
        ask.query()?
    };
    if posted && params.get("attempt").is_some() {
        return decided(ask, &visit, &params).await;
    }
    let typed = params.get("user_code").or_else(|| params.get("code"));
    let typed = typed.unwrap_or_default();
    // An address only fills the field in: a wrong code counts against the person, and any site can lead them here.
    if posted && !typed.is_empty() {
        question(ask, &visit, typed).await
    } else {
        entry(ask, &visit, typed, None)
    }
}

fn entry(ask: &Ask, visit: &Visit, typed: &str, problem: Option<&Refused>) -> Result<Reply, Failure> {
    let code = problem
        .and_then(|refused| refused.code.as_ref())
        .map(ToString::to_string);
    let shown = problem.map(|refused| {
        let mut shown = Problem::refused(refused.reason);
        if let Some(seconds) = refused.retry_after {
            shown = shown.wait(u64::from(seconds));
        }
        match code.as_deref() {
            Some(code) => shown.code(code),
            None => shown,
        }
    });
    let view = DeviceEntry {
        user_code: typed,
        problem: shown,
    };
    let csrf = ask.app.doorward.csrf(&visit.session);
    let html = view
        .render(&ask.page(ask.language(visit.person.user.locale.as_deref()), &csrf, None))
        .map_err(Failure::Render)?;
    let status = match problem {
        None => StatusCode::OK,
        Some(refused) if refused.retry_after.is_some() => StatusCode::TOO_MANY_REQUESTS,
        Some(_) => StatusCode::BAD_REQUEST,
    };
    Ok(Reply::page(status, html, Forms::Here))
}

async fn question(ask: &Ask, visit: &Visit, typed: &str) -> Result<Reply, Failure> {
    let browser = ask.browser();
    let question = match ask
        .app
        .doorward
        .device_question(typed, visit, &browser.value, ask.origin())
        .await
    {
        Ok(question) => question,
        Err(Error::Refused(refused)) => {
            let refused = ask.coded(*refused).await;
            return entry(ask, visit, typed, Some(&refused));
        }
        Err(error) => return Err(error.into()),
    };
    let sealed = ask.app.doorward.seal_attempt(&question.attempt);
    let scopes = flow::scopes(&question);
    let view = DeviceConfirm {
        attempt: &sealed,
        person: flow::person(visit),
        application: flow::destination(&question.application),
        user_code: typed,
        scopes: &scopes,
    };
    let html = view
        .render(&ask.page(ask.language(visit.person.user.locale.as_deref()), "", None))
        .map_err(Failure::Render)?;
    Ok(browser.keep(&ask.app, Reply::page(StatusCode::OK, html, Forms::Here)))
}

async fn decided(ask: &Ask, visit: &Visit, form: &Params) -> Result<Reply, Failure> {
    let attempt = ask
        .open(form.get("attempt"), Purpose::Device, Some(visit.session.id))
        .map_err(Failure::reason)?;
    let answer = flow::consent::decision(form)?;
    let application = ask
        .app
        .doorward
        .answer_device(&attempt, answer, visit, ask.origin())
        .await?;
    let page = ask.page(ask.language(visit.person.user.locale.as_deref()), "", None);
    let application = flow::destination(&application);
    let html = match answer {
        Answer::Allow => DeviceDone { application }.render(&page),
        Answer::Deny => DeviceDenied { application }.render(&page),
    };
    Ok(Reply::page(
        StatusCode::OK,
        html.map_err(Failure::Render)?,
        Forms::Here,
    ))
}
