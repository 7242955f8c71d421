//! Step 2, decode: CSV, by what a file's rows become.

mod source_common;
#[path = "source_common/text.rs"]
mod text;

use pelton::decode::{CsvSettings, ExtraColumns};
use pelton::source::FileSettings;
use proptest::prelude::*;
use source_common::{Row, drain};
use text::{file, payment, rows};

fn rejected(line: u64, reason: &str, bytes: &str) -> Row {
    Row::Rejected(line, reason.to_owned(), bytes.as_bytes().to_vec())
}

fn with_header(text: &str) -> Vec<Row> {
    rows("x.csv", text, FileSettings::default())
}

fn without_header() -> FileSettings {
    let mut settings = FileSettings::default();
    settings.csv.header = false;
    settings
}

fn failure(text: &str, settings: FileSettings) -> String {
    match rows("x.csv", text, settings).as_slice() {
        [Row::Failed(error)] => error.clone(),
        rows => panic!("{rows:?}"),
    }
}

#[test]
fn columns_stand_in_any_order_and_optional_ones_may_be_absent() {
    assert_eq!(with_header("amount,id,who\n2,1,ann\n"), [payment(1, "ann", 2, None)]);
    assert_eq!(
        with_header("fraud,amount,id,who\n1,2,1,ann\n,2,1,bob"),
        [payment(1, "ann", 2, Some(1)), payment(1, "bob", 2, None)]
    );
}

#[test]
fn a_header_that_does_not_fit_names_the_column() {
    assert_eq!(
        failure("id,amount\n1,2\n", FileSettings::default()),
        "input \"x.csv\", line 1: column `who` is missing, the file has id,amount; \
         add it, or name the columns so"
    );
    assert_eq!(
        failure("\nid,who,amount,tip\n", FileSettings::default()),
        "input \"x.csv\", line 2: unknown column `tip`, known are id,who,amount,fraud; \
         remove it, or ignore extra columns"
    );
    assert_eq!(
        failure("id,who,amount,who\n", FileSettings::default()),
        "input \"x.csv\", line 1: column `who` stands there twice; rename one of them"
    );
    let unclosed = failure("id,\"who,amount\n1,a,2\n", FileSettings::default());
    assert!(unclosed.contains("a quote opens and does not close"), "{unclosed}");
}

#[test]
fn extra_columns_are_skipped_where_the_job_says_so() {
    let csv = CsvSettings { extra_columns: ExtraColumns::Ignore, ..CsvSettings::default() };
    let mut settings = FileSettings { csv, ..FileSettings::default() };
    let text = "id,tip,who,amount\n1,9,ann,2\n1,\"9\",bob,2\n1,ann,2\n";
    assert_eq!(
        rows("x.csv", text, settings),
        [
            payment(1, "ann", 2, None),
            payment(1, "bob", 2, None),
            rejected(4, "row has 3 fields where 4 are expected", "1,ann,2"),
        ]
    );
    settings.csv.header = false;
    let text = "1,ann,2,1,x,y,z\n1,\"ann\",2,1,x,y,z\n";
    let row = payment(1, "ann", 2, Some(1));
    assert_eq!(rows("x.csv", text, settings), [row.clone(), row]);
}

#[test]
fn without_a_header_fields_go_by_position() {
    assert_eq!(
        rows("x.csv", "1,ann,2\n2,,3,1\n3\n4,a,4,1,1\n", without_header()),
        [
            payment(1, "ann", 2, None),
            payment(2, "", 3, Some(1)),
            rejected(3, "row has 1 fields where 3 are expected", "3"),
            rejected(4, "row has 5 fields where 4 are expected", "4,a,4,1,1"),
        ]
    );
}

#[test]
fn quotes_line_endings_and_marks_are_read_as_files_write_them() {
    let text = "\u{feff}\"id\",who,amount\r\n1,\"a \"\"b\"\", c\r\nd\",2\r\n\r\n\n2,5\" nail,\"3\"\n\
                3,\"ann\",4\r";
    assert_eq!(
        with_header(text),
        [
            payment(1, "a \"b\", c\r\nd", 2, None),
            payment(2, "5\" nail", 3, None),
            payment(3, "ann", 4, None),
        ]
    );
}

#[test]
fn bad_rows_are_rejected_with_line_reason_and_bytes() {
    let text = "id,who,amount,fraud\n\
                x,ann,1,0\r\n\
                1,\"two\nlines\",nan,\n\
                2,ann,,0\n\
                3,\"ann\"b,1,0\n\
                4,ann,1,256\n";
    assert_eq!(
        with_header(text),
        [
            rejected(2, "field `id` is not a number", "x,ann,1,0"),
            rejected(3, "field `amount` is not finite", "1,\"two\nlines\",nan,"),
            rejected(5, "field `amount` is missing", "2,ann,,0"),
            rejected(6, "a closing quote is followed by more text", "3,\"ann\"b,1,0"),
            rejected(7, "field `fraud` is out of range", "4,ann,1,256"),
        ]
    );
    let not_utf8 = drain(&mut file("x.csv", b"1,\xff,2\n", 64, without_header()));
    let reason = "field `who` is not UTF-8".to_owned();
    assert_eq!(not_utf8, [Row::Rejected(1, reason, b"1,\xff,2".to_vec())]);
}

