//! Reads the JSON object of a request body field by field, so that every wrong field is reported at once. Knows no HTTP.

use std::fmt::{self, Display};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::problem::FieldError;

/// U+FEFF in UTF-8, which some editors write at the beginning of a file. It is no part of JSON (RFC 8259, section 8.1).
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Parses JSON. Of an object with a repeated key nobody can know which value is meant (RFC 8259, section 4), so that it is
/// an error; objects within it are not checked, because no field of a body is one.
///
/// # Errors
/// What is wrong, with line and column.
pub(crate) fn parse_json(bytes: &[u8]) -> serde_json::Result<Value> {
    if bytes.trim_ascii_start().starts_with(b"{") {
        serde_json::from_slice(bytes).map(|UniqueKeys(object)| Value::Object(object))
    } else {
        serde_json::from_slice(bytes)
    }
}

/// An object, of which every key is given once.
struct UniqueKeys(Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = UniqueKeys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<UniqueKeys, A::Error> {
                let mut object = Map::new();
                while let Some(key) = members.next_key::<String>()? {
                    if object.contains_key(&key) {
                        return Err(A::Error::custom(format!("the key `{key:.64}` is given more than once")));
                    }
                    object.insert(key, members.next_value()?);
                }
                Ok(UniqueKeys(object))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

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
    fn a_key_that_is_repeated_is_an_error_that_names_it() {
        for (text, expected) in [
            (r#"{"a": 1, "b": 2, "a": 1}"#, Err("the key `a` is given more than once at line 1 column 20")),
            (" \n{\"a\": 1, \"\\u0061\": 2}", Err("the key `a` is given more than once at line 2 column 17")),
            (r#"{"a": 1, "A": 2}"#, Ok(json!({"a": 1, "A": 2}))),
            ("[1]", Ok(json!([1]))),
            ("{} {}", Err("trailing characters at line 1 column 4")),
            ("{", Err("EOF while parsing an object at line 1 column 1")),
        ] {
            let parsed = parse_json(text.as_bytes()).map_err(|error| error.to_string());
            assert_eq!(parsed, expected.map_err(str::to_owned), "{text}");
        }
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
