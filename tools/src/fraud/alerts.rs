//! What takes several transactions of a card to see: patterns, and what stays away.
//!
//! ```text
//!                        /-> by customer -> a small amount, then a large one   \
//!  transactions -> marks ---> by customer -> declines, then an approval         >-> alerts
//!                        \-> by customer -> a request, and no confirmation     /
//! ```
//!
//! Takes the transactions, and the rows that confirm one; hands on an [`Alert`] for each match. An alert
//! is no reason of a decision: it may come after the transaction's own, or, where something stayed away,
//! at a time of its own.
//!
//! - `small_then_large`: an amount of at most `small_to`, and later one over `large_over` less than
//!   `within` after it. The alert is of the large one and the first small one that is near enough;
//!   what was before it counts for no later one.
//! - `declines_then_approval`: so many declined transactions and then an approved one, with no other of
//!   the two kinds between them, all in less than `within`.
//! - `unconfirmed`: a pending transaction, and no row that confirms it in less than `within`. Found
//!   when event time has come so far: with `--order event-time` by the watermark; in order of arrival,
//!   where that stands still, by the card's next row that is pending or confirms, or at the end of the
//!   input, which is the end of time.
//!
//! The rules are read at the source, and what they make of a transaction travels with it as marks: a
//! pattern's own form is fixed when the job starts (it is in the state), while thresholds may change at
//! any moment. So patterns reach as far as they ever may ([`WITHIN_MAX`], [`DECLINES_MAX`]), and the last
//! event's marks say how far that is now. An alert names the rules of its last event; of the
//! pending transaction, where one is not confirmed. Marks of earlier events stay what the rules of their
//! time made of them, also over a restart, where they lie in the state. A deadline can't be a mark:
//! `within` of `[unconfirmed]` is the operator's own, and in its name.

use pelton::chain::operators::{AfterMatch, MatchOut, Matched, Pattern};
use pelton::record::{Decimal, EventTime, FrameHeader, TimeSpan};
use pelton::sink::RowFormat;
use pelton::{Stream, job, record};

use super::job::Order;
use super::records::{Transaction, TransactionView};
use super::rules_in_use::RulesInUse;
use super::verdict::{CompiledRules, RulesVersion};
use crate::digits::push_u64;

/// The longest `within` of a rule.
pub const WITHIN_MAX: TimeSpan = TimeSpan::days(1);
/// The most declines that a rule can ask for.
pub const DECLINES_MAX: u32 = 10;
/// The deadline of the pattern where the rules name none.
const UNCONFIRMED_WITHIN: TimeSpan = TimeSpan::minutes(30);

/// The rules of what is looked for beside the decisions.
#[derive(Debug, Clone, Copy, Default)]
pub struct AlertRules {
    /// A small amount, and a large one.
    pub small_then_large: Option<SmallThenLarge>,
    /// Declines, and an approval.
    pub declines: Option<Declines>,
    /// No confirmation.
    pub unconfirmed: Option<Unconfirmed>,
}

/// When an amount is small, and when it is large.
#[derive(Debug, Clone, Copy)]
pub struct SmallThenLarge {
    /// Whether it is looked for.
    pub enabled: bool,
    /// The largest small amount.
    pub small_to_micros: i64,
    /// What is more is large.
    pub large_over_micros: i64,
    /// How near the two are.
    pub within: TimeSpan,
}

/// How many declines.
#[derive(Debug, Clone, Copy)]
pub struct Declines {
    /// Whether they are looked for.
    pub enabled: bool,
    /// From 1 to [`DECLINES_MAX`].
    pub count: u32,
    /// How near the first and the approval are.
    pub within: TimeSpan,
}

/// How long a confirmation may take.
#[derive(Debug, Clone, Copy)]
pub struct Unconfirmed {
    /// Whether it is looked for.
    pub enabled: bool,
    /// What takes as long or longer is none.
    pub within: TimeSpan,
}

impl AlertRules {
    /// The deadline of the pattern.
    #[must_use]
    pub fn unconfirmed_within(&self) -> TimeSpan {
        self.unconfirmed.map_or(UNCONFIRMED_WITHIN, |rule| rule.within)
    }
}

/// What a row is to the patterns: bits of `marks`.
mod mark {
    pub(super) const SMALL: u32 = 1;
    pub(super) const LARGE: u32 = 1 << 1;
    pub(super) const DECLINED: u32 = 1 << 2;
    pub(super) const APPROVED: u32 = 1 << 3;
    pub(super) const PENDING: u32 = 1 << 4;
    pub(super) const CONFIRMATION: u32 = 1 << 5;
}

