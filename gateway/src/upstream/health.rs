//! Active health checks: an actor, one for the process, that sends a request to each target at an interval and
//! publishes the result. Knows no requests of clients.

use std::sync::{Arc, Weak, atomic::Ordering};

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture};
use actix_http::{Method, header::HeaderMap};
use tokio::time::timeout;

use super::{
    handle::{Inner, Upstream},
    settings::HealthSettings,
    target::Health,
    wire::client::{Client, Outgoing},
};

/// Maximum size of the answer to a check: 64 KiB. Its body is read and ignored, so that the connection can be used
/// again.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A handle to the actor that checks the health of upstreams.
#[derive(Clone, Debug)]
pub(crate) struct HealthMonitor(Addr<Monitor>);

impl HealthMonitor {
    /// Starts the actor in this thread.
    pub(crate) fn start() -> Self {
        Self(Monitor.start())
    }

    /// Checks the targets of an upstream until the last handle to it is dropped. Calling it again has no effect.
    pub(crate) fn watch(&self, upstream: &Upstream) {
        if upstream.settings().health.is_some() && !upstream.0.is_watched.swap(true, Ordering::Relaxed) {
            self.0.do_send(Watch(Arc::downgrade(&upstream.0)));
        }
    }
}

/// Owns the checks. Between two checks of a target, its [`Check`] waits in a timer.
#[derive(Debug)]
struct Monitor;

impl Actor for Monitor {
    type Context = Context<Self>;
}

/// Starts the checks of this upstream.
#[derive(Message)]
#[rtype(result = "()")]
struct Watch(Weak<Inner>);

impl Handler<Watch> for Monitor {
    type Result = ();

    fn handle(&mut self, Watch(upstream): Watch, ctx: &mut Self::Context) {
        let Some(inner) = upstream.upgrade() else { return };
        let client = Client::new(&inner.settings, inner.tls.as_ref());
        for index in 0..inner.targets.len() {
            let check =
                Check { upstream: Weak::clone(&upstream), index, client: client.clone(), tally: Tally::default() };
            self.begin(check, ctx);
        }
    }
}

impl Monitor {
    fn begin(&mut self, check: Check, ctx: &mut Context<Self>) {
        // A check does not keep its upstream alive.
        let Some(upstream) = check.upstream.upgrade() else { return };
        let checked = async move {
            let healthy = check.check(&upstream).await;
            (check, healthy)
        };
        ctx.spawn(checked.into_actor(self).map(|(check, healthy), monitor, ctx| monitor.end(check, healthy, ctx)));
    }

    #[expect(clippy::unused_self, reason = "the callbacks of actix have this shape")]
    fn end(&mut self, mut check: Check, healthy: Result<(), String>, ctx: &mut Context<Self>) {
        let Some(upstream) = check.upstream.upgrade() else { return };
        let Some(settings) = &upstream.settings.health else { return };
        check.publish(&upstream, settings, healthy);
        ctx.run_later(settings.interval, |monitor, ctx| monitor.begin(check, ctx));
    }
}

/// The checks of one target.
struct Check {
    upstream: Weak<Inner>,
    index: usize,
    client: Client,
    tally: Tally,
}

impl Check {
    async fn check(&self, upstream: &Inner) -> Result<(), String> {
        let Some(settings) = &upstream.settings.health else { return Ok(()) };
        let mut outgoing = Outgoing {
            method: Method::GET,
            path_and_query: settings.path.parse().map_err(|_| "its health path is invalid".to_owned())?,
            headers: HeaderMap::new(),
            body: None,
            head_timeout: settings.timeout,
            deadline: None,
        };
        let target = &upstream.targets[self.index].settings.address;
        let exchange = async {
            let mut answer = self.client.send(target, &mut outgoing).await.map_err(|failure| failure.cause)?;
            // Read to its end, so that the connection can be used for the next check.
            let _ = answer.body().limit(BODY_BYTES_MAX).await;
            if answer.status().is_success() { Ok(()) } else { Err(format!("it answered {}", answer.status())) }
        };
        timeout(settings.timeout, exchange).await.unwrap_or_else(|_| Err("it did not answer in time".to_owned()))
    }

    fn publish(&mut self, upstream: &Inner, settings: &HealthSettings, healthy: Result<(), String>) {
        let target = &upstream.targets[self.index];
        let before = target.health();
        let after = self.tally.count(before, healthy.is_ok(), settings);
        if after == before {
            return;
        }
        target.set_health(after == Health::Healthy);
        let (name, address) = (upstream.settings.name.as_str(), target.settings.address.authority.as_str());
        match healthy {
            Ok(()) if before == Health::Unhealthy => {
                log::info!(upstream = name, target = address; "the target is healthy again")
            }
            Ok(()) => {}
            Err(why) => log::warn!(upstream = name, target = address; "the target is unhealthy: {why}"),
        }
    }
}

/// The results of the last checks, as far as they were the same.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    is_healthy: bool,
    run: u32,
}

impl Tally {
    /// Returns the health after one more check. The first check alone is enough if it is good.
    fn count(&mut self, before: Health, healthy: bool, settings: &HealthSettings) -> Health {
        self.run = if healthy == self.is_healthy { self.run.saturating_add(1) } else { 1 };
        self.is_healthy = healthy;
        match (before, healthy) {
            (Health::Unknown, true) => Health::Healthy,
            (_, true) if self.run >= settings.healthy => Health::Healthy,
            (_, false) if self.run >= settings.unhealthy => Health::Unhealthy,
            (before, _) => before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_changes_after_as_many_checks_as_the_settings_say() {
        let settings = HealthSettings { healthy: 2, unhealthy: 3, ..HealthSettings::at("/".to_owned()) };
        let mut tally = Tally::default();
        let mut health = Health::Unknown;
        let mut seen = Vec::new();
        for healthy in [false, true, false, false, true, false, false, false, true, false, true, true] {
            health = tally.count(health, healthy, &settings);
            seen.push(health);
        }
        use Health::{Healthy as H, Unhealthy as S, Unknown as U};
        assert_eq!(seen, [U, H, H, H, H, H, H, S, S, S, S, H]);
    }
}
