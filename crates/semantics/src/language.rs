//! Which language a text is in.

/// A language with the confidence that it is this one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detected {
    /// ISO 639-1, two letters; ISO 639-3 where a language has no two.
    pub code: &'static str,
    /// 0 to 1.
    pub confidence: f64,
}

/// Detects the language of `text`; none when there is nothing to go by.
#[must_use]
pub fn detect(text: &str) -> Option<Detected> {
    let info = whatlang::detect(text)?;
    let long = info.lang().code();
    let code = SHORT
        .iter()
        .find(|(known, _)| *known == long)
        .map_or(long, |(_, short)| short);
    Some(Detected {
        code,
        confidence: info.confidence(),
    })
}

/// ISO 639-3 to ISO 639-1.
const SHORT: &[(&str, &str)] = &[
    ("afr", "af"),
    ("aka", "ak"),
    ("amh", "am"),
    ("ara", "ar"),
    ("aze", "az"),
    ("bel", "be"),
    ("ben", "bn"),
    ("bul", "bg"),
    ("cat", "ca"),
    ("ces", "cs"),
    ("cmn", "zh"),
    ("dan", "da"),
    ("deu", "de"),
    ("ell", "el"),
    ("eng", "en"),
    ("epo", "eo"),
    ("est", "et"),
    ("fin", "fi"),
    ("fra", "fr"),
    ("guj", "gu"),
    ("heb", "he"),
    ("hin", "hi"),
    ("hrv", "hr"),
    ("hun", "hu"),
    ("hye", "hy"),
    ("ind", "id"),
    ("ita", "it"),
    ("jav", "jv"),
    ("jpn", "ja"),
    ("kan", "kn"),
    ("kat", "ka"),
    ("khm", "km"),
    ("kor", "ko"),
    ("lat", "la"),
    ("lav", "lv"),
    ("lit", "lt"),
    ("mal", "ml"),
    ("mar", "mr"),
    ("mkd", "mk"),
    ("mya", "my"),
    ("nep", "ne"),
    ("nld", "nl"),
    ("nob", "nb"),
    ("ori", "or"),
    ("pan", "pa"),
    ("pes", "fa"),
    ("pol", "pl"),
    ("por", "pt"),
    ("ron", "ro"),
    ("rus", "ru"),
    ("sin", "si"),
    ("slk", "sk"),
    ("slv", "sl"),
    ("sna", "sn"),
    ("spa", "es"),
    ("srp", "sr"),
    ("swe", "sv"),
    ("tam", "ta"),
    ("tel", "te"),
    ("tgl", "tl"),
    ("tha", "th"),
    ("tuk", "tk"),
    ("tur", "tr"),
    ("ukr", "uk"),
    ("urd", "ur"),
    ("uzb", "uz"),
    ("vie", "vi"),
    ("yid", "yi"),
    ("zul", "zu"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_told_apart() {
        for (text, code) in [
            ("Where is the nearest railway station, please?", "en"),
            ("Wo ist bitte der nächste Bahnhof, und wann fährt der Zug?", "de"),
            ("¿Dónde está la estación de tren más cercana, por favor?", "es"),
            ("最寄りの駅はどこですか", "ja"),
        ] {
            assert_eq!(detect(text).unwrap().code, code, "{text}");
        }
        assert!(detect("").is_none());
    }
}
