//! Puts changes in force while the service runs, one after the other: checked, written to the ledger, journalled,
//! swapped. It also ends modes whose time has passed, and journals what a failing journal did not take.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use citywatch_alerting::ledger::{Actor, Call, NewVersion, RuleMode, Version};
use citywatch_alerting::{Ledger, LedgerError};
use citywatch_ingest::{Intake, Journal};
use citywatch_model::{Body, Name, Registry, RulesInForce};
use serde_json::json;
use tokio::sync::{Mutex, watch};

use super::change::{ChangeError, Outcome, Request};
use super::history::difference_of;
use super::present::{Present, Wish, bundle_of, propose};
use crate::bundle::judge;

/// How often times that pass are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the journal says is in force.
struct Journalled {
    registry: Arc<Registry>,
    rules: Arc<RulesInForce>,
}

impl Journalled {
    /// What must be journalled so that it says the same as `present`.
    fn lacks(&self, present: &Present) -> Vec<Body> {
        let registry = &present.bundle.registry;
        // looked at every second, and a city has many sensors
        let registry = (!Arc::ptr_eq(&self.registry, registry))
            .then(|| self.registry.change_to(registry))
            .flatten();
        let rules = present.rules();
        let rules = (*self.rules != rules).then(|| Body::Rules(Arc::new(rules)));
        let registry = registry.map(|change| Body::Registry(Arc::new(change)));
        registry.into_iter().chain(rules).collect()
    }
}

/// Handle to what is in force; clones share it.
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    journal: Journal,
    /// The service's own, which holds where no zone has another.
    time_zone: Name,
    present: RwLock<Arc<Present>>,
    /// Held while a change is made.
    journalled: Mutex<Journalled>,
}

