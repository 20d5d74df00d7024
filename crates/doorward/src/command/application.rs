//! `doorward application …`

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::builder::TypedValueParser;
use clap::{Args, Subcommand};
use doorward_core::admin::applications::{ApplicationChange, ClientChange, Created};
use doorward_core::admin::sites::SiteChange;
use doorward_domain::Lifetime;
use doorward_domain::application::Application as Record;
use doorward_domain::client::{
    AccessTokenFormat, AuthMethod, ClientKind, ConsentMode, GrantType, IssuerMode, Pkce, SigningAlgorithm,
    SubjectMode,
};
use doorward_domain::site::SiteAddress;
use serde_json::{Value, json};

use super::site::Sites;
use super::snippet::{self, Snippet};
use super::{Desk, view};
use crate::arguments::{Yes, words};
use crate::failure::{Failure, Result};
use crate::out::{cell, cells, facts, secret_from_stdin};

/// Largest file of client keys, in bytes.
const LARGEST_KEYS: u64 = 64 * 1024;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Application {
    /// Makes an application; prints the client secret, this once
    #[command(
        after_help = "Examples:\n  doorward application create grafana --name Grafana --allow-group staff \\\n      --redirect-uri https://g.example/login/generic_oauth\n  \
                      doorward application create spa --public --allow-everyone --json \\\n      --redirect-uri https://app.example/callback\n  \
                      doorward application create worker --grant client_credentials --scope openid\n  \
                      doorward application create wiki --site https://wiki.example.org --allow-group staff \\\n      --rule 'public GET /static' --rule 'group:ops /admin'\n\nNobody may enter until \
                      --allow-group, --allow-user or --allow-everyone says so. Clients are confidential unless --public is given."
    )]
    Create(Box<Create>),
    /// Shows one application; never its secrets
    #[command(after_help = "Examples:\n  doorward application show grafana --json")]
    Show(Name),
    /// Lists applications
    #[command(
        after_help = "Examples:\n  doorward application list\n  doorward application list --deleted --json"
    )]
    List(List),
    /// Changes an application; what is not named stays, lists are replaced, the audience is added to or removed from
    #[command(
        after_help = "Examples:\n  doorward application update grafana --redirect-uri https://new.example/callback\n  \
                      doorward application update grafana --allow-group contractors --remove-user bob\n  \
                      doorward application update grafana --consent expiring:30d --access-token-lifetime 10m\n  \
                      doorward application update wiki --site https://wiki.example.org --add-rule 'deny POST /import'\n  \
                      doorward application update wiki --remove-site https://old.example.org"
    )]
    Update(Box<Update>),
    /// Deletes an application and ends its tokens; can be restored for 30 days
    #[command(after_help = "Examples:\n  doorward application delete grafana")]
    Delete(Gone),
    /// Brings a deleted application back, with its client id and secrets
    #[command(after_help = "Examples:\n  doorward application restore grafana")]
    Restore(Name),
    /// Secrets of an application's client
    #[command(subcommand)]
    Secret(Secret),
    /// Prints a complete configuration for the proxy in front of its sites
    #[command(
        after_help = "Examples:\n  doorward application snippet wiki --proxy nginx --upstream 127.0.0.1:3000 > /etc/nginx/conf.d/wiki.conf\n  \
                      doorward application snippet wiki --proxy traefik --doorward doorward:9000 --upstream wiki:3000\n  \
                      doorward application snippet wiki --proxy haproxy --json | jq -r '.files[1].text' > doorward.lua"
    )]
    Snippet(Box<Snippet>),
}

/// Secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum Secret {
    /// Makes a new secret and prints it, this once; older ones work until the overlap ends
    #[command(
        after_help = "Examples:\n  doorward application secret rotate grafana\n  doorward application secret rotate grafana --overlap 1h --json"
    )]
    Rotate(Rotate),
}

