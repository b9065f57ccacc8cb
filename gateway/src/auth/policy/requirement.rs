//! What the claims of a caller must be: values, scopes, and combinations of them. Pure.
//!
//! The tricky part is [`Requirement::implies`], by which `gateway plan` tells whether a change lets more callers pass. It may
//! say no although the answer is yes, but never the other way round.

use std::fmt;

use serde_json::Value;

use crate::auth::claims::{ClaimPath, Claims};

/// The claims that contain scopes: separated by spaces (RFC 8693, section 4.2), or a list. Some issuers write `scp`.
const SCOPE_CLAIMS: [&str; 2] = ["scope", "scp"];

/// Returns the decoded text of the parameter in this segment of the path.
pub(crate) type Parameter<'a> = &'a dyn Fn(usize) -> Option<String>;

/// What the claims of a caller must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// A claim has one of these values. Of a list (groups, roles) one item is enough.
    Claim { at: ClaimPath, values: Vec<Wanted> },
    /// The token has all of these scopes.
    Scopes(Vec<String>),
    /// All of these are met.
    All(Vec<Self>),
    /// At least one of these is met.
    Any(Vec<Self>),
}

/// A value that a claim may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Text(String),
    /// That of a parameter of the path, in this segment of the pattern.
    Parameter {
        name: String,
        segment: usize,
    },
}

impl Requirement {
    /// Returns the first part that these claims do not meet; `None` if they meet everything.
    pub(crate) fn unmet(&self, caller: &Claims, parameter: Parameter<'_>) -> Option<&Self> {
        match self {
            Self::All(parts) => parts.iter().find_map(|part| part.unmet(caller, parameter)),
            Self::Claim { .. } | Self::Scopes(_) | Self::Any(_) => (!self.is_met(caller, parameter)).then_some(self),
        }
    }

    /// Returns whether these claims meet it.
    pub(crate) fn is_met(&self, caller: &Claims, parameter: Parameter<'_>) -> bool {
        match self {
            Self::Claim { at, values } => {
                at.find(caller).is_some_and(|held| values.iter().any(|value| value.is_in(held, parameter)))
            }
            Self::Scopes(scopes) => scopes.iter().all(|scope| has_scope(caller, scope)),
            Self::All(parts) => parts.iter().all(|part| part.is_met(caller, parameter)),
            Self::Any(parts) => parts.iter().any(|part| part.is_met(caller, parameter)),
        }
    }

    /// Returns whether whoever meets this meets `other` too. `false` where that cannot be told from the form of both.
    pub(crate) fn implies(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::All(wanted)) => wanted.iter().all(|part| self.implies(part)),
            (Self::Any(held), _) => held.iter().all(|part| part.implies(other)),
            // Each of its values is an alternative.
            (Self::Claim { at, values }, Self::Any(_)) if values.len() > 1 => {
                values.iter().all(|value| Self::Claim { at: at.clone(), values: vec![value.clone()] }.implies(other))
            }
            (Self::Claim { at: held_at, values: held }, Self::Claim { at, values }) => {
                held_at == at && held.iter().all(|value| values.iter().any(|known| value.is_same(known)))
            }
            (Self::Scopes(held), Self::Scopes(wanted)) => wanted.iter().all(|scope| held.contains(scope)),
            (Self::All(held), _) if held.iter().any(|part| part.implies(other)) => true,
            (_, Self::Any(wanted)) => wanted.iter().any(|part| self.implies(part)),
            (Self::All(held), Self::Scopes(wanted)) => {
                // Several parts together may have the scopes.
                wanted.iter().all(|scope| held.iter().any(|part| part.implies(&Self::Scopes(vec![scope.clone()]))))
            }
            (Self::All(_), Self::Claim { .. })
            | (Self::Claim { .. }, Self::Scopes(_))
            | (Self::Scopes(_), Self::Claim { .. }) => false,
        }
    }

    /// Calls `visit` for every claim in it.
    pub(crate) fn visit_claims<'a>(&'a self, visit: &mut impl FnMut(&'a ClaimPath)) {
        match self {
            Self::Claim { at, .. } => visit(at),
            Self::Scopes(_) => {}
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.visit_claims(visit)),
        }
    }

    /// A claim with one of these values.
    #[cfg(test)]
    pub(crate) fn of_claim(at: &str, values: &[&str]) -> Self {
        let values = values.iter().map(|value| Wanted::Text((*value).to_owned())).collect();
        Self::Claim { at: at.parse().unwrap(), values }
    }
}

fn has_scope(caller: &Claims, wanted: &str) -> bool {
    SCOPE_CLAIMS.iter().filter_map(|claim| caller.get(*claim)).any(|held| match held {
        Value::String(text) => text.split(' ').any(|scope| scope == wanted),
        Value::Array(items) => items.iter().any(|item| item == wanted),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    })
}

/// Returns the scopes of a caller as they are in the token, for people.
pub(crate) fn scopes_of(caller: &Claims) -> Option<&Value> {
    SCOPE_CLAIMS.iter().find_map(|claim| caller.get(*claim))
}

impl Wanted {
    fn is_in(&self, held: &Value, parameter: Parameter<'_>) -> bool {
        match self {
            Self::Text(text) => has(held, text),
            Self::Parameter { segment, .. } => parameter(*segment).is_some_and(|text| has(held, &text)),
        }
    }

    /// The name of a parameter does not matter, only its place.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Parameter { segment, .. }, Self::Parameter { segment: other, .. }) => segment == other,
            (Self::Text(_) | Self::Parameter { .. }, _) => self == other,
        }
    }
}

/// Returns whether a claim is this text or has it as an item.
fn has(held: &Value, wanted: &str) -> bool {
    match held {
        Value::String(text) => text == wanted,
        Value::Bool(_) | Value::Number(_) => {
            let text = held.to_string();
            text == wanted
        }
        Value::Array(items) => items.iter().any(|item| !item.is_array() && has(item, wanted)),
        Value::Null | Value::Object(_) => false,
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Parameter { name, .. } => write!(f, "{{{name}}}"),
        }
    }
}

/// `user_type=admin|staff, scopes=a+b, (tenant={tenant} or group=ops)`
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim { at, values } => {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                write!(f, "{at}={}", values.join("|"))
            }
            Self::Scopes(scopes) => write!(f, "scopes={}", scopes.join("+")),
            Self::All(parts) => f.write_str(&joined(parts, ", ")),
            Self::Any(parts) => f.write_str(&joined(parts, " or ")),
        }
    }
}

fn joined(parts: &[Requirement], separator: &str) -> String {
    let shown = |part: &Requirement| match part {
        Requirement::Claim { .. } | Requirement::Scopes(_) => part.to_string(),
        Requirement::All(inner) | Requirement::Any(inner) if inner.len() == 1 => part.to_string(),
        Requirement::All(_) | Requirement::Any(_) => format!("({part})"),
    };
    parts.iter().map(shown).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests;
