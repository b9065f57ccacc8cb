//! Decodes `cors`: which web pages of other origins may send requests.

use std::time::Duration;

use actix_http::header::HeaderValue;

use crate::{
    config::{
        keys::{self, routes::CorsKeys},
        yaml::{mistake::Mistakes, table::Table, tree::Node},
    },
    rules::cors::{Cors, Origins},
};

/// What a caller with a bearer token and a JSON body sends.
const HEADERS_DEFAULT: HeaderValue = HeaderValue::from_static("authorization, content-type");
/// Chromium caches for two hours at most; ten minutes avoid nearly all preflights and end soon after a change.
const MAX_AGE_DEFAULT: Duration = Duration::from_secs(10 * 60);

/// `off` is `None`.
pub(crate) fn decode(node: &Node, mistakes: &Mistakes) -> Option<Cors> {
    if node.is_off() {
        return None;
    }
    let table = node.table(&CorsKeys::SECTION, mistakes);
    let origins = table.node(&CorsKeys::ORIGINS).and_then(|node| origins(node, mistakes));
    let methods = table.node(&CorsKeys::METHODS).and_then(|node| methods(node, mistakes));
    let headers = table.node(&CorsKeys::HEADERS).and_then(|node| list(node, header_name, mistakes));
    let expose = table.node(&CorsKeys::EXPOSE).and_then(|node| list(node, header_name, mistakes));
    let credentials = table.get(&CorsKeys::CREDENTIALS).unwrap_or(false);
    let max_age = table.get(&CorsKeys::MAX_AGE).unwrap_or(MAX_AGE_DEFAULT);
    let decoded = Cors {
        origins: origins?,
        methods,
        headers: headers.unwrap_or(HEADERS_DEFAULT),
        expose,
        credentials,
        max_age: HeaderValue::from(max_age.as_secs()),
    };
    check_credentials(&decoded, table, mistakes);
    Some(decoded)
}

/// With credentials, browsers accept no `*`.
fn check_credentials(cors: &Cors, table: Table<'_>, mistakes: &Mistakes) {
    let Some(node) = table.find(&CorsKeys::CREDENTIALS).filter(|_| cors.credentials) else { return };
    let is_star = |value: &HeaderValue| value.as_bytes() == b"*";
    if cors.origins == Origins::Any {
        // The Fetch standard, section 3.2.5: browsers refuse it, since every page could act for the user.
        node.report(mistakes, "with `origins: \"*\"` there can be no credentials; name the origins");
    } else if is_star(&cors.headers) || cors.expose.as_ref().is_some_and(is_star) {
        node.report(mistakes, "with credentials, browsers take `\"*\"` for a name; name the headers");
    }
}

fn origins(node: &Node, mistakes: &Mistakes) -> Option<Origins> {
    let items = node.items(mistakes);
    if items.is_empty() {
        node.report(mistakes, "no origin is named; leave `cors` out, or write `off`");
    }
    let count = items.len();
    let origins: Vec<HeaderValue> = items.into_iter().filter_map(|item| item.parse(mistakes, origin)).collect();
    if origins.len() < count {
        return None;
    }
    if origins.iter().any(|origin| origin.as_bytes() == b"*") {
        if origins.len() > 1 {
            node.report(mistakes, "`*` is every origin, so that it must stand alone");
        }
        return Some(Origins::Any);
    }
    Some(Origins::Only(origins))
}

/// An origin as browsers write it (RFC 6454, section 6.2).
fn origin(text: &str) -> Result<HeaderValue, String> {
    let error = || format!("`{text}` is not an origin; write it like https://app.example.com, without a path");
    let uri: Option<actix_http::Uri> = text.parse().ok();
    let is_origin = uri.is_some_and(|uri| {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let written = format!("{}://{authority}", uri.scheme_str().unwrap_or_default());
        !authority.is_empty() && !authority.contains('@') && written == text && *text == text.to_ascii_lowercase()
    });
    if is_origin || text == "*" { HeaderValue::from_str(text).map_err(|_| error()) } else { Err(error()) }
}

fn methods(node: &Node, mistakes: &Mistakes) -> Option<HeaderValue> {
    if node.is_empty_list() {
        node.report(mistakes, "no method is named, so that no page could call");
    }
    list(node, |text| keys::methods(text).map(|_| text.to_owned()), mistakes)
}

fn header_name(text: &str) -> Result<String, String> {
    keys::header_name(text).map(|name| name.as_str().to_owned())
}

/// The items of a list, as a header writes them.
fn list(node: &Node, parse: fn(&str) -> Result<String, String>, mistakes: &Mistakes) -> Option<HeaderValue> {
    let items: Vec<String> = node.items(mistakes).into_iter().filter_map(|item| item.parse(mistakes, parse)).collect();
    HeaderValue::from_str(&items.join(", ")).ok()
}
