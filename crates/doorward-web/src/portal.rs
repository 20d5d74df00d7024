//! The portal: what signed-in people see of themselves.

mod app_passwords;

use axum::extract::Request;
use http::{Method, StatusCode};
use std::collections::BTreeMap;
use std::sync::Arc;

use doorward_core::error::Error;
use doorward_core::sessions::{Visit, Which};
use doorward_domain::application::Application;
use doorward_domain::site::{HostPattern, Site};
use doorward_domain::{ApplicationId, EventId, Reason, SessionId};
use doorward_oidc::params::Params;

use crate::ask::{self, Ask};
use crate::cookies::Name;
use crate::flow;
use crate::locale::Language;
use crate::pages::{
    self, Activity, ActivityItem, ConnectedApplication, DeviceName, Grants, Link, Message, Password, Person,
    Portal, Problem, Profile, Scope, SessionItem, Sessions, Tile, TileGroup,
};
use crate::reply::{Failure, Forms, Reply, failure_page};

/// Events on one page of the activity list.
const PAGE: u32 = 50;

use app_passwords::page as app_passwords_page;

async fn finish(ask: &Ask, result: Result<Reply, Failure>) -> Reply {
    match result {
        Ok(reply) => ask.keep_language(reply),
        Err(failure) => failure_page(ask, &failure, None).await,
    }
}

/// The visitor and, for a POST, the form whose token was checked.
async fn enter(ask: &Ask, request: Request) -> Result<Result<(Arc<Visit>, Option<Params>), Reply>, Failure> {
    let posted = request.method() == Method::POST;
    let visit = match flow::signed_in(ask).await? {
        Ok(visit) => visit,
        Err(reply) => return Ok(Err(reply)),
    };
    if !posted {
        return Ok(Ok((visit, None)));
    }
    ask.same_site()?;
    let form = ask::form(ask, request).await?;
    if !ask
        .app
        .doorward
        .csrf_fits(&visit.session, form.get("csrf").unwrap_or_default())
    {
        return Err(Failure::reason(Reason::ForeignOrigin));
    }
    Ok(Ok((visit, Some(form))))
}

