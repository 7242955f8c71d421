//! `cargo bench -p pelton-benches --bench flush [-- --small] [DIRECTORY]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::path::PathBuf;

use pelton_benches::flush::{HEAD, flush_rates};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let small = arguments.iter().any(|argument| argument == "--small");
    let directory = arguments.iter().find(|argument| !argument.starts_with("--"));
    let directory = directory.map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = directory.join(format!("pelton-flush-{}", std::process::id()));
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
