//! Step 1, source: splits that read no file.

mod source_common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use pelton::record::Decimal;
use pelton::source::{
    GeneratorSplit, Next, PushError, ScriptedSplit, Split, VecSplit, push_source,
};
use source_common::{Payment, Row, drain};

fn record(id: u64) -> Payment {
    Payment { id, who: format!("customer {id}"), amount: Decimal(1), fraud: None }
}

fn records(count: u64) -> Vec<Payment> {
    (0..count).map(record).collect()
}

fn as_rows(records: Vec<Payment>) -> Vec<Row> {
    records.into_iter().map(Row::Record).collect()
}

#[test]
fn a_generator_is_asked_for_each_record_once_and_stays_ended() {
    let mut split = GeneratorSplit::new("made up", |id| (id < 5).then(|| record(id)));
    assert_eq!(drain(&mut split), as_rows(records(5)));
    assert_eq!(drain(&mut split), []);
    assert!(split.bounded());
}

#[test]
fn a_scripted_split_stalls_by_its_seed_and_loses_nothing() {
    let stalls_of = |seed| {
        let mut split = ScriptedSplit::new(VecSplit::new("v", records(200)), seed, 100);
        let mut stalls = Vec::new();
        loop {
            match split.next() {
                Next::Pending => stalls.push(true),
                Next::Record(_) => stalls.push(false),
                _ => return stalls,
            }
        }
    };
    assert_eq!(stalls_of(1), stalls_of(1));
    assert_ne!(stalls_of(1), stalls_of(2));
    let mut split = ScriptedSplit::new(VecSplit::new("v", records(200)), 3, 100);
    assert_eq!(drain(&mut split), as_rows(records(200)));
}

#[test]
fn what_is_pushed_is_read_in_order_and_the_last_drop_ends_it() {
    let (input, mut split) = push_source::<Payment>("pushed", 2);
    let other = input.clone();
    input.push(record(0)).unwrap();
    other.try_push(record(1)).unwrap();
    assert_eq!(input.try_push(record(2)), Err(PushError::Full(record(2))));
    assert!(matches!(split.next(), Next::Record(view) if view.id == 0));
    assert!(matches!(split.next(), Next::Record(view) if view.id == 1));
    assert!(matches!(split.next(), Next::Pending));
    drop(other);
    assert!(matches!(split.next(), Next::Pending));
    input.push(record(2)).unwrap();
    drop(input);
    assert_eq!(drain(&mut split), [Row::Record(record(2))]);
    assert!(!split.bounded());
}

#[test]
fn the_shard_is_woken_once_for_each_batch_and_at_the_end() {
    let (input, mut split) = push_source::<Payment>("pushed", 10);
    let wakes = Arc::new(AtomicUsize::new(0));
    let counted = wakes.clone();
    split.set_wake(Arc::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    input.push(record(0)).unwrap();
    input.push(record(1)).unwrap();
    assert_eq!(wakes.load(Ordering::Relaxed), 1);
    assert!(matches!(split.next(), Next::Record(_)));
    input.push(record(2)).unwrap();
    assert_eq!(wakes.load(Ordering::Relaxed), 2);
    input.close();
    assert!(wakes.load(Ordering::Relaxed) >= 3);
}

#[test]
fn a_full_input_waits_for_the_job_and_is_let_go_when_the_job_ends() {
    let (input, mut split) = push_source::<Payment>("pushed", 3);
    let pusher = thread::spawn(move || {
        let pushed = (0..).find(|&id| input.push(record(id)).is_err());
        (pushed, input.try_push(record(0)))
    });
    let mut read = 0;
    while read < 1_000 {
        match split.next() {
            Next::Record(view) => {
                assert_eq!(view.id, read);
                read += 1;
            }
            _ => thread::yield_now(),
        }
    }
    drop(split);
    let (pushed, after) = pusher.join().unwrap();
    assert!(pushed.unwrap() >= 1_000);
    assert_eq!(after, Err(PushError::Closed(record(0))));
}
