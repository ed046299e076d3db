//! Sensors as CSV: the first line names the columns, `sensor_id` must be among them.

use std::path::Path;

use super::problem::{Problem, Problems, utf8};
use super::row::{KNOWN, Row};

pub(super) fn rows(file: &Path, bytes: &[u8]) -> Result<(Vec<Row>, Problems), Problems> {
    let text = utf8(file, bytes)?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .flexible(true)
        .from_reader(text.as_bytes());
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => return Err(Problems::one(unreadable(file, &error))),
    };
    let mut problems = Problems::default();
    check_header(file, &header, &mut problems);
    if !problems.0.is_empty() {
        return Err(problems);
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        match record {
            Ok(record) => rows.extend(row(file, &header, &record, &mut problems)),
            Err(error) => problems.add(unreadable(file, &error)),
        }
    }
    Ok((rows, problems))
}

fn check_header(file: &Path, header: &csv::StringRecord, problems: &mut Problems) {
    let columns: Vec<&str> = header.iter().collect();
    let problem = || Problem::of(file).line(1);
    if !columns.contains(&"sensor_id") {
        let found = columns.join(",");
        let message = format!(
            "the header has no column sensor_id: name the columns, such as {}",
            KNOWN.join(",")
        );
        problems.add(problem().field("sensor_id").value(&found).message(message));
    }
    for (index, column) in columns.iter().enumerate() {
        if column.is_empty() {
            problems.add(problem().message(format!(
                "column {} has no name: name it or remove it",
                index + 1
            )));
        } else if columns[..index].contains(column) {
            problems.add(
                problem()
                    .field(column)
                    .message("the column stands twice: keep one of them"),
            );
        }
    }
}

fn row(
    file: &Path,
    header: &csv::StringRecord,
    record: &csv::StringRecord,
    problems: &mut Problems,
) -> Option<Row> {
    let line = record.position().map_or(0, csv::Position::line);
    if record.len() != header.len() {
        let (found, expected) = (record.len(), header.len());
        let message = format!(
            "the row has {found} fields, the header {expected}: quote a field that holds a comma"
        );
        problems.add(Problem::of(file).line(line).message(message));
        return None;
    }
    let filled = header
        .iter()
        .zip(record.iter())
        .filter(|(_, value)| !value.is_empty());
    let cells = filled
        .map(|(field, value)| (field.to_owned(), value.to_owned()))
        .collect();
    Some(Row {
        line,
        cells,
        tags: Vec::new(),
    })
}

fn unreadable(file: &Path, error: &csv::Error) -> Problem {
    let problem = Problem::of(file).message(format!("cannot be read as CSV: {error}"));
    match error.position() {
        Some(position) => problem.line(position.line()),
        None => problem,
    }
}
