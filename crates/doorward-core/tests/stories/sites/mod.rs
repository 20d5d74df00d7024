//! Guarded sites: checks, the way to a site's cookie, tables of sites, programs, and a database that is away.

mod away;
mod checks;
mod endings;
mod hand_over;
mod machines;
mod tables;

use doorward_core::Origin;
use doorward_core::admin::applications::ApplicationChange;
use doorward_core::admin::sites::{SiteChange, SiteDraft};
use doorward_core::error::Result;
use doorward_core::forward_auth::{Shown, Verdict};
use doorward_core::hand_over::{CALLBACK, START, SiteCookie, Start};
use doorward_core::place::Place;
use doorward_core::site_cookie::Kept;
use doorward_domain::application::Application;
use doorward_testkit::{App, Browser, PUBLIC_URL};

/// Under the domain that Doorward lives in.
const WIKI: &str = "https://wiki.example.org";
/// In another registrable domain.
const FAR: &str = "https://wiki.faraway.test";

/// A site with path rules, as a change of an application.
fn put(url: &str, rules: &[&str]) -> SiteChange {
    put_with(url, rules, |_| {})
}

fn put_with(url: &str, rules: &[&str], change: impl FnOnce(&mut SiteDraft)) -> SiteChange {
    let mut draft = SiteDraft::new(url.parse().unwrap());
    draft.rules = Some(rules.iter().map(|rule| (*rule).to_owned()).collect());
    change(&mut draft);
    SiteChange::Put(Box::new(draft))
}

/// An application with sites, for members of a group.
async fn application(app: &App, slug: &str, group: Option<&str>, sites: Vec<SiteChange>) -> Application {
    let change = ApplicationChange {
        allow_groups: group.into_iter().map(str::to_owned).collect(),
        sites,
        ..ApplicationChange::default()
    };
    app.doorward
        .create_application(slug, &change)
        .await
        .unwrap()
        .application
}

fn place(url: &str) -> Place {
    Place::parse(url).unwrap_or_else(|| panic!("no place: {url}"))
}

/// Cookies of sites as a browser keeps them.
type Jar = Vec<(Kept, String)>;

fn kept(cookie: &SiteCookie) -> Kept {
    match (&cookie.domain, cookie.secure) {
        (None, true) => Kept::Host,
        (Some(_), true) => Kept::Secure,
        (_, false) => Kept::Anyhow,
    }
}

/// Asks as a proxy does.
async fn asks(app: &App, url: &str, method: &str, jar: &Jar, authorization: Option<&str>) -> Result<Verdict> {
    let cookies: Vec<(Kept, &str)> = jar.iter().map(|(kept, value)| (*kept, value.as_str())).collect();
    let shown = Shown {
        cookies: &cookies,
        session: None,
        authorization,
    };
    app.doorward
        .check(&place(url), Some(method), shown, Origin::default)
        .await
}

/// The verdict as one word: the outcome of a pass, `sign_in`, or the reason of a refusal.
fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass(pass) => pass.outcome,
        Verdict::SignIn(_) => "sign_in",
        Verdict::Refused { refused, .. } => refused.reason.as_str(),
    }
}

async fn get(app: &App, url: &str, jar: &Jar) -> &'static str {
    word(&asks(app, url, "GET", jar, None).await.unwrap())
}

/// The query of a URL.
fn query(url: &str) -> &str {
    url.split_once('?').map_or("", |(_, query)| query)
}

/// Where a browser is sent on to.
fn onward(start: &Start) -> &str {
    match start {
        Start::Onward { location, .. } | Start::Marked { location, .. } => location,
        other => panic!("expected a way on, got {other:?}"),
    }
}

/// A browser on its way to a site: what it keeps for the site's host.
struct Way {
    browser: String,
    callback: String,
}

/// Follows the way of a signed-in browser to a site's cookie, up to the code where there is one.
async fn begin(app: &App, browser: &Browser, url: &str) -> std::result::Result<SiteCookie, Way> {
    let verdict = asks(app, url, "GET", &Jar::new(), None).await.unwrap();
    let Verdict::SignIn(entry) = verdict else {
        panic!("{url}: expected a sign-in, got {verdict:?}")
    };
    let sent = app.doorward.sign_in_at(&place(url), &entry, None);
    let home = onward(&sent);
    assert!(home.starts_with(&format!("{PUBLIC_URL}{START}?")), "{home}");
    let visit = browser.visit().await;
    let home = app
        .doorward
        .start_at_home(visit.as_deref(), query(home), &browser.origin)
        .await;
    match (sent, home) {
        (
            _,
            Start::Onward {
                location,
                cookie: Some(cookie),
            },
        ) => {
            assert_eq!(location, place(url).url());
            Ok(cookie)
        }
        (
            Start::Marked { browser, .. },
            Start::Onward {
                location,
                cookie: None,
            },
        ) => {
            assert!(
                location.starts_with(&format!("{}{CALLBACK}?code=", place(url).origin())),
                "{location}"
            );
            Err(Way {
                browser,
                callback: location,
            })
        }
        other => panic!("{url}: {other:?}"),
    }
}

/// The way of a signed-in browser to the cookie of a site.
async fn enter(app: &App, browser: &Browser, url: &str) -> Jar {
    let cookie = match begin(app, browser, url).await {
        Ok(cookie) => cookie,
        Err(way) => {
            let done = app
                .doorward
                .callback(&place(&way.callback), Some(&way.browser), None)
                .await
                .unwrap();
            let Start::Onward {
                location,
                cookie: Some(cookie),
            } = done
            else {
                panic!("{url}: {done:?}")
            };
            assert_eq!(location, place(url).url());
            cookie
        }
    };
    vec![(kept(&cookie), cookie.value)]
}
