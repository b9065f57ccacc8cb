//! Checks the targets of the upstreams: an actor, one for the process, that asks each target how it is and publishes
//! what it learnt. Knows no requests of clients.

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

/// The body of a health page is not looked at; a longer one closes the connection.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Checks the health of upstreams as long as they live.
#[derive(Clone, Debug)]
pub(crate) struct HealthMonitor(Addr<Monitor>);

impl HealthMonitor {
    /// Starts the monitor in this thread.
    pub(crate) fn start() -> Self {
        Self(Monitor.start())
    }

    /// Checks the targets of an upstream from now on, until the last handle to it is gone. Asking twice does nothing.
    pub(crate) fn watch(&self, upstream: &Upstream) {
        if upstream.settings().health.is_some() && !upstream.0.watched.swap(true, Ordering::Relaxed) {
            self.0.do_send(Watch(Arc::downgrade(&upstream.0)));
        }
    }
}

/// Owns the checks under way; between two checks a check is in its timer.
#[derive(Debug)]
struct Monitor;

impl Actor for Monitor {
    type Context = Context<Self>;
}

/// Checks this upstream.
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
        // Whoever holds the upstream decides how long it lives; a check does not keep it.
        let Some(upstream) = check.upstream.upgrade() else { return };
        let asked = async move {
            let well = check.ask(&upstream).await;
            (check, well)
        };
        ctx.spawn(asked.into_actor(self).map(|(check, well), monitor, ctx| monitor.end(check, well, ctx)));
    }

    #[expect(clippy::unused_self, reason = "the callbacks of actix have this shape")]
    fn end(&mut self, mut check: Check, well: Result<(), String>, ctx: &mut Context<Self>) {
        let Some(upstream) = check.upstream.upgrade() else { return };
        let Some(settings) = &upstream.settings.health else { return };
        check.publish(&upstream, settings, well);
        ctx.run_later(settings.interval, |monitor, ctx| monitor.begin(check, ctx));
    }
}

/// One target being checked.
struct Check {
    upstream: Weak<Inner>,
    index: usize,
    client: Client,
    tally: Tally,
}

impl Check {
    async fn ask(&self, upstream: &Inner) -> Result<(), String> {
        let Some(settings) = &upstream.settings.health else { return Ok(()) };
        let mut outgoing = Outgoing {
            method: Method::GET,
            path_and_query: settings.path.parse().map_err(|_| "its path is no path".to_owned())?,
            headers: HeaderMap::new(),
            body: None,
            head_timeout: settings.timeout,
        };
        let target = &upstream.targets[self.index].settings.address;
        let exchange = async {
            let mut answer = self.client.send(target, &mut outgoing).await.map_err(|failure| failure.cause)?;
            // Read to its end, so that the connection serves for the next check.
            let _ = answer.body().limit(BODY_BYTES_MAX).await;
            if answer.status().is_success() { Ok(()) } else { Err(format!("it answers {}", answer.status())) }
        };
        timeout(settings.timeout, exchange).await.unwrap_or_else(|_| Err("it does not answer in time".to_owned()))
    }

    fn publish(&mut self, upstream: &Inner, settings: &HealthSettings, well: Result<(), String>) {
        let target = &upstream.targets[self.index];
        let before = target.health();
        let after = self.tally.count(before, well.is_ok(), settings);
        if after == before {
            return;
        }
        target.set_health(after == Health::Healthy);
        let (name, address) = (upstream.settings.name.as_str(), target.settings.address.authority.as_str());
        match well {
            Ok(()) if before == Health::Unhealthy => {
                log::info!(upstream = name, target = address; "the target is well again")
            }
            Ok(()) => {}
            Err(why) => log::warn!(upstream = name, target = address; "the target is not well: {why}"),
        }
    }
}

/// Checks in a row that said the same.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    well: bool,
    run: u32,
}

impl Tally {
    /// The health after one more check. The first check decides alone where it is good.
    fn count(&mut self, before: Health, well: bool, settings: &HealthSettings) -> Health {
        self.run = if well == self.well { self.run.saturating_add(1) } else { 1 };
        self.well = well;
        match (before, well) {
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
        for well in [false, true, false, false, true, false, false, false, true, false, true, true] {
            health = tally.count(health, well, &settings);
            seen.push(health);
        }
        use Health::{Healthy as H, Unhealthy as S, Unknown as U};
        assert_eq!(seen, [U, H, H, H, H, H, H, S, S, S, S, H]);
    }
}
