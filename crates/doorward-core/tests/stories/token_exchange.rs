//! Token exchange (RFC 8693): services that pass somebody's access on, and no further than they may.

use doorward_core::admin::applications::ApplicationChange;
use doorward_core::admin::users::UserChange;
use doorward_core::error::Result;
use doorward_core::token::Answer;
use doorward_domain::Reason;
use doorward_domain::client::{AccessTokenFormat, ClientKind, GrantType};
use doorward_domain::event::EventKind;
use doorward_oidc::error::ErrorCode;
use doorward_oidc::params::Params;
use doorward_oidc::token_exchange::ACCESS_TOKEN;
use doorward_testkit::{App, Browser, Client, PUBLIC_URL, Tokens, each_app};
use serde_json::{Map, Value, json};

/// A shop that people use, the orders behind it, the stock behind those. Each may exchange for the next.
struct Chain {
    browser: Browser,
    shop: Client,
    orders: Client,
    stock: Client,
}

fn exchanging(change: &mut ApplicationChange) {
    change.client.grant_types = Some(
        [
            GrantType::AuthorizationCode,
            GrantType::RefreshToken,
            GrantType::ClientCredentials,
            GrantType::TokenExchange,
        ]
        .into(),
    );
}

fn from(change: &mut ApplicationChange, names: &[&str]) {
    change.client.exchange_from = Some(names.iter().map(|name| (*name).to_owned()).collect());
}

async fn chain(app: &App) -> Chain {
    app.person("alice").await;
    let shop = app.oidc_client("shop", exchanging).await;
    let orders = app
        .oidc_client("orders", |change| {
            exchanging(change);
            from(change, &["shop"]);
        })
        .await;
    let stock = app
        .oidc_client("stock", |change| {
            exchanging(change);
            from(change, &[&orders.id]);
        })
        .await;
    Chain {
        browser: app.sign_in("alice").await,
        shop,
        orders,
        stock,
    }
}

async fn change(app: &App, client: &Client, change: impl FnOnce(&mut ApplicationChange)) {
    let mut wanted = ApplicationChange::default();
    change(&mut wanted);
    app.doorward
        .update_application(client.application.id, &wanted)
        .await
        .unwrap();
}

fn form(token: &str, audience: &str) -> Params {
    Params::from_pairs([
        ("grant_type", GrantType::TokenExchange.as_str()),
        ("subject_token", token),
        ("subject_token_type", ACCESS_TOKEN),
        ("audience", audience),
    ])
}

async fn exchange(by: &Client, token: &str, target: &Client) -> Result<Answer> {
    by.token(form(token, &target.id)).await
}

async fn exchanged(by: &Client, token: &str, target: &Client) -> String {
    let answer = exchange(by, token, target).await.unwrap();
    Tokens { answer }.access()
}

fn code_of<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
    Client::error(result).code
}

fn claims(app: &App, jwt: &str) -> Map<String, Value> {
    app.doorward.open_own_jwt(jwt).expect("a JWT of ours").claims
}

const OFFLINE: &str = "openid profile email offline_access";

#[tokio::test]
async fn a_token_is_exchanged_for_one_that_another_application_takes() {
    each_app(async |app| {
        let chain = chain(&app).await;
        let (shop, orders) = (&chain.shop, &chain.orders);
        for format in [AccessTokenFormat::Jwt, AccessTokenFormat::Opaque] {
            for client in [shop, orders] {
                change(&app, client, |change| {
                    change.client.access_token_format = Some(format);
                })
                .await;
            }
            let subject = shop.tokens(&chain.browser, OFFLINE).await.access();
            app.wait_seconds(100);
            let answer = exchange(shop, &subject, orders).await.unwrap();
            assert_eq!(answer["issued_token_type"], ACCESS_TOKEN);
            assert_eq!(answer["token_type"], "Bearer");
            assert_eq!(answer["scope"], "email openid profile");
            assert_eq!(answer["expires_in"], 1700, "no longer than the subject token");
            assert!(answer.get("refresh_token").is_none() && answer.get("id_token").is_none());
            let token = Tokens { answer }.access();
            let told = claims(&app, &token);
            assert_eq!(told["iss"], format!("{PUBLIC_URL}/application/o/orders/"));
            assert_eq!(told["aud"], orders.id);
            assert_eq!(told["client_id"], shop.id);
            assert_eq!(told["act"], json!({ "sub": shop.id }));
            assert_eq!(told["exp"], app.now().seconds() + 1700);
            let introspected = orders.introspect(&token).await;
            assert_eq!(introspected["client_id"], shop.id);
            assert_eq!(introspected["act"], told["act"]);
            assert_eq!(introspected["sub"], told["sub"]);
            assert_eq!(introspected["username"], "alice");
            assert_eq!(orders.userinfo(&token).await.unwrap()["sub"], told["sub"]);
            assert!(shop.is_active(&token).await && !chain.stock.is_active(&token).await);
            shop.revoke(&token).await;
            assert!(!orders.is_active(&token).await);
            assert!(shop.is_active(&subject).await);
        }
        let issued = app.events().await;
        let issued = issued
            .iter()
            .rfind(|event| event.kind == EventKind::TokensIssued)
            .unwrap();
        assert_eq!(issued.details["grant_type"], GrantType::TokenExchange.as_str());
        assert_eq!(issued.details["exchange"]["act"]["sub"], shop.id);
        assert_eq!(issued.application_id, Some(orders.application.id));
    })
    .await;
}

