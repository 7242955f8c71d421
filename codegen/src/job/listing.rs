//! What is told of a function: its expansion, formatted, and the operators that it calls.
//!
//! The listing is a constant of a type that has the function's name: types and functions don't
//! share their names, so whoever can name the function can name its listing, and `pelton::main!`
//! needs no second list.
//!
//! Why the text is made here and put into the program, and not printed by a tool such as
//! `cargo expand`: that needs the sources and a nightly compiler, shows all other macros expanded
//! too, and can't answer for a program that was installed. It costs some kilobytes a job.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, File, Item, ItemFn, Stmt, Token, parse_quote};

use super::binding::{Scopes, plain};
use super::walk::{Called, Edit, Position, walk};

/// Longer arguments are cut: a plan has a line for each operator.
const TEXT_CHARS_MAX: usize = 72;
/// Methods of streams that do nothing to items.
const SILENT: [&str; 9] =
    ["named", "clone", "to", "collect", "changes", "at_end", "fork", "without_side", "begins"];

/// What was seen of one call of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    line: usize,
    column: usize,
    binding: String,
    text: String,
}

/// The calls of operators in a function as it is written.
pub(crate) fn notes(function: &ItemFn) -> Vec<Note> {
    let mut function = function.clone();
    let scopes = Scopes::of_parameters(&function.sig);
    let mut notes = Notes(Vec::new());
    // Without a name of its own: what is not bound has none in a plan.
    walk(&mut function.block, "", scopes, &mut notes);
    notes.0
}

struct Notes(Vec<Note>);

impl Edit for Notes {
    fn called(&mut self, place: &mut Expr, called: Called<'_>) {
        let Expr::MethodCall(call) = place else {
            return;
        };
        if SILENT.iter().any(|silent| call.method == silent) {
            return;
        }
        let (line, column) = place_of(call.method.span());
        let is_bound = called.position == Position::Outermost;
        let binding = if is_bound { called.base.to_owned() } else { String::new() };
        let text = text_of(&call.args);
        self.0.push(Note { line, column, binding, text });
    }
}

/// Where a token stands, from 1; nowhere in unit tests, which have no compiler around them.
fn place_of(span: Span) -> (usize, usize) {
    if !proc_macro::is_available() {
        return (0, 0);
    }
    let span = span.unwrap();
    (span.line(), span.column())
}

/// Arguments on one line, as they would be formatted.
fn text_of(arguments: &Punctuated<Expr, Token![,]>) -> String {
    let texts: Vec<String> = arguments.iter().map(one_line).collect();
    let text = texts.join(", ");
    if text.chars().count() <= TEXT_CHARS_MAX {
        return text;
    }
    text.chars().take(TEXT_CHARS_MAX - 3).collect::<String>() + "..."
}

fn one_line(argument: &Expr) -> String {
    // The formatter takes whole files only.
    let statement = Stmt::Expr(argument.clone(), Some(Default::default()));
    let item: Item = parse_quote!(fn f() { #statement });
    let text = prettyplease::unparse(&File { shebang: None, attrs: Vec::new(), items: vec![item] });
    let body = text.trim().trim_start_matches("fn f() {").trim_end_matches('}').trim();
    let words: Vec<&str> = body.trim_end_matches(';').split_whitespace().collect();
    words.join(" ").replace(", }", " }").replace(", )", ")")
}

/// The constant, and the type that it is of.
pub(crate) fn items(function: &ItemFn, notes: &[Note]) -> TokenStream {
    let (visibility, name) = (&function.vis, &function.sig.ident);
    let cfgs: Vec<&Attribute> =
        function.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect();
    let expansion = expansion(function);
    let plain_name = plain(&name.to_string());
    let notes = notes.iter().map(note);
    quote! {
        #(#cfgs)*
        #[doc(hidden)]
        #[allow(non_camel_case_types, dead_code, reason = "it has the function's name")]
        #visibility enum #name {}
        #(#cfgs)*
        impl ::pelton::job::Listed for #name {
            const LISTING: &'static ::pelton::job::Listing = &::pelton::job::Listing {
                name: #plain_name,
                file: ::core::file!(),
                expansion: #expansion,
                notes: &[#(#notes),*],
            };
        }
    }
}

fn note(Note { line, column, binding, text }: &Note) -> TokenStream {
    let [line, column] = [line, column].map(|&number| u32::try_from(number).unwrap_or(0));
    quote! {
        ::pelton::job::Note { line: #line, column: #column, binding: #binding, text: #text }
    }
}

fn expansion(function: &ItemFn) -> String {
    let mut function = function.clone();
    // What only quietens lints is not worth a reader's time.
    function.attrs.retain(|attribute| !attribute.path().is_ident("allow"));
    let items = vec![Item::Fn(function)];
    prettyplease::unparse(&File { shebang: None, attrs: Vec::new(), items })
}
