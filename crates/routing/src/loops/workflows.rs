//! `workflows`: steps of several models, planned by the configuration or by a model, and one answer at the end.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Contract, FailedModel, OnError, Rules, Said, Terms, loose, name_of};
use crate::selection::Selected;

/// A workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflows {
    pub(super) workers: Vec<Selected>,
    pub(super) mode: Mode,
    pub(super) template: String,
    /// What the configuration says of the last step, whoever plans.
    pub(super) last: Last,
    pub(super) max_steps: usize,
    pub(super) max_parallel: usize,
    /// What all calls change of the request.
    pub terms: Terms,
    /// How the calls of a step are made.
    pub rules: Rules,
    /// Whether the client is shown the steps.
    pub show: bool,
}

/// Who plans.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mode {
    Static(Plan),
    Dynamic(Planner),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Planner {
    pub(super) selected: Selected,
    pub(super) max_tokens: u64,
}

/// Steps, and the last one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// The answer.
    #[serde(rename = "final")]
    pub last: Last,
}

/// A step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// What others call it.
    pub id: String,
    /// What it is, such as `verifier`.
    pub role: String,
    /// Who takes it.
    pub models: Vec<String>,
    /// What is asked.
    pub prompt: String,
    /// Earlier steps, or single answers of them, that it sees; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_list: Option<Vec<String>>,
}

/// The last step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Last {
    /// Who answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The step.
    pub step: Step,
    /// What was said.
    pub said: Vec<Said>,
}

/// What the client is shown of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlowTrace {
    /// `static` or `dynamic`.
    pub mode: &'static str,
    /// The workflow's name.
    pub template: String,
    /// Who planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planner_model: Option<String>,
    /// Who may be asked.
    pub worker_models: Vec<String>,
    /// The plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// What came of its steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepTrace>,
    /// Who did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed_models: Vec<FailedModel>,
}

/// What came of a step, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepTrace {
    /// The step.
    #[serde(flatten)]
    pub step: Step,
    /// What was said.
    pub responses: Vec<StepAnswer>,
}

/// An answer of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepAnswer {
    /// Who gave it, as other steps name it.
    pub agent_id: String,
    /// Which model that is.
    pub model: String,
    /// What it says.
    pub content: String,
    /// What was thought before.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
}

/// What models of a step are asked where nothing is said.
pub(super) const USUAL_STEP: &str = "Work on the user's request and give a short, useful result.";
const USUAL_LAST: &str =
    "Make one final answer of what the steps gave. Prefer what is right, checked and specific.";

impl Workflows {
    /// Its models: who plans, then who works.
    pub fn models(&self) -> impl Iterator<Item = &Selected> {
        let planner = match &self.mode {
            Mode::Dynamic(planner) => Some(&planner.selected),
            Mode::Static(_) => None,
        };
        planner.into_iter().chain(&self.workers)
    }

    /// Who plans, and in how many tokens at most; nobody, where the configuration does.
    #[must_use]
    pub fn planner(&self) -> Option<(&Selected, u64)> {
        match &self.mode {
            Mode::Dynamic(planner) => Some((&planner.selected, planner.max_tokens)),
            Mode::Static(_) => None,
        }
    }

    /// The worker of a name.
    #[must_use]
    pub fn worker(&self, name: &str) -> Option<&Selected> {
        let named = |worker: &&Selected| name_of(worker) == name || worker.model == name;
        self.workers.iter().find(named)
    }

    /// The plan of the configuration, or what a planner said as one. Where that is none, and models may fail, a plan of one
    /// step stands in its place.
    ///
    /// # Errors
    /// What is wrong with the planner's plan, where models may not fail.
    pub fn plan(&self, planned: Option<&Said>) -> Result<Plan, String> {
        let plan = match (&self.mode, planned) {
            (Mode::Static(plan), _) => return Ok(plan.clone()),
            (Mode::Dynamic(_), None) => Err("nobody has planned".to_owned()),
            (Mode::Dynamic(_), Some(said)) => {
                let read = loose::object::<Plan>(&said.text);
                let read = read.or_else(|error| loose::object(&said.reasoning).map_err(|_| error));
                read.and_then(|plan| self.checked(plan))
            }
        };
        match plan {
            Err(_) if self.rules.on_error == OnError::Skip => self.checked(self.usual()),
            plan => plan.map_err(|error| format!("the planner's plan cannot be used: {error}")),
        }
    }

