//! Proof of possession (RFC 9449): tokens that are worth nothing without their key.

use std::sync::atomic::{AtomicU64, Ordering};

use doorward_core::admin::applications::ApplicationChange;
use doorward_core::dpop::Carried;
use doorward_core::error::Result;
use doorward_core::pushed::Pushed;
use doorward_core::token::Answer;
use doorward_crypto::jose::{Algorithm, SigningKey};
use doorward_crypto::token::pkce_s256;
use doorward_domain::Reason;
use doorward_domain::client::{AccessTokenFormat, ClientKind, GrantType};
use doorward_domain::event::EventKind;
use doorward_oidc::error::ErrorCode;
use doorward_oidc::params::Params;
use doorward_testkit::{App, Browser, Client, PUBLIC_URL, Tokens, each_app};
use serde_json::{Map, Value, json};

const OFFLINE: &str = "openid profile offline_access";
const TOKEN: &str = "/application/o/token/";
const PUSH: &str = "/application/o/par/";
const USERINFO: &str = "/application/o/userinfo/";

/// A program's key, and proofs made with it.
struct Holder {
    app: App,
    key: SigningKey,
}

impl Holder {
    fn new(app: &App) -> Self {
        Self::with(app, Algorithm::EdDSA)
    }

    fn with(app: &App, algorithm: Algorithm) -> Self {
        Self {
            app: app.clone(),
            key: SigningKey::generate(algorithm).unwrap(),
        }
    }

    fn jkt(&self) -> String {
        self.key.public_jwk().thumbprint()
    }

    fn header(&self) -> Value {
        json!({ "typ": "dpop+jwt", "alg": self.key.algorithm().as_str(), "jwk": self.key.public_jwk() })
    }

    fn claims(&self, method: &str, path: &str) -> Map<String, Value> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let jti = format!("proof-{}", COUNT.fetch_add(1, Ordering::SeqCst));
        let claims = json!({ "jti": jti, "htm": method, "htu": format!("{PUBLIC_URL}{path}"), "iat": self.app.now().seconds() });
        claims.as_object().unwrap().clone()
    }

    fn sign(&self, header: &Value, claims: &Map<String, Value>) -> String {
        let claims = serde_json::to_vec(claims).unwrap();
        self.key.sign_header_json(&header.to_string(), &claims).unwrap()
    }

    fn proof(&self, path: &str) -> String {
        self.sign(&self.header(), &self.claims("POST", path))
    }

    /// A proof for the userinfo endpoint.
    fn shown(&self, token: &str) -> String {
        let mut claims = self.claims("GET", USERINFO);
        claims.insert("ath".into(), pkce_s256(token).into());
        self.sign(&self.header(), &claims)
    }
}

async fn token(app: &App, client: &Client, proof: Option<&str>, form: Params) -> Result<Answer> {
    let form = if client.secret.is_none() {
        form.with("client_id", &client.id)
    } else {
        form
    };
    app.doorward
        .token_with_proof(client.basic().as_deref(), proof, &form, &client.origin)
        .await
}

async fn tokens(app: &App, client: &Client, browser: &Browser, holder: &Holder) -> Tokens {
    let asked = client.ask_for(OFFLINE);
    let code = client.code(browser, &asked).await;
    let form = client.code_form(&code, &asked);
    let answer = token(app, client, Some(&holder.proof(TOKEN)), form)
        .await
        .unwrap();
    Tokens { answer }
}

fn refresh_form(token: &str) -> Params {
    Params::from_pairs([("grant_type", "refresh_token"), ("refresh_token", token)])
}

async fn userinfo(app: &App, token: &str, proof: Option<&str>) -> Result<Map<String, Value>> {
    let carried = Carried::Bound {
        token,
        proof,
        method: "GET",
    };
    app.doorward.userinfo_carried(carried).await
}

fn code_of<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
    Client::error(result).code
}

fn opaque(change: &mut ApplicationChange) {
    change.client.access_token_format = Some(AccessTokenFormat::Opaque);
}