/// Whose secret, and how long the older ones stay.
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// Slug or id
    application: String,
    /// How long older secrets keep working; 0s ends them at once
    #[arg(long, default_value = "7d", value_name = "DURATION")]
    overlap: Lifetime,
}

/// An application to be made.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Short name in URLs: lower-case letters, digits and hyphens
    slug: String,
    #[command(flatten)]
    about: About,
    #[command(flatten)]
    audience: Audience,
    #[command(flatten)]
    sites: Sites,
    #[command(flatten)]
    client: Client,
}

/// What is to change.
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Slug or id
    application: String,
    #[command(flatten)]
    about: About,
    #[command(flatten)]
    audience: Audience,
    #[command(flatten)]
    removed: Removed,
    #[command(flatten)]
    sites: Sites,
    /// Site that is no longer guarded (may be repeated)
    #[arg(long, value_name = "URL", help_heading = "Sites behind a reverse proxy")]
    remove_site: Vec<SiteAddress>,
    #[command(flatten)]
    client: Client,
}

/// Which application.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// Slug or id
    application: String,
}

/// Which application to delete.
#[derive(Debug, Args)]
pub(crate) struct Gone {
    /// Slug or id
    application: String,
    #[command(flatten)]
    yes: Yes,
}

/// Which applications.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only deleted applications that can be restored
    #[arg(long)]
    deleted: bool,
}

/// What people see of it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Portal")]
pub(crate) struct About {
    /// Name for people [default: the slug]
    #[arg(long)]
    name: Option<String>,
    /// A sentence about it
    #[arg(long)]
    description: Option<String>,
    /// Picture; empty removes it
    #[arg(long, value_name = "URL")]
    icon: Option<String>,
    /// Where its tile leads; empty removes it
    #[arg(long, value_name = "URL")]
    launch_url: Option<String>,
    /// Heading under which the portal shows it; empty removes it
    #[arg(long)]
    heading: Option<String>,
    /// Keeps it out of the portal, or with `=false` shows it
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    hidden: Option<bool>,
}

/// Who may enter.
#[derive(Debug, Args)]
#[command(next_help_heading = "Who may enter")]
pub(crate) struct Audience {
    /// Members of this group, also through groups inside of it (may be repeated)
    #[arg(long, value_name = "GROUP")]
    allow_group: Vec<String>,
    /// This user (may be repeated)
    #[arg(long, value_name = "USER")]
    allow_user: Vec<String>,
    /// Everybody with an active account here
    #[arg(long)]
    allow_everyone: bool,
}

/// Who may no longer enter.
#[derive(Debug, Args)]
#[command(next_help_heading = "Who may enter")]
pub(crate) struct Removed {
    /// Takes --allow-everyone back
    #[arg(long, conflicts_with = "allow_everyone")]
    no_everyone: bool,
    /// Takes a group out of the audience (may be repeated)
    #[arg(long, value_name = "GROUP")]
    remove_group: Vec<String>,
    /// Takes a user out of the audience (may be repeated)
    #[arg(long, value_name = "USER")]
    remove_user: Vec<String>,
}

