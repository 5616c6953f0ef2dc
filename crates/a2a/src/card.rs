//! Agent cards: read, checked, and shown to clients as the gateway's own.

use pointsman_governance::fits;
use serde_json::{Value, json};
use url::Url;

use crate::json::{self, Object, Raw};
use crate::translate;
use crate::version::Version;

/// Names of the bindings.
pub const JSON_RPC: &str = "JSONRPC";
/// HTTP+JSON.
pub const HTTP_JSON: &str = "HTTP+JSON";
/// gRPC.
pub const GRPC: &str = "GRPC";
/// Most bytes of a card.
pub const MAX_CARD: usize = 1024 * 1024;
/// Most interfaces of a card that are looked at.
const MAX_INTERFACES: usize = 32;

/// What an agent says of itself, in the words of 1.0.
#[derive(Debug, Clone)]
pub struct Card {
    /// All it says.
    object: Object,
    /// Where it is spoken to.
    pub interfaces: Vec<Interface>,
    /// Whether it streams.
    pub streams: bool,
    /// Whether it tells events to addresses.
    pub pushes: bool,
    /// Whether there is another card for those who are known.
    pub is_extended: bool,
}

/// Where an agent is spoken to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Where.
    pub url: String,
    /// The binding.
    pub binding: String,
    /// The version, as the card says it.
    pub version: String,
    /// What is said with every request.
    pub tenant: Option<String>,
}

/// How the gateway shows an agent.
#[derive(Debug, Clone)]
pub struct Face<'a> {
    /// Where the gateway is called for it.
    pub url: &'a str,
    /// Whether callers need a key.
    pub needs_key: bool,
    /// Whether events are told to addresses.
    pub pushes: bool,
    /// Whether words of 0.3 stand beside those of 1.0.
    pub is_both: bool,
    /// Whether it is the agent that is called where nobody is named: over gRPC 0.3 names nobody.
    pub is_default: bool,
    /// Skills that are not for who reads it, `*` standing for any run of letters.
    pub hidden: &'a [&'a str],
}

impl Card {
    /// Reads a card of either version.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_CARD {
            return Err(format!("it is larger than {MAX_CARD} bytes"));
        }
        let mut object = Object::read(bytes).map_err(|error| error.to_string())?;
        translate::card::up(&mut object);
        Self::of(object)
    }

    /// A card in the words of 1.0.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(object: Object) -> Result<Self, String> {
        if object.filled("name").is_none() {
            return Err("it has no `name`".to_owned());
        }
        for list in ["skills", "defaultInputModes", "defaultOutputModes"] {
            if object.get(list).is_some() && object.list(list).is_none() {
                return Err(format!("`{list}` is no list"));
            }
        }
        let interfaces = object.list("supportedInterfaces").unwrap_or_default();
        let interfaces: Vec<Interface> = interfaces
            .iter()
            .take(MAX_INTERFACES)
            .filter_map(interface)
            .collect();
        if interfaces.is_empty() {
            return Err("it has no interface with a `url` and a `protocolBinding`".to_owned());
        }
        let capabilities = object.object("capabilities").unwrap_or_default();
        let can = |what| capabilities.flag(what).unwrap_or(false);
        Ok(Self {
            streams: can("streaming"),
            pushes: can("pushNotifications"),
            is_extended: can("extendedAgentCard"),
            interfaces,
            object,
        })
    }

    /// The agent's own name, and what it says of itself in a sentence.
    #[must_use]
    pub fn title(&self) -> (String, String) {
        let text = |name| self.object.text(name).unwrap_or_default();
        (text("name"), text("description"))
    }

    /// What it can do, as it says it.
    #[must_use]
    pub fn skills(&self) -> Vec<Object> {
        let skills = self.object.list("skills").unwrap_or_default();
        skills.iter().filter_map(|skill| Object::of(skill)).collect()
    }

    /// The card for clients: every interface is the gateway's, and so is what lets them in. What signed the agent's
    /// card does not sign this one.
    #[must_use]
    pub fn shown(&self, face: &Face<'_>) -> Object {
        let mut card = self.object.clone();
        card.remove("signatures");
        card.set("supportedInterfaces", &self.faces(face));
        let mut capabilities = card.object("capabilities").unwrap_or_default();
        capabilities.set("pushNotifications", &(self.pushes && face.pushes));
        card.set("capabilities", &capabilities);
        if let Some(skills) = card.list("skills").filter(|_| !face.hidden.is_empty()) {
            let seen: Vec<Raw> = skills
                .into_iter()
                .filter(|skill| !is_hidden(skill, face.hidden))
                .collect();
            card.set("skills", &seen);
        }
        card.each("skills", |skill| {
            skill.remove("securityRequirements");
        });
        card.set("securitySchemes", &schemes());
        card.remove("securityRequirements");
        if face.needs_key {
            card.set("securityRequirements", &requirements());
        }
        if face.is_both {
            add_old_words(&mut card);
        }
        card
    }

    /// What the gateway speaks, the agent's favourite binding first.
    fn faces(&self, face: &Face<'_>) -> Vec<Value> {
        let url = face.url;
        let called = grpc_face(url);
        let one = |binding: &str, version: Version| json!({ "url": url, "protocolBinding": binding, "protocolVersion": version.name() });
        let mut new = [JSON_RPC, HTTP_JSON];
        let likes_rest = self
            .interfaces
            .iter()
            .find(|interface| new.contains(&interface.binding.as_str()))
            .is_some_and(|interface| interface.binding == HTTP_JSON);
        if likes_rest {
            new.reverse();
        }
        let mut faces: Vec<Value> = new.iter().map(|binding| one(binding, Version::V10)).collect();
        faces.extend(called.clone());
        faces.push(one(JSON_RPC, Version::V03));
        faces.push(one(HTTP_JSON, Version::V03));
        if let Some(mut old) = called.filter(|_| face.is_default) {
            old["protocolVersion"] = json!(Version::V03.name());
            if let Some(old) = old.as_object_mut() {
                old.remove("tenant");
            }
            faces.push(old);
        }
        faces
    }
}

