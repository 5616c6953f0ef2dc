//! Signals that a model answers: what each asks of whoever reads texts, and what it makes of the answer.

mod bank;
mod classes;
mod classifier;
mod guards;
mod kb;
mod likeness;

use std::sync::Arc;

use super::need::{About, Need};
use super::{Reading, SignalError};
use crate::config::{QueryModality, SignalsConfig};
use crate::facts::{Facts, MessageFacts};

pub(crate) use classifier::ClassRule;
pub use classifier::{Classifier, ClassifierBy};
pub(crate) use kb::{KbMetric, Shelf};

pub(crate) use classes::{DOMAIN, is_unknown as is_unknown_domain, unknown_classes};

/// Most messages that signals of the whole conversation look at, the latest.
const MAX_TURNS: usize = 16;

/// Most images, or pieces of sound, that are looked at.
const MAX_MEDIA: usize = 4;

/// What was answered to a call, by whoever read the texts.
pub trait Answers {
    /// The labels of a head, each with its probability; none where there is no such head.
    fn labels(&self, head: &str) -> Option<&[(String, f32)]>;
    /// The label that says yes and the least probability that counts, at a head's operating point.
    fn point(&self, head: &str, name: &str) -> Option<(&str, f32)>;
    /// Kinds of personal data that were found, each with its probability.
    fn entities(&self) -> Vec<(&str, f32)>;
    /// The vector, of length 1, of a text that was asked about or of an [example](crate::Router::examples).
    fn vector(&self, text: &str) -> Option<&[f32]>;
}

/// What is asked of whoever reads texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asks {
    /// The texts.
    pub texts: Vec<Arc<str>>,
    /// Heads, of each text.
    pub heads: Vec<&'static str>,
    /// Whether personal data is looked for.
    pub entities: bool,
    /// Whether vectors are wanted: of each text, and of the examples.
    pub vectors: bool,
    /// What is compared are no texts but these, by the model that reads both; `texts` holds their addresses.
    pub media: Option<About>,
    /// The classifier that is asked; nothing else is then.
    pub classifier: Option<Arc<Classifier>>,
}

impl Asks {
    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty() && !self.entities && !self.vectors && self.classifier.is_none()
    }
}

/// A signal that a model answers.
pub(crate) struct Learned {
    judge: Judge,
    need: Need,
}

enum Judge {
    Domain(classes::Domain),
    Class(classes::Class),
    Feedback(classes::Class),
    Difficulty(classes::Difficulty),
    Attack(guards::Attack),
    Harm(guards::Harm),
    Pii(guards::Pii),
    Embedding(likeness::Embedding),
    Preference(likeness::Preference),
    Complexity(likeness::Complexity),
    Reask(likeness::Reask),
    Kb(kb::Kb),
    KbMetric(KbMetric),
    Classifier(ClassRule),
}

impl Learned {
    fn heads(judge: Judge) -> Self {
        Self::of(judge, Need::Heads(About::User))
    }

    fn vectors(judge: Judge) -> Self {
        Self::of(judge, Need::Embedding(About::User))
    }

    fn of(judge: Judge, need: Need) -> Self {
        Self { judge, need }
    }

    /// A number of a knowledge base.
    pub(super) fn metric(metric: KbMetric) -> Self {
        Self::vectors(Judge::KbMetric(metric))
    }

    /// A rule about a classifier.
    pub(super) fn rule(rule: ClassRule) -> Self {
        let need = Need::Remote(About::User, rule.classifier().name.clone());
        Self::of(Judge::Classifier(rule), need)
    }

    /// A print of what it goes by beside its own settings.
    pub(super) fn beside(&self) -> Option<u32> {
        match &self.judge {
            Judge::Kb(kb) => Some(kb.print()),
            Judge::KbMetric(metric) => Some(metric.print()),
            Judge::Classifier(rule) => Some(rule.print()),
            _ => None,
        }
    }

    pub(super) fn need(&self) -> &Need {
        &self.need
    }

