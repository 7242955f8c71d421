//! The text form of layouts, both ways, and keys as people type them.
//!
//! ```text
//! unit bool i8..i128 u8..u128 f32 f64 time decimal hint text
//! [u64;3]   (u64,text)   struct{count:u64,sum:i128}   repeated<u64>
//! frame{user:text@0,amount:decimal?@8}:32        fields at their offsets, and the root's length
//! ```
//!
//! No blanks; one text a layout. What is read may come from a broken disk: it is refused, never
//! believed and never a panic.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::layout::{FieldLayout, LAYOUT_DEPTH_MAX, Layout, RecordLayout};
use super::{Decimal, EventTime, FieldType};

/// A text that is no layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no layout at byte {at}: expected {expected}")]
pub struct LayoutTextError {
    /// Where reading stopped.
    pub at: usize,
    /// What could have stood there.
    pub expected: &'static str,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit => f.write_str("unit"),
            Self::Bool => f.write_str("bool"),
            Self::Int(bits) => write!(f, "i{bits}"),
            Self::UInt(bits) => write!(f, "u{bits}"),
            Self::Float(bits) => write!(f, "f{bits}"),
            Self::Time => f.write_str("time"),
            Self::Decimal => f.write_str("decimal"),
            Self::Hint => f.write_str("hint"),
            Self::Text => f.write_str("text"),
            Self::Array(item, count) => write!(f, "[{item};{count}]"),
            Self::Repeated(item) => write!(f, "repeated<{item}>"),
            Self::Tuple(parts) => {
                f.write_str("(")?;
                separated(f, parts, |f, part| write!(f, "{part}"))?;
                f.write_str(")")
            }
            Self::Struct(fields) => {
                f.write_str("struct{")?;
                separated(f, fields, |f, (name, layout)| write!(f, "{name}:{layout}"))?;
                f.write_str("}")
            }
            Self::Frame(record) => write!(f, "frame{record}"),
        }
    }
}

impl fmt::Display for RecordLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        separated(f, &self.fields, |f, field| {
            let option = if field.optional { "?" } else { "" };
            write!(f, "{}:{}{option}@{}", field.name, field.field_type, field.offset_bytes)
        })?;
        write!(f, "}}:{}", self.root_bytes)
    }
}

/// As layouts write it.
impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int(bits) => write!(f, "i{bits}"),
            Self::UInt(bits) => write!(f, "u{bits}"),
            Self::Float(bits) => write!(f, "f{bits}"),
            Self::Text => f.write_str("text"),
            Self::Time => f.write_str("time"),
            Self::Decimal => f.write_str("decimal"),
        }
    }
}

fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    mut write: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(",")?;
        }
        write(f, item)?;
    }
    Ok(())
}

impl FromStr for Layout {
    type Err = LayoutTextError;
    fn from_str(text: &str) -> Result<Self, LayoutTextError> {
        let mut parser = Parser { text, at: 0 };
        let layout = parser.layout(LAYOUT_DEPTH_MAX)?;
        if parser.at < text.len() {
            return Err(parser.expected("the end"));
        }
        Ok(layout)
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn expected(&self, expected: &'static str) -> LayoutTextError {
        LayoutTextError { at: self.at, expected }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Takes `mark` where it stands next.
    fn has(&mut self, mark: &str) -> bool {
        let has = self.rest().starts_with(mark);
        self.at += if has { mark.len() } else { 0 };
        has
    }

    fn take(&mut self, mark: &'static str) -> Result<(), LayoutTextError> {
        if self.has(mark) { Ok(()) } else { Err(self.expected(mark)) }
    }

    /// Everything up to the next mark: a name or a word.
    fn word(&mut self) -> Result<&'t str, LayoutTextError> {
        let is_mark = |c: char| c.is_whitespace() || c.is_control() || ":,;{}()[]<>?@".contains(c);
        let rest = self.rest();
        let word = &rest[..rest.find(is_mark).unwrap_or(rest.len())];
        if word.is_empty() {
            return Err(self.expected("a word"));
        }
        self.at += word.len();
        Ok(word)
    }

    /// Digits without a sign or leading zeros: a number has one form.
    fn number(&mut self) -> Result<u32, LayoutTextError> {
        let error = self.expected("a number");
        let word = self.word()?;
        let number = word.parse::<u32>().map_err(|_| error)?;
        if number.to_string() == word { Ok(number) } else { Err(error) }
    }

    fn layout(&mut self, depth: usize) -> Result<Layout, LayoutTextError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(self.expected("a layout that is less deep"));
        };
        if self.has("[") {
            let error = self.expected("an item of a fixed length");
            let item = self.layout(depth)?;
            if item.fixed_bytes().is_none() {
                return Err(error);
            }
            self.take(";")?;
            let count = self.number()?;
            self.take("]")?;
            return Ok(Layout::Array(Box::new(item), count));
        }
        if self.has("(") {
            return Ok(Layout::Tuple(self.list(")", |parser| parser.layout(depth))?));
        }
        if self.has("repeated<") {
            let item = self.layout(depth)?;
            self.take(">")?;
            return Ok(Layout::Repeated(Box::new(item)));
        }
        if self.has("struct{") {
            let mut names = BTreeSet::new();
            return Ok(Layout::Struct(self.list("}", |parser| {
                let error = parser.expected("a name that is not taken");
                let name = parser.word()?;
                parser.take(":")?;
                let layout = parser.layout(depth)?;
                if names.insert(name) { Ok((name.to_owned(), layout)) } else { Err(error) }
            })?));
        }
        if self.has("frame{") {
            return self.record().map(Layout::Frame);
        }
        let error = self.expected("a layout");
        scalar(self.word()?).ok_or(error)
    }

    fn list<T>(
        &mut self,
        end: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<T, LayoutTextError>,
    ) -> Result<Vec<T>, LayoutTextError> {
        let mut items = Vec::new();
        if self.has(end) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.has(end) {
                return Ok(items);
            }
            self.take(",")?;
        }
    }

    fn record(&mut self) -> Result<RecordLayout, LayoutTextError> {
        let error = self.expected("fields with names of their own, within the root");
        let fields = self.list("}", |parser| {
            let name = parser.word()?.to_owned();
            parser.take(":")?;
            let error = parser.expected("a field's type");
            let field_type = scalar(parser.word()?).and_then(field_type).ok_or(error)?;
            let optional = parser.has("?");
            parser.take("@")?;
            Ok(FieldLayout { name, field_type, optional, offset_bytes: parser.number()? })
        })?;
        self.take(":")?;
        let record = RecordLayout { fields, root_bytes: self.number()? };
        if record.is_sound() { Ok(record) } else { Err(error) }
    }
}

