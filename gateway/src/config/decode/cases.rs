//! Decodes `tests`: requests, and what must become of them.

use actix_http::{
    Method,
    header::{HeaderName, HeaderValue},
};
use serde_json::Value as Json;

use super::{headers::noted, routes, values};
use crate::{
    auth::policy::Claims,
    config::{
        keys::routes::{EXPECT, TEST},
        yaml::{
            mistake::{Mistakes, Place},
            tree::{Node, Value},
        },
    },
    upstream::settings::UpstreamSettings,
};

/// A test of the routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// Where it stands in the file.
    pub(crate) place: Place,
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    /// The claims of the caller; `None` is nobody.
    pub(crate) caller: Option<Claims>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Option<String>,
    pub(crate) expected: Expected,
}

/// What must become of a request; what is not named may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The gateway answers itself, with this status.
    pub(crate) status: Option<u16>,
    /// The name of the upstream.
    pub(crate) to: Option<String>,
    /// Path and query as the upstream gets them.
    pub(crate) path: Option<String>,
    /// `None` where the header must not be there.
    pub(crate) headers: Vec<(HeaderName, Option<String>)>,
}

pub(crate) fn decode(node: &Node, upstreams: &[UpstreamSettings], mistakes: &mut Mistakes) -> Vec<Case> {
    node.items(mistakes).into_iter().filter_map(|item| case(item, upstreams, mistakes)).collect()
}

fn case(node: &Node, upstreams: &[UpstreamSettings], mistakes: &mut Mistakes) -> Option<Case> {
    let mut table = node.table(&TEST, mistakes);
    let request = table.required("request", mistakes).and_then(|node| node.parse(mistakes, request));
    let caller = table.optional("as").map(|node| claims(node, mistakes));
    let headers = table.optional("headers").map(|node| headers(node, mistakes)).unwrap_or_default();
    let body = table.optional("body").and_then(|node| node.text(mistakes)).map(str::to_owned);
    let expected = table.required("expect", mistakes).map(|node| expected(node, upstreams, mistakes));
    table.finish(mistakes);
    let (method, target) = request?;
    Some(Case { place: node.place, method, target, caller, headers, body, expected: expected? })
}

fn request(text: &str) -> Result<(Method, String), String> {
    let wrong = || format!("`{text}` must be a method and a path, like `GET /api/users/7`");
    let (method, target) = text.split_once(' ').ok_or_else(wrong)?;
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| wrong())?;
    let target = target.trim_start();
    let is_target = target.starts_with('/') && target.parse::<actix_http::Uri>().is_ok();
    if is_target && method.as_str().bytes().all(|byte| byte.is_ascii_uppercase()) {
        Ok((method, target.to_owned()))
    } else {
        Err(wrong())
    }
}

/// Claims are texts, as those of our own tokens are; a list is a claim with several values.
fn claims(node: &Node, mistakes: &mut Mistakes) -> Claims {
    let named = routes::claims(node, mistakes);
    let value = |mut values: Vec<String>| match values.len() {
        1 => Json::from(values.remove(0)),
        _ => Json::from(values),
    };
    named.into_iter().map(|(claim, values)| (claim, value(values))).collect()
}

fn headers(node: &Node, mistakes: &mut Mistakes) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (key, value) in node.entries(mistakes) {
        let text = value.parse(mistakes, |text| HeaderValue::from_str(text).map_err(|error| error.to_string()));
        let name = HeaderName::try_from(key.name.as_str()).map_err(|_| format!("`{}` is no header name", key.name));
        headers.extend(noted(name, key, value, mistakes).zip(text));
    }
    headers
}

fn expected(node: &Node, upstreams: &[UpstreamSettings], mistakes: &mut Mistakes) -> Expected {
    if matches!(node.value, Value::Scalar(_)) {
        return Expected { status: node.parse(mistakes, values::status), ..Expected::default() };
    }
    let mut table = node.table(&EXPECT, mistakes);
    let status_node = table.optional("status");
    let to_node = table.optional("to");
    let expected = Expected {
        status: status_node.and_then(|node| node.parse(mistakes, values::status)),
        to: to_node.and_then(|node| {
            routes::upstream(node, upstreams, mistakes)?;
            node.text(mistakes).map(str::to_owned)
        }),
        path: table.optional("path").and_then(|node| node.parse(mistakes, values::absolute)),
        headers: table.optional("headers").map(|node| expected_headers(node, mistakes)).unwrap_or_default(),
    };
    table.finish(mistakes);
    if let (Some(_), Some(to)) = (status_node, to_node) {
        to.wrong(mistakes, "what goes to an upstream is answered there; expect either `status` or `to`");
    }
    expected
}

fn expected_headers(node: &Node, mistakes: &mut Mistakes) -> Vec<(HeaderName, Option<String>)> {
    let mut headers = Vec::new();
    for (key, value) in node.entries(mistakes) {
        let name = HeaderName::try_from(key.name.as_str()).map_err(|_| format!("`{}` is no header name", key.name));
        let Some(name) = noted(name, key, value, mistakes) else { continue };
        let text = match value.value {
            Value::Null => None,
            Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) => value.text(mistakes).map(str::to_owned),
        };
        headers.push((name, text));
    }
    headers
}
