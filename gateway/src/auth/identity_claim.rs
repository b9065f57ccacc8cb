//! What an identity header says about a caller: a claim as text. Pure.

use std::{borrow::Cow, fmt};

use serde_json::Value;

use super::claims::{ClaimPath, Claims};

/// A claim that is sent to upstreams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityClaim {
    pub(crate) at: ClaimPath,
    /// What stands between the items of a list; without it, a list is not sent.
    pub(crate) join: Option<String>,
}

impl IdentityClaim {
    /// Returns the text of the claim; `None` if there is nothing to send.
    ///
    /// An item of a list that contains the separator is left out: upstreams would take it for two, and whoever can name a
    /// group could choose the second one.
    pub(crate) fn text<'c>(&self, claims: &'c Claims) -> Option<Cow<'c, str>> {
        match (self.at.find(claims)?, &self.join) {
            (Value::Array(items), Some(join)) => {
                let texts = items.iter().filter_map(scalar).filter(|text| !text.contains(join.as_str()));
                let texts: Vec<Cow<'_, str>> = texts.collect();
                (!texts.is_empty()).then(|| Cow::Owned(texts.join(join)))
            }
            (Value::Array(_), None) => None,
            (value, _) => scalar(value),
        }
    }
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(_) | Value::Bool(_) => Some(Cow::Owned(value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl fmt::Display for IdentityClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.join {
            None => self.at.fmt(f),
            Some(join) => write!(f, "{}, joined by `{join}`", self.at),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_become_text() {
        let claims =
            json!({"sub": "7", "level": 3, "roles": ["a", 2, "b,c", null, ["d"]], "none": [], "o": {"p": "q"}});
        let claims = claims.as_object().unwrap();
        for (at, join, text) in [
            ("sub", None, Some("7")),
            ("sub", Some(","), Some("7")),
            ("level", None, Some("3")),
            ("roles", None, None),
            ("roles", Some(","), Some("a,2")),
            ("roles", Some(" "), Some("a 2 b,c")),
            ("none", Some(","), None),
            ("o", Some(","), None),
            ("/o/p", None, Some("q")),
            ("absent", None, None),
        ] {
            let claim = IdentityClaim { at: at.parse().unwrap(), join: join.map(str::to_owned) };
            assert_eq!(claim.text(claims).as_deref(), text, "{claim}");
        }
    }
}