/// A row that a pattern may take.
#[record]
pub struct CardEvent {
    /// The transaction's number; of a confirmation, that of the transaction which it confirms.
    pub transaction_id: u64,
    /// When it happened.
    #[event_time]
    pub time: EventTime,
    /// Whose card.
    pub customer_id: u64,
    /// How much.
    pub amount: Decimal,
    /// What it is, by the rules of its moment.
    pub marks: u32,
    /// How many declines these rules ask for.
    pub declines: u32,
    /// How near they are.
    pub declines_within_micros: i64,
    /// How near a small and a large amount are.
    pub small_within_micros: i64,
    /// The rules' version.
    pub rules: u64,
}

/// What was found.
#[record]
pub struct Alert {
    /// An [`AlertKind`].
    pub kind: u8,
    /// Whose card.
    pub customer_id: u64,
    /// The transaction that completed it; the one that was not confirmed.
    pub transaction_id: u64,
    /// Its amount.
    pub amount: Decimal,
    /// The first transaction of it.
    pub first_transaction_id: u64,
    /// When it was complete.
    pub time: EventTime,
    /// The version of the rules.
    pub rules: u64,
}

/// The kinds of alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertKind {
    /// A small amount, and then a large one.
    SmallThenLarge,
    /// Declines, and then an approval.
    DeclinesThenApproval,
    /// A request, and no confirmation.
    Unconfirmed,
}

impl AlertKind {
    const ALL: [Self; 3] = [Self::SmallThenLarge, Self::DeclinesThenApproval, Self::Unconfirmed];

