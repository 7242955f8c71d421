//! The dead-letter output: what could not be read, with its place, the reason and the bytes.
//!
//! Takes rejected rows; hands on one JSON object a line:
//!
//! ```text
//! {"file":"in.csv","line":7,"reason":"field `amount` is not a number","bytes":"1,2,x"}
//! {"file":"in.csv","line":8,"reason":"field `user` is not UTF-8","bytes_hex":"ff2c31"}
//! ```
//!
//! The bytes are kept whole: as text where they are UTF-8, as hexadecimal digits where not.

use super::row::{RowFormat, write_json_text, write_u64};
use crate::record::FrameHeader;
use crate::source::{Reject, Rejected};

/// Rejected rows as lines of JSON.
#[derive(Debug, Clone, Copy, Default)]
pub struct RejectLines;

impl RowFormat<Rejected> for RejectLines {
    fn write(&self, _: &FrameHeader, reject: Reject<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"file\":");
        write_json_text(out, reject.name);
        out.extend_from_slice(b",\"line\":");
        write_u64(out, reject.line);
        out.extend_from_slice(b",\"reason\":");
        write_json_text(out, &reject.reason.to_string());
        write_bytes(out, reject.bytes);
        out.push(b'}');
    }
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    if let Ok(text) = std::str::from_utf8(bytes) {
        out.extend_from_slice(b",\"bytes\":");
        write_json_text(out, text);
        return;
    }
    out.extend_from_slice(b",\"bytes_hex\":\"");
    for byte in bytes {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
    out.push(b'"');
}
