//! What the demo prints: alerts as they are booked, the click, and the summary at the end.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use citywatch_alerting::Ledger;
use citywatch_alerting::ledger::Event;
use citywatch_model::{Level, Time};
use indicatif::ProgressBar;
use serde_json::Value;

use super::click;
use super::inbox::Inbox;
use super::replay::Replay;
use crate::http_client::Client;
use crate::latency::Latencies;

/// Prints and counts what happens.
pub struct Show {
    bar: ProgressBar,
    /// clicks once for each hazard, if anybody does
    clicker: Option<Client>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    alerts: BTreeMap<String, BTreeMap<Level, u64>>,
    /// clock of each breach, and when its alert row was committed
    booked: Vec<(Time, Duration)>,
    clicked: Vec<String>,
}

impl Show {
    pub fn new(clicker: Option<Client>) -> Show {
        let bar = if stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        Show {
            bar,
            clicker,
            seen: Mutex::default(),
        }
    }

    /// Follows the ledger's events.
    pub async fn follow(&self, ledger: &Ledger) -> Result<(), String> {
        let mut newest = ledger.subscribe();
        let mut after = 0;
        loop {
            newest.mark_unchanged();
            let events = ledger
                .events_after(after, 500)
                .await
                .map_err(|error| error.to_string())?;
            for event in &events {
                after = event.id;
                self.event(event, ledger).await?;
            }
            if events.is_empty() && newest.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    async fn event(&self, event: &Event, ledger: &Ledger) -> Result<(), String> {
        let rose = matches!(
            event.kind.as_str(),
            "alert.raised" | "alert.changed" | "alert.reopened"
        );
        if !rose && !matches!(event.kind.as_str(), "alert.recovered" | "alert.unwatched") {
            return Ok(());
        }
        let line = line(event);
        self.bar.suspend(|| println!("{line}"));
        if !rose {
            return Ok(());
        }
        let alert = &event.data;
        let text = |key: &str| alert[key].as_str().unwrap_or_default().to_owned();
        let level: Option<Level> = text("level").parse().ok();
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(level) = level.filter(|_| event.kind == "alert.raised") {
                *seen
                    .alerts
                    .entry(text("hazard"))
                    .or_default()
                    .entry(level)
                    .or_default() += 1;
            }
            let committed = ledger
                .committed_us(event.id)
                .and_then(|micros| u64::try_from(micros).ok());
            if let (Ok(time), Some(micros)) = (text("changed_at").parse(), committed) {
                seen.booked.push((time, Duration::from_micros(micros)));
            }
        }
        if level >= Some(Level::Orange) {
            self.click_first_of(&text("hazard"), alert).await?;
        }
        Ok(())
    }

    async fn click_first_of(&self, hazard: &str, alert: &Value) -> Result<(), String> {
        let Some(client) = &self.clicker else {
            return Ok(());
        };
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.clicked.iter().any(|clicked| clicked == hazard) {
                return Ok(());
            }
            seen.clicked.push(hazard.to_owned());
        }
        let told = click::warn(client, alert).await?;
        self.bar.suspend(|| println!("  一键预警 click: {told}"));
        Ok(())
    }

    /// How far the replay is.
    pub fn progress(&self, time: Time, start: Time, readings: u64) {
        self.bar.set_message(format!(
            "{time}  {:.1} d  {readings} readings",
            time.since(start).seconds() / 86_400.0
        ));
        self.bar.tick();
    }

    /// The summary of `--once`.
    pub async fn summary(
        &self,
        ledger: &Ledger,
        replay: &Replay,
        inbox: &Inbox,
    ) -> Result<(), String> {
        self.bar.finish_and_clear();
        let summary = ledger.summary().await.map_err(|error| error.to_string())?;
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        println!("\n读数 readings: {}", replay.readings());
        println!("报警 alerts raised:");
        for (hazard, levels) in &seen.alerts {
            let levels: Vec<String> = levels
                .iter()
                .rev()
                .map(|(level, count)| format!("{} {level} {count}", level.zh()))
                .collect();
            println!("  {hazard:<12} {}", levels.join(", "));
        }
        println!("一键预警 warnings clicked: {}", seen.clicked.join(", "));
        println!("发送 deliveries:");
        for count in summary.deliveries {
            println!(
                "  {:<12} {} {}",
                count.channel,
                count.state.word(),
                count.total
            );
        }
        println!("收到 received:");
        for (whom, count) in inbox.counts() {
            println!("  {whom}: {count}");
        }
        let mut latencies = Latencies::default();
        for (time, committed) in &seen.booked {
            if let Some(published) = replay.published_at(*time) {
                latencies.add(committed.saturating_sub(published));
            }
        }
        println!("从发布到报警入库 publish to alert row: {latencies}");
        Ok(())
    }
}

/// One line about one alert.
fn line(event: &Event) -> String {
    let alert = &event.data;
    let text = |key: &str| alert[key].as_str().unwrap_or_default();
    let time = text("changed_at");
    let what = match event.kind.as_str() {
        "alert.raised" => "报警",
        "alert.reopened" => "再报",
        "alert.recovered" => "恢复正常",
        "alert.unwatched" => "无人监视",
        _ => "变级",
    };
    let level = text("level").parse::<Level>().map_or("", Level::zh);
    let value = alert["value"]
        .as_f64()
        .map(|value| format!(" {value}"))
        .unwrap_or_default();
    let title = alert["title"]["zh"].as_str().unwrap_or_default();
    format!(
        "{time:<20} {what} {level} {title} [{}] {} {}{value} {}",
        text("rule"),
        text("subject"),
        text("subject_name"),
        text("unit")
    )
}