/// Renders a view for a visitor.
fn show(
    ask: &Ask,
    visit: &Visit,
    status: StatusCode,
    render: impl FnOnce(&pages::Page<'_>) -> Result<String, askama::Error>,
) -> Result<Reply, Failure> {
    let csrf = ask.app.doorward.csrf(&visit.session);
    let language = ask.language(visit.person.user.locale.as_deref());
    let page = ask.page(language, &csrf, Some(&visit.person.user.name));
    Ok(Reply::page(
        status,
        render(&page).map_err(Failure::Render)?,
        Forms::Here,
    ))
}

macro_rules! handler {
    ($(#[$doc:meta])* $name:ident => $inner:ident) => {
        $(#[$doc])*
        pub(crate) async fn $name(ask: Ask, request: Request) -> Reply {
            let result = match enter(&ask, request).await {
                Ok(Ok((visit, form))) => $inner(&ask, &visit, form.as_ref()).await,
                Ok(Err(reply)) => Ok(reply),
                Err(failure) => Err(failure),
            };
            finish(&ask, result).await
        }
    };
}

handler! {
    /// Tiles of the applications that the visitor may enter.
    tiles => tiles_page
}
handler! {
    /// Facts about the visitor.
    profile => profile_page
}
handler! {
    /// Changing the password.
    password => password_page
}
handler! {
    /// App passwords.
    app_passwords => app_passwords_page
}
handler! {
    /// Signed-in browsers.
    sessions => sessions_page
}
handler! {
    /// Connected applications.
    grants => grants_page
}
handler! {
    /// Own events.
    activity => activity_page
}

async fn tiles_page(ask: &Ask, visit: &Visit, _form: Option<&Params>) -> Result<Reply, Failure> {
    let query = ask.query()?;
    let wanted = query.get("q").unwrap_or_default();
    let needle = doorward_domain::text::fold(wanted);
    let all = ask.app.doorward.tiles(visit);
    let launches: Vec<Option<String>> = all.iter().map(|application| launch_url(application)).collect();
    let mut groups: BTreeMap<&str, Vec<Tile<'_>>> = BTreeMap::new();
    let mut total = 0;
    for (application, launch) in all.iter().zip(&launches) {
        let Some(launch) = launch.as_deref().and_then(Link::web) else {
            continue;
        };
        total += 1;
        let fits = doorward_domain::text::fold(&application.name).contains(&needle)
            || doorward_domain::text::fold(&application.description).contains(&needle);
        if !fits {
            continue;
        }
        groups
            .entry(application.heading.as_deref().unwrap_or_default())
            .or_default()
            .push(Tile {
                name: &application.name,
                description: &application.description,
                icon: application.icon_url.as_deref().and_then(Link::web),
                launch,
            });
    }
    let groups = groups
        .into_iter()
        .map(|(heading, tiles)| TileGroup { heading, tiles })
        .collect();
    let view = Portal {
        groups,
        query: wanted,
        total,
    };
    show(ask, visit, StatusCode::OK, |page| view.render(page))
}

/// Where a tile leads: as configured, or else to the first guarded site with a host of its own, or to the site of the first redirect URI.
fn launch_url(application: &Application) -> Option<String> {
    if let Some(url) = &application.launch_url {
        return Some(url.clone());
    }
    let of_one_host = |site: &&Site| matches!(site.address.host, HostPattern::Exact(_));
    if let Some(site) = application.sites.iter().find(of_one_host) {
        return Some(site.address.to_string());
    }
    let redirect = application
        .client
        .as_ref()?
        .redirect_uris
        .iter()
        .find(|uri| !uri.contains('*'))?;
    let origin = url::Url::parse(redirect).ok()?.origin();
    origin
        .is_tuple()
        .then(|| format!("{}/", origin.ascii_serialization()))
}

async fn profile_page(ask: &Ask, visit: &Visit, form: Option<&Params>) -> Result<Reply, Failure> {
    let mut problem_text = None;
    let mut saved = ask.query()?.get("saved").is_some();
    if let Some(form) = form {
        let locale = form.get("locale").filter(|tag| Language::from_tag(tag).is_some());
        let name = form.get("name").unwrap_or_default();
        match ask
            .app
            .doorward
            .change_profile(visit, name, locale, ask.origin())
            .await
        {
            Ok(()) => return Ok(Reply::see("/if/user/profile/?saved=1")),
            Err(Error::Invalid(problem)) => problem_text = Some(problem),
            Err(error) => return Err(error.into()),
        }
        saved = false;
    }
    let user = &visit.person.user;
    let problem = problem_text
        .as_deref()
        .map(|text| Problem::new(Message::new("field-problem").with("problem", text)));
    let status = if problem.is_some() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    let view = Profile {
        person: Person {
            name: &user.name,
            username: &user.username,
        },
        email: user.email.as_deref(),
        email_verified: user.email_verified_at.is_some(),
        locale: user.locale.as_deref().unwrap_or_default(),
        problem,
        notice: saved.then(|| Message::new("profile-saved")),
    };
    show(ask, visit, status, |page| view.render(page))
}

async fn password_page(ask: &Ask, visit: &Visit, form: Option<&Params>) -> Result<Reply, Failure> {
    let mut status = StatusCode::OK;
    let mut invalid = None;
    let mut differs = false;
    let mut refused = None;
    if let Some(form) = form {
        let field = |name: &str| form.get(name).unwrap_or_default();
        if field("password") == field("password_confirm") {
            let (current, new) = (field("current_password"), field("password"));
            match ask
                .app
                .doorward
                .change_password(visit, current, new, ask.origin())
                .await
            {
                Ok(()) => return Ok(Reply::see("/if/user/password/?saved=1")),
                Err(Error::Invalid(problem)) => invalid = Some(problem),
                Err(Error::Refused(no)) => refused = Some(ask.coded(*no).await),
                Err(error) => return Err(error.into()),
            }
        } else {
            differs = true;
        }
        status = match &refused {
            Some(no) if no.retry_after.is_some() => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::BAD_REQUEST,
        };
    }
    let code = refused
        .as_ref()
        .and_then(|no| no.code.as_ref())
        .map(ToString::to_string);
    let mut fields = Vec::new();
    let mut problem = None;
    if differs {
        fields.push(("password_confirm", Message::new("password-differs")));
        problem = Some(Problem::new(Message::new("form-problem")));
    } else if let Some(text) = &invalid {
        fields.push(("password", Message::new("field-problem").with("problem", text)));
        problem = Some(Problem::new(Message::new("form-problem")));
    } else if let Some(no) = &refused {
        let mut shown = match no.reason {
            Reason::WrongCredentials => Problem::new(Message::new("password-current-wrong")),
            reason => Problem::refused(reason),
        };
        if let Some(seconds) = no.retry_after {
            shown = shown.wait(u64::from(seconds));
        }
        problem = Some(match code.as_deref() {
            Some(code) => shown.code(code),
            None => shown,
        });
    }
    let saved = form.is_none() && ask.query()?.get("saved").is_some();
    let view = Password {
        username: &visit.person.user.username,
        problem,
        field_problems: &fields,
        notice: saved.then(|| Message::new("password-saved")),
    };
    show(ask, visit, status, |page| view.render(page))
}

async fn sessions_page(ask: &Ask, visit: &Visit, form: Option<&Params>) -> Result<Reply, Failure> {
    let user = visit.person.user.id;
    if let Some(form) = form {
        let which = match form.get("session") {
            Some("all") => Which::All,
            Some(id) => {
                let id = id.parse::<SessionId>();
                Which::One(id.map_err(|_| Failure::Parameters("session is not an id".into()))?)
            }
            None => {
                return Err(Failure::Parameters(
                    "session is missing; expected an id or all".into(),
                ));
            }
        };
        ask.app.doorward.end_sessions(user, which, ask.origin()).await?;
        let gone = which == Which::All || which == Which::One(visit.session.id);
        if gone {
            return Ok(Reply::see("/if/flow/sign-out/").cookie(&ask.app, Name::Session, "", 0));
        }
        return Ok(Reply::see("/if/user/sessions/?ended=1"));
    }
    let list = ask.app.doorward.sessions_of(user).await?;
    let ids: Vec<String> = list.iter().map(|session| session.id.to_string()).collect();
    let items: Vec<SessionItem<'_>> = list
        .iter()
        .zip(&ids)
        .map(|(session, id)| SessionItem {
            id,
            device: DeviceName::read(session.user_agent.as_deref().unwrap_or_default()),
            address: session.ip.as_deref(),
            since: session.created_at,
            last_seen: session.last_seen_at,
            current: session.id == visit.session.id,
        })
        .collect();
    let ended = ask.query()?.get("ended").is_some();
    let view = Sessions {
        sessions: &items,
        notice: ended.then(|| Message::new("session-ended")),
    };
    show(ask, visit, StatusCode::OK, |page| view.render(page))
}

async fn grants_page(ask: &Ask, visit: &Visit, form: Option<&Params>) -> Result<Reply, Failure> {
    let user = visit.person.user.id;
    if let Some(form) = form {
        let id = form.get("grant").and_then(|id| id.parse::<ApplicationId>().ok());
        let id = id.ok_or_else(|| Failure::Parameters("grant is missing or not an id".into()))?;
        ask.app.doorward.revoke_grant(user, id, ask.origin()).await?;
        return Ok(Reply::see("/if/user/grants/?revoked=1"));
    }
    let grants = ask.app.doorward.grants_of(user).await?;
    let directory = ask.app.doorward.directory();
    let scopes: Vec<Vec<Scope<'_>>> = grants
        .iter()
        .map(|(grant, _)| {
            let describe = |name: &String| {
                directory
                    .scopes
                    .get(name)
                    .map_or("", |scope| scope.description.as_str())
            };
            grant
                .scopes
                .iter()
                .map(|name| Scope {
                    name,
                    description: describe(name),
                })
                .collect()
        })
        .collect();
    let ids: Vec<String> = grants
        .iter()
        .map(|(grant, _)| grant.application_id.to_string())
        .collect();
    let items: Vec<ConnectedApplication<'_>> = grants
        .iter()
        .zip(&scopes)
        .zip(&ids)
        .map(|(((grant, application), scopes), id)| ConnectedApplication {
            id,
            application: flow::destination(application),
            scopes,
            since: grant.created_at,
            expires: grant.expires_at,
        })
        .collect();
    let revoked = ask.query()?.get("revoked").is_some();
    let view = Grants {
        grants: &items,
        notice: revoked.then(|| Message::new("grant-revoked")),
    };
    show(ask, visit, StatusCode::OK, |page| view.render(page))
}

async fn activity_page(ask: &Ask, visit: &Visit, _form: Option<&Params>) -> Result<Reply, Failure> {
    let query = ask.query()?;
    let after = query.get("after").and_then(|id| id.parse::<EventId>().ok());
    let events = ask
        .app
        .doorward
        .activity(visit.person.user.id, after, PAGE + 1)
        .await?;
    let directory = ask.app.doorward.directory();
    let shown = events.iter().take(PAGE as usize);
    let names: Vec<Option<String>> = shown
        .clone()
        .map(|event| {
            event
                .application_id
                .and_then(|id| directory.application(id))
                .map(|a| a.name.clone())
        })
        .collect();
    let items: Vec<ActivityItem<'_>> = shown
        .zip(&names)
        .map(|(event, name)| ActivityItem {
            kind: event.kind,
            reason: event.reason,
            code: event.code.as_ref().map(doorward_domain::Code::as_str),
            application: name.as_deref(),
            at: event.at,
            device: None,
            address: event.ip.as_deref(),
        })
        .collect();
    let more = events.len() > PAGE as usize;
    let last = events
        .get(PAGE as usize - 1)
        .map(|event| format!("/if/user/activity/?after={}", event.id));
    let view = Activity {
        items: &items,
        older: last.as_deref().filter(|_| more).and_then(Link::local),
        newest: after.and(Link::local("/if/user/activity/")),
    };
    show(ask, visit, StatusCode::OK, |page| view.render(page))
}
