//! Brings a ledger file to the present schema. Versions only go up; a file of a newer program is refused
//! untouched.

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::LedgerError;

/// The steps in order; the index plus one is the schema version.
const STEPS: [&str; 6] = [
    include_str!("schema-1.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
    include_str!("schema-6.sql"),
];

pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), LedgerError> {
    let failed = || LedgerError::storage("bring the schema up to date");
    sqlx::query("CREATE TABLE IF NOT EXISTS schema_versions (version BIGINT PRIMARY KEY, applied_at BIGINT NOT NULL)")
        .execute(&mut *connection)
        .await
        .map_err(failed())?;
    let found: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM schema_versions")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed())?;
    let found = found.unwrap_or(0);
    let known = STEPS.len() as i64;
    if found > known {
        return Err(LedgerError::NewerSchema { found, known });
    }
    for (version, step) in (1_i64..).zip(STEPS).skip(found as usize) {
        let mut transaction = connection.begin().await.map_err(failed())?;
        let step = for_sqlite(step);
        sqlx::raw_sql(AssertSqlSafe(step))
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        sqlx::query("INSERT INTO schema_versions (version, applied_at) VALUES ($1, $2)")
            .bind(version)
            .bind(super::wall().millis())
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        transaction.commit().await.map_err(failed())?;
    }
    Ok(())
}

/// The shared SQL with what only SQLite needs in order to write fewer pages.
fn for_sqlite(step: &str) -> String {
    // 64 bits wide in both; under this name SQLite keeps the rows by it and needs no index beside them
    step.replace("BIGINT PRIMARY KEY", "INTEGER PRIMARY KEY")
        .replace("); -- clustered", ") WITHOUT ROWID;")
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::super::filter::{AlertFilter, AlertState, DeliveryFilter};
    use super::super::{DeliveryState, channels, queue, writer};
    use super::*;
    use crate::accounts::View;

    async fn plan(connection: &mut SqliteConnection, sql: &str) -> String {
        let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
            .fetch_all(connection)
            .await
            .unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        steps.join("; ")
    }

    #[tokio::test]
    async fn what_is_not_done_with_is_found_without_reading_all_that_is() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        migrate(&mut connection).await.unwrap();
        let open = AlertFilter {
            state: Some(AlertState::New),
            ..AlertFilter::default()
        };
        let dead = DeliveryFilter {
            state: Some(DeliveryState::Dead),
            ..DeliveryFilter::default()
        };
        let failed = DeliveryFilter {
            state: Some(DeliveryState::Failed),
            ..DeliveryFilter::default()
        };
        let of_warning = DeliveryFilter {
            warning: Some(1),
            ..DeliveryFilter::default()
        };
        let queries = [
            (writer::LIVE.to_owned(), "alerts_one_open"),
            (writer::LIVE.to_owned(), "alerts_forced"),
            (queue::UNFINISHED.to_owned(), "deliveries_work (state=?)"),
            (
                open.query(&[], &View::whole()).unwrap().into_string(),
                "alerts_one_open",
            ),
            (
                dead.query(&View::whole()).unwrap().into_string(),
                "deliveries_work (state=?)",
            ),
            (
                failed.query(&View::whole()).unwrap().into_string(),
                "deliveries_failed",
            ),
            (
                queue::TOLD_BEFORE.to_owned(),
                "deliveries_alert (alert=? AND id<?)",
            ),
            (channels::COUNTS.to_owned(), "deliveries_work"),
            (channels::COUNTS.to_owned(), "deliveries_failed"),
            (
                of_warning.query(&View::whole()).unwrap().into_string(),
                "deliveries_alert (alert=?)",
            ),
        ];
        for (sql, index) in queries {
            let plan = plan(&mut connection, &sql).await;
            assert!(plan.contains(&format!("INDEX {index}")), "{sql}: {plan}");
        }
    }
}
