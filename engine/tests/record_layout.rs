//! Layouts: their text, the bytes that they describe, and conversions between them.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use pelton::record::{
    Conversion, ConversionError, Decimal, FRAME_HEADER_BYTES, FieldLayout, FieldType, Fixed, Frame,
    FrameHeader, Key, Layout, RecordLayout, TextFields, write_frame,
};
use pelton::record::{EventTime, Record};
use pelton::state::LogOffset;
use proptest::prelude::*;
use rkyv::util::AlignedVec;
use serde_json::json;

#[pelton::record]
struct Old {
    #[event_time]
    time: EventTime,
    user: String,
    count: u32,
    small: i8,
    note: Option<String>,
    price: Option<Decimal>,
    ratio: f32,
    gone: bool,
}

#[pelton::record]
struct New {
    note: Option<String>,
    count: i64,
    user: Option<String>,
    added: Option<u16>,
    price: Option<Decimal>,
    #[event_time]
    time: EventTime,
    small: i64,
    ratio: f64,
}

#[pelton::state]
struct Profile {
    count: u32,
    sums: [i64; 2],
    inner: Inner,
    seen: EventTime,
}

#[pelton::state]
#[derive(Debug, PartialEq)]
struct Inner {
    ratio: f32,
    price: Decimal,
}

fn old() -> Old {
    Old {
        time: EventTime(1_500_000),
        user: "somebody with a long name".to_owned(),
        count: u32::MAX,
        small: -7,
        note: Some("caf\u{e9}".to_owned()),
        price: None,
        ratio: 0.1,
        gone: true,
    }
}

fn frame_of<R: Record>(view: R::View<'_>) -> AlignedVec<8> {
    let mut bytes = AlignedVec::<8>::new();
    bytes.resize(FRAME_HEADER_BYTES + R::payload_bytes_max(view).next_multiple_of(8), 0);
    let header = FrameHeader { event_time: EventTime(1_500_000), ordinal: 9, ..Default::default() };
    let frame_bytes = write_frame::<R>(&header, view, &mut bytes);
    let mut frame = AlignedVec::new();
    frame.extend_from_slice(&bytes[..frame_bytes]);
    frame
}

fn bytes_of<T: Fixed>(value: T) -> Vec<u8> {
    let mut bytes = vec![0; T::BYTES];
    value.write(&mut bytes);
    bytes
}

fn layout(text: &str) -> Layout {
    text.parse().unwrap()
}

fn converted(old: &str, new: &str, bytes: &[u8]) -> Vec<u8> {
    let conversion = Layout::conversion(&layout(old), &layout(new)).unwrap();
    let mut out = Vec::new();
    conversion.apply(bytes, &mut out).unwrap();
    out
}

#[test]
fn layouts_of_types_have_golden_texts() {
    assert_eq!(<(u8, [bool; 3], ())>::layout().to_string(), "(u8,[bool;3],unit)");
    assert_eq!(LogOffset::layout().to_string(), "hint");
    assert_eq!(<(String, i32)>::layout().to_string(), "(text,i32)");
    assert_eq!(
        Profile::layout().to_string(),
        "struct{count:u32,sums:[i64;2],inner:struct{ratio:f32,price:decimal},seen:time}"
    );
    assert_eq!(Profile::layout().fixed_bytes(), Some(Profile::BYTES));
    assert_eq!(
        Layout::Frame(Old::layout()).to_string(),
        "frame{time:time@0,user:text@8,count:u32@16,small:i8@20,note:text?@24,price:decimal?@40,\
         ratio:f32@56,gone:bool@60}:64"
    );
}