#[tokio::test]
async fn a_chain_of_services_names_everyone_in_it_and_ends_after_three() {
    each_app(async |app| {
        let chain = chain(&app).await;
        let (shop, orders, stock) = (&chain.shop, &chain.orders, &chain.stock);
        let subject = shop.tokens(&chain.browser, "openid").await.access();
        let first = exchanged(shop, &subject, orders).await;
        let second = exchanged(orders, &first, stock).await;
        change(&app, shop, |change| from(change, &["stock"])).await;
        let third = exchanged(stock, &second, shop).await;
        assert_eq!(
            claims(&app, &third)["act"],
            json!({ "sub": stock.id, "act": { "sub": orders.id, "act": { "sub": shop.id } } })
        );
        assert_eq!(
            code_of(exchange(shop, &third, orders).await),
            ErrorCode::InvalidRequest
        );
        // Nor does a client get round that by exchanging for itself.
        assert_eq!(
            code_of(exchange(shop, &third, shop).await),
            ErrorCode::InvalidRequest
        );
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_not_meant_for_the_exchanger_is_not_exchanged() {
    each_app(async |app| {
        let chain = chain(&app).await;
        let (shop, orders, stock) = (&chain.shop, &chain.orders, &chain.stock);
        change(&app, stock, |change| from(change, &["orders", "shop"])).await;
        let tokens = shop.tokens(&chain.browser, OFFLINE).await;
        // The orders found a token of the shop that was never handed on to them.
        let stolen = exchange(orders, &tokens.access(), stock).await;
        assert_eq!(code_of(stolen), ErrorCode::InvalidRequest);
        let refused = app.events().await;
        let refused = refused
            .iter()
            .rfind(|event| event.kind == EventKind::Refused)
            .unwrap();
        assert_eq!(refused.reason, Some(Reason::InvalidRequest));
        assert_eq!(refused.details["what"], "token_exchange");
        assert!(refused.user_id.is_some() && refused.code.is_some());
        // Not an access token of ours, or not one any more, or about nobody.
        let machine = Params::from_pairs([("grant_type", "client_credentials")]);
        let machine = Tokens {
            answer: shop.token(machine).await.unwrap(),
        };
        let revoked = shop.tokens(&chain.browser, "openid").await.access();
        shop.revoke(&revoked).await;
        for (what, token) in [
            ("nonsense", "dwa_nonsense".to_owned()),
            ("a refresh token", tokens.refresh()),
            ("an ID token", tokens.id()),
            ("a revoked one", revoked),
            ("a machine's", machine.access()),
        ] {
            let told = exchange(shop, &token, orders).await;
            assert_eq!(code_of(told), ErrorCode::InvalidRequest, "{what}");
        }
        app.wait_seconds(1801);
        let expired = exchange(shop, &tokens.access(), orders).await;
        assert_eq!(code_of(expired), ErrorCode::InvalidRequest);
    })
    .await;
}

#[tokio::test]
async fn a_resource_server_exchanges_tokens_for_the_resource_that_it_serves() {
    each_app(async |app| {
        let chain = chain(&app).await;
        let api = "https://api.example.org/";
        let server = app
            .oidc_client("api", |change| {
                exchanging(change);
                change.client.redirect_uris = Some(Vec::new());
                change.client.resources = Some([api.to_owned()].into());
            })
            .await;
        change(&app, &chain.shop, |change| {
            change.client.resources = Some([api.to_owned()].into());
        })
        .await;
        change(&app, &chain.stock, |change| from(change, &["api"])).await;
        let asked = chain.shop.ask();
        let asked = doorward_testkit::Asked {
            params: asked.params.with("resource", api),
            ..asked
        };
        let code = chain.shop.code(&chain.browser, &asked).await;
        let answer = chain.shop.redeem(&code, &asked).await.unwrap();
        let subject = Tokens { answer }.access();
        let token = exchanged(&server, &subject, &chain.stock).await;
        assert!(chain.stock.is_active(&token).await);
        assert_eq!(claims(&app, &token)["act"]["sub"], server.id);
    })
    .await;
}

#[tokio::test]
async fn nobody_exchanges_for_an_application_that_does_not_list_them() {
    each_app(async |app| {
        let chain = chain(&app).await;
        let (shop, stock) = (&chain.shop, &chain.stock);
        let subject = shop.tokens(&chain.browser, "openid").await.access();
        let unlisted = Client::error(exchange(shop, &subject, stock).await);
        let unknown = Client::error(shop.token(form(&subject, "unknown")).await);
        assert_eq!(
            (unlisted.code, &unlisted.description),
            (ErrorCode::InvalidTarget, &unknown.description),
            "nobody learns which applications there are"
        );
        let foreign = form(&subject, &chain.orders.id).with("resource", "https://elsewhere.example.org/");
        assert_eq!(code_of(shop.token(foreign).await), ErrorCode::InvalidTarget);
        let nowhere = form(&subject, "").without(&["audience"]);
        assert_eq!(code_of(shop.token(nowhere).await), ErrorCode::InvalidRequest);
        app.doorward
            .delete_application(chain.orders.application.id)
            .await
            .unwrap();
        assert_eq!(
            code_of(exchange(shop, &subject, &chain.orders).await),
            ErrorCode::InvalidTarget
        );
    })
    .await;
}

#[tokio::test]
async fn only_confidential_clients_with_the_grant_type_exchange() {
    each_app(async |app| {
        let chain = chain(&app).await;
        let plain = app.oidc_client("plain", |_| {}).await;
        change(&app, &chain.orders, |change| from(change, &["plain"])).await;
        let subject = plain.tokens(&chain.browser, "openid").await.access();
        assert_eq!(
            code_of(exchange(&plain, &subject, &chain.orders).await),
            ErrorCode::UnauthorizedClient
        );
        let mut public = ApplicationChange::default();
        exchanging(&mut public);
        public.client.grant_types = Some([GrantType::AuthorizationCode, GrantType::TokenExchange].into());
        public.client.kind = Some(ClientKind::Public);
        let told = crate::invalid(app.doorward.create_application("spa", &public).await);
        assert!(told.contains("public"), "{told}");
        let mut unknown = ApplicationChange::default();
        from(&mut unknown, &["nobody"]);
        let told = app
            .doorward
            .update_application(chain.orders.application.id, &unknown)
            .await;
        assert!(crate::invalid(told).contains("nobody"));
    })
    .await;
}

#[tokio::test]
async fn scopes_become_fewer_and_never_more() {
    each_app(async |app| {
        let chain = chain(&app).await;
        let (shop, orders) = (&chain.shop, &chain.orders);
        change(&app, orders, |change| {
            change.client.scopes = Some(["openid", "email", "groups"].map(str::to_owned).into());
        })
        .await;
        let subject = shop.tokens(&chain.browser, "openid profile email").await.access();
        for wider in ["groups", "profile", "openid groups"] {
            let wider = form(&subject, &orders.id).with("scope", wider);
            assert_eq!(code_of(shop.token(wider).await), ErrorCode::InvalidScope);
        }
        let answer = exchange(shop, &subject, orders).await.unwrap();
        assert_eq!(answer["scope"], "email openid");
        let narrow = form(&subject, &orders.id).with("scope", "openid");
        let answer = shop.token(narrow).await.unwrap();
        assert_eq!(answer["scope"], "openid");
        // What was left out does not come back one exchange later.
        change(&app, &chain.stock, |change| from(change, &["orders"])).await;
        let token = Tokens { answer }.access();
        let again = form(&token, &chain.stock.id).with("scope", "openid email");
        assert_eq!(code_of(orders.token(again).await), ErrorCode::InvalidScope);
    })
    .await;
}

#[tokio::test]
async fn claims_that_one_client_asked_for_singly_do_not_reach_the_other() {
    each_app(async |app| {
        let chain = chain(&app).await;
        let asked = chain.shop.ask_for("openid");
        let asked = doorward_testkit::Asked {
            params: asked.params.with("claims", r#"{"userinfo":{"email":null}}"#),
            ..asked
        };
        let code = chain.shop.code(&chain.browser, &asked).await;
        let answer = chain.shop.redeem(&code, &asked).await.unwrap();
        let subject = Tokens { answer }.access();
        assert!(chain.shop.userinfo(&subject).await.unwrap().contains_key("email"));
        let token = exchanged(&chain.shop, &subject, &chain.orders).await;
        assert!(!chain.orders.userinfo(&token).await.unwrap().contains_key("email"));
    })
    .await;
}

#[tokio::test]
async fn what_was_exchanged_ends_with_the_family_it_came_from() {
    each_app(async |app| {
        let chain = chain(&app).await;
        let (shop, orders, stock) = (&chain.shop, &chain.orders, &chain.stock);
        let tokens = shop.tokens(&chain.browser, OFFLINE).await;
        let first = exchanged(shop, &tokens.access(), orders).await;
        let second = exchanged(orders, &first, stock).await;
        assert!(stock.is_active(&second).await);
        shop.revoke(&tokens.refresh()).await;
        assert!(!orders.is_active(&first).await && !stock.is_active(&second).await);
        assert!(orders.userinfo(&first).await.is_err());
        assert_eq!(
            code_of(exchange(orders, &first, stock).await),
            ErrorCode::InvalidRequest
        );
    })
    .await;
}

#[tokio::test]
async fn a_person_who_may_not_enter_the_target_gets_nothing_there() {
    each_app(async |app| {
        let chain = chain(&app).await;
        let (shop, orders) = (&chain.shop, &chain.orders);
        let subject = shop.tokens(&chain.browser, "openid").await.access();
        let token = exchanged(shop, &subject, orders).await;
        change(&app, orders, |change| change.everyone = Some(false)).await;
        assert!(!orders.is_active(&token).await, "what was exchanged before");
        assert_eq!(
            code_of(exchange(shop, &subject, orders).await),
            ErrorCode::InvalidGrant
        );
        change(&app, orders, |change| change.everyone = Some(true)).await;
        assert!(orders.is_active(&token).await);
        // Nor does a token outlive the access to where it came from.
        change(&app, shop, |change| change.everyone = Some(false)).await;
        assert!(!orders.is_active(&token).await);
        assert_eq!(
            code_of(exchange(shop, &subject, orders).await),
            ErrorCode::InvalidRequest
        );
    })
    .await;
}

#[tokio::test]
async fn a_deactivated_person_is_passed_on_by_nobody() {
    each_app(async |app| {
        let chain = chain(&app).await;
        let subject = chain.shop.tokens(&chain.browser, "openid").await.access();
        let token = exchanged(&chain.shop, &subject, &chain.orders).await;
        let alice = app.doorward.find_user("alice").await.unwrap();
        let off = UserChange {
            active: Some(false),
            ..UserChange::default()
        };
        app.doorward.update_user(alice.id, &off).await.unwrap();
        assert!(!chain.orders.is_active(&token).await);
        for by in [
            (&chain.shop, &subject, &chain.orders),
            (&chain.orders, &token, &chain.stock),
        ] {
            assert_eq!(
                code_of(exchange(by.0, by.1, by.2).await),
                ErrorCode::InvalidRequest
            );
        }
    })
    .await;
}

#[tokio::test]
async fn an_actor_token_says_who_acts_when_it_is_the_callers_own() {
    each_app(async |app| {
        let chain = chain(&app).await;
        app.person("robot").await;
        let robot = app.sign_in("robot").await;
        let (shop, orders) = (&chain.shop, &chain.orders);
        let subject = shop.tokens(&chain.browser, "openid").await.access();
        let with = |actor: &str| {
            form(&subject, &orders.id)
                .with("actor_token", actor)
                .with("actor_token_type", ACCESS_TOKEN)
        };
        let own = shop.tokens(&robot, "openid").await.access();
        let answer = shop.token(with(&own)).await.unwrap();
        let token = Tokens { answer }.access();
        let told = claims(&app, &token);
        assert_eq!(told["act"]["client_id"], shop.id);
        assert_eq!(told["act"]["sub"], claims(&app, &own)["sub"]);
        assert_ne!(told["act"]["sub"], told["sub"]);
        let foreign = orders.tokens(&robot, "openid").await.access();
        for bad in [foreign.as_str(), "dwa_nonsense"] {
            assert_eq!(code_of(shop.token(with(bad)).await), ErrorCode::InvalidRequest);
        }
    })
    .await;
}