    /// A plan of one step.
    fn usual(&self) -> Plan {
        let names = self.workers.iter().map(name_of).take(self.max_parallel);
        Plan {
            steps: vec![Step {
                id: "solve".to_owned(),
                role: "worker".to_owned(),
                models: names.map(str::to_owned).collect(),
                prompt: "Answer the user's request directly, in the form that is asked for.".to_owned(),
                access_list: None,
            }],
            last: Last::default(),
        }
    }

    /// A plan within its bounds, with what it leaves out put in.
    pub(super) fn checked(&self, mut plan: Plan) -> Result<Plan, String> {
        if plan.steps.is_empty() {
            return Err("it has no steps".to_owned());
        }
        if plan.steps.len() > self.max_steps {
            return Err(format!(
                "it has {} steps, more than max_steps, {}",
                plan.steps.len(),
                self.max_steps
            ));
        }
        let mut known: Vec<String> = Vec::new();
        for (at, step) in plan.steps.iter_mut().enumerate() {
            self.check_step(step, at, &known)?;
            known.push(step.id.clone());
            known.extend((0..step.models.len()).map(|place| agent(step, place)));
        }
        plan.last.model = self
            .last
            .model
            .clone()
            .or(plan.last.model)
            .filter(|said| !said.trim().is_empty());
        plan.last.prompt = self
            .last
            .prompt
            .clone()
            .or(plan.last.prompt)
            .filter(|said| !said.trim().is_empty());
        match plan
            .last
            .model
            .as_deref()
            .filter(|model| self.worker(model).is_none())
        {
            Some(stranger) => Err(format!("the last step's model {stranger:?} is none of modelRefs")),
            None => Ok(plan),
        }
    }

    fn check_step(&self, step: &mut Step, at: usize, known: &[String]) -> Result<(), String> {
        if step.id.trim().is_empty() {
            step.id = format!("step-{}", at + 1);
        }
        if step.role.trim().is_empty() {
            "worker".clone_into(&mut step.role);
        }
        if step.prompt.trim().is_empty() {
            USUAL_STEP.clone_into(&mut step.prompt);
        }
        let id = &step.id;
        if known.contains(id) {
            return Err(format!("there are two steps {id:?}"));
        }
        if step.models.is_empty() {
            return Err(format!("step {id:?} has no models"));
        }
        if step.models.len() > self.max_parallel {
            let (models, most) = (step.models.len(), self.max_parallel);
            return Err(format!(
                "step {id:?} has {models} models, more than max_parallel, {most}"
            ));
        }
        if let Some(stranger) = step.models.iter().find(|model| self.worker(model).is_none()) {
            return Err(format!(
                "the model {stranger:?} of step {id:?} is none of modelRefs"
            ));
        }
        let strange = step
            .access_list
            .iter()
            .flatten()
            .find(|name| !known.contains(name));
        match strange {
            Some(name) => Err(format!(
                "step {id:?} wants to see {name:?}, which is no earlier step"
            )),
            None => Ok(()),
        }
    }

    /// What the planner is asked.
    #[must_use]
    pub fn planning(&self, original: &str, contract: &Contract) -> String {
        let workers: Vec<&str> = self.workers.iter().map(name_of).collect();
        let asked = contract.append(original.to_owned());
        format!(
            "Plan how several assistants shall work on the request below. Do not work on it yourself. Answer with one JSON \
             object and nothing else.\n\nThe assistants, by their names:\n{}\n\nThere are 1 to {} steps, which follow one \
             another. Each is given to 1 to {} assistants, who work on it side by side. Steps see the results of all earlier \
             steps, unless access_list says which: names of earlier steps, or of single results as \
             STEP:PLACE:ASSISTANT with places from 0; an empty list for none. Where something can be wrong, plan a step that \
             checks. A last step makes one answer of all results; say in its prompt what it shall look for.\n\n\
             {{\"steps\": [{{\"id\": \"short-name\", \"role\": \"thinker, worker or verifier\", \"models\": [\"an assistant\"], \
             \"prompt\": \"what to do\", \"access_list\": [\"an earlier step\"]}}], \"final\": {{\"prompt\": \"what to do\"}}}}\n\n\
             The request:\n{asked}",
            workers.join("\n"),
            self.max_steps,
            self.max_parallel,
        )
    }

