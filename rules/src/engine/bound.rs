//! One rule at one sensor: its level, its runs and windows. Owns how levels rise and fall.

use citywatch_model::{Level, Name, Position, Time, Transition, TransitionKind};
use smallvec::SmallVec;

use super::evaluate::{AgeBase, Scene};
use super::program::Program;
use super::proof::Run;
use super::remote::Remote;
use super::series::Series;
use super::truth::Truth;
use super::window::Window;

/// The state of one rule at one sensor.
#[derive(Debug)]
pub(super) struct Bound {
    /// Place of the rule's program.
    pub slot: u32,
    /// Place of the series of each of the program's inputs; `None` if the sensor has not spoken it.
    pub inputs: SmallVec<[Option<u16>; 3]>,
    /// Number of the step that evaluated it last.
    pub evaluated: u64,
    pub level: Option<Level>,
    windows: Vec<Window>,
    proofs: Vec<Option<Run>>,
    /// How long each level has been false; empty for a rule without `hold`.
    falls: Vec<Option<Run>>,
    /// Moments to come, for a rule that names `age`.
    pub watch: Option<Box<Watch>>,
}

/// Where the moments of one `age` rule at one sensor stand.
#[derive(Debug)]
pub(super) struct Watch {
    /// No moment lies before the rule came into force here.
    pub floor: Time,
    /// Every moment up to here has fired.
    pub settled: Time,
    /// The moment that waits in the queue.
    pub scheduled: Option<Time>,
}

/// What an evaluation looks at besides the bound's own state.
pub(super) struct Surroundings<'a> {
    pub program: &'a Program,
    pub series: &'a [Series],
    pub remotes: &'a [Remote],
    pub step: u64,
    pub clock: Time,
    pub moment: bool,
    pub age: AgeBase,
    pub stale_ms: i64,
}

impl Bound {
    pub(super) fn new(slot: u32, program: &Program, clock: Time) -> Bound {
        let watch = || Watch {
            floor: clock,
            settled: Time::from_millis(clock.millis() - 1),
            scheduled: None,
        };
        Bound {
            slot,
            inputs: SmallVec::new(),
            evaluated: 0,
            level: None,
            windows: program
                .windows
                .iter()
                .map(|window| Window::new(window.function, window.width_ms))
                .collect(),
            proofs: vec![None; program.rule.proofs],
            falls: if program.rule.hold.millis() > 0 {
                vec![None; 4]
            } else {
                Vec::new()
            },
            watch: program.rule.uses_age.then(|| Box::new(watch())),
        }
    }

    /// Whether this step brought a reading that the rule names.
    pub(super) fn touched(&self, series: &[Series], step: u64) -> bool {
        self.inputs
            .iter()
            .flatten()
            .any(|place| series[usize::from(*place)].fresh == step)
    }

    /// Evaluates the rule and moves to the level that follows; the kind and level of the transition, if any.
    pub(super) fn evaluate(
        &mut self,
        around: &Surroundings<'_>,
    ) -> Option<(TransitionKind, Level)> {
        self.evaluated = around.step;
        let inputs = self
            .inputs
            .iter()
            .flatten()
            .map(|place| &around.series[usize::from(*place)]);
        let window_end_ms = inputs
            .filter_map(|series| series.newest)
            .max()
            .unwrap_or(Time::MIN)
            .millis();
        for (window, spec) in self.windows.iter_mut().zip(&around.program.windows) {
            if let Some(place) = self.inputs[spec.input] {
                window.advance(&around.series[usize::from(place)], window_end_ms);
            }
        }
        let scene = Scene {
            program: around.program,
            series: around.series,
            inputs: &self.inputs,
            windows: &self.windows,
            remotes: around.remotes,
            step: around.step,
            clock: around.clock,
            moment: around.moment,
            age: around.age,
            window_end_ms,
            stale_ms: around.stale_ms,
        };
        let mut truths = [None; 4];
        for (truth, level) in truths.iter_mut().zip(&around.program.levels) {
            *truth = level
                .as_ref()
                .map(|level| scene.truth(&level.test, &mut self.proofs));
        }
        let may_end = match &around.program.clear {
            Some(clear) => scene.truth(clear, &mut self.proofs) == Truth::True,
            None => true,
        };
        let gone = gone(&mut self.falls, &scene, truths);
        let next = next_level(self.level, truths, gone, may_end);
        let transition = match (self.level, next) {
            (old, new) if old == new => None,
            (None, Some(new)) => Some((TransitionKind::Raise, new)),
            (Some(_), Some(new)) => Some((TransitionKind::Change, new)),
            (Some(old), None) => Some((TransitionKind::Clear, old)),
            (None, None) => None,
        };
        self.level = next;
        transition
    }

    /// Silence is counted anew: what the clock had proven is unknown again.
    pub(super) fn forget_clocked(&mut self, program: &Program) {
        for (slot, _) in &program.clocked {
            self.proofs[*slot] = None;
        }
        for (fall, level) in self.falls.iter_mut().zip(&program.levels) {
            if level.as_ref().is_some_and(|level| level.clocked) {
                *fall = None;
            }
        }
    }

    /// The next moment at which a comparison with `age` flips or is proven, or a level has been false for `hold`.
    pub(super) fn due(&self, program: &Program, age: AgeBase) -> Option<Time> {
        let watch = self.watch.as_ref()?;
        let flips = program
            .thresholds
            .iter()
            .map(|limit| age.since.millis().saturating_add((*limit).max(0)));
        let proofs = program
            .clocked
            .iter()
            .filter_map(|(slot, span)| self.proofs[*slot].map(|run| run.due_ms(*span)));
        let held = self.falls.iter().zip(&program.levels);
        let falls = held.filter_map(|(fall, level)| {
            let clocked = level.as_ref().is_some_and(|level| level.clocked);
            let run = fall.filter(|_| clocked && self.level.is_some())?;
            Some(run.due_ms(program.rule.hold.millis()))
        });
        let moments = flips
            .chain(proofs)
            .chain(falls)
            .map(|moment| Time::from_millis(moment).max(watch.floor));
        moments.filter(|moment| *moment > watch.settled).min()
    }

    /// A transition of the rule at `subject`, carrying the newest value.
    pub(super) fn transition(
        &self,
        what: (TransitionKind, Level),
        rule: Name,
        subject: Name,
        at: (Time, Position),
        series: &[Series],
    ) -> Transition {
        let own = self.inputs[0].map(|place| &series[usize::from(place)]);
        let value = own
            .filter(|series| series.newest.is_some())
            .map(|series| series.value);
        Transition {
            time: at.0,
            position: at.1,
            kind: what.0,
            rule,
            subject,
            level: what.1,
            value,
        }
    }
}

/// Which levels have been known to be false for `hold`.
fn gone(falls: &mut [Option<Run>], scene: &Scene<'_>, truths: [Option<Truth>; 4]) -> [bool; 4] {
    if falls.is_empty() {
        return truths.map(|truth| truth == Some(Truth::False));
    }
    let hold_ms = scene.program.rule.hold.millis();
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
fn next_level(
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
