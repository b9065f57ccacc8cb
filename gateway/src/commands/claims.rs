//! Claims on the command line: `user_type=admin,sub=1,/realm_access/roles=ops`.

use serde_json::Value;

use crate::auth::claims::{ClaimPath, Claims};

/// Parses claims. A name that occurs more than once is a claim with several values.
///
/// # Errors
/// The message says how claims are written.
pub(crate) fn parse(text: &str) -> Result<Claims, String> {
    let mut claims = Claims::new();
    for part in text.split(',').map(str::trim) {
        let error = || format!("`{part}` is not a claim; write them like user_type=admin,sub=1");
        let (name, value) = part.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(error)?;
        let at: ClaimPath = name.parse()?;
        let value = match at.find(&claims).cloned() {
            None => Value::from(value),
            Some(Value::Array(mut values)) => {
                values.push(Value::from(value));
                Value::Array(values)
            }
            Some(first) => Value::Array(vec![first, Value::from(value)]),
        };
        at.insert(&mut claims, value);
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_pairs() {
        assert_eq!(Value::from(parse("user_type=admin, sub=1").unwrap()), json!({"user_type": "admin", "sub": "1"}));
        assert_eq!(Value::from(parse("g=a,g=b,g=c").unwrap()), json!({"g": ["a", "b", "c"]}));
        assert_eq!(Value::from(parse("/a/b=1,/a/b=2,/a/c=3").unwrap()), json!({"a": {"b": ["1", "2"], "c": "3"}}));
        for text in ["", "admin", "=x", "a=b,"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
