//! What a provider's log probabilities say of how sure a model was.

use serde::Deserialize;

/// Log probabilities of an answer's tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Evidence {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq)]
struct Token {
    text: String,
    logprob: f64,
    /// How far the next likeliest token was behind; none where none was told.
    margin: Option<f64>,
}

/// Means over tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Means {
    /// Of the log probabilities.
    pub(super) logprob: f64,
    /// Of the margins; none unless every token has one.
    pub(super) margin: Option<f64>,
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    content: Option<Vec<ToldToken>>,
}

#[derive(Deserialize)]
struct ToldToken {
    #[serde(default)]
    token: String,
    logprob: f64,
    #[serde(default)]
    top_logprobs: Vec<ToldTop>,
}

#[derive(Deserialize)]
struct ToldTop {
    logprob: f64,
}

impl Evidence {
    /// Reads OpenAI's `logprobs` of a choice; none where there are no tokens.
    pub(super) fn read(logprobs: &str) -> Option<Self> {
        let told: Told = serde_json::from_str(logprobs).ok()?;
        let token = |told: ToldToken| {
            let margin = match told.top_logprobs.as_slice() {
                [first, second, ..] => Some(first.logprob - second.logprob),
                _ => None,
            };
            Token {
                text: told.token,
                logprob: told.logprob,
                margin,
            }
        };
        let tokens: Vec<Token> = told.content?.into_iter().map(token).collect();
        let finite = tokens.iter().all(|token| token.logprob.is_finite());
        (finite && !tokens.is_empty()).then_some(Self { tokens })
    }

    /// Means over all tokens, or, where only arguments count and some are found, over those that are values of a call's
    /// arguments.
    pub(super) fn means(&self, arguments: bool) -> Means {
        if arguments {
            let values = self.of_arguments();
            if !values.is_empty() {
                return mean(&values, self.tokens.iter().all(|token| token.margin.is_some()));
            }
        }
        let all: Vec<&Token> = self.tokens.iter().collect();
        mean(&all, all.iter().all(|token| token.margin.is_some()))
    }

    fn of_arguments(&self) -> Vec<&Token> {
        let text: String = self.tokens.iter().map(|token| token.text.as_str()).collect();
        let marks = values(&text);
        let mut at = 0;
        let mut found = Vec::new();
        for token in &self.tokens {
            let end = at + token.text.len();
            if marks.get(at..end).is_some_and(|marks| marks.contains(&true)) {
                found.push(token);
            }
            at = end;
        }
        found
    }
}

#[allow(clippy::cast_precision_loss, reason = "answers have fewer than 2^52 tokens")]
fn mean(tokens: &[&Token], margins: bool) -> Means {
    let count = tokens.len().max(1) as f64;
    let sum = |of: fn(&Token) -> f64| tokens.iter().map(|token| of(token)).sum::<f64>() / count;
    Means {
        logprob: sum(|token| token.logprob),
        margin: margins.then(|| sum(|token| token.margin.unwrap_or(0.0))),
    }
}

/// An object or a list that is open.
struct Open {
    list: bool,
    /// The key that was read last.
    key: String,
    /// Whether what comes next is a value.
    value: bool,
}

/// Which bytes of a text belong to values of the `arguments` of the first JSON object in it: strings without their
/// quotes, numbers, words; not names of fields and not what holds them together.
fn values(text: &str) -> Vec<bool> {
    let bytes = text.as_bytes();
    let mut marks = vec![false; bytes.len()];
    let Some(start) = text.find('{') else {
        return marks;
    };
    let mut open: Vec<Open> = Vec::new();
    // How deep the arguments begin.
    let mut within: Option<usize> = None;
    let mut at = start;
    while at < bytes.len() {
        let depth = open.len();
        let named = open
            .last()
            .is_some_and(|open| open.value && open.key == "arguments" && !open.list);
        match bytes[at] {
            byte @ (b'{' | b'[') => {
                if within.is_none() && named {
                    within = Some(depth + 1);
                }
                let list = byte == b'[';
                open.push(Open {
                    list,
                    key: String::new(),
                    value: list,
                });
            }
            b'}' | b']' => {
                if within == Some(depth) {
                    within = None;
                }
                open.pop();
                if open.is_empty() {
                    break;
                }
            }
            b'"' => {
                let end = string_end(bytes, at + 1);
                let inside = text.get(at + 1..end).unwrap_or_default();
                match open.last_mut() {
                    Some(open) if !open.list && !open.value => inside.clone_into(&mut open.key),
                    _ if within.is_some() || named => marks[at + 1..end].fill(true),
                    _ => {}
                }
                at = end;
            }
            byte @ (b':' | b',') => {
                if let Some(open) = open.last_mut() {
                    open.value = byte == b':' || open.list;
                }
            }
            byte if byte.is_ascii_whitespace() => {}
            _ => marks[at] = within.is_some(),
        }
        at += 1;
    }
    marks
}

/// Where a string ends that begins at `at`: its closing quote, or the end of the text.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str) -> String {
        let marks = values(text);
        let bytes = text.bytes().zip(marks).filter(|(_, mark)| *mark);
        String::from_utf8(bytes.map(|(byte, _)| byte).collect()).unwrap()
    }

    #[test]
    fn only_values_of_arguments_count() {
        let call = r#"<tool_call>{"name": "look", "arguments": {"city": "Be\"rn", "days": 3, "of": ["a", {"b": true}]}, "x": 9}"#;
        assert_eq!(marked(call), r#"Be\"rn3atrue"#);
        assert_eq!(marked(r#"{"arguments": "{\"a\": 1}"}"#), r#"{\"a\": 1}"#);
        for none in [
            "no call",
            "{",
            r#"{"name": "look"}"#,
            "{\"arguments\": \"",
            "{\"a\\",
        ] {
            assert_eq!(marked(none), "", "{none}");
        }
    }

    #[test]
    fn means_are_over_all_tokens_or_over_arguments() {
        let told = r#"{"content":[
            {"token":"{\"arguments\":{\"a\":","logprob":-0.5,"top_logprobs":[{"logprob":-0.5},{"logprob":-1.0}]},
            {"token":"7","logprob":-2.0,"top_logprobs":[{"logprob":-2.0},{"logprob":-5.0}]},
            {"token":"}}","logprob":-0.5,"top_logprobs":[{"logprob":-0.5},{"logprob":-1.0}]}]}"#;
        let evidence = Evidence::read(told).unwrap();
        let all = evidence.means(false);
        assert!((all.logprob + 1.0).abs() < 1e-9 && (all.margin.unwrap() - 4.0 / 3.0).abs() < 1e-9);
        let values = evidence.means(true);
        assert!((values.logprob + 2.0).abs() < 1e-9 && (values.margin.unwrap() - 3.0).abs() < 1e-9);
        let alone = Evidence::read(r#"{"content":[{"token":"a","logprob":-1.0}]}"#).unwrap();
        assert_eq!(alone.means(false).margin, None, "no other token was told");
        for none in ["null", "{}", r#"{"content":null}"#, r#"{"content":[]}"#, "x"] {
            assert_eq!(Evidence::read(none), None, "{none}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_model_says_is_read_to_its_end(text in "[a\"{}:, \\\\\\[\\]é1]{0,80}") {
            let call = format!("{{\"arguments\":{text}");
            proptest::prop_assert_eq!(values(&call).len(), call.len());
            proptest::prop_assert_eq!(values(&text).len(), text.len());
        }
    }
}
