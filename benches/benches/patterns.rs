//! `cargo bench -p pelton-benches --bench patterns [-- --small]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use pelton::TimeSpan;
use pelton_benches::patterns::{HEAD, small_then_large};

fn main() {
    let small = std::env::args().any(|argument| argument == "--small");
    let cases: &[(u64, u64, i64)] = match small {
        true => &[(500, 50_000, 4)],
        false => &[(10_000, 1_000_000, 4), (10_000, 1_000_000, 60), (1_000_000, 4_000_000, 4)],
    };
    println!("a small payment, then a large one within an hour: ns a record");
    println!("in brackets the operator's speed as a share of by hand; matches of 1,000 records");
    println!("{HEAD}");
    for &(key_count, record_count, minutes) in cases {
        println!("{}", small_then_large(key_count, record_count, TimeSpan::minutes(minutes)));
    }
}
