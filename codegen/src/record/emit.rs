//! What a record expands to: the struct, its view, and the engine's traits for both.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};

use super::RecordInput;
use super::field::RecordField;

/// The whole expansion.
pub(crate) fn record(input: &RecordInput) -> TokenStream {
    let owned = owned_struct(input);
    let view = view_struct(input);
    let item_impls = item_impls(input);
    let record_impl = record_impl(input);
    quote! { #owned #view #item_impls #record_impl }
}

fn owned_struct(input: &RecordInput) -> TokenStream {
    let RecordInput { attributes, visibility, name, missing_derives, .. } = input;
    let fields = input.fields.iter().map(|field| {
        let RecordField { attributes, visibility, ident, declared_type, .. } = field;
        quote!(#(#attributes)* #visibility #ident: #declared_type)
    });
    let derives = missing_derives.iter().map(|name| match name.to_string().as_str() {
        "Debug" => quote!(::core::fmt::Debug,),
        "Clone" => quote!(::core::clone::Clone,),
        _ => quote!(::core::cmp::PartialEq,),
    });
    quote! {
        #[derive(
            #(#derives)*
            ::pelton::rkyv::Archive,
            ::pelton::rkyv::Serialize,
            ::pelton::rkyv::Deserialize
        )]
        #[rkyv(crate = ::pelton::rkyv)]
        #(#attributes)*
        #visibility struct #name { #(#fields),* }
    }
}

fn view_struct(input: &RecordInput) -> TokenStream {
    let RecordInput { visibility, name, view_name, archived_name, .. } = input;
    let (lifetime, generics, bounds) = if input.has_text() {
        let bounds = quote! {
            , serialize_bounds(
                __S: ::pelton::rkyv::ser::Writer,
                __S::Error: ::pelton::rkyv::rancor::Source
            )
        };
        (quote!('a), quote!(<'a>), bounds)
    } else {
        (TokenStream::new(), TokenStream::new(), TokenStream::new())
    };
    let fields = input.fields.iter().map(|field| {
        let RecordField { visibility, ident, .. } = field;
        let (rkyv, view_type) = (field.view_rkyv(), field.view_type(&lifetime));
        let mut documentation = field.documentation().peekable();
        let fallback = documentation
            .peek()
            .is_none()
            .then(|| format!("The field `{}` of [`{name}`].", field.name()))
            .map(|text| quote!(#[doc = #text]));
        quote!(#(#documentation)* #fallback #rkyv #visibility #ident: #view_type)
    });
    let documentation = format!("[`{name}`] as closures see it: text borrowed, numbers native.");
    quote! {
        #[doc = #documentation]
        #[derive(
            ::core::fmt::Debug,
            ::core::clone::Clone,
            ::core::marker::Copy,
            ::core::cmp::PartialEq,
            ::pelton::rkyv::Archive,
            ::pelton::rkyv::Serialize
        )]
        #[rkyv(crate = ::pelton::rkyv, as = #archived_name #bounds)]
        #visibility struct #view_name #generics { #(#fields),* }
    }
}

fn item_impls(input: &RecordInput) -> TokenStream {
    let RecordInput { name, view_name, .. } = input;
    let view = if input.has_text() { quote!(#view_name<'a>) } else { quote!(#view_name) };
    quote! {
        impl ::pelton::record::Item for #name {
            type View<'a> = #view;
        }

        impl<'a> ::pelton::record::View<'a> for #view {
            type Record = #name;
        }

        // A closure that makes text has nothing to borrow it from: it emits the record itself.
        impl<'a> ::pelton::record::Emit<'a> for #name {
            type Record = Self;
            #[inline(always)]
            fn into_emitted(self) -> ::pelton::record::Emitted<'a, Self> {
                ::pelton::record::Emitted::Owned(self)
            }
        }
    }
}

