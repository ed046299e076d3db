//! The numbers that this crate shows on `/metrics`. Counting never fails and never waits.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use crate::ledger::Alert;

/// From a tenth of a millisecond, what a commit takes, to the minutes of a retried delivery.
const SECONDS: [f64; 18] = [
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0,
    60.0, 300.0, 3600.0,
];

#[derive(Clone)]
pub(crate) struct Metrics {
    apply_seconds: Histogram,
    transitions: IntCounter,
    alerts_open: IntGaugeVec,
    deliveries: IntCounterVec,
    attempt_seconds: HistogramVec,
    accepted_seconds: HistogramVec,
    outbox_depth: IntGauge,
    failing: IntGaugeVec,
    dead: IntCounterVec,
}

/// A delivery that counts as failing as long as this lives.
pub(crate) struct Failing(IntGauge);

impl Drop for Failing {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub fn register(registry: &Registry) -> prometheus::Result<Metrics> {
        let seconds =
            |name: &str, help: &str| HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        let metrics = Metrics {
            apply_seconds: Histogram::with_opts(seconds(
                "citywatch_ledger_apply_seconds",
                "Time to write an epoch with transitions, the commit counted in",
            ))?,
            transitions: IntCounter::new(
                "citywatch_ledger_transitions_total",
                "Transitions that changed an alert",
            )?,
            alerts_open: IntGaugeVec::new(
                Opts::new("citywatch_alerts_open", "Alerts that are not closed"),
                &["hazard", "level"],
            )?,
            deliveries: IntCounterVec::new(
                Opts::new(
                    "citywatch_deliveries_total",
                    "Deliveries that reached a state",
                ),
                &["channel", "state"],
            )?,
            attempt_seconds: HistogramVec::new(
                seconds("citywatch_delivery_attempt_seconds", "Time of one attempt"),
                &["channel", "outcome"],
            )?,
            accepted_seconds: HistogramVec::new(
                seconds(
                    "citywatch_delivery_accepted_seconds",
                    "From the commit that queued a delivery to its acceptance",
                ),
                &["channel"],
            )?,
            outbox_depth: IntGauge::new(
                "citywatch_outbox_depth",
                "Deliveries that the outbox holds",
            )?,
            failing: IntGaugeVec::new(
                Opts::new(
                    "citywatch_deliveries_failing",
                    "Deliveries whose last attempt failed and that are tried again",
                ),
                &["channel"],
            )?,
            dead: IntCounterVec::new(
                Opts::new(
                    "citywatch_deliveries_dead_total",
                    "Deliveries that were given up",
                ),
                &["channel"],
            )?,
        };
        registry.register(Box::new(metrics.apply_seconds.clone()))?;
        registry.register(Box::new(metrics.transitions.clone()))?;
        registry.register(Box::new(metrics.alerts_open.clone()))?;
        registry.register(Box::new(metrics.deliveries.clone()))?;
        registry.register(Box::new(metrics.attempt_seconds.clone()))?;
        registry.register(Box::new(metrics.accepted_seconds.clone()))?;
        registry.register(Box::new(metrics.outbox_depth.clone()))?;
        registry.register(Box::new(metrics.failing.clone()))?;
        registry.register(Box::new(metrics.dead.clone()))?;
        Ok(metrics)
    }

    pub fn applied(&self, took: Duration, transitions: usize) {
        self.apply_seconds.observe(took.as_secs_f64());
        self.transitions.inc_by(transitions as u64);
    }

    /// An alert is no longer as it was `before`, but as it is `after`.
    pub fn alert_moved(&self, before: Option<&Alert>, after: Option<&Alert>) {
        let gauge = |alert: &Alert| {
            self.alerts_open
                .with_label_values(&[alert.hazard.as_str(), alert.level.word()])
        };
        let shown = |alert: &&Alert| alert.is_open() && !alert.shadow;
        for alert in before.into_iter().filter(shown) {
            gauge(alert).dec();
        }
        for alert in after.into_iter().filter(shown) {
            gauge(alert).inc();
        }
    }

    pub fn delivery_reached(&self, channel: &str, state: &str) {
        self.deliveries.with_label_values(&[channel, state]).inc();
        if state == "dead" {
            self.dead.with_label_values(&[channel]).inc();
        }
    }

    pub fn attempted(&self, channel: &str, outcome: &str, took: Duration) {
        self.attempt_seconds
            .with_label_values(&[channel, outcome])
            .observe(took.as_secs_f64());
    }

    pub fn accepted(&self, channel: &str, since_commit: Duration) {
        self.accepted_seconds
            .with_label_values(&[channel])
            .observe(since_commit.as_secs_f64());
    }

    /// A delivery fails from now on, until what is answered is dropped.
    pub fn failing(&self, channel: &str) -> Failing {
        let failing = self.failing.with_label_values(&[channel]);
        failing.inc();
        Failing(failing)
    }

    pub fn outbox_changed(&self, by: i64) {
        self.outbox_depth.add(by);
    }
}
