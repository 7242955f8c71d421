//! The struct under `#[pelton::record]`, checked.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Fields, Ident, Item, ItemStruct, Path, Token, Visibility};

use super::field::RecordField;

/// A struct that can be a record.
pub(crate) struct RecordInput {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) name: Ident,
    pub(crate) view_name: Ident,
    pub(crate) archived_name: Ident,
    pub(crate) fields: Vec<RecordField>,
    /// Which of `Debug`, `Clone` and `PartialEq` the user does not derive.
    pub(crate) missing_derives: Vec<Ident>,
}

impl RecordInput {
    /// Whether the view borrows anything, and so has a lifetime.
    pub(crate) fn has_text(&self) -> bool {
        self.fields.iter().any(RecordField::is_text)
    }
}

/// Checks the struct; the error holds every mistake, each at its own place.
pub(crate) fn parse(arguments: TokenStream, item: TokenStream) -> syn::Result<RecordInput> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "`#[pelton::record]` takes no arguments"));
    }
    let (record, fields) = named_struct(syn::parse2(item)?)?;
    let fields = checked_fields(fields)?;
    let base = record.ident.unraw();
    Ok(RecordInput {
        missing_derives: missing_derives(&record.attrs)?,
        view_name: format_ident!("{base}View", span = record.ident.span()),
        archived_name: format_ident!("Archived{base}", span = record.ident.span()),
        attributes: record.attrs,
        visibility: record.vis,
        name: record.ident,
        fields,
    })
}

fn named_struct(item: Item) -> syn::Result<(ItemStruct, Vec<syn::Field>)> {
    let mut record = match item {
        Item::Struct(record) => record,
        Item::Enum(item) => {
            let message = "a record is a struct with named fields; for one of several kinds, use \
                           a field that says which, and options";
            return Err(Error::new_spanned(item.enum_token, message));
        }
        other => {
            let message = "`#[pelton::record]` belongs on a struct with named fields";
            return Err(Error::new_spanned(other, message));
        }
    };
    if !record.generics.params.is_empty() {
        let message = "a record has one layout, so it takes no type parameters or lifetimes";
        return Err(Error::new_spanned(&record.generics, message));
    }
    match std::mem::replace(&mut record.fields, Fields::Unit) {
        Fields::Named(fields) if !fields.named.is_empty() => {
            let fields = fields.named.into_iter().collect();
            Ok((record, fields))
        }
        Fields::Unnamed(fields) => Err(Error::new(
            fields.span(),
            "a record's fields have names, which are its columns: write `struct Click { user: .. }`",
        )),
        Fields::Named(_) | Fields::Unit => {
            Err(Error::new_spanned(&record.ident, "a record has at least one field"))
        }
    }
}

fn checked_fields(fields: Vec<syn::Field>) -> syn::Result<Vec<RecordField>> {
    let mut checked: Vec<RecordField> = Vec::with_capacity(fields.len());
    let mut errors: Option<Error> = None;
    for field in fields {
        let place = field.ident.clone();
        let result = RecordField::new(field).and_then(|field| {
            match checked.iter().find(|earlier| field.event_time && earlier.event_time) {
                Some(earlier) => Err(Error::new_spanned(
                    place,
                    format!("a record has one event time, and `{}` is it already", earlier.name()),
                )),
                None => Ok(field),
            }
        });
        match (result, &mut errors) {
            (Ok(field), _) => checked.push(field),
            (Err(error), Some(errors)) => errors.combine(error),
            (Err(error), None) => errors = Some(error),
        }
    }
    errors.map_or(Ok(checked), Err)
}

fn missing_derives(attributes: &[Attribute]) -> syn::Result<Vec<Ident>> {
    let mut derived: Vec<Path> = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        derived.extend(attribute.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated)?);
    }
    let is_derived = |name: &&str| {
        derived.iter().any(|path| path.segments.last().is_some_and(|last| last.ident == name))
    };
    let wanted = ["Debug", "Clone", "PartialEq"];
    let missing = wanted.iter().filter(|name| !is_derived(name));
    Ok(missing.map(|name| format_ident!("{name}")).collect())
}

/// The errors, and the struct without our attributes, so that its other uses still resolve.
pub(crate) fn with_errors(item: TokenStream, errors: &Error) -> TokenStream {
    let errors = errors.to_compile_error();
    let item = match syn::parse2::<Item>(item) {
        Ok(Item::Struct(mut item)) => {
            for field in &mut item.fields {
                field.attrs.retain(|attribute| {
                    !attribute.path().is_ident("event_time") && !attribute.path().is_ident("rkyv")
                });
            }
            item.into_token_stream()
        }
        Ok(item) => item.into_token_stream(),
        Err(_) => TokenStream::new(),
    };
    quote!(#errors #item)
}
