//! One batch, from the queue to its files. Interrupted anywhere, it can be taken up again.

mod handed;

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pointsman_config::BatchMode;
use pointsman_governance::Labels;
use pointsman_store::blob::{BlobError, Staged};
use pointsman_store::{Batch, BatchApi, BatchStatus, Counts, Ended, FileId, Results, StoreError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::hand::{self, RunBy};
use super::lines::{Lines, Problem, Rules, Unusable};
use super::turns::Turn;
use super::{Runner, output};
use crate::kept::{KeepError, now};
use crate::road::batches::named;
use crate::road::handed::payer;
use crate::road::line::{self, Came};
use crate::worker::{Worker, stopped};

/// How often the counts are carried over, and is looked whether the batch was cancelled.
const TICK: Duration = Duration::from_millis(250);
/// Ticks after which results are synced to the disk.
const SYNC_EVERY: u32 = 4;
/// Answers after which one more line at once is tried, where limits had no room for more.
const GROW_EVERY: u64 = 64;
/// How soon is looked again after a batch that another process has.
const ELSEWHERE: Duration = Duration::from_secs(1);
/// Longest rest of a batch whose owner's limits have no room.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Why a batch was interrupted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Interrupted {
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error("its results: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a line's task ended without a word")]
    Lost,
}

/// What comes next for a batch.
pub(super) enum Next {
    /// Nothing, or the gateway stops.
    Ended,
    /// It is looked at again after this time.
    Again(Duration),
}

/// Runs a batch as far as it goes: to its end, until a provider has gone on with it, or until the gateway stops.
pub(super) async fn drive(
    runner: &Runner,
    batch: Batch,
    stop: watch::Receiver<bool>,
) -> Result<Next, Interrupted> {
    let run_by = RunBy::of(&batch).map_err(StoreError::from)?;
    // As long as the provider is at it, nothing here is opened.
    let about = match &run_by {
        Some(RunBy::Provider(handed)) => match handed::look(runner, &batch, handed).await? {
            handed::Look::Again(wait) => return Ok(Next::Again(wait)),
            handed::Look::Go(about) => about,
        },
        _ => None,
    };
    let kept = &runner.worker.shared.kept;
    let folder = kept.folder.join("batches").join(batch.id.as_str());
    tokio::fs::create_dir_all(&folder).await?;
    let lines = match find_lines(&runner.worker, &batch, &folder.join("input.jsonl")).await? {
        Ok(lines) => lines,
        Err(problems) => {
            let problems = serde_json::to_string(&problems).map_err(StoreError::from)?;
            fail(runner, &batch, folder, problems).await?;
            return Ok(Next::Ended);
        }
    };
    let (path, total) = (folder.join("results"), lines.count());
    let results = tokio::task::spawn_blocking(move || Results::open(&path, total))
        .await
        .map_err(io::Error::other)??;
    // Another process has it; it may end before us, then this one goes on.
    let Some(results) = results else {
        return Ok(Next::Again(ELSEWHERE));
    };
    let id = batch.id.clone();
    let (owner, api) = (batch.asked.tenant.clone(), batch.asked.api);
    let current = kept.ask(move |store| {
        store.begin_batch(&id, total as u64, now())?;
        Ok((store.batch(&owner, api, &id)?, store.charged_lines(&id)?))
    });
    let (current, charged) = current.await?;
    let Some(batch) = current.filter(|batch| !batch.status.is_ended()) else {
        clear(folder).await;
        return Ok(Next::Ended);
    };
    let run = Run {
        pending: (0..total).filter(|line| results.of(*line).is_none()).collect(),
        charged: charged.into_iter().collect(),
        cancelled: batch.cancelling_at.is_some(),
        rests_until: Instant::now(),
        room: usize::MAX,
        runner,
        labels: named::read(&batch).1,
        batch: Arc::new(batch),
        lines,
        results,
        ticks: 0,
    };
    // Read anew: another process may have come further until it let go of the results.
    let run_by = match RunBy::of(&run.batch).map_err(StoreError::from)? {
        Some(RunBy::Provider(handed)) if handed.batch.is_some() && about.is_none() => {
            return Ok(Next::Again(ELSEWHERE));
        }
        Some(run_by) => Some(run_by),
        None => run.decide().await?,
    };
    match run_by {
        Some(RunBy::Provider(handed)) => Box::pin(run.at_provider((handed, about), folder, stop)).await,
        _ => run.here(folder, stop).await,
    }
}

