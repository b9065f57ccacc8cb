//! Decodes the routes and checks each against the rest of the file: upstreams, hooks, tokens, aliases, other routes.

use std::time::Duration;

use super::{
    conditions, cors,
    headers::{self, Reserved},
    hooks,
    known::Known,
    resilience, values,
};
use crate::{
    auth::policy::Policy,
    config::{
        keys::{
            file::{DEFAULT_TIMEOUT, DEFAULTS},
            routes::{PATH_OPTIONS, ROUTE, TIMEOUT},
        },
        yaml::{
            mistake::{Mistakes, did_you_mean},
            tree::{Node, Table, Value},
        },
    },
    hooks::Authorizer,
    limit::rate::{LimitKey, Rate},
    route::{Destination, RouteSettings, Timeouts},
    routing::{
        condition::Conditions,
        entry::{Conflict, Entry, Methods},
        path::{EncodedSlash, PathOptions},
        pattern::Pattern,
        table::Table as RouteTable,
    },
    rules::{cors::Cors, edits::Edits},
    upstream::{decide::retry::RetrySettings, settings::UpstreamSettings},
};

/// Each limit is a look-up for every request, and a line in the head of every answer.
const LIMITS_MAX: usize = 4;
const AUTH_HELP: &str =
    "write `auth: public`, `auth: signed-in`, or the claims that must hold: `auth: {user_type: admin}`";

/// The key among the claims of `auth` that is no claim.
const AUTH_HOOK: &str = "hook";

/// What routes and upstreams have that say nothing else.
pub(crate) struct Defaults {
    pub(crate) connect_timeout: Duration,
    timeouts: Timeouts,
    retry: RetrySettings,
    body_bytes_max: u64,
    body_rate_min: Option<u64>,
    request_edits: Edits,
    response_edits: Edits,
    cors: Option<Cors>,
}

impl Defaults {
    pub(crate) fn decode(node: Option<&Node>, reserved: &Reserved<'_>, mistakes: &mut Mistakes) -> Self {
        let mut defaults = Self {
            connect_timeout: Duration::from_secs(1),
            // Under the 60 s after which many clients and balancers give up, so that they get our answer.
            timeouts: Timeouts { head: Duration::from_secs(59), idle: Duration::from_secs(30), total: None },
            retry: RetrySettings::default(),
            body_bytes_max: 1024 * 1024,
            // As Kestrel: no modem is slower.
            body_rate_min: Some(240),
            request_edits: Edits::default(),
            response_edits: Edits::default(),
            cors: None,
        };
        let Some(node) = node else { return defaults };
        let mut table = node.table(&DEFAULTS, mistakes);
        if let Some(node) = table.optional("timeout") {
            let mut timeout = node.table(&DEFAULT_TIMEOUT, mistakes);
            let connect = timeout.optional("connect").and_then(|node| node.parse(mistakes, values::duration));
            defaults.connect_timeout = connect.unwrap_or(defaults.connect_timeout);
            defaults.timeouts = timeouts(&mut timeout, defaults.timeouts, mistakes);
            timeout.finish(mistakes);
        }
        if let Some(node) = table.optional("retry") {
            defaults.retry = resilience::retry(node, &defaults.retry, mistakes);
        }
        let body_limit = table.optional("body_limit").and_then(|node| node.parse(mistakes, values::bytes));
        defaults.body_bytes_max = body_limit.unwrap_or(defaults.body_bytes_max);
        let body_rate = table.optional("body_rate").and_then(|node| node.parse(mistakes, values::body_rate));
        defaults.body_rate_min = body_rate.unwrap_or(defaults.body_rate_min);
        let mut edits = |key| headers::decode(table.optional(key), &Edits::default(), reserved, mistakes);
        defaults.request_edits = edits("request_headers");
        defaults.response_edits = edits("response_headers");
        defaults.cors = table.optional("cors").and_then(|node| cors::decode(node, mistakes));
        table.finish(mistakes);
        defaults
    }
}

fn timeouts(table: &mut Table<'_>, default: Timeouts, mistakes: &mut Mistakes) -> Timeouts {
    let mut one = |name| table.optional(name).and_then(|node| node.parse(mistakes, values::duration));
    Timeouts {
        head: one("head").unwrap_or(default.head),
        idle: one("idle").unwrap_or(default.idle),
        total: one("total").or(default.total),
    }
}

/// All routes; those that are wrong are left out.
pub(crate) fn decode(
    node: &Node,
    defaults: &Defaults,
    known: &Known<'_>,
    table: &mut RouteTable<Destination>,
    mistakes: &mut Mistakes,
) -> Vec<RouteSettings> {
    let mut routes: Vec<RouteSettings> = Vec::new();
    for item in node.items(mistakes) {
        let Some(route) = route(item, defaults, known, mistakes) else { continue };
        let entry = Entry {
            methods: route.methods.clone(),
            conditions: route.conditions.clone(),
            route: Destination::Route(routes.len()),
        };
        match table.insert(&route.pattern, entry) {
            Ok(()) => routes.push(route),
            Err(conflict) => refuse(item, &route, &conflict, &routes, mistakes),
        }
    }
    routes
}

