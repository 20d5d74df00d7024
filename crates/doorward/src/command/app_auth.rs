//! `doorward app-auth …`

use clap::{Args, Subcommand, ValueEnum};
use doorward_core::app_auth::settings::DoorChange;
use doorward_domain::Lifetime;
use doorward_domain::app_auth::{AppAuth as Door, People, Provider as Record, SameSite};
use doorward_domain::application::Application;
use serde_json::{Value, json};

use super::{Desk, view};
use crate::arguments::Yes;
use crate::failure::{Failure, Result};
use crate::out::{cell, cells, facts, secret_from_stdin};
use crate::settings::variable;

/// The doors of apps: sign-up, sign-in and sessions for an app's own pages
#[derive(Debug, Subcommand)]
pub(crate) enum AppAuth {
    /// Opens the door of an application, or changes it; prints the secret when one is made
    #[command(
        after_help = "Examples:\n  doorward app-auth set shop --sign-up yes --trusted-origin https://shop.example.org\n  \
                      doorward app-auth set shop --base-url https://api.example.org/api/auth --cookie-domain example.org\n  \
                      doorward app-auth set shop --secret-stdin < better-auth-secret.txt\n\nThe app calls it with the npm client \
                      better-auth or with any HTTP client. Who may enter is the application's audience:\n`doorward application update \
                      shop --allow-everyone`, or a group that newcomers are put into with --group."
    )]
    Set(Box<Set>),
    /// Shows how a door is set; never its secrets
    #[command(after_help = "Examples:\n  doorward app-auth show shop\n  doorward app-auth show shop --json")]
    Show(Which),
    /// Closes a door: its calls answer 404; accounts and people stay
    #[command(after_help = "Examples:\n  doorward app-auth close shop --yes")]
    Close(Close),
    /// Adds or changes another sign-in of an app: an OpenID provider or plain OAuth 2
    #[command(
        after_help = "Examples:\n  doorward app-auth provider shop authentik --issuer https://id.example.org/application/o/shop/ \\\n      \
                      --client-id abc --client-secret-stdin < secret.txt --trusted\n  doorward app-auth provider shop authentik --from-env\n  \
                      doorward app-auth provider shop authentik --remove"
    )]
    Provider(Box<Provider>),
    /// Gives somebody roles in an app; `user` alone takes them away
    #[command(
        after_help = "Examples:\n  doorward app-auth role shop alice admin\n  doorward app-auth role shop alice user\n\nWho has the role admin \
                      may call the app's admin routes (part `admin`). That is no power at Doorward: see docs/guides/app-auth.md."
    )]
    Role(Role),
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Answer {
    /// It is so
    Yes,
    /// It is not
    No,
}

fn said(answer: Option<Answer>) -> Option<bool> {
    answer.map(|answer| answer == Answer::Yes)
}

/// Whose people are.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Whose {
    /// Everybody's: one account for all apps and Doorward itself
    Shared,
    /// The app's own: they exist nowhere else
    Separate,
}

/// `SameSite` of cookies.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Site {
    /// Sent on navigation from other sites
    Lax,
    /// Never sent from other sites
    Strict,
    /// Always sent; needs https
    None,
}

