//! To which hazards and zones somebody is bound, and what of the ledger lies inside. One predicate in two forms: on a
//! value, and as a condition of a query, so that what is outside never leaves the database.

use std::collections::BTreeSet;
use std::sync::Arc;

use citywatch_model::existing_name;
use serde::{Deserialize, Serialize};
use sqlx::{QueryBuilder, Sqlite};
use utoipa::ToSchema;

use crate::settings::Zones;

/// The hazards and zones somebody is bound to, as they were given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Bounds {
    /// Only these hazards; empty: all, and what has none.
    pub hazards: BTreeSet<String>,
    /// Only these zones and what nests in them; empty: all, and what lies in none.
    pub zones: BTreeSet<String>,
}

/// What somebody sees: bounds with all zones that nest in them. The default sees everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    hazards: Option<Arc<BTreeSet<String>>>,
    zones: Option<Arc<BTreeSet<String>>>,
}

impl Bounds {
    /// Whether nothing is bound.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.hazards.is_empty() && self.zones.is_empty()
    }

    /// What that is where these zones are in force.
    #[must_use]
    pub fn view(&self, zones: &Zones) -> View {
        let within = |zone: &String| {
            // only names that are in use are interned: the text comes from outside
            let inside = existing_name(zone).map(|zone| zones.within(zone));
            let inside = inside.unwrap_or_default().into_iter();
            inside.map(|zone| zone.to_string()).chain([zone.clone()])
        };
        View {
            hazards: (!self.hazards.is_empty()).then(|| Arc::new(self.hazards.clone())),
            zones: (!self.zones.is_empty())
                .then(|| Arc::new(self.zones.iter().flat_map(within).collect())),
        }
    }
}

impl View {
    /// The view of somebody who is bound to nothing.
    #[must_use]
    pub fn whole() -> View {
        View::default()
    }

    /// Whether it shows everything.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.hazards.is_none() && self.zones.is_none()
    }

    /// Whether something of that hazard in that zone lies inside; empty texts mean that it has none.
    #[must_use]
    pub fn sees(&self, hazard: &str, zone: &str) -> bool {
        self.sees_hazard(hazard) && self.sees_zone(zone)
    }

    /// Whether the hazard alone does.
    #[must_use]
    pub fn sees_hazard(&self, hazard: &str) -> bool {
        self.hazards
            .as_ref()
            .is_none_or(|hazards| hazards.contains(hazard))
    }

    /// Whether the zone alone does.
    #[must_use]
    pub fn sees_zone(&self, zone: &str) -> bool {
        self.zones.as_ref().is_none_or(|zones| zones.contains(zone))
    }

    /// Whether hazards narrow it.
    #[must_use]
    pub fn is_bound_to_hazards(&self) -> bool {
        self.hazards.is_some()
    }

    /// Adds ` AND …` for the columns `hazard` and `zone` of a table or alias `of`.
    pub(crate) fn narrow(&self, query: &mut QueryBuilder<Sqlite>, of: &'static str) {
        for (column, allowed) in [("hazard", &self.hazards), ("zone", &self.zones)] {
            let Some(allowed) = allowed else { continue };
            query.push(format_args!(" AND {of}.{column} IN ("));
            let mut list = query.separated(", ");
            for text in allowed.iter() {
                list.push_bind(text.clone());
            }
            query.push(")");
        }
    }

    /// Adds ` AND …` for rows of a table `of` whose column `alert` names one.
    pub(crate) fn narrow_by_alert(&self, query: &mut QueryBuilder<Sqlite>, of: &'static str) {
        if self.is_whole() {
            return;
        }
        query.push(format_args!(
            " AND EXISTS (SELECT 1 FROM alerts seen WHERE seen.id = {of}.alert"
        ));
        self.narrow(query, "seen");
        query.push(")");
    }
}

#[cfg(test)]
mod tests {
    use citywatch_model::name;
    use proptest::prelude::*;

    use super::*;
    use crate::settings::Zone;

    fn zones() -> Zones {
        let zone = |parent: Option<&str>| Zone {
            parent: parent.map(name),
            ..Zone::default()
        };
        Zones(
            [
                (name("district"), zone(None)),
                (name("street-1"), zone(Some("district"))),
                (name("cell-1"), zone(Some("street-1"))),
                (name("street-2"), zone(Some("district"))),
            ]
            .into(),
        )
    }

    fn bounds(hazards: &[&str], zones: &[&str]) -> Bounds {
        let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Bounds {
            hazards: set(hazards),
            zones: set(zones),
        }
    }

    #[test]
    fn a_zone_holds_what_nests_in_it_and_nothing_beside_it() {
        let view = bounds(&["gas"], &["street-1"]).view(&zones());
        assert!(view.sees("gas", "street-1") && view.sees("gas", "cell-1"));
        for (hazard, zone) in [
            ("gas", "street-2"),
            ("gas", "district"),
            ("gas", ""),
            ("flood", "cell-1"),
            ("", "cell-1"),
        ] {
            assert!(!view.sees(hazard, zone), "{hazard} {zone}");
        }
        let unknown = bounds(&[], &["nowhere-else"]).view(&zones());
        assert!(unknown.sees("gas", "nowhere-else") && !unknown.sees("gas", "street-1"));
        assert!(View::whole().sees("", ""));
    }

    proptest! {
        /// More bounds never show more; an outer zone shows all that an inner one does.
        #[test]
        fn narrower_bounds_show_less(
            hazards in proptest::sample::subsequence(vec!["gas", "flood", "water"], 1..3),
            inner in proptest::sample::subsequence(vec!["cell-1", "street-1", "street-2"], 1..3),
            hazard in proptest::sample::select(vec!["gas", "flood", "water", ""]),
            zone in proptest::sample::select(vec!["cell-1", "street-1", "street-2", "district", "", "else"]),
        ) {
            let narrow = bounds(&hazards, &inner).view(&zones());
            let by_zone = bounds(&[], &inner).view(&zones());
            let outer = bounds(&hazards, &["district"]).view(&zones());
            prop_assert!(!narrow.sees(hazard, zone) || by_zone.sees(hazard, zone));
            prop_assert!(!narrow.sees(hazard, zone) || outer.sees(hazard, zone));
            prop_assert_eq!(narrow.sees(hazard, zone), hazards.contains(&hazard) && by_zone.sees(hazard, zone));
        }
    }
}
