//! Which fields are read behind an exchange, where every use of a record is a visible `x.field`.
//!
//! Takes `s.key_by(|c| c.user).sum(|c| c.amount)`; hands on the same with the fields named between
//! the two calls, or with the reason why they can't be.
//!
//! Why only operators that fold: what they keep is made by their closures, so those and the key's are
//! all that ever reads the record. Others hand the record on, or keep it for a later version of the
//! job, which may read another field of it.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use quote::quote_spanned;
use syn::visit::{self, Visit};
use syn::{Expr, ExprField, ExprMethodCall, ItemFn, Macro, Member, Pat, parse_quote};

use super::binding::{Scopes, plain};
use super::walk::{Called, Edit, walk};

/// The operators that fold, and how many of their arguments come before the closure; `None` where
/// they have no closure.
const FOLDING: [(&str, Option<usize>); 7] = [
    ("aggregate", Some(0)),
    ("count", None),
    ("distinct_count", Some(0)),
    ("hopping_count", None),
    ("sum", Some(0)),
    ("tumbling_count", None),
    ("windows", Some(1)),
];

/// Says what is read of the records that cross to folding operators.
pub(crate) fn say_reads(function: &mut ItemFn) {
    let scopes = Scopes::of_parameters(&function.sig);
    let name = function.sig.ident.to_string();
    walk(&mut function.block, &name, scopes, &mut Reading);
}

struct Reading;

impl Edit for Reading {
    fn called(&mut self, place: &mut Expr, _: Called<'_>) {
        let Expr::MethodCall(call) = place else {
            return;
        };
        let Some((_, closure)) = FOLDING.iter().find(|(method, _)| call.method == method) else {
            return;
        };
        let Expr::MethodCall(keyed) = &*call.receiver else {
            return;
        };
        if keyed.method != "key_by" {
            return;
        }
        let mut fields = BTreeSet::new();
        let read = read_by(keyed, 0, &mut fields).and_then(|()| match closure {
            Some(index) => read_by(call, *index, &mut fields),
            None => Ok(()),
        });
        let reads = match read {
            Ok(()) => {
                let fields = fields.iter();
                quote_spanned!(call.method.span()=> ::core::result::Result::Ok(&[#(#fields),*]))
            }
            Err(because) => {
                quote_spanned!(call.method.span()=> ::core::result::Result::Err(#because))
            }
        };
        insert(call, &reads);
    }
}

fn insert(call: &mut ExprMethodCall, reads: &TokenStream) {
    let receiver = &call.receiver;
    call.receiver = parse_quote!(#receiver.reading(#reads));
}

/// Adds the fields that a call's closure reads, or says why they are not known.
fn read_by(
    call: &ExprMethodCall,
    index: usize,
    fields: &mut BTreeSet<String>,
) -> Result<(), String> {
    let method = &call.method;
    let Some(Expr::Closure(closure)) = call.args.iter().nth(index) else {
        return Err(format!("`{method}` is given a function whose body is not in sight"));
    };
    let mut pattern = closure.inputs.first();
    while let Some(Pat::Type(typed)) = pattern {
        pattern = Some(&typed.pat);
    }
    match pattern {
        Some(Pat::Wild(_)) => Ok(()),
        // A field that is taken out of its record is seen as well as one that is read in it.
        Some(Pat::Struct(parts)) => {
            fields.extend(parts.fields.iter().filter_map(|part| named(&part.member)));
            Ok(())
        }
        Some(Pat::Ident(name)) if name.subpat.is_none() => {
            let name = name.ident.to_string();
            let mut uses = Uses { name: &name, fields, is_used_whole: false };
            uses.visit_expr(&closure.body);
            if uses.is_used_whole {
                return Err(format!("the closure of `{method}` uses `{name}` as a whole"));
            }
            Ok(())
        }
        _ => Err(format!("the closure of `{method}` takes its record apart")),
    }
}

fn named(member: &Member) -> Option<String> {
    match member {
        Member::Named(field) => Some(plain(&field.to_string())),
        Member::Unnamed(_) => None,
    }
}

/// The uses of one name. Where another thing has the same name further in, its fields are taken for
/// the record's: too many fields cross then, never too few.
struct Uses<'u> {
    name: &'u str,
    fields: &'u mut BTreeSet<String>,
    is_used_whole: bool,
}

impl Uses<'_> {
    fn is_name(&self, value: &Expr) -> bool {
        match value {
            Expr::Path(path) => path.path.is_ident(self.name),
            Expr::Paren(inner) => self.is_name(&inner.expr),
            Expr::Group(inner) => self.is_name(&inner.expr),
            _ => false,
        }
    }

    fn mentions(&self, tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => ident == self.name,
            TokenTree::Group(group) => self.mentions(group.stream()),
            // `format!("{c:?}")` names it within the text.
            TokenTree::Literal(literal) => {
                literal.to_string().contains(&format!("{{{}", self.name))
            }
            TokenTree::Punct(_) => false,
        })
    }
}

impl<'ast> Visit<'ast> for Uses<'_> {
    fn visit_expr_field(&mut self, place: &'ast ExprField) {
        match &place.member {
            Member::Named(_) if self.is_name(&place.base) => {
                self.fields.extend(named(&place.member));
            }
            _ => visit::visit_expr_field(self, place),
        }
    }

    fn visit_expr(&mut self, value: &'ast Expr) {
        if self.is_name(value) {
            self.is_used_whole = true;
        } else {
            visit::visit_expr(self, value);
        }
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.is_used_whole |= self.mentions(call.tokens.clone());
    }
}
