//! What `#[pelton::job]` and `#[pelton::part]` tell of the functions that they expand.
//!
//! Takes constants that the macros write; hands on names and texts to plans, prefixes to the names
//! of operators in parts, and the generated code to `pelton expand`.
//!
//! Invariants
//! 1. No state depends on a note: operators are named by calls that can be read in the expansion.
//!    A note that is not found costs a plan some text, nothing else.
//! 2. A part takes the name that was offered for its call; what it adds until it returns has that
//!    name before its own.
//!
//! Why notes beside the code and not in it: a label on every filter and map would make the
//! generated code twice as long as what the user wrote, and it is meant to be read.

use std::panic::Location;

use super::graph::Graph;

/// What a macro saw of one function.
#[derive(Debug, PartialEq, Eq)]
pub struct Listing {
    /// The function's name.
    pub name: &'static str,
    /// Its file, as the compiler was told of it.
    pub file: &'static str,
    /// What it was expanded to, formatted.
    pub expansion: &'static str,
    /// The operators that are called in it.
    pub notes: &'static [Note],
}

/// What a macro saw of one call of an operator.
#[derive(Debug, PartialEq, Eq)]
pub struct Note {
    /// The line of the method's name, from 1.
    pub line: u32,
    /// Its column, from 1.
    pub column: u32,
    /// What the result is bound to; empty where it is bound to nothing.
    pub binding: &'static str,
    /// The argument as it is written; empty where there is none.
    pub text: &'static str,
}

/// A function that a macro has expanded. The macros implement it for a type of the function's name,
/// as types and functions do not share their names.
pub trait Listed {
    /// What was seen.
    const LISTING: &'static Listing;
}

/// The parts that are being built, outermost first.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    entered: Vec<String>,
    offered: Option<String>,
}

impl Scopes {
    /// An operator's name within the parts.
    pub(super) fn full_name(&self, name: &str) -> String {
        let parts = self.entered.iter().map(String::as_str);
        parts.chain(std::iter::once(name)).collect::<Vec<_>>().join(".")
    }
}

/// A function on streams that is being run: what the macros write at its head.
#[derive(Debug)]
pub struct Building {
    graph: Graph,
    /// How many parts there were around the function.
    depth: usize,
}

impl Building {
    /// Enters a function, and the part whose name was offered for this call.
    pub(super) fn enter(graph: &Graph, listing: &'static Listing) -> Self {
        let mut plan = graph.0.borrow_mut();
        if !plan.listings.contains(&listing) {
            plan.listings.push(listing);
        }
        let depth = plan.scopes.entered.len();
        if let Some(name) = plan.scopes.offered.take() {
            plan.scopes.entered.push(name);
        }
        drop(plan);
        Self { graph: graph.clone(), depth }
    }

    /// Offers `name` to the part that is called while the answer lives.
    #[must_use]
    pub fn part(&self, name: &str) -> Offer {
        let offered = self.graph.0.borrow_mut().scopes.offered.replace(name.to_owned());
        Offer { graph: self.graph.clone(), outer: offered }
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        self.graph.0.borrow_mut().scopes.entered.truncate(self.depth);
    }
}

/// A name that a part may take.
#[derive(Debug)]
pub struct Offer {
    graph: Graph,
    outer: Option<String>,
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.graph.0.borrow_mut().scopes.offered = self.outer.take();
    }
}

/// The note of the operator that is called at a place.
pub(super) fn note_at(
    listings: &[&'static Listing],
    file: &str,
    line: u32,
    column: u32,
) -> Option<&'static Note> {
    let listings = listings.iter().filter(|listing| listing.file == file);
    let mut notes = listings.flat_map(|listing| listing.notes);
    notes.find(|note| note.line == line && note.column == column)
}

/// The same for a place that the compiler told.
pub(super) fn note_of(listings: &[&'static Listing], at: &Location<'_>) -> Option<&'static Note> {
    note_at(listings, at.file(), at.line(), at.column())
}
