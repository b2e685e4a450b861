//! From the hash of a key to the number of its slot.
//!
//! The key itself lies in its slot alone: eight bytes for an entry, so that of a hundred thousand keys this index stays in the
//! processor's cache where a map with the keys would not. Entries lie at their hash or behind it (linear probing), and what is
//! taken out is closed up, so that nothing is left to be passed over.

use std::hash::{BuildHasher, RandomState};

/// See the module. Numbers are given by the caller, each once.
#[derive(Debug)]
pub(super) struct Numbers {
    /// The standard hasher: keys come from records, and a foreign producer must not be able to aim them at one place.
    hasher: RandomState,
    /// A power of two of them, at most three quarters taken; none before the first entry.
    places: Vec<Option<Entry>>,
    entries: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The lower half of the key's hash: where it belongs, and what tells it from most others.
    hash: u32,
    number: Number,
}

/// One more than the number, so that an empty place takes no room of its own.
type Number = std::num::NonZeroU32;

const PLACES_MIN: usize = 16;

impl Numbers {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), places: Vec::new(), entries: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.entries
    }

    /// The number of a key; `has_key` tells whether the slot of a number has it.
    pub(super) fn find(&self, key: &[u8], has_key: impl Fn(u32) -> bool) -> Option<u32> {
        if self.places.is_empty() {
            return None;
        }
        let hash = self.hash(key);
        let mut at = self.home(hash);
        while let Some(entry) = self.places[at] {
            if entry.hash == hash && has_key(entry.number.get() - 1) {
                return Some(entry.number.get() - 1);
            }
            at = self.next(at);
        }
        None
    }

    /// Enters a key that is not there.
    pub(super) fn insert(&mut self, key: &[u8], number: u32) {
        if (self.entries + 1) * 4 > self.places.len() * 3 {
            let wider = vec![None; (self.places.len() * 2).max(PLACES_MIN)];
            for entry in std::mem::replace(&mut self.places, wider).into_iter().flatten() {
                self.put(entry);
            }
        }
        let number = Number::MIN.checked_add(number).expect("slots are far fewer than 4 billion");
        self.put(Entry { hash: self.hash(key), number });
        self.entries += 1;
    }

    /// Takes a key out.
    pub(super) fn remove(&mut self, key: &[u8], number: u32) {
        let mut hole = self.home(self.hash(key));
        while self.places[hole].is_some_and(|entry| entry.number.get() - 1 != number) {
            hole = self.next(hole);
        }
        assert!(self.places[hole].take().is_some(), "what is taken out was entered");
        self.entries -= 1;
        // What lies behind moves up, unless it would come to lie before the place that it belongs to.
        let mut at = self.next(hole);
        while let Some(entry) = self.places[at] {
            let mask = self.places.len() - 1;
            let from_home = at.wrapping_sub(self.home(entry.hash)) & mask;
            let from_hole = at.wrapping_sub(hole) & mask;
            if from_home >= from_hole {
                self.places[hole] = self.places[at].take();
                hole = at;
            }
            at = self.next(at);
        }
    }

    fn put(&mut self, entry: Entry) {
        let mut at = self.home(entry.hash);
        while self.places[at].is_some() {
            at = self.next(at);
        }
        self.places[at] = Some(entry);
    }

    fn hash(&self, key: &[u8]) -> u32 {
        self.hasher.hash_one(key) as u32
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.places.len() - 1)
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn keys_are_found_as_in_a_map_of_the_standard_library(steps in prop::collection::vec((0_u8..40, any::<bool>()), 0..400)) {
            let mut numbers = Numbers::new();
            let (mut slots, mut map) = (Vec::<Option<u8>>::new(), BTreeMap::new());
            for (key, put) in steps {
                match map.get(&key).copied() {
                    None if put => {
                        let number = slots.len() as u32;
                        slots.push(Some(key));
                        numbers.insert(&[key], number);
                        map.insert(key, number);
                    }
                    Some(number) if !put => {
                        numbers.remove(&[key], number);
                        slots[number as usize] = None;
                        map.remove(&key);
                    }
                    _ => {}
                }
                prop_assert_eq!(numbers.len(), map.len());
                for key in 0..40 {
                    let has_key = |number: u32| slots[number as usize] == Some(key);
                    prop_assert_eq!(numbers.find(&[key], has_key), map.get(&key).copied());
                }
            }
        }
    }
}
