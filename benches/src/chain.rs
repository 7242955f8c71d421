//! Step 6, chain: fused chains, beside loops that a person writes over the same bytes.
//!
//! Frames of bids, as Nexmark has them, lie one after the other as they do in a ring. The chains are
//! built by `#[pelton::part]`, end in a sink that adds up what it is given, and are run as a stage
//! runs them. The loops know where each field lies and read no other; they walk the frames by
//! their lengths, as any reader of a ring must.

use std::cell::RefCell;
use std::fmt;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashTable;
use pelton::Stream;
use pelton::chain::operators::{Aggregate, Emit, Sum};
use pelton::chain::{Blueprint, Chain, Flow, KeyedOperator, Push, Terminal, Wiring};
use pelton::clock::Clock;
use pelton::job::{Graph, Level};
use pelton::record::{
    Change, EventTime, FRAME_HEADER_BYTES, Frame, FrameHeader, Item, Key, KeyHash, Record,
    frame_bytes, write_frame,
};
use pelton::route::{RangeTable, ShardId};
use pelton::shard::park::parking;
use pelton::sink::{Sink, SinkFactory, SinkSeat};
use pelton::state::{OperatorId, Store, TOUCHED_MAX};

use crate::state::cpu_ns;

/// A bid on an auction.
#[pelton::record]
pub struct Bid {
    /// On what.
    pub auction: u64,
    /// Whose.
    pub bidder: u64,
    /// In dollar cents.
    pub price: i64,
    /// When.
    #[event_time]
    pub time: EventTime,
}

/// Where the fields of a bid lie in its payload.
const AUCTION: usize = 0;
const BIDDER: usize = 8;
const PRICE: usize = 16;
const TIME: usize = 24;
const BID_BYTES: usize = 32;

/// A bid in another currency.
#[pelton::record]
pub struct Converted {
    /// On what.
    pub auction: u64,
    /// Whose.
    pub bidder: u64,
    /// In euro cents.
    pub price: i64,
    /// When.
    pub time: EventTime,
}

/// What an auction was bid, or a bidder has bid.
#[pelton::record]
pub struct Price {
    /// The auction or bidder.
    pub id: u64,
    /// The price or sum.
    pub price: i64,
}

/// What a sink adds up, so that nothing is left out.
trait Checked: Record {
    fn check(view: Self::View<'_>) -> u64;
}

impl Checked for Converted {
    #[inline(always)]
    fn check(c: ConvertedView) -> u64 {
        check_converted(c.auction, c.bidder, c.price, c.time.0)
    }
}

impl Checked for Price {
    #[inline(always)]
    fn check(p: PriceView) -> u64 {
        p.id ^ p.price.cast_unsigned()
    }
}

#[inline(always)]
fn check_converted(auction: u64, bidder: u64, price: i64, time: i64) -> u64 {
    auction ^ bidder ^ price.cast_unsigned() ^ time.cast_unsigned()
}

/// Nexmark's q1: every bid in another currency.
#[pelton::part]
pub fn projection(bids: Stream<Bid>) -> Stream<Converted> {
    bids.map(|b| ConvertedView {
        auction: b.auction,
        bidder: b.bidder,
        price: b.price * 908 / 1_000,
        time: b.time,
    })
}

/// Nexmark's q2: the bids on some auctions.
#[pelton::part]
pub fn selection(bids: Stream<Bid>) -> Stream<Price> {
    bids.filter(|b| b.auction.is_multiple_of(123))
        .map(|b| PriceView { id: b.auction, price: b.price })
}

/// Both, and some arithmetic between.
#[pelton::part]
pub fn arithmetic(bids: Stream<Bid>) -> Stream<Price> {
    let converted = bids.filter(|b| b.price > 1_000).map(|b| ConvertedView {
        auction: b.auction,
        bidder: b.bidder,
        price: b.price * 908 / 1_000,
        time: b.time,
    });
    converted
        .filter(|c| (c.time.0 / 1_000) % 10 != 3)
        .map(|c| PriceView { id: c.auction ^ c.bidder, price: c.price + c.price / 10 })
}

/// What stands behind the sum of each bidder's bids.
#[pelton::part]
pub fn totals(sums: Stream<Change<u64, i64>>) -> Stream<Price> {
    sums.filter(|c| c.value % 4 != 0).map(|c| PriceView { id: c.key, price: c.value })
}

/// A chain or a loop that is ready to run.
pub type Way = Box<dyn FnMut(&Bids) -> u64>;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// Nexmark's q1.
    Projection,
    /// Nexmark's q2.
    Selection,
    /// Two filters and two maps.
    Arithmetic,
    /// A sum for each of 10,000 bidders, a filter and a map.
    Keyed,
}

