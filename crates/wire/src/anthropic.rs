//! Anthropic messages (API reference, "Messages"), in the versions SDKs send.

pub mod count;
pub mod request;
pub mod response;
pub mod rules;
pub mod stream;
pub mod thinking;
pub mod watch;

mod blocks;
mod encode;
mod usage;

use crate::format::Format;

/// Whether `format` is this one, with or without an envelope around it.
pub(crate) fn is_own(format: Format) -> bool {
    matches!(format, Format::AnthropicMessages | Format::BedrockInvoke)
}
