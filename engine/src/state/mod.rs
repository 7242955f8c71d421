//! Step 7, state: entries of bytes by (operator, slot, key, namespace).
/// A shard's state.
#[derive(Debug)]
pub struct Store;
