//! Counts signed links that are not taken, and slows down whoever tries many. A link that is genuine always passes,
//! so nobody who was warned is kept out by somebody who guesses.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use citywatch_alerting::links::LinkError;
use prometheus::{IntCounterVec, Opts, Registry};

/// Wrong links in one window; more get no page. Guessing 128 bits is hopeless anyway: this only spares log and work.
const WRONG_PER_WINDOW: u32 = 60;
const WINDOW: Duration = Duration::from_secs(60);

/// What was asked for by a link.
#[derive(Debug, Clone, Copy)]
pub enum LinkUse {
    /// The page on which a recipient answers.
    Answer,
    /// A gateway's report.
    Receipt,
}

/// A handle; clones share the counts.
#[derive(Clone)]
pub struct LinkGuard {
    refused: IntCounterVec,
    window: Arc<Mutex<(Option<Instant>, u32)>>,
}

impl LinkGuard {
    /// Registers the count of refused links.
    pub fn register(registry: &Registry) -> prometheus::Result<LinkGuard> {
        let refused = IntCounterVec::new(
            Opts::new(
                "citywatch_links_refused_total",
                "Signed links of recipients and gateways that were not taken",
            ),
            &["use", "reason"],
        )?;
        registry.register(Box::new(refused.clone()))?;
        Ok(LinkGuard {
            refused,
            window: Arc::default(),
        })
    }

    /// Counts and logs a link that is not taken; the link itself is told to nobody. `false` if there were so many of
    /// late that no page should be made of it.
    pub fn refuse(&self, of: LinkUse, error: Option<LinkError>, from: &str, now: Instant) -> bool {
        let (of, reason) = (of.word(), reason(error));
        self.refused.with_label_values(&[of, reason]).inc();
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let began = window.0.get_or_insert(now);
        if now.duration_since(*began) >= WINDOW {
            *window = (Some(now), 0);
        }
        window.1 += 1;
        let within = window.1 <= WRONG_PER_WINDOW;
        if within {
            tracing::warn!(link = of, reason, from, "a signed link was refused");
        }
        within
    }
}

impl LinkUse {
    const fn word(self) -> &'static str {
        match self {
            LinkUse::Answer => "answer",
            LinkUse::Receipt => "receipt",
        }
    }
}

const fn reason(error: Option<LinkError>) -> &'static str {
    match error {
        Some(LinkError::Forged) => "forged",
        Some(LinkError::Expired) => "expired",
        None => "no_such_delivery",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn many_wrong_links_get_no_page_until_the_next_minute() {
        let guard = LinkGuard::register(&Registry::new()).unwrap();
        let start = Instant::now();
        let wrong = |after: u64| {
            let at = start + Duration::from_secs(after);
            guard.refuse(LinkUse::Answer, Some(LinkError::Forged), "peer", at)
        };
        assert!((0..60).all(|_| wrong(0)));
        assert!(!wrong(59));
        assert!(wrong(60));
        let counted = guard.refused.with_label_values(&["answer", "forged"]);
        assert_eq!(counted.get(), 62);
    }
}
