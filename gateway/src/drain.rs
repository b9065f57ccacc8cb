//! Shuts the gateway down without a request failing: decides when to stop accepting, and when nothing is in flight any more.

use std::{future::Future, sync::Arc, time::Duration};

use actix_server::ServerHandle;

use crate::runtime::current::CurrentSnapshot;

/// After accepting has been paused, connections that were just accepted are still on their way to a worker, through the
/// accepting thread and a channel; stopping would drop them. Both take microseconds; this is ample.
const HANDOVER: Duration = Duration::from_millis(200);
/// When nothing has been in flight for this long, only idle connections are left, which would hold up the end until its
/// deadline. In this time the last bytes of an answer reach a slow client.
const QUIET: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How a gateway shuts down.
pub(crate) struct Drain {
    pub(crate) current: Arc<CurrentSnapshot>,
    /// How long load balancers need to notice that the gateway is not ready.
    pub(crate) delay: Duration,
    /// Whether another process accepts on the same socket, or will.
    pub(crate) shared: bool,
}

impl Drain {
    /// Waits for the shutdown, drains, and resolves when only idle connections are left. Where there are none, the server
    /// ends before that.
    ///
    /// From the shutdown on, every answer closes its connection, so that clients reconnect elsewhere. New connections are
    /// accepted for `delay`, unless another process accepts them; then the requests in flight finish.
    pub(crate) async fn after(self, shutdown: impl Future<Output = ()>, handle: ServerHandle) {
        shutdown.await;
        self.current.get().process.health.drain();
        if self.shared {
            handle.pause().await;
        }
        tokio::time::sleep(self.delay).await;
        handle.pause().await;
        tokio::time::sleep(HANDOVER).await;
        actix_rt::spawn(handle.stop(true));
        self.quiet().await;
        log::info!("drained; idle connections are closed");
    }

    /// Resolves when no request has been in flight for [`QUIET`]. Requests of snapshots before a reload count too, and a
    /// WebSocket is a request until it ends.
    async fn quiet(&self) {
        let process = &self.current.get().process;
        let mut quiet = Duration::ZERO;
        let mut before = None;
        while quiet < QUIET {
            tokio::time::sleep(POLL_INTERVAL).await;
            let now = process.requests.when_idle();
            // A request may begin and end between two polls.
            quiet = if now.is_some() && now == before { quiet + POLL_INTERVAL } else { Duration::ZERO };
            before = now;
        }
    }
}
