//! One call to an app's door: what was sent, who sends it, which cookies go back.

use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use std::sync::Arc;

use doorward_core::app_auth::Door;
use doorward_core::app_auth::people::Remember;
use doorward_core::place::unescape;
use doorward_core::sessions::{Issued, Visit};
use doorward_core::{Doorward, Origin};
use doorward_domain::UserId;
use doorward_domain::app_auth::SameSite;
use doorward_domain::app_auth::origin::may_go;

use super::fail::Fail;

/// Longest `Cookie` header and `Authorization` that is looked at.
const LONGEST_COOKIES: usize = 32 * 1024;

/// A call under way.
pub(super) struct Call {
    pub(super) doorward: Doorward,
    pub(super) door: Door,
    pub(super) method: Method,
    /// Path below the base.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) query: Value,
    /// Shared, so that a call that changes can go on reading it.
    pub(super) body: Option<Arc<Value>>,
    pub(super) origin: Origin,
    /// Headers of the answer.
    pub(super) answer: Vec<(HeaderName, String)>,
    /// `Set-Cookie`, latest last; one per name.
    cookies: Vec<(String, String)>,
    /// Token of the session whose cookie goes back.
    pub(super) kept: Option<String>,
    /// Whose session began in this call.
    pub(super) begun_for: Option<UserId>,
}

/// Who calls.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) visit: Arc<Visit>,
    pub(super) token: String,
}

/// How sure the door wants to be of a caller (contract section 1.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Any valid session.
    Session,
    /// Read again from the database.
    Sensitive,
    /// The same, opened lately.
    Fresh,
}

/// Attributes of a cookie.
#[derive(Clone, Copy)]
pub(super) struct Keep {
    /// Seconds; `None`: until the browser is closed.
    pub(super) seconds: Option<i64>,
    /// Scripts may not read it.
    pub(super) http_only: bool,
}

/// A place as it may stand in a header: what is not ASCII is percent-encoded.
pub(super) fn ascii(place: &str) -> String {
    let mut out = String::with_capacity(place.len());
    for c in place.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}

/// Percent-encodes what `encodeURIComponent` encodes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

impl Call {
    pub(super) fn new(
        doorward: Doorward,
        door: Door,
        path: String,
        method: Method,
        headers: HeaderMap,
        origin: Origin,
    ) -> Self {
        Self {
            doorward,
            door,
            method,
            path,
            headers,
            query: Value::Object(serde_json::Map::new()),
            body: None,
            origin,
            answer: Vec::new(),
            cookies: Vec::new(),
            kept: None,
            begun_for: None,
        }
    }

    pub(super) fn now(&self) -> doorward_domain::Timestamp {
        self.doorward.now()
    }

    /// A header as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A parameter of the query.
    pub(super) fn asked(&self, name: &str) -> Option<&str> {
        self.query.get(name).and_then(Value::as_str)
    }

