//! Finding the app whose door stands at a place: a few look-ups, however many apps there are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::application::Application;

/// Longest path that is looked at, in bytes.
const LONGEST_PATH: usize = 512;

/// Who stands at a place.
#[derive(Debug)]
enum Owner {
    One(Arc<Application>),
    /// More than one: nobody can tell which is meant.
    Several,
}

/// The doors under one base path.
#[derive(Debug)]
struct Base {
    path: Arc<str>,
    anywhere: Owner,
    /// By host in lower case.
    by_host: HashMap<String, Owner>,
}

/// A door that stands at a place.
#[derive(Clone, Debug, PartialEq)]
pub struct DoorFound<'a> {
    /// Whose.
    pub application: &'a Arc<Application>,
    /// The base path under which it was found.
    pub base: &'a Arc<str>,
}

/// The doors of all apps.
#[derive(Debug, Default)]
pub struct DoorIndex {
    bases: HashMap<Arc<str>, Base>,
    /// Length of the longest base path.
    longest: usize,
}

impl Owner {
    fn join(&mut self, application: &Arc<Application>) {
        if let Self::One(owner) = self
            && owner.id != application.id
        {
            *self = Self::Several;
        }
    }

    fn only(&self) -> Option<&Arc<Application>> {
        match self {
            Self::One(application) => Some(application),
            Self::Several => None,
        }
    }
}

impl DoorIndex {
    /// Builds the index of the applications that have a door; the others are left out, and doors without a path too.
    #[must_use]
    pub fn new<'a>(applications: impl IntoIterator<Item = &'a Arc<Application>>) -> Self {
        let mut index = Self::default();
        for application in applications {
            let Some(settings) = &application.app_auth else {
                continue;
            };
            let bases = std::iter::once(settings.path()).chain(settings.aliases.iter().map(String::as_str));
            for base in bases.filter(|base| !base.is_empty()) {
                index.add(base, settings.host(), application);
            }
        }
        index
    }

    fn add(&mut self, path: &str, host: &str, application: &Arc<Application>) {
        self.longest = self.longest.max(path.len());
        let key: Arc<str> = path.into();
        let base = self.bases.entry(Arc::clone(&key)).or_insert_with(|| Base {
            path: key,
            anywhere: Owner::One(Arc::clone(application)),
            by_host: HashMap::new(),
        });
        base.anywhere.join(application);
        base.by_host
            .entry(host.to_ascii_lowercase())
            .or_insert_with(|| Owner::One(Arc::clone(application)))
            .join(application);
    }

    /// The door behind a request: by host (with its port, as browsers send it) and path, and where only one app has the base path, by
    /// that alone (a proxy in front may rename hosts). A named host comes first, then the longest base path. None where two apps are
    /// equally near, and for paths of more than 512 bytes.
    #[must_use]
    pub fn find(&self, host: Option<&str>, path: &str) -> Option<DoorFound<'_>> {
        if self.bases.is_empty() || path.len() > LONGEST_PATH {
            return None;
        }
        let host = host.map(|host| {
            if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
                Cow::Owned(host.to_ascii_lowercase())
            } else {
                Cow::Borrowed(host)
            }
        });
        let mut renamed = None;
        for base in self.bases_of(path) {
            if let Some(named) = host.as_deref().and_then(|host| base.by_host.get(host)) {
                return base.found(named);
            }
            renamed = renamed.or(Some(base));
        }
        let base = renamed?;
        base.found(&base.anywhere)
    }

    /// The bases that a path lies under, the longest first.
    fn bases_of<'a, 'p>(&'a self, path: &'p str) -> impl Iterator<Item = &'a Base> + use<'a, 'p> {
        let ends = path.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
        let ends = std::iter::once(path.len()).chain(ends.map(|(at, _)| at).rev());
        ends.filter(|end| *end <= self.longest)
            .filter_map(|end| self.bases.get(path.get(..end)?))
    }
}

impl Base {
    fn found<'a>(&'a self, owner: &'a Owner) -> Option<DoorFound<'a>> {
        owner.only().map(|application| DoorFound {
            application,
            base: &self.path,
        })
    }
}
