//! Signing in at other providers and linking accounts there (contract sections 1.3, 1.5, 1.8 and 1.10).

use http::StatusCode;
use http::header::LOCATION;
use serde_json::{Value, json};

use doorward_core::app_auth::AppError;
use doorward_core::app_auth::people::Remember;
use doorward_core::app_auth::social::{Dialect, Finished, Flow, Link, Returned};
use doorward_domain::app_auth::{Account, ProviderTokens};

use super::call::{Call, Gate, escape};
use super::check::Check;
use super::fail::Fail;
use super::{Answer, Answered, wire, with_query};

/// Seconds for which the browser keeps the state of a flow.
const STATE_SECONDS: i64 = 300;
/// Longest list of further scopes.
const MOST_SCOPES: usize = 50;

/// Parameters that the flow itself sets.
const RESERVED: [&str; 8] = [
    "state",
    "client_id",
    "redirect_uri",
    "response_type",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "scope",
];

/// `additionalParams`: texts for the provider, none of them ours.
fn more_parameters(check: &mut Check<'_>) -> Vec<(String, String)> {
    let Some(Value::Object(given)) = check.any("additionalParams") else {
        return Vec::new();
    };
    if given.keys().any(|name| RESERVED.contains(&name.as_str())) {
        let text = format!(
            "additionalParams cannot include reserved OAuth parameters: {}",
            RESERVED.join(", ")
        );
        check.refuse("additionalParams", &text);
    }
    let short = |(name, value): (&String, &Value)| {
        let value = value.as_str()?;
        (name.len() <= 100 && value.len() <= 1000).then(|| (name.clone(), value.to_owned()))
    };
    given.iter().take(20).filter_map(short).collect()
}

/// What all beginnings of flows have in common.
fn read_flow(
    call: &Call,
    provider: &str,
    dialect: Dialect,
    check: &mut Check<'_>,
) -> Result<(Flow, bool), Fail> {
    let own = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let mut flow = Flow::new(provider, dialect);
    flow.callback = own(check.maybe_text("callbackURL"));
    flow.error = own(check.maybe_text("errorCallbackURL"));
    flow.new_user = own(check.maybe_text("newUserCallbackURL"));
    flow.login_hint = own(check.maybe_text("loginHint")).filter(|hint| hint.len() <= 254);
    flow.request_sign_up = check.maybe_bool("requestSignUp").unwrap_or(false);
    flow.scopes = check.maybe_texts("scopes").unwrap_or_default();
    flow.scopes.truncate(MOST_SCOPES);
    flow.scopes
        .retain(|scope| scope.len() <= 100 && scope.bytes().all(|b| b.is_ascii_graphic()));
    flow.more = more_parameters(check);
    flow.short = call.was_short()?;
    let quiet = check.maybe_bool("disableRedirect").unwrap_or(false);
    Ok((flow, quiet))
}

async fn begin(call: &mut Call, flow: Flow, quiet: bool) -> Answered {
    let (dialect, links) = (flow.dialect, flow.link.is_some());
    let provider = flow.provider.clone();
    let begun = call.doorward.app_begin(&call.door, flow).await;
    let (url, state) = begun.map_err(|error| match error {
        AppError::Code("PROVIDER_NOT_FOUND") if dialect == Dialect::Old && !links => Fail::plain(
            StatusCode::BAD_REQUEST,
            &format!("PROVIDER_CONFIG_NOT_FOUND {provider}"),
        ),
        other => Fail::from(other),
    })?;
    call.set_signed("state", &state, Some(STATE_SECONDS))?;
    if !quiet && dialect == Dialect::New {
        call.answer.push((LOCATION, url.clone()));
    }
    Ok(Answer::Json(json!({ "url": url, "redirect": !quiet })))
}

pub(super) async fn sign_in(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let provider = check.text("provider");
    let (flow, quiet) = read_flow(call, provider, Dialect::New, &mut check)?;
    let id_token = check.any("idToken").is_some_and(|token| !token.is_null());
    check.done()?;
    if call.door.settings().provider(provider).is_none() {
        return Err(Fail::code("PROVIDER_NOT_FOUND"));
    }
    if id_token {
        return with_id_token(call, &flow).await;
    }
    begin(call, flow, quiet).await
}

