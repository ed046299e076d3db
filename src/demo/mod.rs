//! `citywatch demo`: a whole service of its own on recorded disasters. Everything is the real thing: the
//! readings go through the embedded broker, the warnings to endpoints that listen. Only the clock is driven
//! by the replay, so that days pass in minutes and a slow machine changes no result.

mod click;
mod inbox;
mod plan;
mod replay;
mod show;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use citywatch_alerting::ledger::DeliveryState;
use citywatch_ingest::Clock;
use citywatch_ingest::client::{ClientOptions, MqttClient};
use citywatch_model::{Duration as Span, Time};
use tokio::signal::unix::{SignalKind, signal};

use crate::bundle;
use crate::cli::Demo;
use crate::config::{self, Config, OWN_NAME};
use crate::http_client::Client;
use crate::service::{Lost, Service, Start};
use inbox::Inbox;
use plan::ReplayPlan;
use replay::Replay;
use show::Show;

/// The departments' address in `plans.yaml`; the inbox takes any free port in its place.
const INBOX: &str = "http://127.0.0.1:18900";
/// How long the last deliveries may take after the replay.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

pub async fn run(options: Demo) -> ExitCode {
    match demo(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("citywatch demo: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(options: &Demo) -> Result<(), String> {
    let inbox = Inbox::default();
    let inbox_address = inbox.open().await.map_err(|error| error.to_string())?;
    let folder = tempfile::Builder::new()
        .prefix("citywatch-demo-")
        .tempdir()
        .map_err(|error| error.to_string())?;
    let config = configuration(options, folder.path(), inbox_address)?;
    let plan = read_plan(&options.folder.join("replay.yaml"))?;
    let start = first_midnight(plan.length());
    let observations = plan.observations(&options.folder, start)?;

    let clock = Clock::driven(start);
    let begin = Start {
        files: bundle::of_paths(&config.bundle),
        clock: clock.clone(),
        apply_bundle: false,
        lost: Lost::default(),
        announce: |name, password| println!("account  {name}, password {password}"),
    };
    let service = Service::start(&config, begin)
        .await
        .map_err(|error| error.to_string())?;
    let broker = service.broker.ok_or("the demo needs its embedded broker")?;
    let client = connect(broker, &service.own_token, "citywatch-demo").await?;
    inbox.follow(&client).await?;
    let api = Client::new(
        &format!("http://{}", service.http),
        Some(&service.own_token),
    )?;
    greet(options, &service, &plan, observations.len());

    let show = Arc::new(Show::new(options.once.then_some(api)));
    let ledger = service.ledger.clone();
    let follower = show.clone();
    let shown = tokio::spawn(async move {
        if let Err(error) = follower.follow(&ledger).await {
            eprintln!("citywatch demo: {error}");
        }
    });
    let replay = Replay::new(observations, clock, options.speed, client);
    let stopped = tokio::select! {
        result = replay.run(&show) => { result?; false }
        () = interrupted() => true,
    };
    if options.once && !stopped {
        settle(&service).await?;
        show.summary(&service.ledger, &replay, &inbox).await?;
    } else if !stopped {
        println!(
            "\n重放结束。服务继续运行，按 Ctrl-C 结束。The replay is over; the service goes on until Ctrl-C."
        );
        interrupted().await;
    }
    shown.abort();
    replay.close().await;
    service.stop().await;
    Ok(())
}

/// The demo's configuration: its bundle, with the departments' addresses put in.
fn configuration(
    options: &Demo,
    data: &Path,
    inbox: std::net::SocketAddr,
) -> Result<Config, String> {
    let file = options.folder.join("citywatch.toml");
    let mut config = config::read(&file).map_err(|problems| {
        problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    })?;
    let plans = options.folder.join("plans.yaml");
    let text =
        std::fs::read_to_string(&plans).map_err(|error| format!("{}: {error}", plans.display()))?;
    let placed = data.join("plans.yaml");
    std::fs::write(&placed, text.replace(INBOX, &format!("http://{inbox}")))
        .map_err(|error| error.to_string())?;
    config.bundle.plans = Some(placed);
    config.bundle.rules = vec![options.rules.clone()];
    config.storage.folder = data.join("data");
    config.http.listen = options.listen;
    config.broker.listen = options.broker;
    Ok(config)
}

fn read_plan(path: &Path) -> Result<ReplayPlan, String> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!(
            "{}: {error}; name the demo's folder with --folder",
            path.display()
        )
    })?;
    ReplayPlan::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The midnight (UTC) that lets a replay of `length` end today at the latest.
fn first_midnight(length: Span) -> Time {
    let now = Clock::wall().now() - length;
    Time::from_millis(now.millis().div_euclid(86_400_000) * 86_400_000)
}

async fn connect(
    broker: std::net::SocketAddr,
    token: &str,
    id: &str,
) -> Result<MqttClient, String> {
    let url = format!("mqtt://{OWN_NAME}:{token}@{broker}");
    let client = MqttClient::connect(&url, id, ClientOptions::default())
        .map_err(|error| error.to_string())?;
    client
        .connected()
        .await
        .map_err(|error| error.to_string())?;
    Ok(client)
}

fn greet(options: &Demo, service: &Service, plan: &ReplayPlan, observations: usize) {
    println!(
        "守望 Citywatch demo: {observations} observations of {} recorded sets, {} of service time at speed {}",
        plan.sets.len(),
        plan.length(),
        options.speed
    );
    println!("API      http://{}/api/v1/alerts", service.http);
    println!("token    {}", service.own_token);
    if let Some(broker) = service.broker {
        println!("broker   mqtt://{broker}");
    }
    println!();
}

async fn interrupted() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Waits until every reading is booked and every delivery has come to its end.
async fn settle(service: &Service) -> Result<(), String> {
    let published = service.accepted();
    let deadline = tokio::time::Instant::now() + SETTLE_LIMIT;
    let mut booked = service.booked();
    let all = booked.wait_for(|position| *position >= published);
    tokio::time::timeout_at(deadline, all)
        .await
        .map_err(|_| "the readings were not all evaluated in time")?
        .map_err(|error| error.to_string())?;
    let mut events = service.ledger.subscribe();
    loop {
        events.mark_unchanged();
        let summary = service
            .ledger
            .summary()
            .await
            .map_err(|error| error.to_string())?;
        let under_way = [DeliveryState::Queued, DeliveryState::Sending];
        let waiting: u64 = summary
            .deliveries
            .iter()
            .filter(|count| under_way.contains(&count.state))
            .map(|count| count.total)
            .sum();
        if waiting == 0 {
            return Ok(());
        }
        if tokio::time::timeout_at(deadline, events.changed())
            .await
            .is_err()
        {
            return Err(format!(
                "{waiting} deliveries are still under way after {} s",
                SETTLE_LIMIT.as_secs()
            ));
        }
    }
}
