//! Writes reports of deliveries to the ledger, all that have come in meanwhile in one transaction. A report is only
//! dropped when the service stops and the ledger still cannot be written; the delivery is then repeated.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use crate::ledger::{Ledger, Report};

/// Reports in one transaction at most.
const BATCH: usize = 256;
const AGAIN_AFTER: Duration = Duration::from_secs(1);

pub(super) async fn run(
    ledger: Ledger,
    mut inbox: UnboundedReceiver<Report>,
    stopping: CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while inbox.recv_many(&mut batch, BATCH).await > 0 {
        while let Err(error) = ledger.record(&batch).await {
            if stopping.is_cancelled() {
                tracing::error!(%error, reports = batch.len(), "reports of deliveries are lost; the deliveries will be repeated");
                break;
            }
            tracing::error!(%error, reports = batch.len(), "reports of deliveries cannot be written; trying again");
            tokio::select! {
                () = tokio::time::sleep(AGAIN_AFTER) => {}
                () = stopping.cancelled() => {}
            }
        }
        for report in batch.drain(..).filter(|report| report.outcome.is_final()) {
            ledger.shared.flight.leave(report.delivery);
            ledger.shared.metrics.outbox_changed(-1);
        }
    }
}