/// The OAuth 2 side.
#[derive(Debug, Default, PartialEq, Args)]
#[command(next_help_heading = "OpenID Connect client")]
pub(crate) struct Client {
    /// Where answers may go, exactly (may be repeated)
    #[arg(long, value_name = "URI")]
    redirect_uri: Vec<String>,
    /// Where to go after signing out, exactly (may be repeated)
    #[arg(long, value_name = "URI")]
    post_logout_redirect_uri: Vec<String>,
    /// A program that cannot keep a secret: in a browser, on a desktop, on a phone
    #[arg(long, conflicts_with = "confidential")]
    public: bool,
    /// A program with a secret or key of its own
    #[arg(long)]
    confidential: bool,
    /// When people are asked: implicit (never), explicit (once), expiring:DURATION, skip (first-party)
    #[arg(long, value_name = "MODE")]
    consent: Option<ConsentMode>,
    /// Algorithm of ID tokens and JWT access tokens
    #[arg(long, value_name = "ALGORITHM", value_parser = one_of(SigningAlgorithm::ALL, SigningAlgorithm::as_str))]
    signing_algorithm: Option<SigningAlgorithm>,
    /// Form of access tokens
    #[arg(long, value_name = "FORMAT", value_parser = one_of(AccessTokenFormat::ALL, AccessTokenFormat::as_str))]
    access_token_format: Option<AccessTokenFormat>,
    /// What the `sub` claim carries
    #[arg(long, value_name = "MODE", value_parser = one_of(SubjectMode::ALL, SubjectMode::as_str))]
    subject: Option<SubjectMode>,
    /// Whether tokens name an issuer of the application's own or the global one
    #[arg(long, value_name = "MODE", value_parser = one_of(IssuerMode::ALL, IssuerMode::as_str))]
    issuer_mode: Option<IssuerMode>,
    /// Scope that may be asked for; replaces the list (may be repeated)
    #[arg(long, value_name = "NAME")]
    scope: Vec<String>,
    /// Grant type: authorization_code, refresh_token, client_credentials, device_code, token_exchange; replaces the list (may be repeated)
    #[arg(long, value_name = "TYPE", value_parser = grant)]
    grant: Vec<GrantType>,
    /// Whether PKCE must be used; optional is for old confidential clients
    #[arg(long, value_parser = one_of(Pkce::ALL, Pkce::as_str))]
    pkce: Option<Pkce>,
    /// How the client proves who it is; replaces the list (may be repeated)
    #[arg(long, value_name = "METHOD", value_parser = one_of(AuthMethod::ALL, AuthMethod::as_str))]
    auth_method: Vec<AuthMethod>,
    /// File with the client's public keys as a JWK set, for private_key_jwt
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_uri")]
    jwks_file: Option<PathBuf>,
    /// Where the client publishes its keys; empty removes it
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// Where logout tokens are sent to; empty removes it
    #[arg(long, value_name = "URL")]
    backchannel_logout_uri: Option<String>,
    /// What the sign-out page loads in a frame; empty removes it
    #[arg(long, value_name = "URL")]
    frontchannel_logout_uri: Option<String>,
    /// Lifetime of authorization codes, 1s to 10m [default: 1m]
    #[arg(long, value_name = "DURATION")]
    code_lifetime: Option<Lifetime>,
    /// Lifetime of access tokens, 1s to 1d [default: 30m]
    #[arg(long, value_name = "DURATION")]
    access_token_lifetime: Option<Lifetime>,
    /// Lifetime of refresh tokens, counted anew at each use [default: 30d]
    #[arg(long, value_name = "DURATION")]
    refresh_token_lifetime: Option<Lifetime>,
    /// Lifetime of ID tokens, 1s to 1d [default: 30m]
    #[arg(long, value_name = "DURATION")]
    id_token_lifetime: Option<Lifetime>,
    /// Whether claims about the person stand in the ID token too
    #[arg(long, value_name = "on|off", value_parser = words(["on", "off"]))]
    id_token_claims: Option<String>,
    /// Resource that tokens may be asked for (RFC 8707); replaces the list (may be repeated)
    #[arg(long, value_name = "URI")]
    resource: Vec<String>,
    /// Application (slug or client id) that may exchange tokens for ones of this application (RFC 8693); replaces the list (may be repeated)
    #[arg(long, value_name = "CLIENT_OR_SLUG")]
    exchange_from: Vec<String>,
    /// Own choice of client id, for moving from another system
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Reads an own choice of secret from the first line of standard input
    #[arg(long)]
    client_secret_stdin: bool,
}

/// A parser of one of the words of a type.
fn one_of<T>(all: &'static [T], word: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    words(all.iter().map(|value| word(*value))).try_map(move |text| {
        all.iter()
            .copied()
            .find(|value| word(*value) == text)
            .ok_or_else(|| format!("`{text}` is not one of the words"))
    })
}

