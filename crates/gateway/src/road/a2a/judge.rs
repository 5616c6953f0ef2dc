//! Guardrails over what messages say on their way in, and over what agents tell on their way out.
//!
//! A text of an agent is judged as a whole. Pieces of an artifact are judged as one text, too: what a piece might be the
//! beginning of is held back until the next one, or the artifact's end, says.

use std::collections::HashMap;
use std::sync::Arc;

use pointsman_a2a::event::{Event, EventKind, rewrite_parts};
use pointsman_a2a::json::{self, Object};
use pointsman_a2a::version::Version;
use pointsman_guard::{Askable, Block, Guards, Placeholders, Shown, Sort, Stage, Step, StreamGuard};
use pointsman_wire::form::Failure;
use serde_json::json;

use crate::road::guard::{fixed, refusal};
use crate::snapshot::Snapshot;
use crate::worker::Worker;

/// Artifacts of one stream that are under way at once; what comes beyond is judged piece by piece.
const MAX_ARTIFACTS: usize = 64;

/// The guardrails of one operation, and what they said so far.
pub struct Judge {
    worker: Arc<Worker>,
    snapshot: Arc<Snapshot>,
    guards: Arc<Guards>,
    flows: HashMap<String, Flow>,
    /// What flagged something.
    pub flags: Vec<String>,
}

/// An artifact under way.
struct Flow {
    guard: StreamGuard,
    task: Option<String>,
    context: Option<String>,
}

impl Judge {
    /// These guardrails.
    pub fn new(worker: &Arc<Worker>, snapshot: &Arc<Snapshot>, guards: Arc<Guards>) -> Self {
        Self {
            worker: Arc::clone(worker),
            snapshot: Arc::clone(snapshot),
            guards,
            flows: HashMap::new(),
            flags: Vec::new(),
        }
    }

    /// Whether there is nobody to show anything of an agent to.
    pub fn is_idle(&self) -> bool {
        self.is_nobody(Stage::Output)
    }

    fn is_nobody(&self, stage: Stage) -> bool {
        self.guards.for_stage(stage).is_empty()
    }

    /// Judges the texts of a message that is sent.
    ///
    /// # Errors
    /// When a guardrail blocks.
    pub async fn message(&mut self, params: &mut Object) -> Result<(), Failure> {
        if self.is_nobody(Stage::Input) {
            return Ok(());
        }
        let mut texts = Vec::new();
        params.within("message", |message| {
            let mut see = |text: &str| {
                texts.push(shown(Stage::Input, text));
                None
            };
            rewrite_parts(message, &mut see, &mut false);
        });
        let mut each = self.review(texts).await?.into_iter();
        params.within("message", |message| {
            rewrite_parts(message, &mut |_| each.next().flatten(), &mut false);
        });
        Ok(())
    }

    /// Judges something of an agent that is whole.
    ///
    /// # Errors
    /// When a guardrail blocks.
    pub async fn whole(&mut self, mut event: Event) -> Result<Event, Failure> {
        if self.is_idle() {
            return Ok(event);
        }
        let mut texts = Vec::new();
        event.rewrite(&mut |text| {
            texts.push(shown(Stage::Output, text));
            None
        });
        let mut each = self.review(texts).await?.into_iter();
        event.rewrite(&mut |_| each.next().flatten());
        Ok(event)
    }

    /// What texts become.
    async fn review(&mut self, texts: Vec<Shown>) -> Result<Vec<Option<String>>, Failure> {
        let askable = Askable {
            understanding: &self.snapshot.understanding,
            client: &self.worker.client,
            // What is told of a task is no conversation that it could be held against.
            grounds: None,
        };
        // Tasks outlast their request: what is replaced is not put back.
        let placeholders = Placeholders::default();
        let reviewed = Box::pin(self.guards.review(texts, askable, &placeholders)).await;
        self.flags
            .extend(reviewed.flags.iter().map(|flag| flag.guard.clone()));
        self.worker.shared.judged(&reviewed.tally);
        fixed(reviewed)
    }

