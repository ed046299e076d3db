//! How patient the outbox is. Pure.

use std::time::Duration;

/// Limits of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxConfig {
    /// The first retry comes within this time, and not before half of it.
    pub retry_base: Duration,
    /// No retry waits longer, unless the other side asks for it.
    pub retry_cap: Duration,
    /// However long the other side asks to wait, what follows waits no longer behind a message.
    pub polite: Duration,
    /// Once a host has taken something, what waits for it is tried again at the latest so long after its last attempt.
    pub soon: Duration,
    /// After so many attempts a delivery is dead; else when its warning expires.
    pub max_attempts: u32,
    /// An attempt that takes longer has failed.
    pub attempt_timeout: Duration,
    /// Attempts at a time per channel.
    pub per_channel: usize,
    /// Attempts at a time per host.
    pub per_host: usize,
}

impl Default for OutboxConfig {
    fn default() -> OutboxConfig {
        OutboxConfig {
            retry_base: Duration::from_secs(1),
            retry_cap: Duration::from_secs(600),
            polite: Duration::from_secs(30),
            soon: Duration::from_secs(5),
            max_attempts: u32::MAX,
            attempt_timeout: Duration::from_secs(30),
            per_channel: 256,
            per_host: 8,
        }
    }
}

impl OutboxConfig {
    /// The wait after attempt number `attempt`: exponential, half of it fixed so that no outage is sat out by chance
    /// in a moment, half jitter so that recipients that came back together are not asked together. `share` is a
    /// random number from 0 to 1.
    pub(super) fn wait(&self, attempt: u32, share: f64) -> Duration {
        let doubled = 1_u32
            .checked_shl(attempt.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.retry_base
            .saturating_mul(doubled)
            .min(self.retry_cap)
            .mul_f64(0.5 + share.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap() {
        let config = OutboxConfig::default();
        let longest = |attempt| config.wait(attempt, 1.0).as_secs();
        assert_eq!(
            [1, 2, 3, 10, 11, 12, 40, u32::MAX].map(longest),
            [1, 2, 4, 512, 600, 600, 600, 600]
        );
        assert_eq!(config.wait(5, 0.0), Duration::from_secs(8), "half is fixed");
    }

    #[test]
    fn a_warning_of_a_day_is_tried_to_its_end() {
        let config = OutboxConfig::default();
        let mut waited = Duration::ZERO;
        let attempts = (1..config.max_attempts)
            .take_while(|attempt| {
                waited += config.wait(*attempt, 1.0);
                waited < Duration::from_secs(86_400)
            })
            .count();
        assert!(attempts > 100, "{attempts} attempts, then {waited:?}");
    }
}