/// A grant type; the device grant and token exchange also by their short names.
fn grant(text: &str) -> Result<GrantType, String> {
    match text {
        "device_code" => Ok(GrantType::DeviceCode),
        "token_exchange" => Ok(GrantType::TokenExchange),
        other => other.parse().map_err(|_| {
            "expected authorization_code, refresh_token, client_credentials, device_code or token_exchange"
                .to_owned()
        }),
    }
}

/// Does it.
pub(crate) async fn run(what: Application, desk: &Desk) -> Result<()> {
    match what {
        Application::Create(new) => create(*new, desk).await,
        Application::Show(name) => {
            let application = desk.doorward.find_application(&name.application).await?;
            show(desk, &application, None, None).await
        }
        Application::List(list) => self::list(&list, desk).await,
        Application::Update(change) => update(*change, desk).await,
        Application::Delete(gone) => delete(&gone, desk).await,
        Application::Restore(name) => {
            let application = desk.deleted_application(&name.application).await?;
            desk.doorward.restore_application(application.id).await?;
            let application = desk
                .doorward
                .find_application(&application.id.to_string())
                .await?;
            show(desk, &application, Some("was restored"), None).await
        }
        Application::Secret(Secret::Rotate(rotate)) => self::rotate(&rotate, desk).await,
        Application::Snippet(what) => snippet::run(&what, desk).await,
    }
}

async fn create(new: Create, desk: &Desk) -> Result<()> {
    let has_client = new.client != Client::default();
    let mut change = change(new.about, new.audience, new.client)?;
    change.sites = new.sites.changes(&[])?;
    if has_client && change.client.kind.is_none() {
        change.client.kind = Some(ClientKind::Confidential);
    }
    let Created {
        application,
        client_secret,
    } = desk.doorward.create_application(&new.slug, &change).await?;
    show(desk, &application, Some("was made"), client_secret.as_deref()).await?;
    if application.audience.is_empty() {
        desk.out.note(&format!(
            "Nobody may enter yet: doorward application update {} --allow-group GROUP",
            application.slug
        ));
    }
    Ok(())
}

async fn update(given: Update, desk: &Desk) -> Result<()> {
    let application = desk.doorward.find_application(&given.application).await?;
    let has_client = given.client != Client::default();
    let mut change = change(given.about, given.audience, given.client)?;
    change.sites = given.sites.changes(&application.sites)?;
    change
        .sites
        .extend(given.remove_site.into_iter().map(SiteChange::Remove));
    if has_client && application.client.is_none() && change.client.kind.is_none() {
        change.client.kind = Some(ClientKind::Confidential);
    }
    change.deny_groups = given.removed.remove_group;
    change.deny_users = given.removed.remove_user;
    if given.removed.no_everyone {
        change.everyone = Some(false);
    }
    let Created {
        application,
        client_secret,
    } = desk.doorward.update_application(application.id, &change).await?;
    show(desk, &application, Some("was changed"), client_secret.as_deref()).await
}

fn change(about: About, audience: Audience, client: Client) -> Result<ApplicationChange> {
    Ok(ApplicationChange {
        name: about.name,
        description: about.description,
        icon_url: about.icon,
        launch_url: about.launch_url,
        heading: about.heading,
        hidden: about.hidden,
        everyone: audience.allow_everyone.then_some(true),
        allow_groups: audience.allow_group,
        allow_users: audience.allow_user,
        deny_groups: Vec::new(),
        deny_users: Vec::new(),
        client: client_change(client)?,
        sites: Vec::new(),
    })
}