/// What is set.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Slug or id of the application
    application: String,
    /// Where the app reaches the door: origin and path [default: the public URL and /api/auth]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Further base path on the same origin (may be repeated; replaces the list) [default: /auth]
    #[arg(long, value_name = "PATH")]
    alias: Vec<String>,
    /// No further base paths
    #[arg(long, conflicts_with = "alias")]
    no_alias: bool,
    /// Reads the secret that signs cookies from standard input, for an app that moves here with its sessions
    #[arg(long)]
    secret_stdin: bool,
    /// Secrets before the newest stop verifying
    #[arg(long)]
    drop_old_secrets: bool,
    /// Origin whose pages may call and be returned to: exact, or with * within a label (may be repeated; replaces the list)
    #[arg(long, value_name = "PATTERN")]
    trusted_origin: Vec<String>,
    /// First part of the cookies' names [default: better-auth]
    #[arg(long, value_name = "NAME")]
    cookie_prefix: Option<String>,
    /// Parent domain that shares the cookies; empty for none
    #[arg(long, value_name = "DOMAIN")]
    cookie_domain: Option<String>,
    /// `SameSite` of the cookies [default: lax]
    #[arg(long, value_name = "WORD")]
    same_site: Option<Site>,
    /// Whose the app's people are: everybody's, or the app's own, who exist nowhere else; only while it has none [default: shared]
    #[arg(long, value_name = "WORD")]
    people: Option<Whose>,
    /// May people make accounts themselves? [default: no]
    #[arg(long, value_name = "YES|NO")]
    sign_up: Option<Answer>,
    /// Are they signed in then? [default: yes]
    #[arg(long, value_name = "YES|NO")]
    auto_sign_in: Option<Answer>,
    /// Must an address be proved before anybody signs in? [default: no]
    #[arg(long, value_name = "YES|NO")]
    require_verification: Option<Answer>,
    /// May people ask for a link to prove their address? [default: yes]
    #[arg(long, value_name = "YES|NO")]
    verification: Option<Answer>,
    /// Is a link to prove the address sent at sign-up? [default: no]
    #[arg(long, value_name = "YES|NO")]
    verify_on_sign_up: Option<Answer>,
    /// Is one sent when a sign-in is refused for it? [default: no]
    #[arg(long, value_name = "YES|NO")]
    verify_on_sign_in: Option<Answer>,
    /// Does opening the link sign in? [default: no]
    #[arg(long, value_name = "YES|NO")]
    sign_in_after_verification: Option<Answer>,
    /// May forgotten passwords be reset by mail? [default: yes]
    #[arg(long, value_name = "YES|NO")]
    reset_password: Option<Answer>,
    /// Does a reset end all sessions of the person? [default: yes]
    #[arg(long, value_name = "YES|NO")]
    revoke_on_reset: Option<Answer>,
    /// May people change their address? [default: no]
    #[arg(long, value_name = "YES|NO")]
    change_email: Option<Answer>,
    /// May people delete their account? [default: no]
    #[arg(long, value_name = "YES|NO")]
    delete_user: Option<Answer>,
    /// Are they asked by mail first, when they give no password? [default: no]
    #[arg(long, value_name = "YES|NO")]
    delete_by_mail: Option<Answer>,
    /// Are calls counted per network? [default: yes]
    #[arg(long, value_name = "YES|NO")]
    rate_limit: Option<Answer>,
    /// Part of the contract to switch on (may be repeated; replaces the list): admin, api-key, bearer, device-authorization, email-otp,
    /// generic-oauth, jwt, magic-link, multi-session, one-time-token, open-api, organization, passkey, two-factor, username
    #[arg(long, value_name = "NAME")]
    plugin: Vec<String>,
    /// Shortest password, 8 to 64 [default: 8]
    #[arg(long, value_name = "LENGTH")]
    shortest_password: Option<u32>,
    /// How long a session lives without being used [default: 7d]
    #[arg(long, value_name = "DURATION")]
    lifetime: Option<Lifetime>,
    /// A session in use is extended when it was last extended this long ago [default: 1d]
    #[arg(long, value_name = "DURATION")]
    update_age: Option<Lifetime>,
    /// How long a copy of session and person in a cookie counts for `get-session`, up to 1h; 0s for none [default: none]
    #[arg(long, value_name = "DURATION")]
    cookie_cache: Option<Lifetime>,
    /// How young a session has to be for sensitive calls; 0s for any [default: 1d]
    #[arg(long, value_name = "DURATION")]
    fresh_age: Option<Lifetime>,
    /// Group that newcomers are put into (may be repeated; replaces the list)
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// Is an account at another provider linked by equal address? [default: yes]
    #[arg(long, value_name = "YES|NO")]
    link_by_email: Option<Answer>,
    /// Only when the address was proved here? [default: yes]
    #[arg(long, value_name = "YES|NO")]
    link_verified_only: Option<Answer>,
    /// May people link accounts with other addresses? [default: no]
    #[arg(long, value_name = "YES|NO")]
    link_different_emails: Option<Answer>,
    /// Page for flows that fail and name none of their own; empty for ours
    #[arg(long, value_name = "URL")]
    error_url: Option<String>,
}

/// Which application.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Slug or id of the application
    application: String,
}

/// Which door to close.
#[derive(Debug, Args)]
pub(crate) struct Close {
    /// Slug or id of the application
    application: String,
    #[command(flatten)]
    yes: Yes,
}

