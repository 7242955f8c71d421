//! Step: see ARCHITECTURE.md.
