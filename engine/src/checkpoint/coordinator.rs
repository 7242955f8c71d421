//! Step 8, checkpoint: carries out what the protocol decides.
//!
//! Takes parts from stages and requests from the program; hands on durable manifests, commits to
//! outputs, and word to the stages of what is durable. A state machine like a shard: a thread turns
//! it in production, the simulator between the turns of its shards.
//!
//! Invariants
//! 1. Order within an epoch: logs flushed, outputs prepared, manifest published, outputs committed,
//!    stages told. Each only after the one before has succeeded.
//! 2. What fails before the manifest costs the epoch, and the next one carries all of it; what fails
//!    in a commit ends the job, as recovery repeats commits and nothing else may.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender};

use super::directory::StateDirectory;
use super::log_files::{FileNames, LogFiles, flush_logs};
use super::manifest::{LogManifest, Manifest, SinkManifest};
use super::part::{LogPart, PartBody, PartEpoch, Report};
use super::protocol::{Pace, Protocol, Step};
use super::{CheckpointError, CheckpointStats};
use crate::clock::Clock;
use crate::sink::{Epoch, OutputParticipant};
use crate::state::{DurableSegment, SpareRegions};

/// How often outputs are asked whether they have prepared.
const OUTPUTS_ASKED_EVERY_NS: u64 = 200_000;

/// Whom a part comes from.
#[derive(Debug)]
pub enum SeatKind {
    /// A source stage.
    Source,
    /// A keyed stage.
    Log {
        /// The stage, by the name of the operator at its head.
        stage: String,
        /// Its shard.
        shard: u16,
        /// How to tell it what is durable.
        durable: Sender<Vec<DurableSegment>>,
        /// Segments of an earlier run that it goes on with.
        files: LogFiles,
    },
}

/// An output that takes part.
pub struct Output {
    /// By place and kind.
    pub name: String,
    /// The output.
    pub participant: Arc<dyn OutputParticipant>,
    /// How many items it had taken at the barrier of an epoch, in earlier runs and this one; `None`
    /// while the barrier is on its way.
    pub records_out: Box<dyn Fn(u64) -> Option<u64> + Send>,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the program asks for.
#[derive(Debug)]
pub enum Request {
    /// An epoch now.
    Checkpoint(Sender<Result<u64, CheckpointError>>),
    /// An epoch now, copied to a directory of its own.
    Savepoint(PathBuf, Sender<Result<u64, CheckpointError>>),
}

/// How epochs are paced and kept.
#[derive(Debug, Clone, Copy)]
pub struct CoordinatorSettings {
    /// From the beginning of one epoch to that of the next.
    pub interval_ns: u64,
    /// How long an epoch may take.
    pub timeout_ns: u64,
    /// How many epochs in a row may fail before the job does.
    pub failures_max: u32,
    /// How many manifests are kept.
    pub retained: usize,
}

/// How far an epoch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its barrier was sent.
    Begun,
    /// Every stage has said its part.
    Whole,
    /// The logs are durable.
    Flushed,
    /// The outputs are durable.
    Prepared,
    /// The manifest is durable.
    Published,
    /// The outputs have committed.
    Committed,
    /// It came to nothing.
    Failed,
}

impl Phase {
    /// As logs name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Whole => "whole",
            Self::Flushed => "flushed",
            Self::Prepared => "prepared",
            Self::Published => "published",
            Self::Committed => "committed",
            Self::Failed => "failed",
        }
    }
}

/// Is told of each phase of each epoch, on the checkpoint thread.
pub type Observer = Arc<dyn Fn(Phase, u64) + Send + Sync>;

