//! `cargo bench -p pelton-benches --bench exact [-- --small]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use pelton_benches::exact::{HEAD, exact_windows};

fn main() {
    let small = std::env::args().any(|argument| argument == "--small");
    let cases: &[(u64, i64)] = match small {
        true => &[(500, 30)],
        false => &[(5_000, 30), (10_000, 30), (10_000, 14), (10_000, 60)],
    };
    println!("three windows, ns a record; in brackets the operator's speed as a share of by hand");
    println!("{HEAD}");
    for &(key_count, longest_days) in cases {
        println!("{}", exact_windows(key_count, longest_days, 90));
    }
}
