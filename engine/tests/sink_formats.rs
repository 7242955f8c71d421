//! Rows as text: against the `csv` and `serde_json` crates, and against exact arithmetic.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use pelton::record::{
    Change, ChangeView, Decimal, EventTime, Field, FieldError, FieldSchema, FieldSource, FieldType,
    FrameHeader, FrameWriter, Item, PayloadFull, Record, RecordLayout, RowKind, RowWriter, Schema,
};
use pelton::sink::{Csv, Json, RowFormat, RowKey, RowValue, format_fn, write_fixed6, write_ratio6};
use proptest::prelude::*;

/// What `#[pelton::record]` would make, as far as formats ask.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    name: String,
    count: i64,
    share: f64,
    fine: bool,
    amount: Decimal,
    note: Option<String>,
}

#[derive(Clone, Copy)]
struct RowView<'a> {
    name: &'a str,
    count: i64,
    share: f64,
    fine: bool,
    amount: Decimal,
    note: Option<&'a str>,
}

impl Item for Row {
    type View<'a> = RowView<'a>;
}

const fn field(name: &'static str, field_type: FieldType) -> FieldSchema {
    FieldSchema { name, field_type, optional: false }
}

impl Record for Row {
    type Archived = ();
    const SCHEMA: Schema = Schema {
        name: "Row",
        fields: &[
            field("name", FieldType::Text),
            field("count", FieldType::Int(64)),
            field("share", FieldType::Float(64)),
            field("fine", FieldType::Bool),
            field("amount", FieldType::Decimal),
            field("note", FieldType::Text),
        ],
        event_time_index: None,
    };
    fn view(&self) -> RowView<'_> {
        RowView {
            name: &self.name,
            count: self.count,
            share: self.share,
            fine: self.fine,
            amount: self.amount,
            note: self.note.as_deref(),
        }
    }
    fn view_archived((): &()) -> RowView<'_> {
        unreachable!("no frame here")
    }
    fn to_record(_: RowView<'_>) -> Self {
        unreachable!("nothing is collected here")
    }
    fn event_time(_: RowView<'_>) -> Option<EventTime> {
        None
    }
    fn payload_bytes_max(_: RowView<'_>) -> usize {
        0
    }
    fn encode(_: RowView<'_>, _: &mut FrameWriter<'_>) -> Result<(), PayloadFull> {
        Err(PayloadFull)
    }
    fn layout() -> RecordLayout {
        unreachable!("it is kept nowhere")
    }
    fn is_valid_payload(_: &[u8]) -> bool {
        false
    }
    fn decode<'a, S: FieldSource<'a>>(_: &S) -> Result<RowView<'a>, FieldError> {
        unreachable!("nothing is read here")
    }
    fn write_row<W: RowWriter>(view: RowView<'_>, writer: &mut W) {
        view.name.write("name", writer);
        view.count.write("count", writer);
        view.share.write("share", writer);
        view.fine.write("fine", writer);
        view.amount.write("amount", writer);
        view.note.write("note", writer);
    }
}

fn line<I: Item>(format: &impl RowFormat<I>, view: I::View<'_>) -> String {
    let mut out = Vec::new();
    format.write(&FrameHeader::default(), view, &mut out);
    String::from_utf8(out).unwrap()
}

fn change_line<K: RowKey, V: RowValue>(
    format: &impl RowFormat<Change<K, V>>,
    kind: RowKind,
    key: K::View<'_>,
    value: V,
) -> String {
    line::<Change<K, V>>(format, ChangeView { kind, key, value })
}

fn csv_by_the_crate(fields: &[&str]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(fields).unwrap();
    let mut text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
    text.pop();
    text
}

fn row() -> impl Strategy<Value = Row> {
    let text = || "([a-z]|[,\"\n\r\t\\\\\u{0}-\u{1f}\u{7f} ]|\u{e9}|\u{1f600}){0,12}";
    let finite = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
    let amounts = any::<i64>().prop_map(Decimal);
    (text(), any::<i64>(), finite, any::<bool>(), amounts, prop::option::of(text())).prop_map(
        |(name, count, share, fine, amount, note)| Row { name, count, share, fine, amount, note },
    )
}

