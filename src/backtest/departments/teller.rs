//! Follows transitions and notes who would have been told. The plans choose as in the live service: the same
//! plan, levels, zones and routes of `alerting`'s directory; an automatic plan warns by itself, any other as if
//! an operator had clicked at once. Nobody acknowledges or closes anything here, and nothing is sent.

use std::collections::{BTreeMap, HashMap};

use citywatch_alerting::directory::{Lift, Plan};
use citywatch_alerting::{Directory, Settings, Zones};
use citywatch_model::{Duration, Level, Name, Registry, Time, Transition, TransitionKind};
use jiff::tz::TimeZone;

use super::{DepartmentTold, Departments, Message, MessageKind, Untold};
use crate::backtest::load::busiest;
use crate::backtest::noise::RuleNames;
use crate::backtest::report::ByLevel;

/// Messages that a report lists one by one.
const LISTED: usize = 100;

/// What choosing recipients needs.
#[derive(Clone, Copy)]
pub struct Plans<'a> {
    /// Departments and plans.
    pub directory: &'a Directory,
    /// Zones, for departments that answer for some only.
    pub zones: &'a Zones,
}

/// Follows the transitions and notes who is told.
pub struct Teller<'a> {
    plans: Plans<'a>,
    rules: &'a RuleNames<'a>,
    registry: &'a Registry,
    zone: &'a TimeZone,
    /// How long a warning is in force unless its plan says otherwise.
    expires: Duration,
    alerts: HashMap<(Name, Name), Told>,
    /// Departments and their channels, for each plan, level and zone that came up.
    chosen: HashMap<(Name, Level, Option<Name>), Recipients>,
    departments: BTreeMap<Name, (DepartmentTold, Vec<Time>)>,
    first: Vec<Message>,
    messages: u64,
    untold: BTreeMap<(Name, Level, String), u64>,
}

/// Departments with the number of their channels.
type Recipients = BTreeMap<Name, u64>;

/// What is known of one rule at one sensor.
#[derive(Default)]
struct Told {
    /// `None` before the first and after the last transition.
    level: Option<Level>,
    warning: Option<Warned>,
}

/// The newest warning of an alert.
struct Warned {
    level: Level,
    expires: Time,
    automatic: bool,
    recipients: Recipients,
}

