//! Signatures of thoughts: whose they are.
//!
//! A signature is of use to the provider that made it and an error to any other. The form has one field for all, so a
//! signature of Gemini's carries a mark in it, wherever a client of another format may keep it meanwhile; and one of
//! another provider carries a mark where a client of this format keeps it. That client may be an SDK which reads the
//! field as base64 and writes it back in the other alphabet: the marks of foreign signatures are base64 themselves,
//! and say which alphabet it was.

use crate::form::Text;

/// What Google's signatures begin with in the form.
const MARK: &str = "gemini.";
/// What foreign signatures begin with in this format.
const STANDARD: &str = "otherStd";
const URL_SAFE: &str = "otherUrl";

/// In place of a signature that the history does not have: Gemini 3 and later refuse a first function call without
/// one, and take this value (documented for the Gemini API and for Vertex AI).
pub(super) const SKIP: &str = "skip_thought_signature_validator";

/// Whether a signature of a thought, in the form, is Gemini's.
#[must_use]
pub fn is_gemini(signature: &str) -> bool {
    signature.starts_with(MARK)
}

/// A call's signature, for a format that can keep it with a thought only.
#[must_use]
pub fn of_call(signature: &str) -> Text {
    format!("{MARK}{signature}").into()
}

/// A thought's signature as it stands in this format, for the form.
pub(super) fn read(signature: &Text) -> Text {
    if let Some(foreign) = signature.strip_prefix(STANDARD) {
        return foreign.replace('-', "+").replace('_', "/").into();
    }
    if let Some(foreign) = signature.strip_prefix(URL_SAFE) {
        return foreign.replace('+', "-").replace('/', "_").into();
    }
    format!("{MARK}{signature}").into()
}

/// A thought's signature in the form, for Gemini; none when it is another provider's.
pub(super) fn for_provider(signature: &str) -> Option<&str> {
    signature.strip_prefix(MARK)
}

/// A thought's signature in the form, for clients of this format; none when they could not keep it.
pub(super) fn for_client(signature: &str) -> Option<Text> {
    if let Some(own) = signature.strip_prefix(MARK) {
        return Some(Text::from(own.to_owned()));
    }
    let has = |letters: [char; 2]| signature.contains(letters);
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "+/-_=".contains(letter);
    if !signature.chars().all(plain) || (has(['+', '/']) && has(['-', '_'])) {
        return None;
    }
    let mark = if has(['-', '_']) { URL_SAFE } else { STANDARD };
    Some(format!("{mark}{signature}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_comes_back_as_it_went() {
        for foreign in ["ErUB+/a=", "gAAAA-_b", "plain"] {
            let kept = for_client(foreign).unwrap();
            assert_eq!(read(&kept), foreign);
            // An SDK that decodes and encodes it in the other alphabet.
            let other: Text = kept.replace('+', "-").replace('/', "_").into();
            assert_eq!(read(&other), foreign);
            assert_eq!(for_provider(foreign), None);
        }
        let own = read(&"CiQB".into());
        assert!(is_gemini(&own));
        assert_eq!(for_provider(&own), Some("CiQB"));
        assert_eq!(for_client(&own).as_deref(), Some("CiQB"));
        assert_eq!(for_client("not base64!"), None);
    }
}
