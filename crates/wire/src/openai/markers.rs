//! Marks of what shall be cached, which clients of other formats set: for servers that know them.

use std::borrow::Cow;

use super::rules;
use crate::form::{ChatRequest, Part, PartKind};
use crate::format::{EncodeTarget, Format};
use crate::rules::Losses;

/// The request as a server takes it. OpenAI's own, those that know the role `developer`, refuse the marks; compatible
/// ones in front of other models take them over from Anthropic.
pub(super) fn for_server<'r>(
    request: &'r ChatRequest,
    target: &EncodeTarget<'_>,
    losses: &mut Losses,
) -> Cow<'r, ChatRequest> {
    if request.format == Format::OpenAiChat || !target.developer_role || !request.marks_cache() {
        return Cow::Borrowed(request);
    }
    losses.by(&rules::CACHE_CONTROL);
    let mut plain = request.clone();
    for message in &mut plain.messages {
        message.parts.iter_mut().for_each(unmark);
    }
    plain.tools.iter_mut().for_each(|tool| tool.cache_control = None);
    Cow::Owned(plain)
}

fn unmark(part: &mut Part) {
    part.cache_control = None;
    if let PartKind::ToolResult(result) = &mut part.kind {
        result.content.iter_mut().for_each(unmark);
    }
}