/// Another sign-in.
#[derive(Debug, Args)]
pub(crate) struct Provider {
    /// Slug or id of the application
    application: String,
    /// Name of the provider in the app's calls
    id: String,
    /// Takes it away
    #[arg(long)]
    remove: bool,
    /// Issuer of an OpenID provider, byte for byte (mind the slash at the end)
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Where the provider's document is [default: found from the issuer]
    #[arg(long, value_name = "URL")]
    discovery_url: Option<String>,
    /// Where browsers are sent, without a document
    #[arg(long, value_name = "URL")]
    authorization_url: Option<String>,
    /// Where codes are exchanged, without a document
    #[arg(long, value_name = "URL")]
    token_url: Option<String>,
    /// Where claims are, without a document
    #[arg(long, value_name = "URL")]
    userinfo_url: Option<String>,
    /// Client id at the provider
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Reads the client secret from standard input
    #[arg(long)]
    client_secret_stdin: bool,
    /// Sends the client secret in the form instead of HTTP Basic
    #[arg(long)]
    secret_in_form: bool,
    /// Scope to ask for (may be repeated) [default: openid email profile]
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// `prompt` to ask for
    #[arg(long, value_name = "WORD")]
    prompt: Option<String>,
    /// Without PKCE, for providers that refuse it
    #[arg(long)]
    no_pkce: bool,
    /// Its addresses are believed when accounts are linked
    #[arg(long)]
    trusted: bool,
    /// Nobody new comes in this way
    #[arg(long)]
    closed: bool,
    /// Somebody new comes in only when the call asks for it
    #[arg(long)]
    explicit_sign_up: bool,
    /// Name and picture follow the provider at each sign-in
    #[arg(long)]
    overrides: bool,
    /// Who has no e-mail address there comes in with one that stands for none
    #[arg(long)]
    placeholder_email: bool,
    /// Signing out of the app leads on to the provider's own sign-out
    #[arg(long)]
    end_session: bool,
    /// Where the provider sends browsers back to, when it knows one address only [default: by the call that began]
    #[arg(long, value_name = "URL")]
    redirect_uri: Option<String>,
    /// Reads what no flag says from `OIDC_ISSUER`, `OIDC_CLIENT_ID`, `OIDC_CLIENT_SECRET` (or `…_FILE`) and `OIDC_REDIRECT_URI`
    #[arg(long, conflicts_with = "remove")]
    from_env: bool,
}

/// Roles of a person.
#[derive(Debug, Args)]
pub(crate) struct Role {
    /// Slug or id of the application
    application: String,
    /// User name, e-mail address or id
    user: String,
    /// Role (may be repeated; replaces what the person has)
    #[arg(required = true)]
    role: Vec<String>,
}

/// Does it.
pub(crate) async fn run(what: AppAuth, desk: &Desk) -> Result<()> {
    match what {
        AppAuth::Set(set) => self::set(*set, desk).await,
        AppAuth::Show(which) => show(&which, desk).await,
        AppAuth::Close(which) => close(&which, desk).await,
        AppAuth::Provider(given) => provider(*given, desk).await,
        AppAuth::Role(given) => role(&given, desk).await,
    }
}

async fn set(given: Set, desk: &Desk) -> Result<()> {
    let application = desk.doorward.find_application(&given.application).await?;
    let secret = given
        .secret_stdin
        .then(|| secret_from_stdin("secret"))
        .transpose()?;
    let listed = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let change = DoorChange {
        base_url: given.base_url,
        aliases: if given.no_alias {
            Some(Vec::new())
        } else {
            listed(given.alias)
        },
        secret,
        drop_old_secrets: given.drop_old_secrets,
        trusted_origins: listed(given.trusted_origin),
        cookie_prefix: given.cookie_prefix,
        cookie_domain: given.cookie_domain,
        same_site: given.same_site.map(|site| match site {
            Site::Lax => SameSite::Lax,
            Site::Strict => SameSite::Strict,
            Site::None => SameSite::None,
        }),
        people: given.people.map(|whose| match whose {
            Whose::Shared => People::Shared,
            Whose::Separate => People::Separate,
        }),
        sign_up: said(given.sign_up),
        auto_sign_in: said(given.auto_sign_in),
        require_verification: said(given.require_verification),
        verification: said(given.verification),
        verify_on_sign_up: said(given.verify_on_sign_up),
        verify_on_sign_in: said(given.verify_on_sign_in),
        sign_in_after_verification: said(given.sign_in_after_verification),
        reset_password: said(given.reset_password),
        revoke_on_reset: said(given.revoke_on_reset),
        change_email: said(given.change_email),
        delete_user: said(given.delete_user),
        delete_by_mail: said(given.delete_by_mail),
        rate_limit: said(given.rate_limit),
        plugins: listed(given.plugin),
        shortest_password: given.shortest_password,
        lifetime: given.lifetime,
        update_age: given.update_age,
        cookie_cache: given.cookie_cache,
        fresh_age: given.fresh_age,
        groups: listed(given.group),
        link_by_email: said(given.link_by_email),
        link_verified_only: said(given.link_verified_only),
        link_different_emails: said(given.link_different_emails),
        error_url: given.error_url,
        ..DoorChange::default()
    };
    let (application, made) = desk.doorward.change_door(application.id, &change).await?;
    print(desk, &application, made.as_deref(), "is set")
}

