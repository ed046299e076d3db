//! Runs of consecutive evaluations at which something held: behind `for`, `in N samples` and `hold`.
//! A run is broken by false and by unknown, and starts anew after a gap in the readings.

use super::snapshot::codec::kept;
use super::truth::Truth;
use crate::ast::Proof;

/// A run that has not been broken so far. Times in milliseconds: event time, or the clock where `age` is named.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Run {
    start: i64,
    last: i64,
    samples: u32,
}

kept!(Run {
    start,
    last,
    samples
});

/// When something is evaluated, and how it got there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instant {
    pub time_ms: i64,
    /// Whether a new reading of what is evaluated has come; time alone proves nothing but `age`.
    pub touched: bool,
    /// Whether `time_ms` is the clock; then silence is no gap.
    pub clocked: bool,
    /// On the clock, a span is over at its last moment only when that moment fires by itself: until then a
    /// reading may still come.
    pub moment: bool,
    /// A gap longer than this starts the run anew.
    pub stale_ms: i64,
}

impl Run {
    /// Once more it held, at this evaluation.
    #[inline]
    pub(super) fn go_on(run: &mut Option<Run>, at: Instant) {
        match run {
            Some(_) if !at.touched && !at.clocked => {}
            Some(run) if at.clocked || at.time_ms.saturating_sub(run.last) <= at.stale_ms => {
                run.last = run.last.max(at.time_ms);
                run.samples = run.samples.saturating_add(at.touched.into());
            }
            Some(_) | None => {
                *run = Some(Run {
                    start: at.time_ms,
                    last: at.time_ms,
                    samples: 1,
                });
            }
        }
    }

    /// Whether the run has lasted `span_ms`.
    pub(super) fn lasted(&self, span_ms: i64, at: Instant) -> bool {
        let elapsed = self.last.saturating_sub(self.start);
        span_ms <= 0 || elapsed > span_ms || (elapsed == span_ms && (!at.clocked || at.moment))
    }

    /// When on the clock it will have lasted `span_ms`.
    pub(super) fn due_ms(&self, span_ms: i64) -> i64 {
        self.start.saturating_add(span_ms)
    }
}

/// What a comparison that is true becomes under `proof`: unknown until proven.
pub(super) fn prove(run: &mut Option<Run>, proof: Proof, at: Instant) -> Truth {
    Run::go_on(run, at);
    let lasting = proof
        .lasting
        .is_none_or(|span| run.is_some_and(|run| run.lasted(span.millis(), at)));
    let enough = proof
        .samples
        .is_none_or(|samples| run.is_some_and(|run| run.samples >= samples));
    if lasting && enough {
        Truth::True
    } else {
        Truth::Unknown
    }
}
