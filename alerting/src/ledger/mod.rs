//! The ledger: alerts, warnings, deliveries, acts and events in one SQLite file with one writer.
//!
//! Every change is one transaction of [`session::Session`]: rows, events, acts and the journal position commit
//! together or not at all, memory and outbox follow only after the commit, and the network is never called
//! inside. Readers use connections of their own and never wait for the writer.

mod act;
mod agreement;
mod alert;
mod answer;
mod apply;
mod book;
mod channels;
mod checkpoint;
mod delivery;
mod event;
mod filter;
mod followup;
mod issue;
mod key;
mod lapse;
mod loss;
mod message;
mod people;
mod query;
mod queue;
mod receipt;
mod recipients;
mod report;
mod rows;
mod schema;
mod seen;
mod session;
mod stamps;
mod statement;
mod summary;
mod version;
mod versions;
mod warnings;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use citywatch_model::{Position, Time};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::sync::{Mutex, watch};

pub use act::{Actor, Call};
pub use alert::{Alert, Condition, Handling, Verdict};
pub use answer::{Answer, AnswerWord};
pub use apply::{Applied, Epoch};
pub use book::Change;
pub use channels::ChannelState;
pub use delivery::{Attempt, Delivery, DeliveryState};
pub use event::{Event, EventRow};
pub use filter::{AlertFilter, AlertState, DeliveryFilter, Page, WarningFilter};
pub use issue::IssueWarning;
pub use people::{
    AccountChange, LoggedIn, LoginError, NO_SUCH_ACCOUNT, NewAccount, NewToken, SessionInfo,
    TokenRefusal,
};
pub use query::{AlertDetail, DeliveryDetail, WarningDetail};
pub use receipt::{Meaning, Receipt, ReceiptReport};
pub use rows::{Act, History};
pub use seen::Seen;
pub use summary::{AlertCount, DeliveryCount, Summary};
pub use version::{Contents, Part, PartText, RuleMode, RuleVersion, Version, sha256};
pub use versions::{NewVersion, OpenAlerts};
pub use warnings::{WarningEntry, WarningState};

pub(crate) use alert::to_json;
pub(crate) use queue::Job;
pub(crate) use report::{Outcome, Report};

use crate::channel_notes::ChannelNotes;
use crate::directory::Directory;
use crate::flight::Flight;
use crate::links::SignedLinks;
use crate::metrics::Metrics;
use crate::settings::{Settings, Zones, wall_clock};
use crate::{LedgerError, outbox};
use checkpoint::Checkpoints;
use stamps::Stamps;
use writer::Writer;

/// Handle to the ledger; clones share it.
#[derive(Clone)]
pub struct Ledger {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    writer: Arc<Mutex<Writer>>,
    checkpoints: Checkpoints,
    readers: SqlitePool,
    directory: RwLock<Arc<Directory>>,
    zones: RwLock<Arc<Zones>>,
    pub settings: Settings,
    newest_event: watch::Sender<i64>,
    stamps: Stamps,
    people: people::People,
    position: AtomicU64,
    /// Nobody is warned of what stands in the journal up to here: see `loss`.
    quiet_until: AtomicU64,
    pub metrics: Metrics,
    pub flight: Flight,
    pub channel_notes: ChannelNotes,
    outbox: RwLock<Option<outbox::Inbox>>,
}

impl Ledger {
    /// Opens the ledger file, made and brought to the present schema if need be.
    ///
    /// # Errors
    /// If the file cannot be opened, or a newer program wrote it.
    pub async fn open(
        path: impl AsRef<Path>,
        directory: Arc<Directory>,
        settings: Settings,
        registry: &prometheus::Registry,
    ) -> Result<Ledger, LedgerError> {
        let path = path.as_ref();
        let opened = Ledger::open_file(path, directory, settings, registry).await;
        opened.map_err(|error| error.of_file(path))
    }

