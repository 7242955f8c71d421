//! The proc macros of Pelton.