fn public(change: &mut ApplicationChange) {
    change.client.kind = Some(ClientKind::Public);
}

async fn two(app: &App, change: impl FnOnce(&mut ApplicationChange)) -> (Browser, Client) {
    app.person("alice").await;
    let client = app.oidc_client("grafana", change).await;
    (app.sign_in("alice").await, client)
}

#[tokio::test]
async fn a_bound_token_says_so_everywhere_and_works_with_its_key() {
    each_app(async |app| {
        let (browser, client) = two(&app, |_| {}).await;
        let other = app.oidc_client("opaque", opaque).await;
        for (client, algorithm) in [
            (&client, Algorithm::EdDSA),
            (&client, Algorithm::ES256),
            (&client, Algorithm::RS256),
            (&other, Algorithm::ES256),
        ] {
            let holder = Holder::with(&app, algorithm);
            let tokens = tokens(&app, client, &browser, &holder).await;
            assert_eq!(tokens.answer["token_type"], "DPoP");
            let access = tokens.access();
            if let Some(own) = app.doorward.open_own_jwt(&access) {
                assert_eq!(own.claims["cnf"], json!({ "jkt": holder.jkt() }));
            }
            let told = client.introspect(&access).await;
            assert_eq!(told["token_type"], "DPoP");
            assert_eq!(told["cnf"], json!({ "jkt": holder.jkt() }));
            for _ in 0..2 {
                let told = userinfo(&app, &access, Some(&holder.shown(&access)))
                    .await
                    .unwrap();
                assert_eq!(told["preferred_username"], "alice");
            }
        }
        let issued = app.events().await;
        let issued = issued
            .iter()
            .find(|event| event.kind == EventKind::TokensIssued)
            .unwrap();
        assert!(issued.details["key"].is_string());
    })
    .await;
}

