//! What a window says when it fires, and what becomes of what it said before.
//!
//! Takes a trigger's answer; hands on rows, which wait in the operator.

use super::super::output::Timing;
use super::super::spec::Mode;
use super::cells::{CHANGED, ENDED, HAS_ROW};
use super::contents::{Contents, Place};
use super::trigger::{Fire, Trigger};
use super::windows::{Cause, Row, TriggeredWindows};
use crate::chain::operators::fold::Merge;
use crate::record::{EventTime, FrameHeader, Record, RowKind};

impl<K, I, V, T, C, F> TriggeredWindows<K, I, V, T, C, F>
where
    I: Record,
    V: Merge,
    T: Trigger,
    C: Contents<V>,
    F: for<'a> Fn(I::View<'a>) -> V::Input,
{
    /// Does to a window what the trigger has decided.
    #[inline(always)]
    pub(super) fn fire(
        &mut self,
        place: &mut Place<'_, '_>,
        index: usize,
        fire: Fire,
        timing: Timing,
        cause: Cause<'_>,
    ) {
        match fire {
            Fire::Wait => return,
            Fire::Emit => self.emit(place, index, timing, cause),
            Fire::EmitAndPurge => {
                self.emit(place, index, timing, cause);
                self.purge(place, index);
            }
            Fire::Purge => self.purge(place, index),
        }
        self.windows.touch(index);
    }

    /// Forgets what a window holds. Its next row is a new one.
    fn purge(&mut self, place: &mut Place<'_, '_>, index: usize) {
        let cell = &mut self.windows.cells[index];
        self.contents.clear(place, &mut cell.contents);
        cell.record_count = 0;
        cell.flags &= ENDED;
    }

    fn emit(&mut self, place: &mut Place<'_, '_>, index: usize, timing: Timing, cause: Cause<'_>) {
        let cell = &mut self.windows.cells[index];
        // What was purged, or has all been said, is no row of its own.
        let is_empty = cell.record_count == 0;
        if is_empty || (self.rules.mode == Mode::Discarding && !cell.has(CHANGED)) {
            return;
        }
        let value = self.contents.value(place, &mut cell.contents);
        let kind = match self.rules.mode {
            Mode::Discarding => {
                self.contents.clear(place, &mut cell.contents);
                RowKind::Insert
            }
            Mode::Accumulating | Mode::Retracting if cell.has(HAS_ROW) => RowKind::UpdateAfter,
            Mode::Accumulating | Mode::Retracting => RowKind::Insert,
        };
        self.take_back(index, RowKind::UpdateBefore, timing, cause);
        let cell = &mut self.windows.cells[index];
        cell.row = value;
        cell.set(HAS_ROW, true);
        cell.set(CHANGED, false);
        self.push_row(index, kind, timing, value, cause);
    }

    /// Takes back the row that stands, where rows are taken back and there is one.
    pub(super) fn take_back(
        &mut self,
        index: usize,
        kind: RowKind,
        timing: Timing,
        cause: Cause<'_>,
    ) {
        let cell = &self.windows.cells[index];
        if self.rules.mode == Mode::Retracting && cell.has(HAS_ROW) {
            let row = cell.row;
            self.push_row(index, kind, timing, row, cause);
        }
    }

    fn push_row(
        &mut self,
        index: usize,
        kind: RowKind,
        timing: Timing,
        value: V::State,
        cause: Cause<'_>,
    ) {
        let cell = &mut self.windows.cells[index];
        let last = EventTime(cell.end.saturating_sub(1));
        // Each row has a position and an ordinal that no other one has.
        let header = match cause {
            Cause::Record(header) => {
                let number = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
                FrameHeader { event_time: last, ordinal: header.ordinal_of(number), ..*header }
            }
            Cause::Time(hash) => {
                let header = FrameHeader::at_time(hash, last);
                let number = cell.row_count << 10 | u32::from(cell.length_index) & 0x3ff;
                FrameHeader { ordinal: header.ordinal_of(number), ..header }
            }
        };
        cell.row_count = cell.row_count.wrapping_add(1);
        let (start, end, length_index) = (cell.start, cell.end, cell.length_index);
        let header = FrameHeader { kind, ..header };
        self.rows.push_back(Row { header, start, end, timing, length_index, value });
    }
}
