//! The cookie of guarded sites: a session's name, sealed for one reach. It says who to guarded sites and to nothing else, so that a
//! service that reads it has no session of Doorward itself. Nothing is stored for it; it dies with its session.

use doorward_crypto::token;
use doorward_domain::SessionId;
use doorward_domain::site::Reach;

use crate::Doorward;

/// Purpose of the seal.
const SITE: &str = "site-cookie";
/// Longest text that is looked at. Ours are about 130 characters.
const LONGEST: usize = 200;
/// For sites that are reached by https.
const SECURE: u8 = 1;
/// For one host alone.
const HOST_ONLY: u8 = 2;

/// Where a cookie counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CookiePlace<'a> {
    /// Which hosts.
    pub(crate) reach: Reach<'a>,
    /// By https only.
    pub(crate) secure: bool,
}

impl CookiePlace<'_> {
    fn flags(self) -> u8 {
        let secure = if self.secure { SECURE } else { 0 };
        match self.reach {
            Reach::Host(_) => secure | HOST_ONLY,
            Reach::Domain(_) => secure,
        }
    }

    fn name_digest(self) -> [u8; 16] {
        let digest = *token::digest(self.reach.name()).bytes();
        let mut short = [0_u8; 16];
        short.copy_from_slice(digest.split_at(16).0);
        short
    }
}

/// What a browser promises of a cookie by its name (RFC 6265bis section 4.1.3). A neighbour, or somebody on the line, can set cookies of
/// weaker kinds only: one that was made for a stronger kind does not count under a weaker name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kept {
    /// `__Host-`: set by this very host, over https.
    Host,
    /// `__Secure-`: set over https, by this host or another one of its domain.
    Secure,
    /// Nothing.
    Anyhow,
}

impl Kept {
    const fn allows(self, flags: u8) -> bool {
        match self {
            Self::Host => flags == SECURE | HOST_ONLY,
            Self::Secure => flags == SECURE,
            Self::Anyhow => flags & SECURE == 0,
        }
    }
}

/// The request that brought a cookie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brought<'a> {
    /// For which host.
    pub(crate) host: &'a str,
    /// By https, as far as anybody says.
    pub(crate) https: bool,
    /// What the host's neighbours see does not count there.
    pub(crate) isolated: bool,
}

impl Doorward {
    /// Seals a session's name for a place.
    #[must_use]
    pub(crate) fn seal_site_cookie(&self, session: SessionId, place: CookiePlace<'_>) -> String {
        let mut content = Vec::with_capacity(33);
        content.extend_from_slice(session.uuid().as_bytes());
        content.push(place.flags());
        content.extend_from_slice(&place.name_digest());
        self.inner.keyring.seal_text(SITE, &self.random(), &content)
    }

    /// The session that a cookie names, when it was sealed for a place that the host lies in.
    pub(crate) fn open_site_cookie(&self, text: &str, kept: Kept, brought: Brought<'_>) -> Option<SessionId> {
        if text.len() > LONGEST {
            return None;
        }
        let content = self.inner.keyring.open_text(SITE, text).ok()?;
        let (id, rest) = content.split_at_checked(16)?;
        let (flags, name) = rest.split_first()?;
        let secure = flags & SECURE != 0;
        // Without https it may have been overheard on its way.
        if (brought.https && !secure) || !kept.allows(*flags) {
            return None;
        }
        let host = brought.host;
        let fits = |reach: Reach<'_>| {
            let place = CookiePlace { reach, secure };
            place.flags() == *flags && place.name_digest() == *name
        };
        let mut names =
            std::iter::successors(Some(host), |name| name.split_once('.').map(|(_, parent)| parent));
        let fitting = if flags & HOST_ONLY != 0 {
            fits(Reach::Host(host))
        } else {
            !brought.isolated && names.any(|name| fits(Reach::Domain(name)))
        };
        let id: [u8; 16] = id.try_into().ok()?;
        fitting.then(|| SessionId::from_uuid(uuid::Uuid::from_bytes(id)))
    }
}
