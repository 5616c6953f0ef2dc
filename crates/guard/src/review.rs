//! The texts of a request on their way through the guardrails of their stages, in order.
//!
//! Models are asked about texts as they came; they are on this machine. A service is shown what the guardrails before it have
//! left of a text, and is asked about all texts of a request together. So texts go in legs: each begins with services that
//! see the same, and goes on with guardrails that need nobody.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use pointsman_understanding::Understanding;
use pointsman_upstream::Client;

use crate::arguments;
use crate::config::Stage;
use crate::groundedness::Ground;
use crate::grounds::Grounds;
use crate::guards::Guards;
use crate::heard::{Heard, Texts};
use crate::placeholder::Placeholders;
use crate::remote::{Finding, RemoteGuard, Shown as Asked, Unjudged};
use crate::stage::{Block, Books, Case, Flag, Kind, StageGuards};
use crate::tally::{Done, Tally};
use crate::texts::{Shown, Sort};

/// Texts from outside that are read as one, the last of them.
const JOINED: usize = 8;
/// Bytes of texts that are read as one.
const JOINED_BYTES: usize = 4 * 1024;

/// Whoever can be asked.
#[derive(Clone, Copy)]
pub struct Askable<'a> {
    /// Models of this machine.
    pub understanding: &'a Understanding,
    /// The way to services.
    pub client: &'a Client,
    /// What an answer may go by; none for what goes in.
    pub grounds: Option<&'a Grounds>,
}

/// What the guardrails say of the texts of a request.
#[derive(Debug, Clone, Default)]
pub struct Reviewed {
    /// The request must not go on.
    pub blocked: Option<Block>,
    /// Another model has to answer.
    pub rerouted: Option<String>,
    /// What was noted.
    pub flags: Vec<Flag>,
    /// What texts must go on as, in the order in which they were shown; none for those that stay.
    pub rewritten: Vec<Option<String>>,
    /// What guardrails did.
    pub tally: Tally,
}

/// A text on its way.
struct Draft {
    came: Arc<str>,
    now: Option<String>,
    sort: Sort,
    stage: Stage,
    joined: bool,
}

impl Draft {
    fn text(&self) -> &str {
        self.now.as_deref().unwrap_or(&self.came)
    }
}

/// What services say of the texts, text by text.
type Findings = Vec<Vec<(usize, Result<Finding, Unjudged>)>>;

impl Guards {
    /// Shows texts to the guardrails of their stages. What is replaced is noted in the book.
    pub async fn review(
        &self,
        texts: Vec<Shown>,
        askable: Askable<'_>,
        placeholders: &Placeholders,
    ) -> Reviewed {
        let mut reviewed = Reviewed::default();
        let shown = texts.len();
        let idle = |text: &Shown| self.for_stage(text.stage).is_empty();
        if texts.iter().all(idle) {
            reviewed.rewritten = vec![None; shown];
            return reviewed;
        }
        if self.restores() {
            texts.iter().for_each(|text| placeholders.spare(&text.text));
        }
        let mut drafts = drafts(texts);
        drafts.extend(self.joined(&drafts));
        let heard = self.hear(&drafts, askable.understanding).await;
        let grounds = self.for_stage(Stage::Output).grounds(askable.grounds).await;
        let legs = |stage| self.for_stage(stage).legs.len();
        let legs = [Stage::Input, Stage::ToolResult, Stage::Output].map(legs);
        for leg in 0..legs.into_iter().max().unwrap_or_default() {
            let findings = self.ask(leg, &drafts, askable.client, &mut reviewed.tally).await;
            if self.leg(
                leg,
                &mut drafts,
                (&heard, &findings, &grounds),
                placeholders,
                &mut reviewed,
            ) {
                break;
            }
        }
        drafts.truncate(shown);
        reviewed.rewritten = drafts.into_iter().map(|draft| draft.now).collect();
        reviewed
    }

    /// One leg of the way of all texts; true when the request must not go on.
    fn leg(
        &self,
        leg: usize,
        drafts: &mut [Draft],
        (heard, findings, grounds): (&[Heard; 3], &Findings, &[(usize, Ground)]),
        placeholders: &Placeholders,
        reviewed: &mut Reviewed,
    ) -> bool {
        for (draft, findings) in drafts.iter_mut().zip(findings) {
            let stage = self.for_stage(draft.stage);
            let Some(which) = stage.legs.get(leg) else {
                continue;
            };
            let case = Case {
                text: draft.text(),
                came: &draft.came,
                sort: draft.sort,
                stage: draft.stage,
                joined: draft.joined,
                grounds: if draft.stage == Stage::Output {
                    grounds
                } else {
                    &[]
                },
                heard: &heard[place(draft.stage)],
                findings,
            };
            let mut books = Books {
                placeholders,
                tally: &mut reviewed.tally,
            };
            let verdict = stage.judge(which.clone(), &case, &mut books);
            reviewed.flags.extend(verdict.flags);
            reviewed.rerouted = reviewed.rerouted.take().or(verdict.rerouted);
            if verdict.rewritten.is_some() {
                draft.now = verdict.rewritten;
            }
            if verdict.blocked.is_some() {
                reviewed.blocked = verdict.blocked;
                return true;
            }
        }
        false
    }

    /// What was said in several turns, or answered by several tools, read as one: an attack may come in parts.
    fn joined(&self, drafts: &[Draft]) -> Vec<Draft> {
        let stages = [Stage::Input, Stage::ToolResult].into_iter();
        let judged = stages.filter(|stage| !self.for_stage(*stage).asking.heads.is_empty());
        let each = judged.filter_map(|stage| {
            let foreign = drafts
                .iter()
                .rev()
                .filter(|draft| draft.stage == stage && draft.sort == Sort::Foreign)
                .map(|draft| &*draft.came)
                .filter(|text| !text.trim().is_empty());
            let text = joined(foreign)?;
            Some(Draft {
                came: text.into(),
                now: None,
                sort: Sort::Foreign,
                stage,
                joined: true,
            })
        });
        each.collect()
    }

