//! Tokenizers against the library that defines them, over any text; linear time; nothing in a text becomes special.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::collections::HashMap;
use std::sync::LazyLock;

use pointsman_semantics::tokenize::{Tokenizer, WordPiece, WordPieceOptions};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Letters, pieces and special tokens, enough that most words fall apart into pieces.
fn vocabulary() -> Vec<String> {
    let mut words: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        .map(str::to_owned)
        .to_vec();
    for letter in ('a'..='z')
        .chain('0'..='9')
        .chain("éßжя中文的ᄒ!?.,-—()[]{}'\"$".chars())
    {
        words.push(letter.to_string());
        words.push(format!("##{letter}"));
    }
    words.extend(
        [
            "hello", "##llo", "the", "##ing", "##er", "straße", "##aaaa", "aaaa", "sep", "cls", "#", "##",
            "abc", "##cd",
        ]
        .map(str::to_owned),
    );
    words
}

fn described(lowercase: bool, strip: Value) -> Vec<u8> {
    let vocab: HashMap<String, usize> = vocabulary().into_iter().zip(0..).collect();
    serde_json::to_vec(&json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [
            {"id": 2, "content": "[CLS]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
            {"id": 3, "content": "[SEP]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
        ],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": strip, "lowercase": lowercase},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab}
    }))
    .unwrap()
}

fn library(bytes: &[u8]) -> tokenizers::Tokenizer {
    let mut library: tokenizers::Tokenizer = std::str::from_utf8(bytes).unwrap().parse().unwrap();
    library.set_encode_special_tokens(true);
    library
}

fn same(text: &str, own: &Tokenizer, library: &tokenizers::Tokenizer) {
    let expected = library.encode(text, false).unwrap();
    let found = own.pieces(text, usize::MAX);
    assert!(!found.cut);
    let ids: Vec<u32> = found.tokens.iter().map(|token| token.id).collect();
    assert_eq!(ids, expected.get_ids(), "{text:?}");
    for token in &found.tokens {
        assert!(
            text.get(token.start as usize..token.end as usize).is_some(),
            "{text:?}: {token:?}"
        );
    }
    let inner = library.encode(text, true).unwrap();
    assert_eq!(own.frame().around(&found.tokens), inner.get_ids());
}

/// Ours and the library's, with each way of cleaning.
static PAIRS: LazyLock<Vec<(Tokenizer, tokenizers::Tokenizer)>> = LazyLock::new(|| {
    let ways = [(true, Value::Null), (false, Value::Null), (true, json!(false))];
    let pairs = ways.map(|(lowercase, strip)| {
        let bytes = described(lowercase, strip);
        let own = Tokenizer::from_json("tokenizer.json", &bytes).unwrap();
        assert!(matches!(own, Tokenizer::WordPiece(_)));
        (own, library(&bytes))
    });
    pairs.into()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn wordpiece_is_that_of_the_library(text in "\\PC{0,40}|[a-cA-C ÀÉàé\u{300}中\u{0}\u{fffd}\t\n!.-]{0,60}|.{0,30}") {
        for (own, library) in PAIRS.iter() {
            same(&text, own, library);
        }
    }
}

#[test]
fn pieces_say_where_they_stand() {
    let own = WordPiece::from_vocabulary("vocab.txt", &vocabulary().join("\n"), WordPieceOptions::default())
        .unwrap();
    let text = "  HÉLLO the中!";
    let parts: Vec<&str> = own
        .pieces(text, 99)
        .tokens
        .iter()
        .map(|token| &text[token.start as usize..token.end as usize])
        .collect();
    assert_eq!(parts, ["HÉLLO", "the", "中", "!"]);
}

#[test]
fn nothing_in_a_text_becomes_special() {
    let bytes = described(true, Value::Null);
    let own = Tokenizer::from_json("tokenizer.json", &bytes).unwrap();
    let pieces = own.pieces("hello [SEP] [CLS]", 99);
    assert!(pieces.tokens.iter().all(|token| token.id > 4), "{pieces:?}");
}

#[test]
fn a_limit_cuts_and_says_so() {
    let own = WordPiece::from_vocabulary("vocab.txt", &vocabulary().join("\n"), WordPieceOptions::default())
        .unwrap();
    let pieces = own.pieces("the the the", 2);
    assert!(pieces.cut && pieces.tokens.len() == 2);
    let pieces = own.pieces("the the", 2);
    assert!(!pieces.cut && pieces.tokens.len() == 2);
}

/// A byte-level BPE, as GPT-2's descendants have it.
fn byte_pairs() -> Vec<u8> {
    let mut vocab: HashMap<String, usize> = HashMap::from([("<|end|>".to_owned(), 0)]);
    for (index, letter) in ('!'..='~')
        .chain('¡'..='¬')
        .chain('®'..='ÿ')
        .chain('Ā'..='ń')
        .enumerate()
    {
        vocab.insert(letter.to_string(), index + 1);
    }
    let next = vocab.len();
    vocab.insert("aa".to_owned(), next);
    vocab.insert("Ġth".to_owned(), next + 1);
    vocab.insert("th".to_owned(), next + 2);
    serde_json::to_vec(&json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [{"id": 0, "content": "<|end|>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true}],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<|end|>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"<|end|>": {"id": "<|end|>", "ids": [0], "tokens": ["<|end|>"]}}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "vocab": vocab,
            "merges": [["a", "a"], ["t", "h"], ["Ġ", "th"]]}
    }))
    .unwrap()
}