/// Whether a skill is none of the reader's; one without an id is nobody's where any is hidden.
fn is_hidden(skill: &Raw, hidden: &[&str]) -> bool {
    let id = Object::of(skill).and_then(|skill| skill.filled("id"));
    id.is_none_or(|id| hidden.iter().any(|pattern| fits(pattern, &id)))
}

/// gRPC has no path: its address is a host and a port, and what is said with every request names the agent.
fn grpc_face(url: &str) -> Option<Value> {
    let url = Url::parse(url).ok()?;
    let agent = url.path().strip_prefix("/a2a/")?;
    let place = format!("{}:{}", url.host_str()?, url.port_or_known_default()?);
    Some(json!({
        "url": place, "protocolBinding": GRPC, "protocolVersion": Version::V10.name(), "tenant": agent,
    }))
}

fn interface(raw: &Raw) -> Option<Interface> {
    let object = Object::of(raw)?;
    Some(Interface {
        url: object.filled("url")?,
        binding: object.filled("protocolBinding")?,
        version: object.text("protocolVersion").unwrap_or_default(),
        tenant: object.filled("tenant"),
    })
}

/// What lets callers in.
fn schemes() -> Value {
    json!({
        "pointsmanBearer": { "httpAuthSecurityScheme": { "scheme": "Bearer", "description": "A key of the gateway." } },
        "pointsmanKey": { "apiKeySecurityScheme": { "location": "header", "name": "x-api-key", "description": "A key of the gateway." } },
    })
}

fn requirements() -> Value {
    json!([
        { "schemes": { "pointsmanBearer": { "list": [] } } },
        { "schemes": { "pointsmanKey": { "list": [] } } },
    ])
}

/// Puts the words of 0.3 beside those of 1.0, for clients that do not say what they read.
fn add_old_words(card: &mut Object) {
    let mut old = card.clone();
    translate::card::down(&mut old);
    for (name, value) in old.iter() {
        if card.get(name).is_none() {
            card.set(name, value);
        }
    }
    let schemes = old.object("securitySchemes").unwrap_or_default();
    card.within("securitySchemes", |both| {
        for (name, value) in schemes.iter() {
            let old = Object::of(value).unwrap_or_default();
            both.within(name, |scheme| {
                for (field, value) in old.iter() {
                    scheme.set(field, value);
                }
            });
        }
    });
}

/// What names a card, for clients that have it already.
#[must_use]
pub fn etag(card: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, card.as_bytes());
    let hex: String = digest
        .as_ref()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("\"{hex}\"")
}

