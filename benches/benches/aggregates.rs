//! `cargo bench -p pelton-benches --bench aggregates [-- --small]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use pelton_benches::aggregates::{HEAD, aggregates};

fn main() {
    let small = std::env::args().any(|argument| argument == "--small");
    let cases: &[(u64, u64)] = match small {
        true => &[(1_000, 100_000)],
        false => &[
            (10_000, 4_000_000),
            (100_000, 4_000_000),
            (1_000_000, 4_000_000),
            (10_000_000, 20_000_000),
        ],
    };
    println!("ns a record; in brackets the operator's speed as a share of by hand");
    println!("{HEAD}");
    for &(key_count, record_count) in cases {
        for cost in aggregates(key_count, record_count) {
            println!("{cost}");
        }
    }
}
