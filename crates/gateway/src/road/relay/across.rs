//! A stream taken through the form: decoded, judged by output guardrails, encoded in the client's format.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use pointsman_catalog::ServiceTier;
use pointsman_guard::Tally;
use pointsman_wire::assemble::Assembler;
use pointsman_wire::form::{Failure, FailureKind, PartStart, StreamEvent, Text, Usage};
use pointsman_wire::format::{self, Format, StreamDecoder, StreamEncoder, StreamEncoderOptions};
use pointsman_wire::tokens;

use super::super::arrive::Asked;
use super::super::follow;
use super::super::hallucination::{Check, Flow};
use super::super::recall::{self, Place};
use super::super::{Arrival, Ticket};
use super::framing::Framing;
use super::judges::{Judges, Restoring};
use super::pipe::{Seen, counted, cut};
use super::whole;

/// Decoder, guardrails and encoder of one stream.
pub struct Across {
    decoder: StreamDecoder,
    encoder: StreamEncoder,
    events: Vec<StreamEvent>,
    judges: Judges,
    restoring: Restoring,
    /// Gathers the answer, to be held against what its model was given.
    checking: Option<Checking>,
    memory: Option<Memory>,
    names: Names,
    /// The id the answer is told under.
    answer_id: Option<Text>,
    /// What other calls for this answer have used, and a field that is told after its start.
    beside: (Usage, Option<StreamEvent>),
    usage: Option<Usage>,
    tier: Option<ServiceTier>,
    prompt: u64,
    output: u64,
    ended: bool,
}

/// A stream on its way past a check, and whether its client reads server-sent events.
struct Checking {
    flow: Flow,
    comments: bool,
}

impl Checking {
    /// What goes before an event.
    fn pass(&mut self, event: &StreamEvent) -> Vec<StreamEvent> {
        let mut before = Vec::new();
        self.flow.pass(event, &mut |event| before.push(event));
        before
    }

    /// What readers of events leave out, before the end.
    fn comment(&self, event: &StreamEvent) -> &'static str {
        let told = matches!(event, StreamEvent::End) && self.comments;
        if told {
            self.flow.comment().unwrap_or_default()
        } else {
            ""
        }
    }
}

/// What the answer is called where its provider gives it no name.
struct Names {
    id: Text,
    model: Text,
}

/// The answer as it grows, to be remembered when it is whole.
struct Memory {
    assembler: Assembler,
    place: Option<Arc<Place>>,
}

impl Across {
    /// For a provider that speaks `from` and knows the model as `model`.
    pub fn new(arrival: &Arrival, asked: &Asked, (from, model): (Format, &str), prompt: u64) -> Self {
        let options = StreamEncoderOptions {
            model: asked.request.model.clone(),
            include_usage: asked.request.stream.include_usage,
        };
        let memory = (asked.place.is_some() || asked.captures.is_some()).then(|| Memory {
            assembler: Assembler::new(from),
            place: asked.place.clone(),
        });
        Self {
            decoder: format::stream_decoder(from),
            encoder: format::stream_encoder(asked.format, options).answering(&asked.request, from),
            events: Vec::new(),
            judges: Judges::new(&asked.guards, &asked.placeholders),
            restoring: Restoring::new(&asked.placeholders),
            checking: asked.check.as_ref().map(|check| Checking {
                flow: Flow::new(check, asked.format),
                comments: asked.framing == Framing::Events,
            }),
            memory,
            names: Names {
                id: arrival.id.as_str().into(),
                model: model.into(),
            },
            answer_id: asked.answer_id.clone(),
            beside: (
                asked
                    .beside
                    .as_ref()
                    .map(|beside| beside.usage)
                    .unwrap_or_default(),
                whole::field_event(asked),
            ),
            usage: None,
            tier: None,
            prompt,
            output: 0,
            ended: false,
        }
    }

    /// Takes a chunk in.
    pub fn take(&mut self, data: &Bytes, out: &mut VecDeque<Bytes>) -> Result<Seen, Failure> {
        let mut events = std::mem::take(&mut self.events);
        let decoded = self.decoder.push(data, &mut events);
        let seen = self.pass(&mut events, out);
        self.events = events;
        decoded.map_err(|error| nonsense(&error))?;
        Ok(seen)
    }

