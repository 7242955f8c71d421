//! Step 2, decode: newline-delimited JSON, by what a file's lines become.

mod source_common;
#[path = "source_common/text.rs"]
mod text;

use pelton::source::FileSettings;
use proptest::prelude::*;
use source_common::{Row, drain};
use text::{file, payment, rows};

fn rejected(line: u64, reason: &str, bytes: &str) -> Row {
    Row::Rejected(line, reason.to_owned(), bytes.as_bytes().to_vec())
}

fn lines(text: &str) -> Vec<Row> {
    rows("x.ndjson", text, FileSettings::default())
}

#[test]
fn members_are_fields_by_name() {
    let text = r#"
        {"id":1,"who":"ann","amount":2.0,"fraud":1}
        {"other":{"id":[9]}, "amount" : "2", "fraud":null, "who":true, "id":"1"}
        {"id":7,"who":"a \"b\" \u00e9\n","amount":2,"id":1,"\u0066raud":0}
    "#;
    assert_eq!(
        lines(text),
        [
            payment(1, "ann", 2, Some(1)),
            payment(1, "true", 2, None),
            payment(1, "a \"b\" \u{e9}\n", 2, Some(0)),
        ]
    );
}

#[test]
fn a_text_keeps_a_number_as_it_was_written() {
    assert_eq!(
        lines("{\"id\":1,\"who\":1.10e+3,\"amount\":1e0}\r\n\r\n"),
        [payment(1, "1.10e+3", 1, None)]
    );
}

#[test]
fn bad_lines_are_rejected_with_line_reason_and_bytes() {
    let cases = [
        ("{\"id\":1,", "row is not JSON at column 8"),
        ("{\"id\":1} x", "row is not JSON at column 10"),
        ("{\"id\":01}", "row is not JSON at column 8"),
        ("[1]", "row is JSON but not an object"),
        ("nonsense", "row is not JSON at column 2"),
        (
            "{\"id\":1,\"who\":[\"a\"],\"amount\":1}",
            "field `who` is an object or an array, not a value",
        ),
        ("{\"id\":1,\"who\":\"a\"}", "field `amount` is missing"),
        ("{\"id\":-1,\"who\":\"a\",\"amount\":1}", "field `id` is out of range"),
        ("{\"id\":1,\"who\":\"\\ud800\",\"amount\":1}", "row is not JSON at column 15"),
    ];
    for (line, reason) in cases {
        let text = format!("\n{line}\n");
        assert_eq!(lines(&text), [rejected(2, reason, line)]);
    }
    let not_utf8 = b"{\"who\":\"\xff\"}";
    assert_eq!(
        drain(&mut file("x.json", not_utf8, 64, FileSettings::default())),
        [Row::Rejected(1, "row is not UTF-8 at byte 8".to_owned(), not_utf8.to_vec())]
    );
}

#[test]
fn deep_nesting_and_long_lines_are_values_not_panics() {
    let deep = format!("{{\"id\":1,\"x\":{}", "[".repeat(200_000));
    assert!(matches!(lines(&deep).as_slice(), [Row::Rejected(1, ..)]));
    let long = format!("{{\"who\":\"{}\"}}", "x".repeat(10 << 20));
    assert_eq!(
        lines(&format!("{long}\n{{}}\n")),
        [
            rejected(1, "row is longer than 1048576 bytes", &long),
            rejected(2, "field `id` is missing", "{}"),
        ]
    );
}

proptest! {
    #[test]
    fn random_bytes_never_panic_and_every_line_is_one_row(
        bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b'\n'), Just(b'{'), Just(b'}'), Just(b'"'), Just(b':')], 0..200),
        block_bytes in 1_usize..50,
    ) {
        let all = drain(&mut file("x.json", &bytes, block_bytes, FileSettings::default()));
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let expected = text
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.trim_ascii().is_empty())
            .count();
        prop_assert_eq!(all.len(), expected);
    }

    #[test]
    fn what_serde_json_writes_is_read_back(
        id: u64, who: String, amount in -999_i64..999, fraud: Option<u8>, block_bytes in 1_usize..50,
    ) {
        let line = serde_json::json!({"fraud": fraud, "who": who, "amount": amount, "id": id});
        let text = format!("{line}\n{line}");
        let row = payment(id, &who, amount, fraud);
        let all = drain(&mut file("x.json", text.as_bytes(), block_bytes, FileSettings::default()));
        prop_assert_eq!(all, vec![row.clone(), row]);
    }
}
