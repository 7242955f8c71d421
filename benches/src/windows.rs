//! Step 6, chain: windows, beside sums kept by hand.
//!
//! Records come in order of time, one a millisecond, of keys by chance. The yardstick knows its keys
//! as numbers from 0 and so needs no table: a `Vec` that holds each key's window, closed when a record
//! comes that is past it. It never looks at a clock, so it says nothing of keys that fall silent.

use std::fmt;

use pelton::chain::operators::{
    AnyWindows, AtEnd, Early, EveryRecords, Evict, Folded, Kept, Rules, Sum, Trigger, Window,
    WindowOutput,
};
use pelton::chain::{Due, KeyedOperator};
use pelton::clock::Clock;
use pelton::record::{EventTime, FrameHeader, Key, KeyHash, Sided, SidedView, TimeSpan};
use pelton::state::{OperatorId, Store, TOUCHED_MAX};

use crate::state::cpu_ns;

/// A record of the measurement.
#[pelton::record]
struct Reading {
    #[event_time]
    time: EventTime,
    amount: i64,
}

/// Nanoseconds a record, by part.
#[derive(Debug, Clone)]
pub struct WindowCost {
    /// Which windows.
    pub name: &'static str,
    /// What a record costs to be put into its windows.
    pub record_ns: f64,
    /// What a row costs, its window's firing with it.
    pub row_ns: f64,
    /// How many rows came of a record.
    pub rows_per_record: f64,
    /// By hand, a record with its rows.
    pub by_hand_ns: Option<f64>,
}

impl fmt::Display for WindowCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, record_ns, row_ns, rows_per_record, .. } = self;
        write!(f, "| {name:<28} | {record_ns:6.1} | {row_ns:7.1} | {rows_per_record:7.3} | ")?;
        match self.by_hand_ns {
            Some(by_hand) => {
                let all = record_ns + row_ns * rows_per_record;
                write!(f, "{by_hand:6.1} ({:3.0} %) |", 100.0 * by_hand / all)
            }
            None => f.write_str("               |"),
        }
    }
}

/// The head of the table whose rows are [`WindowCost`]s.
pub const HEAD: &str = "\
| windows                      | record |     row | rows/r. | by hand        |
|------------------------------|--------|---------|---------|----------------|";

#[derive(Debug, Clone, Copy)]
struct Arrival {
    hash: KeyHash,
    key: u64,
    reading: ReadingView,
}

fn arrivals(key_count: u64, count: i64) -> Vec<Arrival> {
    let mut seed = 0x9876_5432_1fed_cba9_u64;
    (0..count)
        .map(|number| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let key = (seed >> 20) % key_count;
            let amount = i64::try_from(seed % 1_000).expect("small");
            let reading = ReadingView { time: EventTime(number * 1_000), amount };
            Arrival { hash: u64::hash(key), key, reading }
        })
        .collect()
}

/// How many records there are between two watermarks.
const BATCH: usize = 4_096;

/// Rows and their amounts, so that nothing is left out.
type Checksum = (u64, i64);

struct Run {
    record_ns: u64,
    row_ns: u64,
    checksum: Checksum,
}

fn run<Op>(mut operator: Op, arrivals: &[Arrival]) -> Run
where
    Op: KeyedOperator<Key = u64, In = Reading, Out = Sided<WindowOutput<u64, i64>, Reading>>,
{
    let (clock, mut store) = (Clock::machine(), Store::new());
    let mut run = Run { record_ns: 0, row_ns: 0, checksum: (0, 0) };
    let mut drain = |operator: &mut Op, store: &mut Store, due| {
        while operator.advance(store, due) {
            let (_, SidedView::Main(row)) = operator.due(store) else {
                unreachable!("no record is late");
            };
            run.checksum = (run.checksum.0 + 1, run.checksum.1.wrapping_add(row.value));
            operator.done(store);
        }
    };
    let mut watermark = EventTime::MIN;
    for batch in arrivals.chunks(BATCH) {
        let start = cpu_ns(&clock);
        for few in batch.chunks(TOUCHED_MAX) {
            let hashes: Vec<KeyHash> = few.iter().map(|arrival| arrival.hash).collect();
            operator.touch(&mut store, &hashes);
            for (index, Arrival { hash, key, reading }) in few.iter().enumerate() {
                store.turn_to(index);
                let (key_hash, event_time) = (*hash, reading.time);
                let header = FrameHeader { key_hash, event_time, ..FrameHeader::default() };
                let late = operator.apply(&mut store, &header, *key, *reading);
                assert!(late.is_none(), "no record is late");
                // As a body does; only windows by count have rows here.
                drain(&mut operator, &mut store, Due { watermark, ended: false });
            }
        }
        let applied = cpu_ns(&clock);
        watermark = batch.last().map_or(watermark, |last| last.reading.time);
        drain(&mut operator, &mut store, Due { watermark, ended: false });
        run.record_ns += applied - start;
        run.row_ns += cpu_ns(&clock) - applied;
    }
    let start = cpu_ns(&clock);
    drain(&mut operator, &mut store, Due { watermark: EventTime::MAX, ended: true });
    run.row_ns += cpu_ns(&clock) - start;
    assert_eq!(store.entry_count(), 0, "nothing is left");
    run
}

