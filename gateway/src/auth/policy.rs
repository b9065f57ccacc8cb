//! Decides whether a caller may use a route. Pure: knows no HTTP and reads no clock.

use std::fmt;

use serde_json::{Map, Value};

/// The claims of a verified token.
pub type Claims = Map<String, Value>;

/// Who may use a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Everybody; tokens are not looked at.
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

/// What a policy says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PolicyDecision<'a> {
    Allowed,
    /// This claim has none of the values that it must have.
    Denied {
        claim: &'a str,
    },
}

impl Policy {
    /// Whether a request without a token may pass.
    pub(crate) const fn is_public(&self) -> bool {
        matches!(self, Self::Public)
    }

    /// Whether everybody who passes this policy passes `other` too.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Public) | (Self::SignedIn | Self::Claims(_), Self::SignedIn) => true,
            (Self::Public, _) | (Self::SignedIn, Self::Claims(_)) => false,
            (Self::Claims(held), Self::Claims(wanted)) => wanted.iter().all(|(claim, values)| {
                held.iter().any(|(known, allowed)| known == claim && allowed.iter().all(|value| values.contains(value)))
            }),
        }
    }

    /// The verdict about a caller.
    pub(crate) fn decide(&self, caller: &Claims) -> PolicyDecision<'_> {
        let Self::Claims(wanted) = self else { return PolicyDecision::Allowed };
        let denied = wanted.iter().find(|(claim, values)| !caller.get(claim).is_some_and(|held| holds(held, values)));
        denied.map_or(PolicyDecision::Allowed, |(claim, _)| PolicyDecision::Denied { claim })
    }
}

/// A claim with several values (groups, roles) holds if one of them is wanted.
fn holds(held: &Value, wanted: &[String]) -> bool {
    match held {
        Value::String(text) => wanted.contains(text),
        Value::Bool(_) | Value::Number(_) => wanted.contains(&held.to_string()),
        Value::Array(items) => items.iter().any(|item| !item.is_array() && holds(item, wanted)),
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
    fn claims_decide() {
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
    fn a_policy_that_lets_fewer_pass_is_within_one_that_lets_more_pass() {
        let (admin, either) = (policy("t", &["admin"]), policy("t", &["admin", "default"]));
        for (narrow, wide) in [(&admin, &either), (&either, &Policy::SignedIn), (&Policy::SignedIn, &Policy::Public)] {
            assert!(narrow.is_within(wide) && narrow.is_within(narrow), "{narrow} {wide}");
            assert!(!wide.is_within(narrow), "{wide} {narrow}");
        }
        assert!(!admin.is_within(&policy("other", &["admin"])));
    }

    #[test]
    fn every_claim_must_hold() {
        let both = Policy::Claims(vec![
            ("user_type".to_owned(), vec!["admin".to_owned()]),
            ("tenant".to_owned(), vec!["7".to_owned()]),
        ]);
        let caller = json!({"user_type": "admin"});
        assert_eq!(both.decide(caller.as_object().unwrap()), PolicyDecision::Denied { claim: "tenant" });
    }
}
