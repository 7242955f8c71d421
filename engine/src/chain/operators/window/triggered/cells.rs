//! The windows of one key, as they lie in one entry of the store.
//!
//! ```text
//! entry:  | due 8 | wall due 8 | next list 8 | cell | cell | ...        namespace 0
//! cell:   | start 8 | end 8 | records 8 | rows 4 | length 2 | flags 1 | contents | trigger | row |
//! ```
//!
//! `due` is the event time at which something happens to one of the windows next, or earlier;
//! `wall due` the same by the wall clock. `row` is what the window's standing row says.
//!
//! Invariants
//! 1. Cells are in the order (end, length, start).
//! 2. A record costs one look-up, and O(windows of the key) bytes read; nothing is written but the
//!    cells that have changed. The entry is written whole only when a window opens or goes.
//!
//! Why one entry a key and not one a window: sessions have to find their neighbours, and a key has
//! few windows at a time. Where it has many, as hopping windows do, records go into slices instead
//! (`pane.rs`).

use std::cmp::Ordering;

use crate::record::{Fixed, Layout};
use crate::state::{EntryKey, LogOffset, Store};

/// A row of the window stands: the next one replaces it.
pub(super) const HAS_ROW: u8 = 1;
/// The window's end has passed.
pub(super) const ENDED: u8 = 2;
/// Something has come since the last row.
pub(super) const CHANGED: u8 = 4;

/// One window of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell<C, T, S> {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) record_count: u64,
    /// How many rows have left for the time alone: tells them apart.
    pub(super) row_count: u32,
    pub(super) length_index: u16,
    pub(super) flags: u8,
    pub(super) contents: C,
    pub(super) trigger: T,
    /// What the standing row said.
    pub(super) row: S,
}

const FIXED_BYTES: usize = 31;

impl<C: Fixed, T: Fixed, S: Fixed> Fixed for Cell<C, T, S> {
    const BYTES: usize = FIXED_BYTES + C::BYTES + T::BYTES + S::BYTES;
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        let bytes = &bytes[..Self::BYTES];
        let (start, end, record_count, row_count, length_index, flags) = Fixed::read(bytes);
        let (contents, trigger, row) = Fixed::read(&bytes[FIXED_BYTES..]);
        Self { start, end, record_count, row_count, length_index, flags, contents, trigger, row }
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8]) {
        let bytes = &mut bytes[..Self::BYTES];
        let Self { start, end, record_count, row_count, length_index, flags, .. } = self;
        (start, end, record_count, row_count, length_index, flags).write(bytes);
        (self.contents, self.trigger, self.row).write(&mut bytes[FIXED_BYTES..]);
    }
    fn layout() -> Layout {
        Self::layout_with(C::layout())
    }
}

impl<C: Fixed, T: Fixed, S: Fixed> Cell<C, T, S> {
    fn layout_with(contents: Layout) -> Layout {
        Layout::fields([
            ("start", Layout::Time),
            ("end", Layout::Time),
            ("records", u64::layout()),
            ("rows", u32::layout()),
            ("length", u16::layout()),
            ("flags", u8::layout()),
            ("contents", contents),
            ("trigger", T::layout()),
            ("row", S::layout()),
        ])
    }

    /// The layout of a key's entry, whose cells hold such contents.
    pub(super) fn entry_layout(contents: Layout) -> Layout {
        let cells = Layout::Repeated(Box::new(Self::layout_with(contents)));
        Layout::fields([
            ("due", Layout::Time),
            ("wall_due", i64::layout()),
            ("next_list", u64::layout()),
            ("windows", cells),
        ])
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn set(&mut self, flag: u8, to: bool) {
        self.flags = if to { self.flags | flag } else { self.flags & !flag };
    }

    fn rank(&self) -> (i64, u16, i64) {
        (self.end, self.length_index, self.start)
    }
}

/// What stands in front of the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// When something is due by event time; `i64::MAX` at the end of the input.
    pub(super) due: i64,
    /// When something is due by the wall clock; `i64::MAX` never.
    pub(super) wall_due: i64,
    /// The number of the next list of items.
    pub(super) list_next: u64,
}

pub(super) const HEAD_BYTES: usize = 24;
/// Where in an entry its times are due.
pub(super) const DUE_AT: usize = 0;
pub(super) const WALL_DUE_AT: usize = 8;

