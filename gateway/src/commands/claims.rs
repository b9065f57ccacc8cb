//! Claims on the command line: `user_type=admin,sub=1`.

use serde_json::Value;

use crate::auth::policy::Claims;

/// Parses claims. A name that occurs more than once is a claim with several values.
///
/// # Errors
/// The message says how claims are written.
pub(crate) fn parse(text: &str) -> Result<Claims, String> {
    let mut claims = Claims::new();
    for part in text.split(',').map(str::trim) {
        let (name, value) = part
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| format!("`{part}` is not a claim; write them like user_type=admin,sub=1"))?;
        let value = Value::from(value);
        match claims.get_mut(name) {
            None => drop(claims.insert(name.to_owned(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
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
        for text in ["", "admin", "=x", "a=b,"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
