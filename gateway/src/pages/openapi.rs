//! The merged OpenAPI document: those of the upstreams, reduced to the operations that a route forwards, and the gateway's
//! own pages. Knows no service: what it says about aliases and signing in comes from the configuration.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_http::{Method, header::HeaderMap};
use serde_json::{Map, Value, json};

use crate::{
    auth::policy::Policy,
    config::Config,
    hooks::issue_token,
    route::{Destination, RouteSettings, RouteTarget},
    routing::entry::Methods,
    runtime::worker::Worker,
    upstream::{
        decide::pool::TargetSet,
        handle::Upstream,
        wire::client::{Client, Outgoing},
    },
};

const DOCUMENT_BYTES_MAX: usize = 4 * 1024 * 1024;
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
const METHODS: [&str; 7] = ["get", "head", "post", "put", "patch", "delete", "options"];

/// Returns the merged document.
pub(super) async fn merged(worker: &Worker) -> Value {
    let snapshot = &worker.snapshot;
    let upstreams: Vec<_> = worker.upstreams().collect();
    let documents = snapshot.documents.get(upstreams.len(), async |index| {
        let (upstream, client) = upstreams[index];
        fetch(upstream, client).await
    });
    let documents = documents.await;
    merge(&snapshot.config, &documents)
}

/// Fetches the document of an upstream: `Null` where the configuration names none, `None` where the upstream did not answer.
async fn fetch(upstream: &Upstream, client: &Client) -> Option<Value> {
    let Some(path) = upstream.settings().openapi.clone() else { return Some(Value::Null) };
    let mut outgoing = Outgoing {
        method: Method::GET,
        path_and_query: path.parse().ok()?,
        headers: HeaderMap::new(),
        host: upstream.settings().host.fixed(),
        body: None,
        head_timeout: FETCH_TIMEOUT,
        deadline: None,
        trailers: None,
    };
    let attempt = upstream.begin_attempt(None, TargetSet::default(), Instant::now()).ok()?;
    let mut answer = client.send(attempt.address(), &mut outgoing).await.ok()?;
    let body = tokio::time::timeout(FETCH_TIMEOUT, answer.body().limit(DOCUMENT_BYTES_MAX)).await.ok()?.ok()?;
    let document = serde_json::from_slice(&body);
    if let Err(error) = &document {
        log::warn!(upstream = upstream.name(); "cannot read its OpenAPI document: {error}");
    }
    document.ok()
}

fn merge(config: &Config, documents: &[Option<Arc<Value>>]) -> Value {
    let mut paths = Map::new();
    let mut components = Map::new();
    let mut tags = Vec::new();
    let mut down = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        match document {
            Some(document) => {
                copy_operations(config, index, document, &mut paths);
                copy_components(document, &mut components);
                tags.extend(document["tags"].as_array().cloned().unwrap_or_default());
            }
            None => down.push(config.upstreams[index].name.as_str()),
        }
    }
    describe_other_routes(config, &mut paths);
    describe_own_pages(config, &mut paths);
    let bearer = json!({"type": "http", "scheme": "bearer", "bearerFormat": "JWT"});
    components.insert("securitySchemes".to_owned(), json!({"bearer": bearer}));
    json!({
        "openapi": "3.1.0",
        "info": {"title": config.builtin.title, "version": env!("CARGO_PKG_VERSION"), "description": description(config, &down)},
        "tags": tags,
        "paths": paths,
        "components": components,
    })
}

/// Describes the aliases, how to sign in, and which documents are missing.
fn description(config: &Config, down: &[&str]) -> String {
    let mut sentences = Vec::new();
    for (prefix, path) in &config.aliases {
        sentences.push(format!("Every path below `{path}` is also available below `{prefix}`."));
    }
    let issues_tokens =
        |route: &&Arc<RouteSettings>| route.hooks.then.as_ref().is_some_and(|hook| &*hook.name == issue_token::NAME);
    if let Some(login) = config.routes.iter().find(issues_tokens) {
        sentences.push(format!("Sign in with `{}`, then give the access token to *Authorize*.", login.name));
    }
    let mut description = sentences.join(" ");
    if !down.is_empty() {
        description.push_str(&format!("\n\nNot answering, and so not shown here: {}.", down.join(", ")));
    }
    description
}