#[tokio::test]
async fn a_stolen_bound_token_is_worth_nothing_without_its_key() {
    each_app(async |app| {
        let (browser, client) = two(&app, |_| {}).await;
        let other = app.oidc_client("opaque", opaque).await;
        for client in [&client, &other] {
            let (owner, thief) = (Holder::new(&app), Holder::new(&app));
            let access = tokens(&app, client, &browser, &owner).await.access();
            // As a bearer token, without a proof, with the thief's own key.
            assert_eq!(code_of(client.userinfo(&access).await), ErrorCode::InvalidToken);
            assert_eq!(
                code_of(userinfo(&app, &access, None).await),
                ErrorCode::InvalidDpopProof
            );
            let own = thief.shown(&access);
            assert_eq!(
                code_of(userinfo(&app, &access, Some(&own)).await),
                ErrorCode::InvalidToken
            );
            // With the owner's key in the header and the thief's signature.
            let mut claims = owner.claims("GET", USERINFO);
            claims.insert("ath".into(), pkce_s256(&access).into());
            let forged = thief.sign(&owner.header(), &claims);
            assert_eq!(
                code_of(userinfo(&app, &access, Some(&forged)).await),
                ErrorCode::InvalidDpopProof
            );
            // With proofs of the owner for other things.
            let no_token = owner.sign(&owner.header(), &owner.claims("GET", USERINFO));
            let other_token = owner.shown("another token");
            let other_method = owner.sign(&owner.header(), &{
                let mut claims = owner.claims("POST", USERINFO);
                claims.insert("ath".into(), pkce_s256(&access).into());
                claims
            });
            let other_place = owner.sign(&owner.header(), &{
                let mut claims = owner.claims("GET", TOKEN);
                claims.insert("ath".into(), pkce_s256(&access).into());
                claims
            });
            for proof in [no_token, other_token, other_method, other_place] {
                assert_eq!(
                    code_of(userinfo(&app, &access, Some(&proof)).await),
                    ErrorCode::InvalidDpopProof
                );
            }
            // With a proof that was overheard.
            let proof = owner.shown(&access);
            userinfo(&app, &access, Some(&proof)).await.unwrap();
            assert_eq!(
                code_of(userinfo(&app, &access, Some(&proof)).await),
                ErrorCode::InvalidDpopProof
            );
            app.wait_seconds(61);
            let late = owner.sign(&owner.header(), &{
                let mut claims = owner.claims("GET", USERINFO);
                claims.insert("ath".into(), pkce_s256(&access).into());
                claims.insert("iat".into(), (app.now().seconds() - 61).into());
                claims
            });
            assert_eq!(
                code_of(userinfo(&app, &access, Some(&late)).await),
                ErrorCode::InvalidDpopProof
            );
            userinfo(&app, &access, Some(&owner.shown(&access)))
                .await
                .unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_bearer_token_does_not_pass_for_a_bound_one() {
    each_app(async |app| {
        let (browser, client) = two(&app, |_| {}).await;
        let access = client.tokens(&browser, OFFLINE).await.access();
        let holder = Holder::new(&app);
        let proof = holder.shown(&access);
        assert_eq!(
            code_of(userinfo(&app, &access, Some(&proof)).await),
            ErrorCode::InvalidToken
        );
        assert_eq!(client.introspect(&access).await["token_type"], "Bearer");
        client.userinfo(&access).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn proofs_that_prove_nothing_are_refused_and_leave_the_code_alone() {
    each_app(async |app| {
        let (browser, client) = two(&app, |_| {}).await;
        let holder = Holder::new(&app);
        let asked = client.ask_for(OFFLINE);
        let code = client.code(&browser, &asked).await;
        let claims = || holder.claims("POST", TOKEN);
        let changed = |name: &str, value: Value| {
            let mut header = holder.header();
            header[name] = value;
            holder.sign(&header, &claims())
        };
        let encode = |text: &str| {
            use base64::Engine as _;
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
        };
        let unsigned = |alg: &str| {
            let mut header = holder.header();
            header["alg"] = alg.into();
            let claims = serde_json::to_string(&claims()).unwrap();
            format!(
                "{}.{}.{}",
                encode(&header.to_string()),
                encode(&claims),
                encode("signature")
            )
        };
        let mut private = serde_json::to_value(holder.key.public_jwk()).unwrap();
        private["d"] = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A".into();
        let mut crit = holder.header();
        crit["crit"] = json!(["exp"]);
        let thief = Holder::new(&app);
        let good = holder.proof(TOKEN);
        let (cut, _) = good.rsplit_once('.').unwrap();
        for (what, proof) in [
            ("nothing", String::new()),
            ("no JWT", "proof".into()),
            ("no signature", format!("{cut}.")),
            ("two proofs in one", format!("{good}, {good}")),
            ("none", unsigned("none")),
            ("a secret as key", unsigned("HS256")),
            ("a verify-only algorithm", unsigned("ES384")),
            ("another algorithm than the key's", unsigned("ES256")),
            ("a private key", changed("jwk", private)),
            (
                "a symmetric key",
                changed("jwk", json!({ "kty": "oct", "k": "c2VjcmV0" })),
            ),
            ("no key", changed("jwk", Value::Null)),
            ("another type", changed("typ", "JWT".into())),
            ("critical extensions", holder.sign(&crit, &claims())),
            ("another's signature", thief.sign(&holder.header(), &claims())),
            ("another endpoint", holder.proof(USERINFO)),
            (
                "another method",
                holder.sign(&holder.header(), &holder.claims("GET", TOKEN)),
            ),
            (
                "too long",
                holder.sign(&holder.header(), &{
                    let mut claims = claims();
                    claims.insert("x".into(), "x".repeat(10_000).into());
                    claims
                }),
            ),
        ] {
            let told = token(&app, &client, Some(&proof), client.code_form(&code, &asked)).await;
            let told = Client::error(told);
            assert_eq!(
                (told.code, told.status()),
                (ErrorCode::InvalidDpopProof, 400),
                "{what}"
            );
        }
        let refused = app.events().await;
        let refused = refused
            .iter()
            .rfind(|event| event.kind == EventKind::Refused)
            .unwrap();
        assert_eq!(refused.reason, Some(Reason::InvalidRequest));
        assert_eq!(refused.details["error"], "invalid_dpop_proof");
        token(&app, &client, Some(&good), client.code_form(&code, &asked))
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_proof_works_once_and_its_replay_neither_uses_nor_burns_a_code() {
    each_app(async |app| {
        let (browser, client) = two(&app, |_| {}).await;
        let holder = Holder::new(&app);
        let proof = holder.proof(TOKEN);
        let (first, second) = (client.ask(), client.ask());
        let first_code = client.code(&browser, &first).await;
        let second_code = client.code(&browser, &second).await;
        let form = client.code_form(&first_code, &first);
        token(&app, &client, Some(&proof), form).await.unwrap();
        let form = client.code_form(&second_code, &second);
        let replayed = token(&app, &client, Some(&proof), form.clone()).await;
        assert_eq!(code_of(replayed), ErrorCode::InvalidDpopProof);
        // The jti counts per key: another client may have chosen the same.
        let other = Holder::new(&app);
        let mut claims = other.claims("POST", TOKEN);
        let (_, payload) = proof.split_once('.').unwrap();
        let payload = payload.split('.').next().unwrap();
        let payload = {
            use base64::Engine as _;
            base64::engine::general_purpose::URL_SAFE_NO_PAD
                .decode(payload)
                .unwrap()
        };
        let original: Map<String, Value> = serde_json::from_slice(&payload).unwrap();
        claims.insert("jti".into(), original["jti"].clone());
        let same_name = other.sign(&other.header(), &claims);
        token(&app, &client, Some(&same_name), form).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn refresh_tokens_of_public_clients_stay_with_their_key() {
    each_app(async |app| {
        let (browser, client) = two(&app, public).await;
        let (owner, thief) = (Holder::new(&app), Holder::new(&app));
        let first = tokens(&app, &client, &browser, &owner).await;
        let form = || refresh_form(&first.refresh());
        assert_eq!(
            code_of(token(&app, &client, None, form()).await),
            ErrorCode::InvalidDpopProof
        );
        let stolen = token(&app, &client, Some(&thief.proof(TOKEN)), form()).await;
        assert_eq!(code_of(stolen), ErrorCode::InvalidGrant);
        let answer = token(&app, &client, Some(&owner.proof(TOKEN)), form())
            .await
            .unwrap();
        let second = Tokens { answer };
        assert_eq!(second.answer["token_type"], "DPoP");
        // The grace for lost replies holds for the owner only, and a thief does not end the family.
        let stolen = token(&app, &client, Some(&thief.proof(TOKEN)), form()).await;
        assert_eq!(code_of(stolen), ErrorCode::InvalidGrant);
        assert_eq!(
            code_of(token(&app, &client, None, form()).await),
            ErrorCode::InvalidDpopProof
        );
        let proof = owner.proof(TOKEN);
        let again = token(&app, &client, Some(&proof), form()).await.unwrap();
        assert_eq!(again["refresh_token"], second.answer["refresh_token"]);
        assert_eq!(
            code_of(token(&app, &client, Some(&proof), form()).await),
            ErrorCode::InvalidDpopProof
        );
        app.wait_seconds(30);
        let stolen = token(&app, &client, Some(&thief.proof(TOKEN)), form()).await;
        assert_eq!(code_of(stolen), ErrorCode::InvalidGrant);
        let form = refresh_form(&second.refresh());
        token(&app, &client, Some(&owner.proof(TOKEN)), form)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn confidential_clients_may_change_their_key_and_come_back_to_bearer_tokens() {
    each_app(async |app| {
        let (browser, client) = two(&app, |_| {}).await;
        let (old, new) = (Holder::new(&app), Holder::new(&app));
        let first = tokens(&app, &client, &browser, &old).await;
        let answer = token(
            &app,
            &client,
            Some(&new.proof(TOKEN)),
            refresh_form(&first.refresh()),
        )
        .await;
        let second = Tokens {
            answer: answer.unwrap(),
        };
        let access = second.access();
        userinfo(&app, &access, Some(&new.shown(&access))).await.unwrap();
        assert_eq!(
            code_of(userinfo(&app, &access, Some(&old.shown(&access))).await),
            ErrorCode::InvalidToken
        );
        let third = client.refresh(&second.refresh()).await.unwrap();
        assert_eq!(third["token_type"], "Bearer");
    })
    .await;
}

#[tokio::test]
async fn a_code_that_was_asked_for_with_a_key_is_redeemed_with_it() {
    each_app(async |app| {
        let (browser, client) = two(&app, public).await;
        let (owner, thief) = (Holder::new(&app), Holder::new(&app));
        let ask = || {
            let mut asked = client.ask();
            asked.params = asked.params.with("dpop_jkt", &owner.jkt());
            asked
        };
        for (proof, expected) in [
            (None, ErrorCode::InvalidDpopProof),
            (Some(thief.proof(TOKEN)), ErrorCode::InvalidGrant),
        ] {
            let asked = ask();
            let code = client.code(&browser, &asked).await;
            let form = client.code_form(&code, &asked);
            let stolen = token(&app, &client, proof.as_deref(), form.clone()).await;
            assert_eq!(code_of(stolen), expected);
            let late = token(&app, &client, Some(&owner.proof(TOKEN)), form).await;
            assert_eq!(code_of(late), ErrorCode::InvalidGrant, "the code was not burnt");
        }
        let asked = ask();
        let code = client.code(&browser, &asked).await;
        let form = client.code_form(&code, &asked);
        token(&app, &client, Some(&owner.proof(TOKEN)), form)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_pushed_request_binds_the_code_to_the_key_of_its_proof() {
    each_app(async |app| {
        let (browser, client) = two(&app, |_| {}).await;
        let (owner, thief) = (Holder::new(&app), Holder::new(&app));
        let push = async |proof: String, params: Params| {
            let basic = client.basic();
            app.doorward
                .push_with_proof(basic.as_deref(), Some(&proof), params, &client.origin)
                .await
        };
        let asked = client.ask();
        let other = asked.params.with("dpop_jkt", &thief.jkt());
        assert_eq!(
            code_of(push(owner.proof(PUSH), other).await),
            ErrorCode::InvalidDpopProof
        );
        let misplaced = push(owner.proof(TOKEN), asked.params.clone()).await;
        assert_eq!(code_of(misplaced), ErrorCode::InvalidDpopProof);
        let proof = owner.proof(PUSH);
        for _ in 0..2 {
            let pushed = push(proof.clone(), asked.params.clone()).await;
            let Ok(Pushed::Accepted(body)) = pushed else {
                assert_eq!(code_of(pushed), ErrorCode::InvalidDpopProof, "a replay");
                continue;
            };
            let mut visit = asked.clone();
            visit.params = Params::from_pairs([
                ("client_id", client.id.as_str()),
                ("request_uri", body["request_uri"].as_str().unwrap()),
            ]);
            let code = client.code(&browser, &visit).await;
            let form = client.code_form(&code, &asked);
            assert_eq!(
                code_of(token(&app, &client, Some(&thief.proof(TOKEN)), form).await),
                ErrorCode::InvalidGrant
            );
        }
    })
    .await;
}

#[tokio::test]
async fn tokens_without_a_person_can_be_bound_too() {
    each_app(async |app| {
        let client = app
            .oidc_client("machine", |change| {
                change.client.grant_types = Some([GrantType::ClientCredentials].into());
            })
            .await;
        let holder = Holder::new(&app);
        let form = Params::from_pairs([("grant_type", "client_credentials")]);
        let answer = token(&app, &client, Some(&holder.proof(TOKEN)), form)
            .await
            .unwrap();
        let told = client.introspect(answer["access_token"].as_str().unwrap()).await;
        assert_eq!(told["cnf"]["jkt"], holder.jkt());
    })
    .await;
}
