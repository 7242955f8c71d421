//! Names for the uses of parts: what a part adds is called after the binding of its call.
//!
//! A call of a function that is given a stream becomes a block that offers it a name. A part takes
//! it; any other function does not see it. Why an offer and not an argument: a macro can't tell a
//! part from a plain function, and a plain function has no parameter for it.

use proc_macro2::Span;
use quote::{format_ident, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprCall, Ident, ItemFn, parse2};

use super::Errors;
use super::binding::{Scopes, plain};
use super::head::building;
use super::names::{Taken, derived};
use super::walk::{Called, Edit, walk};

/// Offers each call its name.
pub(crate) fn name_parts(function: &mut ItemFn) -> syn::Result<()> {
    let name = plain(&function.sig.ident.to_string());
    let scopes = Scopes::of_parameters(&function.sig);
    let mut parts = Parts { taken: Taken::default(), errors: Errors::default() };
    walk(&mut function.block, &name, scopes, &mut parts);
    parts.errors.finish()
}

struct Parts {
    taken: Taken,
    errors: Errors,
}

impl Edit for Parts {
    fn handed(&mut self, place: &mut Expr, called: Called<'_>) {
        let Expr::Call(call) = &*place else {
            return;
        };
        let Some(callee) = function_name(call) else {
            return;
        };
        let name = derived(called, &plain(&callee.to_string()));
        if !self.taken.take(&name, called.arms) {
            let message = format!(
                "what a part adds here would be called `{name}`, as another call's is; bind each \
                 call to a name of its own"
            );
            self.errors.add(Error::new_spanned(&callee, message));
            return;
        }
        *place = offered(call, &name);
    }
}

/// The last name of what is called; `None` where it is a closure, or a constructor such as `Some`.
fn function_name(call: &ExprCall) -> Option<Ident> {
    let Expr::Path(path) = &*call.func else {
        return None;
    };
    let last = &path.path.segments.last()?.ident;
    let is_constructor = last.to_string().starts_with(|first: char| first.is_uppercase());
    let is_associated = path.path.segments.iter().rev().nth(1).is_some_and(|segment| {
        segment.ident.to_string().starts_with(|first: char| first.is_uppercase())
    });
    (!is_constructor && !is_associated).then(|| last.clone())
}

/// Arguments that build something are built before the name is offered: it is not for them.
fn offered(call: &ExprCall, name: &str) -> Expr {
    let mut call = call.clone();
    let span = call.func.span();
    let (job, part) = (building(), Ident::new("__part", Span::mixed_site()));
    let mut before = Vec::new();
    for (index, argument) in call.args.iter_mut().enumerate() {
        if builds(argument) {
            let kept = format_ident!("__{index}", span = Span::mixed_site());
            before.push(quote_spanned!(argument.span()=> let #kept = #argument;));
            *argument = syn::parse_quote!(#kept);
        }
    }
    let offered = quote_spanned! {span=>
        {
            #(#before)*
            let #part = #job.part(#name);
            #call
        }
    };
    parse2(offered).expect("a block is an expression")
}

/// Whether an argument may build a part, which would take the name. A closure stays where its type is
/// asked for, also within a call such as `Box::new(..)`.
fn builds(argument: &Expr) -> bool {
    match argument {
        Expr::MethodCall(call) => call.method != "clone" || builds(&call.receiver),
        Expr::Call(call) => !call.args.iter().any(|inner| matches!(inner, Expr::Closure(_))),
        Expr::Reference(inner) => builds(&inner.expr),
        Expr::Paren(inner) => builds(&inner.expr),
        Expr::Group(inner) => builds(&inner.expr),
        Expr::Path(_) | Expr::Lit(_) | Expr::Closure(_) => false,
        _ => true,
    }
}
