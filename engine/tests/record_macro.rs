//! `#[pelton::record]` from outside: every type of field, in each of a record's forms.

use pelton::record::{
    Decimal, EventTime, FieldError, FieldReason, FieldSource, FieldText, FieldType, Frame,
    FrameHeader, FrameWriter, Item, PayloadFull, Record, RowWriter, View, frame_bytes,
};
use pelton::rkyv;

#[pelton::record]
#[derive(PartialOrd)]
struct Everything {
    #[event_time]
    time: EventTime,
    /// Who did it.
    user: String,
    page: Option<String>,
    price: Decimal,
    discount: Option<Decimal>,
    seen: Option<EventTime>,
    flag: bool,
    maybe: Option<bool>,
    a: i8,
    b: i16,
    c: i32,
    d: i64,
    e: u8,
    f: u16,
    g: u32,
    h: u64,
    i: f32,
    j: Option<f64>,
    r#type: Option<i64>,
}

mod numbers {
    #[pelton::record]
    pub(crate) struct Tick {
        pub(crate) count: u64,
        pub(crate) level: Option<u8>,
    }
}
use numbers::{Tick, TickView};

fn everything(user: &str, page: Option<&str>) -> Everything {
    Everything {
        time: EventTime(5),
        user: user.to_owned(),
        page: page.map(str::to_owned),
        price: Decimal(1_500_000),
        discount: Some(Decimal(-1)),
        seen: None,
        flag: true,
        maybe: Some(false),
        a: -1,
        b: -2,
        c: -3,
        d: i64::MIN,
        e: 1,
        f: 2,
        g: 3,
        h: u64::MAX,
        i: 0.5,
        j: Some(-0.25),
        r#type: Some(9),
    }
}

/// A buffer that starts on an 8-byte boundary, as rings and batches do.
#[repr(align(8))]
struct Aligned([u8; 1024]);

fn encoded<R: Record>(view: R::View<'_>, out: &mut Aligned) -> Result<usize, PayloadFull> {
    let room = R::payload_bytes_max(view);
    let buffer = rkyv::ser::writer::Buffer::from(&mut out.0[..room]);
    let mut writer = FrameWriter::new(buffer, (), ());
    R::encode(view, &mut writer)?;
    Ok(rkyv::ser::Positional::pos(&writer.into_writer()))
}

/// The columns of a row, as CSV and JSON readers hand them out.
struct Row<'a>(&'a [Option<&'a str>]);

impl<'a> FieldSource<'a> for Row<'a> {
    fn text(&self, index: usize) -> FieldText<'a> {
        match self.0.get(index) {
            None => FieldText::Missing,
            Some(None) => FieldText::Null,
            Some(Some(text)) => FieldText::Text(text.as_bytes()),
        }
    }
}

#[derive(Default)]
struct Written(Vec<String>);

impl RowWriter for Written {
    fn text(&mut self, name: &'static str, value: &str) {
        self.0.push(format!("{name}={value}"));
    }
    fn int(&mut self, name: &'static str, value: i64) {
        self.0.push(format!("{name}={value}"));
    }
    fn uint(&mut self, name: &'static str, value: u64) {
        self.0.push(format!("{name}={value}"));
    }
    fn float(&mut self, name: &'static str, value: f64) {
        self.0.push(format!("{name}={value}"));
    }
    fn bool(&mut self, name: &'static str, value: bool) {
        self.0.push(format!("{name}={value}"));
    }
    fn time(&mut self, name: &'static str, value: EventTime) {
        self.0.push(format!("{name}={value}"));
    }
    fn decimal(&mut self, name: &'static str, value: Decimal) {
        self.0.push(format!("{name}={value}"));
    }
    fn null(&mut self, name: &'static str) {
        self.0.push(format!("{name}=null"));
    }
}

#[test]
fn a_view_encodes_to_bytes_that_read_back_as_the_same_view() {
    for (user, page) in [
        ("", None),
        ("short", Some("")),
        ("a name that is longer than eight bytes", Some("and a page that is too")),
    ] {
        let record = everything(user, page);
        let mut frame = Aligned([0xaa; 1024]);
        let mut payload = Aligned([0; 1024]);
        let payload_bytes = encoded::<Everything>(record.view(), &mut payload).unwrap();
        FrameHeader::default().write(payload_bytes, &mut frame.0);
        frame.0[48..48 + payload_bytes].copy_from_slice(&payload.0[..payload_bytes]);
        let read = Frame::new(&frame.0[..frame_bytes(payload_bytes)]);
        assert_eq!(read.view::<Everything>(), record.view());
        assert_eq!(Everything::to_record(read.view::<Everything>()), record);
        assert_eq!(Everything::event_time(record.view()), Some(EventTime(5)));
    }
}

