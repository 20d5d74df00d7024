//! Addresses: sockets to listen on, trusted networks, the public URL, mail hosts and senders.

use doorward_domain::text::check_email;
use std::net::SocketAddr;

use crate::proxies::{Cidr, CidrProblem, TrustedProxies};
use crate::public_url::{PublicUrl, PublicUrlProblem};
use crate::value::{Form, Value, Wrong};

/// Most addresses to listen on.
const MOST_ADDRESSES: usize = 16;
/// Most trusted networks.
const MOST_NETWORKS: usize = 256;

/// The parts of a list in text form.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
}

fn socket(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        let wrong = Wrong::new(text, "is not an IP address with a port");
        let port = text.trim_start_matches("localhost").trim_start_matches('*').trim_start_matches(':');
        match port.parse::<u16>() {
            Ok(port) => wrong.quoting(format!(
                "write 127.0.0.1:{port} for this machine only, 0.0.0.0:{port} or [::]:{port} for every network"
            )),
            Err(_) => wrong,
        }
    })
}

/// One address to listen on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address(pub(crate) SocketAddr);

impl Value for Address {
    const KIND: &'static str = "address";
    fn expected() -> String {
        "an IP address with a port, such as 127.0.0.1:9001 or [::1]:9001".to_owned()
    }
    fn parse(text: &str) -> Result<Self, Wrong> {
        socket(text).map(Self)
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// Addresses to listen on; never empty.
#[derive(Clone, Debug)]
pub(crate) struct Addresses(pub(crate) Vec<SocketAddr>);

impl Value for Addresses {
    const KIND: &'static str = "list of addresses";
    const FORM: Form = Form::List;
    fn expected() -> String {
        format!("1 to {MOST_ADDRESSES} IP addresses with ports, such as 127.0.0.1:9000 or [::1]:9000")
    }
    fn parse(text: &str) -> Result<Self, Wrong> {
        if text.trim().is_empty() {
            return Err(Wrong::hidden("is empty"));
        }
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for part in parts(text) {
            let address = socket(part)?;
            if addresses.contains(&address) && address.port() != 0 {
                return Err(Wrong::new(part, "is listed twice"));
            }
            addresses.push(address);
            if addresses.len() > MOST_ADDRESSES {
                return Err(Wrong::hidden("has too many addresses"));
            }
        }
        Ok(Self(addresses))
    }
    fn show(&self) -> String {
        self.0
            .iter()
            .map(SocketAddr::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl Value for TrustedProxies {
    const KIND: &'static str = "list of networks";
    const FORM: Form = Form::List;
    fn expected() -> String {
        "networks such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32, or the words private, loopback, none"
            .to_owned()
    }
    fn parse(text: &str) -> Result<Self, Wrong> {
        if matches!(text.trim(), "" | "none") {
            return Ok(Self::default());
        }
        let mut networks = Vec::new();
        for part in parts(text) {
            match part {
                "private" => networks.extend(Self::PRIVATE),
                "loopback" => networks.extend(Self::LOOPBACK),
                "none" => return Err(Wrong::new(part, "stands beside other networks").hint("write it alone")),
                other => networks.push(network(other)?),
            }
            if networks.len() > MOST_NETWORKS {
                return Err(Wrong::hidden(format!("has more than {MOST_NETWORKS} networks")));
            }
        }
        Ok(Self::new(networks))
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

fn network(text: &str) -> Result<Cidr, Wrong> {
    match Cidr::parse(text) {
        Ok(network) if network.prefix() == 0 => Err(Wrong::new(
            text,
            "is the whole internet: everybody could choose the address that they seem to come from",
        )
        .hint("name the networks of your proxies only")),
        Ok(network) => Ok(network),
        Err(CidrProblem::HostBits(meant)) => {
            Err(Wrong::new(text, "has address bits beyond its prefix length")
                .quoting(format!("did you mean {meant}?")))
        }
        Err(CidrProblem::Form) => Err(Wrong::new(text, "is not a network")),
    }
}

impl Value for PublicUrl {
    const KIND: &'static str = "URL";
    fn expected() -> String {
        "https:// and a host, perhaps a port, nothing else, such as https://id.example.org".to_owned()
    }
    fn parse(text: &str) -> Result<Self, Wrong> {
        Self::parse(text).map_err(|problem| match problem {
            PublicUrlProblem::Form => Wrong::hidden("is not a URL that can be used here"),
            PublicUrlProblem::Scheme => Wrong::hidden("does not begin with https:// or http://"),
            PublicUrlProblem::UserInfo => {
                Wrong::hidden("has a user name or password before the host").hint("remove everything up to the @")
            }
            PublicUrlProblem::Query => Wrong::hidden("has a query or fragment").hint("remove everything from the ? or #"),
            PublicUrlProblem::Path => Wrong::new(
                text,
                "has a path: cookies with the __Host- prefix and the well-known addresses belong to a whole host",
            )
            .hint("give Doorward a host name of its own, such as id.example.org"),
            PublicUrlProblem::Host => Wrong::new(text, "names no host that a browser could go to"),
        })
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

/// The name or address of a mail server.
#[derive(Clone, Debug)]
pub(crate) struct HostName(pub(crate) String);

impl Value for HostName {
    const KIND: &'static str = "host";
    fn expected() -> String {
        "a host name or IP address without port, such as smtp.example.org".to_owned()
    }
    fn parse(text: &str) -> Result<Self, Wrong> {
        let name = text.len() <= 253
            && !text.is_empty()
            && text.split('.').all(|label| {
                let inside = label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
                !label.is_empty()
                    && label.len() <= 63
                    && inside
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            });
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if name || bare.parse::<std::net::IpAddr>().is_ok() {
            return Ok(Self(bare.to_owned()));
        }
        let wrong = if text.contains('@') {
            Wrong::hidden("is not a host name")
        } else {
            Wrong::new(text, "is not a host name")
        };
        Err(if text.contains(':') {
            wrong.hint("the port is a setting of its own, mail.port")
        } else {
            wrong
        })
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

/// The sender of mail: an address, or a name and an address.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox(pub(crate) String);

impl Value for Mailbox {
    const KIND: &'static str = "mailbox";
    fn expected() -> String {
        "an address such as id@example.org or \"Example sign-in <id@example.org>\"".to_owned()
    }
    fn parse(text: &str) -> Result<Self, Wrong> {
        let text = text.trim();
        let wrong = || Wrong::new(text, "is not a mailbox");
        let (name, address) = match text.strip_suffix('>') {
            Some(rest) => rest.rsplit_once('<').ok_or_else(wrong)?,
            None => ("", text),
        };
        let plain = |c: char| !c.is_control() && !"<>\"\\@,;:()[]".contains(c);
        if check_email(address).is_err() || name.len() > 200 || !name.chars().all(plain) {
            return Err(wrong());
        }
        let name = name.trim();
        Ok(Self(if name.is_empty() {
            address.to_owned()
        } else {
            format!("{name} <{address}>")
        }))
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

/// The e-mail address of a person.
#[derive(Clone, Debug)]
pub(crate) struct Email(pub(crate) String);

impl Value for Email {
    const KIND: &'static str = "e-mail address";
    fn expected() -> String {
        "an address such as alice@example.org".to_owned()
    }
    fn parse(text: &str) -> Result<Self, Wrong> {
        match check_email(text) {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(_) => Err(Wrong::new(text, "is not an e-mail address")),
        }
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}
