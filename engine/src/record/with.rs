//! How a view's `&str` field writes the same bytes as the owned record's `String`.

use rkyv::Place;
use rkyv::rancor::{Fallible, Source};
use rkyv::ser::Writer;
use rkyv::string::{ArchivedString, StringResolver};
use rkyv::with::{ArchiveWith, SerializeWith};

/// rkyv wrapper: archives a `&str` as an [`ArchivedString`].
#[derive(Debug)]
pub struct AsString;

impl<'a> ArchiveWith<&'a str> for AsString {
    type Archived = ArchivedString;
    type Resolver = StringResolver;

    fn resolve_with(field: &&'a str, resolver: StringResolver, out: Place<ArchivedString>) {
        ArchivedString::resolve_from_str(field, resolver, out);
    }
}

impl<'a, S> SerializeWith<&'a str, S> for AsString
where
    S: Fallible<Error: Source> + Writer + ?Sized,
{
    fn serialize_with(field: &&'a str, serializer: &mut S) -> Result<StringResolver, S::Error> {
        ArchivedString::serialize_from_str(field, serializer)
    }
}

#[cfg(test)]
mod tests {
    use crate::record::{Record, Schema};

    /// The macros work in the engine's own crate too.
    #[pelton::record]
    struct Inside {
        text: String,
        maybe: Option<String>,
    }

    #[test]
    fn borrowed_text_archives_as_owned_text_does() {
        const SCHEMA: Schema = Inside::SCHEMA;
        assert_eq!(SCHEMA.fields.len(), 2);
        let owned = Inside { text: "longer than eight bytes".to_owned(), maybe: None };
        let of_view = rkyv::to_bytes::<rkyv::rancor::Error>(&owned.view()).unwrap();
        let of_owned = rkyv::to_bytes::<rkyv::rancor::Error>(&owned).unwrap();
        assert_eq!(of_view[..], of_owned[..]);
    }
}
