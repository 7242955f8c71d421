//! Functions of two streams: one key's state shared by both, and state that every shard has; and
//! timers of the wall clock.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pelton::chain::operators::{
    BroadcastFunction, MapState, PairFunction, ProcessContext, ProcessFunction, SharedContext,
    States, ValueState,
};
use pelton::job::{Checkpoints, SourceOptions, Splits};
use pelton::record::{EventTime, TimeSpan};
use pelton::sim::Chance;
use pelton::sink::{Csv, FileSink};
use pelton::source::{PushInput, VecSplit};
use pelton::{Driver, Engine, Job};
use pelton_tests::runs::{self, settings};

#[pelton::record]
struct Order {
    #[event_time]
    time: EventTime,
    id: u64,
    amount: i64,
}

#[pelton::record]
struct Payment {
    #[event_time]
    time: EventTime,
    amount: i64,
    order: u64,
}

/// An order that was paid (`missing` is 0), or not by the end of its time.
#[pelton::record]
struct Settled {
    id: u64,
    missing: i64,
}

const PATIENCE: TimeSpan = TimeSpan::micros(500);
const MISSING: ValueState<i64> = ValueState::new(0);
const DEADLINE: ValueState<i64> = ValueState::new(1);

#[derive(Clone)]
struct Settle;

impl Settle {
    fn pay(context: &mut ProcessContext<'_, Settled>, id: u64, amount: i64) {
        let missing = context.get(MISSING).unwrap_or(0) + amount;
        context.set(MISSING, missing);
        if let (0, Some(deadline)) = (missing, context.get(DEADLINE)) {
            context.delete_timer(EventTime(deadline));
            context.emit(SettledView { id, missing });
        }
    }
}

impl PairFunction for Settle {
    type Key = u64;
    type Left = Order;
    type Right = Payment;
    type Out = Settled;

    fn states(&self, states: &mut States) {
        states.value("missing", MISSING).value("deadline", DEADLINE);
    }

    fn on_left(&mut self, context: &mut ProcessContext<'_, Settled>, id: u64, order: OrderView) {
        let deadline = order.time + PATIENCE;
        context.set(DEADLINE, deadline.0);
        context.set_timer(deadline);
        Self::pay(context, id, order.amount);
    }

    fn on_right(
        &mut self,
        context: &mut ProcessContext<'_, Settled>,
        id: u64,
        payment: PaymentView,
    ) {
        Self::pay(context, id, -payment.amount);
    }

    fn on_timer(&mut self, context: &mut ProcessContext<'_, Settled>, id: u64, _: EventTime) {
        // A payment that comes later is nobody's business here.
        context.clear(DEADLINE);
        let missing = context.get(MISSING).unwrap_or(0);
        context.emit(SettledView { id, missing });
    }
}

#[test]
fn a_function_of_two_streams_sees_both_in_time_order_and_what_does_not_come() {
    for run in 0..24 {
        let mut chance = Chance::new(run);
        let mut signed = |below| i64::try_from(chance.below(below)).unwrap();
        let (mut orders, mut payments, mut expected) = (Vec::new(), Vec::new(), BTreeMap::new());
        for id in 0..400 {
            let (time, amount) = (i64::try_from(id).unwrap() * 7, 1 + signed(90));
            orders.push(Order { time: EventTime(time), id, amount });
            let (after, paid) = (signed(1_000), 1 + signed(90));
            let paid = if signed(2) == 0 { amount } else { paid };
            payments.push(Payment { time: EventTime(time + after), amount: paid, order: id });
            let in_time = after <= PATIENCE.0;
            expected.insert(id, if in_time { amount - paid } else { amount });
        }
        payments.sort_by_key(|payment| payment.time);
        let job = Job::new();
        let options = SourceOptions::new().lateness(TimeSpan::ZERO);
        let orders = job.source(Splits::new(vec![VecSplit::new("orders", orders)]), options);
        let options = SourceOptions::new().lateness(TimeSpan::ZERO);
        let payments = job.source(Splits::new(vec![VecSplit::new("payments", payments)]), options);
        let orders = orders.key_by(|order, key| key.of(order.id));
        let settled = orders
            .join(payments.key_by(|payment, key| key.of(payment.order)))
            .in_time_order()
            .process(Settle)
            .named("settled")
            .collect();
        runs::run(&settings(run), job).unwrap();
        let rows: Vec<_> =
            settled.take_rows().into_iter().map(|row| (row.id, row.missing)).collect();
        assert_eq!(rows.len(), expected.len(), "run {run}: one word an order");
        assert_eq!(rows.into_iter().collect::<BTreeMap<_, _>>(), expected, "run {run}");
    }
}

/// Which limit a class has from now on.
#[pelton::record]
struct Rule {
    class: u64,
    limit: i64,
}

#[pelton::record]
struct Purchase {
    user: u64,
    amount: i64,
}

/// A purchase above its class's limit, and how many of them its user has had.
#[pelton::record]
struct Refused {
    user: u64,
    limit: i64,
    refused: u64,
}

const LIMITS: MapState<u64, i64> = MapState::new(0);
const REFUSED: ValueState<u64> = ValueState::new(0);

#[derive(Clone)]
struct Limits;

impl BroadcastFunction for Limits {
    type Key = u64;
    type In = Purchase;
    type Broadcast = Rule;
    type Out = Refused;

    fn states(&self, states: &mut States) {
        states.value("refused", REFUSED);
    }

    fn shared_states(&self, states: &mut States) {
        states.map("limits", LIMITS);
    }

