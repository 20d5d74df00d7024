//! Pages behind one-time links: the first administrator, and a lost one.

use axum::extract::{Path, Request};
use http::{Method, StatusCode};

use doorward_core::error::{Error, Refused};
use doorward_core::links;
use doorward_domain::Reason;
use doorward_domain::attempt::Purpose;
use doorward_oidc::params::Params;

use crate::ask::{self, Ask};
use crate::flow;
use crate::pages::{Link, Message, Problem, Recover, Setup, SetupDone};
use crate::reply::{Failure, Forms, Reply, failure_page};

/// What the set-up page tells to do next.
const NEXT_COMMAND: &str = "doorward application create grafana --name Grafana --redirect-uri https://grafana.example/login/generic_oauth --allow-group administrators";

/// `/setup/<token>`.
pub(crate) async fn setup(ask: Ask, Path(token): Path<String>, request: Request) -> Reply {
    let result = set_up(&ask, Some(&token), request).await;
    finish(&ask, result).await
}

/// `/if/flow/initial-setup/`: the same with a field for the code of the link.
pub(crate) async fn initial_setup(ask: Ask, request: Request) -> Reply {
    let result = set_up(&ask, None, request).await;
    finish(&ask, result).await
}

/// `/recover/<token>`.
pub(crate) async fn recover(ask: Ask, Path(token): Path<String>, request: Request) -> Reply {
    let result = recovered(&ask, &token, request).await;
    finish(&ask, result).await
}

async fn finish(ask: &Ask, result: Result<Reply, Failure>) -> Reply {
    match result {
        // Nothing of these pages may leave through a Referer header: the address holds the token.
        Ok(reply) => reply.header(http::header::REFERRER_POLICY, "same-origin"),
        Err(failure) => failure_page(ask, &failure, None).await,
    }
}

async fn set_up(ask: &Ask, token: Option<&str>, request: Request) -> Result<Reply, Failure> {
    if !ask.app.doorward.setup_is_open().await? {
        return Err(Failure::SetupClosed);
    }
    if let Some(token) = token
        && !ask.app.doorward.setup_token_works(token).await?
    {
        return Err(Failure::reason(Reason::LinkSpent));
    }
    if request.method() != Method::POST {
        let query = ask.query()?;
        let given = query.get("token").unwrap_or_default();
        let asked = if token.is_none() { Some(given) } else { None };
        return setup_page(ask, asked, &Params::from_pairs::<&str, &str>([]), None);
    }
    ask.same_site()?;
    let form = ask::form(ask, request).await?;
    let field = |name: &str| form.get(name).unwrap_or_default();
    let asked = if token.is_none() {
        Some(field("token"))
    } else {
        None
    };
    let opened = ask.open(form.get("attempt"), Purpose::Setup, None);
    if let Err(reason) = opened {
        return setup_page(ask, asked, &form, Some(&wrong(ask, Refused::bare(reason)).await));
    }
    if field("password") != field("password_confirm") {
        return setup_page(ask, asked, &form, Some(&Wrong::Different));
    }
    let typed = token.unwrap_or_else(|| field("token")).trim();
    // The whole link may have been pasted.
    let typed = typed.rsplit('/').next().unwrap_or(typed);
    let answers = links::Setup {
        token: typed,
        username: field("username"),
        name: field("name"),
        email: field("email"),
        password: field("password"),
    };
    match ask.app.doorward.set_up(answers, ask.origin()).await {
        Ok(issued) => {
            let enter = Link::local("/if/user/").ok_or(Failure::NotFound)?;
            let view = SetupDone {
                username: field("username"),
                enter,
                command: NEXT_COMMAND,
            };
            let html = view
                .render(&ask.page(ask.language(None), "", None))
                .map_err(Failure::Render)?;
            let reply = Reply::page(StatusCode::OK, html, Forms::Here);
            Ok(flow::with_session(ask, reply, &issued.token, &issued.session))
        }
        Err(Error::Invalid(problem)) => setup_page(ask, asked, &form, Some(&Wrong::Invalid(problem))),
        Err(Error::Refused(refused)) => setup_page(ask, asked, &form, Some(&wrong(ask, *refused).await)),
        Err(error) => Err(error.into()),
    }
}

enum Wrong {
    Refused(Reason, Option<String>),
    Different,
    Invalid(String),
}

/// A refusal with its code.
async fn wrong(ask: &Ask, refused: Refused) -> Wrong {
    let refused = ask.coded(refused).await;
    Wrong::Refused(refused.reason, refused.code.as_ref().map(ToString::to_string))
}

