//! Does what a command asks for, with the store. Knows neither who asks nor how.

use std::sync::Arc;

use chassis::{identity::UserId, page::LIMIT_MAX};
use serde::Serialize;
use serde_json::Value;

use super::message::{Account, ListRequest, Request};
use crate::{
    domain::{Search, User, UserFilter, UserName},
    store::{StoreError, UsersStore},
};

/// What precedes a username that could be taken for an id.
const NAME_PREFIX: &str = "name:";

/// The operations on one store. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Operations {
    pub(crate) store: UsersStore,
}

impl Operations {
    /// Does it.
    ///
    /// # Errors
    /// Why not, for people.
    pub(crate) async fn answer(&self, request: Request) -> Result<Value, String> {
        match request {
            Request::List(list) => to_json(&self.list(list).await?),
            Request::Show { user } => to_json(&Account::from(&*self.find(&user).await?)),
        }
    }

    async fn list(&self, list: ListRequest) -> Result<Vec<Account>, String> {
        let filter = UserFilter {
            user_type: list.user_type.map(|text| text.parse().map_err(named("the type"))).transpose()?,
            search: list.query.map(|text| Search::parse(&text).map_err(named("the text to search for"))).transpose()?,
        };
        let users = self.store.list(&filter, list.after, list.limit.clamp(1, LIMIT_MAX)).await.map_err(explain)?;
        Ok(users.iter().map(|user| Account::from(&**user)).collect())
    }

    /// Finds a user by its id, by its name, or by its name after `name:`.
    async fn find(&self, user: &str) -> Result<Arc<User>, String> {
        if let Ok(id) = user.parse::<UserId>() {
            let found = self.store.get(id).await;
            return found.map_err(|error| format!("user {id}: {}", explain(error)));
        }
        let name = user.strip_prefix(NAME_PREFIX).unwrap_or(user);
        let found = match UserName::parse(name) {
            Ok(name) => self.store.find_by_name(name.folded().clone()).await.map_err(explain)?,
            // No user can have such a name.
            Err(_) => None,
        };
        found.ok_or_else(|| format!("there is no user with the name `{}`", name.escape_debug()))
    }
}

fn named(what: &'static str) -> impl Fn(String) -> String {
    move |mistake| format!("{what} {mistake}")
}

fn explain(error: StoreError) -> String {
    match error {
        StoreError::Refused(refusal) => refusal.to_string(),
        StoreError::Fault(fault) => fault.chain(),
    }
}

fn to_json(answer: &impl Serialize) -> Result<Value, String> {
    serde_json::to_value(answer).map_err(|error| format!("the answer cannot be written as JSON: {error}"))
}
