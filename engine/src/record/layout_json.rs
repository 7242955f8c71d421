//! Bytes shown by their layout.
//!
//! Takes bytes that may be anything; hands on JSON, or why they are not of the layout. Whole
//! numbers past 64 bits, and floats that JSON has no form for, become strings.

use serde_json::{Map, Value, json};

use super::layout::{Layout, RecordLayout};
use super::layout_fields::{FieldValue, frame_payload};
use super::{Decimal, EventTime, Fixed, FrameHeader};

/// Bytes that are not of the layout that they are said to be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MisfitBytes {
    /// Fewer than the layout has.
    #[error("a {layout} of {wanted_bytes} bytes does not fit into {found_bytes}")]
    TooShort {
        /// What was read.
        layout: &'static str,
        /// How many bytes it has.
        wanted_bytes: usize,
        /// How many there were.
        found_bytes: usize,
    },
    /// More than the layout has.
    #[error("{rest_bytes} bytes are left behind the value")]
    TooLong {
        /// How many were left.
        rest_bytes: usize,
    },
    /// Text that is not UTF-8, or whose bytes lie elsewhere.
    #[error("a text is not UTF-8, or does not lie within its record")]
    NotUtf8,
    /// A bool that is neither 0 nor 1.
    #[error("a bool's byte is {found}, neither 0 nor 1")]
    NoBool {
        /// The byte.
        found: u8,
    },
    /// An option that is neither there nor absent.
    #[error("an option's mark is neither 0 nor 1")]
    NoOption,
    /// No whole frame.
    #[error("{found_bytes} bytes are no whole frame")]
    NoFrame {
        /// How many bytes there were.
        found_bytes: usize,
    },
}

impl Layout {
    /// A whole value, or a whole key, as JSON.
    ///
    /// # Errors
    /// Bytes that are not of this layout.
    pub fn to_json(&self, bytes: &[u8]) -> Result<Value, MisfitBytes> {
        let mut rest = bytes;
        let value = match self {
            Self::Text => {
                let text = std::str::from_utf8(bytes).map_err(|_| MisfitBytes::NotUtf8)?;
                rest = &[];
                Value::from(text)
            }
            Self::Frame(record) => {
                rest = &[];
                frame(record, bytes)?
            }
            _ => self.part(&mut rest)?,
        };
        if rest.is_empty() {
            Ok(value)
        } else {
            Err(MisfitBytes::TooLong { rest_bytes: rest.len() })
        }
    }

    /// A key as a person types it, which [`Layout::parse_key`] reads.
    ///
    /// # Errors
    /// Bytes that are not of this layout.
    pub fn key_text(&self, bytes: &[u8]) -> Result<String, MisfitBytes> {
        Ok(match self.to_json(bytes)? {
            Value::String(text) => text,
            Value::Object(fields) => {
                let Self::Struct(order) = self else {
                    return Ok(Value::Object(fields).to_string());
                };
                let parts = order.iter().filter_map(|(name, _)| fields.get(name).cloned());
                Value::Array(parts.collect()).to_string()
            }
            Value::Null => String::new(),
            other => other.to_string(),
        })
    }

