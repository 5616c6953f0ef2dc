//! Output guardrails over the parts of a streamed answer, and what was replaced in the question, put back into them.

use std::collections::HashMap;
use std::sync::Arc;

use pointsman_guard::{
    Guards, Placeholders, Restorer, Sort, Stage, StageGuards, StreamGuard, Tally, Verdict,
};
use pointsman_wire::form::{Failure, FailureKind, PartStart, StreamEvent, Text};
use pointsman_wire::json::Json;

use super::super::guard::refusal;

/// Bytes of a tool's arguments that are held until they are whole. They mean nothing before.
const MOST_ARGUMENTS: usize = 1024 * 1024;

/// Which part of which answer.
type Place = (u32, u32);

/// The guardrails of one stream.
pub struct Judges {
    guards: Arc<Guards>,
    placeholders: Placeholders,
    active: bool,
    parts: HashMap<Place, Part>,
    /// Guardrails that flagged something.
    pub flags: Vec<String>,
    /// What guardrails did with parts that are over.
    tally: Tally,
}

/// A part on its way.
enum Part {
    /// Goes on as far as it is settled.
    Text(StreamGuard),
    /// Arguments of a tool, judged when they are whole.
    Arguments(String),
}

impl Judges {
    pub fn new(guards: &Arc<Guards>, placeholders: &Placeholders) -> Self {
        Self {
            active: !guards.for_stage(Stage::Output).is_empty(),
            guards: Arc::clone(guards),
            tally: Tally::default(),
            placeholders: placeholders.clone(),
            parts: HashMap::new(),
            flags: Vec::new(),
        }
    }

    fn output(&self) -> &StageGuards {
        self.guards.for_stage(Stage::Output)
    }

    /// What the guardrails did.
    pub fn take_tally(&mut self) -> Tally {
        let mut tally = std::mem::take(&mut self.tally);
        for part in self.parts.values() {
            if let Part::Text(guard) = part {
                tally.add(guard.tally());
            }
        }
        tally
    }

    /// Hands `event` on as far as the guardrails let it.
    ///
    /// # Errors
    /// When one of them blocks.
    pub fn judge(&mut self, event: StreamEvent, on: &mut impl FnMut(StreamEvent)) -> Result<(), Failure> {
        if !self.active {
            on(event);
            return Ok(());
        }
        match event {
            StreamEvent::PartStart {
                choice,
                part,
                ref start,
            } => {
                let begun = match start {
                    PartStart::ToolCall { .. } => Part::Arguments(String::new()),
                    _ => self.text(),
                };
                self.parts.insert((choice, part), begun);
                on(event);
                Ok(())
            }
            StreamEvent::Delta { choice, part, text } => self.grow((choice, part), &text, on),
            StreamEvent::Signature { choice, part, .. } => {
                // A signature vouches for a text as it was.
                let changed = match self.parts.get(&(choice, part)) {
                    Some(Part::Text(guard)) => guard.has_changed(),
                    Some(Part::Arguments(_)) | None => false,
                };
                if !changed {
                    on(event);
                }
                Ok(())
            }
            StreamEvent::PartEnd { choice, part } => {
                self.end((choice, part), on)?;
                on(StreamEvent::PartEnd { choice, part });
                Ok(())
            }
            // They spell the text out once more.
            StreamEvent::Logprobs { .. } if self.output().redacts() => Ok(()),
            StreamEvent::Citation { ref citation, .. } => {
                let passes = self.passes(citation)?;
                passes.then(|| on(event));
                Ok(())
            }
            StreamEvent::Opaque { ref json, .. } => {
                let passes = self.passes(json)?;
                passes.then(|| on(event));
                Ok(())
            }
            other => {
                on(other);
                Ok(())
            }
        }
    }

    fn text(&self) -> Part {
        Part::Text(self.output().stream(&self.placeholders))
    }

