//! `workflows`: step after step of a plan, and one answer of all results.
//!
//! Only the last step may call the client's tools: a call goes to the client, and its result comes with the next request,
//! which is planned anew. Steps in between keep nothing from one request to the next.

use pointsman_routing::loops::{Contract, OnError, Plan, Said, StepOutcome, Workflows};
use pointsman_wire::form::{Failure, FailureKind};

use super::answer::{self, Done};
use super::ring::{Call, Ring};
use super::{request, together};

/// Plans, works, answers.
pub async fn run(ring: &Ring<'_>, workflows: &Workflows, contract: &Contract) -> Result<Done, Failure> {
    let original = ring.original();
    let plan = planned(ring, workflows, (&original, contract)).await?;
    let mut done: Vec<StepOutcome> = Vec::new();
    for step in &plan.steps {
        let task = workflows.task(step, &done, &original);
        let asked = request::followed(request::without_tools(request::whole(&ring.asked.request)), task);
        let asked = request::under(asked, workflows.terms);
        let until = ring.ends(workflows.rules.time);
        // A plan names workers only.
        let workers = step.models.iter().filter_map(|model| workflows.worker(model));
        let calls = workers.map(|selected| Call {
            selected,
            request: asked.clone(),
            until,
        });
        let heard = together::ask(ring, calls.collect(), &workflows.rules).await?;
        done.push(StepOutcome {
            step: step.clone(),
            said: heard.into_iter().map(|heard| heard.said).collect(),
        });
    }
    finished(ring, workflows, contract, (plan, done), &original).await
}

/// The plan of the configuration, or that of the planner.
async fn planned(
    ring: &Ring<'_>,
    workflows: &Workflows,
    (original, contract): (&str, &Contract),
) -> Result<Plan, Failure> {
    let said = match workflows.planner() {
        None => None,
        Some((planner, tokens)) => {
            let asked = request::without_tools(request::whole(&ring.asked.request));
            let asked = request::followed(asked, workflows.planning(original, contract));
            let mut asked = request::for_object(request::under(asked, workflows.terms), true);
            asked.sampling.max_tokens = Some(tokens);
            let call = Call {
                selected: planner,
                request: asked,
                until: ring.ends(workflows.rules.time),
            };
            Some(ring.ask(call).await?.said)
        }
    };
    workflows
        .plan(said.as_ref())
        .map_err(|error| Failure::new(FailureKind::Provider, error).coded("loop_plan"))
}

/// The last step; where it fails and models may, the latest result stands in its place.
async fn finished(
    ring: &Ring<'_>,
    workflows: &Workflows,
    contract: &Contract,
    (plan, done): (Plan, Vec<StepOutcome>),
    original: &str,
) -> Result<Done, Failure> {
    let Some(selected) = workflows.finisher(&plan, &done) else {
        return Err(together::all_failed(Vec::new()));
    };
    let question = workflows.question(&plan, &done, original, contract);
    let asked = request::followed(request::whole(&ring.asked.request), question);
    let call = Call {
        selected,
        request: request::under(asked, workflows.terms),
        until: ring.ends(workflows.rules.time),
    };
    let trace = || {
        let shown = |outcome: &StepOutcome| StepOutcome {
            step: outcome.step.clone(),
            said: answer::shown(ring, &outcome.said),
        };
        let shown: Vec<StepOutcome> = done.iter().map(shown).collect();
        workflows.trace(plan.clone(), &shown, &ring.failed())
    };
    let earlier: Vec<Said> = done.iter().flat_map(|outcome| outcome.said.clone()).collect();
    match ring.finish(call, answer::beside(ring, "flow", trace())).await {
        Ok(last) => {
            let beside = answer::beside(ring, "flow", trace());
            Ok(answer::last(last, contract, (&earlier, true), beside))
        }
        Err(failure) if workflows.rules.on_error == OnError::Skip => match Workflows::instead(&done).cloned()
        {
            Some(said) => {
                let beside = answer::beside(ring, "flow", trace());
                Ok(answer::instead(ring, said, contract, &earlier, beside))
            }
            None => Err(failure),
        },
        Err(failure) => Err(failure),
    }
}
