//! The numbers that this crate shows about itself. Names start with `citywatch_`, times are in seconds.

use citywatch_model::{Body, Record};
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, exponential_buckets,
};

pub(crate) fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// 20 µs to 10 s: the short end is a sync on a good disk, the long end is a person's patience.
pub(crate) fn seconds(name: &str, help: &str) -> HistogramOpts {
    let buckets = [
        20e-6, 50e-6, 100e-6, 150e-6, 200e-6, 300e-6, 500e-6, 750e-6, 1e-3, 1.5e-3, 2e-3, 3e-3,
        5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ];
    HistogramOpts::new(name, help).buckets(buckets.to_vec())
}

/// What the journal measures.
pub(crate) struct JournalMetrics {
    pub append_seconds: Histogram,
    pub sync_seconds: Histogram,
    pub block_records: Histogram,
    records: IntCounterVec,
    pub written_bytes: IntCounter,
    pub refused: IntCounter,
    pub write_errors: IntCounter,
    pub disk_bytes: IntGauge,
    pub free_bytes: IntGauge,
}

impl JournalMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<JournalMetrics> {
        let sizes = exponential_buckets(1.0, 2.0, 14)?;
        let histogram = |options| register(registry, Histogram::with_opts(options)?);
        let counter = |name: &str, help: &str| register(registry, IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help)?);
        Ok(JournalMetrics {
            append_seconds: histogram(seconds(
                "citywatch_journal_append_seconds",
                "From the call of append to the synced records.",
            ))?,
            sync_seconds: histogram(seconds(
                "citywatch_journal_sync_seconds",
                "Writing and syncing one group of blocks.",
            ))?,
            block_records: histogram(
                HistogramOpts::new("citywatch_journal_block_records", "Records in one block.")
                    .buckets(sizes),
            )?,
            records: register(
                registry,
                IntCounterVec::new(
                    Opts::new(
                        "citywatch_journal_records_total",
                        "Records written, by what they say.",
                    ),
                    &["kind"],
                )?,
            )?,
            written_bytes: counter(
                "citywatch_journal_written_bytes_total",
                "Bytes of blocks written.",
            )?,
            refused: counter(
                "citywatch_journal_refused_total",
                "Appends that were refused.",
            )?,
            write_errors: counter(
                "citywatch_journal_write_errors_total",
                "Write errors after which the journal was reopened.",
            )?,
            disk_bytes: gauge(
                "citywatch_journal_disk_bytes",
                "Bytes that the journal takes on disk.",
            )?,
            free_bytes: gauge(
                "citywatch_journal_free_bytes",
                "Bytes free where the journal lives.",
            )?,
        })
    }

    pub(crate) fn count_kinds(&self, records: &[Record]) {
        let readings = records
            .iter()
            .filter(|record| matches!(record.body, Body::Observation(_)))
            .count();
        if readings > 0 {
            self.records
                .with_label_values(&["observation"])
                .inc_by(readings as u64);
        }
        for record in records {
            let kind = match record.body {
                Body::Observation(_) => continue,
                Body::Tick => "tick",
                Body::Start => "start",
                Body::Link { .. } => "link",
                Body::Registry(_) => "registry",
                Body::Rules(_) => "rules",
            };
            self.records.with_label_values(&[kind]).inc();
        }
    }
}

/// What the intake measures.
pub(crate) struct IntakeMetrics {
    pub messages: IntCounterVec,
    pub readings: IntCounterVec,
    pub rejected: IntCounterVec,
    pub refused: IntCounterVec,
    pub decode_seconds: Histogram,
    pub synced_seconds: HistogramVec,
    pub unknown_sensors: IntGauge,
}

