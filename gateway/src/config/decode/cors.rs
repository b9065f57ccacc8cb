//! Decodes `cors`: which web pages of other origins may call.

use std::time::Duration;

use actix_http::header::{HeaderName, HeaderValue};

use super::values;
use crate::{
    config::{
        keys::routes::CORS,
        yaml::{
            mistake::Mistakes,
            tree::{Node, Value},
        },
    },
    rules::cors::{Cors, Origins},
};

/// What a caller with a bearer token and a JSON body sends.
const HEADERS_DEFAULT: HeaderValue = HeaderValue::from_static("authorization, content-type");
/// Chromium remembers two hours at most; ten minutes spare nearly all preflights and are soon over after a change.
const MAX_AGE_DEFAULT: Duration = Duration::from_secs(10 * 60);

/// `None` is off.
pub(crate) fn decode(node: &Node, mistakes: &mut Mistakes) -> Option<Cors> {
    if matches!(&node.value, Value::Scalar(text) if text == "off") {
        return None;
    }
    let mut table = node.table(&CORS, mistakes);
    let origins_node = table.required("origins", mistakes);
    let origins = origins_node.and_then(|node| origins(node, mistakes));
    let methods_node = table.optional("methods");
    let methods = methods_node.and_then(|node| list(node, method, mistakes));
    if let Some(node) = methods_node.filter(|node| matches!(&node.value, Value::Sequence(items) if items.is_empty())) {
        node.wrong(mistakes, "no method is named, so that no page could call");
    }
    let headers_node = table.optional("headers");
    let headers = headers_node.and_then(|node| list(node, header_name, mistakes));
    let expose = table.optional("expose").and_then(|node| list(node, header_name, mistakes));
    let credentials_node = table.optional("credentials");
    let credentials = credentials_node.and_then(|node| node.parse(mistakes, values::boolean)).unwrap_or(false);
    let max_age = table.optional("max_age").and_then(|node| node.parse(mistakes, values::duration));
    table.finish(mistakes);
    let starred = |value: Option<&HeaderValue>| value.is_some_and(|value| value.as_bytes() == b"*");
    if let Some(node) = credentials_node.filter(|_| credentials) {
        if origins == Some(Origins::Any) {
            // The Fetch standard, section 3.2.5: browsers refuse it, since every page could act for the user.
            node.wrong(mistakes, "with `origins: \"*\"` there can be no credentials; name the origins");
        } else if starred(headers.as_ref()) || starred(expose.as_ref()) {
            node.wrong(mistakes, "with credentials, browsers take `\"*\"` for a name; name the headers");
        }
    }
    Some(Cors {
        origins: origins?,
        methods,
        headers: headers.unwrap_or(HEADERS_DEFAULT),
        expose,
        credentials,
        max_age: HeaderValue::from(max_age.unwrap_or(MAX_AGE_DEFAULT).as_secs()),
    })
}

fn origins(node: &Node, mistakes: &mut Mistakes) -> Option<Origins> {
    let items = node.items(mistakes);
    if items.is_empty() {
        node.wrong(mistakes, "no origin is named; leave `cors` out, or write `off`");
    }
    let all = items.len();
    let origins: Vec<HeaderValue> = items.into_iter().filter_map(|item| item.parse(mistakes, origin)).collect();
    if origins.len() < all {
        return None;
    }
    if origins.iter().any(|origin| origin.as_bytes() == b"*") {
        if origins.len() > 1 {
            node.wrong(mistakes, "`*` is every origin, so that it must stand alone");
        }
        return Some(Origins::Any);
    }
    Some(Origins::Only(origins))
}

/// An origin as browsers write it (RFC 6454, section 6.2).
fn origin(text: &str) -> Result<HeaderValue, String> {
    let wrong = || format!("`{text}` is not an origin; write it like https://app.example.com, without a path");
    let uri: Option<actix_http::Uri> = text.parse().ok();
    let is_origin = uri.is_some_and(|uri| {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let written = format!("{}://{authority}", uri.scheme_str().unwrap_or_default());
        !authority.is_empty() && !authority.contains('@') && written == text && *text == text.to_ascii_lowercase()
    });
    if is_origin || text == "*" { HeaderValue::from_str(text).map_err(|_| wrong()) } else { Err(wrong()) }
}

fn method(text: &str) -> Result<String, String> {
    values::methods(text).map(|_| text.to_owned())
}

fn header_name(text: &str) -> Result<String, String> {
    let name = HeaderName::try_from(text).map_err(|_| format!("`{text}` is no header name"))?;
    Ok(name.as_str().to_owned())
}

fn list(node: &Node, parse: fn(&str) -> Result<String, String>, mistakes: &mut Mistakes) -> Option<HeaderValue> {
    let items: Vec<String> = node.items(mistakes).into_iter().filter_map(|item| item.parse(mistakes, parse)).collect();
    HeaderValue::from_str(&items.join(", ")).ok()
}
