//! Which users a list is about.

use std::fmt;

use super::{
    name::Folded,
    user::{User, UserType},
};

/// Maximum length of a search text: that of the longest name that it could find.
const SEARCH_CHARS_MAX: usize = 200;

/// A text that a user is searched by: part of the username, the e-mail address or the full name, in any case and
/// normalization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search(Folded);

impl Search {
    /// Parses a search text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.chars().count() > SEARCH_CHARS_MAX {
            return Err(format!("must have at most {SEARCH_CHARS_MAX} characters"));
        }
        let folded = Folded::new(text);
        if folded.as_str().is_empty() { Err("must not be empty".to_owned()) } else { Ok(Self(folded)) }
    }

    fn finds(&self, user: &User) -> bool {
        let is_in = |name: &Folded| name.as_str().contains(self.0.as_str());
        is_in(user.username.folded())
            || user.email.as_ref().is_some_and(|email| is_in(email.folded()))
            || user.full_name.as_ref().is_some_and(|name| is_in(&Folded::new(name.as_str())))
    }
}

/// The users that a list shows: all of them where nothing is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UserFilter {
    pub(crate) user_type: Option<UserType>,
    pub(crate) search: Option<Search>,
    /// Only users who are locked.
    pub(crate) only_locked: bool,
}

impl UserFilter {
    /// Whether the list shows this user.
    pub(crate) fn matches(&self, user: &User) -> bool {
        self.user_type.is_none_or(|user_type| user.user_type == user_type)
            && (!self.only_locked || user.locked.is_some())
            && self.search.as_ref().is_none_or(|search| search.finds(user))
    }
}

/// A text that is different for different filters.
impl fmt::Display for UserFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user_type = self.user_type.map_or("all", UserType::as_str);
        let locked = if self.only_locked { " locked" } else { "" };
        let search = self.search.as_ref().map_or("", |search| search.0.as_str());
        write!(f, "{user_type}{locked} {search}")
    }
}