impl IntakeMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<IntakeMetrics> {
        let counter = |name: &str, help: &str, label: &str| {
            register(
                registry,
                IntCounterVec::new(Opts::new(name, help), &[label])?,
            )
        };
        Ok(IntakeMetrics {
            messages: counter(
                "citywatch_intake_messages_total",
                "Messages that arrived, by door.",
                "door",
            )?,
            readings: counter(
                "citywatch_intake_readings_total",
                "Readings accepted, by door.",
                "door",
            )?,
            rejected: counter(
                "citywatch_intake_rejected_total",
                "Payloads, elements and values rejected, by reason.",
                "reason",
            )?,
            refused: counter(
                "citywatch_intake_refused_total",
                "Messages not acknowledged because the journal could not take them, by door.",
                "door",
            )?,
            decode_seconds: register(
                registry,
                Histogram::with_opts(seconds(
                    "citywatch_intake_decode_seconds",
                    "Decoding and normalising one message.",
                ))?,
            )?,
            synced_seconds: register(
                registry,
                HistogramVec::new(
                    seconds(
                        "citywatch_intake_synced_seconds",
                        "From arrival of a message to its synced readings.",
                    ),
                    &["door"],
                )?,
            )?,
            unknown_sensors: register(
                registry,
                IntGauge::new(
                    "citywatch_intake_unknown_sensors",
                    "Distinct sensors since the start that no registry names.",
                )?,
            )?,
        })
    }
}

/// What broker links measure, by the link's name.
pub(crate) struct LinkMetrics {
    pub up: IntGaugeVec,
    pub connections: IntCounterVec,
    pub sessions_lost: IntCounterVec,
    pub received: IntCounterVec,
    pub acknowledged: IntCounterVec,
    pub rejected: IntCounterVec,
    pub unacknowledged: IntGaugeVec,
    pub refused_topics: IntGaugeVec,
}

impl LinkMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<LinkMetrics> {
        let counter = |name: &str, help: &str| {
            let counters = IntCounterVec::new(Opts::new(name, help), &["link"])?;
            register(registry, counters)
        };
        let gauge = |name: &str, help: &str| {
            let gauges = IntGaugeVec::new(Opts::new(name, help), &["link"])?;
            register(registry, gauges)
        };
        Ok(LinkMetrics {
            up: gauge("citywatch_link_up", "Whether the link is connected.")?,
            connections: counter(
                "citywatch_link_connections_total",
                "Connections to the broker.",
            )?,
            sessions_lost: counter(
                "citywatch_link_sessions_lost_total",
                "Reconnections at which the broker had forgotten what it kept for us.",
            )?,
            received: counter(
                "citywatch_link_received_total",
                "Messages from the broker, repeated ones counted again.",
            )?,
            acknowledged: counter(
                "citywatch_link_acknowledged_total",
                "Messages acknowledged to the broker.",
            )?,
            rejected: counter(
                "citywatch_link_rejected_total",
                "Messages of which at least a part was rejected.",
            )?,
            unacknowledged: gauge(
                "citywatch_link_unacknowledged",
                "Messages that wait for the journal.",
            )?,
            refused_topics: gauge(
                "citywatch_link_refused_topics",
                "Filters that the broker does not let us subscribe to.",
            )?,
        })
    }
}

/// What the embedded broker counts.
pub(crate) struct BrokerMetrics {
    refused: IntCounterVec,
}

impl BrokerMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<BrokerMetrics> {
        let options = Opts::new(
            "citywatch_broker_refused_total",
            "What clients of the embedded broker were not allowed, by act: login, subscribe or publish.",
        );
        let refused = register(registry, IntCounterVec::new(options, &["act"])?)?;
        Ok(BrokerMetrics { refused })
    }

    pub(crate) fn refuse(&self, act: &str) {
        self.refused.with_label_values(&[act]).inc();
    }
}

/// What the history measures.
pub(crate) struct HistoryMetrics {
    pub applied: IntCounter,
    pub duplicates: IntCounter,
    pub conflicts: IntCounter,
    pub cursor: IntGauge,
    pub lag: IntGauge,
    pub apply_seconds: Histogram,
}

impl HistoryMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<HistoryMetrics> {
        let counter = |name: &str, help: &str| register(registry, IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help)?);
        Ok(HistoryMetrics {
            applied: counter(
                "citywatch_history_readings_total",
                "Readings added to the history.",
            )?,
            duplicates: counter(
                "citywatch_history_duplicates_total",
                "Readings that were there already with the same value.",
            )?,
            conflicts: counter(
                "citywatch_history_conflicts_total",
                "Readings that were there already with another value; the first one stayed.",
            )?,
            cursor: gauge(
                "citywatch_history_position",
                "Journal position that the history has reached.",
            )?,
            lag: gauge(
                "citywatch_history_lag_records",
                "Journal records that the history has not seen.",
            )?,
            apply_seconds: register(
                registry,
                Histogram::with_opts(seconds(
                    "citywatch_history_apply_seconds",
                    "Adding one batch to the history.",
                ))?,
            )?,
        })
    }
}
