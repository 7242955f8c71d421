//! The yardstick of the fraud job: a plain loop on one thread, written for this one job.
//!
//! Takes the same CSV; hands on the same `features.csv`, and decisions by the same rules.
//! It is meant to be good, as a slow yardstick flatters: rows are split by hand, customers and
//! terminals are found by indexing with their ids (the engine hashes keys of any kind), windows
//! are running sums over one log a key, and the rules and the printing of numbers are the job's
//! own. What it leaves out is what makes an engine: shards, several splits, event time, rejects
//! with their bytes, keys that are not small numbers, late rows, state that outlives the loop; and of the
//! job's features, terminals in an hour and travel.
//!
//! Three entries, from everything to the windows alone: [`run_reader`] (decompressing and
//! parsing), the same from bytes in memory, and [`run_rows`] (rows already parsed, nothing
//! written).

use std::hint::black_box;
use std::io::{self, Read, Write};

use pelton::record::EventTime;
use pelton_cli::fraud::features::{FEATURES_HEADER, push_features};
use pelton_cli::fraud::quality::QualityTally;
use pelton_cli::fraud::verdict::{
    CompiledRules, RiskCounts, RuleInput, Verdict, WindowSums, cents_squared,
};

const DAY_MICROS: i64 = 86_400_000_000;
const WINDOW_MICROS: [i64; 3] = [DAY_MICROS, 7 * DAY_MICROS, 30 * DAY_MICROS];
const DELAY_MICROS: i64 = 7 * DAY_MICROS;
/// Customers and terminals are indexed by id, so ids must be small.
const ID_MAX: usize = 1 << 24;
/// Input is read, and output written, in pieces of this.
const BUFFER_BYTES: usize = 1 << 18;

/// So many rows are parsed, then read ahead for, then worked on.
const BLOCK_ROWS: usize = 32;

/// A parsed row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub transaction_id: u64,
    /// Microseconds UTC.
    pub time_micros: i64,
    /// Below 2^24.
    pub customer_id: usize,
    /// Below 2^24.
    pub terminal_id: usize,
    /// Millionths.
    pub amount_micros: i64,
    /// The label, where there is one.
    pub fraud: Option<bool>,
    /// Its kind, where there is one.
    pub scenario: Option<u8>,
}

/// What a run counted.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Rows that were decided.
    pub accepted: u64,
    /// Rows that could not be parsed.
    pub rejected: u64,
    /// Decisions against labels.
    pub quality: QualityTally,
}

/// A key's entries, oldest first: a ring in memory that doubles when it is full. Positions only
/// grow, and are masked on use.
#[derive(Debug, Default)]
struct Log<T> {
    entries: Vec<T>,
    tail: u32,
}

impl<T: Copy + Default> Log<T> {
    #[inline]
    fn get(&self, position: u32) -> T {
        self.entries[position as usize & (self.entries.len() - 1)]
    }

    /// Appends; what is before `start` is not needed any more.
    #[inline]
    fn push(&mut self, entry: T, start: u32) {
        if self.entries.len() == (self.tail - start) as usize {
            self.grow(start);
        }
        let mask = self.entries.len() - 1;
        self.entries[self.tail as usize & mask] = entry;
        self.tail += 1;
    }

    #[cold]
    fn grow(&mut self, start: u32) {
        let mut entries = vec![T::default(); (2 * self.entries.len()).max(16)];
        let mask = entries.len() - 1;
        for position in start..self.tail {
            entries[position as usize & mask] = self.get(position);
        }
        self.entries = entries;
    }
}

/// A customer's log of 30 days, with a running sum for each window.
#[derive(Debug, Default)]
struct Customer {
    /// Time and amount.
    log: Log<(i64, i64)>,
    /// Where each window begins in `log`.
    starts: [u32; 3],
    sums: [i64; 3],
    squares_30d: i128,
}

/// A terminal's log of 37 days.
#[derive(Debug, Default)]
struct Terminal {
    /// The time, doubled, plus one for a fraud: half the memory of two fields.
    log: Log<i64>,
    /// Where the windows end: what is older than the delay.
    end: u32,
    starts: [u32; 3],
    frauds: [u32; 3],
}

impl Customer {
    #[inline]
    fn add(&mut self, time: i64, amount: i64) -> [WindowSums; 3] {
        self.log.push((time, amount), self.starts[2]);
        self.squares_30d += cents_squared(amount);
        let mut windows = [WindowSums::default(); 3];
        for (window, length) in WINDOW_MICROS.into_iter().enumerate() {
            let (mut start, mut sum) = (self.starts[window], self.sums[window] + amount);
            loop {
                let (old_time, old_amount) = self.log.get(start);
                if old_time > time - length {
                    break;
                }
                sum -= old_amount;
                if window == 2 {
                    self.squares_30d -= cents_squared(old_amount);
                }
                start += 1;
            }
            (self.starts[window], self.sums[window]) = (start, sum);
            windows[window].count = (self.log.tail - start).into();
            windows[window].sum_micros = sum.into();
        }
        // The rules look at the spread of 30 days only.
        windows[2].sum_squares = self.squares_30d;
        windows
    }

