//! What becomes of what Bedrock Converse cannot express.

use crate::rules::Rule;

/// Every rule, in the order of the documentation.
pub static ALL: [&Rule; 0] = [];
