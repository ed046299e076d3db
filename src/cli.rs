//! The command line. Exit codes: 0 done, 1 problems found, 2 wrong usage.

use std::path::PathBuf;

use citywatch_model::{Duration, Time};
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::tz::TimeZone;

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
    /// Check the files of a folder, show what they change, and put them in force as one change
    Apply(Apply),
    /// Show what the files of a folder would change; exit 0 if nothing, 1 if anything
    Diff(Diff),
    /// Write what is in force into a folder
    Export(Export),
    /// Give an admin a new one-time password, on the machine itself while the service is stopped
    AdminPassword(AdminPassword),
    /// Validate configuration, registry, plans and rules, and run the tests in the rule files
    Check(Check),
    /// Replay recorded readings, or the service's own history, through the rule engine: transitions, and what they
    /// mean for the people on duty, the departments, and against labelled events
    Backtest(Backtest),
    /// Send a message that is marked as a test by one channel, and print what the other side answered
    TestChannel(TestChannel),
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
    /// The journal is lost, or older than the ledger: judge readings from its end on; the ledger keeps what it has
    #[arg(long)]
    pub journal_lost: bool,
    /// The ledger is lost: make it anew from the journal, and warn nobody of what that holds already
    #[arg(long)]
    pub ledger_lost: bool,
}

#[derive(Debug, Args)]
pub struct AdminPassword {
    /// Configuration file
    #[arg(long, default_value = "citywatch.toml", env = "CITYWATCH_CONFIG")]
    pub config: PathBuf,
    /// The account; it becomes an admin who can log in
    #[arg(long, default_value = "admin")]
    pub name: String,
}

/// A folder, and the service whose rules, sensors, zones and plans it is compared with.
#[derive(Debug, Args)]
pub struct Target {
    /// Folder with a citywatch.toml whose [bundle] names the files, or with sensors.csv, zones.yaml, plans.yaml and rules/
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Configuration file of the service; absent: citywatch.toml in the folder, else here
    #[arg(long, env = "CITYWATCH_CONFIG")]
    pub config: Option<PathBuf>,
    /// Address of the service's API instead, http://host:port
    #[arg(long, requires = "token")]
    pub url: Option<String>,
    /// Token of an admin; absent: one that the configuration or the data folder holds
    #[arg(long, env = "CITYWATCH_TOKEN")]
    pub token: Option<String>,
}

#[derive(Debug, Args)]
pub struct Apply {
    #[command(flatten)]
    pub target: Target,
    /// Why, for those who read it later
    #[arg(long)]
    pub reason: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct Diff {
    #[command(flatten)]
    pub target: Target,
}

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    pub target: Target,
    /// Overwrite files that differ
    #[arg(long)]
    pub force: bool,
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
    /// Configuration file, and the bundle it names; absent, and without --rules: citywatch.toml
    #[arg(long, env = "CITYWATCH_CONFIG")]
    pub config: Option<PathBuf>,
    /// Rule file, or folder of rule files
    #[arg(long, num_args = 1..)]
    pub rules: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct TestChannel {
    /// sms, mail, webhook or cap_mqtt with --to; or a department of the plans, for all of its channels
    pub name: String,
    /// Telephone number, mail address, web address or topic
    #[arg(long, value_name = "ADDRESS")]
    pub to: Option<String>,
    /// Configuration file
    #[arg(long, default_value = "citywatch.toml", env = "CITYWATCH_CONFIG")]
    pub config: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_long_help = LABELS_HELP)]
pub struct Backtest {
    /// Rule file, or folder of rule files; with --config and without --data the rules in force stand for it
    #[arg(long, required_unless_present = "config", num_args = 1..)]
    pub rules: Vec<PathBuf>,
    /// Recorded readings: CSV with the header time,sensor_id,hazard,measurement,value,unit or JSON lines, gzipped or not
    #[arg(long, required_unless_present = "config", num_args = 1..)]
    pub data: Vec<PathBuf>,
    /// Configuration file of the service: without --data its own history is read, with the sensors and rules in
    /// force, while the service is stopped; --rules are then compared with those in force
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Only readings from here on: RFC 3339, or a local date or time such as 2026-11-22 or 2026-11-22T08:00
    #[arg(long, value_name = "TIME")]
    pub from: Option<Moment>,
    /// Only readings before this
    #[arg(long, value_name = "TIME")]
    pub to: Option<Moment>,
    /// Registry of sensors, CSV or YAML
    #[arg(long)]
    pub sensors: Option<PathBuf>,
    /// Zones of that registry, YAML
    #[arg(long)]
    pub zones: Option<PathBuf>,
    /// Departments and plans, YAML: reports who would have been told what and when
    #[arg(long)]
    pub plans: Option<PathBuf>,
    /// Rules to compare with, such as those in force: the same readings, and what changes
    #[arg(long, num_args = 1.., value_name = "RULES")]
    pub against: Vec<PathBuf>,
    /// Labelled events to score against: CSV with the header event_id,start,end[,sensor_id][,hazard]
    #[arg(long)]
    pub labels: Option<PathBuf>,
    /// How long after its end a labelled event may still be answered
    #[arg(
        long,
        default_value = "0s",
        requires = "labels",
        value_name = "DURATION"
    )]
    pub grace: Duration,
    /// Operator positions that share the alerts
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub positions: u16,
    /// Time zone whose days are counted; absent: that of the configuration, else Asia/Shanghai
    #[arg(long, value_parser = time_zone)]
    pub timezone: Option<TimeZone>,
    /// How transitions are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Also write the whole report as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Threads that evaluate rules
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: u16,
    /// Readings an epoch
    #[arg(long, default_value_t = 8192, value_parser = clap::value_parser!(u32).range(1..))]
    pub epoch: u32,
}

const LABELS_HELP: &str = "\
Labels: an event is hit if an alert is open or raised between its start and its end plus --grace, at its sensor and by a rule
of its hazard (any, if it names none). An alert that touches no event is a false alarm; if every event names a hazard, alerts of
other hazards are left out. Sensor-years are the times from first to last reading of every sensor, summed. The lead is the time
from the first alert to the first reading within the event that crosses the plain threshold of any rule under test: each comparison
`value OP number`, but for !=, that stands un-negated in the condition of a level, without `for`, `in N samples` and windows. A
negative lead means that the plain threshold came first.
An event that only an alert from before its start answers is a hit without delay and lead; such hits are counted apart.";

/// A moment as people write it; a local one waits for its time zone.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// With an offset.
    At(Time),
    /// Without: local time, of a date its midnight.
    Local(jiff::civil::DateTime),
}

impl Moment {
    /// The moment, in `zone` if it is local.
    pub fn resolve(self, zone: &TimeZone) -> Time {
        match self {
            Moment::At(time) => time,
            Moment::Local(local) => {
                let zoned = local.to_zoned(zone.clone());
                // only at the very ends of the calendar there is no such moment
                zoned.map_or(Time::MAX, |zoned| {
                    Time::from_millis(zoned.timestamp().as_millisecond())
                })
            }
        }
    }
}

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Moment, String> {
        let time = text.parse::<Time>().map(Moment::At).ok();
        let local = || text.parse().map(Moment::Local).ok();
        time.or_else(local).ok_or_else(|| {
            format!("`{text}` is not a time: write 2026-11-22, 2026-11-22T08:00 or 2026-11-22T08:00:00+08:00")
        })
    }
}

fn time_zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|_| {
        format!("`{text}` is not a time zone: write an IANA name such as Asia/Shanghai")
    })
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
    /// SenML JSON (RFC 8428)
    Senml,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err(format!("`{text}` is not a positive number")),
    }
}
