//! Stable names for stateful operators: they tie state to operators across versions of a job.
//!
//! Why from the program's own names and not from positions: adding an operator above another
//! would otherwise hand the one's state to the other. So two operators that would have one name
//! are an error, and not numbered.

use quote::quote_spanned;
use syn::{Error, Expr, ExprLit, ExprMethodCall, ItemFn, Lit, parse_quote};

use super::Errors;
use super::binding::{Scopes, plain};
use super::sharing::either_or;
use super::walk::{Called, Edit, Position, walk};

/// The methods of streams that keep state. A test of the engine holds it to this list.
const STATEFUL: &[&str] = &include!("stateful.in");

/// Inserts `.named("..")` after every stateful operator that has no name yet, and refuses two of
/// one name.
pub(crate) fn name_operators(function: &mut ItemFn) -> syn::Result<()> {
    let name = plain(&function.sig.ident.to_string());
    let scopes = Scopes::of_parameters(&function.sig);
    let mut given = Given { taken: Taken::default(), errors: Errors::default() };
    walk(&mut function.block, &name, scopes.clone(), &mut given);
    let mut names = Names { taken: given.taken, errors: given.errors };
    walk(&mut function.block, &name, scopes, &mut names);
    names.errors.finish()
}

/// The names that are taken, and the arms in which.
#[derive(Debug, Default)]
pub(crate) struct Taken(Vec<(String, Vec<(usize, usize)>)>);

impl Taken {
    /// Takes a name; whether nothing that is built together has it.
    pub(crate) fn take(&mut self, name: &str, arms: &[(usize, usize)]) -> bool {
        let mut same = self.0.iter().filter(|(taken, _)| taken == name);
        let is_free = same.all(|(_, taken)| either_or(taken, arms));
        self.0.push((name.to_owned(), arms.to_vec()));
        is_free
    }
}

/// What something that is called is named where the user does not say: for what it is bound to, or,
/// in the middle of a chain, with its own name after that.
pub(crate) fn derived(called: Called<'_>, own: &str) -> String {
    match called.position {
        Position::Outermost => called.base.to_owned(),
        Position::Named | Position::Inside => format!("{}_{own}", called.base),
    }
}

/// Collects the names that the user gave.
struct Given {
    taken: Taken,
    errors: Errors,
}

impl Edit for Given {
    fn called(&mut self, place: &mut Expr, called: Called<'_>) {
        if let Expr::MethodCall(ExprMethodCall { method, args, .. }) = place
            && method == "named"
            && let Some(Expr::Lit(ExprLit { lit: Lit::Str(name), .. })) = args.first()
            && !self.taken.take(&name.value(), called.arms)
        {
            let message = format!(
                "two operators are called `{}`: state is found by its operator's name, so each \
                 needs one of its own",
                name.value()
            );
            self.errors.add(Error::new_spanned(name, message));
        }
    }
}

struct Names {
    taken: Taken,
    errors: Errors,
}

impl Edit for Names {
    fn called(&mut self, place: &mut Expr, called: Called<'_>) {
        let Expr::MethodCall(call) = &*place else {
            return;
        };
        let method = call.method.clone();
        if called.position == Position::Named || !STATEFUL.iter().any(|one| method == one) {
            return;
        }
        let name = derived(called, &method.to_string());
        if !self.taken.take(&name, called.arms) {
            let message = format!(
                "this operator would be called `{name}`, as another one is: state is found by its \
                 operator's name; add `.named(\"...\")` with a name of its own, or bind it to another"
            );
            self.errors.add(Error::new_spanned(&method, message));
            return;
        }
        let named = quote_spanned!(method.span()=> named(#name));
        *place = parse_quote!(#place.#named);
    }
}
