//! One field of a record: its type, and how it is read from each of the record's forms.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Error, GenericArgument, Ident, PathArguments, Type, Visibility};

/// How a field's type is archived, which decides how it is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One byte: archived as itself.
    Byte,
    /// A number of several bytes: archived in little endian.
    Number,
    /// `String`, which views borrow.
    Text,
    /// `EventTime` or `Decimal`: a newtype over `i64`.
    Wrapped,
}

/// A field that a record may have.
pub(crate) struct RecordField {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) ident: Ident,
    pub(crate) declared_type: Type,
    pub(crate) event_time: bool,
    /// The type without the option.
    value_type: Type,
    form: Form,
    optional: bool,
}

impl RecordField {
    /// Checks one field of the struct.
    pub(crate) fn new(field: syn::Field) -> syn::Result<Self> {
        let ident = field.ident.expect("the struct was checked to have named fields");
        let declared_type = ungrouped(&field.ty).clone();
        let (value_type, optional) = match option_argument(&declared_type) {
            Some(inner) => (ungrouped(inner).clone(), true),
            None => (declared_type.clone(), false),
        };
        let form = form(&value_type)?;
        let mut attributes = field.attrs;
        let event_time = take_event_time(&mut attributes, &value_type, optional)?;
        refuse_attributes(&attributes)?;
        Ok(Self {
            attributes,
            visibility: field.vis,
            ident,
            declared_type,
            event_time,
            value_type,
            form,
            optional,
        })
    }

    /// The column's name: the field's, without `r#`.
    pub(crate) fn name(&self) -> String {
        self.ident.unraw().to_string()
    }

    /// Where errors about the field's type belong.
    pub(crate) fn type_span(&self) -> Span {
        self.value_type.span()
    }

    pub(crate) fn is_text(&self) -> bool {
        self.form == Form::Text
    }

    pub(crate) fn is_optional(&self) -> bool {
        self.optional
    }

    /// The documentation that the view's field shares with the struct's.
    pub(crate) fn documentation(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter().filter(|attribute| attribute.path().is_ident("doc"))
    }

