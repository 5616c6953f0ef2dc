//! How a conversation begins: which era the server speaks, and what it says of itself.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use pointsman_upstream::{Client, Timeouts};

use super::http_link::{self, Head, HttpLink};
use super::process::Process;
use super::sse::Sse;
use super::{Ask, Failed, Greeting, Link, Owner, Transport, agent};
use crate::config::Speaks;
use crate::message::{self, Id, Object, Raw, Response};
use crate::meta;
use crate::server::Server;
use crate::trail::Keepsake;
use crate::version::{MODERN, NEWEST_LEGACY, Version};

/// What a program may take to say which era it speaks, before it is taken for an old one.
const PROBE_TIME: Duration = Duration::from_secs(3);
/// How soon a subscription that ended is made again.
const RESUBSCRIBE: Duration = Duration::from_secs(2);

/// Opens a conversation with a server on behalf of a client, which is described as `initialize` does.
///
/// # Errors
/// When the server cannot be reached, or speaks nothing that is spoken here.
pub async fn open(
    server: &Arc<Server>,
    client: &Client,
    described: Object,
    owner: Weak<dyn Owner>,
) -> Result<Arc<Link>, Failed> {
    let opening = async {
        if let Some(name) = &server.config.agent {
            to_agent((server, name), client, described, owner).await
        } else if server.config.openapi.is_some() {
            to_api(server, client, described, owner).await
        } else if server.config.transport == Speaks::Sse {
            over_sse(server, client, described, owner).await
        } else if server.web().is_some() {
            over_http(server, client, described, owner).await
        } else {
            over_pipes(server, client, described, owner).await
        }
    };
    tokio::time::timeout(server.timeout, Box::pin(opening))
        .await
        .unwrap_or(Err(Failed::Late))
}

async fn to_agent(
    (server, name): (&Arc<Server>, &str),
    client: &Client,
    described: Object,
    owner: Weak<dyn Owner>,
) -> Result<Arc<Link>, Failed> {
    let greeting = agent::greeting(server, client, name).await?;
    let link = link(
        server,
        (MODERN, greeting),
        described,
        Transport::Agent(name.to_owned()),
        owner,
    );
    Ok(Arc::new(link))
}

async fn to_api(
    server: &Arc<Server>,
    client: &Client,
    described: Object,
    owner: Weak<dyn Owner>,
) -> Result<Arc<Link>, Failed> {
    let api = server.api(client).await?;
    let greeting = api.greeting();
    let link = link(server, (MODERN, greeting), described, Transport::Api(api), owner);
    Ok(Arc::new(link))
}

fn link(
    server: &Arc<Server>,
    (version, greeting): (Version, Greeting),
    client: Object,
    transport: Transport,
    owner: Weak<dyn Owner>,
) -> Link {
    Link {
        server: Arc::clone(server),
        version,
        greeting,
        client,
        transport,
        owner,
        next: Arc::new(AtomicU64::new(first_id())),
        pending: Mutex::new(HashMap::new()),
        level: Mutex::default(),
        tasks: Mutex::new(Vec::new()),
        watched: Mutex::new(HashMap::new()),
    }
}

/// From where on requests are numbered. Several replicas may ask in one session: none uses another's numbers. Ids up to
/// ten are used by greetings; numbers stay where JavaScript is exact.
fn first_id() -> u64 {
    let mut chance = [0_u8; 4];
    if getrandom::fill(&mut chance).is_err() {
        return 10;
    }
    (u64::from(u32::from_ne_bytes(chance) >> 1) << 20) + 10
}

/// A conversation with a server that another replica has begun. Nobody listens yet to what is said unasked.
///
/// # Errors
/// When it is none that can be gone on with here.
pub fn adopted(
    server: &Arc<Server>,
    kept: Keepsake,
    described: Object,
    owner: Weak<dyn Owner>,
) -> Result<Arc<Link>, Failed> {
    let version = Version::from_name(&kept.version).filter(|_| server.web().is_some());
    let session = http::HeaderValue::try_from(kept.session).ok();
    let (Some(version), Some(session)) = (version, session) else {
        return Err(Failed::Lost);
    };
    let greeting = Greeting {
        capabilities: kept.capabilities,
        info: None,
        instructions: kept.instructions,
    };
    let http = Transport::Http(HttpLink::in_session(Some(session)));
    Ok(Arc::new(link(
        server,
        (version, greeting),
        described,
        http,
        owner,
    )))
}

/// What `server/discover` is asked with.
fn discover(client: &Object) -> Object {
    let mut meta = Object::default();
    meta.set(meta::PROTOCOL_VERSION, MODERN.name());
    for (key, field) in [
        (meta::CLIENT_INFO, "clientInfo"),
        (meta::CLIENT_CAPABILITIES, "capabilities"),
    ] {
        match client.get(field) {
            Some(said) => meta.set(key, said),
            None => meta.set(key, &Object::default()),
        }
    }
    let mut params = Object::default();
    params.set("_meta", &meta);
    params
}

