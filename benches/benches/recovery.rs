//! `cargo bench -p pelton-benches --bench recovery [-- --small] [DIRECTORY]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::path::PathBuf;

use pelton_benches::recovery::recoveries;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let small = arguments.iter().any(|argument| argument == "--small");
    let directory = arguments.iter().find(|argument| !argument.starts_with("--"));
    let directory = directory.map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = directory.join(format!("pelton-recovery-{}", std::process::id()));
    let key_count = if small { 10_000 } else { 9_000_000 };
    println!("{}", recoveries(&directory, key_count, 2, &[1, 3]));
    std::fs::remove_dir_all(&directory).expect("the files were there");
}
