//! Brings a ledger file to the present schema. Versions only go up; a file of a newer program is refused
//! untouched.

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::LedgerError;

/// The steps in order; the index plus one is the schema version.
const STEPS: [&str; 1] = [include_str!("schema-1.sql")];

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
        // 64 bits wide in both; under this name SQLite keeps the rows by it and needs no index beside them
        let step = step.replace("BIGINT PRIMARY KEY", "INTEGER PRIMARY KEY");
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
