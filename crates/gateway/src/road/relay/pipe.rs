//! What a stream goes through: nothing but a watcher, or decoder, guardrails and encoder.

use std::collections::VecDeque;

use bytes::Bytes;
use pointsman_catalog::ServiceTier;
use pointsman_guard::Stage;
use pointsman_wire::form::{Failure, FailureKind, Usage};
use pointsman_wire::format::{self, Format, StreamWatcher, WatchOptions};
use smallvec::SmallVec;

use super::super::arrive::Asked;
use super::super::{Arrival, Ticket, follow};
use super::across::Across;
use super::listener::Listener;

/// What was seen in a chunk.
#[derive(Debug, Default)]
pub struct Seen {
    /// Content: the provider has begun to answer.
    pub content: bool,
    /// The terminator.
    pub ended: bool,
    /// The provider's error event, or a guardrail's block.
    pub failure: Option<Failure>,
}

/// What a stream goes through.
pub enum Pipe {
    /// The same format on both sides: bytes pass as they come.
    Same {
        /// Watches for content, usage and the end.
        watcher: Box<StreamWatcher>,
        /// Hears what is said, where that is to be kept.
        listener: Option<Box<Listener>>,
        /// Prompt tokens, counted, in case the provider does not say.
        prompt: u64,
    },
    /// Events are decoded, judged, and encoded.
    Across(Box<Across>),
}

impl Pipe {
    /// The pipe to the client from a provider that speaks `from` and knows the model as `model`.
    pub fn new(arrival: &Arrival, asked: &Asked, (from, model): (Format, &str), usage_forced: bool) -> Self {
        let prompt = asked.prompt_tokens;
        let guarded = !asked.guards.for_stage(Stage::Output).is_empty() || asked.placeholders.is_restorable();
        let looked_at = asked.place.is_some() || asked.check.is_some();
        if from == asked.format && !guarded && !looked_at && asked.beside.is_none() {
            let watcher = format::stream_watcher(
                from,
                WatchOptions {
                    strip_usage: usage_forced,
                },
            );
            return Self::Same {
                watcher: Box::new(watcher),
                listener: asked.captures.map(|_| Box::new(Listener::new(from))),
                prompt,
            };
        }
        Self::Across(Box::new(Across::new(arrival, asked, (from, model), prompt)))
    }

    /// Takes a chunk in; what may go on is put into `out`.
    ///
    /// # Errors
    /// When the chunk makes no sense in its format.
    pub fn take(&mut self, data: Bytes, out: &mut VecDeque<Bytes>) -> Result<Seen, Failure> {
        match self {
            Self::Same {
                watcher, listener, ..
            } => {
                if let Some(listener) = listener {
                    listener.hear(&data);
                }
                let mut forward = SmallVec::new();
                let seen = watcher.push(data, &mut forward);
                out.extend(forward);
                Ok(Seen {
                    content: seen.content,
                    ended: seen.ended,
                    failure: seen.failure,
                })
            }
            Self::Across(across) => across.take(&data, out),
        }
    }

    /// The provider has sent all it sends.
    ///
    /// # Errors
    /// When that was not a whole answer.
    pub fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), Failure> {
        match self {
            Self::Same { watcher, .. } => {
                let mut forward = SmallVec::new();
                let complete = watcher.finish(&mut forward);
                out.extend(forward);
                if complete { Ok(()) } else { Err(cut()) }
            }
            Self::Across(across) => across.finish(out),
        }
    }

    /// What has been used, and whether we had to count it ourselves.
    pub fn usage(&self) -> (Usage, bool) {
        match self {
            Self::Same { watcher, prompt, .. } => counted(
                watcher.usage(),
                *prompt,
                watcher.output_estimate(),
                watcher.is_complete(),
            ),
            Self::Across(across) => across.usage(),
        }
    }

    /// Notes on the ticket what the guardrails noted, and the service tier if the provider told it.
    pub fn report(&mut self, ticket: &mut Ticket) {
        let tier = match self {
            Self::Same { watcher, .. } => watcher.tier().map(|tier| ServiceTier::said(Some(tier))),
            Self::Across(across) => {
                ticket.facts.flags.extend(across.take_flags());
                ticket.tallied(&across.take_tally());
                across.note_found(ticket);
                across.tier()
            }
        };
        ticket.facts.tier = tier.unwrap_or(ticket.facts.tier);
    }

    /// The number of the event that would come next, in formats that number them.
    pub fn next_number(&self) -> u64 {
        match self {
            Self::Same { watcher, .. } => watcher.next_number(),
            Self::Across(across) => across.next_number(),
        }
    }

    /// Remembers a complete answer, where that was asked for.
    pub fn remember(&mut self, ticket: &mut Ticket) {
        match self {
            Self::Same { listener, .. } => {
                if let Some(response) = listener.take().and_then(|listener| listener.heard()) {
                    follow::capture(ticket, &response);
                }
            }
            Self::Across(across) => across.remember(ticket),
        }
    }
}

/// Usage as told, completed by what was counted.
pub fn counted(told: Option<Usage>, prompt: u64, output: u64, complete: bool) -> (Usage, bool) {
    match told {
        Some(usage) if complete => (usage, false),
        // The provider has told of the prompt, and perhaps of a part of the output.
        Some(usage) => {
            let input = if usage.input == 0 { prompt } else { usage.input };
            (
                Usage {
                    input,
                    output: usage.output.max(output),
                    ..usage
                },
                true,
            )
        }
        None => (
            Usage {
                input: prompt,
                output,
                ..Usage::default()
            },
            true,
        ),
    }
}

/// A stream that ended without its terminator.
pub fn cut() -> Failure {
    Failure::new(
        FailureKind::Provider,
        "the provider's stream ended before the answer was complete",
    )
    .coded("stream_cut")
}