fn scalar(word: &str) -> Option<Layout> {
    Some(match word {
        "unit" => Layout::Unit,
        "bool" => Layout::Bool,
        "i8" => Layout::Int(8),
        "i16" => Layout::Int(16),
        "i32" => Layout::Int(32),
        "i64" => Layout::Int(64),
        "i128" => Layout::Int(128),
        "u8" => Layout::UInt(8),
        "u16" => Layout::UInt(16),
        "u32" => Layout::UInt(32),
        "u64" => Layout::UInt(64),
        "u128" => Layout::UInt(128),
        "f32" => Layout::Float(32),
        "f64" => Layout::Float(64),
        "time" => Layout::Time,
        "decimal" => Layout::Decimal,
        "hint" => Layout::Hint,
        "text" => Layout::Text,
        _ => return None,
    })
}

fn field_type(layout: Layout) -> Option<FieldType> {
    match layout {
        Layout::Bool => Some(FieldType::Bool),
        Layout::Int(bits) if bits <= 64 => Some(FieldType::Int(bits)),
        Layout::UInt(bits) if bits <= 64 => Some(FieldType::UInt(bits)),
        Layout::Float(bits) => Some(FieldType::Float(bits)),
        Layout::Text => Some(FieldType::Text),
        Layout::Time => Some(FieldType::Time),
        Layout::Decimal => Some(FieldType::Decimal),
        _ => None,
    }
}

impl Layout {
    /// The canonical bytes of the key that a person typed: text as it is, numbers, `true`, ISO 8601
    /// times, and for tuples `a,1` or `["a",1]`. `None` where it is no such key.
    #[must_use]
    pub fn parse_key(&self, text: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Self::Text = self {
            bytes.extend_from_slice(text.as_bytes());
        } else if let Some(parts) = self.parts() {
            let list: Vec<Value> = if text.starts_with('[') {
                serde_json::from_str(text).ok()?
            } else {
                text.split(',').map(Value::from).collect()
            };
            write_parts(&parts, &list, &mut bytes)?;
        } else {
            self.write_part(&Value::from(text), &mut bytes)?;
        }
        Some(bytes)
    }

    fn parts(&self) -> Option<Vec<&Layout>> {
        match self {
            Self::Tuple(parts) => Some(parts.iter().collect()),
            Self::Struct(fields) => Some(fields.iter().map(|(_, layout)| layout).collect()),
            _ => None,
        }
    }

    fn write_part(&self, value: &Value, out: &mut Vec<u8>) -> Option<()> {
        if let Some(parts) = self.parts() {
            return write_parts(&parts, value.as_array()?, out);
        }
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            _ => return None,
        };
        match self {
            Self::Unit => {}
            Self::Bool => match text.as_str() {
                "true" | "1" => out.push(1),
                "false" | "0" => out.push(0),
                _ => return None,
            },
            Self::Int(bits) => write_int(text.parse().ok()?, *bits, out)?,
            Self::UInt(bits) => write_uint(text.parse().ok()?, *bits, out)?,
            Self::Float(32) => out.extend(text.parse::<f32>().ok()?.to_le_bytes()),
            Self::Float(_) => out.extend(text.parse::<f64>().ok()?.to_le_bytes()),
            Self::Time => {
                let time = EventTime::parse(&text).map(|time| time.0);
                out.extend(time.or_else(|| text.parse::<i64>().ok())?.to_le_bytes());
            }
            Self::Decimal => out.extend(Decimal::parse(text.as_bytes()).ok()?.0.to_le_bytes()),
            Self::Text => {
                out.extend(u32::try_from(text.len()).ok()?.to_le_bytes());
                out.extend_from_slice(text.as_bytes());
            }
            _ => return None,
        }
        Some(())
    }
}

fn write_parts(parts: &[&Layout], values: &[Value], out: &mut Vec<u8>) -> Option<()> {
    if parts.len() != values.len() {
        return None;
    }
    parts.iter().zip(values).try_for_each(|(part, value)| part.write_part(value, out))
}

fn write_int(value: i128, bits: u8, out: &mut Vec<u8>) -> Option<()> {
    let spare_bits = 128_u32.checked_sub(u32::from(bits))?;
    let fits = (value << spare_bits) >> spare_bits == value;
    out.extend(value.to_le_bytes().get(..usize::from(bits) / 8)?);
    fits.then_some(())
}

fn write_uint(value: u128, bits: u8, out: &mut Vec<u8>) -> Option<()> {
    let spare_bits = 128_u32.checked_sub(u32::from(bits))?;
    let fits = (value << spare_bits) >> spare_bits == value;
    out.extend(value.to_le_bytes().get(..usize::from(bits) / 8)?);
    fits.then_some(())
}
