//! A record written by hand, as `#[pelton::record]` writes it, and a body that drives operators.

use pelton::chain::{Due, KeyedOperator};
use pelton::record::{
    EventTime, FieldError, FieldLayout, FieldSource, FieldType, FrameHeader, FrameWriter, Item,
    Key, PayloadFull, Record, RecordLayout, RowWriter, Schema, is_valid_root,
};
use pelton::state::Store;
use rkyv::rancor::Failure;

/// A record of the tests.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize)]
pub(crate) struct Row {
    pub(crate) order: u64,
    pub(crate) amount: i64,
    pub(crate) name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowView<'a> {
    pub(crate) order: u64,
    pub(crate) amount: i64,
    pub(crate) name: &'a str,
}

impl Row {
    pub(crate) fn new(order: u64, amount: i64) -> Self {
        Self { order, amount, name: format!("row {order}") }
    }
}

impl Item for Row {
    type View<'a> = RowView<'a>;
}

impl Record for Row {
    type Archived = ArchivedRow;
    const SCHEMA: Schema = Schema { name: "Row", fields: &[], event_time_index: None };

    fn view(&self) -> RowView<'_> {
        RowView { order: self.order, amount: self.amount, name: &self.name }
    }
    fn view_archived(archived: &ArchivedRow) -> RowView<'_> {
        RowView {
            order: archived.order.to_native(),
            amount: archived.amount.to_native(),
            name: archived.name.as_str(),
        }
    }
    fn to_record(view: RowView<'_>) -> Self {
        Self { order: view.order, amount: view.amount, name: view.name.to_owned() }
    }
    fn event_time(_: RowView<'_>) -> Option<EventTime> {
        None
    }
    fn payload_bytes_max(view: RowView<'_>) -> usize {
        64 + view.name.len()
    }
    fn encode(view: RowView<'_>, writer: &mut FrameWriter<'_>) -> Result<(), PayloadFull> {
        rkyv::api::serialize_using::<_, Failure>(&Self::to_record(view), writer)
            .map(|_| ())
            .map_err(|_| PayloadFull)
    }
    fn layout() -> RecordLayout {
        let field = |name: &str, field_type, offset_bytes| FieldLayout {
            name: name.to_owned(),
            field_type,
            optional: false,
            offset_bytes,
        };
        let (order, amount) = (FieldType::UInt(64), FieldType::Int(64));
        let fields = vec![
            field("order", order, 0),
            field("amount", amount, 8),
            field("name", FieldType::Text, 16),
        ];
        RecordLayout { fields, root_bytes: 24 }
    }
    fn is_valid_payload(payload: &[u8]) -> bool {
        is_valid_root::<ArchivedRow>(payload)
    }
    fn decode<'a, S: FieldSource<'a>>(_: &S) -> Result<RowView<'a>, FieldError> {
        unreachable!("the tests decode no rows")
    }
    fn write_row<W: RowWriter>(_: RowView<'_>, _: &mut W) {}
}

/// The header of a record of `key` at `time`.
pub(crate) fn header<K: Key>(key: K::View<'_>, time: i64) -> FrameHeader {
    FrameHeader { key_hash: K::hash(key), event_time: EventTime(time), ..FrameHeader::default() }
}

/// Everything at or before `watermark` is due.
pub(crate) fn at(watermark: i64) -> Due {
    Due { watermark: EventTime(watermark), ended: false }
}

/// The input has ended.
pub(crate) const ENDED: Due = Due { watermark: EventTime::MAX, ended: true };

/// Drains what is due as a body does; each item is refused once before it is taken. A checkpoint
/// begins before, and in between.
pub(crate) fn drain<Op: KeyedOperator, T: PartialEq + std::fmt::Debug>(
    operator: &mut Op,
    state: &mut Store,
    due: Due,
    read: impl for<'a> Fn(&FrameHeader, <Op::Out as Item>::View<'a>) -> T,
) -> Vec<T> {
    let mut items = Vec::new();
    state.freeze();
    while operator.advance(state, due) {
        let (header, view) = operator.due(state);
        let refused = read(&header, view);
        assert!(operator.advance(state, due), "a refused item is still due");
        let (header, view) = operator.due(state);
        let item = read(&header, view);
        assert_eq!(item, refused, "an item is repeatable");
        items.push(item);
        if items.len() % 3 == 1 {
            state.freeze();
        }
        operator.done(state);
    }
    items
}
