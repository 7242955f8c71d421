//! What users read when they use the macros wrongly, word for word.
//!
//! Run with `TRYBUILD=overwrite` to take new wording over, then read the difference.

#[test]
fn every_misuse_is_told_at_its_place() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
