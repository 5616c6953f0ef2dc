//! Who runs a batch: the gateway, line by line, or a provider in a batch of its own. Decided once, and written down.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io;

use pointsman_catalog::BatchInterface;
use pointsman_config::BatchMode;
use pointsman_governance::Principal;
use pointsman_store::Batch;
use pointsman_wire::embeddings;
use pointsman_wire::format::Format;
use serde::{Deserialize, Serialize};

use super::lines::Lines;
use crate::road::alias;
use crate::road::handed::{Destination, Speaking, elsewhere, only};
use crate::snapshot::{Batches, Envelope, Snapshot, Speech, Target};
use crate::surface::{self, Asks};

/// What is written down of who runs a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "run_by", rename_all = "snake_case")]
pub enum RunBy {
    /// The gateway.
    Gateway {
        /// Why not the provider.
        why: String,
    },
    /// A provider.
    Provider(Handed),
}

/// How far a batch is that a provider runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handed {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// The name that clients ask for.
    pub name: String,
    /// What comes next.
    pub stage: Stage,
    /// The provider's file of its lines.
    pub file: Option<String>,
    /// The provider's batch.
    pub batch: Option<String>,
    /// Since when it is being created, Unix seconds.
    pub since: i64,
    /// What its lines may cost, nano-dollars.
    pub reserved: i64,
    /// What of that is the lines' of which end customer, of those that have limits or budgets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub customers: BTreeMap<String, i64>,
    /// Lines that go.
    pub lines: u64,
    /// Lines that had an answer and an error before it went.
    pub before: (u64, u64),
    /// Whether the provider was told to cancel it.
    pub cancelled: bool,
}

/// What comes next for a batch that a provider runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Its lines are admitted and written for the provider.
    Preparing,
    /// The file of its lines goes to the provider.
    Uploading,
    /// The provider's batch is made.
    Creating,
    /// The provider is at it.
    Running,
}

impl RunBy {
    /// What was written down; none while nobody has decided.
    ///
    /// # Errors
    /// When another version wrote it, whose words are not known here.
    pub fn of(batch: &Batch) -> Result<Option<Self>, serde_json::Error> {
        batch.handed.as_deref().map(serde_json::from_str).transpose()
    }

    /// Who it is, as the owner of the batch is told.
    pub fn name(&self) -> &str {
        match self {
            Self::Gateway { .. } => "pointsman",
            Self::Provider(handed) => &handed.provider,
        }
    }
}

impl Handed {
    /// A batch that is about to go to `to`.
    pub fn begin(to: &Destination) -> Self {
        Self {
            provider: to.target.provider.name.clone(),
            model: to.target.model.clone(),
            name: to.name.clone(),
            stage: Stage::Preparing,
            file: None,
            batch: None,
            since: 0,
            reserved: 0,
            customers: BTreeMap::new(),
            lines: 0,
            before: (0, 0),
            cancelled: false,
        }
    }

    /// Where it goes, as the configuration has it today; none when it has it no more.
    pub fn destination(&self, snapshot: &Snapshot, endpoint: &str) -> Option<Destination> {
        let asked = asks_for(endpoint)?;
        let ad_hoc = format!("{}/{}", self.provider, self.model);
        [&self.name, &ad_hoc].into_iter().find_map(|name| {
            let model = snapshot.resolve(name).ok()?;
            let target = model
                .targets
                .iter()
                .find(|target| target.provider.name == self.provider && target.model == self.model)?;
            destination(name, target, asked).ok()
        })
    }
}

/// What the lines of a batch ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AsksFor {
    /// Conversations in this format.
    Chat(Format),
    /// Vectors.
    Embeddings,
}

/// What the lines of a batch ask for; none where that is not handed on.
fn asks_for(endpoint: &str) -> Option<AsksFor> {
    let uri = endpoint.parse().ok()?;
    let found = surface::find(&http::Method::POST, &uri, &http::HeaderMap::new()).ok()?;
    match found.asks {
        // Responses are kept by the gateway, line by line.
        Asks::Chat(Format::OpenAiResponses, _) => None,
        Asks::Chat(format, _) => Some(AsksFor::Chat(format)),
        Asks::Embeddings(embeddings::Shape::OpenAi) => Some(AsksFor::Embeddings),
        _ => None,
    }
}

/// Where all lines of a batch go together; or why they do not.
///
/// # Errors
/// When a line cannot be read.
pub async fn choose(
    (snapshot, owner): (&Snapshot, &Principal),
    batch: &Batch,
    lines: &Lines,
) -> io::Result<Result<Destination, String>> {
    if snapshot.keeping.batches.mode == BatchMode::Own {
        return Ok(Err("batches.mode is own".to_owned()));
    }
    let Some(asked) = asks_for(&batch.asked.endpoint) else {
        let endpoint = &batch.asked.endpoint;
        return Ok(Err(format!("lines of {endpoint} are not handed on")));
    };
    // By name; none for what leads nowhere, whose lines are refused before the others go.
    let mut known: HashMap<String, bool> = HashMap::new();
    let mut found: Option<Destination> = None;
    for line in 0..lines.count() {
        // Others of this thread have their turn, too.
        if line % 256 == 255 {
            tokio::task::yield_now().await;
        }
        let read = lines.read(line)?;
        let Some(said) = model_of(&read.body) else {
            continue;
        };
        let name = Cow::Borrowed(alias::meant(snapshot, owner, &said));
        if known.contains_key(name.as_ref()) {
            continue;
        }
        if snapshot.is_routed(&name) {
            return Ok(Err(format!("{name:?} is decided line by line")));
        }
        let model = snapshot.resolve(&name).ok();
        known.insert(name.clone().into_owned(), model.is_some());
        let Some(model) = model else { continue };
        match &found {
            Some(found) if only(&model.targets, &found.target) => {}
            Some(_) => return Ok(Err(elsewhere(&name))),
            None => match &model.targets[..] {
                [target] => match destination(&name, target, asked) {
                    Ok(destination) => found = Some(destination),
                    Err(why) => return Ok(Err(why)),
                },
                _ => return Ok(Err(format!("{name:?} has more than one target"))),
            },
        }
    }
    let Some(found) = found else {
        return Ok(Err("no line asks for a model that is here".to_owned()));
    };
    let most = own_batches(&found.target).map_or(0, |batches| batches.facts.max_lines as usize);
    if lines.count() > most {
        return Ok(Err(format!("its provider takes at most {most} lines")));
    }
    Ok(Ok(found))
}

