//! The users in memory, with the indexes that keep names and addresses unique. Knows no file and no message.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use chassis::identity::UserId;

use crate::domain::{Email, Folded, Refusal, User, UserFilter, UserName, UserType};

/// All users by id. Records are shared, so that a copy of the map costs a pointer for each.
pub(super) type Users = BTreeMap<UserId, Arc<User>>;

/// Maximum number of users that are looked at in one step: about 10 ms with a search text, after which others are served.
const SCANNED_MAX: usize = 10_000;

/// Users that were found in one step.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) users: Vec<Arc<User>>,
    /// Where to look next, if neither the limit nor the end was reached.
    pub(crate) go_on_after: Option<UserId>,
}

/// Users with their indexes.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    users: Users,
    usernames: HashMap<Folded, UserId>,
    emails: HashMap<Folded, UserId>,
    admins: usize,
    /// Number of admins who can sign in.
    active_admins: usize,
}

impl Table {
    /// A table of these users. Adds a mistake for every id, name and address that two of them share; such a table must not
    /// be used.
    pub(super) fn from_users(users: Vec<User>, mistakes: &mut Vec<String>) -> Self {
        let mut table = Self::default();
        for user in users {
            if let Some(same) = table.users.get(&user.id) {
                mistakes
                    .push(format!("two users have the id {}: `{}` and `{}`", user.id, same.username, user.username));
                continue;
            }
            if let Some(other) = table.find_by_name(user.username.folded()) {
                mistakes.push(format!(
                    "users {} and {} have usernames that count as the same: `{}` and `{}`",
                    other.id, user.id, other.username, user.username
                ));
            }
            if let Some(email) = &user.email
                && let Some(other) = table.emails.get(email.folded())
            {
                mistakes.push(format!(
                    "users {other} and {} have the same e-mail address `{}`",
                    user.id,
                    email.as_str()
                ));
            }
            table.put(Arc::new(user));
        }
        table
    }

    pub(super) fn get(&self, id: UserId) -> Result<&Arc<User>, Refusal> {
        self.users.get(&id).ok_or(Refusal::NotFound)
    }

    pub(super) fn find_by_name(&self, username: &Folded) -> Option<&Arc<User>> {
        self.usernames.get(username).and_then(|id| self.users.get(id))
    }

    /// Looks for up to `limit` users whose ids follow `after`, in the order of their ids, among the next [`SCANNED_MAX`].
    pub(super) fn list(&self, filter: &UserFilter, after: Option<UserId>, limit: usize) -> Scan {
        let mut scan = Scan::default();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (scanned, (id, user)) in (1..).zip(self.users.range((start, Bound::Unbounded))) {
            if filter.matches(user) {
                scan.users.push(Arc::clone(user));
            }
            if scan.users.len() == limit {
                break;
            }
            if scanned == SCANNED_MAX {
                scan.go_on_after = Some(*id);
                break;
            }
        }
        scan
    }

    /// The number of users of a type, or of all.
    pub(super) fn count(&self, user_type: Option<UserType>) -> usize {
        match user_type {
            None => self.users.len(),
            Some(UserType::Admin) => self.admins,
            Some(UserType::Default) => self.users.len() - self.admins,
        }
    }

    pub(super) const fn users(&self) -> &Users {
        &self.users
    }

    /// Number of admins who can sign in.
    pub(super) const fn active_admins(&self) -> usize {
        self.active_admins
    }

    /// The highest cost of all password hashes.
    pub(super) fn hash_cost_max(&self) -> Option<u32> {
        self.users.values().map(|user| user.hashed_password.cost()).max()
    }

    /// The highest id of all.
    pub(super) fn id_max(&self) -> Option<UserId> {
        self.users.keys().next_back().copied()
    }

    /// Whether the user `id`, or a new one where there is no id, may have this name and address: nobody else has them.
    pub(super) fn check_unique(
        &self,
        id: Option<UserId>,
        username: &UserName,
        email: Option<&Email>,
    ) -> Result<(), Refusal> {
        let is_free = |holder: Option<&UserId>| holder.is_none_or(|holder| Some(*holder) == id);
        if !is_free(self.usernames.get(username.folded())) {
            return Err(Refusal::UsernameTaken);
        }
        if !is_free(email.and_then(|email| self.emails.get(email.folded()))) {
            return Err(Refusal::EmailTaken);
        }
        Ok(())
    }

