//! Asking a service about texts: in questions of its size, some at once, all within one time.

use std::ops::Range;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use pointsman_upstream::{
    Candidate, Client, Failure, InFlight, Outcome, Phase, SendErrorKind, Timeouts, UpstreamBody,
    parse_retry_after,
};

use super::finding::{Finding, Span, Unreadable};
use super::service::{Question, Shown};
use super::{RemoteGuard, Unjudged};

/// Questions of one request that are asked at once.
const QUESTIONS: usize = 8;
/// Letters that two parts of a long text have in common: what stands on a border stands in one of them whole.
const OVERLAP: usize = 512;
/// Bytes of an answer, at most.
const ANSWER: usize = 8 * 1024 * 1024;

/// A question about some of the texts, or about a part of one.
struct Job {
    number: usize,
    /// Which texts.
    of: Range<usize>,
    /// Which part of the only text; the whole where there is none.
    part: Option<Range<usize>>,
}

/// What came of a question: a finding for each of its texts.
type Heard = Result<Vec<Finding>, Unjudged>;

impl RemoteGuard {
    /// What the service says of each text. Texts of the same stage and sort stand together, for they go together.
    pub(crate) async fn ask(&self, client: &Client, shown: &[Shown<'_>]) -> Vec<Result<Finding, Unjudged>> {
        let mut heard: Vec<Option<Result<Finding, Unjudged>>> = vec![None; shown.len()];
        let jobs = self.jobs(shown, &mut heard);
        let until = tokio::time::Instant::now() + self.patience;
        let each = jobs.into_iter().map(|job| async move {
            let answer = self.question(client, (shown, &job), until).await;
            (job, answer)
        });
        let mut each = stream::iter(each).buffer_unordered(QUESTIONS);
        while let Some((job, answer)) = each.next().await {
            self.note(&mut heard, shown, &job, answer);
        }
        let nothing = || Ok(Finding::default());
        heard.into_iter().map(|one| one.unwrap_or_else(nothing)).collect()
    }

    fn jobs(&self, shown: &[Shown<'_>], heard: &mut [Option<Result<Finding, Unjudged>>]) -> Vec<Job> {
        let mut jobs = Vec::new();
        let numbers = 0..self.service.questions();
        let mut at = 0;
        while at < shown.len() {
            let one = shown[at];
            if one.text.trim().is_empty() {
                at += 1;
                continue;
            }
            if one.text.len() > self.max_bytes {
                heard[at] = Some(Err(Unjudged::Long));
                at += 1;
                continue;
            }
            let parts = self.service.longest().map(|longest| parts(one.text, longest));
            if let Some(parts) = parts.filter(|parts| parts.len() > 1) {
                for part in parts {
                    jobs.extend(numbers.clone().map(|number| Job {
                        number,
                        of: at..at + 1,
                        part: Some(part.clone()),
                    }));
                }
                at += 1;
                continue;
            }
            let most = shown.len().min(at + self.service.most());
            let mut end = at + 1;
            let mut bytes = one.text.len();
            while end < most && goes_with(shown[end], one) && bytes + shown[end].text.len() <= self.max_bytes
            {
                bytes += shown[end].text.len();
                end += 1;
            }
            jobs.extend(numbers.clone().map(|number| Job {
                number,
                of: at..end,
                part: None,
            }));
            at = end;
        }
        jobs
    }

    /// Takes an answer over: what is not heard in full is not judged.
    fn note(
        &self,
        heard: &mut [Option<Result<Finding, Unjudged>>],
        shown: &[Shown<'_>],
        job: &Job,
        answer: Heard,
    ) {
        let findings: Vec<Result<Finding, Unjudged>> = match answer {
            Ok(findings) => findings.into_iter().map(Ok).collect(),
            Err(why) => {
                tracing::warn!(
                    guardrail = self.name,
                    why = why.name(),
                    "a guardrail's service did not judge a text"
                );
                vec![Err(why); job.of.len()]
            }
        };
        for (at, finding) in job.of.clone().zip(findings) {
            let finding = finding.map(|finding| match &job.part {
                None => finding,
                Some(part) => placed(finding, part, shown[at].text),
            });
            heard[at] = Some(match (heard[at].take(), finding) {
                (None, finding) => finding,
                (Some(Err(why)), _) | (Some(Ok(_)), Err(why)) => Err(why),
                (Some(Ok(one)), Ok(other)) => Ok(both(one, other)),
            });
        }
    }

    async fn question(
        &self,
        client: &Client,
        (shown, job): (&[Shown<'_>], &Job),
        until: tokio::time::Instant,
    ) -> Heard {
        let mut about: Vec<Shown<'_>> = shown[job.of.clone()].to_vec();
        if let (Some(part), Some(only)) = (&job.part, about.first_mut()) {
            only.text = &only.text[part.clone()];
        }
        let question = self.service.ask(job.number, &about);
        let Ok(Ok(_place)) = tokio::time::timeout_at(until, self.places.acquire()).await else {
            return Err(Unjudged::Late);
        };
        let now = Instant::now();
        let begun = self.endpoint.available(now).then(|| self.endpoint.begin(now));
        let Some(mut in_flight) = begun.flatten() else {
            return Err(Unjudged::Open);
        };
        let patience = until.saturating_duration_since(tokio::time::Instant::now());
        let exchange = self.exchange(client, (&question, patience), &mut in_flight);
        let Ok(answer) = tokio::time::timeout_at(until, exchange).await else {
            in_flight.record(Outcome::Failure(Failure::Timeout(Phase::Total)), Instant::now());
            return Err(Unjudged::Late);
        };
        match self.service.read(job.number, &about, &answer?) {
            Ok(findings) if findings.len() == about.len() => Ok(findings),
            Ok(_) => Err(self.unreadable(
                Unreadable("there is not one finding for each text"),
                &mut in_flight,
            )),
            Err(why) => Err(self.unreadable(why, &mut in_flight)),
        }
    }

    fn unreadable(&self, Unreadable(why): Unreadable, in_flight: &mut InFlight) -> Unjudged {
        tracing::warn!(
            guardrail = self.name,
            why,
            "a guardrail's service gave an answer that makes no sense"
        );
        in_flight.record(Outcome::Failure(Failure::Protocol), Instant::now());
        Unjudged::Answer
    }

    /// Sends a question and reads its answer.
    async fn exchange(
        &self,
        client: &Client,
        (question, patience): (&Question, Duration),
        in_flight: &mut InFlight,
    ) -> Result<Bytes, Unjudged> {
        let begun = Instant::now();
        let mut renewed = false;
        loop {
            let mut request = self.request(question)?;
            let with = self
                .credential
                .authorize(client, &self.endpoint, &mut request, 0)
                .await
                .map_err(|error| {
                    tracing::warn!(guardrail = self.name, %error, "a guardrail's service cannot be asked");
                    Unjudged::Credential
                })?;
            let timeouts = Timeouts {
                connect: patience,
                first_byte: patience,
                between_chunks: patience,
                total: patience,
            };
            let sent = Box::pin(client.send(&self.endpoint, request, &timeouts)).await;
            let response = sent.map_err(|error| {
                in_flight.record(Outcome::Failure(Failure::from(&error)), Instant::now());
                match error.kind() {
                    SendErrorKind::Timeout(_) => Unjudged::Late,
                    _ => Unjudged::Network,
                }
            })?;
            let again = self
                .credential
                .answered(with, response.status(), response.headers());
            if again && !renewed {
                renewed = true;
                continue;
            }
            return self.answer(response, in_flight, begun).await;
        }
    }

    async fn answer(
        &self,
        response: Response<UpstreamBody>,
        in_flight: &mut InFlight,
        begun: Instant,
    ) -> Result<Bytes, Unjudged> {
        let status = response.status();
        if !status.is_success() {
            let outcome = match status {
                StatusCode::TOO_MANY_REQUESTS => Outcome::RateLimited {
                    retry_after: parse_retry_after(response.headers(), SystemTime::now()),
                },
                status => Outcome::Failure(Failure::Status(status)),
            };
            in_flight.record(outcome, Instant::now());
            tracing::warn!(
                guardrail = self.name,
                status = status.as_u16(),
                "a guardrail's service refused a question"
            );
            return Err(Unjudged::Status);
        }
        let mut body = response.into_body();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                in_flight.record(Outcome::Failure(Failure::from(&error)), Instant::now());
                Unjudged::Network
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > ANSWER {
                in_flight.record(Outcome::Failure(Failure::Protocol), Instant::now());
                return Err(Unjudged::Answer);
            }
            bytes.extend_from_slice(&data);
        }
        let first_byte = begun.elapsed();
        in_flight.record(Outcome::Success { first_byte }, Instant::now());
        Ok(bytes.freeze())
    }

    fn request(&self, question: &Question) -> Result<Request<Bytes>, Unjudged> {
        let path = if question.path.is_empty() {
            "/"
        } else {
            &question.path
        };
        let mut uri = self.endpoint.uri(path).map_err(|_| Unjudged::Network)?;
        if question.path.is_empty() {
            // Our own contract is spoken at the very URL.
            let whole = uri.path().trim_end_matches('/').to_owned();
            if let (false, Ok(exact)) = (whole.is_empty(), whole.parse()) {
                uri = exact;
            }
        }
        let mut request = Request::new(Bytes::from(question.body.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        Ok(request)
    }
}

fn goes_with(one: Shown<'_>, other: Shown<'_>) -> bool {
    one.stage == other.stage && one.sort == other.sort && !one.text.trim().is_empty()
}

/// The parts of a text of so many letters at most, each beginning a little before the end of the one before.
fn parts(text: &str, longest: usize) -> Vec<Range<usize>> {
    let borders: Vec<usize> = text
        .char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect();
    let letters = borders.len() - 1;
    let step = longest.saturating_sub(OVERLAP).max(longest / 2).max(1);
    let mut parts = Vec::new();
    let mut from = 0;
    loop {
        let to = (from + longest.max(1)).min(letters);
        parts.push(borders[from]..borders[to]);
        if to == letters {
            return parts;
        }
        from += step;
    }
}

/// A finding in a part, as one in the text.
fn placed(finding: Finding, part: &Range<usize>, text: &str) -> Finding {
    let mut whole = finding.whole;
    // A part that comes back changed cannot be put in the place of one that overlaps others.
    if finding.rewritten.is_some() && *part != (0..text.len()) && whole.is_none() {
        whole = Some("the service would have a part of it changed".to_owned());
    }
    let spans = finding.spans.into_iter().map(|span| Span {
        start: span.start + part.start,
        end: span.end + part.start,
        kind: span.kind,
    });
    Finding {
        spans: spans.collect(),
        rewritten: None,
        whole,
    }
}

/// What two questions about the same text found.
fn both(one: Finding, other: Finding) -> Finding {
    let spans = one.spans.into_iter().chain(other.spans).collect();
    Finding {
        rewritten: one.rewritten.or(other.rewritten),
        whole: match (one.whole, other.whole) {
            (Some(one), Some(other)) if one != other => Some(format!("{one}; {other}")),
            (one, other) => one.or(other),
        },
        ..Finding::of_spans(spans)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_overlap_and_cover_all() {
        let text = "é".repeat(25_000);
        let all = parts(&text, 10_000);
        assert_eq!((all[0].clone(), all.len()), (0..20_000, 3));
        assert!(
            all.windows(2)
                .all(|pair| pair[1].start == pair[0].end - 2 * OVERLAP)
        );
        assert_eq!(all.last().map(|part| part.end), Some(text.len()));
        for (text, end) in [("short", 5), ("", 0)] {
            let only = parts(text, 10);
            assert_eq!((only.len(), only.first().cloned()), (1, Some(0..end)));
        }
    }
}
