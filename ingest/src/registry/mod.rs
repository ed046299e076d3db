//! Registry files: sensors from CSV or YAML, zones from YAML. Every problem of a file is reported at once,
//! with file, line, field, value and what to do; a file with a problem gives no registry at all.

use std::path::Path;

use citywatch_model::Registry;

mod problem;
mod row;
mod sensors_csv;
mod sensors_yaml;
mod zones;

pub use problem::{Problem, Problems};
pub use row::KNOWN as KNOWN_COLUMNS;
pub use zones::{Zone, Zones};

/// Reads the sensors of a `.csv`, `.yaml` or `.yml` file. The zone tree stays empty: it comes from
/// [`Zones::enter`].
///
/// # Errors
/// All problems of the file.
pub fn load_registry(path: &Path) -> Result<Registry, Problems> {
    read_registry(path, &problem::read(path)?)
}

/// The same of bytes that were read already; `path` is named in problems and tells the form by its ending.
///
/// # Errors
/// All problems of the file.
pub fn read_registry(path: &Path, bytes: &[u8]) -> Result<Registry, Problems> {
    let (rows, mut problems) = match extension(path).as_str() {
        "csv" => sensors_csv::rows(path, bytes)?,
        "yaml" | "yml" => sensors_yaml::rows(path, bytes)?,
        other => {
            return Err(Problems::one(Problem::of(path).value(other).message(
                "the file's ending is not known: name it .csv, .yaml or .yml",
            )));
        }
    };
    let registry = row::registry(path, &rows, &mut problems);
    problems.unless_empty().map(|()| registry)
}

fn extension(path: &Path) -> String {
    path.extension()
        .map(|ending| ending.to_string_lossy().to_ascii_lowercase())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
