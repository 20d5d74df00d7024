//! Applications, secrets, custom scopes, signing keys.

use std::collections::BTreeMap;

use doorward_domain::application::Application;
use doorward_domain::claim::CustomScope;
use doorward_domain::client::{
    AccessTokenFormat, AuthMethod, Client, ClientKind, ClientSecret, ConsentMode, GrantType, IssuerMode,
    Lifetimes, Pkce, SigningAlgorithm, SubjectMode,
};
use doorward_domain::key::KeyRecord;
use doorward_domain::{GroupId, Lifetime, UserId};
use doorward_store::testing::each_engine;
use doorward_store::{Error, conflict_field, count_queries};
use serde_json::json;

use crate::{
    NOW, add_application, add_group, add_user, application, digest, id, later, texts, unique, write,
};

fn secret() -> ClientSecret {
    ClientSecret {
        id: id(),
        digest: digest(),
        hint: "a1b2".to_owned(),
        created_at: later(u32::try_from(unique()).unwrap()),
        expires_at: None,
    }
}

/// A client in which nothing has its default.
fn unusual_client() -> Client {
    Client {
        kind: ClientKind::Public,
        redirect_uris: vec![
            "https://a.example.org/cb?x='\"".into(),
            "http://127.0.0.1/cb".into(),
        ],
        post_logout_redirect_uris: vec!["https://a.example.org/bye".into()],
        auth_methods: [AuthMethod::PrivateKeyJwt, AuthMethod::None].into(),
        jwks: Some(
            json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }] }),
        ),
        jwks_uri: Some("https://a.example.org/jwks".into()),
        grant_types: [GrantType::DeviceCode, GrantType::ClientCredentials].into(),
        scopes: texts(["openid", "custom scope"]),
        pkce: Pkce::Optional,
        signing_algorithm: SigningAlgorithm::EdDsa,
        access_token_format: AccessTokenFormat::Opaque,
        subject_mode: SubjectMode::Email,
        issuer_mode: IssuerMode::Global,
        id_token_claims: false,
        consent: ConsentMode::Expiring(Lifetime::from_days(30)),
        lifetimes: Lifetimes {
            code: Lifetime::from_seconds(30),
            ..Lifetimes::default()
        },
        backchannel_logout_uri: Some("https://a.example.org/out".into()),
        frontchannel_logout_uri: Some("https://a.example.org/front".into()),
        resources: texts(["https://api.example.org/"]),
        ..Client::new(format!("client-{}", unique()), ClientKind::Public)
    }
}

#[tokio::test]
async fn applications_come_back_with_audience_client_and_secrets() {
    each_engine(async |store| {
        let (alice, bob) = (add_user(&store, "alice").await, add_user(&store, "bob").await);
        let (staff, guests) = (
            add_group(&store, "staff").await,
            add_group(&store, "guests").await,
        );
        let mut full = application("full");
        full.client = Some(unusual_client());
        full.secrets = vec![secret(), secret()];
        full.audience.groups = [staff.id, guests.id].into();
        full.audience.users = [alice.id].into();
        full.heading = Some("Work".into());
        let mut bare = application("bare");
        (bare.client, bare.icon_url, bare.launch_url, bare.hidden) = (None, None, None, true);
        bare.audience.everyone = true;
        for application in [&full, &bare] {
            write(&store, async |tx| tx.add_application(application).await)
                .await
                .unwrap();
        }
        let conn = store.read();
        let (all, queries) = count_queries(conn.applications(false)).await;
        assert_eq!((all.unwrap(), queries), (vec![full.clone(), bare.clone()], 4));
        assert_eq!(conn.application(full.id).await.unwrap(), Some(full.clone()));
        assert_eq!(
            conn.application_by_slug("bare", false).await.unwrap(),
            Some(bare.clone())
        );
        assert_eq!(conn.application_by_slug("Bare", false).await.unwrap(), None);
        assert_eq!(conn.application(id()).await.unwrap(), None);

        // Saving replaces audience and client, and leaves the secrets alone.
        full.audience.groups = [guests.id].into();
        full.audience.users = [bob.id].into();
        full.audience.everyone = true;
        full.name = "Full".into();
        full.slug = "full-2".into();
        full.updated_at = later(9);
        full.client.as_mut().unwrap().pkce = Pkce::Required;
        let sent = Application {
            secrets: Vec::new(),
            ..full.clone()
        };
        write(&store, async |tx| tx.save_application(&sent).await)
            .await
            .unwrap();
        assert_eq!(conn.application(full.id).await.unwrap(), Some(full.clone()));
        full.client = None;
        write(&store, async |tx| tx.save_application(&full).await)
            .await
            .unwrap();
        assert_eq!(conn.application(full.id).await.unwrap(), Some(full.clone()));
    })
    .await;
}

