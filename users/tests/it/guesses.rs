//! Guessing passwords: how soon it is slowed down, and whom that does not hurt.

use std::{
    thread,
    time::{Duration, Instant},
};

use chassis::testing::Answer;

use crate::{fixture::Users, hashing::login_from};

/// Wrong passwords for one account from one address that are looked at without delay: 5, one for each core, and the one that
/// sets the first delay.
fn looked_at_at_once() -> usize {
    5 + thread::available_parallelism().map_or(4, usize::from) + 1
}

/// How many more may be looked at within this time: one after a second, another one after two more, and so on.
fn looked_at_later(elapsed: Duration) -> usize {
    (0..).take_while(|doublings| Duration::from_secs((2 << doublings) - 1) <= elapsed).count()
}

fn guess_fifty_times_at_once(users: &Users, name: &'static str) -> Vec<Answer> {
    let addr = users.addr();
    let guesses: Vec<_> = (0..50)
        .map(|number| thread::spawn(move || login_from("198.51.100.7", name, &format!("guess{number}")).send(addr)))
        .collect();
    guesses.into_iter().map(|guess| guess.join().unwrap()).collect()
}

fn retry_after(answer: &Answer) -> u64 {
    answer.header("retry-after").unwrap().parse().unwrap()
}

#[test]
fn guesses_at_the_same_moment_are_counted_before_they_are_looked_at_whether_the_name_exists_or_not() {
    let users = Users::demo();
    for name in ["admin", "nobody"] {
        let (refused_before, rounds) =
            (users.metric("users_delayed_logins_total"), users.metric("users_bcrypt_rounds_total"));
        let started = Instant::now();
        let answers = guess_fifty_times_at_once(&users, name);
        let (wrong, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 401);
        let at_most = looked_at_at_once() + looked_at_later(started.elapsed());
        assert!((looked_at_at_once()..=at_most).contains(&wrong.len()), "{name}: {} of at most {at_most}", wrong.len());
        let rounds = users.metric("users_bcrypt_rounds_total") - rounds;
        assert_eq!(rounds, f64::from(1 << 10) * wrong.len() as f64, "{name}: nothing else was computed");
        assert_eq!(users.metric("users_delayed_logins_total") - refused_before, refused.len() as f64);
        for answer in refused {
            assert_eq!((answer.status, answer.problem().as_str()), (429, "rate_limited"), "{name}");
            assert!(
                answer.json()["detail"].as_str().unwrap().starts_with("too many sign-ins have failed; try again in ")
            );
            assert!(retry_after(&answer) >= 1, "{name}");
        }
    }
}

#[test]
fn the_right_password_is_refused_too_and_accepted_from_elsewhere() {
    let users = Users::demo();
    // The delays double, so that one of them is longer than two calls take on however busy a machine.
    loop {
        let started = Instant::now();
        let guess = users.send(&login_from("198.51.100.7", "admin", "guess"));
        let least = Duration::from_secs(guess.header("retry-after").map_or(0, |_| retry_after(&guess) - 1));
        if least < Duration::from_secs(2) {
            continue;
        }
        let right = users.send(&login_from("198.51.100.7", "admin", "a"));
        if started.elapsed() < least {
            assert_eq!(right.status, 429, "else it would be found by trying");
            break;
        }
    }
    assert_eq!(users.send(&login_from("203.0.113.9", "admin", "a")).status, 200);
    assert_eq!(users.send(&login_from("198.51.100.7", "demo", "b")).status, 200, "another account");
}

#[test]
fn right_passwords_are_never_slowed_down_however_many_come_at_once() {
    let users = Users::demo();
    let addr = users.addr();
    let logins: Vec<_> =
        (0..40).map(|_| thread::spawn(move || login_from("198.51.100.7", "admin", "a").send(addr).status)).collect();
    for login in logins {
        assert_eq!(login.join().unwrap(), 200);
    }
    assert_eq!(users.metric("users_delayed_logins_total"), 0.0);
}
