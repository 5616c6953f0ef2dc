//! Two texts read together: the head that says whether they are the same question.

use super::{Engine, EngineRoom};
use crate::encoder::{Scratch, States};

/// The name of the head that reads pairs.
pub const PAIR: &str = "pair";

/// Pairs that go through the encoder together.
const GROUP: usize = 8;

impl Engine {
    /// For each pair, the logarithm of the odds that both are the same question, calibrated. None if the file of weights has
    /// no head of that kind.
    ///
    /// Both stand in one window, `[CLS] first [SEP] second [SEP]`, each cut at half of it, as in training.
    #[must_use]
    pub fn read_pairs(&self, pairs: &[(&str, &str)], room: &mut EngineRoom) -> Option<Vec<f32>> {
        let (head, _) = self.heads.get(self.head(PAIR)?)?;
        let frame = self.tokenizer.frame();
        let window = self.cut.size.min(self.encoder.longest);
        let half = window.saturating_sub(frame.len() + frame.between.len()) / 2;
        let edges = (frame.before.len(), frame.after.len());
        let (mut scratch, mut states) = (Scratch::default(), States::default());
        let mut scores = vec![0.0; pairs.len()];
        for (group, some) in pairs.chunks(GROUP).enumerate() {
            let sequences: Vec<Vec<u32>> = some
                .iter()
                .map(|(first, second)| {
                    let (first, second) = (
                        self.tokenizer.pieces(first, half),
                        self.tokenizer.pieces(second, half),
                    );
                    frame.around_pair(&first.tokens, &second.tokens)
                })
                .collect();
            let sequences: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
            let wanted = ([head.exit], self.machine);
            self.encoder.encode_exits(
                &sequences,
                (&wanted.0, wanted.1),
                &mut scratch,
                &mut states,
                |_, states| {
                    for place in 0..some.len() {
                        let rows = head.reads.read(states.rows(place), self.encoder.width, edges);
                        let logits = head.logits(self.machine, &rows, &mut room.codes);
                        let chance = head.calibration.apply(&logits).first().copied().unwrap_or(0.0);
                        let chance = chance.clamp(1e-6, 1.0 - 1e-6);
                        scores[group * GROUP + place] = (chance / (1.0 - chance)).ln();
                    }
                },
            );
        }
        Some(scores)
    }
}
