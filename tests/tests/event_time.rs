//! Event time through whole jobs: watermarks, late records, idle splits; and how a job ends when
//! something goes wrong in the middle.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pelton::io::ReadError;
use pelton::job::{SourceOptions, Splits};
use pelton::record::{Decimal, EventTime, IngressPosition, TimeSpan};
use pelton::sim::Chance;
use pelton::sink::CollectSink;
use pelton::source::{GeneratorSplit, Next, ScriptedSplit, SourceError, Split, VecSplit};
use pelton::{Driver, Engine, Job, JobError, Settings, Stream};
use pelton_tests::inputs::Inputs;
use pelton_tests::runs::{self, settings};

#[pelton::record]
struct Reading {
    sensor: u64,
    #[event_time]
    at: EventTime,
    value: Decimal,
}

#[pelton::record]
struct Window {
    sensor: u64,
    start: i64,
    count: u64,
}

#[pelton::job]
fn per_second(readings: Stream<Reading>) -> Stream<Window> {
    readings.key_by(|r| r.sensor).tumbling_count(TimeSpan::seconds(1)).map(|w| WindowView {
        sensor: w.key,
        start: w.start.0,
        count: w.value,
    })
}

const SECOND: i64 = 1_000_000;

fn reading(sensor: u64, at: i64) -> Reading {
    Reading { sensor, at: EventTime(at), value: Decimal(0) }
}

fn windows(rows: &CollectSink<Window>) -> Vec<(u64, i64, u64)> {
    let mut windows: Vec<_> = rows
        .take_rows()
        .into_iter()
        .map(|window| (window.sensor, window.start / SECOND, window.count))
        .collect();
    windows.sort_unstable();
    windows
}

/// What each split's own watermark lets through, by the definition: a record is late if its time
/// is at or before the highest time before it, less the lateness, less one.
fn on_time(split: &[Reading], lateness: TimeSpan) -> (Vec<Reading>, Vec<Reading>) {
    let mut highest = None;
    split.iter().cloned().partition(|reading| {
        let late = highest.is_some_and(|highest: i64| reading.at.0 < highest - lateness.0);
        if !late {
            highest = highest.max(Some(reading.at.0));
        }
        !late
    })
}

fn counted(readings: &[Reading]) -> Vec<(u64, i64, u64)> {
    let mut counts = std::collections::BTreeMap::new();
    for reading in readings {
        *counts.entry((reading.sensor, reading.at.0 / SECOND)).or_insert(0) += 1;
    }
    counts.into_iter().map(|((sensor, start), count)| (sensor, start, count)).collect()
}

#[test]
fn late_records_are_counted_and_kept_and_all_others_are_in_their_windows() {
    let lateness = TimeSpan::seconds(2);
    for run in 0..12 {
        let mut chance = Chance::new(run);
        let mut split = |first: i64| -> Vec<Reading> {
            (0..500)
                .map(|step| {
                    let back = chance.below(3_500_000) * u64::from(chance.below(4) == 0);
                    let at = first + step * 50_000 - i64::try_from(back).unwrap();
                    reading(chance.below(7), at.max(0))
                })
                .collect()
        };
        let parts = [split(10 * SECOND), split(0), split(5 * SECOND)];
        let (mut expected, mut expected_late) = (Vec::new(), Vec::new());
        for part in &parts {
            let (taken, late) = on_time(part, lateness);
            expected.extend(taken);
            expected_late.extend(late);
        }
        assert!(!expected_late.is_empty());

        let job = Job::new();
        let late = CollectSink::<Reading>::new();
        let splits = parts
            .iter()
            .map(|part| ScriptedSplit::new(VecSplit::new("part", part.clone()), run, 0));
        let options = SourceOptions::new().lateness(lateness).late(late.clone());
        let rows = per_second(job.source(Splits::new(splits.collect()), options)).collect();
        let settings = settings(run);
        let total = runs::run(&settings, job).unwrap().counts.total;

        assert_eq!(windows(&rows), counted(&expected), "{settings:?}");
        let in_order = |mut readings: Vec<Reading>| {
            readings.sort_by_key(|reading| (reading.at, reading.sensor));
            readings.into_iter().map(|r| (r.at, r.sensor)).collect::<Vec<_>>()
        };
        assert_eq!(in_order(late.take_rows()), in_order(expected_late.clone()), "{settings:?}");
        let counts = (total.records_in, total.accepted, total.rejected, total.late);
        let length = |readings: &[Reading]| u64::try_from(readings.len()).unwrap();
        assert_eq!(counts, (1_500, length(&expected), 0, length(&expected_late)), "{settings:?}");
    }
}