    fn on_broadcast(&mut self, context: &mut SharedContext<'_>, rule: RuleView) {
        context.insert(LIMITS, rule.class, rule.limit);
    }

    fn on_record(
        &mut self,
        context: &mut ProcessContext<'_, Refused>,
        user: u64,
        purchase: PurchaseView,
    ) {
        let Some(limit) = context.shared_get(LIMITS, user % 10) else { return };
        if purchase.amount > limit {
            let refused = context.get(REFUSED).unwrap_or(0) + 1;
            context.set(REFUSED, refused);
            context.emit(RefusedView { user, limit, refused });
        }
    }
}

fn limited(output: &Path) -> (Job, PushInput<Rule>, PushInput<Purchase>) {
    let job = Job::new();
    let (rules, rule_input) = job.push::<Rule>(10);
    let (purchases, purchase_input) = job.push::<Purchase>(10);
    purchases
        .key_by(|purchase, key| key.of(purchase.user))
        .process_with_broadcast(rules, Limits)
        .named("limits")
        .to(FileSink::new(output, Csv::new().header_line(false)));
    (job, rule_input, purchase_input)
}

#[test]
fn broadcast_state_is_on_every_shard_and_goes_along_to_other_numbers_of_shards() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("refused.csv");
    for (round, shards) in [(0_i64, 2_u16), (1, 4), (2, 1), (3, 3), (4, 3)] {
        let (job, rules, purchases) = limited(&output);
        let checkpoints = Checkpoints::new(folder.path().join("state")).job("limits");
        let engine = Engine::new().shards(shards).driver(Driver::Threads).checkpoints(checkpoints);
        let running = engine.start(job).unwrap();
        // Users of all slots see the limits of the round before.
        for user in 0..100 {
            purchases.push(Purchase { user, amount: 1_000_000 }).unwrap();
        }
        // What was read before a checkpoint was asked for has been applied when it is made.
        let read = |count: i64| {
            let count = u64::try_from(count).unwrap();
            while running.snapshot().total.records_in < count {
                std::thread::yield_now();
            }
            running.checkpoint().unwrap();
        };
        read(round * 110 + 100);
        for class in 0..10 {
            let limit = round * 100 + i64::try_from(class).unwrap();
            rules.push(Rule { class, limit }).unwrap();
        }
        read(round * 110 + 110);
        running.suspend().unwrap();
        let text = fs::read_to_string(&output).unwrap_or_default();
        let rows: Vec<Vec<i64>> = text
            .lines()
            .map(|line| line.split(',').map(|field| field.parse().unwrap()).collect())
            .collect();
        assert_eq!(rows.len(), usize::try_from(round).unwrap() * 100, "round {round}");
        for row in &rows {
            let [user, limit, refused] = row[..] else { panic!("three fields: {row:?}") };
            assert_eq!(limit, (refused - 1) * 100 + user % 10, "round {round}, user {user}");
        }
    }
}

/// Says a purchase's user again, once the wall clock has moved on.
#[derive(Clone)]
struct Later(i64);

impl ProcessFunction for Later {
    type Key = u64;
    type In = Purchase;
    type Out = Refused;

    fn on_record(
        &mut self,
        context: &mut ProcessContext<'_, Refused>,
        _: u64,
        purchase: PurchaseView,
    ) {
        context.set_wall_timer(context.wall_micros() + self.0);
        if purchase.amount == 0 {
            assert!(context.delete_wall_timer(context.wall_micros() + self.0), "it was set");
        }
    }

    fn on_wall_timer(
        &mut self,
        context: &mut ProcessContext<'_, Refused>,
        user: u64,
        at_micros: i64,
    ) {
        assert!(context.wall_micros() >= at_micros, "not before its time");
        context.emit(RefusedView { user, limit: 0, refused: 1 });
    }
}

fn later(output: &Path, micros: i64) -> (Job, PushInput<Purchase>) {
    let job = Job::new();
    let (purchases, input) = job.push::<Purchase>(10);
    purchases
        .key_by(|purchase, key| key.of(purchase.user))
        .process(Later(micros))
        .named("later")
        .to(FileSink::new(output, Csv::new().header_line(false)));
    (job, input)
}

#[test]
fn timers_of_the_wall_clock_fire_while_nothing_comes_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("later.csv");
    let engine = |shards| {
        let checkpoints = Checkpoints::new(folder.path().join("state")).job("later");
        Engine::new().shards(shards).driver(Driver::Threads).checkpoints(checkpoints)
    };
    // Suspended long before the timers' time.
    let (job, input) = later(&output, 3_600_000_000);
    let running = engine(2).start(job).unwrap();
    for user in 0..50 {
        input.push(Purchase { user, amount: 1 }).unwrap();
    }
    while running.snapshot().total.records_in < 50 {
        std::thread::yield_now();
    }
    running.suspend().unwrap();
    // Users from 100 on: their timers are near, and fire while the input is open and silent.
    let (job, input) = later(&output, 2_000);
    let running = engine(3).start(job).unwrap();
    for user in 100..150 {
        input.push(Purchase { user, amount: i64::try_from(user % 2).unwrap() }).unwrap();
    }
    while running.snapshot().records_out < 25 {
        std::thread::yield_now();
    }
    // Those of the first run wait still.
    while running.snapshot().total.state_entries != 50 {
        std::thread::yield_now();
    }
    running.stop().unwrap();
    let text = fs::read_to_string(&output).unwrap();
    let mut users: Vec<u64> =
        text.lines().map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    users.sort_unstable();
    assert_eq!(users, (100..150).filter(|user| user % 2 == 1).collect::<Vec<_>>());
}
