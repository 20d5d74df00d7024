//! The page on which people make app passwords for their programs.

use doorward_core::admin::applications::ApplicationChange;
use doorward_core::admin::sites::{SiteChange, SiteDraft};
use doorward_domain::ApplicationId;
use doorward_domain::app_password::Reach;
use doorward_testkit::{App, PASSWORD, each_app};
use http::StatusCode;

use crate::http_client::Client;

const PAGE: &str = "/if/user/app-passwords/";

/// An application with one site, for everyone or nobody.
async fn guarded(app: &App, slug: &str, everyone: bool) -> ApplicationId {
    let address = format!("https://{slug}.example.org").parse().expect("an address");
    let change = ApplicationChange {
        everyone: Some(everyone),
        sites: vec![SiteChange::Put(Box::new(SiteDraft::new(address)))],
        ..ApplicationChange::default()
    };
    let created = app.doorward.create_application(slug, &change).await;
    created.expect("an application").application.id
}

/// The secret on a page.
fn secret(body: &str) -> Option<String> {
    let at = body.find("dwk_")?;
    Some(body[at..].chars().take_while(|c| !"<\"& ".contains(*c)).collect())
}

#[tokio::test]
async fn a_person_makes_one_sees_it_once_and_revokes_it() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let wiki = guarded(&app, "wiki", true).await;
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        let page = browser.get(PAGE).await;
        assert_eq!(page.status, StatusCode::OK);
        let csrf = page.field("csrf");
        let wiki_id = wiki.to_string();
        assert!(page.body.contains(&wiki_id), "the applications to choose from");
        let form = [
            ("csrf", csrf.as_str()),
            ("name", "Phone & <calendar>"),
            ("where", "some"),
            ("application", &wiki_id),
            ("expires", "30"),
            ("current_password", PASSWORD),
        ];
        let made = browser.post(PAGE, &form).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.body);
        assert_eq!(made.header("cache-control"), "no-store");
        let secret = secret(&made.body).expect("the secret");
        assert_eq!(made.body.matches(&secret).count(), 1);
        assert!(
            made.body.contains("Phone &#38; &#60;calendar&#62;"),
            "{}",
            made.body
        );
        assert!(!made.body.contains(PASSWORD));
        let found = app.doorward.app_password(&secret, Some("alice")).await.unwrap();
        let found = found.expect("a good one");
        assert_eq!(found.password.reach, Reach::Applications([wiki].into()));
        let page = browser.get(PAGE).await;
        assert!(!page.body.contains("dwk_"), "never again");
        assert!(page.body.contains("Phone &#38;"));

        let again = browser.post(PAGE, &form).await;
        assert_eq!(again.status, StatusCode::BAD_REQUEST, "the name is taken");
        assert!(!again.body.contains("dwk_") && again.body.contains("another one of this name"));

        let id = page.field("revoke");
        let revoked = browser.post(PAGE, &[("csrf", &csrf), ("revoke", &id)]).await;
        assert_eq!(revoked.location(), "/if/user/app-passwords/?revoked=1");
        let gone = app.doorward.app_password(&secret, None).await.unwrap();
        assert!(gone.is_none());
        let twice = browser.post(PAGE, &[("csrf", &csrf), ("revoke", &id)]).await;
        assert_eq!(twice.location(), PAGE);
        assert!(app.doorward.app_passwords_of(alice.id).await.unwrap().is_empty());
        let activity = browser.get("/if/user/activity/").await;
        assert!(activity.body.contains("An app password was made"));
        assert!(activity.body.contains("An app password was revoked"));
    })
    .await;
}

