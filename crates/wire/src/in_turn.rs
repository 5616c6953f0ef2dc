//! Parts one after another, for formats whose blocks do not overlap: parts of others may (parallel calls of OpenAI).

use std::collections::VecDeque;

use crate::form::StreamEvent;

/// Holds back what comes for a part whose turn has not come, until the parts before it have ended.
#[derive(Debug, Default)]
pub struct InTurn {
    open: Option<u32>,
    waiting: VecDeque<StreamEvent>,
}

impl InTurn {
    /// Takes an event of a part in; `write` gets those whose turn it is, in order.
    pub fn take(&mut self, part: u32, event: &StreamEvent, mut write: impl FnMut(&StreamEvent)) {
        if self.open.is_some_and(|open| open != part) {
            self.waiting.push_back(event.clone());
            return;
        }
        self.tell(event, &mut write);
        // A part has ended: whose turn is next may have begun, grown and ended while it waited.
        while self.open.is_none() {
            let next = self.waiting.iter().find_map(|event| match event {
                StreamEvent::PartStart { part, .. } => Some(*part),
                _ => None,
            });
            let Some(next) = next else { break };
            let (own, others): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waiting)
                .into_iter()
                .partition(|event| part_of(event) == Some(next));
            self.waiting = others;
            for event in own {
                self.tell(&event, &mut write);
            }
        }
    }

    fn tell(&mut self, event: &StreamEvent, write: &mut impl FnMut(&StreamEvent)) {
        match event {
            StreamEvent::PartStart { part, .. } => self.open = Some(*part),
            StreamEvent::PartEnd { .. } => self.open = None,
            _ => {}
        }
        write(event);
    }
}

/// The part an event belongs to.
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
