//! Cuts blocks into rows and decodes them where they lie.
//!
//! Takes blocks of any length; hands on views and rejects that borrow the block, or the *carry*:
//! the buffer in which a row that spans blocks is put together.
//!
//! Invariants
//! 1. `block[at..]` and what follows it in the reader is what has not been looked at; a row that
//!    is not yet whole is in `carry`, and `at` is behind its last byte.
//! 2. What counts as a row depends on the bytes alone, not on how blocks cut them: a row's bytes
//!    are looked at up to the limit and one more, and decided upon there.
//! 3. A row that exceeds the limit while its *first line* does not has an open quote. Its first
//!    line is rejected, and every line that starts in the bytes looked at is then a row of its own
//!    (`lines_until`): the quote swallows nothing, and no byte is searched more than three times,
//!    however hostile the file. The price: a quoted field with newlines in it is rejected there.
//! 4. `block_offset` is where the block lies in the input's decompressed bytes, `carry_offset` where
//!    the carry does. The first byte that belongs to no row handed out is `block_offset + at`, or
//!    `carry_offset` while the carry holds the beginning of a row.
//! 5. A line that exceeds the limit is kept whole up to [`ROW_KEPT_BYTES_MAX`], rejected, and its
//!    memory given back with the next row.

use std::marker::PhantomData;

use memchr::{memchr, memchr_iter};

use super::file_position::{FilePosition, HeaderState};
use super::{Next, Reject, SeekError, SourceError};
use crate::decode::{RejectReason, RowDecoder, trim_line};
use crate::io::{Block, BlockPoll, BlockReader};
use crate::record::Record;

/// The longest row that is read, unless the job says otherwise.
pub const ROW_BYTES_MAX: usize = 1 << 20;
/// How much of a longer row is kept for the dead-letter output.
pub const ROW_KEPT_BYTES_MAX: usize = 64 << 20;
/// A carry that grew beyond this is given back once its row is done.
const CARRY_KEPT_BYTES: usize = 64 << 10;

const _: () = assert!(ROW_BYTES_MAX < ROW_KEPT_BYTES_MAX);

pub(super) const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// The rows of one file.
pub(super) struct Rows<R, D> {
    reader: BlockReader,
    decoder: D,
    row_bytes_max: usize,
    block: Block,
    /// Where the block starts in the input (invariant 4).
    block_offset: u64,
    at: usize,
    /// Rows that start before this, counted from the block's start, end at their first newline
    /// (invariant 3). It lies behind the block's end only where reading was resumed.
    lines_until: usize,
    carry: Vec<u8>,
    carry_offset: u64,
    carried: Carried,
    /// The line of the next row.
    line: u64,
    /// How much of a byte order mark was met; all of it, once the first other byte was.
    mark_bytes: usize,
    wants_header: bool,
    /// The row that named the columns, without its line ending.
    header: Option<Vec<u8>>,
    failed: Option<SourceError>,
    record: PhantomData<fn() -> R>,
}

/// What the carry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carried {
    /// The beginning of a row.
    Row,
    /// The beginning of a row that ends at its first newline.
    Line,
    /// The beginning of a line that exceeds the limit.
    Overlong,
    /// A row that was handed out.
    Done,
}

/// Where a row lies, without its newline.
struct Span {
    is_carried: bool,
    start: usize,
    end: usize,
    line: u64,
    reject: Option<RejectReason>,
}

enum Find {
    Row(Span),
    Pending,
    Ended,
    Failed(SourceError),
}

impl<R: Record, D: RowDecoder<R>> Rows<R, D> {
    pub(super) fn new(reader: BlockReader, decoder: D, row_bytes_max: usize) -> Self {
        Self {
            reader,
            wants_header: decoder.wants_header(),
            decoder,
            row_bytes_max: row_bytes_max.min(ROW_KEPT_BYTES_MAX),
            block: Block::default(),
            block_offset: 0,
            at: 0,
            lines_until: 0,
            carry: Vec::new(),
            carry_offset: 0,
            carried: Carried::Done,
            line: 1,
            mark_bytes: 0,
            header: None,
            failed: None,
            record: PhantomData,
        }
    }

    pub(super) fn name(&self) -> &str {
        self.reader.name()
    }

