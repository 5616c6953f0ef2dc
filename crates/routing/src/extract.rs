//! Extractive compression: of a long text the pieces that say most about a question, in their order.
//!
//! Pieces are ranked by BM25 (Robertson and Zaragoza, 2009) over the pieces themselves; beginning and end go first where
//! nothing tells pieces apart. Of JSON only texts within it are made shorter, so that it stays JSON of the same shape.

use std::collections::HashMap;

use serde_json::Value;

/// Saturation of repeated words and weight of length.
const K1: f64 = 1.2;
const B: f64 = 0.75;
/// Most bytes of a piece.
const PIECE: usize = 400;
/// Most words of the question that count.
const QUESTION: usize = 64;
/// Texts of JSON shorter than so many bytes stay.
const SHORT: usize = 200;
/// Deepest nesting of JSON that is gone through; what is deeper stays.
const DEEP: usize = 32;

/// Counts tokens of a text.
pub type Counter<'a> = &'a dyn Fn(&str) -> u64;

/// The text, brought to about `target` tokens; none where it is not longer, or cannot be made shorter.
#[must_use]
pub fn extract(text: &str, question: &str, target: u64, count: Counter<'_>) -> Option<String> {
    if count(text) <= target {
        return None;
    }
    let trimmed = text.trim_start();
    if trimmed.starts_with(['{', '['])
        && let Ok(mut json) = serde_json::from_str::<Value>(text)
    {
        return of_json(&mut json, text, question, target, count);
    }
    of_prose(text, question, target, count)
}

/// Shortens the texts of a JSON value, each by the same share.
fn of_json(json: &mut Value, text: &str, question: &str, target: u64, count: Counter<'_>) -> Option<String> {
    let mut long = 0;
    each_text(json, 0, &mut |text| {
        if text.len() >= SHORT {
            long += count(text);
        }
    });
    let fixed = count(text).saturating_sub(long);
    let room = target.saturating_sub(fixed);
    if long == 0 {
        return None;
    }
    let mut changed = false;
    each_text(json, 0, &mut |text| {
        if text.len() < SHORT {
            return;
        }
        let own = count(text);
        let share = u64::try_from(u128::from(own) * u128::from(room) / u128::from(long)).unwrap_or(own);
        if let Some(shorter) = of_prose(text, question, share.max(1), count) {
            *text = shorter;
            changed = true;
        }
    });
    changed.then(|| json.to_string())
}

