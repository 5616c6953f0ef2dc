//! The end of a batch that a provider ran: its results are fetched, and each line is settled and told once.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use pointsman_governance::SetAside;
use pointsman_store::{BatchApi, BatchStatus};
use tokio::sync::watch;

use super::super::super::hand::Handed;
use super::super::super::provider::{About, FetchError, Line, Remote};
use super::super::{Done, Interrupted, Next, Run, fail};
use super::{Gone, hold};
use crate::kept::now;
use crate::road::handed::{self, Destination, Told};
use crate::road::line::Came;

/// What is told of lines that the provider has left out.
const SILENCE: &str = "the provider's batch has ended, and its results say nothing of this line";
/// What stands around an answer in a line of results, at most.
const AROUND: usize = 64 * 1024;

impl Run<'_> {
    /// Settles all lines, and ends the batch as the provider did.
    pub(super) async fn bring_home(
        mut self,
        (handed, to): (&Handed, &Destination),
        about: About,
        folder: PathBuf,
        stop: watch::Receiver<bool>,
    ) -> Result<Next, Interrupted> {
        let (runner, batch) = (self.runner, std::sync::Arc::clone(&self.batch));
        let remote = Remote::new(&runner.worker, to, &batch);
        let ended = about.ended.unwrap_or(BatchStatus::Completed);
        let api = batch.asked.api;
        if ended == BatchStatus::Failed && api == BatchApi::OpenAi && handed.before == (0, 0) {
            let problems = about.errors.clone().unwrap_or_default().to_string();
            fail(runner, &batch, folder, problems).await?;
            remote.forget(handed, &about).await;
            return Ok(Next::Ended);
        }
        let mut files = Vec::new();
        for (at, from) in about.results.iter().enumerate() {
            let place = folder.join(format!("home-{at}.jsonl"));
            if !tokio::fs::try_exists(&place).await? {
                match remote.fetch(from, &place).await {
                    Ok(()) => {}
                    Err(FetchError::Trouble(trouble)) => {
                        return Ok(match Gone::of(&batch, trouble) {
                            Gone::Again(wait) => Next::Again(wait),
                            // What it will not give it may give after all: nothing else has the answers.
                            _ => Next::Again(super::LAST_LOOK),
                        });
                    }
                    Err(FetchError::Io(error)) => return Err(error.into()),
                }
            }
            files.push(place);
        }
        hold(runner, &batch, handed).await;
        let Some(held) = runner.waiting.lock().remove(&batch.id) else {
            return Ok(Next::Again(super::FIRST_LOOK));
        };
        let mut aside = held.aside;
        let mut settling = Settling {
            to,
            aside: &mut aside,
            stop: &stop,
        };
        let Some(unsent) = self.settle_files(&remote, &files, &mut settling).await? else {
            return Ok(Next::Ended);
        };
        let status = self.home_as(ended, unsent);
        if status == BatchStatus::Completed && !self.settle_silent(&about, &mut settling).await? {
            return Ok(Next::Ended);
        }
        self.results.sync()?;
        drop(aside);
        self.end(folder, status).await?;
        remote.forget(handed, &about).await;
        Ok(Next::Ended)
    }

    /// How a batch ends that ended so at the provider, with lines that were not sent.
    fn home_as(&self, ended: BatchStatus, unsent: Option<BatchStatus>) -> BatchStatus {
        let ended = match ended {
            BatchStatus::Failed => BatchStatus::Completed,
            other => other,
        };
        let told = if ended == BatchStatus::Completed {
            unsent.unwrap_or(ended)
        } else {
            ended
        };
        // Cancelled because its time was over, not because anybody wished it.
        if told == BatchStatus::Cancelled && !self.cancelled && self.expired() {
            return BatchStatus::Expired;
        }
        told
    }

    /// Settles the lines of the provider's results, and says why some were not sent; none when the gateway stops
    /// before the end.
    async fn settle_files(
        &mut self,
        remote: &Remote<'_>,
        files: &[PathBuf],
        settling: &mut Settling<'_>,
    ) -> Result<Option<Option<BatchStatus>>, Interrupted> {
        let mut names = HashMap::with_capacity(self.lines.count());
        for line in 0..self.lines.count() {
            let custom_id = self.lines.read(line)?.custom_id;
            names.insert(remote.line_name(line as u64 + 1, &custom_id), (line, custom_id));
        }
        let most = self.runner.worker.shared.snapshot.load().bounds.response_limit + AROUND;
        let (mut unsent, mut count) = (None, 0_u32);
        for path in files {
            let mut reader = reader(path)?;
            let mut bytes = Vec::new();
            loop {
                bytes.clear();
                let length = reader.by_ref().take(most as u64).read_until(b'\n', &mut bytes)?;
                if length == 0 {
                    break;
                }
                count = count.wrapping_add(1);
                if count.is_multiple_of(64) {
                    tokio::task::yield_now().await;
                    if *settling.stop.borrow() {
                        return Ok(None);
                    }
                }
                let told = remote.told(&bytes);
                let place = told.as_ref().and_then(|(name, _)| names.get(name));
                match (told, place) {
                    (Some((_, Line::Told(told))), Some((line, custom_id))) => {
                        self.settle_line((*line, custom_id), told, settling).await?;
                    }
                    (Some((_, Line::Unsent(status))), Some(_)) => unsent = Some(status),
                    _ if bytes.trim_ascii().is_empty() => {}
                    _ => tracing::warn!(
                        batch = self.batch.id.as_str(),
                        "a line of a provider's results belongs to none that was sent, or is too large"
                    ),
                }
            }
        }
        Ok(Some(unsent))
    }

    /// Settles the lines of which the results say nothing; false when the gateway stops before the end.
    async fn settle_silent(
        &mut self,
        about: &About,
        settling: &mut Settling<'_>,
    ) -> Result<bool, Interrupted> {
        let why = match &about.errors {
            Some(errors) if about.ended == Some(BatchStatus::Failed) => {
                let first = errors[0]["message"].as_str().unwrap_or_default();
                format!("the provider refused the batch: {first}")
            }
            _ => SILENCE.to_owned(),
        };
        for line in 0..self.lines.count() {
            if self.results.of(line).is_some() {
                continue;
            }
            if *settling.stop.borrow() {
                return Ok(false);
            }
            let custom_id = self.lines.read(line)?.custom_id;
            let told = Told::Nothing(why.clone());
            self.settle_line((line, &custom_id), told, settling).await?;
            tokio::task::yield_now().await;
        }
        Ok(true)
    }

    /// Settles a line that has no result yet, and records what its client is told.
    async fn settle_line(
        &mut self,
        (line, custom_id): (usize, &str),
        told: Told,
        settling: &mut Settling<'_>,
    ) -> Result<(), Interrupted> {
        if self.results.of(line).is_some() {
            return Ok(());
        }
        let (request, _) = self.request(line)?;
        let worker = &self.runner.worker;
        let (status, body) = handed::settle(worker, request, (settling.to, told), settling.aside).await;
        let done = Done {
            line,
            custom_id: custom_id.to_owned(),
            came: Came::Answer { status, body },
        };
        self.note(done, 1)
    }

    /// Ends a batch whose provider the configuration has no more: nothing that may have come of it can be read.
    pub(super) async fn end_unsettled(self, about: &About, folder: PathBuf) -> Result<Next, Interrupted> {
        tracing::error!(
            batch = self.batch.id.as_str(),
            since = now() - self.batch.asked.created_at,
            "a batch is given up, because the configuration has no such target any more"
        );
        let status = about.ended.unwrap_or(BatchStatus::Expired);
        self.end(folder, status).await.map(|()| Next::Ended)
    }
}

/// What settling a line takes.
struct Settling<'a> {
    to: &'a Destination,
    aside: &'a mut SetAside,
    stop: &'a watch::Receiver<bool>,
}

fn reader(path: &Path) -> std::io::Result<BufReader<File>> {
    Ok(BufReader::with_capacity(1 << 18, File::open(path)?))
}