/// What `initialize` is asked with.
fn initialize(client: &Object) -> Object {
    let mut params = client.clone();
    params.set("protocolVersion", NEWEST_LEGACY.name());
    params
}

/// What a server said to `server/discover`, if that shows that it speaks the new era.
fn discovered(answer: &Response) -> Option<Result<Greeting, Failed>> {
    match &answer.outcome {
        Ok(result) => {
            let result = Object::parse(result.get()).ok()?;
            let versions: Vec<String> = serde_json::from_str(result.get("supportedVersions")?.get()).ok()?;
            versions
                .iter()
                .any(|version| version == MODERN.name())
                .then(|| Ok(greeting(&result)))
        }
        Err(error) => {
            let error = Object::parse(error.get()).ok()?;
            let code = error.get("code")?.get().parse::<i64>().ok()?;
            let supported = error
                .object("data")
                .and_then(|data| data.get("supported").map(ToOwned::to_owned));
            let supported = supported.and_then(|raw| serde_json::from_str::<Vec<String>>(raw.get()).ok());
            match code {
                // It speaks a version in which requests say everything themselves, but not this one; an older one that
                // begins with `initialize` will do.
                -32022
                    if supported
                        .is_some_and(|all| all.iter().any(|one| Version::from_name(one).is_some())) =>
                {
                    None
                }
                -32022 => Some(Err(Failed::Broken(
                    "the server speaks no version that is spoken here".to_owned(),
                ))),
                _ => None,
            }
        }
    }
}

fn greeting(result: &Object) -> Greeting {
    let info = result.get("serverInfo").map(ToOwned::to_owned);
    Greeting {
        capabilities: result.object("capabilities").unwrap_or_default(),
        info: info.or_else(|| meta::of(result).get(meta::SERVER_INFO).map(ToOwned::to_owned)),
        instructions: result.text("instructions"),
    }
}

/// The version a server chose, and what it says of itself.
fn initialized(answer: Response) -> Result<(Version, Greeting), Failed> {
    let result = answer.outcome.map_err(|error| refused(&error))?;
    let result = Object::parse(result.get())
        .map_err(|_| Failed::Broken("the server's answer is no MCP".to_owned()))?;
    let name = result.text("protocolVersion").unwrap_or_default();
    let version = match Version::from_name(&name) {
        Some(version) if !version.is_modern() => version,
        // What came before is close enough for all that is asked of it.
        None if name == "2024-11-05" => Version::V2025March,
        _ => {
            return Err(Failed::Broken(format!(
                "the server speaks version {name:?}, which is not spoken here"
            )));
        }
    };
    Ok((version, greeting(&result)))
}

fn refused(error: &Raw) -> Failed {
    let message = Object::parse(error.get())
        .ok()
        .and_then(|error| error.text("message"));
    let message: String = message.unwrap_or_default().chars().take(200).collect();
    Failed::Broken(format!("the server refused to begin: {message}"))
}

async fn over_http(
    server: &Arc<Server>,
    client: &Client,
    described: Object,
    owner: Weak<dyn Owner>,
) -> Result<Arc<Link>, Failed> {
    let timeouts = Timeouts {
        first_byte: server.timeout,
        between_chunks: server.timeout,
        total: server.timeout,
        ..Timeouts::default()
    };
    if server.may_be_modern() {
        let (mut status, mut answer) = ask_discover(server, client, &described, &timeouts).await?;
        if answer.as_ref().is_ok_and(wants_this_version) {
            (status, answer) = ask_discover(server, client, &described, &timeouts).await?;
        }
        if let Some(found) = answer.ok().as_ref().and_then(discovered) {
            let greeting = found?;
            server.remember_era(true);
            let http = Transport::Http(HttpLink::default());
            let link = Arc::new(link(server, (MODERN, greeting), described, http, owner));
            link.listen(client).await;
            return Ok(link);
        }
        if status.is_server_error() {
            return Err(Failed::Unreachable(format!(
                "the server answered {}",
                status.as_u16()
            )));
        }
    }
    let id = Id::Number(2);
    let text = message::request(&id, "initialize", &initialize(&described));
    let head = Head {
        version: None,
        session: None,
        more: &[],
    };
    let response = http_link::post(server, client, head, text, &timeouts).await?;
    let session = response.headers().get(meta::SESSION_HEADER).cloned();
    let agreed = initialized(first_answer(server, response, &id).await?)?;
    server.remember_era(false);
    let http = Transport::Http(HttpLink::in_session(session));
    let link = Arc::new(link(server, agreed, described, http, owner));
    link.tell(client, "notifications/initialized", Object::default())
        .await?;
    link.listen(client).await;
    Ok(link)
}