async fn show(which: &Which, desk: &Desk) -> Result<()> {
    let application = desk.doorward.find_application(&which.application).await?;
    print(desk, &application, None, "is open")
}

async fn close(given: &Close, desk: &Desk) -> Result<()> {
    let application = desk.doorward.find_application(&given.application).await?;
    if application.app_auth.is_none() {
        return Err(none(&application));
    }
    let question = format!(
        "Close the door of `{}`? Its app cannot sign anybody in then.",
        application.slug
    );
    desk.out.confirm(&question, given.yes.assent())?;
    desk.doorward.close_door(application.id).await?;
    desk.out.either(&json!({ "closed": application.slug }), || {
        vec![format!("The door of {} is closed.", application.slug)]
    })
}

async fn provider(mut given: Provider, desk: &Desk) -> Result<()> {
    let application = desk.doorward.find_application(&given.application).await?;
    let Some(door) = &application.app_auth else {
        return Err(none(&application));
    };
    let change = if given.remove {
        if door.provider(&given.id).is_none() {
            return Err(Failure::NotFound(format!(
                "`{}` has no provider `{}`",
                application.slug, given.id
            )));
        }
        DoorChange {
            without_providers: vec![given.id],
            ..DoorChange::default()
        }
    } else {
        let mut secret = given
            .client_secret_stdin
            .then(|| secret_from_stdin("client secret"))
            .transpose()?;
        if given.from_env {
            from_environment(&mut given, &mut secret)?;
        }
        let before = door.provider(&given.id).cloned().unwrap_or_default();
        let scopes = match (given.scope.is_empty(), before.scopes.is_empty()) {
            (false, _) => given.scope,
            (true, false) => before.scopes.clone(),
            (true, true) => ["openid", "email", "profile"].map(str::to_owned).to_vec(),
        };
        let record = Record {
            id: given.id,
            issuer: given.issuer.or(before.issuer),
            discovery_url: given.discovery_url.or(before.discovery_url),
            authorization_url: given.authorization_url.or(before.authorization_url),
            token_url: given.token_url.or(before.token_url),
            userinfo_url: given.userinfo_url.or(before.userinfo_url),
            client_id: given.client_id.unwrap_or(before.client_id),
            client_secret: before.client_secret,
            secret_in_form: given.secret_in_form || before.secret_in_form,
            scopes,
            prompt: given.prompt.or(before.prompt),
            pkce: !given.no_pkce,
            trusted: given.trusted,
            closed: given.closed,
            explicit_sign_up: given.explicit_sign_up,
            overrides: given.overrides,
            placeholder_email: given.placeholder_email,
            end_session: given.end_session,
            redirect_uri: given.redirect_uri.or(before.redirect_uri),
        };
        DoorChange {
            providers: vec![(record, secret)],
            ..DoorChange::default()
        }
    };
    let (application, _) = desk.doorward.change_door(application.id, &change).await?;
    print(desk, &application, None, "is set")
}

/// Takes what no flag says from the names that older applications have for one OpenID provider.
fn from_environment(given: &mut Provider, secret: &mut Option<String>) -> Result<()> {
    let mut missing = Vec::new();
    for (field, name) in [
        (&mut given.issuer, "OIDC_ISSUER"),
        (&mut given.client_id, "OIDC_CLIENT_ID"),
    ] {
        if field.is_none() {
            *field = variable(name)?;
        }
        if field.is_none() {
            missing.push(name);
        }
    }
    if !missing.is_empty() {
        return Err(Failure::Usage(format!(
            "--from-env: {} is not set",
            missing.join(" and ")
        )));
    }
    if secret.is_none() {
        *secret = variable("OIDC_CLIENT_SECRET")?;
    }
    if given.redirect_uri.is_none() {
        given.redirect_uri = variable("OIDC_REDIRECT_URI")?;
    }
    Ok(())
}

