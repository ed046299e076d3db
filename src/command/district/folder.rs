//! The bundle of a folder: what the configuration in it names, as `run` reads it, or files of the usual names where it
//! has none. Reading otherwise than `run` would take away what lies elsewhere, such as packs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::bundle::{self, BundleFile};
use crate::cli::Target;
use crate::config;
use crate::in_force::told;

/// The configuration of a service, in its folder.
pub const CONFIG: &str = "citywatch.toml";

/// The configuration whose `[bundle]` is that of the folder: the one that is named if it stands there, whatever its
/// name, else the usual one.
fn own_config(target: &Target) -> Option<PathBuf> {
    let folder = target.folder.canonicalize().ok();
    let of_folder = |path: &&PathBuf| {
        let path = path.canonicalize().ok();
        path.is_some_and(|path| path.parent() == folder.as_deref())
    };
    let named = target.config.as_ref().filter(of_folder).cloned();
    let beside = target.folder.join(CONFIG);
    named.or_else(|| beside.exists().then_some(beside))
}

/// The files of the folder's bundle.
pub fn files(target: &Target) -> Result<Vec<BundleFile>, String> {
    let config = own_config(target);
    let files = found(target, config.as_deref())?;
    if files.is_empty() {
        return Err(match config {
            Some(config) => format!(
                "{} names nothing of a bundle: name sensors, zones, plans or rules under [bundle]",
                config.display()
            ),
            None => format!(
                "{} holds nothing of a bundle: it needs sensors.csv, zones.yaml, plans.yaml or rules/NAME.yaml",
                target.folder.display()
            ),
        });
    }
    Ok(files)
}

fn found(target: &Target, config: Option<&Path>) -> Result<Vec<BundleFile>, String> {
    let files = match config {
        Some(config) => {
            let config = config::read(config).map_err(|problems| {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                lines.join("\n")
            })?;
            bundle::of_paths(&config.bundle)
        }
        None => bundle::of_folder(&target.folder),
    };
    files.map_err(|mistakes| told(&mistakes))
}

/// Where the files of the folder's bundle stand.
pub struct Places {
    folder: PathBuf,
    known: BTreeMap<String, PathBuf>,
}

impl Places {
    /// Those of a folder that may be empty yet.
    pub fn of(target: &Target) -> Places {
        let there = if target.folder.is_dir() {
            found(target, own_config(target).as_deref())
        } else {
            Ok(Vec::new())
        };
        let there = there.unwrap_or_else(|problem| {
            // what cannot be read is told by the next `apply`
            tracing::warn!("{problem}");
            Vec::new()
        });
        let known = there.into_iter().map(|file| (file.name, file.shown.into()));
        Places {
            folder: target.folder.clone(),
            known: known.collect(),
        }
    }

    /// Where the file of this name stands, or would.
    pub fn of_file(&self, name: &str) -> PathBuf {
        let known = self.known.get(name);
        known.cloned().unwrap_or_else(|| self.folder.join(name))
    }

    /// Whether `path` lies in the folder; what a configuration names elsewhere serves others too.
    pub fn holds(&self, path: &Path) -> bool {
        let whole = |path: &Path| path.canonicalize().ok();
        let folder = whole(&self.folder);
        whole(path).is_some_and(|path| folder.is_some_and(|folder| path.starts_with(folder)))
    }

    /// Files that are not among `files`.
    pub fn others(&self, files: &[BundleFile]) -> Vec<String> {
        let names: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
        let others = self
            .known
            .keys()
            .filter(|name| !names.contains(name.as_str()));
        others.cloned().collect()
    }
}
