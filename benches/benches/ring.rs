//! `cargo bench -p pelton-benches --bench ring [-- --small]`

#[expect(clippy::print_stdout, reason = "the report is the result")]
fn main() {
    let is_small = std::env::args().any(|argument| argument == "--small");
    let effort = if is_small { pelton_benches::ring::SMALL } else { pelton_benches::ring::FULL };
    println!("{}", pelton_benches::ring::run(effort));
}
