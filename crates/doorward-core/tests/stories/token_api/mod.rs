//! Accounts at the Matrix server, taking over from the service before, and the views with its table names.

mod import;
mod matrix;
mod views;

use doorward_core::Options;
use doorward_core::token_api::{MatrixServer, TokenAlgorithm, TokenApi};
use doorward_crypto::shared::SharedKey;
use doorward_domain::Lifetime;
use std::sync::Arc;

pub(crate) const SECRET: &str = "a shared secret of 32 bytes or so";
pub(crate) const SYNAPSE: &str = "http://synapse.example.org:8008";

pub(crate) fn settings() -> TokenApi {
    TokenApi {
        algorithm: TokenAlgorithm::Hs256,
        secret: Some(SharedKey::new(SECRET)),
        issuer: "daarion-auth".into(),
        access_lifetime: Lifetime::from_minutes(30),
        refresh_lifetime: Lifetime::from_days(7),
        sliding: false,
        registration: true,
        keep_bcrypt: false,
        introspect_open: false,
        introspect_token: None,
        matrix: None,
    }
}

pub(crate) fn on(options: &mut Options) {
    options.token_api = Some(Arc::new(settings()));
}

/// With a Matrix server.
pub(crate) fn with_matrix(options: &mut Options) {
    let matrix = MatrixServer {
        url: SYNAPSE.into(),
        secret: "synapse-shared-secret".into(),
        server_name: None,
        admin_token: Some("the administrator's token".into()),
    };
    options.token_api = Some(Arc::new(TokenApi {
        matrix: Some(matrix),
        ..settings()
    }));
}