#[test]
fn a_view_and_its_struct_have_the_same_archived_bytes() {
    for (user, page) in [("bob", None), ("a name of more than eight bytes", Some("p"))] {
        let record = everything(user, page);
        let of_struct = rkyv::to_bytes::<rkyv::rancor::Error>(&record).unwrap();
        let mut of_view = Aligned([0; 1024]);
        let payload_bytes = encoded::<Everything>(record.view(), &mut of_view).unwrap();
        assert_eq!(of_view.0[..payload_bytes], of_struct[..]);
    }
}

#[test]
fn archived_bytes_from_outside_can_be_validated() {
    type Archived = <Everything as Record>::Archived;
    let record = everything("somebody with a long name", None);
    let mut bytes = rkyv::to_bytes::<rkyv::rancor::Error>(&record).unwrap();
    let archived = rkyv::access::<Archived, rkyv::rancor::Error>(&bytes).unwrap();
    assert_eq!(Everything::view_archived(archived), record.view());
    bytes[0] = 0xff;
    assert!(rkyv::access::<Archived, rkyv::rancor::Error>(&bytes).is_err());
}

#[test]
fn a_buffer_that_is_too_short_is_refused() {
    let record = everything("somebody with a long name", None);
    let mut bytes = Aligned([0; 1024]);
    let buffer = rkyv::ser::writer::Buffer::from(&mut bytes.0[..40]);
    let mut writer = FrameWriter::new(buffer, (), ());
    assert_eq!(Everything::encode(record.view(), &mut writer), Err(PayloadFull));
}

#[test]
fn a_record_without_text_takes_exactly_its_archived_bytes() {
    let view = TickView { count: 7, level: None };
    let mut bytes = Aligned([0; 1024]);
    let room = Tick::payload_bytes_max(view);
    assert_eq!(encoded::<Tick>(view, &mut bytes), Ok(room));
    assert_eq!(room, size_of::<<Tick as Record>::Archived>());
    assert_eq!(Tick::to_record(view), Tick { count: 7, level: None });
    assert_eq!(Tick::event_time(view), None);
}

#[test]
fn the_schema_names_fields_types_and_options() {
    let schema = Everything::SCHEMA;
    assert_eq!((schema.name, schema.fields.len()), ("Everything", 19));
    assert_eq!(schema.event_time_index, Some(0));
    let field = |index: usize| {
        let field = schema.fields[index];
        (field.name, field.field_type, field.optional)
    };
    assert_eq!(field(1), ("user", FieldType::Text, false));
    assert_eq!(field(2), ("page", FieldType::Text, true));
    assert_eq!(field(4), ("discount", FieldType::Decimal, true));
    assert_eq!(field(18), ("type", FieldType::Int(64), true));
    assert_ne!(schema.fingerprint(), Tick::SCHEMA.fingerprint());
}

#[test]
fn a_row_is_read_and_written_by_its_schema() {
    let columns = [
        "1970-01-01T00:00:00.000005Z",
        "bob",
        "home",
        "1.5",
        "2",
        "",
        "true",
        "0",
        "-1",
        "-2",
        "-3",
        "-4",
        "1",
        "2",
        "3",
        "4",
        "0.5",
        "0.25",
        "9",
    ];
    let mut row: Vec<_> = columns.into_iter().map(Some).collect();
    row[5] = None;
    let view = Everything::decode(&Row(&row)).unwrap();
    assert_eq!((view.user, view.page, view.seen, view.h), ("bob", Some("home"), None, 4));
    let mut written = Written::default();
    Everything::write_row(view, &mut written);
    assert_eq!(written.0[1], "user=bob");
    assert_eq!(written.0[5], "seen=null");
    assert_eq!(written.0[18], "type=9");
}

#[test]
fn a_row_that_does_not_fit_says_which_field_and_why() {
    let error = |field, reason| Err(FieldError { field, reason });
    assert_eq!(Tick::decode(&Row(&[])), error("count", FieldReason::Missing));
    assert_eq!(Tick::decode(&Row(&[Some("x")])), error("count", FieldReason::NotANumber));
    let row = Row(&[Some("1"), Some("256")]);
    assert_eq!(Tick::decode(&row), error("level", FieldReason::OutOfRange));
}

#[test]
fn a_view_knows_its_record() {
    fn name_of<'a, V: View<'a>>(_: V) -> &'static str
    where
        V::Record: Record,
    {
        V::Record::SCHEMA.name
    }
    let record = everything("bob", None);
    assert_eq!(name_of(record.view()), "Everything");
    assert_eq!(name_of(TickView { count: 0, level: None }), "Tick");
    let view: <Tick as Item>::View<'_> = TickView { count: 0, level: Some(1) };
    assert_eq!(view.level, Some(1));
}
