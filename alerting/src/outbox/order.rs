//! An attempt as its channel needs it: what the delivery says, and for people's devices the links and what they were sent
//! before. It reads the ledger at most; nothing is written.

use std::sync::Arc;

use super::Inner;
use crate::channel::{Endpoint, SendOrder};
use crate::ledger::Job;
use crate::links::ReceiptOf;

impl Inner {
    /// The attempt as its channel needs it.
    pub(super) async fn order(&self, job: &Job, number: u32, endpoint: Endpoint) -> SendOrder {
        let (links, now) = (&self.ledger.shared.settings.links, self.ledger.now());
        let (mut answer_url, mut receipt_url, mut earlier) = (None, None, Vec::new());
        if let Endpoint::Sms { .. } | Endpoint::Mail { .. } = endpoint {
            answer_url = links
                .as_ref()
                .map(|links| links.answer_url(job.delivery, job.warning.expires));
        }
        if let Endpoint::Sms { .. } = endpoint {
            let of = ReceiptOf {
                delivery: job.delivery,
                attempt: number,
            };
            receipt_url = links.as_ref().map(|links| links.receipt_url(of, now));
        }
        if let Endpoint::Mail { .. } = endpoint {
            earlier = self.ledger.told_before(job).await.unwrap_or_else(|error| {
                tracing::warn!(%error, delivery = job.delivery, "a mail goes out without naming the earlier ones");
                Vec::new()
            });
        }
        SendOrder {
            message_id: job.message_id.clone(),
            attempt: number,
            endpoint,
            warning: Arc::clone(&job.warning),
            cap_xml: Arc::clone(&job.cap),
            recipient: job.recipient.clone(),
            answer_url,
            receipt_url,
            earlier,
        }
    }
}
