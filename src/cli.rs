//! The command line. Exit codes: 0 done, 1 problems found, 2 wrong usage.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Citywatch 守望: real-time urban safety risk monitoring and early warning.
#[derive(Debug, Parser)]
#[command(name = "citywatch", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service
    Run(Run),
    /// Replay recorded floods, gas releases, pipe bursts and fire weather through a whole service of its own
    Demo(Demo),
    /// Validate configuration, registry, plans and rules, and run the tests in the rule files
    Check(Check),
    /// Replay recorded readings through the rule engine and print every transition
    Backtest(Backtest),
    /// Publish made-up readings to a broker and measure how fast they are acknowledged
    Simulate(Simulate),
}

#[derive(Debug, Args)]
pub struct Run {
    /// Configuration file
    #[arg(long, default_value = "citywatch.toml", env = "CITYWATCH_CONFIG")]
    pub config: PathBuf,
    /// Put the bundle that the configuration names in force even if the ledger holds another one
    #[arg(long)]
    pub apply_bundle: bool,
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Service seconds per second
    #[arg(long, default_value_t = 7200.0, value_parser = positive)]
    pub speed: f64,
    /// Click a warning, end after the replay with a summary
    #[arg(long)]
    pub once: bool,
    /// Folder of the demo district and its recorded series
    #[arg(long, default_value = "deploy/demo")]
    pub folder: PathBuf,
    /// Rules in force
    #[arg(long, default_value = "rules/packs")]
    pub rules: PathBuf,
    /// Address of the API; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: std::net::SocketAddr,
    /// Address of the embedded broker; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:1883")]
    pub broker: std::net::SocketAddr,
}

#[derive(Debug, Args)]
pub struct Check {
    /// Configuration file, and the bundle it names
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Rule file, or folder of rule files
    #[arg(long, num_args = 1..)]
    pub rules: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Backtest {
    /// Rule file, or folder of rule files
    #[arg(long, required = true, num_args = 1..)]
    pub rules: Vec<PathBuf>,
    /// Recorded readings: CSV with the header time,sensor_id,hazard,measurement,value,unit or JSON lines, gzipped or not
    #[arg(long, required = true, num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Registry of sensors, CSV or YAML
    #[arg(long)]
    pub sensors: Option<PathBuf>,
    /// Zones of that registry, YAML
    #[arg(long)]
    pub zones: Option<PathBuf>,
    /// How transitions are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Threads that evaluate rules
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: u16,
    /// Readings an epoch
    #[arg(long, default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..))]
    pub epoch: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// One JSON object a line
    Jsonl,
}

#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub struct Simulate {
    /// Broker, mqtt://[user:password@]host:port
    #[arg(long, default_value = "mqtt://127.0.0.1:1883")]
    pub broker: String,
    /// Sensors that speak
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub sensors: u32,
    /// Readings a second, all sensors together
    #[arg(long, default_value_t = 1000.0, value_parser = positive)]
    pub rate: f64,
    /// Payload format
    #[arg(long, value_enum, default_value_t = PayloadFormat::Citywatch)]
    pub format: PayloadFormat,
    /// Readings a message
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch: u32,
    /// MQTT connections
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,
    /// How long
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    pub seconds: f64,
    /// Topic under which readings are published
    #[arg(long, default_value = "citywatch/readings")]
    pub topic: String,
    /// API of the service under test: times alert rows, and counts what arrived
    #[arg(long)]
    pub watch: Option<String>,
    /// Token for that API
    #[arg(long, env = "CITYWATCH_TOKEN")]
    pub token: Option<String>,
    /// Receive webhooks here and time them
    #[arg(long)]
    pub webhook_listen: Option<std::net::SocketAddr>,
    /// Alarms a second: readings of 100 among readings below 90
    #[arg(long, default_value_t = 0.0)]
    pub alarms: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PayloadFormat {
    /// Citywatch JSON
    Citywatch,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err(format!("`{text}` is not a positive number")),
    }
}
