//! `cargo bench -p pelton-benches --bench flush [-- --small] [DIRECTORY]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use pelton_benches::flush::{HEAD, flush_rates};
use pelton_benches::scratch::Scratch;

fn main() {
    let Scratch { small, directory } = Scratch::of_arguments("flush");
    std::fs::create_dir_all(&directory).expect("a directory for the files");
    let (mebibytes, rounds): (&[usize], u32) =
        if small { (&[4, 16], 3) } else { (&[1, 16, 64, 256], 8) };
    println!(
        "bandwidth of a flush, MiB/s; in brackets its share of the disk's, direct and in order"
    );
    println!("{HEAD}");
    for &mebibytes in mebibytes {
        for file_count in [1, 4] {
            let rates = flush_rates(&directory, mebibytes << 20, file_count, rounds);
            println!("{rates}");
            if let Some(note) = rates.note {
                println!("note: {note}");
            }
        }
    }
    std::fs::remove_dir_all(&directory).expect("the files were there");
}
