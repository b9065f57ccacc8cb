//! The views of the admin listener, as JSON. The configuration is shown field by field, so that a new setting, which may be
//! a secret, stays hidden until somebody adds it here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chassis::timestamp::Timestamp;
use serde_json::{Value, json};

use crate::{
    auth::settings::{JwksSource, KeySource, SessionSettings, Unreachable},
    route::RouteSettings,
    routing::entry::Methods,
    runtime::current::CurrentSnapshot,
    session_feed::follower::SessionFeed,
    telemetry::{access_log::AccessLog, history::INTERVAL, route::RouteMetrics},
};

/// Everything that the page shows, in one answer, so that its numbers belong to one moment.
pub(crate) fn status(current: &CurrentSnapshot) -> Value {
    let snapshot = current.get();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "title": snapshot.config.builtin.title,
        "version": env!("CARGO_PKG_VERSION"),
        "now": now.as_secs_f64(),
        "tls_handshake_failures": snapshot.process.handshake_failures.total(),
        "draining": snapshot.process.health.is_draining(),
        "reload": reload(current),
        "sessions": sessions(&snapshot.process.sessions),
        "routes": routes(current)["routes"],
        "upstreams": upstreams(current)["upstreams"],
        "errors": snapshot.process.errors.groups(),
    })
}

/// What is known of ended sessions; null where the configuration names no feed.
fn sessions(feed: &SessionFeed) -> Value {
    let Some(status) = feed.status() else { return Value::Null };
    json!({
        "from": status.upstream, "known": status.is_known, "unreachable": if status.refuses { "refuse" } else { "accept" },
        "was_read": status.was_read, "age_seconds": status.age.as_secs_f64(), "ended": status.ended,
        "failure": status.failure,
    })
}

/// The routes and their metrics.
pub(crate) fn routes(current: &CurrentSnapshot) -> Value {
    let snapshot = current.get();
    let mut routes: Vec<Value> =
        snapshot.routes.iter().map(|route| counted(&route.settings.policy.to_string(), &route.metrics)).collect();
    routes.push(counted("public", &snapshot.builtin));
    routes.push(counted("public", &snapshot.unmatched));
    json!({"routes": routes})
}

fn counted(auth: &str, metrics: &RouteMetrics) -> Value {
    let statuses: serde_json::Map<String, Value> =
        metrics.statuses().into_iter().map(|(status, count)| (status, json!(count))).collect();
    // The last bucket has no bound, which JSON shows as null.
    let latency: Vec<Value> = metrics
        .latency()
        .into_iter()
        .map(|(bound, count)| json!([bound.is_finite().then_some(bound), count]))
        .collect();
    let (bytes_in, bytes_out) = metrics.bytes();
    json!({
        "route": metrics.route, "upstream": metrics.upstream, "auth": auth, "statuses": statuses, "latency": latency,
        "own": metrics.own_answers(),
        "in_flight": metrics.in_flight(), "bytes_in": bytes_in, "bytes_out": bytes_out,
    })
}

/// The upstreams, their targets, and their failures.
pub(crate) fn upstreams(current: &CurrentSnapshot) -> Value {
    let snapshot = current.get();
    let upstreams: Vec<Value> = snapshot
        .upstreams
        .iter()
        .map(|upstream| {
            let status = upstream.status();
            let failures: serde_json::Map<String, Value> =
                status.failures.iter().map(|(kind, count)| ((*kind).to_owned(), json!(count))).collect();
            json!({
                "upstream": status.name, "state": status.summary(), "in_flight": status.in_flight,
                "max_in_flight": status.in_flight_max, "refused": status.refused, "retries": status.retries,
                "failures": failures, "targets": status.targets,
            })
        })
        .collect();
    json!({"upstreams": upstreams})
}

/// The last requests that failed, and how many there were of each kind.
pub(crate) fn errors(current: &CurrentSnapshot) -> Value {
    let snapshot = current.get();
    json!({"groups": snapshot.process.errors.groups(), "errors": snapshot.process.errors.all()})
}

/// What happened in the last quarter of an hour, the oldest interval first.
pub(crate) fn history(current: &CurrentSnapshot) -> Value {
    json!({"interval_seconds": INTERVAL.as_secs(), "points": current.get().process.history.points()})
}

fn reload(current: &CurrentSnapshot) -> Value {
    let state = current.get().process.reload.state();
    json!({
        "config_hash": state.hash,
        "in_force_since": Timestamp::from(state.since),
        "succeeded": state.succeeded,
        "refused": state.refused,
        "mistakes": state.mistakes,
    })
}

