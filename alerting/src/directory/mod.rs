//! Departments, contacts and plans: who is told what at which level by which channels. Pure; reading the file is
//! `load`'s affair, and nothing here sends.

mod fields;
mod load;
mod places;
mod tree;

use std::collections::BTreeMap;

use citywatch_model::{Duration, Level, Name, Text};
use serde::Serialize;

use crate::channel::{Endpoint, Recipient};

pub use fields::nearest;
pub use load::{load_directory, read_directory};
pub use places::Places;
pub use tree::Problem;

/// A department with its desks and people.
#[derive(Debug, Clone, PartialEq)]
pub struct Department {
    /// Unique.
    pub id: Name,
    /// For people.
    pub name: Text,
    /// The zones it answers for, with all inside them; empty for everywhere.
    pub zones: Vec<Name>,
    /// Endpoints of the department as a whole.
    pub channels: Vec<Endpoint>,
    /// Its people, in the order in which they are called.
    pub contacts: Vec<Contact>,
}

/// A person or desk of a department.
#[derive(Debug, Clone, PartialEq)]
pub struct Contact {
    /// Unique in the department.
    pub name: String,
    /// Telephone; may be empty.
    pub phone: String,
    /// Mail address; may be empty.
    pub mail: String,
    /// The person's own endpoints.
    pub channels: Vec<Endpoint>,
}

/// What happens to a warning when its alert recovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Lift {
    /// The service lifts it.
    Automatic,
    /// A person lifts it.
    Manual,
}

/// What a plan does at one level, milder levels counted in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LevelPlan {
    /// Departments, in order.
    pub tell: Vec<Name>,
    /// Kinds of channels; `None` for all that a recipient has.
    pub channels: Option<Vec<String>>,
    /// The service warns by itself.
    pub automatic: bool,
}

/// Who is told at which level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Unique; `default` serves hazards without a plan.
    pub id: Name,
    /// The hazard it serves by itself.
    pub hazard: Option<Name>,
    /// How long its warnings are in force.
    pub expires: Option<Duration>,
    /// When its alerts recover; `None`: automatic warnings are lifted, clicked ones wait for a person.
    pub lift: Option<Lift>,
    /// From the mildest level it knows to red.
    pub levels: BTreeMap<Level, LevelPlan>,
}

/// One recipient with one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// To whom.
    pub recipient: Recipient,
    /// Where to.
    pub endpoint: Endpoint,
}

/// All departments and plans.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Directory {
    /// By id.
    pub departments: BTreeMap<Name, Department>,
    /// By id.
    pub plans: BTreeMap<Name, Plan>,
}

impl Directory {
    /// The plan that the rule names, else that of the hazard, else `default`. A rule that names a plan that is
    /// gone falls through, since somebody must be told.
    #[must_use]
    pub fn plan_for(&self, named: Option<Name>, hazard: Name) -> Option<&Plan> {
        named
            .and_then(|id| self.plans.get(&id))
            .or_else(|| self.plans.values().find(|plan| plan.hazard == Some(hazard)))
            .or_else(|| self.plans.values().find(|plan| plan.id == "default"))
    }

    /// The endpoints of `departments` that serve one of `channels` (`None`: all). `zones` are the zone of the
    /// alert and those around it: a department that answers for none of them is skipped; empty skips nobody.
    #[must_use]
    pub fn routes(
        &self,
        departments: &[Name],
        channels: Option<&[String]>,
        zones: &[Name],
    ) -> Vec<Route> {
        let covers = |department: &&Department| {
            zones.is_empty()
                || department.zones.is_empty()
                || department.zones.iter().any(|zone| zones.contains(zone))
        };
        let serves = |endpoint: &&Endpoint| {
            channels.is_none_or(|kinds| kinds.iter().any(|kind| kind == endpoint.kind()))
        };
        let mut routes: Vec<Route> = Vec::new();
        for department in departments
            .iter()
            .filter_map(|id| self.departments.get(id))
            .filter(covers)
        {
            for (contact, endpoint) in department
                .endpoints()
                .filter(|(_, endpoint)| serves(endpoint))
            {
                let recipient = Recipient {
                    department: department.id.to_string(),
                    department_name: department.name.clone(),
                    contact: contact.to_owned(),
                };
                let route = Route {
                    recipient,
                    endpoint: endpoint.clone(),
                };
                if !routes.contains(&route) {
                    routes.push(route);
                }
            }
        }
        routes
    }

    /// The endpoint behind a stored address, with the secret that is in force now; `None` if it was removed. Whoever
    /// has another name or stands in another department since is found by the address.
    #[must_use]
    pub fn endpoint(
        &self,
        recipient: &Recipient,
        channel: &str,
        address: &str,
    ) -> Option<&Endpoint> {
        let same = |(_, endpoint): &(&str, &Endpoint)| {
            endpoint.kind() == channel && address_of(endpoint) == address
        };
        let home = self
            .departments
            .values()
            .find(|department| department.id == recipient.department.as_str());
        let at_home = home.and_then(|home| {
            let there = home.endpoints().filter(same);
            there.min_by_key(|(contact, _)| *contact != recipient.contact)
        });
        let anywhere = || {
            let mut all = self.departments.values().flat_map(Department::endpoints);
            all.find(same)
        };
        at_home.or_else(anywhere).map(|(_, endpoint)| endpoint)
    }

    /// Whether the plans still know this recipient by these names at this address.
    pub(crate) fn knows(&self, recipient: &Recipient, channel: &str, address: &str) -> bool {
        let mut departments = self.departments.values();
        departments.any(|department| {
            department.id == recipient.department.as_str()
                && department.endpoints().any(|(contact, endpoint)| {
                    contact == recipient.contact
                        && endpoint.kind() == channel
                        && address_of(endpoint) == address
                })
        })
    }
}

impl Department {
    /// The department's own endpoints (contact empty), then those of its people.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, &Endpoint)> {
        let own = self.channels.iter().map(|endpoint| ("", endpoint));
        let people = self.contacts.iter().flat_map(|contact| {
            contact
                .channels
                .iter()
                .map(|endpoint| (contact.name.as_str(), endpoint))
        });
        own.chain(people)
    }
}

/// The address as the ledger keeps it: complete, but without the signing secret.
pub(crate) fn address_of(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Webhook { url, .. } => url.to_string(),
        Endpoint::CapMqtt { topic } => topic.to_string(),
        Endpoint::Sms { phone } => phone.to_string(),
        Endpoint::Mail { address } => address.to_string(),
    }
}
