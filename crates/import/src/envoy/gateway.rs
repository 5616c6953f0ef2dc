//! `Gateway`, `GatewayConfig` and `ClientTrafficPolicy`: where clients come in.

use super::Import;
use super::objects::Objects;
use crate::source::Item;
use crate::yaml::{Map, Yaml};

/// Carries listeners and limits of the client side over.
pub(super) fn carry(import: &mut Import, objects: &Objects) {
    for gateway in objects.of("Gateway") {
        gateway.spec(&["gatewayClassName"]).map(Item::text);
        for listener in gateway.spec(&["listeners"]).map(Item::items).unwrap_or_default() {
            self::listener(import, listener);
        }
    }
    for config in objects.of("GatewayConfig") {
        if let Some(address) = config.spec(&["forwardProxy", "address"])
            && let Some(text) = address.text()
        {
            let url = if text.contains("://") {
                text.to_owned()
            } else {
                format!("http://{text}")
            };
            import.draft.block("upstream", |upstream| {
                upstream.update("proxy", |proxy| proxy.set("url", Yaml::text(url)));
            });
        }
    }
    for policy in objects.of("ClientTrafficPolicy") {
        // There is one way in.
        for reference in super::references(policy) {
            for field in ["name", "kind", "group"] {
                reference.get(field).map(Item::text);
            }
        }
        let limit = policy.spec(&["connection", "bufferLimit"]);
        if let Some(item) = limit
            && let Some(bytes) = item.peek().and_then(quantity)
        {
            import
                .draft
                .block("server", |server| server.set("request_limit", Yaml::plain(bytes)));
            import
                .draft
                .report
                .nearest(item, "it is the most bytes of a request's body", "");
        }
        let timeout = policy.spec(&["timeout", "http", "requestReceivedTimeout"]);
        if let Some(time) = timeout.and_then(super::traffic::duration) {
            import
                .draft
                .block("server", |server| server.set("request_timeout", Yaml::text(time)));
        }
    }
}

/// The first plain listener is the API's.
fn listener(import: &mut Import, listener: &Item) {
    let there = match import.draft.blocks.get("listeners") {
        Some(Yaml::Map(listeners)) => !listeners.is_empty(),
        _ => false,
    };
    let protocol = listener.get("protocol").and_then(Item::peek).unwrap_or_default();
    let port = listener
        .get("port")
        .and_then(Item::peek)
        .and_then(|port| port.parse::<u16>().ok());
    let (Some(port), "HTTP", false) = (port, protocol, there) else {
        let (why, instead) = if there {
            ("there is one listener for applications", "")
        } else {
            (
                "its certificates are in the cluster",
                "set listeners.api.address, and listeners.api.tls with the files of the certificate and its key",
            )
        };
        import.draft.report.lost(listener, why, instead);
        return;
    };
    for field in ["name", "protocol", "port"] {
        listener.get(field).map(Item::text);
    }
    let mut api = Map::default();
    api.set("address", Yaml::text(format!("0.0.0.0:{port}")));
    import
        .draft
        .block("listeners", |listeners| listeners.put_map("api", api));
    if port == 9090 {
        let mut admin = Map::default();
        admin.set("address", Yaml::text("127.0.0.1:9091"));
        import
            .draft
            .block("listeners", |listeners| listeners.put_map("admin", admin));
    }
}

/// A quantity of Kubernetes in bytes: `1Mi`, `50M`, `4096`.
fn quantity(text: &str) -> Option<u64> {
    let units = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
    ];
    let unit = units
        .iter()
        .find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)));
    let (number, size) = unit.unwrap_or((text, 1));
    number.trim().parse::<u64>().ok()?.checked_mul(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_bytes() {
        for (text, bytes) in [
            ("50Mi", Some(52_428_800)),
            ("4096", Some(4_096)),
            ("2M", Some(2_000_000)),
            ("x", None),
        ] {
            assert_eq!(quantity(text), bytes, "{text}");
        }
    }
}
