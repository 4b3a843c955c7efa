//! What was already written down, so that a client that asks a hundred times for one lease is one record.

use std::collections::{BTreeMap, VecDeque};

/// The latest records by what they have in common; forgets the oldest when there are many.
#[derive(Debug, Default)]
pub(crate) struct Told {
    known: BTreeMap<String, u64>,
    order: VecDeque<String>,
}

/// Clients times leases; what is forgotten is written again.
const MOST: usize = 10_000;

impl Told {
    /// The line in which `sameness` was written down.
    pub(crate) fn line_of(&self, sameness: &str) -> Option<u64> {
        self.known.get(sameness).copied()
    }

    pub(crate) fn remember(&mut self, sameness: String, seq: u64) {
        if self.known.insert(sameness.clone(), seq).is_none() {
            self.order.push_back(sameness);
        }
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut told = Told::default();
        for number in 0..=MOST as u64 {
            told.remember(number.to_string(), number);
        }
        assert_eq!((told.line_of("0"), told.line_of("1")), (None, Some(1)));
        assert_eq!(told.known.len(), MOST);
    }
}
