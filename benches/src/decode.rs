//! Step 2, decode: CSV rows into views, beside the csv crate and a loop written by hand.
//!
//! All read the same bytes from memory, on one thread, and add up the same fields, so that none
//! can leave out the parsing. The csv crate is used as its documentation advises for speed: one
//! `ByteRecord`, reused, and its fields parsed by the same code as ours.

use std::io::Cursor;
use std::marker::PhantomData;
use std::sync::Arc;

use pelton::clock::Clock;
use pelton::io::{BLOCK_BYTES, BlockReader, ReaderMode};
use pelton::record::{
    Decimal, EventTime, Field, FieldError, FieldReason, FieldSchema, FieldSource, FieldText,
    FieldType, FrameWriter, Item, PayloadFull, Record, RecordLayout, RowWriter, Schema,
};
use pelton::source::{FileSettings, FileSplit, Format, Next, Split};

/// A record that a benchmark reads: what the generic parts need to know of it.
pub trait Measured: Record {
    /// Something that depends on every field.
    fn digest(view: Self::View<'_>) -> u64;
}

macro_rules! measured_record {
    ($(#[$doc:meta])* $record:ident { $($field:ident: $viewed:ty, $kind:expr, $optional:literal;)* }
     digest |$view:ident| $digest:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $record;

        const _: () = {
            #[derive(Debug, Clone, Copy)]
            pub struct RecordView<'a> { $($field: $viewed,)* text: PhantomData<&'a str> }

            impl Item for $record {
                type View<'a> = RecordView<'a>;
            }

            impl Record for $record {
                type Archived = ();
                const SCHEMA: Schema = Schema {
                    name: stringify!($record),
                    fields: &[$(FieldSchema {
                        name: stringify!($field), field_type: $kind, optional: $optional,
                    }),*],
                    event_time_index: None,
                };
                fn view(&self) -> RecordView<'_> { unreachable!("only decoding is measured") }
                fn view_archived((): &()) -> RecordView<'_> {
                    unreachable!("only decoding is measured")
                }
                fn to_record(_: RecordView<'_>) -> Self { Self }
                fn event_time(_: RecordView<'_>) -> Option<EventTime> { None }
                fn payload_bytes_max(_: RecordView<'_>) -> usize { 0 }
                fn encode(_: RecordView<'_>, _: &mut FrameWriter<'_>) -> Result<(), PayloadFull> {
                    Err(PayloadFull)
                }
                fn layout() -> RecordLayout {
                    unreachable!("it is kept nowhere")
                }
                fn is_valid_payload(_: &[u8]) -> bool {
                    false
                }
                #[inline]
                fn decode<'a, S: FieldSource<'a>>(source: &S) -> Result<RecordView<'a>, FieldError> {
                    let index = 0;
                    $(
                        let $field = Field::parse(source.text(index)).map_err(|reason: FieldReason| {
                            FieldError { field: stringify!($field), reason }
                        })?;
                        let index = index + 1;
                    )*
                    let _ = index;
                    Ok(RecordView { $($field,)* text: PhantomData })
                }
                fn write_row<W: RowWriter>(_: RecordView<'_>, _: &mut W) {}
            }

            impl Measured for $record {
                #[inline]
                fn digest($view: RecordView<'_>) -> u64 { $digest }
            }
        };
    };
}

measured_record!(
    /// A card transaction, as the fraud job reads it.
    Transaction {
        transaction_id: u64, FieldType::UInt(64), false;
        time: EventTime, FieldType::Time, false;
        customer_id: u64, FieldType::UInt(64), false;
        terminal_id: u64, FieldType::UInt(64), false;
        amount: Decimal, FieldType::Decimal, false;
        fraud: Option<u8>, FieldType::UInt(8), true;
        scenario: Option<u8>, FieldType::UInt(8), true;
    }
    digest |view| view.transaction_id
        .wrapping_add(view.time.0.cast_unsigned())
        .wrapping_add(view.customer_id ^ view.terminal_id)
        .wrapping_add(view.amount.0.cast_unsigned())
        .wrapping_add(u64::from(view.fraud.unwrap_or(9)) ^ u64::from(view.scenario.unwrap_or(9)))
);

measured_record!(
    /// A Nexmark event of any kind: one row form for persons, auctions and bids.
    Event {
        kind: u8, FieldType::UInt(8), false;
        ts: i64, FieldType::Int(64), false;
        k1: u64, FieldType::UInt(64), false;
        k2: Option<u64>, FieldType::UInt(64), true;
        amt: Option<u64>, FieldType::UInt(64), true;
        s1: &'a str, FieldType::Text, false;
        s2: &'a str, FieldType::Text, false;
        extra: &'a str, FieldType::Text, false;
        s4: &'a str, FieldType::Text, false;
        s5: &'a str, FieldType::Text, false;
        s6: &'a str, FieldType::Text, false;
        reserve: Option<u64>, FieldType::UInt(64), true;
        expires: Option<i64>, FieldType::Int(64), true;
        category: Option<u64>, FieldType::UInt(64), true;
    }
    digest |view| view.k1
        .wrapping_add(u64::from(view.kind))
        .wrapping_add(view.ts.cast_unsigned())
        .wrapping_add(view.k2.unwrap_or(1) ^ view.amt.unwrap_or(2) ^ view.reserve.unwrap_or(3))
        .wrapping_add(view.category.unwrap_or(4) ^ view.expires.unwrap_or(5).cast_unsigned())
        .wrapping_add((view.s1.len() ^ view.s2.len() ^ view.extra.len()) as u64)
        .wrapping_add((view.s4.len() ^ view.s5.len() ^ view.s6.len()) as u64)
);

/// Rows and digest, by the engine's file split.
///
/// # Panics
/// A row is rejected: the data is not what was meant.
#[must_use]
pub fn by_split<R: Measured>(bytes: &Arc<[u8]>, header: bool) -> (u64, u64) {
    // What the reader thread does, a copy into blocks, is a part of this figure.
    let raw = Box::new(Cursor::new(bytes.clone()));
    let reader = BlockReader::from_read("memory".to_owned(), raw, ReaderMode::Inline, BLOCK_BYTES);
    let mut settings = FileSettings { format: Some(Format::Csv), ..FileSettings::default() };
    settings.csv.header = header;
    let mut split = FileSplit::<R>::new(reader, settings);
    let (mut rows, mut sum) = (0, 0_u64);
    loop {
        match split.next() {
            Next::Record(view) => {
                rows += 1;
                sum = sum.wrapping_add(R::digest(view));
            }
            Next::Rejected(reject) => panic!("line {}: {}", reject.line, reject.reason),
            Next::Failed(error) => panic!("{error}"),
            Next::Pending => {}
            Next::Ended => return (rows, sum),
        }
    }
}

/// Rows and digest, by the csv crate.
///
/// # Panics
/// A row is rejected: the data is not what was meant.
#[must_use]
pub fn by_csv_crate<R: Measured>(bytes: &Arc<[u8]>, header: bool) -> (u64, u64) {
    let mut reader = csv::ReaderBuilder::new().has_headers(header).from_reader(&bytes[..]);
    let mut record = csv::ByteRecord::new();
    let (mut rows, mut sum) = (0, 0_u64);
    while reader.read_byte_record(&mut record).expect("the data is CSV") {
        let view = R::decode(&CrateRow::<R>(&record, PhantomData)).expect("the data fits");
        rows += 1;
        sum = sum.wrapping_add(R::digest(view));
    }
    (rows, sum)
}

struct CrateRow<'a, R>(&'a csv::ByteRecord, PhantomData<R>);

impl<'a, R: Record> FieldSource<'a> for CrateRow<'a, R> {
    #[inline]
    fn text(&self, index: usize) -> FieldText<'a> {
        let field = &R::SCHEMA.fields[index];
        match self.0.get(index) {
            Some(b"") if field.optional => FieldText::Null,
            Some(bytes) => FieldText::Text(bytes),
            None => FieldText::Missing,
        }
    }
}

/// Rows and digest, by a split at newlines and commas, as one would write it in a hurry.
///
/// # Panics
/// A row is rejected: the data is not what was meant.
#[must_use]
pub fn by_hand<R: Measured>(bytes: &Arc<[u8]>, header: bool) -> (u64, u64) {
    let mut fields = Vec::new();
    let (mut rows, mut sum) = (0, 0_u64);
    let lines = bytes.split(|&byte| byte == b'\n');
    for line in lines.skip(usize::from(header)).filter(|line| !line.is_empty()) {
        fields.clear();
        fields.extend(line.split(|&byte| byte == b','));
        let view = R::decode(&HandRow::<R>(&fields, PhantomData)).expect("the data fits");
        rows += 1;
        sum = sum.wrapping_add(R::digest(view));
    }
    (rows, sum)
}

struct HandRow<'f, 'a, R>(&'f [&'a [u8]], PhantomData<R>);