impl Head {
    const NEW: Self = Self { due: i64::MAX, wall_due: i64::MAX, list_next: 0 };

    fn fields(self) -> (i64, i64, u64) {
        (self.due, self.wall_due, self.list_next)
    }
}

/// The windows of the key that is being worked on. Its memory is used again for the next key.
#[derive(Debug)]
pub(super) struct Cells<C, T, S> {
    at: Option<LogOffset>,
    stored_head: Head,
    stored_count: usize,
    pub(super) head: Head,
    /// Nobody waits for the time that the head names.
    pub(super) is_unscheduled: bool,
    pub(super) cells: Vec<Cell<C, T, S>>,
    /// Which cells have changed; one bit each, all of them past 64.
    changed: u64,
    bytes: Vec<u8>,
}

impl<C: Fixed, T: Fixed, S: Fixed> Cells<C, T, S> {
    pub(super) fn new() -> Self {
        Self {
            at: None,
            stored_head: Head::NEW,
            stored_count: 0,
            head: Head::NEW,
            is_unscheduled: true,
            cells: Vec::new(),
            changed: 0,
            bytes: Vec::new(),
        }
    }

    const CELL_BYTES: usize = Cell::<C, T, S>::BYTES;

    /// Takes the key's windows up.
    #[inline(always)]
    pub(super) fn load(&mut self, store: &Store, at: Option<LogOffset>) {
        self.cells.clear();
        (self.at, self.head, self.changed) = (at, Head::NEW, 0);
        self.is_unscheduled = at.is_none();
        if let Some(at) = at {
            let value = store.value(at);
            let (due, wall_due, list_next) = Fixed::read(value);
            self.head = Head { due, wall_due, list_next };
            let cells = value[HEAD_BYTES..].chunks_exact(Self::CELL_BYTES);
            self.cells.extend(cells.map(Cell::read));
        }
        (self.stored_head, self.stored_count) = (self.head, self.cells.len());
    }

    /// Notes that the cell at `index` has changed.
    #[inline(always)]
    pub(super) fn touch(&mut self, index: usize) {
        self.changed |= if index < 64 { 1 << index } else { u64::MAX };
    }

    /// Where the window is, or where it belongs.
    pub(super) fn place_of(&self, start: i64, end: i64, length_index: u16) -> Result<usize, usize> {
        let rank = (end, length_index, start);
        // The newest windows are at the end, and most records are for them.
        for index in (0..self.cells.len()).rev() {
            match self.cells[index].rank().cmp(&rank) {
                Ordering::Equal => return Ok(index),
                Ordering::Less => return Err(index + 1),
                Ordering::Greater => {}
            }
        }
        Err(0)
    }

    pub(super) fn insert(&mut self, index: usize, cell: Cell<C, T, S>) {
        self.cells.insert(index, cell);
        self.changed = u64::MAX;
    }

    pub(super) fn remove(&mut self, index: usize) -> Cell<C, T, S> {
        self.changed = u64::MAX;
        self.cells.remove(index)
    }

    /// Writes back what has changed; a key without windows has no entry.
    #[inline(always)]
    pub(super) fn save(&mut self, store: &mut Store, key: &EntryKey<'_>) {
        let Some(at) = self.at.filter(|_| self.stored_count == self.cells.len()) else {
            self.save_whole(store, key);
            return;
        };
        if self.changed == 0 && self.head == self.stored_head {
            return;
        }
        let at = store.writable(at);
        if self.head != self.stored_head {
            store.set(at, 0, self.head.fields());
        }
        for (index, cell) in self.cells.iter().enumerate() {
            if index >= 64 || self.changed >> index & 1 != 0 {
                store.set(at, HEAD_BYTES + index * Self::CELL_BYTES, *cell);
            }
        }
    }

    fn save_whole(&mut self, store: &mut Store, key: &EntryKey<'_>) {
        if self.cells.is_empty() {
            if self.at.is_some() {
                store.delete(key);
            }
            return;
        }
        self.bytes.clear();
        self.bytes.resize(HEAD_BYTES + self.cells.len() * Self::CELL_BYTES, 0);
        self.head.fields().write(&mut self.bytes);
        let room = self.bytes[HEAD_BYTES..].chunks_exact_mut(Self::CELL_BYTES);
        for (cell, bytes) in self.cells.iter().zip(room) {
            cell.write(bytes);
        }
        store.put(key, &self.bytes);
    }
}
