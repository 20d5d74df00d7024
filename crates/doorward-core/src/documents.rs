//! What the doors need to say things well: codes for refusals that nobody recorded yet, the answer to requests that are too
//! long, and what prepared documents are made of and how long they hold.
//!
//! Must not live here: the documents themselves, HTTP.

use serde_json::json;
use std::ops::Deref;
use std::sync::Arc;

use doorward_domain::{Reason, Timestamp};
use doorward_oidc::authorize::AuthorizeErrorCode;
use doorward_oidc::params::Params;

use crate::authorize::{Outcome, PROGRESS};
use crate::error::{Refused, Result};
use crate::events::About;
use crate::keys::KeySet;
use crate::{Doorward, Origin};

impl Doorward {
    /// Records a refusal that a page or endpoint is about to show without a code. `problem` says what was wrong with the
    /// request; never a secret.
    pub async fn refuse_shown(&self, reason: Reason, problem: Option<&str>, origin: &Origin) -> Refused {
        let details = match problem {
            Some(problem) => json!({ "problem": problem.chars().take(300).collect::<String>() }),
            None => json!({}),
        };
        let about = About {
            details,
            ..About::default()
        };
        self.refuse("page", reason, about, origin).await
    }

    /// The answer to a request that needs a sign-in and is too long to be carried through one: an error for the client, which
    /// tells how such requests are made (RFC 9126).
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn refuse_long(&self, own: &Params, origin: &Origin) -> Result<Outcome> {
        const PROBLEM: &str = "the request is too long; push it (RFC 9126)";
        let reason = Reason::InvalidRequest;
        let application = match own.get("client_id") {
            Some(id) => self.client_application(id).await?,
            None => None,
        };
        let about = About {
            application: application.as_ref().map(|application| application.id),
            details: json!({ "problem": PROBLEM }),
            ..About::default()
        };
        let refused = self.refuse("authorize", reason, about, origin).await;
        let page = || Outcome::Refused(Box::new(refused.clone()));
        let Some((application, client)) = application
            .as_deref()
            .and_then(|application| Some((application, application.client.as_ref()?)))
        else {
            return Ok(page());
        };
        let plain = own.without(&[PROGRESS]);
        let params = match plain.get("request") {
            None => Ok(plain),
            Some(object) => self.open_request_object(object, &plain, application).await,
        };
        let Ok(params) = params else {
            return Ok(page());
        };
        Ok(match self.read_request(&params, application, client) {
            Ok(request) => Outcome::Return(
                request
                    .error(AuthorizeErrorCode::InvalidRequest, PROBLEM)
                    .response(),
            ),
            Err(_) => page(),
        })
    }

    /// The signing keys as they are now. Another set is another pointer.
    pub fn key_set(&self) -> impl Deref<Target = Arc<KeySet>> {
        self.inner.keys.load()
    }
}

impl KeySet {
    /// When the published part of this set changes by itself: the next withdrawal after `now`.
    #[must_use]
    pub fn changes_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.records()
            .filter_map(|record| record.withdrawn_at)
            .filter(|at| now < *at)
            .min()
    }
}

/// A short name of a text: equal texts have equal names, other texts have others.
#[must_use]
pub fn fingerprint(text: &str) -> String {
    let mut hex = doorward_crypto::token::digest(text).hex();
    hex.truncate(32);
    hex
}
