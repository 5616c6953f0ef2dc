//! `remom`: round after round, each made of the answers of the one before.

use pointsman_routing::loops::{Contract, OnError, Remom, RoundTrace, Said};
use pointsman_wire::form::{ChatRequest, Failure};

use super::answer::{self, Done};
use super::ring::{Call, Ring};
use super::{request, together};

/// Goes round.
pub async fn run(ring: &Ring<'_>, remom: &Remom, contract: &Contract) -> Result<Done, Failure> {
    let original = ring.original();
    let last = remom.schedule().len().saturating_sub(1);
    let mut rounds: Vec<Vec<Said>> = Vec::new();
    for round in 0..last {
        let request = asked(ring, remom, (&original, contract), rounds.last());
        let until = ring.ends(remom.rules.time);
        let calls = remom.calls(round).into_iter().map(|selected| Call {
            selected,
            request: request.clone(),
            until,
        });
        match together::ask(ring, calls.collect(), &remom.rules).await {
            Ok(heard) => {
                let said = heard.into_iter().map(|heard| heard.said).collect();
                rounds.push(remom.arrange(said));
            }
            Err(failure) => return fallen(ring, remom, contract, rounds, failure),
        }
    }
    let calls = remom.calls(last);
    let Some(selected) = calls.first().copied() else {
        return Err(together::all_failed(Vec::new()));
    };
    let call = Call {
        selected,
        request: asked(ring, remom, (&original, contract), rounds.last()),
        until: ring.ends(remom.rules.time),
    };
    let beside = answer::beside(ring, "reasoning_mom_responses", traces(ring, remom, &rounds));
    match ring.finish(call, beside).await {
        Ok(done) => {
            let earlier = rounds.concat();
            let beside = answer::beside(ring, "reasoning_mom_responses", traces(ring, remom, &rounds));
            Ok(answer::last(done, contract, (&earlier, false), beside))
        }
        Err(failure) => fallen(ring, remom, contract, rounds, failure),
    }
}

/// What a round is asked: the conversation itself, or a question made of the answers before.
fn asked(
    ring: &Ring<'_>,
    remom: &Remom,
    (original, contract): (&str, &Contract),
    before: Option<&Vec<Said>>,
) -> ChatRequest {
    let request = request::without_tools(request::whole(&ring.asked.request));
    let request = match before {
        None => request,
        Some(before) => request::instead(request, contract.append(remom.prompt(original, before))),
    };
    request::under(request, remom.terms)
}

/// Where a round fails: the best of the rounds before, if there is one and models may fail.
fn fallen(
    ring: &Ring<'_>,
    remom: &Remom,
    contract: &Contract,
    rounds: Vec<Vec<Said>>,
    failure: Failure,
) -> Result<Done, Failure> {
    if remom.rules.on_error == OnError::Fail {
        return Err(failure);
    }
    let Some(best) = Remom::best(&rounds).cloned() else {
        return Err(failure);
    };
    let beside = answer::beside(ring, "reasoning_mom_responses", traces(ring, remom, &rounds));
    Ok(answer::instead(ring, best, contract, &rounds.concat(), beside))
}

fn traces(ring: &Ring<'_>, remom: &Remom, rounds: &[Vec<Said>]) -> Option<Vec<RoundTrace>> {
    let trace = |(round, said): (usize, &Vec<Said>)| remom.trace(round, &answer::shown(ring, said));
    remom.show.then(|| rounds.iter().enumerate().map(trace).collect())
}
