//! `cargo bench -p pelton-benches --bench exact [-- --small]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use pelton::record::TimeSpan;
use pelton_benches::exact::{ExactCase, HEAD, exact_windows};

fn main() {
    let small = std::env::args().any(|argument| argument == "--small");
    println!("three windows, ns a record; in brackets the operator's speed as a share of by hand");
    println!("records: how many of a key the longest window holds");
    println!("{HEAD}");
    let cases =
        if small { vec![ExactCase::payments(500, TimeSpan::days(30))] } else { all_cases() };
    for case in cases {
        println!("{}", exact_windows(case));
    }
}

fn all_cases() -> Vec<ExactCase> {
    let payments = [(5_000, 30), (10_000, 30), (10_000, 14), (10_000, 60)];
    let payments =
        payments.map(|(keys, days)| ExactCase::payments(keys, TimeSpan::days(days))).into_iter();
    let growing = [
        TimeSpan::minutes(1),
        TimeSpan::hours(1),
        TimeSpan::days(1),
        TimeSpan::days(7),
        TimeSpan::days(30),
    ];
    let growing = growing.map(|length| ExactCase::busy(1_000, 20_000, length)).into_iter();
    // From few keys with many records each to many with few.
    let keys = [(10_000, 1_000), (100_000, 100), (1_000_000, 10), (10_000_000, 2)];
    let keys = keys.map(|(keys, records)| ExactCase::busy(keys, records, TimeSpan::hours(1)));
    payments.chain(growing).chain(keys).collect()
}
