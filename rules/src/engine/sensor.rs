//! What the engine remembers of one sensor: which measurements it speaks, the series that rules read, and the
//! state of each rule there. Decides which readings are new, late, repeated or implausible.

use citywatch_model::{Name, Observation, Position, Time, Value, Zones};
use smallvec::SmallVec;

use super::bound::Bound;
use super::counts::{Tally, UnitError, Unjudged, UnjudgedWhy};
use super::evaluate::AgeBase;
use super::profile::Profile;
use super::program::{Program, Task};
use super::remote::converted;
use super::series::Series;
use super::snapshot::codec::kept;

/// One sensor.
#[derive(Debug)]
pub(super) struct SensorState {
    pub id: Name,
    /// Clock of the record that registered it, or of its first observation.
    pub registered: Time,
    pub profile: Profile,
    pub tracks: SmallVec<[Track; 1]>,
    pub series: Vec<Series>,
    /// Ordered by rule id.
    pub bounds: Vec<Bound>,
    /// Whether an alert is open by a rule of the first stage that does not name `age`.
    pub alarmed: bool,
    /// Usual time between two readings at the moment.
    pub interval_ms: Option<i64>,
}

/// The newest reading of one measurement as it came, and the series that it feeds.
#[derive(Debug)]
pub(super) struct Track {
    pub measurement: Name,
    pub newest: Option<Newest>,
    pub series: SmallVec<[u16; 4]>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Newest {
    time: Time,
    value: f64,
    unit: Name,
    arrival: Time,
}

kept!(Newest {
    time,
    value,
    unit,
    arrival
});

/// Where an observation stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occasion {
    pub step: u64,
    pub clock: Time,
    pub position: Position,
}

/// How a reading stands to those before it.
enum Standing {
    New,
    Late,
    Repeat,
    Conflict,
}

impl SensorState {
    pub(super) fn new(id: Name, profile: Profile, registered: Time) -> SensorState {
        SensorState {
            id,
            registered,
            profile,
            tracks: SmallVec::new(),
            series: Vec::new(),
            bounds: Vec::new(),
            alarmed: false,
            interval_ms: None,
        }
    }

    /// Opens a track for each measurement that it has not spoken before; whether there was one.
    #[inline]
    pub(super) fn hear(&mut self, observation: &Observation) -> bool {
        let known = self.tracks.len();
        for value in &observation.values {
            if self
                .profile
                .limits
                .plausible(value.value, observation.flags)
                && self.track(value.measurement).is_none()
            {
                self.tracks.push(Track {
                    measurement: value.measurement,
                    newest: None,
                    series: SmallVec::new(),
                });
            }
        }
        self.tracks.len() > known
    }

    /// The program at `slot`, if it runs here.
    #[inline]
    pub(super) fn bound(&self, slot: u32) -> Option<&Bound> {
        self.bounds.iter().find(|bound| bound.slot == slot)
    }

    pub(super) fn track(&self, measurement: Name) -> Option<&Track> {
        self.tracks
            .iter()
            .find(|track| track.measurement == measurement)
    }

    /// Whether the `where:` of a program selects it.
    pub(super) fn is_selected(&self, program: &Program, zones: &Zones) -> bool {
        self.profile
            .selected_by(program.task.selector(), self.id, zones)
    }

    /// Files the readings of `observation`, all of whose measurements have been heard.
    #[inline]
    pub(super) fn take(
        &mut self,
        observation: &Observation,
        at: Occasion,
        programs: &[Option<Program>],
        tally: &mut Tally,
    ) {
        let unjudged = |why, value: &Value| Unjudged {
            why,
            sensor: observation.sensor,
            measurement: value.measurement,
            value: value.value,
            times: 1,
            time: observation.time,
            position: at.position,
        };
        for value in &observation.values {
            tally.counts_mut().readings += 1;
            if !self
                .profile
                .limits
                .plausible(value.value, observation.flags)
            {
                tally.unjudged(&unjudged(UnjudgedWhy::Implausible, value));
                continue;
            }
            let Some(place) = self
                .tracks
                .iter()
                .position(|track| track.measurement == value.measurement)
            else {
                continue;
            };
            match self.standing(place, observation.time, *value) {
                Standing::New => {
                    let (time, arrival) = (observation.time, at.clock);
                    self.tracks[place].newest = Some(Newest {
                        time,
                        value: value.value,
                        unit: value.unit,
                        arrival,
                    });
                    self.file(
                        place,
                        *value,
                        observation.time,
                        at,
                        Filing {
                            new: true,
                            programs,
                            tally,
                        },
                    );
                }
                Standing::Late => {
                    tally.unjudged(&unjudged(UnjudgedWhy::Late, value));
                    self.file(
                        place,
                        *value,
                        observation.time,
                        at,
                        Filing {
                            new: false,
                            programs,
                            tally,
                        },
                    );
                }
                Standing::Repeat => tally.counts_mut().repeats += 1,
                Standing::Conflict => tally.counts_mut().conflicts += 1,
            }
        }
    }

