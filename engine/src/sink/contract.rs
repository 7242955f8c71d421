//! What an exactly-once output must stand, as scenarios that any output can be put through.
//!
//! Takes a [`Subject`]: how to make the output, write a row to it and read it; hands on the first
//! scenario in which a row was lost, doubled, or seen too early. A row is a number. A crash drops
//! the factory and its shards and makes the output anew from what is durable.
//!
//! Why scenarios and not random schedules alone: each stands for one promise of
//! [`SinkFactory`], so what breaks is named.

use std::sync::Arc;

use super::{Epoch, Meter, Sink, SinkError, SinkFactory, SinkSeat, SinkStart};
use crate::chain::Flow;
use crate::clock::Clock;
use crate::io::WriterMode;
use crate::io::disk::Disk;
use crate::record::Item;

/// How many times a call is repeated before an output counts as stuck.
const TRIES_MAX: u32 = 2_000;

/// An output, and how the suite reaches it.
pub trait Subject {
    /// What it takes.
    type Item: Item;
    /// The output.
    type Factory: SinkFactory<Self::Item>;

    /// Makes the output anew; on the same place as before within one scenario.
    fn make(&mut self) -> Self::Factory;
    /// Writes row `row`.
    fn write(&self, sink: &mut Shard<Self>, row: u64) -> Flow;
    /// The rows that a reader of the output sees, in any order.
    fn read(&self) -> Vec<u64>;
    /// Cleans the place: another scenario begins.
    fn clear(&mut self);
    /// The process dies; power may be lost.
    fn crash(&mut self) {}
    /// The disk.
    fn disk(&self) -> Arc<dyn Disk>;
    /// Where writing happens.
    fn mode(&self) -> WriterMode;
    /// Whether rows are seen once they are committed, and not before.
    fn hides_uncommitted(&self) -> bool;
}

/// One shard's end of a subject.
pub type Shard<S> = <<S as Subject>::Factory as SinkFactory<<S as Subject>::Item>>::Sink;

/// What an output did wrong.
#[derive(Debug, thiserror::Error)]
pub enum ContractBroken {
    /// The rows are not those that were expected.
    #[error("{scenario}: rows {found:?} are there, expected {expected:?}")]
    Rows {
        /// What was done.
        scenario: &'static str,
        /// What a reader sees, in order.
        found: Vec<u64>,
        /// What it should see.
        expected: Vec<u64>,
    },
    /// `prepared` answered before every shard had prepared.
    #[error("{scenario}: `prepared` answers before every shard has prepared the epoch or ended")]
    PreparedEarly {
        /// What was done.
        scenario: &'static str,
    },
    /// A call did not get on.
    #[error("{scenario}: {call} gets no further")]
    Stuck {
        /// What was done.
        scenario: &'static str,
        /// Which call.
        call: &'static str,
    },
    /// A call failed.
    #[error("{scenario}: {source}")]
    Failed {
        /// What was done.
        scenario: &'static str,
        /// How.
        source: SinkError,
    },
}

/// Puts `subject` through every scenario.
///
/// # Errors
/// The first promise that it breaks.
pub fn check<S: Subject>(subject: &mut S) -> Result<(), ContractBroken> {
    commits_in_order(subject)?;
    abort_then_commit(subject)?;
    crash_before_the_manifest(subject)?;
    crash_before_the_commit(subject)?;
    commit_repeated(subject)?;
    barriers_apart(subject)?;
    end_without_a_barrier(subject)?;
    crash_before_the_first_epoch(subject)
}

/// Epochs are prepared and committed one after the other.
///
/// # Errors
/// What broke.
pub fn commits_in_order<S: Subject>(subject: &mut S) -> Result<(), ContractBroken> {
    let mut run = Run::start(subject, "epochs committed in order", 1)?;
    run.write(0, 0..3)?;
    run.epoch(1)?;
    run.expect(0..3)?;
    run.write(0, 3..5)?;
    run.expect_hidden(0..3)?;
    run.epoch(2)?;
    run.epoch(3)?;
    run.expect(0..5)
}

/// The process dies before any epoch was made.
///
/// # Errors
/// What broke.
pub fn crash_before_the_first_epoch<S: Subject>(subject: &mut S) -> Result<(), ContractBroken> {
    let mut run = Run::start(subject, "a crash before the first epoch", 1)?;
    run.write(0, 0..3)?;
    run.crash();
    run.resume()?;
    run.expect(0..0)?;
    run.write(0, 0..4)?;
    run.epoch(1)?;
    run.expect(0..4)
}

