//! Decodes the routes and checks each against the rest of the file: upstreams, hooks, tokens, aliases, other routes.

use super::{
    auth, conditions, cors,
    defaults::{self, Defaults},
    headers, hooks, lookalikes, resilience,
    scope::Scope,
    target,
};
use crate::{
    auth::policy::Policy,
    config::{
        keys::{
            self,
            routes::{
                BODY_LIMIT, BODY_RATE, CORS, PathKeys, REQUEST_HEADERS, RESPONSE_HEADERS, RETRY, RouteKeys, TimeoutKeys,
            },
            values::RATE_LIMIT,
        },
        yaml::{
            mistake::{Mistakes, did_you_mean},
            table::Table,
            tree::Node,
        },
    },
    limit::rate::{LimitKey, Rate},
    route::{Destination, RouteSettings, RouteTarget},
    routing::{
        condition::Conditions,
        entry::{Conflict, Entry, Methods},
        path::PathOptions,
        pattern::Pattern,
        rewrite::Rewrite,
        table::Table as RouteTable,
    },
    upstream::settings::HostHeader,
};

/// Maximum number of rate limits of a route. Each is a look-up for every request, and a line in the head of every response.
const LIMITS_MAX: usize = 4;

/// What `route` says: the text itself, the methods, the path.
struct Matcher {
    text: String,
    methods: Methods,
    pattern: Pattern,
}

/// Decodes all routes and inserts them into the table. Those with mistakes are left out.
pub(crate) fn decode(
    node: &Node,
    defaults: &Defaults,
    scope: &Scope<'_>,
    table: &mut RouteTable<Destination>,
    mistakes: &Mistakes,
) -> Vec<RouteSettings> {
    let mut routes: Vec<RouteSettings> = Vec::new();
    for item in node.items(mistakes) {
        let Some(route) = settings(item, defaults, scope, mistakes) else { continue };
        let entry = Entry {
            methods: route.methods.clone(),
            conditions: route.conditions.clone(),
            route: Destination::Route(routes.len()),
        };
        match table.insert(&route.pattern, entry) {
            Ok(()) => routes.push(route),
            Err(conflict) => report_conflict(item, &route, &conflict, &routes, mistakes),
        }
    }
    routes
}

fn report_conflict(
    node: &Node,
    route: &RouteSettings,
    conflict: &Conflict<Destination>,
    routes: &[RouteSettings],
    mistakes: &Mistakes,
) {
    let other = match conflict.other {
        Destination::Route(other) => format!("the route `{}`", routes[other].name),
        Destination::Builtin(_) => "a page of the gateway (see `builtin`)".to_owned(),
    };
    let help = conflict.by_headers.as_ref().map(|name| {
        format!(
            "a request could have the headers of both; name `{name}` here too, with another value or one header more"
        )
    });
    let message = format!("{} {} also belongs to {other}", conflict.method, route.pattern);
    mistakes.report_with_help(node.place, &node.path, message, help);
}

fn settings(node: &Node, defaults: &Defaults, scope: &Scope<'_>, mistakes: &Mistakes) -> Option<RouteSettings> {
    let table = node.table(&RouteKeys::SECTION, mistakes);
    let matcher = table.node(&RouteKeys::ROUTE).and_then(|node| matcher(node, scope, mistakes));
    let when = table.node(&RouteKeys::WHEN).map(|node| conditions::decode(node, &scope.reserved, mistakes));
    let to = target::decode(table, node, matcher.as_ref().map(|matcher| &matcher.pattern), scope, mistakes);
    let mut hooks = hooks::decode(table, scope, mistakes);
    let (policy, authorizer) =
        auth::decode(table, node, matcher.as_ref().map(|matcher| &matcher.pattern), scope, mistakes);
    if let Some(node) = table.find(&RouteKeys::AUTH)
        && !scope.has_tokens
        && hooks.decoder.is_none()
        && policy.as_ref().is_some_and(|policy| *policy != Policy::Public)
    {
        node.report(mistakes, "this needs a token, but the file has no `tokens` section");
    }
    hooks.authorizer = authorizer;
    let addresses = defaults::addresses(table, &defaults.addresses, mistakes);
    let limits = table.node(&RouteKeys::LIMIT).map(|node| limits(node, policy.as_ref(), mistakes));
    let rewrite = rewrite(table, matcher.as_ref(), mistakes);
    let host = host(table, to.as_ref(), scope);
    let timeouts = table
        .node(&RouteKeys::TIMEOUT)
        .map(|node| defaults::timeouts(node.table(&TimeoutKeys::SECTION, mistakes), defaults.timeouts));
    let retry = table.node(&RETRY).map(|node| resilience::retry(node, &defaults.retry, mistakes));
    let edits = |node, defaults| headers::decode(node, defaults, &scope.reserved, mistakes);
    let request_edits = edits(table.node(&REQUEST_HEADERS), &defaults.request_edits);
    let response_edits = edits(table.node(&RESPONSE_HEADERS), &defaults.response_edits);
    let cors = table.node(&CORS).map_or_else(|| defaults.cors.clone(), |node| cors::decode(node, mistakes));
    let body_bytes_max = table.get(&BODY_LIMIT).unwrap_or(defaults.body_bytes_max);
    let body_rate_min = table.get(&BODY_RATE).unwrap_or(defaults.body_rate_min);
    let forward_authorization = table.get(&RouteKeys::FORWARD_AUTHORIZATION).unwrap_or(false);
    let websocket = websocket(table, matcher.as_ref(), mistakes);
    let path = table.node(&RouteKeys::PATH_OPTIONS).map(|node| path_options(node, mistakes));
    let (matcher, conditions) = (matcher?, when.unwrap_or_default());
    Some(RouteSettings {
        name: name(matcher.text, &conditions),
        methods: matcher.methods,
        pattern: matcher.pattern,
        conditions,
        to: to?,
        policy: policy?,
        addresses,
        limits: limits.unwrap_or_default(),
        hooks,
        rewrite,
        host,
        body_bytes_max,
        body_rate_min,
        timeouts: timeouts.unwrap_or(defaults.timeouts),
        retry: retry.unwrap_or_else(|| defaults.retry.clone()),
        forward_authorization,
        request_edits,
        response_edits,
        cors,
        websocket,
        path: path.unwrap_or_default(),
    })
}

