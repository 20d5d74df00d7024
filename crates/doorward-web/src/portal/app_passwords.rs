//! App passwords of the visitor: the list, revoking, and making one. The secret is on the answer to the POST, nowhere else.

use http::StatusCode;

use doorward_core::app_passwords::{By, NewAppPassword};
use doorward_core::error::{Error, Refused};
use doorward_core::sessions::Visit;
use doorward_domain::app_password::{MOST, Reach};
use doorward_domain::{AppPasswordId, ApplicationId, Lifetime, Reason};
use doorward_oidc::params::Params;

use super::show;
use crate::ask::Ask;
use crate::pages::{
    AppPasswordChoice, AppPasswordItem, AppPasswords, EXPIRES_DAYS, MadeSecret, Message, Problem, Where,
};
use crate::reply::{Failure, Reply};

const PAGE: &str = "/if/user/app-passwords/";
/// What is proposed at first.
const DAYS: u32 = 90;

/// What was typed and chosen.
struct Wish {
    name: String,
    place: Where,
    applications: Vec<ApplicationId>,
    days: Option<u32>,
}

impl Wish {
    fn fresh() -> Self {
        Self {
            name: String::new(),
            place: Where::Open,
            applications: Vec::new(),
            days: Some(DAYS),
        }
    }

    fn read(form: &Params) -> Result<Self, Failure> {
        let place = match form.get("where") {
            Some("every") => Where::Every,
            Some("some") => Where::Some,
            _ => Where::Open,
        };
        let mut applications = Vec::new();
        for id in form.all("application") {
            let id = id.parse::<ApplicationId>();
            applications.push(id.map_err(|_| Failure::Parameters("application is not an id".into()))?);
        }
        let expected = || Failure::Parameters("expires is not one of the choices".into());
        let days = match form.get("expires") {
            Some("never") => None,
            Some(days) => {
                let known = EXPIRES_DAYS.into_iter().find(|known| known.to_string() == days);
                Some(known.ok_or_else(expected)?)
            }
            None => return Err(expected()),
        };
        Ok(Self {
            name: form.get("name").unwrap_or_default().trim().to_owned(),
            place,
            applications,
            days,
        })
    }

    /// What is to be made; `None` when it is not said where it is to work.
    fn wanted(&self) -> Option<NewAppPassword> {
        let reach = match self.place {
            Where::Every => Reach::EverySite,
            Where::Some if !self.applications.is_empty() => {
                Reach::Applications(self.applications.iter().copied().collect())
            }
            Where::Open | Where::Some => return None,
        };
        Some(NewAppPassword {
            name: self.name.clone(),
            reach,
            lifetime: self.days.map(Lifetime::from_days),
        })
    }
}

/// How making one went.
enum Outcome {
    Asked,
    Made { name: String, secret: String },
    NoPlace,
    Invalid(String),
    Refused(Refused),
}

pub(super) async fn page(ask: &Ask, visit: &Visit, form: Option<&Params>) -> Result<Reply, Failure> {
    let doorward = &ask.app.doorward;
    let user = visit.person.user.id;
    let mut wish = Wish::fresh();
    let mut outcome = Outcome::Asked;
    if let Some(form) = form {
        if let Some(id) = form.get("revoke") {
            let id = id.parse::<AppPasswordId>();
            let id = id.map_err(|_| Failure::Parameters("revoke is not an id".into()))?;
            return match doorward
                .revoke_app_password(user, id, By::Owner, ask.origin())
                .await
            {
                Ok(()) => Ok(Reply::see("/if/user/app-passwords/?revoked=1")),
                // Revoked in another tab: the list shows what there is.
                Err(Error::NotFound(_)) => Ok(Reply::see(PAGE)),
                Err(error) => Err(error.into()),
            };
        }
        wish = Wish::read(form)?;
        outcome = make(
            ask,
            visit,
            &wish,
            form.get("current_password").unwrap_or_default(),
        )
        .await?;
        if matches!(outcome, Outcome::Made { .. }) {
            wish = Wish::fresh();
        }
    }
    render(ask, visit, &wish, &outcome).await
}

