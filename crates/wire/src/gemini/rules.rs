//! What becomes of what Gemini generateContent cannot express.

use crate::rules::Rule;

/// Every rule, in the order of the documentation.
pub static ALL: [&Rule; 0] = [];
