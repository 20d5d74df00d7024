//! Input that no database column holds or no page shows: refused with a sentence that names the field, never a fault.

use doorward_core::admin::applications::ApplicationChange;
use doorward_core::admin::groups::GroupChange;
use doorward_core::admin::users::{NewUser, UserChange};
use doorward_core::error::{Error, Result};
use doorward_domain::Attributes;
use doorward_testkit::{PASSWORD, each_app};
use serde_json::{Value, json};

/// A refusal that tells what is wrong; not a fault of ours, and not accepted.
fn told<T: std::fmt::Debug>(what: &str, result: Result<T>) {
    match result {
        Err(Error::Invalid(_) | Error::NotFound(_) | Error::Refused(_) | Error::Protocol(_)) => {}
        other => panic!("{what}: {:.300}", format!("{other:?}")),
    }
}

fn attributes(value: &Value) -> Attributes {
    let mut attributes = Attributes::new();
    attributes.insert("a".into(), value.clone());
    attributes
}

fn deep(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

#[tokio::test]
async fn people_and_groups_are_checked() {
    each_app(async |app| {
        let door = &app.doorward;
        let alice = app.person("alice").await;
        let group = app.group("team").await;
        let long = "x".repeat(100_000);
        let new = |change: &dyn Fn(&mut NewUser)| {
            let mut new = NewUser {
                username: "other".into(),
                ..NewUser::default()
            };
            change(&mut new);
            new
        };
        for bad in ["", "\0", "a\0b", "a\u{1}b", long.as_str()] {
            let name = format!("{bad:.10}");
            told(
                &name,
                door.create_user(&new(&|n| n.username = bad.into()), None).await,
            );
            if !bad.is_empty() {
                told(
                    &name,
                    door.create_user(&new(&|n| n.name = bad.into()), None).await,
                );
                told(
                    &name,
                    door.create_user(&new(&|n| n.locale = Some(bad.into())), None)
                        .await,
                );
            }
            told(
                &name,
                door.create_user(&new(&|n| n.email = Some(bad.into())), None)
                    .await,
            );
            told(
                &name,
                door.create_user(&new(&|n| n.groups = vec![bad.into()]), None)
                    .await,
            );
            told(&name, door.find_user(bad).await);
            told(&name, door.find_group(bad).await);
            told(&name, door.find_application(bad).await);
            told(&name, door.explain_code(bad).await);
            told(&name, door.explain_access(bad, bad).await);
            told(&name, door.create_group(bad, &GroupChange::default()).await);
            told(
                &name,
                door.create_application(bad, &ApplicationChange::default()).await,
            );
        }
        for bad in [json!("a\0b"), json!({ "a\0": 1 }), json!(long), deep(40)] {
            let what = format!("{bad:.20}");
            told(
                &what,
                door.create_user(&new(&|n| n.attributes = attributes(&bad)), None)
                    .await,
            );
            let change = UserChange {
                attributes: attributes(&bad),
                ..UserChange::default()
            };
            told(&what, door.update_user(alice.id, &change).await);
            let change = GroupChange {
                attributes: attributes(&bad),
                ..GroupChange::default()
            };
            told(&what, door.update_group(group.id, &change).await);
            told(&what, door.create_group("fresh", &change).await);
        }
        let browser = app.sign_in("alice").await;
        let visit = browser.visit().await.unwrap();
        for bad in ["\0", "a\0b", long.as_str()] {
            told(bad, door.change_profile(&visit, bad, None, &browser.origin).await);
            told(
                bad,
                door.change_profile(&visit, "Alice", Some(bad), &browser.origin)
                    .await,
            );
            told(
                "password",
                door.change_password(&visit, PASSWORD, bad, &browser.origin).await,
            );
        }
        assert_eq!(app.rows().await["users"], 1);
        assert_eq!(app.rows().await["groups"], 1);
    })
    .await;
}

#[tokio::test]
async fn applications_and_scopes_are_checked() {
    each_app(async |app| {
        let door = &app.doorward;
        let client = app.oidc_client("grafana", |_| {}).await;
        let id = client.application.id;
        let before = door.find_application("grafana").await.unwrap();
        let long = "x".repeat(100_000);
        let change = |change: &dyn Fn(&mut ApplicationChange)| {
            let mut wanted = ApplicationChange::default();
            change(&mut wanted);
            wanted
        };
        for bad in ["\0", "a\0b", long.as_str()] {
            for wanted in [
                change(&|c| c.name = Some(bad.into())),
                change(&|c| c.description = Some(bad.into())),
                change(&|c| c.heading = Some(bad.into())),
                change(&|c| c.icon_url = Some(bad.into())),
                change(&|c| c.launch_url = Some(format!("https://x.example.org/{bad}"))),
                change(&|c| c.allow_groups = vec![bad.into()]),
                change(&|c| c.allow_users = vec![bad.into()]),
                change(&|c| c.client.client_id = Some(bad.into())),
                change(&|c| c.client.redirect_uris = Some(vec![format!("https://x.example.org/{bad}")])),
                change(&|c| c.client.scopes = Some([bad.to_owned()].into())),
                change(&|c| c.client.resources = Some([format!("https://x.example.org/{bad}")].into())),
                change(&|c| c.client.jwks_uri = Some(format!("https://x.example.org/{bad}"))),
                change(&|c| c.client.backchannel_logout_uri = Some(format!("https://x.example.org/{bad}"))),
                change(&|c| c.client.jwks = Some(json!({ "keys": [bad] }))),
            ] {
                let what = format!("{wanted:.400?}");
                told(&what, door.update_application(id, &wanted).await);
            }
            told("scope", door.put_scope(bad, None, &[]).await);
            told("scope description", door.put_scope("fine", Some(bad), &[]).await);
            let claim = (bad.to_owned(), "user.name".to_owned());
            told("claim", door.put_scope("fine", None, &[claim]).await);
            let source = ("claim".to_owned(), format!("user.{bad}"));
            told("claim source", door.put_scope("fine", None, &[source]).await);
        }
        for bad in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "https://u:p@x.example.org/",
            "//x",
        ] {
            for wanted in [
                change(&|c| c.icon_url = Some(bad.into())),
                change(&|c| c.launch_url = Some(bad.into())),
                change(&|c| c.client.jwks_uri = Some(bad.into())),
                change(&|c| c.client.redirect_uris = Some(vec![bad.into()])),
            ] {
                told(bad, door.update_application(id, &wanted).await);
            }
        }
        assert_eq!(door.find_application("grafana").await.unwrap(), before);
        assert_eq!(app.rows().await["custom_scopes"], 0);
    })
    .await;
}
