//! From the bytes of one layout to those of another.
//!
//! Takes the layout that a directory says and the one that the job has; hands on a [`Conversion`],
//! or the path of the first field that can't be converted.
//!
//! | what changed | how |
//! |---|---|
//! | a field of a struct added, removed, moved | by name; an added one is all zeroes |
//! | an integer or float widened, `u32` to `i64` | the same number |
//! | a field of a record added | absent, so it must be an option |
//! | a field of a record that became an option | present |
//! | anything else | refused |
//!
//! Why zeroes for what is added: that is what a fixed value's `Default` is expected to be, and a
//! conversion then needs no code of the job.

use super::layout::{Layout, RecordLayout};
use super::layout_fields::{FieldValue, TextFields, frame_payload};
use super::layout_json::{MisfitBytes, int, take, uint};
use super::{FRAME_HEADER_BYTES, FieldError, FieldType, Fixed, FrameHeader, frame_bytes};

/// Makes the payload of the new type from its fields: [`TextFields::payload`] of the record.
pub type Recode = fn(&TextFields) -> Result<Vec<u8>, FieldError>;

/// Two layouts that can't be converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` was {found} and is now {expected}")]
pub struct LayoutMismatch {
    /// Which part: `customer.sum`, `windows[].state`; empty for the whole.
    pub path: String,
    /// What the old layout has there.
    pub found: String,
    /// What the new one wants.
    pub expected: String,
}

/// Why one value could not be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConversionError {
    /// The bytes are not of the old layout.
    #[error(transparent)]
    Misfit(#[from] MisfitBytes),
    /// The record can't be made from its old fields.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// There is nothing that makes records: see [`Conversion::with_recode`].
    #[error("a record changed and nothing makes the new one")]
    NoRecode,
}

/// How values of one layout become values of another.
#[derive(Debug, Clone)]
pub struct Conversion {
    step: Step,
    has_hint: bool,
    same: bool,
    imports: bool,
    recode: Option<Recode>,
}

#[derive(Debug, Clone)]
enum Step {
    /// So many bytes as they are.
    Copy(usize),
    /// All bytes that are left as they are.
    Rest,
    /// A text with its length before it.
    Text,
    /// A place in a log: void after an import.
    Hint,
    Int(usize, usize),
    UInt(usize, usize),
    Float,
    /// The same step so many times.
    Array(Box<Step>, u32),
    Repeated(Box<Step>),
    Parts(Vec<Step>),
    Struct(StructStep),
    Frame(RecordLayout, Vec<Option<usize>>),
}

#[derive(Debug, Clone)]
struct StructStep {
    /// The old fields, by which the old value is cut up.
    old: Vec<Extent>,
    /// For each new field which old one it comes of and how, or how many zeroes it gets.
    fields: Vec<Result<(usize, Step), usize>>,
}

/// How far a part of a value reaches.
#[derive(Debug, Clone)]
enum Extent {
    Fixed(usize),
    /// Its length is found by walking it.
    Varying(Layout),
}

impl Layout {
    /// How values of layout `old` become values of layout `new`.
    ///
    /// # Errors
    /// The first part that can't be converted.
    pub fn conversion(old: &Layout, new: &Layout) -> Result<Conversion, LayoutMismatch> {
        let (same, has_hint) = (old == new, new.has_hint());
        let step = whole_step(old, new)?;
        Ok(Conversion { step, has_hint, same, imports: false, recode: None })
    }
}

impl Conversion {
    /// The same for values that come into another log, where hints lead nowhere.
    #[must_use]
    pub fn for_import(mut self) -> Self {
        self.imports = true;
        self
    }

    /// What makes records, where their layout changed.
    #[must_use]
    pub fn with_recode(mut self, recode: Option<Recode>) -> Self {
        self.recode = recode;
        self
    }

