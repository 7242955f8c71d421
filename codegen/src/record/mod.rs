//! `#[pelton::record]`: from a plain struct to a record with a view.
//!
//! Takes the struct's tokens; hands on the struct, its view and the engine's traits for both, or
//! the errors of use beside the struct, so that one mistake is not reported twice.

mod emit;
mod field;
mod input;

use proc_macro2::TokenStream;

use input::RecordInput;

/// Expands the attribute.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    match input::parse(arguments, item.clone()) {
        Ok(record) => emit::record(&record),
        Err(errors) => input::with_errors(item, &errors),
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn click() -> TokenStream {
        quote! {
            /// A click.
            #[derive(Eq)]
            pub struct Click {
                #[event_time]
                pub time: EventTime,
                pub(crate) user: String,
                page: Option<String>,
                price: Option<pelton::record::Decimal>,
                count: u32,
                bought: bool,
            }
        }
    }

    fn printed(tokens: TokenStream) -> String {
        prettyplease::unparse(&syn::parse2(tokens).unwrap())
    }

    #[test]
    fn the_expansion_holds_no_unsafe_and_can_be_printed() {
        let text = printed(expand(TokenStream::new(), click()));
        assert!(!text.contains("unsafe"), "{text}");
        assert!(text.contains("pub struct ClickView<'a>"), "{text}");
        assert!(!text.contains("event_time]"), "{text}");
    }

    #[test]
    fn a_record_without_text_has_a_view_without_lifetime() {
        let text = printed(expand(
            TokenStream::new(),
            quote!(
                struct Tick {
                    n: i64,
                }
            ),
        ));
        assert!(text.contains("struct TickView {"), "{text}");
        assert!(text.contains("type View<'a> = TickView;"), "{text}");
        assert!(!text.contains("serialize_bounds"), "{text}");
    }

    #[test]
    fn every_mistake_is_told_and_the_struct_stays() {
        let text = printed(expand(
            TokenStream::new(),
            quote!(
                struct Bad {
                    #[event_time]
                    n: i64,
                    m: usize,
                }
            ),
        ));
        assert!(text.contains("struct Bad"), "{text}");
        assert_eq!(text.matches("compile_error").count(), 2, "{text}");
    }
}