    /// Reads what `add` will read.
    #[inline]
    fn touch(&self) -> i64 {
        if self.log.entries.is_empty() {
            return 0;
        }
        let [day, week, month] = self.starts.map(|start| self.log.get(start).0);
        day ^ week ^ month ^ self.log.get(self.log.tail).0
    }
}

impl Terminal {
    #[inline]
    fn add(&mut self, time: i64, fraud: bool) -> [RiskCounts; 3] {
        self.log.push(time << 1 | i64::from(fraud), self.starts[2]);
        let until = time - DELAY_MICROS;
        loop {
            let entry = self.log.get(self.end);
            if entry >> 1 > until {
                break;
            }
            let fraud = u32::from(entry & 1 == 1);
            self.frauds = self.frauds.map(|frauds| frauds + fraud);
            self.end += 1;
        }
        let mut windows = [RiskCounts::default(); 3];
        for (window, length) in WINDOW_MICROS.into_iter().enumerate() {
            let mut start = self.starts[window];
            while start < self.end {
                let entry = self.log.get(start);
                if entry >> 1 > until - length {
                    break;
                }
                self.frauds[window] -= u32::from(entry & 1 == 1);
                start += 1;
            }
            self.starts[window] = start;
            windows[window].count = (self.end - start).into();
            windows[window].frauds = self.frauds[window].into();
        }
        windows
    }

    /// Reads what `add` will read.
    #[inline]
    fn touch(&self) -> i64 {
        if self.log.entries.is_empty() {
            return 0;
        }
        let [day, week, month] = self.starts.map(|start| self.log.get(start));
        day ^ week ^ month ^ self.log.get(self.end) ^ self.log.get(self.log.tail)
    }
}

/// The loop's state.
struct Loop {
    rules: CompiledRules,
    customers: Vec<Customer>,
    terminals: Vec<Terminal>,
    outcome: Outcome,
}

impl Loop {
    fn new(rules: &CompiledRules) -> Self {
        Self {
            rules: rules.clone(),
            customers: Vec::new(),
            terminals: Vec::new(),
            outcome: Outcome::default(),
        }
    }

    /// Reads ahead what `rows` will need. Whether an entry has expired is a branch that can't be
    /// predicted and waits for memory; read without a branch, the misses of many rows overlap.
    #[inline]
    fn touch(&self, rows: &[Row]) {
        let mut sum = 0;
        for row in rows {
            sum ^= self.customers.get(row.customer_id).map_or(0, Customer::touch);
            sum ^= self.terminals.get(row.terminal_id).map_or(0, Terminal::touch);
        }
        black_box(sum);
    }

    #[inline]
    fn row(&mut self, row: &Row) -> (RuleInput, Verdict) {
        let fraud = row.fraud == Some(true);
        let customer = at(&mut self.customers, row.customer_id);
        let customer = customer.add(row.time_micros, row.amount_micros);
        let terminal = at(&mut self.terminals, row.terminal_id);
        let input = RuleInput {
            amount_micros: row.amount_micros,
            customer,
            terminal: terminal.add(row.time_micros, fraud),
            ..RuleInput::default()
        };
        let verdict = self.rules.verdict(&input);
        self.outcome.accepted += 1;
        let quality = &mut self.outcome.quality;
        quality.add(verdict.decision, row.amount_micros, row.fraud, row.scenario);
        (input, verdict)
    }
}

#[inline]
fn at<T: Default>(items: &mut Vec<T>, index: usize) -> &mut T {
    if index >= items.len() {
        assert!(index < ID_MAX, "the yardstick indexes by id");
        items.resize_with(index + 1, T::default);
    }
    &mut items[index]
}

/// Reads CSV with a header from `input`, writes features and decisions.
///
/// # Errors
/// What the files answer.
pub fn run_reader(
    mut input: impl Read,
    rules: &CompiledRules,
    features: &mut impl Write,
    decisions: &mut impl Write,
) -> io::Result<Outcome> {
    let mut state = Loop::new(rules);
    let mut parser = Parser::default();
    let mut out = Buffers::new(features, decisions);
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    // Bytes in the buffer that are not parsed yet: a part of a row.
    let mut kept = 0;
    let mut in_header = true;
    loop {
        let read = input.read(&mut buffer[kept..])?;
        let filled = kept + read;
        if read == 0 && kept > 0 && buffer[kept - 1] != b'\n' {
            // The last row has no line end.
            let last: Vec<u8> = buffer[..kept].iter().copied().chain([b'\n']).collect();
            rows_of(&last, in_header, &mut parser, &mut state, &mut out)?;
        }
        if read == 0 {
            break;
        }
        let Some(end) = memchr::memrchr(b'\n', &buffer[..filled]) else {
            kept = filled;
            if kept == buffer.len() {
                buffer.resize(2 * kept, 0);
            }
            continue;
        };
        rows_of(&buffer[..=end], in_header, &mut parser, &mut state, &mut out)?;
        in_header = false;
        buffer.copy_within(end + 1..filled, 0);
        kept = filled - end - 1;
    }
    out.flush()?;
    Ok(state.outcome)
}

