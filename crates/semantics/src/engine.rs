//! The understanding engine: one tokenization and one pass of a text feed every head; a first stage answers what it is sure
//! of, and the encoder is asked for the rest.

mod beside;
mod bundle;
mod joint;
mod pair;
mod states;

use serde::Deserialize;

use crate::classify::{
    Answer, Head, NgramModel, NgramRoom, Reads, Span, SpanTally, Sure, Tagger, Tally, joined,
};
use crate::encoder::Encoder;
use crate::kernels::{Codes, Machine};
use crate::load::normalise;
use crate::passage::{self, Cut, Room, Wanted};
use crate::service::Reader;
use crate::tokenize::{Pieces, Token, Tokenizer};

pub use beside::Beside;
pub use joint::{Joint, Source};
pub use states::State;

/// How a head's two stages work together.
#[derive(Debug, Clone, PartialEq)]
pub struct Cascade {
    /// The head of the first stage that says the same, as a place among them.
    pub first: Option<usize>,
    /// When that answer stands.
    pub sure: Sure,
    /// How much of its logits is added to the encoder's, where nothing is said of how both are joined.
    pub share: f32,
    /// How they are joined, with those of other heads.
    pub joint: Option<Joint>,
    /// How it listens to the n-grams beside both stages.
    pub beside: Option<Beside>,
}

/// The rows that make an embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embedding {
    /// Behind how many blocks.
    pub exit: usize,
    /// Which rows.
    pub reads: Reads,
}

/// A named tagger with its threshold.
#[derive(Debug, Clone)]
pub struct NamedTagger {
    /// Its name.
    pub name: String,
    /// The tagger.
    pub tagger: Tagger,
    /// The least probability of a span's tokens.
    pub threshold: f32,
}

/// Everything that was loaded, ready to read texts.
#[derive(Debug)]
pub struct Engine {
    tokenizer: Tokenizer,
    encoder: Encoder,
    heads: Vec<(Head, Cascade)>,
    taggers: Vec<NamedTagger>,
    embedding: Option<Embedding>,
    ngrams: Option<NgramModel>,
    /// N-grams for what both stages hardly read: languages other than English.
    beside: Option<NgramModel>,
    machine: Machine,
    cut: Cut,
}

/// What is asked of a text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// Places of heads.
    pub heads: Vec<usize>,
    /// Spans are wanted.
    pub spans: bool,
    /// The embedding is wanted.
    pub embedding: bool,
    /// The encoder reads it, however sure the first stage is.
    pub thorough: bool,
}

/// Which stage an answer is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// N-grams.
    First,
    /// The encoder.
    Encoder,
}

/// A span with its tagger's place.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Which tagger.
    pub tagger: usize,
    /// What it found.
    pub span: Span,
}

/// What was understood of a text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// For each head that was asked: its place, its answer, and where that is from.
    pub answers: Vec<(usize, Answer, Stage)>,
    /// In the order of the text.
    pub spans: Vec<Found>,
    /// Of length 1.
    pub embedding: Option<Vec<f32>>,
    /// Tokens that the encoder read; 0 if it wasn't asked.
    pub tokens: usize,
    /// The text is longer than the encoder reads.
    pub cut: bool,
}

impl Reading {
    /// Bytes it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let answers = self.answers.iter().map(|(_, answer, _)| {
            size_of::<(usize, Answer, Stage)>()
                + size_of::<f32>() * (answer.logits.capacity() + answer.probabilities.capacity())
        });
        size_of::<Self>()
            + answers.sum::<usize>()
            + size_of::<Found>() * self.spans.capacity()
            + size_of::<f32>() * self.embedding.as_ref().map_or(0, Vec::capacity)
    }
}

/// The most tokens of one text that the encoder reads: half a megabyte of English. What is beyond is told by
/// [`Reading::cut`].
pub const LONGEST_TEXT: usize = 131_072;

/// Room for reading, one for each thread.
#[derive(Debug, Default)]
pub struct EngineRoom {
    passage: Room,
    ngrams: NgramRoom,
    codes: Codes,
}

/// What is gathered of one text while its windows come in.
struct Gathered {
    /// Places of heads that are asked, or that those listen to.
    heads: Vec<usize>,
    tallies: Vec<Tally>,
    spans: Vec<SpanTally>,
    vector: Vec<f32>,
}

impl Engine {
    /// The heads, with how their stages work together.
    #[must_use]
    pub fn heads(&self) -> &[(Head, Cascade)] {
        &self.heads
    }

    /// The place of the head of this name.
    #[must_use]
    pub fn head(&self, name: &str) -> Option<usize> {
        self.heads.iter().position(|(head, _)| head.name == name)
    }

    /// The taggers.
    #[must_use]
    pub fn taggers(&self) -> &[NamedTagger] {
        &self.taggers
    }

