//! Answers that are still good: as many as were asked for, the one that was used longest ago goes first.

use std::hash::{BuildHasherDefault, Hash};
use std::num::NonZeroUsize;

use lru::LruCache;
use xxhash_rust::xxh3::Xxh3Default;

use super::options::{LookupCache, nanoseconds};

/// One shard's answers.
pub(super) struct Cache<Q: Hash + Eq, A> {
    answers: LruCache<Q, Kept<A>, BuildHasherDefault<Xxh3Default>>,
    live_ns: u64,
}

struct Kept<A> {
    answer: A,
    good_until_ns: u64,
}

impl<Q: Hash + Eq, A: Clone> Cache<Q, A> {
    pub(super) fn new(of: LookupCache) -> Self {
        let room = NonZeroUsize::new(of.entries_max).unwrap_or(NonZeroUsize::MIN);
        let answers = LruCache::unbounded_with_hasher(BuildHasherDefault::default());
        let mut cache = Self { answers, live_ns: nanoseconds(of.time_to_live) };
        // Not made with its room: that would take memory for all of it at once.
        cache.answers.resize(room);
        cache
    }

    /// A copy of the answer, if there is one that is good at `now_ns`.
    pub(super) fn get(&mut self, request: &Q, now_ns: u64) -> Option<A> {
        let kept = self.answers.get(request)?;
        if kept.good_until_ns > now_ns {
            return Some(kept.answer.clone());
        }
        self.answers.pop(request);
        None
    }

    /// Keeps an answer that came at `now_ns`.
    pub(super) fn put(&mut self, request: Q, answer: A, now_ns: u64) {
        let good_until_ns = now_ns.saturating_add(self.live_ns);
        self.answers.put(request, Kept { answer, good_until_ns });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_goes_with_its_time_or_when_others_were_used_after_it() {
        let time_to_live = Duration::from_nanos(10);
        let mut cache = Cache::new(LookupCache { entries_max: 2, time_to_live });
        cache.put("a", 1, 0);
        cache.put("b", 2, 5);
        assert_eq!((cache.get(&"a", 9), cache.get(&"a", 10)), (Some(1), None));
        cache.put("c", 3, 6);
        assert_eq!(cache.get(&"b", 7), Some(2));
        cache.put("d", 4, 7);
        assert_eq!(["b", "c", "d"].map(|at| cache.get(&at, 8)), [Some(2), None, Some(4)]);
    }
}
