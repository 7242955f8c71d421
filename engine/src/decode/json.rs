//! Newline-delimited JSON: one object a line, its members the fields of a record by name.
//!
//! Numbers, `true` and `false` are handed on as their text, so `1.10` stays what it was and a text
//! field may hold a number. `null` and a missing member are absent. Members that are no field are
//! skipped; of two members with one name the last counts. An object or array where the record has
//! a field rejects the row.
//!
//! Why serde_json: it is small (four packages), everywhere, and its raw values borrow from the
//! row, so nothing is copied but text with escapes. sonic-rs is faster on large documents, but
//! brings twenty packages and `unsafe` throughout for lines of a few hundred bytes.

use std::fmt;
use std::marker::PhantomData;

use memchr::memchr;
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::{RejectReason, RowDecoder, trim_line};
use crate::record::{FieldSource, FieldText, Record, Schema};

/// Reads lines of JSON into the views of `R`.
pub struct JsonDecoder<R> {
    slots: Vec<Slot>,
    /// Texts that had escapes.
    scratch: Vec<u8>,
    record: PhantomData<fn() -> R>,
}

/// What a line holds for a field.
#[derive(Debug, Clone, Copy)]
enum Slot {
    Missing,
    Null,
    /// The value's bytes in the row.
    Plain {
        start: usize,
        end: usize,
    },
    /// A text with escapes: its bytes in the row, quotes included.
    Escaped {
        start: usize,
        end: usize,
    },
    /// The same text in scratch.
    Unescaped {
        start: usize,
        end: usize,
    },
    Nested,
}

impl<R: Record> JsonDecoder<R> {
    /// A decoder at the start of a file.
    #[must_use]
    pub fn new() -> Self {
        Self {
            slots: vec![Slot::Missing; R::SCHEMA.fields.len()],
            scratch: Vec::new(),
            record: PhantomData,
        }
    }

    fn read_members(&mut self, row: &str) -> Result<(), RejectReason> {
        if !row.trim_ascii_start().starts_with('{') {
            return Err(match serde_json::from_str::<IgnoredAny>(row) {
                Ok(_) => RejectReason::NotAnObject,
                Err(error) => invalid(&error),
            });
        }
        self.slots.fill(Slot::Missing);
        let members = Members { row, schema: &R::SCHEMA, slots: &mut self.slots };
        let mut deserializer = Deserializer::from_str(row);
        deserializer
            .deserialize_map(members)
            .and_then(|()| deserializer.end())
            .map_err(|error| invalid(&error))
    }

    fn unescape(&mut self, row: &str) -> Result<(), RejectReason> {
        self.scratch.clear();
        for (slot, field) in self.slots.iter_mut().zip(R::SCHEMA.fields) {
            match *slot {
                Slot::Nested => return Err(RejectReason::Nested { field: field.name }),
                Slot::Escaped { start, end } => {
                    let column = start + 1;
                    let text: String = serde_json::from_str(&row[start..end])
                        .map_err(|_| RejectReason::InvalidJson { column })?;
                    let start = self.scratch.len();
                    self.scratch.extend_from_slice(text.as_bytes());
                    let end = self.scratch.len();
                    *slot = Slot::Unescaped { start, end };
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl<R: Record> Default for JsonDecoder<R> {
    fn default() -> Self {
        Self::new()
    }
}

fn invalid(error: &serde_json::Error) -> RejectReason {
    RejectReason::InvalidJson { column: error.column() }
}

impl<R: Record> RowDecoder<R> for JsonDecoder<R> {
    #[inline]
    fn find(&mut self, window: &[u8]) -> Option<usize> {
        memchr(b'\n', window)
    }

    fn find_more(&mut self, window: &[u8]) -> Option<usize> {
        memchr(b'\n', window)
    }

    fn is_empty(&self, row: &[u8]) -> bool {
        row.trim_ascii().is_empty()
    }

    fn decode<'a>(&'a mut self, row: &'a [u8]) -> Result<R::View<'a>, RejectReason> {
        let row = std::str::from_utf8(trim_line(row))
            .map_err(|error| RejectReason::NotUtf8 { offset: error.valid_up_to() })?;
        self.read_members(row)?;
        self.unescape(row)?;
        Ok(R::decode(&JsonRow { row: row.as_bytes(), slots: &self.slots, scratch: &self.scratch })?)
    }
}

/// The fields of one line.
struct JsonRow<'a> {
    row: &'a [u8],
    slots: &'a [Slot],
    scratch: &'a [u8],
}

impl<'a> FieldSource<'a> for JsonRow<'a> {
    #[inline]
    fn text(&self, index: usize) -> FieldText<'a> {
        match self.slots[index] {
            Slot::Missing => FieldText::Missing,
            Slot::Null => FieldText::Null,
            Slot::Plain { start, end } => FieldText::Text(&self.row[start..end]),
            Slot::Unescaped { start, end } => FieldText::Text(&self.scratch[start..end]),
            Slot::Escaped { .. } | Slot::Nested => {
                unreachable!("unescape has turned these into text or a rejection")
            }
        }
    }
}

/// Notes where the value of each field lies.
struct Members<'a, 's> {
    row: &'a str,
    schema: &'static Schema,
    slots: &'s mut [Slot],
}

impl<'a> Members<'a, '_> {
    fn slot(&self, raw: &'a RawValue) -> Slot {
        let text = raw.get();
        let start = text.as_ptr().addr() - self.row.as_ptr().addr();
        let end = start + text.len();
        match text.as_bytes() {
            [b'n', ..] => Slot::Null,
            [b'{' | b'[', ..] => Slot::Nested,
            [b'"', inner @ .., b'"'] if memchr(b'\\', inner).is_none() => {
                Slot::Plain { start: start + 1, end: end - 1 }
            }
            [b'"', ..] => Slot::Escaped { start, end },
            _ => Slot::Plain { start, end },
        }
    }
}

impl<'a> Visitor<'a> for Members<'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let mut expected = 0;
        loop {
            let key = FieldOf { schema: self.schema, expected };
            match map.next_key_seed(key)? {
                None => return Ok(()),
                Some(Some(index)) => {
                    self.slots[index] = self.slot(map.next_value()?);
                    expected = index + 1;
                }
                Some(None) => drop(map.next_value::<IgnoredAny>()?),
            }
        }
    }
}

/// The index of the field that a member's name stands for.
struct FieldOf {
    schema: &'static Schema,
    /// Tried first: members mostly come in the schema's order.
    expected: usize,
}

impl<'a> DeserializeSeed<'a> for FieldOf {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'a>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldOf {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        let fields = self.schema.fields;
        match fields.get(self.expected) {
            Some(field) if field.name == name => Ok(Some(self.expected)),
            _ => Ok(fields.iter().position(|field| field.name == name)),
        }
    }
}
