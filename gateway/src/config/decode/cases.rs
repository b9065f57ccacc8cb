//! Decodes `tests`: requests and their expected outcome.

use actix_http::{
    Method,
    header::{HeaderName, HeaderValue},
};
use serde_json::Value as Json;

use super::{auth, headers::ok_or_report, scope};
use crate::{
    auth::claims::Claims,
    config::{
        keys::{
            self,
            routes::{ExpectKeys, TestKeys},
            values::STATUS,
        },
        model::{Case, Expected},
        yaml::{
            mistake::Mistakes,
            tree::{Node, Value},
        },
    },
    upstream::settings::UpstreamSettings,
};

pub(crate) fn decode(node: &Node, upstreams: Option<&[UpstreamSettings]>, mistakes: &Mistakes) -> Vec<Case> {
    node.items(mistakes).into_iter().filter_map(|item| case(item, upstreams, mistakes)).collect()
}

fn case(node: &Node, upstreams: Option<&[UpstreamSettings]>, mistakes: &Mistakes) -> Option<Case> {
    let table = node.table(&TestKeys::SECTION, mistakes);
    let request = table.node(&TestKeys::REQUEST).and_then(|node| node.parse(mistakes, request));
    let caller = table.node(&TestKeys::AS).map(|node| claims(node, mistakes));
    let headers = table.node(&TestKeys::HEADERS).map(|node| headers(node, mistakes)).unwrap_or_default();
    let client = table.get(&TestKeys::FROM);
    let body = table.get(&TestKeys::BODY);
    let expected = table.node(&TestKeys::EXPECT).map(|node| expected(node, upstreams, mistakes));
    let (method, target) = request?;
    Some(Case { place: node.place, method, target, caller, client, headers, body, expected: expected? })
}

fn request(text: &str) -> Result<(Method, String), String> {
    let error = || format!("`{text}` must be a method and a path, like `GET /api/users/7`");
    let (method, target) = text.split_once(' ').ok_or_else(error)?;
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| error())?;
    let target = target.trim_start();
    let is_target = target.starts_with('/') && target.parse::<actix_http::Uri>().is_ok();
    if is_target && method.as_str().bytes().all(|byte| byte.is_ascii_uppercase()) {
        Ok((method, target.to_owned()))
    } else {
        Err(error())
    }
}

/// Claims are texts, as in the gateway's own tokens; a list is a claim with several values.
fn claims(node: &Node, mistakes: &Mistakes) -> Claims {
    let value = |mut values: Vec<String>| match values.len() {
        1 => Json::from(values.remove(0)),
        _ => Json::from(values),
    };
    auth::claims(node, mistakes).into_iter().fold(Claims::new(), |mut claims, (at, values)| {
        at.insert(&mut claims, value(values));
        claims
    })
}

fn headers(node: &Node, mistakes: &Mistakes) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, value) in node.entries(mistakes) {
        let text = value.parse(mistakes, |text| HeaderValue::from_str(text).map_err(|error| error.to_string()));
        headers.extend(ok_or_report(keys::header_name(&name.text), name, value, mistakes).zip(text));
    }
    headers
}

fn expected(node: &Node, upstreams: Option<&[UpstreamSettings]>, mistakes: &Mistakes) -> Expected {
    if matches!(node.value, Value::Scalar(_)) {
        return Expected { status: node.parse(mistakes, STATUS.parse), ..Expected::default() };
    }
    let table = node.table(&ExpectKeys::SECTION, mistakes);
    let to = table.node(&ExpectKeys::TO);
    if let Some(node) = to
        && table.find(&ExpectKeys::STATUS).is_some()
    {
        node.report(mistakes, "what goes to an upstream is answered there; expect either `status` or `to`");
    }
    Expected {
        status: table.get(&ExpectKeys::STATUS),
        to: to.and_then(|node| Some(upstreams?[scope::upstream(node, upstreams, mistakes)?].name.clone())),
        path: table.get(&ExpectKeys::PATH),
        headers: table.node(&ExpectKeys::HEADERS).map(|node| expected_headers(node, mistakes)).unwrap_or_default(),
    }
}

fn expected_headers(node: &Node, mistakes: &Mistakes) -> Vec<(HeaderName, Option<String>)> {
    let mut headers = Vec::new();
    for (name, value) in node.entries(mistakes) {
        let Some(header) = ok_or_report(keys::header_name(&name.text), name, value, mistakes) else { continue };
        let text = match value.value {
            Value::Null => None,
            Value::Scalar(_) | Value::Sequence(_) | Value::Mapping(_) | Value::Unreadable => {
                value.scalar(mistakes).map(str::to_owned)
            }
        };
        headers.push((header, text));
    }
    headers
}
