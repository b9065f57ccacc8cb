//! Active health checks: an actor, one for the process, that sends a request to each target at an interval and
//! publishes the result. Knows no requests of clients.

use std::{
    sync::{Arc, Weak},
    time::Instant,
};

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture};
use actix_http::{
    Method,
    header::{HeaderMap, HeaderValue},
};
use tokio::time::timeout;

use super::{
    handle::Upstream,
    settings::{HealthSettings, TargetAddress},
    target::{Condition, Health},
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

    /// Checks the targets of an upstream, each for as long as anybody knows its condition. A target that has been
    /// checked before a reload goes on being checked as it was.
    pub(crate) fn watch(&self, upstream: &Upstream) {
        if upstream.settings().health.is_none() {
            return;
        }
        for (index, target) in upstream.0.targets.iter().enumerate() {
            if target.condition.start_watching() {
                self.0.do_send(Watch { upstream: upstream.clone(), index });
            }
        }
    }
}

/// Owns the checks. Between two checks of a target, its [`Check`] waits in a timer.
#[derive(Debug)]
struct Monitor;

impl Actor for Monitor {
    type Context = Context<Self>;
}

/// Starts the checks of this target.
#[derive(Message)]
#[rtype(result = "()")]
struct Watch {
    upstream: Upstream,
    index: usize,
}

impl Handler<Watch> for Monitor {
    type Result = ();

    fn handle(&mut self, Watch { upstream, index }: Watch, ctx: &mut Self::Context) {
        let (all, target) = (upstream.settings(), &upstream.0.targets[index]);
        let Some(settings) = all.health.clone() else { return };
        let check = Check {
            // A check keeps neither its target nor its upstream alive.
            condition: Arc::downgrade(&target.condition),
            upstream: all.name.clone(),
            address: target.settings.address.clone(),
            host: all.host.fixed(),
            settings,
            client: Client::new(all, upstream.tls()),
            tally: Tally::default(),
        };
        self.begin(check, ctx);
    }
}

impl Monitor {
    fn begin(&mut self, check: Check, ctx: &mut Context<Self>) {
        if check.condition.strong_count() == 0 {
            return;
        }
        let checked = async move {
            let begun = Instant::now();
            let result = check.check().await;
            (check, begun, result)
        };
        let end = |(check, begun, result), monitor: &mut Self, ctx: &mut Context<Self>| {
            monitor.end(check, begun, result, ctx);
        };
        ctx.spawn(checked.into_actor(self).map(end));
    }

    #[expect(clippy::unused_self, reason = "the callbacks of actix have this shape")]
    fn end(&mut self, mut check: Check, begun: Instant, result: Result<(), String>, ctx: &mut Context<Self>) {
        let Some(condition) = check.condition.upgrade() else { return };
        condition.record_check(result.is_ok(), begun);
        check.publish(&condition, result);
        ctx.run_later(check.settings.interval, |monitor, ctx| monitor.begin(check, ctx));
    }
}

/// The checks of one target.
struct Check {
    condition: Weak<Condition>,
    /// The name of its upstream, for the log.
    upstream: String,
    address: TargetAddress,
    host: Option<HeaderValue>,
    settings: HealthSettings,
    client: Client,
    tally: Tally,
}

impl Check {
    async fn check(&self) -> Result<(), String> {
        let settings = &self.settings;
        let mut outgoing = Outgoing {
            method: Method::GET,
            path_and_query: settings.path.parse().map_err(|_| "its health path is invalid".to_owned())?,
            headers: HeaderMap::new(),
            host: self.host.clone(),
            body: None,
            head_timeout: settings.timeout,
            deadline: None,
            trailers: None,
        };
        let exchange = async {
            let mut answer = self.client.send(&self.address, &mut outgoing).await.map_err(|failure| failure.cause)?;
            // Read to its end, so that the connection can be used for the next check.
            let _ = answer.body().limit(BODY_BYTES_MAX).await;
            if answer.status().is_success() { Ok(()) } else { Err(format!("it answered {}", answer.status())) }
        };
        timeout(settings.timeout, exchange).await.unwrap_or_else(|_| Err("it did not answer in time".to_owned()))
    }

    fn publish(&mut self, condition: &Condition, result: Result<(), String>) {
        let before = condition.health();
        let after = self.tally.count(before, result.is_ok(), &self.settings);
        if after == before {
            return;
        }
        condition.set_health(after == Health::Healthy);
        let (name, address) = (self.upstream.as_str(), self.address.authority.as_str());
        match result {
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