#[test]
fn a_state_struct_reads_back_what_it_wrote() {
    let inner = Inner { ratio: 0.5, price: Decimal(-3) };
    let profile = Profile { count: 4, sums: [1, -1], inner, seen: EventTime(9) };
    let bytes = bytes_of(profile);
    assert_eq!(Profile::read(&bytes), profile);
    assert_eq!(
        Profile::layout().to_json(&bytes).unwrap(),
        json!({
            "count": 4, "sums": [1, -1], "inner": {"ratio": 0.5, "price": "-0.000003"},
            "seen": "1970-01-01T00:00:00.000009Z",
        })
    );
    assert_eq!(Profile::read(&[0; Profile::BYTES]), Profile::default());
}

#[test]
fn what_is_no_layout_is_refused_where_it_is_wrong() {
    for (text, at) in [
        ("", 0),
        ("u7", 0),
        ("u64 ", 3),
        ("[u8;03]", 4),
        ("[u8;4294967296]", 4),
        ("struct{a:u8,a:u8}", 12),
        ("struct{a:u8,}", 12),
        ("(u8", 3),
        ("frame{a:u64@0}:4", 6),
        ("frame{a:u64?@0}:8", 6),
        ("frame{a:u8@0,a:u8@1}:8", 6),
        ("frame{a:i128@0}:16", 8),
        ("repeated<>", 9),
        ("[text;2]", 1),
        ("[repeated<u8>;4294967295]", 1),
    ] {
        let error = text.parse::<Layout>().unwrap_err();
        assert_eq!(error.at, at, "{text}: {error}");
    }
    let deep = format!("{}u8{}", "(".repeat(40), ")".repeat(40));
    assert!(deep.parse::<Layout>().is_err());
    let fits = format!("{}u8{}", "(".repeat(31), ")".repeat(31));
    assert!(fits.parse::<Layout>().is_ok());
}

