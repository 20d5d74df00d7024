//! Networks, and the reverse proxies whose word about the client's address is believed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: an address and the number of its leading bits that count (RFC 4632, RFC 4291 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CidrProblem {
    /// No address, or no prefix length that fits it.
    Form,
    /// The address has bits beyond the prefix; the network that was probably meant.
    HostBits(Cidr),
}

impl Cidr {
    const fn v4(a: u8, b: u8, prefix: u8) -> Self {
        Self {
            network: IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)),
            prefix,
        }
    }

    /// Reads `10.0.0.0/8`, `2001:db8::/32` or a single address. IPv4-mapped IPv6 networks count as IPv4.
    pub(crate) fn parse(text: &str) -> Result<Self, CidrProblem> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| CidrProblem::Form)?;
        let longest: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) && digits.len() <= 3 => digits
                .parse()
                .ok()
                .filter(|prefix| *prefix <= longest)
                .ok_or(CidrProblem::Form)?,
            Some(_) => return Err(CidrProblem::Form),
        };
        let (address, prefix) = match address.to_canonical() {
            v4 @ IpAddr::V4(_) if longest == 128 && prefix >= 96 => (v4, prefix - 96),
            _ => (address, prefix),
        };
        let network = Self {
            network: masked(address, prefix),
            prefix,
        };
        if network.network == address {
            Ok(network)
        } else {
            Err(CidrProblem::HostBits(network))
        }
    }

    /// Number of leading bits that count.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether the address is in this network; an IPv4-mapped IPv6 address counts as IPv4.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && masked(address, self.prefix) == self.network
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(prefix.min(128)))
                .unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

/// The reverse proxies whose `X-Forwarded-*` and `Forwarded` headers are believed. Empty: nobody's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Cidr>);

impl TrustedProxies {
    /// What the word `private` stands for (RFC 1918, RFC 4193).
    pub(crate) const PRIVATE: [Cidr; 4] = [
        Cidr::v4(10, 0, 8),
        Cidr::v4(172, 16, 12),
        Cidr::v4(192, 168, 16),
        Cidr {
            network: IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)),
            prefix: 7,
        },
    ];
    /// What the word `loopback` stands for.
    pub(crate) const LOOPBACK: [Cidr; 2] = [
        Cidr::v4(127, 0, 8),
        Cidr {
            network: IpAddr::V6(Ipv6Addr::LOCALHOST),
            prefix: 128,
        },
    ];

    /// A list of networks; repeated ones are kept once.
    pub(crate) fn new(networks: impl IntoIterator<Item = Cidr>) -> Self {
        let mut kept: Vec<Cidr> = Vec::new();
        for network in networks {
            if !kept.contains(&network) {
                kept.push(network);
            }
        }
        Self(kept)
    }

    /// Whether what this peer says about the client is believed. An IPv4-mapped IPv6 address counts as IPv4.
    #[must_use]
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(peer))
    }

    /// The networks.
    #[must_use]
    pub fn networks(&self) -> &[Cidr] {
        &self.0
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, network) in self.0.iter().enumerate() {
            write!(f, "{}{network}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