    /// Where the next row is (invariant 4), and what has to be known to read it.
    pub(super) fn position(&self) -> FilePosition {
        let begins_in_carry = self.carried != Carried::Done && !self.carry.is_empty();
        let next_offset = self.block_offset + self.at as u64;
        let offset = if begins_in_carry { self.carry_offset } else { next_offset };
        // Zero means that there is none, and not that it ends where the block starts: the carry
        // may begin before that.
        let lines_until = match self.lines_until {
            0 => offset,
            until => self.block_offset + until as u64,
        };
        let lines_bytes = usize::try_from(lines_until.saturating_sub(offset)).unwrap_or(0);
        let is_line = begins_in_carry && self.carried == Carried::Line;
        FilePosition {
            encoding: self.reader.encoding(),
            mark_bytes: self.mark_bytes,
            header: match (&self.header, self.wants_header) {
                (Some(row), _) => HeaderState::Known(row.clone()),
                (None, true) => HeaderState::Expected,
                (None, false) => HeaderState::None,
            },
            offset,
            line: self.line,
            lines_bytes: lines_bytes.max(usize::from(is_line)),
        }
    }

    /// Goes on from a position of the same input.
    pub(super) fn seek(&mut self, position: &[u8], kind: u8) -> Result<(), SourceError> {
        let to = FilePosition::read(position, kind).map_err(|error| error.of(self.name()))?;
        match (to.header, self.wants_header) {
            (HeaderState::Known(row), true) => self.resume_header(row, position.len())?,
            (HeaderState::Expected, true) | (HeaderState::None, false) => {}
            _ => return Err(SeekError::OtherKind.of(self.name())),
        }
        self.reader.seek(to.offset, to.encoding)?;
        self.block_offset = to.offset;
        self.lines_until = to.lines_bytes;
        self.line = to.line;
        self.mark_bytes = to.mark_bytes;
        Ok(())
    }

    /// Takes the header as an earlier run has read it.
    fn resume_header(&mut self, row: Vec<u8>, found_bytes: usize) -> Result<(), SourceError> {
        let with_newline = [&row[..], b"\n"].concat();
        if self.decoder.find(&with_newline) != Some(row.len()) {
            return Err(SeekError::Damaged { found_bytes }.of(self.name()));
        }
        self.decoder.header(&row).map_err(|cause| {
            let file = self.name().to_owned();
            SourceError::InvalidHeader { file, line: 1, cause }
        })?;
        self.wants_header = false;
        self.header = Some(row);
        Ok(())
    }

