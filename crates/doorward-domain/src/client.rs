//! An application's OAuth 2 side: what a registered client may do and how long its tokens live.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use crate::{Lifetime, SecretId, Timestamp};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),* }
        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The word of the protocol or configuration.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $word),* } }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(format!("`{text}` is not known here; expected one of: {}", [$($word),*].join(", "))),
                }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// Can the client keep a secret (RFC 6749 section 2.1)?
    ClientKind {
        /// No secret: browser, desktop and mobile programs.
        Public = "public",
        /// Has credentials of its own.
        Confidential = "confidential",
    }
}

words! {
    /// How a client proves who it is at the token endpoint (RFC 8414, `token_endpoint_auth_methods_supported`).
    AuthMethod {
        /// HTTP Basic with form-encoded id and secret (RFC 6749 section 2.3.1).
        ClientSecretBasic = "client_secret_basic",
        /// `client_id` and `client_secret` in the form.
        ClientSecretPost = "client_secret_post",
        /// Signed assertion (RFC 7523 section 2.2).
        PrivateKeyJwt = "private_key_jwt",
        /// Public client.
        None = "none",
    }
}

words! {
    /// Grant types a client may use.
    GrantType {
        /// RFC 6749 section 4.1.
        AuthorizationCode = "authorization_code",
        /// RFC 6749 section 6.
        RefreshToken = "refresh_token",
        /// RFC 6749 section 4.4.
        ClientCredentials = "client_credentials",
        /// RFC 8628.
        DeviceCode = "urn:ietf:params:oauth:grant-type:device_code",
        /// RFC 8693.
        TokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange",
    }
}

words! {
    /// Must the client send a PKCE challenge (RFC 7636)? A challenge that was sent always has to be met.
    Pkce {
        /// A request without `code_challenge` is refused.
        Required = "required",
        /// For old confidential clients.
        Optional = "optional",
    }
}

words! {
    /// Form of access tokens.
    AccessTokenFormat {
        /// RFC 9068.
        Jwt = "jwt",
        /// A random text, known to the introspection endpoint only.
        Opaque = "opaque",
    }
}

words! {
    /// What the `sub` claim carries.
    SubjectMode {
        /// A stable hash.
        HashedId = "hashed_id",
        /// The user's small number.
        Id = "id",
        /// The user's UUID.
        Uuid = "uuid",
        /// The user name.
        Username = "username",
        /// The e-mail address.
        Email = "email",
    }
}

words! {
    /// Which issuer the tokens of this application name.
    IssuerMode {
        /// `<public_url>/application/o/<slug>/`.
        Application = "application",
        /// `<public_url>/`.
        Global = "global",
    }
}

words! {
    /// Signature algorithm for ID tokens and JWT access tokens (RFC 7518, RFC 8037).
    SigningAlgorithm {
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        Rs256 = "RS256",
        /// ECDSA P-256 with SHA-256.
        Es256 = "ES256",
        /// RSASSA-PSS with SHA-256.
        Ps256 = "PS256",
        /// Ed25519.
        EdDsa = "EdDSA",
    }
}

/// When a person is asked before data goes to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", content = "lifetime", rename_all = "snake_case")]
pub enum ConsentMode {
    /// Never asked; the grant is recorded and shown in the portal.
    Implicit,
    /// Asked once per set of scopes, remembered until revoked.
    Explicit,
    /// Asked again when this time has passed.
    Expiring(Lifetime),
    /// First-party: never asked, even with `prompt=consent`, and not listed.
    Skip,
}

impl std::fmt::Display for ConsentMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Implicit => f.write_str("implicit"),
            Self::Explicit => f.write_str("explicit"),
            Self::Expiring(lifetime) => write!(f, "expiring:{lifetime}"),
            Self::Skip => f.write_str("skip"),
        }
    }
}

impl std::str::FromStr for ConsentMode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "implicit" => Ok(Self::Implicit),
            None if text == "explicit" => Ok(Self::Explicit),
            None if text == "skip" => Ok(Self::Skip),
            Some(("expiring", lifetime)) => lifetime.parse().map(Self::Expiring),
            _ => Err(format!(
                "`{text}` is not a consent mode; expected implicit, explicit, expiring:30d or skip"
            )),
        }
    }
}

/// How long things issued to this client live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lifetimes {
    /// Authorization code; at most 10 minutes (RFC 6749 section 4.1.2).
    pub code: Lifetime,
    /// Access token.
    pub access_token: Lifetime,
    /// Refresh token, counted anew at each rotation.
    pub refresh_token: Lifetime,
    /// ID token.
    pub id_token: Lifetime,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            code: Lifetime::from_minutes(1),
            access_token: Lifetime::from_minutes(30),
            refresh_token: Lifetime::from_days(30),
            id_token: Lifetime::from_minutes(30),
        }
    }
}

