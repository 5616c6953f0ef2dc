//! Exact token counts with OpenAI's public vocabularies. Loaded when first asked for.

/// A byte-pair vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vocabulary {
    /// Models since GPT-4o; also the closest public one to models of other families.
    O200k,
    /// GPT-4, GPT-3.5 and their embeddings.
    Cl100k,
}

/// How many tokens `text` has.
#[must_use]
pub fn count(text: &str, vocabulary: Vocabulary) -> usize {
    tokenizer(vocabulary).count(text)
}

impl Vocabulary {
    /// The vocabulary of a model of OpenAI's; none for models of others, whose tokens are not known here.
    #[must_use]
    pub fn of(model: &str) -> Option<Self> {
        let name = model.rsplit('/').next().unwrap_or(model);
        let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
        if begins(&[
            "gpt-4o",
            "gpt-4.1",
            "gpt-4.5",
            "gpt-5",
            "chatgpt-4o",
            "o1",
            "o3",
            "o4-",
        ]) {
            Some(Self::O200k)
        } else if begins(&["gpt-4", "gpt-3.5", "text-embedding-"]) && !begins(&["text-embedding-00"]) {
            Some(Self::Cl100k)
        } else {
            None
        }
    }
}

/// The tokens of `text`.
#[must_use]
pub fn encode(text: &str, vocabulary: Vocabulary) -> Vec<u32> {
    tokenizer(vocabulary).encode(text)
}

/// The text of `tokens`; none where one of them is no token or they are no text.
#[must_use]
pub fn decode(tokens: &[u32], vocabulary: Vocabulary) -> Option<String> {
    let tokenizer = tokenizer(vocabulary);
    let known = u32::try_from(tokenizer.bpe.num_tokens()).unwrap_or(u32::MAX);
    tokens
        .iter()
        .all(|token| *token < known)
        .then(|| tokenizer.decode(tokens))?
}

fn tokenizer(vocabulary: Vocabulary) -> &'static bpe_openai::Tokenizer {
    match vocabulary {
        Vocabulary::O200k => bpe_openai::o200k_base(),
        Vocabulary::Cl100k => bpe_openai::cl100k_base(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_vocabulary() {
        assert_eq!(
            count("The quick brown fox jumps over the lazy dog.", Vocabulary::O200k),
            10
        );
        assert_eq!(count("solve this algebra problem", Vocabulary::Cl100k), 4);
        assert_eq!(count("", Vocabulary::O200k), 0);
        let tokens = encode("solve this", Vocabulary::Cl100k);
        assert_eq!(decode(&tokens, Vocabulary::Cl100k).as_deref(), Some("solve this"));
        assert_eq!(decode(&[u32::MAX], Vocabulary::O200k), None);
    }

    #[test]
    fn vocabularies_are_those_of_openais_models() {
        assert_eq!(Vocabulary::of("openai/gpt-5-mini"), Some(Vocabulary::O200k));
        assert_eq!(Vocabulary::of("text-embedding-3-small"), Some(Vocabulary::Cl100k));
        for other in ["text-embedding-005", "claude-haiku-4-5", "llama-3"] {
            assert_eq!(Vocabulary::of(other), None, "{other}");
        }
    }
}
