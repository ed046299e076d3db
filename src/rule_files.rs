//! Finds and reads rule files; what they say is the rule language's affair.

use std::path::{Path, PathBuf};

use citywatch_model::RuleSource;

use crate::config::Problem;

/// Reads every path: a file as it is, of a folder each `.yaml` and `.yml` in the order of their names.
/// All files that cannot be read are told at once.
pub fn read(paths: &[PathBuf]) -> Result<Vec<RuleSource>, Vec<Problem>> {
    let mut sources = Vec::new();
    let mut problems = Vec::new();
    for file in self::paths(paths)? {
        match std::fs::read_to_string(&file) {
            Ok(text) => sources.push(RuleSource {
                file: file.display().to_string(),
                text,
            }),
            Err(error) => problems.push(unreadable(&file, &error.to_string())),
        }
    }
    if problems.is_empty() {
        Ok(sources)
    } else {
        Err(problems)
    }
}

/// The rule files behind `paths`.
pub fn paths(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Vec<Problem>> {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        match files(path) {
            Ok(files) => found.extend(files),
            Err(error) => problems.push(unreadable(path, &error)),
        }
    }
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(problems)
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| error.to_string())?;
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    files.retain(|file| {
        file.extension()
            .is_some_and(|end| end == "yaml" || end == "yml")
    });
    files.sort();
    if files.is_empty() {
        return Err("the folder holds no .yaml file".to_owned());
    }
    Ok(files)
}

fn unreadable(path: &Path, why: &str) -> Problem {
    Problem {
        file: path.display().to_string(),
        line: 0,
        message: format!("cannot read rules: {why}; name a rule file or a folder of them"),
    }
}
