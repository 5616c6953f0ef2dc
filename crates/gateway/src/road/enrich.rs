//! Within *decide*: what a decision puts into the request, or takes out of it, that somebody must be asked for or that takes
//! a look at all of it: tools by what they are for, what is remembered of the user, what is looked up, and the length of the
//! whole.
//!
//! What is put in by then is a part of what is asked: it is judged by the guardrails that see what tools bring, and it is
//! looked up in the cache with it.

mod compress;
mod memory;
mod rag;
mod tools;

use std::sync::Arc;

use pointsman_routing::Plugins;
use pointsman_wire::form::Failure;
use pointsman_wire::tokens;

use super::arrive::Asked;
use super::{Arrival, Ticket};
use crate::worker::Worker;

pub use memory::cut;

/// The model that will be asked, as far as its request is fitted to it.
pub struct Fit {
    /// Tokens of prompt and answer that it takes together, where that is known.
    pub window: Option<u64>,
    /// One model answers, and may ask for what was left out.
    pub alone: bool,
}

/// Makes of the request what the decision says.
///
/// # Errors
/// When what it needs cannot be had and the decision says that it is not to go on without.
pub async fn enrich(
    worker: &Arc<Worker>,
    arrival: &Arrival,
    asked: &mut Asked,
    ticket: &mut Ticket,
    (plugins, fit): (&Plugins, &Fit),
) -> Result<(), Failure> {
    let before = asked.edited;
    asked.edited = false;
    for choice in &plugins.tool_choices {
        tools::choose((worker, arrival), asked, ticket, choice).await;
    }
    if let Some(memory) = &plugins.memory {
        let bounds = plugins
            .compression
            .as_ref()
            .and_then(|compression| compression.memory);
        Box::pin(memory::recall((worker, arrival), asked, ticket, (memory, bounds))).await?;
    }
    if let Some(looked) = &plugins.rag {
        let bounds = plugins
            .compression
            .as_ref()
            .and_then(|compression| compression.rag);
        Box::pin(rag::look_up((worker, arrival), asked, ticket, (looked, bounds))).await?;
    }
    if let Some(compression) = &plugins.compression {
        compress::compress((worker, arrival), asked, compression, fit)?;
    }
    if asked.edited {
        asked.prompt_tokens = tokens::estimate_request(&asked.request);
    }
    asked.edited |= before;
    Ok(())
}