#[tokio::test]
async fn a_slug_is_free_again_from_the_bin_a_client_id_never() {
    each_engine(async |store| {
        let first = add_application(&store, "grafana").await;
        let same_slug = application("grafana");
        let error = write(&store, async |tx| tx.add_application(&same_slug).await)
            .await
            .unwrap_err();
        assert_eq!(conflict_field(&error), Some("slug"), "{error:?}");
        assert!(
            write(&store, async |tx| tx.delete_application(first.id, later(1)).await)
                .await
                .unwrap()
        );
        assert!(
            !write(&store, async |tx| tx.delete_application(first.id, later(1)).await)
                .await
                .unwrap()
        );
        let conn = store.read();
        assert_eq!(conn.application_by_slug("grafana", false).await.unwrap(), None);
        let binned = conn.application_by_slug("grafana", true).await.unwrap().unwrap();
        assert_eq!((binned.id, binned.deleted_at), (first.id, Some(later(1))));
        assert_eq!(conn.applications(false).await.unwrap(), []);
        assert_eq!(conn.applications(true).await.unwrap(), [binned]);

        let same_client = Application {
            client: first.client.clone(),
            ..application("other")
        };
        let error = write(&store, async |tx| tx.add_application(&same_client).await)
            .await
            .unwrap_err();
        assert_eq!(conflict_field(&error), Some("client_id"), "{error:?}");
        write(&store, async |tx| tx.add_application(&same_slug).await)
            .await
            .unwrap();
        // The living one comes first.
        assert_eq!(
            conn.application_by_slug("grafana", true)
                .await
                .unwrap()
                .map(|a| a.id),
            Some(same_slug.id)
        );
        let error = write(&store, async |tx| {
            tx.restore_application(first.id, later(2)).await
        })
        .await
        .unwrap_err();
        assert_eq!(conflict_field(&error), Some("slug"));
        write(&store, async |tx| {
            tx.delete_application(same_slug.id, later(3)).await
        })
        .await
        .unwrap();
        assert!(
            write(&store, async |tx| tx
                .restore_application(first.id, later(4))
                .await)
            .await
            .unwrap()
        );
        assert!(
            !write(&store, async |tx| tx
                .restore_application(first.id, later(4))
                .await)
            .await
            .unwrap()
        );
        assert_eq!(
            write(&store, async |tx| tx.purge_applications(later(10)).await)
                .await
                .unwrap(),
            1
        );
        assert_eq!(conn.applications(true).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_audience_names_who_exists_and_a_failure_leaves_nothing_behind() {
    each_engine(async |store| {
        let nobody: UserId = id();
        let nowhere: GroupId = id();
        let mut with_user = application("a");
        with_user.audience.users = [nobody].into();
        let mut with_group = application("b");
        with_group.audience.groups = [nowhere].into();
        for application in [&with_user, &with_group] {
            let error = write(&store, async |tx| tx.add_application(application).await)
                .await
                .unwrap_err();
            assert!(matches!(error, Error::Reference { .. }), "{error:?}");
        }
        assert_eq!(store.read().applications(true).await.unwrap(), []);
        let error = write(&store, async |tx| tx.save_application(&with_user).await)
            .await
            .unwrap_err();
        assert_eq!(error, Error::Stale);
    })
    .await;
}

#[tokio::test]
async fn two_secrets_overlap_and_expire() {
    each_engine(async |store| {
        let app = add_application(&store, "grafana").await;
        let (old, new) = (secret(), secret());
        for secret in [&old, &new] {
            write(&store, async |tx| tx.add_secret(app.id, secret).await)
                .await
                .unwrap();
        }
        let expire = async |at| {
            write(&store, async |tx| tx.expire_secret(old.id, at).await)
                .await
                .unwrap()
        };
        assert!(expire(later(100)).await);
        assert!(
            !expire(later(200)).await,
            "a secret does not live longer by expiring it"
        );
        assert!(expire(later(50)).await);
        let secrets = store.read().application(app.id).await.unwrap().unwrap().secrets;
        assert_eq!(
            secrets,
            [
                ClientSecret {
                    expires_at: Some(later(50)),
                    ..old
                },
                new.clone()
            ]
        );
        assert_eq!(
            write(&store, async |tx| tx.forget_secrets(later(50)).await)
                .await
                .unwrap(),
            0
        );
        assert_eq!(
            write(&store, async |tx| tx.forget_secrets(later(51)).await)
                .await
                .unwrap(),
            1
        );
        assert_eq!(
            store.read().application(app.id).await.unwrap().unwrap().secrets,
            [new]
        );
        let error = write(&store, async |tx| tx.add_secret(id(), &secret()).await)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Reference { .. }), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn custom_scopes_come_back_with_their_claims() {
    each_engine(async |store| {
        let mut scope = CustomScope {
            id: id(),
            name: "team".into(),
            description: "Your team".into(),
            claims: BTreeMap::from([
                ("team".to_owned(), "user.attributes.team.name".parse().unwrap()),
                ("groups".to_owned(), "groups".parse().unwrap()),
                ("fixed".to_owned(), "\"it's \\\"so\\\"\"".parse().unwrap()),
                ("answer".to_owned(), "42".parse().unwrap()),
            ]),
            created_at: NOW,
            updated_at: NOW,
        };
        write(&store, async |tx| tx.add_scope(&scope).await)
            .await
            .unwrap();
        assert_eq!(store.read().custom_scopes().await.unwrap(), [scope.clone()]);
        let twin = CustomScope {
            id: id(),
            ..scope.clone()
        };
        let error = write(&store, async |tx| tx.add_scope(&twin).await)
            .await
            .unwrap_err();
        assert_eq!(conflict_field(&error), Some("name"));
        let error = write(&store, async |tx| tx.save_scope(&twin).await)
            .await
            .unwrap_err();
        assert_eq!(error, Error::Stale);
        scope.claims.clear();
        scope.name = "crew".into();
        scope.updated_at = later(1);
        write(&store, async |tx| tx.save_scope(&scope).await)
            .await
            .unwrap();
        assert_eq!(store.read().custom_scopes().await.unwrap(), [scope.clone()]);
        assert!(
            write(&store, async |tx| tx.delete_scope(scope.id).await)
                .await
                .unwrap()
        );
        assert!(
            !write(&store, async |tx| tx.delete_scope(scope.id).await)
                .await
                .unwrap()
        );
        assert_eq!(store.read().custom_scopes().await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn keys_come_back_and_leave_when_they_are_withdrawn() {
    each_engine(async |store| {
        let key = |n: u32| KeyRecord {
            id: id(),
            kid: format!("kid-{n}"),
            algorithm: SigningAlgorithm::Ps256,
            public_jwk: json!({ "kty": "RSA", "n": "0vx7", "e": "AQAB", "big": 18_446_744_073_709_551_615_u64 }),
            private_sealed: vec![0, 255, 0, 1],
            created_at: later(n),
            signs_from: later(n + 10),
            withdrawn_at: None,
        };
        let keys = [key(1), key(2), key(3)];
        for key in keys.iter().rev() {
            write(&store, async |tx| tx.add_key(key).await).await.unwrap();
        }
        assert_eq!(store.read().keys().await.unwrap(), keys);
        let twin = KeyRecord { kid: "kid-1".into(), ..key(4) };
        let error = write(&store, async |tx| tx.add_key(&twin).await).await.unwrap_err();
        assert_eq!(conflict_field(&error), Some("kid"));
        let withdraw = async |at| write(&store, async |tx| tx.withdraw_key(keys[0].id, at).await).await.unwrap();
        assert!(withdraw(later(20)).await);
        assert!(!withdraw(later(30)).await, "a withdrawn key does not come back");
        assert!(withdraw(later(15)).await);
        assert_eq!(store.read().keys().await.unwrap()[0].withdrawn_at, Some(later(15)));
        assert_eq!(write(&store, async |tx| tx.forget_keys(later(16)).await).await.unwrap(), 1);
        assert_eq!(store.read().keys().await.unwrap(), keys[1..]);
    })
    .await;
}
