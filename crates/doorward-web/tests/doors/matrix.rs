//! Every route with every method and every kind of caller, against the checked-in table `tests/matrix.txt`.

use doorward_testkit::each_app_with;
use http::Method;
use std::fmt::Write as _;

use crate::http_client::Client;

const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::PUT, Method::DELETE];

/// A path that the pattern of a route fits.
fn example_of(pattern: &str) -> String {
    pattern
        .replace("{slug}", "grafana")
        .replace("{token}", "dwl_nothing")
        .replace("{file}", "nothing.css")
        .replace("{*path}", "page")
}

#[tokio::test]
async fn every_route_answers_every_kind_of_caller_as_the_table_says() {
    each_app_with(crate::token_api::on, async |app| {
        app.person("alice").await;
        app.administrator("root").await;
        let client = app
            .oidc_client("grafana", |change| change.everyone = Some(true))
            .await;
        let alice = app.sign_in("alice").await;
        let tokens = client.tokens(&alice, "openid profile").await;

        let anonymous = Client::new(&app);
        let mut forged = anonymous.clone();
        forged.cookies.insert(
            "__Host-doorward_session".into(),
            format!("dws_{}", "A".repeat(43)),
        );
        let mut person = anonymous.clone();
        person.sign_in("alice").await;
        let mut administrator = anonymous.clone();
        administrator.sign_in("root").await;
        let mut ended = person.clone();
        let mut leaving = Client::new(&app);
        leaving.sign_in("alice").await;
        ended.cookies.clone_from(&leaving.cookies);
        let page = leaving.get("/if/flow/sign-out/").await;
        leaving
            .post("/if/flow/sign-out/", &[("csrf", &page.field("csrf"))])
            .await;
        let mut program = anonymous.clone();
        program
            .headers
            .push(("authorization", client.basic().expect("a confidential client")));
        let mut bearer = anonymous.clone();
        bearer
            .headers
            .push(("authorization", format!("Bearer {}", tokens.access())));
        let callers = [
            ("anonymous", anonymous),
            ("forged", forged),
            ("ended", ended),
            ("person", person),
            ("administrator", administrator),
            ("client", program),
            ("bearer", bearer),
        ];

        let mut table = String::from("# path | method | declared caller |");
        for (name, _) in &callers {
            write!(table, " {name}").expect("writing into a string");
        }
        table.push('\n');
        for route in doorward_web::router::routes() {
            let path = example_of(route.path);
            for method in METHODS {
                write!(table, "{} | {method} | {:?} |", route.path, route.caller)
                    .expect("writing into a string");
                for (_, caller) in &callers {
                    let mut caller = caller.clone();
                    let form: Option<&[(&str, &str)]> = if method == Method::POST { Some(&[]) } else { None };
                    let got = caller.send(method.clone(), &path, form).await;
                    assert!(!got.status.is_server_error(), "{method} {path}: {}", got.status);
                    write!(table, " {}", got.status.as_u16()).expect("writing into a string");
                }
                table.push('\n');
            }
        }
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/matrix.txt");
        #[expect(
            clippy::disallowed_methods,
            reason = "asks whether the table is to be written afresh"
        )]
        let rewrite = std::env::var("DOORWARD_TEST_REWRITE").is_ok();
        if rewrite {
            std::fs::write(place, &table).expect("the table written");
        }
        let known = std::fs::read_to_string(place).unwrap_or_default();
        for (now, before) in table.lines().zip(known.lines()) {
            assert_eq!(
                now, before,
                "a route answers otherwise than tests/matrix.txt says"
            );
        }
        assert_eq!(
            table.lines().count(),
            known.lines().count(),
            "routes were added or removed: see tests/matrix.txt"
        );
    })
    .await;
}