#[test]
fn a_pushed_split_that_is_silent_does_not_hold_windows_back() {
    let job = Job::new();
    let mut inputs = Inputs::new();
    let (busy, silent) = (inputs.pushed(1_000), inputs.pushed(1_000));
    let options =
        SourceOptions::new().lateness(TimeSpan::ZERO).idle_after(Duration::from_millis(50));
    let rows = per_second(job.source(inputs, options)).collect();
    let running = Engine::new().shards(2).driver(Driver::Threads).start(job).unwrap();
    silent.push(reading(1, 500_000)).unwrap();
    for second in 0..10 {
        busy.push(reading(2, second * SECOND)).unwrap();
    }
    // Both splits fall silent. The windows that the watermark has passed close all the same; the
    // last one stays open, as nothing says that its time is over.
    let mut found = Vec::new();
    runs::wait_until(&running, "windows closed", || {
        found.extend(windows(&rows));
        found.len() >= 10
    });
    found.sort_unstable();
    let mut expected = vec![(1, 0, 1)];
    expected.extend((0..9).map(|second| (2, second, 1)));
    assert_eq!(found, expected);

    // The silent split speaks again: what lies before the others' watermark has come too late
    // only where they are on one shard; here it is read by the other one, and its windows have
    // closed, so it makes no second row of them.
    busy.push(reading(2, 20 * SECOND)).unwrap();
    busy.close();
    silent.close();
    let total = runs::join(running).unwrap().counts.total;
    assert_eq!((total.records_in, total.accepted + total.late), (12, 12));
    assert_eq!(windows(&rows), [(2, 9, 1), (2, 20, 1)]);
}

#[test]
fn a_split_that_has_had_no_record_holds_all_windows_until_it_ends() {
    let job = Job::new();
    let mut inputs = Inputs::new();
    let waiting = inputs.pushed(1);
    let readings = (0..5_000).map(|number| reading(3, number * 10_000)).collect();
    let inputs = inputs.split(VecSplit::new("bounded", readings));
    // It may stay silent for an hour.
    let options =
        SourceOptions::new().lateness(TimeSpan::ZERO).idle_after(Duration::from_secs(3_600));
    let rows = per_second(job.source(inputs, options)).collect();
    let running = Engine::new().shards(3).driver(Driver::Threads).start(job).unwrap();
    runs::wait_until(&running, "read", || running.snapshot().total.records_in == 5_000);
    for _ in 0..1_000 {
        std::thread::yield_now();
    }
    assert_eq!(windows(&rows), []);
    waiting.close();
    runs::join(running).unwrap();
    assert_eq!(windows(&rows), (0..50).map(|second| (3, second, 100)).collect::<Vec<_>>());
}

#[test]
fn more_shards_than_splits_and_splits_without_records_hold_nothing_back() {
    for run in 0..8 {
        let job = Job::new();
        let readings = (0..100).map(|number| reading(number % 5, 100_000)).collect();
        let splits = vec![VecSplit::new("full", readings), VecSplit::new("empty", Vec::new())];
        let options = SourceOptions::new().lateness(TimeSpan::ZERO);
        let rows = per_second(job.source(Splits::new(splits), options)).collect();
        runs::run(&settings(run), job).unwrap();
        assert_eq!(windows(&rows), (0..5).map(|sensor| (sensor, 0, 20)).collect::<Vec<_>>());
    }
}

#[pelton::job]
fn fails_at(readings: Stream<Reading>, bad: u64) -> Stream<Window> {
    readings.key_by(|r| r.sensor % 4).tumbling_count(TimeSpan::seconds(1)).named("hourly").map(
        |w| {
            assert!(w.key != bad, "no window for {bad}");
            WindowView { sensor: w.key, start: w.start.0, count: w.value }
        },
    )
}

#[pelton::job]
fn fails_on_record(readings: Stream<Reading>, bad: u64) -> Stream<Window> {
    readings
        .filter(|r| r.value.0 >= 0)
        .key_by(|r| r.sensor)
        .count()
        .named("per sensor")
        .changes()
        .map(|change| {
            assert!(change.key != bad, "no count for {bad}");
            WindowView { sensor: change.key, start: 0, count: change.value }
        })
}

#[pelton::job]
fn fails_at_the_source(readings: Stream<Reading>, bad: u64) -> Stream<Window> {
    readings
        .map(|r| {
            assert!(r.sensor != bad, "no reading of {bad}");
            r
        })
        .key_by(|r| r.sensor)
        .count()
        .changes()
        .map(|change| WindowView { sensor: change.key, start: 0, count: change.value })
}

fn panicked(error: JobError) -> (String, IngressPosition, String) {
    match error {
        JobError::Panicked { operator, position, message, .. } => (operator, position, message),
        other => panic!("the job says: {other}"),
    }
}

