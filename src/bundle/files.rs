//! The files of a bundle: found in the places that a configuration names, or in a folder of the usual form. Reads
//! texts and gives each its name in the bundle; what the texts say is judged elsewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use citywatch_alerting::ledger::Part;
use citywatch_model::RuleSource;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Mistake;
use crate::{config, rule_files};

/// Names under which a folder holds its parts other than rules.
const USUAL: [(&str, Part); 7] = [
    ("sensors.csv", Part::Sensors),
    ("sensors.yaml", Part::Sensors),
    ("sensors.yml", Part::Sensors),
    ("zones.yaml", Part::Zones),
    ("zones.yml", Part::Zones),
    ("plans.yaml", Part::Plans),
    ("plans.yml", Part::Plans),
];

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFile {
    /// What it holds.
    pub part: Part,
    /// Its name in the bundle, such as `rules/gas.yaml`.
    pub name: String,
    /// Its name in messages.
    pub shown: String,
    /// What stands in it.
    pub text: String,
}

impl From<BundleFile> for RuleSource {
    fn from(file: BundleFile) -> RuleSource {
        RuleSource {
            file: file.shown,
            text: file.text,
        }
    }
}

/// One file as the API has it
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedText {
    /// `sensors.csv` (or `.yaml`), `zones.yaml`, `plans.yaml` or `rules/NAME.yaml`
    #[schema(example = "rules/gas.yaml")]
    pub file: String,
    /// What stands in it
    #[schema(
        example = "rules:\n  - id: gas.leak\n    measurement: methane\n    levels: { orange: value >= 20 }\n"
    )]
    pub text: String,
}

impl BundleFile {
    /// The file of that name in a bundle.
    pub fn named(name: &str, text: String) -> Result<BundleFile, Mistake> {
        let usual = USUAL.iter().find(|(usual, _)| *usual == name);
        let rule = name
            .strip_prefix("rules/")
            .is_some_and(|rest| !rest.contains(['/', '\\']) && is_yaml(Path::new(rest)));
        let part = match usual {
            Some((_, part)) => *part,
            None if rule => Part::Rules,
            None => {
                return Err(Mistake::of_file(
                    name,
                    "is not a file of a bundle: the files are sensors.csv, zones.yaml, plans.yaml and rules/NAME.yaml",
                ));
            }
        };
        Ok(BundleFile {
            part,
            name: name.to_owned(),
            shown: name.to_owned(),
            text: without_mark(text),
        })
    }
}

/// The text without a byte order mark.
fn without_mark(mut text: String) -> String {
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    text
}

fn is_yaml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| end == "yaml" || end == "yml")
}

/// In the order of parts and names.
fn ordered(mut files: Vec<BundleFile>) -> Vec<BundleFile> {
    files.sort_by(|a, b| (a.part, &a.name).cmp(&(b.part, &b.name)));
    files
}

/// Files that come by their names.
pub fn of_texts(texts: Vec<NamedText>) -> Result<Vec<BundleFile>, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut names = BTreeSet::new();
    let mut files = Vec::new();
    for NamedText { file, text } in texts {
        if !names.insert(file.clone()) {
            mistakes.push(Mistake::of_file(&file, "comes twice: keep one of them"));
        }
        match BundleFile::named(&file, text) {
            Ok(file) => files.push(file),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() {
        Ok(ordered(files))
    } else {
        Err(mistakes)
    }
}

/// The files of a folder that holds them under their usual names.
pub fn of_folder(folder: &Path) -> Result<Vec<BundleFile>, Vec<Mistake>> {
    if !folder.is_dir() {
        let shown = folder.display().to_string();
        return Err(vec![Mistake::of_file(
            &shown,
            "is not a folder: name one that holds sensors.csv, zones.yaml, plans.yaml and rules/",
        )]);
    }
    let found = |part: Part| {
        let usual = USUAL.iter().filter(move |(_, of)| *of == part);
        let mut paths = usual.map(|(name, _)| folder.join(name));
        paths.find(|path| path.exists())
    };
    let rules = folder.join("rules");
    of_paths(&config::Bundle {
        sensors: found(Part::Sensors),
        zones: found(Part::Zones),
        plans: found(Part::Plans),
        rules: if rules.is_dir() {
            vec![rules]
        } else {
            Vec::new()
        },
    })
}

/// The files that a configuration names.
pub fn of_paths(paths: &config::Bundle) -> Result<Vec<BundleFile>, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut files = Vec::new();
    let singles = [
        (Part::Sensors, "sensors", &paths.sensors),
        (Part::Zones, "zones", &paths.zones),
        (Part::Plans, "plans", &paths.plans),
    ];
    for (part, name, path) in singles {
        let Some(path) = path else { continue };
        // only sensors have two forms; an ending that tells neither is refused when they are read
        let csv = path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("csv"));
        let end = if part == Part::Sensors && csv {
            "csv"
        } else {
            "yaml"
        };
        match read(path) {
            Ok(text) => files.push(BundleFile {
                part,
                name: format!("{name}.{end}"),
                shown: path.display().to_string(),
                text,
            }),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if !paths.rules.is_empty() {
        match rule_files::paths(&paths.rules) {
            Ok(found) => add_rules(&found, &mut files, &mut mistakes),
            Err(problems) => mistakes.extend(problems.iter().map(Mistake::from)),
        }
    }
    if mistakes.is_empty() {
        Ok(ordered(files))
    } else {
        Err(mistakes)
    }
}

fn add_rules(paths: &[PathBuf], files: &mut Vec<BundleFile>, mistakes: &mut Vec<Mistake>) {
    let mut names = BTreeSet::new();
    for path in paths {
        let own = path.file_name().unwrap_or_default().to_string_lossy();
        let end = if is_yaml(path) { "" } else { ".yaml" };
        let mut name = format!("rules/{own}{end}");
        let mut folders = path.ancestors().skip(1);
        // a bundle has one folder of rules; two files of one name get that of their folder before it
        while names.contains(&name) {
            let folder = folders.next().and_then(Path::file_name).unwrap_or_default();
            let rest = name.trim_start_matches("rules/").to_owned();
            name = format!("rules/{}-{rest}", folder.to_string_lossy());
        }
        names.insert(name.clone());
        match read(path) {
            Ok(text) => files.push(BundleFile {
                part: Part::Rules,
                name,
                shown: path.display().to_string(),
                text,
            }),
            Err(mistake) => mistakes.push(mistake),
        }
    }
}

fn read(path: &Path) -> Result<String, Mistake> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        let message = format!("cannot be read: {error}: check the path and its permissions");
        Mistake::of_file(&shown, &message)
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        Mistake {
            line: u32::try_from(line).ok(),
            ..Mistake::of_file(&shown, "is not UTF-8: save the file as UTF-8, not as GBK")
        }
        .written()
    })?;
    Ok(without_mark(text))
}
