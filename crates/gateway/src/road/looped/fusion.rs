//! `fusion`: a panel is asked side by side, a judge compares its answers, and gives the answer.

use pointsman_routing::loops::{Analysis, Contract, Fusion, Said};
use pointsman_wire::form::Failure;

use super::answer::{self, Done};
use super::ring::{Call, Ring};
use super::{request, together};

/// Asks the panel, then the judge twice.
pub async fn run(ring: &Ring<'_>, fusion: &Fusion, contract: &Contract) -> Result<Done, Failure> {
    let until = ring.ends(fusion.rules.time);
    let calls = fusion.panel.iter().map(|panelist| Call {
        selected: &panelist.selected,
        request: request::under(
            request::without_tools(request::whole(&ring.asked.request)),
            panelist.terms,
        ),
        until,
    });
    let heard = together::ask(ring, calls.collect(), &fusion.rules).await?;
    let panel: Vec<Said> = heard.into_iter().map(|heard| heard.said).collect();
    let original = ring.original();
    let analysis = compared(ring, fusion, &original, &panel).await;
    let question = fusion.question(&original, (&panel, analysis.as_ref()), contract);
    let asked = request::followed(request::whole(&ring.asked.request), question);
    let call = Call {
        selected: &fusion.judge,
        request: request::under(asked, fusion.terms),
        until: None,
    };
    let trace = || {
        let shown = answer::shown(ring, &panel);
        fusion.trace((&shown, &ring.failed()), analysis.clone())
    };
    let last = ring.finish(call, answer::beside(ring, "fusion", trace())).await?;
    let beside = answer::beside(ring, "fusion", trace());
    Ok(answer::last(last, contract, (&panel, false), beside))
}

/// What the judge makes of the panel; nothing where it fails: the answer can be given without.
async fn compared(ring: &Ring<'_>, fusion: &Fusion, original: &str, panel: &[Said]) -> Option<Analysis> {
    let asked = request::without_tools(request::whole(&ring.asked.request));
    let asked = request::for_object(asked, false);
    let asked = request::followed(asked, fusion.comparison(original, panel));
    let call = Call {
        selected: &fusion.judge,
        request: request::under(asked, fusion.terms),
        until: None,
    };
    let heard = ring.ask(call).await.ok()?;
    Some(Fusion::read(&heard.said.text))
}
