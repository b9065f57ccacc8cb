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

    /// Resolves when no request has been in flight for [`QUIET`].
    async fn quiet(&self) {
        let mut quiet = Duration::ZERO;
        let mut before = self.completed();
        while quiet < QUIET {
            tokio::time::sleep(POLL_INTERVAL).await;
            let now = self.completed();
            quiet = if self.is_idle() && now == before { quiet + POLL_INTERVAL } else { Duration::ZERO };
            before = now;
        }
    }

    /// Whether no request is in flight. Tunnels are in flight at their upstream until they end.
    fn is_idle(&self) -> bool {
        let snapshot = self.current.get();
        snapshot.upstreams.iter().all(|upstream| upstream.status().in_flight == 0)
            && snapshot.metrics().all(|metrics| metrics.in_flight() == 0)
    }

    /// The number of requests that have ended: a request may begin and end between two polls.
    fn completed(&self) -> u64 {
        self.current.get().metrics().map(|metrics| metrics.completed()).sum()
    }
}
