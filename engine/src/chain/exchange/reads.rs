//! Which fields of its records an exchange has to bring.
//!
//! Takes the fields that are read behind the exchange, where `#[pelton::job]` sees every use of a
//! record as `x.field`; hands on which texts are left out.
//!
//! Why only texts: numbers have their places in the archived record, so that it is read in place
//! behind the exchange as anywhere else. Refused: a record type of its own for each exchange, which
//! would pack the numbers too and copy them one by one.

use std::borrow::Cow;

use crate::record::Record;

/// The fields that are read, or why that is not known.
#[derive(Debug, Clone)]
pub struct Reads {
    fields: Option<&'static [&'static str]>,
    whole_because: Cow<'static, str>,
}

impl Reads {
    /// Nothing but these, the key's among them.
    pub(crate) fn fields(fields: &'static [&'static str]) -> Self {
        Self { fields: Some(fields), whole_because: Cow::Borrowed("") }
    }

    /// Perhaps all of them, for a reason that people read.
    pub(crate) fn whole(because: impl Into<Cow<'static, str>>) -> Self {
        Self { fields: None, whole_because: because.into() }
    }

    /// The fields of an `R` that cross, as bits: all but texts that nobody reads.
    pub(super) fn kept<R: Record>(&self) -> u64 {
        let Some(read) = self.fields else {
            return u64::MAX;
        };
        let names = R::SCHEMA.fields.iter().map(|field| field.name).zip(0..u64::BITS);
        let unread = names.filter(|(name, _)| !read.contains(name));
        !(unread.fold(0, |bits, (_, bit)| bits | 1 << bit) & R::TEXTS)
    }

    /// The names of the fields of an `R` that cross, and why not fewer.
    pub(super) fn describe<R: Record>(&self) -> (Vec<String>, Option<String>) {
        let crosses = |name: &&str| self.fields.is_none_or(|read| read.contains(name));
        let names = R::SCHEMA.fields.iter().map(|field| field.name).filter(crosses);
        let because = self.fields.is_none().then(|| self.whole_because.clone().into_owned());
        (names.map(str::to_owned).collect(), because)
    }
}