    /// The provider has sent all it sends.
    pub fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), Failure> {
        let mut events = std::mem::take(&mut self.events);
        let finished = self.decoder.finish(&mut events);
        let seen = self.pass(&mut events, out);
        if let Some(failure) = seen.failure {
            return Err(failure);
        }
        finished.map_err(|error| nonsense(&error))?;
        if self.ended { Ok(()) } else { Err(cut()) }
    }

    fn pass(&mut self, events: &mut Vec<StreamEvent>, out: &mut VecDeque<Bytes>) -> Seen {
        let mut seen = Seen::default();
        let mut bytes = BytesMut::new();
        for mut event in events.drain(..) {
            self.names.fill_in(&mut event);
            if let (StreamEvent::Start { id, .. }, Some(ours)) = (&mut event, &self.answer_id) {
                *id = ours.clone();
            }
            self.note(&event, &mut seen);
            if seen.failure.is_some() {
                break;
            }
            if let StreamEvent::Usage(usage) = &mut event {
                *usage = self.beside.0.and(usage);
            }
            let starts = matches!(event, StreamEvent::Start { .. });
            let judged = self.judges.judge(event, &mut |event| {
                if let Some(checking) = &mut self.checking {
                    let before = checking.pass(&event);
                    for event in before {
                        let encode = &mut |event: StreamEvent| self.encoder.encode(&event, &mut bytes);
                        self.restoring.put(event, encode);
                    }
                    bytes.extend_from_slice(checking.comment(&event).as_bytes());
                }
                // What is remembered is for others, too: it is put back for each by his own book.
                if let Some(memory) = &mut self.memory {
                    memory.assembler.push(&event);
                }
                let encode = &mut |event: StreamEvent| self.encoder.encode(&event, &mut bytes);
                self.restoring.put(event, encode);
            });
            if let Err(failure) = judged {
                seen.failure = Some(failure);
                break;
            }
            if let Some(field) = self.beside.1.take_if(|_| starts) {
                self.encoder.encode(&field, &mut bytes);
            }
        }
        if !bytes.is_empty() {
            out.push_back(bytes.freeze());
        }
        seen
    }

    fn note(&mut self, event: &StreamEvent, seen: &mut Seen) {
        match event {
            StreamEvent::Delta { text, .. } => {
                seen.content |= !text.is_empty();
                self.output += tokens::estimate(text);
            }
            StreamEvent::PartStart { start, .. } => {
                seen.content |= matches!(start, PartStart::ToolCall { .. } | PartStart::RedactedThinking(_));
            }
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Tier(tier) => self.tier = Some(ServiceTier::said(Some(tier))),
            StreamEvent::Error(failure) => seen.failure = Some(failure.clone()),
            StreamEvent::End => {
                self.ended = true;
                seen.ended = true;
            }
            _ => {}
        }
    }

    /// What has been used.
    pub fn usage(&self) -> (Usage, bool) {
        counted(self.usage, self.prompt, self.output, self.ended)
    }

    /// The number of the event that would come next, in formats that number them.
    pub fn next_number(&self) -> u64 {
        self.encoder.next_number()
    }

    /// The service tier that the provider told.
    pub fn tier(&self) -> Option<ServiceTier> {
        self.tier
    }

    /// What the guardrails noted.
    pub fn take_flags(&mut self) -> Vec<String> {
        std::mem::take(&mut self.judges.flags)
    }

    /// What the guardrails did.
    pub fn take_tally(&mut self) -> Tally {
        self.judges.take_tally()
    }

    /// Notes what was found in the answer.
    pub fn note_found(&mut self, ticket: &mut Ticket) {
        if let Some(checking) = self.checking.as_mut().filter(|_| self.ended) {
            checking.flow.note(ticket);
        }
    }

    /// Remembers a complete answer.
    pub fn remember(&mut self, ticket: &mut Ticket) {
        let Some(memory) = self.memory.take() else { return };
        let Some(mut response) = memory.assembler.finish() else {
            return;
        };
        response.usage = self.usage.map(|usage| self.beside.0.and(&usage));
        let (usage, _) = self.usage();
        follow::capture(ticket, &response);
        if let Some(place) = memory.place.as_ref().filter(|_| Check::may_keep(ticket)) {
            recall::keep(ticket, place, &response, &usage);
        }
    }
}

impl Names {
    fn fill_in(&self, event: &mut StreamEvent) {
        if let StreamEvent::Start { id, model, .. } = event {
            if id.is_empty() {
                id.clone_from(&self.id);
            }
            if model.is_empty() {
                model.clone_from(&self.model);
            }
        }
    }
}

fn nonsense(error: &format::StreamError) -> Failure {
    Failure::new(
        FailureKind::Provider,
        format!("the provider's stream makes no sense: {error}"),
    )
    .coded("stream_broken")
}
