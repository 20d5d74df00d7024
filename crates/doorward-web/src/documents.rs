//! Prepared documents: discovery and JWK sets are written once per picture of the configuration and handed out as they are.
//!
//! Must not live here: what the documents say, who may read them.

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, RwLock, Weak};

use doorward_core::Doorward;
use doorward_core::documents::fingerprint;
use doorward_core::keys::KeySet;
use doorward_domain::Timestamp;
use doorward_domain::client::SigningAlgorithm;
use doorward_domain::directory::Directory;

use crate::router::Dress;

/// Seconds for which anybody may keep discovery and JWK sets.
const KEEP: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// Most discovery documents kept at once; each has about 4 KiB.
const MOST: usize = 4096;

/// One document.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The JSON text.
    pub(crate) body: Bytes,
    /// Strong entity tag (RFC 9110 section 8.8.3).
    pub(crate) etag: HeaderValue,
    /// All headers of the answer.
    pub(crate) headers: HeaderMap,
}

impl Prepared {
    /// Writes a document down.
    pub(crate) fn new(document: &Value, dress: &Dress) -> Arc<Self> {
        let text = document.to_string();
        let etag = format!("\"{}\"", fingerprint(&text));
        let etag = HeaderValue::from_str(&etag).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, KEEP);
        headers.insert(ETAG, etag.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        dress.put_on(&mut headers);
        Arc::new(Self {
            body: Bytes::from(text),
            etag,
            headers,
        })
    }
}

/// What belongs to one picture: the same allocation, not only an equal one.
struct Of<K, V> {
    picture: Weak<K>,
    documents: V,
}

impl<K, V: Default> Default for Of<K, V> {
    fn default() -> Self {
        Self {
            picture: Weak::new(),
            documents: V::default(),
        }
    }
}

impl<K, V: Default> Of<K, V> {
    fn is(&self, picture: &Arc<K>) -> bool {
        // The weak pointer keeps the allocation, so that no other picture can be at the same place.
        std::ptr::eq(self.picture.as_ptr(), Arc::as_ptr(picture))
    }
}

/// JWK sets by the algorithm whose keys lead, and when they were written and stop being true by themselves.
#[derive(Default)]
struct Sets {
    by_first: HashMap<Option<SigningAlgorithm>, Arc<Prepared>>,
    made: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// All prepared documents.
pub(crate) struct Documents {
    dress: Dress,
    discovery: RwLock<Of<Directory, HashMap<String, Arc<Prepared>>>>,
    sets: RwLock<Of<KeySet, Sets>>,
}

impl Documents {
    /// None yet.
    pub(crate) fn new(dress: Dress) -> Self {
        Self {
            dress,
            discovery: RwLock::default(),
            sets: RwLock::default(),
        }
    }

    /// The discovery document under a slug (empty: of the global issuer), when it was written for this picture.
    pub(crate) fn discovery(&self, directory: &Arc<Directory>, slug: &str) -> Option<Arc<Prepared>> {
        let known = self.discovery.read().ok()?;
        known.is(directory).then(|| known.documents.get(slug).cloned())?
    }

    /// Writes it for this picture; documents of another one go.
    pub(crate) fn keep_discovery(
        &self,
        directory: &Arc<Directory>,
        slug: &str,
        document: &Value,
    ) -> Arc<Prepared> {
        let prepared = Prepared::new(document, &self.dress);
        if let Ok(mut known) = self.discovery.write() {
            if !known.is(directory) {
                *known = Of {
                    picture: Arc::downgrade(directory),
                    documents: HashMap::new(),
                };
            }
            if known.documents.len() < MOST {
                known.documents.insert(slug.to_owned(), Arc::clone(&prepared));
            }
        }
        prepared
    }

    /// The JWK set whose keys of `first` lead.
    pub(crate) fn jwks(&self, doorward: &Doorward, first: Option<SigningAlgorithm>) -> Arc<Prepared> {
        let keys = doorward.key_set();
        let now = doorward.now();
        let holds = |sets: &Sets| {
            sets.made.is_some_and(|made| made <= now) && sets.until.is_none_or(|until| now < until)
        };
        if let Ok(known) = self.sets.read()
            && known.is(&keys)
            && holds(&known.documents)
            && let Some(prepared) = known.documents.by_first.get(&first)
        {
            return Arc::clone(prepared);
        }
        let prepared = Prepared::new(&keys.jwks(first, now), &self.dress);
        if let Ok(mut known) = self.sets.write() {
            if !known.is(&keys) || !holds(&known.documents) {
                *known = Of {
                    picture: Arc::downgrade(&keys),
                    documents: Sets {
                        by_first: HashMap::new(),
                        made: Some(now),
                        until: keys.changes_at(now),
                    },
                };
            }
            known.documents.by_first.insert(first, Arc::clone(&prepared));
        }
        prepared
    }
}

/// Does the client have this very version (RFC 9110 section 13.1.2)? Tags are compared weakly: proxies that compress make
/// ours weak.
pub(crate) fn is_known(headers: &HeaderMap, etag: &[u8]) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_13_1_2_lists_weak_tags_and_the_star_match() {
        let known = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_NONE_MATCH, HeaderValue::from_static(value));
            }
            is_known(&headers, b"\"a\"")
        };
        for good in [
            &["\"a\""][..],
            &["W/\"a\""],
            &["\"b\", \"a\""],
            &["\"b\",W/\"a\" "],
            &["\"b\"", "\"a\""],
            &["*"],
        ] {
            assert!(known(good), "{good:?}");
        }
        for bad in [&[][..], &["\"b\""], &["a"], &["w/\"a\""], &["\"a"], &[""]] {
            assert!(!known(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_document_belongs_to_its_picture_only() {
        let build = crate::BuildInfo {
            version: "0",
            commit: "0",
            built_at: "0",
            dirty: None,
        };
        let documents = Documents::new(Dress::new(true, &build));
        let (one, other) = (Arc::new(Directory::default()), Arc::new(Directory::default()));
        assert!(documents.discovery(&one, "shop").is_none());
        let kept = documents.keep_discovery(&one, "shop", &serde_json::json!({ "n": 1 }));
        let found = documents.discovery(&one, "shop").unwrap();
        assert!(Arc::ptr_eq(&found, &kept));
        assert!(documents.discovery(&one, "").is_none());
        assert!(documents.discovery(&other, "shop").is_none());
        let next = documents.keep_discovery(&other, "", &serde_json::json!({ "n": 2 }));
        assert_ne!(next.etag, kept.etag);
        assert!(
            documents.discovery(&one, "shop").is_none(),
            "the old picture's went"
        );
    }
}
