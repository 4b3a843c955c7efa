//! Who is being asked for what: one flight per key, owned here and not by the request that began it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::{fill::Stage, record::Id};

/// What a flight is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Errand {
    /// Bring the file, or learn that the copy is right.
    Fill,
    /// Ask what it is like.
    Describe,
}

type Flights = HashMap<(Id, Errand), watch::Receiver<Stage>>;

/// Every flight under way. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Arc<Mutex<Flights>>);

/// A flight's place in the table, given up when dropped, also by a panic.
#[derive(Debug)]
pub(crate) struct Seat {
    table: Table,
    name: (Id, Errand),
}

impl Table {
    /// Joins the flight, or begins it: then there is a seat, and the sender belongs to whoever flies.
    pub(crate) fn join(
        &self,
        id: Id,
        errand: Errand,
    ) -> (watch::Receiver<Stage>, Option<(Seat, watch::Sender<Stage>)>) {
        let name = (id, errand);
        let mut flights = self.locked();
        if let Some(flight) = flights.get(&name) {
            return (flight.clone(), None);
        }
        let (sender, receiver) = watch::channel(Stage::Asking);
        flights.insert(name, receiver.clone());
        (receiver, Some((Seat { table: self.clone(), name }, sender)))
    }

    /// How many are under way.
    pub(crate) fn len(&self) -> usize {
        self.locked().len()
    }

    fn locked(&self) -> MutexGuard<'_, Flights> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.table.locked().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_joins_and_the_seat_frees_the_name() {
        let table = Table::default();
        let id = Id::of("o", "k");
        let (_, begun) = table.join(id, Errand::Fill);
        assert!(table.join(id, Errand::Fill).1.is_none());
        assert!(table.join(id, Errand::Describe).1.is_some());
        drop(begun);
        assert!(table.join(id, Errand::Fill).1.is_some());
        assert_eq!(table.len(), 0);
    }
}