    /// As it stands in the output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SmallThenLarge => "small_then_large",
            Self::DeclinesThenApproval => "declines_then_approval",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

/// The plan: what is found in the cards' transactions.
#[job]
pub fn alerts(transactions: Stream<Transaction>, rules: RulesInUse, order: Order) -> Stream<Alert> {
    let waits = order == Order::EventTime;
    let within = rules.unconfirmed_within();
    let events = transactions
        .map_with(rules.reference(), |t, rules, out| {
            if let Some(event) = event(t, &rules) {
                out.emit(event);
            }
        })
        .fork();
    let small_then_large = events
        .clone()
        .filter(|e| e.marks & (mark::SMALL | mark::LARGE) != 0)
        .key_by(|e| e.customer_id)
        .in_time_order_if(waits, |e| e.transaction_id)
        .detect(small_and_large(), |found, out| {
            alert(AlertKind::SmallThenLarge, found, ["small", "large"], out);
        });
    let declines_then_approval = events
        .clone()
        .filter(|e| e.marks & (mark::DECLINED | mark::APPROVED) != 0)
        .key_by(|e| e.customer_id)
        .in_time_order_if(waits, |e| e.transaction_id)
        .detect(declines_and_approval(), |found, out| {
            alert(AlertKind::DeclinesThenApproval, found, ["decline", "approval"], out);
        });
    let unconfirmed = events
        .filter(|e| e.marks & (mark::PENDING | mark::CONFIRMATION) != 0)
        .key_by(|e| e.customer_id)
        .in_time_order_if(waits, rank)
        .detect(no_confirmation(within), |found, out| {
            alert(AlertKind::Unconfirmed, found, ["pending", "pending"], out);
        })
        .named(&format!("unconfirmed_{}us", within.0));
    small_then_large.union(declines_then_approval).union(unconfirmed)
}

/// What a row is to the patterns; `None` where it is nothing.
#[inline]
fn event(t: TransactionView, rules: &CompiledRules) -> Option<CardEventView> {
    let alerts = rules.alerts();
    let RulesVersion(version) = rules.version();
    let mut event = CardEventView {
        transaction_id: t.confirms.unwrap_or(t.transaction_id),
        time: t.time,
        customer_id: t.customer_id,
        amount: t.amount,
        marks: 0,
        declines: 0,
        declines_within_micros: 0,
        small_within_micros: 0,
        rules: version,
    };
    if t.confirms.is_some() {
        event.marks = mark::CONFIRMATION;
        return Some(event);
    }
    if let Some(rule) = alerts.small_then_large.filter(|rule| rule.enabled) {
        let (small, large) = (rule.small_to_micros, rule.large_over_micros);
        event.marks |= mark::SMALL * u32::from(t.amount.0 <= small);
        event.marks |= mark::LARGE * u32::from(t.amount.0 > large);
        event.small_within_micros = rule.within.0;
    }
    if let (Some(rule), Some(declined)) = (alerts.declines.filter(|rule| rule.enabled), t.declined)
    {
        event.marks |= if declined { mark::DECLINED } else { mark::APPROVED };
        event.declines = rule.count;
        event.declines_within_micros = rule.within.0;
    }
    if alerts.unconfirmed.is_some_and(|rule| rule.enabled) && t.pending == Some(true) {
        event.marks |= mark::PENDING;
    }
    (event.marks != 0).then_some(event)
}

/// At one moment, what confirms comes behind what is to be confirmed.
fn rank(event: CardEventView) -> u64 {
    if event.marks & mark::CONFIRMATION != 0 { u64::MAX } else { event.transaction_id }
}

/// Whether `event` comes less than `within_micros` after the first event of a match.
fn is_near(event: CardEventView, so_far: &Matched<'_, CardEvent>, within_micros: i64) -> bool {
    event.time.0.saturating_sub(so_far.start().0) < within_micros
}

fn small_and_large() -> Pattern<CardEvent> {
    Pattern::<CardEvent>::begin("small")
        .when(|e| e.marks & mark::SMALL != 0)
        .followed_by("large")
        .when(|e| e.marks & mark::LARGE != 0)
        .when_so_far(|e, so_far| is_near(e, so_far, e.small_within_micros))
        .within(WITHIN_MAX)
        .after_match(AfterMatch::SkipPastLastEvent)
}

fn declines_and_approval() -> Pattern<CardEvent> {
    // Each decline begins a partial match, which the approval ends: of them, the one that asks
    // for as many declines as there were is the match.
    Pattern::<CardEvent>::begin("decline")
        .when(|e| e.marks & mark::DECLINED != 0)
        .times(1..=DECLINES_MAX)
        .consecutive()
        .next("approval")
        .when(|e| e.marks & mark::APPROVED != 0)
        .when_so_far(|e, so_far| {
            u32::try_from(so_far.count("decline")) == Ok(e.declines)
                && is_near(e, so_far, e.declines_within_micros)
        })
        .within(WITHIN_MAX)
}

fn no_confirmation(within: TimeSpan) -> Pattern<CardEvent> {
    Pattern::<CardEvent>::begin("pending")
        .when(|e| e.marks & mark::PENDING != 0)
        .not_followed_by("confirmation")
        .when(|e| e.marks & mark::CONFIRMATION != 0)
        .when_so_far(|e, so_far| {
            let pending = so_far.first("pending");
            pending.is_some_and(|pending| pending.transaction_id == e.transaction_id)
        })
        .within(within)
}

/// What was found, of its first and last step.
fn alert(
    kind: AlertKind,
    found: &Matched<'_, CardEvent>,
    [first, last]: [&'static str; 2],
    out: MatchOut<'_, Alert>,
) {
    if let (Some(first), Some(last)) = (found.first(first), found.last(last)) {
        out.emit(AlertView {
            kind: kind as u8,
            customer_id: last.customer_id,
            transaction_id: last.transaction_id,
            amount: last.amount,
            first_transaction_id: first.transaction_id,
            time: found.end(),
            rules: last.rules,
        });
    }
}

/// One JSON line an alert.
#[derive(Debug, Clone, Copy)]
pub struct AlertLines;

impl RowFormat<Alert> for AlertLines {
    fn write(&self, _: &FrameHeader, alert: AlertView, out: &mut Vec<u8>) {
        let kind = AlertKind::ALL.get(usize::from(alert.kind));
        let name = kind.expect("an alert is of a kind").name();
        out.extend_from_slice(b"{\"alert\":\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\",\"customer_id\":");
        push_u64(out, alert.customer_id);
        out.extend_from_slice(b",\"transaction_id\":");
        push_u64(out, alert.transaction_id);
        out.extend_from_slice(b",\"first_transaction_id\":");
        push_u64(out, alert.first_transaction_id);
        // Alerts are few.
        let (amount, time, rules) = (alert.amount, alert.time, RulesVersion(alert.rules));
        let rest = format!(",\"amount\":{amount},\"time\":\"{time}\",\"rules\":\"{rules}\"}}");
        out.extend_from_slice(rest.as_bytes());
    }
}
