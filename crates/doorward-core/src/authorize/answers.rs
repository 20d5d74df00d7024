//! What people answered on the pages of the authorization endpoint, and what the sign-in page may say.
//!
//! Must not live here: HTML.

use super::*;

impl Doorward {
    /// The answer of the account page: where to go.
    #[must_use]
    pub fn account_selected(&self, attempt: &Attempt, session: SessionId, choice: Choice) -> String {
        let query = attempt.next.split_once('?').map_or("", |(_, query)| query);
        let Ok(own) = Params::parse(query) else {
            return "/if/user/".into();
        };
        match choice {
            Choice::Other => self.sign_in_location(&own, Again::Yes),
            Choice::Continue => {
                let mut progress = self.progress_of(&own);
                progress.selected_in = Some(session);
                format!("{PATH}?{}", self.with_progress(&own, &progress).to_query())
            }
        }
    }

    /// The answer of the consent page.
    ///
    /// # Errors
    /// `Fault` when the database is away.
    pub async fn consent_answered(
        &self,
        attempt: &Attempt,
        allow: Answer,
        call: Call<'_>,
    ) -> Result<Outcome> {
        let query = attempt.next.split_once('?').map_or("", |(_, query)| query);
        let Ok(own) = Params::parse(query) else {
            return Ok(Outcome::Refused(Box::new(Refused::bare(Reason::AttemptExpired))));
        };
        match allow {
            Answer::Allow => {
                let mut progress = self.progress_of(&own);
                let session = call.visit.map(|visit| visit.session.id);
                progress.consented_in = session;
                progress.consented_to = attempt
                    .data
                    .get("scopes")
                    .and_then(Value::as_str)
                    .map(str::to_owned);
                // Saying yes is also choosing the account that is shown.
                progress.selected_in = session;
                let params = self.with_progress(&own, &progress);
                self.authorize(Call { params, ..call }).await
            }
            Answer::Deny => self.consent_denied(Call { params: own, ..call }).await,
        }
    }

    pub(super) async fn consent_denied(&self, call: Call<'_>) -> Result<Outcome> {
        let ready = match self.load_request(&call).await? {
            Ok(ready) => ready,
            Err(unread) => return Ok(self.refuse_unread(unread, call.origin).await),
        };
        let Some(client) = ready.application.client.as_ref() else {
            return Err(Fault::internal("an application without a client was found by client id").into());
        };
        let request = match self.read_request(&ready.params, &ready.application, client) {
            Ok(request) => request,
            Err(ReadError::Page(page)) => {
                return Ok(self
                    .refuse_page(page, Some(&ready.application), call.origin)
                    .await);
            }
            Err(ReadError::Return(error)) => {
                self.use_up(&ready).await?;
                return Ok(self.return_error(error, &ready.application, call.origin).await);
            }
        };
        self.use_up(&ready).await?;
        let user = call.visit.map(|visit| visit.person.user.id);
        let session = call.visit.map(|visit| visit.session.id);
        let about = About {
            user,
            session,
            application: Some(ready.application.id),
            details: json!({ "scopes": request.scopes }),
        };
        let refused = self
            .refuse("authorize", Reason::ConsentDenied, about, call.origin)
            .await;
        let mut error = request.error(AuthorizeErrorCode::AccessDenied, "the person said no");
        name_code(&mut error, &refused);
        Ok(Outcome::Return(error.response()))
    }

    /// What the sign-in page may say about where `next` leads. Costs a query for pushed requests only.
    pub async fn destination(&self, next: &str) -> Destination {
        if let Some(application) = self.start_destination(next) {
            return Destination {
                application: Some(application),
                ..Destination::default()
            };
        }
        let Some(query) = next.strip_prefix(PATH).and_then(|rest| rest.strip_prefix('?')) else {
            return Destination::default();
        };
        let Ok(own) = Params::parse(query) else {
            return Destination::default();
        };
        let directory = self.directory();
        let application = own
            .get("client_id")
            .and_then(|id| directory.by_client_id(id))
            .cloned();
        let mut params = own;
        if let (Some(digest), Ok(store)) = (
            params.get("request_uri").and_then(crate::pushed::digest_of),
            self.store(),
        ) && let Ok(Some((_, query))) = store.read().find_pushed(&digest, self.now()).await
            && let Ok(pushed) = Params::parse(&query)
        {
            params = pushed;
        }
        let ui_locales = params.get("ui_locales").unwrap_or_default();
        Destination {
            application,
            login_hint: params
                .get("login_hint")
                .filter(|hint| hint.len() <= 254)
                .map(str::to_owned),
            ui_locales: ui_locales.split_whitespace().take(8).map(str::to_owned).collect(),
        }
    }
}