    /// Adds what this signal wants to know.
    pub(super) fn ask(&self, asks: &mut Asks) {
        let head = match &self.judge {
            Judge::Domain(_) => Some(DOMAIN),
            Judge::Class(class) | Judge::Feedback(class) => Some(class.head()),
            Judge::Difficulty(_) => Some(classes::DIFFICULTY),
            Judge::Attack(attack) => attack.asks_head().then_some(guards::JAILBREAK),
            Judge::Harm(_) => Some(guards::HARMFUL),
            Judge::Pii(_)
            | Judge::Embedding(_)
            | Judge::Preference(_)
            | Judge::Complexity(_)
            | Judge::Reask(_)
            | Judge::Kb(_)
            | Judge::Classifier(_)
            | Judge::KbMetric(_) => None,
        };
        if let Judge::Classifier(rule) = &self.judge {
            asks.classifier = Some(Arc::clone(rule.classifier()));
        }
        if let Some(head) = head.filter(|head| !asks.heads.contains(head)) {
            asks.heads.push(head);
        }
        asks.entities |= matches!(self.judge, Judge::Pii(_));
        asks.vectors |= matches!(self.need, Need::Embedding(_));
        if let Need::Embedding(about) = self.need
            && about.is_media()
        {
            asks.media = Some(about);
        }
    }

    /// Examples whose vectors are wanted.
    pub(super) fn examples(&self) -> Vec<&str> {
        match &self.judge {
            // Those are read by the model that reads what they are compared with.
            Judge::Embedding(_) if self.media().is_some() => Vec::new(),
            Judge::Embedding(embedding) => embedding.examples(),
            Judge::Preference(preference) => preference.examples(),
            Judge::Complexity(complexity) => complexity.examples(),
            Judge::Attack(attack) => attack.examples(),
            Judge::Kb(kb) => kb.examples(),
            Judge::KbMetric(metric) => metric.examples(),
            _ => Vec::new(),
        }
    }

    /// What it compares, where that is no text.
    pub(super) fn media(&self) -> Option<About> {
        match self.need {
            Need::Embedding(about) if about.is_media() => Some(about),
            _ => None,
        }
    }

    /// Examples that are compared with what is no text.
    pub(super) fn media_examples(&self, about: About) -> Vec<&str> {
        match &self.judge {
            Judge::Embedding(embedding) if self.media() == Some(about) => embedding.examples(),
            _ => Vec::new(),
        }
    }

    /// The same number, judged by this signal's threshold; none where more than the number is looked at.
    pub(super) fn judged_again(&self, reading: Reading) -> Option<Reading> {
        let least = match &self.judge {
            Judge::Domain(domain) => domain.threshold()?,
            Judge::Class(class) => class.threshold(),
            // None was given where there was no answer yet: that is no matter of thresholds.
            Judge::Feedback(class) if reading.value > 0.0 => class.threshold(),
            Judge::Pii(pii) => pii.threshold(),
            Judge::Embedding(embedding) => embedding.threshold()?,
            _ => return None,
        };
        Some(self::reading(reading.value, least))
    }

    /// What the answers say; none where what is needed is not among them.
    pub(super) fn judge(&self, facts: &Facts<'_>, answers: &dyn Answers) -> Option<Reading> {
        match &self.judge {
            Judge::Domain(domain) => domain.judge(answers),
            Judge::Class(class) => class.judge(answers),
            // What the user thinks of an answer can only be said after one.
            Judge::Feedback(class) if follows_answer(facts.messages) => class.judge(answers),
            Judge::Feedback(_) => Some(Reading::default()),
            Judge::Difficulty(difficulty) => difficulty.judge(answers),
            Judge::Attack(attack) => attack.judge(&texts(facts, &self.need), answers),
            Judge::Harm(harm) => harm.judge(answers),
            Judge::Pii(pii) => Some(pii.judge(answers)),
            Judge::Embedding(embedding) if self.media().is_some() => {
                embedding.judge_all(&texts(facts, &self.need), answers)
            }
            Judge::Embedding(embedding) => embedding.judge(answers.vector(facts.user_text)?, answers),
            Judge::Preference(preference) => preference.judge(answers.vector(facts.user_text)?, answers),
            Judge::Complexity(complexity) => complexity.judge(answers.vector(facts.user_text)?, answers),
            Judge::Reask(reask) => reask.judge(facts, answers),
            Judge::Kb(kb) => kb.judge(answers.vector(facts.user_text)?, answers),
            Judge::KbMetric(metric) => metric.judge(answers.vector(facts.user_text)?, answers),
            Judge::Classifier(rule) => rule.judge(answers),
        }
    }
}

