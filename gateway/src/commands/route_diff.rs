//! What a change of a route means for the requests that it serves. Pure; knows no route tables.

use crate::{
    config::Config,
    limit::rate::Rate,
    route::{Builtin, Destination, RouteSettings, RouteTarget},
    rules::cors::{Cors, Origins},
    upstream::settings::UpstreamSettings,
};

/// What serves a request.
#[derive(Clone, Copy)]
pub(crate) enum Served<'a> {
    Nothing,
    Page(Builtin),
    /// A route with its upstream; `None` where the gateway answers itself.
    Route(&'a RouteSettings, Option<&'a UpstreamSettings>),
}

impl<'a> Served<'a> {
    pub(crate) fn of(config: &'a Config, destination: Option<Destination>) -> Self {
        match destination {
            None => Self::Nothing,
            Some(Destination::Builtin(page)) => Self::Page(page),
            Some(Destination::Route(index)) => {
                let route = &config.routes[index];
                Self::Route(route, config.upstream_of(route))
            }
        }
    }
}

/// Describes each change, and says whether it allows more than before.
pub(crate) fn changes(was: Served<'_>, is: Served<'_>) -> Vec<(String, bool)> {
    match (was, is) {
        (Served::Nothing, Served::Nothing) => Vec::new(),
        (Served::Nothing, Served::Route(route, upstream)) => {
            vec![(format!("is new: {}, {}", route.policy, target(route, upstream)), true)]
        }
        (Served::Nothing, Served::Page(_)) => vec![("is new: a page of the gateway".to_owned(), true)],
        (Served::Route(..) | Served::Page(_), Served::Nothing) => vec![("is gone".to_owned(), false)],
        (Served::Page(was), Served::Page(is)) if was == is => Vec::new(),
        (Served::Route(..) | Served::Page(_), Served::Page(_)) => {
            vec![("becomes a page of the gateway".to_owned(), true)]
        }
        (Served::Page(_), Served::Route(route, upstream)) => {
            vec![(format!("was a page of the gateway, is now {}, {}", route.policy, target(route, upstream)), true)]
        }
        (Served::Route(was, was_upstream), Served::Route(is, is_upstream)) => {
            let mut changes = of_routes(was, is);
            changes.extend(targets((was, was_upstream), (is, is_upstream)));
            changes
        }
    }
}

/// Says where the requests of a route go, or how it answers them.
fn target(route: &RouteSettings, upstream: Option<&UpstreamSettings>) -> String {
    match (upstream, &route.to) {
        (Some(upstream), _) => format!("to {}", upstream.name),
        (None, RouteTarget::Own(answer)) => format!("answered {} by the gateway", answer.kind().1.as_u16()),
        (None, RouteTarget::Upstream(_)) => "to an upstream".to_owned(),
    }
}

/// A request that now reaches an upstream, where the gateway answered it, can do more than before.
fn targets(
    (was, was_upstream): (&RouteSettings, Option<&UpstreamSettings>),
    (is, is_upstream): (&RouteSettings, Option<&UpstreamSettings>),
) -> Option<(String, bool)> {
    match (was_upstream, is_upstream) {
        (Some(was), Some(is)) if was.name != is.name => {
            Some((format!("goes to {} (was {})", is.name, was.name), false))
        }
        (Some(was), Some(is)) => {
            (was.targets != is.targets).then(|| (format!("the targets of {} change", is.name), false))
        }
        (None, Some(_)) => Some((format!("goes {} (was {})", target(is, is_upstream), target(was, None)), true)),
        (Some(upstream), None) => Some((format!("is {} (was to {})", target(is, None), upstream.name), false)),
        (None, None) => (was.to != is.to)
            .then(|| (format!("is {}, with another answer (was {})", target(is, None), target(was, None)), false)),
    }
}

