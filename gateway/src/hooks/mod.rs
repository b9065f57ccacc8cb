//! What a route may name beside its policy: steps that change an answer on its way to the client.

pub mod issue_token;

/// A step after the answer of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Turns the user in the answer into an access token.
    IssueToken,
}

impl Hook {
    /// The names that the YAML may use.
    pub const NAMES: [&'static str; 1] = ["issue-token"];

    /// The hook of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "issue-token" => Some(Self::IssueToken),
            _ => None,
        }
    }
}