/// An epoch is given up, the next one holds its rows too.
///
/// # Errors
/// What broke.
pub fn abort_then_commit<S: Subject>(subject: &mut S) -> Result<(), ContractBroken> {
    let mut run = Run::start(subject, "an epoch aborted, the next committed", 1)?;
    run.write(0, 0..3)?;
    run.barrier(0, 1);
    run.state(1)?;
    run.factory.abort(Epoch(1));
    run.expect_hidden(0..0)?;
    run.write(0, 3..5)?;
    run.epoch(2)?;
    run.expect(0..5)?;
    run.crash();
    run.resume()?;
    run.expect(0..5)
}

/// The process dies after an epoch was prepared and before there was a manifest of it.
///
/// # Errors
/// What broke.
pub fn crash_before_the_manifest<S: Subject>(subject: &mut S) -> Result<(), ContractBroken> {
    let mut run = Run::start(subject, "a crash between prepare and the manifest", 1)?;
    run.write(0, 0..3)?;
    run.epoch(1)?;
    run.write(0, 3..5)?;
    run.barrier(0, 2);
    run.state(2)?;
    run.crash();
    run.resume()?;
    run.expect(0..3)?;
    run.write(0, 3..6)?;
    run.epoch(2)?;
    run.expect(0..6)
}

/// The process dies when the manifest is durable and nothing is committed.
///
/// # Errors
/// What broke.
pub fn crash_before_the_commit<S: Subject>(subject: &mut S) -> Result<(), ContractBroken> {
    let mut run = Run::start(subject, "a crash between the manifest and the commit", 1)?;
    run.write(0, 0..3)?;
    run.epoch(1)?;
    run.write(0, 3..5)?;
    run.barrier(0, 2);
    run.manifest(2)?;
    run.crash();
    run.resume()?;
    run.expect(0..5)?;
    run.write(0, 5..6)?;
    run.epoch(3)?;
    run.expect(0..6)
}

/// A commit is repeated, by the caller and by two recoveries.
///
/// # Errors
/// What broke.
pub fn commit_repeated<S: Subject>(subject: &mut S) -> Result<(), ContractBroken> {
    let mut run = Run::start(subject, "a commit repeated", 1)?;
    run.write(0, 0..3)?;
    run.epoch(1)?;
    run.commit(1)?;
    run.expect(0..3)?;
    for _ in 0..2 {
        run.write(0, 3..4)?;
        run.crash();
        run.resume()?;
        run.commit(1)?;
        run.expect(0..3)?;
    }
    Ok(())
}

/// One shard passes the barrier long before the other, and goes on writing.
///
/// # Errors
/// What broke.
pub fn barriers_apart<S: Subject>(subject: &mut S) -> Result<(), ContractBroken> {
    let mut run = Run::start(subject, "barriers of two shards apart", 2)?;
    run.write(0, 0..2)?;
    run.write(1, 2..4)?;
    run.barrier(0, 1);
    run.write(0, 4..6)?;
    run.turns()?;
    if run.prepared(1)?.is_some() {
        return Err(ContractBroken::PreparedEarly { scenario: run.scenario });
    }
    run.write(1, 6..7)?;
    run.barrier(1, 1);
    run.manifest(1)?;
    run.commit(1)?;
    run.crash();
    run.resume()?;
    run.expect([0, 1, 2, 3, 6])
}

/// One shard ends without a barrier, and then the other.
///
/// # Errors
/// What broke.
pub fn end_without_a_barrier<S: Subject>(subject: &mut S) -> Result<(), ContractBroken> {
    let mut run = Run::start(subject, "shards that end without a barrier", 2)?;
    run.write(0, 0..2)?;
    run.write(1, 2..4)?;
    run.end(0)?;
    run.barrier(1, 1);
    run.manifest(1)?;
    run.commit(1)?;
    run.write(1, 4..6)?;
    run.end(1)?;
    run.manifest(2)?;
    run.commit(2)?;
    run.factory.finish().map_err(|source| run.failed(source))?;
    run.expect(0..6)
}

/// One scenario under way.
struct Run<'s, S: Subject + ?Sized> {
    subject: &'s mut S,
    scenario: &'static str,
    factory: S::Factory,
    shards: Vec<Option<Shard<S>>>,
    clock: Clock,
    /// The newest manifest.
    manifest: (Epoch, Vec<u8>),
}

impl<'s, S: Subject> Run<'s, S> {
    fn start(
        subject: &'s mut S,
        scenario: &'static str,
        shard_count: usize,
    ) -> Result<Self, ContractBroken> {
        subject.clear();
        let factory = subject.make();
        let shards = (0..shard_count).map(|_| None).collect();
        let manifest = (Epoch(0), Vec::new());
        let clock = Clock::machine();
        let mut run = Self { subject, scenario, factory, shards, clock, manifest };
        run.begin(false)?;
        run.manifest(0)?;
        Ok(run)
    }