    /// Adds a user, or replaces the one of the same id.
    pub(super) fn put(&mut self, user: Arc<User>) {
        self.remove(user.id);
        self.usernames.insert(user.username.folded().clone(), user.id);
        if let Some(email) = &user.email {
            self.emails.insert(email.folded().clone(), user.id);
        }
        self.admins += usize::from(user.user_type == UserType::Admin);
        self.active_admins += usize::from(user.is_active_admin());
        self.users.insert(user.id, user);
    }

    /// Removes a user, if it is there.
    pub(super) fn remove(&mut self, id: UserId) {
        let Some(user) = self.users.remove(&id) else { return };
        self.usernames.remove(user.username.folded());
        if let Some(email) = &user.email {
            self.emails.remove(email.folded());
        }
        self.admins -= usize::from(user.user_type == UserType::Admin);
        self.active_admins -= usize::from(user.is_active_admin());
    }
}

#[cfg(test)]
mod tests {
    use chassis::timestamp::Timestamp;

    use super::*;
    use crate::domain::{Email, NewUser, UserName};

    fn user(id: i64, username: &str, email: Option<&str>) -> User {
        let new = NewUser {
            username: UserName::parse(username).unwrap(),
            email: email.map(|email| Email::parse(email).unwrap()),
            full_name: None,
            user_type: UserType::Default,
            hashed_password: "$2b$12$16kNu5IW80k1Tw7xz2H3iOCsz0.oMZ7q5OSGa/OIfOae0WGFe8aI2".parse().unwrap(),
            created_by: None,
        };
        new.into_user(UserId(id), Timestamp::from_unix_micros(0).unwrap())
    }

    fn table(users: Vec<User>) -> Table {
        let mut mistakes = Vec::new();
        let table = Table::from_users(users, &mut mistakes);
        assert_eq!(mistakes, [""; 0]);
        table
    }

    fn check(table: &Table, user: &User) -> Result<(), Refusal> {
        table.check_unique(Some(user.id), &user.username, user.email.as_ref())
    }

    #[test]
    fn names_and_addresses_are_unique_and_the_absence_of_one_is_not_an_address() {
        let table = table(vec![user(1, "ann", Some("ann@x")), user(2, "bob", None), user(3, "cid", None)]);
        for (candidate, expected) in [
            (user(4, "ANN", None), Err(Refusal::UsernameTaken)),
            (user(4, "dan", Some("Ann@X")), Err(Refusal::EmailTaken)),
            (user(4, "dan", None), Ok(())),
            (user(1, "Ann", Some("ANN@x")), Ok(())),
            (user(1, "bob", None), Err(Refusal::UsernameTaken)),
        ] {
            assert_eq!(check(&table, &candidate), expected, "{candidate:?}");
        }
    }

    #[test]
    fn a_name_is_free_again_after_its_user_is_renamed_or_removed() {
        let mut table = table(vec![user(1, "ann", Some("ann@x")), user(2, "bob", None)]);
        table.put(Arc::new(user(1, "eve", None)));
        assert_eq!(check(&table, &user(3, "ann", Some("ann@x"))), Ok(()));
        table.remove(UserId(2));
        assert_eq!(check(&table, &user(3, "bob", None)), Ok(()));
        assert!(table.find_by_name(UserName::parse("EVE").unwrap().folded()).is_some());
    }

    #[test]
    fn a_list_goes_on_after_an_id_even_if_that_user_is_gone() {
        let mut table = table((1..=5).map(|id| user(id, &format!("u{id}"), None)).collect());
        table.remove(UserId(2));
        let ids: Vec<i64> =
            table.list(&UserFilter::default(), Some(UserId(2)), 2).users.iter().map(|user| user.id.0).collect();
        assert_eq!(ids, [3, 4]);
    }

    #[test]
    fn every_collision_is_listed() {
        let users = vec![user(1, "ann", Some("a@x")), user(2, "Ann", Some("A@x")), user(1, "bob", None)];
        let mut mistakes = Vec::new();
        Table::from_users(users, &mut mistakes);
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
    }
}
