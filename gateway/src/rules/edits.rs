//! Changes to headers that a route or the defaults ask for. Knows neither requests nor answers.

use actix_http::header::{HeaderMap, HeaderName, HeaderValue};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Every field of this name goes.
    Remove(HeaderName),
    /// One field in the place of those of this name.
    Set(HeaderName, HeaderValue),
    /// One field beside those of this name.
    Add(HeaderName, HeaderValue),
}

/// Changes, in the order in which they are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edits(Vec<Edit>);

impl Edits {
    /// These changes and then `more`.
    #[must_use]
    pub(crate) fn then(&self, more: Vec<Edit>) -> Self {
        Self(self.0.iter().cloned().chain(more).collect())
    }

    /// Makes the changes.
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
    fn changes_are_made_in_order() {
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
