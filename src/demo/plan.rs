//! Which stretches of which recorded series the demo replays, and how they are shifted in time.

use std::path::{Path, PathBuf};

use citywatch_ingest::recorded::{self, Options};
use citywatch_model::{Duration, Observation, Time};
use serde::Deserialize;

/// `replay.yaml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayPlan {
    /// The recorded sets.
    pub sets: Vec<Set>,
}

/// A stretch of one recorded set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// Folder below `data/`.
    pub folder: String,
    /// From here, included.
    pub from: Time,
    /// Up to here, excluded.
    pub to: Time,
}

impl ReplayPlan {
    /// Reads the YAML text.
    pub fn parse(text: &str) -> Result<ReplayPlan, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    /// Length of the longest stretch.
    pub fn length(&self) -> Duration {
        self.sets
            .iter()
            .map(|set| set.to.since(set.from))
            .max()
            .unwrap_or(Duration::ZERO)
    }

    /// All observations, each set shifted so that it begins at `start`, in the order of time.
    pub fn observations(&self, folder: &Path, start: Time) -> Result<Vec<Observation>, String> {
        let mut all = Vec::new();
        for set in &self.sets {
            let file = readings_file(&folder.join("data").join(&set.folder))?;
            let mut source =
                recorded::open(&[file], Options::default()).map_err(|error| error.to_string())?;
            for mut observation in source
                .by_ref()
                .filter(|row| (set.from..set.to).contains(&row.time))
            {
                observation.time = start + observation.time.since(set.from);
                observation.arrival = observation.time;
                all.push(observation);
            }
            if source.report().bad_rows > 0 {
                return Err(format!(
                    "the demo's data in {} are damaged; restore them",
                    set.folder
                ));
            }
        }
        all.sort_by_key(|observation| observation.time);
        Ok(all)
    }
}

fn readings_file(folder: &Path) -> Result<PathBuf, String> {
    let names = ["readings.csv.gz", "readings.csv"];
    let found = names
        .map(|name| folder.join(name))
        .into_iter()
        .find(|path| path.exists());
    found.ok_or_else(|| {
        format!(
            "{} holds no readings.csv; name the demo's folder with --folder",
            folder.display()
        )
    })
}
