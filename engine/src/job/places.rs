//! Where the splits of a job begin, or go on from.
//!
//! Takes the places that a manifest names; hands on the place of each split as it is opened, found
//! by its source and name. What is new begins at its start, under a number of its own.

use crate::checkpoint::SplitManifest;
use crate::record::EventTime;

use super::error::JobError;

/// The places of all splits.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Those of the manifest, and which of them were asked for.
    known: Vec<(SplitManifest, bool)>,
    new: Vec<SplitManifest>,
}

impl Places {
    /// The places of a manifest.
    pub(super) fn of(splits: &[SplitManifest]) -> Self {
        let known = splits.iter().map(|split| (split.clone(), false)).collect();
        Self { known, new: Vec::new() }
    }

    /// The place of one split of a source.
    pub(super) fn place(&mut self, source: u32, name: &str) -> SplitManifest {
        let same = |split: &SplitManifest| split.source == source && split.name == name;
        let known = self.known.iter_mut().find(|(split, taken)| !*taken && same(split));
        if let Some((split, taken)) = known {
            *taken = true;
            return split.clone();
        }
        let all = self.known.iter().map(|(split, _)| split).chain(&self.new);
        let number = all.map(|split| split.number + 1).max().unwrap_or(0);
        let split = SplitManifest {
            source,
            name: name.to_owned(),
            number,
            watermark_micros: EventTime::MIN.0,
            highest_micros: EventTime::MIN.0,
            ..SplitManifest::default()
        };
        self.new.push(split.clone());
        split
    }

    /// After the last source was opened: all places, for the next manifest.
    ///
    /// # Errors
    /// A split that was not read to its end is not there any more.
    pub(super) fn finish(self) -> Result<Vec<SplitManifest>, JobError> {
        let gone = self.known.iter().find(|(split, taken)| !taken && !split.ended);
        if let Some((split, _)) = gone {
            let SplitManifest { name, sequence, .. } = split.clone();
            return Err(JobError::SplitGone { name, sequence });
        }
        Ok(self.known.into_iter().map(|(split, _)| split).chain(self.new).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_found_by_source_and_name_and_keep_their_numbers() {
        let mut first = Places::default();
        let [a, b] = [("a", 0), ("b", 0)].map(|(name, source)| first.place(source, name));
        assert_eq!((a.number, b.number), (0, 1));
        let mut splits = first.finish().unwrap();
        splits[1].sequence = 7;
        let mut second = Places::of(&splits);
        assert_eq!(second.place(0, "b").sequence, 7);
        assert_eq!(second.place(1, "b").number, 2, "another source's split is another split");
        assert_eq!(second.place(0, "a").number, 0);
        assert_eq!(second.finish().unwrap().len(), 3);
    }

    #[test]
    fn a_split_that_was_not_read_to_its_end_must_be_there() {
        let mut places = Places::default();
        let split = places.place(0, "a");
        let ended = SplitManifest { ended: true, number: 1, ..split.clone() };
        assert!(matches!(
            Places::of(&[split]).finish(),
            Err(JobError::SplitGone { name, sequence: 0 }) if name == "a"
        ));
        assert_eq!(Places::of(&[ended]).finish().unwrap().len(), 1);
    }
}