fn refuse(
    node: &Node,
    route: &RouteSettings,
    conflict: &Conflict<Destination>,
    routes: &[RouteSettings],
    mistakes: &mut Mistakes,
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
    mistakes.note_with_help(node.place, &node.path, message, help);
}

fn route(node: &Node, defaults: &Defaults, known: &Known<'_>, mistakes: &mut Mistakes) -> Option<RouteSettings> {
    let mut table = node.table(&ROUTE, mistakes);
    let matched = table.required("route", mistakes).and_then(|node| matched(node, known, mistakes));
    let when = table.optional("when").map(|node| conditions::decode(node, &known.reserved, mistakes));
    let upstream = table.required("to", mistakes).and_then(|node| upstream(node, known.upstreams, mistakes));
    let mut hooks = hooks::decode(&mut table, known, mistakes);
    let identified = known.has_tokens || hooks.decoder.is_some();
    let policy = policy(node, &mut table, known, &mut hooks.authorizer, mistakes);
    if let Some(node) = table.optional("auth")
        && !identified
        && policy.as_ref().is_some_and(|policy| *policy != Policy::Public)
    {
        node.wrong(mistakes, "this needs a token, but the file has no `tokens` section");
    }
    let limits = table.optional("limit").map(|node| limits(node, policy.as_ref(), mistakes)).unwrap_or_default();
    let rewrite = table.optional("rewrite").and_then(|node| rewrite(node, matched.as_ref(), mistakes));
    let body_limit = table.optional("body_limit").and_then(|node| node.parse(mistakes, values::bytes));
    let body_rate = table.optional("body_rate").and_then(|node| node.parse(mistakes, values::body_rate));
    let timeouts = table.optional("timeout").map(|node| {
        let mut table = node.table(&TIMEOUT, mistakes);
        let timeouts = timeouts(&mut table, defaults.timeouts, mistakes);
        table.finish(mistakes);
        timeouts
    });
    let retry = table.optional("retry").map(|node| resilience::retry(node, &defaults.retry, mistakes));
    let forward = table.optional("forward_authorization").and_then(|node| node.parse(mistakes, values::boolean));
    let reserved = &known.reserved;
    let request_edits = headers::decode(table.optional("request_headers"), &defaults.request_edits, reserved, mistakes);
    let response_edits =
        headers::decode(table.optional("response_headers"), &defaults.response_edits, reserved, mistakes);
    let cors = table.optional("cors").map_or_else(|| defaults.cors.clone(), |node| cors::decode(node, mistakes));
    let websocket = table.optional("websocket").and_then(|node| websocket(node, matched.as_ref(), mistakes));
    let path = table.optional("path").map(|node| path_options(node, mistakes));
    table.finish(mistakes);
    let (name, methods, pattern) = matched?;
    let conditions = when.unwrap_or_default();
    Some(RouteSettings {
        name: if conditions == Conditions::default() { name } else { format!("{name} ({conditions})") },
        methods,
        pattern,
        conditions,
        upstream: upstream?,
        policy: policy?,
        limits,
        hooks,
        rewrite,
        body_bytes_max: body_limit.unwrap_or(defaults.body_bytes_max),
        body_rate_min: body_rate.unwrap_or(defaults.body_rate_min),
        timeouts: timeouts.unwrap_or(defaults.timeouts),
        retry: retry.unwrap_or_else(|| defaults.retry.clone()),
        forward_authorization: forward.unwrap_or(false),
        request_edits,
        response_edits,
        cors,
        websocket: websocket.unwrap_or(false),
        path: path.unwrap_or_default(),
    })
}

