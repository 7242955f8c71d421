//! What the transactions of a card just before one say of it: where it was, and at how many terminals.
//!
//! Takes the transactions of a customer, in order; hands on each with both.
//! - Travel: how far its place is from that of the last transaction before it that has one, and the time
//!   between the two.
//! - Merchants: the different terminals among those transactions, itself included, that happened in
//!   the hour up to it. Exact; where transactions come out of order, exact on what has arrived and is
//!   less than an hour older than the newest.
//!
//! State a card: one value with the newest transaction, and a list of the others of the last hour.
//! Costs two look-ups a transaction; where the card was used in the hour before, a few more, and a walk
//! over those transactions. Nearly all cards rest for longer, and have no list.
//!
//! Why a list that is written anew when it has doubled, and not one with a time to live: that goes by the
//! watermark, which in order of arrival stands still.

use pelton::chain::operators::{ListState, ProcessContext, ProcessFunction, States, ValueState};
use pelton::record::{EventTime, TimeSpan};

use super::place::Place;
use super::records::{CardTransaction, CardTransactionView, Transaction, TransactionView};
use super::verdict::Travel;

/// How far back terminals count.
const HOUR: TimeSpan = TimeSpan::hours(1);
/// A list that is shorter than this is not written anew.
const LISTED_MIN: u32 = 32;

/// What is kept of a card.
#[pelton::state]
#[derive(Debug)]
struct Card {
    /// The newest transaction's time, and terminal. It is not in the list.
    newest: EventTime,
    terminal_id: u64,
    /// How long the list is, and how long it was when it was written anew.
    listed: u32,
    listed_anew: u32,
    /// The last place, and when the card was there.
    has_place: bool,
    latitude: i32,
    longitude: i32,
    there_at: EventTime,
}

const CARD: ValueState<Card> = ValueState::new(0);
const RECENT: ListState<(EventTime, u64)> = ListState::new(1);

/// The card's stage; see the head of the file.
#[derive(Debug, Clone, Default)]
pub struct CardSteps {
    /// The terminals of the present hour; used again.
    terminals: Vec<u64>,
    /// What is kept of a list that is written anew; used again.
    kept: Vec<(EventTime, u64)>,
}

type Context<'a> = ProcessContext<'a, CardTransaction>;

impl ProcessFunction for CardSteps {
    type Key = u64;
    type In = Transaction;
    type Out = CardTransaction;

    fn states(&self, states: &mut States) {
        states.value("card", CARD).list("recent", RECENT);
    }

    fn on_record(&mut self, context: &mut Context<'_>, _: u64, view: TransactionView) {
        let time = context.header().event_time;
        let (mut card, is_new) = match context.get(CARD) {
            Some(card) => (card, false),
            None => (Card { newest: time, terminal_id: view.terminal_id, ..Card::NEW }, true),
        };
        let travel = card.travel(time, Place::of(view.latitude, view.longitude));
        let merchants_1h =
            if is_new { 1 } else { self.merchants(context, &mut card, time, view.terminal_id) };
        context.set(CARD, card);
        context.emit(CardTransactionView {
            transaction_id: view.transaction_id,
            customer_id: view.customer_id,
            amount: view.amount,
            fraud: view.fraud,
            scenario: view.scenario,
            merchants_1h,
            travel_metres: travel.metres,
            travel_micros: travel.micros,
        });
    }
}

impl Card {
    const NEW: Self = Self {
        newest: EventTime::MIN,
        terminal_id: 0,
        listed: 0,
        listed_anew: 0,
        has_place: false,
        latitude: 0,
        longitude: 0,
        there_at: EventTime::MIN,
    };

    /// Goes to `place`.
    fn travel(&mut self, time: EventTime, place: Option<Place>) -> Travel {
        let Some(place) = place else {
            return Travel::default();
        };
        let before = Place { latitude: self.latitude, longitude: self.longitude };
        let travel = if self.has_place {
            Travel { metres: before.metres_to(place), micros: time.0.abs_diff(self.there_at.0) }
        } else {
            Travel::default()
        };
        (self.has_place, self.there_at) = (true, time);
        (self.latitude, self.longitude) = (place.latitude, place.longitude);
        travel
    }
}

impl CardSteps {
    /// Takes a transaction in, and counts the terminals of its hour.
    fn merchants(
        &mut self,
        context: &mut Context<'_>,
        card: &mut Card,
        time: EventTime,
        terminal_id: u64,
    ) -> u32 {
        let before = (card.newest, card.terminal_id);
        let in_order = time >= before.0;
        if in_order {
            (card.newest, card.terminal_id) = (time, terminal_id);
            if !in_hour(before.0, time) {
                // It was the newest, so the list holds nothing newer.
                if card.listed > 0 {
                    context.clear_list(RECENT);
                    (card.listed, card.listed_anew) = (0, 0);
                }
                return 1;
            }
        }
        self.terminals.clear();
        self.terminals.push(terminal_id);
        // What may have been let go does not count, whether it has been or not.
        let newest = card.newest;
        let counts =
            |(at, _): &(EventTime, u64)| *at <= time && in_hour(*at, time) && in_hour(*at, newest);
        if counts(&before) {
            self.terminals.push(before.1);
        }
        if card.listed > 0 {
            let recent = context.iter(RECENT).filter(counts);
            self.terminals.extend(recent.map(|(_, terminal)| terminal));
        }
        let left_over = if in_order { before } else { (time, terminal_id) };
        if in_hour(left_over.0, card.newest) {
            self.list(context, card, left_over);
        }
        self.terminals.sort_unstable();
        self.terminals.dedup();
        u32::try_from(self.terminals.len()).unwrap_or(u32::MAX)
    }

    /// Appends to the list; lets go what is too old, once it has doubled.
    fn list(&mut self, context: &mut Context<'_>, card: &mut Card, item: (EventTime, u64)) {
        if card.listed >= LISTED_MIN.max(2 * card.listed_anew) {
            self.kept.clear();
            self.kept.extend(context.iter(RECENT).filter(|(at, _)| in_hour(*at, card.newest)));
            context.clear_list(RECENT);
            for kept in &self.kept {
                context.append(RECENT, *kept);
            }
            card.listed = u32::try_from(self.kept.len()).unwrap_or(u32::MAX);
            card.listed_anew = card.listed;
        }
        context.append(RECENT, item);
        card.listed = card.listed.saturating_add(1);
    }
}

/// Whether `at` lies less than an hour before `time`, or behind it.
#[inline]
fn in_hour(at: EventTime, time: EventTime) -> bool {
    at > time.saturating_sub(HOUR)
}
