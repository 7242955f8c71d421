//! `#[pelton::job]`: from an ordinary-looking function to one whose operators fuse.
//!
//! Takes the function's tokens; hands on the same function with its return type's chains, shared
//! roots, closures that hand on and operators that have names. Each is one file here, and each
//! looks only at the syntax: what is wrong in types is for rustc to say, at the user's line.

mod binding;
mod closures;
mod names;
mod sharing;
mod signature;
#[cfg(test)]
mod tests;
mod walk;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, ItemFn, parse_quote};

/// Expands the attribute.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let error = not_a_function(&item, &error).to_compile_error();
            return quote!(#error #item);
        }
    };
    match rewrite(arguments, function.clone()) {
        Ok(function) => function.into_token_stream(),
        Err(errors) => with_errors(function, &errors),
    }
}

fn rewrite(arguments: TokenStream, mut function: ItemFn) -> syn::Result<ItemFn> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "`#[pelton::job]` takes no arguments"));
    }
    signature::check(&function)?;
    signature::add_chains(&mut function);
    let shared = sharing::share(&mut function);
    let handed = closures::hand_on(&mut function);
    match (shared, handed) {
        (Ok(()), Ok(())) => {}
        (Err(mut errors), Err(more)) => {
            errors.combine(more);
            return Err(errors);
        }
        (Err(errors), Ok(())) | (Ok(()), Err(errors)) => return Err(errors),
    }
    names::name_operators(&mut function);
    Ok(function)
}

/// A struct or a module gets a sentence of its own; a function that does not parse, syn's.
fn not_a_function(item: &TokenStream, error: &Error) -> Error {
    match syn::parse2::<syn::Item>(item.clone()) {
        Ok(item) => Error::new_spanned(item, "`#[pelton::job]` belongs on a function"),
        Err(_) => error.clone(),
    }
}

/// The errors, and the function without its body, so that its callers still resolve.
fn with_errors(mut function: ItemFn, errors: &Error) -> TokenStream {
    let errors = errors.to_compile_error();
    function.attrs.push(parse_quote!(#[allow(unused_variables)]));
    *function.block = parse_quote!({ ::core::unreachable!("the job above does not compile") });
    quote!(#errors #function)
}
