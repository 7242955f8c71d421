//! What the tests of sources and decoders share: a record by hand, and rows as owned values.

use pelton::record::{
    Decimal, EventTime, Field, FieldError, FieldReason, FieldSchema, FieldSource, FieldType,
    FrameWriter, Item, PayloadFull, Record, RecordLayout, RowWriter, Schema,
};
use pelton::source::{Next, Split};

/// A record with a field of each kind that matters to a decoder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Payment {
    pub(crate) id: u64,
    pub(crate) who: String,
    pub(crate) amount: Decimal,
    pub(crate) fraud: Option<u8>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct PaymentView<'a> {
    pub(crate) id: u64,
    pub(crate) who: &'a str,
    pub(crate) amount: Decimal,
    pub(crate) fraud: Option<u8>,
}

impl Item for Payment {
    type View<'a> = PaymentView<'a>;
}

const fn field(name: &'static str, field_type: FieldType, optional: bool) -> FieldSchema {
    FieldSchema { name, field_type, optional }
}

impl Record for Payment {
    type Archived = ();

    const SCHEMA: Schema = Schema {
        name: "Payment",
        fields: &[
            field("id", FieldType::UInt(64), false),
            field("who", FieldType::Text, false),
            field("amount", FieldType::Decimal, false),
            field("fraud", FieldType::UInt(8), true),
        ],
        event_time_index: None,
    };

    fn view(&self) -> PaymentView<'_> {
        PaymentView { id: self.id, who: &self.who, amount: self.amount, fraud: self.fraud }
    }
    fn view_archived((): &()) -> PaymentView<'_> {
        unreachable!("these tests make no frames")
    }
    fn to_record(view: PaymentView<'_>) -> Self {
        Self { id: view.id, who: view.who.to_owned(), amount: view.amount, fraud: view.fraud }
    }
    fn event_time(_: PaymentView<'_>) -> Option<EventTime> {
        None
    }
    fn payload_bytes_max(_: PaymentView<'_>) -> usize {
        0
    }
    fn encode(_: PaymentView<'_>, _: &mut FrameWriter<'_>) -> Result<(), PayloadFull> {
        Err(PayloadFull)
    }
    fn layout() -> RecordLayout {
        unreachable!("it is kept nowhere")
    }
    fn is_valid_payload(_: &[u8]) -> bool {
        false
    }
    fn decode<'a, S: FieldSource<'a>>(source: &S) -> Result<PaymentView<'a>, FieldError> {
        let named = |field| move |reason: FieldReason| FieldError { field, reason };
        Ok(PaymentView {
            id: Field::parse(source.text(0)).map_err(named("id"))?,
            who: Field::parse(source.text(1)).map_err(named("who"))?,
            amount: Field::parse(source.text(2)).map_err(named("amount"))?,
            fraud: Field::parse(source.text(3)).map_err(named("fraud"))?,
        })
    }
    fn write_row<W: RowWriter>(_: PaymentView<'_>, _: &mut W) {}
}

/// What a split said, as owned values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Row {
    Record(Payment),
    Rejected(u64, String, Vec<u8>),
    Failed(String),
}

/// Everything that a split says until it ends, `Pending` left out.
pub(crate) fn drain(split: &mut impl Split<Payment>) -> Vec<Row> {
    let mut rows = Vec::new();
    loop {
        rows.push(match split.next() {
            Next::Record(view) => Row::Record(Payment::to_record(view)),
            Next::Rejected(reject) => {
                Row::Rejected(reject.line, reject.reason.to_string(), reject.bytes.to_vec())
            }
            Next::Pending => continue,
            Next::Ended => return rows,
            Next::Failed(error) => {
                rows.push(Row::Failed(error.to_string()));
                return rows;
            }
        });
    }
}
