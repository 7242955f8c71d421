//! `cargo bench -p pelton-benches --bench recovery [-- --small] [DIRECTORY]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use pelton_benches::recovery::recoveries;
use pelton_benches::scratch::Scratch;

fn main() {
    let Scratch { small, directory } = Scratch::of_arguments("recovery");
    let key_count = if small { 10_000 } else { 9_000_000 };
    println!("{}", recoveries(&directory, key_count, 2, &[1, 3]));
    std::fs::remove_dir_all(&directory).expect("the files were there");
}
