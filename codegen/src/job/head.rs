//! The head of a function: what it tells the job that it builds.
//!
//! Each parameter that is a stream by its type is told its name, and the function its listing. The
//! answer, `__job`, also names the parts that the function calls; it ends with the function.

use proc_macro2::Span;
use syn::{FnArg, Ident, ItemFn, Pat, Signature, Type, parse_quote};

use super::binding::{plain, stream_segment};

/// The parameters that are streams, by name.
pub(crate) fn streams(signature: &Signature) -> Vec<Ident> {
    let mut names = Vec::new();
    for parameter in &signature.inputs {
        if let FnArg::Typed(parameter) = parameter {
            add(&parameter.pat, &parameter.ty, &mut names);
        }
    }
    names
}

fn add(pattern: &Pat, of: &Type, names: &mut Vec<Ident>) {
    match (pattern, of) {
        (Pat::Tuple(pattern), Type::Tuple(of)) => {
            for (pattern, of) in pattern.elems.iter().zip(&of.elems) {
                add(pattern, of, names);
            }
        }
        (Pat::Ident(pattern), of) => {
            let segment = stream_segment(of).map(|segment| segment.ident.to_string());
            if matches!(segment.as_deref(), Some("Stream" | "Changelog")) {
                names.push(pattern.ident.clone());
            }
        }
        _ => {}
    }
}

/// The name of what a function's head makes.
pub(crate) fn building() -> Ident {
    Ident::new("__job", Span::mixed_site())
}

/// Writes the head.
pub(crate) fn enter(function: &mut ItemFn, streams: &[Ident]) {
    let (job, own) = (building(), function.sig.ident.clone());
    let lines = streams.iter().map(|stream| {
        let name = plain(&stream.to_string());
        parse_quote! {
            let #job = #stream.begins(<#own as ::pelton::job::Listed>::LISTING, #name);
        }
    });
    let lines: Vec<syn::Stmt> = lines.collect();
    function.block.stmts.splice(0..0, lines);
}