/// The lines of a batch's file, which is copied here first; or what is wrong with them.
async fn find_lines(
    worker: &Worker,
    batch: &Batch,
    path: &PathBuf,
) -> Result<Result<Lines, Vec<Problem>>, Interrupted> {
    if !tokio::fs::try_exists(path).await? {
        match copy(worker, &batch.asked.input, path).await {
            Ok(()) => {}
            Err(BlobError::Missing) => {
                let gone =
                    Problem::of_file("file_not_found", "the input file was deleted before it was read");
                return Ok(Err(vec![gone]));
            }
            Err(error) => return Err(KeepError::from(error).into()),
        }
    }
    let snapshot = worker.shared.snapshot.load_full();
    // A batch that was begun is not judged by bounds that came later.
    let most = if batch.in_progress_at.is_some() {
        usize::MAX
    } else {
        snapshot.keeping.batches.max_lines
    };
    let rules = Rules::of(batch, most, snapshot.bounds.request_limit);
    let path = path.clone();
    let opened = tokio::task::spawn_blocking(move || Lines::open(&path, &rules)).await;
    match opened.map_err(io::Error::other)? {
        Ok(lines) => Ok(Ok(lines)),
        Err(Unusable::Problems(problems)) => Ok(Err(problems)),
        Err(Unusable::Io(error)) => Err(error.into()),
    }
}

async fn copy(worker: &Worker, file: &FileId, path: &PathBuf) -> Result<(), BlobError> {
    let kept = &worker.shared.kept;
    let mut reader = kept.blobs.open(&worker.client, file.as_str()).await?;
    let mut staged = Staged::create(&kept.staging()).await?;
    while let Some(piece) = reader.piece().await {
        staged.write(&piece?).await?;
    }
    staged.finish().await?;
    tokio::fs::rename(staged.path(), path).await?;
    Ok(())
}

/// Ends a batch none of whose lines was sent.
async fn fail(runner: &Runner, batch: &Batch, folder: PathBuf, problems: String) -> Result<(), Interrupted> {
    let ended = Ended {
        problems: Some(problems),
        ..Ended::default()
    };
    let id = batch.id.clone();
    let counts = batch.counts;
    let done = runner
        .worker
        .shared
        .kept
        .ask(move |store| store.end_batch(&id, BatchStatus::Failed, (counts, &ended), now()));
    done.await?;
    forget_input(&runner.worker, batch).await;
    clear(folder).await;
    Ok(())
}

/// Deletes the file that a client's requests were put into, which is nobody's any more.
async fn forget_input(worker: &Worker, batch: &Batch) {
    if batch.asked.api != BatchApi::Anthropic {
        return;
    }
    let (input, tenant) = (batch.asked.input.clone(), batch.asked.tenant.clone());
    let (kept, id) = (&worker.shared.kept, input.clone());
    let hidden = kept.ask(move |store| store.hide_file(&tenant, &id, true)).await;
    // What cannot be done now is swept later.
    if hidden.is_ok()
        && let Err(error) = kept.sweep(&worker.client, input).await
    {
        tracing::warn!(%error, "the requests of an ended batch are still there");
    }
}

async fn clear(folder: PathBuf) {
    if let Err(error) = tokio::fs::remove_dir_all(&folder).await {
        tracing::warn!(%error, folder = %folder.display(), "an ended batch's folder is still there");
    }
}

/// A batch whose lines are being sent.
struct Run<'a> {
    runner: &'a Runner,
    batch: Arc<Batch>,
    /// What was named when it was made.
    labels: Labels,
    lines: Lines,
    results: Results,
    /// Lines without a result that are not under way.
    pending: VecDeque<usize>,
    /// Lines that are in the ledger, counted from 1.
    charged: HashSet<u64>,
    cancelled: bool,
    /// Its owner's limits have no room before.
    rests_until: Instant,
    /// Lines that its owner's limits have room for at once, as far as was found out.
    room: usize,
    ticks: u32,
}

/// What came of a line that was under way.
struct Done {
    line: usize,
    custom_id: String,
    came: Came,
}

