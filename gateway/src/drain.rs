//! Ends the gateway without a request failing: when it stops accepting, and when nothing is left to wait for.

use std::{future::Future, sync::Arc, time::Duration};

use actix_server::ServerHandle;

use crate::runtime::current::CurrentSnapshot;

/// After accepting has been paused, connections that were just accepted still are on their way to a worker, through the
/// thread that accepts and a channel; stopping would drop them. Both take microseconds; this is ample.
const SETTLE: Duration = Duration::from_millis(200);
/// Connections on which nothing has happened for so long are idle: their clients keep them for later, and would hold up
/// the end until its deadline. It is also the time in which the last bytes of an answer leave for a slow client.
const QUIET: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(100);

/// How a gateway ends.
pub(crate) struct Drain {
    pub(crate) live: Arc<CurrentSnapshot>,
    /// How long balancers need to notice that it is not ready.
    pub(crate) delay: Duration,
    /// Somebody else accepts on the same socket, or will.
    pub(crate) shared: bool,
}

impl Drain {
    /// From the shutdown on every answer closes its connection, so that clients go elsewhere. New connections are
    /// taken for as long as nobody else takes them; then the requests in flight finish. Resolves when only idle
    /// connections are left; where there are none, the server ends before that.
    pub(crate) async fn after(self, shutdown: impl Future<Output = ()>, handle: ServerHandle) {
        shutdown.await;
        self.live.current().process.health.drain();
        if self.shared {
            handle.pause().await;
        }
        tokio::time::sleep(self.delay).await;
        handle.pause().await;
        tokio::time::sleep(SETTLE).await;
        actix_rt::spawn(handle.stop(true));
        self.quiet().await;
        log::info!("drained; idle connections are closed");
    }

    /// Resolves when no request has been in flight for a while.
    async fn quiet(&self) {
        let mut quiet = Duration::ZERO;
        let mut before = self.begun();
        while quiet < QUIET {
            tokio::time::sleep(LOOK).await;
            let now = self.begun();
            quiet = if self.is_idle() && now == before { quiet + LOOK } else { Duration::ZERO };
            before = now;
        }
    }

    /// No request is in flight and no upstream has one, which tunnels have to their end.
    fn is_idle(&self) -> bool {
        let snapshot = self.live.current();
        snapshot.upstreams.iter().all(|upstream| upstream.status().in_flight == 0)
            && snapshot.handles.all().all(|metrics| metrics.in_flight() == 0)
    }

    /// Requests that have begun and ended so far: one may have done both between two looks.
    fn begun(&self) -> u64 {
        self.live.current().handles.all().map(|metrics| metrics.answered()).sum()
    }
}