/// The text of `route`; the conditions are added, so that every route has a name of its own.
fn name(text: String, conditions: &Conditions) -> String {
    if *conditions == Conditions::default() { text } else { format!("{text} ({conditions})") }
}

fn matcher(node: &Node, scope: &Scope<'_>, mistakes: &Mistakes) -> Option<Matcher> {
    let matcher = node.parse(mistakes, |text| {
        let (methods, path) = methods_and_path(text)?;
        let methods = keys::methods(methods)?;
        lookalikes::path(path)?;
        let pattern = path.parse::<Pattern>()?;
        Ok::<_, String>(Matcher { text: text.to_owned(), methods, pattern })
    })?;
    let hidden = scope.aliases.iter().find(|(prefix, _)| is_below(matcher.pattern.as_str(), prefix));
    if let Some((prefix, replacement)) = hidden {
        node.report(
            mistakes,
            format_args!("never reached: the alias turns {prefix} into {replacement} before routing"),
        );
    }
    Some(matcher)
}

/// The two halves of `GET,POST /api/users`.
fn methods_and_path(text: &str) -> Result<(&str, &str), String> {
    let error = || format!("`{text}` must be methods and a path, like `GET,POST /api/users`");
    let (methods, path) = match text.find(" /") {
        Some(at) => text.split_at(at),
        None => text.split_once(' ').ok_or_else(error)?,
    };
    let (methods, path) = (methods.trim(), path.trim());
    if methods.contains([' ', '\t']) && path.starts_with('/') {
        let apart: Vec<&str> = methods.split([' ', '\t', ',']).filter(|method| !method.is_empty()).collect();
        let joined = apart.join(",");
        return Err(format!("methods are separated by commas without spaces; did you mean `{joined} {path}`?"));
    }
    Ok((methods, path))
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// One rate, or a list of rates that must all allow a request.
fn limits(node: &Node, policy: Option<&Policy>, mistakes: &Mistakes) -> Vec<Rate> {
    let items = node.items(mistakes);
    if items.len() > LIMITS_MAX {
        node.report(mistakes, format_args!("{} limits are too many; there can be {LIMITS_MAX}", items.len()));
    }
    items.into_iter().filter_map(|item| limit(item, policy, mistakes)).collect()
}

fn limit(node: &Node, policy: Option<&Policy>, mistakes: &Mistakes) -> Option<Rate> {
    let rate = node.parse(mistakes, RATE_LIMIT.parse)?;
    if rate.key == LimitKey::Caller && policy == Some(&Policy::Public) {
        node.report(mistakes, "a public route has no callers to count; write `per ip`");
    }
    Some(rate)
}

/// The path for the upstream. It can use the parameters of the route, and no others.
fn rewrite(table: Table<'_>, matcher: Option<&Matcher>, mistakes: &Mistakes) -> Option<Rewrite> {
    let node = table.find(&RouteKeys::REWRITE)?;
    node.parse(mistakes, lookalikes::path)?;
    let (rewrite, pattern): (Pattern, _) = (table.get(&RouteKeys::REWRITE)?, &matcher?.pattern);
    for name in rewrite.names().filter(|name| !pattern.names().any(|known| known == *name)) {
        let help = did_you_mean(name, pattern.names());
        let message = format!("the path `{pattern}` has no part `{{{name}}}`");
        mistakes.report_with_help(node.place, &node.path, message, help);
    }
    Some(Rewrite::new(pattern.clone(), rewrite))
}

/// The `Host` for the upstream: that of the route, or else that of the upstream.
fn host(table: Table<'_>, to: Option<&RouteTarget>, scope: &Scope<'_>) -> HostHeader {
    let of_upstream = || match to? {
        RouteTarget::Upstream(index) => Some(scope.upstreams?.get(*index)?.host.clone()),
        RouteTarget::Own(_) => None,
    };
    table.get(&RouteKeys::HOST).or_else(of_upstream).unwrap_or_default()
}

/// A WebSocket begins with GET (RFC 6455, section 4.1).
fn websocket(table: Table<'_>, matcher: Option<&Matcher>, mistakes: &Mistakes) -> bool {
    let websocket = table.get(&RouteKeys::WEBSOCKET).unwrap_or(false);
    if let Some(node) = table.find(&RouteKeys::WEBSOCKET)
        && websocket
        && matcher.is_some_and(|matcher| !matcher.methods.allow("GET"))
    {
        node.report(mistakes, "a WebSocket begins with GET, which this route does not have");
    }
    websocket
}

fn path_options(node: &Node, mistakes: &Mistakes) -> PathOptions {
    let table = node.table(&PathKeys::SECTION, mistakes);
    let default = PathOptions::default();
    PathOptions {
        encoded_slash: table.get(&PathKeys::ENCODED_SLASH).unwrap_or(default.encoded_slash),
        merge_slashes: table.get(&PathKeys::MERGE_SLASHES).unwrap_or(default.merge_slashes),
    }
}
