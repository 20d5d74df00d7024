//! Every statement of the resource files is found through an index on SQLite: a test that asks the planner.

use doorward_domain::event::EventKind;
use doorward_domain::{ApplicationId, UserId};

use crate::sql::{Query, sql_built};
use crate::testing::fresh_sqlite;
use crate::{EventFilter, UserFilter};

/// The resource files, for the statements that stand in `sql("…")`.
const SOURCES: &[(&str, &str)] = &[
    ("api_tokens", include_str!("api_tokens.rs")),
    ("app_auth", include_str!("app_auth.rs")),
    ("app_passwords", include_str!("app_passwords.rs")),
    ("applications", include_str!("applications.rs")),
    ("codes", include_str!("codes.rs")),
    ("devices", include_str!("devices.rs")),
    ("events", include_str!("events.rs")),
    ("families", include_str!("families.rs")),
    ("grants", include_str!("grants.rs")),
    ("groups", include_str!("groups.rs")),
    ("keys", include_str!("keys.rs")),
    ("links", include_str!("links.rs")),
    ("pushed", include_str!("pushed.rs")),
    ("scopes", include_str!("scopes.rs")),
    ("sessions", include_str!("sessions.rs")),
    ("throttle", include_str!("throttle.rs")),
    ("tokens", include_str!("tokens.rs")),
    ("users", include_str!("users.rs")),
];

/// Statements with a name.
const NAMED: &[(&str, &str)] = &[
    ("api_tokens::FIND", crate::api_tokens::FIND),
    ("api_tokens::OF_USER", crate::api_tokens::OF_USER),
    ("app_auth::ACCOUNT", crate::app_auth::ACCOUNT),
    ("app_auth::ACCOUNTS_OF", crate::app_auth::ACCOUNTS_OF),
    ("app_auth::PROOF", crate::app_auth::PROOF),
    ("app_auth::TAKE_PROOF", crate::app_auth::TAKE_PROOF),
    ("app_auth::RECORD", crate::app_auth::RECORD),
    ("app_auth::RECORD_OF", crate::app_auth::RECORD_OF),
    ("app_auth::RECORD_NAMED", crate::app_auth::RECORD_NAMED),
    ("app_auth::RECORDS_WITHIN", crate::app_auth::RECORDS_WITHIN),
    ("app_auth::RECORDS_OF", crate::app_auth::RECORDS_OF),
    ("app_auth::RECORDS_BEGIN", crate::app_auth::RECORDS_BEGIN),
    ("app_auth::PEOPLE_WITHIN", crate::app_auth::PEOPLE_WITHIN),
    ("app_auth::PEOPLE_NAMED", crate::app_auth::PEOPLE_NAMED),
    ("app_passwords::BY_DIGEST", crate::app_passwords::BY_DIGEST),
    ("app_passwords::OF_USER", crate::app_passwords::OF_USER),
    ("applications::BY_ID", crate::applications::BY_ID),
    ("applications::BY_SLUG", crate::applications::BY_SLUG),
    (
        "applications::AUDIENCE_GROUPS",
        crate::applications::AUDIENCE_GROUPS,
    ),
    (
        "applications::AUDIENCE_USERS",
        crate::applications::AUDIENCE_USERS,
    ),
    ("applications::SECRETS", crate::applications::SECRETS),
    ("codes::TAKE", crate::codes::TAKE),
    ("codes::USED", crate::codes::USED),
    ("codes::FIND", crate::codes::FIND),
    ("devices::BY_DIGEST", crate::devices::BY_DIGEST),
    ("devices::BY_USER_CODE", crate::devices::BY_USER_CODE),
    ("devices::DECIDE", crate::devices::DECIDE),
    ("devices::TAKE", crate::devices::TAKE),
    ("events::BY_CODE", crate::events::BY_CODE),
    ("families::BY_ID", crate::families::BY_ID),
    ("families::WITH_PERSON", crate::families::WITH_PERSON),
    (
        "families::WITH_PERSON_OF_JTI",
        crate::families::WITH_PERSON_OF_JTI,
    ),
    ("families::OFFLINE_OF_USER", crate::families::OFFLINE_OF_USER),
    (
        "families::CLIENTS_OF_SESSION",
        crate::families::CLIENTS_OF_SESSION,
    ),
    ("families::PUT_OFF", crate::families::PUT_OFF),
    ("families::FORGET", crate::families::FORGET),
    ("grants::ONE", crate::grants::ONE),
    ("grants::OF_USER", crate::grants::OF_USER),
    ("groups::GROUP_IDS_OF", crate::groups::GROUP_IDS_OF),
    ("groups::MEMBERS", crate::groups::MEMBERS),
    ("links::FIND", crate::links::FIND),
    ("links::TAKE", crate::links::TAKE),
    ("links::LIVE", crate::links::LIVE),
    ("pushed::FIND", crate::pushed::FIND),
    ("pushed::USE", crate::pushed::USE),
    ("sessions::BY_DIGEST", crate::sessions::BY_DIGEST),
    ("sessions::BY_ID", crate::sessions::BY_ID),
    ("sessions::WITH_PERSON", crate::sessions::WITH_PERSON),
    ("sessions::OF_USER", crate::sessions::OF_USER),
    ("throttle::FAILURES", crate::throttle::FAILURES),
    ("tokens::REFRESH", crate::tokens::REFRESH),
    ("tokens::REFRESH_WITH_PERSON", crate::tokens::REFRESH_WITH_PERSON),
    ("tokens::TAKE_REFRESH", crate::tokens::TAKE_REFRESH),
    ("tokens::ACCESS", crate::tokens::ACCESS),
    ("tokens::JTI_STATE", crate::tokens::JTI_STATE),
    ("users::BY_ID", crate::users::BY_ID),
    ("users::BY_USERNAME", crate::users::BY_USERNAME),
    ("users::BY_EMAIL", crate::users::BY_EMAIL),
    ("users::FOR_SIGN_IN", crate::users::FOR_SIGN_IN),
    ("users::WITH_GROUPS", crate::users::WITH_GROUPS),
    ("users::PASSWORD", crate::users::PASSWORD),
    ("users::MEMBERS_OF", crate::users::MEMBERS_OF),
    ("users::USABLE_MEMBERS", crate::users::USABLE_MEMBERS),
];

