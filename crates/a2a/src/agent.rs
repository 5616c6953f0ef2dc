//! An agent: its instances, the card of each, and the ways in that its card names.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use parking_lot::Mutex;
use pointsman_catalog::Money;
use pointsman_upstream::config::HttpVersion;
use pointsman_upstream::{AuthStyle, Client, Credential, Endpoint, EndpointConfig, HealthConfig, Timeouts};
use url::Url;

use crate::card::{Card, GRPC, HTTP_JSON, Interface, JSON_RPC, MAX_CARD};
use crate::config::{A2aConfig, AgentConfig};
use crate::link::{self, Failed};
use crate::signed::Signers;
use crate::spoken;
use crate::version::Version;

/// Where cards are when nobody says.
pub const WELL_KNOWN: &str = "/.well-known/agent-card.json";
/// How long an answer may take unless the configuration says something else.
const TIMEOUT: Duration = Duration::from_secs(300);
/// How long a stream may last, however lively it is.
const LONGEST_STREAM: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an instance that could not be reached is left alone.
const REST: Duration = Duration::from_secs(5);
/// Redirects of a card that are followed, on its own host.
const MAX_REDIRECTS: usize = 2;

/// An agent.
pub struct Agent {
    /// Its name in the configuration.
    pub name: String,
    /// Its configuration.
    pub config: AgentConfig,
    /// Its instances.
    pub instances: Vec<Arc<Instance>>,
    /// Most bytes of a message.
    pub limit: usize,
    /// What a message that it takes costs.
    pub price: Money,
    turn: AtomicUsize,
    /// What is known of a model in its place.
    spoken: Option<Arc<Known>>,
}

/// One of them.
pub struct Instance {
    /// Which one, the same after a reload.
    pub id: u64,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Most bytes of a message.
    pub limit: usize,
    url: Url,
    credential: Credential,
    headers: HeaderMap,
    config: AgentConfig,
    /// Whose signatures of its card count.
    signers: Option<Signers>,
    card_ttl: Duration,
    card_timeout: Duration,
    known: Mutex<Option<Kept>>,
    fetching: tokio::sync::Mutex<()>,
    resting: Mutex<Option<(Instant, Failed)>>,
}

/// A card, and until when it is good.
struct Kept {
    known: Arc<Known>,
    until: Instant,
}

/// What is known of an instance.
pub struct Known {
    /// Its card.
    pub card: Card,
    /// How it is spoken to.
    pub ways: Vec<Way>,
}

/// How agents and their clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// JSON-RPC.
    Rpc,
    /// HTTP+JSON.
    Rest,
    /// gRPC.
    Grpc,
}

/// A way in.
#[derive(Debug, Clone)]
pub struct Way {
    /// The binding.
    pub binding: Binding,
    /// The version that is spoken there.
    pub version: Version,
    /// What is said with every request.
    pub tenant: Option<String>,
    /// Scheme, host and port.
    pub endpoint: Arc<Endpoint>,
    /// The path; of HTTP+JSON the beginning of all paths.
    pub path: String,
}

impl Agent {
    /// Compiles an agent. Nothing is asked of it before somebody asks something.
    ///
    /// # Errors
    /// A field of it, and what is wrong.
    pub fn compile(name: &str, config: &AgentConfig, all: &A2aConfig) -> Result<Arc<Self>, (String, String)> {
        let instances = config.cards().map(|url| Instance::compile(url, config, all));
        let spoken = match &config.model {
            Some(model) => Some(Arc::new(Known {
                card: spoken::card(name, model).map_err(|why| ("model".to_owned(), why))?,
                ways: Vec::new(),
            })),
            None => None,
        };
        Ok(Arc::new(Self {
            name: name.to_owned(),
            config: config.clone(),
            instances: instances.collect::<Result<_, _>>()?,
            limit: all.message_limit,
            price: config.cost().map_err(|why| ("price".to_owned(), why))?,
            turn: AtomicUsize::new(0),
            spoken,
        }))
    }