fn client_change(client: Client) -> Result<ClientChange> {
    let kind = match (client.public, client.confidential) {
        (true, _) => Some(ClientKind::Public),
        (false, true) => Some(ClientKind::Confidential),
        (false, false) => None,
    };
    let secret = client
        .client_secret_stdin
        .then(|| secret_from_stdin("client secret"))
        .transpose()?;
    Ok(ClientChange {
        kind,
        client_id: client.client_id,
        client_secret: secret,
        redirect_uris: replaced(client.redirect_uri),
        post_logout_redirect_uris: replaced(client.post_logout_redirect_uri),
        auth_methods: replaced(client.auth_method).map(BTreeSet::from_iter),
        jwks: client.jwks_file.as_deref().map(read_keys).transpose()?,
        jwks_uri: client.jwks_uri,
        grant_types: replaced(client.grant).map(BTreeSet::from_iter),
        scopes: replaced(client.scope).map(BTreeSet::from_iter),
        pkce: client.pkce,
        signing_algorithm: client.signing_algorithm,
        access_token_format: client.access_token_format,
        subject_mode: client.subject,
        issuer_mode: client.issuer_mode,
        id_token_claims: client.id_token_claims.map(|word| word == "on"),
        consent: client.consent,
        code_lifetime: client.code_lifetime,
        access_token_lifetime: client.access_token_lifetime,
        refresh_token_lifetime: client.refresh_token_lifetime,
        id_token_lifetime: client.id_token_lifetime,
        backchannel_logout_uri: client.backchannel_logout_uri,
        frontchannel_logout_uri: client.frontchannel_logout_uri,
        resources: replaced(client.resource).map(BTreeSet::from_iter),
        exchange_from: replaced(client.exchange_from).map(BTreeSet::from_iter),
    })
}

/// A list that replaces another one when it was given; a single empty text empties it.
fn replaced<T: IsEmpty>(list: Vec<T>) -> Option<Vec<T>> {
    match list.as_slice() {
        [] => None,
        [only] if only.is_empty_text() => Some(Vec::new()),
        _ => Some(list),
    }
}

/// What may stand for "nothing" in a list on the command line.
trait IsEmpty {
    fn is_empty_text(&self) -> bool {
        false
    }
}
impl IsEmpty for String {
    fn is_empty_text(&self) -> bool {
        self.is_empty()
    }
}
impl IsEmpty for AuthMethod {}
impl IsEmpty for GrantType {}

