//! Counts failed sign-ins, and refuses the next one where there were too many. Guesses do not survive a restart.
//!
//! They are counted by account, by the client's address, and by both together. Both together is the strong one. That of an
//! account alone has a short maximum, and does not apply where the account was signed in from before, so that nobody can
//! keep its owner out by guessing. A name that nobody has is counted like any other.
//!
//! The tricky part is that guesses arrive at once: an attempt counts as a failure from before its hash is computed until
//! it turns out to be right. That happens when its turn comes, not when it arrives, because many clients may well sign in
//! to one account at the same moment; no more of them are undecided than there are cores.
//!
//! Each table is bounded. To push an entry out of one, somebody has to try as many other names or addresses as it has room
//! for, and every one of these attempts costs a hash: hours of all cores.

use std::{
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::metrics::counter::Counter;
use quick_cache::unsync::Cache;

use super::{
    place::Place,
    slowdown::{Failures, Slowdown},
};
use crate::domain::Folded;

/// Maximum number of entries in each table, of about 200 bytes.
const ENTRIES_MAX: usize = 65_536;

/// Failures with an account from one address that have no consequence, beside one for each core.
const PAIR_FREE: u32 = 5;
/// Failures with an account from anywhere.
const ACCOUNT_FREE: u32 = 20;
/// Failures from an address: behind one there may be a whole company.
const PLACE_FREE: u32 = 100;

/// Who signs in: to which account, if the name can be one, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SignIn {
    account: Option<Folded>,
    place: Place,
}

impl SignIn {
    pub(crate) fn new(account: Option<Folded>, client: Option<IpAddr>) -> Self {
        Self { account, place: client.into() }
    }

    pub(super) const fn place(&self) -> Place {
        self.place
    }
}

/// Too many attempts have failed; the next one may be made after this time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany(pub(super) Duration);

/// The failures so far. Clones share them.
#[derive(Clone)]
pub(super) struct Guesses {
    tables: Arc<Mutex<Tables>>,
    refused: Counter,
}

struct Tables {
    accounts: Table<Folded>,
    places: Table<Place>,
    pairs: Table<SignIn>,
    /// Where somebody has signed in to an account.
    known: Cache<SignIn, ()>,
}

impl Guesses {
    /// No failures, where this many hashes are computed at once.
    pub(super) fn new(cores: usize, refused: Counter) -> Self {
        let cores = u32::try_from(cores).unwrap_or(u32::MAX);
        let table = |free: u32, delay_max, forgets_one_in| Slowdown {
            free: free.saturating_add(cores),
            delay_max: Duration::from_secs(delay_max),
            forgets_one_in: Duration::from_secs(forgets_one_in),
        };
        let tables = Tables {
            accounts: Table::new(table(ACCOUNT_FREE, 30, 60)),
            places: Table::new(table(PLACE_FREE, 60, 10)),
            pairs: Table::new(table(PAIR_FREE, 15 * 60, 3 * 60)),
            known: Cache::new(ENTRIES_MAX),
        };
        Self { tables: Arc::new(Mutex::new(tables)), refused }
    }

    /// Refuses a sign-in that has to wait, without counting it.
    ///
    /// # Errors
    /// How long it has to wait.
    pub(super) fn check(&self, sign_in: &SignIn) -> Result<(), TooMany> {
        self.refusing(self.lock().wait(sign_in, Instant::now()))
    }

    /// Counts a sign-in as failed, until it is said to be right.
    ///
    /// # Errors
    /// How long it has to wait; it is not counted.
    pub(super) fn begin(&self, sign_in: SignIn) -> Result<Attempt, TooMany> {
        let now = Instant::now();
        let mut tables = self.lock();
        self.refusing(tables.wait(&sign_in, now))?;
        tables.count(&sign_in, now);
        drop(tables);
        Ok(Attempt { guesses: self.clone(), sign_in })
    }

    fn refusing(&self, wait: Duration) -> Result<(), TooMany> {
        if wait.is_zero() {
            return Ok(());
        }
        self.refused.inc();
        Err(TooMany(wait))
    }

    /// Nothing panics while the lock is held.
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn wait(&self, sign_in: &SignIn, now: Instant) -> Duration {
        let mut wait = self.places.wait(&sign_in.place, now);
        if let Some(account) = &sign_in.account {
            wait = wait.max(self.pairs.wait(sign_in, now));
            if self.known.get(sign_in).is_none() {
                wait = wait.max(self.accounts.wait(account, now));
            }
        }
        wait
    }

    fn count(&mut self, sign_in: &SignIn, now: Instant) {
        self.places.count(sign_in.place, now);
        if let Some(account) = &sign_in.account {
            self.pairs.count(sign_in.clone(), now);
            self.accounts.count(account.clone(), now);
        }
    }

    fn take_back(&mut self, sign_in: SignIn, now: Instant) {
        self.places.take_back(sign_in.place, now);
        if let Some(account) = &sign_in.account {
            self.accounts.take_back(account.clone(), now);
            self.pairs.forget(&sign_in);
            self.known.insert(sign_in, ());
        }
    }
}