    /// The field's type in the view, where text lives for `lifetime`.
    pub(crate) fn view_type(&self, lifetime: &TokenStream) -> TokenStream {
        match (self.is_text(), self.optional) {
            (true, false) => quote_spanned!(self.type_span()=> &#lifetime str),
            (true, true) => {
                quote_spanned!(self.type_span()=> ::core::option::Option<&#lifetime str>)
            }
            (false, _) => self.declared_type.to_token_stream(),
        }
    }

    /// How the view's field serialises to the struct's archived form, where it is not by itself.
    pub(crate) fn view_rkyv(&self) -> TokenStream {
        match (self.is_text(), self.optional) {
            (false, _) => TokenStream::new(),
            (true, false) => quote!(#[rkyv(with = ::pelton::record::AsString, omit_bounds)]),
            (true, true) => quote! {
                #[rkyv(with = ::pelton::rkyv::with::Map<::pelton::record::AsString>, omit_bounds)]
            },
        }
    }

    /// The view's value, from `self`.
    pub(crate) fn owned_to_view(&self) -> TokenStream {
        let ident = &self.ident;
        match (self.is_text(), self.optional) {
            (true, false) => quote!(self.#ident.as_str()),
            (true, true) => quote!(self.#ident.as_deref()),
            (false, _) => quote!(self.#ident),
        }
    }

    /// The view's value, from `archived`.
    pub(crate) fn archived_to_view(&self) -> TokenStream {
        let (ident, value_type) = (&self.ident, &self.value_type);
        match (self.form, self.optional) {
            (Form::Byte, false) => quote!(archived.#ident),
            (Form::Byte, true) => quote!(archived.#ident.as_ref().copied()),
            (Form::Number, false) => quote!(archived.#ident.to_native()),
            (Form::Number, true) => {
                quote!(archived.#ident.as_ref().map(|value| value.to_native()))
            }
            (Form::Text, false) => quote!(archived.#ident.as_str()),
            (Form::Text, true) => quote!(archived.#ident.as_deref()),
            (Form::Wrapped, false) => quote!(#value_type(archived.#ident.0.to_native())),
            (Form::Wrapped, true) => {
                quote!(archived.#ident.as_ref().map(|value| #value_type(value.0.to_native())))
            }
        }
    }

    /// The owned value, from `view`.
    pub(crate) fn view_to_owned(&self) -> TokenStream {
        let ident = &self.ident;
        match (self.is_text(), self.optional) {
            (true, false) => quote!(::std::string::String::from(view.#ident)),
            (true, true) => quote!(view.#ident.map(::std::string::String::from)),
            (false, _) => quote!(view.#ident),
        }
    }

    /// How many bytes the field may take behind the archived root, from `view`.
    pub(crate) fn text_bytes(&self) -> Option<TokenStream> {
        let ident = &self.ident;
        match (self.is_text(), self.optional) {
            (true, false) => Some(quote!(view.#ident.len())),
            (true, true) => Some(quote!(view.#ident.map_or(0, str::len))),
            (false, _) => None,
        }
    }
}

/// `macro_rules!` wraps the types that it hands on in invisible groups.
fn ungrouped(mut of: &Type) -> &Type {
    loop {
        of = match of {
            Type::Group(group) => &group.elem,
            Type::Paren(paren) => &paren.elem,
            other => return other,
        };
    }
}

fn option_argument(of: &Type) -> Option<&Type> {
    let Type::Path(path) = of else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == "Option")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match (arguments.args.len(), arguments.args.first()) {
        (1, Some(GenericArgument::Type(inner))) => Some(inner),
        _ => None,
    }
}

fn form(of: &Type) -> syn::Result<Form> {
    let Type::Path(path) = of else {
        return Err(unsupported(of));
    };
    let last = path.path.segments.last().ok_or_else(|| unsupported(of))?;
    if !last.arguments.is_none() {
        return Err(unsupported(of));
    }
    match last.ident.to_string().as_str() {
        "bool" | "i8" | "u8" => Ok(Form::Byte),
        "i16" | "i32" | "i64" | "u16" | "u32" | "u64" | "f32" | "f64" => Ok(Form::Number),
        "String" => Ok(Form::Text),
        "EventTime" | "Decimal" => Ok(Form::Wrapped),
        _ => Err(unsupported(of)),
    }
}

/// Says what to write instead, where there is a usual answer.
fn unsupported(of: &Type) -> Error {
    let written = [("& ", "&"), (" <", "<"), ("< ", "<"), (" >", ">"), (" ;", ";"), (" ,", ",")]
        .iter()
        .fold(of.to_token_stream().to_string(), |text, (from, to)| text.replace(from, to));
    let advice = match written.as_str() {
        "usize" | "isize" => "a record is the same on every machine: use `u64` or `i64`",
        "u128" | "i128" => "the widest number of a record has 64 bits",
        "char" => "use `String`",
        "Instant" | "SystemTime" | "Duration" => "use `EventTime`, or microseconds as `i64`",
        _ if written.starts_with('&') => {
            "a record owns its text: use `String`; closures see it as `&str`"
        }
        _ if written.starts_with("Vec<") => {
            "a record holds no lists: send one record for each element"
        }
        _ if written.starts_with("Option<") => "an option can't stand in an option",
        _ => {
            "use bool, i8 to i64, u8 to u64, f32, f64, String, EventTime, Decimal, or an Option \
             of one (the type itself: an alias can't be seen through)"
        }
    };
    Error::new_spanned(of, format!("`{written}` can't be a record's field: {advice}"))
}

/// Removes `#[event_time]` from the attributes, and says whether it was there.
fn take_event_time(
    attributes: &mut Vec<Attribute>,
    value_type: &Type,
    optional: bool,
) -> syn::Result<bool> {
    let mut marks = attributes.extract_if(.., |attribute| attribute.path().is_ident("event_time"));
    let Some(mark) = marks.next() else {
        return Ok(false);
    };
    if mark.meta.require_path_only().is_err() {
        return Err(Error::new_spanned(mark, "`#[event_time]` takes no arguments"));
    }
    if let Some(second) = marks.next() {
        return Err(Error::new_spanned(second, "`#[event_time]` stands here twice"));
    }
    let is_time = matches!(value_type, Type::Path(path)
        if path.path.segments.last().is_some_and(|last| last.ident == "EventTime"));
    match (is_time, optional) {
        (true, false) => Ok(true),
        (true, true) => Err(Error::new_spanned(
            value_type,
            "every record has its event time: use `EventTime`, not an option of it",
        )),
        (false, _) => Err(Error::new_spanned(
            value_type,
            format!(
                "the `#[event_time]` field has type `EventTime`, not `{}`",
                value_type.to_token_stream()
            ),
        )),
    }
}

/// Attributes of other macros would change the struct and not its view.
fn refuse_attributes(attributes: &[Attribute]) -> syn::Result<()> {
    for attribute in attributes {
        if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
            let message = "a record has the same fields in every build";
            return Err(Error::new_spanned(attribute, message));
        }
        if attribute.path().is_ident("rkyv") {
            let message = "`#[pelton::record]` writes rkyv's attributes itself";
            return Err(Error::new_spanned(attribute, message));
        }
    }
    Ok(())
}
