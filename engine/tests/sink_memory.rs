//! Sinks of the embedding program, and two sinks at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use pelton::chain::Flow;
use pelton::record::{Change, ChangeView, FrameHeader, RowKind};
use pelton::sink::{Both, CollectSink, Meter, Sink, SinkFactory, SinkSeat, callback, tally};
use proptest::prelude::*;

type Count = Change<String, u64>;

fn seat(shard: u16) -> SinkSeat {
    SinkSeat { shard, wake: Arc::new(|| ()), meter: Meter::silent() }
}

fn write(sink: &mut impl Sink<Count>, value: u64) -> Flow {
    let change = ChangeView { kind: RowKind::Insert, key: "key", value };
    sink.write(&FrameHeader::default(), change)
}

#[test]
fn collected_rows_are_owned_and_come_after_the_turn() {
    let sink = CollectSink::<Count>::new();
    let (mut a, mut b) = (sink.open(seat(0)), sink.open(seat(1)));
    assert_eq!(write(&mut a, 1), Flow::Ready);
    assert!(sink.take().is_empty());
    assert_eq!(write(&mut b, 2), Flow::Ready);
    b.flush(false);
    assert!(a.end().unwrap());
    let rows = sink.take_rows();
    let rows: Vec<_> = rows.iter().map(|row| (row.key.as_str(), row.value)).collect();
    assert_eq!(rows, [("key", 2), ("key", 1)]);
    assert!(sink.take().is_empty());
}

#[test]
fn a_bounded_collection_makes_the_job_wait_for_its_reader() {
    let sink = CollectSink::<Count>::bounded(2);
    let wakes = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&wakes);
    let wake = move || {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let mut shard = sink.open(SinkSeat { wake: Arc::new(wake), ..seat(0) });
    let flows = [1, 2, 3].map(|value| write(&mut shard, value));
    assert_eq!(flows, [Flow::Ready, Flow::Ready, Flow::Blocked]);
    shard.flush(false);
    assert_eq!(sink.take_rows().len(), 2);
    assert_eq!(wakes.load(Ordering::Relaxed), 1);
    assert_eq!(write(&mut shard, 3), Flow::Ready);
}

#[test]
fn a_callback_sees_each_item_as_a_view() {
    let total = Arc::new(AtomicU64::new(0));
    let shared = Arc::clone(&total);
    let sink = callback::<Count, _>(move |_, change| {
        assert_eq!(change.key, "key");
        shared.fetch_add(change.value, Ordering::Relaxed);
    });
    let mut shard = SinkFactory::<Count>::open(&sink, seat(0));
    for value in 1..=3 {
        assert_eq!(write(&mut shard, value), Flow::Ready);
    }
    assert_eq!(total.load(Ordering::Relaxed), 6);
}

#[test]
fn a_tally_adds_up_over_the_shards_once_they_have_ended() {
    let sink = tally::<Count, _, _, _>(
        0_u64,
        |sum, _, change| *sum += change.value,
        |sum, other| *sum += other,
    );
    let mut shards = [0, 1, 2].map(|shard| SinkFactory::<Count>::open(&sink, seat(shard)));
    for (value, shard) in (1..).zip(&mut shards) {
        assert_eq!(write(shard, value), Flow::Ready);
    }
    assert_eq!(sink.total(), 0);
    for shard in &mut shards {
        assert!(shard.end().unwrap());
        assert!(shard.end().unwrap());
    }
    assert_eq!(sink.total(), 6);
}

/// Refuses as it is told, and keeps what it took. Clones keep together.
#[derive(Clone, Default)]
struct Moody {
    refusals: Vec<bool>,
    taken: Arc<Mutex<Vec<u64>>>,
}

impl Sink<Count> for Moody {
    fn write(&mut self, _: &FrameHeader, change: ChangeView<&str, u64>) -> Flow {
        if self.refusals.pop() == Some(true) {
            return Flow::Blocked;
        }
        self.taken.lock().expect("no test panics while it holds it").push(change.value);
        Flow::Ready
    }
}

impl SinkFactory<Count> for Moody {
    type Sink = Self;
    fn open(&self, _: SinkSeat) -> Self {
        self.clone()
    }
}

proptest! {
    #[test]
    fn both_sinks_take_each_item_once_whoever_refuses(
        refusals in prop::array::uniform3(prop::collection::vec(any::<bool>(), 0..60)),
    ) {
        let [a, b, c] = refusals.map(|refusals| Moody { refusals, ..Moody::default() });
        let taken = [&a, &b, &c].map(|sink| Arc::clone(&sink.taken));
        let sink = Both(Both(a, b), c);
        let mut shard = sink.open(seat(0));
        for value in 0..20 {
            while write(&mut shard, value).is_blocked() {}
        }
        for values in taken {
            prop_assert_eq!(&*values.lock().unwrap(), &(0..20).collect::<Vec<_>>());
        }
    }
}