/// A sign-in that is being decided. It counts as failed unless [`Attempt::was_right`] is called.
pub(super) struct Attempt {
    guesses: Guesses,
    sign_in: SignIn,
}

impl Attempt {
    /// The password was right: forgets the failures with this account from this address, and only there.
    pub(super) fn was_right(self) {
        self.guesses.lock().take_back(self.sign_in, Instant::now());
    }
}

/// The failures by one kind of key.
struct Table<K> {
    failures: Cache<K, Failures>,
    slowdown: Slowdown,
}

impl<K: Eq + Hash> Table<K> {
    fn new(slowdown: Slowdown) -> Self {
        Self { failures: Cache::new(ENTRIES_MAX), slowdown }
    }

    fn wait(&self, key: &K, now: Instant) -> Duration {
        self.failures.get(key).map_or(Duration::ZERO, |failures| failures.wait(now))
    }

    fn count(&mut self, key: K, now: Instant) {
        let before = self.failures.get(&key).copied().unwrap_or_else(|| Failures::none(now));
        self.failures.insert(key, before.another(now, &self.slowdown));
    }

    fn take_back(&mut self, key: K, now: Instant) {
        if let Some(failures) = self.failures.get(&key).copied() {
            self.failures.insert(key, failures.without_one(now, &self.slowdown));
        }
    }

    fn forget(&mut self, key: &K) {
        drop(self.failures.remove(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserName;

    const CORES: usize = 2;

    fn guesses() -> Guesses {
        Guesses::new(CORES, Counter::default())
    }

    fn sign_in_to(name: &str, address: u8) -> SignIn {
        let account = UserName::parse(name).unwrap().folded().clone();
        SignIn::new(Some(account), Some(IpAddr::from([198, 51, 100, address])))
    }

    /// How many of these attempts are made, if all are wrong.
    fn wrong(guesses: &Guesses, sign_ins: impl IntoIterator<Item = SignIn>) -> u32 {
        sign_ins.into_iter().map(|sign_in| u32::from(guesses.begin(sign_in).is_ok())).sum()
    }

    #[test]
    fn guesses_at_one_account_from_one_address_are_stopped_first() {
        let guesses = guesses();
        let made = wrong(&guesses, (0..50).map(|_| sign_in_to("ann", 1)));
        assert_eq!(made, PAIR_FREE + 2 + 1, "the last one of them sets the delay");
        assert!(guesses.check(&sign_in_to("ann", 1)).is_err());
        assert_eq!(guesses.check(&sign_in_to("ann", 2)), Ok(()), "the owner elsewhere is not affected");
        assert_eq!(guesses.check(&sign_in_to("bob", 1)), Ok(()));
    }

    #[test]
    fn guesses_at_one_account_from_everywhere_delay_it_for_a_short_time_and_not_where_it_was_signed_in_from() {
        let guesses = guesses();
        guesses.begin(sign_in_to("ann", 255)).unwrap().was_right();
        assert_eq!(wrong(&guesses, (0..100).map(|address| sign_in_to("ann", address))), ACCOUNT_FREE + 2 + 1);
        let TooMany(wait) = guesses.check(&sign_in_to("ann", 200)).unwrap_err();
        assert!(wait <= Duration::from_secs(30), "{wait:?}");
        assert_eq!(guesses.check(&sign_in_to("ann", 255)), Ok(()));
    }

    #[test]
    fn guesses_from_one_address_at_many_accounts_are_stopped_too() {
        let guesses = guesses();
        let made = wrong(&guesses, (0..500).map(|number| sign_in_to(&format!("user{number}"), 1)));
        assert_eq!(made, PLACE_FREE + 2 + 1);
        guesses.begin(sign_in_to("mine", 2)).unwrap().was_right();
        assert!(guesses.check(&sign_in_to("mine", 1)).is_err());
    }

    #[test]
    fn a_right_password_takes_back_only_its_own_attempt() {
        let guesses = guesses();
        for _ in 0..1000 {
            guesses.begin(sign_in_to("ann", 1)).unwrap().was_right();
        }
        // Somebody who signs in to an account of his own between two guesses gets no more of them.
        let made: u32 = (0..500)
            .map(|number| {
                let _ = guesses.begin(sign_in_to("mine", 1)).map(Attempt::was_right);
                wrong(&guesses, [sign_in_to(&format!("user{number}"), 1)])
            })
            .sum();
        assert_eq!(made, PLACE_FREE + 2 + 1);
    }

    #[test]
    fn what_is_no_name_counts_for_the_address() {
        let guesses = guesses();
        let nobody = || SignIn::new(None, None);
        assert_eq!(wrong(&guesses, (0..500).map(|_| nobody())), PLACE_FREE + 2 + 1);
        guesses.begin(SignIn::new(None, Some(IpAddr::from([198, 51, 100, 1])))).unwrap().was_right();
    }
}
