//! `cargo bench -p pelton-benches --bench state [-- --small]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use pelton_benches::state::{Draw, HEAD, keyed_count};

fn main() {
    let small = std::env::args().any(|argument| argument == "--small");
    let (keys, records): (&[u64], usize) = match small {
        true => (&[10_000], 2_000_000),
        false => (&[1_000_000, 10_000_000], 10_000_000),
    };
    println!(
        "keyed count, ns a record; in brackets the store's speed as a share of the yardstick's"
    );
    println!("{HEAD}");
    for &key_count in keys {
        for draw in [Draw::Uniform, Draw::Zipf] {
            println!("{}", keyed_count(key_count, records, draw));
        }
    }
}
