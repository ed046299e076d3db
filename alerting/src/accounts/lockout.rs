//! How long somebody who guesses must wait. Failures are counted for each account and for each address, and every
//! further one doubles the wait. An address from which an account has logged in before is counted by itself, so
//! nobody can keep a person out from elsewhere. Kept in memory only: a restart forgets failures, never addresses.

use std::collections::HashMap;
use std::net::IpAddr;

use citywatch_model::{Duration, Time};

/// Failures of an account, or of a known address of it, before waits begin.
const FREE: u32 = 5;
/// Failures of an address before waits begin: many people may share one.
const FREE_ADDRESS: u32 = 20;
/// The first wait in seconds.
const FIRST: i64 = 1;
/// Longest wait in seconds for a known address, and otherwise.
const LONGEST: (i64, i64) = (60, 900);
/// Failures are forgotten after this many seconds of quiet.
const MEMORY: i64 = 3_600;
/// At most so many are remembered; beyond it, the oldest go.
const MOST: usize = 20_000;

/// Come again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// In so many seconds, rounded up.
    pub seconds: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Account(String),
    Address(IpAddr),
    Known(String, IpAddr),
}

impl Key {
    fn rule(&self) -> (u32, i64) {
        match self {
            Key::Account(_) => (FREE, LONGEST.1),
            Key::Address(_) => (FREE_ADDRESS, LONGEST.1),
            Key::Known(..) => (FREE, LONGEST.0),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    /// Of the newest.
    at: Time,
}

/// The failures that are remembered.
#[derive(Debug, Default)]
pub struct Lockout {
    failures: HashMap<Key, Failures>,
}

impl Lockout {
    /// Lets an attempt through and counts it as failed until [`Lockout::succeeded`] says otherwise, so that many at
    /// once gain nothing. `known`: the account has logged in from that address before.
    ///
    /// # Errors
    /// If it comes too early; such an attempt counts for nothing and prolongs nothing.
    pub fn attempt(
        &mut self,
        (account, from, known): (&str, IpAddr, bool),
        now: Time,
    ) -> Result<(), Wait> {
        let keys = keys(account, from, known);
        let wait = keys.iter().filter_map(|key| self.wait(key, now)).max();
        if let Some(seconds) = wait {
            return Err(Wait { seconds });
        }
        self.make_room(now);
        for key in keys {
            let failures = self
                .failures
                .entry(key)
                .or_insert(Failures { count: 0, at: now });
            let quiet = now.millis() - failures.at.millis();
            failures.count = if quiet > MEMORY * 1_000 {
                1
            } else {
                failures.count + 1
            };
            failures.at = now;
        }
        Ok(())
    }

    /// The attempt was right: its failures are forgiven. Those of the address stay, less this one: a guesser must
    /// not wash himself clean by his own account.
    pub fn succeeded(&mut self, account: &str, from: IpAddr) {
        self.failures.remove(&Key::Account(account.to_owned()));
        self.failures.remove(&Key::Known(account.to_owned(), from));
        if let Some(failures) = self.failures.get_mut(&Key::Address(from)) {
            failures.count = failures.count.saturating_sub(1);
        }
    }

    fn wait(&self, key: &Key, now: Time) -> Option<i64> {
        let failures = self.failures.get(key)?;
        let (free, longest) = key.rule();
        let beyond = failures.count.checked_sub(free)?;
        let wait = FIRST.saturating_mul(1 << beyond.min(20)).min(longest);
        let quiet = (now.millis() - failures.at.millis()).max(0);
        let left = wait * 1_000 - quiet;
        (left > 0).then_some((left + 999) / 1_000)
    }

    fn make_room(&mut self, now: Time) {
        if self.failures.len() < MOST {
            return;
        }
        let oldest = now - Duration::from_secs(MEMORY);
        self.failures.retain(|_, failures| failures.at > oldest);
        if self.failures.len() >= MOST {
            let mut times: Vec<Time> = self.failures.values().map(|failures| failures.at).collect();
            times.sort_unstable();
            let middle = times[times.len() / 2];
            self.failures.retain(|_, failures| failures.at > middle);
        }
    }
}

fn keys(account: &str, from: IpAddr, known: bool) -> Vec<Key> {
    if known {
        return vec![Key::Known(account.to_owned(), from)];
    }
    vec![Key::Account(account.to_owned()), Key::Address(from)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9));

    fn at(seconds: i64) -> Time {
        Time::from_millis(1_790_000_000_000 + seconds * 1_000)
    }

    #[test]
    fn waits_grow_and_end() {
        let mut lockout = Lockout::default();
        let who = ("admin", ELSEWHERE, false);
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..20 {
            while let Err(wait) = lockout.attempt(who, at(now)) {
                waits.push(wait.seconds);
                now += wait.seconds;
            }
        }
        assert_eq!(waits[..6], [1, 2, 4, 8, 16, 32]);
        assert!(waits.iter().all(|wait| *wait <= LONGEST.1), "{waits:?}");
        lockout.succeeded("admin", ELSEWHERE);
        assert_eq!(lockout.attempt(who, at(now)), Ok(()));
    }

    #[test]
    fn nobody_is_kept_out_of_his_own_place_from_elsewhere() {
        let mut lockout = Lockout::default();
        for attempt in 0..1_000 {
            lockout
                .attempt(("admin", ELSEWHERE, false), at(attempt))
                .ok();
        }
        assert!(
            lockout
                .attempt(("admin", ELSEWHERE, false), at(1_000))
                .is_err()
        );
        assert_eq!(lockout.attempt(("admin", HOME, true), at(1_000)), Ok(()));
    }

    #[test]
    fn an_address_that_tries_many_names_waits_too() {
        let mut lockout = Lockout::default();
        let tried = |lockout: &mut Lockout, name: i32| {
            lockout.attempt((&format!("name-{name}"), ELSEWHERE, false), at(0))
        };
        assert!((0..20).all(|name| tried(&mut lockout, name).is_ok()));
        assert!(tried(&mut lockout, 21).is_err());
        assert_eq!(lockout.attempt(("name-21", HOME, false), at(0)), Ok(()));
    }
}
