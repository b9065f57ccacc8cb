//! Decodes `when`: the host and the headers that a request must have.

use actix_http::header::{AUTHORIZATION, HOST, HeaderValue};

use super::headers::Reserved;
use crate::{
    config::{
        keys::{self, routes::WhenKeys},
        yaml::{mistake::Mistakes, tree::Node},
    },
    routing::condition::Conditions,
};

pub(crate) fn decode(node: &Node, reserved: &Reserved<'_>, mistakes: &Mistakes) -> Conditions {
    let table = node.table(&WhenKeys::SECTION, mistakes);
    let host = table.node(&WhenKeys::HOST).and_then(|node| node.parse(mistakes, str::parse));
    let headers = table.node(&WhenKeys::HEADERS).map(|node| headers(node, reserved, mistakes)).unwrap_or_default();
    Conditions { host, headers }
}

fn headers(node: &Node, reserved: &Reserved<'_>, mistakes: &Mistakes) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in node.entries(mistakes) {
        let Some(text) = value.parse(mistakes, |text| header_value(text).map(str::to_owned)) else { continue };
        match header_name(&name.text, reserved) {
            Ok(header) if headers.iter().any(|(known, _)| *known == header) => {
                mistakes.report(name.place, &value.path, format_args!("the header {header} is there twice"));
            }
            Ok(header) => headers.push((header, text)),
            Err(message) => mistakes.report(name.place, &value.path, message),
        }
    }
    headers
}

fn header_name(text: &str, reserved: &Reserved<'_>) -> Result<String, String> {
    let name = keys::header_name(text)?;
    if name == HOST {
        return Err("the host has a key of its own: `when: {host: …}`".to_owned());
    }
    if name == AUTHORIZATION || reserved.identity.contains(name.as_str()) {
        return Err(format!("`{name}` says who calls; use `auth`, which accepts only what was verified"));
    }
    if reserved.is_framing(&name) {
        return Err(format!("`{name}` describes one connection, not the request"));
    }
    Ok(name.as_str().to_owned())
}

fn header_value(text: &str) -> Result<&str, String> {
    let is_valid = text.trim() == text && !text.is_empty() && HeaderValue::from_str(text).is_ok();
    if is_valid { Ok(text) } else { Err(format!("no header has the value `{text}`")) }
}
