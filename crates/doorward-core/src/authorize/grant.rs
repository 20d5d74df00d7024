//! Issuing the code and writing down what was allowed, in one transaction.
//!
//! Must not live here: whether it may be issued.

use super::*;

impl Doorward {
    pub(super) async fn grant_code(
        &self,
        ready: &Ready,
        asked: Asked<'_>,
        visit: &Visit,
        origin: &Origin,
    ) -> Result<Granted> {
        let Asked {
            application,
            client,
            request,
        } = asked;
        let now = self.now();
        let code = Opaque::mint(TokenKind::Code, &self.random());
        let family = self.new_family(asked, visit, now);
        let record = CodeRecord {
            family_id: family.id,
            application_id: application.id,
            redirect_uri: request.redirect_uri.clone(),
            redirect_uri_given: request.redirect_uri_given,
            code_challenge: request.code_challenge.clone(),
            jkt: request.dpop_jkt.clone(),
            created_at: now,
            expires_at: now.plus(client.lifetimes.code),
            used_at: None,
        };
        let tx = self.store()?.begin().await?;
        // The session may have ended since it was looked at, also by another replica.
        if !tx.lock_session(visit.session.id, now).await? {
            return Ok(Granted::SessionEnded);
        }
        if let Some(digest) = &ready.pushed
            && !tx.use_pushed(digest, now).await?
        {
            drop(tx);
            let page = Page::RequestUri("the pushed request was used before".into());
            let outcome = self.refuse_page(page, Some(application), origin).await;
            return Ok(Granted::Answer(outcome));
        }
        self.remember_grant(&tx, client, &family, &request.consent_scopes, origin)
            .await?;
        tx.add_family(&family).await?;
        tx.add_code(token::digest(code.text()).bytes(), &record).await?;
        let details = json!({ "scopes": family.scopes, "redirect_host": host_of(&request.redirect_uri) });
        let about = About {
            session: Some(visit.session.id),
            details,
            ..about(&visit.person, application)
        };
        tx.add_event(&self.event(EventKind::Authorized, about, origin, now))
            .await?;
        tx.commit().await?;
        self.inner.metrics.decided("authorize", "allowed");
        let issuer = self.issuer(&application.slug, client);
        let answer = authorize::success_redirect(request, code.text(), &issuer, None);
        Ok(Granted::Answer(Outcome::Return(answer)))
    }

    pub(super) fn new_family(&self, asked: Asked<'_>, visit: &Visit, now: Timestamp) -> Family {
        let Asked {
            application,
            client,
            request,
        } = asked;
        let asked = request
            .claims
            .as_ref()
            .map(doorward_oidc::claims_request::ClaimsRequest::to_value);
        Family {
            id: self.mint(now),
            application_id: application.id,
            user_id: Some(visit.person.user.id),
            session_id: Some(visit.session.id),
            scopes: request.scopes.intersection(&client.scopes).cloned().collect(),
            resources: request.resources.clone(),
            claims: asked,
            nonce: request.nonce.clone(),
            auth_time: Some(visit.session.authentication.at),
            amr: visit.session.authentication.methods.clone(),
            acr: Some(claims::ACR_PASSWORD.to_owned()),
            created_at: now,
            ended_at: None,
        }
    }

    /// Writes down what the user allowed, unless that is already written.
    pub(crate) async fn remember_grant(
        &self,
        tx: &Tx,
        client: &Client,
        family: &Family,
        allowed: &BTreeSet<String>,
        origin: &Origin,
    ) -> Result<()> {
        let now = family.created_at;
        let (Some(user), false) = (family.user_id, client.consent == ConsentMode::Skip) else {
            return Ok(());
        };
        let old = tx.grant(user, family.application_id).await?;
        let live = old
            .as_ref()
            .filter(|grant| grant.expires_at.is_none_or(|at| now < at));
        if live.is_some_and(|grant| allowed.is_subset(&grant.scopes)) {
            return Ok(());
        }
        let mut scopes = live.map(|grant| grant.scopes.clone()).unwrap_or_default();
        scopes.extend(allowed.iter().cloned());
        let expires_at = match client.consent {
            ConsentMode::Expiring(lifetime) => Some(now.plus(lifetime)),
            _ => None,
        };
        let grant = Grant {
            id: old.as_ref().map_or_else(|| self.mint(now), |grant| grant.id),
            user_id: user,
            application_id: family.application_id,
            scopes,
            created_at: live.map_or(now, |grant| grant.created_at),
            updated_at: now,
            expires_at,
        };
        tx.save_grant(&grant).await?;
        let details = json!({ "scopes": grant.scopes, "consent": client.consent.to_string() });
        let about = About {
            user: Some(user),
            application: Some(family.application_id),
            session: family.session_id,
            details,
        };
        tx.add_event(&self.event(EventKind::GrantGiven, about, origin, now))
            .await?;
        Ok(())
    }
}
