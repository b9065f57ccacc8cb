//! A bounded waiting line that is fair between the places from which its entries come. Pure: knows neither clients nor
//! time.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// Entries that wait, those of each place in their order. Places take turns.
#[derive(Debug)]
pub(super) struct FairLine<P, E> {
    waiting: HashMap<P, VecDeque<(Ticket, E)>>,
    /// The places that have entries, the next one first.
    turns: VecDeque<P>,
    len: usize,
    len_max: usize,
    next_ticket: u64,
}

/// Identifies an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// What became of an entry.
#[derive(Debug)]
pub(super) enum Entered<E> {
    Waits(Ticket),
    /// It waits instead of another one: the last of the place that had the most.
    Instead(Ticket, E),
    /// The line is full, and its place has its share.
    Refused,
}

impl<P: Clone + Eq + Hash, E> FairLine<P, E> {
    /// An empty line for this many entries.
    pub(super) fn new(len_max: usize) -> Self {
        Self { waiting: HashMap::new(), turns: VecDeque::new(), len: 0, len_max, next_ticket: 0 }
    }

    #[cfg(test)]
    const fn len(&self) -> usize {
        self.len
    }

    /// Adds an entry. In a full line it takes the room of one from the place with the most, if that has at least two more
    /// than its own: so each place can have its share, whoever came first.
    pub(super) fn enter(&mut self, place: P, entry: E) -> Entered<E> {
        let displaced = if self.len < self.len_max {
            None
        } else {
            match self.displace(self.waiting.get(&place).map_or(0, VecDeque::len)) {
                None => return Entered::Refused,
                displaced => displaced,
            }
        };
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.len += 1;
        let entries = self.waiting.entry(place.clone()).or_default();
        if entries.is_empty() {
            self.turns.push_back(place);
        }
        entries.push_back((ticket, entry));
        displaced.map_or(Entered::Waits(ticket), |displaced| Entered::Instead(ticket, displaced))
    }

    /// Removes the last entry of the place with the most entries, if these are at least two more than `own`.
    fn displace(&mut self, own: usize) -> Option<E> {
        let longest = self.waiting.iter().max_by_key(|(_, entries)| entries.len());
        let (place, entries) = longest.filter(|(_, entries)| entries.len() > own + 1)?;
        let (ticket, place) = (entries.back()?.0, place.clone());
        self.leave(&place, ticket)
    }

    /// Removes the next entry: the first one of the place whose turn it is.
    pub(super) fn next(&mut self) -> Option<E> {
        let place = self.turns.front()?.clone();
        let ticket = self.waiting.get(&place)?.front()?.0;
        let entry = self.leave(&place, ticket);
        if self.turns.front() == Some(&place) {
            self.turns.rotate_left(1);
        }
        entry
    }

    /// Removes an entry that does not want to wait any longer; `None` if it is not in the line any more.
    pub(super) fn leave(&mut self, place: &P, ticket: Ticket) -> Option<E> {
        let entries = self.waiting.get_mut(place)?;
        let at = entries.iter().position(|(known, _)| *known == ticket)?;
        let (_, entry) = entries.remove(at)?;
        self.len -= 1;
        if entries.is_empty() {
            self.waiting.remove(place);
            self.turns.retain(|known| known != place);
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A line with these entries; the first letter of each is its place.
    fn line(len_max: usize, entries: &[&'static str]) -> FairLine<char, &'static str> {
        let mut line = FairLine::new(len_max);
        for entry in entries {
            line.enter(entry.chars().next().unwrap(), *entry);
        }
        line
    }

    fn all(mut line: FairLine<char, &'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| line.next()).collect()
    }

    #[test]
    fn places_take_turns() {
        assert_eq!(all(line(9, &["a1", "a2", "a3", "b1", "c1", "b2"])), ["a1", "b1", "c1", "a2", "b2", "a3"]);
        let mut served = line(9, &["a1", "a2", "a3"]);
        assert_eq!(served.next(), Some("a1"));
        served.enter('b', "b1");
        assert_eq!(all(served), ["a2", "b1", "a3"]);
    }

    #[test]
    fn a_full_line_gives_each_place_its_share() {
        let mut full = line(4, &["a1", "a2", "a3", "a4"]);
        assert!(matches!(full.enter('a', "a5"), Entered::Refused));
        assert!(matches!(full.enter('b', "b1"), Entered::Instead(_, "a4")));
        assert!(matches!(full.enter('b', "b2"), Entered::Instead(_, "a3")));
        assert!(matches!(full.enter('b', "b3"), Entered::Refused), "two each");
        assert!(matches!(full.enter('c', "c1"), Entered::Instead(..)));
        assert_eq!(full.len(), 4);
    }

    #[test]
    fn who_leaves_is_not_served() {
        let mut line = line(4, &["a1", "b1"]);
        let Entered::Waits(ticket) = line.enter('a', "a2") else { panic!("there is room") };
        assert_eq!(line.leave(&'a', ticket), Some("a2"));
        assert_eq!(line.leave(&'a', ticket), None);
        assert_eq!(line.len(), 2);
        assert_eq!(all(line), ["a1", "b1"]);
    }

    proptest! {
        #[test]
        fn the_line_is_bounded_and_nobody_is_lost(places in proptest::collection::vec(0u8..5, 0..60), len_max in 1usize..12) {
            let mut line = FairLine::new(len_max);
            let mut gone = 0;
            for (index, place) in places.iter().enumerate() {
                match line.enter(*place, index) {
                    Entered::Waits(_) => {}
                    Entered::Instead(..) | Entered::Refused => gone += 1,
                }
                prop_assert!(line.len() <= len_max);
                if index % 7 == 0 && line.next().is_some() {
                    gone += 1;
                }
            }
            let rest = std::iter::from_fn(|| line.next()).count();
            prop_assert_eq!(gone + rest, places.len());
            prop_assert_eq!(line.len(), 0);
        }

        #[test]
        fn a_place_waits_for_one_entry_of_each_other_place(others in proptest::collection::vec(0u8..4, 0..40)) {
            let mut line = FairLine::new(100);
            for place in &others {
                line.enter(*place, false);
            }
            line.enter(9, true);
            let before = std::iter::from_fn(|| line.next()).take_while(|is_mine| !is_mine).count();
            prop_assert!(before <= 4, "{}", before);
        }
    }
}