proptest! {
    #[test]
    fn csv_rows_are_those_of_the_csv_crate(row in row()) {
        let written = line::<Row>(&Csv::new(), row.view());
        let share = zmij::Buffer::new().format(row.share).to_owned();
        let note = row.note.clone().unwrap_or_default();
        let (count, fine) = (row.count.to_string(), row.fine.to_string());
        let amount = row.amount.to_string();
        let fields = [row.name.as_str(), &count, &share, &fine, &amount, &note];
        prop_assert_eq!(&written, &csv_by_the_crate(&fields));
        prop_assert_eq!(share.parse::<f64>().unwrap(), row.share);
    }

    #[test]
    fn json_rows_are_read_back_by_serde_json(row in row()) {
        let written = line::<Row>(&Json::new(), row.view());
        let read: serde_json::Value = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(read["name"].as_str(), Some(row.name.as_str()));
        prop_assert_eq!(read["count"].as_i64(), Some(row.count));
        prop_assert_eq!(read["fine"].as_bool(), Some(row.fine));
        prop_assert_eq!(read["note"].as_str(), row.note.as_deref());
        prop_assert_eq!(read["note"].is_null(), row.note.is_none());
        let share = zmij::Buffer::new().format(row.share).to_owned();
        let (name, amount) = (serde_json::to_string(&row.name).unwrap(), row.amount.to_string());
        let start = format!(
            "{{\"name\":{name},\"count\":{},\"share\":{share},\"fine\":{},\"amount\":{amount},",
            row.count, row.fine
        );
        prop_assert!(written.starts_with(&start), "{}", written);
        prop_assert!(!written.contains('\n'), "a line is one line");
    }

    #[test]
    fn a_lone_csv_field_is_that_of_the_csv_crate(text in "[a-z,\"\r\n]{0,4}") {
        let written = change_line::<String, ()>(&Csv::new(), RowKind::Insert, &text, ());
        prop_assert_eq!(written, csv_by_the_crate(&[&text]));
    }

    #[test]
    fn ratios_equal_exact_arithmetic(
        sum in prop_oneof![
            any::<i64>().prop_map(i128::from),
            -(1_i128 << 100)..(1_i128 << 100),
            -50_i128..50,
        ],
        count in prop_oneof![1_u64..20, 1..=u64::MAX],
    ) {
        let mut out = Vec::new();
        write_ratio6(&mut out, sum, count);
        let text = String::from_utf8(out).unwrap();
        // Twice the distance to the printed value is at most the divisor; at a tie the printed
        // value is the one further from zero.
        let printed = units_of(&text) * i128::from(count);
        let twice = ((sum - printed) * 2).unsigned_abs();
        prop_assert!(twice <= u128::from(count), "{} / {} = {}", sum, count, text);
        if twice == u128::from(count) {
            prop_assert!(printed.unsigned_abs() > sum.unsigned_abs());
        }
        prop_assert!(text != "-0.000000");
    }

    #[test]
    fn fixed_numbers_read_back(micros in any::<i128>()) {
        let mut out = Vec::new();
        write_fixed6(&mut out, micros);
        prop_assert_eq!(units_of(std::str::from_utf8(&out).unwrap()), micros);
    }
}

/// Reads digits, a point and six digits back as millionths.
fn units_of(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap();
    assert_eq!(fraction.len(), 6, "{text}");
    format!("{whole}{fraction}").parse().unwrap()
}

#[test]
fn a_record_has_a_header_line_in_csv_and_none_in_json() {
    let header = RowFormat::<Row>::header(&Csv::new());
    assert_eq!(header.as_deref(), Some("name,count,share,fine,amount,note"));
    let without = Csv::new().header_line(false);
    assert_eq!(RowFormat::<Row>::header(&without), None);
    assert_eq!(RowFormat::<Row>::header(&Json::new()), None);
}

#[test]
fn a_final_changelog_is_plain_key_and_value_lines() {
    let csv = Csv::new();
    assert_eq!(RowFormat::<Change<String, u64>>::header(&csv), None);
    let written = change_line::<String, u64>(&csv, RowKind::Insert, "a,b", 3);
    assert_eq!(written, "\"a,b\",3");
    let json = Json::new().named(&["user"], &["count"]);
    let written = change_line::<String, u64>(&json, RowKind::Insert, "a", 3);
    assert_eq!(written, r#"{"user":"a","count":3}"#);
}

#[test]
fn a_running_changelog_says_what_kind_each_row_is() {
    let csv = Csv::new().with_kinds().header_line(true);
    let header = RowFormat::<Change<(String, u32), (u64, f64)>>::header(&csv);
    assert_eq!(header.as_deref(), Some("kind,key_1,key_2,value_1,value_2"));
    let lines = [
        (RowKind::Insert, "+I,a,7,1,0.5"),
        (RowKind::UpdateBefore, "-U,a,7,1,0.5"),
        (RowKind::UpdateAfter, "+U,a,7,1,0.5"),
        (RowKind::Delete, "-D,a,7,1,0.5"),
    ];
    for (kind, expected) in lines {
        let written = change_line::<(String, u32), (u64, f64)>(&csv, kind, ("a", 7), (1, 0.5));
        assert_eq!(written, expected);
    }
    let json = Json::new().with_kinds();
    let written = change_line::<String, Option<u64>>(&json, RowKind::Delete, "a", None);
    assert_eq!(written, r#"{"kind":"-D","key":"a","value":null}"#);
}

#[test]
fn times_are_iso_text_and_floats_without_a_json_form_are_null() {
    let (csv, json) = (Csv::new(), Json::new());
    let time = EventTime(1_522_540_831_000_000);
    let insert = RowKind::Insert;
    assert_eq!(
        change_line::<EventTime, f64>(&csv, insert, time, f64::INFINITY),
        "2018-04-01T00:00:31Z,inf"
    );
    assert_eq!(
        change_line::<EventTime, f64>(&json, insert, time, f64::NAN),
        r#"{"key":"2018-04-01T00:00:31Z","value":null}"#
    );
}

#[test]
fn a_closure_writes_its_own_lines() {
    let format = format_fn::<Row, _>(|header, row, out| {
        out.extend_from_slice(row.name.as_bytes());
        out.extend_from_slice(format!("@{}", header.position.sequence).as_bytes());
    })
    .with_header("name@position");
    let header = RowFormat::<Row>::header(&format);
    assert_eq!(header.as_deref(), Some("name@position"));
    let row = Row {
        name: "x".to_owned(),
        count: 0,
        share: 0.0,
        fine: true,
        amount: Decimal(0),
        note: None,
    };
    assert_eq!(line::<Row>(&format, row.view()), "x@0");
}