async fn make(ask: &Ask, visit: &Visit, wish: &Wish, current: &str) -> Result<Outcome, Failure> {
    let Some(new) = wish.wanted() else {
        return Ok(Outcome::NoPlace);
    };
    let made = ask
        .app
        .doorward
        .create_own_app_password(visit, current, &new, ask.origin())
        .await;
    match made {
        Ok(made) => Ok(Outcome::Made {
            name: made.password.name,
            secret: made.secret.expose().to_owned(),
        }),
        Err(Error::Invalid(problem)) => Ok(Outcome::Invalid(problem)),
        Err(Error::Refused(no)) => Ok(Outcome::Refused(ask.coded(*no).await)),
        Err(error) => Err(error.into()),
    }
}

async fn render(ask: &Ask, visit: &Visit, wish: &Wish, outcome: &Outcome) -> Result<Reply, Failure> {
    let doorward = &ask.app.doorward;
    let now = doorward.now();
    let directory = doorward.directory();
    let all = doorward.app_passwords_of(visit.person.user.id).await?;
    let names: Vec<(String, Option<String>)> = all
        .iter()
        .map(|one| {
            let named = one.reach.named().map(|named| {
                let known = named.iter().filter_map(|id| directory.application(*id));
                let names: Vec<&str> = known.map(|application| application.name.as_str()).collect();
                // Those that are deleted have no name here.
                if names.is_empty() {
                    "–".to_owned()
                } else {
                    names.join(", ")
                }
            });
            (one.id.to_string(), named)
        })
        .collect();
    let items: Vec<AppPasswordItem<'_>> = all
        .iter()
        .zip(&names)
        .map(|(one, (id, named))| AppPasswordItem {
            id,
            name: &one.name,
            applications: named.as_deref(),
            since: one.created_at,
            used: one.last_used_at,
            expires: one.expires_at,
            over: !one.is_live(now),
        })
        .collect();
    let applications = doorward.app_password_choices(visit);
    let ids: Vec<String> = applications
        .iter()
        .map(|application| application.id.to_string())
        .collect();
    let choices: Vec<AppPasswordChoice<'_>> = applications
        .iter()
        .zip(&ids)
        .map(|(application, id)| AppPasswordChoice {
            id,
            name: &application.name,
            chosen: wish.applications.contains(&application.id),
        })
        .collect();
    let Said {
        status,
        problem,
        fields,
    } = said(outcome, all.len());
    let made = match outcome {
        Outcome::Made { name, secret } => Some(MadeSecret { name, secret }),
        _ => None,
    };
    let revoked = matches!(outcome, Outcome::Asked) && ask.query()?.get("revoked").is_some();
    let view = AppPasswords {
        username: &visit.person.user.username,
        items: &items,
        choices: &choices,
        made,
        name: &wish.name,
        place: wish.place,
        days: wish.days,
        problem,
        field_problems: &fields,
        notice: revoked.then(|| Message::new("app-password-revoked")),
    };
    show(ask, visit, status, |page| view.render(page))
}

/// What the page says to an outcome.
struct Said<'a> {
    status: StatusCode,
    problem: Option<Problem<'a>>,
    fields: Vec<(&'a str, Message<'a>)>,
}

fn said(outcome: &Outcome, count: usize) -> Said<'_> {
    let mut said = Said {
        status: StatusCode::BAD_REQUEST,
        problem: Some(Problem::new(Message::new("form-problem"))),
        fields: Vec::new(),
    };
    match outcome {
        Outcome::Asked | Outcome::Made { .. } => {
            said.status = StatusCode::OK;
            said.problem = None;
        }
        Outcome::NoPlace => said
            .fields
            .push(("where", Message::new("app-password-where-missing"))),
        Outcome::Invalid(text) if text.starts_with("name ") => said
            .fields
            .push(("name", Message::new("field-problem").with("problem", text))),
        Outcome::Invalid(_) if count >= MOST => {
            said.problem = Some(Problem::new(
                Message::new("app-passwords-full").with("count", MOST),
            ));
        }
        Outcome::Invalid(text) => said
            .fields
            .push(("where", Message::new("field-problem").with("problem", text))),
        Outcome::Refused(no) => {
            let mut problem = match no.reason {
                Reason::WrongCredentials => Problem::new(Message::new("password-current-wrong")),
                reason => Problem::refused(reason),
            };
            if let Some(seconds) = no.retry_after {
                said.status = StatusCode::TOO_MANY_REQUESTS;
                problem = problem.wait(u64::from(seconds));
            }
            said.problem = Some(match &no.code {
                Some(code) => problem.code(code.as_str()),
                None => problem,
            });
        }
    }
    said
}
