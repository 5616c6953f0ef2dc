//! A published model, asked: vectors, classes, spans. Long texts are read whole, in windows of what the model takes.

use super::heads::{Task, normalise};
use super::{Model, Purpose};
use crate::classify::{Across, Calibration, Span, SpanClasses, SpanTally, Tally};
use crate::encoder::{Asked, Scratch, States};
use crate::kernels::{Codes, Machine};
use crate::passage::{self, Cut, Room, Wanted, Window};
use crate::tokenize::Pieces;

/// Why a model has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It is for something else.
    #[error("the model is for {is}, and {wanted} was asked of it")]
    Purpose {
        /// What it is for.
        is: &'static str,
        /// What was wanted.
        wanted: &'static str,
    },
    /// The vector has fewer columns.
    #[error("{asked} dimensions were asked for, and the model has {has}")]
    Dimensions {
        /// As many were asked for.
        asked: usize,
        /// As many there are.
        has: usize,
    },
    /// Labels are not those of spans.
    #[error("the model's labels are not `O`, `B-KIND` and `I-KIND`")]
    Labels,
}

/// Room for asking, one for each thread.
#[derive(Debug, Default)]
pub struct AskRoom {
    passage: Room,
    scratch: Scratch,
    states: States,
    codes: Codes,
}

/// The most tokens of one text that are read.
const LONGEST_TEXT: usize = 131_072;

impl Purpose {
    fn name(&self) -> &'static str {
        match self.task {
            Task::Embed { .. } => "vectors",
            Task::Sequence { .. } => "classes of texts",
            Task::Tokens { .. } => "classes of tokens",
        }
    }
}

impl Model {
    fn wrong(&self, wanted: &'static str) -> AskError {
        AskError::Purpose {
            is: self.purpose.name(),
            wanted,
        }
    }

    /// Reads texts and hands what the model says of each window to `each`.
    fn windows(
        &self,
        pieces: &[Pieces],
        blocks: Option<usize>,
        room: &mut AskRoom,
        mut each: impl FnMut(&Window, Vec<f32>),
    ) {
        let tokens: Vec<_> = pieces.iter().map(|pieces| pieces.tokens.as_slice()).collect();
        let exits = [blocks.unwrap_or(self.encoder.blocks.len())];
        let machine = Machine::detect();
        let wanted = Wanted {
            exits: &exits,
            machine,
        };
        let cut = Cut {
            size: self.encoder.longest,
            overlap: self.encoder.longest / 8,
            ..Cut::default()
        };
        let frame = self.tokenizer.frame();
        let codes = &mut room.codes;
        passage::encode(
            &self.encoder,
            frame,
            &tokens,
            (cut, wanted),
            &mut room.passage,
            |window, _, rows| {
                each(
                    window,
                    self.purpose.apply(machine, rows, self.encoder.width, codes),
                );
            },
        );
    }

    fn pieces(&self, text: &str) -> Pieces {
        self.tokenizer.pieces(text, LONGEST_TEXT)
    }

    /// A vector for each text: of fewer `dimensions` (the first ones, as Matryoshka models allow), or read behind fewer
    /// `blocks`, where that is asked.
    ///
    /// # Errors
    ///
    /// If the model is for something else, or has not as many dimensions.
    #[allow(clippy::cast_precision_loss, reason = "windows are short")]
    pub fn embed(
        &self,
        texts: &[&str],
        (dimensions, blocks): (Option<usize>, Option<usize>),
        room: &mut AskRoom,
    ) -> Result<Vec<Vec<f32>>, AskError> {
        let Task::Embed { normalise: to_length } = self.purpose.task else {
            return Err(self.wrong("a vector"));
        };
        let has = self
            .purpose
            .layers
            .last()
            .map_or(self.encoder.width, |layer| layer.linear.outputs());
        let asked = dimensions.unwrap_or(has);
        if asked == 0 || asked > has {
            return Err(AskError::Dimensions { asked, has });
        }
        let pieces: Vec<Pieces> = texts.iter().map(|text| self.pieces(text)).collect();
        let mut sums = vec![(vec![0.0; has], 0_usize, 0.0_f32); texts.len()];
        self.windows(&pieces, blocks, room, |window, vector| {
            let (sum, count, weight) = &mut sums[window.text];
            let tokens = window.tokens.len().max(1) as f32;
            sum.iter_mut()
                .zip(vector)
                .for_each(|(sum, value)| *sum += tokens * value);
            *count += 1;
            *weight += tokens;
        });
        Ok(sums
            .into_iter()
            .map(|(mut vector, count, weight)| {
                vector.iter_mut().for_each(|value| *value /= weight.max(1.0));
                vector.truncate(asked);
                if to_length && (count > 1 || asked < has) {
                    normalise(Machine::detect(), &mut vector);
                }
                vector
            })
            .collect())
    }

