//! Decides whether a caller may use a route. Pure: knows no HTTP and reads no clock.

use std::fmt;

use self::requirement::{Parameter, Requirement};
use super::claims::Claims;

pub(crate) mod requirement;

/// Who may use a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Everybody; tokens are not verified.
    Public,
    /// Everybody with a valid token.
    SignedIn,
    /// Callers whose claims meet this requirement.
    Claims(Requirement),
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::SignedIn => f.write_str("signed-in"),
            Self::Claims(requirement) => requirement.fmt(f),
        }
    }
}

/// The decision of a policy about a caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PolicyDecision<'a> {
    Allowed,
    /// The claims do not meet this requirement.
    Denied(&'a Requirement),
}

impl Policy {
    /// Returns whether requests without a token are allowed.
    pub(crate) const fn is_public(&self) -> bool {
        matches!(self, Self::Public)
    }

    /// Returns whether this policy is at least as strict as `other`: whoever it allows, `other` allows too. `false` where
    /// that cannot be told.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Public) | (Self::SignedIn | Self::Claims(_), Self::SignedIn) => true,
            (Self::Public, _) | (Self::SignedIn, Self::Claims(_)) => false,
            (Self::Claims(held), Self::Claims(wanted)) => held.implies(wanted),
        }
    }

    /// Decides about a caller with these claims, on a path with these parameters.
    pub(crate) fn decide(&self, caller: &Claims, parameter: Parameter<'_>) -> PolicyDecision<'_> {
        match self {
            Self::Public | Self::SignedIn => PolicyDecision::Allowed,
            Self::Claims(requirement) => {
                requirement.unmet(caller, parameter).map_or(PolicyDecision::Allowed, PolicyDecision::Denied)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stricter_policy_is_within_a_wider_one() {
        let claims = |values: &[&str]| Policy::Claims(Requirement::of_claim("t", values));
        let (admin, either) = (claims(&["admin"]), claims(&["admin", "default"]));
        for (narrow, wide) in [(&admin, &either), (&either, &Policy::SignedIn), (&Policy::SignedIn, &Policy::Public)] {
            assert!(narrow.is_within(wide) && narrow.is_within(narrow), "{narrow} {wide}");
            assert!(!wide.is_within(narrow), "{wide} {narrow}");
        }
        let other = Policy::Claims(Requirement::of_claim("other", &["admin"]));
        assert!(!admin.is_within(&other));
    }

    #[test]
    fn the_requirement_that_is_not_met_is_named() {
        let (first, second) = (Requirement::of_claim("user_type", &["admin"]), Requirement::of_claim("tenant", &["7"]));
        let both = Policy::Claims(Requirement::All(vec![first, second.clone()]));
        let caller = json!({"user_type": "admin"});
        assert_eq!(both.decide(caller.as_object().unwrap(), &|_| None), PolicyDecision::Denied(&second));
        assert_eq!(both.to_string(), "user_type=admin, tenant=7");
    }
}
