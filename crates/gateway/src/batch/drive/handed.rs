//! A batch that a provider runs in one of its own: prepared, handed over, watched, and brought home.
//!
//! Each step is written down before the next begins, and each can be taken again: lines are prepared into a file that
//! appears whole; a file or a batch that the provider may have already is looked for before another is made; results
//! are fetched whole, and a line that is settled stays settled.

mod home;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pointsman_catalog::Money;
use pointsman_governance::{Labels, SetAside};
use pointsman_store::{Batch, BatchStatus, Counts, StoreError};
use tokio::sync::watch;

use super::super::hand::{Handed, RunBy, Stage};
use super::super::provider::{About, Found, Remote, Trouble};
use super::super::{LOOK, Runner, Waiting};
use super::{Done, Interrupted, LONGEST_WAIT, Next, Run, TICK};
use crate::kept::now;
use crate::road::batches::named;
use crate::road::handed::{self, Destination, Going, Prepared};
use crate::road::labels;
use crate::road::line::Came;
use crate::worker::stopped;

/// How soon is looked how far a batch is; longer each time, up to the last.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LAST_LOOK: Duration = Duration::from_secs(30);
/// Rest after a provider did not do what it was asked.
const TROUBLE: Duration = Duration::from_secs(5);
/// Seconds after which a batch that was asked for is there, if it ever will be.
const SETTLED: i64 = 10;
/// Seconds after the end of its window after which nobody waits for a batch any more.
const GIVEN_UP: i64 = 24 * 3600;

/// What a look at a batch that was handed on gave.
pub(super) enum Look {
    /// It is looked at again after this time.
    Again(Duration),
    /// There is something to do; with what the provider says, where the provider has it.
    Go(Option<About>),
}

/// What lines may cost that are prepared, and what of it is which end customer's.
struct Held {
    aside: SetAside,
    customers: BTreeMap<String, i64>,
}

impl Held {
    /// Of what is set aside for the owner; of no line yet.
    fn of(aside: SetAside) -> Self {
        Self {
            aside,
            customers: BTreeMap::new(),
        }
    }

    /// Takes over what a line may cost.
    fn take(&mut self, going: Going) {
        let cost = going.reserved.estimate().cost.nanodollars();
        let names_others = self.aside.add(going.reserved);
        if let Some(customer) = going.customer.filter(|_| names_others) {
            *self.customers.entry(customer.into_string()).or_insert(0) += cost;
        }
    }
}

/// Whether what was prepared can go on.
enum Ready {
    Goes,
    Stopped,
    Here(String),
}

/// Looks how far the provider is, and has it cancelled where it should be.
pub(super) async fn look(runner: &Runner, batch: &Batch, handed: &Handed) -> Result<Look, Interrupted> {
    let (Stage::Running, Some(id)) = (handed.stage, &handed.batch) else {
        return Ok(Look::Go(None));
    };
    let worker = &runner.worker;
    hold(runner, batch, handed).await;
    let snapshot = worker.shared.snapshot.load_full();
    let over = now() >= batch.asked.expires_at + GIVEN_UP;
    let Some(to) = handed.destination(&snapshot, &batch.asked.endpoint) else {
        return Ok(gone_from_here(batch, handed, over));
    };
    let remote = Remote::new(worker, &to, batch);
    let barred = handed::is_barred(worker, batch.asked.owner.as_ref());
    let unwanted = batch.cancelling_at.is_some() || now() >= batch.asked.expires_at || barred;
    if unwanted && !handed.cancelled {
        match remote.cancel(id).await {
            Ok(()) => note_cancelled(runner, batch, handed).await?,
            // It is told again with the next look; the batch may end meanwhile.
            Err(trouble) => {
                rest(batch, &trouble);
            }
        }
    }
    match remote.about(id).await {
        Ok(about) if about.ended.is_some() => Ok(Look::Go(Some(about))),
        Ok(about) => {
            note_counts(runner, batch, handed, about.counts).await?;
            if over {
                return Ok(Look::Go(Some(given_up())));
            }
            Ok(Look::Again(next_look(runner, batch)))
        }
        Err(Trouble::Refused(_, why)) => {
            tracing::error!(
                batch = batch.id.as_str(),
                why,
                "the provider does not know its batch any more"
            );
            Ok(Look::Go(Some(About {
                ended: Some(BatchStatus::Completed),
                ..About::default()
            })))
        }
        Err(_) if over => Ok(Look::Go(Some(given_up()))),
        Err(trouble) => Ok(Look::Again(rest(batch, &trouble))),
    }
}

