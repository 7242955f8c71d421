//! `cargo bench -p pelton-benches --bench log [-- --small]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use pelton_benches::log::{HEAD, read_modify_write};
use pelton_benches::state::Draw;

fn main() {
    let small = std::env::args().any(|argument| argument == "--small");
    let (keys, records): (&[u64], usize) = match small {
        true => (&[10_000], 2_000_000),
        false => (&[1_000_000, 10_000_000], 10_000_000),
    };
    println!(
        "read, add one, write 64 bytes; ns a record, in brackets as a share of hashbrown's speed"
    );
    println!("{HEAD}");
    for &key_count in keys {
        for draw in [Draw::Uniform, Draw::Zipf] {
            println!("{}", read_modify_write(key_count, records, draw, 1_000_000));
        }
    }
}