    #[inline]
    fn standing(&self, place: usize, time: Time, value: Value) -> Standing {
        let track = &self.tracks[place];
        let Some(newest) = track.newest else {
            return Standing::New;
        };
        if time > newest.time {
            return Standing::New;
        }
        let same = if time == newest.time {
            Some(newest.value == value.value && newest.unit == value.unit)
        } else {
            let widest = track
                .series
                .iter()
                .max_by_key(|series| self.series[usize::from(**series)].width_ms());
            widest.and_then(|series| {
                let series = &self.series[usize::from(*series)];
                series
                    .at(time)
                    .map(|held| converted(value.value, value.unit, series.unit) == Some(held))
            })
        };
        match same {
            None => Standing::Late,
            Some(true) => Standing::Repeat,
            Some(false) => Standing::Conflict,
        }
    }

    fn file(&mut self, track: usize, value: Value, time: Time, at: Occasion, filing: Filing<'_>) {
        let Filing {
            new,
            programs,
            tally,
        } = filing;
        for place in &self.tracks[track].series {
            let series = &mut self.series[usize::from(*place)];
            match series.convert(value.value, value.unit) {
                Some(converted) if new => {
                    series.push(time, converted);
                    series.arrival = at.clock;
                    series.fresh = at.step;
                }
                Some(converted) => series.fill(time, converted),
                None => {
                    let (sensor, measurement, wanted) = (self.id, value.measurement, series.unit);
                    let readers = self
                        .bounds
                        .iter()
                        .filter(|bound| bound.inputs.contains(&Some(*place)));
                    let mut told = None;
                    for program in readers
                        .filter_map(|bound| programs[bound.slot as usize].as_ref())
                        .filter(|program| !matches!(program.task, Task::Follow(_)))
                    {
                        let (rule, unit, position) = (program.id, value.unit, at.position);
                        // what a rule contributes to itself is no second mistake
                        if told.replace(rule) == Some(rule) {
                            continue;
                        }
                        tally.unit_error(&UnitError {
                            rule,
                            sensor,
                            measurement,
                            unit,
                            wanted,
                            times: 1,
                            time,
                            position,
                        });
                    }
                }
            }
        }
    }

    /// Whether a reading of this event time has come already, as far as is still known.
    pub(super) fn knows(&self, value: Value, time: Time) -> bool {
        let heard = |track: &Track| track.measurement == value.measurement;
        let track = self.tracks.iter().position(heard);
        track.is_some_and(|place| {
            let standing = self.standing(place, time, value);
            matches!(standing, Standing::Repeat | Standing::Conflict)
        })
    }

    /// Forgets every measurement that is not `wanted`, but not that it has spoken.
    pub(super) fn forget(&mut self, wanted: impl Fn(Name) -> bool) {
        if self.tracks.is_empty() {
            return;
        }
        self.tracks.retain(|track| wanted(track.measurement));
        if self.tracks.is_empty() {
            // nothing that is measured has no name
            self.tracks.push(Track {
                measurement: Name::default(),
                newest: None,
                series: SmallVec::new(),
            });
        }
    }

    /// Drops readings that no window needs any more.
    #[inline]
    pub(super) fn trim(&mut self, step: u64) {
        for series in self.series.iter_mut().filter(|series| series.fresh == step) {
            series.trim();
        }
    }

    /// A series of `measurement` in `unit` that starts with the newest reading, if that converts.
    pub(super) fn open_series(&self, measurement: Name, unit: Name) -> Series {
        let mut series = Series::new(measurement, unit);
        let newest = self.track(measurement).and_then(|track| track.newest);
        if let Some(newest) = newest
            && let Some(value) = series.convert(newest.value, newest.unit)
        {
            series.push(newest.time, value);
            series.arrival = newest.arrival;
        }
        series
    }

    /// From when the silence that `bound` watches is counted: a reading, or registration, start or
    /// reconnection where that is later.
    #[inline]
    pub(super) fn age_base(&self, bound: &Bound, resumed: Time) -> AgeBase {
        let earliest = self.registered.max(resumed);
        let heard = bound
            .own(&self.series)
            .filter(|series| series.arrival >= earliest);
        AgeBase {
            since: heard.map_or(earliest, |series| series.arrival),
            heard: heard.is_some(),
            interval_ms: self.interval_ms,
        }
    }
}

struct Filing<'a> {
    new: bool,
    programs: &'a [Option<Program>],
    tally: &'a mut Tally,
}