/// A target as the destination of a whole batch; or why it is none.
fn destination(name: &str, target: &Target, asked: AsksFor) -> Result<Destination, String> {
    let provider = &target.provider;
    let Some(batches) = own_batches(target) else {
        return Err(format!("{} has no batches that are known here", provider.name));
    };
    if provider.endpoints.len() != 1 || provider.credential.count() > 1 {
        return Err(format!(
            "{} has several endpoints or keys: what one of them has been given another need not find",
            provider.name
        ));
    }
    let speaking = match asked {
        AsksFor::Chat(client) => {
            let speech = target.speech(client).filter(|speech| fits(batches, speech));
            speech
                .or_else(|| usual(batches, target))
                .map(|speech| Speaking::Chat(speech.clone()))
        }
        AsksFor::Embeddings => {
            let can = batches.facts.interface != BatchInterface::Anthropic;
            (can && provider.speaks.endpoint("embeddings", &target.model).is_some())
                .then_some(Speaking::Embeddings)
        }
    };
    let Some(speaking) = speaking else {
        return Err(format!("{} takes no such lines in its batches", provider.name));
    };
    let percent = batches.facts.percent;
    Ok(Destination {
        name: name.to_owned(),
        speaking,
        target: Target {
            price: target.price.as_ref().map(|price| price.in_batches(percent)),
            ..target.clone()
        },
    })
}

/// Its provider's batches.
pub fn own_batches(target: &Target) -> Option<&Batches> {
    target.provider.speaks.batches.as_ref()
}

fn fits(batches: &Batches, speech: &Speech) -> bool {
    let spoken = match batches.facts.interface {
        BatchInterface::OpenAi => url_of(speech.format).is_some(),
        BatchInterface::Mistral => speech.format == Format::OpenAiChat,
        BatchInterface::Anthropic => speech.format == Format::AnthropicMessages,
    };
    spoken && speech.envelope == Envelope::None
}

/// The format of the provider's batches, where its conversations have another.
fn usual<'a>(batches: &Batches, target: &'a Target) -> Option<&'a Speech> {
    let format = match batches.facts.interface {
        BatchInterface::OpenAi | BatchInterface::Mistral => Format::OpenAiChat,
        BatchInterface::Anthropic => Format::AnthropicMessages,
    };
    let speech = target.provider.speaks.in_format(format)?;
    (target.format.is_none() && speech.is_for(&target.model) && fits(batches, speech)).then_some(speech)
}

/// What stands in the `url` of a line, behind its prefix.
pub fn url(speaking: &Speaking) -> &'static str {
    match speaking {
        Speaking::Chat(speech) => url_of(speech.format).unwrap_or_default(),
        Speaking::Embeddings => "/embeddings",
    }
}

fn url_of(format: Format) -> Option<&'static str> {
    match format {
        Format::OpenAiChat => Some("/chat/completions"),
        Format::OpenAiCompletions => Some("/completions"),
        Format::OpenAiResponses => Some("/responses"),
        _ => None,
    }
}

/// The model that a line asks for.
fn model_of(body: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Probe<'a> {
        #[serde(borrow)]
        model: Option<Cow<'a, str>>,
    }
    let probe: Probe = serde_json::from_slice(body).ok()?;
    probe.model
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_again() {
        let handed = Handed {
            provider: "o".to_owned(),
            model: "m".to_owned(),
            name: "n".to_owned(),
            stage: Stage::Creating,
            file: Some("file-1".to_owned()),
            batch: None,
            since: 7,
            reserved: 9,
            customers: BTreeMap::from([("alice".to_owned(), 5)]),
            lines: 3,
            before: (1, 2),
            cancelled: true,
        };
        for run_by in [
            RunBy::Provider(handed),
            RunBy::Gateway {
                why: "two".to_owned(),
            },
        ] {
            let text = serde_json::to_string(&run_by).unwrap();
            assert_eq!(serde_json::from_str::<RunBy>(&text).unwrap(), run_by, "{text}");
        }
    }

    #[test]
    fn what_the_gateway_keeps_itself_is_not_handed_on() {
        let chat = |format| Some(AsksFor::Chat(format));
        for (endpoint, expected) in [
            ("/v1/chat/completions", chat(Format::OpenAiChat)),
            ("/v1/completions", chat(Format::OpenAiCompletions)),
            ("/v1/messages", chat(Format::AnthropicMessages)),
            ("/v1/embeddings", Some(AsksFor::Embeddings)),
            ("/v1/responses", None),
            ("not a path", None),
        ] {
            assert_eq!(asks_for(endpoint), expected, "{endpoint}");
        }
    }
}
