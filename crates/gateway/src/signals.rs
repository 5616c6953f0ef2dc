//! Signals that models answer: what the router asks is asked, step by step, until it is settled.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use pointsman_routing::selection::HelperQuestion;
use pointsman_routing::{
    About, Answers, Asks, Call, Classifier, ClassifierBy, Deciding, Facts, Meaning, Readings, Router, Step,
    Want,
};
use pointsman_understanding::{Ask, Failed, Medium, Remotes, SHIPPED, Understanding, Understood, Wanted};
use tokio::sync::OnceCell;

/// Vectors by their texts.
type Vectors = HashMap<Arc<str>, Vec<f32>>;

/// Examples that a router compares texts with; their vectors are worked out when they are first wanted.
#[derive(Default)]
pub struct Examples {
    texts: Vec<Arc<str>>,
    vectors: OnceCell<Vectors>,
    /// Those that are compared with images, and with sound.
    media: [(Vec<Arc<str>>, OnceCell<Vectors>); 2],
}

impl Examples {
    /// Those of a router.
    #[must_use]
    pub fn of(router: &Router) -> Self {
        let of_media = |about| {
            let texts = router.media_examples(about).into_iter().map(Arc::from);
            (texts.collect(), OnceCell::new())
        };
        Self {
            texts: router.examples().into_iter().map(Arc::from).collect(),
            vectors: OnceCell::new(),
            media: [About::Image, About::Audio].map(of_media),
        }
    }

    /// Those that are compared with a medium, by the model that reads both.
    async fn of_media(&self, medium: Medium, name: &str, models: &Models<'_>) -> Result<&Vectors, Failed> {
        let [image, audio] = &self.media;
        let (texts, vectors) = match medium {
            Medium::Image => image,
            Medium::Audio => audio,
        };
        let embed = || async {
            let embedded = models
                .understanding
                .embed(name, texts.clone(), None, models.remotes);
            let each = embedded.await?.vectors.into_iter().map(of_length_one);
            Ok(texts.iter().cloned().zip(each).collect())
        };
        vectors.get_or_try_init(embed).await
    }

    async fn vectors(&self, models: &Models<'_>) -> Result<&Vectors, Failed> {
        let embed = || async {
            let texts = self.texts.clone();
            let embedded = models
                .understanding
                .embed(SHIPPED.name, texts, None, models.remotes);
            let vectors = embedded.await?.vectors;
            Ok(self.texts.iter().cloned().zip(vectors).collect())
        };
        self.vectors.get_or_try_init(embed).await
    }
}

/// A vector of a model elsewhere, of length 1.
fn of_length_one(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    if length.is_finite() && length > 0.0 {
        vector.iter_mut().for_each(|number| *number /= length);
    }
    vector
}

/// Whoever reads texts for a router.
pub struct Models<'a> {
    /// The models.
    pub understanding: &'a Understanding,
    /// How those at providers are reached.
    pub remotes: &'a dyn Remotes,
    /// The router's examples.
    pub examples: &'a Examples,
    /// How helpers that pick are asked; they are not, where there is none.
    pub helper: Option<&'a dyn Helper>,
}

/// Asks a helper that picks among the models of a decision.
pub trait Helper: Sync {
    /// What it answers; none where it could not be asked, or did not answer in time.
    fn ask(&self, question: HelperQuestion) -> BoxFuture<'_, Option<String>>;
}

/// Shows a router what it may judge by. Facts are borrowed: they are shown anew for each step.
pub trait Shows {
    /// Shows them.
    fn show<T>(&self, judge: impl FnOnce(Facts<'_>) -> T) -> T;
}

/// What was answered to one call.
struct Answered<'a> {
    read: Vec<(Arc<str>, Understood)>,
    /// For each head the most that any text reaches.
    labels: HashMap<String, Vec<(String, f32)>>,
    examples: Option<&'a Vectors>,
    /// Of images and sound, by their addresses.
    seen: Vectors,
}

impl fmt::Debug for Answered<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Answered")
    }
}