    fn failed(&self, source: SinkError) -> ContractBroken {
        ContractBroken::Failed { scenario: self.scenario, source }
    }

    fn begin(&mut self, resumes: bool) -> Result<(), ContractBroken> {
        let disk = self.subject.disk();
        let start = SinkStart {
            clock: &self.clock,
            mode: self.subject.mode(),
            disk: &disk,
            checkpointed: true,
            epoch: if resumes { self.manifest.0 } else { Epoch(0) },
            resume: resumes.then_some(&self.manifest.1[..]),
            from_savepoint: false,
        };
        let begun = self.factory.check(&start).and_then(|()| self.factory.begin(&start));
        begun.map_err(|source| self.failed(source))?;
        for (number, shard) in (0..).zip(&mut self.shards) {
            let seat = SinkSeat { shard: number, wake: Arc::new(|| ()), meter: Meter::silent() };
            *shard = Some(self.factory.open(seat));
        }
        Ok(())
    }

    fn shard(&mut self, shard: usize) -> &mut Shard<S> {
        self.shards[shard].as_mut().expect("a shard is used while it is open")
    }

    fn write(&mut self, shard: usize, rows: std::ops::Range<u64>) -> Result<(), ContractBroken> {
        for row in rows {
            let mut tries = 0;
            loop {
                let sink = self.shards[shard].as_mut().expect("a shard is used while it is open");
                if !self.subject.write(sink, row).is_blocked() {
                    break;
                }
                self.again(&mut tries, "a write")?;
            }
        }
        self.turns()
    }

    /// Every shard ends a turn.
    fn turns(&mut self) -> Result<(), ContractBroken> {
        let scenario = self.scenario;
        for sink in self.shards.iter_mut().flatten() {
            sink.flush(false);
            sink.poll().map_err(|source| ContractBroken::Failed { scenario, source })?;
        }
        Ok(())
    }

    fn again(&mut self, tries: &mut u32, call: &'static str) -> Result<(), ContractBroken> {
        *tries += 1;
        if *tries > TRIES_MAX {
            return Err(ContractBroken::Stuck { scenario: self.scenario, call });
        }
        std::thread::park_timeout(std::time::Duration::from_millis(1));
        self.turns()
    }

    fn barrier(&mut self, shard: usize, epoch: u64) {
        self.shard(shard).prepare(Epoch(epoch));
    }

    fn end(&mut self, shard: usize) -> Result<(), ContractBroken> {
        let mut tries = 0;
        while !self.shard(shard).end().map_err(|source| self.failed(source))? {
            self.again(&mut tries, "an end")?;
        }
        self.shards[shard] = None;
        Ok(())
    }

    fn prepared(&self, epoch: u64) -> Result<Option<Vec<u8>>, ContractBroken> {
        self.factory.prepared(Epoch(epoch)).map_err(|source| self.failed(source))
    }

    fn state(&mut self, epoch: u64) -> Result<Vec<u8>, ContractBroken> {
        let mut tries = 0;
        loop {
            if let Some(state) = self.prepared(epoch)? {
                return Ok(state);
            }
            self.again(&mut tries, "`prepared`")?;
        }
    }

    fn manifest(&mut self, epoch: u64) -> Result<(), ContractBroken> {
        self.manifest = (Epoch(epoch), self.state(epoch)?);
        Ok(())
    }

    fn commit(&mut self, epoch: u64) -> Result<(), ContractBroken> {
        self.factory.commit(Epoch(epoch)).map_err(|source| self.failed(source))
    }

    /// All of an epoch, of every shard that is open.
    fn epoch(&mut self, epoch: u64) -> Result<(), ContractBroken> {
        for sink in self.shards.iter_mut().flatten() {
            sink.prepare(Epoch(epoch));
        }
        self.manifest(epoch)?;
        self.commit(epoch)
    }

    fn crash(&mut self) {
        self.shards.iter_mut().for_each(|shard| *shard = None);
        self.subject.crash();
        self.factory = self.subject.make();
    }

    fn resume(&mut self) -> Result<(), ContractBroken> {
        self.begin(true)
    }

    fn expect(&self, rows: impl IntoIterator<Item = u64>) -> Result<(), ContractBroken> {
        let expected: Vec<u64> = rows.into_iter().collect();
        let mut found = self.subject.read();
        found.sort_unstable();
        if found == expected {
            return Ok(());
        }
        Err(ContractBroken::Rows { scenario: self.scenario, found, expected })
    }

    /// As `expect`, where the output promises to show no more than that.
    fn expect_hidden(&self, rows: impl IntoIterator<Item = u64>) -> Result<(), ContractBroken> {
        if self.subject.hides_uncommitted() { self.expect(rows) } else { Ok(()) }
    }
}