    /// Whether values stay as they are.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.same && !(self.imports && self.has_hint)
    }

    /// Makes `new` the new form of `old`.
    ///
    /// # Errors
    /// Bytes that are not of the old layout, and records that the new type does not take.
    pub fn apply(&self, old: &[u8], new: &mut Vec<u8>) -> Result<(), ConversionError> {
        new.clear();
        let mut rest = old;
        self.run(&self.step, &mut rest, new)?;
        match rest.len() {
            0 => Ok(()),
            rest_bytes => Err(MisfitBytes::TooLong { rest_bytes }.into()),
        }
    }

    fn run(&self, step: &Step, rest: &mut &[u8], new: &mut Vec<u8>) -> Result<(), ConversionError> {
        match step {
            Step::Copy(bytes) => new.extend_from_slice(take(rest, "value", *bytes)?),
            Step::Rest => new.extend_from_slice(std::mem::take(rest)),
            Step::Text => new.extend_from_slice(walked(&Layout::Text, rest)?),
            Step::Hint => {
                let hint = take(rest, "hint", 8)?;
                new.extend_from_slice(if self.imports { &[0; 8] } else { hint });
            }
            Step::Int(from, to) => {
                new.extend_from_slice(&int(take(rest, "int", *from)?).to_le_bytes()[..*to]);
            }
            Step::UInt(from, to) => {
                new.extend_from_slice(&uint(take(rest, "uint", *from)?).to_le_bytes()[..*to]);
            }
            Step::Float => {
                let value = f64::from(f32::read(take(rest, "f32", 4)?));
                new.extend_from_slice(&value.to_le_bytes());
            }
            Step::Array(item, count) => {
                for _ in 0..*count {
                    self.run(item, rest, new)?;
                }
            }
            Step::Repeated(item) => {
                while !rest.is_empty() {
                    let before = rest.len();
                    self.run(item, rest, new)?;
                    if rest.len() == before {
                        return Err(MisfitBytes::TooLong { rest_bytes: before }.into());
                    }
                }
            }
            Step::Parts(parts) => {
                for part in parts {
                    self.run(part, rest, new)?;
                }
            }
            Step::Struct(fields) => self.run_struct(fields, rest, new)?,
            Step::Frame(old, sources) => self.recode(old, sources, std::mem::take(rest), new)?,
        }
        Ok(())
    }

    fn run_struct(
        &self,
        step: &StructStep,
        rest: &mut &[u8],
        new: &mut Vec<u8>,
    ) -> Result<(), ConversionError> {
        let cut = step.old.iter().map(|extent| extent.cut(rest));
        let old: Vec<&[u8]> = cut.collect::<Result<_, _>>()?;
        for field in &step.fields {
            match field {
                Ok((index, step)) => self.run(step, &mut &*old[*index], new)?,
                Err(zeroes) => new.resize(new.len() + zeroes, 0),
            }
        }
        Ok(())
    }

    fn recode(
        &self,
        old: &RecordLayout,
        sources: &[Option<usize>],
        frame: &[u8],
        new: &mut Vec<u8>,
    ) -> Result<(), ConversionError> {
        let values = old.read(frame_payload(frame)?)?;
        let mut texts: Vec<_> = values.into_iter().map(FieldValue::into_text).collect();
        let fields = sources.iter().map(|source| source.and_then(|at| texts[at].take())).collect();
        let recode = self.recode.ok_or(ConversionError::NoRecode)?;
        let payload = recode(&TextFields::new(fields))?;
        let start = new.len();
        new.resize(start + frame_bytes(payload.len()), 0);
        FrameHeader::read(frame).write(payload.len(), &mut new[start..]);
        new[start + FRAME_HEADER_BYTES..][..payload.len()].copy_from_slice(&payload);
        Ok(())
    }
}

impl Extent {
    fn of(layout: &Layout) -> Self {
        layout.fixed_bytes().map_or_else(|| Self::Varying(layout.clone()), Self::Fixed)
    }

    fn cut<'a>(&self, rest: &mut &'a [u8]) -> Result<&'a [u8], MisfitBytes> {
        match self {
            Self::Fixed(bytes) => take(rest, "field", *bytes),
            Self::Varying(layout) => walked(layout, rest),
        }
    }
}

/// Cuts the bytes of one part off the front.
fn walked<'a>(layout: &Layout, rest: &mut &'a [u8]) -> Result<&'a [u8], MisfitBytes> {
    let start = *rest;
    walk(layout, rest)?;
    Ok(&start[..start.len() - rest.len()])
}

fn walk(layout: &Layout, rest: &mut &[u8]) -> Result<(), MisfitBytes> {
    if let Some(bytes) = layout.fixed_bytes() {
        return take(rest, "part", bytes).map(|_| ());
    }
    match layout {
        Layout::Text => {
            let text_bytes = u32::read(take(rest, "text's length", 4)?) as usize;
            take(rest, "text", text_bytes).map(|_| ())
        }
        Layout::Tuple(parts) => parts.iter().try_for_each(|part| walk(part, rest)),
        Layout::Struct(fields) => fields.iter().try_for_each(|(_, part)| walk(part, rest)),
        _ => {
            *rest = &[];
            Ok(())
        }
    }
}

/// Where in a layout we are, for errors.
#[derive(Debug, Default)]
struct Path(Vec<String>);

impl Path {
    fn within<T>(&mut self, part: String, then: impl FnOnce(&mut Self) -> T) -> T {
        self.0.push(part);
        let result = then(self);
        self.0.pop();
        result
    }

    fn mismatch(&self, found: &impl ToString, expected: &impl ToString) -> LayoutMismatch {
        let path = self.0.concat();
        let path = path.strip_prefix('.').unwrap_or(&path).to_owned();
        LayoutMismatch { path, found: found.to_string(), expected: expected.to_string() }
    }
}

/// The step for whole values: what is the same and of varying length goes to the value's end.
fn whole_step(old: &Layout, new: &Layout) -> Result<Step, LayoutMismatch> {
    if old == new && !old.has_hint() && old.fixed_bytes().is_none() {
        return Ok(Step::Rest);
    }
    step(old, new, &mut Path::default())
}

