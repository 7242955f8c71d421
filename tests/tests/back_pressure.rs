//! Full rings, barriers and a sink that stalls: nothing hangs, nothing is lost, nothing grows.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use pelton::chain::Flow;
use pelton::job::{SourceOptions, Splits};
use pelton::record::{EventTime, FrameHeader, TimeSpan};
use pelton::sink::{CollectSink, Sink, SinkError, SinkFactory, SinkSeat, callback, tally};
use pelton::source::{GeneratorSplit, VecSplit};
use pelton::{Driver, Engine, Job, Settings, Stream};
use pelton_tests::runs;

#[pelton::record]
struct Number {
    #[event_time]
    time: EventTime,
    value: u64,
}

fn number(value: u64) -> Number {
    Number { time: EventTime(0), value }
}

/// Three exchanges in a row, whose keys have nothing to do with each other, so that every shard
/// sends to every other at each of them.
#[pelton::job]
fn three_exchanges(numbers: Stream<Number>) -> Stream<Number> {
    numbers
        .key_by(|n| n.value % 97)
        .tumbling_count(TimeSpan::days(1))
        .map(|w| NumberView { time: w.start, value: w.value })
}

#[pelton::record]
struct Hop {
    value: u64,
    seen: u64,
}

#[pelton::job]
fn hops(numbers: Stream<Number>) -> Stream<Hop> {
    numbers
        .key_by(|n| n.value)
        .count()
        .named("first")
        .changes()
        .map(|c| HopView { value: c.key, seen: c.value })
        .key_by(|h| h.value % 1_009)
        .count()
        .named("second")
        .changes()
        .map(|c| HopView { value: c.key, seen: c.value })
        .key_by(|h| (h.value % 13, h.seen))
        .count()
        .named("third")
        .changes()
        .map(|c| HopView { value: c.key.0, seen: c.value })
}

/// About two frames a ring: one of these records takes some 56 bytes beside the markers' reserve.
const TINY: usize = 512;

/// A sink that takes what it is let, and wakes its shards when it is let more.
#[derive(Clone, Default)]
struct Gate {
    allowed: Arc<AtomicU64>,
    taken: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    wakes: Arc<Mutex<Vec<pelton::io::Wake>>>,
}

impl Gate {
    fn allow(&self, more: u64) {
        self.allowed.fetch_add(more, Ordering::SeqCst);
        for wake in self.wakes.lock().unwrap().iter() {
            wake();
        }
    }
}

impl SinkFactory<Hop> for Gate {
    type Sink = Self;
    fn open(&self, seat: SinkSeat) -> Self {
        self.wakes.lock().unwrap().push(seat.wake);
        self.clone()
    }
}

impl Sink<Hop> for Gate {
    fn write(&mut self, _: &FrameHeader, _: HopView) -> Flow {
        let take = |allowed: u64| allowed.checked_sub(1);
        if self.allowed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_err() {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Flow::Blocked;
        }
        self.taken.fetch_add(1, Ordering::SeqCst);
        Flow::Ready
    }
    fn end(&mut self) -> Result<bool, SinkError> {
        Ok(true)
    }
}

fn generators(
    count: u64,
    made: &Arc<AtomicU64>,
) -> Splits<impl pelton::source::Split<Number> + use<>> {
    let split = |first: u64| {
        let made = Arc::clone(made);
        let mut values = (first..count).step_by(4);
        GeneratorSplit::new(format!("split {first}"), move |_| {
            made.fetch_add(1, Ordering::SeqCst);
            values.next().map(number)
        })
    };
    Splits::new((0..4).map(split).collect())
}

