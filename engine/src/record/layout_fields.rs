//! Records that were archived by another version of their type, read by their layout alone.
//!
//! Takes a frame's bytes and a [`RecordLayout`]; hands on its fields as text, from which
//! [`Record::decode`] makes a record of the type as it is now.
//!
//! Every read is checked: numbers by length, texts by rkyv's own checked access.

use rkyv::rancor::Failure;
use rkyv::string::ArchivedString;
use rkyv::util::AlignedVec;

use super::layout::{FieldLayout, RecordLayout};
use super::layout_json::MisfitBytes;
use super::{
    Decimal, EventTime, FRAME_ALIGN, FRAME_HEADER_BYTES, FieldError, FieldSource, FieldText,
    FieldType, Fixed, MARKER_KIND_MIN, Record,
};

/// The fields of one record as text, by their index in the schema of the type that reads them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextFields(Vec<Option<Vec<u8>>>);

impl TextFields {
    /// Fields in the order of a schema; `None` is an absent one.
    #[must_use]
    pub fn new(fields: Vec<Option<Vec<u8>>>) -> Self {
        Self(fields)
    }

    /// The payload of `R` with these fields: what a state's `recode` is for records.
    ///
    /// # Errors
    /// The first field that `R` can't be read from.
    pub fn payload<R: Record>(&self) -> Result<Vec<u8>, FieldError> {
        let view = R::decode(&self)?;
        let mut payload = AlignedVec::<FRAME_ALIGN>::new();
        payload.resize(R::payload_bytes_max(view), 0);
        let buffer = rkyv::ser::writer::Buffer::from(&mut payload[..]);
        let mut writer = rkyv::ser::Serializer::new(buffer, (), ());
        R::encode(view, &mut writer).expect("the record said how much room it takes at most");
        let payload_bytes = writer.into_writer().len();
        Ok(payload[..payload_bytes].to_vec())
    }
}

impl<'a> FieldSource<'a> for &'a TextFields {
    fn text(&self, index: usize) -> FieldText<'a> {
        match self.0.get(index) {
            None => FieldText::Missing,
            Some(None) => FieldText::Null,
            Some(Some(text)) => FieldText::Text(text),
        }
    }
}

/// One field's value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FieldValue {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Text(String),
    Time(EventTime),
    Decimal(Decimal),
}

impl FieldValue {
    /// As readers of text take it. A float is widened first, so that it is the same number still.
    pub(super) fn into_text(self) -> Option<Vec<u8>> {
        let text = match self {
            Self::Null => return None,
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::UInt(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(value) => value,
            Self::Time(value) => value.to_string(),
            Self::Decimal(value) => value.to_string(),
        };
        Some(text.into_bytes())
    }
}

/// The payload of the one frame that `bytes` are, where they are one of a record.
pub(super) fn frame_payload(bytes: &[u8]) -> Result<&[u8], MisfitBytes> {
    let is_whole = bytes.len() >= FRAME_HEADER_BYTES
        && u32::read(bytes) as usize == bytes.len()
        && bytes.len().is_multiple_of(FRAME_ALIGN)
        && bytes[4] < MARKER_KIND_MIN.min(4)
        && usize::from(bytes[5]) < FRAME_ALIGN;
    if !is_whole {
        return Err(MisfitBytes::NoFrame { found_bytes: bytes.len() });
    }
    bytes
        .get(FRAME_HEADER_BYTES..bytes.len() - usize::from(bytes[5]))
        .ok_or(MisfitBytes::NoFrame { found_bytes: bytes.len() })
}

impl RecordLayout {
    /// All fields of a payload.
    pub(super) fn read(&self, payload: &[u8]) -> Result<Vec<FieldValue>, MisfitBytes> {
        let root_bytes = self.root_bytes as usize;
        let root = payload.len().checked_sub(root_bytes).ok_or(MisfitBytes::TooShort {
            layout: "record",
            wanted_bytes: root_bytes,
            found_bytes: payload.len(),
        })?;
        let mut aligned = AlignedVec::<FRAME_ALIGN>::new();
        aligned.extend_from_slice(payload);
        self.fields.iter().map(|field| field.read(&aligned, root)).collect()
    }
}

impl FieldLayout {
    fn read(&self, payload: &[u8], root: usize) -> Result<FieldValue, MisfitBytes> {
        let (value_bytes, align) = self.field_type.archived_bytes();
        let mut at = root + self.offset_bytes as usize;
        if self.optional {
            match payload.get(at) {
                Some(0) => return Ok(FieldValue::Null),
                Some(1) => at += align,
                _ => return Err(MisfitBytes::NoOption),
            }
        }
        let bytes = payload.get(at..).and_then(|rest| rest.get(..value_bytes));
        let bytes = bytes.ok_or(MisfitBytes::TooShort {
            layout: "field",
            wanted_bytes: at + value_bytes,
            found_bytes: payload.len(),
        })?;
        Ok(match self.field_type {
            FieldType::Bool if bytes[0] > 1 => return Err(MisfitBytes::NoBool { found: bytes[0] }),
            FieldType::Bool => FieldValue::Bool(bytes[0] == 1),
            FieldType::Int(8) => FieldValue::Int(i8::read(bytes).into()),
            FieldType::Int(16) => FieldValue::Int(i16::read(bytes).into()),
            FieldType::Int(32) => FieldValue::Int(i32::read(bytes).into()),
            FieldType::Int(_) => FieldValue::Int(i64::read(bytes)),
            FieldType::UInt(8) => FieldValue::UInt(bytes[0].into()),
            FieldType::UInt(16) => FieldValue::UInt(u16::read(bytes).into()),
            FieldType::UInt(32) => FieldValue::UInt(u32::read(bytes).into()),
            FieldType::UInt(_) => FieldValue::UInt(u64::read(bytes)),
            FieldType::Float(32) => FieldValue::Float(f32::read(bytes).into()),
            FieldType::Float(_) => FieldValue::Float(f64::read(bytes)),
            FieldType::Text => {
                let text = rkyv::api::high::access_pos::<ArchivedString, Failure>(payload, at);
                FieldValue::Text(text.map_err(|_| MisfitBytes::NotUtf8)?.as_str().to_owned())
            }
            FieldType::Time => FieldValue::Time(EventTime::read(bytes)),
            FieldType::Decimal => FieldValue::Decimal(Decimal::read(bytes)),
        })
    }
}
