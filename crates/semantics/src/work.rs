//! Steps, counted while tests run: what must grow linearly with a text is counted there, never timed. Elsewhere it is nothing.

/// So many steps were made.
#[cfg(not(test))]
#[inline]
pub fn note(_steps: usize) {}

#[cfg(test)]
pub use counting::note;

#[cfg(test)]
mod counting {
    use std::cell::Cell;

    thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    /// So many steps were made on this thread.
    pub fn note(steps: usize) {
        STEPS.set(STEPS.get() + steps);
    }

    /// How many steps `run` makes.
    pub fn counted(run: impl FnOnce()) -> usize {
        let before = STEPS.get();
        run();
        STEPS.get() - before
    }
}

#[cfg(test)]
mod tests {
    use super::counting::counted;
    use crate::classify::{Across, Calibration, NgramHead, NgramModel, NgramRoom, SpanClasses};
    use crate::tokenize::{Token, Tokenizer, WordPiece, WordPieceOptions, windows};

    /// What texts are made of that someone chose to make us slow: letters without end, accents without letters, characters
    /// that nobody assigned, that fall into many, that join; separators alone.
    const UNITS: [&str; 24] = [
        "a",
        "aaaa ",
        "ab",
        "a b ",
        " ",
        "\n",
        "!",
        "##",
        "[SEP] ",
        "0",
        "é",
        "e\u{301}",
        "\u{300}",
        "\u{301}\u{316}",
        "中",
        "\u{0}",
        "\u{378}",
        "\u{10ffff}",
        "\u{fdfa}",
        "\u{1d160}",
        "İ",
        "\u{200d}",
        "👩‍👩‍👧‍👦",
        "\u{1100}\u{1161}\u{11a8}",
    ];

    fn vocabulary() -> String {
        let mut words = vec!["[PAD]".to_owned(), "[UNK]".into(), "[CLS]".into(), "[SEP]".into()];
        for length in 1..30 {
            words.push("a".repeat(length));
            words.push(format!("##{}", "a".repeat(length)));
            words.push(format!("##{}b", "a".repeat(length)));
        }
        words.extend(["é", "中", "!", "#", "0"].map(str::to_owned));
        words.join("\n")
    }

    /// Steps for the text of `unit` at one size and at four times that: at most four times as many, and never more than
    /// `most` for each byte.
    fn linear(unit: &str, most: usize, mut run: impl FnMut(&str)) {
        let sizes = [60_000, 240_000].map(|bytes| unit.repeat(bytes / unit.len()));
        let [small, large] = sizes.map(|text| (counted(|| run(&text)), text.len()));
        assert!(small.0 > 0, "{unit:?}: nothing was counted");
        assert!(
            large.0 <= small.0 * 9 / 2 + 50_000,
            "{unit:?}: {small:?}, then {large:?}"
        );
        assert!(large.0 <= large.1 * most, "{unit:?}: {large:?}");
    }

    #[test]
    fn wordpiece_makes_linearly_many_steps() {
        for lowercase in [true, false] {
            let options = WordPieceOptions {
                lowercase,
                strip_accents: lowercase,
                ..WordPieceOptions::default()
            };
            let own = WordPiece::from_vocabulary("vocab.txt", &vocabulary(), options).unwrap();
            for unit in UNITS {
                // The longest piece has 32 bytes, and the table of edges is at most half full.
                linear(unit, 200, |text| drop(own.pieces(text, usize::MAX)));
            }
            // One word of ten megabytes is one unknown piece, and hardly looked at.
            let word = "a".repeat(10 << 20);
            let steps = counted(|| {
                let pieces = own.pieces(&word, 100);
                assert_eq!(pieces.tokens.len(), 1);
                assert_eq!(pieces.tokens[0].end as usize, word.len());
            });
            assert!(steps <= 2 * word.len() + 1_000, "{steps}");
        }
    }

    #[test]
    fn ngrams_make_linearly_many_steps() {
        let head = NgramHead {
            name: "guard".into(),
            labels: vec!["a".into(), "b".into()],
            columns: 0..2,
            across: Across::Any,
            calibration: Calibration::Temperature(1.0),
            points: Vec::new(),
        };
        let weights = (vec![1; 2 << 12], vec![0.1; 2], vec![0.0; 2]);
        let model = NgramModel::new(12, &[2, 3, 4, 8], weights, vec![head]).unwrap();
        let mut room = NgramRoom::default();
        for unit in UNITS
            .into_iter()
            .chain([" aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"])
        {
            linear(unit, 200, |text| drop(model.read(text, &mut room)));
        }
    }

    #[test]
    fn a_published_tokenizer_sees_a_text_in_linearly_many_stretches() {
        let described = serde_json::json!({"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
            "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "a": 1}, "unk_token": "[UNK]"}});
        let bytes = serde_json::to_vec(&described).unwrap();
        let own = Tokenizer::from_json("tokenizer.json", &bytes).unwrap();
        // A space in front of what has none behind: the shortest first stretch that there is.
        let odd = format!(" {}", "a".repeat(70_000));
        for unit in UNITS.into_iter().chain([odd.as_str()]) {
            let text = unit.repeat(600_000 / unit.len());
            let steps = counted(|| drop(own.pieces(&text, usize::MAX)));
            assert!(
                steps >= text.len() && steps <= 2 * text.len() + 200_000,
                "{unit:?}: {steps}"
            );
        }
    }

    #[test]
    fn spans_are_put_together_in_linearly_many_steps() {
        let names = ["O", "B-X", "I-X", "B-Y", "I-Y"].map(str::to_owned);
        let classes = SpanClasses::new(&names, Calibration::Temperature(1.0)).unwrap();
        // One word, and in it tokens of every kind, or only its last.
        for pick in [
            |index: usize| 1 + index % 4,
            |index: usize| index % 2,
            |_| 1,
            |index: usize| usize::from(index.is_multiple_of(997)),
        ] {
            linear("a", 60, |text| {
                let tokens: Vec<Token> = (0..text.len() as u32)
                    .step_by(3)
                    .map(|start| Token {
                        id: 0,
                        start,
                        end: (start + 3).min(text.len() as u32),
                    })
                    .collect();
                let logits: Vec<f32> = (0..tokens.len())
                    .flat_map(|index| (0..5).map(move |class| if class == pick(index) { 9.0 } else { 0.0 }))
                    .collect();
                drop(classes.spans(text, &tokens, &logits, 0.5));
            });
        }
    }

    #[test]
    fn windows_read_a_token_no_oftener_than_their_overlap_says() {
        for (size, overlap) in [(126, 16), (510, 64), (14, 4), (3, 2)] {
            for length in [0, 1, 1_000, 131_072] {
                let read: usize = windows(length, size, overlap).map(|range| range.len()).sum();
                assert!(
                    read <= length * size / (size - overlap) + 2 * size,
                    "{size} {overlap} {length}: {read}"
                );
            }
        }
    }
}