#[test]
fn a_row_of_ten_megabytes_is_rejected_whole_and_reading_goes_on() {
    let long = "x".repeat(10 << 20);
    for quote in ["", "\""] {
        let text = format!("1,a,1\n2,{quote}{long}{quote},1\n3,b,1\n");
        let row = format!("2,{quote}{long}{quote},1");
        assert_eq!(
            rows("x.csv", &text, without_header()),
            [
                payment(1, "a", 1, None),
                rejected(2, "row is longer than 1048576 bytes", &row),
                payment(3, "b", 1, None),
            ]
        );
    }
}

#[test]
fn a_quote_that_never_closes_costs_its_line_and_no_other() {
    let open = "a quote opens and does not close";
    assert_eq!(
        rows("x.csv", "1,a,1\n2,\"b,1\n3,c,1\n4,d,1", without_header()),
        [
            payment(1, "a", 1, None),
            rejected(2, open, "2,\"b,1"),
            payment(3, "c", 1, None),
            payment(4, "d", 1, None),
        ]
    );
    let count = 300_000;
    let mut text = "0,\"b,1\n".to_owned();
    text.extend((1..=count).map(|id| format!("{id},a,1\n")));
    let all = rows("x.csv", &text, without_header());
    assert_eq!(all[0], rejected(1, open, "0,\"b,1"));
    assert!(all[1..].iter().zip(1..).all(|(row, id)| *row == payment(id, "a", 1, None)));
    assert_eq!(all.len(), count + 1);
}

#[test]
fn a_hostile_file_of_open_quotes_is_read_in_linear_time() {
    let text = "a\",\",\n".repeat(1 << 20);
    let count = rows("x.csv", &text, without_header()).len();
    assert!(count > 500_000, "{count}");
}

/// Rows of well-formed and of odd parts, in small alphabets that collide often.
fn odd_text() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        8 => "[0-9]{1,3}",
        6 => Just(",".to_owned()),
        4 => Just("\n".to_owned()),
        2 => Just("\r\n".to_owned()),
        2 => Just("\"".to_owned()),
        1 => Just("\"\"".to_owned()),
        1 => Just("1,a,2\n".to_owned()),
        1 => Just("1,\"a\nb\",2\n".to_owned()),
        1 => Just("\r".to_owned()),
        1 => Just("\u{feff}".to_owned()),
    ];
    proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat().into_bytes())
}

fn settings_of(header: bool, row_bytes_max: usize) -> FileSettings {
    let mut settings = without_header();
    settings.csv.header = header;
    settings.row_bytes_max = row_bytes_max;
    settings
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rows_do_not_depend_on_how_blocks_cut_them(
        text in odd_text(),
        header: bool,
        row_bytes_max in prop_oneof![1_usize..40, Just(1 << 20)],
    ) {
        let settings = settings_of(header, row_bytes_max);
        let whole = drain(&mut file("x.csv", &text, text.len() + 1, settings));
        for block_bytes in 1..=text.len() {
            let cut = drain(&mut file("x.csv", &text, block_bytes, settings));
            prop_assert_eq!(&cut, &whole, "blocks of {} bytes", block_bytes);
        }
    }

    #[test]
    fn random_bytes_never_panic_and_every_line_is_accounted_for(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b','), Just(b'"')], 0..300),
        row_bytes_max in 1_usize..60,
    ) {
        let all = drain(&mut file("x.csv", &bytes, 16, settings_of(false, row_bytes_max)));
        let mut lines = 0;
        for row in &all {
            if let Row::Rejected(line, _, _) = row {
                prop_assert!(*line > lines, "lines only grow");
                lines = *line;
            }
        }
        if !bytes.contains(&b'"') {
            let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
            let is_row = |line: &&[u8]| !line.strip_suffix(b"\r").unwrap_or(line).is_empty();
            let expected = text.split(|&byte| byte == b'\n').filter(is_row).count();
            prop_assert_eq!(all.len(), expected);
        }
    }

    #[test]
    fn well_formed_files_read_as_the_csv_crate_reads_them(
        records in proptest::collection::vec(
            (any::<u64>(), "[a-c,\"\n ]{0,6}", -999_i64..999, proptest::option::of(any::<u8>())), 0..20),
        crlf: bool,
        block_bytes in 1_usize..200,
    ) {
        let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
        writer.write_record(["id", "who", "amount", "fraud"]).expect("it works in a test");
        for (id, who, amount, fraud) in &records {
            let fraud = fraud.map_or(String::new(), |fraud| fraud.to_string());
            writer.write_record([&id.to_string(), who, &amount.to_string(), &fraud]).expect("it works in a test");
        }
        let bytes = writer.into_inner().expect("it works in a test");
        let ours = drain(&mut file("x.csv", &bytes, block_bytes, FileSettings::default()));
        let theirs: Vec<Row> = csv::Reader::from_reader(bytes.as_slice())
            .records()
            .map(|record| {
                let record = record.expect("it works in a test");
                let fraud = record[3].parse().ok();
                payment(record[0].parse().expect("it works in a test"), &record[1], record[2].parse().expect("it works in a test"), fraud)
            })
            .collect();
        prop_assert_eq!(ours, theirs);
    }
}

#[test]
fn an_empty_file_has_no_rows_and_needs_no_header() {
    assert_eq!(with_header(""), Vec::<Row>::new());
    assert_eq!(with_header("\u{feff}\n\n"), Vec::<Row>::new());
}
