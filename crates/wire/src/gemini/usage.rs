//! Token counts as Gemini generateContent tells them.
