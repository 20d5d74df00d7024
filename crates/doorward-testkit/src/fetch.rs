//! The outside world as a script: what each URL answers, and what was sent there.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use doorward_core::Fetch;
use doorward_core::ports::{Boxed, Call, FetchError, Fetched, Letter, MailError, Mailer};

/// What a URL does when it is asked.
#[derive(Clone, Debug)]
pub enum Script {
    /// Answers with status and body.
    Answer(u16, Vec<u8>),
    /// Does not answer.
    Fail(String),
}

/// A form that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Where to.
    pub url: String,
    /// The fields.
    pub fields: Vec<(String, String)>,
}

/// JSON that was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct PostedJson {
    /// Where to.
    pub url: String,
    /// The bearer token.
    pub bearer: Option<String>,
    /// The body.
    pub body: serde_json::Value,
}

/// Nobody answers until the story says what.
#[derive(Debug, Default)]
pub struct ScriptedFetch {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    scripts: HashMap<String, Script>,
    gets: Vec<String>,
    posts: Vec<Posted>,
    json: Vec<PostedJson>,
}

impl ScriptedFetch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on `url` answers like this.
    pub fn script(&self, url: &str, script: Script) {
        self.state().scripts.insert(url.to_owned(), script);
    }

    /// From now on `url` serves this JSON.
    pub fn serve(&self, url: &str, body: &serde_json::Value) {
        self.script(url, Script::Answer(200, body.to_string().into_bytes()));
    }

    /// URLs that were fetched, in order.
    #[must_use]
    pub fn gets(&self) -> Vec<String> {
        self.state().gets.clone()
    }

    /// Forms that were sent, in order.
    #[must_use]
    pub fn posts(&self) -> Vec<Posted> {
        self.state().posts.clone()
    }

    /// JSON that was sent, in order.
    #[must_use]
    pub fn posted_json(&self) -> Vec<PostedJson> {
        self.state().json.clone()
    }

    /// From now on a POST of JSON to `url` is answered like this, while GET is answered as before.
    pub fn script_json(&self, url: &str, script: Script) {
        self.script(&format!("POST {url}"), script);
    }

    fn answer(&self, url: &str) -> Result<Fetched, FetchError> {
        match self.state().scripts.get(url) {
            Some(Script::Answer(status, body)) => Ok(Fetched {
                status: *status,
                body: body.clone(),
            }),
            Some(Script::Fail(problem)) => Err(FetchError(problem.clone())),
            None => Err(FetchError(format!("nobody answers at {url}"))),
        }
    }
}

impl Fetch for ScriptedFetch {
    fn get<'a>(&'a self, url: &'a str, limit: usize) -> Boxed<'a, Result<Fetched, FetchError>> {
        self.state().gets.push(url.to_owned());
        let answer = self.answer(url).and_then(|fetched| {
            if fetched.body.len() > limit {
                return Err(FetchError(format!("the answer has more than {limit} bytes")));
            }
            Ok(fetched)
        });
        Box::pin(async { answer })
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Boxed<'a, Result<Fetched, FetchError>> {
        match call.form {
            Some(form) => self.post_form(call.url, form),
            None => self.get(call.url, 256 * 1024),
        }
    }

    fn post_form<'a>(
        &'a self,
        url: &'a str,
        form: &'a [(&'a str, &'a str)],
    ) -> Boxed<'a, Result<Fetched, FetchError>> {
        let fields = form
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.state().posts.push(Posted {
            url: url.to_owned(),
            fields,
        });
        let answer = self.answer(url);
        Box::pin(async { answer })
    }

    fn post_json<'a>(
        &'a self,
        url: &'a str,
        bearer: Option<&'a str>,
        body: &'a serde_json::Value,
    ) -> Boxed<'a, Result<Fetched, FetchError>> {
        self.state().json.push(PostedJson {
            url: url.to_owned(),
            bearer: bearer.map(ToOwned::to_owned),
            body: body.clone(),
        });
        let answer = self.answer(&format!("POST {url}"));
        Box::pin(async { answer })
    }
}

/// A mail server that keeps everything.
#[derive(Debug, Default)]
pub struct Inbox(Mutex<Vec<Letter>>);

impl Inbox {
    /// All mails so far, in order.
    #[must_use]
    pub fn letters(&self) -> Vec<Letter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Mailer for Inbox {
    fn send<'a>(&'a self, letter: &'a Letter) -> Boxed<'a, Result<(), MailError>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(letter.clone());
        Box::pin(async { Ok(()) })
    }
}
