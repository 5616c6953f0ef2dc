//! Agent cards from one version to the other.

use serde_json::json;
use serde_json::value::RawValue;

use crate::json::{self, Object, Raw};
use crate::version::Version;

/// Security schemes: the field of 1.0, and the `type` of 0.3.
const SCHEMES: [(&str, &str); 5] = [
    ("apiKeySecurityScheme", "apiKey"),
    ("httpAuthSecurityScheme", "http"),
    ("oauth2SecurityScheme", "oauth2"),
    ("openIdConnectSecurityScheme", "openIdConnect"),
    ("mtlsSecurityScheme", "mutualTLS"),
];
/// What 0.3 takes an interface for that says nothing.
const USUAL: &str = "JSONRPC";

/// A card of 0.3 as one of 1.0. A card that is one already stays as it is; of one that is both, 1.0 counts.
pub fn up(card: &mut Object) {
    interfaces_up(card);
    if card.flag("supportsAuthenticatedExtendedCard") == Some(true) {
        let mut capabilities = card.object("capabilities").unwrap_or_default();
        if capabilities.get("extendedAgentCard").is_none() {
            capabilities.set("extendedAgentCard", &true);
            card.set("capabilities", &capabilities);
        }
    }
    card.remove("supportsAuthenticatedExtendedCard");
    card.within("capabilities", |capabilities| {
        capabilities.remove("stateTransitionHistory");
    });
    security_up(card);
    card.each("skills", security_up);
    card.within("securitySchemes", |schemes| {
        change_all(schemes, scheme_up);
    });
}

fn interfaces_up(card: &mut Object) {
    let url = card.filled("url");
    let transport = card.filled("preferredTransport");
    let version = card.filled("protocolVersion");
    let more = card.list("additionalInterfaces").unwrap_or_default();
    for field in [
        "url",
        "preferredTransport",
        "protocolVersion",
        "additionalInterfaces",
    ] {
        card.remove(field);
    }
    let Some(url) = url.filter(|_| card.get("supportedInterfaces").is_none()) else {
        return;
    };
    let version = version.unwrap_or_else(|| Version::V03.name().to_owned());
    let one = |url: &str, binding: &str| json!({ "url": url, "protocolBinding": binding, "protocolVersion": version });
    let first = transport.unwrap_or_else(|| USUAL.to_owned());
    let mut all = vec![one(&url, &first)];
    for other in more.iter().filter_map(|raw| Object::of(raw)) {
        let (place, binding) = (other.filled("url"), other.filled("transport"));
        if let (Some(place), Some(binding)) = (place, binding)
            && (place != url || binding != first)
        {
            all.push(one(&place, &binding));
        }
    }
    card.set("supportedInterfaces", &all);
}

fn security_up(holder: &mut Object) {
    let Some(old) = holder.list("security") else {
        return;
    };
    holder.remove("security");
    if holder.get("securityRequirements").is_some() {
        return;
    }
    let new: Vec<Raw> = old
        .iter()
        .filter_map(|raw| Object::of(raw))
        .map(|mut schemes| {
            change_all(&mut schemes, |scopes| {
                Some(Object::from([("list", scopes.to_owned())]).raw())
            });
            Object::from([("schemes", schemes.raw())]).raw()
        })
        .collect();
    holder.set("securityRequirements", &new);
}

fn scheme_up(raw: &RawValue) -> Option<Raw> {
    let mut scheme = Object::of(raw)?;
    let kind = scheme.text("type")?;
    let (new, _) = SCHEMES.iter().find(|(_, old)| *old == kind)?;
    // A card that is both has the one beside the other.
    if let Some(both) = scheme.get(new) {
        return Some(Object::from([(*new, both.to_owned())]).raw());
    }
    scheme.remove("type");
    scheme.rename("in", "location");
    Some(Object::from([(*new, scheme.raw())]).raw())
}

fn change_all(object: &mut Object, change: impl Fn(&RawValue) -> Option<Raw>) {
    let names: Vec<String> = object.iter().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        object.change(&name, &change);
    }
}

/// A card of 1.0 as one of 0.3: of its interfaces those of 0.3, or, where there are none, all.
pub fn down(card: &mut Object) {
    interfaces_down(card);
    let extended = card
        .object("capabilities")
        .and_then(|capabilities| capabilities.flag("extendedAgentCard"));
    if let Some(extended) = extended {
        card.set("supportsAuthenticatedExtendedCard", &extended);
    }
    card.within("capabilities", |capabilities| {
        capabilities.remove("extendedAgentCard");
    });
    security_down(card);
    card.each("skills", security_down);
    card.within("securitySchemes", |schemes| change_all(schemes, scheme_down));
}

fn interfaces_down(card: &mut Object) {
    let all: Vec<Object> = card
        .list("supportedInterfaces")
        .unwrap_or_default()
        .iter()
        .filter_map(|raw| Object::of(raw))
        .collect();
    card.remove("supportedInterfaces");
    let is_old = |one: &&Object| {
        let version = one.text("protocolVersion").unwrap_or_default();
        Version::said(&version) == Some(Version::V03)
    };
    let mut fitting: Vec<&Object> = all.iter().filter(is_old).collect();
    if fitting.is_empty() {
        fitting = all.iter().collect();
    }
    let Some(first) = fitting.first() else { return };
    card.set("url", &first.text("url"));
    card.set("preferredTransport", &first.text("protocolBinding"));
    // Clients of 0.3 read patches, too.
    card.set("protocolVersion", "0.3.0");
    let more: Vec<serde_json::Value> = fitting
        .iter()
        .map(|one| json!({ "url": one.text("url"), "transport": one.text("protocolBinding") }))
        .collect();
    card.set("additionalInterfaces", &more);
}

fn security_down(holder: &mut Object) {
    let Some(new) = holder.list("securityRequirements") else {
        return;
    };
    holder.remove("securityRequirements");
    let old: Vec<Raw> = new
        .iter()
        .filter_map(|raw| Object::of(raw)?.object("schemes"))
        .map(|mut schemes| {
            change_all(&mut schemes, |scopes| {
                let list = Object::of(scopes).and_then(|scopes| scopes.get("list").map(ToOwned::to_owned));
                Some(list.unwrap_or_else(|| json::raw(&[(); 0])))
            });
            schemes.raw()
        })
        .collect();
    holder.set("security", &old);
}

fn scheme_down(raw: &RawValue) -> Option<Raw> {
    let scheme = Object::of(raw)?;
    let (old, mut inner) = SCHEMES
        .iter()
        .find_map(|(new, old)| scheme.object(new).map(|inner| (*old, inner)))?;
    inner.rename("location", "in");
    inner.set("type", old);
    Some(inner.raw())
}
