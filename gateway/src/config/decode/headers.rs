//! Decodes `request_headers` and `response_headers`: changes to headers, and which headers are not theirs to change.

use std::fmt::Display;

use actix_http::header::{self, HeaderName, HeaderValue};
use chassis::{
    identity::IdentityHeaders,
    trace::{REQUEST_ID, TRACEPARENT},
};

use crate::{
    config::{
        keys::routes::EDITS,
        yaml::{
            mistake::Mistakes,
            tree::{Key, Node},
        },
    },
    rules::{
        edits::{Edit, Edits},
        fields::HOP_BY_HOP,
    },
};

/// Headers that belong to the gateway.
pub(crate) struct Reserved<'a> {
    pub(crate) identity: &'a IdentityHeaders,
}

impl Reserved<'_> {
    /// Whether a field is about a connection or about where a message ends.
    pub(crate) fn is_framing(&self, name: &HeaderName) -> bool {
        HOP_BY_HOP.contains(name) || [header::CONTENT_LENGTH, header::EXPECT].contains(name)
    }

    /// Why no configuration may change a header.
    fn refusal(&self, name: &HeaderName) -> Option<&'static str> {
        const OWN: [HeaderName; 8] = [
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
            Some("speaks about one connection or about where the message ends, which is the gateway's own work")
        } else {
            OWN.contains(name).then_some("is written by the gateway itself")
        }
    }
}

/// The changes of `defaults`, and then those of this node.
pub(crate) fn decode(node: Option<&Node>, defaults: &Edits, reserved: &Reserved<'_>, mistakes: &mut Mistakes) -> Edits {
    let Some(node) = node else { return defaults.clone() };
    let mut edits = Vec::new();
    let mut table = node.table(&EDITS, mistakes);
    for item in table.optional("remove").map(|node| node.items(mistakes)).unwrap_or_default() {
        edits.extend(item.parse(mistakes, |text| name(text, reserved)).map(Edit::Remove));
    }
    for (key, make) in [("set", Edit::Set as fn(_, _) -> _), ("add", Edit::Add)] {
        for (key, value) in table.optional(key).map(|node| node.entries(mistakes)).unwrap_or_default() {
            edits.extend(field(key, value, reserved, mistakes).map(|(name, value)| make(name, value)));
        }
    }
    table.finish(mistakes);
    defaults.then(edits)
}

fn field(
    key: &Key,
    value: &Node,
    reserved: &Reserved<'_>,
    mistakes: &mut Mistakes,
) -> Option<(HeaderName, HeaderValue)> {
    let text = value.parse(mistakes, |text| {
        HeaderValue::from_str(text.trim()).map_err(|_| "a header has neither line breaks nor control characters")
    });
    noted(name(&key.name, reserved), key, value, mistakes).zip(text)
}

fn name(text: &str, reserved: &Reserved<'_>) -> Result<HeaderName, String> {
    let name = HeaderName::try_from(text).map_err(|_| format!("`{text}` is no header name"))?;
    reserved.refusal(&name).map_or(Ok(name), |why| Err(format!("`{text}` {why}")))
}

/// Keeps what is right about a key, or notes what is wrong with it.
pub(crate) fn noted<T>(result: Result<T, impl Display>, key: &Key, value: &Node, mistakes: &mut Mistakes) -> Option<T> {
    result.map_err(|message| mistakes.note(key.place, &value.path, message)).ok()
}