/// What reads a whole table because it wants the whole table.
const WHOLE: &[&str] = &[
    "FROM groups AS g WHERE $1 OR",
    "FROM group_parents ORDER BY",
    "FROM custom_scopes ORDER BY",
    "FROM signing_keys ORDER BY",
    "count(*) AS n FROM users WHERE",
];

/// The literals in `sql("…")`, with continued lines joined as the compiler does.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for start in source.split("sql(").skip(1) {
        let Some(start) = start.trim_start().strip_prefix('"') else {
            continue;
        };
        let mut text = String::new();
        let mut rest = &start[..start.find('"').unwrap_or_default()];
        while let Some(at) = rest.find("\\\n") {
            text.push_str(&rest[..at]);
            rest = rest[at + 2..].trim_start();
        }
        text.push_str(rest);
        found.push(text);
    }
    found
}

/// The statement with something bound to every placeholder.
fn explained(text: &str) -> Query {
    let mut query = sql_built(format!("EXPLAIN QUERY PLAN {text}"));
    let mut position = 1;
    while text.contains(&format!("${position}")) {
        query = if text.contains(&format!("IN ${position}")) {
            query.bind_list([uuid::Uuid::nil()])
        } else {
            query.bind(None::<&str>)
        };
        position += 1;
    }
    query
}

/// The lines of a plan that read through a real table.
fn scans(plan: &[String]) -> Vec<&String> {
    let made = |name: &str| {
        plan.iter()
            .any(|line| line == &format!("CO-ROUTINE {name}") || line == &format!("MATERIALIZE {name}"))
    };
    plan.iter()
        .filter(|line| {
            line.strip_prefix("SCAN ").is_some_and(|rest| {
                let name = rest.split(' ').next().unwrap_or_default();
                name != "CONSTANT" && name != "json_each" && !made(name)
            })
        })
        .collect()
}

/// The statements that are put together from filters, in every combination.
fn listings() -> Vec<Query> {
    let mut listings = Vec::new();
    for mask in 0..8 {
        let on = |bit: u8| mask & bit != 0;
        listings.push(crate::events::filtered(&EventFilter {
            user: on(1).then(|| UserId::from_uuid(uuid::Uuid::nil())),
            application: on(2).then(|| ApplicationId::from_uuid(uuid::Uuid::nil())),
            kind: on(4).then_some(EventKind::SignIn),
            ..EventFilter::default()
        }));
        listings.push(crate::users::filtered(&UserFilter {
            search: on(1).then(|| "a".to_owned()),
            include_deleted: on(2),
            ..UserFilter::default()
        }));
    }
    listings
}

#[tokio::test]
async fn no_statement_reads_through_a_table() {
    let (_folder, store) = fresh_sqlite().await;
    let tx = store.begin().await.unwrap();
    let mut statements: Vec<(String, String)> = NAMED
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    for (name, source) in SOURCES {
        statements.extend(
            literals(source)
                .into_iter()
                .map(|text| ((*name).to_owned(), text)),
        );
    }
    statements.extend(
        listings()
            .into_iter()
            .map(|query| ("listing".to_owned(), query.text.into_owned())),
    );
    assert!(statements.len() > 100, "{} statements found", statements.len());
    let mut bad = Vec::new();
    for (name, text) in &statements {
        let rows = tx
            .all(explained(text))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail").unwrap()).collect();
        let scans = scans(&plan);
        if !scans.is_empty() && !WHOLE.iter().any(|whole| text.contains(whole)) {
            bad.push(format!("{name}: {scans:?} in {text}"));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn the_statements_are_found_in_the_source() {
    assert_eq!(
        literals("x(sql(\"SELECT \\\n   a\").bind(1)); sql(\n \"b\",\n) sql(C)"),
        ["SELECT a", "b"]
    );
    let plan = [
        "SCAN users".to_owned(),
        "CO-ROUTINE g".to_owned(),
        "SCAN g".to_owned(),
    ];
    assert_eq!(scans(&plan), ["SCAN users"]);
}
