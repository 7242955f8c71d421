//! The nouns of every step: records, their views, keys, times and frames.
//!
//! A *record* is the user's plain struct. What stands in a batch, a ring or the state log is a
//! *frame*: a fixed header ([`FrameHeader`]) and the record's rkyv bytes. What a closure sees is a
//! *view*: a `Copy` struct of native scalars and `&str`, which reads the same whether the record
//! was just decoded or lies archived in a ring.
//!
//! Invariants
//! 1. Payload bytes in a ring, a batch or an outbox were written by [`Record::encode`] in this
//!    process, or were validated when they were loaded; they never come from the network.
//! 2. A payload starts on an 8-byte boundary and no archived record is aligned more strictly.
//! 3. A view borrows; it never outlives the frame or the input block it was made from.
//!
//! Why views and not the archived types themselves: a closure should compile unchanged against a
//! decoded and an archived record, and should compare `view.page != "about_us"` without
//! `.as_str()` or `.to_native()`. LLVM drops the fields that a closure does not read.

mod decimal;
mod field;
mod fixed;
#[expect(unsafe_code, reason = "reads archived payloads that this process wrote, unchecked")]
mod frame;
mod hash;
mod item;
mod key;
mod layout;
mod layout_convert;
mod layout_fields;
mod layout_json;
mod layout_text;
mod schema;
mod time;
mod with;

pub use decimal::Decimal;
pub use field::{Field, FieldError, FieldReason, FieldSource, FieldText, RowWriter};
pub use fixed::Fixed;
pub use frame::{
    FRAME_ALIGN, FRAME_HEADER_BYTES, Frame, FrameHeader, FrameWriter, IngressPosition,
    MARKER_KIND_MIN, Marker, PayloadFull, RowKind, frame_bytes, is_valid_root, write_frame,
};
pub use hash::{KeyHash, SLOT_COUNT, Slot};
pub use item::{
    Change, ChangeView, Changed, ChangedView, Emit, Emitted, Item, Paired, Record, Sided,
    SidedView, View,
};
pub use key::{Key, KeyBytes, KeyView};
pub use layout::{FieldLayout, LAYOUT_DEPTH_MAX, Layout, RecordLayout};
pub use layout_convert::{Conversion, ConversionError, LayoutMismatch, Recode};
pub use layout_fields::TextFields;
pub use layout_json::MisfitBytes;
pub use layout_text::LayoutTextError;
pub use schema::{FieldSchema, FieldType, Schema};
pub(crate) use time::civil_from_days;
pub use time::{EventTime, TimeSpan};
pub use with::AsString;
