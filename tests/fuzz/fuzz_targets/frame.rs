//! A frame that waits as state: refused, or a record whose every field can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pelton::record::{Decimal, EventTime, Frame};

#[pelton::record]
struct Row {
    id: u64,
    #[event_time]
    time: EventTime,
    name: String,
    amount: Decimal,
    note: Option<String>,
    flag: bool,
}

/// Frames are aligned in state, and what libFuzzer hands over may lie anywhere.
#[repr(align(16))]
struct Aligned([u8; 4096]);

fuzz_target!(|bytes: &[u8]| {
    let mut memory = Box::new(Aligned([0; 4096]));
    let used = bytes.len().min(memory.0.len());
    memory.0[..used].copy_from_slice(&bytes[..used]);
    if let Some(frame) = Frame::verified::<Row>(&memory.0[..used]) {
        let row = frame.view::<Row>();
        let text = format!(
            "{} {:?} {} {:?} {:?} {}",
            row.id, row.time, row.name, row.amount, row.note, row.flag
        );
        assert!(text.len() >= row.name.len());
        assert_eq!(frame.frame_bytes(), used);
    }
});