/// The app brings an ID token along that it got itself.
async fn with_id_token(call: &mut Call, flow: &Flow) -> Answered {
    let given = call.body.as_ref().and_then(|body| body.get("idToken")).cloned();
    let mut check = Check::new("body.idToken", given.as_ref());
    let token = check.text("token");
    let nonce = check.maybe_text("nonce");
    let access = check.maybe_text("accessToken");
    check.done()?;
    let doorward = call.doorward.clone();
    let entered = doorward
        .app_enter_with_id_token(&call.door, flow, token, nonce, access, &call.origin)
        .await;
    let (user, issued) = entered.map_err(|error| match error {
        AppError::Code(code @ ("INVALID_TOKEN" | "OAUTH_LINK_ERROR")) => {
            Fail::with(StatusCode::UNAUTHORIZED, code)
        }
        AppError::Code("ID_TOKEN_NOT_SUPPORTED") => {
            Fail::with(StatusCode::NOT_FOUND, "ID_TOKEN_NOT_SUPPORTED")
        }
        other => Fail::from(other),
    })?;
    let remember = if flow.short { Remember::No } else { Remember::Yes };
    call.begin(&issued, remember)?;
    let user = wire::user(&user, &call.door, call.now());
    Ok(Answer::Json(
        json!({ "redirect": false, "token": issued.token, "user": user }),
    ))
}

pub(super) async fn sign_in_old(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let provider = check.text("providerId");
    let (flow, quiet) = read_flow(call, provider, Dialect::Old, &mut check)?;
    check.done()?;
    begin(call, flow, quiet).await
}

pub(super) async fn link(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let provider = check.text("provider");
    let (mut flow, quiet) = read_flow(call, provider, Dialect::New, &mut check)?;
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    flow.link = Some(Link {
        user: caller.visit.person.user.id,
    });
    begin(call, flow, quiet).await
}

pub(super) async fn link_old(call: &mut Call) -> Answered {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let provider = check.text("providerId");
    check.text("callbackURL");
    let (mut flow, quiet) = read_flow(call, provider, Dialect::Old, &mut check)?;
    check.done()?;
    let caller = call.require(Gate::Sensitive).await?;
    flow.link = Some(Link {
        user: caller.visit.person.user.id,
    });
    begin(call, flow, quiet).await
}

/// A provider sends the browser back.
pub(super) async fn callback(call: &mut Call, provider: &str, dialect: Dialect) -> Answered {
    let given = |call: &Call, name: &str| {
        let from = call
            .body
            .as_deref()
            .filter(|_| call.method != http::Method::GET)
            .unwrap_or(&call.query);
        from.get(name).and_then(Value::as_str).map(str::to_owned)
    };
    if call.method != http::Method::GET {
        // A form of another site brings no cookies: the same once more as a navigation.
        let names = [
            "code",
            "error",
            "error_description",
            "state",
            "iss",
            "user",
            "device_id",
        ];
        let pairs: Vec<(&str, String)> = names
            .iter()
            .filter_map(|name| given(call, name).map(|value| (*name, value)))
            .collect();
        let query: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={}", escape(value)))
            .collect();
        return Ok(Answer::Go(format!(
            "{}/callback/{}?{}",
            call.door.url(),
            escape(provider),
            query.join("&")
        )));
    }
    let returned = Returned {
        code: given(call, "code"),
        state: given(call, "state"),
        error: given(call, "error"),
        description: given(call, "error_description"),
        issuer: given(call, "iss"),
    };
    let cookie = call.signed(&call.cookie_name("state"))?;
    let doorward = call.doorward.clone();
    let finished = doorward
        .app_finish(
            &call.door,
            provider,
            dialect,
            &returned,
            cookie.as_deref(),
            &call.origin,
        )
        .await?;
    if cookie.is_some() && cookie == returned.state {
        call.expire("state");
    }
    let home = call.door.settings().origin().to_owned();
    Ok(Answer::Go(match finished {
        Finished::Entered {
            issued,
            remember,
            place,
        } => {
            call.begin(&issued, remember)?;
            place.unwrap_or(home)
        }
        Finished::Linked { place } => place.unwrap_or(home),
        Finished::Failed {
            place,
            code,
            description,
        } => {
            let settings = call.door.settings();
            let fallback = || {
                settings
                    .error_url
                    .clone()
                    .unwrap_or_else(|| format!("{}/error", call.door.url()))
            };
            let place = place.unwrap_or_else(fallback);
            let mut pairs = vec![("error", code.as_str())];
            if let Some(description) = &description {
                pairs.push(("error_description", description));
            }
            with_query(&place, &pairs)
        }
    }))
}

