//! `confidence`: the next larger model is asked as long as the answer is not sure enough.

use pointsman_routing::Selected;
use pointsman_routing::loops::{Confidence, Judge, OnError, Terms, Verdict};
use pointsman_wire::form::{ChatRequest, Failure, FailureKind};

use super::answer::Done;
use super::request;
use super::ring::{Call, Heard, Ring};
use super::together::{all_failed, of_model};

/// Tokens in which a model says what its answer is worth.
const GRADE: Terms = Terms {
    temperature: Some(0.1),
    max_tokens: Some(256),
};

/// Climbs the ladder.
pub async fn run(ring: &Ring<'_>, ladder: &Confidence) -> Result<Done, Failure> {
    let mut failures = Vec::new();
    let mut last = None;
    for selected in ladder.ladder(&|model| ring.price(model)) {
        match rung(ring, &ladder.judge, selected).await {
            Ok((heard, verdict)) => {
                last = Some(heard);
                if verdict.accepted {
                    break;
                }
            }
            Err(failure) => {
                let model = pointsman_routing::loops::name_of(selected);
                if ladder.on_error == OnError::Fail {
                    return Err(of_model(model, failure));
                }
                failures.push((model.to_owned(), failure));
            }
        }
    }
    last.map(Done::from).ok_or_else(|| all_failed(failures))
}

/// One model's answer, and how sure it is.
async fn rung(ring: &Ring<'_>, judge: &Judge, selected: &Selected) -> Result<(Heard, Verdict), Failure> {
    let mut request = request::whole(&ring.asked.request);
    if let Some(top) = judge.top_logprobs() {
        request.sampling.logprobs = Some(true);
        request.sampling.top_logprobs = Some(top.max(ring.asked.request.sampling.top_logprobs.unwrap_or(0)));
    }
    let heard = ask(ring, selected, request).await?;
    let verdict = if judge.top_logprobs().is_some() {
        let logprobs = heard
            .response
            .choices
            .first()
            .and_then(|choice| choice.logprobs.as_ref());
        judge.assess(logprobs.map(pointsman_wire::json::Json::as_str))
    } else {
        let question = Judge::question(&ring.original(), heard.said.material());
        let grade = request::under(request::alone(&ring.asked.request, question), GRADE);
        judge.hear(&ask(ring, selected, grade).await?.said.text)
    };
    let verdict =
        verdict.map_err(|error| Failure::new(FailureKind::Provider, error).coded("loop_unjudged"))?;
    Ok((heard, verdict))
}

async fn ask(ring: &Ring<'_>, selected: &Selected, request: ChatRequest) -> Result<Heard, Failure> {
    let call = Call {
        selected,
        request,
        until: None,
    };
    ring.ask(call).await
}
