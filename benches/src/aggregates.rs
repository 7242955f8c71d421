//! Step 6, chain: aggregates and row operators, each beside the same work by hand.
//!
//! Records of all keys come in a random order. The yardsticks know their keys as numbers from 0 and so
//! need no table: a `Vec` with a struct for each key.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::fmt;

use pelton::chain::operators::{
    Aggregate, BoundedOver, Count, Emit, FirstRows, Lag, Max, Moments, OverBound, Ranks, Sum, TopN,
};
use pelton::chain::{Due, KeyedOperator};
use pelton::clock::Clock;
use pelton::record::{EventTime, FrameHeader, Item, Key, KeyHash, Record, TimeSpan};
use pelton::sim::Chance;
use pelton::state::{OperatorId, Store, TOUCHED_MAX};

use crate::state::cpu_ns;

const ID: OperatorId = OperatorId(1);
const WINDOW_ROWS: u64 = 64;
const SPAN: i64 = 50_000;
const DISTANCE: u32 = 4;
const EVERY: Emit = Emit::EveryChange { update_before: false };
const FIRST_ROWS: usize = 3;

/// What one way of doing it costs.
#[derive(Debug, Clone, Copy)]
pub struct AggregateCost {
    /// What is done.
    pub name: &'static str,
    /// How many keys there are.
    pub key_count: u64,
    /// Nanoseconds a record in the engine's operator.
    pub operator_ns: f64,
    /// By hand.
    pub by_hand_ns: f64,
}

impl fmt::Display for AggregateCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, key_count, operator_ns, by_hand_ns } = self;
        let share = 100.0 * by_hand_ns / operator_ns;
        write!(f, "| {name:<11} | {key_count:>8} | {operator_ns:8.1} | {by_hand_ns:7.1} ")?;
        write!(f, "({share:3.0} %) |")
    }
}

/// The head of the table whose rows are [`AggregateCost`]s.
pub const HEAD: &str = "\
| what        | keys     | operator | by hand         |
|-------------|----------|----------|-----------------|";

/// A sale.
#[pelton::record]
pub struct Sale {
    /// Its number.
    pub number: u64,
    /// What it brought.
    pub amount: i64,
}

#[derive(Debug, Clone)]
struct Arrival {
    key: u64,
    hash: KeyHash,
    time: i64,
    sale: Sale,
}

/// Measures all of them.
#[must_use]
pub fn aggregates(key_count: u64, record_count: u64) -> Vec<AggregateCost> {
    let mut chance = Chance::new(1);
    let arrival = |number: u64| {
        let key = chance.below(key_count);
        let amount = i64::try_from(chance.below(100_000)).expect("small");
        let time = i64::try_from(number).expect("few records");
        Arrival { key, hash: u64::hash(key), time, sale: Sale { number, amount } }
    };
    let arrivals: Vec<Arrival> = (0..record_count).map(arrival).collect();
    let bench = Bench { arrivals: &arrivals, key_count };
    vec![bench.one_pass(), bench.dedup(), bench.top_n(), bench.over_rows(), bench.lag()]
}

struct Bench<'a> {
    arrivals: &'a [Arrival],
    key_count: u64,
}

