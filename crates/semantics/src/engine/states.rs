//! What the encoder makes of texts, for those who fit heads on it: training and measuring. No answer is made here.

use super::{Engine, EngineRoom};
use crate::classify::Answer;
use crate::passage::{self, Wanted, Window};
use crate::tokenize::{Pieces, Token};

/// One window of a text, as the heads see it.
#[derive(Debug)]
pub struct State<'a> {
    /// Which of the texts, and which of its tokens.
    pub window: &'a Window,
    /// Behind how many blocks.
    pub exit: usize,
    /// A row for each token, those of the frame in front and behind included.
    pub rows: &'a [f32],
}

impl Engine {
    /// The tokens of a text.
    #[must_use]
    pub fn pieces(&self, text: &str) -> Pieces {
        self.tokenizer.pieces(text, super::LONGEST_TEXT)
    }

    /// Columns of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.encoder.width
    }

    /// What the first stage's heads say of a text, in their order, and their names.
    #[must_use]
    pub fn first_answers(&self, text: &str, room: &mut EngineRoom) -> Vec<(&str, Answer)> {
        let Some(model) = &self.ngrams else {
            return Vec::new();
        };
        let answers = model.read(text, &mut room.ngrams);
        let names = model.heads().iter().map(|head| head.name.as_str());
        names.zip(answers).collect()
    }

    /// What the heads beside both stages say of a text, in their order, and their names.
    #[must_use]
    pub fn beside_answers(&self, text: &str, room: &mut EngineRoom) -> Vec<(&str, Answer)> {
        let Some(model) = &self.beside else {
            return Vec::new();
        };
        let answers = model.read(text, &mut room.ngrams);
        let names = model.heads().iter().map(|head| head.name.as_str());
        names.zip(answers).collect()
    }

    /// The buckets of n-grams of each stretch of a text, and the stretch's bytes.
    #[must_use]
    pub fn buckets(&self, text: &str, room: &mut EngineRoom) -> Vec<(usize, Vec<u32>)> {
        let model = self.ngrams.as_ref();
        model.map_or_else(Vec::new, |model| model.buckets(text, &mut room.ngrams))
    }

    /// Sends texts through the encoder and hands on the rows of each window behind each of the `exits`, which go up.
    pub fn states(
        &self,
        texts: &[&[Token]],
        exits: &[usize],
        room: &mut EngineRoom,
        mut each: impl FnMut(&State<'_>),
    ) {
        let wanted = Wanted {
            exits,
            machine: self.machine,
        };
        let frame = self.tokenizer.frame();
        passage::encode(
            &self.encoder,
            frame,
            texts,
            (self.cut, wanted),
            &mut room.passage,
            |window, exit, rows| {
                each(&State {
                    window,
                    exit: exits[exit],
                    rows,
                });
            },
        );
    }
}