/// The account that a call is about: by row (1.7), or by provider and account there (1.6).
async fn account_of(call: &Call, provider: Option<&str>, account: Option<&str>) -> Result<Account, Fail> {
    let caller = call.require(Gate::Session).await?;
    let accounts = call
        .doorward
        .app_accounts(&call.door, caller.visit.person.user.id)
        .await?;
    let fits = |one: &&Account| match provider {
        Some(provider) => {
            one.provider == provider
                && account.is_none_or(|account| one.account == account || one.id.to_string() == account)
        }
        None => account.is_some_and(|account| one.id.to_string() == account),
    };
    accounts
        .iter()
        .find(fits)
        .cloned()
        .ok_or_else(|| Fail::code("ACCOUNT_NOT_FOUND"))
}

fn scopes(account: &Account) -> Vec<&str> {
    account
        .scope
        .split(',')
        .filter(|scope| !scope.is_empty())
        .collect()
}

/// The account on the wire: by the row for who named the row (1.7), as the provider names it otherwise (1.6).
fn shown_account(call: &Call, account: &Account) -> String {
    if call.field("providerId").is_some() {
        account.account.clone()
    } else {
        account.id.to_string()
    }
}

async fn tokens(call: &Call, always: bool) -> Result<(Account, ProviderTokens), Fail> {
    let body = call.body.clone();
    let mut check = Check::new("body", body.as_deref());
    let provider = check.maybe_text("providerId");
    if check.any("useAccountCookie") == Some(&Value::Bool(true)) {
        // No account lives in a cookie here.
        call.require(Gate::Session).await?;
        return Err(if check.any("accountId").is_some() || provider.is_some() {
            Fail::said(
                StatusCode::BAD_REQUEST,
                "VALIDATION_ERROR",
                "[body] Invalid input",
            )
        } else {
            Fail::code("ACCOUNT_NOT_FOUND")
        });
    }
    let account = if provider.is_some() {
        check.maybe_text("accountId")
    } else {
        Some(check.text("accountId"))
    };
    check.done()?;
    if let Some(provider) = provider
        && call.door.settings().provider(provider).is_none()
    {
        call.require(Gate::Session).await?;
        return Err(Fail::said(
            StatusCode::BAD_REQUEST,
            "PROVIDER_NOT_SUPPORTED",
            &format!("Provider {provider} is not supported."),
        ));
    }
    let account = account_of(call, provider, account).await?;
    let tokens = call
        .doorward
        .app_provider_tokens(&call.door, &account, always)
        .await?;
    Ok((account, tokens))
}

pub(super) async fn access_token(call: &mut Call) -> Answered {
    let (account, tokens) = tokens(call, false).await?;
    Ok(Answer::Json(json!({
        "accessToken": tokens.access, "accessTokenExpiresAt": tokens.access_until.map(wire::time),
        "scopes": scopes(&account), "idToken": tokens.id,
    })))
}

pub(super) async fn refresh_token(call: &mut Call) -> Answered {
    let (account, tokens) = tokens(call, true).await?;
    Ok(Answer::Json(json!({
        "accessToken": tokens.access, "refreshToken": tokens.refresh,
        "accessTokenExpiresAt": tokens.access_until.map(wire::time), "refreshTokenExpiresAt": tokens.refresh_until.map(wire::time),
        "scope": account.scope, "idToken": tokens.id, "providerId": account.provider, "accountId": shown_account(call, &account),
    })))
}

pub(super) async fn account_info(call: &mut Call) -> Answered {
    let query = call.query.clone();
    let mut check = Check::new("query", Some(&query));
    let provider = check.maybe_text("providerId");
    let account = check.maybe_text("accountId");
    check.done()?;
    let caller = call.require(Gate::Session).await?;
    if account.is_none() && provider.is_none() {
        return Err(Fail::said(
            StatusCode::BAD_REQUEST,
            "VALIDATION_ERROR",
            "[query] Invalid input",
        ));
    }
    let accounts = call
        .doorward
        .app_accounts(&call.door, caller.visit.person.user.id)
        .await?;
    let fits = |one: &&Account| {
        provider.is_none_or(|provider| one.provider == provider)
            && account.is_none_or(|account| one.account == account || one.id.to_string() == account)
    };
    let account = accounts
        .iter()
        .find(fits)
        .ok_or_else(|| Fail::code("ACCOUNT_NOT_FOUND"))?;
    Ok(Answer::Json(
        call.doorward.app_account_info(&call.door, account).await?,
    ))
}
