//! The fraud job's records: what comes in, what its stages hand on, and what is decided.
//!
//! Facts travel and judgements do not: a half hands on what its windows say, as whole numbers, and the
//! rules see both halves at once where they have met. So one version of the rules makes a decision,
//! whenever they are swapped. (Records have no 128-bit numbers; wider sums are two halves.)

use pelton::record;
use pelton::record::{Decimal, EventTime};

use super::verdict::ReasonSet;

/// One card transaction, as it comes in.
#[record]
pub struct Transaction {
    /// Ranks transactions of one time.
    pub transaction_id: u64,
    /// When it happened.
    #[event_time]
    pub time: EventTime,
    /// Who pays.
    pub customer_id: u64,
    /// Where.
    pub terminal_id: u64,
    /// How much.
    pub amount: Decimal,
    /// Whether it turned out to be a fraud, where that is known.
    pub fraud: Option<bool>,
    /// Which kind of fraud, where that is known.
    pub scenario: Option<u8>,
    /// Where it was, in degrees to the north, if that is known.
    pub latitude: Option<Decimal>,
    /// Where it was, in degrees to the east.
    pub longitude: Option<Decimal>,
    /// Whether the card's issuer declined it, if that is known.
    pub declined: Option<bool>,
    /// Whether the customer was asked to confirm it.
    pub pending: Option<bool>,
    /// The number of the transaction that this row confirms, which is no transaction itself.
    pub confirms: Option<u64>,
}

/// A transaction, and what the ones of its card just before it say.
#[record]
pub struct CardTransaction {
    /// The transaction's number.
    pub transaction_id: u64,
    /// Who pays.
    pub customer_id: u64,
    /// How much.
    pub amount: Decimal,
    /// The label.
    pub fraud: Option<bool>,
    /// The label's kind.
    pub scenario: Option<u8>,
    /// Different terminals in an hour.
    pub merchants_1h: u32,
    /// How far it is from the place before; 0 where one of the two is not known.
    pub travel_metres: u32,
    /// In which time.
    pub travel_micros: u64,
}

/// What the terminal's windows need to know.
#[record]
pub struct TerminalTransaction {
    /// Ranks transactions of one time.
    pub transaction_id: u64,
    /// Where.
    pub terminal_id: u64,
    /// Whether it is known to be a fraud.
    pub fraud: bool,
}

/// What the customer's windows say, and the transaction itself.
#[record]
pub struct CustomerFacts {
    /// The transaction's number.
    pub transaction_id: u64,
    /// How much.
    pub amount: Decimal,
    /// The label.
    pub fraud: Option<bool>,
    /// The label's kind.
    pub scenario: Option<u8>,
    /// Transactions in a day.
    pub count_1d: u64,
    /// Their average amount.
    pub avg_1d: Decimal,
    /// Transactions in 7 days.
    pub count_7d: u64,
    /// Their average amount.
    pub avg_7d: Decimal,
    /// Transactions in 30 days.
    pub count_30d: u64,
    /// Their average amount.
    pub avg_30d: Decimal,
    /// The high half of their sum in millionths.
    pub sum_30d_high: u64,
    /// The low half.
    pub sum_30d_low: u64,
    /// The high half of the sum of their squares.
    pub squares_30d_high: u64,
    /// The low half.
    pub squares_30d_low: u64,
    /// Different terminals in an hour.
    pub merchants_1h: u32,
    /// How far it is from the place before; 0 where one of the two is not known.
    pub travel_metres: u32,
    /// In which time.
    pub travel_micros: u64,
}

/// What the terminal's windows say.
#[record]
pub struct TerminalFacts {
    /// Transactions in a day.
    pub count_1d: u64,
    /// Frauds among them.
    pub frauds_1d: u64,
    /// Transactions in 7 days.
    pub count_7d: u64,
    /// Frauds among them.
    pub frauds_7d: u64,
    /// Transactions in 30 days.
    pub count_30d: u64,
    /// Frauds among them.
    pub frauds_30d: u64,
}

/// A transaction that is decided, with its features.
#[record]
pub struct Decided {
    /// The transaction's number.
    pub transaction_id: u64,
    /// How much.
    pub amount: Decimal,
    /// The label.
    pub fraud: Option<bool>,
    /// The label's kind.
    pub scenario: Option<u8>,
    /// The customer's transactions in a day.
    pub customer_count_1d: u64,
    /// Their average amount.
    pub customer_avg_1d: Decimal,
    /// The customer's transactions in 7 days.
    pub customer_count_7d: u64,
    /// Their average amount.
    pub customer_avg_7d: Decimal,
    /// The customer's transactions in 30 days.
    pub customer_count_30d: u64,
    /// Their average amount.
    pub customer_avg_30d: Decimal,
    /// The terminal's transactions in a day that ended a week ago.
    pub terminal_count_1d: u64,
    /// Frauds among them.
    pub terminal_frauds_1d: u64,
    /// The same in 7 days.
    pub terminal_count_7d: u64,
    /// Frauds among them.
    pub terminal_frauds_7d: u64,
    /// The same in 30 days.
    pub terminal_count_30d: u64,
    /// Frauds among them.
    pub terminal_frauds_30d: u64,
    /// Different terminals of the customer in an hour.
    pub merchants_1h: u32,
    /// How far it is from the place before; 0 where one of the two is not known.
    pub travel_metres: u32,
    /// In which time.
    pub travel_micros: u64,
    /// Which of the rules of this run decided: see [`RulesInUse`](super::rules_in_use::RulesInUse).
    pub rules: u32,
    /// All of them that held: bit n is the rule n.
    pub reasons: u32,
}

impl DecidedView {
    /// The rules that held.
    #[must_use]
    pub fn reason_set(&self) -> ReasonSet {
        ReasonSet(self.reasons)
    }
}