/// A registered client, without its secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// Public identifier, unique.
    pub client_id: String,
    /// Public or confidential.
    pub kind: ClientKind,
    /// Registered redirect URIs in the notation of `doorward_oidc::redirect`.
    pub redirect_uris: Vec<String>,
    /// Where the browser may go after signing out (RP-initiated logout section 3.1).
    pub post_logout_redirect_uris: Vec<String>,
    /// Accepted ways to authenticate.
    pub auth_methods: BTreeSet<AuthMethod>,
    /// Inline JWK set for `private_key_jwt` and signed request objects.
    pub jwks: Option<serde_json::Value>,
    /// Where the JWK set can be fetched instead.
    pub jwks_uri: Option<String>,
    /// Grant types it may use.
    pub grant_types: BTreeSet<GrantType>,
    /// Scopes it may ask for.
    pub scopes: BTreeSet<String>,
    /// PKCE rule.
    pub pkce: Pkce,
    /// Signature algorithm.
    pub signing_algorithm: SigningAlgorithm,
    /// Form of access tokens.
    pub access_token_format: AccessTokenFormat,
    /// Content of `sub`.
    pub subject_mode: SubjectMode,
    /// Content of `iss`.
    pub issuer_mode: IssuerMode,
    /// Put the claims of the scopes into the ID token as well.
    pub id_token_claims: bool,
    /// Consent rule.
    pub consent: ConsentMode,
    /// Lifetimes.
    pub lifetimes: Lifetimes,
    /// Where logout tokens are delivered (OpenID Connect Back-Channel Logout).
    pub backchannel_logout_uri: Option<String>,
    /// Page loaded in a frame at sign-out (OpenID Connect Front-Channel Logout).
    pub frontchannel_logout_uri: Option<String>,
    /// Resource indicators it may ask for (RFC 8707); its own client id always counts.
    pub resources: BTreeSet<String>,
    /// Client ids of those that may exchange tokens for ones that this client takes (RFC 8693).
    #[serde(default)]
    pub exchange_from: BTreeSet<String>,
}

impl Client {
    /// A client with the defaults of its kind.
    #[must_use]
    pub fn new(client_id: String, kind: ClientKind) -> Self {
        let auth_methods = match kind {
            ClientKind::Public => BTreeSet::from([AuthMethod::None]),
            ClientKind::Confidential => {
                BTreeSet::from([AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost])
            }
        };
        Self {
            client_id,
            kind,
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            auth_methods,
            jwks: None,
            jwks_uri: None,
            grant_types: BTreeSet::from([GrantType::AuthorizationCode, GrantType::RefreshToken]),
            scopes: ["openid", "profile", "email", "offline_access"]
                .map(str::to_owned)
                .into(),
            pkce: Pkce::Required,
            signing_algorithm: SigningAlgorithm::Rs256,
            access_token_format: AccessTokenFormat::Jwt,
            subject_mode: SubjectMode::HashedId,
            issuer_mode: IssuerMode::Application,
            id_token_claims: true,
            consent: ConsentMode::Implicit,
            lifetimes: Lifetimes::default(),
            backchannel_logout_uri: None,
            frontchannel_logout_uri: None,
            resources: BTreeSet::new(),
            exchange_from: BTreeSet::new(),
        }
    }
}

/// One of a client's secrets; several may be valid at once while one is being replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSecret {
    /// Identifier.
    pub id: SecretId,
    /// SHA-256 of the secret.
    pub digest: [u8; 32],
    /// Last four characters, so that people can tell two secrets apart.
    pub hint: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working; `None` means not until replaced.
    pub expires_at: Option<Timestamp>,
}

impl ClientSecret {
    /// Does the secret work at `now`?
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for method in AuthMethod::ALL {
            assert_eq!(method.as_str().parse::<AuthMethod>().unwrap(), *method);
        }
        assert_eq!(
            "expiring:30d".parse::<ConsentMode>().unwrap().to_string(),
            "expiring:4w2d"
        );
        assert!("expiring:".parse::<ConsentMode>().is_err());
        assert!(
            "plain"
                .parse::<Pkce>()
                .unwrap_err()
                .contains("required, optional")
        );
    }

    #[test]
    fn a_client_survives_its_json_form() {
        let client = Client::new("abc".into(), ClientKind::Public);
        let text = serde_json::to_string(&client).unwrap();
        assert_eq!(serde_json::from_str::<Client>(&text).unwrap(), client);
    }
}
