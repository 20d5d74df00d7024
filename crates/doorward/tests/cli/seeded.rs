//! What the commands say of records that only a running server makes: they are put into the database by hand.

use doorward_domain::event::{Event, EventKind};
use doorward_domain::token::Grant;
use doorward_domain::{ApplicationId, Code, EventId, GrantId, JobId, Lifetime, Reason, Timestamp, UserId};
use doorward_store::{NewJob, OpenOptions, Store, Tx};
use serde_json::{Value, json};

use crate::support::Place;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// Runs in one transaction on the database of the place.
fn seed(place: &Place, work: impl AsyncFnOnce(&Tx)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = OpenOptions::sqlite(place.path("doorward-data/doorward.db"));
        let store = Store::open(options).await.unwrap();
        let tx = store.begin().await.unwrap();
        work(&tx).await;
        tx.commit().await.unwrap();
        store.close().await;
    });
}

fn id<T: std::str::FromStr>(object: &Value) -> T {
    object["id"].as_str().unwrap().parse().ok().unwrap()
}

fn with_people() -> (Place, UserId, ApplicationId) {
    let place = Place::new();
    let user = place.json(&["user", "create", "alice"]);
    let application = place.json(&[
        "application",
        "create",
        "wiki",
        "--public",
        "--redirect-uri",
        "https://w.example/cb",
    ]);
    (place, id(&user), id(&application))
}

#[test]
fn a_job_that_was_given_up_is_listed_without_its_payload_and_tried_again() {
    let (place, ..) = with_people();
    let job = JobId::mint(NOW, [7; 10]);
    seed(&place, async |tx| {
        let new = NewJob {
            id: job,
            kind: "test".into(),
            unique_key: None,
            payload: json!({ "token": "only-for-the-receiver" }),
            run_at: NOW,
            max_attempts: 1,
            created_at: NOW,
        };
        tx.enqueue(new).await.unwrap();
        let taken = tx
            .take_job("worker", &["test"], Lifetime::from_minutes(1), NOW)
            .await
            .unwrap()
            .unwrap();
        tx.bury_job(&taken, "nobody answered", NOW).await.unwrap();
    });
    assert_eq!(place.json(&["job", "list", "--state", "open"]), json!([]));
    let dead = place.json(&["job", "list", "--state", "dead"]);
    assert_eq!(dead[0]["id"], job.to_string());
    assert_eq!(dead[0]["last_error"], "nobody answered");
    assert_eq!(dead[0]["state"], "dead");
    for ran in [
        place.run(&["job", "list"]).ok(),
        place.run(&["job", "list", "--json"]).ok(),
    ] {
        assert!(!ran.stdout.contains("only-for-the-receiver"), "{ran:?}");
    }
    let retried = place.json(&["job", "retry", &job.to_string()]);
    assert_eq!(retried, json!({ "retried": job.to_string() }));
    assert_eq!(place.json(&["job", "list"])[0]["state"], "open");
    place
        .run(&["job", "retry", &job.to_string()])
        .failed(3, &["given up"]);
}

#[test]
fn a_grant_is_listed_and_revoked() {
    let (place, user, application) = with_people();
    seed(&place, async |tx| {
        let grant = Grant {
            id: GrantId::mint(NOW, [1; 10]),
            user_id: user,
            application_id: application,
            scopes: ["email".to_owned(), "openid".to_owned()].into(),
            created_at: NOW,
            updated_at: NOW,
            expires_at: None,
        };
        tx.save_grant(&grant).await.unwrap();
    });
    let grants = place.json(&["grant", "list", "--user", "alice"]);
    assert_eq!(grants[0]["application"], "wiki");
    assert_eq!(grants[0]["scopes"], json!(["email", "openid"]));
    let table = place.run(&["grant", "list", "--user", "alice"]).ok().stdout;
    assert!(
        table.contains("wiki") && table.contains("email, openid"),
        "{table}"
    );
    let revoked = place.json(&["grant", "revoke", "--user", "alice", "--application", "wiki"]);
    assert_eq!(
        revoked["revoked"],
        json!({ "user": "alice", "application": "wiki" })
    );
    assert_eq!(place.json(&["grant", "list", "--user", "alice"]), json!([]));
}

#[test]
fn a_refusal_is_explained_by_its_code_however_it_was_typed() {
    let (place, user, application) = with_people();
    let code = doorward_crypto::token::short_code(&[9; 8]);
    seed(&place, async |tx| {
        let event = Event {
            id: EventId::mint(NOW, [2; 10]),
            at: NOW,
            kind: EventKind::Refused,
            reason: Some(Reason::NotInAudience),
            code: Some(Code::new(code.clone())),
            user_id: Some(user),
            application_id: Some(application),
            session_id: None,
            ip: Some("192.0.2.7".into()),
            details: json!({ "audience_groups": ["staff", "\u{1b}[2Jevil"], "user_groups": [] }),
        };
        tx.add_event(&event).await.unwrap();
    });
    let explained = place.json(&["explain", &code]);
    assert_eq!(explained["reason"], "not_in_audience");
    assert_eq!(
        (&explained["user"], &explained["application"]),
        (&json!("alice"), &json!("wiki"))
    );
    assert_eq!(explained["inputs"]["audience_groups"][0], "staff");
    let typed = code.to_lowercase().replace("dw-", "").replace('-', " ");
    let plain = place.run(&["explain", &typed]).ok();
    for word in [
        "alice",
        "wiki",
        "staff",
        "192.0.2.7",
        "not_in_audience",
        "user_groups",
    ] {
        assert!(plain.stdout.contains(word), "{word} in {plain:?}");
    }
    assert!(!plain.stdout.contains('\u{1b}'), "{plain:?}");
    let listed = place.json(&["event", "list", "--kind", "refused", "--application", "wiki"]);
    assert_eq!(listed[0]["code"], code.as_str());
}

#[test]
fn a_clock_that_went_back_is_found_by_doctor() {
    let (place, ..) = with_people();
    let future = Timestamp::from_seconds(4_000_000_000);
    seed(&place, async |tx| {
        let event = Event {
            id: EventId::mint(future, [3; 10]),
            at: future,
            kind: EventKind::SettingChanged,
            reason: None,
            code: None,
            user_id: None,
            application_id: None,
            session_id: None,
            ip: None,
            details: json!({}),
        };
        tx.add_event(&event).await.unwrap();
    });
    let doctor = place.run(&["doctor"]);
    assert_eq!(doctor.code, 1, "{doctor:?}");
    assert!(doctor.stdout.contains("set the clock"), "{doctor:?}");
}
