//! Rows: how an item becomes the bytes of one line.

mod change;
mod format;
mod number;
mod text;

pub use change::{RowKey, RowValue};
pub use format::{Csv, FormatFn, Json, RowFormat, format_fn};
pub use number::{write_fixed6, write_i64, write_ratio6, write_u64};
pub use text::{CsvRow, JsonRow, write_csv_text, write_json_text};
