//! An attempt at a model without structured answers of its own: asked by other means, read as a whole, checked, and
//! asked once more where the answer does not follow.

use std::sync::Arc;
use std::time::Instant;

use pointsman_catalog::ServiceTier;
use pointsman_upstream::InFlight;
use pointsman_wire::form::{ChatResponse, Failure};

use super::super::arrive::Asked;
use super::super::structure::{Flaw, Wanted};
use super::super::{Ticket, admit, relay};
use super::attempt::Exchange;
use super::{Answer, Failed};
use crate::snapshot::{Speech, Target};

impl Exchange<'_> {
    /// What must be done for the structure that the client wants; none where the target has its own way.
    pub fn wanted(&self, target: &Target, speech: &Speech) -> Result<Option<Wanted>, Failed> {
        let request = &self.asked.request;
        if request.response_format.is_none() {
            return Ok(None);
        }
        let shaped = target.shape.request(request);
        let request = shaped.as_ref().unwrap_or(request);
        Wanted::find(request, (target, speech), self.step.reasoning.is_some()).map_err(Failed::refused)
    }

    /// Asks, checks, and has it mended once.
    pub async fn structured(
        &self,
        (target, speech): (&Target, &Speech),
        in_flight: InFlight,
        ticket: &mut Ticket,
        wanted: &Wanted,
    ) -> Result<Answer, Failed> {
        let endpoint = Arc::clone(in_flight.endpoint());
        let mut asked = self.asked.instead(wanted.ask(&self.asked.request));
        let flaw = match self
            .one((target, speech), &asked, in_flight, ticket, wanted)
            .await?
        {
            Ok(answer) => return Ok(answer),
            Err(flaw) => flaw,
        };
        wanted.mend(&mut asked.request, &flaw);
        let asked = asked.instead(asked.request.clone());
        admit::again(&self.arrival.snapshot, ticket, &asked, target)
            .await
            .map_err(|denied| Failed::refused(unmended(&flaw, &denied.message)))?;
        let Some(in_flight) = endpoint.begin(Instant::now()) else {
            return Err(Failed::refused(unmended(
                &flaw,
                "the provider is resting after failures",
            )));
        };
        match self
            .one((target, speech), &asked, in_flight, ticket, wanted)
            .await?
        {
            Ok(answer) => Ok(answer),
            Err(flaw) => Err(Failed::refused(flaw.failure())),
        }
    }

    /// One answer, checked. One that does not follow is charged here: nobody gets it.
    async fn one(
        &self,
        (target, speech): (&Target, &Speech),
        asked: &Asked,
        in_flight: InFlight,
        ticket: &mut Ticket,
        wanted: &Wanted,
    ) -> Result<Result<Answer, Flaw>, Failed> {
        let exchange = Exchange {
            asked,
            is_read: true,
            ..*self
        };
        let answer = exchange.ask((target, speech), in_flight, ticket).await?;
        let Answer::Whole { mut response, .. } = answer else {
            return Ok(Ok(answer));
        };
        match wanted.take(&mut response) {
            Ok(()) => Ok(Ok(Answer::Whole {
                response,
                native: None,
            })),
            Err(flaw) => {
                charge(&response, asked, ticket);
                Ok(Err(flaw))
            }
        }
    }
}

fn charge(response: &ChatResponse, asked: &Asked, ticket: &mut Ticket) {
    if let Some(tier) = &response.service_tier {
        ticket.facts.tier = ServiceTier::said(Some(tier));
    }
    let usage = response.usage.unwrap_or_else(|| relay::count(asked, response));
    ticket.spend(&usage, response.usage.is_none());
}

/// The first answer is wrong, and there is no second.
fn unmended(flaw: &Flaw, why: &str) -> Failure {
    let mut failure = flaw.failure();
    failure.message.push_str("; it was not asked again: ");
    failure.message.push_str(why);
    failure
}