#[test]
fn a_panic_in_a_closure_ends_the_job_and_names_the_operator_and_the_record() {
    let readings: Vec<Reading> = (0..20_000).map(|number| reading(number, 0)).collect();
    for run in 0..12 {
        let settings = settings(run);
        for at_source in [false, true] {
            let job = Job::new();
            let stream = job.records(readings.clone());
            let bad = 13_579;
            let rows = if at_source {
                fails_at_the_source(stream, bad).collect()
            } else {
                fails_on_record(stream, bad).collect()
            };
            let (operator, position, message) = panicked(runs::run(&settings, job).unwrap_err());
            drop(rows);
            if at_source {
                assert_eq!(
                    (operator.as_str(), message.as_str()),
                    ("source", "no reading of 13579")
                );
            } else {
                assert_eq!(
                    (operator.as_str(), message.as_str()),
                    ("per sensor", "no count for 13579")
                );
            }
            assert_eq!(position, IngressPosition { split: 0, sequence: bad }, "{settings:?}");
        }
    }
}

#[test]
fn a_panic_when_a_window_closes_ends_the_job_too() {
    for run in 0..12 {
        let job = Job::new();
        let stream = job.records((0..1_000).map(|number| reading(number, 0)).collect());
        let rows = fails_at(stream, 2).collect();
        let (operator, _, message) = panicked(runs::run(&settings(run), job).unwrap_err());
        drop(rows);
        assert_eq!((operator.as_str(), message.as_str()), ("hourly", "no window for 2"));
    }
}

#[test]
fn a_panic_frees_whoever_waits_to_push() {
    let job = Job::new();
    let (stream, input) = job.push::<Reading>(4);
    let rows = fails_on_record(stream, 500).collect();
    let running = Engine::new().shards(2).driver(Driver::Threads).start(job).unwrap();
    let pushing =
        std::thread::spawn(move || (0..).find(|&number| input.push(reading(number, 0)).is_err()));
    let (operator, ..) = panicked(runs::join(running).unwrap_err());
    assert_eq!(operator, "per sensor");
    assert!(pushing.join().unwrap() >= Some(500), "a push fails once the job is gone");
    drop(rows);
}

/// Fails after some records, as a disk would.
struct Broken(VecSplit<Reading>);

impl Split<Reading> for Broken {
    fn next(&mut self) -> Next<'_, Reading> {
        match self.0.next() {
            Next::Ended => Next::Failed(SourceError::Read(ReadError::Read {
                name: "readings.csv".to_owned(),
                offset: 4_096,
                cause: Arc::new(io::Error::other("the disk is gone")),
            })),
            other => other,
        }
    }
    fn bounded(&self) -> bool {
        true
    }
    fn name(&self) -> &str {
        "broken"
    }
    fn position(&self, out: &mut Vec<u8>) {
        self.0.position(out);
    }
    fn seek(&mut self, position: &[u8], sequence: u64) -> Result<(), SourceError> {
        self.0.seek(position, sequence)
    }
}

#[test]
fn a_source_that_fails_midway_ends_the_job_with_its_own_words() {
    for run in 0..12 {
        let job = Job::new();
        let readings = |count| (0..count).map(|number| reading(number, 0)).collect();
        let mut number = 0;
        // The other split would never end by itself.
        let endless = GeneratorSplit::new("endless", move |_| {
            number += 1;
            Some(reading(number % 100, 0))
        });
        let inputs =
            Inputs::new().split(endless).split(Broken(VecSplit::new("broken", readings(3_000))));
        let rows = per_second(job.source(inputs, SourceOptions::new())).collect();
        let settings = settings(run);
        let error = runs::run(&settings, job).unwrap_err();
        drop(rows);
        let text = error.to_string();
        assert_eq!(
            text,
            "cannot read input \"readings.csv\" at byte 4096: the disk is gone; check the disk",
            "{settings:?}"
        );
        assert!(matches!(error, JobError::Stage { operator, .. } if operator == "source"));
    }
}

#[pelton::job]
fn two_of_one_name(readings: Stream<Reading>, name: &'static str) -> Stream<Window> {
    readings
        .key_by(|r| r.sensor)
        .tumbling_count(TimeSpan::seconds(1))
        .named("windows")
        .map(|w| WindowView { sensor: w.key, start: w.start.0, count: w.value })
        .key_by(|w| w.start)
        .count()
        .named(name)
        .changes()
        .map(|c| WindowView { sensor: 0, start: c.key, count: c.value })
}

#[test]
fn two_operators_of_one_name_are_refused_before_anything_starts() {
    let job = Job::new();
    let rows = two_of_one_name(job.records(vec![reading(1, 1)]), "windows").collect();
    let error = runs::run(&Settings::default(), job).unwrap_err();
    assert!(matches!(&error, JobError::DuplicateName { name, .. } if name == "windows"), "{error}");
    assert_eq!(rows.take_rows().len(), 0);
}
