//! `[archive]`: where every reading is kept once more. Absent, nothing is archived.

use std::path::{Path, PathBuf};

use citywatch_ingest::archive::{ArchiveConfig, check_url};
use citywatch_model::Duration;
use serde::Deserialize;

use super::secret::{self, Secret};

/// `[archive]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// `http://host:port` or `https://host` of InfluxDB 2.
    pub url: String,
    /// Organisation.
    pub org: String,
    /// Bucket.
    pub bucket: String,
    /// Token with the right to write into the bucket.
    pub token: Option<Secret>,
    /// Or a file that holds it.
    pub token_file: Option<PathBuf>,
    /// Points in one request, at most.
    #[serde(default = "batch_points")]
    pub batch_points: usize,
    /// A smaller batch goes out after this long.
    #[serde(default = "flush_every")]
    pub flush_every: Duration,
    /// For a connection.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Duration,
    /// For a request with its answer.
    #[serde(default = "timeout")]
    pub timeout: Duration,
    /// Longest wait between two attempts.
    #[serde(default = "longest_wait")]
    pub longest_wait: Duration,
    /// While it catches up, not more than this.
    #[serde(default = "points_per_second")]
    pub points_per_second: u32,
}

fn batch_points() -> usize {
    5_000
}

fn flush_every() -> Duration {
    Duration::from_secs(1)
}

fn connect_timeout() -> Duration {
    Duration::from_secs(5)
}

fn timeout() -> Duration {
    Duration::from_secs(30)
}

fn longest_wait() -> Duration {
    Duration::from_secs(60)
}

fn points_per_second() -> u32 {
    50_000
}

impl Archive {
    /// What the types cannot say, each with the text in the file that it concerns; `base` is the file's folder.
    pub fn problems(&self, base: &Path) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut wrong = |near: &str, message: String| problems.push((near.to_owned(), message));
        if let Err(problem) = check_url(&self.url) {
            wrong("[archive]", format!("`url` of [archive] {problem}"));
        }
        for (key, text) in [("org", &self.org), ("bucket", &self.bucket)] {
            if text.trim().is_empty() {
                wrong("[archive]", format!("`{key}` of [archive] is empty"));
            }
        }
        if let Err(problem) = self.token(base) {
            wrong("[archive]", problem);
        }
        if !(1..=50_000).contains(&self.batch_points) {
            wrong(
                "batch_points",
                "`batch_points` must lie between 1 and 50000".to_owned(),
            );
        }
        if self.points_per_second < 100 {
            wrong(
                "points_per_second",
                "`points_per_second` must be at least 100".to_owned(),
            );
        }
        for (key, duration, least) in [
            ("flush_every", self.flush_every, 10),
            ("connect_timeout", self.connect_timeout, 100),
            ("timeout", self.timeout, 100),
            ("longest_wait", self.longest_wait, 100),
        ] {
            if !(least..=3_600_000).contains(&duration.millis()) {
                wrong(
                    key,
                    format!("`{key}` of [archive] must lie between {least}ms and 1h"),
                );
            }
        }
        problems
    }

    fn token(&self, base: &Path) -> Result<String, String> {
        let file = self.token_file.as_ref().map(|file| base.join(file));
        let token = secret::read("token", self.token.as_ref(), file.as_deref());
        token
            .map(Option::unwrap_or_default)
            .map_err(|problem| format!("[archive]: {problem}"))
    }

    /// What the archive is opened with; its own folder lies in that of the service.
    pub fn settings(&self, storage: &Path) -> Result<ArchiveConfig, String> {
        // the waits begin at a second, or below where the longest is shorter than that
        let longest_wait = self.longest_wait.to_std();
        Ok(ArchiveConfig {
            token: self.token(Path::new(""))?,
            batch_points: self.batch_points,
            flush_every: self.flush_every.to_std(),
            connect_timeout: self.connect_timeout.to_std(),
            timeout: self.timeout.to_std(),
            first_wait: longest_wait.min(std::time::Duration::from_secs(1)),
            longest_wait,
            points_per_second: self.points_per_second,
            ..ArchiveConfig::new(storage.join("archive"), &self.url, &self.org, &self.bucket)
        })
    }
}
