//! The sign-in page.

use axum::extract::Request;
use http::{Method, StatusCode};

use doorward_core::error::{Error, Fault, Refused};
use doorward_core::sessions::Visit;
use doorward_core::sign_in::{SignIn as Answered, SignedIn};
use doorward_core::{Doorward, Origin};
use doorward_domain::Reason;
use doorward_domain::attempt::{self, Purpose};
use doorward_oidc::params::Params;
use std::sync::Arc;

use crate::ask::{self, Ask};
use crate::cookies::Name;
use crate::flow::{self, PORTAL};
use crate::pages::{Problem, SignIn};
use crate::reply::{Failure, Forms, Reply, failure_page};

struct Form<'a> {
    next: &'a str,
    username: &'a str,
    problem: Option<Refused>,
}

/// An answered page with everything it needs, independent of the connection that it came over.
struct Answer {
    doorward: Doorward,
    username: String,
    password: String,
    known: Option<String>,
    visit: Option<Arc<Visit>>,
    origin: Origin,
}

impl Answer {
    async fn give(self) -> Result<SignedIn, Error> {
        let answered = Answered {
            identifier: &self.username,
            password: &self.password,
            known: self.known.as_deref(),
            previous: self.visit.as_ref().map(|visit| &visit.session),
            origin: &self.origin,
        };
        self.doorward.sign_in(answered).await
    }
}

/// GET shows the page, POST answers it.
pub(crate) async fn sign_in(ask: Ask, request: Request) -> Reply {
    let result = if request.method() == Method::POST {
        answer(&ask, request).await
    } else {
        show(&ask).await
    };
    match result {
        Ok(reply) => reply,
        Err(failure) => failure_page(&ask, &failure, None).await,
    }
}

async fn show(ask: &Ask) -> Result<Reply, Failure> {
    // Nobody types a password into a page that cannot take it.
    ask.app.doorward.store()?;
    let query = ask.query()?;
    let next = query
        .get("next")
        .filter(|next| attempt::is_local(next))
        .unwrap_or(PORTAL);
    let again = query.get("again").is_some();
    let visit = ask.visit().await?;
    if visit.is_some() && !again {
        return Ok(Reply::see(next));
    }
    let username = visit
        .map(|visit| visit.person.user.username.clone())
        .unwrap_or_default();
    page(
        ask,
        &Form {
            next,
            username: &username,
            problem: None,
        },
    )
    .await
}

async fn page(ask: &Ask, form: &Form<'_>) -> Result<Reply, Failure> {
    let destination = ask.app.doorward.destination(form.next).await;
    let browser = ask.browser();
    let attempt = ask
        .app
        .doorward
        .new_attempt(Purpose::SignIn, &browser.value, None, form.next.to_owned());
    let sealed = ask.app.doorward.seal_attempt(&attempt);
    let wished = destination.ui_locales.join(" ");
    let language = ask.language(Some(wished.as_str()).filter(|wished| !wished.is_empty()));
    let code = form
        .problem
        .as_ref()
        .and_then(|refused| refused.code.as_ref())
        .map(ToString::to_string);
    let problem = form.problem.as_ref().map(|refused| {
        let mut problem = Problem::refused(refused.reason);
        if let Some(seconds) = refused.retry_after {
            problem = problem.wait(u64::from(seconds));
        }
        match code.as_deref() {
            Some(code) => problem.code(code),
            None => problem,
        }
    });
    let hint = destination.login_hint.as_deref().unwrap_or_default();
    let view = SignIn {
        attempt: &sealed,
        username: if form.username.is_empty() {
            hint
        } else {
            form.username
        },
        destination: destination.application.as_deref().map(flow::destination),
        problem,
        notice: None,
    };
    let html = view
        .render(&ask.page(language, "", None))
        .map_err(Failure::Render)?;
    let status = match form.problem.as_ref().map(|refused| refused.reason) {
        None => StatusCode::OK,
        Some(Reason::AccountThrottled | Reason::NetworkThrottled) => StatusCode::TOO_MANY_REQUESTS,
        Some(Reason::Busy) => StatusCode::SERVICE_UNAVAILABLE,
        Some(Reason::WrongCredentials) => StatusCode::UNAUTHORIZED,
        Some(Reason::UserInactive | Reason::ServiceUser) => StatusCode::FORBIDDEN,
        Some(_) => StatusCode::BAD_REQUEST,
    };
    let mut reply = Reply::page(status, html, Forms::Onwards);
    if let Some(seconds) = form.problem.as_ref().and_then(|refused| refused.retry_after) {
        reply = reply.header(http::header::RETRY_AFTER, &seconds.to_string());
    }
    Ok(ask.keep_language(browser.keep(&ask.app, reply)))
}

async fn answer(ask: &Ask, request: Request) -> Result<Reply, Failure> {
    ask.same_site()?;
    let form = ask::form(ask, request).await?;
    let username = form.get("username").unwrap_or_default();
    let password = form.get("password").unwrap_or_default();
    let query = ask.query()?;
    let fallback = query
        .get("next")
        .filter(|next| attempt::is_local(next))
        .unwrap_or(PORTAL)
        .to_owned();
    let attempt = match ask.open(form.get("attempt"), Purpose::SignIn, None) {
        Ok(attempt) => attempt,
        Err(reason) => {
            // The page is shown afresh with what was typed; nothing was looked at.
            let problem = Some(ask.coded(Refused::bare(reason)).await);
            return page(
                ask,
                &Form {
                    next: &fallback,
                    username,
                    problem,
                },
            )
            .await;
        }
    };
    let visit = ask.visit().await?;
    let answer = Answer {
        doorward: ask.app.doorward.clone(),
        username: username.to_owned(),
        password: password.to_owned(),
        known: ask.cookie(Name::Known),
        visit,
        origin: ask.origin().clone(),
    };
    // On its own, so that hanging up in the middle does not save a guess from being counted.
    let done = tokio::spawn(answer.give()).await;
    let done = done.map_err(|ended| Error::Fault(Fault::caused("a sign-in was interrupted", ended)))?;
    match done {
        Ok(done) => {
            let next = if attempt::is_local(&attempt.next) {
                attempt.next.as_str()
            } else {
                PORTAL
            };
            let reply = flow::with_session(ask, Reply::see(next), &done.token, &done.session);
            Ok(reply.cookie(&ask.app, Name::Known, &done.known, 31_536_000))
        }
        Err(Error::Refused(refused)) => {
            page(
                ask,
                &Form {
                    next: &attempt.next,
                    username,
                    problem: Some(ask.coded(*refused).await),
                },
            )
            .await
        }
        Err(error) => Err(error.into()),
    }
}

/// Other names of the page, as authentik has them.
pub(crate) async fn alias(ask: Ask) -> Reply {
    let params = ask
        .query()
        .unwrap_or_else(|_| Params::from_pairs::<&str, &str>([]));
    let query = params.to_query();
    let mark = if query.is_empty() { "" } else { "?" };
    Reply::see(&format!("{}{mark}{query}", doorward_core::authorize::SIGN_IN))
}