impl<'a> Teller<'a> {
    pub fn new(
        plans: Plans<'a>,
        rules: &'a RuleNames<'a>,
        registry: &'a Registry,
        zone: &'a TimeZone,
    ) -> Teller<'a> {
        let departments = plans.directory.departments.values();
        let empty = departments.map(|department| {
            let told = DepartmentTold {
                department: department.id,
                name: department.name.clone(),
                warnings: ByLevel::default(),
                automatic: 0,
                lifted: 0,
                deliveries: 0,
                first_at: None,
                last_at: None,
                busiest_day: None,
            };
            (department.id, (told, Vec::new()))
        });
        Teller {
            plans,
            rules,
            registry,
            zone,
            expires: Settings::default().expires,
            alerts: HashMap::new(),
            chosen: HashMap::new(),
            departments: empty.collect(),
            first: Vec::new(),
            messages: 0,
            untold: BTreeMap::new(),
        }
    }

    /// Takes the next transition in the order in which the engine emits them.
    pub fn take(&mut self, transition: &Transition) {
        let key = (transition.rule, transition.subject);
        let mut told = self.alerts.remove(&key).unwrap_or_default();
        match transition.kind {
            TransitionKind::Raise | TransitionKind::Change => {
                let rose = told.level.is_none_or(|before| transition.level > before);
                told.level = Some(transition.level);
                if rose {
                    self.warn(transition, &mut told);
                }
            }
            TransitionKind::Clear => {
                told.level = None;
                if !transition.unwatched {
                    self.lift(transition, &mut told);
                }
            }
        }
        if told.level.is_some() || told.warning.is_some() {
            self.alerts.insert(key, told);
        }
    }

    fn warn(&mut self, transition: &Transition, told: &mut Told) {
        let level = transition.level;
        let Some(plan) = self.plan(transition.rule) else {
            return self.nobody(
                transition,
                "no plan for its hazard and no plan `default`: add one",
            );
        };
        let Some(at_level) = plan.levels.get(&level) else {
            let reason = format!("plan `{}` tells nobody at this level", plan.id);
            return self.nobody(transition, &reason);
        };
        let automatic = at_level.automatic;
        let in_force = told
            .warning
            .take()
            .filter(|warning| warning.expires > transition.time);
        if let Some(warning) = in_force.as_ref()
            && warning.level >= level
        {
            told.warning = in_force;
            return;
        }
        let mut recipients = self.recipients(plan, level, transition.subject);
        let kind = match in_force {
            Some(earlier) => {
                // whoever has heard of the alert hears how it goes on
                for (department, channels) in earlier.recipients {
                    recipients.entry(department).or_insert(channels);
                }
                MessageKind::Updated
            }
            None => MessageKind::Issued,
        };
        if recipients.is_empty() {
            let reason = format!(
                "no department of plan `{}` answers for the sensor's zone with a channel that may be used",
                plan.id
            );
            return self.nobody(transition, &reason);
        }
        let warning = Warned {
            level,
            expires: transition.time + plan.expires.unwrap_or(self.expires),
            automatic,
            recipients,
        };
        self.send(transition, kind, &warning);
        told.warning = Some(warning);
    }

    fn lift(&mut self, transition: &Transition, told: &mut Told) {
        let Some(warning) = told.warning.take() else {
            return;
        };
        if warning.expires <= transition.time {
            return;
        }
        let lifts = match self.plan(transition.rule).and_then(|plan| plan.lift) {
            Some(Lift::Automatic) => true,
            Some(Lift::Manual) => false,
            None => warning.automatic,
        };
        if lifts {
            self.send(transition, MessageKind::Lifted, &warning);
        } else {
            told.warning = Some(warning);
        }
    }

    fn plan(&self, rule: Name) -> Option<&'a Plan> {
        let (named, hazard) = self
            .rules
            .get(&rule)
            .map_or((None, Name::default()), |info| (info.plan, info.hazard));
        self.plans.directory.plan_for(named, hazard)
    }

    /// The plan's departments that answer for the sensor's zone.
    fn recipients(&mut self, plan: &Plan, level: Level, subject: Name) -> Recipients {
        let zone = self
            .registry
            .sensors
            .get(&subject)
            .and_then(|sensor| sensor.zone);
        let Plans { directory, zones } = self.plans;
        let choose = || {
            let mut recipients = Recipients::new();
            if let Some(at_level) = plan.levels.get(&level) {
                let around: Vec<Name> = zone
                    .map(|zone| zones.around(zone).collect())
                    .unwrap_or_default();
                let channels = at_level.channels.as_deref();
                for route in directory.routes(&at_level.tell, channels, &around) {
                    let id = citywatch_model::name(&route.recipient.department);
                    *recipients.entry(id).or_default() += 1;
                }
            }
            recipients
        };
        self.chosen
            .entry((plan.id, level, zone))
            .or_insert_with(choose)
            .clone()
    }

    fn send(&mut self, transition: &Transition, kind: MessageKind, warning: &Warned) {
        for (&department, &channels) in &warning.recipients {
            self.messages += 1;
            if self.first.len() < LISTED {
                self.first.push(Message {
                    at: transition.time,
                    department,
                    kind,
                    level: warning.level,
                    rule: transition.rule,
                    subject: transition.subject,
                    automatic: warning.automatic,
                });
            }
            if let Some((told, times)) = self.departments.get_mut(&department) {
                match kind {
                    MessageKind::Issued | MessageKind::Updated => {
                        told.warnings.add(warning.level);
                        told.automatic += u64::from(warning.automatic);
                    }
                    MessageKind::Lifted => told.lifted += 1,
                }
                told.deliveries += channels;
                times.push(transition.time);
            }
        }
    }

    fn nobody(&mut self, transition: &Transition, reason: &str) {
        let key = (transition.rule, transition.level, reason.to_owned());
        *self.untold.entry(key).or_default() += 1;
    }

    pub fn end(self) -> Departments {
        let zone = self.zone;
        let departments = self.departments.into_values().map(|(mut told, times)| {
            told.first_at = times.first().copied();
            told.last_at = times.last().copied();
            told.busiest_day = busiest(times.into_iter(), zone);
            told
        });
        let untold = self.untold.into_iter();
        Departments {
            messages: self.messages,
            departments: departments.collect(),
            first: self.first,
            untold: untold
                .map(|((rule, level, reason), times)| Untold {
                    rule,
                    level,
                    times,
                    reason,
                })
                .collect(),
        }
    }
}
