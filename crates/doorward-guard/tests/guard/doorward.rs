//! Against the real Doorward: its keys, its access tokens, its introspection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use doorward_domain::client::{AccessTokenFormat, GrantType, SubjectMode};
use doorward_guard::Guard;
use doorward_oidc::params::Params;
use doorward_testkit::{App, Client, PUBLIC_URL, START, each_app};
use doorward_web::{BuildInfo, Options, Outbound, router};

use crate::fake::{bearer, now, status};

/// Serves it on a port of its own and gives the address.
async fn serve(app: &App) -> String {
    // Its clock stands at the beginning of the story; tokens must not be over for the guard, which has the real time.
    let behind = now() - START.millis() / 1000;
    app.wait_seconds(u32::try_from(behind.max(0)).expect("not too far"));
    let options = Options {
        trusts: Arc::new(|_: IpAddr| false),
        metrics_token: None,
        body_limit: 64 * 1024,
        header_read_timeout: Duration::from_secs(5),
        connections: 100,
        shutdown_grace: Duration::from_millis(100),
        outbound: Outbound {
            tls: Arc::new(|| Err("tests call nobody".to_owned())),
            may_call: Arc::new(|_| false),
        },
        image_digest: None,
        build: BuildInfo {
            version: "0.0.0",
            commit: "test",
            built_at: "unknown",
            dirty: Some(false),
        },
    };
    let service = router::router(app.doorward.clone(), options);
    let service = Router::new()
        .fallback_service(service)
        .into_make_service_with_connect_info::<SocketAddr>();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("its address"));
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

async fn notes(app: &App, format: AccessTokenFormat) -> Client {
    app.oidc_client("notes", |wanted| {
        wanted.client.access_token_format = Some(format);
        wanted.client.subject_mode = Some(SubjectMode::Uuid);
        wanted.client.grant_types = Some(
            [
                GrantType::AuthorizationCode,
                GrantType::RefreshToken,
                GrantType::ClientCredentials,
            ]
            .into(),
        );
    })
    .await
}

async fn service_token(client: &Client) -> String {
    let form = Params::from_pairs([("grant_type", "client_credentials")]);
    let answer = client.token(form).await.expect("tokens");
    answer
        .get("access_token")
        .and_then(serde_json::Value::as_str)
        .expect("a token")
        .to_owned()
}

#[tokio::test]
async fn signed_access_tokens() {
    each_app(async |app| {
        let address = serve(&app).await;
        let client = notes(&app, AccessTokenFormat::Jwt).await;
        let alice = app.person("alice").await;
        let guard = || {
            Guard::builder(PUBLIC_URL)
                .internal_url(&address)
                .openid("notes", &client.id)
        };
        let offline = guard().build().expect("a guard");
        assert_eq!(offline.check().await, Vec::<String>::new());
        let browser = app.sign_in("alice").await;
        let tokens = client.tokens(&browser, "openid profile").await;
        let caller = bearer(&offline, &tokens.access()).await.expect("somebody");
        assert_eq!(caller.person().expect("a person").id, alice.id.to_string());
        assert!(caller.has_scope("openid"));
        let robot = bearer(&offline, &service_token(&client).await)
            .await
            .expect("somebody");
        assert_eq!(robot.service().expect("a service").id, client.id);
        // Neither the ID token nor a token for somebody else is let in.
        assert_eq!(status(&offline, &tokens.id()).await, 401);
        let other = app.oidc_client("other", |_| {}).await;
        let others = other.tokens(&browser, "openid profile").await;
        assert_eq!(status(&offline, &others.access()).await, 401);
        // A revoked token counts until it is over, unless the server is asked.
        let secret = client.secret.clone().expect("a secret");
        let asking = guard()
            .introspection(&client.id, &secret)
            .always_ask()
            .keep_answers(Duration::ZERO);
        let asking = asking.build().expect("a guard");
        assert_eq!(status(&asking, &tokens.access()).await, 200);
        client.revoke(&tokens.access()).await;
        assert_eq!(status(&asking, &tokens.access()).await, 401);
        assert_eq!(status(&offline, &tokens.access()).await, 200);
    })
    .await;
}

#[tokio::test]
async fn opaque_access_tokens() {
    each_app(async |app| {
        let address = serve(&app).await;
        let client = notes(&app, AccessTokenFormat::Opaque).await;
        let alice = app.person("alice").await;
        let secret = client.secret.clone().expect("a secret");
        let guard = |secret: &str| {
            let builder = Guard::builder(PUBLIC_URL)
                .internal_url(&address)
                .openid("notes", &client.id);
            let builder = builder
                .introspection(&client.id, secret)
                .keep_answers(Duration::ZERO);
            builder.build().expect("a guard")
        };
        let (asking, mistaken) = (guard(&secret), guard("wrong"));
        let browser = app.sign_in("alice").await;
        let tokens = client.tokens(&browser, "openid offline_access").await;
        let caller = bearer(&asking, &tokens.access()).await.expect("somebody");
        assert_eq!(caller.person().expect("a person").id, alice.id.to_string());
        assert!(
            bearer(&asking, &service_token(&client).await)
                .await
                .expect("somebody")
                .service()
                .is_some()
        );
        assert_eq!(
            status(&asking, &tokens.refresh()).await,
            401,
            "a refresh token is no access token"
        );
        assert_eq!(status(&asking, "dwa_nonsense").await, 401);
        assert_eq!(
            status(&mistaken, &tokens.access()).await,
            503,
            "our own wrong secret is not the caller's fault"
        );
        client.revoke(&tokens.access()).await;
        assert_eq!(status(&asking, &tokens.access()).await, 401);
    })
    .await;
}