/// Notes that the provider knows that the batch is not wanted any more; it is looked at soon again.
async fn note_cancelled(runner: &Runner, batch: &Batch, handed: &Handed) -> Result<(), Interrupted> {
    let told = RunBy::Provider(Handed {
        cancelled: true,
        ..handed.clone()
    });
    write(runner, batch, &told).await?;
    if let Some(waiting) = runner.waiting.lock().get_mut(&batch.id) {
        waiting.looks = 0;
    }
    Ok(())
}

/// A batch that nobody waits for any more.
fn given_up() -> About {
    About {
        ended: Some(BatchStatus::Expired),
        ..About::default()
    }
}

/// A batch whose provider the configuration has no more: it may come back.
fn gone_from_here(batch: &Batch, handed: &Handed, over: bool) -> Look {
    let provider = &handed.provider;
    tracing::error!(
        batch = batch.id.as_str(),
        provider,
        "the configuration has no such target any more; its batch waits for it"
    );
    if over {
        Look::Go(Some(given_up()))
    } else {
        Look::Again(LAST_LOOK)
    }
}

/// Holds what the lines may cost, also for a batch that an earlier process handed on.
async fn hold(runner: &Runner, batch: &Batch, handed: &Handed) {
    if runner.waiting.lock().contains_key(&batch.id) {
        return;
    }
    let worker = &runner.worker;
    let payer = handed::payer(worker, batch.asked.owner.as_ref());
    let reserved = Money::from_nanodollars(handed.reserved);
    let mut aside = payer.set_aside(reserved);
    let (_, named) = named::read(batch);
    let customers = handed.customers.iter().map(|(customer, reserved)| {
        let labels = Labels {
            customer: Some(customer.as_str().into()),
            ..Labels::default()
        };
        (labels, Money::from_nanodollars(*reserved))
    });
    for (labels, reserved) in customers.chain([(named, reserved)]) {
        // Where what they have spent cannot be read now, the ledger has it when it can.
        let _ = labels::of_batch(worker, std::sync::Arc::clone(&payer), &labels).await;
        let payer = labels::owing(worker, std::sync::Arc::clone(&payer), &labels, None);
        aside.hold_for(&payer, reserved);
    }
    let mut waiting = runner.waiting.lock();
    waiting
        .entry(batch.id.clone())
        .or_insert_with(|| Waiting::new(aside));
}

fn next_look(runner: &Runner, batch: &Batch) -> Duration {
    let mut waiting = runner.waiting.lock();
    let looks = waiting.get_mut(&batch.id).map_or(0, |waiting| {
        waiting.looks = waiting.looks.saturating_add(1);
        waiting.looks
    });
    FIRST_LOOK
        .mul_f64(1.5_f64.powi(looks.min(16).cast_signed()))
        .min(LAST_LOOK)
}

fn rest(batch: &Batch, trouble: &Trouble) -> Duration {
    tracing::warn!(batch = batch.id.as_str(), %trouble, "a provider was asked in vain about its batch");
    match trouble {
        Trouble::Passing(_, Some(wait)) => (*wait).clamp(FIRST_LOOK, LAST_LOOK),
        _ => TROUBLE,
    }
}

async fn note_counts(
    runner: &Runner,
    batch: &Batch,
    handed: &Handed,
    there: Counts,
) -> Result<(), Interrupted> {
    let (completed, failed) = handed.before;
    let counts = Counts {
        total: batch.counts.total,
        completed: completed + there.completed,
        failed: failed + there.failed,
    };
    let id = batch.id.clone();
    let kept = &runner.worker.shared.kept;
    kept.ask(move |store| store.batch_progress(&id, counts)).await?;
    Ok(())
}

async fn write(runner: &Runner, batch: &Batch, run_by: &RunBy) -> Result<(), Interrupted> {
    let id = batch.id.clone();
    let text = serde_json::to_string(run_by).map_err(StoreError::from)?;
    let kept = &runner.worker.shared.kept;
    kept.ask(move |store| store.hand_batch(&id, &text)).await?;
    Ok(())
}

