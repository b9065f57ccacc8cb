//! Plays the gateway in tests of the services behind it: signs assertions about the caller.

use std::time::SystemTime;

use super::call::Call;
use crate::{
    config::Secret,
    identity::{ASSERTION, Assertion, AssertionSigner},
};

/// Signs assertions for one service with the key that the gateway and the service share.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    service: &'a str,
    key: &'a str,
}

/// Somebody who is signed in.
#[derive(Clone, Copy, Debug)]
pub struct User {
    pub id: i64,
    pub user_type: &'static str,
}

impl<'a> Signer<'a> {
    /// A signer for this service, which is the audience of what it signs.
    pub const fn new(service: &'a str, key: &'a str) -> Self {
        Self { service, key }
    }

    /// Signs an assertion, now.
    pub fn sign(&self, assertion: &Assertion) -> String {
        self.sign_at(assertion, SystemTime::now())
    }

    /// Signs an assertion as if it were another time.
    ///
    /// # Panics
    /// Where the key is too short.
    pub fn sign_at(&self, assertion: &Assertion, time: SystemTime) -> String {
        let signer =
            AssertionSigner::new(self.service, &Secret::new(self.key.to_owned())).expect("a key that is long enough");
        let signed = signer.sign(assertion, time).ok().and_then(|signed| signed.to_str().ok().map(str::to_owned));
        signed.expect("an assertion that can be signed")
    }

    /// A request as the gateway forwards it for this user, or for nobody.
    #[must_use]
    pub fn signed(&self, call: Call, user: Option<User>) -> Call {
        call.header(ASSERTION.as_str(), &self.sign(&user.map(User::assertion).unwrap_or_default()))
    }
}

impl User {
    /// The assertion of the gateway about this user.
    pub fn assertion(self) -> Assertion {
        Assertion { sub: Some(self.id.to_string()), user_type: Some(self.user_type.to_owned()), ..Assertion::default() }
    }
}