/// What the coordinator is made of.
pub struct CoordinatorParts {
    /// The engine's clock.
    pub clock: Clock,
    /// Where manifests and segments go.
    pub directory: StateDirectory,
    /// What is the same in every manifest of this run; its epoch is the one the job goes on from.
    pub template: Manifest,
    /// Pace and retention.
    pub settings: CoordinatorSettings,
    /// Who says parts, by number.
    pub seats: Vec<SeatKind>,
    /// The outputs, in the job's order.
    pub outputs: Vec<Output>,
    /// Where parts come from.
    pub reports: Receiver<Report>,
    /// Where requests come from.
    pub requests: Receiver<Request>,
    /// Sends the barrier of an epoch.
    pub begin: Box<dyn Fn(u64) + Send>,
    /// Figures for whoever asks.
    pub stats: Arc<Mutex<CheckpointStats>>,
    /// Memory that is faulted in ahead of the logs' need, and how many segments of it.
    pub spares: Arc<SpareRegions>,
    /// See `spares`.
    pub spare_count: usize,
    /// Who is told how far epochs come.
    pub observer: Option<Observer>,
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoordinatorTurn {
    /// Turn again at this time, or when a report comes.
    Idle {
        /// On the engine's clock.
        until_ns: u64,
    },
    /// Something happened: turn again.
    Worked,
    /// The final manifest is durable.
    Over,
}

/// Makes epochs.
pub struct Coordinator {
    parts: CoordinatorParts,
    protocol: Protocol,
    names: FileNames,
    /// What each seat has said of the epoch in flight.
    said: Vec<Option<PartBody>>,
    /// What each seat has said last.
    last: Vec<Option<PartBody>>,
    /// Whether the logs of the epoch in flight are flushed.
    flushed: Option<Flushed>,
    asked: Vec<Request>,
    /// Those that were asked before the barrier of the epoch in flight: it answers these alone.
    asked_of_epoch: Vec<Request>,
}

impl std::fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coordinator").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// What flushing the logs came to.
#[derive(Debug)]
struct Flushed {
    epoch: u64,
    bytes: u64,
    /// By seat, for when the manifest is durable.
    durable: Vec<Vec<DurableSegment>>,
}

impl Coordinator {
    /// A coordinator that goes on after the template's epoch.
    #[must_use]
    pub fn new(parts: CoordinatorParts) -> Self {
        let CoordinatorSettings { interval_ns, timeout_ns, failures_max, .. } = parts.settings;
        let pace = Pace { interval_ns, timeout_ns, failures_max };
        let protocol = Protocol::new(pace, parts.template.epoch, parts.clock.now_ns());
        let seats = parts.seats.len();
        let none = || (0..seats).map(|_| None).collect();
        Self {
            names: FileNames::new(parts.template.run),
            protocol,
            said: none(),
            last: none(),
            flushed: None,
            asked: Vec::new(),
            asked_of_epoch: Vec::new(),
            parts,
        }
    }

    /// Does what can be done now. Blocks while bytes go to the disk.
    ///
    /// # Errors
    /// Too many epochs in a row have failed, or an output can't commit; the job ends.
    pub fn turn(&mut self) -> Result<CoordinatorTurn, CheckpointError> {
        while let Ok(report) = self.parts.reports.try_recv() {
            self.take(report);
        }
        while let Ok(request) = self.parts.requests.try_recv() {
            self.asked.push(request);
        }
        let all_ended = self.last.iter().all(Option::is_some);
        let now_ns = self.parts.clock.now_ns();
        match self.protocol.decide(now_ns, !self.asked.is_empty(), self.is_whole(), all_ended) {
            Step::WaitUntil(until_ns) => {
                self.parts.spares.refill(self.parts.spare_count);
                Ok(CoordinatorTurn::Idle { until_ns })
            }
            // The final epoch needs no barrier: every seat has said its last part.
            Step::Begin(epoch) | Step::CompleteFinal(epoch) => {
                self.begin(epoch, now_ns);
                Ok(CoordinatorTurn::Worked)
            }
            Step::TimeOut(epoch) => {
                let silent = self.silent();
                self.give_up(CheckpointError::TimedOut { epoch, silent })?;
                Ok(CoordinatorTurn::Worked)
            }
            Step::Complete(epoch) => self.complete(epoch),
        }
    }

    /// Waits for a report, but no longer than until `until_ns`.
    pub fn wait(&mut self, until_ns: u64, at_most_ns: u64) {
        let left_ns = until_ns.saturating_sub(self.parts.clock.now_ns()).min(at_most_ns);
        let timeout = std::time::Duration::from_nanos(left_ns);
        if let Ok(report) = self.parts.reports.recv_timeout(timeout) {
            self.take(report);
        }
    }

    /// Tells whoever waits for an epoch that there will be none.
    pub fn refuse_requests(&mut self) {
        self.asked.extend(self.parts.requests.try_iter());
        for request in self.asked_of_epoch.drain(..).chain(self.asked.drain(..)) {
            let (Request::Checkpoint(reply) | Request::Savepoint(_, reply)) = request;
            // Whoever asked may have gone.
            let _ = reply.send(Err(CheckpointError::JobOver));
        }
    }

    fn take(&mut self, report: Report) {
        let part = match report {
            Report::Part(part) => part,
            Report::Garbage(regions) => {
                let Self { parts: CoordinatorParts { spares, spare_count, .. }, .. } = self;
                regions.into_iter().for_each(|region| spares.give_back(region, *spare_count));
                return;
            }
        };
        match part.epoch {
            PartEpoch::Last => self.last[part.seat] = Some(part.body),
            PartEpoch::At(epoch) if self.protocol.in_flight() == Some(epoch) => {
                self.said[part.seat] = Some(part.body);
            }
            // Of an epoch that was given up: the next part holds all of it.
            PartEpoch::At(_) => {}
        }
    }

