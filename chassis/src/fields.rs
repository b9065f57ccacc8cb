//! Reads the JSON object of a request body field by field, so that every wrong field is reported at once. Knows no HTTP.

use std::fmt::Display;

use serde_json::{Map, Value};

use crate::problem::FieldError;

/// What a body says about an optional field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// The field is absent.
    #[default]
    Keep,
    /// The field is `null`.
    Clear,
    /// The field has a value.
    Set(T),
}

impl<T> Change<T> {
    /// The value, if there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// The new value of an optional field whose value is `current`.
    pub fn apply_to(self, current: Option<T>) -> Option<T> {
        match self {
            Self::Keep => current,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

/// The fields of a JSON object, and the errors found in them so far. Unknown fields are ignored.
#[derive(Debug)]
pub struct Fields {
    object: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// The fields of a body.
    ///
    /// # Errors
    /// The body is not an object.
    pub fn from_json(body: Value) -> Result<Self, Vec<FieldError>> {
        match body {
            Value::Object(object) => Ok(Self { object, errors: Vec::new() }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(vec![FieldError { pointer: String::new(), detail: "must be a JSON object".to_owned() }])
            }
        }
    }

    /// A required string.
    pub fn required<T, E: Display>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        match self.change(name, parse) {
            Change::Set(value) => Some(value),
            Change::Clear => {
                self.add_error(name, "must not be null");
                None
            }
            // The error of an invalid string has been added already.
            Change::Keep => {
                if !self.object.contains_key(name) {
                    self.add_error(name, "is required");
                }
                None
            }
        }
    }

    /// A string that may be absent or null.
    pub fn optional<T, E: Display>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        self.change(name, parse).value()
    }

    /// A string that may be absent or null, where the difference matters. An invalid one adds its error and counts as
    /// absent.
    pub fn change<T, E: Display>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Change<T> {
        let parsed = match self.object.get(name) {
            None => return Change::Keep,
            Some(Value::Null) => return Change::Clear,
            Some(Value::String(text)) => parse(text).map_err(|error| error.to_string()),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                Err("must be a string".to_owned())
            }
        };
        match parsed {
            Ok(value) => Change::Set(value),
            Err(detail) => {
                self.add_error(name, detail);
                Change::Keep
            }
        }
    }

    /// Whether the body has this field.
    pub fn contains(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// Adds the error of a field.
    pub fn add_error(&mut self, name: &str, detail: impl Display) {
        // RFC 6901, section 3: `~` and `/` are escaped in a pointer.
        let escaped = name.replace('~', "~0").replace('/', "~1");
        self.errors.push(FieldError { pointer: format!("/{escaped}"), detail: detail.to_string() });
    }

    /// Returns what was read, or every error. `read` is `None` only if there is an error.
    ///
    /// # Errors
    /// Every error.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, Vec<FieldError>> {
        match read {
            Some(value) if self.errors.is_empty() => Ok(value),
            Some(_) | None => Err(self.errors),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn short(text: &str) -> Result<String, &'static str> {
        if text.len() <= 3 { Ok(text.to_owned()) } else { Err("is too long") }
    }

    #[test]
    fn every_wrong_field_is_reported() {
        let mut fields = Fields::from_json(json!({"a": 1, "b": null, "c": "long text"})).unwrap();
        let read = (
            fields.required("a", short),
            fields.required("b", short),
            fields.required("c", short),
            fields.required("d", short),
        );
        let mistakes = fields.finish(read.0.zip(read.1).zip(read.2).zip(read.3)).unwrap_err();
        let shown: Vec<_> = mistakes.iter().map(|m| (m.pointer.as_str(), m.detail.as_str())).collect();
        assert_eq!(
            shown,
            [("/a", "must be a string"), ("/b", "must not be null"), ("/c", "is too long"), ("/d", "is required")]
        );
    }

    #[test]
    fn absent_null_and_given_are_three_things() {
        let mut fields = Fields::from_json(json!({"a": "x", "b": null})).unwrap();
        assert_eq!(fields.change("a", short), Change::Set("x".to_owned()));
        assert_eq!(fields.change("b", short), Change::Clear);
        assert_eq!(fields.change("c", short), Change::Keep);
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for body in [json!([]), json!("text"), json!(null), json!(1)] {
            assert_eq!(Fields::from_json(body).unwrap_err()[0].pointer, "");
        }
    }
}
