//! The part of the report on what another set of rules changes.

use std::fmt::{self, Formatter};

use super::words::{Seconds, more};
use crate::backtest::difference::{Difference, Moved};
use crate::backtest::report::AlertLine;

pub fn against(f: &mut Formatter<'_>, difference: &Difference) -> fmt::Result {
    writeln!(
        f,
        "\nAgainst the other rules: {} alerts before, {} after; {} alike, {} new, {} gone, {} at another level, {} earlier, {} later",
        difference.before,
        difference.after,
        difference.unchanged,
        difference.new,
        difference.gone,
        difference.other_level,
        difference.earlier,
        difference.later
    )?;
    for rule in difference.rules.iter().filter(|rule| rule.differs()) {
        writeln!(
            f,
            "  {}: {} -> {}; {} new, {} gone, {} at another level, {} earlier, {} later",
            rule.rule,
            rule.before,
            rule.after,
            rule.new,
            rule.gone,
            rule.other_level,
            rule.earlier,
            rule.later
        )?;
    }
    lines(f, "new", difference.new, &difference.first_new)?;
    lines(f, "gone", difference.gone, &difference.first_gone)?;
    let other_level = (difference.other_level, &difference.first_other_level);
    moved(f, "at another level", other_level)?;
    moved(
        f,
        "earlier",
        (difference.earlier, &difference.first_earlier),
    )?;
    moved(f, "later", (difference.later, &difference.first_later))
}

fn lines(f: &mut Formatter<'_>, what: &str, count: u64, first: &[AlertLine]) -> fmt::Result {
    for line in first {
        let end = line
            .cleared
            .map_or_else(|| "open".to_owned(), |cleared| cleared.to_string());
        writeln!(
            f,
            "  {what}: {} to {end} {} {} {}",
            line.raised, line.level, line.rule, line.subject
        )?;
    }
    more(f, count, first.len(), what)
}

fn moved(f: &mut Formatter<'_>, what: &str, (count, first): (u64, &Vec<Moved>)) -> fmt::Result {
    for moved in first {
        writeln!(
            f,
            "  {what}: {} {} {} -> {} {}, {} {}",
            moved.before,
            moved.level_before,
            Seconds(moved.shift_s),
            moved.after,
            moved.level_after,
            moved.rule,
            moved.subject
        )?;
    }
    more(f, count, first.len(), what)
}
