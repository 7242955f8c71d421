//! placeholder
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the program that draws it comes with the merge")
)]
mod plot;
fn main() {}