/// Whether an assistant has spoken before.
fn follows_answer(messages: &[MessageFacts<'_>]) -> bool {
    messages.iter().any(|message| message.role == "assistant")
}

/// The texts that a need is about, which its answers are known by.
pub(crate) fn texts(facts: &Facts<'_>, need: &Need) -> Vec<Arc<str>> {
    match need {
        Need::Heads(About::Conversation) => vec![conversation(facts).into()],
        Need::Embedding(About::Conversation) => {
            let mut texts: Vec<Arc<str>> = vec![facts.user_text.into()];
            for turn in turns(facts) {
                if texts.iter().all(|known| &**known != turn.text) {
                    texts.push(turn.text.into());
                }
            }
            texts
        }
        Need::Embedding(about) if about.is_media() => {
            let mut shown = facts.media.map(|media| media.shown(*about)).unwrap_or_default();
            shown.truncate(MAX_MEDIA);
            shown
        }
        _ => vec![facts.user_text.into()],
    }
}

/// The latest messages but the system's, in their order.
fn turns<'f>(facts: &Facts<'f>) -> Vec<&'f MessageFacts<'f>> {
    let spoken = |message: &&MessageFacts<'_>| message.role != "system" && !message.text.trim().is_empty();
    let mut latest: Vec<_> = facts
        .messages
        .iter()
        .rev()
        .filter(spoken)
        .take(MAX_TURNS)
        .collect();
    latest.reverse();
    latest
}

/// The conversation as one text. What the user said last stands in it even where there are no messages.
fn conversation(facts: &Facts<'_>) -> String {
    let mut whole = String::new();
    for turn in turns(facts) {
        whole.push_str(turn.text);
        whole.push_str("\n\n");
    }
    match whole.is_empty() {
        true => facts.user_text.to_owned(),
        false => whole,
    }
}

/// Adds a signal, or what is wrong with it: its type, its collection, its number, its name.
type Add<'a> = dyn FnMut(&'static str, &'static str, usize, &str, Result<Learned, String>) + 'a;

