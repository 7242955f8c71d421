//! `#[pelton::job]` and `#[pelton::part]`: from ordinary-looking functions to ones whose operators
//! fuse.
//!
//! Takes the function's tokens; hands on the same function with its types' chains, shared roots,
//! closures that hand on and operators that have names, and a listing of what was done. Each is one
//! file here, and each looks only at the syntax: what is wrong in types is for rustc to say, at the
//! user's line.

mod binding;
mod closures;
mod head;
mod listing;
mod names;
mod parts;
mod reading;
mod sharing;
mod signature;
#[cfg(test)]
mod tests;
mod walk;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, parse_quote};

/// Which attribute a function has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `#[pelton::job]`
    Job,
    /// `#[pelton::part]`
    Part,
}

impl Kind {
    fn noun(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Part => "part",
        }
    }
}

/// Expands the attribute.
pub(crate) fn expand(kind: Kind, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let error = not_a_function(kind, &item, &error).to_compile_error();
            return quote!(#error #item);
        }
    };
    let notes = listing::notes(&function);
    match rewrite(kind, arguments, function.clone()) {
        Ok(function) => {
            let listing = listing::items(&function, &notes);
            quote!(#function #listing)
        }
        Err(errors) => with_errors(kind, function, &errors),
    }
}

fn rewrite(kind: Kind, arguments: TokenStream, mut function: ItemFn) -> syn::Result<ItemFn> {
    if !arguments.is_empty() {
        let message = format!("`#[pelton::{}]` takes no arguments", kind.noun());
        return Err(Error::new_spanned(arguments, message));
    }
    signature::check(kind, &function)?;
    signature::add_chains(kind, &mut function);
    let streams = head::streams(&function.sig);
    let mut errors = Errors::default();
    errors.take(sharing::share(&mut function));
    errors.take(closures::hand_on(&mut function));
    reading::say_reads(&mut function);
    errors.take(names::name_operators(&mut function));
    if !streams.is_empty() {
        errors.take(parts::name_parts(&mut function));
    }
    errors.finish()?;
    head::enter(&mut function, &streams);
    Ok(function)
}

/// Mistakes that are told together, each at its place.
#[derive(Debug, Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    fn take(&mut self, result: syn::Result<()>) {
        if let Err(error) = result {
            self.add(error);
        }
    }

    pub(crate) fn finish(self) -> syn::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

/// A struct or a module gets a sentence of its own; a function that does not parse, syn's.
fn not_a_function(kind: Kind, item: &TokenStream, error: &Error) -> Error {
    match syn::parse2::<syn::Item>(item.clone()) {
        Ok(item) => {
            let message = format!("`#[pelton::{}]` belongs on a function", kind.noun());
            Error::new_spanned(item, message)
        }
        Err(_) => error.clone(),
    }
}

/// The errors, and the function without its body, so that its callers still resolve.
fn with_errors(kind: Kind, mut function: ItemFn, errors: &Error) -> TokenStream {
    let errors = errors.to_compile_error();
    let message = format!("the {} above does not compile", kind.noun());
    function.attrs.push(parse_quote!(#[allow(unused_variables)]));
    *function.block = parse_quote!({ ::core::unreachable!(#message) });
    // A type can't stand where a method does.
    let is_free = function.sig.receiver().is_none();
    let listing = is_free.then(|| listing::items(&function, &[]));
    quote!(#errors #function #listing)
}