/// The sentence above the fields, and the field it is about.
fn complain(wrong: Option<&Wrong>) -> (Option<Problem<'_>>, Vec<(&'static str, Message<'_>)>) {
    match wrong {
        None => (None, Vec::new()),
        Some(Wrong::Refused(reason, code)) => {
            let problem = Problem::refused(*reason);
            let problem = match code {
                Some(code) => problem.code(code),
                None => problem,
            };
            (Some(problem), Vec::new())
        }
        Some(Wrong::Different) => (
            Some(Problem::new(Message::new("form-problem"))),
            vec![("password_confirm", Message::new("password-differs"))],
        ),
        Some(Wrong::Invalid(problem)) => {
            let fields = ["username", "email", "name", "password"];
            let field = fields.into_iter().find(|field| problem.starts_with(field));
            let message = Message::new("field-problem").with("problem", problem);
            match field {
                Some(field) => (
                    Some(Problem::new(Message::new("form-problem"))),
                    vec![(field, message)],
                ),
                None => (Some(Problem::new(message)), Vec::new()),
            }
        }
    }
}

fn status_for(wrong: Option<&Wrong>) -> StatusCode {
    match wrong {
        None => StatusCode::OK,
        Some(Wrong::Refused(Reason::LinkSpent, _)) => StatusCode::FORBIDDEN,
        Some(_) => StatusCode::BAD_REQUEST,
    }
}

fn setup_page(
    ask: &Ask,
    token: Option<&str>,
    form: &Params,
    wrong: Option<&Wrong>,
) -> Result<Reply, Failure> {
    let browser = ask.browser();
    let attempt = ask
        .app
        .doorward
        .new_attempt(Purpose::Setup, &browser.value, None, String::new());
    let sealed = ask.app.doorward.seal_attempt(&attempt);
    let (problem, field_problems) = complain(wrong);
    let view = Setup {
        attempt: &sealed,
        token,
        username: form.get("username").unwrap_or_default(),
        name: form.get("name").unwrap_or_default(),
        email: form.get("email").unwrap_or_default(),
        problem,
        field_problems: &field_problems,
    };
    let html = view
        .render(&ask.page(ask.language(None), "", None))
        .map_err(Failure::Render)?;
    let reply = Reply::page(status_for(wrong), html, Forms::Here);
    Ok(ask.keep_language(browser.keep(&ask.app, reply)))
}

async fn recovered(ask: &Ask, token: &str, request: Request) -> Result<Reply, Failure> {
    if !ask.app.doorward.recover_token_works(token).await? {
        return Err(Failure::Core(Error::Refused(Box::new(Refused::bare(
            Reason::LinkSpent,
        )))));
    }
    if request.method() != Method::POST {
        return recover_page(ask, None);
    }
    ask.same_site()?;
    let form = ask::form(ask, request).await?;
    let field = |name: &str| form.get(name).unwrap_or_default();
    let opened = ask.open(form.get("attempt"), Purpose::Recover, None);
    if let Err(reason) = opened {
        return recover_page(ask, Some(&wrong(ask, Refused::bare(reason)).await));
    }
    if field("password") != field("password_confirm") {
        return recover_page(ask, Some(&Wrong::Different));
    }
    match ask
        .app
        .doorward
        .recover(token, field("password"), ask.origin())
        .await
    {
        Ok(issued) => Ok(flow::with_session(
            ask,
            Reply::see("/if/user/"),
            &issued.token,
            &issued.session,
        )),
        Err(Error::Invalid(problem)) => recover_page(ask, Some(&Wrong::Invalid(problem))),
        Err(Error::Refused(refused)) => recover_page(ask, Some(&wrong(ask, *refused).await)),
        Err(error) => Err(error.into()),
    }
}

fn recover_page(ask: &Ask, wrong: Option<&Wrong>) -> Result<Reply, Failure> {
    let browser = ask.browser();
    let attempt = ask
        .app
        .doorward
        .new_attempt(Purpose::Recover, &browser.value, None, String::new());
    let sealed = ask.app.doorward.seal_attempt(&attempt);
    let (problem, field_problems) = complain(wrong);
    let view = Recover {
        attempt: &sealed,
        username: "",
        problem,
        field_problems: &field_problems,
    };
    let html = view
        .render(&ask.page(ask.language(None), "", None))
        .map_err(Failure::Render)?;
    Ok(browser.keep(&ask.app, Reply::page(status_for(wrong), html, Forms::Here)))
}