fn matched(node: &Node, known: &Known<'_>, mistakes: &mut Mistakes) -> Option<(String, Methods, Pattern)> {
    let (methods, pattern) = node.parse(mistakes, |text| {
        let (methods, path) = text
            .split_once(' ')
            .ok_or_else(|| format!("`{text}` must be methods and a path, like `GET,POST /api/users`"))?;
        Ok::<_, String>((values::methods(methods)?, path.trim().parse::<Pattern>()?))
    })?;
    let hidden = known.aliases.iter().find(|(prefix, _)| is_below(pattern.as_str(), prefix));
    if let Some((prefix, stands_for)) = hidden {
        node.wrong(mistakes, format_args!("never reached: the alias turns {prefix} into {stands_for} before routing"));
    }
    Some((node.text(mistakes)?.to_owned(), methods, pattern))
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The index of the upstream that is named.
pub(crate) fn upstream(node: &Node, upstreams: &[UpstreamSettings], mistakes: &mut Mistakes) -> Option<usize> {
    let name = node.text(mistakes)?;
    let found = upstreams.iter().position(|upstream| upstream.name == name);
    if found.is_none() {
        let names = || upstreams.iter().map(|upstream| upstream.name.as_str());
        let help = did_you_mean(name, names())
            .or_else(|| Some(format!("there are: {}", names().collect::<Vec<_>>().join(", "))));
        mistakes.note_with_help(node.place, &node.path, format_args!("there is no upstream `{name}`"), help);
    }
    found
}

/// A route that says nothing about `auth` is refused: nobody publishes a service by forgetting a line.
fn policy(
    route: &Node,
    table: &mut Table<'_>,
    known: &Known<'_>,
    authorizer: &mut Option<Authorizer>,
    mistakes: &mut Mistakes,
) -> Option<Policy> {
    let Some(node) = table.optional("auth") else {
        let message = "`auth` is missing: every route says who may use it";
        mistakes.note_with_help(route.place, &route.path, message, Some(AUTH_HELP.to_owned()));
        return None;
    };
    match &node.value {
        Value::Scalar(text) if text == "public" => Some(Policy::Public),
        Value::Scalar(text) if text == "signed-in" => Some(Policy::SignedIn),
        Value::Scalar(text) => {
            let help = did_you_mean(text, ["public", "signed-in"]).or_else(|| Some(AUTH_HELP.to_owned()));
            mistakes.note_with_help(node.place, &node.path, format_args!("`{text}` is no policy"), help);
            None
        }
        Value::Mapping(entries) => {
            let hook = entries.iter().find(|(key, _)| key.name == AUTH_HOOK);
            *authorizer = hook.and_then(|(_, node)| hooks::authorizer(node, known, mistakes));
            Some(match claims(node, mistakes) {
                claims if claims.is_empty() && hook.is_some() => Policy::SignedIn,
                claims => Policy::Claims(claims),
            })
        }
        Value::Sequence(_) | Value::Null => {
            mistakes.note_with_help(node.place, &node.path, "this is no policy", Some(AUTH_HELP.to_owned()));
            None
        }
    }
}

/// Claims by name, each with the values that it may have.
pub(crate) fn claims(node: &Node, mistakes: &mut Mistakes) -> Vec<(String, Vec<String>)> {
    let entries = node.entries(mistakes);
    if entries.is_empty() {
        node.wrong(mistakes, "no claim is named; for any signed-in caller write `signed-in`");
    }
    let mut claims = Vec::new();
    for (key, value) in entries.iter().filter(|(key, _)| key.name != AUTH_HOOK) {
        let values: Vec<String> =
            value.items(mistakes).into_iter().filter_map(|item| item.text(mistakes).map(str::to_owned)).collect();
        if matches!(&value.value, Value::Sequence(items) if items.is_empty()) {
            value.wrong(mistakes, "no value is allowed here, so that nobody could pass");
        }
        claims.push((key.name.clone(), values));
    }
    claims
}

/// One rate, or a list of rates that are all kept.
fn limits(node: &Node, policy: Option<&Policy>, mistakes: &mut Mistakes) -> Vec<Rate> {
    let items = node.items(mistakes);
    if items.len() > LIMITS_MAX {
        node.wrong(mistakes, format_args!("{} limits are too many; there can be {LIMITS_MAX}", items.len()));
    }
    items.into_iter().filter_map(|item| limit(item, policy, mistakes)).collect()
}

fn limit(node: &Node, policy: Option<&Policy>, mistakes: &mut Mistakes) -> Option<Rate> {
    let rate = node.parse(mistakes, values::rate)?;
    if rate.key == LimitKey::Caller && policy == Some(&Policy::Public) {
        node.wrong(mistakes, "a public route has no callers to count; write `per ip`");
    }
    Some(rate)
}

fn rewrite(node: &Node, matched: Option<&(String, Methods, Pattern)>, mistakes: &mut Mistakes) -> Option<Pattern> {
    let rewrite: Pattern = node.parse(mistakes, str::parse)?;
    let pattern = &matched?.2;
    for name in rewrite.names().filter(|name| !pattern.names().any(|known| known == *name)) {
        let help = did_you_mean(name, pattern.names());
        let message = format!("the path `{pattern}` has no part `{{{name}}}`");
        mistakes.note_with_help(node.place, &node.path, message, help);
    }
    Some(rewrite)
}

/// A WebSocket begins with GET (RFC 6455, section 4.1).
fn websocket(node: &Node, matched: Option<&(String, Methods, Pattern)>, mistakes: &mut Mistakes) -> Option<bool> {
    let websocket = node.parse(mistakes, values::boolean)?;
    if websocket && matched.is_some_and(|(_, methods, _)| !methods.allow("GET")) {
        node.wrong(mistakes, "a WebSocket begins with GET, which this route does not have");
    }
    Some(websocket)
}

fn path_options(node: &Node, mistakes: &mut Mistakes) -> PathOptions {
    let mut options = PathOptions::default();
    let mut table = node.table(&PATH_OPTIONS, mistakes);
    if let Some(node) = table.optional("encoded_slash") {
        let parsed = node.parse(mistakes, |text| match text {
            "keep" => Ok(EncodedSlash::Keep),
            "refuse" => Ok(EncodedSlash::Refuse),
            _ => Err(format!("`{text}` is not `keep` or `refuse`")),
        });
        options.encoded_slash = parsed.unwrap_or(options.encoded_slash);
    }
    let merge = table.optional("merge_slashes").and_then(|node| node.parse(mistakes, values::boolean));
    options.merge_slashes = merge.unwrap_or(options.merge_slashes);
    table.finish(mistakes);
    options
}
