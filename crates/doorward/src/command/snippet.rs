//! `doorward application snippet …`

use clap::Args;
use clap::builder::TypedValueParser;
use doorward_core::snippet::{Proxy, Snippet as Text, SnippetSite};
use doorward_domain::application::Application;
use doorward_domain::site::{Site, SiteAddress};
use serde_json::{Value, json};

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
    /// Where the proxy reaches Doorward [default: 127.0.0.1:9000; in a cluster doorward.doorward.svc.cluster.local:9000]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    doorward: Option<String>,
    /// Where the service listens [default: the site's own upstream, or 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    upstream: Option<String>,
    /// Only this site (may be repeated) [default: all sites of the application]
    #[arg(long, value_name = "URL", value_parser = site_address)]
    site: Vec<SiteAddress>,
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

fn site_address(text: &str) -> Result<SiteAddress, String> {
    text.parse()
}

fn address(text: &str) -> Result<String, String> {
    let expected = || "expected HOST:PORT, for example 127.0.0.1:9000".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
    if !is_plain(host) || host.contains(['/', '%']) || port.parse::<u16>().is_err() {
        return Err(expected());
    }
    Ok(text.to_owned())
}

/// Prints the configuration.
pub(super) async fn run(what: &Snippet, desk: &Desk) -> Result<()> {
    let application = desk.doorward.find_application(&what.application).await?;
    let sites = sites(what, &application)?;
    let doorward = what.doorward.as_deref().unwrap_or(match what.proxy {
        Proxy::Kubernetes => "doorward.doorward.svc.cluster.local:9000",
        _ => "127.0.0.1:9000",
    });
    let borrowed: Vec<SnippetSite<'_>> = sites
        .iter()
        .map(|(site, host, upstream)| SnippetSite {
            host,
            port: site.address.port,
            https: site.address.https,
            path: &site.address.path,
            upstream,
        })
        .collect();
    let text = Text {
        proxy: what.proxy,
        doorward,
        public_url: desk.doorward.public_url(),
        sites: &borrowed,
        bind: what.bind.as_deref(),
        certificate: what.certificate.as_deref().zip(what.key.as_deref()),
    };
    let files: Vec<Value> = text
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

/// The sites that are meant, each with its host as it is written and the address of its service.
fn sites<'a>(what: &Snippet, application: &'a Application) -> Result<Vec<(&'a Site, String, String)>> {
    let known = || {
        let all: Vec<String> = application
            .sites
            .iter()
            .map(|site| site.address.to_string())
            .collect();
        all.join(", ")
    };
    if application.sites.is_empty() {
        return Err(Failure::Invalid(format!(
            "application `{0}` has no site; `doorward application update {0} --site https://HOST` makes one",
            application.slug
        )));
    }
    for wanted in &what.site {
        if !application.sites.iter().any(|site| site.address == *wanted) {
            return Err(Failure::Invalid(format!(
                "application `{}` has no site {wanted}; it has: {}",
                application.slug,
                known()
            )));
        }
    }
    let chosen = application
        .sites
        .iter()
        .filter(|site| what.site.is_empty() || what.site.contains(&site.address));
    chosen
        .map(|site| {
            let address = &site.address;
            if !is_plain(&address.path) {
                return Err(Failure::Invalid(format!(
                    "site {address} has a path with characters that mean something in configurations of proxies"
                )));
            }
            let upstream = what.upstream.clone().or_else(|| upstream_of(site));
            let upstream = upstream.unwrap_or_else(|| "127.0.0.1:8080".to_owned());
            Ok((site, address.host.to_string(), upstream))
        })
        .collect()
}

/// Where the reverse-proxy mode would send requests for a site, when that is a plain address.
fn upstream_of(site: &Site) -> Option<String> {
    let rest = site.upstream.as_ref()?.url.strip_prefix("http://")?;
    address(rest.trim_end_matches('/')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_nothing_that_a_configuration_would_read() {
        for good in ["127.0.0.1:9000", "[::1]:80", "doorward.svc:9000"] {
            assert_eq!(address(good).as_deref(), Ok(good));
        }
        for bad in [
            "", "a", "a:", ":1", "a:99999", "a b:1", "a;b:1", "a{b:1", "a\nb:1", "a/b:1", "$x:1", "`x`:1",
            "a\"b:1",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
        assert!(plain("/etc/ssl/a.pem").is_ok());
        for bad in ["", "/a b", "/a;b", "/a\"b", "/a#b", "/a}b"] {
            assert!(plain(bad).is_err(), "{bad}");
        }
    }
}
