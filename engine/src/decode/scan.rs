//! Finds the fields and the end of a CSV row without quotes, eight bytes at a time.
//!
//! Why not memchr for each field: fields are six bytes long on average, so a call costs more than
//! the search. Why not SIMD: `unsafe` is kept to four modules, and eight bytes in a plain register
//! already take less time than parsing the numbers does.

/// What stands at the start of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    /// A row without quotes. Its fields start at `starts[..fields]`; `starts[fields]` is one past
    /// its last byte plus one, as if a delimiter followed.
    Row { newline: usize, fields: usize },
    /// A quote comes before the newline.
    Quote,
    /// Neither a quote nor a newline.
    Open,
}

const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const ONES: u64 = 0x0101_0101_0101_0101;

/// The bytes to look for, each eight times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needles {
    delimiter: u8,
    delimiters: u64,
}

impl Needles {
    pub(super) fn new(delimiter: u8) -> Self {
        Self { delimiter, delimiters: ONES * u64::from(delimiter) }
    }

    /// The top bit of each byte of `word` that is a delimiter, a newline or a quote.
    #[inline(always)]
    fn matches(self, word: u64) -> u64 {
        let others = differs(word ^ self.delimiters)
            & differs(word ^ (ONES * b'\n' as u64))
            & differs(word ^ (ONES * b'"' as u64));
        !(others | LOW)
    }

    /// Scans one row; `starts` takes the offsets of as many fields as it has room for.
    #[inline]
    pub(super) fn scan(self, window: &[u8], starts: &mut [u32]) -> Scan {
        let mut fields = 1;
        let mut base = 0;
        let (words, tail) = window.as_chunks::<8>();
        for word in words {
            let mut matches = self.matches(u64::from_le_bytes(*word));
            while matches != 0 {
                let offset = base + matches.trailing_zeros() as usize / 8;
                if let Some(done) = self.take(window, offset, &mut fields, starts) {
                    return done;
                }
                matches &= matches - 1;
            }
            base += 8;
        }
        for (index, &byte) in tail.iter().enumerate() {
            if (byte == self.delimiter || byte == b'\n' || byte == b'"')
                && let Some(done) = self.take(window, base + index, &mut fields, starts)
            {
                return done;
            }
        }
        Scan::Open
    }

    #[inline(always)]
    fn take(
        self,
        window: &[u8],
        offset: usize,
        fields: &mut usize,
        starts: &mut [u32],
    ) -> Option<Scan> {
        let byte = window[offset];
        if byte == self.delimiter {
            note(starts, *fields, offset + 1);
            *fields += 1;
            return None;
        }
        if byte == b'"' {
            return Some(Scan::Quote);
        }
        let has_return = offset > 0 && window[offset - 1] == b'\r';
        note(starts, *fields, offset + 1 - usize::from(has_return));
        Some(Scan::Row { newline: offset, fields: *fields })
    }
}

/// The top bit of each byte that is not zero; the other bits mean nothing.
#[inline(always)]
fn differs(word: u64) -> u64 {
    ((word & LOW) + LOW) | word
}

#[inline(always)]
fn note(starts: &mut [u32], index: usize, offset: usize) {
    if let Some(start) = starts.get_mut(index) {
        *start = u32::try_from(offset).unwrap_or(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_at_every_offset() {
        for length in 0..20 {
            let first = "x".repeat(length);
            let row = format!("{first},yy,,z\r\nnext");
            let mut starts = [0; 5];
            let newline = length + 8 - 1;
            let scan = Needles::new(b',').scan(row.as_bytes(), &mut starts);
            assert_eq!(scan, Scan::Row { newline, fields: 4 });
            let at = u32::try_from(length).unwrap();
            assert_eq!(starts, [0, at + 1, at + 4, at + 5, at + 7]);
        }
    }

    #[test]
    fn bytes_that_only_look_alike_are_not_taken() {
        // One bit, or the carry of a neighbour, away from a delimiter, a newline or a quote.
        let bytes: Vec<u8> = (0..=255).filter(|byte| !b",\n\"".contains(byte)).collect();
        for needle in *b",\n\"" {
            for &byte in &bytes {
                let mut window = [byte; 16];
                assert_eq!(Needles::new(b',').scan(&window, &mut []), Scan::Open);
                window[11] = needle;
                let scan = Needles::new(b',').scan(&window, &mut []);
                let expected = match needle {
                    b',' => Scan::Open,
                    b'"' => Scan::Quote,
                    _ => Scan::Row { newline: 11, fields: 1 },
                };
                assert_eq!(scan, expected);
            }
        }
    }
}