    fn is_whole(&self) -> bool {
        self.said.iter().zip(&self.last).all(|(said, last)| said.is_some() || last.is_some())
    }

    fn begin(&mut self, epoch: u64, now_ns: u64) {
        self.said.iter_mut().for_each(|said| *said = None);
        self.flushed = None;
        self.asked_of_epoch.append(&mut self.asked);
        self.protocol.begun(epoch, now_ns);
        self.tell(Phase::Begun, epoch);
        (self.parts.begin)(epoch);
    }

    fn tell(&self, phase: Phase, epoch: u64) {
        if let Some(observer) = &self.parts.observer {
            observer(phase, epoch);
        }
    }

    /// Who has not said its part, for the message.
    fn silent(&self) -> String {
        let seats = self.parts.seats.iter().zip(self.said.iter().zip(&self.last));
        let mut names: Vec<String> = seats
            .filter(|(_, (said, last))| said.is_none() && last.is_none())
            .map(|(seat, _)| match seat {
                SeatKind::Source => "a source".to_owned(),
                SeatKind::Log { stage, shard, .. } => format!("{stage} on shard {shard}"),
            })
            .collect();
        names.dedup();
        if names.is_empty() { "an output".to_owned() } else { names.join(", ") }
    }

    /// The epoch in flight comes to nothing; the next one carries all of it.
    fn give_up(&mut self, error: CheckpointError) -> Result<(), CheckpointError> {
        if let Some(epoch) = self.protocol.in_flight() {
            self.tell(Phase::Failed, epoch);
            self.parts.outputs.iter().for_each(|output| output.participant.abort(Epoch(epoch)));
        }
        self.flushed = None;
        self.stats(|stats| stats.failed(error.to_string()));
        for request in self.asked_of_epoch.drain(..) {
            let (Request::Checkpoint(reply) | Request::Savepoint(_, reply)) = request;
            // Whoever asked may have gone.
            let _ = reply.send(Err(error.clone()));
        }
        if self.protocol.failed(self.parts.clock.now_ns()) {
            return Ok(());
        }
        let failures = self.protocol.failures();
        Err(CheckpointError::TooMany { failures, last: Box::new(error) })
    }

    /// Goes one step further with an epoch that is whole.
    fn complete(&mut self, epoch: u64) -> Result<CoordinatorTurn, CheckpointError> {
        match self.try_complete(epoch) {
            Ok(Some(manifest)) => {
                self.commit(&manifest)?;
                Ok(if manifest.ended { CoordinatorTurn::Over } else { CoordinatorTurn::Worked })
            }
            Ok(None) => {
                let until_ns = self.parts.clock.now_ns() + OUTPUTS_ASKED_EVERY_NS;
                Ok(CoordinatorTurn::Idle { until_ns })
            }
            // The manifest may be durable: no output may take its epoch back, and no other epoch may
            // follow. The next run sees what there is.
            Err(error) if error.is_undecided() => Err(error),
            Err(error) => {
                self.give_up(error)?;
                Ok(CoordinatorTurn::Worked)
            }
        }
    }

    /// Flushes, prepares and publishes; `None` while an output has not prepared yet.
    fn try_complete(&mut self, epoch: u64) -> Result<Option<Manifest>, CheckpointError> {
        if self.flushed.as_ref().is_none_or(|flushed| flushed.epoch != epoch) {
            self.tell(Phase::Whole, epoch);
            self.flushed = Some(self.flush(epoch)?);
            self.tell(Phase::Flushed, epoch);
        }
        let mut sinks = Vec::with_capacity(self.parts.outputs.len());
        for output in &self.parts.outputs {
            let Some(records_out) = (output.records_out)(epoch) else {
                return Ok(None);
            };
            let Some(state) = output.participant.prepared(Epoch(epoch))? else {
                return Ok(None);
            };
            sinks.push(SinkManifest { name: output.name.clone(), state, records_out });
        }
        self.tell(Phase::Prepared, epoch);
        let manifest = self.manifest(epoch, sinks);
        let bytes = self.parts.directory.publish(&manifest)?;
        self.tell(Phase::Published, epoch);
        if let Some(flushed) = &mut self.flushed {
            flushed.bytes += bytes;
        }
        Ok(Some(manifest))
    }

