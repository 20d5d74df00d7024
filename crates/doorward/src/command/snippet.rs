//! `doorward application snippet …`

use clap::Args;
use clap::builder::TypedValueParser;
use doorward_core::snippet::{Proxy, Snippet as Text, SnippetSite};
use serde_json::json;

use super::Desk;
use crate::arguments::words;
use crate::failure::{Failure, Result};

/// For which proxy, and where things are.
#[derive(Debug, Args)]
pub(crate) struct Snippet {
    /// Slug or id
    application: String,
    /// Which proxy
    #[arg(long, value_name = "PROXY", value_parser = words(Proxy::ALL.iter().map(|proxy| proxy.as_str())).try_map(|text| text.parse::<Proxy>()))]
    proxy: Proxy,
    /// Where the proxy reaches Doorward
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "HOST:PORT", value_parser = address)]
    doorward: String,
    /// Where the service listens [default: the site's own upstream, or 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    upstream: Option<String>,
    /// Only this site (may be repeated) [default: all sites of the application]
    #[arg(long, value_name = "URL")]
    site: Vec<String>,
    /// Address the proxy listens on [default: all of them]
    #[arg(long, value_name = "ADDRESS", value_parser = plain)]
    bind: Option<String>,
    /// File with the certificate of a site with TLS
    #[arg(long, value_name = "FILE", value_parser = plain, requires = "key")]
    certificate: Option<String>,
    /// File with its key
    #[arg(long, value_name = "FILE", value_parser = plain, requires = "certificate")]
    key: Option<String>,
}

/// Characters that mean nothing in any of the configurations.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "-._~:/[]%".contains(letter))
}

fn plain(text: &str) -> Result<String, String> {
    if is_plain(text) {
        return Ok(text.to_owned());
    }
    Err(
        "expected letters, digits and - . _ ~ : / only, so that it can stand in every configuration"
            .to_owned(),
    )
}

fn address(text: &str) -> Result<String, String> {
    let expected = || "expected HOST:PORT, for example 127.0.0.1:9000".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
    if !is_plain(host) || host.contains(['/', '%']) || port.parse::<u16>().is_err() {
        return Err(expected());
    }
    Ok(text.to_owned())
}

/// A site as the texts want it.
struct Site {
    host: String,
    port: Option<u16>,
    https: bool,
    path: String,
    upstream: String,
}

/// Prints the configuration.
pub(super) async fn run(what: &Snippet, desk: &Desk) -> Result<()> {
    let application = desk.doorward.find_application(&what.application).await?;
    let sites = sites(what)?;
    let borrowed: Vec<SnippetSite<'_>> = sites
        .iter()
        .map(|site| SnippetSite {
            host: &site.host,
            port: site.port,
            https: site.https,
            path: &site.path,
            upstream: &site.upstream,
        })
        .collect();
    let text = Text {
        proxy: what.proxy,
        doorward: &what.doorward,
        public_url: desk.doorward.public_url(),
        sites: &borrowed,
        bind: what.bind.as_deref(),
        certificate: what.certificate.as_deref().zip(what.key.as_deref()),
    };
    let files: Vec<_> = text
        .files()
        .into_iter()
        .map(|file| json!({ "path": file.path, "text": file.text }))
        .collect();
    let value = json!({
        "application": application.slug,
        "proxy": what.proxy.as_str(),
        "files": files,
    });
    desk.out
        .either(&value, || vec![text.text().trim_end().to_owned()])
}

fn sites(what: &Snippet) -> Result<Vec<Site>> {
    let mut found = Vec::new();
    for url in &what.site {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| Failure::Invalid("no url".into()))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
        found.push(Site {
            host: host.to_owned(),
            port: port.parse().ok(),
            https: scheme == "https",
            path: format!("/{path}"),
            upstream: what
                .upstream
                .clone()
                .unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
        });
    }
    Ok(found)
}
