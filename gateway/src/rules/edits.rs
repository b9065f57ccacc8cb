//! Edits of header fields, as a route or the defaults configure them. Knows neither requests nor answers.

use actix_http::header::{HeaderMap, HeaderName, HeaderValue};

/// One edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Removes all fields of this name.
    Remove(HeaderName),
    /// Replaces all fields of this name by one.
    Set(HeaderName, HeaderValue),
    /// Adds a field of this name.
    Add(HeaderName, HeaderValue),
}

/// Edits, in the order in which they are applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edits(Vec<Edit>);

impl Edits {
    /// Returns these edits followed by `more`.
    #[must_use]
    pub(crate) fn then(&self, more: Vec<Edit>) -> Self {
        Self(self.0.iter().cloned().chain(more).collect())
    }

    /// Applies the edits.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        for edit in &self.0 {
            match edit {
                Edit::Remove(name) => drop(headers.remove(name)),
                Edit::Set(name, value) => drop(headers.insert(name.clone(), value.clone())),
                Edit::Add(name, value) => headers.append(name.clone(), value.clone()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_applied_in_order() {
        let name = |text: &'static str| HeaderName::from_static(text);
        let value = |text: &'static str| HeaderValue::from_static(text);
        let edits = Edits::default()
            .then(vec![Edit::Set(name("a"), value("default")), Edit::Remove(name("gone"))])
            .then(vec![Edit::Set(name("a"), value("route")), Edit::Add(name("b"), value("2"))]);
        let mut headers = HeaderMap::new();
        for (known, text) in [("a", "0"), ("a", "00"), ("b", "1"), ("gone", "x"), ("kept", "y")] {
            headers.append(name(known), value(text));
        }
        edits.apply(&mut headers);
        let values = |known: &str| headers.get_all(known).map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(values("a"), ["route"]);
        assert_eq!(values("b"), ["1", "2"]);
        assert_eq!(values("gone"), [""; 0]);
        assert_eq!(values("kept"), ["y"]);
    }
}