    /// Writes what the logs have frozen and no file has yet.
    fn flush(&mut self, epoch: u64) -> Result<Flushed, CheckpointError> {
        let Self { parts, said, last, names, .. } = self;
        let mut logs: Vec<(usize, &mut LogFiles, &LogPart)> = Vec::new();
        for (number, seat) in parts.seats.iter_mut().enumerate() {
            let body = said[number].as_ref().or(last[number].as_ref());
            if let (SeatKind::Log { files, .. }, Some(PartBody::Log(part))) = (seat, body) {
                logs.push((number, files, part));
            }
        }
        let mut frozen: Vec<_> =
            logs.iter_mut().map(|(_, files, part)| (&mut **files, &part.frozen)).collect();
        let bytes = flush_logs(&mut frozen, &mut parts.directory, names, epoch)?;
        let mut durable: Vec<Vec<DurableSegment>> = parts_of(said.len());
        for (number, files, part) in &mut logs {
            durable[*number] = files.flushed(&part.frozen);
        }
        Ok(Flushed { epoch, bytes, durable })
    }

    fn manifest(&self, epoch: u64, sinks: Vec<SinkManifest>) -> Manifest {
        let template = &self.parts.template;
        let mut manifest = Manifest {
            epoch,
            written_micros: self.parts.clock.wall_micros(),
            ended: self.said.iter().all(Option::is_none),
            sinks,
            ..template.clone()
        };
        manifest.logs.clear();
        let bodies =
            self.said.iter().zip(&self.last).map(|(said, last)| said.as_ref().or(last.as_ref()));
        for (seat, body) in self.parts.seats.iter().zip(bodies) {
            match (seat, body) {
                (_, Some(PartBody::Splits(splits))) => {
                    for split in splits {
                        match manifest.splits.iter_mut().find(|kept| kept.number == split.number) {
                            Some(kept) => kept.clone_from(split),
                            None => manifest.splits.push(split.clone()),
                        }
                    }
                }
                (SeatKind::Log { stage, shard, files, .. }, Some(PartBody::Log(part))) => {
                    manifest.dropped += part.dropped;
                    manifest.logs.push(LogManifest {
                        stage: stage.clone(),
                        shard: *shard,
                        watermark_micros: part.watermark.0,
                        entry_count: part.frozen.entry_count,
                        live_bytes: part.frozen.live_bytes,
                        segments: files.manifest(&part.frozen),
                    });
                }
                _ => {}
            }
        }
        manifest
    }

    /// The manifest is durable: outputs commit, stages hear of it, savepoints are copied.
    fn commit(&mut self, manifest: &Manifest) -> Result<(), CheckpointError> {
        for output in &self.parts.outputs {
            output.participant.commit(Epoch(manifest.epoch))?;
        }
        self.tell(Phase::Committed, manifest.epoch);
        let begun = self.said.iter().chain(&self.last);
        let begin_ns_max = begun.filter_map(|said| match said {
            Some(PartBody::Log(part)) => Some(part.begin_ns),
            _ => None,
        });
        let begin_ns_max = begin_ns_max.max().unwrap_or(0);
        let duration_ns = self.protocol.completed(self.parts.clock.now_ns());
        let flushed = self.flushed.take().expect("an epoch is flushed before it is published");
        for (seat, durable) in self.parts.seats.iter().zip(flushed.durable) {
            if let SeatKind::Log { durable: tell, .. } = seat
                && !durable.is_empty()
            {
                // A stage that has ended needs no word.
                let _ = tell.send(durable);
            }
        }
        self.said.iter_mut().for_each(|said| *said = None);
        self.stats(|stats| {
            stats.completed(manifest.epoch, flushed.bytes, duration_ns, begin_ns_max);
        });
        self.answer(manifest);
        // Files that stay behind are removed the next time: nothing depends on it.
        if let Err(error) = self.parts.directory.retain(self.parts.settings.retained) {
            self.stats(|stats| stats.note(error.to_string()));
        }
        Ok(())
    }

    /// Answers those who asked for an epoch.
    fn answer(&mut self, manifest: &Manifest) {
        for request in self.asked_of_epoch.drain(..) {
            let (reply, answer) = match request {
                Request::Checkpoint(reply) => (reply, Ok(())),
                Request::Savepoint(path, reply) => {
                    (reply, self.parts.directory.copy_savepoint(manifest, &path))
                }
            };
            // Whoever asked may have gone.
            let _ = reply.send(answer.map(|()| manifest.epoch).map_err(CheckpointError::from));
        }
    }

    fn stats(&self, change: impl FnOnce(&mut CheckpointStats)) {
        change(&mut self.parts.stats.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn parts_of<T>(count: usize) -> Vec<Vec<T>> {
    (0..count).map(|_| Vec::new()).collect()
}