    /// Whether an agent that is configured like this would be the same.
    #[must_use]
    pub fn is(&self, config: &AgentConfig, all: &A2aConfig) -> bool {
        let times = |instance: &Arc<Instance>| {
            instance.card_ttl == all.card_ttl.get() && instance.card_timeout == all.card_timeout.get()
        };
        self.config == *config && self.limit == all.message_limit && self.instances.iter().all(times)
    }

    /// The instance of this id.
    #[must_use]
    pub fn instance(&self, id: u64) -> Option<&Arc<Instance>> {
        self.instances.iter().find(|instance| instance.id == id)
    }

    /// All instances in the order in which they are tried: in turn, those that rest last.
    #[must_use]
    pub fn in_turn(&self) -> Vec<Arc<Instance>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut order = self.instances.clone();
        if !order.is_empty() {
            let by = turn % order.len();
            order.rotate_left(by);
        }
        order.sort_by_key(|instance| instance.is_resting().is_some());
        order
    }

    /// What was last known of any of them: nothing is asked.
    #[must_use]
    pub fn last_known(&self) -> Option<Arc<Known>> {
        let known = || self.instances.iter().find_map(|instance| instance.last_known());
        self.spoken.clone().or_else(known)
    }

    /// What is known of any of them.
    ///
    /// # Errors
    /// When none can be reached.
    pub async fn known(&self, client: &Client) -> Result<Arc<Known>, Failed> {
        if let Some(known) = &self.spoken {
            return Ok(Arc::clone(known));
        }
        let mut failed = Failed::Unreachable("the agent has no instances".to_owned());
        for instance in &self.instances {
            match instance.known(client).await {
                Ok(known) => return Ok(known),
                Err(why) => failed = why,
            }
        }
        Err(failed)
    }
}

