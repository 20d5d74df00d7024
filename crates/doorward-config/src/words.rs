//! Settings that are one of a few words.

use doorward_domain::text::nearest;

use crate::value::{Value, Wrong};

macro_rules! words {
    ($( $(#[doc = $doc:literal])+ $name:ident { $( $(#[doc = $word_doc:literal])+ $variant:ident = $word:literal ),+ $(,)? } )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum $name { $( $(#[doc = $word_doc])+ $variant ),+ }

            impl $name {
                const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];

                /// As written in the settings.
                #[must_use]
                pub fn as_str(self) -> &'static str {
                    match self { $(Self::$variant => $word),+ }
                }
            }

            impl Value for $name {
                const KIND: &'static str = "word";
                fn expected() -> String {
                    let words: Vec<&str> = Self::WORDS.iter().map(|(word, _)| *word).collect();
                    match words.as_slice() {
                        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
                        _ => words.concat(),
                    }
                }
                fn parse(text: &str) -> Result<Self, Wrong> {
                    let found = Self::WORDS.iter().find(|(word, _)| *word == text);
                    found.map(|(_, value)| *value).ok_or_else(|| {
                        let wrong = Wrong::new(text, "is not one of the words");
                        let short: String = text.chars().take(40).collect();
                        let near = nearest(&short.to_lowercase(), Self::WORDS.iter().map(|(word, _)| *word));
                        match near {
                            Some(word) => wrong.quoting(format!("did you mean `{word}`?")),
                            None => wrong,
                        }
                    })
                }
                fn show(&self) -> String {
                    self.as_str().to_owned()
                }
            }
        )+
    };
}

words! {
    /// How the connection to the mail server is protected.
    MailSecurity {
        /// Starts in clear text and must upgrade to TLS before anything else is said (RFC 3207).
        StartTls = "starttls",
        /// TLS from the first byte (RFC 8314).
        Tls = "tls",
        /// Not at all.
        Plain = "none",
    }
    /// What log lines look like.
    LogFormat {
        /// For people.
        Human = "human",
        /// One JSON object per line.
        Json = "json",
    }
    /// The least important lines that the log shows.
    LogLevel {
        /// What needs somebody now.
        Error = "error",
        /// What will need somebody.
        Warn = "warn",
        /// One line per request and per change.
        Info = "info",
        /// What happens inside.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
    /// How access tokens of the token API are signed.
    TokenAlgorithm {
        /// With a secret that the services share.
        Hs256 = "HS256",
        /// With the server's own Ed25519 key.
        EdDsa = "EdDSA",
        /// With the server's own RSA key.
        Rs256 = "RS256",
    }
    /// Whether the server itself may call addresses in private networks.
    PrivateNetworks {
        /// For URLs that an administrator registered.
        Allow = "allow",
        /// Never.
        Refuse = "refuse",
    }
}

/// Reads a switch as people write it in environments.
pub(crate) fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}
