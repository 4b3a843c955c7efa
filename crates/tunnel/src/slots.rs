//! A list whose places are used again: flows are named by their place, on the wheel and in the system's events.

/// Things by place.
pub(crate) struct Slots<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// The place that the next [`Slots::insert`] takes.
    pub(crate) fn next_place(&self) -> usize {
        self.free.last().copied().unwrap_or(self.places.len())
    }

    pub(crate) fn insert(&mut self, thing: T) -> usize {
        if let Some(place) = self.free.pop() {
            self.places[place] = Some(thing);
            return place;
        }
        self.places.push(Some(thing));
        self.places.len() - 1
    }

    pub(crate) fn remove(&mut self, place: usize) -> Option<T> {
        let thing = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(thing)
    }

    pub(crate) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.places.get_mut(place)?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.places.iter().enumerate().filter_map(|(place, thing)| Some((place, thing.as_ref()?)))
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again() {
        let mut slots = Slots::new();
        assert_eq!((slots.insert("a"), slots.insert("b")), (0, 1));
        assert_eq!((slots.remove(0), slots.remove(0), slots.len()), (Some("a"), None, 1));
        assert_eq!(slots.next_place(), 0);
        assert_eq!((slots.insert("c"), slots.next_place()), (0, 2));
        assert_eq!(slots.iter().map(|(place, thing)| (place, *thing)).collect::<Vec<_>>(), [(0, "c"), (1, "b")]);
        assert_eq!(slots.get_mut(7), None);
    }
}