    #[inline]
    pub(super) fn next(&mut self) -> Next<'_, R> {
        let span = match self.find() {
            Find::Row(span) => span,
            Find::Pending => return Next::Pending,
            Find::Ended => return Next::Ended,
            Find::Failed(error) => return Next::Failed(error),
        };
        let bytes = match span.is_carried {
            false => &self.block[span.start..span.end],
            true => &self.carry[span.start..span.end],
        };
        let bytes = trim_line(bytes);
        let decoded = match span.reject {
            None => self.decoder.decode(bytes),
            Some(reason) => Err(reason),
        };
        match decoded {
            Ok(view) => Next::Record(view),
            Err(reason) => {
                Next::Rejected(Reject { name: self.reader.name(), line: span.line, reason, bytes })
            }
        }
    }

    /// The next row that is neither empty nor the header.
    #[inline]
    fn find(&mut self) -> Find {
        loop {
            if self.carry.is_empty()
                && self.at >= self.lines_until
                && let Some(end) = self.decoder.find(&self.block[self.at..])
                && end <= self.row_bytes_max
            {
                let start = self.at;
                self.at += end + 1;
                if let Some(found) = self.take_row(false, start, start + end) {
                    return found;
                }
            } else if let Some(found) = self.find_slowly() {
                return found;
            }
        }
    }

    /// A whole row that the decoder has just found.
    #[inline]
    fn take_row(&mut self, is_carried: bool, start: usize, end: usize) -> Option<Find> {
        let line = self.line;
        let source: &[u8] = if is_carried { &self.carry } else { &self.block };
        let row = &source[start..end];
        self.line += 1;
        if self.decoder.may_span_lines() {
            self.line += memchr_iter(b'\n', row).count() as u64;
        }
        let row = trim_line(row);
        if self.decoder.is_empty(row) {
            return None;
        }
        if self.wants_header {
            let result = self.decoder.header(row);
            self.wants_header = false;
            self.header = Some(row.to_vec());
            return result.err().map(|cause| self.fail_header(line, cause));
        }
        Some(Find::Row(Span { is_carried, start, end, line, reject: None }))
    }

    /// A line that is no row.
    #[cold]
    fn reject_line(
        &mut self,
        is_carried: bool,
        start: usize,
        end: usize,
        reason: RejectReason,
    ) -> Option<Find> {
        let line = self.line;
        self.line += 1;
        if self.wants_header {
            let cause = crate::decode::HeaderError::Unreadable(reason);
            return Some(self.fail_header(line, cause));
        }
        Some(Find::Row(Span { is_carried, start, end, line, reject: Some(reason) }))
    }

    fn fail_header(&mut self, line: u64, cause: crate::decode::HeaderError) -> Find {
        let file = self.reader.name().to_owned();
        let error = SourceError::InvalidHeader { file, line, cause };
        self.failed = Some(error.clone());
        self.block = Block::default();
        (self.at, self.lines_until) = (0, 0);
        self.carried = Carried::Done;
        Find::Failed(error)
    }

    /// Everything but a row that lies in the block. `None`: look again.
    #[cold]
    fn find_slowly(&mut self) -> Option<Find> {
        if let Some(error) = &self.failed {
            return Some(Find::Failed(error.clone()));
        }
        if self.carried == Carried::Done && !self.carry.is_empty() {
            self.carry.clear();
            self.carry.shrink_to(CARRY_KEPT_BYTES);
            return None;
        }
        if self.at == self.block.len() {
            return self.next_block();
        }
        if self.carry.is_empty() { self.find_in_block() } else { self.extend_carry() }
    }

    fn next_block(&mut self) -> Option<Find> {
        match self.reader.poll() {
            BlockPoll::Ready(block) => {
                let offset = self.block_offset + self.block.len() as u64;
                self.replace_block(block, offset);
                self.skip_mark();
                None
            }
            BlockPoll::Pending => Some(Find::Pending),
            BlockPoll::Failed(error) => Some(Find::Failed(error.into())),
            BlockPoll::Ended if (1..BYTE_ORDER_MARK.len()).contains(&self.mark_bytes) => {
                self.replace_block(Block::new(BYTE_ORDER_MARK[..self.mark_bytes].to_vec()), 0);
                self.mark_bytes = BYTE_ORDER_MARK.len();
                None
            }
            BlockPoll::Ended if self.carry.is_empty() => Some(Find::Ended),
            BlockPoll::Ended => self.end_carry(),
        }
    }

    fn replace_block(&mut self, block: Block, offset: u64) {
        let old = std::mem::replace(&mut self.block, block);
        self.lines_until = self.lines_until.saturating_sub(old.len());
        self.reader.recycle(old);
        (self.block_offset, self.at) = (offset, 0);
    }

    /// Skips a byte order mark at the start of the file, however blocks cut it.
    fn skip_mark(&mut self) {
        while let Some(&expected) = BYTE_ORDER_MARK.get(self.mark_bytes) {
            match self.block.get(self.at) {
                None => return,
                Some(&byte) if byte == expected => {
                    self.at += 1;
                    self.mark_bytes += 1;
                }
                Some(_) => {
                    let before = self.mark_bytes - self.at;
                    self.at = 0;
                    if before > 0 {
                        let bytes = [&BYTE_ORDER_MARK[..before], &self.block].concat();
                        self.replace_block(Block::new(bytes), 0);
                    }
                    self.mark_bytes = BYTE_ORDER_MARK.len();
                }
            }
        }
    }

    /// The block's next row is not whole, or exceeds the limit, or is a single line.
    fn find_in_block(&mut self) -> Option<Find> {
        let start = self.at;
        let is_line = start < self.lines_until;
        let looked_at = self.block.len().min(start + self.row_bytes_max + 1);
        let window = &self.block[start..looked_at];
        let end = match is_line {
            true => memchr(b'\n', window),
            false => self.decoder.find(window),
        };
        if let Some(end) = end {
            let is_whole = !is_line || self.decoder.find(&window[..=end]).is_some();
            self.at += end + 1;
            return match is_whole {
                true => self.take_row(false, start, start + end),
                false => self.reject_line(false, start, start + end, RejectReason::UnclosedQuote),
            };
        }
        let exceeds = window.len() > self.row_bytes_max;
        if exceeds && let Some(end) = memchr(b'\n', window) {
            self.at += end + 1;
            self.lines_until = looked_at;
            return self.reject_line(false, start, start + end, RejectReason::UnclosedQuote);
        }
        self.carry_offset = self.block_offset + start as u64;
        self.carry.extend_from_slice(window);
        self.at = looked_at;
        self.carried = match (exceeds, is_line) {
            (true, _) => Carried::Overlong,
            (false, true) => Carried::Line,
            (false, false) => Carried::Row,
        };
        None
    }

    fn extend_carry(&mut self) -> Option<Find> {
        if self.carried == Carried::Overlong {
            return self.extend_overlong();
        }
        let room = self.row_bytes_max + 1 - self.carry.len();
        let looked_at = self.block.len().min(self.at + room);
        let window = &self.block[self.at..looked_at];
        let end = match self.carried {
            Carried::Line => memchr(b'\n', window),
            _ => self.decoder.find_more(window),
        };
        let taken = end.map_or(window.len(), |end| end + 1);
        self.carry.extend_from_slice(&window[..taken]);
        self.at += taken;
        if end.is_some() {
            self.take_carry()
        } else if self.carry.len() > self.row_bytes_max {
            self.exceed_carry()
        } else {
            None
        }
    }

    fn extend_overlong(&mut self) -> Option<Find> {
        let window = &self.block[self.at..];
        let end = memchr(b'\n', window);
        let line = &window[..end.unwrap_or(window.len())];
        let kept = line.len().min(ROW_KEPT_BYTES_MAX - self.carry.len());
        self.carry.extend_from_slice(&line[..kept]);
        self.at += line.len() + usize::from(end.is_some());
        end?;
        self.reject_overlong()
    }

    fn reject_overlong(&mut self) -> Option<Find> {
        self.carried = Carried::Done;
        let bytes_max = self.row_bytes_max;
        let reason = RejectReason::RowTooLong { bytes_max };
        self.reject_line(true, 0, self.carry.len(), reason)
    }

    /// The carry ends with the newline of its row.
    fn take_carry(&mut self) -> Option<Find> {
        self.carried = Carried::Done;
        let end = self.carry.len() - 1;
        match self.decoder.find(&self.carry) {
            Some(found) => {
                debug_assert_eq!(found, end, "the newline that was found is the last byte");
                self.take_row(true, 0, end)
            }
            None => self.reject_line(true, 0, end, RejectReason::UnclosedQuote),
        }
    }

    /// The carry has reached the limit.
    fn exceed_carry(&mut self) -> Option<Find> {
        match memchr(b'\n', &self.carry) {
            Some(end) => self.reject_unclosed(end),
            None => {
                self.carried = Carried::Overlong;
                None
            }
        }
    }

    /// The input has ended within a row.
    fn end_carry(&mut self) -> Option<Find> {
        match self.carried {
            Carried::Overlong => self.reject_overlong(),
            Carried::Row if self.decoder.is_quoted() => {
                let end = memchr(b'\n', &self.carry).unwrap_or(self.carry.len());
                self.reject_unclosed(end)
            }
            _ => {
                self.carry.push(b'\n');
                self.take_carry()
            }
        }
    }

    /// The quote in the carry's first line, which ends at `end`, does not close: rejects the line,
    /// and puts what it had swallowed before the rest of the block (invariant 3).
    fn reject_unclosed(&mut self, end: usize) -> Option<Find> {
        let swallowed = self.carry.get(end + 1..).unwrap_or_default();
        let looked_at = swallowed.len();
        let offset = self.block_offset + self.at as u64 - looked_at as u64;
        let bytes = [swallowed, &self.block[self.at..]].concat();
        self.replace_block(Block::new(bytes), offset);
        self.lines_until = looked_at;
        self.carried = Carried::Done;
        self.reject_line(true, 0, end, RejectReason::UnclosedQuote)
    }
}
