//! The settings of the token API, put together.

use std::net::SocketAddr;

use crate::PublicUrl;
use crate::address::Address;
use crate::assemble::{collides, problem, warning};
use crate::reader::Reader;
use crate::settings::{Matrix, TokenApi};
use crate::table;
use crate::value::{Line, Switch};
use crate::words::TokenAlgorithm;

/// `iss` that services of old expect.
const OLD_ISSUER: &str = "daarion-auth";
/// Port of old.
const OLD_PORT: u16 = 7020;
/// The least that RFC 7518, section 3.2, asks of a secret, in bytes.
const SHORTEST_SECRET: usize = 32;

/// Takes everything under `token_api`, so that a mistake is told also while it is off.
pub(crate) fn take(
    reader: &mut Reader<'_>,
    listen: Option<&[SocketAddr]>,
    taken: &[SocketAddr],
    public_url: Option<&PublicUrl>,
) -> Option<TokenApi> {
    let old_names = reader.old_names;
    let enabled = reader.take_or(&table::TOKEN_API_ENABLED, || Switch(old_names));
    let own = take_listen(reader, old_names, listen, taken);
    let algorithm = reader.take(&table::TOKEN_API_ALGORITHM);
    let secret = reader.take(&table::TOKEN_API_SECRET).map(|secret| secret.0);
    let issuer = reader.take_or(&table::TOKEN_API_ISSUER, || {
        Line(match (algorithm, public_url) {
            (Some(TokenAlgorithm::EdDsa | TokenAlgorithm::Rs256), Some(url)) => url.as_str().to_owned(),
            _ => OLD_ISSUER.to_owned(),
        })
    });
    let access_lifetime = reader.take(&table::TOKEN_API_ACCESS_LIFETIME);
    let refresh_lifetime = reader.take(&table::TOKEN_API_REFRESH_LIFETIME);
    let sliding = reader.take(&table::TOKEN_API_SLIDING);
    let registration = reader.take(&table::TOKEN_API_REGISTRATION);
    let keep_bcrypt = reader.take(&table::TOKEN_API_KEEP_BCRYPT);
    let introspect_open = reader.take(&table::TOKEN_API_INTROSPECT_OPEN);
    let introspect_token = reader
        .take(&table::TOKEN_API_INTROSPECT_TOKEN)
        .map(|token| token.0);
    let debug = reader.take(&table::TOKEN_API_DEBUG);
    let matrix = take_matrix(reader);
    if !enabled?.0 {
        return None;
    }
    if algorithm == Some(TokenAlgorithm::Hs256) {
        let debug = debug.is_some_and(|debug| debug.0);
        check_secret(reader, secret.as_ref().map(|secret| secret.expose().len()), debug);
    }
    if introspect_open.is_some_and(|open| open.0) {
        let message = "everybody who reaches the server may introspect tokens";
        let hint = "set token_api.introspect_token, give it to the services that ask, and unset this";
        warning(reader, &table::TOKEN_API_INTROSPECT_OPEN, message, hint);
    }
    if access_lifetime
        .zip(refresh_lifetime)
        .is_some_and(|(access, refresh)| access.0 > refresh.0)
    {
        let message = "`token_api.access_lifetime` is longer than `token_api.refresh_lifetime`".to_owned();
        let hint = "an access token ends with its sign-in at the latest";
        problem(reader, &table::TOKEN_API_ACCESS_LIFETIME, message, hint);
    }
    Some(TokenApi {
        listen: own,
        algorithm: algorithm?,
        secret,
        issuer: issuer?.0,
        access_lifetime: access_lifetime?.0,
        refresh_lifetime: refresh_lifetime?.0,
        sliding: sliding?.0,
        registration: registration?.0,
        keep_bcrypt: keep_bcrypt?.0,
        introspect_open: introspect_open?.0,
        introspect_token,
        matrix,
    })
}

/// The address of its own: as set; port 7020 beside the first ordinary one when the environment is the old service's.
fn take_listen(
    reader: &mut Reader<'_>,
    old_names: bool,
    listen: Option<&[SocketAddr]>,
    taken: &[SocketAddr],
) -> Option<SocketAddr> {
    let beside = listen.and_then(|listen| listen.first());
    let own = match beside {
        Some(first) if old_names => reader.take_or(&table::TOKEN_API_LISTEN, || {
            Address(SocketAddr::new(first.ip(), OLD_PORT))
        }),
        _ => reader.take(&table::TOKEN_API_LISTEN),
    }?
    .0;
    let mut others = listen.unwrap_or_default().iter().chain(taken);
    if others.any(|other| collides(*other, own)) {
        let message = format!("`token_api.listen` has `{own}`, which the server listens on already");
        let hint = "choose another port, or leave it away: the ordinary addresses serve the token API too";
        problem(reader, &table::TOKEN_API_LISTEN, message, hint);
    }
    Some(own)
}

fn check_secret(reader: &mut Reader<'_>, length: Option<usize>, debug: bool) {
    let hint =
        "set 32 random bytes or more, such as from openssl rand -hex 32; or choose EdDSA, which needs none";
    match length {
        None if reader.is_given(&table::TOKEN_API_SECRET) => {}
        None => {
            let message = "the token API signs with HS256, but `token_api.secret` is not set".to_owned();
            problem(reader, &table::TOKEN_API_SECRET, message, hint);
        }
        Some(length) if length < SHORTEST_SECRET && debug => {
            let message = "`token_api.secret` is shorter than 32 bytes, which only `token_api.debug` allows: it can be guessed";
            warning(reader, &table::TOKEN_API_SECRET, message, hint);
        }
        Some(length) if length < SHORTEST_SECRET => {
            let message =
                "`token_api.secret` is shorter than 32 bytes: whoever guesses it is everybody".to_owned();
            problem(reader, &table::TOKEN_API_SECRET, message, hint);
        }
        Some(_) => {}
    }
}

fn take_matrix(reader: &mut Reader<'_>) -> Option<Matrix> {
    let url: Option<PublicUrl> = reader.take(&table::TOKEN_API_SYNAPSE_URL);
    let server_name = reader
        .take(&table::TOKEN_API_SYNAPSE_SERVER_NAME)
        .map(|name| name.0);
    let admin_token = reader
        .take(&table::TOKEN_API_SYNAPSE_ADMIN_TOKEN)
        .map(|token| token.0);
    let secret = reader.take(&table::TOKEN_API_SYNAPSE_SECRET)?.0;
    Some(Matrix {
        url: url?.as_str().to_owned(),
        secret,
        server_name,
        admin_token,
    })
}
