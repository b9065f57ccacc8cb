//! Does what a command asks for, with the store. Knows neither who asks nor how.

use std::{sync::Arc, time::SystemTime};

use chassis::{identity::UserId, page::LIMIT_MAX, timestamp::Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::message::{Account, CreateRequest, ListRequest, Password, Request};
use crate::{
    audit::Initiator,
    domain::{
        Email, FullName, Lock, NewPassword, NewUser, PasswordHash, PasswordPolicy, Remark, Search, User, UserFilter,
        UserName,
    },
    passwords::Passwords,
    store::{StoreError, UsersStore},
};

/// What precedes a username that could be taken for an id.
const NAME_PREFIX: &str = "name:";

/// The operations on one store. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Operations {
    pub(crate) store: UsersStore,
    pub(crate) passwords: Passwords,
    pub(crate) policy: PasswordPolicy,
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
            Request::Create(create) => to_json(&Account::from(&*self.create(create).await?)),
            Request::SetPassword { user, password } => {
                to_json(&Account::from(&*self.set_password(&user, &password).await?))
            }
            Request::Lock { user, by, reason } => to_json(&Account::from(&*self.lock(&user, &by, reason).await?)),
            Request::Unlock { user } => to_json(&Account::from(&*self.set_lock(&user, None).await?)),
        }
    }

    async fn list(&self, list: ListRequest) -> Result<Vec<Account>, String> {
        let filter = UserFilter {
            user_type: list.user_type.map(|text| text.parse().map_err(named("the type"))).transpose()?,
            search: list.query.map(|text| Search::parse(&text).map_err(named("the text to search for"))).transpose()?,
            only_locked: list.only_locked,
        };
        let users = self.store.list(&filter, list.after, list.limit.clamp(1, LIMIT_MAX)).await.map_err(explain)?;
        Ok(users.iter().map(|user| Account::from(&**user)).collect())
    }

    async fn create(&self, create: CreateRequest) -> Result<Arc<User>, String> {
        let mut mistakes = Vec::new();
        let username = take(&mut mistakes, "the username", UserName::parse(&create.username));
        let email = create.email.and_then(|text| take(&mut mistakes, "the e-mail address", Email::parse(&text)));
        let full_name = create.full_name.and_then(|text| take(&mut mistakes, "the full name", FullName::parse(&text)));
        let user_type = take(&mut mistakes, "the type", create.user_type.parse());
        let password = self.policy.accept(&create.password.0, username.as_ref());
        let password = take(&mut mistakes, "the password", password);
        let valid = username.zip(user_type).zip(password).filter(|_| mistakes.is_empty());
        let Some(((username, user_type), password)) = valid else { return Err(mistakes.join("\n  ")) };
        // Before work is done for it. The store decides again.
        self.store.check_available(username.clone(), email.clone()).await.map_err(explain)?;
        let hashed_password = self.hash(password).await?;
        let new = NewUser { username, email, full_name, user_type, hashed_password, created_by: None };
        let user = self.store.by(Initiator::command()).create(new).await.map_err(explain)?;
        log::info!(user_id = user.id.0; "a user was created by a command");
        Ok(user)
    }

    async fn set_password(&self, user: &str, password: &Password) -> Result<Arc<User>, String> {
        let user = self.find(user).await?;
        let password = self.policy.accept(&password.0, Some(&user.username)).map_err(named("the password"))?;
        let hashed_password = self.hash(password).await?;
        self.store.by(Initiator::command()).reset_password(user.id, hashed_password).await.map_err(explain)?;
        log::info!(user_id = user.id.0; "a password was set by a command");
        self.store.get(user.id).await.map_err(explain)
    }

    async fn lock(&self, user: &str, by: &str, reason: Option<String>) -> Result<Arc<User>, String> {
        let lock = Lock {
            at: Timestamp::from(SystemTime::now()),
            by: Remark::parse(by).map_err(named("the name of who locks"))?,
            reason: reason.map(|text| Remark::parse(&text).map_err(named("the reason"))).transpose()?,
        };
        self.set_lock(user, Some(lock)).await
    }

    async fn set_lock(&self, user: &str, locked: Option<Lock>) -> Result<Arc<User>, String> {
        let (user, is_locked) = (self.find(user).await?, locked.is_some());
        let user = self.store.by(Initiator::command()).set_lock(user.id, locked).await.map_err(explain)?;
        log::info!(user_id = user.id.0, is_locked; "a user was locked or unlocked by a command");
        Ok(user)
    }

    async fn hash(&self, password: NewPassword) -> Result<PasswordHash, String> {
        self.passwords.hash(password, None).await.map_err(|error| error.to_string())
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

/// Returns the value, or adds its error as a mistake.
fn take<T>(mistakes: &mut Vec<String>, what: &'static str, parsed: Result<T, String>) -> Option<T> {
    parsed.map_err(named(what)).map_err(|mistake| mistakes.push(mistake)).ok()
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
