//! `cargo bench -p pelton-benches --bench chain [-- --small]`
//!
//! `-- --only CASE WAY RUNS` runs one case so often over 20,000 records, `chain` or `by-hand`, and
//! prints its checksum: `benches/instructions/run` counts the instructions of that.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use pelton_benches::chain::{Bids, Case, HEAD, chain_cost};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(only) = arguments.iter().position(|argument| argument == "--only") {
        println!("{}", run_only(&arguments[only + 1..]));
        return;
    }
    let small = arguments.iter().any(|argument| argument == "--small");
    let (record_count, rounds) = if small { (20_000, 3) } else { (1_000_000, 5) };
    println!("ns a record; in brackets the chain's speed as a share of by hand");
    println!("{HEAD}");
    for case in Case::ALL {
        println!("{}", chain_cost(case, record_count, rounds));
    }
}

fn run_only(arguments: &[String]) -> u64 {
    let [case, way, runs, ..] = arguments else {
        panic!("--only takes a case, `chain` or `by-hand`, and a number of runs");
    };
    let case = Case::ALL.into_iter().find(|one| one.name() == case).expect("a case's name");
    let bids = Bids::new(20_000);
    let runs: u64 = runs.parse().expect("a number of runs");
    let mut run = if way == "chain" { case.chain() } else { case.by_hand() };
    (0..runs).map(|_| run(&bids)).last().unwrap_or(0)
}
