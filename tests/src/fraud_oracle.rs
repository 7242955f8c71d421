//! The fraud job's twelve features, computed slowly and obviously: the oracle of the fraud tests.
//!
//! Written from the text alone; it shares no code with the engine, the job or the
//! yardstick. For the transaction at time `t`, and `w` of 1, 7 and 30 days:
//! - customer: of his transactions at or before this one, in order of (time, transaction id), those
//!   with `time > t - w`: their count, and the average of their amounts;
//! - terminal: of *all* of its transactions, those with `t - 7d - w < time <= t - 7d`: their
//!   count, and the share of frauds among them, 0 where there are none. No label is no fraud.
//!
//! It scans a key's transactions for every window anew. The one concession to speed: each key's
//! rows stand in a list of their own, and those of more than 37 days ago, which no window can
//! hold, are skipped from its front.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

const DAY_MICROS: i64 = 86_400_000_000;
/// The windows' lengths.
pub const WINDOW_DAYS: [i64; 3] = [1, 7, 30];
/// A fraud is known this long after it happened.
const DELAY_DAYS: i64 = 7;

/// An input row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The second half of the order.
    pub transaction_id: u64,
    /// Microseconds UTC.
    pub time_micros: i64,
    /// Who paid.
    pub customer_id: u64,
    /// Where.
    pub terminal_id: u64,
    /// Millionths.
    pub amount_micros: i64,
    /// The label; `None` where the input has none.
    pub fraud: Option<bool>,
}

/// The features of a row. Averages and risks stay quotients, so that nothing is rounded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// Whose features.
    pub transaction_id: u64,
    /// Count and sum of amounts in millionths, by window.
    pub customer: [(u64, i128); 3],
    /// Count and count of frauds, by window.
    pub terminal: [(u64, u64); 3],
}

impl Features {
    /// `customer_avg` of each window.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the nearest float is meant")]
    pub fn customer_avg(&self) -> [f64; 3] {
        self.customer.map(
            |(count, sum)| {
                if count == 0 { 0.0 } else { sum as f64 / 1e6 / count as f64 }
            },
        )
    }

    /// `terminal_risk` of each window.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the nearest float is meant")]
    pub fn terminal_risk(&self) -> [f64; 3] {
        self.terminal.map(
            |(count, frauds)| {
                if count == 0 { 0.0 } else { frauds as f64 / count as f64 }
            },
        )
    }

    /// The row of `features.csv`, with six decimals rounded half away from zero, without its line
    /// end.
    #[must_use]
    pub fn csv_row(&self) -> String {
        let mut row = self.transaction_id.to_string();
        for (count, sum) in self.customer {
            row += &format!(",{count},{}", six_decimals(sum, count));
        }
        for (count, frauds) in self.terminal {
            let millionths = i128::from(frauds) * 1_000_000;
            row += &format!(",{count},{}", six_decimals(millionths, count));
        }
        row
    }
}

/// `micros / count` as text, where `micros` counts millionths.
fn six_decimals(micros: i128, count: u64) -> String {
    let count = i128::from(count.max(1));
    let sign = if micros < 0 { "-" } else { "" };
    let rounded = (2 * micros.abs() + count) / (2 * count);
    format!("{sign}{}.{:06}", rounded / 1_000_000, rounded % 1_000_000)
}

/// The features of all `rows`, which may come in any order; the answer is in order of
/// (time, transaction id).
#[must_use]
pub fn features(rows: &[Row]) -> Vec<Features> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| (row.time_micros, row.transaction_id));

    // Rows with the same time and id are the same to the definition; each counts itself and
    // those before it.
    let mut by_terminal: BTreeMap<u64, Vec<Row>> = BTreeMap::new();
    for row in &rows {
        by_terminal.entry(row.terminal_id).or_default().push(*row);
    }

    let mut by_customer: BTreeMap<u64, Vec<Row>> = BTreeMap::new();
    let mut answers = Vec::with_capacity(rows.len());
    for row in &rows {
        let customers = by_customer.entry(row.customer_id).or_default();
        customers.push(*row);
        answers.push(Features {
            transaction_id: row.transaction_id,
            customer: customer_windows(customers, row),
            terminal: terminal_windows(&by_terminal[&row.terminal_id], row),
        });
    }
    answers
}

/// `earlier` holds the customer's rows up to and with `row`.
fn customer_windows(earlier: &[Row], row: &Row) -> [(u64, i128); 3] {
    let earlier = since(earlier, row.time_micros.saturating_sub(37 * DAY_MICROS));
    WINDOW_DAYS.map(|days| {
        let after = row.time_micros.saturating_sub(days * DAY_MICROS);
        let mut window = (0, 0);
        for other in earlier {
            if other.time_micros > after {
                window.0 += 1;
                window.1 += i128::from(other.amount_micros);
            }
        }
        window
    })
}

/// `all` holds every row of the terminal, later ones too.
fn terminal_windows(all: &[Row], row: &Row) -> [(u64, u64); 3] {
    let all = since(all, row.time_micros.saturating_sub(37 * DAY_MICROS));
    let until = row.time_micros.saturating_sub(DELAY_DAYS * DAY_MICROS);
    WINDOW_DAYS.map(|days| {
        let after = until.saturating_sub(days * DAY_MICROS);
        let mut window = (0, 0);
        for other in all.iter().take_while(|other| other.time_micros <= until) {
            if other.time_micros > after {
                window.0 += 1;
                window.1 += u64::from(other.fraud == Some(true));
            }
        }
        window
    })
}