/// The entry of an agent in the list of all.
#[must_use]
pub fn entry(name: &str, url: &str, card: Option<&Card>) -> Raw {
    let (title, description) = card.map(Card::title).unwrap_or_default();
    json::raw(&json!({
        "name": name,
        "url": url,
        "card": format!("{url}/.well-known/agent-card.json"),
        "reachable": card.is_some(),
        "title": title,
        "description": description,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(card: &str, is_both: bool) -> Value {
        let face = Face {
            url: "https://gw.example.com/a2a/a",
            needs_key: true,
            pushes: false,
            is_both,
            is_default: is_both,
            hidden: &[],
        };
        let shown = Card::read(card.as_bytes()).unwrap().shown(&face);
        serde_json::from_str(shown.raw().get()).unwrap()
    }

    const NEW: &str = r#"{"name":"n","description":"d","version":"1","x-own":{"a":1},
        "supportedInterfaces":[{"url":"grpc.internal:443","protocolBinding":"GRPC","protocolVersion":"1.0"},{"url":"http://internal/rest","protocolBinding":"HTTP+JSON","protocolVersion":"1.0","tenant":"t"}],
        "capabilities":{"streaming":true,"pushNotifications":true},
        "securitySchemes":{"inner":{"mtlsSecurityScheme":{}}},"securityRequirements":[{"schemes":{"inner":{"list":[]}}}],
        "skills":[{"id":"s","name":"s","description":"s","tags":[],"securityRequirements":[{"schemes":{"inner":{}}}]}],
        "signatures":[{"protected":"a","signature":"b"}]}"#;

    #[test]
    fn nothing_of_the_agents_own_places_and_keys_is_shown() {
        for is_both in [false, true] {
            let card = shown(NEW, is_both);
            let text = card.to_string();
            for hidden in ["internal", "inner", "signature", "mtls", "\"t\""] {
                assert!(!text.contains(hidden), "{hidden}: {text}");
            }
            let interfaces = card["supportedInterfaces"].as_array().unwrap();
            assert_eq!(interfaces[0]["protocolBinding"], HTTP_JSON);
            assert_eq!(interfaces.len(), if is_both { 6 } else { 5 });
            assert_eq!(
                (&interfaces[2]["url"], &interfaces[2]["tenant"]),
                (&json!("gw.example.com:443"), &json!("a"))
            );
            assert_eq!(card["capabilities"]["pushNotifications"], false);
            assert_eq!(card["x-own"]["a"], 1);
            assert_eq!(
                card["securitySchemes"]["pointsmanBearer"]["httpAuthSecurityScheme"]["scheme"],
                "Bearer"
            );
        }
    }

    #[test]
    fn skills_that_are_not_the_readers_are_not_shown() {
        let card = r#"{"name":"n","url":"u","skills":[{"id":"pay-out","name":"a"},{"id":"look","name":"b"},{"name":"c"}]}"#;
        let seen = |hidden: &[&str]| {
            let face = Face {
                url: "https://gw.example.com/a2a/a",
                needs_key: true,
                pushes: false,
                is_both: true,
                is_default: false,
                hidden,
            };
            let shown = Card::read(card.as_bytes()).unwrap().shown(&face);
            shown.list("skills").unwrap().len()
        };
        assert_eq!((seen(&[]), seen(&["pay-*"]), seen(&["*"])), (3, 1, 0));
    }

    #[test]
    fn who_reads_the_old_version_finds_its_words() {
        let card = shown(NEW, true);
        assert_eq!(card["url"], "https://gw.example.com/a2a/a");
        assert_eq!(card["preferredTransport"], JSON_RPC);
        assert_eq!(card["protocolVersion"], "0.3.0");
        assert_eq!(card["security"][0]["pointsmanBearer"], json!([]));
        assert_eq!(card["securitySchemes"]["pointsmanBearer"]["type"], "http");
        assert!(shown(NEW, false).get("url").is_none());
    }

    #[test]
    fn a_card_of_the_old_version_is_understood() {
        let card = Card::read(br#"{"name":"n","url":"https://a/x","protocolVersion":"0.3.0","supportsAuthenticatedExtendedCard":true,"capabilities":{"streaming":true}}"#).unwrap();
        assert!(card.is_extended && card.streams && !card.pushes);
        assert_eq!(card.interfaces[0].binding, JSON_RPC);
        assert_eq!(card.interfaces[0].version, "0.3.0");
    }

    #[test]
    fn what_is_no_card_is_told_why() {
        for (text, why) in [
            ("", "EOF"),
            ("[]", "object"),
            ("{}", "`name`"),
            (r#"{"name":"n"}"#, "interface"),
            (r#"{"name":"n","supportedInterfaces":[{"url":"u"}]}"#, "interface"),
            (r#"{"name":"n","url":"u","skills":{}}"#, "`skills`"),
        ] {
            let told = Card::read(text.as_bytes()).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