    fn part(&self, rest: &mut &[u8]) -> Result<Value, MisfitBytes> {
        Ok(match self {
            Self::Unit => Value::Null,
            Self::Bool => match u8::read(take(rest, "bool", 1)?) {
                found @ 2.. => return Err(MisfitBytes::NoBool { found }),
                byte => Value::from(byte == 1),
            },
            Self::Int(bits) => whole(int(take(rest, "int", usize::from(*bits) / 8)?)),
            Self::UInt(bits) => {
                let value = uint(take(rest, "uint", usize::from(*bits) / 8)?);
                u64::try_from(value).map_or_else(|_| Value::from(value.to_string()), Value::from)
            }
            Self::Float(32) => float(f32::read(take(rest, "f32", 4)?).into()),
            Self::Float(_) => float(f64::read(take(rest, "f64", 8)?)),
            Self::Time => time(EventTime::read(take(rest, "time", 8)?)),
            Self::Decimal => Value::from(Decimal::read(take(rest, "decimal", 8)?).to_string()),
            Self::Hint => Value::from(u64::read(take(rest, "hint", 8)?)),
            Self::Text => {
                let text_bytes = u32::read(take(rest, "text's length", 4)?) as usize;
                let text = std::str::from_utf8(take(rest, "text", text_bytes)?);
                Value::from(text.map_err(|_| MisfitBytes::NotUtf8)?)
            }
            Self::Array(item, _) if item.fixed_bytes() == Some(0) => Value::Null,
            Self::Array(item, count) => {
                let items = (0..*count).map(|_| item.part(rest));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Self::Tuple(parts) => {
                let parts = parts.iter().map(|part| part.part(rest));
                Value::Array(parts.collect::<Result<_, _>>()?)
            }
            Self::Struct(fields) => {
                let fields =
                    fields.iter().map(|(name, layout)| Ok((name.clone(), layout.part(rest)?)));
                Value::Object(fields.collect::<Result<_, _>>()?)
            }
            Self::Repeated(item) => {
                let mut items = Vec::new();
                while !rest.is_empty() {
                    let before = rest.len();
                    items.push(item.part(rest)?);
                    if rest.len() == before {
                        return Err(MisfitBytes::TooLong { rest_bytes: before });
                    }
                }
                Value::Array(items)
            }
            Self::Frame(record) => frame(record, std::mem::take(rest))?,
        })
    }
}

/// Cuts `count` bytes off the front.
pub(super) fn take<'a>(
    rest: &mut &'a [u8],
    layout: &'static str,
    count: usize,
) -> Result<&'a [u8], MisfitBytes> {
    let (taken, left) = rest.split_at_checked(count).ok_or(MisfitBytes::TooShort {
        layout,
        wanted_bytes: count,
        found_bytes: rest.len(),
    })?;
    *rest = left;
    Ok(taken)
}

/// A signed number of up to 16 bytes.
pub(super) fn int(bytes: &[u8]) -> i128 {
    let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut wide = if negative { [0xff; 16] } else { [0; 16] };
    wide[..bytes.len()].copy_from_slice(bytes);
    i128::from_le_bytes(wide)
}

/// A number without a sign of up to 16 bytes.
pub(super) fn uint(bytes: &[u8]) -> u128 {
    let mut wide = [0; 16];
    wide[..bytes.len()].copy_from_slice(bytes);
    u128::from_le_bytes(wide)
}

fn whole(value: i128) -> Value {
    i64::try_from(value).map_or_else(|_| Value::from(value.to_string()), Value::from)
}

fn float(value: f64) -> Value {
    if value.is_finite() { Value::from(value) } else { Value::from(value.to_string()) }
}

/// As ISO 8601, where the year has four digits; else in microseconds.
fn time(value: EventTime) -> Value {
    let text = value.to_string();
    let reads_back = EventTime::parse(&text) == Some(value);
    if reads_back { Value::from(text) } else { Value::from(value.0) }
}

fn frame(record: &RecordLayout, bytes: &[u8]) -> Result<Value, MisfitBytes> {
    let values = record.read(frame_payload(bytes)?)?;
    let names = record.fields.iter().map(|field| field.name.clone());
    let fields: Map<String, Value> = names.zip(values.into_iter().map(field)).collect();
    let header = FrameHeader::read(bytes);
    Ok(json!({
        "event_time": time(header.event_time),
        "split": header.position.split,
        "sequence": header.position.sequence,
        "ordinal": header.ordinal,
        "record": fields,
    }))
}

fn field(value: FieldValue) -> Value {
    match value {
        FieldValue::Null => Value::Null,
        FieldValue::Bool(value) => Value::from(value),
        FieldValue::Int(value) => Value::from(value),
        FieldValue::UInt(value) => Value::from(value),
        FieldValue::Float(value) => float(value),
        FieldValue::Text(value) => Value::from(value),
        FieldValue::Time(value) => time(value),
        FieldValue::Decimal(value) => Value::from(value.to_string()),
    }
}