impl Bench<'_> {
    /// The better of two runs of each, which must agree.
    fn cost(
        &self,
        name: &'static str,
        operator: impl Fn() -> u64,
        by_hand: impl Fn() -> u64,
    ) -> AggregateCost {
        let clock = Clock::machine();
        let timed = |run: &dyn Fn() -> u64| {
            let start = cpu_ns(&clock);
            let sum = run();
            #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
            let ns = (cpu_ns(&clock) - start) as f64 / self.arrivals.len() as f64;
            (ns, sum)
        };
        let mut ns = [f64::MAX; 2];
        for _ in 0..2 {
            let (operator, by_hand) = (timed(&operator), timed(&by_hand));
            assert_eq!(operator.1, by_hand.1, "{name}: both ways answer the same");
            ns = [ns[0].min(operator.0), ns[1].min(by_hand.0)];
        }
        let [operator_ns, by_hand_ns] = ns;
        AggregateCost { name, key_count: self.key_count, operator_ns, by_hand_ns }
    }

    /// Runs an operator as a stage's body does; answers the sum of what `read` makes of its items.
    fn run<Op: KeyedOperator<Key = u64, In = Sale>>(
        &self,
        mut operator: Op,
        read: impl for<'v> Fn(<Op::Out as Item>::View<'v>) -> u64,
    ) -> u64 {
        let mut store = Store::new();
        let mut sum = 0_u64;
        for arrivals in self.arrivals.chunks(TOUCHED_MAX) {
            let mut hashes = [KeyHash::default(); TOUCHED_MAX];
            for (hash, arrival) in hashes.iter_mut().zip(arrivals) {
                *hash = arrival.hash;
            }
            operator.touch(&mut store, &hashes[..arrivals.len()]);
            for (index, Arrival { key, hash, time, sale }) in arrivals.iter().enumerate() {
                store.turn_to(index);
                let event_time = EventTime(*time);
                let header = FrameHeader { key_hash: *hash, event_time, ..FrameHeader::default() };
                if let Some(emission) = operator.apply(&mut store, &header, *key, sale.view()) {
                    sum = sum.wrapping_add(read(operator.output(emission, *key, sale.view())));
                }
                let due = Due { watermark: EventTime::MIN, ended: false };
                while Op::HAS_DUE && operator.advance(&mut store, due) {
                    sum = sum.wrapping_add(read(operator.due(&store).1));
                    operator.done(&mut store);
                }
            }
        }
        sum
    }

    /// Runs `change` over a state a key; answers the sum of what it answers.
    fn by_hand<S: Default + Clone>(&self, change: impl Fn(&mut S, &Arrival) -> u64) -> u64 {
        let mut keys = vec![S::default(); usize::try_from(self.key_count).expect("64 bits")];
        let mut sum = 0_u64;
        for arrival in self.arrivals {
            let key = &mut keys[usize::try_from(arrival.key).expect("64 bits")];
            sum = sum.wrapping_add(change(key, arrival));
        }
        sum
    }

    #[expect(clippy::cast_precision_loss, reason = "small amounts")]
    fn one_pass(&self) -> AggregateCost {
        type Folds = (Count, Sum<i64>, Max<i64>, Moments);
        let operator = || {
            let read = |sale: SaleView| ((), sale.amount, sale.amount, sale.amount as f64);
            self.run(Aggregate::<u64, Sale, Folds, _>::new(ID, EVERY, read), |change| {
                let (count, sum, greatest, spread) = change.value;
                mixed(count, sum, greatest.unwrap_or(0), spread.squares)
            })
        };
        let by_hand = || {
            self.by_hand(|state: &mut (u64, i64, i64, f64, f64), arrival| {
                let amount = arrival.sale.amount;
                state.0 += 1;
                state.1 += amount;
                state.2 = state.2.max(amount);
                let distance = amount as f64 - state.3;
                state.3 += distance / state.0 as f64;
                state.4 += distance * (amount as f64 - state.3);
                mixed(state.0, state.1, state.2, state.4)
            })
        };
        self.cost("four folds", operator, by_hand)
    }

    fn dedup(&self) -> AggregateCost {
        let operator =
            || self.run(FirstRows::within(ID, TimeSpan::micros(SPAN)), |sale| sale.number);
        let by_hand = || {
            self.by_hand(|kept: &mut Option<i64>, arrival| {
                if kept.is_some_and(|kept| arrival.time - kept < SPAN) {
                    return 0;
                }
                *kept = Some(arrival.time);
                arrival.sale.number
            })
        };
        self.cost("dedup", operator, by_hand)
    }

    fn top_n(&self) -> AggregateCost {
        let operator = || {
            let read = |sale: SaleView| Reverse(sale.amount);
            let top = TopN::<u64, Sale, _, _, FIRST_ROWS>::new(
                ID,
                Ranks::Numbered { update_before: false },
                read,
            );
            self.run(top, |change| change.rank.wrapping_mul(change.row.number))
        };
        let by_hand = || {
            self.by_hand(|rows: &mut Vec<(i64, u64)>, arrival| {
                let (amount, number) = (arrival.sale.amount, arrival.sale.number);
                let place = rows.partition_point(|row| row.0 >= amount);
                rows.insert(place, (amount, number));
                rows.truncate(FIRST_ROWS);
                let changed = (1..).zip(&*rows).skip(place);
                changed.fold(0_u64, |sum, (rank, row)| sum.wrapping_add(row.1.wrapping_mul(rank)))
            })
        };
        self.cost("top 3", operator, by_hand)
    }

    fn over_rows(&self) -> AggregateCost {
        let operator = || {
            let bound = OverBound::Rows(WINDOW_ROWS);
            let over = BoundedOver::<u64, Sale, Max<i64>, _>::new(ID, bound, |sale| sale.amount);
            self.run(over, |(_, greatest)| greatest.unwrap_or(0).cast_unsigned())
        };
        // The yardstick of a sliding maximum: a queue of those that no later one is above.
        let by_hand = || {
            self.by_hand(|(seen, queue): &mut (u64, VecDeque<(u64, i64)>), arrival| {
                while queue.back().is_some_and(|row| row.1 <= arrival.sale.amount) {
                    queue.pop_back();
                }
                queue.push_back((*seen, arrival.sale.amount));
                *seen += 1;
                while queue.front().is_some_and(|row| row.0 + WINDOW_ROWS < *seen) {
                    queue.pop_front();
                }
                queue.front().map_or(0, |row| row.1.cast_unsigned())
            })
        };
        self.cost("max of 64", operator, by_hand)
    }

    fn lag(&self) -> AggregateCost {
        let operator = || {
            let lag = Lag::<u64, Sale, _, _>::new(ID, DISTANCE, 0, |sale: SaleView| sale.amount);
            self.run(lag, |(_, before)| before.cast_unsigned())
        };
        let by_hand = || {
            self.by_hand(|(seen, ring): &mut (usize, [i64; DISTANCE as usize]), arrival| {
                let at = *seen % ring.len();
                *seen += 1;
                std::mem::replace(&mut ring[at], arrival.sale.amount).cast_unsigned()
            })
        };
        self.cost("lag 4", operator, by_hand)
    }
}

fn mixed(count: u64, sum: i64, greatest: i64, squares: f64) -> u64 {
    count ^ sum.cast_unsigned() ^ greatest.cast_unsigned() ^ squares.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_and_yardsticks_agree() {
        assert_eq!(aggregates(50, 20_000).len(), 5);
    }
}