/// Runs all rows of `bytes`, which ends with a line end.
fn rows_of<F: Write, D: Write>(
    mut bytes: &[u8],
    header: bool,
    parser: &mut Parser,
    state: &mut Loop,
    out: &mut Buffers<'_, F, D>,
) -> io::Result<()> {
    if header && let Some(end) = memchr::memchr(b'\n', bytes) {
        bytes = &bytes[end + 1..];
    }
    let mut rows = [Row::default(); BLOCK_ROWS];
    while !bytes.is_empty() {
        let mut filled = 0;
        while filled < BLOCK_ROWS && !bytes.is_empty() {
            if let Some((row, rest)) = parser.row(bytes) {
                rows[filled] = row;
                filled += 1;
                bytes = rest;
            } else {
                state.outcome.rejected += 1;
                let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len() - 1);
                bytes = &bytes[end + 1..];
            }
        }
        let block = &rows[..filled];
        state.touch(block);
        for row in block {
            let (input, verdict) = state.row(row);
            push_features(row.transaction_id, &input, &mut out.features);
            let decisions = &mut out.decisions;
            let rules = &state.rules;
            rules.push_line(row.transaction_id, &verdict, decisions);
        }
        out.write_full()?;
    }
    Ok(())
}

/// Runs the windows and the rules alone; answers a sum over the verdicts too, so that nothing
/// can be left out.
#[must_use]
pub fn run_rows(rows: &[Row], rules: &CompiledRules) -> (Outcome, u64) {
    let mut state = Loop::new(rules);
    let mut sum = 0_u64;
    for block in rows.chunks(BLOCK_ROWS) {
        state.touch(block);
        for row in block {
            let (input, verdict) = state.row(row);
            let counts = input.customer[0].count + input.terminal[2].count;
            sum = sum.wrapping_add(counts + u64::from(verdict.score));
        }
    }
    (state.outcome, sum)
}

/// Parses all rows of a CSV text with a header.
#[must_use]
pub fn parse_rows(bytes: &[u8]) -> Vec<Row> {
    let mut parser = Parser::default();
    let header_bytes = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
    let mut rows = Vec::new();
    let mut left = &bytes[header_bytes..];
    while let Some((row, rest)) = parser.row(left) {
        rows.push(row);
        left = rest;
    }
    rows
}

/// Output that gathers before it is written.
struct Buffers<'a, F: Write, D: Write> {
    features: Vec<u8>,
    decisions: Vec<u8>,
    features_out: &'a mut F,
    decisions_out: &'a mut D,
}

impl<'a, F: Write, D: Write> Buffers<'a, F, D> {
    fn new(features_out: &'a mut F, decisions_out: &'a mut D) -> Self {
        let mut features = Vec::with_capacity(BUFFER_BYTES + (1 << 14));
        features.extend_from_slice(FEATURES_HEADER.as_bytes());
        Self {
            features,
            decisions: Vec::with_capacity(BUFFER_BYTES + (1 << 14)),
            features_out,
            decisions_out,
        }
    }

    #[inline]
    fn write_full(&mut self) -> io::Result<()> {
        if self.features.len() >= BUFFER_BYTES {
            self.features_out.write_all(&self.features)?;
            self.features.clear();
        }
        if self.decisions.len() >= BUFFER_BYTES {
            self.decisions_out.write_all(&self.decisions)?;
            self.decisions.clear();
        }
        Ok(())
    }

    fn flush(self) -> io::Result<()> {
        self.features_out.write_all(&self.features)?;
        self.decisions_out.write_all(&self.decisions)?;
        self.features_out.flush()?;
        self.decisions_out.flush()
    }
}

/// Splits rows by hand; remembers the last date, which is the same for thousands of rows on end.
#[derive(Debug, Default)]
struct Parser {
    date: [u8; 10],
    day_micros: i64,
}