/// The rows of a sorted list from `time` on.
fn since(rows: &[Row], time: i64) -> &[Row] {
    &rows[rows.partition_point(|row| row.time_micros < time)..]
}

/// Reads well-formed CSV with a header, whose columns may stand in any order.
///
/// # Errors
/// What the reader answers, or a row that is not well formed: the oracle reads good input only.
pub fn read_rows(reader: impl BufRead) -> io::Result<Vec<Row>> {
    let mut lines = reader.lines();
    let header = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let columns: Vec<&str> = header.trim_end().split(',').collect();
    let column = |name: &str| columns.iter().position(|&column| column == name);
    let places = ["transaction_id", "time", "customer_id", "terminal_id", "amount"].map(column);
    let fraud_place = column("fraud");
    let mut rows = Vec::new();
    for line in lines {
        let line = line?;
        let fields: Vec<&str> = line.trim_end().split(',').collect();
        let field = |place: Option<usize>| place.and_then(|at| fields.get(at)).copied();
        let parsed = (|| {
            Some(Row {
                transaction_id: field(places[0])?.parse().ok()?,
                time_micros: time_micros(field(places[1])?)?,
                customer_id: field(places[2])?.parse().ok()?,
                terminal_id: field(places[3])?.parse().ok()?,
                amount_micros: amount_micros(field(places[4])?)?,
                fraud: field(fraud_place).map(|label| label == "1"),
            })
        })();
        rows.push(parsed.ok_or_else(|| io::Error::other(format!("not well formed: {line}")))?);
    }
    Ok(rows)
}

/// `2018-04-01T00:00:31Z`, by counting the days of the years and months since 1970.
fn time_micros(text: &str) -> Option<i64> {
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let years: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum();
    let month_days = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months: i64 = month_days.iter().take(usize::try_from(month - 1).ok()?).sum();
    let days = years + months + day - 1;
    let seconds = (part(11, 13)? * 60 + part(14, 16)?) * 60 + part(17, 19)?;
    (text.len() == 20).then_some(days * DAY_MICROS + seconds * 1_000_000)
}

/// `57.16`.
fn amount_micros(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let millionths: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let whole: i64 = whole.parse().ok()?;
    Some(if text.starts_with('-') {
        whole * 1_000_000 - millionths
    } else {
        whole * 1_000_000 + millionths
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::BufReader;

    use super::*;

    fn row(transaction_id: u64, time_micros: i64, amount: i64, fraud: bool) -> Row {
        Row {
            transaction_id,
            time_micros,
            customer_id: 1,
            terminal_id: 1,
            amount_micros: amount * 1_000_000,
            fraud: Some(fraud),
        }
    }

    #[test]
    fn windows_are_open_at_the_old_end_and_closed_at_the_new_one() {
        let rows = [
            row(10, 0, 3, true),
            row(9, 0, 5, false),
            row(11, DAY_MICROS, 7, false),
            row(12, 7 * DAY_MICROS, 1, false),
            row(13, 8 * DAY_MICROS, 1, false),
        ];
        let answers = features(&rows);
        let ids: Vec<u64> = answers.iter().map(|answer| answer.transaction_id).collect();
        assert_eq!(ids, [9, 10, 11, 12, 13]);
        assert_eq!(answers[0].customer[0], (1, 5_000_000));
        assert_eq!(answers[1].customer[0], (2, 8_000_000));
        assert_eq!(answers[2].customer, [(1, 7_000_000), (3, 15_000_000), (3, 15_000_000)]);
        assert_eq!(answers[3].customer[1], (2, 8_000_000));
        assert_eq!(answers[3].terminal, [(2, 1); 3]);
        assert_eq!(answers[4].terminal, [(1, 0), (3, 1), (3, 1)]);
        assert_eq!(
            answers[4].csv_row(),
            "13,1,1.000000,2,1.000000,5,3.400000,1,0.000000,3,0.333333,3,0.333333"
        );
    }

    #[test]
    fn the_oracle_equals_the_independent_features_of_the_real_data() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
        let opened = (
            File::open(format!("{folder}/transactions.csv.zst")),
            File::open(format!("{folder}/features_sample.csv")),
        );
        let (Ok(data), Ok(sample)) = opened else {
            eprintln!("skipped: {folder} is not there, and it is not ours to ship");
            return;
        };
        let data = zstd::stream::read::Decoder::new(data).unwrap();
        let rows = read_rows(BufReader::new(data)).unwrap();
        assert_eq!(rows.len(), 872_795);
        let answers = features(&rows);
        let mut compared = 0;
        for line in BufReader::new(sample).lines().skip(1) {
            let line = line.unwrap();
            let expected: Vec<f64> = line.split(',').map(|n| n.parse().unwrap()).collect();
            let id: usize = line.split(',').next().unwrap().parse().unwrap();
            // Ids count up in the order of the file.
            let found: Vec<f64> =
                answers[id].csv_row().split(',').map(|n| n.parse().unwrap()).collect();
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1.5e-6, "{line}\n{}", answers[id].csv_row());
            }
            compared += 1;
        }
        assert_eq!(compared, 872_795_usize.div_ceil(97));
    }
}