#[test]
fn keys_are_read_as_they_are_shown() {
    fn there_and_back<K: Key>(view: K::View<'_>, text: &str) {
        let bytes = K::with_bytes(view, <[u8]>::to_vec);
        let layout = K::layout();
        assert_eq!(layout.key_text(&bytes).unwrap(), text);
        assert_eq!(layout.parse_key(text), Some(bytes), "{text}");
    }
    there_and_back::<String>("a,b", "a,b");
    there_and_back::<i32>(-5, "-5");
    there_and_back::<u64>(u64::MAX, "18446744073709551615");
    there_and_back::<bool>(true, "true");
    there_and_back::<EventTime>(EventTime(0), "1970-01-01T00:00:00Z");
    there_and_back::<EventTime>(EventTime::MIN, "-9223372036854775808");
    there_and_back::<(String, u8)>(("x,\"y", 3), r#"["x,\"y",3]"#);
    there_and_back::<((u8, i16), String)>(((1, -2), ""), r#"[[1,-2],""]"#);
    let pair = <(String, u8)>::layout();
    assert_eq!(pair.parse_key("x,3"), pair.parse_key(r#"["x",3]"#));
    let wrong: [(Layout, &[&str]); 3] = [
        (pair, &["x", "x,300", "x,3,4", "[1", "[[],1]"]),
        (<u8 as Key>::layout(), &["", "256", "-1", "a"]),
        (<i8 as Key>::layout(), &["128", "-129", "1.0"]),
    ];
    for (layout, texts) in wrong {
        for text in texts {
            assert_eq!(layout.parse_key(text), None, "{layout} {text}");
        }
    }
}

#[test]
fn values_are_converted_by_name_and_widened() {
    for (old, new, bytes, wanted) in [
        ("u8", "u64", &[200][..], &[200, 0, 0, 0, 0, 0, 0, 0][..]),
        ("u8", "i16", &[200], &[200, 0]),
        ("i8", "i32", &[0xfe], &[0xfe, 0xff, 0xff, 0xff]),
        ("struct{a:u8,b:i8}", "struct{b:i16,c:u16,a:u8}", &[1, 0xff], &[0xff, 0xff, 0, 0, 1]),
        ("struct{a:u8,b:u8}", "struct{b:u8}", &[1, 2], &[2]),
        ("[struct{a:u8};2]", "[struct{a:u16};2]", &[1, 2], &[1, 0, 2, 0]),
        ("repeated<u8>", "repeated<u16>", &[1, 2, 3], &[1, 0, 2, 0, 3, 0]),
        ("(u8,struct{a:u8})", "(u8,struct{})", &[1, 2], &[1]),
        ("text", "text", b"abc", b"abc"),
        ("(text,u8)", "(text,u16)", b"\x01\0\0\0a\x05", b"\x01\0\0\0a\x05\0"),
        (
            "struct{n:u8,all:repeated<struct{key:text,value:u8}>}",
            "struct{n:u8,all:repeated<struct{key:text,value:u16}>}",
            b"\x07\x01\0\0\0a\x05\0\0\0\0\x06",
            b"\x07\x01\0\0\0a\x05\0\0\0\0\0\x06\0",
        ),
    ] {
        assert_eq!(converted(old, new, bytes), wanted, "{old} to {new}");
    }
    assert_eq!(converted("f32", "f64", &0.1_f32.to_le_bytes()), f64::from(0.1_f32).to_le_bytes());
}

#[test]
fn what_can_not_be_converted_is_named() {
    for (old, new, path, found, expected) in [
        ("u16", "u8", "", "u16", "u8"),
        ("i8", "u16", "", "i8", "u16"),
        ("u32", "i32", "", "u32", "i32"),
        ("i64", "time", "", "i64", "time"),
        ("f64", "f32", "", "f64", "f32"),
        ("[u8;2]", "[u8;3]", "", "[u8;2]", "[u8;3]"),
        ("(u8,u8)", "(u8)", "", "(u8,u8)", "(u8)"),
        (
            "struct{customer:struct{sum:i64}}",
            "struct{customer:struct{sum:u64}}",
            "customer.sum",
            "i64",
            "u64",
        ),
        ("struct{w:[(u8,f64);2]}", "struct{w:[(u8,u64);2]}", "w[].1", "f64", "u64"),
        ("repeated<u8>", "u8", "", "repeated<u8>", "u8"),
        ("frame{a:u8@0}:8", "frame{a:i8@0}:8", "a", "u8", "i8"),
        ("frame{a:u8?@0}:8", "frame{a:u8@0}:8", "a", "u8?", "u8"),
        (
            "frame{a:u8@0}:8",
            "frame{a:u8@0,b:u8@1}:8",
            "b",
            "not there",
            "u8, which an added field must make optional",
        ),
    ] {
        let mismatch = Layout::conversion(&layout(old), &layout(new)).unwrap_err();
        let said = (&mismatch.path[..], &mismatch.found[..], &mismatch.expected[..]);
        assert_eq!(said, (path, found, expected));
    }
}

#[test]
fn hints_are_void_after_an_import_and_kept_otherwise() {
    let same = layout("struct{hint:hint,n:u8}");
    let conversion = Layout::conversion(&same, &same).unwrap();
    assert!(conversion.is_identity());
    let import = conversion.clone().for_import();
    assert!(!import.is_identity());
    let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    let apply = |conversion: &Conversion| {
        let mut out = Vec::new();
        conversion.apply(&bytes, &mut out).unwrap();
        out
    };
    assert_eq!(apply(&conversion), bytes);
    assert_eq!(apply(&import), [0, 0, 0, 0, 0, 0, 0, 0, 9]);
    let plain = Layout::conversion(&layout("u8"), &layout("u8")).unwrap().for_import();
    assert!(plain.is_identity());
}

#[test]
fn a_frame_of_an_old_type_becomes_one_of_the_new() {
    let record = old();
    let frame = frame_of::<Old>(record.view());
    let (old_layout, new_layout) = (Layout::Frame(Old::layout()), Layout::Frame(New::layout()));
    let conversion = Layout::conversion(&old_layout, &new_layout).unwrap();
    let mut out = Vec::new();
    assert_eq!(conversion.apply(&frame, &mut out), Err(ConversionError::NoRecode));
    let conversion = conversion.with_recode(Some(TextFields::payload::<New>));
    conversion.apply(&frame, &mut out).unwrap();
    let mut aligned = AlignedVec::<8>::new();
    aligned.extend_from_slice(&out);
    let new = Frame::verified::<New>(&aligned).expect("a whole frame");
    assert_eq!(new.header(), Frame::new(&frame).header());
    let wanted = New {
        note: Some("caf\u{e9}".to_owned()),
        count: i64::from(u32::MAX),
        user: Some(record.user.clone()),
        added: None,
        price: None,
        time: record.time,
        small: -7,
        ratio: f64::from(0.1_f32),
    };
    assert_eq!(New::to_record(new.view::<New>()), wanted);
}

#[test]
fn a_frame_is_shown_by_its_layout_alone() {
    let frame = frame_of::<Old>(old().view());
    let shown = Layout::Frame(Old::layout()).to_json(&frame).unwrap();
    assert_eq!(shown["ordinal"], 9);
    assert_eq!(shown["record"]["user"], "somebody with a long name");
    assert_eq!(shown["record"]["note"], "caf\u{e9}");
    assert_eq!(shown["record"]["price"], json!(null));
    assert_eq!(shown["record"]["count"], u32::MAX);
    assert_eq!(shown["record"]["time"], "1970-01-01T00:00:01.500000Z");
}

#[test]
fn a_frame_with_one_wrong_byte_is_verified_or_refused_and_never_a_panic() {
    let frame = frame_of::<Old>(old().view());
    assert!(Frame::verified::<Old>(&frame).is_some());
    let layout = Layout::Frame(Old::layout());
    let mut refused_count = 0;
    for at in 0..frame.len() {
        for byte in [0, 1, 2, 0x7f, 0x80, 0xc0, 0xff] {
            let mut broken = AlignedVec::<8>::new();
            broken.extend_from_slice(&frame);
            broken[at] = byte;
            match Frame::verified::<Old>(&broken) {
                // Whatever passes can be read.
                Some(frame) => {
                    let _ = (Old::to_record(frame.view::<Old>()), frame.header());
                }
                None => refused_count += 1,
            }
            let _ = layout.to_json(&broken);
        }
        let mut short = AlignedVec::<8>::new();
        short.extend_from_slice(&frame[..at]);
        assert!(Frame::verified::<Old>(&short).is_none());
        assert!(layout.to_json(&short).is_err());
    }
    assert!(refused_count > 100, "{refused_count}");
}

fn any_name() -> impl Strategy<Value = String> {
    "[a-z_\u{e9}][a-z0-9_]{0,5}"
}

fn any_field_type() -> impl Strategy<Value = FieldType> {
    prop_oneof![
        Just(FieldType::Bool),
        Just(FieldType::Int(16)),
        Just(FieldType::UInt(64)),
        Just(FieldType::Float(32)),
        Just(FieldType::Text),
        Just(FieldType::Time),
        Just(FieldType::Decimal),
    ]
}

fn any_record() -> impl Strategy<Value = RecordLayout> {
    let field = (any_name(), any_field_type(), any::<bool>(), 0..100_u32);
    prop::collection::vec(field, 0..5).prop_map(|fields| {
        let named = fields.into_iter().enumerate();
        let fields = named.map(|(index, (name, field_type, optional, offset_bytes))| FieldLayout {
            name: format!("{name}{index}"),
            field_type,
            optional,
            offset_bytes,
        });
        RecordLayout { fields: fields.collect(), root_bytes: 120 }
    })
}

fn any_layout() -> impl Strategy<Value = Layout> {
    let leaf = prop_oneof![
        Just(Layout::Unit),
        Just(Layout::Bool),
        prop_oneof![Just(8), Just(16), Just(32), Just(64), Just(128)].prop_map(Layout::Int),
        prop_oneof![Just(8), Just(16), Just(32), Just(64), Just(128)].prop_map(Layout::UInt),
        prop_oneof![Just(32), Just(64)].prop_map(Layout::Float),
        Just(Layout::Time),
        Just(Layout::Decimal),
        Just(Layout::Hint),
        Just(Layout::Text),
        any_record().prop_map(Layout::Frame),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (inner.clone().prop_filter("fixed", |item| item.fixed_bytes().is_some()), 0..9_u32)
                .prop_map(|(item, count)| Layout::Array(Box::new(item), count)),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Layout::Tuple),
            inner.clone().prop_map(|item| Layout::Repeated(Box::new(item))),
            prop::collection::vec((any_name(), inner), 0..4).prop_map(|fields| {
                let named = fields.into_iter().enumerate();
                Layout::Struct(
                    named.map(|(at, (name, one))| (format!("{name}{at}"), one)).collect(),
                )
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_layout_reads_back_from_its_text(layout in any_layout()) {
        prop_assert_eq!(layout.to_string().parse::<Layout>(), Ok(layout));
    }

    #[test]
    fn text_that_reads_is_the_one_form_of_its_layout(text in "[a-z0-9\\[\\]{}():;,<>?@ ]{0,40}") {
        if let Ok(layout) = text.parse::<Layout>() {
            prop_assert_eq!(layout.to_string(), text);
        }
    }

    #[test]
    fn a_broken_layout_is_refused_or_another_layout(
        layout in any_layout(), at in any::<prop::sample::Index>(), with in any::<char>(),
    ) {
        let mut text: Vec<char> = layout.to_string().chars().collect();
        let at = at.index(text.len());
        text[at] = with;
        let text: String = text.into_iter().collect();
        if let Ok(other) = text.parse::<Layout>() {
            prop_assert_eq!(other.to_string(), text);
        }
    }

    #[test]
    fn any_bytes_by_any_layout_are_shown_or_refused(
        layout in any_layout(), other in any_layout(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let shown = layout.to_json(&bytes);
        if let (Some(fixed_bytes), Ok(_)) = (layout.fixed_bytes(), &shown) {
            prop_assert!(fixed_bytes == bytes.len() || matches!(layout, Layout::Repeated(_)));
        }
        if let Ok(conversion) = Layout::conversion(&layout, &other) {
            let mut out = Vec::new();
            if conversion.for_import().apply(&bytes, &mut out).is_ok()
                && let Some(fixed_bytes) = other.fixed_bytes()
            {
                prop_assert_eq!(out.len(), fixed_bytes);
            }
        }
    }

    #[test]
    fn a_layout_converts_to_itself(
        layout in any_layout(), bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let conversion = Layout::conversion(&layout, &layout);
        if let Ok(conversion) = conversion {
            prop_assert!(conversion.is_identity());
            let mut out = Vec::new();
            if layout.fixed_bytes() == Some(bytes.len()) {
                conversion.apply(&bytes, &mut out).unwrap();
                prop_assert_eq!(&out, &bytes);
            }
        }
    }
}

#[test]
fn a_time_to_live_is_no_field_that_may_come_or_go() {
    let plain = "struct{a:u64,b:i32}";
    let expiring = format!("struct{{expires_at:i64,value:{plain}}}");
    let refused = |old: &str, new: &str| Layout::conversion(&layout(old), &layout(new)).is_err();
    assert!(refused(plain, &expiring) && refused(&expiring, plain));
    assert!(refused(plain, "struct{c:u64}"), "nothing is left of it");
    assert!(!refused(plain, "struct{b:i64,c:u64}"));
    let widened = "struct{expires_at:i64,value:struct{a:u64,b:i64}}";
    assert!(!refused(&expiring, widened), "what lives may change within");
}