async fn role(given: &Role, desk: &Desk) -> Result<()> {
    let application = desk.doorward.find_application(&given.application).await?;
    let Some(settings) = &application.app_auth else {
        return Err(none(&application));
    };
    let user = desk
        .doorward
        .find_user_in(application.realm(), &given.user)
        .await?;
    let door = doorward_core::app_auth::Door {
        base: settings.path().into(),
        application: std::sync::Arc::new(application.clone()),
    };
    let user = desk.doorward.set_app_role(&door, user.id, &given.role).await?;
    let roles = user
        .app
        .roles
        .get(&application.id)
        .map_or(doorward_domain::app_auth::roles::USER, String::as_str);
    let value = json!({ "application": application.slug, "user": user.username, "role": roles });
    desk.out.either(&value, || {
        let mut lines = vec![format!(
            "{} has in {} the role {roles}.",
            user.username, application.slug
        )];
        if door.is_admin(&user) && !settings.has("admin") {
            lines.push(format!(
                "The part `admin` is off there: `doorward app-auth set {} --plugin admin` with the others that are on.",
                application.slug
            ));
        }
        lines
    })
}

fn none(application: &Application) -> Failure {
    Failure::NotFound(format!(
        "`{}` has no door; `doorward app-auth set {}` opens one",
        application.slug, application.slug
    ))
}

/// The shape that scripts rely on.
fn shown(application: &Application, door: &Door) -> Value {
    let providers: Vec<Value> = door
        .providers
        .iter()
        .map(|provider| {
            json!({
                "id": provider.id, "issuer": provider.issuer, "client_id": provider.client_id, "scopes": provider.scopes,
                "trusted": provider.trusted, "closed": provider.closed, "pkce": provider.pkce,
                "placeholder_email": provider.placeholder_email, "end_session": provider.end_session,
                // To be registered at the provider; without a fixed one, each that apps begin at.
                "redirect_uris": provider.redirect_uri.clone().map_or_else(|| door.redirect_uris(&provider.id), |fixed| vec![fixed]),
            })
        })
        .collect();
    json!({
        "application": application.slug, "base_url": door.base_url, "aliases": door.aliases, "secrets": door.secrets.len(),
        "trusted_origins": door.trusted_origins, "cookie_prefix": door.cookie_prefix, "cookie_domain": door.cookie_domain,
        "same_site": door.same_site.as_str(), "people": door.people.as_str(), "sign_up": door.sign_up, "auto_sign_in": door.auto_sign_in,
        "require_verification": door.require_verification, "verification": door.verification, "verify_on_sign_up": door.verify_on_sign_up,
        "verify_on_sign_in": door.verify_on_sign_in, "sign_in_after_verification": door.sign_in_after_verification,
        "reset_password": door.reset_password, "revoke_on_reset": door.revoke_on_reset, "change_email": door.change_email,
        "delete_user": door.delete_user, "delete_by_mail": door.delete_by_mail, "rate_limit": door.rate_limit, "plugins": door.plugins,
        "shortest_password": door.shortest_password, "lifetime": door.lifetime.to_string(), "update_age": door.update_age.to_string(),
        "cookie_cache": door.cookie_cache.map(|age| age.to_string()),
        "fresh_age": door.fresh_age.to_string(), "providers": providers, "error_url": door.error_url,
        "audience_empty": application.audience.is_empty(),
    })
}

fn print(desk: &Desk, application: &Application, secret: Option<&str>, done: &str) -> Result<()> {
    let Some(door) = &application.app_auth else {
        return Err(none(application));
    };
    let mut value = shown(application, door);
    if let Some(secret) = secret {
        value = view::with(value, json!({ "secret": secret }));
    }
    desk.out.either(&value, || {
        let yes = |name: &str| {
            if value.get(name) == Some(&Value::Bool(true)) {
                "yes"
            } else {
                "no"
            }
            .to_owned()
        };
        let mut lines = vec![
            ("base URL", cell(value.get("base_url"))),
            ("also at", cells(&value, &["aliases"]).join("")),
            ("trusted origins", cells(&value, &["trusted_origins"]).join("")),
            ("people", cell(value.get("people"))),
            ("sign-up", yes("sign_up")),
            ("address proved first", yes("require_verification")),
            ("sessions live", cell(value.get("lifetime"))),
            ("plugins", cells(&value, &["plugins"]).join("")),
            (
                "providers",
                door.providers
                    .iter()
                    .map(|provider| provider.id.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
        ];
        if let Some(secret) = secret {
            lines.push((
                "secret",
                format!("{secret}  (shown this once; the app itself does not need it)"),
            ));
        }
        if application.audience.is_empty() {
            let hint = format!(
                "nobody yet: `doorward application update {} --allow-everyone`, or a group",
                application.slug
            );
            lines.push(("may enter", hint));
        }
        facts(&format!("The door of {} {done}.", application.slug), &lines)
    })
}
