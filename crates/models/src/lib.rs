//! The weights that ship with the gateway: bytes with a name and a hash. What they mean is read elsewhere.

/// Weights as they are built in.
#[derive(Debug, Clone, Copy)]
pub struct Weights {
    /// What clients call the model.
    pub name: &'static str,
    /// The file, as training wrote it.
    pub bytes: &'static [u8],
    /// SHA-256 of the file when it was built in, in hexadecimal digits.
    pub sha256: &'static str,
}

/// Understands prompts: every head, spans of personal data, embeddings.
///
/// The bytes lie in the program's file: memory is taken only for what is read of them.
pub static UNDERSTAND: Weights = Weights {
    name: "pointsman-understand",
    bytes: include_bytes!("../understand.weights"),
    sha256: env!("UNDERSTAND_SHA256"),
};

#[cfg(test)]
mod tests {
    use super::UNDERSTAND;

    #[test]
    fn what_is_built_in_is_a_file_of_weights_with_a_hash() {
        assert!(UNDERSTAND.bytes.starts_with(b"PMWEIGHT"));
        assert!(
            UNDERSTAND.sha256.len() == 64 && UNDERSTAND.sha256.bytes().all(|digit| digit.is_ascii_hexdigit())
        );
    }
}