/// The configuration in force, with every default filled in, and without a secret.
pub(crate) fn config(current: &CurrentSnapshot) -> Value {
    let snapshot = current.get();
    let config = &snapshot.config;
    let tokens = config.tokens.as_ref().map(|tokens| {
        let own = tokens.own.as_ref().map(|own| {
            let keys = match &own.keys {
                KeySource::Folder(folder) => format!("Ed25519, in {}", folder.display()),
                KeySource::Secret(_) => "HS256, a shared secret".to_owned(),
            };
            let publish_for = text(own.publish_for);
            json!({"issuer": own.issuer, "audience": own.audience, "ttl": text(own.ttl), "keys": keys, "publish_for": publish_for})
        });
        let other_issuers: Vec<Value> = tokens.other_issuers.iter().map(|issuer| {
            let jwks = match &issuer.jwks {
                JwksSource::Url(url) => url.clone(),
                JwksSource::File(file) => file.display().to_string(),
                JwksSource::Discovery => "by discovery".to_owned(),
            };
            json!({"issuer": issuer.issuer, "audience": issuer.audience, "jwks": jwks, "refresh": text(issuer.refresh)})
        }).collect();
        let sessions = tokens.sessions.as_ref().map(|sessions| {
            let SessionSettings { from, path, unreachable, after } = sessions;
            let unreachable = match unreachable {
                Unreachable::Accept => "accept",
                Unreachable::Refuse => "refuse",
            };
            json!({"from": from, "path": path, "unreachable": unreachable, "after": text(*after)})
        });
        json!({"own": own, "sessions": sessions, "other_issuers": other_issuers})
    });
    let upstreams: serde_json::Map<String, Value> = config
        .upstreams
        .iter()
        .map(|upstream| {
            let targets: Vec<Value> = upstream
                .targets
                .iter()
                .map(|target| json!({"target": target.address.authority.as_str(), "weight": target.weight}))
                .collect();
            let shown = json!({
                "targets": targets, "balance": format!("{:?}", upstream.balance),
                "health": upstream.health.as_ref().map(|health| health.path.as_str()),
                "breaker": upstream.breaker.is_some(), "assertion": upstream.assertion.as_ref().map(|(audience, _)| audience),
                "openapi": upstream.openapi, "max_in_flight": upstream.in_flight_max,
                "connect_timeout": text(upstream.connect_timeout),
            });
            (upstream.name.clone(), shown)
        })
        .collect();
    let headers: serde_json::Map<String, Value> =
        config.identity_headers.iter().map(|(name, claim)| (name.to_string(), json!(claim.to_string()))).collect();
    json!({
        "reload": reload(current),
        "listen": config.listen.to_string(),
        "admin": config.admin.to_string(),
        "admin_hosts": config.admin_hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "trusted_proxies": config.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "identity": {"headers": headers},
        "tokens": tokens,
        "aliases": config.aliases.iter().map(|(prefix, path)| (prefix.clone(), json!(path))).collect::<serde_json::Map<_, _>>(),
        "builtin": {
            "title": config.builtin.title, "docs": config.builtin.docs, "openapi": config.builtin.openapi, "jwks": config.builtin.jwks,
            "health": config.builtin.health,
        },
        "access_log": access_log(config.observe.access_log),
        "upstreams": upstreams,
        "routes": config.routes.iter().map(|route| self::route(route, &config.target_name(route))).collect::<Vec<_>>(),
    })
}

fn route(route: &RouteSettings, upstream: &str) -> Value {
    let methods = match &route.methods {
        Methods::Any => vec!["*".to_owned()],
        Methods::Only(methods) => methods.clone(),
    };
    json!({
        "methods": methods, "path": route.pattern.as_str(), "to": upstream, "auth": route.policy.to_string(), "addresses": route.addresses.to_string(),
        "limit": route.limits.iter().map(ToString::to_string).collect::<Vec<_>>(), "rewrite": route.rewrite.as_ref().map(|rewrite| rewrite.as_str().to_owned()),
        "body_limit": route.body_bytes_max,
        "body_rate": route.body_rate_min,
        "timeout": {"head": text(route.timeouts.head), "idle": text(route.timeouts.idle), "total": route.timeouts.total.map(text)},
        "retry": {"attempts": route.retry.attempts, "budget_percent": route.retry.budget_percent},
        "forward_authorization": route.forward_authorization,
    })
}

fn access_log(log: AccessLog) -> Value {
    match log {
        AccessLog::Off => json!("off"),
        AccessLog::Sample { percent } => json!({"sample": format!("{percent}%")}),
        AccessLog::On => json!("on"),
    }
}

fn text(duration: Duration) -> String {
    format!("{duration:?}")
}
