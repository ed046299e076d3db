//! Writes of one transaction, gathered so that a single call carries them to the database: a call costs two changes
//! of thread, which is more than most statements cost themselves.

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, SqliteConnection};

use crate::LedgerError;

/// A raise with its warning and a few deliveries fits into this.
const COMMON_BYTES: usize = 4 * 1024;

/// A statement that answers nothing, with `$1`, `$2`, … for its values.
pub(super) struct Statement {
    sql: &'static str,
    values: Vec<Value>,
}

/// What a statement can hold.
pub(super) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

/// A statement without values.
pub(super) fn statement(sql: &'static str) -> Statement {
    Statement {
        sql,
        values: Vec::new(),
    }
}

impl Statement {
    /// Gives the next value.
    pub fn bind(mut self, value: impl Into<Value>) -> Statement {
        self.values.push(value.into());
        self
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Integer(number)
    }
}

impl From<i16> for Value {
    fn from(number: i16) -> Value {
        Value::Integer(number.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Real(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// Statements that wait to be carried out, in order.
#[derive(Default)]
pub(super) struct Statements {
    sql: String,
    values: Vec<Value>,
    taken: usize,
}

impl Statements {
    /// How many have ever been added.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Adds one behind the others; its `$1` becomes the next number that is free.
    pub fn add(&mut self, statement: Statement) {
        self.taken += 1;
        let before = self.values.len();
        let mut parts = statement.sql.split('$');
        self.sql.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            // our own statements use `$` for nothing but values
            let number: usize = part[..digits].parse().unwrap_or_default();
            self.sql.push_str(&format!("${}", before + number));
            self.sql.push_str(&part[digits..]);
        }
        self.sql.push(';');
        self.values.extend(statement.values);
    }

    /// Carries out what waits.
    pub async fn carry_out(
        &mut self,
        connection: &mut SqliteConnection,
    ) -> Result<(), LedgerError> {
        if self.sql.is_empty() {
            return Ok(());
        }
        let failed = LedgerError::storage("write");
        let mut arguments = SqliteArguments::default();
        let mut bind = |value: &Value| match value {
            Value::Null => Arguments::add(&mut arguments, None::<i64>),
            Value::Integer(number) => Arguments::add(&mut arguments, *number),
            Value::Real(number) => Arguments::add(&mut arguments, *number),
            Value::Text(text) => Arguments::add(&mut arguments, text.clone()),
        };
        let bound = self.values.iter().try_for_each(&mut bind);
        let sql = std::mem::take(&mut self.sql);
        self.values.clear();
        if let Err(error) = bound {
            return Err(failed(sqlx::Error::Encode(error)));
        }
        // the text is put together from our own statements; values are bound
        // a long bundle hardly comes twice, and each that is kept prepared costs memory
        let common = sql.len() <= COMMON_BYTES;
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(common);
        query.execute(connection).await.map_err(failed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_from_statement_to_statement() {
        let mut statements = Statements::default();
        statements.add(
            statement("INSERT INTO a VALUES ($1, $2)")
                .bind(1_i64)
                .bind("x"),
        );
        statements.add(
            statement("UPDATE b SET c = $2 WHERE d = $1")
                .bind(7_i64)
                .bind(None::<f64>),
        );
        let expected = "INSERT INTO a VALUES ($1, $2);UPDATE b SET c = $4 WHERE d = $3;";
        assert_eq!(
            (statements.sql.as_str(), statements.values.len()),
            (expected, 4)
        );
    }
}