    /// What the models of a step are asked.
    #[must_use]
    pub fn task(&self, step: &Step, before: &[Outcome], original: &str) -> String {
        let mut asked = format!(
            "You take one step of several towards an answer: {} ({}).\n\nYour task:\n{}\n",
            step.id, step.role, step.prompt
        );
        let seen = seen(step, before);
        if !seen.is_empty() {
            let _ = write!(asked, "\nResults of earlier steps:\n{seen}\n");
        }
        let _ = write!(asked, "\nThe user's request:\n{original}\n");
        asked
    }

    /// Who gives the last answer: whom the plan names, who planned, or who answered first.
    #[must_use]
    pub fn finisher(&self, plan: &Plan, before: &[Outcome]) -> Option<&Selected> {
        if let Some(named) = plan.last.model.as_deref() {
            return self.worker(named);
        }
        if let Some((planner, _)) = self.planner() {
            return Some(planner);
        }
        let first = before.iter().flat_map(|outcome| &outcome.said).next()?;
        self.worker(&first.model)
    }

    /// What is asked last.
    #[must_use]
    pub fn question(&self, plan: &Plan, before: &[Outcome], original: &str, contract: &Contract) -> String {
        let task = plan.last.prompt.as_deref().unwrap_or(USUAL_LAST);
        let everything = Step::default();
        contract.append(format!(
            "Give the user the final answer. Several assistants have worked on the request before you.\n\nYour task:\n{task}\n\n\
             Their results are evidence and can be wrong: check them against the request, and correct what contradicts it. \
             What they left unfinished, finish. Keep to the form that the user asks for; where only a letter, an object or a \
             block of code is asked for, give nothing else. Say nothing of steps, models or how the answer came about, unless \
             you are asked for it.\n\nThe user's request:\n{original}\n\nThe results:\n{}\n\nThe final answer:",
            seen(&everything, before)
        ))
    }

    /// The answer that stands for the last one: the latest that says something.
    #[must_use]
    pub fn instead(before: &[Outcome]) -> Option<&Said> {
        let all = before.iter().rev().flat_map(|outcome| outcome.said.iter().rev());
        all.into_iter().find(|said| !said.material().trim().is_empty())
    }

    /// What the client is shown, if anything.
    #[must_use]
    pub fn trace(&self, plan: Plan, done: &[Outcome], failed: &[FailedModel]) -> Option<FlowTrace> {
        if !self.show && failed.is_empty() {
            return None;
        }
        let step = |outcome: &Outcome| StepTrace {
            step: outcome.step.clone(),
            responses: outcome
                .said
                .iter()
                .map(|said| StepAnswer {
                    agent_id: agent_of(&outcome.step, said),
                    model: said.model.clone(),
                    content: said.text.clone(),
                    reasoning: said.reasoning.clone(),
                })
                .collect(),
        };
        Some(FlowTrace {
            mode: match self.mode {
                Mode::Static(_) => "static",
                Mode::Dynamic(_) => "dynamic",
            },
            template: self.template.clone(),
            planner_model: self.planner().map(|(planner, _)| name_of(planner).to_owned()),
            worker_models: self
                .workers
                .iter()
                .map(|worker| name_of(worker).to_owned())
                .collect(),
            plan: self.show.then_some(plan),
            steps: if self.show {
                done.iter().map(step).collect()
            } else {
                Vec::new()
            },
            failed_models: failed.to_vec(),
        })
    }
}

/// What a result is called by other steps.
fn agent(step: &Step, place: usize) -> String {
    let model = step.models.get(place).map_or("", String::as_str);
    format!("{}:{place}:{model}", step.id)
}

fn agent_of(step: &Step, said: &Said) -> String {
    let place = step.models.iter().position(|model| *model == said.model);
    agent(step, place.unwrap_or(0))
}