/// A number for an instance by its address: other replicas, and other versions of this program, come to the same.
fn id_of(url: &str) -> u64 {
    let digest = ring::digest::digest(&ring::digest::SHA256, url.as_bytes());
    let first = digest.as_ref().iter().take(8);
    first.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Instance {
    fn compile(url: &str, config: &AgentConfig, all: &A2aConfig) -> Result<Arc<Self>, (String, String)> {
        let wrong = |field: &str, why: String| (field.to_owned(), why);
        let mut url = Url::parse(url).map_err(|error| wrong("url", error.to_string()))?;
        if url.path() == "/" {
            url.set_path(WELL_KNOWN);
        }
        url.set_fragment(None);
        place(&url, config).map_err(|why| wrong("url", why))?;
        let credential = Credential::compile(&config.auth, &AuthStyle::Bearer)
            .map_err(|error| wrong(&format!("auth.{}", error.field), error.problem))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let parsed = (
                HeaderName::try_from(name.as_str()),
                HeaderValue::try_from(value.expose()),
            );
            let (Ok(parsed), Ok(mut value)) = parsed else {
                return Err(wrong(&format!("headers.{name}"), "is no header".to_owned()));
            };
            value.set_sensitive(true);
            headers.insert(parsed, value);
        }
        let signers = Signers::compile(&config.signatures)?;
        Ok(Arc::new(Self {
            id: id_of(url.as_str()),
            timeout: config.timeout.map_or(TIMEOUT, |timeout| timeout.get()),
            limit: all.message_limit,
            url,
            credential,
            headers,
            config: config.clone(),
            signers,
            card_ttl: all.card_ttl.get(),
            card_timeout: all.card_timeout.get(),
            known: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
            resting: Mutex::default(),
        }))
    }

    /// How long one exchange may take; a stream may last, but not be silent.
    #[must_use]
    pub fn timeouts(&self, streamed: bool) -> Timeouts {
        Timeouts {
            first_byte: self.timeout,
            between_chunks: self.timeout,
            total: if streamed { LONGEST_STREAM } else { self.timeout },
            ..Timeouts::default()
        }
    }

    /// The card, and the ways in: as they are remembered, or fetched. While one fetches, others use what was known.
    ///
    /// # Errors
    /// When there is none.
    pub async fn known(self: &Arc<Self>, client: &Client) -> Result<Arc<Known>, Failed> {
        let (kept, is_good) = self.kept();
        match kept {
            Some(known) if is_good => return Ok(known),
            Some(known) => {
                if self.fetching.try_lock().is_err() || self.is_resting().is_some() {
                    return Ok(known);
                }
            }
            None => {
                if let Some(why) = self.is_resting() {
                    return Err(why);
                }
            }
        }
        let _fetching = self.fetching.lock().await;
        if let (Some(known), true) = self.kept() {
            return Ok(known);
        }
        let fetched = tokio::time::timeout(self.card_timeout, Box::pin(self.fetch(client))).await;
        match fetched.unwrap_or(Err(Failed::Late)) {
            Ok(known) => {
                let known = Arc::new(known);
                *self.known.lock() = Some(Kept {
                    known: Arc::clone(&known),
                    until: Instant::now() + self.card_ttl,
                });
                *self.resting.lock() = None;
                Ok(known)
            }
            Err(why) => {
                tracing::warn!(host = self.url.host_str(), error = %why, "an agent's card cannot be fetched");
                self.rest(&why);
                self.kept().0.ok_or(why)
            }
        }
    }

    /// What was last known of it: nothing is asked.
    #[must_use]
    pub fn last_known(&self) -> Option<Arc<Known>> {
        self.kept().0
    }

    fn kept(&self) -> (Option<Arc<Known>>, bool) {
        let kept = self.known.lock();
        let is_good = kept.as_ref().is_some_and(|kept| Instant::now() < kept.until);
        (kept.as_ref().map(|kept| Arc::clone(&kept.known)), is_good)
    }

    /// Leaves it alone for a while. Who rests already does not rest longer for it: it would never be tried again.
    pub fn rest(&self, why: &Failed) {
        let mut resting = self.resting.lock();
        let now = Instant::now();
        if resting.as_ref().is_none_or(|(until, _)| *until <= now) {
            *resting = Some((now + REST, why.clone()));
        }
    }

    /// Why it is left alone.
    #[must_use]
    pub fn is_resting(&self) -> Option<Failed> {
        let resting = self.resting.lock();
        let (until, why) = resting.as_ref()?;
        (Instant::now() < *until).then(|| why.clone())
    }

    /// Fetches the card from where it is. A redirect may not lead to another host: the credential would go with it.
    async fn fetch(&self, client: &Client) -> Result<Known, Failed> {
        let mut url = self.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let endpoint = place(&url, &self.config).map_err(Failed::Card)?;
            let mut request = Request::new(bytes::Bytes::new());
            *request.method_mut() = Method::GET;
            request
                .headers_mut()
                .insert(header::ACCEPT, HeaderValue::from_static("application/json"));
            let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
            let timeouts = Timeouts {
                total: self.card_timeout,
                ..self.timeouts(false)
            };
            let sent = self.send(client, (&endpoint, path), request, &timeouts).await?;
            let status = sent.status();
            if status.is_redirection() {
                let next = sent.headers().get(header::LOCATION);
                let next = next
                    .and_then(|next| next.to_str().ok())
                    .and_then(|next| url.join(next).ok());
                url = next
                    .filter(|next| next.origin() == url.origin())
                    .ok_or_else(|| Failed::Card("its card is redirected to another host".to_owned()))?;
                continue;
            }
            if status != StatusCode::OK {
                return Err(Failed::Card(format!(
                    "its card is answered with {}",
                    status.as_u16()
                )));
            }
            let text = link::collect(sent, MAX_CARD).await?;
            if let Some(signers) = &self.signers {
                signers.check(text.as_bytes()).map_err(Failed::Card)?;
            }
            let card = Card::read(text.as_bytes()).map_err(Failed::Card)?;
            return self.understood(card);
        }
        Err(Failed::Card("its card is redirected too often".to_owned()))
    }

    /// Sends a request with the gateway's credential.
    ///
    /// # Errors
    /// When there is no response head.
    pub async fn send(
        &self,
        client: &Client,
        (endpoint, path): (&Arc<Endpoint>, &str),
        mut request: Request<bytes::Bytes>,
        timeouts: &Timeouts,
    ) -> Result<http::Response<pointsman_upstream::UpstreamBody>, Failed> {
        *request.uri_mut() = endpoint
            .uri(path)
            .map_err(|error| Failed::Unreachable(error.to_string()))?;
        let said = std::mem::replace(request.headers_mut(), self.headers.clone());
        request.headers_mut().extend(said);
        self.credential
            .authorize(client, endpoint, &mut request, 0)
            .await
            .map_err(|error| Failed::Unreachable(format!("there is no credential for it: {error}")))?;
        let sent = Box::pin(client.send(endpoint, request, timeouts)).await;
        sent.map_err(|error| {
            let why = error.to_string();
            match error.kind() {
                _ if error.is_before_send() => Failed::Unreachable(why),
                pointsman_upstream::SendErrorKind::Timeout(_) => Failed::Late,
                _ => Failed::Broken(why),
            }
        })
    }

    fn understood(&self, card: Card) -> Result<Known, Failed> {
        let (mut ways, mut skipped) = (Vec::new(), Vec::new());
        for interface in &card.interfaces {
            match self.way(interface) {
                Ok(way) => ways.push(way),
                Err(why) => skipped.push(format!("{} at {}: {why}", interface.binding, interface.url)),
            }
        }
        if ways.is_empty() {
            let why = skipped.join("; ");
            return Err(Failed::Card(format!(
                "none of its interfaces is spoken here: {why}"
            )));
        }
        for why in &skipped {
            tracing::debug!(host = self.url.host_str(), why, "an interface is left out");
        }
        Ok(Known { card, ways })
    }

    /// The way that an interface of a card names: to the card's host, or to one that the operator names. What a card
    /// says is not the operator's word, and the credential goes along.
    fn way(&self, interface: &Interface) -> Result<Way, String> {
        let binding = match interface.binding.as_str() {
            JSON_RPC => Binding::Rpc,
            HTTP_JSON => Binding::Rest,
            GRPC => Binding::Grpc,
            _ => return Err("this binding is not known".to_owned()),
        };
        let version = Version::said(&interface.version).ok_or("this version is not spoken")?;
        let said = match binding {
            // A place without a scheme is as safe as the card's.
            Binding::Grpc if !interface.url.contains("://") => {
                format!("{}://{}", self.url.scheme(), interface.url)
            }
            _ => interface.url.clone(),
        };
        let url = Url::parse(&said).map_err(|error| error.to_string())?;
        let host = url.host_str().unwrap_or_default();
        let is_own = self
            .url
            .host_str()
            .is_some_and(|own| own.eq_ignore_ascii_case(host));
        let is_named = self
            .config
            .interface_hosts
            .iter()
            .any(|known| known.eq_ignore_ascii_case(host));
        if !is_own && !is_named {
            return Err(
                "another host than the card's; name it in `interface_hosts` if it is right".to_owned(),
            );
        }
        if self.url.scheme() == "https" && url.scheme() != "https" {
            return Err("unencrypted, though its card is not".to_owned());
        }
        let http = match binding {
            Binding::Grpc => HttpVersion::Http2,
            Binding::Rpc | Binding::Rest => HttpVersion::Auto,
        };
        let endpoint = place_by(&url, &self.config, http)?;
        let path = match binding {
            Binding::Rpc => &url[url::Position::BeforePath..url::Position::AfterQuery],
            Binding::Rest => url.path().trim_end_matches('/'),
            Binding::Grpc => "",
        };
        Ok(Way {
            binding,
            version,
            tenant: interface.tenant.clone(),
            endpoint,
            path: path.to_owned(),
        })
    }
}