impl Meaning for Answered<'_> {
    fn vector(&self, text: &str) -> Option<&[f32]> {
        Answers::vector(self, text)
    }

    fn domains(&self) -> Option<&[(String, f32)]> {
        self.labels("domain")
    }
}

impl Answers for Answered<'_> {
    fn labels(&self, head: &str) -> Option<&[(String, f32)]> {
        self.labels.get(head).map(Vec::as_slice)
    }

    fn point(&self, head: &str, name: &str) -> Option<(&str, f32)> {
        let (_, read) = self.read.first()?;
        let point = read.head(head)?.point(name)?;
        Some((&point.label, point.threshold))
    }

    fn entities(&self) -> Vec<(&str, f32)> {
        let found = self.read.iter().flat_map(|(_, read)| &read.entities);
        found
            .map(|entity| (entity.kind.as_str(), entity.probability))
            .collect()
    }

    fn vector(&self, text: &str) -> Option<&[f32]> {
        let own = self.read.iter().find(|(known, _)| **known == *text);
        let own = own.and_then(|(_, read)| read.embedding.as_deref());
        let own = own.or_else(|| self.seen.get(text).map(Vec::as_slice));
        own.or_else(|| self.examples?.get(text).map(Vec::as_slice))
    }
}

impl<'a> Models<'a> {
    /// Answers to one call; as far as they are there, where not all are.
    async fn answer(&'a self, asks: &Asks) -> Answered<'a> {
        let ask = Ask {
            heads: match asks.heads.is_empty() {
                true => Wanted::None,
                false => Wanted::Named(asks.heads.iter().map(|head| (*head).to_owned()).collect()),
            },
            entities: asks.entities,
            embedding: asks.vectors,
            ..Ask::default()
        };
        let mut answered = Answered {
            read: Vec::with_capacity(asks.texts.len()),
            labels: HashMap::new(),
            examples: None,
            seen: Vectors::new(),
        };
        if let Some(classifier) = &asks.classifier {
            if let Some(labels) = self.classified(classifier, asks).await {
                answered.labels.insert(classifier.name.clone(), labels);
            }
            return answered;
        }
        if let Some(about) = asks.media {
            self.see(about, asks, &mut answered).await;
            return answered;
        }
        if asks.vectors {
            match self.examples.vectors(self).await {
                Ok(vectors) => answered.examples = Some(vectors),
                Err(error) => tracing::warn!(%error, "examples of signals could not be read"),
            }
        }
        for text in &asks.texts {
            match self.understanding.read(text, &ask, self.remotes).await {
                Ok(read) => answered.take(text, &asks.heads, read),
                Err(error) => tracing::warn!(%error, "a signal could not be computed: it does not match"),
            }
        }
        answered
    }
}

impl<'a> Models<'a> {
    /// What a classifier of one's own says of a text; none where nobody can be asked, or the answer makes no sense.
    async fn classified(&self, classifier: &Classifier, asks: &Asks) -> Option<Vec<(String, f32)>> {
        let text = asks.texts.first()?;
        let labels = match &classifier.by {
            ClassifierBy::Model(model) => {
                let read = self
                    .understanding
                    .classify(model, Arc::clone(text), self.remotes)
                    .await;
                match read {
                    Ok(classes) => Some(classes.labels),
                    Err(error) => {
                        tracing::warn!(%error, classifier = classifier.name, "a classifier could not be asked");
                        return None;
                    }
                }
            }
            ClassifierBy::Helper { .. } => {
                let answer = self.helper?.ask(classifier.question(text)?).await?;
                classifier.scores(&answer)
            }
        };
        let known = |labels: &Vec<(String, f32)>| {
            let named = |wanted: &String| labels.iter().any(|(label, _)| label == wanted);
            classifier.labels.iter().all(named)
        };
        let labels = labels.filter(known);
        if labels.is_none() {
            tracing::warn!(
                classifier = classifier.name,
                "a classifier's answer does not have its labels"
            );
        }
        labels
    }