/// Tumbling windows, or sessions where there is a gap, by hand.
fn by_hand(arrivals: &[Arrival], key_count: u64, length: i64, is_session: bool) -> (u64, Checksum) {
    let clock = Clock::machine();
    let start = cpu_ns(&clock);
    let mut keys: Vec<Option<(i64, i64)>> =
        vec![None; usize::try_from(key_count).expect("few keys")];
    let mut checksum: Checksum = (0, 0);
    for Arrival { key, reading, .. } in arrivals {
        let window = &mut keys[usize::try_from(*key).expect("few keys")];
        let time = reading.time.0;
        let place = if is_session { time } else { time.div_euclid(length) };
        *window = Some(match *window {
            Some((last, sum)) if is_session && time - last < length => (time, sum + reading.amount),
            Some((at, sum)) if !is_session && at == place => (at, sum + reading.amount),
            Some((_, sum)) => {
                checksum = (checksum.0 + 1, checksum.1.wrapping_add(sum));
                (place, reading.amount)
            }
            None => (place, reading.amount),
        });
    }
    for (_, sum) in keys.into_iter().flatten() {
        checksum = (checksum.0 + 1, checksum.1.wrapping_add(sum));
    }
    (cpu_ns(&clock) - start, checksum)
}

#[expect(clippy::cast_precision_loss, reason = "a mean for people")]
fn cost(name: &'static str, run: &Run, record_count: usize) -> WindowCost {
    let (rows, records) = (run.checksum.0 as f64, record_count as f64);
    WindowCost {
        name,
        record_ns: run.record_ns as f64 / records,
        row_ns: run.row_ns as f64 / rows.max(1.0),
        rows_per_record: rows / records,
        by_hand_ns: None,
    }
}

fn folded<T: Trigger>(window: &Window, trigger: T, arrivals: &[Arrival]) -> Run {
    let rules = Rules::default();
    let read = |reading: ReadingView| reading.amount;
    let windows = AnyWindows::<u64, Reading, Sum<i64>, _, _, _>::new(
        OperatorId(1),
        window,
        rules,
        trigger,
        Folded,
        read,
    );
    run(windows, arrivals)
}

/// Measures each kind of window over the same records.
#[must_use]
pub fn windows(key_count: u64, record_count: i64) -> Vec<WindowCost> {
    let arrivals = arrivals(key_count, record_count);
    let seconds = TimeSpan::seconds;
    let mut costs = Vec::new();
    let mut add = |name, run: Run| costs.push(cost(name, &run, arrivals.len()));
    let hopping = |length| Window::hopping(seconds(length), seconds(10));
    let tumbling = Window::tumbling(seconds(10));
    let by_slices = folded(&tumbling, AtEnd, &arrivals);
    let tumbling_sums = by_slices.checksum;
    add("tumbling, 10 s", by_slices);
    add("hopping, 1 m every 10 s", folded(&hopping(60), AtEnd, &arrivals));
    add("hopping, 10 m every 10 s", folded(&hopping(600), AtEnd, &arrivals));
    let lengths = Window::hopping_lengths([10, 60, 120, 300].map(seconds), seconds(10));
    add("four lengths every 10 s", folded(&lengths, AtEnd, &arrivals));
    let session = folded(&Window::session(seconds(5)), AtEnd, &arrivals);
    let session_sums = session.checksum;
    add("sessions, gap 5 s", session);
    let early = folded(&tumbling, Early::every_records(1_000_000), &arrivals);
    assert_eq!(early.checksum, tumbling_sums, "both operators say the same");
    add("tumbling, with a trigger", early);
    let counted = folded(&Window::global(), EveryRecords::purging(10), &arrivals);
    add("each 10 records", counted);
    let kept = AnyWindows::<u64, Reading, Sum<i64>, _, _, _>::new(
        OperatorId(1),
        &Window::global(),
        Rules::default(),
        EveryRecords::keeping(10),
        Kept::new(Evict::Count(100)),
        |reading: ReadingView| reading.amount,
    );
    add("the last 100, every 10", run(kept, &arrivals));
    for (index, length, is_session, sums) in
        [(0, 10_000_000, false, tumbling_sums), (4, 5_000_000, true, session_sums)]
    {
        let (ns, checksum) = by_hand(&arrivals, key_count, length, is_session);
        assert_eq!(checksum, sums, "the yardstick says the same");
        #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
        let by_hand_ns = ns as f64 / arrivals.len() as f64;
        costs[index].by_hand_ns = Some(by_hand_ns);
    }
    costs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_and_the_yardstick_agree() {
        assert_eq!(windows(50, 20_000).len(), 8);
    }
}
