//! What a list can be narrowed by, and the pages it comes in. The texts of a filter only ever become bound
//! arguments, never SQL.

use citywatch_model::{Level, Time};
use serde::{Deserialize, Serialize};
use sqlx::{QueryBuilder, Sqlite};

use super::alert::Handling;
use super::delivery::DeliveryState;
use crate::LedgerError;
use crate::accounts::View;

/// Rows of a page unless the caller says otherwise.
const LIMIT: u32 = 100;
/// Rows of a page at most.
const MAX_LIMIT: u32 = 1_000;

/// A part of a list, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// `cursor` of the next page; absent on the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// `rows` hold one more than the page, if there is one more.
    pub(super) fn cut(mut rows: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Page<T> {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(cursor);
        Page { items: rows, next }
    }
}

pub(super) fn limit(asked: Option<u32>) -> usize {
    asked.unwrap_or(LIMIT).clamp(1, MAX_LIMIT) as usize
}

/// Which alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Not closed.
    Open,
    /// Not closed, and the condition holds.
    Active,
    /// Not closed, and the condition has ended.
    Recovered,
    /// Not closed, and nobody watches any more: the rule or the sensor was changed or removed.
    Unwatched,
    /// Not closed, and somebody must look.
    Attention,
    /// Nobody has taken it.
    New,
    /// Taken, no further.
    Acknowledged,
    /// Judged, no further.
    Verified,
    /// Somebody was sent.
    Assigned,
    /// Closed.
    Closed,
}

/// Which alerts to list; what is absent narrows nothing.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
pub struct AlertFilter {
    /// By condition or handling.
    pub state: Option<AlertState>,
    /// Of this hazard.
    pub hazard: Option<String>,
    /// In this zone or inside it.
    pub zone: Option<String>,
    /// At this level or worse.
    pub level_min: Option<Level>,
    /// Of this rule.
    pub rule: Option<String>,
    /// Those of rules in shadow, instead of those that people handle.
    pub shadow: bool,
    /// At this sensor.
    pub subject: Option<String>,
    /// Active since this time or later.
    pub since: Option<Time>,
    /// Active since before this time.
    pub until: Option<Time>,
    /// Rows of a page, at most 1,000; 100 unless given.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl AlertFilter {
    /// The query; `zones` are the zone asked for and all inside it, `view` is what the caller may see.
    pub(super) fn query(
        &self,
        zones: &[&str],
        view: &View,
    ) -> Result<QueryBuilder<Sqlite>, LedgerError> {
        let mut query = QueryBuilder::new("SELECT body FROM alerts WHERE 1 = 1");
        view.narrow(&mut query, "alerts");
        query.push(if self.shadow {
            " AND shadow = 1"
        } else {
            " AND shadow = 0"
        });
        if let Some(state) = self.state {
            state.narrow(&mut query);
        }
        let texts = [
            ("hazard", &self.hazard),
            ("rule", &self.rule),
            ("subject", &self.subject),
        ];
        for (column, text) in texts {
            if let Some(text) = text {
                query
                    .push(format_args!(" AND {column} = "))
                    .push_bind(text.clone());
            }
        }
        if !zones.is_empty() {
            query.push(" AND zone IN (");
            let mut list = query.separated(", ");
            for zone in zones {
                list.push_bind((*zone).to_owned());
            }
            query.push(")");
        }
        if let Some(level) = self.level_min {
            query
                .push(" AND level >= ")
                .push_bind(i64::from(level.rank()));
        }
        if let Some(since) = self.since {
            query
                .push(" AND active_since >= ")
                .push_bind(since.millis());
        }
        if let Some(until) = self.until {
            query.push(" AND active_since < ").push_bind(until.millis());
        }
        if let Some(cursor) = &self.cursor {
            let (since, id) = cursor
                .split_once('.')
                .and_then(|(since, id)| Some((since.parse::<i64>().ok()?, id.parse::<i64>().ok()?)))
                .ok_or_else(|| wrong_cursor(cursor))?;
            query.push(" AND (active_since < ").push_bind(since);
            query
                .push(" OR (active_since = ")
                .push_bind(since)
                .push(" AND id < ")
                .push_bind(id)
                .push("))");
        }
        // what is open is few and has an index, so it is sorted; what is not is read in order
        let open = self.state.is_some_and(|state| state != AlertState::Closed);
        query
            .push(if open {
                " ORDER BY +active_since DESC, +id DESC LIMIT "
            } else {
                " ORDER BY active_since DESC, id DESC LIMIT "
            })
            .push_bind(limit(self.limit) as i64 + 1);
        Ok(query)
    }
}