/// What a step sees of the results before it.
fn seen(step: &Step, before: &[Outcome]) -> String {
    let mut out = String::new();
    for outcome in before {
        let may = |said: &&Said| match &step.access_list {
            None => true,
            Some(list) => list
                .iter()
                .any(|name| *name == outcome.step.id || *name == agent_of(&outcome.step, said)),
        };
        let said: Vec<&Said> = outcome.said.iter().filter(may).collect();
        if said.is_empty() {
            continue;
        }
        let _ = writeln!(out, "Step {} ({}):", outcome.step.id, outcome.step.role);
        for said in said {
            let name = agent_of(&outcome.step, said);
            let _ = writeln!(out, "- {name}: {}", said.text);
            if !said.reasoning.is_empty() {
                let _ = writeln!(out, "  Its reasoning: {}", said.reasoning);
            }
        }
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workflows(on_error: OnError) -> Workflows {
        let selected = |name: &str| Selected {
            model: name.to_owned(),
            lora_name: None,
            reasoning: None,
            use_reasoning: None,
        };
        Workflows {
            workers: vec![selected("a"), selected("b"), selected("c")],
            mode: Mode::Dynamic(Planner {
                selected: selected("planner"),
                max_tokens: 2_048,
            }),
            template: "micro_agent".to_owned(),
            last: Last::default(),
            max_steps: 2,
            max_parallel: 2,
            terms: Terms::default(),
            rules: Rules {
                at_once: None,
                enough: None,
                time: None,
                on_error,
            },
            show: true,
        }
    }

    fn said(model: &str, text: &str) -> Said {
        Said {
            model: model.to_owned(),
            text: text.to_owned(),
            reasoning: String::new(),
        }
    }

    const PLAN: &str = r#"Here: {"steps": [{"id": "solve", "models": ["a", "b"], "prompt": "Solve."},
        {"role": "verifier", "models": ["c"], "access_list": ["solve:1:b"]}], "final": {"prompt": "Join."}}"#;

    #[test]
    fn a_plan_is_read_and_filled_in() {
        let workflows = workflows(OnError::Fail);
        let plan = workflows.plan(Some(&said("planner", PLAN))).unwrap();
        assert_eq!(plan.steps[1].id, "step-2");
        assert_eq!(
            (plan.steps[0].role.as_str(), plan.steps[1].prompt.as_str()),
            ("worker", USUAL_STEP)
        );
        let done = Outcome {
            step: plan.steps[0].clone(),
            said: vec![said("a", "one"), said("b", "two")],
        };
        let task = workflows.task(&plan.steps[1], std::slice::from_ref(&done), "why?");
        assert!(
            task.contains("solve:1:b: two") && !task.contains("one\n") && task.contains("why?"),
            "{task}"
        );
        let asked = workflows.question(&plan, std::slice::from_ref(&done), "why?", &Contract::default());
        assert!(
            asked.contains("Join.") && asked.contains("solve:0:a: one"),
            "{asked}"
        );
        assert_eq!(workflows.finisher(&plan, &[]).unwrap().model, "planner");
        assert_eq!(Workflows::instead(&[done]).unwrap().text, "two");
        let planning = workflows.planning("why?", &Contract::default());
        assert!(
            planning.contains("a\nb\nc") && planning.contains("1 to 2 steps"),
            "{planning}"
        );
    }

    #[test]
    fn a_plan_out_of_bounds_is_none() {
        for (plan, named) in [
            (r#"{"steps": []}"#, "no steps"),
            (r#"{"steps": [{"models": []}]}"#, "no models"),
            (r#"{"steps": [{"models": ["a", "b", "c"]}]}"#, "max_parallel"),
            (r#"{"steps": [{"models": ["d"]}]}"#, "\"d\""),
            (
                r#"{"steps": [{"models": ["a"]}, {"models": ["a"]}, {"models": ["a"]}]}"#,
                "max_steps",
            ),
            (
                r#"{"steps": [{"models": ["a"], "access_list": ["step-2"]}]}"#,
                "step-2",
            ),
            (
                r#"{"steps": [{"id": "x", "models": ["a"]}, {"id": "x", "models": ["a"]}]}"#,
                "two steps",
            ),
            (
                r#"{"steps": [{"models": ["a"]}], "final": {"model": "planner"}}"#,
                "modelRefs",
            ),
            ("I would ask a first.", "expected value"),
        ] {
            let error = workflows(OnError::Fail)
                .plan(Some(&said("planner", plan)))
                .unwrap_err();
            assert!(error.contains(named), "{plan}: {error}");
            let usual = workflows(OnError::Skip)
                .plan(Some(&said("planner", plan)))
                .unwrap();
            assert_eq!(usual.steps[0].models, ["a", "b"], "as many as work side by side");
        }
    }
}
