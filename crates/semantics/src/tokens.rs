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
    match vocabulary {
        Vocabulary::O200k => bpe_openai::o200k_base().count(text),
        Vocabulary::Cl100k => bpe_openai::cl100k_base().count(text),
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
    }
}