impl Case {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Projection, Self::Selection, Self::Arithmetic, Self::Keyed];

    /// As tables and the command line say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Projection => "projection",
            Self::Selection => "selection",
            Self::Arithmetic => "arithmetic",
            Self::Keyed => "keyed",
        }
    }

    /// The chain, built: each run over bids answers the checksum of all runs so far.
    #[must_use]
    pub fn chain(self) -> Way {
        let sum = Arc::new(AtomicU64::new(0));
        let sink = Summing(Arc::clone(&sum));
        let feed = Feed::default();
        let built = Rc::clone(&feed.built);
        let mut run = match self {
            Self::Keyed => {
                totals(Stream::of_chain(feed.of::<Change<u64, i64>>())).to(sink);
                built.take()
            }
            Self::Projection => {
                projection(Stream::of_chain(feed.of::<Bid>())).to(sink);
                built.take()
            }
            Self::Selection => {
                selection(Stream::of_chain(feed.of::<Bid>())).to(sink);
                built.take()
            }
            Self::Arithmetic => {
                arithmetic(Stream::of_chain(feed.of::<Bid>())).to(sink);
                built.take()
            }
        }
        .expect("the stream has ended in its sink");
        Box::new(move |bids| {
            run(&bids.0);
            // Relaxed: this thread wrote it.
            sum.load(Ordering::Relaxed)
        })
    }

    /// The loop, with the same answers.
    #[must_use]
    pub fn by_hand(self) -> Way {
        let (mut sum, mut table) = (0_u64, HashTable::new());
        Box::new(move |bids| {
            sum = sum.wrapping_add(self.loop_over(&bids.0, &mut table));
            sum
        })
    }

    fn loop_over(self, frames: &[u8], table: &mut HashTable<(u64, i64)>) -> u64 {
        match self {
            Self::Projection => sum_of(frames, |frame| {
                let price = i64_at(frame, PRICE) * 908 / 1_000;
                let (auction, bidder) = (u64_at(frame, AUCTION), u64_at(frame, BIDDER));
                check_converted(auction, bidder, price, i64_at(frame, TIME))
            }),
            Self::Selection => sum_of(frames, |frame| {
                let auction = u64_at(frame, AUCTION);
                if !auction.is_multiple_of(123) {
                    return 0;
                }
                auction ^ i64_at(frame, PRICE).cast_unsigned()
            }),
            Self::Arithmetic => sum_of(frames, |frame| {
                let price = i64_at(frame, PRICE);
                if price <= 1_000 || (i64_at(frame, TIME) / 1_000) % 10 == 3 {
                    return 0;
                }
                let price = price * 908 / 1_000;
                let id = u64_at(frame, AUCTION) ^ u64_at(frame, BIDDER);
                id ^ (price + price / 10).cast_unsigned()
            }),
            Self::Keyed => keyed_by_hand(frames, table),
        }
    }
}

fn keyed_by_hand(frames: &[u8], table: &mut HashTable<(u64, i64)>) -> u64 {
    sum_of(frames, |frame| {
        let (bidder, price) = (u64_at(frame, BIDDER), i64_at(frame, PRICE));
        // The hash stands in the frame, as it does for the engine.
        let hash = u64::from_le_bytes(*frame[8..].first_chunk().expect("a header is longer"));
        let mut entry = table
            .entry(hash, |&(other, _)| other == bidder, |&(key, _)| u64::hash(key).0)
            .or_insert((bidder, 0));
        entry.get_mut().1 += price;
        let total = entry.get().1;
        if total % 4 == 0 { 0 } else { bidder ^ total.cast_unsigned() }
    })
}