#[test]
fn eight_shards_with_tiny_rings_barriers_and_a_stalled_sink_neither_hang_nor_grow() {
    const COUNT: u64 = 30_000;
    for (driver, stall_seed) in [
        (Driver::Threads, None),
        (Driver::Threads, Some(3)),
        (Driver::Simulator { seed: 4 }, Some(5)),
    ] {
        let settings = Settings {
            shard_count: 8,
            driver,
            ring_bytes: TINY,
            stall_seed,
            ..Settings::default()
        };
        let (job, gate) = (Job::new(), Gate::default());
        let made = Arc::new(AtomicU64::new(0));
        hops(job.source(generators(COUNT, &made), SourceOptions::new())).to(gate.clone());
        let running = Engine::with(settings).start(job).unwrap();
        let mut barriers = 0;
        let mut in_flight_max = 0;
        let mut epochs = Vec::new();
        runs::wait_until(&running, "all taken", || {
            // The sink takes a hundred, then stalls until it has refused some.
            let refused = gate.refused.load(Ordering::SeqCst);
            let in_flight = made.load(Ordering::SeqCst) - gate.taken.load(Ordering::SeqCst);
            in_flight_max = in_flight_max.max(in_flight);
            epochs.push(running.barrier());
            barriers += 1;
            std::thread::yield_now();
            if refused > 0 && gate.allowed.load(Ordering::SeqCst) == 0 || barriers == 1 {
                gate.refused.store(0, Ordering::SeqCst);
                gate.allow(100);
            }
            gate.taken.load(Ordering::SeqCst) == COUNT
        });
        let report = runs::join(running).unwrap();
        assert_eq!(report.counts.total.accepted, COUNT);
        assert_eq!(report.counts.records_out, COUNT);
        // 4 splits' batches of 24 KiB (some 400 records each), and two frames for each of the
        // 3 * 64 rings: whatever the sink does, no more than that is under way.
        assert!(in_flight_max < 4 * 512 + 3 * 64 * 6, "{driver:?}: {in_flight_max} in flight");
        assert!(epochs.is_sorted(), "epochs only grow");
        let last = *epochs.last().unwrap();
        assert!(last > 3, "{driver:?}: barriers pass while records do: {last}");
    }
}

#[test]
fn barriers_pass_an_idle_job_one_after_the_other() {
    let job = Job::new();
    let (numbers, input) =
        job.push_with::<Number>(10, SourceOptions::new().lateness(TimeSpan::ZERO));
    let rows = three_exchanges(numbers).collect();
    let settings = Settings {
        shard_count: 8,
        driver: Driver::Threads,
        ring_bytes: TINY,
        ..Settings::default()
    };
    let running = Engine::with(settings).start(job).unwrap();
    for expected in 1..=200 {
        let epoch = running.barrier();
        assert_eq!(epoch, expected);
        runs::wait_until(&running, "passed", || running.snapshot().total.epoch >= epoch);
    }
    input.push(number(7)).unwrap();
    input.close();
    runs::join(running).unwrap();
    assert_eq!(rows.take_rows().len(), 1);
}

#[test]
fn a_bounded_collect_sink_never_holds_more_than_its_bound() {
    const COUNT: u64 = 20_000;
    let job = Job::new();
    let made = Arc::new(AtomicU64::new(0));
    let rows = CollectSink::<Hop>::bounded(10);
    hops(job.source(generators(COUNT, &made), SourceOptions::new())).to(rows.clone());
    let settings = Settings {
        shard_count: 8,
        driver: Driver::Threads,
        ring_bytes: TINY,
        ..Settings::default()
    };
    let running = Engine::with(settings).start(job).unwrap();
    let mut taken_count = 0;
    runs::wait_until(&running, "all collected", || {
        let taken = rows.take().len();
        assert!(taken <= 10, "{taken} rows of 10");
        taken_count += taken;
        taken_count == 20_000
    });
    runs::join(running).unwrap();
    assert_eq!(rows.take().len(), 0);
}

#[pelton::record]
struct Run {
    first: u64,
    count: u64,
}

#[pelton::job]
fn expanded(runs: Stream<Run>) -> Stream<Number> {
    runs.flat_map(|r| {
        (r.first..r.first + r.count).map(|value| NumberView { time: EventTime(0), value })
    })
}

#[pelton::job]
fn expanded_and_counted(runs: Stream<Run>) -> Stream<Hop> {
    runs.flat_map(|r| {
        (r.first..r.first + r.count).map(|value| NumberView { time: EventTime(0), value })
    })
    .key_by(|n| n.value)
    .count()
    .changes()
    .map(|c| HopView { value: c.key, seen: c.value })
}

const MILLION: u64 = 1_000_000;

/// How many, their sum, and the sum of their squares: as good as all of them.
fn sums(values: impl IntoIterator<Item = u64>) -> (u64, u128, u128) {
    values.into_iter().fold((0, 0, 0), |(count, sum, squares), value| {
        let value = u128::from(value);
        (count + 1, sum + value, squares + value * value)
    })
}

