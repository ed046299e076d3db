//! Further columns of the registry are tags. One whose name is nearly that of a known column was meant to be that: as a
//! tag it would leave a range, an interval or a place out of force without a word.

use std::collections::BTreeSet;

use citywatch_alerting::ledger::Part;
use citywatch_ingest::registry::KNOWN_COLUMNS;
use citywatch_rules::is_one_letter_off;

use super::{Bundle, Mistake};

/// Names of columns that are shorter are a letter away from too many honest tags.
const SHORTEST: usize = 4;

/// One mistake for each tag that nearly bears the name of a column.
pub fn misspelt(bundle: &Bundle) -> Vec<Mistake> {
    let sensors = bundle.registry.sensors.values();
    let tags: BTreeSet<&str> = sensors
        .flat_map(|sensor| sensor.tags.keys().map(|tag| tag.as_str()))
        .collect();
    let file = bundle.files.iter().find(|file| file.part == Part::Sensors);
    let shown = file.map_or("sensors", |file| file.shown.as_str());
    // a CSV registry begins with its columns
    let line = file.filter(|file| file.name.ends_with(".csv")).map(|_| 1);
    let mistake = |tag: &str| {
        let meant = meant(tag)?;
        let message = format!(
            "`{tag}` is taken for a tag: write `{meant}` if that column is meant, else choose another name"
        );
        let mistake = Mistake {
            line,
            ..Mistake::of_file(shown, &message)
        };
        Some(mistake.written())
    };
    tags.into_iter().filter_map(mistake).collect()
}

/// The known column that a tag was meant to be.
fn meant(tag: &str) -> Option<&'static str> {
    let small = tag.to_lowercase();
    let near = |known: &&str| {
        // a number behind a name counts things: `zone2` is no slip
        let slip = known.len() >= SHORTEST && !small.contains(|c: char| c.is_ascii_digit());
        small == **known || slip && is_one_letter_off(&small, known)
    };
    KNOWN_COLUMNS.iter().copied().find(near)
}

#[cfg(test)]
mod tests {
    use super::meant;

    #[test]
    fn a_slip_is_told_from_a_tag() {
        for (tag, column) in [
            ("Max", Some("max")),
            ("MIN", Some("min")),
            ("intervall", Some("interval")),
            ("Zones", Some("zone")),
            ("stale_aftr", Some("stale_after")),
            ("map", None),
            ("zone2", None),
            ("kind", None),
            ("owner", None),
            ("height_m", None),
        ] {
            assert_eq!(meant(tag), column, "{tag}");
        }
    }
}