#[test]
fn a_published_tokenizer_is_read_with_its_frame() {
    let tokenizer = Tokenizer::from_json("tokenizer.json", &byte_pairs()).unwrap();
    assert!(tokenizer.frame().before.is_empty());
    assert_eq!(tokenizer.frame().after, [0]);
    assert!(tokenizer.frame().between.is_empty());
    let text = "the aa <|end|>";
    let pieces = tokenizer.pieces(text, 99);
    assert!(pieces.tokens.iter().all(|token| token.id != 0));
    let whole: String = pieces
        .tokens
        .iter()
        .map(|token| &text[token.start as usize..token.end as usize])
        .collect();
    assert_eq!(whole, text);
}

/// Pieces of bytes may be parts of characters; what they stand for is always text.
#[test]
fn a_piece_that_is_part_of_a_character_stands_for_all_of_it() {
    let tokenizer = Tokenizer::from_json("tokenizer.json", &byte_pairs()).unwrap();
    let text = "é中 👩\u{200d}👧\u{378}\u{10ffff}x".repeat(10_000);
    let pieces = tokenizer.pieces(&text, usize::MAX - 1);
    let mut before = 0;
    for token in &pieces.tokens {
        let part = text.get(token.start as usize..token.end as usize);
        assert!(
            part.is_some_and(|part| !part.is_empty()) && token.start >= before,
            "{token:?}"
        );
        before = token.start;
    }
    assert!(pieces.tokens.len() > text.chars().count());
}

#[test]
fn a_published_tokenizer_takes_long_repetition() {
    let tokenizer = Tokenizer::from_json("tokenizer.json", &byte_pairs()).unwrap();
    for unit in [
        "a", "aa the ", " ", "\n", "é", "1", "!", "\u{301}", "\u{378}", "\u{fdfa}",
    ] {
        let text = unit.repeat((200 << 10) / unit.len());
        let pieces = tokenizer.pieces(&text, usize::MAX - 1);
        assert_eq!(pieces.tokens.last().unwrap().end as usize, text.len());
        let few = tokenizer.pieces(&text, 100);
        assert!(few.cut && few.tokens.len() == 100);
    }
}

#[test]
fn what_is_no_tokenizer_is_refused() {
    for bytes in [
        &b"{"[..],
        b"{}",
        b"[]",
        b"{\"model\": {\"type\": \"WordPiece\"}}",
        b"\xff",
    ] {
        let error = Tokenizer::from_json("tokenizer.json", bytes).unwrap_err();
        assert!(error.to_string().starts_with("tokenizer.json: "), "{error}");
    }
    let mut described: Value = serde_json::from_slice(&described(true, Value::Null)).unwrap();
    for longest in [0, 10_000_000] {
        described["model"]["max_input_chars_per_word"] = json!(longest);
        let error = Tokenizer::from_json("tokenizer.json", described.to_string().as_bytes()).unwrap_err();
        assert!(
            error.to_string().contains("`model.max_input_chars_per_word` is"),
            "{error}"
        );
    }
    let error = WordPiece::from_vocabulary("vocab.txt", "a\nb", WordPieceOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "vocab.txt: the vocabulary has no `[UNK]`");
}