impl<'a, R: Record> FieldSource<'a> for HandRow<'_, 'a, R> {
    #[inline]
    fn text(&self, index: usize) -> FieldText<'a> {
        match self.0.get(index) {
            Some(bytes) if bytes.is_empty() && R::SCHEMA.fields[index].optional => FieldText::Null,
            Some(bytes) => FieldText::Text(bytes),
            None => FieldText::Missing,
        }
    }
}

/// One line of the table: what was read, and millions of rows a second, best of `rounds`.
#[derive(Debug)]
pub struct Figure {
    /// Data and reader.
    pub name: String,
    /// Millions of rows a second.
    pub rows_m: f64,
}

/// Measures the three readers over `bytes`, in turn, so that they meet the same machine.
///
/// # Panics
/// The three do not agree.
#[must_use]
pub fn measure<R: Measured>(name: &str, bytes: &[u8], header: bool, rounds: usize) -> Vec<Figure> {
    type Read = fn(&Arc<[u8]>, bool) -> (u64, u64);
    let readers: [(&str, Read); 3] = [
        ("pelton", by_split::<R>),
        ("csv crate", by_csv_crate::<R>),
        ("split by hand", by_hand::<R>),
    ];
    let bytes = &Arc::from(bytes);
    let clock = Clock::machine();
    let mut best_ns = [u64::MAX; 3];
    let expected = by_hand::<R>(bytes, header);
    for _ in 0..rounds {
        for ((_, read), best_ns) in readers.iter().zip(&mut best_ns) {
            let start_ns = clock.now_ns();
            let found = read(bytes, header);
            *best_ns = (*best_ns).min(clock.now_ns() - start_ns);
            assert_eq!(found, expected, "all readers see the same fields");
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = |ns: u64| expected.0 as f64 * 1e3 / ns as f64;
    let names = readers.iter().map(|(reader, _)| format!("{name}, {reader}"));
    names.zip(best_ns).map(|(name, ns)| Figure { name, rows_m: rate(ns) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readers_agree_on_a_small_file() {
        let transactions = b"transaction_id,time,customer_id,terminal_id,amount,fraud,scenario\n\
            0,2018-04-01T00:00:31Z,596,3156,57.16,0,0\n1,2018-04-01T00:02:10Z,4961,3412,81.51,,\n";
        assert_eq!(measure::<Transaction>("t", transactions, true, 1).len(), 3);
        let events = b"2,1700000000000,1000,1001,500,Google,u,x,,,,,,\n";
        assert_eq!(measure::<Event>("n", events, false, 1).len(), 3);
    }
}