    /// Judges the next event of a stream: what may be told now.
    ///
    /// # Errors
    /// When a guardrail blocks.
    pub async fn next(&mut self, event: Event, version: Version) -> Result<Vec<Event>, Failure> {
        if self.is_idle() {
            return Ok(vec![event]);
        }
        let mut event = self.whole(event).await?;
        if event.kind != EventKind::Artifact {
            let mut told = self.rest(version)?;
            told.push(event);
            return Ok(told);
        }
        self.piece(&mut event)?;
        Ok(vec![event])
    }

    /// A piece of an artifact.
    fn piece(&mut self, event: &mut Event) -> Result<(), Failure> {
        let id = event
            .inner
            .object("artifact")
            .and_then(|artifact| artifact.filled("artifactId"));
        let id = id.unwrap_or_default();
        let is_last = event.inner.flag("lastChunk").unwrap_or(false);
        if !self.flows.contains_key(&id) && self.flows.len() >= MAX_ARTIFACTS {
            return Ok(());
        }
        let (task, context) = (event.task_id(), event.context_id());
        let guards = self.guards.for_stage(Stage::Output);
        let flow = self.flows.entry(id.clone()).or_insert_with(|| Flow {
            guard: guards.stream(&Placeholders::default()),
            task,
            context,
        });
        let mut taken = Taken::default();
        event.inner.within("artifact", |artifact| {
            artifact.each("parts", |part| {
                if let Some(text) = part.text("text") {
                    part.set("text", &taken.take(flow.guard.push(&text)));
                }
            });
            if is_last {
                let rest = taken.take(flow.guard.finish());
                add_text(artifact, &rest);
            }
        });
        if is_last {
            self.flows.remove(&id);
        }
        self.flags.extend(taken.flags);
        taken.blocked.map_or(Ok(()), |block| Err(refusal(&block)))
    }

    /// What was held back of artifacts that nobody said the end of.
    ///
    /// # Errors
    /// When a guardrail blocks.
    pub fn rest(&mut self, version: Version) -> Result<Vec<Event>, Failure> {
        let mut told = Vec::new();
        for (id, mut flow) in self.flows.drain() {
            let mut taken = Taken::default();
            let text = taken.take(flow.guard.finish());
            self.flags.extend(taken.flags);
            if let Some(block) = taken.blocked {
                return Err(refusal(&block));
            }
            if !text.is_empty() {
                told.extend(held_back(&id, &flow, &text, version));
            }
        }
        Ok(told)
    }
}

/// A text of a caller, or of an agent.
fn shown(stage: Stage, text: &str) -> Shown {
    Shown {
        text: text.into(),
        sort: if stage == Stage::Input {
            Sort::Foreign
        } else {
            Sort::Model
        },
        stage,
    }
}

/// What came of pieces.
#[derive(Default)]
struct Taken {
    blocked: Option<Block>,
    flags: Vec<String>,
}

impl Taken {
    fn take(&mut self, step: Step) -> String {
        self.flags.extend(step.flags.into_iter().map(|flag| flag.guard));
        if step.blocked.is_some() {
            self.blocked = step.blocked;
        }
        step.release
    }
}

/// Adds a text to the last part of an artifact that is one.
fn add_text(artifact: &mut Object, text: &str) {
    if text.is_empty() {
        return;
    }
    let count = artifact.list("parts").unwrap_or_default().len();
    let mut at = 0;
    let mut added = false;
    artifact.each("parts", |part| {
        at += 1;
        if at == count
            && let Some(before) = part.text("text")
        {
            part.set("text", &[before.as_str(), text].concat());
            added = true;
        }
    });
    if !added {
        let mut parts = artifact.list("parts").unwrap_or_default();
        parts.push(json::raw(&json!({ "text": text })));
        artifact.set("parts", &parts);
    }
}

fn held_back(id: &str, flow: &Flow, text: &str, version: Version) -> Option<Event> {
    let part = match version {
        Version::V10 => json!({ "text": text }),
        Version::V03 => json!({ "kind": "text", "text": text }),
    };
    let mut update = json!({
        "taskId": flow.task, "contextId": flow.context, "append": true,
        "artifact": { "artifactId": id, "parts": [part] },
    });
    let event = match version {
        Version::V10 => json!({ "artifactUpdate": update }),
        Version::V03 => {
            update["kind"] = json!("artifact-update");
            update
        }
    };
    Event::open(&json::raw(&event), version)
}