/// Compiles all signals that a model answers. Those whose model this version does not have are left out.
pub(super) fn compile(config: &SignalsConfig, shelves: &[Arc<Shelf>], add: &mut Add<'_>) {
    for (index, config) in config.kb.iter().enumerate() {
        let kb = kb::Kb::compile(config, shelves).map(|kb| Learned::vectors(Judge::Kb(kb)));
        add("kb", "kb", index, &config.name, kb);
    }
    for (index, config) in config.domains.iter().enumerate() {
        let domain = classes::Domain::compile(config).map(|domain| Learned::heads(Judge::Domain(domain)));
        add("domain", "domains", index, &config.name, domain);
    }
    for (index, config) in config.fact_check.iter().enumerate() {
        let class = classes::Class::fact_check(config).map(|class| Learned::heads(Judge::Class(class)));
        add("fact_check", "fact_check", index, &config.name, class);
    }
    for (index, config) in config.user_feedbacks.iter().enumerate() {
        let class = classes::Class::feedback(config).map(|class| Learned::heads(Judge::Feedback(class)));
        add("user_feedback", "user_feedbacks", index, &config.name, class);
    }
    for (index, config) in config.modality.iter().enumerate() {
        let class = classes::Class::modality(config).map(|class| Learned::heads(Judge::Class(class)));
        add("modality", "modality", index, &config.name, class);
    }
    for (index, config) in config.jailbreak.iter().enumerate() {
        let attack = guards::Attack::compile(config).map(|attack| {
            let need = attack.need();
            Learned::of(Judge::Attack(attack), need)
        });
        add("jailbreak", "jailbreak", index, &config.name, attack);
    }
    for (index, config) in config.safety.iter().enumerate() {
        let harm = guards::Harm::compile(config).map(|harm| Learned::heads(Judge::Harm(harm)));
        add("safety", "safety", index, &config.name, harm);
    }
    for (index, config) in config.pii.iter().enumerate() {
        let about = if config.include_history {
            About::Conversation
        } else {
            About::User
        };
        let pii = Learned::of(Judge::Pii(guards::Pii::new(config)), Need::Heads(about));
        add("pii", "pii", index, &config.name, Ok(pii));
    }
    for (index, config) in config.embeddings.iter().enumerate() {
        let about = match config.query_modality {
            None | Some(QueryModality::Text) => About::User,
            Some(QueryModality::Image) => About::Image,
            Some(QueryModality::Audio) => About::Audio,
        };
        let embedding = likeness::Embedding::compile(config)
            .map(|embedding| Learned::of(Judge::Embedding(embedding), Need::Embedding(about)));
        add("embedding", "embeddings", index, &config.name, embedding);
    }
    let all = likeness::Preferences::new(&config.preferences);
    for (index, config) in config.preferences.iter().enumerate() {
        let preference = likeness::Preference::compile(&all, index, config);
        let preference = preference.map(|preference| Learned::vectors(Judge::Preference(preference)));
        add("preference", "preferences", index, &config.name, preference);
    }
    for (index, config) in config.reasks.iter().enumerate() {
        let reask = Judge::Reask(likeness::Reask::new(config));
        let reask = Learned::of(reask, Need::Embedding(About::Conversation));
        add("reask", "reasks", index, &config.name, Ok(reask));
    }
    compile_complexity(config, add);
}

/// The domains that rules may name without their being declared.
pub(crate) fn domain_names() -> &'static [&'static str] {
    &classes::DOMAINS
}

/// Each is three signals: easy, medium and hard; by examples, or by the head of difficulty where there are none.
fn compile_complexity(config: &SignalsConfig, add: &mut Add<'_>) {
    use crate::declared::LEVELS;
    for (index, config) in config.complexity.iter().enumerate() {
        let bounds = match likeness::Bounds::compile(config) {
            Ok(bounds) => bounds,
            Err(message) => {
                add("complexity", "complexity", index, &config.name, Err(message));
                continue;
            }
        };
        let examples = likeness::Contrast::of(config);
        for level in LEVELS {
            let name = format!("{}:{level}", config.name);
            let judge = match &examples {
                Some(examples) => Ok(Learned::vectors(Judge::Complexity(likeness::Complexity::new(
                    Arc::clone(examples),
                    bounds,
                    level,
                )))),
                None => classes::Difficulty::compile(config, level)
                    .map(|difficulty| Learned::heads(Judge::Difficulty(difficulty))),
            };
            add("complexity", "complexity", index, &name, judge);
        }
    }
}

/// What is wrong with a signal.
pub(super) fn wrong(collection: &str, index: usize, message: String) -> SignalError {
    SignalError {
        path: format!("signals.{collection}[{index}]"),
        message,
    }
}

/// The known name that looks most like this one, for messages.
fn near<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    let best = known
        .max_by(|left, right| strsim::jaro_winkler(name, left).total_cmp(&strsim::jaro_winkler(name, right)));
    best.map_or_else(String::new, |best| format!("; is {best:?} meant?"))
}

/// A probability that is at least as great as wanted.
fn reading(probability: f64, least: f64) -> Reading {
    Reading {
        matched: probability >= least,
        confidence: probability,
        value: probability,
    }
}
