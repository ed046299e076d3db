//! The numbers that the archive shows about itself.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::ArchiveStatus;
use crate::metrics::{register, seconds};

pub(super) struct ArchiveMetrics {
    pub written: IntCounter,
    pub refused: IntCounter,
    pub failures: IntCounterVec,
    pub write_seconds: Histogram,
    lag_records: IntGauge,
    lag_seconds: IntGauge,
}

impl ArchiveMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<ArchiveMetrics> {
        let counter = |name: &str, help: &str| register(registry, IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help)?);
        let failures = Opts::new(
            "citywatch_archive_failures_total",
            "Attempts after which the archive had to wait, by kind: network, busy, server, denied, answer, refuses_all or internal.",
        );
        Ok(ArchiveMetrics {
            written: counter(
                "citywatch_archive_points_total",
                "Points written to the archive; a point written again counts again.",
            )?,
            refused: counter(
                "citywatch_archive_refused_total",
                "Points that the archive refused and that were set aside.",
            )?,
            failures: register(registry, IntCounterVec::new(failures, &["kind"])?)?,
            write_seconds: register(
                registry,
                Histogram::with_opts(seconds(
                    "citywatch_archive_write_seconds",
                    "One request to the archive that was answered.",
                ))?,
            )?,
            lag_records: gauge(
                "citywatch_archive_lag_records",
                "Journal records that are not archived yet.",
            )?,
            lag_seconds: gauge(
                "citywatch_archive_lag_seconds",
                "The service's time between what is archived and the journal's end.",
            )?,
        })
    }

    pub(super) fn observe(&self, status: &ArchiveStatus) {
        let shown = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.lag_records.set(shown(status.behind_records));
        self.lag_seconds.set(status.behind.millis() / 1_000);
    }
}
