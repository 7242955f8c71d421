//! Generated transactions as CSV, in the form that the fraud job reads.

use std::io::{self, Write};

use pelton::record::EventTime;

use super::extra::{Confirmation, Extra, ExtraColumns, Extras};
use super::{GeneratedTransaction, Transactions};
use crate::digits::{push_micros, push_two, push_u64};

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
    /// The first line, where there are no more columns.
    pub const HEADER: &str = "transaction_id,time,customer_id,terminal_id,amount,fraud,scenario\n";

    /// The first line with these columns more.
    #[must_use]
    pub fn header(columns: ExtraColumns) -> String {
        let mut header = Self::HEADER.trim_end().to_owned();
        header.push_str(if columns.places { ",latitude,longitude" } else { "" });
        header.push_str(if columns.outcomes { ",declined,pending,confirms" } else { "" });
        header + "\n"
    }

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

    /// Makes the row that was appended last have these columns more.
    pub fn extend(extra: &Extra, columns: ExtraColumns, out: &mut Vec<u8>) {
        out.pop();
        if columns.places {
            for degrees in [extra.place.0, extra.place.1] {
                out.push(b',');
                push_micros(out, degrees.into());
            }
        }
        if columns.outcomes {
            let bit = |is: bool| b'0' + u8::from(is);
            out.extend_from_slice(&[b',', bit(extra.declined), b',', bit(extra.pending), b',']);
        }
        out.push(b'\n');
    }

    /// Appends the row of a confirmation, in a file that has outcomes.
    pub fn confirmation(&mut self, row: &Confirmation, columns: ExtraColumns, out: &mut Vec<u8>) {
        push_u64(out, row.transaction_id);
        out.push(b',');
        self.time(row.time_micros, out);
        out.push(b',');
        push_u64(out, row.customer_id);
        out.push(b',');
        push_u64(out, row.terminal_id);
        out.extend_from_slice(if columns.places { b",0.00,,,,,,," } else { b",0.00,,,,," });
        push_u64(out, row.transaction_id);
        out.push(b'\n');
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
    write_csv_with(seed, count, ExtraColumns::default(), out)
}

/// As [`write_csv`], with columns more. Where outcomes are among them, rows that confirm a transaction
/// stand between the others, and are not counted.
///
/// # Errors
/// Whatever `out` answers.
pub fn write_csv_with(
    seed: u64,
    count: u64,
    columns: ExtraColumns,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut csv = TransactionCsv::new();
    let mut extras = Extras::new(seed);
    let mut buffer = Vec::with_capacity(BUFFER_BYTES + 256);
    buffer.extend_from_slice(TransactionCsv::header(columns).as_bytes());
    let mut transactions = Transactions::new(seed, count);
    while let Some(transaction) = transactions.next() {
        if columns == ExtraColumns::default() {
            csv.row(&transaction, &mut buffer);
        } else {
            while let Some(row) = extras.confirmation_before(transaction.time_micros)
                && columns.outcomes
            {
                csv.confirmation(&row, columns, &mut buffer);
            }
            let extra = extras.of(transactions.population(), &transaction);
            csv.row(&transaction, &mut buffer);
            TransactionCsv::extend(&extra, columns, &mut buffer);
        }
        if buffer.len() >= BUFFER_BYTES {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    while let Some(row) = extras.confirmation_before(i64::MAX)
        && columns.outcomes
    {
        csv.confirmation(&row, columns, &mut buffer);
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

    #[test]
    fn more_columns_leave_the_others_as_they_are_and_rows_in_order_of_time() {
        let written = |columns| {
            let mut bytes = Vec::new();
            write_csv_with(7, 3_000, columns, &mut bytes).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let plain = written(ExtraColumns::default());
        for (places, outcomes) in [(true, false), (false, true), (true, true)] {
            let text = written(ExtraColumns { places, outcomes });
            let width = 7 + 2 * usize::from(places) + 3 * usize::from(outcomes);
            let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
            assert!(rows.iter().all(|row| row.len() == width), "{text}");
            let is_confirmation = |row: &&Vec<&str>| outcomes && !row[width - 1].is_empty();
            let transactions = rows.iter().skip(1).filter(|row| !is_confirmation(row));
            let kept: Vec<String> = transactions.map(|row| row[..7].join(",")).collect();
            assert!(kept.iter().map(String::as_str).eq(plain.lines().skip(1)));
            assert!(rows.windows(2).skip(1).all(|pair| pair[0][1] <= pair[1][1]));
            let confirmations = rows.iter().skip(1).filter(is_confirmation).count();
            assert_eq!(confirmations > 80, outcomes, "{confirmations}");
        }
    }
}
