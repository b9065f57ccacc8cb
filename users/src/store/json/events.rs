//! What the audit log says of a change: the events of its effects. Every change is recorded here, whoever asks for it and by
//! whatever way. Knows no file.

use super::{staged::Effect, table::Table};
use crate::{
    audit::{Account, Event, Initiator},
    domain::{Session, User},
};

/// The events of a change, in the order of its effects. `users` are those before it.
pub(super) fn of_effects(effects: &[Effect], initiator: Initiator, users: &Table) -> Vec<Event> {
    let named = |id| users.get(id).map_or(Account::Id { id }, |user| Account::from(&**user));
    let by = initiator.user.map(|by| by.id().map_or(by, named));
    let initiator = Initiator { user: by, ..initiator };
    effects.iter().filter_map(|effect| of_effect(effect, initiator.clone(), users)).collect()
}

fn of_effect(effect: &Effect, initiator: Initiator, users: &Table) -> Option<Event> {
    let owner = |session: &Session| {
        let id = session.user_id;
        users.get(id).map_or(Account::Id { id }, |user| Account::from(&**user))
    };
    match effect {
        Effect::User { before, after, .. } => of_user(before.as_deref(), after.as_deref(), initiator),
        Effect::Session { before: None, after } => Some(Event::signed_in(owner(after), after, initiator)),
        Effect::Session { before: Some(_), after } => Some(Event::session_refreshed(owner(after), after, initiator)),
        Effect::SessionEnded { before, ended, reason } => {
            Some(Event::session_ended(owner(before), ended.id, *reason, initiator))
        }
    }
}

fn of_user(before: Option<&User>, after: Option<&User>, initiator: Initiator) -> Option<Event> {
    match (before, after) {
        (None, Some(user)) => Some(Event::user_created(user, initiator)),
        (Some(user), None) => Some(Event::user_deleted(user, initiator)),
        // The same version is the same for clients: nothing was changed, or a hash has another cost.
        (Some(before), Some(after)) if before.version == after.version => None,
        (Some(before), Some(after)) if before.hashed_password != after.hashed_password => {
            Some(Event::password_set(after, initiator))
        }
        (Some(before), Some(after)) if before.locked != after.locked => Some(Event::lock_set(after, initiator)),
        (Some(before), Some(after)) => Some(Event::user_changed(before, after, initiator)),
        (None, None) => None,
    }
}
