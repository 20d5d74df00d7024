//! Signing keys: rotated with overlap, announced before they sign, withdrawn at once when they leak.

use doorward_core::error::Error;
use doorward_core::keys::algorithm;
use doorward_domain::Lifetime;
use doorward_domain::client::SigningAlgorithm;
use doorward_domain::event::EventKind;
use doorward_domain::key::{ANNOUNCE, OVERLAP, ROTATE_AFTER};
use doorward_testkit::{App, each_app};
use serde_json::Value;

fn kid_of(jwt: &str) -> String {
    let header = doorward_crypto::jose::parse_compact(jwt, 16 * 1024)
        .unwrap()
        .header;
    header.kid.unwrap()
}

fn published(app: &App) -> Vec<String> {
    let jwks = app.doorward.jwks(None);
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn every_algorithm_signs_what_a_stranger_can_verify_with_the_published_keys() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        for of in SigningAlgorithm::ALL {
            let client = app
                .oidc_client(&of.as_str().to_lowercase(), |change| {
                    change.client.signing_algorithm = Some(*of);
                })
                .await;
            let tokens = client.tokens(&browser, "openid").await;
            let text = app.doorward.jwks(Some(*of)).to_string();
            for private in ["\"d\"", "\"p\"", "\"q\"", "\"k\""] {
                assert!(!text.contains(private), "{private}");
            }
            let set: doorward_crypto::jose::JwkSet = serde_json::from_str(&text).unwrap();
            assert_eq!(
                set.keys()[0].algorithm(),
                Some(algorithm(*of)),
                "its own key leads"
            );
            for jwt in [tokens.id(), tokens.access()] {
                let unverified = doorward_crypto::jose::parse_compact(&jwt, 16 * 1024).unwrap();
                assert_eq!(unverified.header.alg, algorithm(*of));
                unverified.verify_with_set(&set, &[algorithm(*of)]).unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_new_key_is_published_before_it_signs_and_the_old_one_stays_for_the_overlap() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let client = app
            .oidc_client("grafana", |change| {
                change.client.signing_algorithm = Some(SigningAlgorithm::EdDsa);
            })
            .await;
        let before = client.tokens(&browser, "openid offline_access").await;
        let old = kid_of(&before.access());
        let new = app
            .doorward
            .rotate_key(SigningAlgorithm::EdDsa, ANNOUNCE)
            .await
            .unwrap();
        assert!(published(&app).contains(&new.kid));
        assert_eq!(kid_of(&client.tokens(&browser, "openid").await.id()), old);
        app.wait(ANNOUNCE);
        let after = client.tokens(&browser, "openid").await;
        assert_eq!(kid_of(&after.id()), new.kid);
        assert!(app.doorward.open_own_jwt(&before.id()).is_some());
        assert!(published(&app).contains(&old));
        app.wait(Lifetime::from_millis(u32::try_from(OVERLAP.millis()).unwrap()));
        assert!(!published(&app).contains(&old));
        assert!(app.doorward.open_own_jwt(&before.id()).is_none());
        let events = app.events().await;
        let changed = events.iter().filter(|event| event.kind == EventKind::KeyChanged);
        assert_eq!(changed.count(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_leaked_key_is_worth_nothing_from_the_moment_it_is_withdrawn() {
    each_app(async |app| {
        app.person("alice").await;
        let browser = app.sign_in("alice").await;
        let client = app
            .oidc_client("grafana", |change| {
                change.client.signing_algorithm = Some(SigningAlgorithm::Es256);
            })
            .await;
        let tokens = client.tokens(&browser, "openid").await;
        let leaked = kid_of(&tokens.access());
        let only = app.doorward.withdraw_key(&leaked).await;
        assert!(crate::invalid(only).contains("the only ES256 key"));
        // A successor that does not sign yet is no help.
        app.doorward
            .rotate_key(SigningAlgorithm::Es256, ANNOUNCE)
            .await
            .unwrap();
        assert!(app.doorward.withdraw_key(&leaked).await.is_err());
        app.doorward
            .rotate_key(SigningAlgorithm::Es256, Lifetime::ZERO)
            .await
            .unwrap();
        app.doorward.withdraw_key(&leaked).await.unwrap();
        assert!(!published(&app).contains(&leaked));
        assert!(client.userinfo(&tokens.access()).await.is_err());
        assert!(!client.is_active(&tokens.access()).await);
        assert!(app.doorward.open_own_jwt(&tokens.id()).is_none());
        let fresh = client.tokens(&browser, "openid").await;
        assert_ne!(kid_of(&fresh.access()), leaked);
        assert!(client.is_active(&fresh.access()).await);
        let unknown = app.doorward.withdraw_key("unknown").await;
        assert!(matches!(unknown, Err(Error::NotFound(_))));
    })
    .await;
}

#[tokio::test]
async fn the_schedule_rotates_after_ninety_days_and_only_then() {
    each_app(async |app| {
        let count = async || app.rows().await["signing_keys"];
        app.doorward.housekeeping().await.unwrap();
        assert_eq!(count().await, 4);
        app.wait(Lifetime::from_days(60));
        app.wait(Lifetime::from_days(30));
        app.doorward.housekeeping().await.unwrap();
        assert_eq!(count().await, 4);
        assert_eq!(ROTATE_AFTER, Lifetime::from_days(90));
        app.wait_seconds(1);
        app.doorward.housekeeping().await.unwrap();
        app.doorward.housekeeping().await.unwrap();
        assert_eq!(count().await, 8, "once each");
        assert_eq!(published(&app).len(), 8);
        // The successors sign a day later; the old ones leave a month after that and are cleaned up in the end.
        for _ in 0..36 {
            app.wait(Lifetime::from_days(1));
        }
        assert_eq!(published(&app).len(), 4);
        app.doorward.housekeeping().await.unwrap();
        assert_eq!(count().await, 4);
    })
    .await;
}

#[tokio::test]
async fn a_replica_hears_of_a_new_key() {
    each_app(async |app| {
        let replica = app.replica().await;
        let key = app
            .doorward
            .rotate_key(SigningAlgorithm::EdDsa, Lifetime::ZERO)
            .await
            .unwrap();
        for _ in 0..75 {
            if published(&replica).contains(&key.kid) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("not heard within 1.5 seconds");
    })
    .await;
}

#[tokio::test]
async fn the_wrong_key_file_is_said_in_so_many_words() {
    each_app(async |app| {
        let replica = app.replica_with_another_key_file();
        let told = replica.doorward.open(&app.place).await;
        let Err(Error::Fault(fault)) = told else {
            panic!("{told:?}")
        };
        assert!(fault.chain().contains("doorward.key"), "{}", fault.chain());
        let _: Value = app.doorward.jwks(None);
    })
    .await;
}
