//! `citywatch simulate`: publishes made-up readings at a steady rate and measures how fast they are
//! acknowledged; told of the service under test, also how fast alarms become alert rows and webhooks.

mod load;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::Simulate;
use load::Load;
use watch::{Alarms, Service};

/// Runs the load and prints what came of it.
pub async fn run(options: Simulate) -> ExitCode {
    match simulate(&options).await {
        Ok(lost) => ExitCode::from(u8::from(lost)),
        Err(message) => {
            eprintln!("citywatch simulate: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Whether a reading was lost.
async fn simulate(options: &Simulate) -> Result<bool, String> {
    if options.rate / f64::from(options.sensors) > 500.0 {
        let least = (options.rate / 500.0).ceil();
        return Err(format!(
            "a sensor cannot speak more than 500 times a second with times in milliseconds; use --sensors {least} or more"
        ));
    }
    let alarms = Arc::new(Alarms::default());
    if let Some(address) = options.webhook_listen {
        watch::receive_webhooks(address, alarms.clone()).await?;
    }
    let service = match &options.watch {
        Some(address) => {
            Some(Service::connect(address, options.token.as_deref(), alarms.clone()).await?)
        }
        None => None,
    };
    let before = count(service.as_ref()).await?;

    let started = Instant::now();
    let result = Load::new(options, alarms.clone())?.run().await?;
    let elapsed = started.elapsed();
    println!(
        "{} readings in {} messages over {:.1} s: {:.0} readings/s (asked for {:.0})",
        result.readings,
        result.messages,
        elapsed.as_secs_f64(),
        result.readings as f64 / elapsed.as_secs_f64(),
        options.rate
    );
    println!("later than their schedule: {}", result.late);
    println!("acknowledged: {}", result.acknowledged);
    if result.failed > 0 {
        println!("not acknowledged: {} messages", result.failed);
    }
    let mut lost = result.failed > 0;
    if let (Some(service), Some(before)) = (&service, before) {
        let arrived = settle(service, before, result.readings).await?;
        println!("in the history: {arrived} of {} readings", result.readings);
        lost |= arrived != result.readings;
    }
    if options.alarms > 0.0 && (service.is_some() || options.webhook_listen.is_some()) {
        alarms
            .wait(
                options.watch.is_some(),
                options.webhook_listen.is_some(),
                Duration::from_secs(10),
            )
            .await;
        lost |= alarms.print(options.watch.is_some(), options.webhook_listen.is_some());
    }
    Ok(lost)
}

async fn count(service: Option<&Service>) -> Result<Option<u64>, String> {
    match service {
        Some(service) => service.readings().await.map(Some),
        None => Ok(None),
    }
}

/// Readings that the history gained, once it has them all or stands still for two seconds.
async fn settle(service: &Service, before: u64, sent: u64) -> Result<u64, String> {
    let mut arrived = 0;
    let mut moved = Instant::now();
    loop {
        let now = service.readings().await? - before;
        if now >= sent || moved.elapsed() > Duration::from_secs(2) {
            return Ok(now);
        }
        if now > arrived {
            (arrived, moved) = (now, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
