//! `#[pelton::state]`: from a plain struct to a value that the state log keeps.
//!
//! Takes the struct's tokens; hands on the struct with what it needs to derive, and its bytes: the
//! fields one after the other, little endian, in the order of their declaration.
//!
//! The layout keeps the fields' names, so a later version of the job may add, remove, reorder and
//! widen them: an added field is zero in what was kept before.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Fields, Ident, Item, ItemStruct, Path, Token, Type};

/// Expands the attribute.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    match parse(arguments, item.clone()) {
        Ok(state) => emit(&state),
        Err(errors) => {
            let errors = errors.to_compile_error();
            quote!(#errors #item)
        }
    }
}

/// A struct that can be kept.
struct StateInput {
    item: ItemStruct,
    fields: Vec<(Ident, Type)>,
    missing_derives: Vec<Ident>,
}

fn parse(arguments: TokenStream, item: TokenStream) -> syn::Result<StateInput> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "`#[pelton::state]` takes no arguments"));
    }
    let item = match syn::parse2(item)? {
        Item::Struct(item) => item,
        Item::Enum(item) => {
            let message = "state is a struct with named fields; for one of several kinds, use a \
                           number that says which";
            return Err(Error::new_spanned(item.enum_token, message));
        }
        other => {
            let message = "`#[pelton::state]` belongs on a struct with named fields";
            return Err(Error::new_spanned(other, message));
        }
    };
    if !item.generics.params.is_empty() {
        let message = "state has one layout, so it takes no type parameters or lifetimes";
        return Err(Error::new_spanned(&item.generics, message));
    }
    let fields = named_fields(&item)?;
    let missing_derives = missing_derives(&item.attrs)?;
    Ok(StateInput { item, fields, missing_derives })
}

fn named_fields(item: &ItemStruct) -> syn::Result<Vec<(Ident, Type)>> {
    let fields = match &item.fields {
        Fields::Named(fields) if !fields.named.is_empty() => &fields.named,
        Fields::Unnamed(fields) => {
            let message = "state's fields have names, by which a later version of the job finds \
                           them: write `struct Profile { count: u64 }`";
            return Err(Error::new(fields.span(), message));
        }
        Fields::Named(_) | Fields::Unit => {
            return Err(Error::new_spanned(&item.ident, "state has at least one field"));
        }
    };
    let mut errors: Option<Error> = None;
    let mut checked = Vec::new();
    for field in fields {
        let conditional = field.attrs.iter().find(|attribute| {
            attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr")
        });
        let error = conditional
            .map(|attribute| {
                Error::new_spanned(attribute, "state has the same fields in every build")
            })
            .or_else(|| refused(&field.ty));
        match (error, &mut errors) {
            (Some(error), Some(errors)) => errors.combine(error),
            (Some(error), None) => errors = Some(error),
            (None, _) => {}
        }
        let ident = field.ident.clone().expect("the struct was checked to have named fields");
        checked.push((ident, field.ty.clone()));
    }
    errors.map_or(Ok(checked), Err)
}

/// What is often tried, with what to write instead. All other types are told by the compiler.
fn refused(of: &Type) -> Option<Error> {
    let message = match of {
        Type::Reference(_) => "state outlives every record: it borrows nothing",
        Type::Path(path) => match path.path.segments.last()?.ident.to_string().as_str() {
            "String" => "state has a fixed length: keep text as a key, or its hash as `u64`",
            "Vec" => "state has a fixed length: use a `ListState`, or an array",
            "Option" => {
                "state has no options: use a `bool` beside the value, or a value of its own"
            }
            "usize" | "isize" => "state is the same on every machine: use `u64` or `i64`",
            _ => return None,
        },
        _ => return None,
    };
    Some(Error::new_spanned(of, message))
}

fn missing_derives(attributes: &[Attribute]) -> syn::Result<Vec<Ident>> {
    let mut derived: Vec<Path> = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        derived.extend(attribute.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated)?);
    }
    let is_derived = |name: &&str| {
        derived.iter().any(|path| path.segments.last().is_some_and(|last| last.ident == name))
    };
    let wanted = ["Debug", "Clone", "Copy", "PartialEq", "Default"];
    let missing = wanted.iter().filter(|name| !is_derived(name));
    Ok(missing.map(|name| Ident::new(name, Span::call_site())).collect())
}

fn emit(StateInput { item, fields, missing_derives }: &StateInput) -> TokenStream {
    let derives = missing_derives.iter().map(|name| match name.to_string().as_str() {
        "Debug" => quote!(::core::fmt::Debug),
        "Clone" => quote!(::core::clone::Clone),
        "Copy" => quote!(::core::marker::Copy),
        "PartialEq" => quote!(::core::cmp::PartialEq),
        _ => quote!(::core::default::Default),
    });
    let fixed = fixed_impl(&item.ident, fields);
    quote! {
        #[derive(#(#derives),*)]
        #item
        #fixed
    }
}

fn fixed_impl(name: &Ident, fields: &[(Ident, Type)]) -> TokenStream {
    let idents: Vec<_> = fields.iter().map(|(ident, _)| ident).collect();
    let values: Vec<_> = (0..fields.len()).map(|index| format_ident!("field_{index}")).collect();
    let names = idents.iter().map(|ident| ident.unraw().to_string());
    // Spanned, so that a type that can't be kept is told where it stands.
    let kinds: Vec<_> = fields
        .iter()
        .map(|(_, kind)| {
            let kind = kind.to_token_stream();
            quote_spanned!(kind.span()=> <#kind as ::pelton::record::Fixed>)
        })
        .collect();
    quote! {
        impl ::pelton::record::Fixed for #name {
            const BYTES: usize = 0 #(+ #kinds::BYTES)*;

            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                let bytes = &bytes[..<Self as ::pelton::record::Fixed>::BYTES];
                let at = 0;
                #(
                    let #values = #kinds::read(&bytes[at..]);
                    let at = at + #kinds::BYTES;
                )*
                let _ = at;
                Self { #(#idents: #values),* }
            }

            #[inline(always)]
            fn write(self, bytes: &mut [u8]) {
                let bytes = &mut bytes[..<Self as ::pelton::record::Fixed>::BYTES];
                let at = 0;
                #(
                    #kinds::write(self.#idents, &mut bytes[at..]);
                    let at = at + #kinds::BYTES;
                )*
                let _ = at;
            }

            fn layout() -> ::pelton::record::Layout {
                ::pelton::record::Layout::fields([#((#names, #kinds::layout())),*])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expansion_holds_no_unsafe_and_keeps_the_order_of_the_fields() {
        let tokens = expand(
            TokenStream::new(),
            quote!(
                #[derive(Debug, Clone)]
                struct Profile {
                    count: u64,
                    r#type: u8,
                }
            ),
        );
        let text = prettyplease::unparse(&syn::parse2(tokens).unwrap());
        assert!(!text.contains("unsafe"), "{text}");
        assert!(text.contains("::core::marker::Copy"), "{text}");
        assert!(!text.contains("::core::clone::Clone"), "{text}");
        let (count, kind) = (text.find("\"count\"").unwrap(), text.find("\"type\"").unwrap());
        assert!(count < kind, "{text}");
    }
}
