//! The claims of a token, and where one of them is: by its name, or nested, by a JSON Pointer (RFC 6901). Pure.

use std::{fmt, str::FromStr};

use serde_json::{Map, Value};

/// The claims of a verified token.
///
/// ```
/// use gateway::hooks::Claims;
///
/// let claims = Claims::from_iter([("sub".to_owned(), "7".into()), ("user_type".to_owned(), "admin".into())]);
/// assert_eq!(claims["sub"], "7");
/// ```
pub type Claims = Map<String, Value>;

/// Where a claim is: `user_type`, or `/realm_access/roles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimPath {
    text: String,
    /// The names on the way to it, from the outside. A claim that is not nested has one.
    names: Vec<String>,
}

impl ClaimPath {
    /// Returns it as it is written in the configuration.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the claim.
    pub(crate) fn find<'c>(&self, claims: &'c Claims) -> Option<&'c Value> {
        let (first, rest) = self.names.split_first()?;
        rest.iter().try_fold(claims.get(first)?, |value, name| match value {
            Value::Object(fields) => fields.get(name),
            Value::Array(items) => items.get(index(name)?),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        })
    }

    /// Puts a claim there. What is in the way is replaced.
    pub(crate) fn insert(&self, claims: &mut Claims, value: Value) {
        let Some((last, way)) = self.names.split_last() else { return };
        let mut fields = claims;
        for name in way {
            let inner = fields.entry(name.clone()).or_insert_with(|| Value::Object(Claims::new()));
            if !inner.is_object() {
                *inner = Value::Object(Claims::new());
            }
            let Value::Object(inner) = inner else { return };
            fields = inner;
        }
        fields.insert(last.clone(), value);
    }
}

/// An index of an array has no leading zeros (RFC 6901, section 4).
fn index(name: &str) -> Option<usize> {
    let is_index = name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
    if is_index { name.parse().ok() } else { None }
}

impl FromStr for ClaimPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = match text.strip_prefix('/') {
            None => vec![text.to_owned()],
            Some(pointer) => pointer.split('/').map(unescaped).collect::<Result<_, _>>()?,
        };
        if names.iter().any(String::is_empty) {
            return Err(format!(
                "`{text}` names no claim; write `user_type`, or `/realm_access/roles` for a nested one"
            ));
        }
        Ok(Self { text: text.to_owned(), names })
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// In a pointer `~1` stands for `/`, and `~0` for `~` (RFC 6901, section 3).
fn unescaped(part: &str) -> Result<String, String> {
    let is_escaped = part.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if is_escaped {
        Ok(part.replace("~1", "/").replace("~0", "~"))
    } else {
        Err(format!("`{part}`: in a JSON Pointer `~` is written `~0`, and a `/` in a name `~1`"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> ClaimPath {
        text.parse().unwrap()
    }

    #[test]
    fn claims_are_found_by_name_and_by_pointer() {
        let claims = json!({
            "sub": "7", "realm_access": {"roles": ["a", "b"]}, "https://shop.example/roles": ["c"], "a.b": 1, "a/b": 2,
            "~": 3, "list": [{"x": 4}],
        });
        let claims = claims.as_object().unwrap();
        for (text, found) in [
            ("sub", Some(json!("7"))),
            ("/sub", Some(json!("7"))),
            ("/realm_access/roles", Some(json!(["a", "b"]))),
            ("/realm_access/roles/1", Some(json!("b"))),
            ("/realm_access/roles/01", None),
            ("/realm_access/roles/2", None),
            ("/realm_access/groups", None),
            ("/sub/x", None),
            ("https://shop.example/roles", Some(json!(["c"]))),
            ("a.b", Some(json!(1))),
            ("/a~1b", Some(json!(2))),
            ("/~0", Some(json!(3))),
            ("/list/0/x", Some(json!(4))),
        ] {
            assert_eq!(path(text).find(claims), found.as_ref(), "{text}");
        }
        for text in ["", "/", "/a//b", "/a~", "/a~2"] {
            assert!(text.parse::<ClaimPath>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_inserted_is_found() {
        let mut claims = Claims::new();
        for (text, value) in [("/a/b", json!(1)), ("/a/c", json!([2])), ("x", json!(3)), ("/x/y", json!(4))] {
            path(text).insert(&mut claims, value.clone());
            assert_eq!(path(text).find(&claims), Some(&value), "{text}");
        }
        assert_eq!(Value::Object(claims), json!({"a": {"b": 1, "c": [2]}, "x": {"y": 4}}));
    }
}
