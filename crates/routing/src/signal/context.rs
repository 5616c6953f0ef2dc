//! Length of the prompt.

use super::Reading;
use crate::config::ContextConfig;

pub(crate) struct Context {
    least: u64,
    most: u64,
}

impl Context {
    pub(crate) fn new(config: &ContextConfig) -> Self {
        Self {
            least: config.min_tokens.0,
            most: config.max_tokens.map_or(u64::MAX, |most| most.0),
        }
    }

    pub(crate) fn read(&self, tokens: u64) -> Reading {
        Reading::number(tokens as f64, (self.least..=self.most).contains(&tokens))
    }
}
