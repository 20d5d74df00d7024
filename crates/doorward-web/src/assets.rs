//! The files that pages point at: one style sheet, one module, the brand mark. Built into the program, each under an
//! address that carries a fingerprint of its content, so that browsers may keep it for ever.
//!
//! Must not live here: routes and headers of the answer beyond what a file knows about itself, uploads, brands.

use std::fmt::Write as _;
use std::sync::LazyLock;

/// Where all assets live, with the slash at the end.
pub const FOLDER: &str = "/static/";

/// `Cache-Control` of an asset: its address changes with its content, so it never has to be asked for again.
pub const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// One file with everything that an answer needs to say about it.
#[derive(Debug)]
pub struct Asset {
    /// Name in the source, for example `door.css`.
    pub name: &'static str,
    /// Address: `/static/door.<fingerprint>.css`.
    pub url: String,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Strong entity tag, with its quotes (RFC 9110 section 8.8.3).
    pub etag: String,
    /// The content.
    pub bytes: &'static [u8],
}

/// Name, content type and content of every file in `assets/`.
const FILES: &[(&str, &str, &[u8])] = &[
    (
        "door.css",
        "text/css; charset=utf-8",
        include_bytes!("../assets/door.css"),
    ),
    (
        "door.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../assets/door.js"),
    ),
    ("mark.svg", "image/svg+xml", include_bytes!("../assets/mark.svg")),
];

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    FILES
        .iter()
        .map(|(name, content_type, bytes)| asset(name, content_type, bytes))
        .collect()
});

fn asset(name: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Asset {
    let mut fingerprint = String::with_capacity(16);
    // Writing into a String cannot fail.
    let _ = write!(fingerprint, "{:016x}", fnv1a(bytes));
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "bin"));
    Asset {
        name,
        url: format!("{FOLDER}{stem}.{fingerprint}.{extension}"),
        content_type,
        etag: format!("\"{fingerprint}\""),
        bytes,
    }
}

/// FNV-1a, 64 bits. It tells versions of our own files apart and guards nothing.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// All assets.
#[must_use]
pub fn all() -> &'static [Asset] {
    &ASSETS
}

/// The asset at a request path such as `/static/door.0123456789abcdef.css`; `None` for every other path, also for an
/// older fingerprint, so that a cache never keeps new content under an old address.
#[must_use]
pub fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.url == path)
}

/// The address of an asset by its name in the source; empty when there is none (a test walks all pages for that).
#[must_use]
pub fn url(name: &str) -> &'static str {
    ASSETS
        .iter()
        .find(|asset| asset.name == name)
        .map_or("", |asset| asset.url.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let mut built_in: Vec<&str> = all().iter().map(|asset| asset.name).collect();
        built_in.sort_unstable();
        assert_eq!(files, built_in);
    }

    #[test]
    fn an_address_carries_the_fingerprint_and_finds_its_file() {
        for asset in all() {
            let (stem, extension) = asset.name.split_once('.').unwrap();
            let middle = asset
                .url
                .strip_prefix(&format!("/static/{stem}."))
                .and_then(|rest| rest.strip_suffix(&format!(".{extension}")))
                .unwrap();
            assert_eq!(middle.len(), 16, "{}", asset.url);
            assert_eq!(asset.etag, format!("\"{middle}\""));
            assert_eq!(find(&asset.url).unwrap().name, asset.name);
            assert_eq!(url(asset.name), asset.url);
            assert!(!asset.bytes.is_empty());
        }
    }

    #[test]
    fn other_paths_find_nothing() {
        for path in [
            "",
            "/static/",
            "/static/door.css",
            "/static/door.0000000000000000.css",
            "/static/../Cargo.toml",
            "/static/..%2fCargo.toml",
        ] {
            assert!(find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn fnv1a_agrees_with_its_published_values() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
