//! Hears what passes on a stream whose bytes nobody touches, to know at its end what was said.

use bytes::Bytes;
use pointsman_wire::assemble::Assembler;
use pointsman_wire::form::{ChatResponse, StreamEvent};
use pointsman_wire::format::{self, Format, StreamDecoder};

/// Hears a stream.
pub struct Listener {
    decoder: StreamDecoder,
    events: Vec<StreamEvent>,
    /// Gone once something made no sense: then nothing was heard.
    assembler: Option<Assembler>,
}

impl Listener {
    /// Of a provider that speaks `from`.
    pub fn new(from: Format) -> Self {
        Self {
            decoder: format::stream_decoder(from),
            events: Vec::new(),
            assembler: Some(Assembler::new(from)),
        }
    }

    /// Hears a chunk.
    pub fn hear(&mut self, data: &Bytes) {
        let Some(assembler) = &mut self.assembler else {
            return;
        };
        let decoded = self.decoder.push(data, &mut self.events);
        for event in self.events.drain(..) {
            assembler.push(&event);
        }
        if decoded.is_err() {
            self.assembler = None;
        }
    }

    /// What was said.
    pub fn heard(mut self) -> Option<ChatResponse> {
        let mut assembler = self.assembler?;
        let finished = self.decoder.finish(&mut self.events);
        for event in self.events.drain(..) {
            assembler.push(&event);
        }
        finished.ok()?;
        assembler.finish()
    }
}
