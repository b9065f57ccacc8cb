//! Hands out the cores on which passwords are hashed, in an order that is fair between the addresses of clients.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{
    line::{Entered, FairLine, Ticket},
    place::Place,
};

/// The cores, and those who wait for one. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    line: FairLine<Place, oneshot::Sender<Turn>>,
}

/// Too many wait already.
#[derive(Debug)]
pub(super) struct Overloaded;

impl Turns {
    /// This many cores, for which this many may wait.
    pub(super) fn new(cores: usize, waiting_max: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: cores, line: FairLine::new(waiting_max) })))
    }

    /// Resolves when it is the turn of this place. Dropped before that, it leaves the line.
    ///
    /// # Errors
    /// Too many wait already, or the room was needed for a place that has fewer in the line.
    pub(super) async fn take(&self, place: Place) -> Result<Turn, Overloaded> {
        let mut waiting = match self.enter(place)? {
            Arrived::AtOnce(turn) => return Ok(turn),
            Arrived::Waits(waiting) => waiting,
        };
        (&mut waiting.granted).await.map_err(|_| Overloaded)
    }

    fn enter(&self, place: Place) -> Result<Arrived, Overloaded> {
        let mut state = self.lock();
        if state.free > 0 {
            state.free -= 1;
            return Ok(Arrived::AtOnce(Turn(Some(self.clone()))));
        }
        let (grant, granted) = oneshot::channel();
        match state.line.enter(place, grant) {
            // Dropping the sender of another one tells it that it was displaced.
            Entered::Waits(ticket) | Entered::Instead(ticket, _) => {
                Ok(Arrived::Waits(Waiting { turns: self.clone(), place, ticket, granted }))
            }
            Entered::Refused => Err(Overloaded),
        }
    }

    /// Gives a core that has become free to the next in the line.
    fn pass_on(&self) {
        loop {
            let next = {
                let mut state = self.lock();
                let next = state.line.next();
                if next.is_none() {
                    state.free += 1;
                }
                next
            };
            match next.map(|grant| grant.send(Turn(Some(self.clone())))) {
                None | Some(Ok(())) => return,
                // It has gone at this moment. Its turn must not be passed on once more when it is dropped here.
                Some(Err(mut turn)) => drop(turn.0.take()),
            }
        }
    }

    /// Nothing panics while the lock is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Arrived {
    AtOnce(Turn),
    Waits(Waiting),
}

/// A place in the line.
struct Waiting {
    turns: Turns,
    place: Place,
    ticket: Ticket,
    granted: oneshot::Receiver<Turn>,
}

impl Drop for Waiting {
    /// A turn that was granted at this moment is passed on when `granted` is dropped, after this.
    fn drop(&mut self) {
        let left = self.turns.lock().line.leave(&self.place, self.ticket);
        drop(left);
    }
}

/// A core, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Option<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn place(address: &str) -> Place {
        Place::from(Some(address.parse().unwrap()))
    }

    /// Polls once.
    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn addresses_of_one_client_are_one_place() {
        assert_eq!(place("2001:db8::1"), place("2001:db8::ffff:1"));
        assert_ne!(place("2001:db8::1"), place("2001:db8:0:1::1"));
        assert_eq!(place("192.0.2.1"), place("::ffff:192.0.2.1"));
        assert_ne!(place("192.0.2.1"), place("192.0.2.2"));
    }

    #[test]
    fn a_core_goes_to_the_next_in_line_and_who_has_left_is_skipped() {
        let turns = Turns::new(1, 10);
        let (here, there) = (place("192.0.2.1"), place("192.0.2.2"));
        let held = poll(pin!(turns.take(here))).unwrap().unwrap();
        let mut first = Box::pin(turns.take(here));
        let mut second = pin!(turns.take(here));
        let mut other = pin!(turns.take(there));
        assert!(poll(first.as_mut()).is_none() && poll(second.as_mut()).is_none() && poll(other.as_mut()).is_none());
        drop(first);
        drop(held);
        let turn = poll(second.as_mut()).unwrap().unwrap();
        assert!(poll(other.as_mut()).is_none());
        drop(turn);
        let turn = poll(other.as_mut()).unwrap().unwrap();
        drop(turn);
        assert!(poll(pin!(turns.take(here))).unwrap().is_ok(), "the core is free again");
    }

    #[test]
    fn a_turn_that_nobody_takes_is_passed_on() {
        let turns = Turns::new(1, 10);
        let here = place("192.0.2.1");
        let held = poll(pin!(turns.take(here))).unwrap().unwrap();
        let mut gone = Box::pin(turns.take(here));
        let mut next = pin!(turns.take(here));
        assert!(poll(gone.as_mut()).is_none() && poll(next.as_mut()).is_none());
        drop(held);
        drop(gone);
        assert!(poll(next.as_mut()).unwrap().is_ok());
    }

    #[test]
    fn a_full_line_makes_room_for_another_place() {
        let turns = Turns::new(1, 2);
        let (here, there) = (place("192.0.2.1"), place("192.0.2.2"));
        let _held = poll(pin!(turns.take(here))).unwrap().unwrap();
        let (mut first, mut second) = (pin!(turns.take(here)), pin!(turns.take(here)));
        assert!(poll(first.as_mut()).is_none() && poll(second.as_mut()).is_none());
        assert!(poll(pin!(turns.take(here))).unwrap().is_err(), "it has all there is");
        let mut other = pin!(turns.take(there));
        assert!(poll(other.as_mut()).is_none());
        assert!(poll(second.as_mut()).unwrap().is_err(), "displaced");
        assert!(poll(first.as_mut()).is_none());
    }
}
