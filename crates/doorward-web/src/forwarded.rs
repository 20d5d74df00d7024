//! Who really called: the peer, or what trusted proxies say about the caller. Anything that cannot be read counts as the
//! nearest address that is known.

use axum::extract::ConnectInfo;
use http::header::HeaderName;
use http::{Extensions, HeaderMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Most entries of `X-Forwarded-For` that are looked at.
const MOST: usize = 32;

/// Headers by which proxies give themselves away.
const MARKS: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address at the other end of the connection.
pub(crate) fn peer(extensions: &Extensions) -> IpAddr {
    extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip())
        .to_canonical()
}

/// Is the peer a proxy on this machine that the operator forgot to declare? Then everybody in the world seems to sit on this
/// machine.
pub(crate) fn is_undeclared_proxy(
    peer: IpAddr,
    headers: &HeaderMap,
    trusts: &(dyn Fn(IpAddr) -> bool + Send + Sync),
) -> bool {
    let peer = peer.to_canonical();
    peer.is_loopback() && !trusts(peer) && MARKS.iter().any(|mark| headers.contains_key(*mark))
}

/// The client address: walks `X-Forwarded-For` from the right over trusted proxies and takes the first address that is none.
pub(crate) fn client_ip(
    peer: IpAddr,
    headers: &HeaderMap,
    trusts: &(dyn Fn(IpAddr) -> bool + Send + Sync),
) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusts(peer) {
        return peer;
    }
    // From the right.
    let entries = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .rev()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.rsplit(','));
    let mut current = peer;
    for entry in entries.take(MOST) {
        let Some(address) = parse(entry.trim()) else {
            return current;
        };
        current = address;
        if !trusts(address) {
            return address;
        }
    }
    current
}

/// An address as lines of requests show it: what the library writes, without its machinery of padding.
pub(crate) struct Written(pub(crate) IpAddr);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IpAddr::V4(address) = self.0 else {
            return self.0.fmt(f);
        };
        let mut text = String::with_capacity(15);
        for (place, octet) in address.octets().into_iter().enumerate() {
            if place > 0 {
                text.push('.');
            }
            for (least, unit) in [(100, 100), (10, 10), (0, 1)] {
                if octet >= least {
                    text.push(char::from(b'0' + octet / unit % 10));
                }
            }
        }
        f.write_str(&text)
    }
}

/// An address with or without port and brackets.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .map_or(text, |(inside, _)| inside);
    let address = bare
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|s| s.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(peer: &str, forwarded: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        let trusts = |ip: IpAddr| ip.to_string().starts_with("10.");
        client_ip(peer.parse().unwrap(), &headers, &trusts).to_string()
    }

    #[test]
    fn only_trusted_proxies_speak_for_others() {
        assert_eq!(ask("192.0.2.1", "203.0.113.9"), "192.0.2.1");
        assert_eq!(ask("10.0.0.1", "203.0.113.9"), "203.0.113.9");
        assert_eq!(
            ask("10.0.0.1", "198.51.100.1, 203.0.113.9, 10.0.0.2"),
            "203.0.113.9"
        );
        assert_eq!(ask("10.0.0.1", "10.0.0.5"), "10.0.0.5");
        assert_eq!(ask("10.0.0.1", "[2001:db8::1]:443"), "2001:db8::1");
        assert_eq!(ask("10.0.0.1", "203.0.113.9:1234"), "203.0.113.9");
    }

    #[test]
    fn addresses_are_written_as_the_library_does() {
        for octet in 0..=255_u8 {
            let address = IpAddr::from([octet, 0, 255 - octet, 10]);
            assert_eq!(Written(address).to_string(), address.to_string());
        }
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(Written(address).to_string(), "2001:db8::1");
    }

    #[test]
    fn a_proxy_on_this_machine_gives_itself_away() {
        let asked = |peer: &str, mark: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(mark) = mark {
                headers.insert(mark, "x".parse().unwrap());
            }
            let trusts = |ip: IpAddr| ip.to_string().starts_with("127.0.0.2");
            is_undeclared_proxy(peer.parse().unwrap(), &headers, &trusts)
        };
        for mark in MARKS {
            assert!(asked("127.0.0.1", Some(mark)), "{mark}");
            assert!(asked("::ffff:127.0.0.1", Some(mark)), "{mark}");
            assert!(!asked("127.0.0.2", Some(mark)), "declared");
            assert!(!asked("192.0.2.1", Some(mark)), "not this machine");
        }
        assert!(!asked("127.0.0.1", None));
    }

    #[test]
    fn what_cannot_be_read_never_helps_a_forger() {
        assert_eq!(ask("10.0.0.1", "203.0.113.9, garbage"), "10.0.0.1");
        assert_eq!(ask("10.0.0.1", ""), "10.0.0.1");
    }
}