    fn grow(&mut self, place: Place, text: &str, on: &mut impl FnMut(StreamEvent)) -> Result<(), Failure> {
        if !self.parts.contains_key(&place) {
            let begun = self.text();
            self.parts.insert(place, begun);
        }
        match self.parts.get_mut(&place) {
            Some(Part::Text(guard)) => {
                let step = guard.push(text);
                self.flags.extend(step.flags.into_iter().map(|flag| flag.guard));
                give(place, step.release, on);
                step.blocked.map_or(Ok(()), |block| Err(refusal(&block)))
            }
            Some(Part::Arguments(held)) if held.len() + text.len() > MOST_ARGUMENTS => {
                let message =
                    "the arguments of a tool are longer than the guardrails of this gateway look at";
                Err(Failure::new(FailureKind::PermissionDenied, message).coded("guardrail_blocked"))
            }
            Some(Part::Arguments(held)) => {
                held.push_str(text);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn end(&mut self, place: Place, on: &mut impl FnMut(StreamEvent)) -> Result<(), Failure> {
        match self.parts.remove(&place) {
            Some(Part::Text(mut guard)) => {
                let step = guard.finish();
                self.tally.add(guard.tally());
                self.flags.extend(step.flags.into_iter().map(|flag| flag.guard));
                give(place, step.release, on);
                step.blocked.map_or(Ok(()), |block| Err(refusal(&block)))
            }
            Some(Part::Arguments(arguments)) => {
                let verdict = self.whole(Sort::Arguments, &arguments)?;
                give(place, verdict.rewritten.unwrap_or(arguments), on);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Judges what comes whole.
    fn whole(&mut self, sort: Sort, text: &str) -> Result<Verdict, Failure> {
        let output = self.guards.for_stage(Stage::Output);
        let mut verdict = output.inspect_sort(text, sort, &self.placeholders, &mut self.tally);
        let flags = std::mem::take(&mut verdict.flags);
        self.flags.extend(flags.into_iter().map(|flag| flag.guard));
        match &verdict.blocked {
            Some(block) => Err(refusal(block)),
            None => Ok(verdict),
        }
    }

    /// Whether what only its own format understands goes on: not when something in it would have to be another.
    fn passes(&mut self, json: &Json) -> Result<bool, Failure> {
        let verdict = self.whole(Sort::Foreign, json.as_str())?;
        Ok(verdict.rewritten.is_none())
    }
}

fn give((choice, part): Place, text: String, on: &mut impl FnMut(StreamEvent)) {
    if !text.is_empty() {
        let text = Text::from(text);
        on(StreamEvent::Delta { choice, part, text });
    }
}

/// What was replaced in the question, put back into the parts of one stream.
pub struct Restoring {
    placeholders: Placeholders,
    active: bool,
    parts: HashMap<Place, Restorer>,
}

impl Restoring {
    pub fn new(placeholders: &Placeholders) -> Self {
        Self {
            active: placeholders.is_restorable(),
            placeholders: placeholders.clone(),
            parts: HashMap::new(),
        }
    }

    /// Hands `event` on, with what belongs in the place of placeholders.
    pub fn put(&mut self, event: StreamEvent, on: &mut impl FnMut(StreamEvent)) {
        if !self.active {
            on(event);
            return;
        }
        match event {
            StreamEvent::PartStart {
                choice,
                part,
                ref start,
            } => {
                let json = matches!(start, PartStart::ToolCall { .. });
                // Its provider vouches for what it thought as it is.
                if json || matches!(start, PartStart::Text | PartStart::Refusal) {
                    self.parts
                        .insert((choice, part), Restorer::new(&self.placeholders, json));
                }
                on(event);
            }
            StreamEvent::Delta { choice, part, text } => match self.parts.get_mut(&(choice, part)) {
                Some(restorer) => give((choice, part), restorer.push(&text), on),
                None => on(StreamEvent::Delta { choice, part, text }),
            },
            StreamEvent::PartEnd { choice, part } => {
                if let Some(mut restorer) = self.parts.remove(&(choice, part)) {
                    give((choice, part), restorer.finish(), on);
                }
                on(event);
            }
            other => on(other),
        }
    }
}
