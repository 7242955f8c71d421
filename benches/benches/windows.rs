//! `cargo bench -p pelton-benches --bench windows [-- --small]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use pelton_benches::windows::{HEAD, windows};

fn main() {
    let small = std::env::args().any(|argument| argument == "--small");
    let cases: &[(u64, i64)] =
        if small { &[(500, 100_000)] } else { &[(1_000, 2_000_000), (10_000, 2_000_000)] };
    for &(key_count, record_count) in cases {
        println!("{record_count} records of {key_count} keys; ns a record, ns a row");
        println!("{HEAD}");
        windows(key_count, record_count).iter().for_each(|cost| println!("{cost}"));
    }
}
