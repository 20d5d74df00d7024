//! The way back to the client: success and error as a location or a form (RFC 6749 section 4.1.2, RFC 9207).
//!
//! Must not live here: HTML of the form.

use std::fmt;

use super::{AuthorizeRequest, ErrorRedirect, ResponseMode};
use crate::encode;

/// How the answer leaves. `Debug` shows no values, because the code is among them.
#[derive(Clone, PartialEq, Eq)]
pub enum Response {
    /// Redirect with status 303.
    Location(String),
    /// A page with a form that submits itself.
    FormPost {
        /// Where the form goes.
        action: String,
        /// Names and values of its hidden fields.
        fields: Vec<(String, String)>,
    },
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Location(location) => {
                let place = location.split(['?', '#']).next().unwrap_or("");
                f.debug_tuple("Location").field(&place).finish()
            }
            Self::FormPost { action, fields } => {
                let names: Vec<&String> = fields.iter().map(|(name, _)| name).collect();
                f.debug_struct("FormPost")
                    .field("action", action)
                    .field("fields", &names)
                    .finish()
            }
        }
    }
}

/// The answer that carries the code.
///
/// `session_state` is for OpenID Connect Session Management, which needs a page in a frame; `None` leaves it out.
#[must_use]
pub fn success_redirect(
    request: &AuthorizeRequest,
    code: &str,
    issuer: &str,
    session_state: Option<&str>,
) -> Response {
    let fields = [
        ("code", Some(code)),
        ("state", request.state.as_deref()),
        ("iss", Some(issuer)),
        ("session_state", session_state),
    ];
    respond(&request.redirect_uri, request.mode, &fields)
}

impl ErrorRedirect {
    /// The answer that carries the error.
    #[must_use]
    pub fn response(&self) -> Response {
        let description = Some(self.description.as_str()).filter(|text| !text.is_empty());
        let fields = [
            ("error", Some(self.error)),
            ("error_description", description),
            ("state", self.state.as_deref()),
            ("iss", Some(self.iss.as_str())),
        ];
        respond(&self.redirect_uri, self.mode, &fields)
    }
}

fn respond(redirect_uri: &str, mode: ResponseMode, fields: &[(&str, Option<&str>)]) -> Response {
    let fields = fields
        .iter()
        .filter_map(|(name, value)| value.map(|value| (*name, value)));
    match mode {
        ResponseMode::Query => Response::Location(encode::with_query(redirect_uri, fields)),
        ResponseMode::Fragment => {
            Response::Location(format!("{redirect_uri}#{}", encode::encode_pairs(fields)))
        }
        ResponseMode::FormPost => Response::FormPost {
            action: redirect_uri.to_owned(),
            fields: fields
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        },
    }
}