fn record_impl(input: &RecordInput) -> TokenStream {
    let RecordInput { name, archived_name, .. } = input;
    let schema = schema(input);
    let (to_view, from_view) = conversions(input);
    let event_time = event_time(input);
    let narrowed = narrowed(input);
    let encode = encode(input);
    let text = text(input);
    let layout = layout(input);
    quote! {
        impl ::pelton::record::Record for #name {
            type Archived = #archived_name;
            #schema
            #to_view
            #from_view
            #event_time
            #narrowed
            #encode
            #layout
            #text
        }
    }
}

fn schema(input: &RecordInput) -> TokenStream {
    let name = input.name.to_string();
    let name = name.trim_start_matches("r#");
    let fields = input.fields.iter().map(|field| {
        let (name, optional) = (field.name(), field.is_optional());
        let view_type = field.view_type(&quote!('static));
        quote! {
            ::pelton::record::FieldSchema {
                name: #name,
                field_type: <#view_type as ::pelton::record::Field<'static>>::TYPE,
                optional: #optional,
            }
        }
    });
    let is_fixed = !input.has_text();
    let texts = input.fields.iter().enumerate().filter(|(_, field)| field.is_text());
    let texts = texts.filter_map(|(index, _)| 1_u64.checked_shl(u32::try_from(index).ok()?));
    let texts = texts.fold(0, |bits, bit| bits | bit);
    let index = match input.fields.iter().position(|field| field.event_time) {
        Some(index) => quote!(::core::option::Option::Some(#index)),
        None => quote!(::core::option::Option::None),
    };
    quote! {
        const SCHEMA: ::pelton::record::Schema = ::pelton::record::Schema {
            name: #name,
            fields: &[#(#fields),*],
            event_time_index: #index,
        };
        const IS_FIXED: bool = #is_fixed;
        const TEXTS: u64 = #texts;
    }
}

/// To the view from both forms, and back to the owned one.
fn conversions(input: &RecordInput) -> (TokenStream, TokenStream) {
    let RecordInput { name, view_name, archived_name, fields, .. } = input;
    let idents: Vec<_> = fields.iter().map(|field| &field.ident).collect();
    let from_owned = fields.iter().map(RecordField::owned_to_view);
    let from_archived = fields.iter().map(RecordField::archived_to_view);
    let owned = fields.iter().map(RecordField::view_to_owned);
    let to_view = quote! {
        #[inline(always)]
        fn view(&self) -> <Self as ::pelton::record::Item>::View<'_> {
            #view_name { #(#idents: #from_owned),* }
        }

        #[inline(always)]
        fn view_archived(archived: &#archived_name) -> <Self as ::pelton::record::Item>::View<'_> {
            #view_name { #(#idents: #from_archived),* }
        }
    };
    let from_view = quote! {
        fn to_record(view: <Self as ::pelton::record::Item>::View<'_>) -> Self {
            #name { #(#idents: #owned),* }
        }
    };
    (to_view, from_view)
}

fn event_time(input: &RecordInput) -> TokenStream {
    let (parameter, body) = match input.fields.iter().find(|field| field.event_time) {
        Some(RecordField { ident, .. }) => {
            (quote!(view), quote!(::core::option::Option::Some(view.#ident)))
        }
        None => (quote!(_), quote!(::core::option::Option::None)),
    };
    quote! {
        #[inline(always)]
        fn event_time(
            #parameter: <Self as ::pelton::record::Item>::View<'_>,
        ) -> ::core::option::Option<::pelton::record::EventTime> {
            #body
        }
    }
}

/// The view without some texts; nothing where there are none.
fn narrowed(input: &RecordInput) -> TokenStream {
    let kept = input.fields.iter().enumerate().filter_map(|(index, field)| {
        let ident = &field.ident;
        let bit = 1_u64.checked_shl(u32::try_from(index).ok()?)?;
        let none = match (field.is_text(), field.is_optional()) {
            (true, false) => quote!(""),
            (true, true) => quote!(::core::option::Option::None),
            (false, _) => return None,
        };
        Some(quote!(#ident: if kept & #bit == 0 { #none } else { view.#ident }))
    });
    let kept: Vec<_> = kept.collect();
    if kept.is_empty() {
        return TokenStream::new();
    }
    let view_name = &input.view_name;
    let rest = (kept.len() < input.fields.len()).then(|| quote!(..view));
    quote! {
        #[inline]
        fn narrowed(
            view: <Self as ::pelton::record::Item>::View<'_>,
            kept: u64,
        ) -> <Self as ::pelton::record::Item>::View<'_> {
            #view_name { #(#kept,)* #rest }
        }
    }
}

/// The archived root comes last, aligned, behind the texts that don't fit into it.
fn encode(input: &RecordInput) -> TokenStream {
    let archived_name = &input.archived_name;
    let texts: Vec<_> = input.fields.iter().filter_map(RecordField::text_bytes).collect();
    let (parameter, padding) = if texts.is_empty() {
        (quote!(_), TokenStream::new())
    } else {
        (quote!(view), quote!(+ (::core::mem::align_of::<#archived_name>() - 1)))
    };
    quote! {
        #[inline(always)]
        fn payload_bytes_max(
            #parameter: <Self as ::pelton::record::Item>::View<'_>,
        ) -> usize {
            ::core::mem::size_of::<#archived_name>() #padding #(+ #texts)*
        }

        #[inline(always)]
        fn encode(
            view: <Self as ::pelton::record::Item>::View<'_>,
            writer: &mut ::pelton::record::FrameWriter<'_>,
        ) -> ::core::result::Result<(), ::pelton::record::PayloadFull> {
            match ::pelton::rkyv::api::serialize_using::<_, ::pelton::rkyv::rancor::Failure>(
                &view, writer,
            ) {
                ::core::result::Result::Ok(_) => ::core::result::Result::Ok(()),
                ::core::result::Result::Err(_) => {
                    ::core::result::Result::Err(::pelton::record::PayloadFull)
                }
            }
        }
    }
}

/// Where the archived fields lie, and whether bytes are an archived record.
fn layout(input: &RecordInput) -> TokenStream {
    let RecordInput { archived_name, fields, .. } = input;
    let offsets = fields.iter().map(|field| {
        let ident = &field.ident;
        quote!(::core::mem::offset_of!(#archived_name, #ident))
    });
    quote! {
        fn layout() -> ::pelton::record::RecordLayout {
            ::pelton::record::RecordLayout::of(
                &<Self as ::pelton::record::Record>::SCHEMA,
                &[#(#offsets),*],
                ::core::mem::size_of::<#archived_name>(),
            )
        }

        fn is_valid_payload(payload: &[u8]) -> bool {
            ::pelton::record::is_valid_root::<#archived_name>(payload)
        }
    }
}

/// From the fields of a row, and back to them.
fn text(input: &RecordInput) -> TokenStream {
    let view_name = &input.view_name;
    let parsed = input.fields.iter().enumerate().map(|(index, field)| {
        let (ident, name) = (&field.ident, field.name());
        quote_spanned! {field.type_span()=>
            #ident: ::pelton::record::Field::parse(source.text(#index)).map_err(|reason| {
                ::pelton::record::FieldError { field: #name, reason }
            })?
        }
    });
    let written = input.fields.iter().map(|field| {
        let (ident, name) = (field.ident.to_token_stream(), field.name());
        quote!(::pelton::record::Field::write(view.#ident, #name, writer);)
    });
    quote! {
        #[inline]
        fn decode<'a, S: ::pelton::record::FieldSource<'a>>(
            source: &S,
        ) -> ::core::result::Result<
            <Self as ::pelton::record::Item>::View<'a>,
            ::pelton::record::FieldError,
        > {
            ::core::result::Result::Ok(#view_name { #(#parsed),* })
        }

        #[inline]
        fn write_row<W: ::pelton::record::RowWriter>(
            view: <Self as ::pelton::record::Item>::View<'_>,
            writer: &mut W,
        ) {
            #(#written)*
        }
    }
}
