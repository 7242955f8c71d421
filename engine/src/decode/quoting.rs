//! Where a CSV row with quotes ends: RFC 4180 as a state machine that can stop anywhere.
//!
//! ```text
//!              delimiter                     newline: the row ends, except in Quoted
//!            +-----------+
//!            v           |
//!    +-> FieldStart --other--> Plain          a quote in Plain is a plain byte
//!    |       |                   ^
//! delimiter  | quote             | other: text behind a quote
//!    |       v                   |
//!    +--- Closed <---quote--- Quoted          Closed --quote--> Quoted (a doubled quote)
//! ```
//!
//! Why our own and not csv-core's: its automaton takes everything for some row, and can't say
//! that a quote is still open or that text follows a closing one. It does split and unescape the
//! row once the end is known.

use memchr::memchr2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    Closed,
    /// A carriage return behind a closing quote: fine before a newline only.
    ClosedReturn,
}

/// The state machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quoting {
    state: State,
    text_behind_quote: bool,
    delimiter: u8,
}

impl Quoting {
    /// At the start of a row.
    pub(super) fn new(delimiter: u8) -> Self {
        Self { state: State::FieldStart, text_behind_quote: false, delimiter }
    }

    pub(super) fn is_quoted(&self) -> bool {
        self.state == State::Quoted
    }

    pub(super) fn has_text_behind_quote(&self) -> bool {
        self.text_behind_quote
    }

    /// Takes `window`, up to the newline that ends the row, and says where that is.
    pub(super) fn advance(&mut self, window: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < window.len() {
            match self.state {
                State::Quoted => {
                    at += memchr::memchr(b'"', &window[at..])?;
                    self.state = State::Closed;
                }
                State::Plain => {
                    at += memchr2(self.delimiter, b'\n', &window[at..])?;
                    if window[at] == b'\n' {
                        return Some(at);
                    }
                    self.state = State::FieldStart;
                }
                State::FieldStart | State::Closed | State::ClosedReturn => {
                    if window[at] == b'\n' {
                        return Some(at);
                    }
                    self.step(window[at]);
                }
            }
            at += 1;
        }
        None
    }

    fn step(&mut self, byte: u8) {
        let is_delimiter = byte == self.delimiter;
        self.state = match self.state {
            State::FieldStart if byte == b'"' => State::Quoted,
            State::Closed if byte == b'"' => State::Quoted,
            State::FieldStart | State::Closed if is_delimiter => State::FieldStart,
            State::Closed if byte == b'\r' => State::ClosedReturn,
            State::FieldStart => State::Plain,
            State::Closed | State::ClosedReturn => {
                self.text_behind_quote = true;
                if is_delimiter { State::FieldStart } else { State::Plain }
            }
            State::Plain | State::Quoted => {
                unreachable!("advance searches on in these states")
            }
        };
    }
}