    /// A text field of the body.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.body
            .as_ref()
            .and_then(|body| body.get(name))
            .and_then(Value::as_str)
    }

    /// The full name of one of our cookies.
    pub(super) fn cookie_name(&self, name: &str) -> String {
        let settings = self.door.settings();
        let secure = if settings.secure() { "__Secure-" } else { "" };
        format!("{secure}{}.{name}", settings.cookie_prefix)
    }

    /// All cookies of a name, as sent.
    pub(super) fn sent(&self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        let lines = self
            .headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok());
        for pair in lines
            .filter(|line| line.len() <= LONGEST_COOKIES)
            .flat_map(|line| line.split(';'))
        {
            if let Some((key, value)) = pair.trim().split_once('=')
                && key == name
                && found.len() < 8
            {
                found.push(value.trim_matches('"').to_owned());
            }
        }
        found
    }

    /// Names of all cookies that were sent and begin like this.
    pub(super) fn cookies_like(&self, prefix: &str) -> Vec<String> {
        let lines = self
            .headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok());
        let names = lines
            .filter(|line| line.len() <= LONGEST_COOKIES)
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .map(|(name, _)| name)
            .filter(|name| name.starts_with(prefix));
        let mut names: Vec<String> = names.take(100).map(str::to_owned).collect();
        names.dedup();
        names
    }

    /// The value of a signed cookie, when it is genuine.
    pub(super) fn signed(&self, full_name: &str) -> Result<Option<String>, Fail> {
        for sent in self.sent(full_name) {
            if let Some(text) = unescape(&sent)
                && let Some(value) = self.doorward.door_verify(&self.door, &text)?
            {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Sets a cookie whose value is ready to go.
    pub(super) fn set(&mut self, full_name: &str, value: &str, keep: Keep) {
        let settings = self.door.settings();
        let mut text = format!("{full_name}={value}");
        if let Some(seconds) = keep.seconds {
            text.push_str(&format!("; Max-Age={seconds}"));
        }
        if let Some(domain) = &settings.cookie_domain {
            text.push_str(&format!("; Domain={domain}"));
        }
        text.push_str("; Path=/");
        if keep.http_only {
            text.push_str("; HttpOnly");
        }
        if settings.secure() {
            text.push_str("; Secure");
        }
        let same_site = if settings.same_site == SameSite::None && !settings.secure() {
            SameSite::Lax
        } else {
            settings.same_site
        };
        text.push_str(&format!("; SameSite={}", same_site.as_str()));
        self.cookies.retain(|(known, _)| known != full_name);
        self.cookies.push((full_name.to_owned(), text));
    }

    /// Sets a signed cookie; gives the signed value.
    pub(super) fn set_signed(
        &mut self,
        name: &str,
        value: &str,
        seconds: Option<i64>,
    ) -> Result<String, Fail> {
        let signed = self.doorward.door_sign(&self.door, value)?;
        let full = self.cookie_name(name);
        let keep = Keep {
            seconds,
            http_only: true,
        };
        self.set(&full, &escape(&signed), keep);
        Ok(signed)
    }

    /// Deletes a cookie.
    pub(super) fn expire(&mut self, name: &str) {
        let full = self.cookie_name(name);
        self.expire_full(&full);
    }

    pub(super) fn expire_full(&mut self, full: &str) {
        let keep = Keep {
            seconds: Some(0),
            http_only: true,
        };
        self.set(full, "", keep);
    }

    /// The cookies of a session that begins or goes on.
    pub(super) fn keep_session(&mut self, token: &str, remember: Remember) -> Result<(), Fail> {
        let seconds = self.door.settings().lifetime.seconds();
        self.kept = Some(token.to_owned());
        let signed = match remember {
            Remember::Yes => {
                let signed = self.set_signed("session_token", token, Some(seconds))?;
                if self.was_short()? {
                    self.expire("dont_remember");
                }
                signed
            }
            Remember::No => {
                let signed = self.set_signed("session_token", token, None)?;
                self.set_signed("dont_remember", "true", None)?;
                signed
            }
        };
        self.say("set-auth-token", &signed);
        self.say("access-control-expose-headers", "set-auth-token");
        Ok(())
    }

    /// Begins a session in the browser.
    pub(super) fn begin(&mut self, issued: &Issued, remember: Remember) -> Result<(), Fail> {
        self.begun_for = Some(issued.session.user_id);
        self.keep_session(&issued.token, remember)
    }

    /// Was the session that the browser has begun without being remembered?
    pub(super) fn was_short(&self) -> Result<bool, Fail> {
        Ok(self.signed(&self.cookie_name("dont_remember"))?.is_some())
    }

    /// Takes the session's cookies away.
    pub(super) fn clear_session(&mut self) {
        self.expire("session_token");
        super::copy::clear(self);
        self.expire("dont_remember");
    }

    /// Does a cookie go back that is not taken away?
    pub(super) fn goes_back(&self, name: &str) -> bool {
        let full = self.cookie_name(name);
        let found = self.cookies.iter().find(|(known, _)| *known == full);
        found.is_some_and(|(_, text)| !text.starts_with(&format!("{full}=;")))
    }

    /// Adds a header to the answer.
    pub(super) fn say(&mut self, name: &'static str, value: &str) {
        self.answer
            .push((HeaderName::from_static(name), value.to_owned()));
    }

    /// What goes back, as headers.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.answer {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name.clone(), value);
            }
        }
        for (_, cookie) in &self.cookies {
            if let Ok(value) = HeaderValue::from_str(cookie) {
                headers.append(http::header::SET_COOKIE, value);
            }
        }
    }

    /// The tokens that the request shows, best first: with `bearer_first` the `Authorization` header before the cookies.
    pub(super) fn shown(&self, bearer_first: bool) -> Result<Vec<String>, Fail> {
        let mut cookies = Vec::new();
        let prefix = &self.door.settings().cookie_prefix;
        for name in [
            format!("__Secure-{prefix}.session_token"),
            format!("{prefix}.session_token"),
            format!("__Host-{prefix}.session_token"),
        ] {
            if let Some(token) = self.signed(&name)? {
                cookies.push(token);
            }
        }
        let bearer = self.bearer()?;
        let mut shown = Vec::new();
        if bearer_first {
            shown.extend(bearer);
            shown.extend(cookies);
        } else {
            shown.extend(cookies);
            shown.extend(bearer);
        }
        Ok(shown)
    }

    /// The token in `Authorization: Bearer`: as it is, signed, or signed and percent-encoded. What cannot be read is as good as absent.
    fn bearer(&self) -> Result<Option<String>, Fail> {
        let Some(value) = self
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
        else {
            return Ok(None);
        };
        let Some((scheme, token)) = value.split_once(' ') else {
            return Ok(None);
        };
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > 1024 {
            return Ok(None);
        }
        if !token.contains('.') {
            return Ok(Some(token.to_owned()));
        }
        let decoded = if token.contains('%') {
            unescape(token)
        } else {
            Some(token.to_owned())
        };
        let Some(decoded) = decoded else { return Ok(None) };
        Ok(self.doorward.door_verify(&self.door, &decoded)?)
    }

    /// Who calls, when somebody does: the first token that is good.
    pub(super) async fn caller(&self, bearer_first: bool) -> Result<Option<Caller>, Fail> {
        let shown = self.shown(bearer_first)?;
        for (place, token) in shown.iter().enumerate() {
            if let Some(visit) = self.doorward.app_visit(&self.door.application, token).await? {
                let rest = shown.get(place + 1..).unwrap_or_default();
                self.note_others(&visit, token, rest).await?;
                let token = token.clone();
                return Ok(Some(Caller { visit, token }));
            }
        }
        Ok(None)
    }

    /// Says so in the log when a request shows sessions of different people (contract section 5.3): a proxy mixes cookies up, or a
    /// program has the wrong token.
    async fn note_others(&self, visit: &Visit, token: &str, rest: &[String]) -> Result<(), Fail> {
        for other in rest.iter().filter(|other| *other != token) {
            let found = self.doorward.app_visit(&self.door.application, other).await?;
            let Some(found) = found.filter(|found| found.person.user.id != visit.person.user.id) else {
                continue;
            };
            let (counts, ignored) = (visit.person.user.id, found.person.user.id);
            tracing::warn!(%counts, %ignored, path = self.path, "a request shows sessions of two people; the first counts");
        }
        Ok(())
    }

    /// Who calls; nobody is refused.
    pub(super) async fn require(&self, gate: Gate) -> Result<Caller, Fail> {
        let Some(caller) = self.caller(true).await? else {
            return Err(Fail::code("UNAUTHORIZED"));
        };
        if gate == Gate::Session {
            return Ok(caller);
        }
        let again = self
            .doorward
            .app_visit_again(&self.door.application, &caller.token)
            .await?;
        let Some(visit) = again else {
            return Err(Fail::code("UNAUTHORIZED"));
        };
        if gate == Gate::Fresh && !self.door.is_fresh(&visit.session, self.now()) {
            return Err(Fail::code("SESSION_NOT_FRESH"));
        }
        Ok(Caller { visit, ..caller })
    }

    /// A place of the app with the door's origin before it.
    pub(super) fn absolute(&self, place: &str) -> String {
        if place.starts_with('/') {
            format!("{}{place}", self.door.settings().origin())
        } else {
            place.to_owned()
        }
    }

    /// May a browser be sent there?
    pub(super) fn may_go(&self, target: &str) -> bool {
        let settings = self.door.settings();
        may_go(target, settings.origin(), &settings.trusted_origins)
    }

    /// Refuses places in the body or query that browsers must not be sent to (contract section 3.2).
    pub(super) fn check_places(&self) -> Result<(), Fail> {
        let places = [
            ("callbackURL", "INVALID_CALLBACK_URL"),
            ("redirectTo", "INVALID_REDIRECT_URL"),
            ("errorCallbackURL", "INVALID_ERROR_CALLBACK_URL"),
            ("newUserCallbackURL", "INVALID_NEW_USER_CALLBACK_URL"),
        ];
        for (name, code) in places {
            match self.body.as_ref().and_then(|body| body.get(name)) {
                None | Some(Value::Null) => {}
                Some(Value::String(target)) if target.is_empty() || self.may_go(target) => {}
                Some(Value::String(_)) => return Err(Fail::code(code)),
                Some(_) => {
                    let shown = if name == "redirectTo" { "redirectURL" } else { name };
                    let text = format!("Invalid {shown}: expected a string");
                    return Err(Fail::plain(StatusCode::BAD_REQUEST, &text));
                }
            }
            let in_query = name == "callbackURL" || self.path == "/magic-link/verify";
            if in_query
                && let Some(target) = self
                    .asked(name)
                    .filter(|target| !target.is_empty() && !self.may_go(target))
            {
                tracing::info!(
                    target,
                    "a place outside of the app's trusted origins was asked for"
                );
                return Err(Fail::code("INVALID_CALLBACK_URL"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_exactly_once() {
        assert_eq!(unescape("a%2Fb%2Bc%3D").as_deref(), Some("a/b+c="));
        assert_eq!(unescape("a+b").as_deref(), Some("a+b"));
        assert_eq!(unescape("a%252F").as_deref(), Some("a%2F"));
        assert_eq!(unescape("%"), None);
        assert_eq!(unescape("%f"), None);
        assert_eq!(unescape("%ff"), None);
        assert_eq!(escape("a/b+c= (d)!"), "a%2Fb%2Bc%3D%20(d)!");
    }
}
