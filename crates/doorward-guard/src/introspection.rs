//! Asking the server about a token: RFC 7662, and the token API's own form of it.

use std::collections::BTreeSet;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use crate::answers::{Answers, Outcome};
use crate::ask::{Asker, ClientSecret, place};
use crate::caller::{Caller, Known, Service, Source, Who, id, words};
use crate::clock;
use crate::refusal::Refusal;
use crate::tokens::person;

/// An endpoint that is asked about tokens.
pub(crate) struct Introspection {
    pub(crate) url: Url,
    pub(crate) form: Form,
    /// Who this service is; empty for the token API, whose tokens need no audience.
    pub(crate) audiences: Vec<String>,
    pub(crate) answers: Answers,
}

/// How the question is put.
pub(crate) enum Form {
    /// RFC 7662: a form, with client credentials.
    Standard(ClientSecret),
    /// The token API: JSON, with its bearer credential where the server wants one.
    TokenApi(Option<String>),
}

#[derive(Deserialize)]
struct Said {
    active: bool,
    sub: Option<String>,
    exp: Option<i64>,
    aud: Option<Value>,
    token_type: Option<String>,
    client_id: Option<String>,
    username: Option<String>,
    scope: Option<Value>,
    cnf: Option<Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Introspection {
    /// Who the token makes its bearer.
    pub(crate) async fn caller(&self, asker: &Asker, token: &str) -> Outcome {
        self.answers.get(token, self.ask(asker, token)).await
    }

    async fn ask(&self, asker: &Asker, token: &str) -> Outcome {
        let answer = match &self.form {
            Form::Standard(client) => asker.introspect(&self.url, client, token).await,
            Form::TokenApi(credential) => {
                asker
                    .introspect_json(&self.url, credential.as_deref(), token)
                    .await
            }
        };
        let answer = answer.map_err(Refusal::unavailable)?;
        // A 401 here means that this service's own credential is wrong, which is not the caller's fault.
        if answer.status != StatusCode::OK {
            return Err(Refusal::unavailable(format_args!(
                "{}: answered {}, expected 200{}",
                place(&self.url),
                answer.status,
                if answer.status == StatusCode::UNAUTHORIZED {
                    ": this service's own credential is not accepted"
                } else {
                    ""
                }
            )));
        }
        let said: Said = serde_json::from_slice(&answer.body)
            .map_err(|_| Refusal::unavailable(format_args!("{}: no answer of RFC 7662", place(&self.url))))?;
        match self.read(said) {
            Ok(caller) => Ok(Some(caller)),
            Err(why) => {
                tracing::debug!("a token does not count: {why}");
                Ok(None)
            }
        }
    }

    fn read(&self, said: Said) -> Result<Caller, &'static str> {
        if !said.active {
            return Err("the server says that it is not active");
        }
        // Refresh tokens are active too, and do not have the type of an access token.
        let kind = said.token_type.as_deref().unwrap_or_default();
        let (expected, profile) = match self.form {
            Form::Standard(_) => ("bearer", Source::AccessToken),
            Form::TokenApi(_) => ("access", Source::ApiToken),
        };
        if !kind.eq_ignore_ascii_case(expected) || said.cnf.is_some() {
            return Err("it is no access token for whoever bears it");
        }
        let audience = words(said.aud.as_ref(), &[]);
        let for_us = match &said.aud {
            Some(_) => self.audiences.iter().any(|own| audience.contains(own)),
            None => self.audiences.is_empty(),
        };
        if !for_us {
            return Err("it is for another audience");
        }
        let expires_at = said.exp.ok_or("the server does not say when it ends")?;
        if expires_at <= clock::now() {
            return Err("it is over");
        }
        let subject = id(said.sub.as_deref()).ok_or("the server does not say whose it is")?;
        let mut roles: BTreeSet<String> = words(said.rest.get("roles"), &[]);
        // The server names people by their user name as well; clients have none.
        let is_service = profile == Source::AccessToken
            && said.username.is_none()
            && said.client_id.as_ref() == Some(&subject);
        let who = if is_service {
            Who::Service(Service { id: subject, roles })
        } else {
            roles.extend(words(said.rest.get("groups"), &[]));
            let mut person = person(subject, roles, &said.rest);
            person.name = person.name.or_else(|| id(said.username.as_deref()));
            Who::Person(person)
        };
        Ok(Caller::new(Known {
            who,
            source: Source::Introspection,
            scopes: words(said.scope.as_ref(), &[' ']),
            client_id: said.client_id,
            expires_at,
            claims: said.rest,
        }))
    }
}
