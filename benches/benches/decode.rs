//! Step 2, decode: `cargo bench -p pelton-benches --bench decode -- TRANSACTIONS EVENTS [ROUNDS]`
//! with two zstd-compressed CSV files; see `pelton_benches::decode`.
#![expect(clippy::print_stdout, reason = "prints its table")]

use std::fs::File;

use pelton_benches::decode::{Event, Transaction, measure};

/// A round lasts about ten milliseconds, so that some rounds of many are undisturbed on a machine
/// that does other work; it is as far behind the decompressor as a job is.
const BYTES_MAX: usize = 4 << 20;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let (Some(transactions), Some(events)) = (args.next(), args.next()) else {
        println!("decode: name a file of transactions and one of Nexmark events; nothing measured");
        return;
    };
    let rounds = args.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(50);
    let read = |path| {
        let file = File::open(path).expect("the file is there");
        let mut bytes = zstd::decode_all(file).expect("the file is zstd");
        let cut = bytes.iter().take(BYTES_MAX).rposition(|&byte| byte == b'\n');
        bytes.truncate(cut.map_or(0, |newline| newline + 1));
        bytes
    };
    let mut figures = measure::<Transaction>("transactions", &read(transactions), true, rounds);
    figures.extend(measure::<Event>("nexmark", &read(events), false, rounds));
    for figure in figures {
        println!("{:<32} {:>6.2} M rows/s", figure.name, figure.rows_m);
    }
}