type Sums = (u64, u128, u128);

fn add(sums: &mut Sums, other: Sums) {
    *sums = (sums.0 + other.0, sums.1 + other.1, sums.2 + other.2);
}

#[test]
fn a_flat_map_that_makes_a_million_rows_of_one_record_passes_tiny_rings() {
    // Each refusal runs the closure again from the start and passes over what was taken, so a ring
    // of two frames would make this quadratic: it passes too, in a minute.
    for (shard_count, ring_bytes) in [(2, 16 << 10), (3, 64 << 10)] {
        let job = Job::new();
        let runs = job.records(vec![Run { first: 0, count: MILLION }]);
        let total = tally::<Hop, _, _, _>(
            (0, 0, 0),
            |to: &mut Sums, _: &FrameHeader, hop: HopView| add(to, sums([hop.value])),
            add,
        );
        expanded_and_counted(runs).to(total.clone());
        let settings =
            Settings { shard_count, driver: Driver::Threads, ring_bytes, ..Settings::default() };
        let report = runs::run(&settings, job).unwrap();
        assert_eq!(report.counts.total.accepted, 1);
        assert_eq!(total.total(), sums(0..MILLION), "{ring_bytes}");
    }
}

#[test]
fn a_flat_map_waits_for_its_sink() {
    let job = Job::new();
    let rows = CollectSink::<Number>::bounded(1_000);
    expanded(job.records(vec![Run { first: 5, count: 100_000 }])).to(rows.clone());
    let running = Engine::new().shards(1).driver(Driver::Threads).start(job).unwrap();
    let mut values = Vec::new();
    runs::wait_until(&running, "all collected", || {
        let taken = rows.take_rows();
        assert!(taken.len() <= 1_000);
        values.extend(taken.into_iter().map(|number| number.value));
        values.len() >= 100_000
    });
    runs::join(running).unwrap();
    assert!(values.into_iter().eq(5..100_005), "in order, each once");
}

#[pelton::job]
fn one_window(numbers: Stream<Number>) -> Stream<Hop> {
    numbers
        .key_by(|n| n.value)
        .tumbling_count(TimeSpan::hours(1))
        .map(|w| HopView { value: w.key, seen: w.value })
        .key_by(|h| h.value / 2)
        .count()
        .changes()
        .map(|c| HopView { value: c.key, seen: c.value })
}

#[test]
fn a_window_that_closes_with_a_million_rows_passes_tiny_rings() {
    let job = Job::new();
    let numbers = (0..2).map(|first| {
        let mut values = (first..MILLION).step_by(2);
        GeneratorSplit::new("keys", move |_| values.next().map(number))
    });
    let options = SourceOptions::new().lateness(TimeSpan::ZERO);
    let total = tally::<Hop, _, _, _>(
        (0, 0, 0),
        |to: &mut Sums, _: &FrameHeader, hop: HopView| add(to, sums([hop.value * 2 + hop.seen])),
        add,
    );
    one_window(job.source(Splits::new(numbers.collect()), options)).to(total.clone());
    let settings = Settings {
        shard_count: 2,
        driver: Driver::Threads,
        ring_bytes: TINY,
        ..Settings::default()
    };
    runs::run(&settings, job).unwrap();
    // Each half of a key's pair comes once: counted 1, then 2.
    assert_eq!(total.total(), sums((0..MILLION).map(|value| value / 2 * 2 + 1 + value % 2)));
}

#[test]
fn a_callback_sees_each_record_once_through_tiny_rings() {
    let job = Job::new();
    let numbers = VecSplit::new("numbers", (0..10_000).map(number).collect());
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let by_value = Arc::clone(&seen);
    let hops = hops(job.source(Splits::new(vec![numbers]), SourceOptions::new()));
    hops.to(callback::<Hop, _>(move |_, hop| {
        *by_value.lock().unwrap().entry(hop.value).or_insert(0_u64) += 1;
    }));
    let settings = Settings {
        shard_count: 3,
        driver: Driver::Simulator { seed: 9 },
        ring_bytes: TINY,
        stall_seed: Some(2),
        ..Settings::default()
    };
    runs::run(&settings, job).unwrap();
    assert_eq!(seen.lock().unwrap().values().sum::<u64>(), 10_000);
}
