//! Records as JSON objects, with names instead of ids and times as RFC 3339. The shapes that scripts rely on.

use std::collections::BTreeMap;

use doorward_core::Doorward;
use doorward_core::admin::users::UserView;
use doorward_domain::application::Application;
use doorward_domain::client::{Client, ClientKind, ClientSecret};
use doorward_domain::event::Event;
use doorward_domain::group::{Group, GroupTree};
use doorward_domain::user::User;
use doorward_domain::{ApplicationId, Timestamp, UserId};
use serde_json::{Value, json};

use super::Desk;
use crate::failure::Result;

/// RFC 3339, or null.
pub(super) fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| Value::String(at.to_string()))
}

/// A user without what needs further lookups.
pub(super) fn user(user: &User) -> Value {
    json!({
        "id": user.id,
        "number": user.number,
        "uid": user.uid,
        "username": user.username,
        "name": user.name,
        "email": user.email,
        "email_verified": user.email_verified_at.is_some(),
        "kind": user.kind.as_str(),
        "realm": String::from(user.realm),
        "active": user.active,
        "attributes": user.attributes,
        "locale": user.locale,
        "created_at": user.created_at.to_string(),
        "updated_at": user.updated_at.to_string(),
        "last_sign_in_at": time(user.last_sign_in_at),
        "deleted_at": time(user.deleted_at),
    })
}

/// A user with groups.
pub(super) fn user_view(view: &UserView) -> Value {
    with(
        user(&view.user),
        json!({
            "groups": view.groups,
            "effective_groups": view.effective_groups,
            "superuser": view.superuser,
            "has_password": view.has_password,
        }),
    )
}

/// A group with the names of its parents.
pub(super) fn group(group: &Group, tree: &GroupTree) -> Value {
    let parents: Vec<&str> = group
        .parents
        .iter()
        .filter_map(|id| tree.find(*id))
        .map(|parent| parent.name.as_str())
        .collect();
    json!({
        "id": group.id,
        "name": group.name,
        "superuser": group.superuser,
        "parents": parents,
        "attributes": group.attributes,
        "created_at": group.created_at.to_string(),
        "updated_at": group.updated_at.to_string(),
        "deleted_at": time(group.deleted_at),
    })
}

impl Desk {
    /// An application with its client and audience. Secrets are not in it, only their last characters.
    pub(super) async fn application_view(&self, application: &Application) -> Result<Value> {
        let tree = self.tree().await?;
        let mut users = Vec::new();
        let conn = self.doorward.store()?.read();
        for id in &application.audience.users {
            if let Some(user) = conn.user(*id).await?.filter(|user| user.deleted_at.is_none()) {
                users.push(user.username);
            }
        }
        users.sort();
        let base = json!({
            "id": application.id,
            "slug": application.slug,
            "name": application.name,
            "description": application.description,
            "icon": application.icon_url,
            "launch_url": application.launch_url,
            "heading": application.heading,
            "hidden": application.hidden,
            "audience": {
                "everyone": application.audience.everyone,
                "groups": tree.names(&application.audience.groups),
                "users": users,
            },
            "sites": super::site::views_of(application, &tree),
            "created_at": application.created_at.to_string(),
            "updated_at": application.updated_at.to_string(),
            "deleted_at": time(application.deleted_at),
        });
        Ok(match &application.client {
            None => base,
            Some(of) => {
                let now = self.doorward.now();
                let secrets = application.secrets.iter().filter(|secret| secret.is_live(now));
                let secrets: Vec<Value> = secrets.map(secret).collect();
                let with_client = with(base, client(&self.doorward, application, of));
                with(with_client, json!({ "client_secrets": secrets }))
            }
        })
    }

    /// All groups that are not in the bin.
    pub(super) async fn tree(&self) -> Result<GroupTree> {
        Ok(GroupTree::new(self.doorward.list_groups(false).await?))
    }

    /// Events with the names of users and applications.
    pub(super) async fn event_views(&self, events: &[Event]) -> Result<Vec<Value>> {
        let conn = self.doorward.store()?.read();
        let mut usernames: BTreeMap<UserId, String> = BTreeMap::new();
        let slugs: BTreeMap<ApplicationId, String> = self
            .doorward
            .list_applications(true)
            .await?
            .into_iter()
            .map(|application| (application.id, application.slug))
            .collect();
        let mut views = Vec::new();
        for event in events {
            if let Some(id) = event.user_id
                && !usernames.contains_key(&id)
                && let Some(user) = conn.user(id).await?
            {
                usernames.insert(id, user.username);
            }
            let user = event.user_id.and_then(|id| usernames.get(&id));
            let application = event.application_id.and_then(|id| slugs.get(&id));
            views.push(event_view(
                event,
                user.map(String::as_str),
                application.map(String::as_str),
            ));
        }
        Ok(views)
    }
}

/// One event.
pub(super) fn event_view(event: &Event, username: Option<&str>, application: Option<&str>) -> Value {
    json!({
        "id": event.id,
        "at": event.at.to_string(),
        "kind": event.kind,
        "reason": event.reason,
        "code": event.code,
        "user": username,
        "user_id": event.user_id,
        "application": application,
        "application_id": event.application_id,
        "session_id": event.session_id,
        "ip": event.ip,
        "details": event.details,
    })
}

fn secret(secret: &ClientSecret) -> Value {
    json!({
        "id": secret.id,
        "ends_with": secret.hint,
        "created_at": secret.created_at.to_string(),
        "expires_at": time(secret.expires_at),
    })
}

fn client(doorward: &Doorward, application: &Application, client: &Client) -> Value {
    let issuer = doorward.issuer_of(application).unwrap_or_default();
    json!({
        "client_id": client.client_id,
        "kind": client.kind,
        "issuer": issuer,
        "discovery": format!("{issuer}.well-known/openid-configuration"),
        "redirect_uris": client.redirect_uris,
        "post_logout_redirect_uris": client.post_logout_redirect_uris,
        "auth_methods": client.auth_methods,
        "jwks_uri": client.jwks_uri,
        "jwks": client.jwks,
        "grants": client.grant_types,
        "scopes": client.scopes,
        "pkce": client.pkce,
        "signing_algorithm": client.signing_algorithm,
        "access_token_format": client.access_token_format,
        "subject": client.subject_mode,
        "issuer_mode": client.issuer_mode,
        "id_token_claims": client.id_token_claims,
        "consent": client.consent.to_string(),
        "code_lifetime": client.lifetimes.code,
        "access_token_lifetime": client.lifetimes.access_token,
        "refresh_token_lifetime": client.lifetimes.refresh_token,
        "id_token_lifetime": client.lifetimes.id_token,
        "backchannel_logout_uri": client.backchannel_logout_uri,
        "frontchannel_logout_uri": client.frontchannel_logout_uri,
        "resources": client.resources,
        "exchange_from": client.exchange_from,
        "public": client.kind == ClientKind::Public,
    })
}

/// The fields of both objects; those of the second win.
pub(super) fn with(base: Value, more: Value) -> Value {
    match (base, more) {
        (Value::Object(mut base), Value::Object(more)) => {
            base.extend(more);
            Value::Object(base)
        }
        (base, _) => base,
    }
}
