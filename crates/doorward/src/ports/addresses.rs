//! Which addresses the server may call: a guard against being sent to places that only this machine can reach.
//!
//! Some places are never called, whatever an administrator registered: what is no address of one host, and the services
//! that clouds put beside every machine to hand out its credentials. Private networks are a setting. The same rule is
//! asked for a literal address in a URL and for what a name resolves to, at the moment of connecting.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use doorward_config::PrivateNetworks;

/// Metadata services outside of the link-local ranges: Alibaba, Oracle, Azure.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];
/// Metadata service of AWS over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Why an address is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not the address of one host, link-local, or a metadata service.
    Never,
    /// In a private network, and the settings refuse those.
    Private,
}

/// Whether the server may call this address.
pub(super) fn check(address: IpAddr, private: PrivateNetworks) -> Result<(), Refusal> {
    let address = innermost(address);
    if is_never(address) {
        return Err(Refusal::Never);
    }
    if private == PrivateNetworks::Refuse && is_private(address) {
        return Err(Refusal::Private);
    }
    Ok(())
}

/// The IPv4 address inside an IPv6 address that only wraps one: mapped and compatible (RFC 4291 section 2.5.5), NAT64
/// (RFC 6052), 6to4 (RFC 3056).
fn innermost(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let low = |bits: u128| {
        IpAddr::V4(Ipv4Addr::from_bits(
            u32::try_from(bits & 0xffff_ffff).unwrap_or(0),
        ))
    };
    let bits = v6.to_bits();
    let high_96 = bits >> 32;
    if high_96 == 0xffff || high_96 == 0x0064_ff9b_0000_0000_0000_0000 || high_96 == 0 && bits > 1 {
        return low(bits);
    }
    if bits >> 112 == 0x2002 {
        return low(bits >> 80);
    }
    address
}

fn is_never(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            // 0.0.0.0/8 "this network", 240.0.0.0/4 reserved and broadcast.
            first == 0 || first >= 240 || v4.is_multicast() || v4.is_link_local() || METADATA_V4.contains(&v4)
        }
        IpAddr::V6(v6) => {
            // 100::/64 goes nowhere (RFC 6666).
            let discarded = v6.to_bits() >> 64 == 0x0100_0000_0000_0000;
            v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                || discarded
                || v6 == METADATA_V6
        }
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let octets = v4.octets();
            let (first, second, third) = (octets[0], octets[1], octets[2]);
            let shared = first == 100 && second & 0xc0 == 64;
            let benchmark = first == 198 && second & 0xfe == 18;
            let assignments = (first, second, third) == (192, 0, 0);
            v4.is_private() || v4.is_loopback() || v4.is_documentation() || shared || benchmark || assignments
        }
        IpAddr::V6(v6) => {
            let high = v6.to_bits() >> 112;
            // fec0::/10 was the private range before fc00::/7.
            v6.is_loopback() || v6.is_unique_local() || high & 0xffc0 == 0xfec0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(address: &str, private: PrivateNetworks) -> Result<(), Refusal> {
        check(address.parse().unwrap(), private)
    }

    #[test]
    fn metadata_services_and_addresses_of_no_host_are_never_called() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "fd00:ec2::254",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "ff02::1",
            "fe80::1",
            "100::1",
        ] {
            assert_eq!(
                ask(address, PrivateNetworks::Allow),
                Err(Refusal::Never),
                "{address}"
            );
        }
    }

    #[test]
    fn an_address_wrapped_in_another_is_judged_by_the_one_inside() {
        for address in [
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
        ] {
            assert_eq!(
                ask(address, PrivateNetworks::Allow),
                Err(Refusal::Never),
                "{address}"
            );
        }
        assert_eq!(
            ask("::ffff:10.0.0.1", PrivateNetworks::Refuse),
            Err(Refusal::Private)
        );
    }

    #[test]
    fn private_networks_are_a_setting() {
        for address in [
            "127.0.0.1",
            "127.8.9.10",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.0.1",
            "198.18.0.1",
            "192.0.0.8",
            "::1",
            "fc00::1",
            "fdff::1",
            "fec0::1",
        ] {
            assert_eq!(ask(address, PrivateNetworks::Allow), Ok(()), "{address}");
            assert_eq!(
                ask(address, PrivateNetworks::Refuse),
                Err(Refusal::Private),
                "{address}"
            );
        }
    }

    #[test]
    fn public_addresses_are_called_under_both_settings() {
        for address in [
            "93.184.216.34",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "8.8.8.8",
        ] {
            assert_eq!(ask(address, PrivateNetworks::Refuse), Ok(()), "{address}");
        }
    }
}
