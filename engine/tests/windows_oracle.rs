//! Windows against an oracle that computes every window from all records by definition, step by
//! step: what fires early, on time and late, what is taken back, what is late, what is left.
//!
//! `PELTON_WINDOW_JOBS=20000` runs more; `PELTON_WINDOW_SEED=17 PELTON_WINDOW_JOBS=1` runs one again.

mod operators_common;

use std::collections::{BTreeMap, BTreeSet};

use operators_common::{ENDED, Row, at, drain, header};
use pelton::chain::KeyedOperator;
use pelton::chain::operators::{
    AnyWindows, AtEnd, CountSum, Evict, Folded, Kept, LastRecords, Mode, Rules, Sum, Timing,
    TriggeredWindows, Window,
};
use pelton::record::{EventTime, FrameHeader, Key, KeyHash, Record, RowKind, SidedView, TimeSpan};
use pelton::sim::Chance;
use pelton::state::{OperatorId, Store};

const ID: OperatorId = OperatorId(5);

#[derive(Debug, Clone, Copy)]
enum Shape {
    Hopping { lengths: [i64; 2], slide: i64, offset: i64 },
    Cumulating { length_max: i64, step: i64, offset: i64 },
    Session { gap: i64 },
}

#[derive(Debug, Clone, Copy)]
struct Case {
    shape: Shape,
    rules: Rules,
    /// How far out of order records are.
    disorder: i64,
    key_count: u64,
    record_count: u64,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Record { key: u64, time: i64, amount: i64 },
    Watermark(i64),
}