fn step(old: &Layout, new: &Layout, path: &mut Path) -> Result<Step, LayoutMismatch> {
    if old == new
        && !old.has_hint()
        && let Some(bytes) = old.fixed_bytes()
    {
        return Ok(Step::Copy(bytes));
    }
    let refused = |path: &Path| path.mismatch(old, new);
    Ok(match (old, new) {
        (Layout::Text, Layout::Text) => Step::Text,
        (Layout::Hint, Layout::Hint) => Step::Hint,
        (Layout::Int(from), Layout::Int(to)) if from < to => Step::Int(bytes(*from), bytes(*to)),
        (Layout::UInt(from), Layout::UInt(to) | Layout::Int(to)) if from < to => {
            Step::UInt(bytes(*from), bytes(*to))
        }
        (Layout::Float(32), Layout::Float(64)) => Step::Float,
        (Layout::Array(old_item, old_count), Layout::Array(new_item, new_count))
            if old_count == new_count =>
        {
            let item = path.within("[]".to_owned(), |path| step(old_item, new_item, path))?;
            Step::Array(Box::new(item), *new_count)
        }
        (Layout::Repeated(old_item), Layout::Repeated(new_item)) => {
            let item = path.within("[]".to_owned(), |path| step(old_item, new_item, path))?;
            Step::Repeated(Box::new(item))
        }
        (Layout::Tuple(old_parts), Layout::Tuple(new_parts))
            if old_parts.len() == new_parts.len() =>
        {
            let parts = old_parts.iter().zip(new_parts).enumerate().map(|(index, (old, new))| {
                path.within(format!(".{index}"), |path| step(old, new, path))
            });
            Step::Parts(parts.collect::<Result<_, _>>()?)
        }
        // Whether values have a time to live is no field of them, though it looks like one; and
        // a struct of which nothing is left is another one, not the same with other fields.
        (Layout::Struct(old_fields), Layout::Struct(new_fields))
            if is_expiring(old_fields) != is_expiring(new_fields)
                || has_nothing_left(old_fields, new_fields) =>
        {
            return Err(refused(path));
        }
        (Layout::Struct(old_fields), Layout::Struct(new_fields)) => {
            let fields = new_fields.iter().map(|field| field_step(old_fields, field, path));
            let fields = fields.collect::<Result<_, _>>()?;
            let old = old_fields.iter().map(|(_, layout)| Extent::of(layout)).collect();
            Step::Struct(StructStep { old, fields })
        }
        (Layout::Frame(old), Layout::Frame(new)) => {
            Step::Frame(old.clone(), record_sources(old, new, path)?)
        }
        _ => return Err(refused(path)),
    })
}

fn bytes(bits: u8) -> usize {
    usize::from(bits) / 8
}

/// Whether these are a value with its time to live; see [`Layout::expiring`].
fn is_expiring(fields: &[(String, Layout)]) -> bool {
    matches!(fields, [(time, _), (value, _)] if time == "expires_at" && value == "value")
}

fn has_nothing_left(old: &[(String, Layout)], new: &[(String, Layout)]) -> bool {
    let is_kept = |(name, _): &(String, Layout)| new.iter().any(|(other, _)| other == name);
    !old.is_empty() && !new.is_empty() && !old.iter().any(is_kept)
}

fn field_step(
    old: &[(String, Layout)],
    (name, new): &(String, Layout),
    path: &mut Path,
) -> Result<Result<(usize, Step), usize>, LayoutMismatch> {
    path.within(format!(".{name}"), |path| {
        if let Some(index) = old.iter().position(|(old_name, _)| old_name == name) {
            return Ok(Ok((index, step(&old[index].1, new, path)?)));
        }
        new.fixed_bytes().map(Err).ok_or_else(|| path.mismatch(&"not there", new))
    })
}

/// For each new field the index of the old one.
fn record_sources(
    old: &RecordLayout,
    new: &RecordLayout,
    path: &mut Path,
) -> Result<Vec<Option<usize>>, LayoutMismatch> {
    let source = |field: &super::layout::FieldLayout| {
        let written = |field: &super::layout::FieldLayout| {
            format!("{}{}", field.field_type, if field.optional { "?" } else { "" })
        };
        path.within(format!(".{}", field.name), |path| {
            let index = old.fields.iter().position(|known| known.name == field.name);
            match index.map(|index| &old.fields[index]) {
                None if field.optional => Ok(None),
                None => {
                    let wanted =
                        format!("{}, which an added field must make optional", written(field));
                    Err(path.mismatch(&"not there", &wanted))
                }
                Some(known)
                    if widens(known.field_type, field.field_type)
                        && (field.optional || !known.optional) =>
                {
                    Ok(index)
                }
                Some(known) => Err(path.mismatch(&written(known), &written(field))),
            }
        })
    };
    new.fields.iter().map(source).collect()
}

fn widens(old: FieldType, new: FieldType) -> bool {
    match (old, new) {
        (FieldType::Int(from), FieldType::Int(to))
        | (FieldType::UInt(from), FieldType::UInt(to))
        | (FieldType::Float(from), FieldType::Float(to)) => from <= to,
        (FieldType::UInt(from), FieldType::Int(to)) => from < to,
        (old, new) => old == new,
    }
}
