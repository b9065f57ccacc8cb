//! Messages of the lifecycle of a store, and its orderly end.
//!
//! Why a store is not ended by `Context::stop` or by stopping its arbiter: both drop the messages that are still queued.
//! [`Shutdown`] comes through the mailbox, behind everything that was sent before it.

use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, Message};
use actix_rt::ArbiterHandle;

use super::fault::StoreFault;
use crate::config::StartError;

/// How long a store may take, after the request to stop, to make the queued writes durable. With the
/// [`DRAIN_DEADLINE`](crate::server::DRAIN_DEADLINE) of 30 s before it, a service has ended after 50 s; Kubernetes
/// grants it 60 s.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(20);

/// Asks an actor whether it is alive and able to serve. It goes through the same queue as the work does.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), StoreFault>")]
pub struct Ping;

/// Makes an actor finish what was sent before, refuse what comes later, and close its files. Answered when that is done.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), StoreFault>")]
pub struct Shutdown;

/// Ends an actor and its arbiter: writes that were sent before are made durable and answered.
///
/// # Errors
/// The actor did not end in time, or not in order.
pub async fn shut_down<A>(actor: &Addr<A>, arbiter: &ArbiterHandle) -> Result<(), StartError>
where
    A: Actor<Context = Context<A>> + Handler<Shutdown>,
{
    let ended = tokio::time::timeout(SHUTDOWN_DEADLINE, actor.send(Shutdown)).await;
    arbiter.stop();
    match ended {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(_)) | Err(_)) => Err(StartError::failed("the store has ended without shutting down in order")),
        Err(_) => Err(StartError::failed(format!(
            "the store did not finish its last writes within {} seconds",
            SHUTDOWN_DEADLINE.as_secs()
        ))),
    }
}