#[tokio::test]
async fn neither_a_stolen_cookie_nor_another_site_makes_or_revokes_one() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        app.person("mallory").await;
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        let csrf = browser.get(PAGE).await.field("csrf");
        let form = |csrf: &'static str, password: &'static str| {
            [
                ("csrf", csrf),
                ("name", "Phone"),
                ("where", "every"),
                ("expires", "never"),
                ("current_password", password),
            ]
        };
        let leaked: &'static str = Box::leak(csrf.clone().into_boxed_str());
        for password in ["", "wrong guess"] {
            let got = browser.post(PAGE, &form(leaked, password)).await;
            assert_eq!(got.status, StatusCode::BAD_REQUEST, "{password:?}");
            assert!(!got.body.contains("dwk_") && !got.body.contains("wrong guess"));
        }
        for csrf in ["", "wrong"] {
            let got = browser.post(PAGE, &form(csrf, PASSWORD)).await;
            assert_eq!(got.status, StatusCode::FORBIDDEN, "{csrf:?}");
        }
        let mut lured = browser.clone();
        lured.headers.push(("origin", "https://evil.example".to_owned()));
        let got = lured.post(PAGE, &form(leaked, PASSWORD)).await;
        assert_eq!(got.status, StatusCode::FORBIDDEN);
        assert!(app.doorward.app_passwords_of(alice.id).await.unwrap().is_empty());

        let made = browser.post(PAGE, &form(leaked, PASSWORD)).await;
        let secret = secret(&made.body).expect("the secret");
        let id = browser.get(PAGE).await.field("revoke");
        let mut mallory = Client::new(&app);
        mallory.sign_in("mallory").await;
        let own = mallory.get(PAGE).await;
        assert!(!own.body.contains(&id));
        mallory
            .post(PAGE, &[("csrf", &own.field("csrf")), ("revoke", &id)])
            .await;
        assert!(
            app.doorward.app_password(&secret, None).await.unwrap().is_some(),
            "somebody else's stays"
        );
        let mut stranger = Client::new(&app);
        let got = stranger.get(PAGE).await;
        assert_eq!(got.status, StatusCode::SEE_OTHER);
    })
    .await;
}

#[tokio::test]
async fn what_is_missing_or_made_up_in_the_form_is_said_and_makes_nothing() {
    each_app(async |app| {
        let alice = app.person("alice").await;
        let closed = guarded(&app, "closed", false).await.to_string();
        guarded(&app, "wiki", true).await;
        let mut browser = Client::new(&app);
        browser.sign_in("alice").await;
        let page = browser.get(PAGE).await;
        assert!(
            !page.body.contains(&closed),
            "what the person may not enter is not offered"
        );
        let csrf = page.field("csrf");
        let long = "x".repeat(101);
        let cases: [(&str, &[(&str, &str)]); 8] = [
            ("no name", &[("where", "every"), ("expires", "30")]),
            ("long", &[("name", &long), ("where", "every"), ("expires", "30")]),
            ("no place", &[("name", "a"), ("expires", "30")]),
            (
                "no application",
                &[("name", "a"), ("where", "some"), ("expires", "30")],
            ),
            (
                "closed",
                &[
                    ("name", "a"),
                    ("where", "some"),
                    ("application", &closed),
                    ("expires", "30"),
                ],
            ),
            (
                "no id",
                &[
                    ("name", "a"),
                    ("where", "some"),
                    ("application", "x"),
                    ("expires", "30"),
                ],
            ),
            ("no end", &[("name", "a"), ("where", "every")]),
            (
                "another end",
                &[("name", "a"), ("where", "every"), ("expires", "36500000")],
            ),
        ];
        for (what, fields) in cases {
            let mut form = vec![("csrf", csrf.as_str()), ("current_password", PASSWORD)];
            form.extend(fields);
            let got = browser.post(PAGE, &form).await;
            assert_eq!(got.status, StatusCode::BAD_REQUEST, "{what}");
            assert!(!got.body.contains("dwk_"), "{what}");
        }
        let made_up = browser
            .post(PAGE, &[("csrf", csrf.as_str()), ("revoke", "x")])
            .await;
        assert_eq!(made_up.status, StatusCode::BAD_REQUEST);
        assert!(app.doorward.app_passwords_of(alice.id).await.unwrap().is_empty());
    })
    .await;
}
