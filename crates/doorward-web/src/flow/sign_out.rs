//! Signing out: from the portal, and on a client's request (RP-initiated logout).

use axum::extract::{Path, Request};
use http::{Method, StatusCode};

use doorward_core::logout::Outcome;
use doorward_domain::Reason;
use doorward_domain::application::Application;
use doorward_domain::attempt::Purpose;
use doorward_oidc::params::Params;

use crate::ask::{self, Ask};
use crate::cookies::Name;
use crate::flow;
use crate::oidc;
use crate::pages::{FrontChannelLogout, Link, SignOut, SignedOut};
use crate::reply::{Failure, Forms, Reply, failure_page};

/// `/if/flow/sign-out/`: GET asks, POST signs out.
pub(crate) async fn sign_out(ask: Ask, request: Request) -> Reply {
    match handle(&ask, request).await {
        Ok(reply) => reply,
        Err(failure) => failure_page(&ask, &failure, None).await,
    }
}

async fn handle(ask: &Ask, request: Request) -> Result<Reply, Failure> {
    let visit = ask.visit().await?;
    if request.method() != Method::POST {
        return match visit {
            None => done(ask, &[], None, None),
            Some(visit) => {
                let csrf = ask.app.doorward.csrf(&visit.session);
                let view = SignOut {
                    application: None,
                    hidden: &[],
                    stay: Link::local("/if/user/"),
                };
                let page = ask.page(ask.language(None), &csrf, None);
                Ok(Reply::page(
                    StatusCode::OK,
                    view.render(&page).map_err(Failure::Render)?,
                    Forms::Here,
                ))
            }
        };
    }
    ask.same_site()?;
    let form = ask::form(ask, request).await?;
    if let Some(sealed) = form.get("attempt") {
        let session = visit.as_ref().map(|visit| visit.session.id);
        let attempt = ask
            .open(Some(sealed), Purpose::SignOut, session)
            .map_err(Failure::reason)?;
        let outcome = ask
            .app
            .doorward
            .end_session_confirmed(&attempt, visit.as_deref(), ask.origin())
            .await?;
        return show(ask, outcome).await;
    }
    let Some(visit) = visit else {
        return done(ask, &[], None, None);
    };
    if !ask
        .app
        .doorward
        .csrf_fits(&visit.session, form.get("csrf").unwrap_or_default())
    {
        return Err(Failure::reason(Reason::ForeignOrigin));
    }
    let frames = ask.app.doorward.frames(visit.session.id).await?;
    ask.app.doorward.sign_out(&visit, ask.origin()).await?;
    done(ask, &frames, None, None)
}

/// `/application/o/<slug>/end-session/`.
pub(crate) async fn end_session_of(ask: Ask, Path(slug): Path<String>, request: Request) -> Reply {
    end_session(ask, Some(slug), request).await
}

/// `/application/o/end-session/`, for the global issuer.
pub(crate) async fn end_session_global(ask: Ask, request: Request) -> Reply {
    end_session(ask, None, request).await
}

async fn end_session(ask: Ask, slug: Option<String>, request: Request) -> Reply {
    let result = async {
        let posted = request.method() == Method::POST;
        let params = if posted {
            ask::form(&ask, request).await?
        } else {
            ask.query()?
        };
        // A form from another site comes without our SameSite cookie; as a GET it comes with it.
        if posted && ask.cookie(Name::Session).is_none() {
            let query = params.to_query();
            if query.len() <= oidc::LONGEST_QUERY {
                return Ok(Reply::see(&format!("{}?{query}", ask.uri.path())));
            }
        }
        ask.wish(params.get("ui_locales"));
        ended(&ask, slug.as_deref(), &params).await
    };
    match result.await {
        Ok(reply) => reply,
        Err(failure) => failure_page(&ask, &failure, None).await,
    }
}

async fn ended(ask: &Ask, slug: Option<&str>, params: &Params) -> Result<Reply, Failure> {
    let visit = ask.visit().await?;
    let browser = ask.browser();
    let outcome = ask
        .app
        .doorward
        .end_session(slug, params, visit.as_deref(), &browser.value, ask.origin())
        .await?;
    Ok(browser.keep(&ask.app, show(ask, outcome).await?))
}

async fn show(ask: &Ask, outcome: Outcome) -> Result<Reply, Failure> {
    match outcome {
        Outcome::Refused(refused) => Err(Failure::Core(doorward_core::Error::Refused(refused))),
        Outcome::Done {
            frames,
            redirect,
            application,
        } => done(ask, &frames, redirect.as_deref(), application.as_deref()),
        Outcome::Confirm { attempt, application } => {
            let sealed = ask.app.doorward.seal_attempt(&attempt);
            let view = SignOut {
                application: application.as_deref().map(flow::destination),
                hidden: &[("attempt", &sealed)],
                stay: Link::local("/if/user/"),
            };
            let html = view
                .render(&ask.page(ask.language(None), "", None))
                .map_err(Failure::Render)?;
            Ok(Reply::page(StatusCode::OK, html, Forms::Onwards))
        }
    }
}

/// Signed out: tell the frames, go where the client wants, or say so. A cookie that came goes.
fn done(
    ask: &Ask,
    frames: &[String],
    redirect: Option<&str>,
    application: Option<&Application>,
) -> Result<Reply, Failure> {
    let page = ask.page(ask.language(None), "", None);
    let launch = application.and_then(|application| application.launch_url.as_deref());
    let reply = if frames.is_empty() {
        match redirect {
            Some(redirect) => Reply::see(redirect),
            None => {
                let view = SignedOut {
                    back: launch.and_then(Link::web),
                    application: application.map(|application| application.name.as_str()),
                    sign_in: Link::local(doorward_core::authorize::SIGN_IN),
                };
                Reply::page(
                    StatusCode::OK,
                    view.render(&page).map_err(Failure::Render)?,
                    Forms::Here,
                )
            }
        }
    } else {
        let links: Vec<Link<'_>> = frames.iter().filter_map(|frame| Link::web(frame)).collect();
        let next = redirect
            .and_then(Link::client)
            .or_else(|| Link::local("/if/flow/sign-out/"));
        let view = FrontChannelLogout {
            frames: &links,
            next: next.ok_or(Failure::NotFound)?,
        };
        let html = view.render(&page).map_err(Failure::Render)?;
        let sources: Vec<String> = frames.iter().filter_map(|frame| origin_of(frame)).collect();
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; frame-src {}",
            sources.join(" ")
        );
        Reply::policed(StatusCode::OK, html, &policy)
    };
    Ok(match ask.cookie(Name::Session) {
        Some(_) => reply.cookie(&ask.app, Name::Session, "", 0),
        None => reply,
    })
}

pub(crate) fn origin_of(url: &str) -> Option<String> {
    let origin = url::Url::parse(url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}