#[inline(always)]
fn sum_of(frames: &[u8], mut check: impl FnMut(&[u8]) -> u64) -> u64 {
    let (mut sum, mut at) = (0_u64, 0);
    while at < frames.len() {
        let frame = &frames[at..];
        let bytes = u32::from_le_bytes(*frame.first_chunk().expect("a frame has its length"));
        sum = sum.wrapping_add(check(&frame[..FRAME_HEADER_BYTES + BID_BYTES]));
        at += bytes as usize;
    }
    sum
}

#[inline(always)]
fn u64_at(frame: &[u8], field: usize) -> u64 {
    let field = &frame[FRAME_HEADER_BYTES + field..];
    u64::from_le_bytes(*field.first_chunk().expect("a bid has all its fields"))
}

#[inline(always)]
fn i64_at(frame: &[u8], field: usize) -> i64 {
    u64_at(frame, field).cast_signed()
}

/// Frames of bids, one after the other.
#[derive(Debug)]
pub struct Bids(rkyv::util::AlignedVec<16>);

impl Bids {
    /// So many, of 10,000 bidders.
    #[must_use]
    pub fn new(count: u64) -> Self {
        let offsets: Vec<_> = Bid::layout().fields.iter().map(|field| field.offset_bytes).collect();
        let expected = [AUCTION, BIDDER, PRICE, TIME].map(|at| u32::try_from(at).expect("small"));
        assert_eq!(offsets, expected, "the loop reads where the engine has written");
        let mut frames = rkyv::util::AlignedVec::new();
        let mut seed = 0x9876_5432_1fed_cba9_u64;
        for number in 0..count {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let bid = BidView {
                auction: seed >> 40,
                bidder: (seed >> 20) % 10_000,
                price: i64::try_from(seed % 100_000).expect("small"),
                time: EventTime(i64::try_from(number).expect("few") * 700),
            };
            let header = FrameHeader {
                key_hash: u64::hash(bid.bidder),
                event_time: bid.time,
                ..FrameHeader::default()
            };
            let at = frames.len();
            frames.resize(at + frame_bytes(BID_BYTES), 0);
            write_frame::<Bid>(&header, bid, &mut frames[at..]);
        }
        Self(frames)
    }
}

type Run = Box<dyn FnMut(&[u8])>;

/// Where a chain leaves its loop once it is built.
#[derive(Default)]
struct Feed {
    built: Rc<RefCell<Option<Run>>>,
}

impl Feed {
    fn of<I: Fed>(self) -> FeedOf<I> {
        FeedOf { built: self.built, graph: Graph::default(), item: std::marker::PhantomData }
    }
}

struct FeedOf<I> {
    built: Rc<RefCell<Option<Run>>>,
    graph: Graph,
    item: std::marker::PhantomData<fn() -> I>,
}

/// An item that frames of bids become before they meet the chain.
trait Fed: Item + Sized {
    fn run<P: Push<Self> + 'static>(push: P) -> Run;
}

impl Fed for Bid {
    fn run<P: Push<Self> + 'static>(mut push: P) -> Run {
        Box::new(move |frames| {
            let mut at = 0;
            while at < frames.len() {
                let frame = Frame::new(&frames[at..]);
                push.begin(false);
                assert!(push.push_frame(frame) == Flow::Ready, "the sink takes everything");
                at += frame.frame_bytes();
            }
            end(&mut push);
        })
    }
}

/// As a keyed stage: the next frames' state is touched, then each is applied.
impl Fed for Change<u64, i64> {
    fn run<P: Push<Self> + 'static>(mut push: P) -> Run {
        let emit = Emit::EveryChange { update_before: false };
        let mut operator =
            Aggregate::<u64, Bid, Sum<i64>, _>::new(OperatorId(0), emit, |b: BidView| b.price);
        let mut store = Store::new();
        Box::new(move |frames| {
            let frame_len = frame_bytes(BID_BYTES);
            for batch in frames.chunks(TOUCHED_MAX * frame_len) {
                let mut hashes = [KeyHash::default(); TOUCHED_MAX];
                let headers = batch.chunks(frame_len).map(|frame| Frame::new(frame).key_hash());
                let count = hashes.iter_mut().zip(headers).map(|(to, hash)| *to = hash).count();
                operator.touch(&mut store, &hashes[..count]);
                for (index, frame) in batch.chunks(frame_len).map(Frame::new).enumerate() {
                    store.turn_to(index);
                    let (header, view) = (frame.header(), frame.view::<Bid>());
                    let emission = operator.apply(&mut store, &header, view.bidder, view);
                    let emission = emission.expect("every change is told");
                    let item = operator.output(emission, view.bidder, view);
                    push.begin(false);
                    assert!(push.push(&header, item) == Flow::Ready, "the sink takes everything");
                }
            }
            end(&mut push);
        })
    }
}

