//! Settings of what operators and callers see of requests: the access log and `Server-Timing`.

use super::access_log::AccessLog;
use crate::auth::{
    caller::Caller,
    policy::{Policy, PolicyDecision},
};

/// What operators and callers see of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ObserveSettings {
    pub(crate) access_log: AccessLog,
    pub(crate) server_timing: ServerTiming,
}

/// Who gets the `Server-Timing` field, which tells how long the phases of a request took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ServerTiming {
    #[default]
    Off,
    /// Everybody.
    On,
    /// Callers with these claims.
    Callers(Policy),
}

impl ServerTiming {
    /// Whether this caller gets the field.
    pub(crate) fn shows(&self, caller: Option<&Caller>) -> bool {
        match self {
            Self::Off => false,
            Self::On => true,
            Self::Callers(policy) => {
                caller.is_some_and(|caller| policy.decide(&caller.claims, &|_| None) == PolicyDecision::Allowed)
            }
        }
    }
}
