//! How levels rise and fall: up at once to the worst, down one after the other as each has been false for long
//! enough, out only if the alert may end.

use citywatch_model::Level;

use super::evaluate::Scene;
use super::proof::Run;
use super::truth::Truth;

/// Which levels have been known to be false for `hold`.
#[inline]
pub(super) fn gone(
    falls: &mut [Option<Run>],
    scene: &Scene<'_>,
    truths: [Option<Truth>; 4],
) -> [bool; 4] {
    if falls.is_empty() {
        return truths.map(|truth| truth == Some(Truth::False));
    }
    let hold_ms = scene.program.hold_ms;
    let mut gone = [false; 4];
    for (place, level) in scene.program.levels.iter().enumerate() {
        let Some(level) = level else { continue };
        let mut instant = scene.instant(level.clocked);
        // a reading at the last moment of `hold` is as good as the moment itself
        instant.moment |= instant.touched;
        falls[place] =
            (truths[place] == Some(Truth::False)).then(|| Run::continued(falls[place], instant));
        gone[place] = falls[place].is_some_and(|run| run.lasted(hold_ms, instant));
    }
    gone
}

/// Up at once to the worst level that is true; down to the first that is not gone; out only if the alert may end.
#[inline]
pub(super) fn next_level(
    current: Option<Level>,
    truths: [Option<Truth>; 4],
    gone: [bool; 4],
    may_end: bool,
) -> Option<Level> {
    let place = |level: Level| usize::from(level.rank()) - 1;
    let worst = Level::ALL
        .into_iter()
        .rev()
        .find(|level| truths[place(*level)] == Some(Truth::True));
    if worst > current {
        return worst;
    }
    let from = current?;
    let held = Level::ALL.into_iter().rev().filter(|level| *level <= from);
    let rest = held
        .into_iter()
        .find(|level| truths[place(*level)].is_some() && !gone[place(*level)]);
    if rest.is_none() && !may_end {
        current
    } else {
        rest
    }
}