    async fn open_file(
        path: &Path,
        directory: Arc<Directory>,
        settings: Settings,
        registry: &prometheus::Registry,
    ) -> Result<Ledger, LedgerError> {
        let metrics = Metrics::register(registry)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // see `checkpoint`
            .pragma("wal_autocheckpoint", "0")
            .busy_timeout(Duration::from_secs(2))
            .disable_statement_logging();
        let mut connection = options
            .connect()
            .await
            .map_err(LedgerError::storage("open the file"))?;
        schema::migrate(&mut connection).await?;
        delivery::presume_attempted(&mut connection).await?;
        let people = people::Memory::load(&mut connection).await?;
        let quiet_until = AtomicU64::new(loss::quiet_until(&mut connection).await?);
        let writer = Writer::load(connection).await?;
        let newest_event = watch::Sender::new(writer.ids.event - 1);
        let position = AtomicU64::new(writer.position.stored);
        for alert in writer.book.iter() {
            metrics.alert_moved(None, Some(alert));
        }
        let writer = Arc::new(Mutex::new(writer));
        let checkpoints = Checkpoints::start(&options, &writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(3)
            .min_connections(1)
            .connect_with(options.read_only(true))
            .await
            .map_err(LedgerError::storage("open the file for reading"))?;
        let shared = Shared {
            newest_event,
            stamps: Stamps::default(),
            people: people::People::new(people),
            position,
            quiet_until,
            writer,
            checkpoints,
            readers,
            directory: RwLock::new(directory),
            zones: RwLock::default(),
            settings,
            metrics,
            flight: Flight::default(),
            channel_notes: ChannelNotes::default(),
            outbox: RwLock::new(None),
        };
        Ok(Ledger {
            shared: Arc::new(shared),
        })
    }

    /// The journal position up to which the ledger is complete on disk.
    #[must_use]
    pub fn position(&self) -> Position {
        self.shared.position.load(Ordering::Acquire)
    }

    /// From now on warnings go where `directory` says. Deliveries under way look their address up in it too.
    pub fn set_directory(&self, directory: Arc<Directory>) {
        *self
            .shared
            .directory
            .write()
            .unwrap_or_else(PoisonError::into_inner) = directory;
    }

    /// The departments and plans in force.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        self.shared.directory()
    }

    /// From now on these are the zones.
    pub fn set_zones(&self, zones: Arc<Zones>) {
        *self
            .shared
            .zones
            .write()
            .unwrap_or_else(PoisonError::into_inner) = zones;
    }

    /// The zones in force.
    #[must_use]
    pub fn zones(&self) -> Arc<Zones> {
        self.shared.zones()
    }

    /// The service's clock, which stamps acts and warnings.
    #[must_use]
    pub fn now(&self) -> Time {
        (self.shared.settings.clock)()
    }

    /// Makes and reads the links in messages, if the service has any.
    #[must_use]
    pub fn links(&self) -> Option<&SignedLinks> {
        self.shared.settings.links.as_ref()
    }

    /// When the event was committed, in microseconds since 1970 on the wall clock; the newest commits are
    /// remembered, others are not known.
    #[must_use]
    pub fn committed_us(&self, event: i64) -> Option<i64> {
        self.shared.stamps.of(event)
    }

    /// Number of the newest event; changes after each commit that wrote one.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<i64> {
        self.shared.newest_event.subscribe()
    }

    /// Waits until what has begun is written, then closes the file. Later calls fail.
    ///
    /// # Errors
    /// If the newest position cannot be written.
    pub async fn shutdown(&self) -> Result<(), LedgerError> {
        let flushed = self.flush_position().await;
        if let Err(error) = self.settle_people().await {
            tracing::warn!(%error, "the last use of sessions and tokens was not written");
        }
        self.shared.readers.close().await;
        flushed
    }

    /// A connection for reading.
    async fn reader(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Sqlite>, LedgerError> {
        self.shared
            .readers
            .acquire()
            .await
            .map_err(LedgerError::storage("get a connection for reading"))
    }

    /// From now on commits go to this outbox; `false` if there is one already.
    pub(crate) fn connect_outbox(&self, inbox: outbox::Inbox) -> bool {
        let mut connected = self
            .shared
            .outbox
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let free = connected.is_none();
        connected.get_or_insert(inbox);
        free
    }

    /// From now on deliveries only queue.
    pub(crate) fn disconnect_outbox(&self) {
        *self
            .shared
            .outbox
            .write()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Shared {
    fn directory(&self) -> Arc<Directory> {
        Arc::clone(
            &self
                .directory
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    fn zones(&self) -> Arc<Zones> {
        Arc::clone(&self.zones.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The highest id of each table, plus one.
async fn next_id(connection: &mut SqliteConnection, sql: &'static str) -> Result<i64, LedgerError> {
    let highest: Option<i64> = sqlx::query_scalar(sql)
        .fetch_one(connection)
        .await
        .map_err(LedgerError::storage("read the newest number"))?;
    Ok(highest.unwrap_or(0) + 1)
}

/// The wall clock, for what is measured against the real world.
fn wall() -> Time {
    wall_clock()
}
