//! Closures that hand their result to a second parameter instead of returning it.
//!
//! Why: a result like `PageView { page: c.page }` borrows from `c`, and Rust infers no lifetime
//! that ties a closure's return type to its argument. A parameter's lifetimes are tied by the
//! operator's signature (`for<'o, 'a> Fn(View<'a>, Out<'o, 'a, R>)`), so they are inferred.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Error, Expr, ExprAsync, ExprClosure, ExprReturn, ExprTry, Ident, Item, ItemFn, ReturnType,
    Stmt, parse_quote, parse_quote_spanned,
};

use super::binding::Scopes;
use super::walk::{Called, Edit, walk};

/// The operator, its closure's second parameter, and that parameter's method.
const HANDED: [(&str, &str, &str); 5] = [
    ("map", "__out", "emit"),
    ("filter_map", "__out", "emit_some"),
    ("flat_map", "__out", "emit_all"),
    ("key_by", "__key", "of"),
    ("distinct_count", "__key", "of"),
];

/// Rewrites the closures of a job's operators.
pub(crate) fn hand_on(function: &mut ItemFn) -> syn::Result<()> {
    let scopes = Scopes::of_parameters(&function.sig);
    let name = function.sig.ident.to_string();
    let mut closures = Closures { errors: None };
    walk(&mut function.block, &name, scopes, &mut closures);
    closures.errors.map_or(Ok(()), Err)
}

struct Closures {
    errors: Option<Error>,
}

impl Edit for Closures {
    fn called(&mut self, place: &mut Expr, _: Called<'_>) {
        let Expr::MethodCall(call) = place else {
            return;
        };
        let handed = HANDED.iter().find(|(method, ..)| call.method == method);
        let (Some((method, parameter, hand)), 1) = (handed, call.args.len()) else {
            return;
        };
        // A closure with two parameters hands on by itself.
        if let Some(Expr::Closure(closure)) = call.args.first_mut()
            && closure.inputs.len() == 1
        {
            for error in exits(&closure.body, method) {
                self.refuse(error);
            }
            rewrite(closure, parameter, hand);
        }
    }
}

impl Closures {
    fn refuse(&mut self, error: Error) {
        match &mut self.errors {
            Some(errors) => errors.combine(error),
            None => self.errors = Some(error),
        }
    }
}

/// `|c| BODY` becomes `move |c, __out| __out.emit(BODY)`.
fn rewrite(closure: &mut ExprClosure, parameter: &str, hand: &str) {
    let body_span = closure.body.span();
    let parameter = Ident::new(parameter, Span::mixed_site());
    let hand = Ident::new(hand, body_span);
    let body = match std::mem::replace(&mut closure.output, ReturnType::Default) {
        ReturnType::Default => unbraced(&closure.body),
        ReturnType::Type(_, of) => {
            let body = &closure.body;
            parse_quote!({ let result: #of = #body; result })
        }
    };
    *closure.body = parse_quote_spanned!(body_span=> #parameter.#hand(#body));
    closure.capture.get_or_insert_with(Default::default);
    closure.inputs.push(parse_quote!(#parameter));
}

/// `{ value }` is `value`, or rustc would warn of needless braces around an argument.
fn unbraced(body: &Expr) -> Expr {
    match body {
        Expr::Block(block) if block.attrs.is_empty() && block.label.is_none() => {
            match block.block.stmts.as_slice() {
                [Stmt::Expr(value, None)] => value.clone(),
                _ => body.clone(),
            }
        }
        _ => body.clone(),
    }
}

/// The places where a body would leave the closure with a value.
fn exits(body: &Expr, method: &str) -> Vec<Error> {
    let mut exits = Exits { method, errors: Vec::new() };
    exits.visit_expr(body);
    exits.errors
}

struct Exits<'m> {
    method: &'m str,
    errors: Vec<Error>,
}

impl Exits<'_> {
    fn refuse(&mut self, place: TokenStream, what: &str) {
        let advice = if self.method == "filter_map" {
            "make the value with `and_then` or `map`, or in a closure of its own: `(|| { .. })()`"
        } else {
            "make the value with `if` or `match`, or in a closure of its own: `(|| { .. })()`"
        };
        let method = self.method;
        self.errors.push(Error::new_spanned(
            place,
            format!(
                "`{what}` can't leave the closure of `{method}`, which hands its value on: {advice}"
            ),
        ));
    }
}

impl<'ast> Visit<'ast> for Exits<'_> {
    fn visit_expr_return(&mut self, place: &'ast ExprReturn) {
        let token = place.return_token;
        self.refuse(quote_spanned!(token.span=> #token), "return");
        visit::visit_expr_return(self, place);
    }
    fn visit_expr_try(&mut self, place: &'ast ExprTry) {
        let token = place.question_token;
        self.refuse(quote_spanned!(token.span()=> #token), "?");
        visit::visit_expr_try(self, place);
    }
    fn visit_expr_closure(&mut self, _: &'ast ExprClosure) {}
    fn visit_expr_async(&mut self, _: &'ast ExprAsync) {}
    fn visit_item(&mut self, _: &'ast Item) {}
}
