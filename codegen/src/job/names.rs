//! Stable names for stateful operators: they tie state to operators across versions of a job.
//!
//! Why from the program's own names and not from positions: adding an operator above another
//! would otherwise hand the one's state to the other.

use std::collections::BTreeSet;

use quote::quote_spanned;
use syn::{Expr, ExprLit, ExprMethodCall, ItemFn, Lit, parse_quote};

use super::binding::Scopes;
use super::walk::{Edit, Position, walk};

/// The operators that keep state.
const STATEFUL: [&str; 7] =
    ["count", "aggregate", "exact_windows", "tumbling", "hopping", "process", "join_by_position"];

/// Inserts `.named("..")` after every stateful operator that has no name yet.
pub(crate) fn name_operators(function: &mut ItemFn) {
    let name = function.sig.ident.to_string();
    let name = name.trim_start_matches("r#");
    let scopes = Scopes::of_parameters(&function.sig);
    let mut given = Given(BTreeSet::new());
    walk(&mut function.block, name, scopes.clone(), &mut given);
    let mut names = Names { taken: given.0 };
    walk(&mut function.block, name, scopes, &mut names);
}

/// Collects the names that the user gave, so that none is given twice.
struct Given(BTreeSet<String>);

impl Edit for Given {
    fn called(&mut self, place: &mut Expr, _: Position, _: &str) {
        if let Expr::MethodCall(ExprMethodCall { method, args, .. }) = place
            && method == "named"
            && let Some(Expr::Lit(ExprLit { lit: Lit::Str(name), .. })) = args.first()
        {
            self.0.insert(name.value());
        }
    }
}

struct Names {
    taken: BTreeSet<String>,
}

impl Edit for Names {
    fn called(&mut self, place: &mut Expr, position: Position, base: &str) {
        let Expr::MethodCall(call) = &*place else {
            return;
        };
        let method = call.method.clone();
        if position == Position::Named || !STATEFUL.iter().any(|stateful| method == stateful) {
            return;
        }
        let name = match position {
            Position::Outermost => base.to_owned(),
            Position::Named | Position::Inside => format!("{base}_{method}"),
        };
        let name = self.free(&name);
        let named = quote_spanned!(method.span()=> named(#name));
        *place = parse_quote!(#place.#named);
    }
}

impl Names {
    /// The name, with a number behind it where it is taken.
    fn free(&mut self, name: &str) -> String {
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
        let free = candidates
            .find(|candidate| !self.taken.contains(candidate))
            .expect("there are more numbers than operators");
        self.taken.insert(free.clone());
        free
    }
}
