//! One rule at one sensor: its level, its runs and windows. Owns how levels rise and fall.

mod snapshot;

use citywatch_model::{Level, Name, Position, Time, Transition, TransitionKind};
use smallvec::SmallVec;

use super::baseline::Recall;
use super::evaluate::{AgeBase, Scene, Surroundings};
use super::levels::{gone, next_level, worst};
use super::program::Program;
use super::proof::Run;
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
    /// For a program that contributes, or names `baseline`.
    aside: Option<Box<Aside>>,
    proofs: Vec<Option<Run>>,
    /// How long each level has been false; empty for a rule without `hold`.
    falls: Vec<Option<Run>>,
    /// Moments to come, for a rule that names `age`.
    pub watch: Option<Box<Watch>>,
}

/// What few programs need.
#[derive(Debug)]
struct Aside {
    /// What a program without levels came to last.
    amount: Option<f64>,
    baselines: Vec<Recall>,
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
    /// A moment at which to look anew, because the interval of the sensor changed.
    pub again: Option<Time>,
}

impl Bound {
    pub(super) fn new(slot: u32, program: &Program, clock: Time) -> Bound {
        let watch = || Watch {
            floor: clock,
            settled: Time::from_millis(clock.millis() - 1),
            scheduled: None,
            again: None,
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
            aside: (program.amount.is_some() || !program.baselines.is_empty()).then(|| {
                Box::new(Aside {
                    amount: None,
                    baselines: vec![Recall::default(); program.baselines.len()],
                })
            }),
            proofs: vec![None; program.proofs],
            falls: if program.hold_ms > 0 {
                vec![None; 4]
            } else {
                Vec::new()
            },
            watch: program.uses_age.then(|| Box::new(watch())),
        }
    }

    /// Whether this step brought a reading that the rule names.
    #[inline]
    pub(super) fn touched(&self, series: &[Series], step: u64) -> bool {
        self.inputs
            .iter()
            .flatten()
            .any(|place| series[usize::from(*place)].fresh == step)
    }

    /// Moves windows up to the newest event time among the inputs, which is returned in milliseconds.
    #[inline]
    fn advance(&mut self, around: &mut Surroundings<'_>) -> i64 {
        self.evaluated = around.step;
        let inputs = &self.inputs[..];
        let end = inputs.iter().flatten().fold(Time::MIN, |end, place| {
            let newest = around.series[usize::from(*place)].newest;
            newest.map_or(end, |newest| end.max(newest))
        });
        let end_ms = end.millis();
        for (window, spec) in self.windows.iter_mut().zip(&around.program.windows) {
            match inputs[spec.input] {
                Some(place) => window.advance(&around.series[usize::from(place)], end_ms),
                None => window.value = None,
            }
        }
        let recalls = self.aside.iter_mut().flat_map(|aside| &mut aside.baselines);
        for (recall, spec) in recalls.zip(&around.program.baselines) {
            let series = inputs[spec.input].map(|place| &mut around.series[usize::from(place)]);
            if let Some(baseline) = series.and_then(|series| series.baseline.as_mut()) {
                recall.advance(baseline, end_ms, spec.days);
            }
        }
        end_ms
    }

    /// Computes what a program without levels is for.
    pub(super) fn measure(&mut self, mut around: Surroundings<'_>) -> Option<f64> {
        let window_end_ms = self.advance(&mut around);
        let aside = self.aside.as_mut()?;
        let scene = Scene {
            around: &around,
            inputs: &self.inputs,
            windows: &self.windows,
            baselines: &aside.baselines,
            window_end_ms,
        };
        let amount = scene.term(around.program.amount.as_ref()?);
        aside.amount = amount;
        amount
    }

    /// What a program without levels came to last.
    pub(super) fn amount(&self) -> Option<f64> {
        self.aside.as_ref().and_then(|aside| aside.amount)
    }

    /// Evaluates the rule and moves to the level that follows; the kind and level of the transition, if any.
    #[inline]
    pub(super) fn evaluate(
        &mut self,
        mut around: Surroundings<'_>,
    ) -> Option<(TransitionKind, Level)> {
        let window_end_ms = self.advance(&mut around);
        let program = around.program;
        let scene = Scene {
            around: &around,
            inputs: &self.inputs,
            windows: &self.windows,
            baselines: (self.aside.as_ref()).map_or(&[], |aside| &aside.baselines),
            window_end_ms,
        };
        let mut truths = [None; 4];
        for (truth, level) in truths.iter_mut().zip(&program.levels) {
            if let Some(level) = level {
                *truth = Some(scene.truth(&level.test, &mut self.proofs));
            }
        }
        let may_end = match &program.clear {
            // what is not open cannot end, but its runs go on
            Some(clear) if self.level.is_some() || program.clear_is_proven => {
                scene.truth(clear, &mut self.proofs) == Truth::True
            }
            Some(_) | None => true,
        };
        let worst = worst(truths);
        let next = if self.level.is_none() && self.falls.is_empty() {
            worst
        } else {
            let gone = gone(&mut self.falls, &scene, truths, self.level.is_some());
            next_level(self.level, worst, truths, gone, may_end)
        };
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
        let flips = program.thresholds.iter().filter_map(|threshold| {
            let limit = threshold.limit.millis(age.interval_ms)?;
            let after = limit.saturating_add(threshold.plus_ms).max(0);
            Some(age.since.millis().saturating_add(after))
        });
        let proofs = program
            .clocked
            .iter()
            .filter_map(|(slot, span)| self.proofs[*slot].map(|run| run.due_ms(*span)));
        let held = self.falls.iter().zip(&program.levels);
        let falls = held.filter_map(|(fall, level)| {
            let clocked = level.as_ref().is_some_and(|level| level.clocked);
            let run = fall.filter(|_| clocked && self.level.is_some())?;
            Some(run.due_ms(program.hold_ms))
        });
        let moments = flips
            .chain(proofs)
            .chain(falls)
            .chain(watch.again.map(Time::millis))
            .map(|moment| Time::from_millis(moment).max(watch.floor));
        moments.filter(|moment| *moment > watch.settled).min()
    }

    /// The series of the rule's own measurement, once there is a reading.
    #[inline]
    pub(super) fn own<'a>(&self, series: &'a [Series]) -> Option<&'a Series> {
        let place = *self.inputs.first()?;
        place
            .map(|place| &series[usize::from(place)])
            .filter(|series| series.newest.is_some())
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
        let value = self.own(series).map(|series| series.value);
        Transition {
            time: at.0,
            position: at.1,
            kind: what.0,
            rule,
            subject,
            level: what.1,
            value,
            unwatched: false,
        }
    }
}