fn of_routes(was: &RouteSettings, is: &RouteSettings) -> Vec<(String, bool)> {
    let mut changes = Vec::new();
    if was.policy != is.policy {
        let text = if is.policy.is_public() {
            format!("becomes public (was {})", was.policy)
        } else {
            format!("now needs {} (was {})", is.policy, was.policy)
        };
        changes.push((text, !is.policy.is_within(&was.policy)));
    }
    if was.addresses != is.addresses {
        let text = format!("may be used from {} (was {})", is.addresses, was.addresses);
        changes.push((text, !is.addresses.is_within(&was.addresses)));
    }
    changes.extend(limits(&was.limits, &is.limits));
    changes.extend(cors(was.cors.as_ref(), is.cors.as_ref()));
    if was.body_bytes_max != is.body_bytes_max {
        let text = format!("accepts bodies of up to {} bytes (was {})", is.body_bytes_max, was.body_bytes_max);
        changes.push((text, is.body_bytes_max > was.body_bytes_max));
    }
    if was.forward_authorization != is.forward_authorization {
        let text =
            if is.forward_authorization { "shows the upstream the token" } else { "hides the token from the upstream" };
        changes.push((text.to_owned(), is.forward_authorization));
    }
    if was.websocket != is.websocket {
        let text = if is.websocket { "now relays WebSockets" } else { "no longer relays WebSockets" };
        changes.push((text.to_owned(), is.websocket));
    }
    if was.hooks != is.hooks {
        // Only the hook itself knows what it allows.
        changes.push(("has other hooks (`then`, `decoder`, `headers_from`, `auth`)".to_owned(), true));
    }
    for (what, differs) in [
        ("another path goes to the upstream (`rewrite`)", was.rewrite != is.rewrite),
        ("sends another `Host` to the upstream (`host`)", was.host != is.host),
        ("changes other headers of the request (`request_headers`)", was.request_edits != is.request_edits),
        ("changes other headers of the response (`response_headers`)", was.response_edits != is.response_edits),
        ("reads slashes in paths differently (`path`)", was.path != is.path),
        ("has other retries (`retry`)", was.retry != is.retry),
        ("has other timeouts (`timeout`)", was.timeouts != is.timeouts),
    ] {
        if differs {
            changes.push((what.to_owned(), false));
        }
    }
    changes
}

/// Wider is a list without one of the old limits, unless a new one is at least as strict.
fn limits(was: &[Rate], is: &[Rate]) -> Option<(String, bool)> {
    let shown = |rates: &[Rate]| rates.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let is_as_strict = |new: &Rate, old: &Rate| {
        let per_second = |rate: &Rate| f64::from(rate.count.get()) / rate.window.as_secs_f64();
        new.key == old.key && new.count <= old.count && per_second(new) <= per_second(old)
    };
    let wider = !was.iter().all(|old| is.iter().any(|new| is_as_strict(new, old)));
    match (was, is) {
        (was, is) if was == is => None,
        ([], is) => Some((format!("is now limited to {}", shown(is)), wider)),
        (was, []) => Some((format!("is no longer limited (was {})", shown(was)), wider)),
        (was, is) => Some((format!("is limited to {} (was {})", shown(is), shown(was)), wider)),
    }
}

fn cors(was: Option<&Cors>, is: Option<&Cors>) -> Option<(String, bool)> {
    match (was, is) {
        (was, is) if was == is => None,
        (_, None) => Some(("pages of other origins may no longer call it".to_owned(), false)),
        (None, Some(_)) => Some(("pages of other origins may now call it (`cors`)".to_owned(), true)),
        (Some(was), Some(is)) => {
            let more_origins = match (&was.origins, &is.origins) {
                (Origins::Any, _) => false,
                (Origins::Only(_), Origins::Any) => true,
                (Origins::Only(was), Origins::Only(is)) => is.iter().any(|origin| !was.contains(origin)),
            };
            // Any other difference counts as wider: telling fewer headers or methods from more is not worth its code.
            let same_rest = Cors { origins: is.origins.clone(), max_age: is.max_age.clone(), ..was.clone() } == *is;
            Some((
                "other pages may call it, or they may send other requests (`cors`)".to_owned(),
                more_origins || !same_rest,
            ))
        }
    }
}