fn each_text(json: &mut Value, depth: usize, see: &mut impl FnMut(&mut String)) {
    if depth > DEEP {
        return;
    }
    match json {
        Value::String(text) => see(text),
        Value::Array(all) => all.iter_mut().for_each(|one| each_text(one, depth + 1, see)),
        Value::Object(all) => all.values_mut().for_each(|one| each_text(one, depth + 1, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn of_prose(text: &str, question: &str, target: u64, count: Counter<'_>) -> Option<String> {
    let pieces = pieces(text);
    if pieces.len() < 2 {
        return None;
    }
    let scores = scores(&pieces, question);
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    let from_edge = |index: usize| index.min(pieces.len() - 1 - index);
    order.sort_by(|left, right| {
        scores[*right]
            .total_cmp(&scores[*left])
            .then(from_edge(*left).cmp(&from_edge(*right)))
            .then(left.cmp(right))
    });
    let mut kept = vec![false; pieces.len()];
    // What is left out is told, and that takes tokens, too.
    let mut used = count(&omission(pieces.len()));
    for index in order {
        let size = count(pieces[index]);
        if used + size <= target {
            used += size;
            kept[index] = true;
        }
    }
    if !kept.contains(&true) {
        return None;
    }
    let mut shorter = String::new();
    let mut left_out = 0_usize;
    for (piece, kept) in pieces.iter().zip(&kept) {
        if *kept {
            tell(&mut shorter, &mut left_out);
            shorter.push_str(piece);
        } else {
            left_out += 1;
        }
    }
    tell(&mut shorter, &mut left_out);
    (count(&shorter) < count(text)).then_some(shorter)
}

fn tell(text: &mut String, left_out: &mut usize) {
    if *left_out > 0 {
        text.push_str(&omission(*left_out));
        *left_out = 0;
    }
}

/// What stands in the place of pieces that were left out.
fn omission(pieces: usize) -> String {
    format!("\n[… {pieces} passages left out …]\n")
}

/// Pieces of a text: lines, sentences of long lines, and of what has neither, runs of letters.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut space = None;
    for (at, letter) in text.char_indices() {
        let end = at + letter.len_utf8();
        let length = end - start;
        let ends_line = letter == '\n' && length >= PIECE / 8;
        let ends_sentence = matches!(letter, '.' | '!' | '?' | ';') && length >= PIECE / 4 && {
            text[end..].chars().next().is_none_or(char::is_whitespace)
        };
        let ends_wide = matches!(letter, '。' | '！' | '？' | '；') && length >= PIECE / 8;
        if ends_line || ends_sentence || ends_wide {
            pieces.push(&text[start..end]);
            (start, space) = (end, None);
            continue;
        }
        if letter.is_whitespace() {
            space = Some(end);
        }
        if length >= PIECE {
            let cut = space.filter(|cut| *cut > start).unwrap_or(end);
            pieces.push(&text[start..cut]);
            (start, space) = (cut, None);
        }
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

/// How much each piece says about the question.
fn scores(pieces: &[&str], question: &str) -> Vec<f64> {
    let mut wanted: Vec<String> = words(question).filter(|word| word.chars().count() > 2).collect();
    wanted.sort_unstable();
    wanted.dedup();
    wanted.truncate(QUESTION);
    let counted: Vec<(HashMap<String, f64>, f64)> = pieces
        .iter()
        .map(|piece| {
            let mut times: HashMap<String, f64> = HashMap::new();
            let mut length = 0.0;
            for word in words(piece) {
                length += 1.0;
                if wanted.binary_search(&word).is_ok() {
                    *times.entry(word).or_default() += 1.0;
                }
            }
            (times, length)
        })
        .collect();
    let all = pieces.len() as f64;
    let mean = (counted.iter().map(|(_, length)| length).sum::<f64>() / all).max(1.0);
    let rarity = |word: &String| {
        let with = counted
            .iter()
            .filter(|(times, _)| times.contains_key(word))
            .count() as f64;
        (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
    };
    let rarities: HashMap<&String, f64> = wanted.iter().map(|word| (word, rarity(word))).collect();
    let score = |(times, length): &(HashMap<String, f64>, f64)| {
        let of = |(word, times): (&String, &f64)| {
            let rarity = rarities.get(word).copied().unwrap_or(0.0);
            rarity * times * (K1 + 1.0) / (times + K1 * (1.0 - B + B * length / mean))
        };
        times.iter().map(of).sum::<f64>()
    };
    counted.iter().map(score).collect()
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let split = text.split(|letter: char| !letter.is_alphanumeric());
    split.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> u64 {
        (text.len() as u64).div_ceil(4)
    }

    fn long() -> String {
        (0..200)
            .map(|line| match line {
                97 => "ERROR payment service: card declined for order 4711, code TXN_DECLINE\n".to_owned(),
                _ => format!("INFO worker {line}: heartbeat received and acknowledged in time\n"),
            })
            .collect()
    }

    #[test]
    fn what_the_question_is_about_stays() {
        let text = long();
        let shorter = extract(&text, "Why was the payment of order 4711 declined?", 300, &count).unwrap();
        assert!(shorter.contains("card declined for order 4711"), "{shorter}");
        assert!(shorter.contains("passages left out"));
        assert!(count(&shorter) <= 330, "{}", count(&shorter));
        assert_eq!(extract(&text, "why", u64::MAX, &count), None);
        assert_eq!(
            extract(&text, "Why?", 300, &count),
            extract(&text, "Why?", 300, &count)
        );
    }

    #[test]
    fn json_keeps_its_shape() {
        let json =
            serde_json::json!({"status": 500, "ok": false, "log": long(), "ids": [1, 2], "name": "run"});
        let shorter = extract(&json.to_string(), "order 4711", 300, &count).unwrap();
        let read: Value = serde_json::from_str(&shorter).unwrap();
        assert_eq!(
            (&read["status"], &read["ids"], &read["name"]),
            (&json["status"], &json["ids"], &json["name"])
        );
        let log = read["log"].as_str().unwrap();
        assert!(log.contains("4711") && log.len() < 2_000, "{}", log.len());
        let numbers = serde_json::json!((0..2_000).collect::<Vec<_>>()).to_string();
        assert_eq!(extract(&numbers, "x", 100, &count), None);
    }

    #[test]
    fn letters_without_spaces_are_cut_between_letters() {
        let text = "字".repeat(4_000);
        let shorter = extract(&text, "什么", 500, &count).unwrap();
        assert!(count(&shorter) <= 560);
        assert!(
            pieces(&"a".repeat(3_000))
                .iter()
                .all(|piece| piece.len() <= PIECE)
        );
        assert_eq!(pieces("").len(), 0);
    }

    mod laws {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn pieces_are_the_whole_text(text in any::<String>()) {
                prop_assert_eq!(pieces(&text).concat(), text);
            }

            #[test]
            fn nothing_becomes_longer(text in "[a-z .\n]{0,3000}", question in "[a-z ]{0,40}", target in 1_u64..400) {
                if let Some(shorter) = extract(&text, &question, target, &count) {
                    prop_assert!(count(&shorter) < count(&text));
                }
            }
        }
    }
}