impl Run<'_> {
    /// Goes on with a batch that a provider runs, as far as it goes.
    pub(super) async fn at_provider(
        mut self,
        (mut handed, about): (Handed, Option<About>),
        folder: PathBuf,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Next, Interrupted> {
        let snapshot = self.runner.worker.shared.snapshot.load_full();
        let Some(to) = handed.destination(&snapshot, &self.batch.asked.endpoint) else {
            return match about {
                Some(about) => self.end_unsettled(&about, folder).await,
                None if handed.stage == Stage::Creating => Ok(Next::Again(LAST_LOOK)),
                None => self.instead((handed, &to_nowhere()), folder, stop).await,
            };
        };
        if let Some(about) = about {
            return self.bring_home((&handed, &to), about, folder, stop).await;
        }
        let mut fresh = false;
        let lines = folder.join("handed.jsonl");
        if handed.stage == Stage::Preparing {
            match self.prepare((&mut handed, &to), &lines, &mut stop).await? {
                Ready::Goes => fresh = true,
                Ready::Stopped => return Ok(Next::Ended),
                Ready::Here(why) => return self.instead((handed, &why), folder, stop).await,
            }
        }
        self.look().await?;
        // What may have been made must be found before anything else is said of it.
        let unmade = handed.stage != Stage::Creating || fresh || handed.lines == 0;
        if unmade && self.is_over() {
            let status = self.over();
            return self.end(folder, status).await.map(|()| Next::Ended);
        }
        if handed.lines == 0 {
            return self
                .end(folder, BatchStatus::Completed)
                .await
                .map(|()| Next::Ended);
        }
        match self.go((&mut handed, &to), &lines, fresh).await? {
            Gone::There => Ok(Next::Again(FIRST_LOOK)),
            Gone::Again(wait) => Ok(Next::Again(wait)),
            Gone::Never => {
                let status = self.over();
                self.end(folder, status).await.map(|()| Next::Ended)
            }
            Gone::Refused(why) => self.instead((handed, &why), folder, stop).await,
        }
    }

    /// How a batch ends none of whose lines is sent any more.
    fn over(&self) -> BatchStatus {
        if self.cancelled {
            BatchStatus::Cancelled
        } else {
            BatchStatus::Expired
        }
    }

    /// Sends the lines from here, because the provider does not.
    async fn instead(
        mut self,
        (handed, why): (Handed, &str),
        folder: PathBuf,
        stop: watch::Receiver<bool>,
    ) -> Result<Next, Interrupted> {
        let why = format!("{}: {why}", handed.provider);
        self.write_down(&RunBy::Gateway { why }).await?;
        self.runner.waiting.lock().remove(&self.batch.id);
        let results = &self.results;
        self.pending.retain(|line| results.of(*line).is_none());
        self.here(folder, stop).await
    }

    /// Takes all lines down the first half of the road, and writes those that go into a file that appears whole.
    async fn prepare(
        &mut self,
        (handed, to): (&mut Handed, &Destination),
        lines: &Path,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Ready, Interrupted> {
        let payer = handed::payer(&self.runner.worker, self.batch.asked.owner.as_ref());
        let mut held = Held::of(payer.set_aside(Money::ZERO));
        let batch = std::sync::Arc::clone(&self.batch);
        let remote = Remote::new(&self.runner.worker, to, &batch);
        let most = most_bytes(to);
        let part = lines.with_extension("part");
        let mut file = std::io::BufWriter::new(std::fs::File::create(&part)?);
        let (mut count, mut bytes, mut looked) = (0, 0, tokio::time::Instant::now());
        let all: Vec<usize> = self.pending.iter().copied().collect();
        for line in all {
            if *stop.borrow() {
                return Ok(Ready::Stopped);
            }
            if looked.elapsed() >= TICK {
                looked = tokio::time::Instant::now();
                self.look().await?;
                tokio::task::yield_now().await;
            }
            if self.is_over() {
                break;
            }
            let custom_id = match self.prepared(line, to, (count > 0, stop)).await? {
                Some((_, Prepared::Goes(going), custom_id)) => {
                    let name = remote.line_name(line as u64 + 1, &custom_id);
                    let written = remote.line(&name, &super::super::one_line(&going.body));
                    bytes += written.len() as u64 + 1;
                    file.write_all(&written)?;
                    file.write_all(b"\n")?;
                    count += 1;
                    held.take(*going);
                    None
                }
                Some((line, Prepared::Stays(came), custom_id)) => Some(Done {
                    line,
                    custom_id,
                    came,
                }),
                Some((_, Prepared::Unfit(why), _)) => return Ok(Ready::Here(why)),
                None => return Ok(Ready::Stopped),
            };
            if let Some(done) = custom_id {
                self.note(done, 1)?;
            }
            if bytes > most {
                return Ok(Ready::Here(format!("its provider takes at most {most} bytes")));
            }
        }
        let file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all()?;
        std::fs::rename(part, lines)?;
        self.results.sync()?;
        handed.stage = if remote.takes_files() {
            Stage::Uploading
        } else {
            Stage::Creating
        };
        (handed.lines, handed.reserved) = (count, held.aside.cost().nanodollars());
        handed.customers = held.customers;
        (handed.before, handed.since) = (self.results.counts(), now());
        // For Anthropic's this says that the batch may be there, though nothing was asked yet: it is looked for then.
        self.write_down(&RunBy::Provider(handed.clone())).await?;
        let waiting = Waiting::new(held.aside);
        self.runner.waiting.lock().insert(self.batch.id.clone(), waiting);
        Ok(Ready::Goes)
    }

    /// Prepares a line, as soon as its owner's limits have room for it; none when the gateway stops before.
    async fn prepared(
        &self,
        line: usize,
        to: &Destination,
        (holding, stop): (bool, &mut watch::Receiver<bool>),
    ) -> Result<Option<(usize, Prepared, String)>, Interrupted> {
        loop {
            let (request, custom_id) = self.request(line)?;
            let prepared = handed::prepare(&self.runner.worker, request, to, holding).await;
            let Prepared::Stays(Came::Later(wait)) = prepared else {
                return Ok(Some((line, prepared, custom_id)));
            };
            if now() >= self.batch.asked.expires_at {
                let why = "its key has no room for all lines in time".to_owned();
                return Ok(Some((line, Prepared::Unfit(why), custom_id)));
            }
            tokio::select! {
                () = stopped(stop) => return Ok(None),
                () = tokio::time::sleep(wait.clamp(TICK, LONGEST_WAIT)) => {}
            }
        }
    }

    /// Hands the lines over and has the batch made; looks first for what may be there already, unless it is `fresh`.
    async fn go(
        &mut self,
        (handed, to): (&mut Handed, &Destination),
        lines: &Path,
        mut fresh: bool,
    ) -> Result<Gone, Interrupted> {
        let runner = self.runner;
        let batch = std::sync::Arc::clone(&self.batch);
        let remote = Remote::new(&runner.worker, to, &batch);
        hold(runner, &batch, handed).await;
        let Ok(_room) = runner.uploads.acquire().await else {
            return Ok(Gone::Again(TROUBLE));
        };
        if handed.stage == Stage::Uploading {
            match uploaded(&remote, lines, fresh).await? {
                Ok(file) => handed.file = Some(file),
                Err(trouble) => return Ok(Gone::of(&batch, trouble)),
            }
            (handed.stage, handed.since) = (Stage::Creating, now());
            self.write_down(&RunBy::Provider(handed.clone())).await?;
            fresh = true;
        }
        let found = if fresh {
            None
        } else {
            match self.found(&remote, handed).await? {
                Ok(Found::Batch(id)) => Some(id),
                Ok(Found::Perhaps) => return Ok(Gone::Again(next_look(runner, &batch))),
                Ok(Found::None) if now() < handed.since + SETTLED => return Ok(Gone::Again(FIRST_LOOK)),
                Ok(Found::None) if self.is_over() => return Ok(Gone::Never),
                Ok(Found::None) => None,
                Err(trouble) => return Ok(Gone::Again(rest(&batch, &trouble))),
            }
        };
        let id = match found {
            Some(id) => id,
            None => {
                handed.since = now();
                self.write_down(&RunBy::Provider(handed.clone())).await?;
                match remote.create(handed, lines).await {
                    Ok(id) => id,
                    Err(trouble) => return Ok(Gone::of(&batch, trouble)),
                }
            }
        };
        (handed.batch, handed.stage) = (Some(id), Stage::Running);
        self.write_down(&RunBy::Provider(handed.clone())).await?;
        Ok(Gone::There)
    }

    /// Looks for the batch that may have been made.
    async fn found(
        &self,
        remote: &Remote<'_>,
        handed: &Handed,
    ) -> Result<Result<Found, Trouble>, Interrupted> {
        let kept = &self.runner.worker.shared.kept;
        let open = kept.ask(|store| store.open_batches(LOOK)).await?;
        let taken: Vec<String> = open
            .iter()
            .filter_map(|other| match RunBy::of(other) {
                Ok(Some(RunBy::Provider(other))) => other.batch,
                _ => None,
            })
            .collect();
        Ok(remote.look_for(handed, &taken).await)
    }
}

/// Whether a batch has gone to its provider.
enum Gone {
    There,
    Again(Duration),
    /// It was never made, and is not wanted any more.
    Never,
    Refused(String),
}

impl Gone {
    fn of(batch: &Batch, trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(_, why) => Self::Refused(why),
            trouble => Self::Again(rest(batch, &trouble)),
        }
    }
}

/// The provider's file of the lines.
async fn uploaded(
    remote: &Remote<'_>,
    lines: &Path,
    fresh: bool,
) -> Result<Result<String, Trouble>, Interrupted> {
    if !fresh {
        let bytes = tokio::fs::metadata(lines).await?.len();
        match remote.uploaded(bytes).await {
            Ok(Some(id)) => return Ok(Ok(id)),
            Ok(None) => {}
            Err(trouble) => return Ok(Err(trouble)),
        }
    }
    Ok(remote.upload(lines).await)
}

fn most_bytes(to: &Destination) -> u64 {
    let batches = super::super::hand::own_batches(&to.target);
    batches.map_or(0, |batches| batches.facts.max_bytes)
}

fn to_nowhere() -> String {
    "the configuration has no such target any more".to_owned()
}
