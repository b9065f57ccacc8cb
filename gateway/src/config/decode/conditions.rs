//! Decodes `when`: the host and the headers that a request must have.

use actix_http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};

use super::headers::Reserved;
use crate::{
    config::{
        keys::routes::WHEN,
        yaml::{mistake::Mistakes, tree::Node},
    },
    routing::condition::Conditions,
};

pub(crate) fn decode(node: &Node, reserved: &Reserved<'_>, mistakes: &mut Mistakes) -> Conditions {
    let mut table = node.table(&WHEN, mistakes);
    let host = table.optional("host").and_then(|node| node.parse(mistakes, str::parse));
    let headers = table.optional("headers").map(|node| headers(node, reserved, mistakes)).unwrap_or_default();
    table.finish(mistakes);
    Conditions { host, headers }
}

fn headers(node: &Node, reserved: &Reserved<'_>, mistakes: &mut Mistakes) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (key, value) in node.entries(mistakes) {
        let Some(text) = value.parse(mistakes, |text| wanted_value(text).map(str::to_owned)) else { continue };
        match wanted_name(&key.name, reserved) {
            Ok(name) if headers.iter().any(|(known, _)| *known == name) => {
                mistakes.note(key.place, &value.path, format_args!("the header {name} is there twice"));
            }
            Ok(name) => headers.push((name, text)),
            Err(message) => mistakes.note(key.place, &value.path, message),
        }
    }
    headers
}

fn wanted_name(text: &str, reserved: &Reserved<'_>) -> Result<String, String> {
    let name = HeaderName::try_from(text).map_err(|_| format!("`{text}` is no header name"))?;
    if name == HOST {
        return Err("the host has a key of its own: `when: {host: …}`".to_owned());
    }
    if name == AUTHORIZATION || reserved.identity.contains(name.as_str()) {
        return Err(format!("`{name}` says who calls; use `auth`, which believes only what was verified"));
    }
    if reserved.is_framing(&name) {
        return Err(format!("`{name}` speaks about one connection, not about the request"));
    }
    Ok(name.as_str().to_owned())
}

fn wanted_value(text: &str) -> Result<&str, String> {
    let fits = text.trim() == text && !text.is_empty() && HeaderValue::from_str(text).is_ok();
    if fits { Ok(text) } else { Err(format!("no header has the value `{text}`")) }
}
