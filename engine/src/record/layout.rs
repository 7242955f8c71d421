//! Layouts: what the bytes of a key or value are, said as data.
//!
//! Takes nothing; hands on a [`Layout`], which a manifest keeps as text, so that a state directory
//! is read, shown and converted by programs that do not have the job's types.
//!
//! Invariants
//! 1. A layout has one text form, and the text one layout: see `layout_text.rs`.
//! 2. A layout read from text is bounded: [`LAYOUT_DEPTH_MAX`] deep, and no longer than its text.
//!    What reads bytes by one checks every length, and never panics.
//! 3. Field names are unique within their struct or record.
//!
//! Why data and not a registered type: the types of a job change between its versions, and the old
//! ones are then nowhere to be found but in the directory.

use std::collections::BTreeSet;

use super::{FieldType, Schema};

/// How deep layouts nest at most; a deeper one is no layout.
pub const LAYOUT_DEPTH_MAX: usize = 32;

/// What the bytes of a key or a value are. All numbers are little endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// No bytes.
    Unit,
    /// One byte, 0 or 1.
    Bool,
    /// A signed integer of so many bits, 8 to 128.
    Int(u8),
    /// An unsigned integer of so many bits, 8 to 128.
    UInt(u8),
    /// A float of 32 or 64 bits.
    Float(u8),
    /// Microseconds since 1970, UTC: 8 bytes.
    Time,
    /// Millionths: 8 bytes.
    Decimal,
    /// Where another entry may lie: 8 bytes that mean something in one log only, and are checked
    /// whenever they are used.
    Hint,
    /// UTF-8. As a whole key it goes to the end; as a part, its length stands before it (4 bytes).
    Text,
    /// So many of the same, one after the other; each of a fixed length.
    Array(Box<Layout>, u32),
    /// Parts, one after the other.
    Tuple(Vec<Layout>),
    /// Parts with names, one after the other.
    Struct(Vec<(String, Layout)>),
    /// As many of the same as the value has room for.
    Repeated(Box<Layout>),
    /// A whole frame: its header and an archived record.
    Frame(RecordLayout),
}

/// Where the fields of an archived record lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordLayout {
    /// The fields, in the order of their declaration.
    pub fields: Vec<FieldLayout>,
    /// How long the archived root is, which ends the payload.
    pub root_bytes: u32,
}

/// Where one field of an archived record lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldLayout {
    /// Its name.
    pub name: String,
    /// Its type, without the option.
    pub field_type: FieldType,
    /// Whether it may be absent.
    pub optional: bool,
    /// How far into the archived root it lies.
    pub offset_bytes: u32,
}

impl Layout {
    /// How many bytes such a value has, where all have as many.
    #[must_use]
    pub fn fixed_bytes(&self) -> Option<usize> {
        match self {
            Self::Unit => Some(0),
            Self::Bool => Some(1),
            Self::Int(bits) | Self::UInt(bits) | Self::Float(bits) => Some(usize::from(*bits) / 8),
            Self::Time | Self::Decimal | Self::Hint => Some(8),
            Self::Text | Self::Repeated(_) | Self::Frame(_) => None,
            Self::Array(item, count) => {
                item.fixed_bytes()?.checked_mul(usize::try_from(*count).ok()?)
            }
            Self::Tuple(parts) => fixed_sum(parts.iter()),
            Self::Struct(fields) => fixed_sum(fields.iter().map(|(_, layout)| layout)),
        }
    }

    /// Whether a [`Layout::Hint`] is part of it.
    #[must_use]
    pub fn has_hint(&self) -> bool {
        match self {
            Self::Hint => true,
            Self::Array(item, _) | Self::Repeated(item) => item.has_hint(),
            Self::Tuple(parts) => parts.iter().any(Self::has_hint),
            Self::Struct(fields) => fields.iter().any(|(_, layout)| layout.has_hint()),
            _ => false,
        }
    }

    /// A struct of these fields.
    #[must_use]
    pub fn fields<const N: usize>(fields: [(&str, Layout); N]) -> Self {
        Self::Struct(fields.into_iter().map(|(name, layout)| (name.to_owned(), layout)).collect())
    }
}

fn fixed_sum<'a>(mut parts: impl Iterator<Item = &'a Layout>) -> Option<usize> {
    parts.try_fold(0_usize, |sum, part| sum.checked_add(part.fixed_bytes()?))
}

impl FieldType {
    /// How many bytes the type's archived form takes, and on which multiple it lies.
    #[must_use]
    pub fn archived_bytes(self) -> (usize, usize) {
        match self {
            Self::Bool => (1, 1),
            Self::Int(bits) | Self::UInt(bits) | Self::Float(bits) => {
                (usize::from(bits) / 8, usize::from(bits) / 8)
            }
            Self::Text => (8, 4),
            Self::Time | Self::Decimal => (8, 8),
        }
    }
}

impl RecordLayout {
    /// The layout of a record whose archived root has `root_bytes`; `offsets` of the schema's
    /// fields, in its order.
    ///
    /// Panics where there are more or fewer offsets than fields: a bug of the macro.
    #[must_use]
    pub fn of(schema: &Schema, offsets: &[usize], root_bytes: usize) -> Self {
        assert_eq!(schema.fields.len(), offsets.len(), "each field lies somewhere");
        let fields = schema.fields.iter().zip(offsets).map(|(field, offset)| FieldLayout {
            name: field.name.to_owned(),
            field_type: field.field_type,
            optional: field.optional,
            offset_bytes: as_u32(*offset),
        });
        Self { fields: fields.collect(), root_bytes: as_u32(root_bytes) }
    }

    /// Whether every field lies within the root and has a name of its own (invariant 3).
    #[must_use]
    pub(super) fn is_sound(&self) -> bool {
        let root_bytes = u64::from(self.root_bytes);
        let mut names = BTreeSet::new();
        self.fields.iter().all(|field| {
            let (value_bytes, align) = field.field_type.archived_bytes();
            let before = if field.optional { align } else { 0 };
            let end = u64::from(field.offset_bytes) + (before + value_bytes) as u64;
            end <= root_bytes && names.insert(field.name.as_str())
        })
    }
}

fn as_u32(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a record's root is shorter than 4 GiB")
}