/// Key, start, end, length, kind, timing, value.
type Said = (u64, i64, i64, u16, RowKind, Timing, i64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Bounds {
    end: i64,
    length_index: u16,
    start: i64,
}

impl Case {
    fn draw(chance: &mut Chance) -> Self {
        let mut below = |max: u64| chance.below(max).cast_signed();
        let slide = 1 + below(6);
        let shape = match below(4) {
            0 => Shape::Hopping { lengths: [slide; 2], slide, offset: below(9) - 4 },
            1 => {
                let lengths = [slide + below(12), slide + below(20)];
                Shape::Hopping { lengths, slide, offset: below(9) - 4 }
            }
            2 => {
                let length_max = slide * (1 + below(5));
                Shape::Cumulating { length_max, step: slide, offset: below(9) - 4 }
            }
            _ => Shape::Session { gap: 1 + below(12) },
        };
        let lateness = TimeSpan(below(3) * below(20));
        let modes = [Mode::Accumulating, Mode::Discarding, Mode::Retracting];
        let mode = *chance.pick(&modes);
        Self {
            shape,
            rules: Rules { lateness, mode },
            disorder: chance.below(40).cast_signed(),
            key_count: 1 + chance.below(3),
            record_count: chance.below(70),
        }
    }

    fn window(&self) -> Window {
        match self.shape {
            Shape::Hopping { lengths, slide, offset } => {
                let lengths = lengths.map(TimeSpan);
                Window::hopping_lengths(lengths, TimeSpan(slide)).offset(TimeSpan(offset))
            }
            Shape::Cumulating { length_max, step, offset } => {
                Window::cumulate(TimeSpan(length_max), TimeSpan(step)).offset(TimeSpan(offset))
            }
            Shape::Session { gap } => Window::session(TimeSpan(gap)),
        }
    }

    fn steps(&self, chance: &mut Chance) -> Vec<Step> {
        let (mut now, mut watermark, mut steps) = (0, i64::MIN, Vec::new());
        for _ in 0..self.record_count {
            now += chance.below(5).cast_signed();
            let back = chance.below(self.disorder.unsigned_abs() + 1).cast_signed();
            let amount = chance.below(9).cast_signed() - 2;
            steps.push(Step::Record {
                key: chance.below(self.key_count),
                time: now - back,
                amount,
            });
            if chance.one_in(3) {
                watermark = watermark.max(now - chance.below(12).cast_signed());
                steps.push(Step::Watermark(watermark));
            }
        }
        steps
    }
}

/// All windows that hold `time`, by looking at every start that there may be.
fn windows_of(shape: Shape, time: i64) -> Vec<Bounds> {
    let mut found = Vec::new();
    match shape {
        Shape::Hopping { lengths, slide, offset } => {
            for (length, length_index) in lengths.into_iter().zip(0..) {
                for start in time - length + 1..=time {
                    if (start - offset).rem_euclid(slide) == 0 {
                        found.push(Bounds { start, end: start + length, length_index });
                    }
                }
            }
        }
        Shape::Cumulating { length_max, step, offset } => {
            for start in time - length_max + 1..=time {
                if (start - offset).rem_euclid(length_max) == 0 {
                    let ends = (1..=length_max / step).map(|number| start + number * step);
                    let ends = ends.filter(|end| time < *end);
                    found.extend(ends.map(|end| Bounds { start, end, length_index: 0 }));
                }
            }
        }
        Shape::Session { .. } => unreachable!("sessions depend on all records"),
    }
    found
}

#[derive(Debug, Clone, Copy)]
struct Taken {
    number: usize,
    key: u64,
    time: i64,
    amount: i64,
}

/// Everything that was ever taken and is not gone, and what was said of it.
#[derive(Debug)]
struct Oracle {
    case: Case,
    watermark: i64,
    records: Vec<Taken>,
    /// Rows that stand.
    standing: BTreeMap<(u64, Bounds), i64>,
    /// Which record was said in which window already; a session is the same one for all of a key.
    said: BTreeSet<(u64, Option<Bounds>, usize)>,
}

impl Oracle {
    fn new(case: Case) -> Self {
        Self {
            case,
            watermark: i64::MIN,
            records: Vec::new(),
            standing: BTreeMap::new(),
            said: BTreeSet::new(),
        }
    }

    fn expiry(&self, end: i64) -> i64 {
        end - 1 + self.case.rules.lateness.0
    }

    /// A key's windows, with the records that each holds.
    fn windows(&self, key: u64) -> BTreeMap<Bounds, Vec<Taken>> {
        let mut records: Vec<Taken> =
            self.records.iter().copied().filter(|taken| taken.key == key).collect();
        let mut windows = BTreeMap::<Bounds, Vec<Taken>>::new();
        let Shape::Session { gap } = self.case.shape else {
            for taken in records {
                for bounds in windows_of(self.case.shape, taken.time) {
                    windows.entry(bounds).or_default().push(taken);
                }
            }
            windows.retain(|bounds, _| self.expiry(bounds.end) > self.watermark);
            return windows;
        };
        records.sort_by_key(|taken| taken.time);
        let mut run: Vec<Taken> = Vec::new();
        let mut runs = Vec::new();
        for taken in records {
            if run.last().is_some_and(|last| taken.time - last.time >= gap) {
                runs.push(std::mem::take(&mut run));
            }
            run.push(taken);
        }
        runs.push(run);
        for run in runs.into_iter().filter(|run| !run.is_empty()) {
            let (start, end) = (run[0].time, run[run.len() - 1].time + gap);
            windows.insert(Bounds { start, end, length_index: 0 }, run);
        }
        windows
    }

    fn say(&mut self, key: u64, bounds: Bounds, timing: Timing, rows: &mut Vec<Said>) {
        let held = self.windows(key).remove(&bounds).unwrap_or_default();
        let is_session = matches!(self.case.shape, Shape::Session { .. });
        let place = (!is_session).then_some(bounds);
        let Bounds { start, end, length_index } = bounds;
        let row = |kind, value| (key, start, end, length_index, kind, timing, value);
        if self.case.rules.mode == Mode::Discarding {
            let fresh: Vec<&Taken> =
                held.iter().filter(|taken| self.said.insert((key, place, taken.number))).collect();
            if !fresh.is_empty() {
                let value = fresh.iter().map(|taken| taken.amount).sum();
                rows.push(row(RowKind::Insert, value));
            }
            return;
        }
        let value = held.iter().map(|taken| taken.amount).sum();
        match self.standing.insert((key, bounds), value) {
            None => rows.push(row(RowKind::Insert, value)),
            Some(before) => {
                if self.case.rules.mode == Mode::Retracting {
                    rows.push(row(RowKind::UpdateBefore, before));
                }
                rows.push(row(RowKind::UpdateAfter, value));
            }
        }
    }

    /// Takes a record; answers its rows, or `None` where it came too late.
    fn record(&mut self, number: usize, key: u64, time: i64, amount: i64) -> Option<Vec<Said>> {
        let before = self.windows(key);
        self.records.push(Taken { number, key, time, amount });
        let holds = |held: &[Taken]| held.iter().any(|taken| taken.number == number);
        let windows = self.windows(key);
        let mut own: Vec<Bounds> = windows
            .into_iter()
            .filter(|(bounds, held)| holds(held) && self.expiry(bounds.end) > self.watermark)
            .map(|(bounds, _)| bounds)
            .collect();
        if own.is_empty() {
            self.records.pop();
            return None;
        }
        own.sort_by_key(|bounds| (bounds.length_index, bounds.end));
        let mut rows = Vec::new();
        if matches!(self.case.shape, Shape::Session { .. }) {
            let (start, end) = (own[0].start, own[0].end);
            for bounds in before.into_keys() {
                if bounds == own[0] || bounds.end <= start || bounds.start >= end {
                    continue;
                }
                let standing = self.standing.remove(&(key, bounds));
                if let (Mode::Retracting, Some(value)) = (self.case.rules.mode, standing) {
                    let has_ended = bounds.end - 1 <= self.watermark;
                    let timing = if has_ended { Timing::Late } else { Timing::Early };
                    rows.push((key, bounds.start, bounds.end, 0, RowKind::Delete, timing, value));
                }
            }
        }
        for bounds in own {
            if bounds.end - 1 <= self.watermark {
                self.say(key, bounds, Timing::Late, &mut rows);
            }
        }
        Some(rows)
    }

    fn advance(&mut self, watermark: i64) -> Vec<Said> {
        let keys: BTreeSet<u64> = self.records.iter().map(|taken| taken.key).collect();
        let mut ending = Vec::new();
        for key in keys {
            let ends = self.windows(key).into_keys();
            let ends = ends.filter(|b| b.end - 1 > self.watermark && b.end - 1 <= watermark);
            ending.extend(
                ends.map(|bounds| (bounds.end - 1, KeyHash::of(&key.to_le_bytes()), bounds, key)),
            );
        }
        ending.sort_unstable_by_key(|(at, hash, bounds, key)| (*at, *hash, *bounds, *key));
        let mut rows = Vec::new();
        for (_, _, bounds, key) in ending {
            self.say(key, bounds, Timing::OnTime, &mut rows);
        }
        self.watermark = watermark;
        self.forget();
        rows
    }

    /// Lets go of what is gone.
    fn forget(&mut self) {
        let keys: BTreeSet<u64> = self.records.iter().map(|taken| taken.key).collect();
        let mut kept = BTreeSet::new();
        for key in keys {
            for (bounds, held) in self.windows(key) {
                if self.expiry(bounds.end) > self.watermark {
                    kept.extend(held.iter().map(|taken| taken.number));
                }
            }
        }
        self.records.retain(|taken| kept.contains(&taken.number));
        let (watermark, lateness) = (self.watermark, self.case.rules.lateness.0);
        self.standing.retain(|(_, bounds), _| bounds.end - 1 + lateness > watermark);
    }
}

fn read_row(
    header: &FrameHeader,
    view: SidedView<pelton::chain::operators::WindowView<u64, i64>, operators_common::RowView<'_>>,
) -> Said {
    let SidedView::Main(row) = view else {
        panic!("what is due is a window");
    };
    assert_eq!(header.event_time.0, row.end.0 - 1);
    assert_eq!(header.kind, row.kind);
    (row.key, row.start.0, row.end.0, row.length_index, row.kind, row.timing, row.value)
}

/// Runs one random case through an operator that is made anew from its state now and then.
fn run<Op>(seed: u64, make: impl Fn(&Case) -> Op) -> (Case, Result<Seen, String>)
where
    Op: KeyedOperator<Key = u64, In = Row, Emission = ()>,
    Op: KeyedOperator<
        Out = pelton::record::Sided<pelton::chain::operators::WindowOutput<u64, i64>, Row>,
    >,
{
    let mut chance = Chance::new(seed);
    let case = Case::draw(&mut chance);
    let steps = case.steps(&mut chance);
    let (mut oracle, mut operator, mut store) = (Oracle::new(case), make(&case), Store::new());
    let (mut watermark, mut late, mut ids) = (i64::MIN, 0, BTreeSet::new());
    let mut seen = Seen::default();
    for (number, step) in steps.iter().enumerate() {
        let (expected, is_late, found_late) = match *step {
            Step::Record { key, time, amount } => {
                let expected = oracle.record(number, key, time, amount);
                let row = Row::new(number as u64, amount);
                let header = header::<u64>(key, time);
                let emission = operator.apply(&mut store, &header, key, row.view());
                if let Some(()) = emission {
                    let SidedView::Side(side) = operator.output((), key, row.view()) else {
                        panic!("a late record goes to the side");
                    };
                    assert_eq!(side, row.view());
                }
                (expected.clone().unwrap_or_default(), expected.is_none(), emission.is_some())
            }
            Step::Watermark(to) => {
                watermark = to;
                (oracle.advance(to), false, false)
            }
        };
        late += u64::from(is_late);
        let found = drain(&mut operator, &mut store, at(watermark), |header, view| {
            (read_row(header, view), header.position, header.ordinal)
        });
        for (row, position, ordinal) in &found {
            // Records here have no position; rows of the time do.
            if position.split == u32::MAX && !ids.insert((*position, *ordinal)) {
                return (case, Err(format!("step {number}: two rows of one id, {row:?}")));
            }
        }
        let found: Vec<Said> = found.into_iter().map(|(row, ..)| row).collect();
        seen.note(&found, is_late);
        if (&found, found_late) != (&expected, is_late) {
            return (
                case,
                Err(format!(
                    "step {number} {step:?} of {steps:?}:\n expected {expected:?} late {is_late}\n found {found:?} late {found_late}"
                )),
            );
        }
        if chance.one_in(4) {
            let dropped = operator.dropped_count();
            late -= dropped;
            operator = make(&case);
            operator.rebuild(&store, EventTime(watermark));
        }
    }
    let expected = oracle.advance(i64::MAX - 1_000);
    let found = drain(&mut operator, &mut store, ENDED, read_row);
    if found != expected {
        return (case, Err(format!("at the end: expected {expected:?} found {found:?}")));
    }
    if operator.dropped_count() != late {
        return (case, Err(format!("{late} late, counted {}", operator.dropped_count())));
    }
    if store.entry_count() != 0 {
        return (case, Err(format!("{} entries are left", store.entry_count())));
    }
    (case, Ok(seen))
}

/// What the cases were about.
#[derive(Debug, Default)]
struct Seen {
    on_time: usize,
    late: usize,
    taken_back: usize,
    deleted: usize,
    /// Two sessions or more became one.
    bridged: usize,
    too_late: usize,
}

impl Seen {
    fn note(&mut self, rows: &[Said], is_late: bool) {
        let of = |is: &dyn Fn(&Said) -> bool| rows.iter().filter(|row| is(row)).count();
        let deleted = of(&|row| row.4 == RowKind::Delete);
        self.on_time += of(&|row| row.5 == Timing::OnTime);
        self.late += of(&|row| row.5 == Timing::Late);
        self.taken_back += of(&|row| row.4 == RowKind::UpdateBefore);
        self.deleted += deleted;
        self.bridged += usize::from(deleted > 1);
        self.too_late += usize::from(is_late);
    }

    fn add(&mut self, other: &Self) {
        self.on_time += other.on_time;
        self.late += other.late;
        self.taken_back += other.taken_back;
        self.deleted += other.deleted;
        self.bridged += other.bridged;
        self.too_late += other.too_late;
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn check<Op>(name: &str, make: impl Fn(&Case) -> Op)
where
    Op: KeyedOperator<Key = u64, In = Row, Emission = ()>,
    Op: KeyedOperator<
        Out = pelton::record::Sided<pelton::chain::operators::WindowOutput<u64, i64>, Row>,
    >,
{
    let (first, count) = (setting("PELTON_WINDOW_SEED", 0), setting("PELTON_WINDOW_JOBS", 2_000));
    let mut seen = Seen::default();
    for seed in first..first + count {
        let (case, outcome) = run(seed, &make);
        match outcome {
            Ok(of_case) => seen.add(&of_case),
            Err(what) => panic!(
                "seed {seed}, {case:?}: {what}\nreplay: PELTON_WINDOW_SEED={seed} \
                 PELTON_WINDOW_JOBS=1 cargo test -p pelton --test windows_oracle {name}"
            ),
        }
    }
    eprintln!("{count} random jobs from seed {first}: {seen:?}");
    if count >= 2_000 {
        let Seen { on_time, late, taken_back, deleted, bridged, too_late } = seen;
        let least = on_time.min(late).min(taken_back).min(deleted).min(bridged).min(too_late);
        assert!(least >= 10, "every kind of case comes up: {seen:?}");
    }
}

#[test]
fn differential_folded_windows_say_what_the_oracle_says() {
    check("folded", |case| {
        TriggeredWindows::<u64, Row, Sum<i64>, _, _, _>::new(
            ID,
            &case.window(),
            case.rules,
            AtEnd,
            Folded,
            |row| row.amount,
        )
    });
}

#[test]
fn differential_kept_windows_say_what_the_oracle_says() {
    check("kept", |case| {
        TriggeredWindows::<u64, Row, Sum<i64>, _, _, _>::new(
            ID,
            &case.window(),
            case.rules,
            AtEnd,
            Kept::new(Evict::Count(u64::MAX)),
            |row| row.amount,
        )
    });
}

#[test]
fn differential_windows_over_slices_say_what_the_oracle_says() {
    check("over_slices", |case| {
        let (window, rules) = (case.window(), case.rules);
        let read = |row: operators_common::RowView<'_>| row.amount;
        AnyWindows::<u64, Row, Sum<i64>, _, _, _>::new(ID, &window, rules, AtEnd, Folded, read)
    });
}

#[test]
fn the_last_records_hold_what_they_say() {
    for seed in 0..60 {
        let mut chance = Chance::new(seed);
        let counts = [1 + chance.below(5), 1 + chance.below(150)];
        let new = || LastRecords::<u64, Row, CountSum, _, 2>::new(ID, counts, |row| row.amount);
        let (mut operator, mut store) = (new(), Store::new());
        let mut seen = BTreeMap::<u64, Vec<i64>>::new();
        for number in 0..chance.below(600) {
            let (key, amount) = (chance.below(3), chance.below(99).cast_signed());
            let row = Row::new(number, amount);
            let emission = operator.apply(&mut store, &header::<u64>(key, 0), key, row.view());
            let (view, found) = operator.output(emission.unwrap(), key, row.view());
            assert_eq!(view, row.view());
            let of_key = seen.entry(key).or_default();
            of_key.push(amount);
            let expected = counts.map(|count| {
                let held = of_key.iter().rev().take(usize::try_from(count).unwrap());
                held.fold((0, 0), |(count, sum), item| (count + 1, sum + i128::from(*item)))
            });
            assert_eq!(
                found.map(|held| (held.count, held.sum)),
                expected,
                "seed {seed}, {counts:?}"
            );
            if chance.one_in(9) {
                store.freeze();
                operator = new();
            }
        }
        let kept = seen.len() as u64 * (2 + counts[1].max(counts[0]) / 64 + 4);
        assert!(store.entry_count() <= kept, "{} entries of {kept}", store.entry_count());
    }
}

#[test]
fn keys_hash_as_the_oracle_says() {
    assert_eq!(<u64 as Key>::hash(7), KeyHash::of(&7_u64.to_le_bytes()));
}
