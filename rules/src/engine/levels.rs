//! How levels rise and fall: up at once to the worst, down one after the other as each has been false for long
//! enough, out only if the alert may end.

use citywatch_model::Level;

use super::evaluate::Scene;
use super::proof::Run;
use super::truth::Truth;

/// Which levels have been known to be false for `hold`; asked only while an alert `is_open`.
pub(super) fn gone(
    falls: &mut [Option<Run>],
    scene: &Scene<'_>,
    truths: [Option<Truth>; 4],
    is_open: bool,
) -> [bool; 4] {
    if falls.is_empty() {
        return truths.map(|truth| truth == Some(Truth::False));
    }
    let program = scene.around.program;
    let instants = [false, true].map(|clocked| {
        let mut instant = scene.instant(clocked);
        // a reading at the last moment of `hold` is as good as the moment itself
        instant.moment |= instant.touched;
        instant
    });
    let mut gone = [false; 4];
    for (place, level) in program.levels.iter().enumerate() {
        let Some(level) = level else { continue };
        let instant = instants[usize::from(level.clocked)];
        let fall = &mut falls[place];
        if truths[place] == Some(Truth::False) {
            Run::go_on(fall, instant);
        } else {
            *fall = None;
        }
        gone[place] = is_open && fall.is_some_and(|run| run.lasted(program.hold_ms, instant));
    }
    gone
}

/// The worst level that is true.
#[inline]
pub(super) fn worst(truths: [Option<Truth>; 4]) -> Option<Level> {
    let place = (truths.iter()).rposition(|truth| *truth == Some(Truth::True))?;
    Some(Level::ALL[place])
}

/// Up at once to `worst`; down to the first level that is not gone; out only if the alert may end.
pub(super) fn next_level(
    current: Option<Level>,
    worst: Option<Level>,
    truths: [Option<Truth>; 4],
    gone: [bool; 4],
    may_end: bool,
) -> Option<Level> {
    let place = |level: Level| usize::from(level.rank()) - 1;
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
