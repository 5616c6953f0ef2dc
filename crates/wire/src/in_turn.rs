//! Parts one after another: for formats whose parts may not overlap, while those of others may (parallel tool calls of
//! OpenAI). What comes for a part whose turn has not come waits until the parts before it have ended.

use std::collections::VecDeque;

use crate::form::StreamEvent;

/// Puts the parts of one answer in turn.
#[derive(Debug, Default)]
pub struct InTurn {
    open: Option<u32>,
    waiting: VecDeque<StreamEvent>,
}

impl InTurn {
    /// Takes an event of a part in, and calls `write` with the events whose turn it is.
    pub fn take(&mut self, event: &StreamEvent, mut write: impl FnMut(u32, &StreamEvent)) {
        let Some(part) = part_of(event) else { return };
        if self.open.is_some_and(|open| open != part) {
            self.waiting.push_back(event.clone());
            return;
        }
        self.pass(part, event, &mut write);
        // A part has ended: whose turn is next may have begun, grown and ended while it waited.
        while self.open.is_none() {
            let starts = |event: &StreamEvent| match event {
                StreamEvent::PartStart { part, .. } => Some(*part),
                _ => None,
            };
            let Some(next) = self.waiting.iter().find_map(starts) else {
                break;
            };
            let (own, others): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waiting)
                .into_iter()
                .partition(|event| part_of(event) == Some(next));
            self.waiting = others;
            for event in own {
                self.pass(next, &event, &mut write);
            }
        }
    }

    fn pass(&mut self, part: u32, event: &StreamEvent, write: &mut impl FnMut(u32, &StreamEvent)) {
        match event {
            StreamEvent::PartStart { .. } => self.open = Some(part),
            StreamEvent::PartEnd { .. } => self.open = None,
            _ => {}
        }
        write(part, event);
    }
}

/// The part that an event is about.
#[must_use]
pub fn part_of(event: &StreamEvent) -> Option<u32> {
    match event {
        StreamEvent::PartStart { part, .. }
        | StreamEvent::Delta { part, .. }
        | StreamEvent::Signature { part, .. }
        | StreamEvent::Citation { part, .. }
        | StreamEvent::PartEnd { part, .. } => Some(*part),
        _ => None,
    }
}