/// Copies the operations that a route forwards to this upstream, each with the security that its route requires.
fn copy_operations(config: &Config, upstream: usize, document: &Value, paths: &mut Map<String, Value>) {
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let sample = sample(path);
        for (method, operation) in item.as_object().into_iter().flatten() {
            if !METHODS.contains(&method.as_str()) {
                continue;
            }
            let method_name = method.to_uppercase();
            // Hosts and headers of a route do not matter here: path and method are what is documented.
            let found = config.table.at(&sample).into_iter().find(|entry| entry.methods.allow(&method_name));
            let Some(Destination::Route(route)) = found.map(|entry| entry.route) else { continue };
            let route = &config.routes[route];
            if route.to != RouteTarget::Upstream(upstream) || route.rewrite.is_some() {
                continue;
            }
            let mut operation = operation.clone();
            operation["security"] = security(&route.policy);
            insert(paths, path, method, operation);
        }
    }
}

/// Returns a path that matches this template: `/users/{id}` becomes `/users/x`.
fn sample(template: &str) -> String {
    template.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/")
}

fn security(policy: &Policy) -> Value {
    if policy.is_public() { json!([]) } else { json!([{"bearer": []}]) }
}

fn insert(paths: &mut Map<String, Value>, path: &str, method: &str, operation: Value) {
    let item = paths.entry(path.to_owned()).or_insert_with(|| json!({}));
    if let Some(item) = item.as_object_mut() {
        item.entry(method.to_owned()).or_insert(operation);
    }
}

fn copy_components(document: &Value, components: &mut Map<String, Value>) {
    for (kind, entries) in document["components"].as_object().into_iter().flatten() {
        let all = components.entry(kind.clone()).or_insert_with(|| json!({}));
        for (name, entry) in entries.as_object().into_iter().flatten() {
            all[name] = entry.clone();
        }
    }
}

/// Describes the routes of upstreams without a document, and those that the gateway answers itself, by their methods and patterns.
fn describe_other_routes(config: &Config, paths: &mut Map<String, Value>) {
    for route in &config.routes {
        let (tag, responses) = match &route.to {
            RouteTarget::Upstream(index) if config.upstreams[*index].openapi.is_some() => continue,
            RouteTarget::Upstream(index) => {
                let responses = json!({"default": {"description": "As the service answers."}});
                (config.upstreams[*index].name.as_str(), responses)
            }
            RouteTarget::Own(answer) => {
                let (_, status) = answer.kind();
                let description = if status.is_redirection() { "A redirect." } else { "Always the same answer." };
                let responses = json!({status.as_str(): {"description": description}});
                ("gateway", responses)
            }
        };
        let Methods::Only(methods) = &route.methods else { continue };
        let names: BTreeSet<&str> = route.pattern.names().collect();
        let parameters: Vec<Value> = names
            .iter()
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
            .collect();
        for method in methods {
            let operation = json!({
                "tags": [tag],
                "parameters": parameters,
                "security": security(&route.policy),
                "responses": responses,
            });
            insert(paths, &route.pattern.as_str().replace("...}", "}"), &method.to_lowercase(), operation);
        }
    }
}

fn describe_own_pages(config: &Config, paths: &mut Map<String, Value>) {
    let health = |page: &str| config.builtin.health.as_ref().map(|path| format!("{path}/{page}"));
    for (path, summary) in [
        (config.builtin.jwks.clone(), "The public keys that tokens are verified with (RFC 7517)"),
        (health("live"), "The gateway is running"),
        (health("ready"), "The gateway accepts requests"),
    ] {
        if let Some(path) = path {
            let responses = json!({"200": {"description": summary}});
            insert(
                paths,
                &path,
                "get",
                json!({"tags": ["gateway"], "summary": summary, "security": [], "responses": responses}),
            );
        }
    }
}
