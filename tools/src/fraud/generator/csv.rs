//! Generated transactions as CSV, in the form that the fraud job reads.

use std::io::{self, Write};

use pelton::record::EventTime;

use super::{GeneratedTransaction, Transactions};
use crate::digits::{push_two, push_u64};

const MICROS_A_DAY: i64 = 86_400_000_000;
/// Rows gather up to here before they are written.
const BUFFER_BYTES: usize = 1 << 16;

/// Writes rows; remembers the date, which is the same for thousands of rows on end.
#[derive(Debug, Default)]
pub struct TransactionCsv {
    /// The day since 1970 of `date`; `None` before the first row.
    day: Option<i64>,
    /// `2018-04-01T`.
    date: Vec<u8>,
}

impl TransactionCsv {
    /// The first line.
    pub const HEADER: &str = "transaction_id,time,customer_id,terminal_id,amount,fraud,scenario\n";

    /// A writer of rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one row to `out`.
    #[inline]
    pub fn row(&mut self, transaction: &GeneratedTransaction, out: &mut Vec<u8>) {
        push_u64(out, transaction.transaction_id);
        out.push(b',');
        self.time(transaction.time_micros, out);
        out.push(b',');
        push_u64(out, transaction.customer_id);
        out.push(b',');
        push_u64(out, transaction.terminal_id);
        out.push(b',');
        let cents = transaction.amount_micros.unsigned_abs() / 10_000;
        push_u64(out, cents / 100);
        out.push(b'.');
        push_two(out, cents % 100);
        let fraud = b'0' + u8::from(transaction.fraud);
        out.extend_from_slice(&[b',', fraud, b',', b'0' + transaction.scenario, b'\n']);
    }

    #[inline]
    fn time(&mut self, micros: i64, out: &mut Vec<u8>) {
        let day = micros.div_euclid(MICROS_A_DAY);
        if self.day != Some(day) {
            self.day = Some(day);
            let text = EventTime(day * MICROS_A_DAY).to_string();
            let date_bytes = text.find('T').map_or(text.len(), |at| at + 1);
            self.date.clear();
            self.date.extend_from_slice(&text.as_bytes()[..date_bytes]);
        }
        out.extend_from_slice(&self.date);
        let second = micros.rem_euclid(MICROS_A_DAY).unsigned_abs() / 1_000_000;
        push_two(out, second / 3_600);
        out.push(b':');
        push_two(out, second / 60 % 60);
        out.push(b':');
        push_two(out, second % 60);
        out.push(b'Z');
    }
}

/// Writes the first `count` transactions of `seed` with a header.
///
/// # Errors
/// Whatever `out` answers.
pub fn write_csv(seed: u64, count: u64, out: &mut impl Write) -> io::Result<()> {
    let mut csv = TransactionCsv::new();
    let mut buffer = Vec::with_capacity(BUFFER_BYTES + 256);
    buffer.extend_from_slice(TransactionCsv::HEADER.as_bytes());
    for transaction in Transactions::new(seed, count) {
        csv.row(&transaction, &mut buffer);
        if buffer.len() >= BUFFER_BYTES {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_form_of_the_input() {
        let transaction = GeneratedTransaction {
            transaction_id: 12,
            time_micros: 1_522_540_831_000_000,
            customer_id: 596,
            terminal_id: 3_156,
            amount_micros: 57_060_000,
            fraud: true,
            scenario: 2,
        };
        let mut out = Vec::new();
        TransactionCsv::new().row(&transaction, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), "12,2018-04-01T00:00:31Z,596,3156,57.06,1,2\n");
    }
}
