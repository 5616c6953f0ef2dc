//! The tasks of a caller: what all instances list, but for what others have begun.

use std::sync::Arc;

use futures_util::future::join_all;
use pointsman_a2a::agent::Instance;
use pointsman_a2a::call::Call;
use pointsman_a2a::error::{A2aError, Kind};
use pointsman_a2a::event::Event;
use pointsman_a2a::json::{self, Object, Raw};
use pointsman_a2a::link::{self, Failed, Said};
use pointsman_store::Outcome;

use super::Desk;
use super::judge::Judge;
use super::speech::Speech;
use super::work::{self, Stopped};

/// Tasks of one page, unless the client says how many, and at most.
const USUAL_PAGE: i64 = 50;
const MAX_PAGE: i64 = 100;
/// Pages that are turned at one instance.
const MAX_PAGES: usize = 50;

/// A task of the list.
struct Listed {
    id: String,
    at: String,
    raw: Raw,
}

/// Answers with one page.
///
/// # Errors
/// When the parameters are wrong, or no instance answers.
pub async fn answer(
    desk: &Desk<'_>,
    speech: &Speech,
    call: &Call,
    judge: &mut Judge,
) -> Result<Raw, Stopped> {
    let (size, token) = page(&call.params).map_err(|error| Stopped::Told(error, Outcome::Refused))?;
    let asked = desk.agent.instances.iter();
    let answers = join_all(asked.map(|instance| Box::pin(of(desk, speech, instance, call)))).await;
    let (mut tasks, mut failed, mut reached) = (Vec::new(), None, false);
    for answer in answers {
        match answer {
            Ok(some) => {
                reached = true;
                tasks.extend(some);
            }
            Err(why) => failed = Some(why),
        }
    }
    if let Some(why) = failed.filter(|_| !reached) {
        return Err(why);
    }
    if desk.agent.instances.len() > 1 {
        tasks.sort_by(|one, other| other.at.cmp(&one.at));
    }
    let start = match token {
        None => 0,
        Some(token) => tasks
            .iter()
            .position(|task| task.id == token)
            .map(|at| at + 1)
            .ok_or_else(|| {
                let error = A2aError::params("`pageToken` is none of the last page, or its task is gone");
                Stopped::Told(error, Outcome::Refused)
            })?,
    };
    let total = tasks.len();
    let end = (start + size).min(total);
    let mut shown = Vec::new();
    for task in &tasks[start..end] {
        let raw = match Event::task(&task.raw) {
            Some(event) if !judge.is_idle() => judge.whole(event).await?.close(),
            _ => task.raw.clone(),
        };
        shown.push(raw);
    }
    let next = if end < total {
        tasks[end - 1].id.as_str()
    } else {
        ""
    };
    let mut page = Object::default();
    page.set("tasks", &shown);
    page.set("nextPageToken", next);
    page.set("pageSize", &size);
    page.set("totalSize", &total);
    Ok(page.raw())
}

fn page(params: &Object) -> Result<(usize, Option<String>), A2aError> {
    let size = match params.get("pageSize") {
        None => USUAL_PAGE,
        Some(_) => params
            .number("pageSize")
            .filter(|size| (1..=MAX_PAGE).contains(size))
            .ok_or_else(|| A2aError::params(format!("`pageSize` must be from 1 to {MAX_PAGE}")))?,
    };
    if params.number("historyLength").is_some_and(|length| length < 0) {
        return Err(A2aError::params("`historyLength` must not be negative"));
    }
    Ok((usize::try_from(size).unwrap_or(1), params.filled("pageToken")))
}

/// What one instance lists of this caller's tasks.
async fn of(
    desk: &Desk<'_>,
    speech: &Speech,
    instance: &Arc<Instance>,
    call: &Call,
) -> Result<Vec<Listed>, Stopped> {
    let client = &desk.worker.client;
    let known = instance.known(client).await?;
    let way = known
        .way(call.version, speech.binding())
        .ok_or_else(|| Failed::Card("its card names no way in".to_owned()))?;
    let mut call = call.clone();
    call.params.remove("pageToken");
    call.params.set("pageSize", &MAX_PAGE);
    let (owner, mut tasks) = (desk.owner(), Vec::new());
    for _ in 0..MAX_PAGES {
        let question = (call.clone(), desk.beside());
        let answer = Box::pin(link::ask(instance, client, way, question)).await?;
        let page = match answer.said {
            Said::Whole(Ok(page)) => Object::of(&page).unwrap_or_default(),
            Said::Whole(Err(error)) => return Err(Stopped::Told(error, Outcome::Complete)),
            Said::Stream(_) => {
                let error = A2aError::new(Kind::InvalidAgentResponse, "the agent answered with a stream");
                return Err(Stopped::Told(error, Outcome::ProviderFailed));
            }
        };
        let listed = page.list("tasks").unwrap_or_default();
        let named = listed.iter().filter_map(|raw| Object::of(raw)?.filled("id"));
        let named: Vec<String> = named.collect();
        let known = work::look_up(desk, (&named, None)).await;
        known.map_err(|error| Stopped::Told(error, Outcome::Refused))?;
        tasks.extend(
            listed
                .iter()
                .filter_map(|raw| own(desk, (&owner, instance.id), raw)),
        );
        match page.filled("nextPageToken") {
            Some(next) => call.params.set("pageToken", &next),
            None => break,
        }
    }
    Ok(tasks)
}

fn own(desk: &Desk<'_>, (owner, instance): (&str, u64), raw: &Raw) -> Option<Listed> {
    let task = Object::of(raw)?;
    let id = task.filled("id")?;
    let book = &desk.lasting().book;
    let at = book.task(owner, &desk.agent.name, &id)?;
    let status = task.object("status").unwrap_or_default();
    (at == instance).then(|| Listed {
        id,
        at: status.text("timestamp").unwrap_or_default(),
        raw: json::raw(&task),
    })
}