fn read_keys(path: &Path) -> Result<Value> {
    let shown = path.display();
    let unreadable = |error| Failure::Invalid(format!("--jwks-file {shown} cannot be read: {error}"));
    let mut text = String::new();
    fs::File::open(path)
        .map_err(unreadable)?
        .take(LARGEST_KEYS + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LARGEST_KEYS {
        return Err(Failure::Invalid(format!(
            "--jwks-file {shown} is larger than {LARGEST_KEYS} bytes"
        )));
    }
    // The error's text would show a part of the file, which may hold a private key by mistake.
    serde_json::from_str(&text).map_err(|error| {
        Failure::Invalid(format!(
            "--jwks-file {shown} is not JSON (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}

/// Prints an application; `secret` only right after it was made.
async fn show(desk: &Desk, application: &Record, what: Option<&str>, secret: Option<&str>) -> Result<()> {
    let mut value = desk.application_view(application).await?;
    if let Some(secret) = secret {
        value = view::with(value, json!({ "client_secret": secret }));
    }
    desk.out.either(&value, || {
        let title = what.map_or_else(
            || application.slug.clone(),
            |what| format!("Application {} {what}.", application.slug),
        );
        let field = |label: &'static str, name: &str| (label, cell(value.get(name)));
        let mut pairs = vec![
            field("name", "name"),
            field("client id", "client_id"),
            (
                "client secret",
                secret.map_or_else(String::new, |secret| format!("{secret}  (shown this once)")),
            ),
            field("issuer", "issuer"),
            field("discovery", "discovery"),
            field("redirect URIs", "redirect_uris"),
            field("launch URL", "launch_url"),
            ("sites", super::site::words(&value)),
            ("who may enter", audience_words(&value)),
        ];
        if what.is_none() {
            pairs.extend([
                field("kind", "kind"),
                field("authentication", "auth_methods"),
                field("grants", "grants"),
                field("scopes", "scopes"),
                field("PKCE", "pkce"),
                field("algorithm", "signing_algorithm"),
                field("access tokens", "access_token_format"),
                field("subject", "subject"),
                field("consent", "consent"),
                ("secrets", secrets_words(&value)),
                field("deleted", "deleted_at"),
                field("id", "id"),
            ]);
        }
        facts(&title, &pairs)
    })
}

fn audience_words(application: &Value) -> String {
    let audience = application.get("audience");
    let part = |name: &str| cell(audience.and_then(|audience| audience.get(name)));
    if part("everyone") == "yes" {
        return "everyone".to_owned();
    }
    let groups = Some(part("groups")).filter(|names| !names.is_empty());
    let users = Some(part("users")).filter(|names| !names.is_empty());
    let words: Vec<String> = groups
        .map(|names| format!("members of {names}"))
        .into_iter()
        .chain(users)
        .collect();
    if words.is_empty() {
        "nobody".to_owned()
    } else {
        words.join("; ")
    }
}

fn secrets_words(application: &Value) -> String {
    let secrets = application.get("client_secrets").and_then(Value::as_array);
    let words = secrets.into_iter().flatten().map(|secret| {
        let hint = cell(secret.get("ends_with"));
        match secret.get("expires_at").and_then(Value::as_str) {
            Some(until) => format!("…{hint} until {until}"),
            None => format!("…{hint}"),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

async fn list(list: &List, desk: &Desk) -> Result<()> {
    let mut applications = desk.doorward.list_applications(list.deleted).await?;
    if list.deleted {
        applications.retain(|application| application.deleted_at.is_some());
    }
    let mut views = Vec::new();
    for application in &applications {
        views.push(desk.application_view(application).await?);
    }
    desk.out.list(
        views,
        &["SLUG", "NAME", "CLIENT ID", "KIND", "WHO MAY ENTER"],
        |application| {
            let mut row = cells(application, &["slug", "name", "client_id", "kind"]);
            row.push(audience_words(application));
            row
        },
        "There are no such applications.",
    )
}

async fn delete(gone: &Gone, desk: &Desk) -> Result<()> {
    let application = desk.doorward.find_application(&gone.application).await?;
    if application.deleted_at.is_some() {
        return Err(Failure::Invalid(format!(
            "`{}` is deleted already",
            application.slug
        )));
    }
    let question = format!(
        "Delete the application `{}`? Nobody can enter it and its tokens end; 30 days to restore.",
        application.slug
    );
    desk.out.confirm(&question, gone.yes.assent())?;
    desk.doorward.delete_application(application.id).await?;
    let value = json!({ "deleted": application.slug, "id": application.id });
    desk.out.either(&value, || {
        vec![format!(
            "Application {} was deleted; `doorward application restore {0}` brings it back within 30 days.",
            application.slug
        )]
    })
}

async fn rotate(rotate: &Rotate, desk: &Desk) -> Result<()> {
    let application = desk.doorward.find_application(&rotate.application).await?;
    let created = desk
        .doorward
        .rotate_secret(application.id, rotate.overlap)
        .await?;
    let secret = created.client_secret.as_deref();
    show(desk, &created.application, Some("has a new secret"), secret).await?;
    desk.out
        .note(&format!("Older secrets keep working for {}.", rotate.overlap));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_grant_has_a_short_and_a_long_name() {
        assert_eq!(grant("device_code"), Ok(GrantType::DeviceCode));
        assert_eq!(
            grant("urn:ietf:params:oauth:grant-type:device_code"),
            Ok(GrantType::DeviceCode)
        );
        assert!(grant("password").unwrap_err().contains("client_credentials"));
    }

    #[test]
    fn an_empty_text_empties_a_list_and_no_text_leaves_it() {
        assert_eq!(replaced::<String>(Vec::new()), None);
        assert_eq!(replaced(vec![String::new()]), Some(Vec::new()));
        assert_eq!(replaced(vec!["a".to_owned()]), Some(vec!["a".to_owned()]));
    }
}
