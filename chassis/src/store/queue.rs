//! The bounded queue in front of an actor, and its metrics. Knows neither the actor nor its messages.
//!
//! Actix has no such bound: where a mailbox is full, `Addr::send` keeps the message and waits, and the mailbox of a
//! `SyncArbiter` is never full. So a permit is taken before a message is sent, and the mailbox of an actor gets the
//! capacity of its queues.
//!
//! The tricky part is who holds the permit. It travels with the message and not with the caller, because the caller may
//! stop waiting (its client has closed the connection) while the message, and the memory that it takes, are still queued.

use std::{sync::Arc, time::Instant};

use actix::{Actor, Addr, Handler, Message, dev::ToEnvelope};
use prometheus_client::{
    metrics::gauge::{ConstGauge, Gauge},
    registry::Registry,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::fault::StoreFault;

/// The permits of one queue. A clone shares them.
#[derive(Clone, Debug)]
pub struct Queue {
    permits: Arc<Semaphore>,
    waiting: Gauge,
}

/// A place in a queue, which is free again when this is dropped. An actor drops the permit before it sends the answer, so
/// that a caller who has the answer does not find its message counted as waiting.
#[derive(Debug)]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
    waiting: Gauge,
}

/// A message with its place in the queue.
#[derive(Debug)]
pub struct Admitted<M> {
    pub message: M,
    pub permit: Permit,
    /// When the message was sent.
    pub queued_at: Instant,
}

impl<M: Message> Message for Admitted<M> {
    type Result = M::Result;
}

impl Queue {
    /// A queue with room for `messages_max` messages. For the `name` "writes" it registers the metrics `writes_waiting`
    /// and `writes_waiting_max`.
    pub fn register(name: &str, messages_max: usize, registry: &mut Registry) -> Self {
        let waiting = Gauge::default();
        let max = ConstGauge::new(i64::try_from(messages_max).unwrap_or(i64::MAX));
        let help = format!("Number of {name} accepted and not answered yet");
        registry.register(format!("{name}_waiting"), help, waiting.clone());
        registry.register(format!("{name}_waiting_max"), format!("Maximum number of waiting {name}"), max);
        Self { permits: Arc::new(Semaphore::new(messages_max)), waiting }
    }

    /// Takes a place for a message, without waiting for one.
    ///
    /// # Errors
    /// [`StoreFault::Busy`] where the queue is full.
    pub fn admit<M>(&self, message: M) -> Result<Admitted<M>, StoreFault> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| StoreFault::Busy(None))?;
        self.waiting.inc();
        let permit = Permit { _permit: permit, waiting: self.waiting.clone() };
        Ok(Admitted { message, permit, queued_at: Instant::now() })
    }

    /// Sends a message to an actor and returns its answer.
    ///
    /// # Errors
    /// [`StoreFault::Busy`] where the queue is full, [`StoreFault::Stopping`] where the actor has ended, or what the
    /// actor answers.
    pub async fn send<A, M, T, E>(&self, actor: &Addr<A>, message: M) -> Result<T, E>
    where
        A: Actor + Handler<Admitted<M>>,
        A::Context: ToEnvelope<A, Admitted<M>>,
        M: Message<Result = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreFault> + Send + 'static,
    {
        let admitted = self.admit(message)?;
        actor.send(admitted).await.unwrap_or_else(|_| Err(StoreFault::Stopping.into()))
    }

    /// Number of free places.
    pub fn free(&self) -> usize {
        self.permits.available_permits()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.waiting.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_until_its_permit_is_dropped() {
        let queue = Queue::register("writes", 2, &mut Registry::default());
        let (first, second) = (queue.admit("first").unwrap(), queue.admit("second").unwrap());
        assert!(matches!(queue.admit("third"), Err(StoreFault::Busy(None))));
        assert_eq!((queue.free(), queue.waiting.get()), (0, 2));
        drop(first);
        assert_eq!(queue.admit("third").unwrap().message, "third");
        drop(second);
        assert_eq!((queue.free(), queue.waiting.get()), (2, 0));
    }
}