    /// Bytes of all weights in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let ngrams = self.ngrams.iter().chain(&self.beside);
        self.encoder.bytes() + ngrams.map(NgramModel::bytes).sum::<usize>()
    }

    /// Uses these instructions from now on.
    pub fn use_machine(&mut self, machine: Machine) {
        self.machine = machine;
    }

    /// Everything that can be asked.
    #[must_use]
    pub fn everything(&self) -> Question {
        Question {
            // The head for pairs says nothing of one text.
            heads: (0..self.heads.len())
                .filter(|place| self.heads[*place].0.name != pair::PAIR)
                .collect(),
            spans: !self.taggers.is_empty(),
            embedding: self.embedding.is_some(),
            thorough: false,
        }
    }

    /// Reads texts: those whose first answers don't stand go through the encoder together.
    #[must_use]
    pub fn read(&self, texts: &[(&str, &Question)], room: &mut EngineRoom) -> Vec<Reading> {
        let mut readings = Vec::with_capacity(texts.len());
        let mut waiting = Vec::new();
        let mut firsts = Vec::new();
        for (index, (text, question)) in texts.iter().enumerate() {
            let first = self
                .ngrams
                .as_ref()
                .map(|model| model.read(text, &mut room.ngrams))
                .unwrap_or_default();
            let reading = self.first_reading(question, &first);
            if reading.is_none() {
                waiting.push(index);
            }
            readings.push(reading.unwrap_or_default());
            firsts.push(first);
        }
        let pieces: Vec<Pieces> = waiting
            .iter()
            .map(|index| self.tokenizer.pieces(texts[*index].0, LONGEST_TEXT))
            .collect();
        let asked: Vec<&Question> = waiting.iter().map(|index| texts[*index].1).collect();
        let gathered = self.gather(&pieces, &asked, room);
        for ((index, pieces), gathered) in waiting.into_iter().zip(&pieces).zip(gathered) {
            readings[index] = self.reading(texts[index], pieces, gathered, &firsts[index]);
        }
        for ((text, _), reading) in texts.iter().zip(&mut readings) {
            self.read_beside(text, reading, &mut room.ngrams);
        }
        readings
    }

    /// The first stage's answers, if all that is asked are heads whose first answers stand.
    fn first_reading(&self, question: &Question, first: &[Answer]) -> Option<Reading> {
        if question.spans || question.embedding || question.thorough {
            return None;
        }
        let mut reading = Reading::default();
        for place in &question.heads {
            let Some((_, cascade)) = self.heads.get(*place) else {
                continue;
            };
            let answer = first.get(cascade.first?)?;
            if !cascade.sure.stands(answer) {
                return None;
            }
            reading.answers.push((*place, answer.clone(), Stage::First));
        }
        Some(reading)
    }

    /// The heads that are asked, then those that they listen to.
    fn needed(&self, question: &Question) -> Vec<usize> {
        let mut needed: Vec<usize> = question.heads.clone();
        let joints = question
            .heads
            .iter()
            .filter_map(|place| self.heads.get(*place)?.1.joint.as_ref());
        for place in joints.flat_map(Joint::heads) {
            if !needed.contains(&place) {
                needed.push(place);
            }
        }
        needed
    }

    /// Exits that these questions need, going up.
    fn exits(&self, gathered: &[Gathered], asked: &[&Question]) -> Vec<usize> {
        let heads = gathered.iter().flat_map(|gathered| &gathered.heads);
        let mut exits: Vec<usize> = heads
            .filter_map(|place| self.heads.get(*place))
            .map(|(head, _)| head.exit)
            .collect();
        if asked.iter().any(|question| question.spans) {
            exits.extend(self.taggers.iter().map(|named| named.tagger.exit));
        }
        if let (Some(embedding), true) = (self.embedding, asked.iter().any(|question| question.embedding)) {
            exits.push(embedding.exit);
        }
        exits.sort_unstable();
        exits.dedup();
        exits
    }

    fn gather(&self, pieces: &[Pieces], asked: &[&Question], room: &mut EngineRoom) -> Vec<Gathered> {
        let mut gathered: Vec<Gathered> = pieces
            .iter()
            .zip(asked)
            .map(|(pieces, question)| {
                let heads = self.needed(question);
                Gathered {
                    tallies: vec![Tally::default(); heads.len()],
                    heads,
                    spans: if question.spans {
                        let each = self.taggers.iter();
                        each.map(|named| SpanTally::new(pieces.tokens.len(), named.tagger.classes.count()))
                            .collect()
                    } else {
                        Vec::new()
                    },
                    vector: Vec::new(),
                }
            })
            .collect();
        let exits = self.exits(&gathered, asked);
        if exits.is_empty() {
            return gathered;
        }
        let tokens: Vec<&[Token]> = pieces.iter().map(|pieces| pieces.tokens.as_slice()).collect();
        let wanted = Wanted {
            exits: &exits,
            machine: self.machine,
        };
        let codes = &mut room.codes;
        let frame = self.tokenizer.frame();
        passage::encode(
            &self.encoder,
            frame,
            &tokens,
            (self.cut, wanted),
            &mut room.passage,
            |window, exit, rows| {
                let part = (asked[window.text], window.tokens.start, window.tokens.len());
                self.note(part, (exits[exit], rows), &mut gathered[window.text], codes);
            },
        );
        gathered
    }

    /// Takes what every head that reads here says of one window.
    #[allow(clippy::cast_precision_loss, reason = "windows are short")]
    fn note(
        &self,
        (question, start, count): (&Question, usize, usize),
        (exit, rows): (usize, &[f32]),
        gathered: &mut Gathered,
        codes: &mut Codes,
    ) {
        let width = self.encoder.width;
        let frame = self.tokenizer.frame();
        let edges = (frame.before.len(), frame.after.len());
        // Heads that read the same rows share them.
        let mut read: [Option<Vec<f32>>; 4] = [None, None, None, None];
        for (place, tally) in gathered.heads.iter().zip(&mut gathered.tallies) {
            let Some((head, _)) = self.heads.get(*place).filter(|(head, _)| head.exit == exit) else {
                continue;
            };
            let rows = read[head.reads as usize].get_or_insert_with(|| head.reads.read(rows, width, edges));
            tally.add(&head.logits(self.machine, rows, codes), count);
        }
        let content = rows
            .get(edges.0 * width..(edges.0 + count) * width)
            .unwrap_or_default();
        for (named, tally) in self.taggers.iter().zip(&mut gathered.spans) {
            if named.tagger.exit == exit {
                tally.add(start, &named.tagger.logits(self.machine, content, codes));
            }
        }
        if let Some(embedding) = self
            .embedding
            .filter(|embedding| question.embedding && embedding.exit == exit)
        {
            let rows = read[embedding.reads as usize]
                .get_or_insert_with(|| embedding.reads.read(rows, width, edges));
            gathered.vector.resize(rows.len(), 0.0);
            let weight = count.max(1) as f32;
            gathered
                .vector
                .iter_mut()
                .zip(rows)
                .for_each(|(sum, value)| *sum += weight * *value);
        }
    }

    /// What a head says, out of both stages: `said` has the logits of the encoder's heads at `places`.
    fn joined_answer(
        &self,
        place: usize,
        (places, said): (&[usize], &[Vec<f32>]),
        first: &[Answer],
    ) -> Option<Answer> {
        let (head, cascade) = self.heads.get(place)?;
        let of = |place: usize| {
            let at = places.iter().position(|known| *known == place)?;
            said.get(at).map(Vec::as_slice)
        };
        let before = |place: usize| first.get(place).map(|answer| answer.logits.as_slice());
        let weighed = cascade.joint.as_ref().and_then(|joint| {
            joint.logits(|source| match source.stage {
                Stage::First => before(source.place),
                Stage::Encoder => of(source.place),
            })
        });
        let logits = match (weighed, cascade.first.and_then(before)) {
            (Some(logits), _) => logits,
            (None, Some(first)) => joined(of(place)?, first, cascade.share),
            (None, None) => of(place)?.to_vec(),
        };
        Some(Answer {
            probabilities: head.calibration.apply(&logits),
            logits,
        })
    }

    fn reading(
        &self,
        (text, question): (&str, &Question),
        pieces: &Pieces,
        gathered: Gathered,
        first: &[Answer],
    ) -> Reading {
        let mut reading = Reading {
            tokens: pieces.tokens.len(),
            cut: pieces.cut,
            ..Reading::default()
        };
        let said: Vec<Vec<f32>> = gathered
            .heads
            .iter()
            .zip(&gathered.tallies)
            .map(|(place, tally)| {
                let head = self.heads.get(*place);
                head.map_or_else(Vec::new, |(head, _)| tally.logits(head.across))
            })
            .collect();
        for place in &question.heads {
            if let Some(answer) = self.joined_answer(*place, (&gathered.heads, &said), first) {
                reading.answers.push((*place, answer, Stage::Encoder));
            }
        }
        for (tagger, (named, tally)) in self.taggers.iter().zip(&gathered.spans).enumerate() {
            let spans = named
                .tagger
                .classes
                .spans(text, &pieces.tokens, tally.logits(), named.threshold);
            reading
                .spans
                .extend(spans.into_iter().map(|span| Found { tagger, span }));
        }
        reading
            .spans
            .sort_by_key(|found| (found.span.start, found.span.end));
        if question.embedding && self.embedding.is_some() {
            let mut vector = gathered.vector;
            normalise(self.machine, &mut vector);
            reading.embedding = Some(vector);
        }
        reading
    }
}

impl Reader for Engine {
    type Question = Question;
    type Reading = Reading;
    type Room = EngineRoom;

    fn read(&self, texts: &[(&str, &Question)], room: &mut EngineRoom) -> Vec<Reading> {
        Self::read(self, texts, room)
    }

    fn bytes(&self, reading: &Reading) -> usize {
        reading.bytes()
    }
}