impl AlertState {
    fn narrow(self, query: &mut QueryBuilder<Sqlite>) {
        // `handling < 4` names the index of what is open
        let handling =
            |handling: Handling| format!(" AND handling < 4 AND handling = {}", handling as i16);
        query.push(match self {
            AlertState::Open => " AND handling < 4".to_owned(),
            AlertState::Active => " AND handling < 4 AND condition = 0".to_owned(),
            AlertState::Recovered => " AND handling < 4 AND condition = 1".to_owned(),
            AlertState::Unwatched => " AND handling < 4 AND condition = 2".to_owned(),
            AlertState::Attention => " AND handling < 4 AND attention = 1".to_owned(),
            AlertState::New => handling(Handling::New),
            AlertState::Acknowledged => handling(Handling::Acknowledged),
            AlertState::Verified => handling(Handling::Verified),
            AlertState::Assigned => handling(Handling::Assigned),
            AlertState::Closed => " AND handling = 4".to_owned(),
        });
    }
}

/// Which warnings to list.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
pub struct WarningFilter {
    /// On this alert.
    pub alert: Option<i64>,
    /// Of this hazard.
    pub hazard: Option<String>,
    /// Only those in force, or only those that are not.
    pub in_force: Option<bool>,
    /// Rows of a page.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl WarningFilter {
    pub(super) fn query(
        &self,
        now: Time,
        view: &View,
    ) -> Result<QueryBuilder<Sqlite>, LedgerError> {
        let mut query = QueryBuilder::new("SELECT * FROM warnings WHERE 1 = 1");
        view.narrow_by_alert(&mut query, "warnings");
        if let Some(alert) = self.alert {
            query.push(" AND alert = ").push_bind(alert);
        }
        if let Some(hazard) = &self.hazard {
            query.push(" AND hazard = ").push_bind(hazard.clone());
        }
        match self.in_force {
            Some(true) => {
                query
                    .push(" AND state = 0 AND expires > ")
                    .push_bind(now.millis());
            }
            Some(false) => {
                query
                    .push(" AND (state > 0 OR expires <= ")
                    .push_bind(now.millis())
                    .push(")");
            }
            None => {}
        }
        newest_first(&mut query, self.cursor.as_ref(), self.limit)?;
        Ok(query)
    }
}

/// Which deliveries to list.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
pub struct DeliveryFilter {
    /// In this state; `dead` and `failed` are the lists that people work off.
    pub state: Option<DeliveryState>,
    /// By this kind of channel.
    pub channel: Option<String>,
    /// To this department.
    pub department: Option<String>,
    /// Of this alert.
    pub alert: Option<i64>,
    /// Of this warning.
    pub warning: Option<i64>,
    /// With an answer of a person, or without.
    pub answered: Option<bool>,
    /// Rows of a page.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl DeliveryFilter {
    pub(super) fn query(&self, view: &View) -> Result<QueryBuilder<Sqlite>, LedgerError> {
        let mut query = QueryBuilder::new("SELECT * FROM deliveries WHERE 1 = 1");
        view.narrow_by_alert(&mut query, "deliveries");
        if let Some(state) = self.state {
            query
                .push(" AND state = ")
                .push_bind(i64::from(state as i16));
            if state < DeliveryState::Cancelled {
                query.push(" AND state < 3"); // names the index of what is not done with
            } else if state == DeliveryState::Failed {
                query.push(" AND state = 5"); // names the index of what failed
            }
        }
        for (column, text) in [("channel", &self.channel), ("department", &self.department)] {
            if let Some(text) = text {
                query
                    .push(format_args!(" AND {column} = "))
                    .push_bind(text.clone());
            }
        }
        if let Some(alert) = self.alert {
            query.push(" AND alert = ").push_bind(alert);
        }
        if let Some(warning) = self.warning {
            query.push(" AND warning = ").push_bind(warning);
            query
                .push(" AND alert = (SELECT alert FROM warnings WHERE id = ")
                .push_bind(warning)
                .push(")");
        }
        if let Some(answered) = self.answered {
            query.push(if answered {
                " AND answer IS NOT NULL"
            } else {
                " AND answer IS NULL"
            });
        }
        newest_first(&mut query, self.cursor.as_ref(), self.limit)?;
        Ok(query)
    }
}

fn newest_first(
    query: &mut QueryBuilder<Sqlite>,
    cursor: Option<&String>,
    asked: Option<u32>,
) -> Result<(), LedgerError> {
    if let Some(cursor) = cursor {
        let before: i64 = cursor.parse().map_err(|_| wrong_cursor(cursor))?;
        query.push(" AND id < ").push_bind(before);
    }
    query
        .push(" ORDER BY id DESC LIMIT ")
        .push_bind(limit(asked) as i64 + 1);
    Ok(())
}

fn wrong_cursor(cursor: &str) -> LedgerError {
    LedgerError::Invalid(format!(
        "`{cursor}` is not a cursor: pass `next` of the page before, or leave it out"
    ))
}
