//! Proxies that are believed when they say for whom they ask.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use pointsman_store::Network;

/// Where a proxy says for whom it asks; whoever was asked first stands first.
const FORWARDED: &str = "x-forwarded-for";
/// Addresses that are looked at, from the end.
const MAX_HOPS: usize = 32;

/// Networks of proxies that are believed.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Vec<Network>);

impl Proxies {
    /// These; the configuration was checked before.
    pub fn new(networks: &[String]) -> Self {
        Self(networks.iter().filter_map(|text| text.parse().ok()).collect())
    }

    /// Whether one of them is there.
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Where a client is whose request came from `peer`. What a proxy says is believed as long as it is one of these: the
    /// last address that none of them has is the client's, whatever the client itself wrote before it.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if self.0.is_empty() || !self.has(peer) {
            return peer.to_canonical();
        }
        let said = headers.get_all(FORWARDED).iter().rev();
        let said = said.flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
        let mut last = peer;
        for hop in said.take(MAX_HOPS) {
            // What is no address was written by nobody who is believed; whoever said it is as far as is known.
            let Some(address) = address(hop.trim()) else {
                break;
            };
            last = address;
            if !self.has(address) {
                break;
            }
        }
        last.to_canonical()
    }
}

/// An address, which some write with its port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    bare.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_trusted_proxies_say_is_believed() {
        let proxies = Proxies::new(&["10.0.0.0/8".to_owned(), "::1".to_owned()]);
        for (peer, said, expected) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            // What the client itself has written stands before what the proxy adds.
            (
                "10.0.0.1",
                &["10.9.9.9, 203.0.113.1, 198.51.100.7"],
                "198.51.100.7",
            ),
            (
                "10.0.0.1",
                &["203.0.113.1", "198.51.100.7, 10.0.0.2"],
                "198.51.100.7",
            ),
            ("10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("::1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("::1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["198.51.100.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7, , 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append(FORWARDED, value.parse().unwrap());
            }
            let client = proxies.client(peer.parse().unwrap(), &headers);
            assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{peer} {said:?}");
        }
    }

    #[test]
    fn nobody_is_believed_who_is_not_named() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED, "198.51.100.7".parse().unwrap());
        let here = "127.0.0.1".parse().unwrap();
        assert_eq!(Proxies::default().client(here, &headers), here);
    }
}
