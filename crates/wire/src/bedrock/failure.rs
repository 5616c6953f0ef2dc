//! Failures as Bedrock Converse tells them.

use bytes::BytesMut;

use crate::form::Failure;

/// The body of an error response.
pub(crate) fn render(_failure: &Failure, _request_id: &str) -> Vec<u8> {
    Vec::new()
}

/// The event that ends a stream with an error.
pub(crate) fn render_event(_failure: &Failure, _request_id: &str, _out: &mut BytesMut) {}