    /// Asks models about the texts of each stage.
    async fn hear(&self, drafts: &[Draft], understanding: &Understanding) -> [Heard; 3] {
        let of = |stage: Stage| {
            let mut texts = Texts::default();
            let asking = &self.for_stage(stage).asking;
            if !asking.is_empty() {
                for draft in drafts.iter().filter(|draft| draft.stage == stage) {
                    match draft.sort {
                        Sort::Foreign => texts.foreign.push(Arc::clone(&draft.came)),
                        Sort::Definition => {}
                        // An agent's answer comes from outside as much as what it was asked.
                        Sort::Model if stage == Stage::Output => texts.foreign.push(Arc::clone(&draft.came)),
                        Sort::Instruction | Sort::Model | Sort::Thought | Sort::Arguments => {
                            texts.own.push(Arc::clone(&draft.came));
                        }
                    }
                }
            }
            Heard::ask(asking, understanding, texts)
        };
        for stage in [Stage::Input, Stage::ToolResult, Stage::Output] {
            if drafts.iter().any(|draft| draft.stage == stage) {
                self.for_stage(stage).prepare(understanding).await;
            }
        }
        let (input, results, output) =
            tokio::join!(of(Stage::Input), of(Stage::ToolResult), of(Stage::Output));
        [input, results, output]
    }

    /// Asks the services that lead a leg.
    async fn ask(&self, leg: usize, drafts: &[Draft], client: &Client, tally: &mut Tally) -> Findings {
        let mut findings: Findings = (0..drafts.len()).map(|_| Vec::new()).collect();
        let mut asking = Vec::new();
        for stage in [Stage::Input, Stage::ToolResult, Stage::Output] {
            let guards = self.for_stage(stage);
            for (at, guard, remote) in leading(guards, leg) {
                asking.push(async move {
                    let begun = Instant::now();
                    let heard = asked(remote, stage, drafts, client).await;
                    (at, stage, &guard.manner.name, heard, begun.elapsed())
                });
            }
        }
        for (at, stage, name, heard, time) in join_all(asking).await {
            if !heard.is_empty() {
                tally.note(name, stage, Done::Passed, time);
            }
            for (draft, finding) in heard {
                findings[draft].push((at, finding));
            }
        }
        findings
    }
}

/// Where a stage's answers of models are.
fn place(stage: Stage) -> usize {
    match stage {
        Stage::Input => 0,
        Stage::ToolResult => 1,
        Stage::Output => 2,
    }
}

fn drafts(texts: Vec<Shown>) -> Vec<Draft> {
    let draft = |text: Shown| Draft {
        came: text.text,
        now: None,
        sort: text.sort,
        stage: text.stage,
        joined: false,
    };
    texts.into_iter().map(draft).collect()
}

/// The last of these texts, the latest first, as one; none where there are no two.
fn joined<'t>(latest_first: impl Iterator<Item = &'t str>) -> Option<String> {
    let mut parts = Vec::new();
    let mut room = JOINED_BYTES;
    for text in latest_first.take(JOINED) {
        let Some(left) = room.checked_sub(text.len() + 1) else {
            break;
        };
        room = left;
        parts.push(text.trim());
    }
    if parts.len() < 2 {
        return None;
    }
    parts.reverse();
    Some(parts.join(" "))
}

/// The services that lead a leg, with their places.
fn leading(
    guards: &StageGuards,
    leg: usize,
) -> impl Iterator<Item = (usize, &crate::stage::Guard, &Arc<RemoteGuard>)> {
    let which = guards.legs.get(leg).cloned().unwrap_or_default();
    which.filter_map(|at| {
        let guard = guards.guards.get(at)?;
        match &guard.kind {
            Kind::Remote(remote) => Some((at, guard, remote)),
            Kind::Regex(_) | Kind::Pii(_) | Kind::Classifier(_) | Kind::Grounded(_) | Kind::Topics(_) => None,
        }
    })
}

/// What a service says of the texts of a stage that it judges, by their places.
async fn asked(
    remote: &RemoteGuard,
    stage: Stage,
    drafts: &[Draft],
    client: &Client,
) -> Vec<(usize, Result<Finding, Unjudged>)> {
    let judged = |draft: &Draft| draft.stage == stage && !draft.joined && remote.judges(draft.sort);
    let which: Vec<usize> = (0..drafts.len()).filter(|at| judged(&drafts[*at])).collect();
    let spoken: Vec<Option<String>> = which
        .iter()
        .map(|at| match drafts[*at].sort {
            Sort::Arguments => arguments::spoken(drafts[*at].text()),
            _ => None,
        })
        .collect();
    let shown: Vec<Asked<'_>> = which
        .iter()
        .zip(&spoken)
        .map(|(at, spoken)| Asked {
            text: spoken.as_deref().unwrap_or(drafts[*at].text()),
            sort: drafts[*at].sort,
            stage,
        })
        .collect();
    let heard = remote.ask(client, &shown).await;
    which.into_iter().zip(heard).collect()
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn the_last_parts_are_read_in_order() {
        assert_eq!(joined(["c", "b ", "a"].into_iter()).as_deref(), Some("a b c"));
        assert_eq!(joined(["alone"].into_iter()), None);
        let long = "x".repeat(5_000);
        assert_eq!(joined(["b", "a", &long].into_iter()).as_deref(), Some("a b"));
        assert_eq!(joined(["b", &long, "a"].into_iter()), None);
    }
}
