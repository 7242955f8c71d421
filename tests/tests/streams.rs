//! How streams part and meet: splits, unions, spreads, by what comes out of them.

use std::collections::BTreeMap;

use pelton::chain::Reference;
use pelton::{Driver, Engine, Job, Settings, Stream};
use pelton_tests::runs::{self, settings};

#[pelton::record]
struct Number {
    number: u64,
}

#[pelton::record]
struct Text {
    number: u64,
    text: String,
}

fn numbers(count: u64) -> Vec<Number> {
    (0..count).map(|number| Number { number }).collect()
}

#[pelton::job]
fn parted(numbers: Stream<Number>) -> (Stream<Text>, Stream<Text>) {
    let copies = numbers.flat_map(|n| (0..n.number % 3).map(move |_| n));
    let (even, odd) = copies.split(|n| n.number % 2 == 0);
    let even = even.map(|n| Text { number: n.number, text: format!("even {}", n.number) });
    let odd = odd.map(|n| Text { number: n.number, text: format!("odd {}", n.number) });
    (even, odd)
}

fn texts(rows: Vec<Text>) -> Vec<String> {
    let mut texts: Vec<_> = rows.into_iter().map(|row| row.text).collect();
    texts.sort_unstable();
    texts
}

#[test]
fn a_split_gives_each_record_to_one_of_two_streams() {
    for run in 0..12 {
        let job = Job::new();
        let (even, odd) = parted(job.records(numbers(2_000)));
        let (even, odd) = (even.collect(), odd.collect());
        runs::run(&settings(run), job).unwrap();
        for (rows, rest, name) in [(even, 0, "even"), (odd, 1, "odd")] {
            let expected = (0..2_000_u64).filter(|number| number % 2 == rest);
            let mut expected: Vec<_> = expected
                .flat_map(|number| (0..number % 3).map(move |_| format!("{name} {number}")))
                .collect();
            expected.sort_unstable();
            assert_eq!(texts(rows.take_rows()), expected, "run {run}");
        }
    }
}

#[pelton::job]
fn met(left: Stream<Number>, right: Stream<Number>) -> (Stream<Text>, Stream<Text>) {
    let doubled = left.flat_map(|n| [n, n]);
    let both = doubled.union(right.filter(|n| n.number % 2 == 1)).fork();
    let spread = both.clone().rebalance();
    let spread = spread.map(|n| Text { number: n.number, text: format!("{}", n.number) });
    let counts = both.key_by(|n| n.number).count().named("counts").at_end().changes();
    let counts = counts.map(|c| Text { number: c.key, text: format!("{} {}", c.key, c.value) });
    (spread, counts)
}

#[test]
fn a_union_has_all_records_of_both_streams_and_a_rebalance_loses_none() {
    for run in 0..12 {
        let job = Job::new();
        let (left, right) = (job.records(numbers(900)), job.records(numbers(1_500)));
        let (spread, counts) = met(left, right);
        let (spread, counts) = (spread.collect(), counts.collect());
        runs::run(&settings(run), job).unwrap();
        let mut expected: BTreeMap<u64, u64> = (0..900).map(|number| (number, 2)).collect();
        for number in (0..1_500).filter(|number| number % 2 == 1) {
            *expected.entry(number).or_default() += 1;
        }
        let each = expected.iter().flat_map(|(number, count)| (0..*count).map(move |_| number));
        let mut each: Vec<_> = each.map(u64::to_string).collect();
        each.sort_unstable();
        assert_eq!(texts(spread.take_rows()), each, "run {run}");
        let mut lines: Vec<_> =
            expected.iter().map(|(number, count)| format!("{number} {count}")).collect();
        lines.sort_unstable();
        assert_eq!(texts(counts.take_rows()), lines, "run {run}");
    }
}

#[pelton::job]
fn to_all(numbers: Stream<Number>) -> Stream<Text> {
    let copies = numbers.flat_map(|n| (0..n.number % 3).map(move |_| n)).broadcast();
    copies.map(|n| Text { number: n.number, text: format!("{}", n.number) })
}

#[test]
fn a_broadcast_gives_every_shard_a_copy() {
    for run in 0..12 {
        let job = Job::new();
        let rows = to_all(job.records(numbers(600))).collect();
        let settings = settings(run);
        runs::run(&settings, job).unwrap();
        let copies = |number: u64| 0..number % 3 * u64::from(settings.shard_count);
        let each = (0..600_u64).flat_map(|number| copies(number).map(move |_| number.to_string()));
        let mut each: Vec<_> = each.collect();
        each.sort_unstable();
        assert_eq!(texts(rows.take_rows()), each, "run {run}");
    }
}

/// What a table of names says, and which table it was.
#[pelton::record]
struct Named {
    number: u64,
    name: String,
    version: u64,
}

#[test]
fn a_reference_table_is_swapped_whole_while_the_job_runs() {
    for run in 0..6 {
        let names = Reference::new(vec!["even one", "odd one"]);
        let job = Job::new();
        let (numbers, input) = job.push::<Number>(10);
        let rows = numbers
            .flat_map(|n, out| out.emit_all([n, n]))
            .map_with(&names, |n, names, out| {
                let name = names[usize::from(n.number % 2 == 1)].to_owned();
                out.emit(Named { number: n.number, name, version: names.version() });
            })
            .collect();
        let settings = Settings { driver: Driver::Threads, ..settings(run) };
        let running = Engine::with(settings).start(job).unwrap();
        for number in 0..40 {
            input.push(Number { number }).unwrap();
        }
        // What was pushed before is decided by the table that was there.
        while running.snapshot().records_out < 80 {
            std::thread::yield_now();
        }
        assert_eq!(names.swap(vec!["two", "three"]), 2);
        for number in 40..80 {
            input.push(Number { number }).unwrap();
        }
        running.stop().unwrap();
        let rows = rows.take_rows();
        assert_eq!(rows.len(), 160, "run {run}");
        for row in rows {
            let names = if row.number < 40 { ["even one", "odd one"] } else { ["two", "three"] };
            let version = if row.number < 40 { 1 } else { 2 };
            let name = names[usize::from(row.number % 2 == 1)];
            assert_eq!((row.name.as_str(), row.version), (name, version), "number {}", row.number);
        }
    }
}
