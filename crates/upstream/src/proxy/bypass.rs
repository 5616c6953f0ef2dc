//! Hosts that are reached without a proxy.

use std::net::IpAddr;

/// The entries of a `NO_PROXY` list.
#[derive(Clone, Debug, Default)]
pub(super) struct Bypass {
    entries: Vec<Entry>,
    loopback: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    host: Pattern,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    All,
    /// A name and everything below it, in lower case without a leading dot.
    Domain(String),
    /// Addresses whose first bits are those of this one.
    Network(IpAddr, u8),
}

/// Services that tell a machine who it is answer that machine only: a proxy would ask about itself, and be shown our
/// tokens.
pub(super) fn is_metadata_service(host: &str) -> bool {
    if host
        .trim_end_matches('.')
        .eq_ignore_ascii_case("metadata.google.internal")
    {
        return true;
    }
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.segments()[..2] == [0xfd00, 0x0ec2],
        Err(_) => false,
    }
}

impl Bypass {
    /// Reads a list. `loopback` bypasses this machine's own addresses as well.
    pub(super) fn new(list: &[String], loopback: bool) -> Self {
        Self {
            entries: list.iter().filter_map(|entry| Entry::parse(entry)).collect(),
            loopback,
        }
    }

    /// Whether `host` (an IPv6 address without brackets) is reached directly.
    pub(super) fn matches(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        if self.loopback && is_loopback(&host, address) {
            return true;
        }
        self.entries
            .iter()
            .any(|entry| entry.matches(&host, address, port))
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text.is_empty() {
            return None;
        }
        if let Some(host) = Pattern::network(&text) {
            return Some(Self { host, port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => match port.parse() {
                Ok(port) => (host, Some(port)),
                Err(_) => (text.as_str(), None),
            },
            None => (text.as_str(), None),
        };
        let host = match host {
            "*" => Pattern::All,
            host => Pattern::network(host).unwrap_or_else(|| {
                Pattern::Domain(host.trim_start_matches("*.").trim_matches('.').to_owned())
            }),
        };
        Some(Self { host, port })
    }

    fn matches(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        if self.port.is_some_and(|only| only != port) {
            return false;
        }
        match &self.host {
            Pattern::All => true,
            Pattern::Domain(domain) => {
                address.is_none()
                    && host
                        .strip_suffix(domain.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Pattern::Network(network, bits) => {
                address.is_some_and(|address| shares_prefix(address, *network, *bits))
            }
        }
    }
}

impl Pattern {
    /// An address, with or without brackets, or a range of addresses.
    fn network(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self::Network(address, bits))
    }
}

fn shares_prefix(a: IpAddr, b: IpAddr, bits: u8) -> bool {
    let width = |most: u32| most - u32::from(bits);
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            (a.to_bits() ^ b.to_bits()).checked_shr(width(32)).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (a.to_bits() ^ b.to_bits()).checked_shr(width(128)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

fn is_loopback(host: &str, address: Option<IpAddr>) -> bool {
    match address {
        Some(address) => address.is_loopback(),
        None => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_usual_rules() {
        let list: Vec<String> = [
            "example.com",
            ".internal",
            "10.0.0.0/8",
            "192.168.1.7",
            "fd00::/8",
            "host.test:8080",
            " ",
            "[::2]:99",
        ]
        .map(str::to_owned)
        .to_vec();
        let bypass = Bypass::new(&list, false);
        for (host, port, direct) in [
            ("example.com", 443, true),
            ("API.Example.com", 443, true),
            ("example.com.", 443, true),
            ("badexample.com", 443, false),
            ("example.com.evil.org", 443, false),
            ("db.internal", 80, true),
            ("10.255.0.1", 80, true),
            ("11.0.0.1", 80, false),
            ("192.168.1.7", 80, true),
            ("192.168.1.8", 80, false),
            ("fd12::1", 80, true),
            ("fe80::1", 80, false),
            ("host.test", 8080, true),
            ("host.test", 80, false),
            ("::2", 99, true),
            ("::2", 98, false),
            ("localhost", 80, false),
        ] {
            assert_eq!(bypass.matches(host, port), direct, "{host}:{port}");
        }
    }

    #[test]
    fn star_and_loopback() {
        assert!(Bypass::new(&["*".to_owned()], false).matches("anything.example", 1));
        let loopback = Bypass::new(&[], true);
        for host in ["localhost", "app.localhost", "127.0.0.1", "127.9.9.9", "::1"] {
            assert!(loopback.matches(host, 80), "{host}");
        }
        assert!(!loopback.matches("128.0.0.1", 80));
    }
}