    /// Reads images or sound, and what they are compared with; nothing of it where there are none.
    async fn see(&'a self, about: About, asks: &Asks, answered: &mut Answered<'a>) {
        if asks.texts.is_empty() {
            return;
        }
        let medium = match about {
            About::Audio => Medium::Audio,
            _ => Medium::Image,
        };
        let Some(name) = self.understanding.reader_of(medium) else {
            tracing::warn!(
                medium = medium.name(),
                "no model of understanding.models reads this: signals that compare it do not match"
            );
            return;
        };
        match self.examples.of_media(medium, name, self).await {
            Ok(vectors) => answered.examples = Some(vectors),
            Err(error) => return tracing::warn!(%error, "examples of signals could not be read"),
        }
        for address in &asks.texts {
            let what = (medium, Arc::clone(address));
            match self.understanding.see(name, what, self.remotes).await {
                Ok(read) => {
                    let vector = read.vectors.into_iter().next().map(of_length_one);
                    answered
                        .seen
                        .extend(vector.map(|vector| (Arc::clone(address), vector)));
                }
                Err(error) => tracing::warn!(%error, "a signal could not be computed: it does not match"),
            }
        }
    }
}

impl Answered<'_> {
    fn take(&mut self, text: &Arc<str>, heads: &[&'static str], read: Understood) {
        for head in heads {
            let Some(answer) = read.head(head) else { continue };
            let known = self.labels.entry((*head).to_owned()).or_default();
            if known.is_empty() {
                known.clone_from(&answer.probabilities);
                continue;
            }
            for ((_, most), (_, probability)) in known.iter_mut().zip(&answer.probabilities) {
                *most = most.max(*probability);
            }
        }
        self.read.push((Arc::clone(text), read));
    }
}

/// Decides, asking whom it needs; `finish` tells what came of it.
pub async fn decide<'r, T>(
    (router, want): (&'r Router, Want),
    models: &Models<'_>,
    facts: &impl Shows,
    finish: impl FnOnce(&Deciding<'r, '_>) -> T,
) -> T {
    // Most decisions need nobody, and are taken at the first look.
    let begun = facts.show(|facts| {
        let deciding = router.deciding(facts, want);
        match deciding.step() {
            Step::Settled if deciding.meaning().is_empty() && deciding.helper().is_none() => {
                Ok(finish(&deciding))
            }
            _ => Err((finish, deciding.pause())),
        }
    });
    let (finish, readings) = match begun {
        Ok(done) => return done,
        Err(rest) => rest,
    };
    let readings = settle((router, want), models, facts, readings).await;
    let (asks, question, readings) = facts.show(|facts| {
        let settled = router.resume(facts, want, readings);
        (settled.meaning(), settled.helper(), settled.pause())
    });
    // Most selections go by nothing that has to be read.
    let read = match asks.is_empty() {
        false => Some(models.answer(&asks).await),
        true => None,
    };
    let picked = match (question, models.helper) {
        (Some(question), Some(helper)) => helper.ask(question).await,
        _ => None,
    };
    facts.show(|facts| {
        let facts = Facts {
            helper: picked.as_deref(),
            meaning: read.as_ref().map(|read| -> &dyn Meaning { read }),
            ..facts
        };
        finish(&router.resume(facts, want, readings))
    })
}

/// Asks until it is settled, and says what is then known. Who cannot be asked counts as having said nothing.
async fn settle(
    (router, want): (&Router, Want),
    models: &Models<'_>,
    facts: &impl Shows,
    mut known: Readings,
) -> Readings {
    let mut answers: Vec<(Call, Answered<'_>, Duration)> = Vec::new();
    loop {
        let (calls, readings) = facts.show(|facts| {
            let mut deciding = router.resume(facts, want, known);
            for (call, answered, took) in answers.drain(..) {
                deciding.answered(&call, &answered, took);
            }
            let asks = |call: Call| (deciding.asks(&call), call);
            let calls: Vec<(Asks, Call)> = match deciding.step() {
                Step::Ask(calls) => calls.into_iter().map(asks).collect(),
                Step::Settled => Vec::new(),
            };
            (calls, deciding.pause())
        });
        if calls.is_empty() {
            return readings;
        }
        known = readings;
        for (asks, call) in calls {
            let begun = Instant::now();
            let answered = models.answer(&asks).await;
            answers.push((call, answered, begun.elapsed()));
        }
    }
}
