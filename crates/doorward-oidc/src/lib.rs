//! OAuth 2 and OpenID Connect as pure functions.