    /// Probabilities of the model's labels for each text. Windows are put together as `across` says.
    ///
    /// # Errors
    ///
    /// If the model is for something else.
    pub fn classify(
        &self,
        texts: &[&str],
        across: Across,
        room: &mut AskRoom,
    ) -> Result<Vec<Vec<f32>>, AskError> {
        let Task::Sequence { .. } = &self.purpose.task else {
            return Err(self.wrong("a class"));
        };
        let calibration = self.calibration();
        let pieces: Vec<Pieces> = texts.iter().map(|text| self.pieces(text)).collect();
        let mut tallies = vec![Tally::default(); texts.len()];
        self.windows(&pieces, None, room, |window, logits| {
            tallies[window.text].add(&logits, window.tokens.len());
        });
        Ok(tallies
            .iter()
            .map(|tally| calibration.apply(&tally.logits(across)))
            .collect())
    }

    /// Probabilities of the model's labels for pairs of texts, such as a premise and what may follow from it. Of a pair that
    /// is too long, the second text keeps half of the room and the first what is left.
    ///
    /// # Errors
    ///
    /// If the model is for something else.
    pub fn classify_pairs(
        &self,
        pairs: &[(&str, &str)],
        room: &mut AskRoom,
    ) -> Result<Vec<Vec<f32>>, AskError> {
        let Task::Sequence { .. } = &self.purpose.task else {
            return Err(self.wrong("a class"));
        };
        let calibration = self.calibration();
        let frame = self.tokenizer.frame();
        let space = self
            .encoder
            .longest
            .saturating_sub(frame.len() + frame.between.len());
        let asked = Asked::default();
        let mut all = Vec::with_capacity(pairs.len());
        for (first, second) in pairs {
            let second = self.tokenizer.pieces(second, space / 2);
            let first = self.tokenizer.pieces(first, space - second.tokens.len());
            let ids = frame.around_pair(&first.tokens, &second.tokens);
            let marked = frame.before.len() + first.tokens.len() + frame.between.len();
            let seconds: &[usize] = if frame.marks_second { &[marked] } else { &[] };
            self.encoder
                .encode_pairs(&[&ids], seconds, asked, &mut room.scratch, &mut room.states);
            let rows = room.states.rows(0);
            let logits = self
                .purpose
                .apply(asked.machine, rows, self.encoder.width, &mut room.codes);
            all.push(calibration.apply(&logits));
        }
        Ok(all)
    }

    /// How logits become probabilities where nothing else was fitted.
    fn calibration(&self) -> Calibration {
        match &self.purpose.task {
            Task::Sequence {
                labels,
                independent: true,
            } => Calibration::Platt(vec![(1.0, 0.0); labels.len()]),
            _ => Calibration::Temperature(1.0),
        }
    }

    /// Spans of a text whose tokens are of a kind with at least `threshold`, and the names of kinds.
    ///
    /// # Errors
    ///
    /// If the model is for something else, or its labels are not those of spans.
    pub fn spans(
        &self,
        text: &str,
        threshold: f32,
        room: &mut AskRoom,
    ) -> Result<(Vec<Span>, Vec<String>), AskError> {
        let Task::Tokens { labels } = &self.purpose.task else {
            return Err(self.wrong("spans"));
        };
        let classes = SpanClasses::new(labels, Calibration::Temperature(1.0)).ok_or(AskError::Labels)?;
        let pieces = self.pieces(text);
        let mut tally = SpanTally::new(pieces.tokens.len(), labels.len());
        let before = self.tokenizer.frame().before.len();
        self.windows(std::slice::from_ref(&pieces), None, room, |window, logits| {
            let content = before * labels.len()..(before + window.tokens.len()) * labels.len();
            tally.add(window.tokens.start, logits.get(content).unwrap_or_default());
        });
        let spans = classes.spans(text, &pieces.tokens, tally.logits(), threshold);
        Ok((spans, classes.kinds))
    }
}
