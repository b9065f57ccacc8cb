//! Decodes `request_headers` and `response_headers`: changes to headers; and knows which headers cannot be changed.

use std::fmt::Display;

use actix_http::header::{self, HeaderName, HeaderValue};
use chassis::{
    identity::IdentityHeaders,
    trace::{REQUEST_ID, TRACEPARENT},
};

use super::lookalikes;
use crate::{
    config::{
        keys::{self, routes::HeaderEditsKeys},
        yaml::{
            mistake::Mistakes,
            tree::{Name, Node},
        },
    },
    rules::{
        edits::{Edit, Edits},
        fields::HOP_BY_HOP,
    },
};

/// The headers that only the gateway writes.
pub(crate) struct Reserved<'a> {
    pub(crate) identity: &'a IdentityHeaders,
}

impl Reserved<'_> {
    /// Whether a header describes the connection, or where the message ends.
    pub(crate) fn is_framing(&self, name: &HeaderName) -> bool {
        HOP_BY_HOP.contains(name) || [header::CONTENT_LENGTH, header::EXPECT].contains(name)
    }

    /// Why a header cannot be changed by configuration; `None` where it can.
    fn refusal(&self, name: &HeaderName) -> Option<&'static str> {
        const WRITTEN_BY_GATEWAY: [HeaderName; 8] = [
            header::HOST,
            header::FORWARDED,
            header::VIA,
            header::X_FORWARDED_FOR,
            header::X_FORWARDED_HOST,
            header::X_FORWARDED_PROTO,
            REQUEST_ID,
            TRACEPARENT,
        ];
        if self.identity.contains(name.as_str()) {
            Some("says who calls, and only the gateway may say that (see `identity`)")
        } else if self.is_framing(name) {
            Some("describes one connection or where the message ends, which only the gateway decides")
        } else {
            WRITTEN_BY_GATEWAY.contains(name).then_some("is written by the gateway itself")
        }
    }
}

/// The changes of `defaults`, followed by those of this node.
pub(crate) fn decode(node: Option<&Node>, defaults: &Edits, reserved: &Reserved<'_>, mistakes: &Mistakes) -> Edits {
    let Some(node) = node else { return defaults.clone() };
    let table = node.table(&HeaderEditsKeys::SECTION, mistakes);
    let mut edits = Vec::new();
    for item in table.node(&HeaderEditsKeys::REMOVE).map(|node| node.items(mistakes)).unwrap_or_default() {
        edits.extend(item.parse(mistakes, |text| name(text, reserved)).map(Edit::Remove));
    }
    for (key, make) in [(&HeaderEditsKeys::SET, Edit::Set as fn(_, _) -> _), (&HeaderEditsKeys::ADD, Edit::Add)] {
        for (name, value) in table.node(key).map(|node| node.entries(mistakes)).unwrap_or_default() {
            edits.extend(field(name, value, reserved, mistakes).map(|(name, value)| make(name, value)));
        }
    }
    defaults.then(edits)
}

fn field(key: &Name, value: &Node, reserved: &Reserved<'_>, mistakes: &Mistakes) -> Option<(HeaderName, HeaderValue)> {
    let text = value.parse(mistakes, |text| {
        lookalikes::header_value(&key.text, text)?;
        let value = HeaderValue::from_str(text.trim());
        value.map_err(|_| "a header has neither line breaks nor control characters".to_owned())
    });
    ok_or_report(name(&key.text, reserved), key, value, mistakes).zip(text)
}

fn name(text: &str, reserved: &Reserved<'_>) -> Result<HeaderName, String> {
    let name = keys::header_name(text)?;
    reserved.refusal(&name).map_or(Ok(name), |why| Err(format!("`{text}` {why}")))
}

/// Returns what the name of an entry was parsed to, or reports why it could not be.
pub(crate) fn ok_or_report<T>(
    result: Result<T, impl Display>,
    name: &Name,
    value: &Node,
    mistakes: &Mistakes,
) -> Option<T> {
    result.map_err(|message| mistakes.report(name.place, &value.path, message)).ok()
}
