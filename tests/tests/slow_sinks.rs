//! Outputs that refuse for a while, or all the time: what checkpoints say of them, and what becomes
//! of the state behind them.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pelton::chain::Flow;
use pelton::chain::operators::{ProcessContext, ProcessFunction, States};
use pelton::checkpoint::{Manifest, decode};
use pelton::job::Checkpoints;
use pelton::record::{FrameHeader, Item};
use pelton::sink::{Sink, SinkFactory, SinkSeat};
use pelton::source::GeneratorSplit;
use pelton::{Driver, Engine, Job, RunningJob};

#[pelton::record]
struct Order {
    id: u64,
}

/// Says what it hears.
#[derive(Clone)]
struct Echo;

impl ProcessFunction for Echo {
    type Key = u64;
    type In = Order;
    type Out = Order;

    fn states(&self, _: &mut States) {}

    fn on_record(&mut self, context: &mut ProcessContext<'_, Order>, _: u64, order: OrderView) {
        context.emit(order);
    }
}

/// An output that takes nothing while its gate is shut. It has no epochs of its own.
#[derive(Clone)]
struct Gated {
    is_open: Arc<AtomicBool>,
    taken: Arc<AtomicU64>,
}

impl<I: Item> SinkFactory<I> for Gated {
    type Sink = Self;

    fn open(&self, _: SinkSeat) -> Self {
        self.clone()
    }
}

impl<I: Item> Sink<I> for Gated {
    fn write(&mut self, _: &FrameHeader, _: I::View<'_>) -> Flow {
        if !self.is_open.load(Ordering::Relaxed) {
            return Flow::Blocked;
        }
        self.taken.fetch_add(1, Ordering::Relaxed);
        Flow::Ready
    }

    /// There is always something to look for, so the shard does not sleep.
    fn poll(&mut self) -> Result<bool, pelton::sink::SinkError> {
        Ok(true)
    }
}

fn start(job: Job, directory: &Path, interval: Duration) -> RunningJob {
    let mut checkpoints = Checkpoints::new(directory);
    checkpoints.interval = interval;
    checkpoints.segment_bytes = 64 << 10;
    let engine = Engine::new().shards(1).driver(Driver::Threads).checkpoints(checkpoints);
    engine.start(job).unwrap()
}

fn manifest(directory: &Path, epoch: u64) -> Manifest {
    decode(&fs::read(directory.join(format!("manifest-{epoch:020}"))).unwrap()).unwrap()
}

#[test]
fn an_output_behind_a_fork_that_waits_is_counted_at_its_barrier() {
    let directory = tempfile::tempdir().unwrap();
    let gate = Gated { is_open: Arc::default(), taken: Arc::default() };
    let job = Job::new();
    let (orders, input) = job.push::<Order>(100);
    let echoed = orders.key_by(|order, key| key.of(order.id)).process(Echo).named("echo").fork();
    echoed.to(gate.clone());
    let running = start(job, directory.path(), Duration::from_secs(3_600));
    (0..50).for_each(|id| input.push(Order { id }).unwrap());
    while running.snapshot().total.accepted < 50 {
        std::thread::park_timeout(Duration::from_micros(100));
    }
    let epoch = std::thread::scope(|scope| {
        let asked = scope.spawn(|| running.checkpoint());
        // The stage has said its part long before the gate opens.
        std::thread::park_timeout(Duration::from_millis(30));
        assert_eq!(gate.taken.load(Ordering::Relaxed), 0);
        gate.is_open.store(true, Ordering::Relaxed);
        asked.join().unwrap().unwrap()
    });
    let manifest = manifest(directory.path(), epoch);
    assert_eq!(manifest.splits[0].accepted, 50);
    let counts: Vec<u64> = manifest.sinks.iter().map(|sink| sink.records_out).collect();
    assert_eq!(counts, [50]);
    running.stop().unwrap();
}

/// Takes an item, and refuses the next call: every turn of its stage ends within a record.
struct Halting {
    refuses: bool,
}

struct HaltingOutput;

impl<I: Item> SinkFactory<I> for HaltingOutput {
    type Sink = Halting;

    fn open(&self, _: SinkSeat) -> Halting {
        Halting { refuses: false }
    }
}

impl<I: Item> Sink<I> for Halting {
    fn write(&mut self, _: &FrameHeader, _: I::View<'_>) -> Flow {
        self.refuses = !self.refuses;
        if self.refuses { Flow::Blocked } else { Flow::Ready }
    }

    fn poll(&mut self) -> Result<bool, pelton::sink::SinkError> {
        Ok(true)
    }
}

#[test]
fn state_is_compacted_under_lasting_back_pressure() {
    const KEYS: u64 = 2_000;
    let directory = tempfile::tempdir().unwrap();
    let job = Job::new();
    let split = GeneratorSplit::new("orders", |number| Some(Order { id: number % KEYS }));
    let splits = pelton::job::Splits::new(vec![split]);
    let orders = job.source::<Order, _>(splits, pelton::job::SourceOptions::new());
    orders.key_by(|order, key| key.of(order.id)).count().named("count").to(HaltingOutput);
    let running = start(job, directory.path(), Duration::from_millis(2));
    // Nearly every record is the first to its key since a freeze, and copies the key's entry: without
    // compaction the log would be 50 times as long as what is live.
    let made = || running.checkpoints().unwrap().stats.count;
    while running.snapshot().total.records_in < 100 * KEYS || made() <= 20 {
        assert!(!running.is_over());
        std::thread::park_timeout(Duration::from_millis(1));
    }
    let made = made();
    let state_bytes = running.snapshot().total.state_bytes;
    running.abort();
    // Live: 2,000 entries of 64 bytes. Twice that, and some segments of 64 KiB.
    assert!(state_bytes < 1 << 20, "the log is {state_bytes} bytes long after {made} checkpoints");
}
