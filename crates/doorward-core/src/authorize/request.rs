//! Loading a request: plain parameters, pushed ones (RFC 9126), signed objects (RFC 9101).
//!
//! Must not live here: what is decided about it.

use super::*;

impl Doorward {
    /// Loads the parameters: plain, pushed (RFC 9126) or as a signed object (RFC 9101).
    pub(super) async fn load_request(&self, call: &Call<'_>) -> Result<std::result::Result<Ready, Unread>> {
        let own = call.params.clone();
        let Some(client_id) = own.get("client_id") else {
            return Ok(Err(Unread::unknown(Page::NoClientId)));
        };
        let Some(application) = self.client_application(client_id).await? else {
            return Ok(Err(Unread::unknown(Page::UnknownClient {
                client_id: shorten(client_id),
            })));
        };
        let plain = own.without(&[PROGRESS]);
        if let Some(uri) = own.get("request_uri") {
            let Some(digest) = crate::pushed::digest_of(uri) else {
                return Ok(Ok(Ready {
                    application,
                    params: plain,
                    pushed: None,
                    own,
                }));
            };
            let found = self.store()?.read().find_pushed(&digest, self.now()).await?;
            let Some((_, query)) = found.filter(|(owner, _)| *owner == application.id) else {
                let page = Page::RequestUri("the pushed request is unknown or has expired".into());
                return Ok(Err(Unread {
                    application: Some(application),
                    why: ReadError::Page(page),
                }));
            };
            let Ok(params) = Params::parse(&query) else {
                return Err(Fault::internal("a stored pushed request cannot be read").into());
            };
            return Ok(Ok(Ready {
                application,
                params,
                pushed: Some(digest),
                own,
            }));
        }
        let params = match plain.get("request") {
            None => plain,
            Some(object) => match self.open_request_object(object, &plain, &application).await {
                Ok(params) => params,
                Err(bad) => {
                    let why = self.answer_bad_object(&bad, &plain, &application);
                    return Ok(Err(Unread {
                        application: Some(application),
                        why,
                    }));
                }
            },
        };
        Ok(Ok(Ready {
            application,
            params,
            pushed: None,
            own,
        }))
    }

    /// A request object is taken only when signed with a key of the client; without keys it is left in place, and reading
    /// answers `request_not_supported`.
    pub(crate) async fn open_request_object(
        &self,
        object: &str,
        outer: &Params,
        application: &Application,
    ) -> std::result::Result<Params, BadObject> {
        let Some(client) = application
            .client
            .as_ref()
            .filter(|c| c.jwks.is_some() || c.jwks_uri.is_some())
        else {
            return Ok(outer.clone());
        };
        let payload = match self.verify_client_jwt(client, object).await {
            Ok(payload) => payload,
            Err(crate::Error::Protocol(error)) if error.code == ErrorCode::TemporarilyUnavailable => {
                return Err(BadObject {
                    code: AuthorizeErrorCode::TemporarilyUnavailable,
                    problem: error.description,
                });
            }
            Err(_) => {
                return Err(BadObject::new(
                    "the request object is not signed with a key of this client",
                ));
            }
        };
        let claims: serde_json::Map<String, Value> = serde_json::from_slice(&payload)
            .map_err(|_| BadObject::new("the request object is not a JSON object"))?;
        let audiences = [
            self.issuer(&application.slug, client),
            self.public_url().to_owned(),
            format!("{}/", self.public_url()),
        ];
        doorward_oidc::request_object::check(&claims, &client.client_id, &audiences, self.now())
            .map_err(|error| BadObject::new(error.to_string()))?;
        Params::from_request_object(outer, &claims).map_err(|error| BadObject::new(error.to_string()))
    }

    /// A request object that cannot be used is told to the client when the plain parameters name a registered place to tell it to
    /// (RFC 9101 section 6.3), and to the person otherwise.
    pub(super) fn answer_bad_object(
        &self,
        bad: &BadObject,
        plain: &Params,
        application: &Application,
    ) -> ReadError {
        let page = || ReadError::Page(Page::BadParameters(bad.problem.clone()));
        let Some(client) = application.client.as_ref() else {
            return page();
        };
        match authorize::way_back(plain, client, &self.issuer(&application.slug, client)) {
            Ok(request) => ReadError::Return(request.error(bad.code, &bad.problem)),
            Err(Page::RedirectMissing) => page(),
            Err(other) => ReadError::Page(other),
        }
    }

    pub(super) async fn refuse_unread(&self, unread: Unread, origin: &Origin) -> Outcome {
        match (unread.why, unread.application) {
            (ReadError::Return(error), Some(application)) => {
                self.return_error(error, &application, origin).await
            }
            (ReadError::Return(error), None) => Outcome::Return(error.response()),
            (ReadError::Page(page), application) => {
                self.refuse_page(page, application.as_deref(), origin).await
            }
        }
    }

    /// A pushed request that was answered is spent, whatever the answer (RFC 9126 section 4).
    pub(super) async fn use_up(&self, ready: &Ready) -> Result<()> {
        if let Some(digest) = &ready.pushed {
            let tx = self.store()?.begin().await?;
            tx.use_pushed(digest, self.now()).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
