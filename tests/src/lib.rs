//! What the end-to-end tests share: oracles, which are slow and obviously right.

pub mod fraud_oracle;