/// What a server says to the first message of the new era.
async fn ask_discover(
    server: &Arc<Server>,
    client: &Client,
    described: &Object,
    timeouts: &Timeouts,
) -> Result<(StatusCode, Result<Response, Failed>), Failed> {
    let (id, params) = (Id::Number(1), discover(described));
    let more = http_link::repeated("server/discover", &params);
    let head = Head {
        version: Some(MODERN),
        session: None,
        more: &more,
    };
    let text = message::request(&id, "server/discover", &params);
    let response = http_link::post(server, client, head, text, timeouts).await?;
    let status = response.status();
    Ok((status, first_answer(server, response, &id).await))
}

/// Whether a server refuses the version, and yet says that it is one of its own.
fn wants_this_version(answer: &Response) -> bool {
    let Err(error) = &answer.outcome else { return false };
    let error = Object::parse(error.get()).unwrap_or_default();
    let supported = error.object("data").and_then(|data| data.list("supported"));
    error.get("code").is_some_and(|code| code.get() == "-32022")
        && supported
            .unwrap_or_default()
            .iter()
            .any(|version| version.get().trim_matches('"') == MODERN.name())
}

/// The answer to the first message, whichever way it comes.
async fn first_answer(
    server: &Server,
    response: http::Response<pointsman_upstream::UpstreamBody>,
    id: &Id,
) -> Result<Response, Failed> {
    let status = response.status();
    if http_link::is_stream(&response) {
        return http_link::answer_on(response, server.limit, id).await;
    }
    let text = http_link::collect(response, server.limit).await?;
    http_link::answer_in(&text, id, status)
}

/// The transport of 2024-11-05 is older than the era that says everything itself: nobody is asked about it.
async fn over_sse(
    server: &Arc<Server>,
    client: &Client,
    described: Object,
    owner: Weak<dyn Owner>,
) -> Result<Arc<Link>, Failed> {
    let sse = Sse::open(server, client).await?;
    let text = message::request(&Id::Number(2), "initialize", &initialize(&described));
    let agreed = initialized(sse.ask(server, client, (2, text)).await?)?;
    server.remember_era(false);
    let link = Arc::new(link(server, agreed, described, Transport::Sse(sse), owner));
    if let Transport::Sse(sse) = &link.transport {
        sse.attach(&link);
    }
    link.tell(client, "notifications/initialized", Object::default())
        .await?;
    Ok(link)
}

async fn over_pipes(
    server: &Arc<Server>,
    client: &Client,
    described: Object,
    owner: Weak<dyn Owner>,
) -> Result<Arc<Link>, Failed> {
    let mut process = Process::start(server)?;
    let mut agreed = None;
    if server.may_be_modern() {
        let asked = process.ask(
            1,
            message::request(&Id::Number(1), "server/discover", &discover(&described)),
        );
        if let Ok(Ok(answer)) = tokio::time::timeout(PROBE_TIME, asked).await
            && let Some(found) = discovered(&answer)
        {
            agreed = Some((MODERN, found?));
        }
        // Some programs end over a first message that they do not know.
        if agreed.is_none() && !process.is_alive() {
            drop(process);
            process = Process::start(server)?;
        }
    }
    let agreed = match agreed {
        Some(agreed) => agreed,
        None => {
            let asked = process.ask(
                2,
                message::request(&Id::Number(2), "initialize", &initialize(&described)),
            );
            initialized(asked.await?)?
        }
    };
    let is_modern = agreed.0.is_modern();
    server.remember_era(is_modern);
    let link = Arc::new(link(
        server,
        agreed,
        described,
        Transport::Process(process),
        owner,
    ));
    if let Transport::Process(process) = &link.transport {
        process.attach(&link);
    }
    if !is_modern {
        link.tell(client, "notifications/initialized", Object::default())
            .await?;
    }
    link.listen(client).await;
    Ok(link)
}

/// Keeps a subscription of the new era, as long as the link lasts.
pub async fn subscribe(link: Weak<Link>, client: Client, wanted: Object) {
    loop {
        let Some(held) = link.upgrade() else { return };
        let mut params = Object::default();
        params.set("notifications", &wanted);
        let ask = Ask {
            method: "subscriptions/listen".to_owned(),
            params,
            headers: Vec::new(),
            sink: None,
            timeout: Duration::from_secs(24 * 60 * 60),
            trail: None,
            resume: None,
        };
        let asked = held.ask(&client, ask).await;
        drop(held);
        if matches!(
            asked,
            Ok(Response { outcome: Err(_), .. }) | Err(Failed::Consent(_))
        ) {
            return;
        }
        tokio::time::sleep(RESUBSCRIBE).await;
    }
}
