//! Streamed answers of Cohere v2 chat.

use bytes::{Bytes, BytesMut};

use crate::form::StreamEvent;
use crate::format::{StreamEncoderOptions, StreamError};

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {}

impl Decoder {
    /// Takes a chunk in.
    ///
    /// # Errors
    /// When an event is not what the format demands.
    pub fn push(&mut self, _chunk: &Bytes, _out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        Err(StreamError::Cut)
    }

    /// The bytes have ended.
    ///
    /// # Errors
    /// When the answer was not complete.
    pub fn finish(&mut self, _out: &mut Vec<StreamEvent>) -> Result<(), StreamError> {
        Err(StreamError::Cut)
    }
}

/// Writes a stream.
#[derive(Debug)]
pub struct Encoder {
    options: StreamEncoderOptions,
}

impl Encoder {
    /// A writer for one stream.
    #[must_use]
    pub fn new(options: StreamEncoderOptions) -> Self {
        Self { options }
    }

    /// Writes `event` to the end of `out`.
    pub fn encode(&mut self, _event: &StreamEvent, _out: &mut BytesMut) {
        let _ = &self.options;
    }
}