impl Known {
    /// The way for a client: one that speaks as the client does, where there is one.
    #[must_use]
    pub fn way(&self, version: Version, binding: Binding) -> Option<&Way> {
        let distance = |way: &&Way| {
            (
                way.version != version,
                way.version != Version::V10,
                way.binding != binding,
            )
        };
        self.ways.iter().min_by_key(distance)
    }
}

fn place(url: &Url, config: &AgentConfig) -> Result<Arc<Endpoint>, String> {
    place_by(url, config, HttpVersion::Auto)
}

fn place_by(url: &Url, config: &AgentConfig, http: HttpVersion) -> Result<Arc<Endpoint>, String> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err("its URL holds a password".to_owned());
    }
    let mut place = EndpointConfig::new(&url[..url::Position::BeforePath]);
    place.http = http;
    place
        .client_certificate
        .clone_from(&config.auth.client_certificate);
    Endpoint::new(&place, &HealthConfig::default()).map_err(|error| error.problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(card_at: &str, hosts: &[&str], interfaces: &str) -> Result<Vec<(Binding, String)>, String> {
        let config = AgentConfig {
            url: Some(card_at.to_owned()),
            interface_hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..AgentConfig::default()
        };
        let instance = Instance::compile(card_at, &config, &A2aConfig::default()).unwrap();
        let card = format!(r#"{{"name":"n","supportedInterfaces":[{interfaces}]}}"#);
        let known = instance.understood(Card::read(card.as_bytes()).unwrap());
        let known = known.map_err(|error| error.to_string())?;
        Ok(known
            .ways
            .iter()
            .map(|way| (way.binding, way.path.clone()))
            .collect())
    }

    fn interface(url: &str, binding: &str, version: &str) -> String {
        format!(r#"{{"url":"{url}","protocolBinding":"{binding}","protocolVersion":"{version}"}}"#)
    }

    #[test]
    fn interfaces_elsewhere_are_left_out() {
        let card = "https://a.example.com";
        let own = interface("https://a.example.com:8443/rpc", JSON_RPC, "1.0");
        assert_eq!(
            ways(card, &[], &own).unwrap(),
            [(Binding::Rpc, "/rpc".to_owned())]
        );
        for (url, binding, version, why) in [
            ("https://evil.example.com/rpc", JSON_RPC, "1.0", "another host"),
            ("http://169.254.169.254/latest", JSON_RPC, "1.0", "another host"),
            ("http://a.example.com/rpc", JSON_RPC, "1.0", "unencrypted"),
            ("https://u:p@a.example.com/rpc", JSON_RPC, "1.0", "password"),
            ("b.example.com:443", GRPC, "1.0", "another host"),
            ("https://a.example.com", "CARRIER-PIGEON", "1.0", "not known"),
            ("https://a.example.com", JSON_RPC, "2.0", "version"),
        ] {
            let other = interface(url, binding, version);
            let told = ways(card, &[], &other).unwrap_err();
            assert!(told.contains(why), "{url}: {told}");
            let both = format!("{other},{own}");
            assert_eq!(ways(card, &[], &both).unwrap().len(), 1, "{url}");
        }
        let named = interface("https://b.example.com/rest/", HTTP_JSON, "1.0");
        assert_eq!(
            ways(card, &["B.example.com"], &named).unwrap(),
            [(Binding::Rest, "/rest".to_owned())]
        );
    }

    #[test]
    fn a_client_is_led_to_who_speaks_like_it() {
        let config = AgentConfig {
            url: Some("http://a".to_owned()),
            ..AgentConfig::default()
        };
        let instance = Instance::compile("http://a", &config, &A2aConfig::default()).unwrap();
        let interfaces = [
            interface("http://a/1", JSON_RPC, "0.3"),
            interface("http://a/2", HTTP_JSON, "1.0"),
            interface("http://a/3", JSON_RPC, "1.0"),
        ]
        .join(",");
        let card = format!(r#"{{"name":"n","supportedInterfaces":[{interfaces}]}}"#);
        let Ok(known) = instance.understood(Card::read(card.as_bytes()).unwrap()) else {
            unreachable!()
        };
        let path = |version, binding| known.way(version, binding).unwrap().path.clone();
        assert_eq!(path(Version::V03, Binding::Rpc), "/1");
        assert_eq!(path(Version::V10, Binding::Rest), "/2");
        assert_eq!(path(Version::V10, Binding::Rpc), "/3");
    }
}