fn end(push: &mut impl Terminal) {
    push.end_turn().expect("adding up does not fail");
}

impl<I: Fed> Chain for FeedOf<I> {
    type Out = I;

    fn attach<B: Blueprint<I>>(self, terminal: B) {
        let (ranges, (_, waker)) = (Arc::new(RangeTable::even(1)), parking());
        let mut wiring = Wiring {
            shard: ShardId(0),
            ranges: &ranges,
            wakers: &[waker],
            clock: &Clock::machine(),
            producers: &mut [],
            timed: false,
        };
        *self.built.borrow_mut() = Some(I::run(terminal.build(&mut wiring)));
    }

    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn level(&self) -> Level {
        Level(0)
    }

    fn name_operator(&mut self, _: &str) {}

    fn emit_at_end(&mut self) {}
}

/// Adds up what it is given.
struct Summing(Arc<AtomicU64>);

struct ShardSum {
    sum: u64,
    shown: Arc<AtomicU64>,
}

impl<R: Checked> SinkFactory<R> for Summing {
    type Sink = ShardSum;
    fn open(&self, _: SinkSeat) -> ShardSum {
        ShardSum { sum: 0, shown: Arc::clone(&self.0) }
    }
}

impl<R: Checked> Sink<R> for ShardSum {
    #[inline(always)]
    fn write(&mut self, _: &FrameHeader, view: R::View<'_>) -> Flow {
        self.sum = self.sum.wrapping_add(R::check(view));
        Flow::Ready
    }

    fn flush(&mut self, _: bool) {
        // Relaxed: read by the same thread.
        self.shown.store(self.sum, Ordering::Relaxed);
    }
}

/// Nanoseconds a record.
#[derive(Debug, Clone, Copy)]
pub struct ChainCost {
    case: Case,
    /// In the fused chain.
    pub chain_ns: f64,
    /// In the loop.
    pub by_hand_ns: f64,
}

impl fmt::Display for ChainCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, chain_ns, by_hand_ns } = self;
        let share = 100.0 * by_hand_ns / chain_ns;
        write!(f, "| {:<10} | {chain_ns:6.2} | {by_hand_ns:6.2} ({share:3.0} %) |", case.name())
    }
}

/// The head of the table whose rows are [`ChainCost`]s.
pub const HEAD: &str = "\
| chain      | fused  | by hand        |
|------------|--------|----------------|";

/// The processor time of a thread is told in ticks of some milliseconds: a round is many of them.
const REPEATS: u64 = 32;

/// Measures a case over frames that stay in the caches: what differs is instructions, not memory.
#[must_use]
pub fn chain_cost(case: Case, record_count: u64, rounds: u32) -> ChainCost {
    let clock = Clock::machine();
    let bids = Bids::new(record_count);
    let mut ns = [f64::MAX; 2];
    let mut sums = [0; 2];
    // The keyed stage has all its keys before the clock starts, as `state.rs` has.
    let mut ways = [case.chain(), case.by_hand()];
    ways.iter_mut().for_each(|run| _ = black_box(run(&bids)));
    for _ in 0..rounds {
        for ((ns, sum), run) in ns.iter_mut().zip(&mut sums).zip(&mut ways) {
            let start = cpu_ns(&clock);
            *sum = (0..REPEATS).map(|_| black_box(run(&bids))).last().unwrap_or(0);
            let record_count = record_count * REPEATS;
            *ns = ns.min(per_record(cpu_ns(&clock) - start, record_count));
        }
    }
    assert_eq!(sums[0], sums[1], "both answer the same");
    ChainCost { case, chain_ns: ns[0], by_hand_ns: ns[1] }
}

#[expect(clippy::cast_precision_loss, reason = "a mean for people")]
fn per_record(ns: u64, record_count: u64) -> f64 {
    ns as f64 / record_count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_and_loops_agree() {
        for case in Case::ALL {
            assert!(chain_cost(case, 20_000, 1).chain_ns >= 0.0);
        }
    }
}
