#![allow(clippy::unwrap_used)]
#[path = "support/ledger.rs"]
#[allow(dead_code)]
mod support;
use citywatch_model::Level::Orange;
use std::time::Instant;
use support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latency() {
    let place = Place::new();
    let ledger = place.open("departments: []\n").await;
    let mut took = Vec::new();
    for n in 1..2000u64 {
        let e = epoch(vec![raise(n, &format!("s-{n}"), Orange)]);
        let t = Instant::now();
        ledger.apply(e).await.unwrap();
        took.push(t.elapsed());
    }
    took.sort();
    println!(
        "apply p50 {:?} p99 {:?} max {:?}",
        took[1000], took[1980], took[1998]
    );
    let e = epoch(
        (3000..4000)
            .map(|n| raise(n, &format!("s-{n}"), Orange))
            .collect(),
    );
    let t = Instant::now();
    ledger.apply(e).await.unwrap();
    println!("1000 raises in one epoch {:?}", t.elapsed());
}
