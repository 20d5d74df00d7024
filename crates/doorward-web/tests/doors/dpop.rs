//! Tokens bound to a key over HTTP (RFC 9449): the header, the scheme, the challenges.

use doorward_crypto::jose::{Algorithm, SigningKey};
use doorward_crypto::token::pkce_s256;
use doorward_testkit::{App, PUBLIC_URL, each_app};
use http::StatusCode;
use serde_json::json;

use crate::http_client::{Client, Got};

const TOKEN: &str = "/application/o/token/";
const USERINFO: &str = "/application/o/userinfo/";

struct Holder {
    app: App,
    key: SigningKey,
}

impl Holder {
    fn proof(&self, jti: &str, method: &str, path: &str, token: Option<&str>) -> String {
        let header =
            json!({ "typ": "dpop+jwt", "alg": self.key.algorithm().as_str(), "jwk": self.key.public_jwk() });
        let now = doorward_core::Clock::now(&*self.app.clock).seconds();
        let mut claims =
            json!({ "jti": jti, "htm": method, "htu": format!("{PUBLIC_URL}{path}"), "iat": now });
        if let Some(token) = token
            && let Some(members) = claims.as_object_mut()
        {
            members.insert("ath".into(), pkce_s256(token).into());
        }
        self.key
            .sign_header_json(&header.to_string(), claims.to_string().as_bytes())
            .expect("a proof")
    }
}

async fn ask(app: &App, authorization: &str, proofs: &[&str]) -> Got {
    let mut program = Client::new(app);
    program.headers.push(("authorization", authorization.to_owned()));
    program
        .headers
        .extend(proofs.iter().map(|proof| ("dpop", (*proof).to_owned())));
    program.get(USERINFO).await
}

#[tokio::test]
async fn a_bound_token_is_issued_shown_and_refused_over_http() {
    each_app(async |app| {
        app.person("alice").await;
        let client = app.oidc_client("grafana", |_| {}).await;
        let browser = app.sign_in("alice").await;
        let asked = client.ask();
        let code = client.code(&browser, &asked).await;
        let form = client.code_form(&code, &asked);
        let form: Vec<(&str, &str)> = form.iter().collect();
        let holder = Holder {
            app: app.clone(),
            key: SigningKey::generate(Algorithm::ES256).expect("a key"),
        };
        let proof = holder.proof("t-1", "POST", TOKEN, None);
        let mut program = Client::new(&app);
        program
            .headers
            .push(("authorization", client.basic().expect("a secret")));
        program.headers.push(("dpop", proof.clone()));
        // Exactly one header.
        let mut twice = program.clone();
        twice
            .headers
            .push(("dpop", holder.proof("t-2", "POST", TOKEN, None)));
        let got = twice.post(TOKEN, &form).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST, "{}", got.body);
        assert_eq!(got.json()["error"], "invalid_dpop_proof");

        let got = program.post(TOKEN, &form).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.body);
        let answer = got.json();
        assert_eq!(answer["token_type"], "DPoP");
        let access = answer["access_token"].as_str().expect("a token").to_owned();

        let bound = format!("DPoP {access}");
        let shown = holder.proof("u-1", "GET", USERINFO, Some(&access));
        let got = ask(&app, &bound, &[&shown]).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.body);
        assert_eq!(got.json()["preferred_username"], "alice");
        let second = holder.proof("u-2", "GET", USERINFO, Some(&access));
        for (what, authorization, proofs, scheme, error) in [
            (
                "a replay",
                &bound,
                vec![shown.as_str()],
                "DPoP",
                "invalid_dpop_proof",
            ),
            ("no proof", &bound, vec![], "DPoP", "invalid_dpop_proof"),
            (
                "two proofs",
                &bound,
                vec![second.as_str(), second.as_str()],
                "DPoP",
                "invalid_dpop_proof",
            ),
            (
                "a proof for another endpoint",
                &bound,
                vec![proof.as_str()],
                "DPoP",
                "invalid_dpop_proof",
            ),
            (
                "as a bearer token",
                &format!("Bearer {access}"),
                vec![],
                "Bearer",
                "invalid_token",
            ),
        ] {
            let got = ask(&app, authorization, &proofs).await;
            assert_eq!(got.status, StatusCode::UNAUTHORIZED, "{what}: {}", got.body);
            let challenge = got.header("www-authenticate");
            assert!(
                challenge.starts_with(&format!("{scheme} realm=")),
                "{what}: {challenge}"
            );
            assert!(
                challenge.contains(&format!("error=\"{error}\"")),
                "{what}: {challenge}"
            );
        }
    })
    .await;
}