impl Run<'_> {
    /// Who runs a batch that nobody has begun; none where it is not to be handed on at all.
    async fn decide(&self) -> Result<Option<RunBy>, Interrupted> {
        let snapshot = self.runner.worker.shared.snapshot.load_full();
        let begun = self.results.counts() != (0, 0) || !self.charged.is_empty();
        if begun || snapshot.keeping.batches.mode == BatchMode::Own {
            return Ok(None);
        }
        let owner = payer(&self.runner.worker, self.batch.asked.owner.as_ref());
        let run_by = match hand::choose((&snapshot, &owner), &self.batch, &self.lines).await? {
            Ok(to) => RunBy::Provider(hand::Handed::begin(&to)),
            Err(why) => RunBy::Gateway { why },
        };
        self.write_down(&run_by).await?;
        Ok(Some(run_by))
    }

    /// Notes who runs it and how far they are; from then on that holds whatever happens.
    async fn write_down(&self, run_by: &RunBy) -> Result<(), Interrupted> {
        if let RunBy::Gateway { why } = run_by {
            tracing::info!(batch = self.batch.id.as_str(), why, "a batch is run line by line");
        }
        let id = self.batch.id.clone();
        let text = serde_json::to_string(run_by).map_err(StoreError::from)?;
        let kept = &self.runner.worker.shared.kept;
        kept.ask(move |store| store.hand_batch(&id, &text)).await?;
        Ok(())
    }

    /// Sends the lines from here.
    async fn here(mut self, folder: PathBuf, stop: watch::Receiver<bool>) -> Result<Next, Interrupted> {
        if self.send_lines(stop).await? {
            let status = match (self.cancelled, self.pending.is_empty()) {
                (true, _) => BatchStatus::Cancelled,
                (false, true) => BatchStatus::Completed,
                (false, false) => BatchStatus::Expired,
            };
            self.end(folder, status).await?;
        }
        Ok(Next::Ended)
    }

    /// Sends lines until none is left, the batch is cancelled or its time is over; lines under way are waited for.
    /// False when the gateway stops before that.
    async fn send_lines(&mut self, mut stop: watch::Receiver<bool>) -> Result<bool, Interrupted> {
        let mut under_way: JoinSet<Done> = JoinSet::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let runner = self.runner;
        let mut stopping = false;
        loop {
            let more = !stopping && !self.is_over() && !self.pending.is_empty();
            if !more && under_way.is_empty() {
                break;
            }
            let rests = self.rests_until > Instant::now();
            tokio::select! {
                biased;
                done = under_way.join_next(), if !under_way.is_empty() => {
                    let done = done.ok_or(Interrupted::Lost)?.map_err(|_| Interrupted::Lost)?;
                    self.note(done, under_way.len())?;
                }
                () = stopped(&mut stop), if !stopping => stopping = true,
                _ = tick.tick() => self.look().await?,
                () = tokio::time::sleep_until(self.rests_until), if more && rests => {}
                turn = runner.turns.take(), if more && !rests && under_way.len() < self.room => self.send(turn, &mut under_way)?,
            }
        }
        self.results.sync()?;
        Ok(!stopping || self.is_over() || self.pending.is_empty())
    }

    /// Whether no line may be begun any more.
    fn is_over(&self) -> bool {
        self.cancelled || self.expired()
    }

    fn expired(&self) -> bool {
        now() >= self.batch.asked.expires_at
    }

    /// Sends the next line.
    fn send(&mut self, turn: Turn, under_way: &mut JoinSet<Done>) -> Result<(), Interrupted> {
        let Some(line) = self.pending.pop_front() else {
            return Ok(());
        };
        let (request, custom_id) = self.request(line)?;
        let worker = Arc::clone(&self.runner.worker);
        under_way.spawn(async move {
            let came = Box::pin(line::send(&worker, request)).await;
            drop(turn);
            Done {
                line,
                custom_id,
                came,
            }
        });
        Ok(())
    }

    /// A line as it goes down the road, and what its client calls it.
    fn request(&self, line: usize) -> io::Result<(line::Line, String)> {
        let read = self.lines.read(line)?;
        let number = line as u64 + 1;
        let request = line::Line {
            id: self.batch.request_id(number).as_str().to_owned(),
            owner: self.batch.asked.owner.clone(),
            endpoint: self.batch.asked.endpoint.clone(),
            body: read.body,
            labels: self.labels.clone(),
            charged: self.charged.contains(&number),
        };
        Ok((request, read.custom_id))
    }

    /// Records what came of a line: from then on it is done. So many others are `under_way`.
    fn note(&mut self, done: Done, under_way: usize) -> Result<(), Interrupted> {
        match done.came {
            Came::Answer { status, body } => {
                let about = (done.line, done.custom_id.as_str());
                let (json, good) = output::result(&self.batch, about, status, &body);
                self.results.record(done.line, good, &json)?;
                let (good, bad) = self.results.counts();
                if (good + bad).is_multiple_of(GROW_EVERY) {
                    self.room = self.room.saturating_add(1);
                }
            }
            Came::Later(wait) => {
                self.pending.push_front(done.line);
                // When another line ends there may be room; with none under way only time can make some.
                match under_way {
                    0 => self.rests_until = Instant::now() + wait.clamp(TICK, LONGEST_WAIT),
                    others => self.room = others,
                }
            }
        }
        Ok(())
    }

    fn counts(&self) -> Counts {
        let (completed, failed) = self.results.counts();
        Counts {
            total: self.lines.count() as u64,
            completed,
            failed,
        }
    }

    /// Carries the counts over, and looks whether the batch was cancelled.
    async fn look(&mut self) -> Result<(), Interrupted> {
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(SYNC_EVERY) {
            self.results.sync()?;
        }
        let (id, counts) = (self.batch.id.clone(), self.counts());
        let kept = &self.runner.worker.shared.kept;
        self.cancelled |= kept.ask(move |store| store.batch_progress(&id, counts)).await?;
        Ok(())
    }

    /// Writes the files and ends the batch.
    async fn end(self, folder: PathBuf, status: BatchStatus) -> Result<(), Interrupted> {
        let (worker, id, counts) = (&self.runner.worker, self.batch.id.clone(), self.counts());
        let kept = &worker.shared.kept;
        kept.ask(move |store| store.finalize_batch(&id, now())).await?;
        let ended = output::write(worker, &self.batch, (&self.lines, &self.results), status).await?;
        let id = self.batch.id.clone();
        let done = kept.ask(move |store| store.end_batch(&id, status, (counts, &ended), now()));
        done.await?;
        forget_input(worker, &self.batch).await;
        clear(folder).await;
        Ok(())
    }
}