impl Keeper {
    /// Journals what `present` has and `registry` and `rules`, which the journal held so far, have not, and that the
    /// service has started.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub async fn start(
        ledger: Ledger,
        journal: Journal,
        mut present: Present,
        (registry, rules): (Arc<Registry>, Arc<RulesInForce>),
        time_zone: Name,
    ) -> Result<Keeper, String> {
        Arc::make_mut(&mut present.bundle.registry).zones.time_zone = time_zone;
        let keeper = Keeper(Arc::new(Inner {
            ledger,
            journal,
            time_zone,
            present: RwLock::new(Arc::new(present)),
            journalled: Mutex::new(Journalled { registry, rules }),
        }));
        let mut journalled = keeper.0.journalled.lock().await;
        let mut bodies = journalled.lacks(&keeper.present());
        let changes = bodies.len() as u64;
        bodies.push(Body::Start);
        let last = keeper.0.journal.append(bodies).await;
        let last = last.map_err(|error| error.to_string())?;
        if changes > 0 {
            keeper.has_journalled(&mut journalled, last - 1).await;
        }
        drop(journalled);
        Ok(keeper)
    }

    /// What is in force.
    pub fn present(&self) -> Arc<Present> {
        let present = self.0.present.read();
        Arc::clone(&present.unwrap_or_else(PoisonError::into_inner))
    }

    /// The registry in force.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.present().bundle.registry)
    }

    /// Makes a change. Runs to its end even when the caller goes away, so that the journal follows the ledger.
    ///
    /// # Errors
    /// See [`ChangeError`]; but for `Later`, what is in force stays.
    pub async fn change(
        &self,
        intake: &Intake,
        (request, call): (Request, Call),
        wish: impl FnOnce(&Present) -> Result<Wish, ChangeError> + Send + 'static,
    ) -> Result<Outcome, ChangeError> {
        let (keeper, intake) = (self.clone(), intake.clone());
        let change = async move { keeper.carry_out(&intake, (request, call), wish).await };
        let ended = tokio::spawn(change).await;
        ended.map_err(|error| ChangeError::Inside(error.to_string()))?
    }

    async fn carry_out(
        &self,
        intake: &Intake,
        (request, call): (Request, Call),
        wish: impl FnOnce(&Present) -> Result<Wish, ChangeError>,
    ) -> Result<Outcome, ChangeError> {
        let ledger = &self.0.ledger;
        let mut journalled = self.0.journalled.lock().await;
        if !request.dry_run
            && let Some(version) = ledger.answered(request.act, &request.asked, &call).await?
        {
            return self.first_outcome(version).await;
        }
        let present = self.present();
        if let Some(seen) = call.version.filter(|seen| *seen != present.version.id) {
            let present = present.version.id;
            return Err(LedgerError::StaleVersion { seen, present }.into());
        }
        if request.reason.trim().is_empty() && !request.dry_run {
            let why = "a change needs `reason`: say why, for those who read it later";
            return Err(ChangeError::Invalid(why.to_owned()));
        }
        let wish = wish(&present)?;
        let old = Arc::clone(&present);
        let proposed = tokio::task::spawn_blocking(move || propose(Some(&old), wish)).await;
        let proposal = proposed
            .map_err(|error| ChangeError::Inside(error.to_string()))?
            .map_err(ChangeError::Mistakes)?;
        let changed = !proposal.difference.is_empty();
        let (difference, tested) = (proposal.difference.clone(), proposal.tested);
        if request.dry_run || !changed {
            return Ok(Outcome {
                version: present.version.clone(),
                changed,
                difference,
                tested,
            });
        }
        let new = NewVersion {
            id: proposal.id,
            contents: proposal.contents.clone(),
            texts: &proposal.texts,
            act: request.act,
            asked: &request.asked,
            reason: request.reason.trim(),
            change: &difference.numbers(),
        };
        let version = ledger.add_version(&new, &call).await?;
        tracing::info!(version = version.id, by = version.actor, reason = version.reason, change = %new.change, "a version was put in force");
        self.swap(Present::after(version.clone(), proposal));
        self.journal(intake, &mut journalled).await?;
        Ok(Outcome {
            version,
            changed,
            difference,
            tested,
        })
    }

    fn swap(&self, mut next: Present) {
        Arc::make_mut(&mut next.bundle.registry).zones.time_zone = self.0.time_zone;
        next.enter(&self.0.ledger);
        let mut present = (self.0.present.write()).unwrap_or_else(PoisonError::into_inner);
        *present = Arc::new(next);
    }

    /// The answer to a call that comes again.
    async fn first_outcome(&self, version: Version) -> Result<Outcome, ChangeError> {
        let difference = difference_of(&self.0.ledger, &version).await;
        let bundle = bundle_of(&self.0.ledger, &version).await;
        let bundle = bundle.map_err(ChangeError::Inside)?;
        Ok(Outcome {
            changed: true,
            tested: judge(&bundle, Some(&bundle)).map_err(ChangeError::Mistakes)?,
            difference: difference.map_err(ChangeError::Inside)?,
            version,
        })
    }

    async fn journal(
        &self,
        intake: &Intake,
        journalled: &mut Journalled,
    ) -> Result<(), ChangeError> {
        let present = self.present();
        let bodies = journalled.lacks(&present);
        if bodies.is_empty() {
            journalled.registry = self.registry();
            return Ok(());
        }
        let position = self.0.journal.append(bodies).await;
        let later = |error: &dyn std::fmt::Display| {
            ChangeError::Later(present.version.id, error.to_string())
        };
        let position = position.map_err(|error| later(&error))?;
        self.has_journalled(journalled, position).await;
        intake.set_registry(Arc::clone(&journalled.registry));
        Ok(())
    }

    async fn has_journalled(&self, journalled: &mut Journalled, position: u64) {
        let present = self.present();
        journalled.registry = self.registry();
        journalled.rules = Arc::new(present.rules());
        let noted = self
            .0
            .ledger
            .version_holds_from(present.version.id, position);
        if let Err(error) = noted.await {
            tracing::warn!(%error, version = present.version.id, position, "the position of a version was not noted; the version holds all the same");
        }
    }

    /// Ends modes whose time has passed.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn expire(&self, intake: &Intake) -> Result<(), ChangeError> {
        let now = self.0.ledger.now();
        let passed = move |present: &Present| -> Vec<Name> {
            let modes = present.version.contents.modes.iter();
            let passed = modes.filter(|(_, mode)| mode.until.is_some_and(|until| until <= now));
            passed.map(|(rule, _)| *rule).collect()
        };
        let rules = passed(&self.present());
        if rules.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = rules.iter().map(Name::as_str).collect();
        let request = Request {
            act: "end mode",
            asked: json!({ "rules": names }),
            reason: format!("the time given has passed: {}", names.join(", ")),
            dry_run: false,
        };
        let call = Call {
            actor: Actor::service(),
            ..Call::default()
        };
        let ended = self.change(intake, (request, call), move |present| {
            let mut wish = present.wish();
            for rule in passed(present) {
                let ended = wish.modes.remove(&rule);
                if let Some((mode, ended)) = ended.and_then(|ended| Some((ended.back?, ended))) {
                    let back = RuleMode {
                        mode,
                        until: None,
                        back: None,
                        reason: ended.reason,
                    };
                    wish.modes.insert(rule, back);
                }
            }
            Ok(wish)
        });
        ended.await.map(|_| ())
    }

    /// Looks at times that pass, and at a journal that lags, until the service stops.
    pub async fn watch(self, intake: Intake, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let mut journalled = self.0.journalled.lock().await;
            let written = self.journal(&intake, &mut journalled).await;
            drop(journalled);
            for done in [written, self.expire(&intake).await] {
                if let Err(error) = done {
                    tracing::warn!(%error, "what is in force could not be brought up to date; trying again");
                }
            }
        }
    }
}
