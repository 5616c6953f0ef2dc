//! `thinking_blocks`: signed reasoning as Anthropic writes it, carried through OpenAI's format so that it can be replayed.
//!
//! A message of this format has one text and, behind it, calls. Reasoning that stood between them says in `after` where:
//! behind how many bytes of text, and how many calls. Without it, reasoning stands in front of everything.

use crate::form::{Part, PartKind, Text, TextPart, Thinking};
use crate::format::DecodeError;
use crate::json::fields::Value;
use crate::json::write::Object;

/// A block, and where it stood.
#[derive(Debug)]
pub struct Block {
    /// Reasoning, or encrypted reasoning.
    pub kind: PartKind,
    /// What came before it.
    pub after: After,
}

/// What was said before a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct After {
    /// Bytes of text.
    pub text: u64,
    /// Calls.
    pub calls: u64,
}

/// Reads one of `thinking_blocks`.
///
/// # Errors
/// When it is not one.
pub fn read_block(value: &Value<'_>) -> Result<Block, DecodeError> {
    let mut fields = value.fields()?;
    let kind = fields.need("type", |kind| kind.string())?;
    let kind = match kind.as_ref() {
        "thinking" => PartKind::Thinking(Thinking {
            text: fields.take("thinking", |text| text.string())?.unwrap_or_default(),
            signature: fields.take("signature", |signature| signature.string())?,
        }),
        "redacted_thinking" => PartKind::RedactedThinking(fields.need("data", |data| data.string())?),
        other => return Err(value.error(format!("unknown thinking block {other:?}"))),
    };
    let after = fields.take("after", |after| {
        let mut after = after.fields()?;
        Ok(After {
            text: after.take("text", |text| text.count())?.unwrap_or(0),
            calls: after.take("tool_calls", |calls| calls.count())?.unwrap_or(0),
        })
    })?;
    Ok(Block {
        kind,
        after: after.unwrap_or_default(),
    })
}

/// Blocks hold the same reasoning as `reasoning_content`, with its signature; but what a client collected of a stream
/// has the text there alone. It is put back where it can only belong to one block: a signature without its text is not
/// taken.
#[must_use]
pub fn whole(mut blocks: Vec<Block>, reasoning: Option<Text>) -> Vec<Block> {
    let mut thoughts = blocks.iter_mut().filter_map(|block| match &mut block.kind {
        PartKind::Thinking(thinking) => Some(thinking),
        _ => None,
    });
    if let (Some(only), None, Some(reasoning)) = (thoughts.next(), thoughts.next(), reasoning)
        && only.text.is_empty()
    {
        only.text = reasoning;
    }
    blocks
}

/// Puts blocks where they stood among the other parts of their message. Where a client has changed its words, they go
/// as near as can be, and never behind a call that they stood in front of.
#[must_use]
pub fn placed(blocks: Vec<Block>, others: Vec<Part>) -> Vec<Part> {
    let mut all = Vec::with_capacity(blocks.len() + others.len());
    let mut blocks = blocks.into_iter().peekable();
    let mut said = After::default();
    for part in others {
        match part.kind {
            PartKind::Text(text) => {
                let mut text = text;
                let end = said.text + text.text.len() as u64;
                while let Some(block) =
                    blocks.next_if(|block| block.after.calls == 0 && block.after.text < end)
                {
                    let before = block.after.text.saturating_sub(said.text) as usize;
                    if before > 0 && text.text.is_char_boundary(before) {
                        let first = text.text.slice_ref(&text.text[..before]);
                        text.text = text.text.slice_ref(&text.text[before..]);
                        said.text += before as u64;
                        all.push(Part::new(PartKind::Text(TextPart {
                            text: first,
                            citations: None,
                        })));
                    }
                    all.push(Part::new(block.kind));
                }
                said.text = end;
                all.push(Part {
                    kind: PartKind::Text(text),
                    ..part
                });
            }
            PartKind::ToolCall(_) => {
                let due = |block: &Block| block.after.calls <= said.calls;
                while let Some(block) = blocks.next_if(due) {
                    all.push(Part::new(block.kind));
                }
                said.calls += 1;
                all.push(part);
            }
            _ => all.push(part),
        }
    }
    all.extend(blocks.map(|block| Part::new(block.kind)));
    all
}

/// Writes the `thinking_blocks` of a message.
pub fn write_blocks(object: &mut Object<'_>, parts: &[Part]) {
    let mut said = After::default();
    object.list("thinking_blocks", |list| {
        for part in parts {
            match &part.kind {
                PartKind::Text(text) => said.text += text.text.len() as u64,
                PartKind::ToolCall(_) => said.calls += 1,
                kind @ (PartKind::Thinking(_) | PartKind::RedactedThinking(_)) => {
                    list.object(|block| write(block, kind, said));
                }
                _ => {}
            }
        }
    });
}

/// Writes the `thinking_blocks` of a streamed message, as far as they go: one block.
pub fn write_block(delta: &mut Object<'_>, kind: &PartKind, after: After) {
    delta.list("thinking_blocks", |list| {
        list.object(|block| write(block, kind, after));
    });
}

fn write(block: &mut Object<'_>, kind: &PartKind, after: After) {
    match kind {
        PartKind::Thinking(thinking) => {
            block.string("type", "thinking");
            block.string("thinking", &thinking.text);
            block.maybe_string("signature", thinking.signature.as_deref());
        }
        PartKind::RedactedThinking(data) => {
            block.string("type", "redacted_thinking");
            block.string("data", data);
        }
        _ => {}
    }
    if after != After::default() {
        block.object("after", |object| {
            object.count("text", after.text);
            object.count("tool_calls", after.calls);
        });
    }
}
