//! What a record looks like from outside: field names, types and a fingerprint.

use super::KeyHash;

/// The type of one field, as it is named in schemas, plans and error messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// `bool`
    Bool,
    /// A signed integer of so many bits.
    Int(u8),
    /// An unsigned integer of so many bits.
    UInt(u8),
    /// A float of so many bits.
    Float(u8),
    /// UTF-8 text.
    Text,
    /// Microseconds since 1970, UTC.
    Time,
    /// A decimal number in fixed point, six places.
    Decimal,
}

/// One field of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSchema {
    /// The field's name in Rust, and its column's name outside.
    pub name: &'static str,
    /// Its type, without the option.
    pub field_type: FieldType,
    /// Whether it may be absent.
    pub optional: bool,
}

/// The fields of a record, in the order of their declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// The struct's name.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [FieldSchema],
    /// The index of the `#[event_time]` field.
    pub event_time_index: Option<usize>,
}

impl Schema {
    /// A stable hash of names, types and order: two layouts that differ never share one.
    /// The struct's own name is left out, so that renaming a type does not orphan its state.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let text: String = self
            .fields
            .iter()
            .map(|field| format!("{}:{:?}:{};", field.name, field.field_type, field.optional))
            .collect();
        KeyHash::of(text.as_bytes()).0
    }
}
