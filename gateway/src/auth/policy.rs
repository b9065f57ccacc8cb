//! Decides whether a caller may use a route. Pure: knows no HTTP and reads no clock.

use std::fmt;

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

/// Who may use a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Everybody; tokens are not verified.
    Public,
    /// Everybody with a valid token.
    SignedIn,
    /// Callers whose claims all have one of the named values.
    Claims(Vec<(String, Vec<String>)>),
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::SignedIn => f.write_str("signed-in"),
            Self::Claims(claims) => {
                let claims = claims.iter().map(|(claim, values)| format!("{claim}={}", values.join("|")));
                f.write_str(&claims.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// The decision of a policy about a caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PolicyDecision<'a> {
    Allowed,
    /// This claim has none of the values that it must have.
    Denied {
        claim: &'a str,
    },
}

impl Policy {
    /// Returns whether requests without a token are allowed.
    pub(crate) const fn is_public(&self) -> bool {
        matches!(self, Self::Public)
    }

    /// Returns whether this policy is at least as strict as `other`: whoever it allows, `other` allows too.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Public) | (Self::SignedIn | Self::Claims(_), Self::SignedIn) => true,
            (Self::Public, _) | (Self::SignedIn, Self::Claims(_)) => false,
            (Self::Claims(held), Self::Claims(wanted)) => wanted.iter().all(|(claim, values)| {
                held.iter().any(|(known, allowed)| known == claim && allowed.iter().all(|value| values.contains(value)))
            }),
        }
    }

    /// Decides about a caller with these claims.
    pub(crate) fn decide(&self, caller: &Claims) -> PolicyDecision<'_> {
        let Self::Claims(wanted) = self else { return PolicyDecision::Allowed };
        let denied =
            wanted.iter().find(|(claim, values)| !caller.get(claim).is_some_and(|held| matches_any(held, values)));
        denied.map_or(PolicyDecision::Allowed, |(claim, _)| PolicyDecision::Denied { claim })
    }
}

/// Returns whether a claim has one of the wanted values. For an array (groups, roles) one of its items is enough.
fn matches_any(held: &Value, wanted: &[String]) -> bool {
    match held {
        Value::String(text) => wanted.contains(text),
        Value::Bool(_) | Value::Number(_) => wanted.contains(&held.to_string()),
        Value::Array(items) => items.iter().any(|item| !item.is_array() && matches_any(item, wanted)),
        Value::Null | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(claim: &str, values: &[&str]) -> Policy {
        Policy::Claims(vec![(claim.to_owned(), values.iter().map(|value| (*value).to_owned()).collect())])
    }

    #[test]
    fn a_caller_is_allowed_by_its_claims() {
        let caller = json!({"user_type": "admin", "groups": ["a", "b"], "level": 3, "nested": [["a"]], "none": null});
        let caller = caller.as_object().unwrap();
        for (policy, allowed) in [
            (Policy::SignedIn, true),
            (policy("user_type", &["admin"]), true),
            (policy("user_type", &["default", "admin"]), true),
            (policy("user_type", &["adm"]), false),
            (policy("groups", &["b"]), true),
            (policy("groups", &["c"]), false),
            (policy("level", &["3"]), true),
            (policy("nested", &["a"]), false),
            (policy("none", &["null"]), false),
            (policy("absent", &["x"]), false),
        ] {
            assert_eq!(policy.decide(caller) == PolicyDecision::Allowed, allowed, "{policy:?}");
        }
    }

    #[test]
    fn a_stricter_policy_is_within_a_wider_one() {
        let (admin, either) = (policy("t", &["admin"]), policy("t", &["admin", "default"]));
        for (narrow, wide) in [(&admin, &either), (&either, &Policy::SignedIn), (&Policy::SignedIn, &Policy::Public)] {
            assert!(narrow.is_within(wide) && narrow.is_within(narrow), "{narrow} {wide}");
            assert!(!wide.is_within(narrow), "{wide} {narrow}");
        }
        assert!(!admin.is_within(&policy("other", &["admin"])));
    }

    #[test]
    fn all_claims_are_required() {
        let both = Policy::Claims(vec![
            ("user_type".to_owned(), vec!["admin".to_owned()]),
            ("tenant".to_owned(), vec!["7".to_owned()]),
        ]);
        let caller = json!({"user_type": "admin"});
        assert_eq!(both.decide(caller.as_object().unwrap()), PolicyDecision::Denied { claim: "tenant" });
    }
}
