//! Which words of an answer does its context not support?
//!
//! Every word is held against what the answer may go by: whether it occurs, or one that means the same, or a number that
//! rounds to it; where, beside what, and whether something is denied there; and how much of its clause and sentence is
//! found. A small trained network makes a probability of that, and neighbouring words become spans. No encoder is asked, so
//! judging takes microseconds and cannot fail. What it can't know: whether a claim follows from the context by reasoning, and
//! whether it is true.
//!
//! Time is linear in both texts, and bounded: 65,536 words of a context and 8,192 of an answer are read.

mod context;
mod features;
mod head;
mod numbers;
mod spans;
mod words;

use std::ops::Range;
use std::sync::{Arc, LazyLock};

pub use context::Context;
pub use features::FEATURES;

use crate::error::LoadError;
use crate::similar::Lexicon;
use features::Looking;
use head::Head;
use words::Text;

/// Words of an answer that are judged.
const MOST_WORDS: usize = 8_192;

/// How sure one wants to be: the share of grounded answers in which some span is reported all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Point {
    /// One in a hundred.
    OneInHundred,
    /// Three in a hundred.
    #[default]
    ThreeInHundred,
    /// Ten in a hundred.
    TenInHundred,
}

impl Point {
    /// All, from the surest.
    pub const ALL: [Self; 3] = [Self::OneInHundred, Self::ThreeInHundred, Self::TenInHundred];

    /// Its name, as in the file of weights and in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneInHundred => "fpr_1pct",
            Self::ThreeInHundred => "fpr_3pct",
            Self::TenInHundred => "fpr_10pct",
        }
    }

    /// The point of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|point| point.name() == name)
    }
}

/// How a span stands to the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The context says something else in its place: another number, an opposite, a denial more or fewer.
    Contradicted,
    /// The context has nothing of it.
    NotFound,
}

impl Standing {
    /// As it is told.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contradicted => "contradiction",
            Self::NotFound => "neutral",
        }
    }
}

/// A part of an answer that nothing supports.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsupported {
    /// Its bytes in the answer.
    pub at: Range<usize>,
    /// The highest probability among its words.
    pub confidence: f32,
    /// How it stands to the context.
    pub standing: Standing,
}

/// What was found in an answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Judged {
    /// In the order of the answer.
    pub spans: Vec<Unsupported>,
    /// The answer has more words than were judged.
    pub cut: bool,
}

impl Judged {
    /// Whether everything is supported.
    #[must_use]
    pub fn is_grounded(&self) -> bool {
        self.spans.is_empty()
    }

    /// How sure it is of its surest span; 0 where there is none.
    #[must_use]
    pub fn confidence(&self) -> f32 {
        self.spans.iter().map(|span| span.confidence).fold(0.0, f32::max)
    }
}

/// Lists and network, ready to judge.
#[derive(Debug)]
pub struct Detector {
    lexicon: Lexicon,
    head: Head,
}

static SHIPPED: LazyLock<Result<Arc<Detector>, LoadError>> = LazyLock::new(|| {
    let bytes = include_bytes!("grounded/data/grounded.weights");
    Detector::with("grounded.weights", bytes).map(Arc::new)
});

impl Detector {
    /// The one that ships; made once.
    ///
    /// # Errors
    ///
    /// If what ships is damaged.
    pub fn shipped() -> Result<Arc<Self>, &'static LoadError> {
        SHIPPED.as_ref().map(Arc::clone)
    }

    /// One with a file of weights.
    ///
    /// # Errors
    ///
    /// If the file is damaged, or knows other features than [`FEATURES`], or the lists that ship are damaged.
    pub fn with(file: &str, bytes: &[u8]) -> Result<Self, LoadError> {
        Ok(Self {
            lexicon: Lexicon::shipped()?,
            head: Head::read(file, bytes)?,
        })
    }

    /// Reads what answers may go by; worth keeping for several.
    #[must_use]
    pub fn read<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> Context {
        Context::read(&self.lexicon, texts)
    }

    /// Which parts of an answer to `question` nothing in the context supports. What the question says itself may be said
    /// again. With an empty context nothing can be judged, and nothing is reported.
    #[must_use]
    pub fn judge(&self, context: &Context, question: &Context, answer: &str, point: Point) -> Judged {
        let Some(thresholds) = self.head.thresholds(point.name()) else {
            return Judged::default();
        };
        if context.is_empty() {
            return Judged::default();
        }
        let text = Text::read(&self.lexicon, answer, MOST_WORDS);
        let rows = self.looking(context, question, &text).rows();
        let chances: Vec<f32> = rows.iter().map(|row| self.head.probability(row)).collect();
        let runs = spans::runs(&text.words, &chances, thresholds);
        let spans = runs.into_iter().filter_map(|run| {
            let (first, last) = (
                text.words.get(run.words.start)?,
                text.words.get(run.words.end - 1)?,
            );
            Some(Unsupported {
                at: first.at.start..last.at.end,
                confidence: run.peak,
                standing: standing(&rows[run.words]),
            })
        });
        Judged {
            spans: spans.collect(),
            cut: text.cut,
        }
    }

    fn looking<'a>(&'a self, context: &'a Context, question: &'a Context, answer: &'a Text) -> Looking<'a> {
        Looking {
            lexicon: &self.lexicon,
            context,
            question,
            answer,
        }
    }
}

/// A word of an answer, for fitting: its bytes, whether it is a small one, and its features in their order.
pub type Described = (Range<usize>, bool, Vec<f32>);

/// What is known of each word of an answer, for fitting the network: its bytes, and the features in their order.
///
/// # Errors
///
/// If the lists that ship are damaged.
pub fn features(context: &[&str], question: &str, answer: &str) -> Result<Vec<Described>, LoadError> {
    static LISTS: LazyLock<Result<Lexicon, LoadError>> = LazyLock::new(Lexicon::shipped);
    let lexicon = LISTS
        .as_ref()
        .map_err(|error| LoadError::malformed("lists", error.to_string()))?;
    let context = Context::read(lexicon, context.iter().copied());
    let question = Context::read(lexicon, [question]);
    let answer = Text::read(lexicon, answer, MOST_WORDS);
    let looking = Looking {
        lexicon,
        context: &context,
        question: &question,
        answer: &answer,
    };
    let rows = looking.rows();
    let small = |word: &words::Word| word.look.small && !word.look.denies;
    let each = answer.words.iter().zip(rows);
    Ok(each
        .map(|(word, row)| (word.at.clone(), small(word), row.to_vec()))
        .collect())
}

/// How a span stands to its context, by what is known of its words.
fn standing(rows: &[features::Row]) -> Standing {
    let named = |name: &str| FEATURES.iter().position(|feature| *feature == name);
    let telling = [
        "excluded",
        "other_number",
        "denial_new",
        "denial_lost",
        "denial_here",
        "unit_differs",
    ];
    let telling: Vec<usize> = telling.iter().filter_map(|name| named(name)).collect();
    let small = named("small");
    let says = rows
        .iter()
        .filter(|row| small.is_none_or(|small| row[small] == 0.0))
        .count();
    let against = rows.iter().filter(|row| telling.iter().any(|at| row[*at] > 0.0));
    // A number among many words that nobody said contradicts nothing.
    if 3 * against.count() >= says.max(1) {
        Standing::Contradicted
    } else {
        Standing::NotFound
    }
}
