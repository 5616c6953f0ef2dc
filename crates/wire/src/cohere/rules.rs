//! What becomes of what Cohere v2 chat cannot express.

use crate::rules::Rule;

/// Every rule, in the order of the documentation.
pub static ALL: [&Rule; 0] = [];