impl Parser {
    /// The first row of `bytes` and what follows it; `None` where it is not well formed.
    #[inline]
    fn row<'a>(&mut self, bytes: &'a [u8]) -> Option<(Row, &'a [u8])> {
        let (transaction_id, rest) = number(bytes)?;
        let (time_micros, rest) = self.time(comma(rest)?)?;
        let (customer_id, rest) = number(comma(rest)?)?;
        let (terminal_id, rest) = number(comma(rest)?)?;
        let (amount_micros, rest) = amount(comma(rest)?)?;
        let mut row = Row {
            transaction_id,
            time_micros,
            customer_id: usize::try_from(customer_id).ok()?,
            terminal_id: usize::try_from(terminal_id).ok()?,
            amount_micros,
            fraud: None,
            scenario: None,
        };
        match rest {
            [b',', fraud @ b'0'..=b'1', b',', scenario @ b'0'..=b'9', b'\n', rest @ ..] => {
                row.fraud = Some(*fraud == b'1');
                row.scenario = Some(scenario - b'0');
                Some((row, rest))
            }
            [b',', fraud @ b'0'..=b'1', b'\n', rest @ ..] => {
                row.fraud = Some(*fraud == b'1');
                Some((row, rest))
            }
            [b'\n', rest @ ..] => Some((row, rest)),
            _ => None,
        }
    }

    /// `2018-04-01T00:00:31Z`.
    #[inline]
    fn time<'a>(&mut self, bytes: &'a [u8]) -> Option<(i64, &'a [u8])> {
        let (text, rest) = bytes.split_first_chunk::<20>()?;
        if text[..10] != self.date {
            self.date.copy_from_slice(&text[..10]);
            let midnight = format!("{}T00:00:00Z", str::from_utf8(&self.date).ok()?);
            self.day_micros = EventTime::parse(&midnight)?.0;
        }
        let separators = [text[10], text[13], text[16], text[19]] == *b"T::Z";
        let two = |at: usize| {
            let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
            (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
        };
        let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
        let exists = separators && hour < 24 && minute < 60 && second < 60;
        let seconds = (hour * 60 + minute) * 60 + second;
        exists.then_some((self.day_micros + seconds * 1_000_000, rest))
    }
}

#[inline]
fn comma(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [b',', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// Digits, at least one and at most 18.
#[inline]
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (mut value, mut at) = (0_u64, 0);
    while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0'))
        && digit < 10
    {
        value = value.wrapping_mul(10).wrapping_add(digit.into());
        at += 1;
    }
    (1..=18).contains(&at).then(|| (value, &bytes[at..]))
}

/// `57.16`, with one or two decimals or none.
#[inline]
fn amount(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (whole, rest) = number(bytes)?;
    let whole = i64::try_from(whole).ok()?.checked_mul(1_000_000)?;
    match rest {
        [b'.', a @ b'0'..=b'9', b @ b'0'..=b'9', rest @ ..] => {
            let cents = i64::from(a - b'0') * 10 + i64::from(b - b'0');
            Some((whole + cents * 10_000, rest))
        }
        [b'.', a @ b'0'..=b'9', rest @ ..] => Some((whole + i64::from(a - b'0') * 100_000, rest)),
        _ => Some((whole, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_cli::fraud::generator::write_csv;
    use pelton_cli::fraud::rules::Rules;
    use pelton_tests::fraud_oracle;

    #[test]
    fn the_yardstick_writes_what_the_oracle_says() {
        let rules = Rules::load(None).unwrap();
        let mut csv = Vec::new();
        write_csv(11, 400_000, &mut csv).unwrap();
        let (mut features, mut decisions) = (Vec::new(), Vec::new());
        let outcome = run_reader(&csv[..], &rules, &mut features, &mut decisions).unwrap();
        assert_eq!((outcome.accepted, outcome.rejected), (400_000, 0));

        let rows = fraud_oracle::read_rows(&csv[..]).unwrap();
        let features = String::from_utf8(features).unwrap();
        let mut written = features.lines().skip(1);
        for expected in fraud_oracle::features(&rows) {
            assert_eq!(written.next(), Some(expected.csv_row().as_str()));
        }
        assert_eq!(written.next(), None);
        assert_eq!(decisions.iter().filter(|&&byte| byte == b'\n').count(), 400_000);

        let (again, _) = run_rows(&parse_rows(&csv), &rules);
        assert_eq!(again.quality, outcome.quality);
    }

    #[test]
    fn rows_that_are_not_well_formed_are_counted() {
        let rules = Rules::load(None).unwrap();
        let csv = "transaction_id,time,customer_id,terminal_id,amount,fraud,scenario\n\
                   0,2018-04-01T00:00:31Z,1,2,57.16,0,0\n\
                   x,2018-04-01T00:00:31Z,1,2,57.16,0,0\n\
                   2,2018-04-01T24:00:31Z,1,2,57.16,0,0\n\
                   3,2018-04-01T00:00:32Z,1,2,7.5";
        let outcome = run_reader(csv.as_bytes(), &rules, &mut Vec::new(), &mut Vec::new()).unwrap();
        assert_eq!((outcome.accepted, outcome.rejected), (2, 2));
    }
}
